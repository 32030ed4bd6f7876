"""`ffhq`: faces from Flickr, as thumbnails; from a drive, by hand."""

from pathlib import PurePosixPath

from dcgan_lib.data.files import Archive, files_below, images_among, place, provide
from dcgan_lib.data.image_set import Contents, Dataset, Source

FOLDER = "thumbnails128x128"
TRAIN = 60_000  # the authors appointed the first 60,000 for training, the others for validation


def ffhq(root, split, download):
    """Flickr-Faces-HQ (Karras et al. 2019): the thumbnails of 128 pixels. No labels.

    "train" is the images numbered below 60,000, "test" the others. They lie in thumbnails128x128, flat or in
    folders of a thousand, or right in the root; those that are there are taken, however many.
    """
    root = place(root, "ffhq")
    folder = FOLDER if (root / FOLDER).is_dir() else ""
    listing = files_below(root, folder) if root.is_dir() else []
    if not images_among(listing)[0]:
        drive = f"or that folder, from the drive that {FFHQ.page} names, and put it into {root}"
        provide(
            "ffhq",
            root,
            [Archive(f"{FOLDER}.zip", FOLDER)],
            download,
            lambda file: f"get {file}, {drive}",
        )
        listing = files_below(root, FOLDER)

    def read():
        paths, skipped = images_among(listing)
        numbers = {path: PurePosixPath(path).stem for path in paths}
        skipped += [
            (path, "not named by a number") for path in paths if not numbers[path].isdecimal()
        ]
        paths = [path for path in paths if numbers[path].isdecimal()]
        if split != "all":
            paths = [path for path in paths if (int(numbers[path]) < TRAIN) == (split == "train")]
        return Contents(paths, None, (), skipped)

    return Source(root, listing, read)


FFHQ = Dataset(
    name="ffhq",
    source=ffhq,
    splits=("train", "test", "all"),
    title="Flickr-Faces-HQ, thumbnails",
    page="https://github.com/NVlabs/ffhq-dataset",
    licence="CC BY-NC-SA 4.0; each image has a licence of its own that allows non-commercial use",
    images=70000,
    pixels="128x128",
    labels="none",
    papers=("gomez",),
    get="by hand, from the authors' drive (1.95 GB)",
)

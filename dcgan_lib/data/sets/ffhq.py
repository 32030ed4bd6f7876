"""`ffhq`: faces from Flickr, as thumbnails; from a drive, by hand."""

from pathlib import PurePosixPath

from dcgan_lib.data.files import (
    Archive,
    Contents,
    Dataset,
    Source,
    contents_of,
    data_folder,
    files_in,
    is_image,
    provide,
)

THUMBNAILS = "thumbnails128x128"
TRAIN = 60_000  # images: the authors appointed the first 60,000 for training


def source(root, split, download) -> Source:
    """Flickr-Faces-HQ (Karras et al. 2019): the thumbnails of 128 pixels. No labels.

    "train" is the images numbered below 60,000, "test" the others. They lie in thumbnails128x128,
    flat or in folders of a thousand, or right in the root; those that are there are taken, however
    many.
    """
    root = data_folder(root, "ffhq")
    flat = root.is_dir() and not (root / THUMBNAILS).is_dir()
    listing = files_in(root, "") if flat else []
    if not any(is_image(path) for path, _, _ in listing):
        by_hand = (
            "get {files}, or that folder, from the drive that {page} names, and put it into {root}"
        )
        archive = Archive(f"{THUMBNAILS}.zip", THUMBNAILS)
        listing = files_in(provide(DATASET, root, download, [archive], by_hand), THUMBNAILS)

    def read():
        numbered = contents_of(listing, None, number_in, "not named by a number")
        of_train = {path: int(PurePosixPath(path).stem) < TRAIN for path in numbered.pictures}
        paths = [
            path for path in of_train if split == "all" or of_train[path] == (split == "train")
        ]
        return Contents(paths, None, numbered.skipped)

    return Source(root, listing, read)


def number_in(path):
    """The number that an image has for its name, or None."""
    name = PurePosixPath(path).stem
    return int(name) if name.isdecimal() else None


DATASET = Dataset(
    name="ffhq",
    source=source,
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

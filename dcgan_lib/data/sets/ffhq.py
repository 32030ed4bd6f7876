"""`ffhq`: faces from Flickr, as thumbnails; from a drive, by hand."""

from pathlib import PurePosixPath

from dcgan_lib.data.files import (
    Archive,
    data_folder,
    files_below,
    images_among,
    labelled,
    provide,
)
from dcgan_lib.data.image_set import Contents, Dataset, Source

THUMBNAILS = "thumbnails128x128"
TRAIN = 60_000  # images: the authors appointed the first 60,000 for training


def source(root, split, download) -> Source:
    """Flickr-Faces-HQ (Karras et al. 2019): the thumbnails of 128 pixels. No labels.

    "train" is the images numbered below 60,000, "test" the others. They lie in thumbnails128x128,
    flat or in folders of a thousand, or right in the root; those that are there are taken, however
    many.
    """
    root = data_folder(root, "ffhq")
    folder = THUMBNAILS if (root / THUMBNAILS).is_dir() else ""
    listing = files_below(root, folder) if root.is_dir() else []
    if not images_among(listing)[0]:
        drive = f"or that folder, from the drive that {DATASET.page} names, and put it into {root}"
        archive = Archive(f"{THUMBNAILS}.zip", THUMBNAILS)
        provide("ffhq", root, [archive], download, lambda file: f"get {file}, {drive}")
        listing = files_below(root, THUMBNAILS)

    def read():
        paths, skipped = images_among(listing)
        paths, numbers, others = labelled(paths, number_in, "not named by a number")
        if split != "all":
            of_train = [number < TRAIN for number in numbers]
            paths = [path for path, first in zip(paths, of_train) if first == (split == "train")]
        return Contents(paths, None, skipped + others)

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

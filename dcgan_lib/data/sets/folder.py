"""`folder`: the reader's own images."""

from dataclasses import replace
from pathlib import Path

from dcgan_lib.data.decoding import SUFFIXES
from dcgan_lib.data.files import Dataset, Source, contents_of, is_image, look_into

# Folders of these names are taken for classes only beside others.
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}


def source(root, split, download) -> Source:
    """Images in `root/<split>/<class>/*`, or `root/<split>/*` without labels.

    Where `root` has neither a folder `train` nor a folder `test`, it is the training split itself:
    `root/<class>/*` or `root/*`. Classes and files are taken in alphabetical order; hidden ones are
    ignored, and folders in the folder of a class are not searched. A class without images keeps its
    number, so that the splits agree on the numbers, and is told in `.skipped`.
    """
    if not root:
        raise ValueError("The data set 'folder' needs root=..., the folder with your images.")
    root = Path(root).expanduser().resolve()
    if not root.is_dir():
        raise FileNotFoundError(
            f"There is no folder {root}: give root= the folder with your images."
        )
    within = split_folder(root, split)
    beside, classes, links = look_into(root, within)
    groups = classes or [within]
    found, reasons = [], {}
    for group in groups:
        files, folders, others = look_into(root, group)
        if not any(is_image(path) for path, _, _ in files):
            reasons[group] = "a class without any image"
        reasons |= dict.fromkeys(others, "not a file")
        reasons |= dict.fromkeys(folders, "a folder, which is not searched")
        found += files
    listing = [file for file in found if is_image(file[0])]
    if not listing:
        raise no_image(root / groups[0], classes)
    if classes:
        names = [path for path, _, _ in beside] + links
        reasons |= dict.fromkeys(names, "beside the class folders")
    numbers = {group: number for number, group in enumerate(groups)}
    contents = contents_of(
        found,
        label_of=lambda path: numbers[path.rpartition("/")[0]],
        classes=tuple(path.rpartition("/")[2] for path in classes),
    )
    skipped = sorted([*contents.skipped, *reasons.items()])
    return Source(root, listing, lambda: replace(contents, skipped=[]), skipped)


def no_image(path, classes):
    """The error for a folder without images; it is the folder of a class if there are `classes`."""
    inner = look_into(path)[1]
    if not classes:
        cure = ". Put images there"
    elif inner:
        cure = (
            f", only folders ({', '.join(inner[:5])}), and these are not searched. "
            f"Give root={path}, if they are what you mean"
        )
    else:
        cure = ". Put images there, or remove the empty folder"
    return ValueError(f"There is no image in {path}{cure}; known are {' '.join(SUFFIXES)}.")


def split_folder(root, split):
    """Where in `root` a split lies: in "<split>", or for "train" alone in "", which is `root`."""
    found = look_into(root)[1]
    if split in found:
        return split
    divided = SPLITS.intersection(name.lower() for name in found)
    looks_divided = found and (len(divided) == len(found) or {"train", "test"} <= divided)
    if split == "train" and "test" not in found and not looks_divided:
        return ""
    near = [name for name in found if name.lower() == str(split).lower()]
    hint = f" Did you mean split={near[0]!r}?" if near else ""
    others = "" if divided else " and all others into a folder 'train'"
    raise FileNotFoundError(
        f"There is no folder {split!r} in {root}; found: {', '.join(found) or 'no folder'}.{hint} "
        "Put the images of this split, with the folders of their classes, into a folder of that "
        f"name{others}, or choose another split."
    )


DATASET = Dataset(
    name="folder",
    source=source,
    splits=(),
    title="Any folder of images",
    page="",
    licence="the reader's own",
    images=None,
    pixels="any",
    labels="the names of the folders, or none",
    papers=(),
    get="the reader's own",
)

"""`folder`: the reader's own images."""

from os import scandir
from pathlib import Path

from dcgan_lib.data.decoding import SUFFIXES
from dcgan_lib.data.image_set import Contents, Dataset, Source

SPLITS = {
    "train",
    "training",
    "test",
    "testing",
    "val",
    "valid",
    "validation",
}  # taken for classes only beside others


def folder(root, split, download):
    """Images in `root/<split>/<class>/*`, or `root/<split>/*` without labels.

    Where `root` has neither a folder `train` nor a folder `test`, it is the training split itself:
    `root/<class>/*` or `root/*`. Classes and files are taken in alphabetical order; hidden ones are ignored,
    and folders in the folder of a class are not searched.
    """
    if not root:
        raise ValueError("The data set 'folder' needs root=..., the folder with your images.")
    root = Path(root).expanduser().resolve()
    if not root.is_dir():
        raise FileNotFoundError(
            f"There is no folder {root}: give root= the folder with your images."
        )
    within = split_folder(root, split)
    entries = visible(root / within)
    classes = tuple(entry.name for entry in entries if entry.is_dir())

    listing, labels, skipped = [], [], []
    for label, group in enumerate([f"{within}{name}/" for name in classes] or [within]):
        before = len(listing)
        for entry in visible(root / group):
            path = group + entry.name
            if not entry.is_file():
                skipped.append(
                    (path, "a folder, which is not searched" if entry.is_dir() else "not a file")
                )
            elif not path.lower().endswith(SUFFIXES):
                skipped.append((path, "not the suffix of an image"))
            else:
                stat = entry.stat()
                listing.append((path, stat.st_size, stat.st_mtime_ns))
                labels.append(label)
        if len(listing) == before:
            raise no_image(root / group, classes)
    if classes:
        beside = [entry.name for entry in entries if not entry.is_dir()]
        skipped += [(within + name, "beside the class folders") for name in beside]

    def read():
        return Contents([path for path, _, _ in listing], labels if classes else None, classes)

    return Source(root, listing, read, skipped)


def no_image(path, classes):
    """The error for a folder without images, which is the folder of a class if there are `classes`."""
    inner = [entry.name for entry in visible(path) if entry.is_dir()]
    if classes and inner:
        what = f", only folders ({', '.join(inner[:5])}), and these are not searched"
        cure = f"Give root={path}, if they are what you mean"
    elif classes:
        what, cure = "", "Put images there, or remove the empty folder"
    else:
        what, cure = "", "Put images there"
    return ValueError(f"There is no image in {path}{what}. {cure}; known are {' '.join(SUFFIXES)}.")


def split_folder(root, split):
    """Where in `root` a split lies: in "<split>/" or, for "train" alone, in "", which is `root` itself."""
    found = [entry.name for entry in visible(root) if entry.is_dir()]
    if split in found:
        return f"{split}/"
    divided = SPLITS.intersection(name.lower() for name in found)
    looks_divided = found and (len(divided) == len(found) or {"train", "test"} <= divided)
    if split == "train" and "test" not in found and not looks_divided:
        return ""
    near = [name for name in found if name.lower() == str(split).lower()]
    hint = f" Did you mean split={near[0]!r}?" if near else ""
    cure = (
        "a folder of that name"
        if divided
        else "a folder of that name and all others into a folder 'train'"
    )
    raise FileNotFoundError(
        f"There is no folder {split!r} in {root}; found: {', '.join(found) or 'no folder'}.{hint} Put the images of "
        f"this split, with the folders of their classes, into {cure}, or choose another split."
    )


def visible(path):
    """What a folder holds, in alphabetical order, without hidden files and folders."""
    with scandir(path) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(shown, key=lambda entry: entry.name)


FOLDER = Dataset(
    name="folder",
    source=folder,
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

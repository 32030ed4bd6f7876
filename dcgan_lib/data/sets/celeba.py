"""`celeba`: faces of celebrities, aligned; from a drive, by hand."""

from difflib import get_close_matches

from dcgan_lib.data.files import (
    Archive,
    files_below,
    images_among,
    place,
    provide,
    reading,
    stamp,
    those_there,
)
from dcgan_lib.data.image_set import Contents, Dataset, Source

PARTS = {"train": "0", "valid": "1", "test": "2"}


def celeba(root, split, download, *, attribute=None):
    """CelebA (Liu et al. 2015), aligned and cropped: 178x218 pixels, the eyes always in the same place.

    Without labels, or with one of the 40 attributes as two classes: `attribute="Smiling"` gives "not Smiling"
    and "Smiling". The root holds img_align_celeba (or its zip) and the lists, as they come and as torchvision
    leaves them in its folder celeba. "all" without an attribute needs no list.
    """
    root = place(root, "celeba")
    if (root / "celeba").is_dir():
        root /= "celeba"
    partition = "" if split == "all" else "list_eval_partition.txt"
    attributes = "list_attr_celeba.txt" if attribute else ""
    lists = [path for path in (partition, attributes) if path]
    parts = [
        Archive("img_align_celeba.zip", "img_align_celeba"),
        *(Archive(path, path) for path in lists),
    ]
    drive = f"from the drive that {CELEBA.page} names, and put what you got into {root}"
    provide("celeba", root, parts, download, lambda files: f"get {files} {drive}")
    images = files_below(root, "img_align_celeba")

    def read():
        paths, skipped = images_among(images)
        if partition:
            with reading(root / partition):
                rows = [
                    line.split() for line in (root / partition).read_text().splitlines() if line
                ]
                named = [
                    (f"img_align_celeba/{name}", None)
                    for name, part in rows
                    if part == PARTS[split]
                ]
            paths, _, skipped = those_there(named, images)
        if not attribute:
            return Contents(paths, None, (), skipped)
        values = read_attribute(root / attributes, attribute)
        skipped += [(path, f"not in {attributes}") for path in paths if path not in values]
        paths = [path for path in paths if path in values]
        return Contents(
            paths, [values[path] for path in paths], (f"not {attribute}", attribute), skipped
        )

    return Source(root, images + [stamp(root, path) for path in lists], read)


def read_attribute(path, attribute):
    """{path of an image: 0 or 1} of one column of the attributes, which are -1 and 1 in the file."""
    with reading(path):
        _, header, *lines = path.read_text().splitlines()
        names = header.split()
    if attribute not in names:
        near = get_close_matches(str(attribute), names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"CelebA has no attribute {attribute!r}.{hint} It has: {', '.join(names)}."
        )
    column = names.index(attribute) + 1
    with reading(path):
        rows = (line.split() for line in lines if line)
        return {f"img_align_celeba/{row[0]}": int(row[column] == "1") for row in rows}


CELEBA = Dataset(
    name="celeba",
    source=celeba,
    splits=("train", "valid", "test", "all"),
    title="CelebA, aligned and cropped",
    page="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    licence="for non-commercial research purposes only",
    images=202599,
    pixels="178x218",
    labels="none, or one of 40 attributes",
    papers=("singh",),
    get="by hand, from the authors' drive (1.4 GB)",
)

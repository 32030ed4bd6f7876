"""`celeba`: faces of celebrities, aligned; from a drive, by hand."""

from dcgan_lib.data.files import (
    Archive,
    Dataset,
    Source,
    contents_of,
    did_you_mean,
    files_in,
    provide,
    read_list,
    reading,
)

IMAGES = "img_align_celeba"
NUMBERS = {"train": "0", "valid": "1", "test": "2"}  # of the splits in the authors' list


def source(root, split, download, *, attribute=None) -> Source:
    """CelebA (Liu et al. 2015), aligned and cropped: 178x218 pixels, eyes in the same place.

    Without labels, or with one of the 40 attributes as two classes: `attribute="Smiling"` gives
    "not Smiling" and "Smiling". The root holds img_align_celeba (or its zip) and the lists, as they
    come and as torchvision leaves them in its folder celeba. "all" without an attribute needs no
    list.
    """
    partition = "" if split == "all" else "list_eval_partition.txt"
    attributes = "list_attr_celeba.txt" if attribute else ""
    lists = [path for path in (partition, attributes) if path]
    parts = [Archive(f"{IMAGES}.zip", IMAGES), *(Archive(path, path) for path in lists)]
    by_hand = "get {files} from the drive that {page} names, and put what you got into {root}"
    root = provide(DATASET, root, download, parts, by_hand, inner="celeba")
    images = files_in(root, IMAGES)

    def read():
        named = None
        if partition:
            rows = read_list(root / partition, lambda name, part: (f"{IMAGES}/{name}", part))
            named = [path for path, part in rows if part == NUMBERS[split]]
        if not attribute:
            return contents_of(images, named)
        label_of = read_attribute(root / attributes, attribute).get
        classes = (f"not {attribute}", attribute)
        return contents_of(images, named, label_of, f"not in {attributes}", classes)

    return Source(root, images + files_in(root, *lists), read)


def read_attribute(path, attribute):
    """{path of an image: 0 or 1} of one column of the attributes, -1 and 1 in the file."""
    with reading(path):
        _, names, *rows = read_list(path, lambda *words: words)
    if attribute not in names:
        raise ValueError(
            f"CelebA has no attribute {attribute!r}.{did_you_mean(attribute, names)} "
            f"It has: {', '.join(names)}."
        )
    column = names.index(attribute) + 1
    with reading(path):
        return {f"{IMAGES}/{row[0]}": int(row[column] == "1") for row in rows}


DATASET = Dataset(
    name="celeba",
    source=source,
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

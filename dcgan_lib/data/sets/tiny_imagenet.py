"""`tiny-imagenet`: 200 classes of ImageNet at 64 pixels, small enough to try things out."""

from collections import Counter

from dcgan_lib.data.files import (
    Archive,
    data_folder,
    files_below,
    images_among,
    labelled,
    on_disk,
    provide,
    read_list,
    reading,
    stamp,
)
from dcgan_lib.data.image_set import Contents, Dataset, Source

HOSTS = ("https://cs231n.stanford.edu/", "http://cs231n.stanford.edu/")
ZIP = Archive(
    "tiny-imagenet-200.zip",
    "tiny-imagenet-200",
    tuple(f"{host}tiny-imagenet-200.zip" for host in HOSTS),
    "md5:90528d7ca1a48142e341f4ef8d21d0de",
)


def source(root, split, download) -> Source:
    """Tiny ImageNet (the course CS231n at Stanford): 500 training and 50 validation images a class.

    "test" is the validation part: the labels of the true test images were never published.
    """
    root = data_folder(root, "tiny-imagenet")
    if not (root / "wnids.txt").is_file():  # the root is not the unpacked folder itself
        cure = f"from {ZIP.addresses[0]} into {root}"
        provide("tiny-imagenet", root, [ZIP], download, lambda file: f"put {file} {cure}")
        root /= ZIP.holds
    lists = ["wnids.txt", "words.txt"] + ["val/val_annotations.txt"] * (split == "test")
    images = files_below(root, "train" if split == "train" else "val/images")

    def read():
        classes = read_list(root / "wnids.txt", str)
        if split == "train":
            paths, missing = images_among(images)[0], []  # beside them lie lists of boxes
            numbers = {path: path.split("/")[1] for path in paths}
        else:
            rows = read_list(
                root / lists[-1], lambda name, number, *_: (f"val/images/{name}", number)
            )
            numbers = dict(rows)
            paths, _, missing = on_disk(numbers.items(), images)
        labels = {number: label for label, number in enumerate(classes)}
        paths, known, others = labelled(
            paths, lambda path: labels.get(numbers[path]), "of a class that is not in wnids.txt"
        )
        return Contents(paths, known, others + missing, class_names(root / "words.txt", classes))

    return Source(root, images + [stamp(root, path) for path in lists], read)


def class_names(path, numbers):
    """The first word for each WordNet number; all its words if two classes share the first."""
    with reading(path):
        words = dict(line.split("\t") for line in path.read_text().splitlines() if line)
        names = [words[number] for number in numbers]
    short = [name.split(",")[0] for name in names]
    times = Counter(short)
    return tuple(first if times[first] == 1 else name for first, name in zip(short, names))


DATASET = Dataset(
    name="tiny-imagenet",
    source=source,
    splits=("train", "test"),
    title="Tiny ImageNet",
    page="https://cs231n.stanford.edu/tiny-imagenet-200.zip",
    licence="none stated; ImageNet's own terms: non-commercial research and educational purposes",
    images=110000,
    pixels="64x64",
    labels="200 words",
    papers=("singh",),
    get="downloaded (248 MB)",
)

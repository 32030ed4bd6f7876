"""`tiny-imagenet`: 200 classes of ImageNet at 64 pixels, small enough to try things out."""

from collections import Counter

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

ZIP = Archive(
    "tiny-imagenet-200.zip",
    "tiny-imagenet-200",
    (
        "https://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    ),
    "md5:90528d7ca1a48142e341f4ef8d21d0de",
)


def tiny_imagenet(root, split, download):
    """Tiny ImageNet (the course CS231n at Stanford): 500 training and 50 validation images of each class.

    "test" is the validation part: the labels of the true test images were never published.
    """
    root = place(root, "tiny-imagenet")
    if not (root / "wnids.txt").is_file():  # the root is not the unpacked folder itself
        provide(
            "tiny-imagenet",
            root,
            [ZIP],
            download,
            lambda file: f"put {file} from {ZIP.addresses[0]} into {root}",
        )
        root /= ZIP.holds
    lists = ["wnids.txt", "words.txt"] + ["val/val_annotations.txt"] * (split == "test")
    images = files_below(root, "train" if split == "train" else "val/images")

    def read():
        with reading(root / "wnids.txt"):
            labels = {
                name: label for label, name in enumerate((root / "wnids.txt").read_text().split())
            }
        if split == "train":
            paths, _ = images_among(images)  # beside them lies one list of boxes a class
            named = [(path, path.split("/")[1]) for path in paths]
        else:
            with reading(root / lists[-1]):
                lines = (root / lists[-1]).read_text().splitlines()
                named = [
                    (f"val/images/{row[0]}", row[1])
                    for row in (line.split() for line in lines if line)
                ]
        unknown = [
            (path, f"of class {name}, which is not in wnids.txt")
            for path, name in named
            if name not in labels
        ]
        known = [(path, labels[name]) for path, name in named if name in labels]
        paths, numbers, missing = those_there(known, images)
        return Contents(paths, numbers, class_names(root / "words.txt", labels), unknown + missing)

    return Source(root, images + [stamp(root, path) for path in lists], read)


def class_names(path, numbers):
    """The first word for each WordNet number, or all its words where two classes would share the first."""
    with reading(path):
        words = dict(line.split("\t") for line in path.read_text().splitlines() if line)
        names = [words[number] for number in numbers]
    short = [name.split(",")[0] for name in names]
    times = Counter(short)
    return tuple(first if times[first] == 1 else name for first, name in zip(short, names))


TINY_IMAGENET = Dataset(
    name="tiny-imagenet",
    source=tiny_imagenet,
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

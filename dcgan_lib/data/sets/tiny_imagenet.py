"""`tiny-imagenet`: 200 classes of ImageNet at 64 pixels, small enough to try things out."""

from collections import Counter

from dcgan_lib.data.files import (
    Archive,
    Dataset,
    Source,
    contents_of,
    data_folder,
    files_in,
    provide,
    read_list,
    reading,
)

ZIP = Archive(
    "tiny-imagenet-200.zip",
    "tiny-imagenet-200",
    ("https://cs231n.stanford.edu/", "http://cs231n.stanford.edu/"),
    "md5:90528d7ca1a48142e341f4ef8d21d0de",
)


def source(root, split, download) -> Source:
    """Tiny ImageNet (the course CS231n at Stanford): 500 training and 50 validation images a class.

    "test" is the validation part: the labels of the true test images were never published.
    """
    folder = data_folder(root, "tiny-imagenet")
    if not (folder / "wnids.txt").is_file():  # the root is not the unpacked folder itself
        by_hand = "put {files} from {page} into {root}"
        folder = provide(DATASET, root, download, [ZIP], by_hand) / ZIP.holds
    lists = ["wnids.txt", "words.txt"] + ["val/val_annotations.txt"] * (split == "test")
    images = files_in(folder, "train" if split == "train" else "val/images")

    def read():
        named, numbers = None, {path: path.split("/")[1] for path, _, _ in images}
        if split == "test":
            named = numbers = dict(
                read_list(
                    folder / lists[-1], lambda name, number, *_: (f"val/images/{name}", number)
                )
            )
        wnids = read_list(folder / "wnids.txt", str)
        labels = {number: label for label, number in enumerate(wnids)}
        return contents_of(
            [file for file in images if "/images/" in file[0]],  # beside them lie lists of boxes
            named,
            lambda path: labels.get(numbers[path]),
            "of a class that is not in wnids.txt",
            class_names(folder / "words.txt", wnids),
        )

    return Source(folder, images + files_in(folder, *lists), read)


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

"""`pets`: cats and dogs of 37 breeds; some files are damaged, or no JPEG for all their names."""

from pathlib import PurePosixPath

from dcgan_lib.data.files import (
    Archive,
    Dataset,
    Source,
    contents_of,
    files_in,
    provide,
    read_list,
    reading,
)

FOLDERS = (
    "https://www.robots.ox.ac.uk/~vgg/data/pets/data/",
    "https://thor.robots.ox.ac.uk/~vgg/data/pets/",
)
ARCHIVES = (
    Archive("images.tar.gz", "images", FOLDERS, "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c"),
    Archive("annotations.tar.gz", "annotations", FOLDERS, "md5:95a8c909bbe2e81eed6a22bccdf3f68f"),
)
LISTS = {"train": "annotations/trainval.txt", "test": "annotations/test.txt"}


def source(root, split, download) -> Source:
    """The Oxford-IIIT Pet data set (Parkhi et al. 2012): photographs of any size.

    "train" is the authors' trainval list (3,680 images) and "test" their test list (3,669). "all"
    is every image in the archive, in a list or not. gomez kept 7,296, more than either list has.
    """
    by_hand = "put {files} from {page} into {root}"
    # The inner folder is torchvision's own.
    root = provide(DATASET, root, download, ARCHIVES, by_hand, inner="oxford-iiit-pet")
    images = files_in(root, "images")

    def read():
        labels, names = {}, {}
        for name, path in LISTS.items():
            rows = read_list(
                root / path, lambda image, number, *_: (f"images/{image}.jpg", int(number) - 1)
            )
            names |= {label: breed(image) for image, label in rows}
            labels[name] = dict(rows)
        with reading(root / "annotations"):
            classes = [names[label] for label in range(len(names))]
        titles = tuple(name.replace("_", " ") for name in classes)
        if split != "all":
            return contents_of(images, labels[split], labels[split].get, classes=titles)
        numbers = {name: label for label, name in enumerate(classes)}
        return contents_of(
            images,
            label_of=lambda path: numbers.get(breed(path)),
            unlabelled="of a breed that no list names",
            classes=titles,
        )

    return Source(root, images + files_in(root, *LISTS.values()), read)


def breed(path):
    """The breed in a file's name: "great_pyrenees" of images/great_pyrenees_12.jpg."""
    return PurePosixPath(path).stem.rpartition("_")[0]


DATASET = Dataset(
    name="pets",
    source=source,
    splits=("train", "test", "all"),
    title="Oxford-IIIT Pet",
    page="https://www.robots.ox.ac.uk/~vgg/data/pets/",
    licence="CC BY-SA 4.0; the copyright of an image remains with its owner",
    images=7390,
    pixels="various",
    labels="37 breeds",
    papers=("gomez",),
    get="downloaded (811 MB)",
)

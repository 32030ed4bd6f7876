"""`pets`: cats and dogs of 37 breeds; some files are damaged, or no JPEG for all their names."""

from pathlib import PurePosixPath

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

HOSTS = (
    "https://www.robots.ox.ac.uk/~vgg/data/pets/data/",
    "https://thor.robots.ox.ac.uk/~vgg/data/pets/",
)
LISTS = {"train": "annotations/trainval.txt", "test": "annotations/test.txt"}


def archive(name, holds, md5):
    return Archive(name, holds, tuple(host + name for host in HOSTS), f"md5:{md5}")


ARCHIVES = (
    archive("images.tar.gz", "images", "5c4f3ee8e5d25df40f4fd59a7f44e54c"),
    archive("annotations.tar.gz", "annotations", "95a8c909bbe2e81eed6a22bccdf3f68f"),
)


def source(root, split, download) -> Source:
    """The Oxford-IIIT Pet data set (Parkhi et al. 2012): photographs of any size.

    "train" is the authors' trainval list (3,680 images) and "test" their test list (3,669). "all"
    is every image in the archive, in a list or not. gomez kept 7,296, more than either list has.
    """
    root = data_folder(root, "pets")
    if (root / "oxford-iiit-pet").is_dir():  # torchvision's own folder
        root /= "oxford-iiit-pet"
    cure = f"from {DATASET.page} into {root}"
    provide("pets", root, ARCHIVES, download, lambda files: f"put {files} {cure}")
    images = files_below(root, "images")

    def read():
        named, names = {}, {}
        for name, path in LISTS.items():
            named[name] = read_list(
                root / path, lambda image, number, *_: (f"images/{image}.jpg", int(number) - 1)
            )
            names |= {label: breed(image) for image, label in named[name]}
        with reading(root / "annotations"):
            classes = [names[label] for label in range(len(names))]
        if split == "all":
            breeds = {name: label for label, name in enumerate(classes)}
            paths, skipped = images_among(images)
            paths, labels, others = labelled(
                paths, lambda path: breeds.get(breed(path)), "of a breed that no list names"
            )
            skipped += others
        else:
            paths, labels, skipped = on_disk(named[split], images)
        return Contents(paths, labels, skipped, tuple(name.replace("_", " ") for name in classes))

    return Source(root, images + [stamp(root, path) for path in LISTS.values()], read)


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

"""`pets`: cats and dogs of 37 breeds; some files are damaged, or are no JPEG whatever their names say."""

from pathlib import PurePosixPath

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

HOSTS = (
    "https://www.robots.ox.ac.uk/~vgg/data/pets/data/",
    "https://thor.robots.ox.ac.uk/~vgg/data/pets/",
)
PARTS = {"train": "trainval", "test": "test"}  # what we call them, and what the authors do


def archive(name, holds, md5):
    return Archive(name, holds, tuple(host + name for host in HOSTS), f"md5:{md5}")


ARCHIVES = (
    archive("images.tar.gz", "images", "5c4f3ee8e5d25df40f4fd59a7f44e54c"),
    archive("annotations.tar.gz", "annotations", "95a8c909bbe2e81eed6a22bccdf3f68f"),
)


def pets(root, split, download):
    """The Oxford-IIIT Pet data set (Parkhi et al. 2012): photographs of any size.

    "train" is the authors' trainval list (3,680 images) and "test" their test list (3,669). "all" is every
    image in the archive, in a list or not. gomez kept 7,296, more than either list has.
    """
    root = place(root, "pets")
    if (root / "oxford-iiit-pet").is_dir():  # torchvision's own folder
        root /= "oxford-iiit-pet"
    provide(
        "pets", root, ARCHIVES, download, lambda files: f"put {files} from {PETS.page} into {root}"
    )
    lists = {name: f"annotations/{part}.txt" for name, part in PARTS.items()}
    images = files_below(root, "images")

    def read():
        named, names = {}, {}
        for name, path in lists.items():
            with reading(root / path):
                lines = (root / path).read_text().splitlines()
                pairs = [line.split()[:2] for line in lines if line and not line.startswith("#")]
                named[name] = [(f"images/{image}.jpg", int(number) - 1) for image, number in pairs]
            for image, label in named[name]:
                names.setdefault(label, breed(image))
        with reading(root / "annotations"):
            classes = tuple(names[label] for label in range(len(names)))
        breeds = {name: label for label, name in enumerate(classes)}
        if split == "all":
            paths, skipped = images_among(images)
            skipped += [
                (path, "of a breed that no list names")
                for path in paths
                if breed(path) not in breeds
            ]
            paths = [path for path in paths if breed(path) in breeds]
            labels = [breeds[breed(path)] for path in paths]
        else:
            paths, labels, skipped = those_there(named[split], images)
        return Contents(paths, labels, tuple(name.replace("_", " ") for name in classes), skipped)

    return Source(root, images + [stamp(root, path) for path in lists.values()], read)


def breed(path):
    """The breed in a file's name: "great_pyrenees" of images/great_pyrenees_12.jpg."""
    return PurePosixPath(path).stem.rpartition("_")[0]


PETS = Dataset(
    name="pets",
    source=pets,
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

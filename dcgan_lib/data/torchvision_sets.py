"""The data sets that torchvision downloads and unpacks: `cifar10` and `fashion-mnist`."""

from pathlib import Path

import numpy as np

from dcgan_lib.data.cache import home
from dcgan_lib.data.imageset import Source, check_split


def cifar10(root, split, download):
    """CIFAR-10 (Krizhevsky 2009): 50,000 and 10,000 colour images of 32 pixels in 10 classes."""
    batches = ["batches.meta", *(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
    return torchvision_source(
        "cifar10", "CIFAR10", root, split, download,
        files=[f"cifar-10-batches-py/{batch}" for batch in batches],
        by_hand="unpack https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    )  # fmt: skip


def fashion_mnist(root, split, download):
    """Fashion-MNIST (Xiao et al. 2017): 60,000 and 10,000 grey images of 28 pixels in 10 classes."""
    return torchvision_source(
        "fashion-mnist", "FashionMNIST", root, split, download,
        files=[f"FashionMNIST/raw/{part}-{kind}-ubyte" for part in ("train", "t10k")
               for kind in ("images-idx3", "labels-idx1")],
        by_hand="unpack the four .gz files of https://github.com/zalandoresearch/fashion-mnist",
    )  # fmt: skip


def torchvision_source(name, kind, root, split, download, files, by_hand):
    """The source of torchvision's class `kind`, which keeps its data in these `files` below `root`."""
    check_split(name, split)
    root = (Path(root).expanduser() if root else home() / "downloads" / name).resolve()
    by_hand = f"{by_hand} so that there is a file {root / files[0]}"

    def open_set(**options):
        from torchvision import datasets

        return getattr(datasets, kind)(root, train=split == "train", **options)

    if missing := [file for file in files if not (root / file).is_file()]:
        if not download:
            raise FileNotFoundError(
                f"{name!r} is not in {root}: {missing[0]} is missing. Take download=True, or {by_hand}."
            )
        try:
            open_set(download=True)
        except Exception as error:  # a dead host fails in many ways
            raise RuntimeError(
                f"The download of {name!r} to {root} failed ({error}). Try again later, or {by_hand}."
            ) from error

    def read():
        try:
            data = open_set()
        except Exception as error:  # so do damaged files
            raise RuntimeError(
                f"The files of {name!r} are damaged ({error}). Delete {(root / files[0]).parent} and take "
                f"download=True, or {by_hand}."
            ) from error
        return np.asarray(data.data), np.asarray(data.targets), tuple(data.classes)

    stats = [(file, (root / file).stat()) for file in files]
    return Source(root, [(file, stat.st_size, stat.st_mtime_ns) for file, stat in stats], read, skipped=[])

"""The data sets that torchvision unpacks and reads: `cifar10` and `fashion-mnist`."""

import numpy as np

from dcgan_lib.data import downloads as network
from dcgan_lib.data.files import not_there, place, stamp
from dcgan_lib.data.image_set import Contents, Dataset, Source


def cifar10(root, split, download):
    """CIFAR-10 (Krizhevsky 2009): 50,000 and 10,000 colour images of 32 pixels in 10 classes."""

    def archives(kind):
        return {kind.filename: ((kind.url,), kind.tgz_md5)}

    batches = ["batches.meta", *(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
    return torchvision_source(
        "cifar10",
        "CIFAR10",
        root,
        split,
        download,
        archives,
        files=[f"cifar-10-batches-py/{batch}" for batch in batches],
        by_hand="put https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz into {}",
    )


def fashion_mnist(root, split, download):
    """Fashion-MNIST (Xiao et al. 2017): 60,000 and 10,000 grey images of 28 pixels in 10 classes."""

    def archives(kind):
        hosts = [
            *kind.mirrors,
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ]
        return {
            f"FashionMNIST/raw/{name}": ([host + name for host in hosts], md5)
            for name, md5 in kind.resources
        }

    return torchvision_source(
        "fashion-mnist",
        "FashionMNIST",
        root,
        split,
        download,
        archives,
        files=[
            f"FashionMNIST/raw/{part}-{kind}-ubyte"
            for part in ("train", "t10k")
            for kind in ("images-idx3", "labels-idx1")
        ],
        by_hand="put the four .gz files of https://github.com/zalandoresearch/fashion-mnist into {}/FashionMNIST/raw",
    )


def torchvision_source(name, kind, root, split, download, archives, files, by_hand):
    """The source of torchvision's class `kind`, which keeps its data in these `files` below `root`.

    `archives(class)` is {path below the root: (addresses, md5)}, where the class looks for what it unpacks.
    """
    root = place(root, name)
    by_hand = by_hand.format(root)

    def open_set(**options):
        from torchvision import datasets

        try:
            return getattr(datasets, kind)(root, train=split == "train", **options)
        except Exception as error:  # damaged files fail in many ways
            raise RuntimeError(
                f"The files of {name!r} are damaged ({error or type(error).__name__}). "
                f"Delete {(root / files[0]).parent} and take download=True, or {by_hand}."
            ) from error

    if missing := [file for file in files if not (root / file).is_file()]:
        from torchvision import datasets

        for path, (addresses, md5) in archives(getattr(datasets, kind)).items():
            if download:
                network.download(addresses, root / path, md5 and f"md5:{md5}")
            elif not (root / path).is_file():
                raise not_there(name, root, missing[0], f"Take download=True, or {by_hand}")
            elif not datasets.utils.check_integrity(root / path, md5):
                raise RuntimeError(
                    f"{root / path} is damaged, or another file: its md5 is not {md5}. Delete it, and take "
                    f"download=True, or {by_hand}."
                )
        open_set(download=True)  # finds the archives there, and unpacks them

    def read():
        data = open_set()
        return Contents(np.asarray(data.data), np.asarray(data.targets), tuple(data.classes))

    return Source(root, [stamp(root, file) for file in files], read)


CIFAR10 = Dataset(
    name="cifar10",
    source=cifar10,
    splits=("train", "test"),
    title="CIFAR-10",
    page="https://www.cs.toronto.edu/~kriz/cifar.html",
    licence="none stated; the authors ask to be cited",
    images=60000,
    pixels="32x32",
    labels="10 classes",
    papers=("singh",),
    get="downloaded (170 MB)",
)
FASHION_MNIST = Dataset(
    name="fashion-mnist",
    source=fashion_mnist,
    splits=("train", "test"),
    title="Fashion-MNIST",
    page="https://github.com/zalandoresearch/fashion-mnist",
    licence="MIT",
    images=70000,
    pixels="28x28",
    labels="10 classes",
    papers=(),
    get="downloaded (31 MB)",
)

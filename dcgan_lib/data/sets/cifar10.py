"""`cifar10`: small colour images of ten classes; torchvision unpacks and reads them."""

from dcgan_lib.data.files import Dataset, Source
from dcgan_lib.data.torchvision_sets import torchvision_source

FILES = ["batches.meta", *(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]


def source(root, split, download) -> Source:
    """CIFAR-10 (Krizhevsky 2009): 50,000 and 10,000 colour images of 32 pixels in 10 classes."""
    return torchvision_source(
        "cifar10",
        "CIFAR10",
        root,
        split,
        download,
        archives=lambda kind: {kind.filename: ((kind.url,), kind.tgz_md5)},
        files=[f"cifar-10-batches-py/{batch}" for batch in FILES],
        by_hand="put https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz into {}",
    )


DATASET = Dataset(
    name="cifar10",
    source=source,
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

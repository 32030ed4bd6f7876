"""`fashion-mnist`: small grey images of clothes; torchvision unpacks and reads them."""

from dcgan_lib.data.files import Dataset, Source
from dcgan_lib.data.torchvision_sets import torchvision_source

REPOSITORY = "https://github.com/zalandoresearch/fashion-mnist"
RAW = "FashionMNIST/raw"  # the folder below the root where torchvision keeps the files


def source(root, split, download) -> Source:
    """Fashion-MNIST (Xiao et al. 2017): 60,000 and 10,000 grey images, 28 pixels, 10 classes."""

    def archives(kind):
        hosts = [*kind.mirrors, f"{REPOSITORY}/raw/master/data/fashion/"]
        return {
            f"{RAW}/{name}": ([host + name for host in hosts], md5) for name, md5 in kind.resources
        }

    return torchvision_source(
        "fashion-mnist",
        "FashionMNIST",
        root,
        split,
        download,
        archives,
        files=[
            f"{RAW}/{part}-{kind}-ubyte"
            for part in ("train", "t10k")
            for kind in ("images-idx3", "labels-idx1")
        ],
        by_hand=f"put the four .gz files of {REPOSITORY} into {{}}/{RAW}",
    )


DATASET = Dataset(
    name="fashion-mnist",
    source=source,
    splits=("train", "test"),
    title="Fashion-MNIST",
    page=REPOSITORY,
    licence="MIT",
    images=70000,
    pixels="28x28",
    labels="10 classes",
    papers=(),
    get="downloaded (31 MB)",
)

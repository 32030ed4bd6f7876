"""Images on disk or by download -> `ImageSet`, decoded once and memory-mapped from then on.

A data set is one function `(root, split, download) -> Source`: which files it is made of, and how to read
them when there is no cache of them yet. To add one, write that function in a file of its own and name it in
`DATASETS`.
"""

from difflib import get_close_matches

from dcgan_lib.data.cache import cached
from dcgan_lib.data.digits import digits
from dcgan_lib.data.folder import folder
from dcgan_lib.data.torchvision_sets import cifar10, fashion_mnist
from dcgan_lib.data.imageset import ImageSet, Source

__all__ = ["ImageSet", "Source", "available_datasets", "load_images"]

DATASETS = {"cifar10": cifar10, "digits": digits, "fashion-mnist": fashion_mnist, "folder": folder}
SIZES = (32, 64, 128)  # those that the models are built for


def available_datasets():
    """The names that `load_images` knows, in alphabetical order."""
    return sorted(DATASETS)


def load_images(name, *, root=None, split="train", size=32, limit=None, download=True):
    """One split of a data set as square uint8 images.

    The first call decodes every image on all cores and keeps the pixels in the cache folder; later calls look
    whether a file has changed and map the pixels into memory, which takes no memory until they are used. A
    changed file, or other arguments, make a new cache. The cache is in `~/.cache/dcgan_lib`, or in the folder
    that the environment variable DCGAN_LIB_HOME names; it may be deleted at any time.

    Images of another size are scaled with antialiasing until the shorter side fits and cropped at the centre,
    as in singh and the PyTorch tutorial; an image of the right size is kept bit for bit. A file that cannot
    be read is skipped and listed in `.skipped`.

    Parameters
    ----------
    name : str
        One of `available_datasets()`.
    root : str or path, optional
        Where the files are. `folder` needs it; without it downloads are kept in the cache.
    split : str
        "train" or "test"; for `folder` any folder in `root`.
    size : int
        Height and width in pixels: 32, 64 or 128.
    limit : int, optional
        Take this many images, chosen at random but always the same ones; a smaller choice is part of a larger
        one. All images are taken where there are fewer.
    download : bool
        Whether a missing data set may be fetched from the network.

    Returns
    -------
    ImageSet

    Raises
    ------
    ValueError
        An unknown name, split or size, a limit below 1, or no readable image.
    FileNotFoundError
        The files are not there, and may not be downloaded.
    RuntimeError
        A download failed, or downloaded files are damaged.
    OSError
        The cache cannot be written.
    """
    if name not in DATASETS:
        near = get_close_matches(str(name), DATASETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"There is no data set {name!r}.{hint} Known: {', '.join(available_datasets())}.")
    if size not in SIZES:
        raise ValueError(f"size={size!r} is not supported: choose 32, 64 or 128, the sizes of the models.")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ValueError(f"limit={limit!r} is not a number of images: give 1 or more, or None for all.")
    source = DATASETS[name](root, split, download)
    return cached(source, name, split, int(size), limit)

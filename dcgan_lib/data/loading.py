"""Images on disk or by download -> `ImageSet`, decoded once and memory-mapped from then on.

A data set is one function `(root, split, download, *, options) -> Source`: which files it is made of, and how
to read them when there is no cache of them yet. To add one, write that function in a file of its own with a
`Dataset` that has the facts about it, and name that in `DATASETS`.
"""

from difflib import get_close_matches
from inspect import signature
from numbers import Integral
from os import PathLike
from pathlib import Path

from dcgan_lib.data.cache import cached
from dcgan_lib.data.decoding import CROPS
from dcgan_lib.data.sets.celeba import CELEBA
from dcgan_lib.data.sets.coco import COCO
from dcgan_lib.data.sets.compcars import COMPCARS
from dcgan_lib.data.sets.digits import DIGITS
from dcgan_lib.data.sets.ffhq import FFHQ
from dcgan_lib.data.sets.folder import FOLDER
from dcgan_lib.data.sets.imagenet64 import IMAGENET64
from dcgan_lib.data.sets.pets import PETS
from dcgan_lib.data.sets.tiny_imagenet import TINY_IMAGENET
from dcgan_lib.data.sets.torchvision_sets import CIFAR10, FASHION_MNIST

DATASETS = {
    each.name: each
    for each in (
        CELEBA,
        CIFAR10,
        COCO,
        COMPCARS,
        DIGITS,
        FASHION_MNIST,
        FFHQ,
        FOLDER,
        IMAGENET64,
        PETS,
        TINY_IMAGENET,
    )
}
SIZES = (32, 64, 128)  # those that the models are built for


def available_datasets():
    """The names that `load_images` knows, in alphabetical order."""
    return sorted(DATASETS)


def describe_datasets():
    """The facts about each data set, in alphabetical order of the names.

    Returns
    -------
    list of dict
        With "name", "title", "page" (where it is published), "licence" (in its authors' words), "images" (in
        all splits; None for `folder`), "pixels" (the original size), "labels", "papers" (those of the two that
        used it), "get" (how it comes to the disk), "splits" and "options" (each with its default).

    Examples
    --------
    >>> [row["name"] for row in describe_datasets() if "singh" in row["papers"]]
    ['celeba', 'cifar10', 'imagenet64', 'tiny-imagenet']
    """
    rows = [vars(DATASETS[name]) | {"options": options_of(name)} for name in available_datasets()]
    return [{key: value for key, value in row.items() if key != "source"} for row in rows]


def options_of(name):
    """{option: default} of those that only this data set has."""
    parameters = signature(DATASETS[name].source).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


def load_images(
    name, *, root=None, split="train", size=32, limit=None, crop="centre", download=True, **options
):
    """One split of a data set as square uint8 images.

    The first call decodes every image on all cores and keeps the pixels in the cache folder; later calls look
    at the size and the time of change of each file and map the pixels into memory, which takes no memory until
    they are used. Where these have changed, and for other arguments, a new cache is made. The cache is in
    `~/.cache/dcgan_lib`, or in the folder that the environment variable DCGAN_LIB_HOME names; it may be deleted
    at any time.

    Images are scaled with antialiasing; an image of the right size is kept bit for bit. A file that cannot be
    read is skipped and listed in `.skipped`.

    Parameters
    ----------
    name : str
        One of `available_datasets()`.
    root : str or path, optional
        Where the files are, or go when they are downloaded. `folder` needs it; for the others it is a folder
        of the cache by default.
    split : str
        "train" or "test"; `describe_datasets` tells which data sets have others, such as "all". For `folder`
        any folder in `root`.
    size : int
        Height and width in pixels: 32, 64 or 128.
    limit : int, optional
        Take this many images, chosen at random but always the same ones; a smaller choice is part of a larger
        one. Others stand in for those that cannot be read; all images are taken where there are fewer.
    crop : str
        How an image becomes square. "centre": the shorter side is scaled and the middle kept, as in singh and
        the PyTorch tutorial. "square": both sides are scaled, whatever the shape was, as in gomez. "celeba":
        the 108 pixels at the centre are cut out and scaled, as in many a DCGAN of CelebA; a smaller image is
        skipped.
    download : bool
        Whether a missing data set may be fetched from the network.
    **options
        Those of one data set alone, such as `annotations` and `label` of coco. `describe_datasets` has them
        all; the book's page of the data sets and the docstring of its function, such as
        `dcgan_lib.data.sets.coco.coco`, explain them.

    Returns
    -------
    ImageSet

    Raises
    ------
    ValueError
        An unknown name, split, size, crop or option, a limit below 1, or no readable image.
    FileNotFoundError
        The files are not there, and may not be downloaded.
    RuntimeError
        A download failed, or downloaded files are damaged.
    OSError
        The cache cannot be written.
    """
    # `in` a list or a tuple: a dictionary would raise TypeError for a name or a crop that has no hash.
    if name not in available_datasets():
        near = get_close_matches(str(name).lower(), DATASETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"There is no data set {name!r}.{hint} Known: {', '.join(available_datasets())}."
        )
    dataset, known = DATASETS[name], options_of(name)
    if unknown := sorted(options.keys() - known):
        arguments = [each for each in signature(load_images).parameters if each != "options"]
        near = get_close_matches(unknown[0], [*known, *arguments], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{name!r} has no option {unknown[0]!r}.{hint} It has: {', '.join(known) or 'none'}."
        )
    if dataset.splits and split not in dataset.splits:
        *most, last = map(repr, dataset.splits)
        raise ValueError(
            f"The data set {name!r} has no split {split!r}: choose {', '.join(most)} or {last}."
        )
    if size not in SIZES:
        raise ValueError(
            f"size={size!r} is not supported: choose 32, 64 or 128, the sizes of the models."
        )
    if limit is not None and (
        isinstance(limit, bool) or not isinstance(limit, Integral) or limit < 1
    ):
        raise ValueError(
            f"limit={limit!r} is not a number of images: give 1 or more, or None for all."
        )
    if crop not in tuple(CROPS):
        raise ValueError(f"crop={crop!r} is not known: choose {', '.join(map(repr, CROPS))}.")
    if root is not None and not isinstance(root, (str, PathLike)):
        raise TypeError(f"root={root!r} is no path of a folder.")
    if root is not None and Path(root).expanduser().is_file():
        raise NotADirectoryError(f"root={str(root)!r} is a file: give the folder that it is in.")
    source = dataset.source(root, split, download, **options)
    return cached(source, name, split, int(size), limit and int(limit), crop, known | options)

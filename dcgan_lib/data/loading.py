"""Images on disk or by download become an `ImageSet`, decoded once and memory-mapped from then on.

A data set is a module in `sets` with a function `source(root, split, download, *, options)`, which
says what files it is made of and how to read them when there is no cache of them yet, and with
`DATASET`, the facts about it. To add one, write such a module and name it in `MODULES`.
"""

from inspect import signature
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any

from dcgan_lib.data.cache import cached
from dcgan_lib.data.decoding import CROPS
from dcgan_lib.data.files import did_you_mean
from dcgan_lib.data.image_set import ImageSet
from dcgan_lib.data.sets import (
    celeba,
    cifar10,
    coco,
    compcars,
    digits,
    fashion,
    fashion_mnist,
    ffhq,
    folder,
    imagenet64,
    pets,
    tiny_imagenet,
)

MODULES = (
    celeba,
    cifar10,
    coco,
    compcars,
    digits,
    fashion,
    fashion_mnist,
    ffhq,
    folder,
    imagenet64,
    pets,
    tiny_imagenet,
)
DATASETS = {module.DATASET.name: module.DATASET for module in MODULES}
SIZES = (32, 64, 128)  # those that the models are built for


def available_datasets() -> list[str]:
    """The names that `load_images` knows, in alphabetical order.

    Examples
    --------
    >>> available_datasets()[:3]
    ['celeba', 'cifar10', 'coco']
    """
    return sorted(DATASETS)


def describe_datasets() -> list[dict[str, Any]]:
    """The facts about each data set, in alphabetical order of the names.

    Returns
    -------
    list of dict
        With "name", "title", "page" (where it is published), "licence" (in its authors' words),
        "images" (in all splits; None for `folder`), "pixels" (the original size), "labels",
        "papers" (those of the two that used it), "get" (how it comes to the disk), "splits" and
        "options" (each with its default).

    Examples
    --------
    >>> [row["name"] for row in describe_datasets() if "singh" in row["papers"]]
    ['celeba', 'cifar10', 'imagenet64', 'tiny-imagenet']
    """
    rows = [vars(DATASETS[name]) | {"options": options_of(name)} for name in available_datasets()]
    return [{key: value for key, value in row.items() if key != "source"} for row in rows]


def options_of(name: str) -> dict[str, Any]:
    """{option: default} of the options that only this data set has."""
    parameters = signature(DATASETS[name].source).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


def load_images(
    name: str,
    *,
    root: str | PathLike | None = None,
    split: str = "train",
    size: int = 32,
    limit: int | None = None,
    crop: str = "centre",
    download: bool = True,
    **options: Any,
) -> ImageSet:
    """Load one split of a data set as square uint8 images.

    The first call decodes every image on all cores and keeps the pixels in the cache folder. Later
    calls look at the size and the time of change of each file and map the pixels into memory, which
    takes no memory until they are used. If a file has changed, or for other arguments, a new cache
    is made. The caches are in `~/.cache/dcgan_lib`, in `$XDG_CACHE_HOME/dcgan_lib`, or in the
    folder that the environment variable DCGAN_LIB_HOME names. `cache_size` and `clear_cache` in
    `dcgan_lib.data` say how much room they take, and delete them.

    Images are scaled with antialiasing; an image of the right size is kept bit for bit. A file that
    cannot be read is skipped and listed in `.skipped`.

    Parameters
    ----------
    name : str
        One of `available_datasets()`.
    root : str or path, default None
        Where the files are, or where they go when they are downloaded. `folder` needs it; for the
        others it is a folder beside the cache by default.
    split : str, default "train"
        "train" or "test"; `describe_datasets` tells which data sets have others, such as "all". For
        `folder` it is any folder in `root`.
    size : int, default 32
        Height and width in pixels: 32, 64 or 128.
    limit : int, default None
        Take this many images, chosen at random but always the same ones; a smaller choice is part
        of a larger one. Others stand in for those that cannot be read. By default, and where there
        are fewer, all images are taken.
    crop : str, default "centre"
        How an image becomes square. "centre": the shorter side is scaled and the middle kept, as in
        singh and the PyTorch tutorial. "square": both sides are scaled, whatever the shape was, as
        in gomez. "celeba": the 108 pixels at the centre are cut out and scaled, as in many a DCGAN
        of CelebA; a smaller image is skipped.
    download : bool, default True
        Whether a missing data set may be fetched from the network.
    **options
        Those of one data set alone, such as `annotations` and `label` of coco. `describe_datasets`
        has them all; the book's page of the data sets and the docstring of the set's function, such
        as `dcgan_lib.data.sets.coco.source`, explain them.

    Returns
    -------
    ImageSet

    Raises
    ------
    ValueError
        An unknown name, split, size, crop or option, a limit below 1, or no readable image.
    TypeError, NotADirectoryError
        The root is no path, or the path of a file.
    FileNotFoundError
        The files are not there, and may not be downloaded.
    RuntimeError
        A download failed, or downloaded files are damaged.
    OSError
        The cache cannot be written.

    Examples
    --------
    >>> load_images("digits")
    ImageSet 'digits': 1437 images of 1x32x32, 10 classes
    """
    # `in` a list or a tuple, as a dictionary raises TypeError for what cannot be hashed.
    if name not in available_datasets():
        hint = did_you_mean(str(name).lower(), DATASETS)
        raise ValueError(
            f"There is no data set {name!r}.{hint} Known: {', '.join(available_datasets())}."
        )
    dataset, known = DATASETS[name], options_of(name)
    if unknown := sorted(options.keys() - known):
        arguments = [each for each in signature(load_images).parameters if each != "options"]
        hint = did_you_mean(unknown[0], [*known, *arguments])
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

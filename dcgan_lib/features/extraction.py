"""A trained discriminator as a feature extractor (Radford et al. 2015, section 5.1).

A recipe says which blocks of the discriminator are kept and how their maps are made smaller. The kept maps are
flattened and put side by side: one row of numbers an image.
"""

import os
import shutil
from contextlib import contextmanager, nullcontext, suppress
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import adaptive_max_pool2d, max_pool2d, pad
from tqdm import tqdm

from dcgan_lib.data.pixels import to_float
from dcgan_lib.models import Discriminator

# name -> function from the list of the blocks' outputs, each (N, maps, height, width), to the list of kept maps
RECIPES = {
    # gomez, procedure 1: every block, pooled to a grid of 4x4, as in Radford et al.
    "grid": lambda maps: [adaptive_max_pool2d(m, 4) for m in maps],
    # gomez, procedure 2: the last block as it is.
    "last": lambda maps: maps[-1:],
    # singh, section 4: max-pooling of kernel 4 and stride 2. The paper's 28,672 numbers come out at 64 pixels, with
    # a padding of 1 and the first three blocks.
    "maxpool": lambda maps: [max_pool2d(m, 4, stride=2, padding=1) for m in maps[:3]],
    # The other way to 28,672: the three blocks of a 32-pixel discriminator, not pooled at all.
    "maps": lambda maps: maps,
    # Ours: windows that overlap, as in singh, where maps are large, and the last block whole, as in procedure 2.
    "overlap": lambda maps: [*(max_pool2d(m, 4, stride=2) for m in maps[:-1]), maps[-1]],
    # The program of Radford et al. for SVHN: 7,168 numbers, of a 32-pixel discriminator whose BatchNorm has been
    # re-estimated on real images (`recalibrate_batchnorm`).
    "radford-svhn": lambda maps: pooled_to_4(maps, 3),
    # Radford et al., section 5.1, on CIFAR-10: 28,672 numbers, of the six 3x3 convolutions of width 128.
    "radford-cifar10": lambda maps: pooled_to_4(maps, 6),
}


class WrongBlocks(ValueError):
    """A recipe for another network."""


def pooled_to_4(maps, blocks):
    """Every map max-pooled to 4x4, of the network that the original program had: 32 pixels, so many blocks."""
    if len(maps) != blocks or maps[-1].shape[-1] != 4:
        raise WrongBlocks(
            f"this recipe is of a 32-pixel discriminator with {blocks} blocks (kernel_size="
            f"{'4 or 5' if blocks == 3 else 3}); this one has {len(maps)}; take the recipe 'grid'"
        )
    return [max_pool2d(m, m.shape[-1] // 4) for m in maps]


def available_recipes(discriminator=None):
    """Names of the recipes: all, or those that a discriminator has the blocks for."""
    if discriminator is None:
        return list(RECIPES)
    fits = []
    for name in RECIPES:
        with suppress(WrongBlocks):
            feature_size(discriminator, name)
            fits.append(name)
    return fits


def _recipe(name):
    if not isinstance(name, str) or name not in RECIPES:
        raise ValueError(f"recipe is {name!r}; the known ones are {', '.join(RECIPES)}")
    return RECIPES[name]


def block_maps(discriminator, images):
    """The output of every block, in order: list of (N, maps, height, width). `images` are in [-1, 1]."""
    maps, x = [], images
    for block in discriminator.blocks:
        x = block(x)
        maps.append(x)
    return maps


def _features(discriminator, recipe, images):
    kept = _recipe(recipe)(block_maps(discriminator, images))
    return torch.cat([m.flatten(1) for m in kept], dim=1)


@torch.no_grad()
def feature_size(discriminator, recipe):
    """How many numbers an image the recipe gives, without computing any of them.

    Examples
    --------
    >>> from dcgan_lib import Discriminator
    >>> {recipe: feature_size(Discriminator(image_size=64), recipe) for recipe in ("grid", "last", "maxpool")}
    {'grid': 15360, 'last': 8192, 'maxpool': 28672}
    >>> feature_size(Discriminator(image_size=32), "maps")
    28672
    """
    with torch.device("meta"):  # shapes without numbers
        like = type(discriminator)(
            discriminator.image_size,
            discriminator.channels,
            discriminator.width,
            discriminator.kernel_size,
        )
        images = torch.empty(
            1, discriminator.channels, discriminator.image_size, discriminator.image_size
        )
        return _features(like.eval(), recipe, images).shape[1]


@torch.no_grad()
def extract_features(
    discriminator,
    images,
    recipe,
    *,
    mirror=False,
    shift=0,
    file=None,
    dtype="float32",
    batch_size=256,
    progress=True,
):
    """Feature matrix of a set of images.

    BatchNorm is in evaluation mode, so that a row depends on its own image alone.

    Parameters
    ----------
    discriminator : Discriminator
        Its mode is restored afterwards.
    images : ImageSet, or uint8 Tensor of shape (N, C, H, W)
    recipe : str
        One of `available_recipes()`.
    mirror : bool
        Give the mean of an image's features and of its mirror image's: a classifier then answers the same for both.
    shift : int
        Give the mean over nine places of the image as well: where it is, and moved by so many pixels to the left or
        the right, up or down, or both. What enters at an edge is the reflection of what is there. 0: where it is.
    file : path, optional
        Write the matrix to this .npy file as it is made, and return it mapped from there: for matrices larger than
        the memory. What was there before is replaced when all is written.
    dtype : {"float32", "float16"}
        Number format of the matrix; float16 takes half of the room and rounds to three digits.
    batch_size : int
        Images computed at a time; it does not change the result beyond rounding.
    progress : bool

    Returns
    -------
    ndarray of shape (N, D)
        With D as `feature_size` says. Where it is mapped, changes made to it are not written to the file.

    Raises
    ------
    ValueError, TypeError
        Images of another shape or type than the discriminator's, an unknown recipe or dtype, or features that are
        no numbers.
    MemoryError, OSError
        The matrix does not fit into the memory, or onto the disk.
    """
    pixels = _check(discriminator, images, batch_size)
    expected = (discriminator.channels, discriminator.image_size, discriminator.image_size)
    if tuple(pixels.shape[1:]) != expected:
        raise ValueError(
            f"images have shape {tuple(pixels.shape)}; this discriminator was made for "
            f"(N, {', '.join(map(str, expected))})"
        )
    if pixels.dtype != torch.uint8:
        raise TypeError(f"images are {pixels.dtype}; give the uint8 pixels, they are scaled here")
    if not isinstance(shift, Integral) or not 0 <= shift < discriminator.image_size:
        raise ValueError(
            f"shift is {shift!r}; it must be a whole number of pixels, 0 to {discriminator.image_size - 1}"
        )
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype is {dtype!r}; choose 'float32' or 'float16'")
    shape = len(pixels), feature_size(discriminator, recipe)
    room = (
        nullcontext(_in_memory(shape, dtype))
        if file is None
        else _on_disk(Path(file), shape, dtype)
    )
    with room as matrix:
        _fill(matrix, discriminator, pixels, recipe, mirror, shift, batch_size, progress)
    return matrix if file is None else np.load(file, mmap_mode="c")


def _check(discriminator, images, batch_size):
    """The pixels of images that a discriminator is asked about."""
    if not isinstance(discriminator, Discriminator):
        raise TypeError(
            f"the first argument is of type {type(discriminator).__name__}; it must be a Discriminator"
        )
    pixels = getattr(images, "images", images)
    if not isinstance(pixels, torch.Tensor):
        raise TypeError(
            f"images are of type {type(pixels).__name__}; give an ImageSet, or a Tensor of its pixels"
        )
    if not isinstance(batch_size, Integral) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}; it must be a whole number of at least 1")
    return pixels


def _in_memory(shape, dtype):
    try:
        return np.empty(shape, dtype)
    except MemoryError as error:
        need = np.prod(shape) * np.dtype(dtype).itemsize / 2**30
        raise MemoryError(
            f"{shape[0]:,} images of {shape[1]:,} features need {need:.1f} GiB of memory; give file=... "
            "to keep them on the disk, or use a recipe with fewer features"
        ) from error


@contextmanager
def _on_disk(path, shape, dtype):
    """A matrix mapped from a new file, which takes its place when it is whole."""
    if path.is_dir():
        raise IsADirectoryError(
            f"{path} is a folder; give the name of a file in it, such as {path / 'features.npy'}"
        )
    need, part = (
        int(np.prod(shape)) * np.dtype(dtype).itemsize,
        path.with_name(f".{path.name}.{os.getpid()}.part"),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if need > free:  # a mapped file that outgrows the disk kills the process
        raise OSError(
            f"{path} cannot be written: {shape[0]:,} images of {shape[1]:,} features take {need:,} bytes, and "
            f"{free:,} are free there; make room, or choose float16 or a recipe with fewer features"
        )
    try:
        matrix = np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=shape)
        yield matrix
        matrix.flush()
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _views(images, mirror, shift):
    """The images that a row of features is the mean over."""
    side, moves = images.shape[-1], (0,)
    if shift:
        images, moves = pad(images, [shift] * 4, mode="reflect"), (0, shift, 2 * shift)
    for down in moves:
        for right in moves:
            view = images[:, :, down : down + side, right : right + side]
            yield view
            if mirror:
                yield view.flip(3)


def _fill(matrix, discriminator, pixels, recipe, mirror, shift, batch_size, progress):
    device, was_training = next(discriminator.parameters()).device, discriminator.training
    discriminator.eval()
    try:
        bar = tqdm(
            total=len(pixels),
            desc=f"features ({recipe})",
            unit="image",
            disable=not progress,
            delay=1,
        )
        with bar:
            for start in range(0, len(pixels), batch_size):
                batch = to_float(pixels[start : start + batch_size].to(device))
                total = 0
                for count, view in enumerate(_views(batch, mirror, shift), 1):
                    total = total + _features(
                        discriminator, recipe, view.contiguous(memory_format=torch.channels_last)
                    )
                rows = total / count
                if not rows.sum().isfinite() and not rows.isfinite().all():
                    raise ValueError(
                        "the features are no numbers: the discriminator's weights are broken, or BatchNorm's "
                        "statistics are; was its training stopped by NaN?"
                    )
                matrix[start : start + batch_size] = rows.cpu().numpy()
                bar.update(len(batch))
    finally:
        discriminator.train(was_training)


@torch.no_grad()
def recalibrate_batchnorm(discriminator, images, *, batch_size=256):
    """Replace BatchNorm's running statistics by averages over real images, in place.

    In training they are running averages over real and generated batches alike; the program of Radford et al.
    estimates them anew on real images before it extracts features.

    Parameters
    ----------
    discriminator : Discriminator
        Its weights and its mode stay as they are.
    images : ImageSet, or uint8 Tensor of shape (N, C, H, W)
    batch_size : int
        Statistics are of whole batches of this size, or of all images where there are fewer; the mean of them counts.
    """
    pixels = _check(discriminator, images, batch_size)
    device, was_training = next(discriminator.parameters()).device, discriminator.training
    norms = [
        module for module in discriminator.modules() if isinstance(module, torch.nn.BatchNorm2d)
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # every batch counts the same
    discriminator.train()
    try:
        for start in range(0, max(1, len(pixels) - batch_size + 1), batch_size):
            discriminator(to_float(pixels[start : start + batch_size].to(device)))
    finally:
        discriminator.train(was_training)
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum

"""A trained discriminator as a feature extractor (Radford et al. 2015, section 5.1).

A recipe says which blocks of the discriminator are kept, and how their maps are made smaller. The
kept maps are flattened and put side by side: one row of numbers for each image.
"""

import shutil
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch.nn.functional import adaptive_max_pool2d, max_pool2d, pad
from torch.optim.swa_utils import update_bn
from tqdm import tqdm

from dcgan_lib.data.image_set import ImageSet
from dcgan_lib.data.pixels import to_float
from dcgan_lib.models import Discriminator
from dcgan_lib.utils.device import default_device

# name -> function from the list of the blocks' outputs, each (N, maps, height, width), to the list
# of kept maps
RECIPES = {
    # gomez, procedure 1: every block, pooled to a grid of 4x4, as in Radford et al.
    "grid": lambda maps: [adaptive_max_pool2d(m, 4) for m in maps],
    # gomez, procedure 2: the last block as it is.
    "last": lambda maps: maps[-1:],
    # singh, section 4: max-pooling of kernel 4 and stride 2. The paper's 28,672 numbers come out at
    # 64 pixels, with a padding of 1 and the first three blocks.
    "maxpool": lambda maps: [max_pool2d(m, 4, stride=2, padding=1) for m in maps[:3]],
    # The other way to 28,672: the three blocks of a 32-pixel discriminator, not pooled at all.
    "maps": lambda maps: maps,
    # Ours: windows that overlap, as in singh, where maps are large, and the last block whole, as in
    # procedure 2.
    "overlap": lambda maps: [*(max_pool2d(m, 4, stride=2) for m in maps[:-1]), maps[-1]],
    # The program of Radford et al. for SVHN: 7,168 numbers, of a 32-pixel discriminator whose
    # BatchNorm has been re-estimated on real images (`recalibrate_batchnorm`).
    "radford-svhn": lambda maps: [adaptive_max_pool2d(m, 4) for m in maps],
    # Radford et al., section 5.1, on CIFAR-10: 28,672 numbers, of six 3x3 convolutions of width
    # 128.
    "radford-cifar10": lambda maps: [adaptive_max_pool2d(m, 4) for m in maps],
}
# The blocks of the 32-pixel discriminators in the original programs, which these recipes are for.
ORIGINAL_BLOCKS = {"radford-svhn": 3, "radford-cifar10": 6}


def available_recipes(discriminator: Discriminator | None = None) -> list[str]:
    """Names of the recipes.

    Parameters
    ----------
    discriminator : Discriminator, default None
        Give only the recipes that fit its blocks; None for all.

    Examples
    --------
    >>> available_recipes(Discriminator(image_size=64))
    ['grid', 'last', 'maxpool', 'maps', 'overlap']
    """
    return [name for name in RECIPES if discriminator is None or _fits(name, discriminator)]


def _fits(recipe, discriminator):
    shape = discriminator.image_size, len(discriminator.blocks)
    return recipe not in ORIGINAL_BLOCKS or shape == (32, ORIGINAL_BLOCKS[recipe])


def block_maps(discriminator: Discriminator, images: torch.Tensor) -> list[torch.Tensor]:
    """The output of every block of a discriminator, in order.

    Parameters
    ----------
    discriminator : Discriminator
        Is used as it is; call `eval()` first, or BatchNorm mixes the images of the batch.
    images : Tensor of shape (N, C, H, W)
        In [-1, 1], on the discriminator's device.

    Returns
    -------
    list of Tensor of shape (N, maps, height, width)

    Examples
    --------
    >>> network = Discriminator(image_size=32, channels=1).eval()
    >>> [tuple(maps.shape) for maps in block_maps(network, torch.zeros(1, 1, 32, 32))]
    [(1, 64, 16, 16), (1, 128, 8, 8), (1, 256, 4, 4)]
    """
    maps, x = [], images
    for block in discriminator.blocks:
        x = block(x)
        maps.append(x)
    return maps


def _features(discriminator, recipe, images):
    kept = RECIPES[recipe](block_maps(discriminator, images))
    return torch.cat([maps.flatten(1) for maps in kept], dim=1)


def _copy(discriminator, device):
    """A float32 copy on a device, in evaluation mode: nothing can happen to the original."""
    return deepcopy(discriminator).to(device, torch.float32).eval()


@torch.no_grad()
def feature_size(discriminator: Discriminator, recipe: str) -> int:
    """How many numbers a recipe gives for an image, without computing any of them.

    Parameters
    ----------
    discriminator : Discriminator
    recipe : str
        One of `available_recipes()`.

    Raises
    ------
    ValueError
        The recipe is unknown, or is for a network with other blocks.

    Examples
    --------
    >>> network = Discriminator(image_size=64)
    >>> {recipe: feature_size(network, recipe) for recipe in ("grid", "last", "maxpool")}
    {'grid': 15360, 'last': 8192, 'maxpool': 28672}
    """
    if not isinstance(recipe, str) or recipe not in RECIPES:
        raise ValueError(f"recipe is {recipe!r}; the known ones are {', '.join(RECIPES)}")
    if not _fits(recipe, discriminator):
        raise ValueError(
            f"the recipe {recipe!r} is for a 32-pixel discriminator with {ORIGINAL_BLOCKS[recipe]} "
            f"blocks (3: kernel_size=4 or 5; 6: kernel_size=3); this one has "
            f"{len(discriminator.blocks)}, and {discriminator.image_size} pixels; "
            "take the recipe 'grid'"
        )
    side = discriminator.image_size
    image = torch.empty(
        1, discriminator.channels, side, side, device="meta"
    )  # shapes without numbers
    return _features(_copy(discriminator, "meta"), recipe, image).shape[1]


@torch.no_grad()
def extract_features(
    discriminator: Discriminator,
    images: ImageSet | torch.Tensor,
    recipe: str,
    *,
    mirror: bool = False,
    shift: int = 0,
    file: str | Path | None = None,
    dtype: str = "float32",
    batch_size: int = 256,
    device: str | None = None,
    progress: bool = True,
) -> np.ndarray:
    """Feature matrix of a set of images.

    BatchNorm is in evaluation mode, so that a row depends on its own image alone. All numbers are
    computed in float32, whatever the discriminator's own format is.

    Parameters
    ----------
    discriminator : Discriminator
        A copy of it computes: its mode, device and hooks stay as they are.
    images : ImageSet, or uint8 Tensor of shape (N, C, H, W)
    recipe : str
        One of `available_recipes()`.
    mirror : bool, default False
        Give the mean of the features of an image and of its mirror image; a classifier then answers
        the same for both.
    shift : int, default 0
        Give the mean over nine places of the image: where it is, and moved by so many pixels to the
        left or the right, up or down, or both. What enters at an edge is the reflection of what is
        there. 0: where it is.
    file : path, default None
        Write the matrix to this .npy file as it is made, and return it mapped from there: for
        matrices larger than the memory. What was there before is replaced once all is written. A
        second process that writes the same file waits until the first is done; the empty lock file
        beside it, `.<name>.lock`, may be deleted at any other time.
    dtype : {"float32", "float16"}, default "float32"
        Number format of the matrix; float16 takes half of the room and rounds to three digits.
    batch_size : int, default 256
        Images computed at a time; it does not change the result beyond rounding.
    device : str, default None
        Where to compute; None for `default_device()`, the fastest.
    progress : bool, default True
        Show a progress bar.

    Returns
    -------
    ndarray of shape (N, D)
        With D as `feature_size` says. Where it is mapped, changes made to it are not written to the
        file.

    Raises
    ------
    ValueError, TypeError
        Images of another shape or type than the discriminator's, an unknown recipe or dtype, a
        recipe that does not fit the discriminator, or features that are no numbers or too large for
        float16.
    MemoryError, OSError
        The matrix does not fit into the memory, or onto the disk.

    Examples
    --------
    >>> from dcgan_lib import load_images
    >>> images = load_images("digits").subset(range(5))
    >>> extract_features(Discriminator(image_size=32, channels=1), images, "grid").shape
    (5, 7168)
    """
    pixels = _check(discriminator, images, batch_size)
    if not isinstance(shift, Integral) or not 0 <= shift < discriminator.image_size:
        raise ValueError(
            f"shift is {shift!r}; it must be a whole number of pixels, "
            f"0 to {discriminator.image_size - 1}"
        )
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype is {dtype!r}; choose 'float32' or 'float16'")
    shape = len(pixels), feature_size(discriminator, recipe)
    network = _copy(discriminator, device or default_device())
    room = _on_disk(Path(file), shape, dtype) if file else nullcontext(_in_memory(shape, dtype))
    with (
        room as matrix,
        tqdm(
            total=len(pixels),
            desc=f"features ({recipe})",
            unit="image",
            disable=not progress,
            delay=1,
        ) as bar,
    ):
        for start in range(0, len(pixels), batch_size):
            rows = _mean_features(
                network, recipe, pixels[start : start + batch_size], mirror, shift
            )
            largest = rows.abs().max().item()
            if not np.isfinite(largest):
                raise ValueError(
                    "the features are no numbers: the discriminator's weights are broken, or "
                    "BatchNorm's statistics are; was its training stopped by NaN?"
                )
            if largest > float(np.finfo(dtype).max):
                raise ValueError(
                    f"features of up to {largest:,.0f} do not fit into float16, which ends at "
                    "65,504; choose dtype='float32'"
                )
            matrix[start : start + batch_size] = rows.cpu().numpy()
            bar.update(len(rows))
    return np.load(file, mmap_mode="c") if file else matrix


def _check(discriminator, images, batch_size):
    """The pixels of images that a discriminator is asked about."""
    if not isinstance(discriminator, Discriminator):
        raise TypeError(
            f"the first argument is of type {type(discriminator).__name__}; "
            "it must be a Discriminator"
        )
    pixels = getattr(images, "images", images)
    if not isinstance(pixels, torch.Tensor):
        raise TypeError(
            f"images are of type {type(pixels).__name__}; give an ImageSet, "
            "or a Tensor of its pixels"
        )
    expected = (discriminator.channels, discriminator.image_size, discriminator.image_size)
    if tuple(pixels.shape[1:]) != expected:
        raise ValueError(
            f"images have shape {tuple(pixels.shape)}; this discriminator was made for "
            f"(N, {', '.join(map(str, expected))})"
        )
    if pixels.dtype != torch.uint8:
        raise TypeError(f"images are {pixels.dtype}; give the uint8 pixels, they are scaled here")
    if not isinstance(batch_size, Integral) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}; it must be a whole number of at least 1")
    return pixels


def _in_memory(shape, dtype):
    try:
        return np.empty(shape, dtype)
    except MemoryError as error:
        need = np.prod(shape) * np.dtype(dtype).itemsize / 2**30
        raise MemoryError(
            f"{shape[0]:,} images of {shape[1]:,} features need {need:.1f} GiB of memory; "
            "give file=... to keep them on the disk, or use a recipe with fewer features"
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
        path.with_name(f".{path.name}.part"),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        try:
            part.unlink(missing_ok=True)  # of a process that was killed
            free = shutil.disk_usage(path.parent).free
            if need > free:  # a mapped file that outgrows the disk kills the process
                raise OSError(
                    f"{path} cannot be written: {shape[0]:,} images of {shape[1]:,} features take "
                    f"{need:,} bytes, and {free:,} are free there; make room, or choose float16 or "
                    "a recipe with fewer features"
                )
            matrix = np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=shape)
            yield matrix
            matrix.flush()
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _mean_features(network, recipe, pixels, mirror, shift):
    """The features of a batch, means over the mirror images and places that were asked for."""
    images = to_float(pixels.to(next(network.parameters()).device))
    padded, side = pad(images, [shift] * 4, mode="reflect"), images.shape[-1]
    moves = sorted({0, shift, 2 * shift})
    views = [padded[:, :, y : y + side, x : x + side] for y in moves for x in moves]
    if mirror:
        views += [view.flip(3) for view in views]
    return sum(
        _features(network, recipe, view.contiguous(memory_format=torch.channels_last))
        for view in views
    ) / len(views)


@torch.no_grad()
def recalibrate_batchnorm(
    discriminator: Discriminator, images: ImageSet | torch.Tensor, *, batch_size: int = 256
) -> None:
    """Replace BatchNorm's running statistics by averages over real images, in place.

    In training they are running averages over real and generated batches alike; the program of
    Radford et al. estimates them anew on real images before it extracts features.

    Parameters
    ----------
    discriminator : Discriminator
        Its weights and its mode stay as they are, and after an error its statistics as well.
    images : ImageSet, or uint8 Tensor of shape (N, C, H, W)
    batch_size : int, default 256
        Statistics are of whole batches of this size, or of all images where there are fewer; the
        mean of them counts.

    Raises
    ------
    ValueError, TypeError
        There are no images, they have another shape or type than the discriminator's, or its
        weights give statistics that are no numbers.

    Examples
    --------
    >>> from dcgan_lib import load_images
    >>> network = Discriminator(image_size=32, channels=1)
    >>> recalibrate_batchnorm(network, load_images("digits").subset(range(100)))
    """
    pixels = _check(discriminator, images, batch_size)
    if not len(pixels):
        raise ValueError(
            "there are no images to estimate BatchNorm's statistics on; give at least one"
        )
    device = default_device()
    network = _copy(discriminator, device)
    whole_batches = max(1, len(pixels) // batch_size) * batch_size
    update_bn(map(to_float, pixels[:whole_batches].split(batch_size)), network, device)
    if not all(buffer.isfinite().all() for buffer in network.buffers()):
        raise ValueError(
            "BatchNorm's statistics are no numbers: the discriminator's weights are broken"
        )
    for buffer, measured in zip(discriminator.buffers(), network.buffers()):
        buffer.copy_(measured)

"""One picture, of whatever kind, to one square uint8 array."""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = {
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "PPM": (".pgm", ".ppm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
MAX_PIXELS = 50_000_000  # a file of a few kilobytes can claim more, and would fill the memory
GROUP = 32  # pictures that one core decodes together
AHEAD = 4  # such groups that each core is given at once; only small results wait in memory

# The ways to make a picture square, each with the words that stand for it in cache keys and
# fingerprints. Change the words when the same file would give other pixels.
CROPS = {
    "centre": "upright, on white, shorter side by antialiased bicubic, centre crop; version 1",
    "square": "upright, on white, both sides by antialiased bicubic; version 1",
    "celeba": "upright, on white, 108 pixels at the centre, antialiased bicubic; version 1",
}


def open_picture(picture):
    """Open a path or a uint8 array as a PIL image: reads the header alone, and refuses bombs."""
    if isinstance(picture, np.ndarray):
        return Image.fromarray(picture)
    image = Image.open(picture, formats=tuple(FORMATS))
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise ValueError(f"{width}x{height} pixels, more than the limit of {MAX_PIXELS:,}")
    return image


def is_grey(picture):
    """Whether the header promises grey alone; a palette is colour, an unreadable file is grey."""
    try:
        with open_picture(picture) as image:
            return Image.getmodebase(image.mode) == "L"
    except Exception:
        return True  # it will be skipped, so it must not decide


def decode(
    picture: str | Path | np.ndarray, size: int, channels: int, crop: str = "centre"
) -> np.ndarray:
    """Decode a picture: upright, 8 bits, on white, and made square.

    Parameters
    ----------
    picture : str, Path or uint8 array of shape (H, W) or (H, W, 3)
    size : int
        Height and width of the result in pixels.
    channels : int
        1 for grey, 3 for colour.
    crop : str, default "centre"
        "centre", "square" or "celeba", as in `load_images`.

    Returns
    -------
    uint8 array of shape (size, size, channels)

    Raises
    ------
    Exception
        The picture cannot be read; Pillow has many ways to fail on one.

    Examples
    --------
    >>> decode(np.zeros((48, 64, 3), np.uint8), 32, 3).shape
    (32, 32, 3)
    """
    with open_picture(picture) as image:
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode in ("I", "F"):
            raise ValueError(
                f"pixels of Pillow's mode {image.mode} have no agreed range: use 8 or 16 bits"
            )
        if image.mode.startswith("I;16"):  # 0..65535 to 0..255, rounded; Pillow would clip at 255
            rounded = (np.asarray(image).astype(np.uint32) + 128) // 257
            image = Image.fromarray(rounded.astype(np.uint8))
        elif image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        image = image.convert("L" if channels == 1 else "RGB")
    if crop == "celeba":
        image = cut(image, 108)
    if image.size != (size, size):
        resize = Image.Image.resize if crop == "square" else ImageOps.fit
        # Pillow's bicubic is antialiased wherever it shrinks.
        image = resize(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(size, size, channels)


def cut(image, side):
    """The square of this side at the centre of an image, which must have it."""
    width, height = image.size
    if min(width, height) < side:
        raise ValueError(
            f"{width}x{height} pixels, less than the crop of {side}; another crop takes it"
        )
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def decode_or_reason(picture, size, channels, crop):
    """The array of `decode`, or the reason in a few words why there is none."""
    try:
        return decode(picture, size, channels, crop)
    except UnidentifiedImageError:
        return "empty file" if os.path.getsize(picture) == 0 else "not an image, or a damaged one"
    except Exception as error:  # one bad file must not stop the rest
        return getattr(error, "strerror", None) or str(error) or type(error).__name__


def decode_all(pictures, size, channels, crop):
    """Yield the result of `decode_or_reason` for each picture in order, with all cores at work.

    `pictures` is any iterable. It is asked for a few groups of pictures more than are decoded.
    """

    def decode_some(some):
        return [decode_or_reason(picture, size, channels, crop) for picture in some]

    pictures, cores = iter(pictures), os.cpu_count()
    groups = iter(lambda: list(islice(pictures, GROUP)), [])
    with ThreadPoolExecutor(cores) as pool:
        # After Ctrl-C only what has been begun is finished: `map` cancels the rest.
        while ahead := list(islice(groups, AHEAD * cores)):
            yield from chain.from_iterable(pool.map(decode_some, ahead))

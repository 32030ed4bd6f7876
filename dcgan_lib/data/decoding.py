"""One picture, of whatever kind, to one square uint8 array."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

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
MAX_PIXELS = (
    50_000_000  # a file of a few kilobytes can claim more and fill the memory: a decompression bomb
)
AT_ONCE = 32  # pictures that one core takes together
WAITING = 4  # such groups on their way, for each core; only their small results wait in memory

# The ways to make a picture square, each with the words that stand for it in cache keys and fingerprints: change
# them when the same file would give other pixels.
CROPS = {
    "centre": "upright, on white, shorter side by antialiased bicubic, centre crop; version 1",
    "square": "upright, on white, both sides by antialiased bicubic; version 1",
    "celeba": "upright, on white, 108 pixels at the centre, antialiased bicubic; version 1",
}


def open_picture(picture):
    """A PIL image of a path or a uint8 array. Of a file only the header is read; a bomb is refused."""
    if isinstance(picture, np.ndarray):
        return Image.fromarray(picture)
    image = Image.open(picture, formats=tuple(FORMATS))
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise ValueError(f"{width}x{height} pixels, more than the limit of {MAX_PIXELS:,}")
    return image


def is_grey(picture):
    """Whether the header promises grey alone. A palette counts as colour, an unreadable file as grey."""
    try:
        with open_picture(picture) as image:
            return Image.getmodebase(image.mode) == "L"
    except Exception:
        return True  # it will be skipped, so it must not decide


def decode(picture, size, channels, crop="centre"):
    """A picture as uint8 (size, size, channels): upright, 8 bits, on white, made square as `crop` says."""
    with open_picture(picture) as image:
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode in ("I", "F"):
            raise ValueError(
                f"pixels of Pillow's mode {image.mode} have no agreed range: use 8 or 16 bits"
            )
        if image.mode.startswith("I;16"):  # 0..65535 to 0..255, rounded; Pillow would clip at 255
            image = Image.fromarray(
                ((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8)
            )
        elif image.has_transparency_data:
            image = Image.alpha_composite(
                Image.new("RGBA", image.size, "white"), image.convert("RGBA")
            )
        image = image.convert("L" if channels == 1 else "RGB")
    if crop == "celeba":
        image = cut(image, 108)
    if image.size != (size, size):
        resize = Image.Image.resize if crop == "square" else ImageOps.fit
        image = resize(
            image, (size, size), Image.Resampling.BICUBIC
        )  # antialiased wherever it shrinks
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
    """The array of `decode`, or in a few words why there is none."""
    try:
        return decode(picture, size, channels, crop)
    except UnidentifiedImageError:
        return "empty file" if os.path.getsize(picture) == 0 else "not an image, or a damaged one"
    except (
        Exception
    ) as error:  # one bad file must not stop the rest, and Pillow has many ways to fail on it
        return getattr(error, "strerror", None) or str(error) or type(error).__name__


def decode_all(pictures, size, channels, crop):
    """Yield the result of `decode_or_reason` for each picture in order, with all cores at work.

    `pictures` is any iterable; it is asked for a few groups of pictures more than have been decoded.
    """

    def decode_some(some):
        return [decode_or_reason(picture, size, channels, crop) for picture in some]

    pictures, cores, waiting = iter(pictures), os.cpu_count(), deque()
    pool = ThreadPoolExecutor(cores)
    try:
        while some := list(islice(pictures, AT_ONCE)):
            waiting.append(pool.submit(decode_some, some))
            if len(waiting) == WAITING * cores:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C only what has been begun is finished

"""The cache: pictures are decoded once into one file of pixels, which is memory-mapped ever after.

A cache is a folder with `images.bin` (uint8, N x H x W x C), `labels.npy` where there are labels, and
`meta.json`. It is made in a temporary folder beside its place and moved there when complete, so that it is
there whole or not at all: an interruption leaves nothing that could be taken for a cache, and of two
processes that make the same one the first to finish serves both. What a killed process leaves is removed by
the next that makes a cache: a temporary folder is locked as long as its maker lives.

Pictures stream through: memory holds a few groups of them, whether there are a thousand or a million.
"""

import json
import os
import shutil
from array import array
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from tqdm import tqdm

from dcgan_lib.data.decoding import CROPS, decode_all, is_grey
from dcgan_lib.data.image_set import ImageSet
from dcgan_lib.utils.locks import locked
from dcgan_lib.utils.random import rng


def home():
    """The folder of everything that is kept between runs: $DCGAN_LIB_HOME, or ~/.cache/dcgan_lib."""
    return Path(os.environ.get("DCGAN_LIB_HOME") or "~/.cache/dcgan_lib").expanduser()


def cached(source, name, split, size, limit, crop, options):
    """The `ImageSet` of a source, from its cache if there is one; arguments as in `load_images`, options in a dict."""
    recipe = {"dataset": name, "split": split, "size": size, "preprocessing": CROPS[crop]}
    if options:  # a data set without any keeps the keys and fingerprints that it had before there were options
        recipe["options"] = options
    key = sha256(json.dumps([recipe, limit, str(source.root), source.listing]).encode()).hexdigest()
    folder = home() / "cache" / f"{name}-{split}-{size}-{key[:16]}"
    return open_cache(folder, source) or build(folder, source, recipe, limit, crop)


def open_cache(folder, source):
    """The `ImageSet` in a cache folder, or None where it is missing or damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        # Copy on write: a tensor may be changed, as torch expects, and the file never is.
        pixels = np.memmap(folder / "images.bin", np.uint8, mode="c", shape=tuple(meta["shape"]))
        labels = torch.from_numpy(np.load(folder / "labels.npy")) if meta["classes"] else None
    except (OSError, ValueError):
        return None
    return ImageSet(
        images=torch.from_numpy(pixels).permute(0, 3, 1, 2),
        labels=labels,
        classes=tuple(meta["classes"]),
        name=meta["recipe"]["dataset"],
        fingerprint=meta["fingerprint"],
        skipped=source.skipped + [tuple(pair) for pair in meta["skipped"]],
    )


def build(folder, source, recipe, limit, crop):
    """Decode a source into a cache folder and open it."""
    contents = source.read()
    pictures = contents.pictures
    # Over all pictures, so that a limit does not decide it; this stops at the first in colour.
    channels = 1 if all(is_grey(located(picture, source.root)) for picture in pictures) else 3
    order, wanted = torch.arange(len(pictures)), len(pictures)
    if limit is not None and limit < wanted:
        stream = rng(0, f"limit {recipe['dataset']} {recipe['split']}")
        order, wanted = torch.randperm(wanted, generator=stream), limit
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder.parent) as temporary:
            made = Path(temporary, "cache")
            made.mkdir()
            fill(made, recipe, source, contents, order, wanted, channels, crop)
            publish(made, folder, source)
    except OSError as error:
        needed = wanted * recipe["size"] ** 2 * channels
        raise OSError(
            f"The image cache {folder} could not be written ({error.strerror or error}). It takes {needed:,} "
            "bytes: make room there, or set DCGAN_LIB_HOME to a folder that has it and may be written to."
        ) from error
    return open_cache(folder, source)


def located(picture, root):
    """A picture that can be opened: the whole path of a file, an array as it is."""
    return os.path.join(root, picture) if isinstance(picture, str) else picture


def fill(made, recipe, source, contents, order, wanted, channels, crop):
    """Write the files of a cache into the folder `made`: the first `wanted` pictures in `order` that can be read."""
    size, skipped, taken, digest = recipe["size"], list(contents.skipped), array("q"), sha256()
    progress = tqdm(None, f"Decoding {recipe['dataset']}", wanted, unit=" images", delay=1)
    with open(made / "images.bin", "wb") as out, progress:
        for i, pixels in readable(
            contents.pictures, source.root, order, wanted, size, channels, crop, skipped
        ):
            out.write(pixels)
            digest.update(pixels)
            taken.append(i)
            progress.update()
    if not taken:
        raise nothing_usable(recipe, source, skipped)
    if contents.labels is not None:
        labels = np.asarray(contents.labels, "<i8")[taken]
        np.save(made / "labels.npy", labels)
        digest.update(labels)
    digest.update(json.dumps([recipe, channels, contents.classes]).encode())
    meta = {
        "recipe": recipe,
        "shape": [len(taken), size, size, channels],
        "classes": contents.classes,
        "fingerprint": digest.hexdigest(),
        "skipped": skipped,
    }
    (made / "meta.json").write_text(json.dumps(meta, indent=1))
    for path in made.iterdir():  # the move must not reach the disk before what is moved
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def readable(pictures, root, order, wanted, size, channels, crop, skipped):
    """Yield (position, pixels) of the first `wanted` pictures in `order` that can be read; tell `skipped` the others.

    They come by position, as a batch of thousands may have to be read for one picture. Those in the place of others
    that cannot be read come after them.
    """
    while wanted and len(order):
        some, order = order[:wanted].sort().values.tolist(), order[wanted:]
        decoded = decode_all((located(pictures[i], root) for i in some), size, channels, crop)
        for i, pixels in zip(some, decoded):
            if isinstance(pixels, str):
                path = (
                    pictures[i] if isinstance(pictures, list) else f"image {i}"
                )  # arrays are not asked for twice
                skipped.append((path, pixels))
            else:
                wanted -= 1
                yield i, pixels


def nothing_usable(recipe, source, skipped):
    """The error for a data set in which nothing was found."""
    reasons = "; ".join(f"{path}: {reason}" for path, reason in skipped[:3]) + "; and others" * (
        len(skipped) > 3
    )
    tried = f"{len(skipped):,} were tried or named in a list: {reasons}. " if skipped else ""
    files = (
        f"Of {len(source.listing):,} files there, the first is {source.listing[0][0]}. "
        if source.listing
        else ""
    )
    return ValueError(
        f"The split {recipe['split']!r} of {recipe['dataset']!r} has no usable image in {source.root}. {tried}{files}"
        "Take another split, or put images of this one there."
    )


@contextmanager
def temporary_folder(parent):
    """A new folder in `parent`, gone in the end; those that killed processes have left there go at once."""
    with ExitStack() as stack:
        with locked(parent):  # no one may look at the new folder before it is locked as well
            for leftover in parent.glob(".making-*"):
                with suppress(FileNotFoundError), locked(leftover, wait=False) as abandoned:
                    if abandoned:
                        shutil.rmtree(leftover, ignore_errors=True)
            temporary = stack.enter_context(TemporaryDirectory(prefix=".making-", dir=parent))
            stack.enter_context(locked(temporary))
        yield temporary


def publish(made, folder, source):
    """Move a finished cache to its place, unless another process has put the same one there by now."""
    with locked(folder.parent):
        try:
            made.rename(folder)
        except OSError:
            if open_cache(folder, source) is None:  # what stands there is damaged
                shutil.rmtree(folder, ignore_errors=True)
                made.rename(folder)

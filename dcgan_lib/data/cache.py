"""The cache: pictures are decoded once into one file of pixels, which is memory-mapped ever after.

A cache is a folder with `images.bin` (uint8, N x H x W x C), `labels.npy` where there are labels,
and `meta.json`. It is made in a hidden folder beside its place and moved there when it is complete,
so that it is there whole or not at all. One process makes it; others that want the same one wait.
What a killed process leaves is removed by the next that makes a cache.

Pictures stream through: memory holds a few groups of them, whether there are a thousand or a
million.
"""

import json
import os
import re
import shutil
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from dcgan_lib.data.decoding import CROPS, decode_all, is_grey
from dcgan_lib.data.image_set import ImageSet
from dcgan_lib.utils.locks import only_process
from dcgan_lib.utils.random import rng

UNFINISHED = ".making-"  # what the names of caches begin with while they are made
DAMAGE = (OSError, EOFError, ValueError, KeyError, TypeError)  # what opening a broken cache raises


def home() -> Path:
    """The folder of everything that is kept between runs.

    It is $DCGAN_LIB_HOME; without that, the folder dcgan_lib in $XDG_CACHE_HOME or in ~/.cache.
    """
    if own := os.environ.get("DCGAN_LIB_HOME"):
        return Path(own).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME", "")  # the standard says to ignore a relative path
    return Path(caches if os.path.isabs(caches) else "~/.cache", "dcgan_lib").expanduser()


def cache_size() -> dict[str, int]:
    """How many bytes the caches of each data set take on the disk.

    The caches hold decoded pixels. Downloaded files lie beside them and are not counted.

    Returns
    -------
    dict
        {name of a data set: bytes}, in alphabetical order. Caches that are being made, or that are
        damaged, are counted under "unfinished".

    Examples
    --------
    >>> sum(cache_size().values()) / 1e9  # in GB  # doctest: +SKIP
    3.2
    """
    sizes = {}
    for folder in cache_folders():
        with suppress(FileNotFoundError):  # it has just been moved or removed
            size = sum(path.lstat().st_size for path in folder.iterdir())
            sizes[dataset_of(folder)] = sizes.get(dataset_of(folder), 0) + size
    return dict(sorted(sizes.items()))


def clear_cache(name: str | None = None) -> int:
    """Delete caches; the next call of `load_images` makes again what it needs.

    Images that are in use, even by another process, stay whole on Linux and macOS until they are
    let go of. A cache that is just being made is left alone, and so are links and downloaded files.

    Parameters
    ----------
    name : str or None, default None
        The data set whose caches are deleted, or "unfinished"; by default those of all.

    Returns
    -------
    int
        How many bytes have become free.

    Examples
    --------
    >>> clear_cache("celeba")  # doctest: +SKIP
    2489647104
    """
    before = sum(cache_size().values())
    for folder in cache_folders():
        if name in (None, dataset_of(folder)):
            remove(folder)
    return before - sum(cache_size().values())


def cache_folders():
    """The folders of all caches, finished or not, without links and what others have put there."""
    ours = re.compile(rf"{re.escape(UNFINISHED)}.+|[^.].*-\d+-[0-9a-f]{{16}}")
    places = sorted((home() / "cache").glob("*"))
    return [p for p in places if ours.fullmatch(p.name) and p.is_dir() and not p.is_symlink()]


def dataset_of(folder):
    """The name of the data set in a cache."""
    try:
        return json.loads((folder / "meta.json").read_text())["recipe"]["dataset"]
    except (OSError, ValueError, KeyError, TypeError):
        return "unfinished"


def remove(folder):
    """Delete a cache, finished or not, unless a process is at work on it."""
    lock = FileLock(folder.with_name(f".{folder.name.removeprefix(UNFINISHED)}.lock"))
    with suppress(Timeout), lock.acquire(timeout=0):
        shutil.rmtree(folder, ignore_errors=True)


def cached(source, name, split, size, limit, crop, options):
    """The `ImageSet` of a source, from its cache if there is one; arguments as in `load_images`."""
    recipe = {"dataset": name, "split": split, "size": size, "preprocessing": CROPS[crop]}
    if options:  # so a data set without options keeps the fingerprints from before there were any
        recipe["options"] = options
    key = sha256(json.dumps([recipe, limit, str(source.root), source.listing]).encode()).hexdigest()
    folder = home() / "cache" / f"{name}-{split}-{size}-{key[:16]}"
    with suppress(*DAMAGE):
        return open_cache(folder, source)
    return build(folder, source, recipe, limit, crop)


def open_cache(folder, source):
    """The `ImageSet` in a cache folder; one of `DAMAGE` is raised if it is missing or damaged."""
    meta = json.loads((folder / "meta.json").read_text())
    # Copy on write: a tensor may be changed, as torch expects, and the file never is.
    pixels = np.memmap(folder / "images.bin", np.uint8, mode="c").reshape(meta["shape"])
    return ImageSet(
        images=torch.from_numpy(pixels).permute(0, 3, 1, 2),
        labels=torch.from_numpy(np.load(folder / "labels.npy")) if meta["classes"] else None,
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
    made = folder.with_name(UNFINISHED + folder.name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for leftover in folder.parent.glob(f"{UNFINISHED}*"):
            remove(leftover)
        with only_process(folder):
            with suppress(*DAMAGE):  # another process has just made it
                return open_cache(folder, source)
            try:
                made.mkdir()
                fill(made, recipe, source, contents, order, wanted, channels, crop)
                shutil.rmtree(folder, ignore_errors=True)  # a damaged one
                made.rename(folder)
            finally:
                shutil.rmtree(made, ignore_errors=True)
            return open_cache(folder, source)
    except OSError as error:
        needed = wanted * recipe["size"] ** 2 * channels
        raise OSError(
            f"The image cache {folder} could not be written ({error.strerror or error}). It takes "
            f"{needed:,} bytes: make room there, or set DCGAN_LIB_HOME to a folder that has it and "
            "may be written to."
        ) from error


def located(picture, root):
    """A picture that can be opened: the whole path of a file, an array as it is."""
    return os.path.join(root, picture) if isinstance(picture, str) else picture


def fill(made, recipe, source, contents, order, wanted, channels, crop):
    """Write a cache into the folder `made`: the first `wanted` readable pictures in `order`.

    Pictures come by position, as a batch of thousands may have to be read for one of them. Those
    that stand in for unreadable ones come last.
    """
    pictures, size = contents.pictures, recipe["size"]
    taken, skipped, digest = [], list(contents.skipped), sha256()
    progress = tqdm(None, f"Decoding {recipe['dataset']}", wanted, unit=" images", delay=1)
    with open(made / "images.bin", "wb") as out, progress:
        while len(order) and len(taken) < wanted:
            missing = wanted - len(taken)
            some, order = order[:missing].sort().values.tolist(), order[missing:]
            decoded = decode_all(
                (located(pictures[i], source.root) for i in some), size, channels, crop
            )
            for i, pixels in zip(some, decoded):
                if isinstance(pixels, str):  # the reason; an array is not asked for twice
                    name = pictures[i] if isinstance(pictures, list) else f"image {i}"
                    skipped.append((name, pixels))
                else:
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


def nothing_usable(recipe, source, skipped):
    """The error for a data set in which no picture can be used."""
    tried = [f"{path}: {reason}" for path, reason in skipped[:3]] + ["and others"] * (
        len(skipped) > 3
    )
    told = (
        f"{len(skipped):,} were tried or named in a list: {'; '.join(tried)}. " if skipped else ""
    )
    count = len(source.listing)
    files = f"Of {count:,} files there, the first is {source.listing[0][0]}. " if count else ""
    return ValueError(
        f"The split {recipe['split']!r} of {recipe['dataset']!r} has no usable image in "
        f"{source.root}. {told}{files}Take another split, or put images of this one there."
    )

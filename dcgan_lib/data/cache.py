"""The cache: pictures are decoded once into one file of pixels, which is memory-mapped ever after.

A cache is a folder with `images.bin` (uint8, N x H x W x C), `labels.npy` where there are labels, and
`meta.json`. It is made in a temporary folder beside its place and moved there when complete, so that it is
there whole or not at all: an interruption leaves nothing that could be taken for a cache, and of two
processes that make the same one the first to finish serves both.
"""

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from tqdm import tqdm

from dcgan_lib.data.imageset import ImageSet
from dcgan_lib.data.picture import decode_all, is_grey
from dcgan_lib.randomness import rng

# Part of every key and fingerprint: change it when the same files would give other pixels.
PREPROCESSING = "upright, on white, shorter side by antialiased bicubic, centre crop; version 1"


def home():
    """The folder of everything that is kept between runs: $DCGAN_LIB_HOME, or ~/.cache/dcgan_lib."""
    return Path(os.environ.get("DCGAN_LIB_HOME") or "~/.cache/dcgan_lib").expanduser()


def cached(source, name, split, size, limit):
    """The `ImageSet` of a source, from its cache if there is one; arguments as in `load_images`."""
    recipe = {"dataset": name, "split": split, "size": size, "preprocessing": PREPROCESSING}
    key = sha256(json.dumps([recipe, limit, str(source.root), source.listing]).encode()).hexdigest()
    folder = home() / "cache" / f"{name}-{split}-{size}-{key[:16]}"
    return open_cache(folder, source) or build(folder, source, recipe, limit)


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


def build(folder, source, recipe, limit):
    """Decode a source into a cache folder and open it."""
    pictures, labels, classes = source.read()
    # Over all pictures, so that a limit does not decide it; this stops at the first in colour.
    channels = 1 if all(is_grey(picture) for picture in pictures) else 3
    if limit is not None:
        stream = rng(0, f"limit {recipe['dataset']} {recipe['split']}")
        chosen = sorted(torch.randperm(len(pictures), generator=stream)[:limit].tolist())
        pictures = [pictures[i] for i in chosen]
        labels = None if labels is None else [labels[i] for i in chosen]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".making-", dir=folder.parent) as temporary:
            made = Path(temporary, "cache")
            made.mkdir()
            fill(made, recipe, source.root, pictures, channels, labels, classes)
            publish(made, folder, source)
    except OSError as error:
        needed = len(pictures) * recipe["size"] ** 2 * channels
        raise OSError(
            f"The image cache {folder} could not be written ({error.strerror or error}). It takes {needed:,} "
            "bytes: make room there, or set DCGAN_LIB_HOME to a folder that has it and may be written to."
        ) from error
    return open_cache(folder, source)


def fill(made, recipe, root, pictures, channels, labels, classes):
    """Write the files of a cache into the folder `made`, with a list of the pictures that have no pixels."""
    size = recipe["size"]
    kept, skipped, digest = [], [], sha256()
    decoded = decode_all(pictures, size, channels)
    progress = tqdm(decoded, f"Decoding {recipe['dataset']}", len(pictures), unit=" images", delay=1)
    with open(made / "images.bin", "wb") as out:
        for index, pixels in enumerate(progress):
            if isinstance(pixels, str):
                skipped.append((str(pictures[index].relative_to(root)), pixels))
            else:
                out.write(pixels)
                digest.update(pixels)
                kept.append(index)
    if not kept:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in skipped[:3])
        raise ValueError(f"None of the {len(skipped)} images in {root} can be read. Reasons: {reasons}.")
    if labels is not None:
        labels = np.array(labels, "<i8")[kept]
        np.save(made / "labels.npy", labels)
        digest.update(labels)
    digest.update(json.dumps([recipe, channels, classes]).encode())
    meta = {
        "recipe": recipe,
        "shape": [len(kept), size, size, channels],
        "classes": classes,
        "fingerprint": digest.hexdigest(),
        "skipped": skipped,
    }
    (made / "meta.json").write_text(json.dumps(meta, indent=1))


def publish(made, folder, source):
    """Move a finished cache to its place, unless another process has put the same one there by now."""
    try:
        made.rename(folder)
    except OSError:
        if open_cache(folder, source) is None:  # what stands there is damaged
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)

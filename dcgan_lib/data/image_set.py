"""What the data package hands out (`ImageSet`), and what it makes it from (`Dataset`, `Source`, `Contents`)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images of one size, with labels where there are any.

    Parameters
    ----------
    images : Tensor of shape (N, C, H, W)
        uint8; C is 1 for grey images and 3 for red, green, blue. The storage is NHWC, so that channels_last
        costs nothing. Changes made to it are never written to the cache.
    labels : Tensor of shape (N,), or None
        int64 positions in `classes`.
    classes : tuple of str
        The names of the classes; () without labels.
    name : str
        The name of the data set.
    fingerprint : str
        Stands for the pixels, the labels and the way in which they were made: equal sets have equal
        fingerprints, on any machine.
    skipped : list of (path, reason)
        The files that could not be read, as paths below the root of the data set.
    """

    images: torch.Tensor
    labels: torch.Tensor | None
    classes: tuple[str, ...]
    name: str
    fingerprint: str
    skipped: list[tuple[str, str]]

    def __len__(self):
        return len(self.images)

    @property
    def channels(self):
        """1 (grey) or 3 (colour)."""
        return self.images.shape[1]

    @property
    def size(self):
        """Height, and width, in pixels."""
        return self.images.shape[2]

    def subset(self, indices):
        """The images at these positions, in this order, as a set of their own; or those of a mask."""
        indices = np.arange(len(self), dtype=np.int64)[np.asarray(indices)]
        chosen = torch.from_numpy(indices)
        return replace(
            self,
            images=self.images.permute(0, 2, 3, 1)[chosen].permute(
                0, 3, 1, 2
            ),  # so that it stays NHWC
            labels=None if self.labels is None else self.labels[chosen],
            fingerprint=sha256(self.fingerprint.encode() + indices.tobytes()).hexdigest(),
        )

    def __repr__(self):
        shape = "x".join(str(n) for n in self.images.shape[1:])
        labels = "no labels" if self.labels is None else f"{len(self.classes)} classes"
        skipped = f", {len(self.skipped)} files skipped" if self.skipped else ""
        return f"ImageSet {self.name!r}: {len(self)} images of {shape}, {labels}{skipped}"


@dataclass(frozen=True)
class Dataset:
    """A data set: the function that finds its files, and the facts for the book's table.

    Parameters
    ----------
    name : str
        What `load_images` calls it.
    source : callable
        (root, split, download, **options) -> Source. Its keyword-only parameters are the options that only
        this data set has.
    splits : tuple of str
        The splits that it has; () where they are the reader's own.
    title, page, licence : str
        Its full name, where it is published, and the licence in its authors' words.
    images : int or None
        How many there are in all splits together.
    pixels, labels : str
        The original size of an image; what the labels are.
    papers : tuple of str
        Those of the two papers that used it: "gomez", "singh".
    get : str
        How it comes to the reader's disk.
    """

    name: str
    source: Callable
    splits: tuple[str, ...]
    title: str
    page: str
    licence: str
    images: int | None
    pixels: str
    labels: str
    papers: tuple[str, ...]
    get: str


@dataclass(frozen=True)
class Source:
    """One split of a data set as it lies on disk, nothing decoded yet.

    Parameters
    ----------
    root : Path
        The folder below which its files lie.
    listing : list of (path, bytes, nanoseconds)
        Every file with its size and time of change: a change in them makes a new cache.
    read : callable
        () -> Contents, called only where there is no cache.
    skipped : list of (path, reason)
        Files that are known not to be images without reading anything.
    """

    root: Path
    listing: list[tuple[str, int, int]]
    read: Callable
    skipped: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Contents:
    """What a `Source` holds, known once its lists and annotations have been read.

    Parameters
    ----------
    pictures : sequence
        Paths below the root, or uint8 arrays (H, W) or (H, W, 3). It may make an array when it is asked for
        it: every picture is asked for once, in order.
    labels : sequence of int, or None
        Positions in `classes`, one a picture.
    classes : tuple of str
        () without labels.
    skipped : list of (path, reason)
        What the lists left out.
    """

    pictures: Sequence
    labels: Sequence | None
    classes: tuple[str, ...]
    skipped: list[tuple[str, str]] = field(default_factory=list)

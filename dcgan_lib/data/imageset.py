"""What the data package hands out (`ImageSet`), and what it makes it from (`Source`)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
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
            images=self.images.permute(0, 2, 3, 1)[chosen].permute(0, 3, 1, 2),  # so that it stays NHWC
            labels=None if self.labels is None else self.labels[chosen],
            fingerprint=sha256(self.fingerprint.encode() + indices.tobytes()).hexdigest(),
        )

    def __repr__(self):
        shape = "x".join(str(n) for n in self.images.shape[1:])
        labels = "no labels" if self.labels is None else f"{len(self.classes)} classes"
        skipped = f", {len(self.skipped)} files skipped" if self.skipped else ""
        return f"ImageSet {self.name!r}: {len(self)} images of {shape}, {labels}{skipped}"


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
        () -> (pictures, labels, classes), called only where there is no cache. A picture is the path of a
        file or a uint8 array (H, W) or (H, W, 3); labels are integers or None.
    skipped : list of (path, reason)
        Files that are known not to be images without reading them.
    """

    root: Path
    listing: list[tuple[str, int, int]]
    read: Callable
    skipped: list[tuple[str, str]]


def check_split(name, split):
    """Refuse a split other than the two that the published data sets have."""
    if split not in ("train", "test"):
        raise ValueError(f"The data set {name!r} has no split {split!r}: choose 'train' or 'test'.")

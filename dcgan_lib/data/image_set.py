"""What the data package hands out: `ImageSet`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np
import torch


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images of one size, with labels where there are any.

    `load_images` makes it from files. A tensor of your own is enough to make one, too.

    Parameters
    ----------
    images : Tensor of shape (N, C, H, W)
        uint8, 0 to 255; C is 1 for grey images and 3 for red, green, blue; H equals W. The sets of
        `load_images` are stored as NHWC, so that channels_last costs nothing, and changes made to
        them are never written to the cache.
    labels : Tensor of shape (N,) or None, default None
        int64 positions in `classes`.
    classes : tuple of str, default ()
        The names of the classes; () without labels.
    name : str, default "images"
        The name of the data set.
    fingerprint : str, default ""
        Stands for the pixels, the labels and the way in which they were made: equal sets have equal
        fingerprints, on any machine. By default it is computed from the bytes.
    skipped : list of (path, reason), default []
        The files that could not be used, as paths below the root of the data set.

    Raises
    ------
    TypeError
        The images are no uint8 tensor.
    ValueError
        The shape of the images is another one, or the labels do not fit to images and classes.

    Examples
    --------
    >>> import torch
    >>> ImageSet(torch.zeros(8, 3, 32, 32, dtype=torch.uint8))
    ImageSet 'images': 8 images of 3x32x32, no labels
    """

    images: torch.Tensor
    labels: torch.Tensor | None = None
    classes: tuple[str, ...] = ()
    name: str = "images"
    fingerprint: str = ""
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self):
        if not isinstance(self.images, torch.Tensor) or self.images.dtype != torch.uint8:
            kind = getattr(self.images, "dtype", type(self.images).__name__)
            raise TypeError(
                f"images is {kind}, not a tensor of torch.uint8: give pixels from 0 to 255, as "
                "torch.from_numpy makes them of an array, or to_uint8 of floats in [-1, 1]."
            )
        shape = tuple(self.images.shape)
        if len(shape) != 4 or shape[1] not in (1, 3) or shape[2] != shape[3]:
            raise ValueError(
                f"images has the shape {shape}, not (N, C, H, W) with C = 1 or 3 and H = W: "
                "permute the axes, or crop the images to squares."
            )
        labels, names = self.labels, len(self.classes)
        if labels is not None:
            kind = getattr(labels, "dtype", type(labels).__name__)
            fits = kind == torch.int64 and labels.shape == shape[:1]
            if not fits or ((labels < 0) | (labels >= names)).any():
                raise ValueError(
                    f"labels is {kind} of shape {tuple(np.shape(labels))}: give a tensor of int64 "
                    f"and of shape ({len(self)},), each a position among the {names} classes."
                )
        if not self.fingerprint:
            digest = sha256(json.dumps([shape, self.classes]).encode())
            for some in self.images.permute(0, 2, 3, 1).split(1024):
                digest.update(some.cpu().contiguous().numpy())
            if self.labels is not None:
                digest.update(self.labels.cpu().contiguous().numpy())
            object.__setattr__(self, "fingerprint", digest.hexdigest())  # the class is frozen

    def __len__(self) -> int:
        return len(self.images)

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (colour)."""
        return self.images.shape[1]

    @property
    def size(self) -> int:
        """The height and width in pixels."""
        return self.images.shape[2]

    def subset(self, indices: Sequence[int] | np.ndarray | torch.Tensor) -> "ImageSet":
        """Take the images at these positions, in this order, as a set of their own.

        Parameters
        ----------
        indices : sequence, array or tensor
            Positions, of which negative ones count from the end; or a mask of N truth values.

        Returns
        -------
        ImageSet
            With the same classes and skipped files, and a fingerprint of its own.

        Examples
        --------
        >>> images = load_images("digits")  # doctest: +SKIP
        >>> images.subset(images.labels == 3)  # doctest: +SKIP
        ImageSet 'digits': 146 images of 1x32x32, 10 classes
        """
        indices = np.arange(len(self), dtype=np.int64)[np.asarray(indices)]
        chosen = torch.from_numpy(indices)
        pixels = self.images.permute(0, 2, 3, 1)[chosen]  # NHWC, and so it stays
        return replace(
            self,
            images=pixels.permute(0, 3, 1, 2),
            labels=None if self.labels is None else self.labels[chosen],
            fingerprint=sha256(self.fingerprint.encode() + indices.tobytes()).hexdigest(),
        )

    def __repr__(self) -> str:
        shape = "x".join(str(n) for n in self.images.shape[1:])
        labels = "no labels" if self.labels is None else f"{len(self.classes)} classes"
        skipped = f", {len(self.skipped)} files skipped" if self.skipped else ""
        return f"ImageSet {self.name!r}: {len(self)} images of {shape}, {labels}{skipped}"

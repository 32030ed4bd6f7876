"""A feature matrix, read a block of rows at a time and standardised on the way.

The matrix may be larger than the memory: it stays where it is, in an array or in a mapped file.
Every method of the classification tables that standardises its features does it here.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from dcgan_lib.utils.device import default_device

BLOCK_NUMBERS = 2**23  # a block of 32 MB is read once from memory and then used from the cache
STORED_DTYPES = (np.float32, np.float16)  # are read as they lie; anything else is converted


class FeatureMatrix:
    """Rows of a feature matrix as float32 tensors, on the device that computes with them.

    Parameters
    ----------
    X : ndarray of shape (n_images, n_features)
        Is never changed. A GPU keeps a copy where that takes less than half of its free memory.
    device : str or torch.device, default None
        Where the blocks are; None for `default_device()`. For "mps" it is the CPU, since Apple's
        GPUs have no float64.

    Attributes
    ----------
    bf16 : bool
        Set it where products are computed within `float32_products(bf16=True)`, which rounds the
        numbers of a block. The other factor then goes in two parts, so that it keeps its digits.

    Examples
    --------
    >>> matrix = FeatureMatrix(np.array([[1.0, 5.0], [3.0, 5.0]], np.float32))
    >>> matrix.standardise(*matrix.statistics())
    >>> matrix.rows()
    tensor([[-1.,  0.],
            [ 1.,  0.]])
    """

    def __init__(self, X: np.ndarray, device: str | torch.device | None = None):
        device = torch.device(device or default_device())
        self.device = torch.device("cpu") if device.type == "mps" else device
        self.X, self.shape, self.bf16 = X, X.shape, False
        self.mean, self.scale = None, torch.ones(1, device=self.device)
        self.block_rows = max(64, BLOCK_NUMBERS // X.shape[1])
        if self.device.type == "cuda" and X.nbytes < torch.cuda.mem_get_info(self.device)[0] / 2:
            self.X = _tensor(X).to(self.device)

    def statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of every column, float64 (n_features,) each.

        The deviation of a constant column is given as 1. Blocks are merged as in Chan et al.
        (1983), so that nothing cancels.

        Raises
        ------
        ValueError
            A number is NaN or infinite, or so large that its square is not a float32.
        """
        mean = squares = torch.zeros(self.shape[1], dtype=torch.float64)
        for rows, block in self.blocks():
            before, here = rows.start, len(block)
            pivot = block[0].clone()
            shifted = block - pivot  # small numbers, whose sums are accurate in float32
            centre = shifted.mean(0)
            spread = (shifted - centre).square_().sum(0)
            if not (centre + spread).isfinite().all():
                if wrong := (~block.isfinite()).nonzero().tolist():
                    row, column = wrong[0]
                    raise ValueError(
                        f"X holds NaN or infinity, first in row {before + row}, column {column}"
                    )
                raise ValueError(
                    f"X holds numbers up to {block.abs().max():.1g}, whose squares are too large "
                    "for float32; divide the columns by a constant"
                )
            step = centre.double().cpu() + pivot.double().cpu() - mean
            between = step.square() * (before * here / (before + here))
            squares = squares + spread.double().cpu() + between
            mean = mean + step * (here / (before + here))
        deviation = (squares / self.shape[0]).sqrt()
        constant = deviation <= 1e-6 * mean.abs()  # as far as float32 can tell
        return mean, deviation.masked_fill(constant, 1)

    def standardise(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """From here on, subtract a mean from every column, and divide it by a standard deviation.

        Parameters
        ----------
        mean, deviation : Tensor of shape (n_features,)
            The `statistics` of this matrix, or, for test images, those of the training images.
        """
        self.mean, self.scale = (v.float().to(self.device) for v in (mean, 1 / deviation))

    def blocks(self, positions: np.ndarray | None = None) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield (slice, block) for all rows, or for the rows at some positions.

        The mean is already subtracted from a standardised block, but it is not yet multiplied by
        `scale`: that is cheaper to do to the weights. The next block may take the memory of the one
        before.
        """
        count, room = self.shape[0] if positions is None else len(positions), None
        for start in range(0, count, self.block_rows):
            rows = slice(start, min(start + self.block_rows, count))
            part = self.X[rows if positions is None else positions[rows]]
            block = (part if torch.is_tensor(part) else _tensor(part)).to(self.device)
            if self.mean is not None or block.dtype != torch.float32:
                # New memory for every block would cost more time than the products.
                room = torch.empty(block.shape, device=self.device) if room is None else room
                block = room[: len(block)].copy_(block)
            if self.mean is not None:
                block.sub_(self.mean)
            yield rows, block

    def rows(self, positions: np.ndarray | None = None) -> torch.Tensor:
        """All rows, or those at some positions, as one new tensor on the CPU."""
        return torch.cat([(block * self.scale).cpu() for _, block in self.blocks(positions)])

    def scores(
        self, w: torch.Tensor, b: torch.Tensor, positions: np.ndarray | None = None
    ) -> torch.Tensor:
        """Scores of all rows, or of those at some positions: (rows, classes) = rows @ w.T + b."""
        w = w.to(self.device) * self.scale
        found = [self.block_scores(w, block).cpu() for _, block in self.blocks(positions)]
        return torch.cat(found, dim=1).T + b

    def block_scores(self, w: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
        """The product w @ block.T, (classes, rows); `linear` has the faster routine for it."""
        parts = self._parts(w)
        found = torch.nn.functional.linear(block, parts.flatten(0, 1)).T
        return found.unflatten(0, (len(parts), -1)).sum(0)

    def block_sums(self, coefficients: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
        """Sums of a block's rows times coefficients (classes, rows): (classes, features)."""
        parts = self._parts(coefficients)
        return (parts.flatten(0, 1) @ block).unflatten(0, (len(parts), -1)).sum(0)

    def _parts(self, factor):
        """The factor as it is, or what bf16 holds of it and the rest, one above the other."""
        held = factor.bfloat16().float() if self.bf16 else factor
        return torch.stack([held, factor - held]) if self.bf16 else factor[None]


def _tensor(array):
    """A tensor of an array's own memory, where torch can read that, or of a float32 copy."""
    if array.dtype not in STORED_DTYPES or min(array.strides) < 0:
        array = array.astype(np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)  # nobody writes to it


@contextmanager
def float32_products(bf16: bool = False) -> Iterator[None]:
    """Compute float32 products in full precision, whatever torch is set to, and set it back.

    Parameters
    ----------
    bf16 : bool, default False
        On the CPU, let the factors be rounded to bf16 on the way in; sums stay float32.

    Examples
    --------
    >>> with float32_products():
    ...     torch.ones(2, 3) @ torch.ones(3)
    tensor([3., 3.])
    """
    if hasattr(torch.backends, "fp32_precision"):  # torch 2.9 or newer
        settings = torch.backends.mkldnn.matmul, torch.backends.cuda.matmul
        before, wanted = [s.fp32_precision for s in settings], ("bf16" if bf16 else "ieee", "ieee")

        def change(precision):
            for setting, value in zip(settings, precision):
                setting.fp32_precision = value
    else:
        change, before = torch.set_float32_matmul_precision, torch.get_float32_matmul_precision()
        wanted = "medium" if bf16 else "highest"
    try:
        change(wanted)
        yield
    finally:
        change(before)

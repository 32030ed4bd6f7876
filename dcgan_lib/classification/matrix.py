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

# A block of 16 MB is used from the cache, and gets the memory of the block before it.
BLOCK_NUMBERS = 2**22


class FeatureMatrix:
    """Rows of a feature matrix as float32 tensors, on the device that computes with them.

    Parameters
    ----------
    X : ndarray of shape (n_images, n_features)
        Is never changed. A GPU keeps a copy where that takes less than half of its free memory.
    device : str or torch.device, default None
        Where the blocks are; None for `default_device()`. For "mps" it is the CPU, since Apple's
        GPUs have no float64.

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
        self.X, self.shape = _tensor(X), X.shape
        self.mean, self.scale = None, torch.ones(1, device=self.device)
        self.block_rows = max(64, BLOCK_NUMBERS // X.shape[1])
        if self.device.type == "cuda" and X.nbytes < torch.cuda.mem_get_info(self.device)[0] / 2:
            self.X = self.X.to(self.device)

    def first_not_finite(self) -> tuple[int, int] | None:
        """Row and column of the first number that is NaN or infinite; None where there is none."""
        for rows, block in self.blocks():
            if not block.abs().max() < torch.inf:
                row, column = (~block.isfinite()).nonzero()[0].tolist()
                return rows.start + row, column
        return None

    def statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of every column, float64 (n_features,) each.

        The deviation of a constant column is given as 1. Blocks are merged as in Chan et al.
        (1983), so that nothing cancels.

        Raises
        ------
        ValueError
            A number is NaN or infinite, or so large that its square is not a float32.
        """
        mean = squares = torch.zeros(self.shape[1], dtype=torch.float64, device=self.device)
        for rows, block in self.blocks():
            largest = block.abs().max()
            if not largest <= torch.finfo(torch.float32).max ** 0.5:
                if wrong := self.first_not_finite():
                    raise ValueError(
                        f"X holds NaN or infinity, first in row {wrong[0]}, column {wrong[1]}"
                    )
                raise ValueError(
                    f"X holds numbers up to {largest:.1g}, whose squares are too large "
                    "for float32; divide the columns by a constant"
                )
            before, here, numbers = rows.start, len(block), block.double()
            centre = numbers.mean(0)
            step = centre - mean
            between = step.square() * (before * here / (before + here))
            squares = squares + numbers.sub_(centre).square_().sum(0) + between
            mean = mean + step * (here / (before + here))
        deviation = (squares / self.shape[0]).sqrt()
        constant = deviation <= 1e-6 * mean.abs()  # as far as float32 can tell
        return mean.cpu(), deviation.masked_fill(constant, 1).cpu()

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
        `scale`: that is cheaper to do to the weights. A block may be the matrix's own memory: it
        is not to be changed.
        """
        count = self.shape[0] if positions is None else len(positions)
        for start in range(0, count, self.block_rows):
            rows = slice(start, min(start + self.block_rows, count))
            part = self.X[rows if positions is None else positions[rows]]
            block = part.to(self.device, torch.float32, copy=self.mean is not None)
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
        return torch.cat([(block @ w.T).cpu() for _, block in self.blocks(positions)]) + b


def _tensor(array):
    """A tensor of an array's own memory where torch can read that, or of a float32 copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        try:
            return torch.from_numpy(array)  # nobody writes to it
        except (TypeError, ValueError):  # rows in reverse order, or numbers of another machine
            return torch.from_numpy(array.astype(np.float32))


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

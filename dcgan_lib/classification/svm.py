"""The linear L2-SVM of the tables, for feature matrices too wide for liblinear.

liblinear copies a dense matrix into 16-byte nodes: 50,000 images of 28,672 features would need more than 23 GB. The
objective is smooth, so L-BFGS minimises it, and every evaluation is one pass over the matrix where it lies, in memory
or mapped from a file, a block of rows at a time. Columns are standardised on the way, without a copy, and then the
products may be computed in bf16. Along a path of C every fit begins where the one before ended. With fewer images than
features the work shrinks further: the best weights are a mixture of the images, so the problem is turned, exactly, into
one with as many features as there are images.
"""

import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from numbers import Real

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits
from torch.nn.functional import linear
from tqdm import tqdm

from dcgan_lib.utils.device import has_bf16

AT_ONCE = 2**23  # numbers in a block, 32 MB: it is read once from memory and used twice
DIRECTIONS, SAMPLE = 800, 6000  # that are looked for at most, in about so many rows
PULLING = 0.3  # about the share of images that are short of their margin where C is worth choosing
PATH_TOL = 3e-4  # along a path: enough to tell which C is the best
KEPT = (np.float32, np.float16)  # number formats that are taken as they lie


class L2SVM(ClassifierMixin, BaseEstimator):
    """One-vs-rest linear classifier with squared hinge loss and L2 penalty.

    Minimises, over all classes at once, liblinear's primal objective (Fan et al. 2008, section 2)::

        1/2 |w|^2 + 1/2 b^2 + C * sum over images of max(0, 1 - y (w x + b))^2

    for each class, with y = +1 for its images and -1 for all others. It is the problem that scikit-learn's
    ``LinearSVC(loss="squared_hinge")`` solves, the penalty on the intercept b included.

    Parameters
    ----------
    C : float, or sequence of float
        Weight of the loss against the penalty; larger fits the training images more closely. Of several the one
        is taken that is right most often on a fifth of the training images, held out at random; the fit is then of
        all of them. They are tried from small to large, until one is worse than the best by two standard errors.
    standardize : bool
        Solve the problem for columns of mean 0 and deviation 1, as a StandardScaler before it would make them, but
        without a copy of the matrix. `coef_` and `intercept_` are for the columns as they are. Where the hardware
        has bf16 the standardised numbers are rounded to it, which moves the objective by less than a thousandth.
    tol : float
        Stop when a step lowers the objective by less than this, relative to the objective.
    max_iter : int
        Steps of L-BFGS at most.
    device : str, optional
        "cpu" (default) or "cuda". The matrix is kept on a GPU where it takes less than half of its memory.
    random_state : int
        Decides which images are held out to choose C; nothing else is left to chance.
    progress : bool
        Show the passes over the matrix, of which a step takes one or two.

    Attributes
    ----------
    coef_ : ndarray of shape (n_classes, n_features); (1, n_features) for two classes
    intercept_ : ndarray of shape (n_classes,); (1,) for two classes
    classes_ : ndarray
    n_iter_ : int
        Steps of the last fit.
    objective_ : float
        The minimum that was reached, summed over the classes.
    C_ : float
        The C of the fit.
    path_ : list of (C, accuracy on the held-out images)
        Of those that were tried; empty where C is one number.
    """

    def __init__(
        self,
        C=1.0,
        *,
        standardize=False,
        tol=1e-5,
        max_iter=1000,
        device=None,
        random_state=0,
        progress=False,
    ):
        self.C = C
        self.standardize = standardize
        self.tol = tol
        self.max_iter = max_iter
        self.device = device
        self.random_state = random_state
        self.progress = progress

    def fit(self, X, y):
        """Fit to X, (n_images, n_features), and labels y, (n_images,).

        A float32 or float16 matrix is read where it lies, a memory-mapped one as well.
        """
        Cs = list(self.C) if isinstance(self.C, (Sequence, np.ndarray)) else [self.C]
        if not Cs or not all(isinstance(C, Real) and 0 < C < np.inf for C in Cs):
            raise ValueError(f"C is {self.C!r}; it must be a number larger than 0, or several")
        Cs = sorted(Cs)
        for name, least in (("tol", 0), ("max_iter", 1)):
            value = getattr(self, name)
            if not isinstance(value, Real) or not value >= least:
                raise ValueError(f"{name} is {value!r}; it must be a number of at least {least}")
        X, y = validate_data(self, X, y, dtype=KEPT, ensure_all_finite=False)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"the labels hold one class only ({self.classes_.tolist()[0]!r}); a classifier needs two"
            )
        positive = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        signs = torch.from_numpy(2 * (y == positive[:, None]) - 1).float()

        matrix = _Matrix(X, self.device)
        mean, deviation = matrix.statistics()
        if self.standardize:
            matrix.standardise(mean, deviation)
        else:
            mean, deviation = torch.zeros_like(mean), torch.ones_like(deviation)
        with threadpool_limits(
            {"openblas": 1}
        ):  # scipy's threads would go on spinning while ours compute
            if len(X) < X.shape[1]:
                whole = matrix.whole()
                Z, back = turned(whole)
                found = self._along(Cs, _Matrix(Z.numpy(), self.device), signs)
                found = torch.cat([(back(found[:, :-1]) @ whole).double(), found[:, -1:]], dim=1)
            else:
                with _bf16_products(self.standardize):
                    found = self._along(Cs, matrix, signs)
        w = found[:, :-1] / deviation
        self.coef_ = w.float().numpy()
        self.intercept_ = (found[:, -1] - w @ mean).float().numpy()
        return self

    def _along(self, Cs, matrix, signs):
        """Weights for the best of some C, in rising order, as `_minimise` gives them."""
        count, best, highest, self.path_, self.C_ = signs.shape[1], None, -1, [], Cs[0]
        matrix.find_directions()
        if len(Cs) > 1:
            order = torch.randperm(
                count, generator=torch.Generator().manual_seed(self.random_state)
            ).numpy()
            held_out, rest = (np.sort(some) for some in np.split(order, [max(1, count // 5)]))
            truth, found = answers(signs[:, held_out].T), None
            for C in Cs:
                found = self._minimise(
                    C, matrix, signs[:, rest], rest, found, max(self.tol, PATH_TOL)
                )
                scores = matrix.scores(found[:, :-1].float(), found[:, -1].float(), held_out)
                right = (answers(scores) == truth).double().mean().item()
                self.path_.append((C, right))
                if right > highest:
                    best, highest, self.C_ = found, right, C
                elif right < highest - 2 * (highest * (1 - highest) / len(held_out)) ** 0.5:
                    break
        return self._minimise(self.C_, matrix, signs, None, best, self.tol)

    def _minimise(self, C, matrix, signs, chosen, start, tol):
        """Weights for all rows or some, the intercept last, (classes, features + 1), float64."""
        signs = signs.to(matrix.device)

        def objective(flat):
            """Value and gradient in float64 for L-BFGS; the products over the matrix are float32."""
            weights = matrix.stretched(torch.from_numpy(flat).view(len(signs), -1), C, -0.5)
            w, b = (
                weights[:, :-1].float().to(matrix.device) * matrix.scale,
                weights[:, -1:].float().to(matrix.device),
            )
            loss, pulls, pull_sum = 0.0, torch.zeros_like(w), torch.zeros_like(b)
            for rows, block in matrix.blocks(chosen):
                slack = (1 - signs[:, rows] * (across(w, block) + b)).clamp_(min=0)
                loss += slack.square().double().sum()
                pull = slack * signs[:, rows]
                pulls += product(pull, block)
                pull_sum += pull.sum(1, keepdim=True)
            pulls *= matrix.scale
            gradient = weights - 2 * C * torch.cat([pulls, pull_sum], dim=1).double().cpu()
            value = 0.5 * weights.square().sum().item() + C * float(loss)
            bar.update()
            return value, matrix.stretched(gradient, C, -0.5).flatten().numpy()

        if start is None:
            start = torch.zeros(len(signs), matrix.shape[1] + 1, dtype=torch.float64)
        start = matrix.stretched(start, C, 0.5).flatten().numpy()
        options = {"maxiter": self.max_iter, "maxfun": 2 * self.max_iter, "gtol": 0, "ftol": tol}
        with tqdm(desc=f"L2-SVM, C = {C:g}", unit=" passes", disable=not self.progress) as bar:
            found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
        if found.nit >= self.max_iter:
            warnings.warn(
                f"L2SVM stopped after {found.nit} steps, before a step lowered the objective by less than "
                f"tol={tol}; take a smaller C, standardised columns or a larger max_iter",
                ConvergenceWarning,
            )
        self.n_iter_, self.objective_ = found.nit, found.fun
        return matrix.stretched(torch.from_numpy(found.x).view(len(signs), -1), C, -0.5)

    def decision_function(self, X):
        """Signed distances: (n_images, n_classes), or (n_images,) for two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=KEPT, reset=False, ensure_all_finite=False)
        w, b = (torch.from_numpy(x) for x in (self.coef_, self.intercept_))
        scores = _Matrix(X, self.device).scores(w, b).numpy()
        if not np.isfinite(scores).all():
            row = np.argwhere(~np.isfinite(scores))[0][0]
            raise ValueError(
                f"X holds NaN or infinity in row {row}, or numbers too large to be added"
            )
        return scores.ravel() if len(self.classes_) == 2 else scores

    def predict(self, X):
        """The class with the largest distance, (n_images,)."""
        scores = self.decision_function(X)
        return self.classes_[
            (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        ]


class _Matrix:
    """A feature matrix as float32 blocks of rows on a device; only what fits there is kept there."""

    def __init__(self, X, device):
        self.device, self.shape = torch.device(device or "cpu"), X.shape
        self.mean, self.scale = None, torch.ones(1, device=self.device)
        self.rows = max(64, AT_ONCE // X.shape[1])
        self.X = X
        if self.device.type == "cuda" and X.nbytes < torch.cuda.mem_get_info(self.device)[0] / 2:
            self.X = torch.from_numpy(X).to(self.device)

    def standardise(self, mean, deviation):
        """From here on every block has mean 0, and times `scale` deviation 1."""
        self.mean, self.scale = (
            mean.float().to(self.device),
            (1 / deviation).float().to(self.device),
        )

    def blocks(self, chosen=None):
        """Yield (slice, block) of all rows, or of those at chosen positions; the next takes the place of the one before."""
        count = len(self.X) if chosen is None else len(chosen)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "The given NumPy array is not writable"
            )  # nobody writes to it
            room = None  # new memory for every block would cost more time than the products
            for start in range(0, count, self.rows):
                rows = slice(start, min(start + self.rows, count))
                block = torch.as_tensor(self.X[rows if chosen is None else chosen[rows]]).to(
                    self.device
                )
                if self.mean is not None or block.dtype != torch.float32:
                    room = torch.empty(block.shape, device=self.device) if room is None else room
                    block = room[: len(block)].copy_(block)
                if self.mean is not None:
                    block.sub_(self.mean)
                yield rows, block

    def find_directions(self):
        """Find the directions in which the rows are long, by subspace iteration (Halko et al. 2011, section 4.5).

        The objective is steep along them and flat elsewhere, which L-BFGS is slow to learn. See `stretched`.
        """
        count = min(
            DIRECTIONS, self.shape[1], 50 + len(self.X) // 20
        )  # few rows are quick without many
        step = max(1, len(self.X) // SAMPLE)
        rows = self.whole(np.arange(0, len(self.X), step)).to(self.device)
        stream = torch.Generator().manual_seed(0)
        found = torch.randn(count, self.shape[1], generator=stream).to(self.device)
        for _ in range(3):
            directions = torch.linalg.qr(found.T)[0].T.contiguous()
            found = (directions @ rows.T) @ rows
        self.directions = directions.double().cpu()
        self.lengths = (
            step * (directions * found).sum(1).double().cpu()
        )  # squared, summed over the rows

    def stretched(self, weights, C, power):
        """Weights times the curvature ** power along the long directions; with -1/2 all are about as steep.

        The curvature of the objective along one is 1 + 2 C * squared length, of which only the rows that pull count.
        """
        w, b, pull = weights[:, :-1], weights[:, -1:], C * PULLING
        along = w @ self.directions.T
        w = w + (along * ((1 + 2 * pull * self.lengths) ** power - 1)) @ self.directions
        return torch.cat([w, b * (1 + 2 * pull * self.shape[0]) ** power], dim=1)

    def whole(self, chosen=None):
        """All rows, or those at chosen positions, in one new tensor on the CPU."""
        return torch.cat([(block * self.scale).cpu() for _, block in self.blocks(chosen)])

    def scores(self, w, b, chosen=None):
        """Scores of all rows, or of those at chosen positions, by weights: (rows, classes)."""
        w, b, found = w.to(self.device) * self.scale, b.to(self.device), []
        for _, block in self.blocks(chosen):
            found.append((across(w, block) + b[:, None]).cpu())
        return torch.cat(found, dim=1).T

    def statistics(self):
        """Mean and deviation of every column, float64; 1 for the deviation of a constant one.

        ValueError where a number is none. Blocks are merged as in Chan et al. (1983), so that nothing cancels.
        """
        mean = squares = torch.zeros(self.shape[1], dtype=torch.float64)
        total = 0
        for _, block in self.blocks():
            here, pivot = len(block), block[0].clone()
            apart = block - pivot  # small numbers, whose float32 sums are good
            centre = apart.mean(0)
            if (
                not centre.isfinite().all() and not block.isfinite().all()
            ):  # the exact look is seldom
                row, column = (~block.isfinite()).nonzero()[0].tolist()
                raise ValueError(
                    f"X holds NaN or infinity, first in row {total + row}, column {column}"
                )
            spread = (apart - centre).square_().sum(0).double().cpu()
            centre = centre.double().cpu() + pivot.double().cpu()
            step = centre - mean
            squares = squares + spread + step.square() * (total * here / (total + here))
            mean, total = mean + step * (here / (total + here)), total + here
        deviation = (squares / total).sqrt()
        constant = deviation <= 1e-6 * mean.abs()  # as far as float32 can tell
        return mean, deviation.masked_fill(constant, 1)


@contextmanager
def _bf16_products(wanted):
    """Let float32 products on the CPU round their factors to bf16, where it has bf16; sums stay float32."""
    before = torch.get_float32_matmul_precision()
    if wanted and has_bf16("cpu"):
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def product(few, block):
    """few @ block, of which only `block` may be rounded: `few` goes in two parts, what bf16 holds of it and the rest."""
    if not rounding():
        return few @ block
    held = few.bfloat16().float()
    return (torch.cat([held, few - held]) @ block).unflatten(0, (2, -1)).sum(0)


def across(few, block):
    """few @ block.T in the same way; `linear` has the faster routine for it."""
    if not rounding():
        return linear(block, few).T
    held = few.bfloat16().float()
    return linear(block, torch.cat([held, few - held])).T.unflatten(0, (2, -1)).sum(0)


def rounding():
    return torch.get_float32_matmul_precision() == "medium"


def answers(scores):
    """Position of the class with the largest score, (n,); of a single column, whether it is above 0."""
    return scores.argmax(1) if scores.shape[1] > 1 else (scores[:, 0] > 0).long()


def turned(X):
    """Images in a basis of their own, (n, n), and the way back from weights there to a mixture of the images.

    With the Gram matrix K = X X' = L L' the rows of L have the same lengths and angles as those of X. Weights v for L
    are the mixture a = v L^-1 of the images, that is w = a X for X: same scores, same |w|.
    """
    gram = (X @ X.T).double()
    scale, jitter = gram.diagonal().mean().clamp(min=1e-12), 1e-6
    while True:  # rounding of the product, and centred images, leave the matrix a little short of positive definite
        gram.diagonal().add_(jitter * scale)
        L, failed = torch.linalg.cholesky_ex(gram)
        if not failed:
            break
        jitter *= 10
    return L.float().contiguous(), lambda v: torch.linalg.solve_triangular(
        L, v, upper=False, left=False
    ).float()

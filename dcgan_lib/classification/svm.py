"""The linear L2-SVM of the tables, for feature matrices that are too wide for liblinear.

liblinear copies a dense matrix into 16-byte nodes: 50,000 images of 28,672 features would need more
than 23 GB. The objective is smooth, so L-BFGS can minimise it, and every evaluation is one pass
over the matrix where it lies. Three things keep the passes few and short. Along a path of C, every
fit begins where the one before ended. The steps are taken in coordinates in which the objective is
about equally steep in all directions. And with fewer images than features the best weights are a
mixture of the images, so that an equivalent problem with as many features as there are images is
solved instead.
"""

import warnings
from numbers import Real

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from dcgan_lib.classification.matrix import FeatureMatrix, float32_products
from dcgan_lib.utils.device import has_bf16
from dcgan_lib.utils.random import rng

STORED_DTYPES = (np.float32, np.float16)  # are read as they lie; anything else is converted
MAX_DIRECTIONS, SAMPLED_ROWS = 800, 6000  # long directions are looked for in a sample of the rows
SHARE_WITHIN_MARGIN = 0.3  # the usual share of images that have a loss where C is worth choosing
PATH_TOL = 3e-4  # the tolerance along a path of C: enough to tell which C is the best


class L2SVM(ClassifierMixin, BaseEstimator):
    """One-vs-rest linear classifier with squared hinge loss and L2 penalty.

    Minimises, over all classes at once, liblinear's primal objective (Fan et al. 2008, section 2)::

        1/2 |w|^2 + 1/2 b^2 + C * sum over images of max(0, 1 - y (w x + b))^2

    for each class, with y = +1 for its images and -1 for all others. It is the problem that
    scikit-learn's ``LinearSVC(loss="squared_hinge")`` solves, the penalty on the intercept b
    included.

    Parameters
    ----------
    C : float, or sequence of float, default 1.0
        Weight of the loss against the penalty; a larger C fits the training images more closely. Of
        several values, the one with the highest accuracy on a held-out fifth of the training images
        is chosen (`hold_out_fifth`), and the final fit is to all images. The values are tried from
        small to large, until one is worse than the best by two standard errors.
    standardize : bool, default False
        Solve the problem for columns of mean 0 and standard deviation 1, as with a StandardScaler
        before it, but without a copy of the matrix. `coef_` and `intercept_` are for the columns as
        they are.
    tol : float, default 1e-5
        Stop when a step lowers the objective by less than this, relative to the objective.
    max_iter : int, default 1000
        The largest number of L-BFGS steps.
    device : str, default None
        "cpu", "cuda" or "mps"; None for `default_device()`. A GPU keeps a copy of the matrix where
        that takes less than half of its free memory. With "mps" the CPU computes, since Apple's
        GPUs have no float64.
    random_state : int, RandomState or None, default 0
        Decides which images are held out to choose C, and nothing else. None: different ones in
        every fit.
    progress : bool, default False
        Show the passes over the matrix; a step takes one or two.

    Attributes
    ----------
    coef_ : ndarray of shape (n_classes, n_features); (1, n_features) for two classes
    intercept_ : ndarray of shape (n_classes,); (1,) for two classes
    classes_ : ndarray
    n_iter_ : int
        Steps of the final fit.
    objective_ : float
        The minimum that was reached, summed over the classes.
    C_ : float
        The C of the final fit.
    path_ : list of (C, accuracy on the held-out images)
        The values that were tried; empty where C is one number.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [3.0], [4.0]], np.float32)
    >>> L2SVM(C=10).fit(X, ["low", "low", "high", "high"]).predict([[-1.0], [5.0]]).tolist()
    ['low', 'high']
    """

    def __init__(
        self,
        C: float | list[float] | tuple[float, ...] = 1.0,
        *,
        standardize: bool = False,
        tol: float = 1e-5,
        max_iter: int = 1000,
        device: str | None = None,
        random_state: int | np.random.RandomState | None = 0,
        progress: bool = False,
    ):
        self.C = C
        self.standardize = standardize
        self.tol = tol
        self.max_iter = max_iter
        self.device = device
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: np.ndarray, y: np.ndarray) -> "L2SVM":
        """Fit to features and labels.

        Parameters
        ----------
        X : array of shape (n_images, n_features)
            A float32 or float16 matrix is read where it lies, a memory-mapped one as well.
        y : array of shape (n_images,)

        Raises
        ------
        ValueError
            A parameter is out of range, the labels hold one class only, or X holds NaN, infinity or
            numbers whose squares are too large for float32.
        """
        grid = np.atleast_1d(self.C).tolist()
        if not grid or not all(isinstance(C, Real) and 0 < C < np.inf for C in grid):
            raise ValueError(f"C is {self.C!r}; it must be a number larger than 0, or several")
        for name, least in (("tol", 0), ("max_iter", 1)):
            value = getattr(self, name)
            if not isinstance(value, Real) or not value >= least:
                raise ValueError(f"{name} is {value!r}; it must be a number of at least {least}")
        X, y = validate_data(self, X, y, dtype=STORED_DTYPES, ensure_all_finite=False)
        self._binarizer = LabelBinarizer(neg_label=-1)
        signs = torch.tensor(self._binarizer.fit_transform(y).T, dtype=torch.float32)
        self.classes_ = self._binarizer.classes_
        if len(self.classes_) < 2:
            raise ValueError(
                f"the labels hold one class only ({y.tolist()[0]!r}); a classifier needs two"
            )
        matrix, few_images = FeatureMatrix(X, self.device), len(X) < X.shape[1]
        mean, deviation = matrix.statistics()
        if self.standardize:
            matrix.standardise(mean, deviation)
        elif len(X) * (mean**2 + deviation**2).sum() > torch.finfo(torch.float32).max:
            raise ValueError(
                f"X holds numbers of about {mean.abs().max() + deviation.max():.1g}, and the sum "
                "of their squares is too large for float32; divide X by a constant or set "
                "standardize=True"
            )
        # With more threads, those of scipy would go on spinning while torch computes.
        with threadpool_limits({"openblas": 1}), float32_products():
            if few_images:
                rows = matrix.rows()
                basis = _gram_factor(rows)
                matrix = FeatureMatrix(basis.float().contiguous().numpy(), self.device)
            weights = self._fit_path(sorted(grid), matrix, signs, y)
            w, b = weights[:, :-1], weights[:, -1]
            if few_images:
                w = torch.linalg.solve_triangular(basis, w, upper=False, left=False)
                w = (w.float() @ rows).double()
        if self.standardize:
            w = w / deviation
            b = b - w @ mean
        self.coef_, self.intercept_ = w.float().numpy(), b.float().numpy()
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Signed distances of images: (n_images, n_classes), or (n_images,) for two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=STORED_DTYPES, reset=False, ensure_all_finite=False)
        weights = torch.from_numpy(self.coef_), torch.from_numpy(self.intercept_)
        with float32_products():
            scores = FeatureMatrix(X, self.device).scores(*weights).numpy()
        if not np.isfinite(scores).all():
            raise ValueError(
                f"X holds NaN or infinity in row {np.argwhere(~np.isfinite(scores))[0][0]}, "
                "or numbers too large to be added"
            )
        return scores.ravel() if len(self.classes_) == 2 else scores

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The class with the largest distance for every image, (n_images,)."""
        scores = self.decision_function(X)
        return self._binarizer.inverse_transform(scores)

    def _fit_path(self, grid, matrix, signs, y):
        """Weights for the best C of a grid in rising order, as `_minimise` returns them."""
        best = weights = torch.zeros(len(signs), matrix.shape[1] + 1, dtype=torch.float64)
        curvature, best_accuracy, self.path_, self.C_ = _Curvature(matrix), -1, [], grid[0]
        if len(grid) > 1:
            held_out, rest = hold_out_fifth(len(y), self.random_state)
            tol = max(self.tol, PATH_TOL)
            for C in grid:
                weights = self._minimise(C, matrix, curvature, signs, rest, weights, tol)
                scores = matrix.scores(weights[:, :-1].float(), weights[:, -1].float(), held_out)
                predicted = self._binarizer.inverse_transform(scores.numpy())
                accuracy = float(np.mean(predicted == y[held_out]))
                self.path_.append((C, accuracy))
                if accuracy > best_accuracy:
                    best, best_accuracy, self.C_ = weights, accuracy, C
                error = (best_accuracy * (1 - best_accuracy) / len(held_out)) ** 0.5
                if accuracy < best_accuracy - 2 * error:
                    break
        return self._minimise(self.C_, matrix, curvature, signs, None, best, self.tol)

    def _minimise(self, C, matrix, curvature, signs, positions, start, tol):
        """Weights for all rows or those at some positions.

        float64 (classes, features + 1), with the intercept last.
        """
        signs = (signs if positions is None else signs[:, positions]).to(matrix.device)

        def objective(flat):
            """Value and gradient in float64; the products with the matrix are float32."""
            weights = curvature.stretch(torch.from_numpy(flat).view(len(signs), -1), C, -0.5)
            on_device = weights.float().to(matrix.device)
            w, b = on_device[:, :-1] * matrix.scale, on_device[:, -1:]
            loss, pulls = 0.0, torch.zeros_like(on_device)
            for rows, block in matrix.blocks(positions):
                slack = (1 - signs[:, rows] * (w @ block.T + b)).clamp_(min=0)
                loss += slack.square().double().sum()
                pull = slack * signs[:, rows]
                pulls[:, :-1] += pull @ block
                pulls[:, -1] += pull.sum(1)
            pulls[:, :-1] *= matrix.scale
            value = 0.5 * weights.square().sum().item() + C * float(loss)
            bar.update()
            slope = weights - 2 * C * pulls.double().cpu()
            return value, curvature.stretch(slope, C, -0.5).flatten().numpy()

        start = curvature.stretch(start, C, 0.5).flatten().numpy()
        options = {"maxiter": self.max_iter, "maxfun": 2 * self.max_iter, "gtol": 0, "ftol": tol}
        with tqdm(desc=f"L2-SVM, C = {C:g}", unit=" passes", disable=not self.progress) as bar:
            found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
        if found.nit >= self.max_iter:
            warnings.warn(
                f"L2SVM stopped after {found.nit} steps, before a step lowered the objective by "
                f"less than tol={tol}; take a smaller C, standardised columns or a larger max_iter",
                ConvergenceWarning,
                stacklevel=4,
            )
        self.n_iter_, self.objective_ = found.nit, found.fun
        return curvature.stretch(torch.from_numpy(found.x).view(len(signs), -1), C, -0.5)


def hold_out_fifth(
    count: int, random_state: int | np.random.RandomState | None = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split the positions 0 to count - 1 at random into a fifth, at least one, and the rest.

    Every method that chooses its C does so by its accuracy on this fifth, fitted to the rest.

    Parameters
    ----------
    count : int
        At least 2.
    random_state : int, RandomState or None, default 0
        As in scikit-learn: the same number gives the same split, None another one each time.

    Returns
    -------
    (ndarray, ndarray)
        The positions that are held out and those that are not, each in rising order.

    Examples
    --------
    >>> held_out, rest = hold_out_fifth(10)
    >>> len(held_out), len(rest)
    (2, 8)
    """
    rest, held_out = train_test_split(
        np.arange(count), test_size=max(1, count // 5), random_state=random_state
    )
    return np.sort(held_out), np.sort(rest)


class _Curvature:
    """How steep the objective is along the directions in which the rows of a matrix are long.

    It is flat in all others, and L-BFGS is slow to learn which are which. The directions are found
    by subspace iteration (Halko et al. 2011, section 4.5) in a sample of the rows.
    """

    def __init__(self, matrix):
        self.count, features = matrix.shape
        wanted = min(MAX_DIRECTIONS, features, 50 + self.count // 20)  # few rows need few
        step = max(1, self.count // SAMPLED_ROWS)
        rows = matrix.rows(np.arange(0, self.count, step)).to(matrix.device)
        found = torch.randn(wanted, features, generator=rng(0, "directions")).to(matrix.device)
        with float32_products(bf16=has_bf16("cpu")):  # a rough direction serves as well
            for _ in range(3):
                directions = torch.linalg.qr(found.T)[0].T.contiguous()
                found = (directions @ rows.T) @ rows
        self.directions = directions.double().cpu()
        # Squared, and summed over all rows.
        self.lengths = step * (directions * found).sum(1).double().cpu()

    def stretch(self, weights, C, power):
        """Multiply weights along the long directions by curvature ** power.

        With the power -1/2 the objective is about equally steep along all directions.

        The curvature along one of them is 1 + 2 C * squared length, where only rows with a loss
        count.
        """
        w, b, doubled = weights[:, :-1], weights[:, -1:], 2 * C * SHARE_WITHIN_MARGIN
        along = w @ self.directions.T
        w = w + (along * ((1 + doubled * self.lengths) ** power - 1)) @ self.directions
        return torch.cat([w, b * (1 + doubled * self.count) ** power], dim=1)


def _gram_factor(X):
    """Lower triangle L of L L' = X X': its rows have the lengths and angles of the n images X.

    Weights v for L are the mixture a = v L^-1 of the images, that is w = a X for X: same scores,
    same |w|.
    """
    gram = (X @ X.T).double()
    scale, jitter = gram.diagonal().mean().clamp(min=1e-12), 1e-6
    while True:  # rounding, and centred images, leave the matrix short of positive definite
        gram.diagonal().add_(jitter * scale)
        L, failed = torch.linalg.cholesky_ex(gram)
        if not failed:
            return L
        jitter *= 10

"""The linear L2-SVM of the tables, for feature matrices too wide for liblinear.

liblinear copies a dense matrix into 16-byte nodes: 50,000 images of 28,672 features would need more than 23 GB. The
objective is smooth, so L-BFGS minimises it, and every evaluation is one pass over the matrix where it lies, in memory
or mapped from a file, a block of rows at a time. Columns are standardised on the way, without a copy.
With fewer images than features the work shrinks further: the best weights are a mixture of the images, so the
problem is turned, exactly, into one with as many features as there are images.
"""

import warnings

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, validate_data

AT_ONCE = 2**22  # numbers in a block, 16 MB: it is read once from memory and used twice while it is in the cache
KEPT = (np.float32, np.float16)  # number formats that are taken as they lie


class L2SVM(ClassifierMixin, BaseEstimator):
    """One-vs-rest linear classifier with squared hinge loss and L2 penalty.

    Minimises, over all classes at once, liblinear's primal objective (Fan et al. 2008, section 2)::

        1/2 |w|^2 + 1/2 b^2 + C * sum over images of max(0, 1 - y (w x + b))^2

    for each class, with y = +1 for its images and -1 for all others. It is the problem that scikit-learn's
    ``LinearSVC(loss="squared_hinge")`` solves, the penalty on the intercept b included.

    Parameters
    ----------
    C : float
        Weight of the loss against the penalty; larger fits the training images more closely.
    standardize : bool
        Solve the problem for columns of mean 0 and deviation 1, as a StandardScaler before it would make them, but
        without a copy of the matrix. `coef_` and `intercept_` are for the columns as they are.
    warm_start : bool
        Begin at the weights of the fit before: along a path of C, from small to large, each fit then takes few steps.
    tol : float
        Stop when a step lowers the objective by less than this, relative to the objective.
    max_iter : int
        Steps of L-BFGS at most.
    device : str, optional
        "cpu" (default) or "cuda". The matrix is kept on a GPU where it takes less than half of its memory.

    Attributes
    ----------
    coef_ : ndarray of shape (n_classes, n_features); (1, n_features) for two classes
    intercept_ : ndarray of shape (n_classes,); (1,) for two classes
    classes_ : ndarray
    n_iter_ : int
    objective_ : float
        The minimum that was reached, summed over the classes.
    """

    def __init__(self, C=1.0, *, standardize=False, warm_start=False, tol=1e-6, max_iter=1000, device=None):
        self.C = C
        self.standardize = standardize
        self.warm_start = warm_start
        self.tol = tol
        self.max_iter = max_iter
        self.device = device

    def fit(self, X, y):
        """Fit to X, (n_images, n_features), and labels y, (n_images,).

        A float32 or float16 matrix is read where it lies, a memory-mapped one as well.
        """
        return self._fit(X, y)

    def _fit(self, X, y, left_out=()):
        """Fit without the images at some positions, which no copy without them is made for."""
        if not self.C > 0:
            raise ValueError(f"C is {self.C!r}; it must be larger than 0")
        X, y = validate_data(self, X, y, dtype=KEPT, ensure_all_finite=False)
        check_classification_targets(y)
        weight = torch.ones(len(X))
        weight[torch.as_tensor(left_out, dtype=torch.int64)] = 0
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(f"the labels hold one class only ({classes[0]!r}); a classifier needs two")
        start = self._weights_before(classes)
        self.classes_ = classes
        positive = classes[1:] if len(classes) == 2 else classes
        signs = torch.from_numpy(2 * (y == positive[:, None]) - 1).float()

        matrix = _Matrix(X, self.device)
        mean, deviation = matrix.statistics(weight)
        if not self.standardize:
            mean, deviation = torch.zeros_like(mean), torch.ones_like(deviation)
        if len(X) < X.shape[1]:
            scaled = matrix.whole().sub_(mean.float()).div_(deviation.float())
            Z, back = turned(scaled)
            small = _Matrix(Z.numpy(), self.device)
            nothing = torch.zeros(len(Z), dtype=torch.float64)
            found = self._minimise(small, signs, weight, nothing, nothing + 1, None)
            found = torch.cat([(back(found[:, :-1]) @ scaled).double(), found[:, -1:]], dim=1)
        else:
            found = self._minimise(matrix, signs, weight, mean, deviation, start)
        w = found[:, :-1] / deviation
        self._standardised = found, classes
        self.coef_ = w.float().numpy()
        self.intercept_ = (found[:, -1] - w @ mean).float().numpy()
        return self

    def _weights_before(self, classes):
        """Where to begin: the weights of the fit before, if it was of the same problem but for C."""
        found, its_classes = getattr(self, "_standardised", (None, None))
        n_classes = len(classes) if len(classes) > 2 else 1
        if not self.warm_start or found is None or not np.array_equal(classes, its_classes):
            return None
        return found if found.shape == (n_classes, self.n_features_in_ + 1) else None

    def _minimise(self, matrix, signs, weight, mean, deviation, start):
        """Weights for standardised columns, the intercept last, (classes, features + 1), float64."""
        device = matrix.device
        signs, weight = signs.T.contiguous().to(device), weight[:, None].to(device)

        def objective(flat):
            """Value and gradient in float64 for L-BFGS; the products over the matrix are float32."""
            weights = torch.from_numpy(flat).view(signs.shape[1], -1)
            w = weights[:, :-1] / deviation
            b = (weights[:, -1] - w @ mean).float().to(device)
            w, loss = w.float().to(device), 0.0
            pulls, pull_sum = torch.zeros_like(w), torch.zeros_like(b)
            for rows, block in matrix.blocks():
                slack = (1 - signs[rows] * torch.addmm(b, block, w.T)).clamp_(min=0)
                pull = slack * weight[rows]
                loss += (slack * pull).double().sum()
                pull *= signs[rows]
                pulls += pull.T @ block
                pull_sum += pull.sum(0)
            pulls, pull_sum = (-2 * self.C * x.double().cpu() for x in (pulls, pull_sum))
            gradient = weights.clone()
            gradient[:, :-1] += (pulls - pull_sum[:, None] * mean) / deviation
            gradient[:, -1] += pull_sum
            return 0.5 * weights.square().sum().item() + self.C * float(loss), gradient.flatten().numpy()

        start = np.zeros(signs.shape[1] * (matrix.shape[1] + 1)) if start is None else start.flatten().numpy()
        options = {"maxiter": self.max_iter, "maxfun": 2 * self.max_iter, "gtol": 0, "ftol": self.tol}
        found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
        self.n_iter_, self.objective_ = found.nit, found.fun
        return torch.from_numpy(found.x).view(signs.shape[1], -1)

    def decision_function(self, X):
        """Signed distances: (n_images, n_classes), or (n_images,) for two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=KEPT, reset=False, ensure_all_finite=False)
        matrix = _Matrix(X, self.device)
        w, b = (torch.from_numpy(x).to(matrix.device) for x in (self.coef_, self.intercept_))
        scores = torch.cat([torch.addmm(b, block, w.T).cpu() for _, block in matrix.blocks()]).numpy()
        assert_all_finite(scores, input_name="X")
        return scores.ravel() if len(self.classes_) == 2 else scores

    def predict(self, X):
        """The class with the largest distance, (n_images,)."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]


class _Matrix:
    """A feature matrix as float32 blocks of rows on a device; only what fits there is kept there."""

    def __init__(self, X, device):
        self.device, self.shape = torch.device(device or "cpu"), X.shape
        self.rows = max(256, AT_ONCE // X.shape[1])
        self.X = X
        if self.device.type == "cuda" and X.nbytes < torch.cuda.mem_get_info(self.device)[0] / 2:
            self.X = torch.from_numpy(X).to(self.device)

    def blocks(self):
        """Yield (slice of the rows, block)."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nobody writes to it
            for start in range(0, len(self.X), self.rows):
                rows = slice(start, min(start + self.rows, len(self.X)))
                yield rows, torch.as_tensor(self.X[rows]).to(self.device).float()

    def whole(self):
        """All rows in one new tensor on the CPU."""
        return torch.cat([block.cpu() for _, block in self.blocks()])

    def statistics(self, weight):
        """Mean and deviation of every column, float64; 1 for the deviation of a constant one.

        ValueError where a number is none. Blocks are merged as in Chan et al. (1983), so that nothing cancels.
        """
        mean = squares = torch.zeros(self.shape[1], dtype=torch.float64)
        total = 0.0
        for rows, block in self.blocks():
            share = weight[rows].to(self.device)
            here, pivot = share.sum().item(), block[0].clone()
            apart = block - pivot  # small numbers, whose float32 sums are good
            sum_here = share @ apart
            if not sum_here.isfinite().all():  # seldom, so that the exact look costs nothing
                assert_all_finite(block.cpu().numpy(), input_name="X", estimator_name="L2SVM")
            if not here:
                continue
            centre = sum_here / here
            spread = share @ (apart - centre).square_()
            centre, spread = centre.double().cpu() + pivot.double().cpu(), spread.double().cpu()
            step = centre - mean
            squares = squares + spread + step.square() * (total * here / (total + here))
            mean, total = mean + step * (here / (total + here)), total + here
        deviation = (squares / total).sqrt()
        constant = deviation <= 1e-6 * mean.abs()  # as far as float32 can tell
        return mean, deviation.masked_fill(constant, 1)


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
    return L.float(), lambda v: torch.linalg.solve_triangular(L, v, upper=False, left=False).float()

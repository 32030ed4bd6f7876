"""The linear L2-SVM of the tables, for feature matrices too wide for liblinear.

liblinear copies a dense matrix into 16-byte nodes: 50,000 images of 28,672 features would need more than 23 GB. The
objective is smooth, so L-BFGS minimises it with two matrix products a step on the float32 matrix as it lies there.
With fewer images than features those products shrink further: the best weights are a mixture of the images, so the
problem is turned, exactly, into one with as many features as there are images.
"""

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data


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
    tol : float
        Stop when a step lowers the objective by less than this, relative to the objective.
    max_iter : int
        Steps of L-BFGS at most.

    Attributes
    ----------
    coef_ : ndarray of shape (n_classes, n_features); (1, n_features) for two classes
    intercept_ : ndarray of shape (n_classes,); (1,) for two classes
    classes_ : ndarray
    n_iter_ : int
    objective_ : float
        The minimum that was reached, summed over the classes.
    """

    def __init__(self, C=1.0, tol=1e-6, max_iter=1000):
        self.C = C
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X, y):
        """Fit to X, (n_images, n_features), and labels y, (n_images,)."""
        if not self.C > 0:
            raise ValueError(f"C is {self.C!r}; it must be larger than 0")
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"the labels hold one class only ({self.classes_[0]!r}); a classifier needs two")
        positive = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        X, signs = torch.from_numpy(X), torch.from_numpy(2 * (y == positive[:, None]) - 1).float()
        if len(X) < X.shape[1]:
            Z, back = turned(X)
            weights = self._minimise(Z, signs)
            self.coef_ = (back(weights[:, :-1]) @ X).numpy()
        else:
            weights = self._minimise(X, signs)
            self.coef_ = weights[:, :-1].float().numpy()
        self.intercept_ = weights[:, -1].float().numpy()
        return self

    def _minimise(self, X, signs):
        """Weights with the intercept last, (classes, features + 1), float64, for signs of (classes, images)."""

        def objective(flat):
            """Value and gradient in float64 for L-BFGS; the products over the matrix are float32."""
            weights = torch.from_numpy(flat).view(len(signs), -1)
            w, b = weights[:, :-1].float(), weights[:, -1:].float()
            slack = (1 - signs * (w @ X.T + b)).clamp_(min=0)  # (classes, images)
            value = 0.5 * weights.square().sum() + self.C * slack.double().square().sum()
            pull = slack.mul_(signs).mul_(-2 * self.C)
            gradient = weights + torch.cat([pull @ X, pull.sum(1, keepdim=True)], dim=1)
            return value.item(), gradient.flatten().numpy()

        start = np.zeros(len(signs) * (X.shape[1] + 1))
        options = {"maxiter": self.max_iter, "maxfun": 2 * self.max_iter, "gtol": 0, "ftol": self.tol}  # fmt: skip
        found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
        self.n_iter_, self.objective_ = found.nit, found.fun
        return torch.from_numpy(found.x).view(len(signs), -1)

    def decision_function(self, X):
        """Signed distances: (n_images, n_classes), or (n_images,) for two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        scores = X @ self.coef_.T + self.intercept_
        return scores.ravel() if len(self.classes_) == 2 else scores

    def predict(self, X):
        """The class with the largest distance, (n_images,)."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]


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

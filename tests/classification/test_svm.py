"""L2SVM against liblinear, which minimises the same objective."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from dcgan_lib import L2SVM
from dcgan_lib.classification import matrix, svm
from dcgan_lib.classification.matrix import FeatureMatrix, float32_products
from dcgan_lib.classification.svm import hold_out_fifth


@parametrize_with_checks([L2SVM()])
def test_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


def digits():
    X, y = load_digits(return_X_y=True)
    X = ((X - X.mean(0)) / (X.std(0) + 1e-6)).astype(np.float32)
    return X[:1200], y[:1200], X[1200:], y[1200:]


def objective(svm, X, y, C):
    """liblinear's primal objective, summed over the classes, in float64."""
    total, positive = 0.0, svm.classes_[-len(svm.coef_) :]
    for w, b, label in zip(svm.coef_.astype(float), svm.intercept_.astype(float), positive):
        slack = np.maximum(0, 1 - np.where(y == label, 1, -1) * (X @ w + b))
        total += 0.5 * w @ w + 0.5 * b * b + C * (slack**2).sum()
    return total


@pytest.mark.parametrize("images", [1200, 50], ids=["more images than features", "fewer"])
@pytest.mark.parametrize("C", [1e-3, 1e-1, 1.0])
def test_same_minimum_as_liblinear(C, images):
    X, y, X_test, y_test = digits()
    X, y = X[:images], y[:images]
    ours = L2SVM(C, tol=1e-10).fit(X, y)
    theirs = LinearSVC(C=C, tol=1e-8, max_iter=100_000, dual=False).fit(X.astype(float), y)
    assert objective(ours, X, y, C) == pytest.approx(objective(theirs, X, y, C), rel=1e-4)
    assert ours.objective_ == pytest.approx(objective(ours, X, y, C), rel=1e-4)
    assert ours.score(X_test, y_test) == pytest.approx(theirs.score(X_test, y_test), abs=0.004)
    # A minimum is flat, and float32 sums end at slightly other places on other processors.
    assert np.linalg.norm(ours.coef_ - theirs.coef_) < 0.02 * np.linalg.norm(theirs.coef_)


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_far_more_features_than_images(offset):
    """Most columns are copies of each other: the Gram matrix is singular to rounding."""
    X, y, X_test, y_test = digits()
    X, X_test = np.tile(X[:300] + offset, (1, 60)), np.tile(X_test + offset, (1, 60))
    X, X_test = X - X.mean(0), X_test - X.mean(0)
    ours, theirs = L2SVM(1e-4).fit(X, y[:300]), LinearSVC(C=1e-4, tol=1e-6).fit(X, y[:300])
    assert objective(ours, X, y[:300], 1e-4) == pytest.approx(
        objective(theirs, X, y[:300], 1e-4), rel=1e-3
    )
    assert ours.score(X_test, y_test) == pytest.approx(theirs.score(X_test, y_test), abs=0.01)


def test_default_tolerance_is_within_a_thousandth():
    X, y, _, _ = digits()
    ours, exact = L2SVM(0.1).fit(X, y), L2SVM(0.1, tol=1e-12).fit(X, y)
    assert ours.objective_ == pytest.approx(exact.objective_, rel=1e-3)


@pytest.mark.parametrize("images", [1200, 50], ids=["more images than features", "fewer"])
def test_standardised_columns_without_a_copy(images):
    """The same distances as with a scaler, though columns lie far from 0 and some are constant."""
    X, y, X_test, _ = digits()
    stretch, shift = (
        np.linspace(0.1, 10, 64, dtype=np.float32),
        np.linspace(-30, 30, 64, dtype=np.float32),
    )
    X, X_test = X * stretch + shift, X_test * stretch + shift
    X, y = X[:images], y[:images]
    ours = L2SVM(0.01, standardize=True, tol=1e-10).fit(X, y)
    scaler = StandardScaler().fit(X)
    theirs = LinearSVC(C=0.01, tol=1e-8, max_iter=100_000, dual=False).fit(
        scaler.transform(X).astype(float), y
    )
    assert ours.objective_ == pytest.approx(
        objective(theirs, scaler.transform(X), y, 0.01), rel=1e-3
    )
    np.testing.assert_allclose(
        ours.decision_function(X_test),
        theirs.decision_function(scaler.transform(X_test)),
        atol=0.02,
    )


def test_a_mapped_float16_matrix_is_read_where_it_lies(tmp_path):
    X, y, X_test, _ = digits()
    np.save(tmp_path / "X.npy", X.astype(np.float16))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    ours, whole = (
        L2SVM(0.01, tol=1e-9).fit(mapped, y),
        L2SVM(0.01, tol=1e-9).fit(X.astype(np.float16).astype(np.float32), y),
    )
    np.testing.assert_allclose(
        ours.decision_function(X_test), whole.decision_function(X_test), atol=1e-3
    )


@pytest.mark.parametrize("numbers", [2**22, 300 * 64])
def test_blocks_do_not_matter(monkeypatch, numbers):
    monkeypatch.setattr(matrix, "BLOCK_NUMBERS", numbers)
    X, y, X_test, y_test = digits()
    mean, deviation = FeatureMatrix(X + 30).statistics()
    np.testing.assert_allclose(mean, (X + 30).mean(0, dtype=float), rtol=1e-6)
    np.testing.assert_allclose(deviation[1:], np.where(X.std(0) < 1e-4, 1, X.std(0))[1:], rtol=1e-3)
    assert L2SVM(0.01).fit(X, y).score(X_test, y_test) > 0.85


def test_standardised_as_by_a_scaler_fitted_to_the_training_images():
    random = np.random.default_rng(0)
    X, X_test = (random.integers(0, 256, (n, 40)).astype(np.uint8) for n in (5000, 30))
    X[:, 7] = 3
    training, test = FeatureMatrix(X), FeatureMatrix(X_test)
    statistics = training.statistics()
    for either in (training, test):
        either.standardise(*statistics)
    scaler = StandardScaler().fit(X)
    for ours, theirs in ((training, X), (test, X_test)):
        np.testing.assert_allclose(ours.rows(), scaler.transform(theirs), atol=1e-5)
    some = np.array([3, 9, 20])
    np.testing.assert_array_equal(test.rows(some), test.rows()[some])


def test_a_fifth_is_held_out():
    held_out, rest = hold_out_fifth(100, 3)
    assert len(held_out) == 20 and sorted([*held_out, *rest]) == list(range(100))
    assert np.array_equal(held_out, hold_out_fifth(100, 3)[0])
    assert np.array_equal(held_out, hold_out_fifth(100, np.random.RandomState(3))[0])
    assert not np.array_equal(held_out, hold_out_fifth(100, 4)[0])
    assert not np.array_equal(hold_out_fifth(100, None)[0], hold_out_fifth(100, None)[0])
    assert [len(part) for part in hold_out_fifth(2)] == [1, 1]


@pytest.mark.parametrize("images", [1200, 50], ids=["more images than features", "fewer"])
def test_a_path_chooses_as_separate_fits_do(images, monkeypatch):
    """Each C is tried on the images that are not held out, the best is fitted to all."""
    monkeypatch.setattr(svm, "PATH_TOL", 1e-10)
    X, y, X_test, _ = digits()
    X, y, grid = X[:images], y[:images], (1e-6, 1e-3, 1e-1, 1.0)
    path = L2SVM(grid[::-1], tol=1e-10, random_state=3).fit(X, y)
    held_out, rest = hold_out_fifth(images, 3)
    apart = [
        L2SVM(C, tol=1e-10).fit(X[rest], y[rest]).score(X[held_out], y[held_out]) for C in grid
    ]
    assert [C for C, _ in path.path_] == list(grid[: len(path.path_)]) and len(path.path_) >= 3
    np.testing.assert_allclose(
        [right for _, right in path.path_], apart[: len(path.path_)], atol=1.1 * 5 / images
    )
    assert max(path.path_, key=lambda pair: pair[1])[0] == path.C_ and len(set(apart)) > 1
    alone = L2SVM(path.C_, tol=1e-10).fit(X, y)
    assert path.objective_ == pytest.approx(alone.objective_, rel=1e-5) and alone.path_ == []
    one, other = path.decision_function(X_test), alone.decision_function(X_test)
    assert np.linalg.norm(one - other) < 0.002 * np.linalg.norm(
        other
    )  # single ones may differ by more, on flat ground


def test_a_path_ends_where_it_gets_worse():
    """Far beyond the best C nothing more is tried."""
    random = np.random.default_rng(0)
    y = np.arange(400) % 2
    X = random.normal(size=(400, 300)).astype(np.float32)
    X[:, :10] += y[
        :, None
    ]  # ten columns tell something, and the others invite to learn them by heart
    path = L2SVM((1e-5, 1e-4, 1e-3, 1e2, 1e3, 1e4, 1e5), standardize=True).fit(X, y)
    rights = [right for _, right in path.path_]
    assert (
        len(rights) < 7
        and rights[-1] < max(rights)
        and path.path_[int(np.argmax(rights))][0] == path.C_
    )


@pytest.mark.parametrize("standardize", [False, True])
def test_stretching_saves_steps_and_changes_nothing(monkeypatch, standardize):
    X, y = (part[:500] for part in digits()[:2])
    X = (
        X @ np.diag(np.logspace(0, -2, 64)) @ np.random.default_rng(0).normal(size=(64, 400))
    )  # long and short directions
    X = X.astype(np.float32)
    found = {}
    for count in (1, 800):
        monkeypatch.setattr(svm, "MAX_DIRECTIONS", count)
        found[count] = L2SVM(0.1, standardize=standardize, tol=1e-9).fit(X, y)
    assert found[800].n_iter_ < 0.7 * found[1].n_iter_
    assert found[800].objective_ <= found[1].objective_ * (1 + 1e-4)


def test_a_path_is_shorter_than_its_fits():
    """Every fit begins where the one before ended."""
    X, y, _, _ = digits()
    grid = (0.01, 0.012)
    path, cold = L2SVM(grid).fit(X, y), L2SVM(grid[1]).fit(X, y)
    assert path.n_iter_ < 0.9 * cold.n_iter_


def test_two_classes_and_names_as_labels():
    X, y, X_test, _ = digits()
    names = np.array(["even", "odd"])
    ours = L2SVM(0.01).fit(X, names[y % 2])
    theirs = LinearSVC(C=0.01).fit(X, names[y % 2])
    assert ours.coef_.shape == (1, 64) and list(ours.classes_) == ["even", "odd"]
    assert (ours.predict(X_test) == theirs.predict(X_test)).mean() > 0.995


def test_a_fit_that_is_not_finished_is_told(capsys):
    X, y, _, _ = digits()
    with pytest.warns(ConvergenceWarning, match="stopped after 3 steps.* larger max_iter"):
        L2SVM(0.1, max_iter=3, progress=True).fit(X, y)
    assert "L2-SVM, C = 0.1" in capsys.readouterr().err


def test_bad_input():
    X = np.zeros((4, 2), np.float32)
    with pytest.raises(ValueError, match=r"one class only \(1\)"):
        L2SVM().fit(X, [1, 1, 1, 1])
    for C in (0, (), (0.1, -1), "1", ("a", 1), None, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="larger than 0"):
            L2SVM(C=C).fit(X, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="tol is -1; it must be a number of at least 0"):
        L2SVM(tol=-1).fit(X, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="max_iter is 0; it must be a number of at least 1"):
        L2SVM(max_iter=0).fit(X, [0, 1, 0, 1])
    holed = X.copy()
    holed[2, 1] = np.inf
    with pytest.raises(ValueError, match="X holds NaN or infinity, first in row 2, column 1"):
        L2SVM().fit(holed, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="X holds NaN or infinity in row 2"):
        L2SVM().fit(X, [0, 1, 0, 1]).predict(holed)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("standardize", [False, True])
def test_a_matrix_read_backwards(standardize, dtype):
    X, y, X_test, _ = digits()
    X = X.astype(dtype)
    svm = L2SVM((0.01, 0.1), standardize=standardize)
    backwards = svm.fit(X[::-1], y[::-1]).decision_function(X_test[::-1, ::-1][:, ::-1])[::-1]
    copied = svm.fit(X[::-1].copy(), y[::-1]).decision_function(X_test)
    np.testing.assert_allclose(backwards, copied, atol=1e-5)


def test_random_state_as_in_scikit_learn():
    X, y, _, _ = digits()
    number, state = (
        L2SVM((0.01, 0.1), random_state=state).fit(X, y).path_
        for state in (5, np.random.RandomState(5))
    )
    assert number == state
    paths = [L2SVM((0.01, 0.1), random_state=None).fit(X, y).path_ for _ in range(4)]
    assert any(path != paths[0] for path in paths)


@pytest.mark.parametrize("images", [1200, 50], ids=["more images than features", "fewer"])
def test_large_features_are_right_or_refused(images):
    X, y, X_test, _ = digits()
    X, y = X[:images], y[:images]
    plain = L2SVM(0.01, standardize=True).fit(X, y).decision_function(X_test)
    large = L2SVM(0.01, standardize=True).fit(X * 1e16, y).decision_function(X_test * 1e16)
    np.testing.assert_allclose(large, plain, atol=0.02)
    for standardize in (False, True):
        with pytest.raises(
            ValueError, match=r"X holds numbers up to .*e\+\d\d, whose squares are too"
        ):
            L2SVM(0.01, standardize=standardize).fit(X * 1e20, y)
    far = np.concatenate([X, np.full((images, 1), 1e19, np.float32)], axis=1)
    with pytest.raises(ValueError, match="numbers of about 1e.19, and the sum of their squares"):
        L2SVM(0.01).fit(far, y)
    assert L2SVM(0.01, standardize=True).fit(far, y).score(far, y) > 0.9


@pytest.mark.parametrize("images", [1200, 50], ids=["more images than features", "fewer"])
def test_a_setting_of_torch_neither_matters_nor_changes(images):
    X, y, X_test, _ = digits()
    found = []
    before = torch.get_float32_matmul_precision()
    try:
        for precision in ("highest", "high", "medium"):
            torch.set_float32_matmul_precision(precision)
            svm = L2SVM(0.01).fit(X[:images], y[:images])
            found.append(svm.decision_function(X_test))
            assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_products_are_as_asked_and_the_setting_comes_back_after_an_error():
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        A, B = torch.randn(2, 300, 300).unbind()
        with float32_products():
            exact = A @ B
        with pytest.raises(KeyError), float32_products():
            {}["nothing"]
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    torch.testing.assert_close(exact, (A.double() @ B.double()).float(), rtol=1e-4, atol=1e-4)


def test_the_device_is_the_fastest_unless_told_otherwise(monkeypatch):
    """float64, which the solver needs, is missing on "mps": there it computes on the CPU."""
    X, y, _, _ = digits()
    monkeypatch.setattr(matrix, "default_device", lambda: "mps")
    assert L2SVM(0.01).fit(X, y).score(X, y) > 0.9
    monkeypatch.setattr(matrix, "default_device", lambda: "cuda:99")
    with pytest.raises((RuntimeError, AssertionError)):
        L2SVM(0.01).fit(X, y)
    assert L2SVM(0.01, device="cpu").fit(X, y).score(X, y) > 0.9

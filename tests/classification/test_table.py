"""The table: every method against what it should be, what a row says, and what is refused."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from dcgan_lib import (
    L2SVM,
    Discriminator,
    ImageSet,
    available_methods,
    classification_table,
    draw_per_class,
    figures,
    load_images,
)
from dcgan_lib.classification import methods
from dcgan_lib.classification.methods import C_GRID, RBF_GRID
from dcgan_lib.classification.svm import hold_out_fifth

NETWORKS = ["small CNN", "discriminator, with labels"]
FAST = [m for m in available_methods() if m not in NETWORKS]


@pytest.fixture
def pair(make_images):
    return make_images(240), make_images(80, seed=1)


def test_every_method_on_every_input(pair):
    train, test = pair
    features = {"quarter": tuple(s.images[:, :, ::4, ::4].flatten(1).numpy() for s in pair)}
    like = Discriminator(train.size, train.channels, width=8)
    rows = classification_table(train, test, methods=NETWORKS, network=like, progress=False)
    rows += classification_table(
        train, test, features=features, methods=FAST, per_class=("all", 10), draws=2, progress=False
    )
    assert len(rows) == 2 + 2 * (len(FAST) + 4)
    for row in rows:
        assert row["error"] == pytest.approx(1 - row["accuracy"]) and row["seconds"] >= 0
        assert 1 <= row["classes_predicted"] <= row["classes"] == 4
        assert (row["spread"] is None) == (row["per_class"] == "all")
        assert row["train_images"] == (240 if row["per_class"] == "all" else 40)
        counts = np.array(row["confusion"])
        assert counts.sum(1).tolist() == [20 * (1 if row["per_class"] == "all" else 2)] * 4
        assert counts.trace() / counts.sum() == pytest.approx(row["accuracy"])
        assert row["peak_memory_mb"] is None or 50 < row["peak_memory_mb"] < 50_000
    by = {(r["method"], r["input"], r["per_class"]): r for r in rows}
    for method in ("KNN", "linear L2-SVM", "RBF SVM, C chosen", "SGD, squared hinge", *NETWORKS):
        assert by[method, "pixels", "all"]["accuracy"] > 0.95, (
            f"{method} misses what is plain to see"
        )
    assert by["majority class", "pixels", "all"]["classes_predicted"] == 1


def test_majority_class_gives_the_base_rate(make_images):
    labels = make_images(80).labels.clone()
    labels[:50] = 2
    train = make_images(80)
    skewed = ImageSet(train.images, labels, train.classes, "skewed", "x", [])
    row = classification_table(skewed, skewed, methods=["majority class"], progress=False)[0]
    assert row["accuracy"] == (labels == 2).double().mean().item() and row["classes_predicted"] == 1


def test_rbf_with_the_papers_C_is_the_base_rate_on_unequal_classes(make_images):
    """The signature of the published 82.18%: one class, and an error of one minus the base rate."""
    images = make_images(200)
    rows = np.flatnonzero((images.labels.numpy() == 3) | (np.arange(200) % 5 == 0))
    skewed = images.subset(rows)
    majority, rbf = classification_table(
        skewed, skewed, methods=["majority class", "RBF SVM, C = 1e-4"], progress=False
    )
    assert rbf["classes_predicted"] == 1 and rbf["error"] == majority["error"] > 0.2


def flat(images):
    return images.images.flatten(1).numpy().astype(np.float32)


def noisy(make_images, n, seed):
    """Images in which the classes are hard to tell."""
    images = make_images(n, seed=seed)
    noise = torch.randint(0, 2, images.images.shape, generator=torch.Generator().manual_seed(seed))
    return ImageSet(
        (images.images // 8 + 200 * noise).byte(),
        images.labels,
        images.classes,
        "noisy",
        f"noisy {seed}",
        [],
    )


@pytest.fixture
def hard(make_images):
    return noisy(make_images, 240, 1), noisy(make_images, 120, 2)


@pytest.mark.parametrize(
    "method, classifier",
    [("KNN", KNeighborsClassifier()), ("RBF SVM, C = 1e-4", SVC(C=1e-4))],
)
def test_methods_equal_scikit_learns_behind_a_scaler(hard, method, classifier):
    """The scaler is fitted to the training images alone."""
    train, test = hard
    row = classification_table(train, test, methods=[method], progress=False)[0]
    pipeline = make_pipeline(StandardScaler(), classifier).fit(flat(train), train.labels.numpy())
    wanted = metrics.confusion_matrix(test.labels.numpy(), pipeline.predict(flat(test)))
    assert row["confusion"] == wanted.tolist() and 0.1 < row["accuracy"] < 0.9


def test_every_method_that_chooses_C_chooses_on_the_same_fifth(hard):
    train, test = hard
    labels = train.labels.numpy()
    linear, rbf = classification_table(
        train, test, methods=["linear L2-SVM", "RBF SVM, C chosen"], seed=3, progress=False
    )
    held_out, rest = hold_out_fifth(len(train), 3)
    X = StandardScaler().fit_transform(flat(train))
    gamma = 1 / (X.shape[1] * X.var())
    by_hand = [
        SVC(C=C, gamma=gamma).fit(X[rest], labels[rest]).score(X[held_out], labels[held_out])
        for C in RBF_GRID
    ]
    assert rbf["C"] == [RBF_GRID[int(np.argmax(by_hand))]] and len(set(by_hand)) > 1
    by_hand = [
        L2SVM(C, device="cpu").fit(X[rest], labels[rest]).score(X[held_out], labels[held_out])
        for C in C_GRID
    ]
    accuracy = dict(zip(C_GRID, by_hand))[linear["C"][0]]
    assert accuracy >= max(by_hand) - 1.5 / len(held_out)


def test_rows_say_which_C_was_chosen(pair):
    rows = classification_table(*pair, methods=FAST, per_class=("all", 5), draws=3, progress=False)
    for row in rows:
        draws = 1 if row["per_class"] == "all" else 3
        grid = {"linear L2-SVM": C_GRID, "RBF SVM, C chosen": RBF_GRID}.get(row["method"])
        if grid:
            assert len(row["C"]) == draws and set(row["C"]) <= set(grid)
        else:
            fixed = row["method"] == "RBF SVM, C = 1e-4"
            assert row["C"] == ([1e-4] * draws if fixed else None)


@pytest.mark.parametrize("seed", [0, 1])
def test_on_the_digits_the_chosen_C_is_inside_its_grid(seed):
    train, test = (load_images("digits", split=split) for split in ("train", "test"))
    chosen = ["linear L2-SVM", "RBF SVM, C chosen"]
    rows = classification_table(train, test, methods=chosen, seed=seed, progress=False)
    for row, grid in zip(rows, (C_GRID, RBF_GRID)):
        assert grid[0] < row["C"][0] < grid[-1] and row["warnings"] == []


def test_an_end_of_the_grid_is_told(pair, monkeypatch):
    monkeypatch.setattr(methods, "C_GRID", (1e-3, 1e-2))
    row = classification_table(
        *pair, methods=["linear L2-SVM"], per_class=(5,), draws=3, progress=False
    )[0]
    said = "the chosen C = {} is an end of its grid, 0.001 to 0.01; a better one may lie beyond it"
    assert row["warnings"] == [said.format(f"{C:g}") for C in dict.fromkeys(row["C"])]


def test_warnings_are_kept_in_the_row(pair, monkeypatch):
    monkeypatch.setattr(methods, "L2SVM", partial(L2SVM, max_iter=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        row, other = classification_table(
            *pair, methods=["linear L2-SVM", "majority class"], progress=False
        )
    assert any("L2SVM stopped after 1 steps" in sentence for sentence in row["warnings"])
    assert len(set(row["warnings"])) == len(row["warnings"]) and other["warnings"] == []


@pytest.mark.parametrize(
    "images, steps", [(2, 300), (40, 300), (129, 300), (130, 300), (4000, 320)]
)
def test_the_small_networks_take_at_least_300_steps(make_images, monkeypatch, images, steps):
    """And not many more; a last batch of a single image is left out."""
    taken = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: taken.append(1))
    classification_table(
        make_images(images, classes=2),
        make_images(4, classes=2),
        methods=["small CNN"],
        progress=False,
    )
    assert len(taken) == steps


def test_networks_leave_the_global_generators_alone(pair, monkeypatch):
    """Their results do not depend on them either."""
    like, found = Discriminator(32, 1, width=8), []

    def table():
        return classification_table(*pair, methods=NETWORKS, network=like, progress=False)

    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        with monkeypatch.context() as patch:
            patch.setattr(torch, "manual_seed", lambda seed: pytest.fail("seeds every device"))
            patch.setattr(torch, "seed", lambda: pytest.fail("seeds every device"))
            found.append([row["confusion"] for row in table()])
        assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1]


@pytest.mark.parametrize("size, channels", [(64, 1), (32, 3)])
def test_test_images_of_another_shape_are_refused(make_images, size, channels):
    train, test = make_images(40), make_images(40, size=size, channels=channels)
    sentence = rf"training images are \(1, 32, 32\) and test images are \({channels}, {size}"
    with pytest.raises(ValueError, match=sentence):
        classification_table(train, test, methods=["small CNN"], progress=False)


def test_the_callers_features_are_not_changed(pair):
    matrices = tuple(s.images.flatten(1).numpy().astype(np.float32) for s in pair)
    before = [m.copy() for m in matrices]
    classification_table(
        *pair, features={"f": matrices}, methods=FAST, per_class=("all", 5), progress=False
    )
    assert all(np.array_equal(a, b) for a, b in zip(before, matrices))


def test_a_mapped_matrix_gives_the_same_table(pair, tmp_path):
    """Half-precision features in a file: the rows are read from there, and are the same."""
    matrices, mapped = [], []
    for number, images in enumerate(pair):
        matrices.append(images.images[:, :, ::4, ::4].flatten(1).numpy().astype(np.float32))
        np.save(
            tmp_path / f"{number}.npy", matrices[-1].astype(np.float16)
        )  # whole numbers up to 255: exact
        mapped.append(np.load(tmp_path / f"{number}.npy", mmap_mode="c"))
    rows = [
        classification_table(
            *pair,
            features={"f": tuple(each)},
            methods=["linear L2-SVM", "SGD, squared hinge"],
            per_class=("all", 5),
            progress=False,
        )
        for each in (matrices, mapped)
    ]
    assert [row["confusion"] for row in rows[0]] == [row["confusion"] for row in rows[1]]


def test_draws_are_even_and_repeatable():
    labels = np.array([0] * 50 + [1] * 20 + [2] * 30)
    drawn = draw_per_class(labels, 15, seed=1)
    assert list(np.bincount(labels[drawn])) == [15, 15, 15] and len(set(drawn)) == 45
    assert np.array_equal(drawn, draw_per_class(labels, 15, seed=1))
    assert not np.array_equal(drawn, draw_per_class(labels, 15, seed=2))
    with pytest.raises(ValueError, match="class 1 has 20 images, fewer than 21"):
        draw_per_class(labels, 21)
    for n in (0, -1, "all", 2.5):
        with pytest.raises(
            ValueError, match="n is .*; it must be a whole number of images a class"
        ):
            draw_per_class(labels, n)
    for wrong in (np.eye(3, dtype=int), labels / 2, None):
        with pytest.raises(
            ValueError, match="labels must be whole numbers, one an image; these are"
        ):
            draw_per_class(wrong, 1)


def test_a_size_that_the_kernel_matrix_cannot_do_is_told(pair, monkeypatch):
    monkeypatch.setattr("dcgan_lib.classification.methods.RBF_LIMIT", 100)
    row = classification_table(*pair, methods=["RBF SVM, C = 1e-4"], progress=False)[0]
    assert row["accuracy"] is None and "240 training images" in row["note"] and "100" in row["note"]


def test_rows_share_their_draws(pair):
    """The same features under two names have the same accuracy in every draw."""
    matrices = tuple(s.images[:, :, ::8, ::8].flatten(1).numpy() for s in pair)
    rows = classification_table(
        *pair,
        features={"a": matrices, "b": matrices},
        methods=["SGD, squared hinge"],
        per_class=("all", 3),
        draws=3,
        progress=False,
    )
    by = {(row["input"], row["per_class"]): row for row in rows}
    for size, draws in (("all", 1), (3, 3)):
        assert (
            by["a", size]["accuracies"] == by["b", size]["accuracies"]
            and len(by["a", size]["accuracies"]) == draws
        )
        assert by["a", size]["accuracy"] == pytest.approx(np.mean(by["a", size]["accuracies"]))


WIDE = [np.zeros((240, 2), np.float32), np.zeros((80, 2), np.float32)]
HOLED = [np.zeros((240, 2), np.float16), np.zeros((80, 2), np.float16)]
HOLED[1][7, 1] = np.nan


@pytest.mark.parametrize(
    "given, error, sentence",
    [
        ({"train": ([1], [2])}, TypeError, "train is of type tuple; give an ImageSet"),
        ({"test": np.zeros(3)}, TypeError, "test is of type ndarray; give an ImageSet"),
        ({"features": WIDE}, TypeError, "features must be a dict.*this is of type list"),
        (
            {"features": {"D": WIDE[0]}},
            TypeError,
            "features must be a dict.*'D' is not a pair of matrices",
        ),
        ({"features": {"D": [*WIDE, WIDE[0]]}}, TypeError, "'D' is not a pair of matrices"),
        ({"features": {"D": [WIDE[0][0], WIDE[1][0]]}}, TypeError, "'D' is not a pair of matrices"),
        ({"features": {"pixels": WIDE}}, ValueError, "the name 'pixels'"),
        (
            {"features": {"D": [WIDE[0], WIDE[1][:, :1]]}},
            ValueError,
            "'D' have 2 columns.*1 for the test images",
        ),
        (
            {"features": {"D": HOLED}},
            ValueError,
            "'D' hold NaN or infinity, first in row 7, column 1 of the test images",
        ),
        ({"methods": "KNN"}, TypeError, "methods is 'KNN'; give a list, such as"),
        ({"methods": []}, TypeError, r"methods is \[\]; give a list"),
        ({"network": "x"}, ValueError, r"network is str .*it must be a Discriminator of \(1, 32\)"),
        (
            {"network": Discriminator(64, 1, 8)},
            ValueError,
            r"\(1, 64\); it must be a Discriminator of \(1, 32\)",
        ),
        ({"per_class": 20}, TypeError, "per_class is 20; give a tuple of sizes"),
        ({"per_class": "all"}, TypeError, "per_class is 'all'; give a tuple"),
        ({"per_class": ()}, TypeError, "per_class is .*; give a tuple"),
        ({"per_class": ("all", 500)}, ValueError, "class 0 has 60 images, fewer than 500"),
        (
            {"per_class": (0,)},
            ValueError,
            "per_class holds 0; a size is 'all' or a number of images a class",
        ),
        ({"per_class": ("few",)}, ValueError, "per_class holds 'few'"),
        ({"draws": 0}, ValueError, "draws is 0; it must be a whole number of at least 1"),
        ({"draws": 2.5}, ValueError, "draws is 2.5"),
        ({"seed": "a"}, TypeError, "seed is 'a'; it must be a whole number"),
        (
            {"features": {"D": [m.astype(str) for m in WIDE]}},
            TypeError,
            "features 'D' are <U32 and <U32; give numbers",
        ),
    ],
)
def test_a_bad_argument_is_named(pair, given, error, sentence):
    arguments = {"train": pair[0], "test": pair[1], "progress": False, **given}
    with pytest.raises(error, match=sentence):
        classification_table(arguments.pop("train"), arguments.pop("test"), **arguments)


def test_bad_input(pair, make_images):
    train, test = pair
    bare = ImageSet(train.images, None, (), "photos", "x", [])
    with pytest.raises(ValueError, match="'photos' has no labels"):
        classification_table(bare, test)
    with pytest.raises(ValueError, match="'squares' has one class only"):
        classification_table(make_images(classes=1), test)
    with pytest.raises(ValueError, match="'squares' has 3 images for 4 classes"):
        classification_table(make_images(n=3), test)
    with pytest.raises(ValueError, match="classes of training and test images differ"):
        classification_table(train, make_images(classes=2))
    with pytest.raises(ValueError, match="'f' have 3 and 80 rows for 240"):
        classification_table(train, test, features={"f": (np.zeros((3, 2)), np.zeros((80, 2)))})
    with pytest.raises(ValueError, match="needs network="):
        classification_table(train, test, methods=NETWORKS)
    with pytest.raises(ValueError, match="'KMN'.*KNN"):
        classification_table(train, test, methods=["KMN"])


def test_results_table_shows_what_was_chosen_and_said(pair, monkeypatch):
    monkeypatch.setattr(methods, "C_GRID", (1e-3, 1e-2))
    rows = classification_table(
        *pair, methods=["KNN", "linear L2-SVM"], per_class=(5,), draws=3, progress=False
    )
    table = figures.results_table(rows)
    assert table.header[-2:] == ["C", "warnings"]
    assert table.rows[0][-2:] == ["", ""] and "is an end of its grid" in table.rows[1][-1]
    chosen = sorted(set(rows[1]["C"]))
    assert table.rows[1][-2] == " to ".join(f"{C:g}" for C in chosen)
    assert figures.results_table(rows[:1]).header[-1] == "peak GB"

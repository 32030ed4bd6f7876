import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler

from dcgan_lib import (
    Discriminator,
    ImageSet,
    available_methods,
    classification_table,
    draw_per_class,
)
from dcgan_lib.classification.methods import _rbf_kernel
from dcgan_lib.classification.table import _matrices

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
    """The signature of the published 82.18%: one class predicted, error equal to one minus the base rate."""
    images = make_images(200)
    rows = np.flatnonzero((images.labels.numpy() == 3) | (np.arange(200) % 5 == 0))
    skewed = images.subset(rows)
    majority, rbf = classification_table(
        skewed, skewed, methods=["majority class", "RBF SVM, C = 1e-4"], progress=False
    )
    assert rbf["classes_predicted"] == 1 and rbf["error"] == majority["error"] > 0.2


def test_scaling_looks_at_the_training_images_alone(pair):
    train, test = pair
    matrices = [matrix[:] for matrix in _matrices(train, test, {}, "pixels", None)]
    scaler = StandardScaler().fit(train.images.flatten(1).double().numpy())
    for images, matrix in zip(pair, matrices):
        np.testing.assert_allclose(
            matrix, scaler.transform(images.images.flatten(1).double().numpy()), atol=1e-3
        )


def test_rbf_kernel_equals_scikit_learns():
    A, B = (np.random.default_rng(i).normal(size=(20, 500)).astype(np.float32) for i in range(2))
    for pair in ((A, B), (A, A)):
        np.testing.assert_allclose(_rbf_kernel(*pair, 1e-3), rbf_kernel(*pair, 1e-3), rtol=1e-4)


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

"""The classification tables of both papers: the same images, draws and scaling for every method."""

import time
import warnings
from itertools import chain, product
from numbers import Integral

import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from tqdm import tqdm

from dcgan_lib.classification.matrix import FeatureMatrix
from dcgan_lib.classification.methods import (
    LABELLED_DISCRIMINATOR,
    METHODS,
    NotRun,
    available_methods,
)
from dcgan_lib.data.image_set import ImageSet
from dcgan_lib.models import Discriminator
from dcgan_lib.utils.device import forget_peak_memory, peak_memory_mb
from dcgan_lib.utils.random import rng

# What a row says of a method that was run, and leaves empty where it was not.
MEASURED = (
    "error",
    "accuracy",
    "accuracies",
    "spread",
    "classes_predicted",
    "C",
    "confusion",
    "seconds",
    "peak_memory_mb",
)


def draw_per_class(labels: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Draw n images of each class at random, without replacement.

    Parameters
    ----------
    labels : ndarray of shape (n_images,)
        Whole numbers.
    n : int
        Images of each class.
    seed : int, default 0

    Returns
    -------
    ndarray of shape (n * classes,)
        Positions of the images, in rising order.

    Raises
    ------
    ValueError
        A class has fewer than n images, n is no number of images, or labels are no whole numbers.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 1, 1, 1])
    >>> labels[draw_per_class(labels, 2)].tolist()
    [0, 0, 1, 1]
    """
    if not isinstance(n, Integral) or n < 1:
        raise ValueError(f"n is {n!r}; it must be a whole number of images a class, at least 1")
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be whole numbers, one an image; these are {labels.dtype} "
            f"of shape {labels.shape}"
        )
    stream, chosen = rng(seed, f"draw of {n} a class"), []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < n:
            raise ValueError(
                f"class {label} has {len(members)} images, fewer than {n} a class; ask for fewer"
            )
        chosen.append(members[torch.randperm(len(members), generator=stream)[:n].numpy()])
    return np.sort(np.concatenate(chosen))


def classification_table(
    train: ImageSet,
    test: ImageSet,
    *,
    features: dict[str, tuple[np.ndarray, np.ndarray]] | None = None,
    network: Discriminator | None = None,
    methods: list[str] | None = None,
    per_class: tuple[int | str, ...] = ("all",),
    draws: int = 1,
    seed: int = 0,
    progress: bool = True,
) -> list[dict]:
    """Train every method on `train` and try it on `test`.

    Pixels and features are standardised column by column, with the mean and deviation of the
    training images alone. Where C is chosen, it is chosen on a fifth of the training images, which
    is the same for all methods. Networks are computed on `default_device()`.

    Parameters
    ----------
    train, test : ImageSet
        With labels, and with images of the same size and channels.
    features : dict, default None
        Name -> (matrix of the training images, matrix of the test images), rows in the order of the
        images, as `extract_features` returns them, in memory or mapped. The linear, RBF and SGD
        methods run on each of them as well as on the pixels.
    network : Discriminator, default None
        Its architecture, not its weights, is what the method "discriminator, with labels" trains.
    methods : list of str, default None
        Some of `available_methods()`; None for all that can run.
    per_class : tuple, default ("all",)
        Training set sizes: "all" for all images, or a number of images a class.
    draws : int, default 1
        For a number of images a class: how many draws the mean and the spread are taken over.
    seed : int, default 0
        Decides the draws, the held-out images, the initial weights and the order of the batches.
    progress : bool, default True
        Show a progress bar.

    Returns
    -------
    list of dict
        One row for each method, input and size, with

        - `method`, `input`, `per_class`, `train_images` and `classes`;
        - `error` and `accuracy`: fractions, means over the draws;
        - `accuracies`: of each draw; the draws are the same in every row, so that two rows may be
          compared draw by draw;
        - `spread`: standard deviation over the draws, None for one;
        - `classes_predicted`: distinct classes among the predictions, the fewest over the draws;
        - `C`: of each draw, chosen or fixed, None for a method without one;
        - `confusion`: (true class, predicted class) counts, summed over the draws;
        - `seconds` (mean) and `peak_memory_mb` (largest of the whole process while the row was
          made, None where the system does not tell);
        - `warnings`: the distinct sentences with which the method warned, such as that it did not
          converge or that the chosen C is an end of its grid; normally empty;
        - `note`: only where a method was not run, the reason; what was not measured is None then.

    Raises
    ------
    ValueError, TypeError
        Images without labels or of one class, test images of another size, features of other images
        or with NaN, or an argument that is none of the above; the sentence names it.

    Examples
    --------
    >>> from dcgan_lib import load_images
    >>> train, test = (load_images("digits", split=split) for split in ("train", "test"))
    >>> rows = classification_table(train, test, methods=["majority class"], progress=False)
    >>> rows[0]["classes_predicted"], rows[0]["classes"]
    (1, 10)
    """
    features = {} if features is None else features
    _check_images(train, test)
    _check_features(features, train, test)
    if methods is None:
        methods = [m for m in METHODS if network is not None or m != LABELLED_DISCRIMINATOR]
    _check_request(methods, network, per_class, draws, seed, train)

    labels, truth, classes = train.labels.numpy(), test.labels.numpy(), len(train.classes)
    pictures = train.images, test.images
    inputs = {"pixels": tuple(images.flatten(1).numpy() for images in pictures), **features}
    drawn = {
        size: [draw_per_class(labels, size, seed + draw) for draw in range(draws)]
        for size in per_class
        if size != "all"
    }
    drawn["all"] = [slice(None)]
    cells = [
        (size, source, method)
        for size, source, method in product(per_class, inputs, methods)
        if source == "pixels" or METHODS[method][1] == "features"
    ]
    rows, bar = [], tqdm(cells, "table", disable=not progress)
    for size, source, method in bar:
        bar.set_postfix_str(f"{method} on {source}")
        X, X_test = pictures if METHODS[method][1] == "images" else inputs[source]
        tries = [
            _try(method, X[some], labels[some], X_test, truth, classes, seed + draw, network)
            for draw, some in enumerate(drawn[size])
        ]
        rows.append(_row(method, source, size, classes, tries))
    return rows


def _check_images(train, test):
    for argument, images in (("train", train), ("test", test)):
        if not isinstance(images, ImageSet):
            raise TypeError(
                f"{argument} is of type {type(images).__name__}; give an ImageSet, "
                "as load_images returns it"
            )
        if not len(images):
            raise ValueError(f"{argument} holds no images")
        if images.labels is None:
            raise ValueError(
                f"{images.name!r} has no labels, and a classification table needs them; "
                "give a tree root/<split>/<class>/* or another data set"
            )
    if len(train.labels.unique()) < 2:
        raise ValueError(
            f"{train.name!r} has one class only; a classification table needs at least two"
        )
    if len(train) < len(train.classes):
        raise ValueError(
            f"{train.name!r} has {len(train)} images for {len(train.classes)} classes; "
            "a classification table needs at least one of each"
        )
    if train.classes != test.classes:
        raise ValueError(
            f"the classes of training and test images differ: {train.classes} and {test.classes}"
        )
    if train.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(
            f"training images are {tuple(train.images.shape[1:])} and test images are "
            f"{tuple(test.images.shape[1:])} (channels, height, width); load both in the same size"
        )


def _check_features(features, train, test):
    wanted = "features must be a dict: name -> (matrix of training images, matrix of test images)"
    if not isinstance(features, dict):
        raise TypeError(f"{wanted}; this is of type {type(features).__name__}")
    for name, pair in features.items():
        if name == "pixels":
            raise ValueError(
                "features have the name 'pixels', which the table gives to the pixels; "
                "choose another"
            )
        if (
            not isinstance(pair, (tuple, list))
            or len(pair) != 2
            or any(getattr(m, "ndim", 0) != 2 for m in pair)
        ):
            raise TypeError(f"{wanted}; {name!r} is not a pair of matrices with rows and columns")
        if any(matrix.dtype.kind not in "iuf" for matrix in pair):
            raise TypeError(
                f"features {name!r} are {pair[0].dtype} and {pair[1].dtype}; give numbers"
            )
        (rows, columns), (test_rows, test_columns) = (matrix.shape for matrix in pair)
        if (rows, test_rows) != (len(train), len(test)):
            raise ValueError(
                f"features {name!r} have {rows} and {test_rows} rows for {len(train)} "
                f"training and {len(test)} test images; extract them from these images"
            )
        if columns != test_columns:
            raise ValueError(
                f"features {name!r} have {columns} columns for the training images and "
                f"{test_columns} for the test images; extract both with the same network and recipe"
            )
        for part, matrix in zip(("training", "test"), pair):
            if wrong := FeatureMatrix(matrix).first_not_finite():
                raise ValueError(
                    f"features {name!r} hold NaN or infinity, first in row {wrong[0]}, "
                    f"column {wrong[1]} of the {part} images"
                )


def _check_request(methods, network, per_class, draws, seed, train):
    if isinstance(methods, str) or not methods:
        raise TypeError(f"methods is {methods!r}; give a list, such as ['KNN', 'linear L2-SVM']")
    if unknown := [name for name in methods if name not in METHODS]:
        raise ValueError(
            f"methods {unknown} are not known; the known ones are {available_methods()}"
        )
    if network is None and LABELLED_DISCRIMINATOR in methods:
        raise ValueError(
            f"{LABELLED_DISCRIMINATOR!r} needs network=..., the discriminator whose shape it takes"
        )
    if network is not None:
        shape = tuple(getattr(network, name, None) for name in ("channels", "image_size"))
        if not isinstance(network, Discriminator) or shape != (train.channels, train.size):
            raise ValueError(
                f"network is {type(network).__name__} of (channels, pixels) {shape}; it must be "
                f"a Discriminator of {(train.channels, train.size)}, as the images are"
            )
    if not isinstance(per_class, (tuple, list)) or not per_class:
        raise TypeError(f"per_class is {per_class!r}; give a tuple of sizes, such as ('all', 20)")
    for size in per_class:
        if size != "all" and not (isinstance(size, Integral) and size > 0):
            raise ValueError(
                f"per_class holds {size!r}; a size is 'all' or a number of images a class, "
                "at least 1"
            )
    if not isinstance(draws, Integral) or draws < 1:
        raise ValueError(f"draws is {draws!r}; it must be a whole number of at least 1")
    if not isinstance(seed, Integral):
        raise TypeError(f"seed is {seed!r}; it must be a whole number")


def _try(method, X, labels, X_test, truth, classes, seed, network):
    """What one method makes of one draw: the facts that `_row` brings together."""
    forget_peak_memory()
    begin = time.perf_counter()
    facts = {"train_images": len(labels), "warnings": []}
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", DeprecationWarning)  # is about code, not about results
            predicted, C = METHODS[method][0](X, labels, X_test, seed, network)
    except NotRun as reason:
        return {**facts, "note": str(reason)}
    return {
        **facts,
        "accuracy": float((predicted == truth).mean()),
        "classes_predicted": len(np.unique(predicted)),
        "C": C,
        "confusion": confusion_matrix(truth, predicted, labels=np.arange(classes)),
        "seconds": time.perf_counter() - begin,
        "peak_memory_mb": peak_memory_mb(),
        "warnings": [str(warning.message) for warning in caught],
    }


def _row(method, source, size, classes, tries):
    """One row of the table, from the draws of a method, input and size."""
    row = {
        "method": method,
        "input": source,
        "per_class": size,
        "classes": classes,
        "warnings": [],
        "train_images": tries[0]["train_images"],
    }
    if "note" in tries[0]:
        return {**row, **dict.fromkeys(MEASURED), "note": tries[0]["note"]}
    draws = {name: [attempt[name] for attempt in tries] for name in tries[0]}
    accuracies = draws["accuracy"]
    return {
        **row,
        "error": 1 - float(np.mean(accuracies)),
        "accuracy": float(np.mean(accuracies)),
        "accuracies": accuracies,
        "spread": float(np.std(accuracies, ddof=1)) if len(tries) > 1 else None,
        "classes_predicted": min(draws["classes_predicted"]),
        "C": None if draws["C"][0] is None else draws["C"],
        "confusion": sum(draws["confusion"]).tolist(),
        "seconds": float(np.mean(draws["seconds"])),
        "peak_memory_mb": max(memory or 0 for memory in draws["peak_memory_mb"]) or None,
        "warnings": list(dict.fromkeys(chain.from_iterable(draws["warnings"]))),
    }

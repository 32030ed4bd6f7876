"""The classification tables of both papers: every method on the same images, the same draws, the same scaling."""

import time
import warnings
from numbers import Integral

import numpy as np
import torch
from tqdm import tqdm

from dcgan_lib.classification.methods import (
    BLOCK,
    METHODS,
    WITH_LABELS,
    NotRun,
    Rows,
    available_methods,
)
from dcgan_lib.data.image_set import ImageSet
from dcgan_lib.models import Discriminator
from dcgan_lib.utils.device import forget_peak_memory, peak_memory_mb
from dcgan_lib.utils.random import rng


def draw_per_class(labels, n, seed=0):
    """Indices of n images of each class, drawn without replacement: ndarray of shape (n * classes,), sorted.

    ValueError where a class has fewer than n.
    """
    if not isinstance(n, Integral) or n < 1:
        raise ValueError(f"n is {n!r}; it must be a whole number of images a class, at least 1")
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be whole numbers, one an image; these are {labels.dtype} of shape {labels.shape}"
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
    train,
    test,
    *,
    features=None,
    network=None,
    methods=None,
    per_class=("all",),
    draws=1,
    seed=0,
    progress=True,
):
    """Train every method on `train`, try it on `test`.

    Pixels and features are standardised column by column with the mean and deviation of the training images
    alone. The linear SVM's C is chosen on training images that are held out.

    Parameters
    ----------
    train, test : ImageSet
        With labels.
    features : dict, optional
        Name -> (matrix of the training images, matrix of the test images), rows in the images' order, as
        `extract_features` gives them, in memory or mapped. The linear, RBF and SGD methods run on each of them as
        well as on the pixels.
    network : Discriminator, optional
        Its architecture, not its weights, is what the method "discriminator, with labels" trains.
    methods : list of str, optional
        Some of `available_methods()`; by default all that can run.
    per_class : tuple
        Training set sizes: "all" for all labels, or a number of images a class.
    draws : int
        For a number a class: how many draws the mean and the spread are taken over.
    seed : int
    progress : bool

    Returns
    -------
    list of dict
        One row a method, input and size with `method`, `input`, `per_class`, `train_images`, `error` and `accuracy`
        (fractions, mean over the draws), `accuracies` (of each draw; the same draws in every row, so that two rows
        may be compared draw by draw), `spread` (standard deviation over the draws, None for one),
        `classes_predicted` (distinct classes among the answers, the fewest over the draws), `classes`, `confusion`
        (true class, answer: counts, summed over the draws), `seconds` (mean), `peak_memory_mb` (largest of the
        whole process while the row was made, None where the system does not tell), and `note` where a method was not
        run.

    Raises
    ------
    ValueError, TypeError
        Images without labels or of one class, features of other images or with NaN, or an argument that is none of
        the above; the sentence names it.
    """
    features = {} if features is None else features
    chosen = methods
    if methods is None:
        chosen = [name for name in METHODS if network is not None or name != WITH_LABELS]
    _check_labels(train, test)
    _check_features(features, train, test)
    _check_request(chosen, network, per_class, draws, seed, train)

    labels, truth = train.labels.numpy(), test.labels.numpy()
    classes = len(train.classes)
    inputs = ["pixels", *features]
    cells = [
        (method, source)
        for source in inputs
        for method in chosen
        if source == "pixels" or METHODS[method][1] == "features"
    ]
    plan = [(size, draw) for size in per_class for draw in range(1 if size == "all" else draws)]
    found = {(*cell, size): [] for size in per_class for cell in cells}
    with tqdm(
        total=len(plan) * len(cells), desc="table", disable=not progress, mininterval=0.5
    ) as bar:
        for size, draw in plan:
            rows = (
                np.arange(len(train))
                if size == "all"
                else draw_per_class(labels, size, seed + draw)
            )
            for source in inputs:
                here = [method for method, its_source in cells if its_source == source]
                matrices = _matrices(train, test, features, source, None if size == "all" else rows)
                for method in here:
                    bar.set_postfix_str(f"{method} on {source}")
                    function, kind = METHODS[method]
                    given, extra = matrices, ()
                    if kind == "images":
                        given, extra = (train.images[rows], test.images), (network,)
                    found[method, source, size].append(
                        _try(function, given, labels[rows], truth, classes, seed + draw, *extra)
                    )
                    bar.update()
    return [_row(cell, found[cell], classes) for cell in found]


def _check_labels(train, test):
    for argument, images in (("train", train), ("test", test)):
        if not isinstance(images, ImageSet):
            raise TypeError(
                f"{argument} is of type {type(images).__name__}; give an ImageSet, as load_images returns it"
            )
        if not len(images):
            raise ValueError(f"{argument} holds no images")
        if images.labels is None:
            raise ValueError(
                f"{images.name!r} has no labels, and a classification table needs them; give a tree "
                "root/<split>/<class>/* or another data set"
            )
    if len(train.labels.unique()) < 2:
        raise ValueError(
            f"{train.name!r} has one class only; a classification table needs at least two"
        )
    if len(train) < len(train.classes):
        raise ValueError(
            f"{train.name!r} has {len(train)} images for {len(train.classes)} classes; a classification "
            "table needs at least one of each"
        )
    if train.classes != test.classes:
        raise ValueError(
            f"the classes of training and test images differ: {train.classes} and {test.classes}"
        )


def _check_features(features, train, test):
    wanted = "features must be a dict: name -> (matrix of the training images, matrix of the test images)"
    if not isinstance(features, dict):
        raise TypeError(f"{wanted}; this is of type {type(features).__name__}")
    for name, pair in features.items():
        if name == "pixels":
            raise ValueError(
                "features have the name 'pixels', which the table gives to the pixels; choose another"
            )
        if (
            not isinstance(pair, (tuple, list))
            or len(pair) != 2
            or any(getattr(m, "ndim", 0) != 2 for m in pair)
        ):
            raise TypeError(f"{wanted}; {name!r} is not a pair of matrices with rows and columns")
        if any(matrix.dtype.kind not in "iuf" for matrix in pair):
            raise TypeError(
                f"features {name!r} are {' and '.join(str(matrix.dtype) for matrix in pair)}; give numbers"
            )
        (rows, columns), (test_rows, test_columns) = (matrix.shape for matrix in pair)
        if (rows, test_rows) != (len(train), len(test)):
            raise ValueError(
                f"features {name!r} have {rows} and {test_rows} rows for {len(train)} "
                f"training and {len(test)} test images; extract them from these images"
            )
        if columns != test_columns:
            raise ValueError(
                f"features {name!r} have {columns} columns for the training images and {test_columns} for "
                "the test images; extract both with the same network and recipe"
            )
        for part, matrix in zip(("training", "test"), pair):
            for start in range(0, len(matrix), BLOCK):
                wrong = np.argwhere(~np.isfinite(np.asarray(matrix[start : start + BLOCK])))
                if len(wrong):
                    row, column = wrong[0]
                    raise ValueError(
                        f"features {name!r} hold NaN or infinity, first in row {start + row}, column "
                        f"{column} of the {part} images"
                    )


def _check_request(methods, network, per_class, draws, seed, train):
    if isinstance(methods, str) or not methods:
        raise TypeError(f"methods is {methods!r}; give a list, such as ['KNN', 'linear L2-SVM']")
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise ValueError(
            f"methods {unknown} are not known; the known ones are {available_methods()}"
        )
    if network is None and WITH_LABELS in methods:
        raise ValueError(
            f"{WITH_LABELS!r} needs network=..., the discriminator whose shape it takes"
        )
    if network is not None:
        shape = tuple(getattr(network, name, None) for name in ("channels", "image_size"))
        if not isinstance(network, Discriminator) or shape != (train.channels, train.size):
            raise ValueError(
                f"network is {type(network).__name__} of (channels, pixels) {shape}; it must be a Discriminator of "
                f"{(train.channels, train.size)}, as the images are"
            )
    if not isinstance(per_class, (tuple, list)) or not per_class:
        raise TypeError(f"per_class is {per_class!r}; give a tuple of sizes, such as ('all', 20)")
    for size in per_class:
        if size != "all" and not (isinstance(size, Integral) and size > 0):
            raise ValueError(
                f"per_class holds {size!r}; a size is 'all' or a number of images a class, at least 1"
            )
        if size != "all":
            draw_per_class(
                train.labels, size
            )  # raises where a class has fewer, before anything is trained
    if not isinstance(draws, Integral) or draws < 1:
        raise ValueError(f"draws is {draws!r}; it must be a whole number of at least 1")
    if not isinstance(seed, Integral):
        raise TypeError(f"seed is {seed!r}; it must be a whole number")


def _matrices(train, test, features, source, rows):
    """The training rows at some positions (None: all, without a copy) and the test rows of an input."""
    if source == "pixels":
        pixels = train.images if rows is None else train.images[rows]
        ours, theirs = (
            images.flatten(1).numpy().astype(np.float32) for images in (pixels, test.images)
        )
    else:
        ours, theirs = features[source]
        ours = ours if rows is None else ours[rows]
    training = Rows(ours)
    return training, Rows(theirs, training)


def _try(function, given, labels, truth, classes, seed, *extra):
    forget_peak_memory()
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # scikit-learn's remarks on convergence: the table shows what came out
            answers = function(given[0], labels, given[1], seed, *extra)
    except NotRun as reason:
        return {"note": str(reason), "train_images": len(labels)}
    return {
        "accuracy": float((answers == truth).mean()),
        "classes_predicted": len(np.unique(answers)),
        "seconds": time.perf_counter() - begin,
        "peak_memory_mb": peak_memory_mb(),
        "train_images": len(labels),
        "confusion": np.bincount(truth * classes + answers, minlength=classes**2).reshape(
            classes, classes
        ),
    }


def _row(cell, tries, classes):
    method, source, size = cell
    row = {
        "method": method,
        "input": source,
        "per_class": size,
        "train_images": tries[0]["train_images"],
        "classes": classes,
    }
    if "note" in tries[0]:
        nothing = (
            "error",
            "accuracy",
            "accuracies",
            "spread",
            "classes_predicted",
            "confusion",
            "seconds",
            "peak_memory_mb",
        )
        return {**row, **dict.fromkeys(nothing), "note": tries[0]["note"]}
    accuracies = [attempt["accuracy"] for attempt in tries]
    return {
        **row,
        "error": 1 - float(np.mean(accuracies)),
        "accuracy": float(np.mean(accuracies)),
        "accuracies": accuracies,
        "spread": float(np.std(accuracies, ddof=1)) if len(tries) > 1 else None,
        "classes_predicted": min(attempt["classes_predicted"] for attempt in tries),
        "confusion": sum(attempt["confusion"] for attempt in tries).tolist(),
        "seconds": float(np.mean([attempt["seconds"] for attempt in tries])),
        "peak_memory_mb": max(attempt["peak_memory_mb"] or 0 for attempt in tries) or None,
    }

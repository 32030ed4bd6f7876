"""The classifier that did not fit: L2-SVM on 50,000 images of 28,672 features.

    python benchmarks/classification_size.py ROOT RUN [--out results/classification-size.json]

ROOT is a folder of pictures with train/<class>/* and test/<class>/*, and RUN the folder of a
discriminator of width 64 that was trained on 32-pixel pictures. Every part is a process of its own,
so that its largest memory is its own: features and one C; features and a path of C; and
scikit-learn's LinearSVC beside `L2SVM` on some of the images, where their objectives are compared.
The last of these has half of CIFAR-10, about what LinearSVC can hold in 24 GB.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dcgan_lib import (
    L2SVM,
    Run,
    draw_per_class,
    environment,
    extract_features,
    load_images,
    write_record,
)
from dcgan_lib.classification.methods import C_GRID

RECIPE = "maps"
ONE_C = 3e-5
PATH = tuple(C for C in C_GRID if 1e-5 <= C <= 1e-3)


def matrices(root, run, folder):
    """Both matrices, mapped from files in float16, and their labels."""
    network, found = Run.load(run).discriminator, []
    for split in ("train", "test"):
        images = load_images("folder", root=root, split=split, size=32)
        matrix = extract_features(
            network, images, RECIPE, file=Path(folder) / f"{split}.npy", dtype="float16"
        )
        found += [matrix, images.labels.numpy()]
    return found


def fit_all(root, run, folder, C):
    """Features of all images and one classifier: what it takes, and how good it is."""
    start = time.perf_counter()
    X, y, X_test, y_test = matrices(root, run, folder)
    extracted = time.perf_counter()
    svm = L2SVM(C, standardize=True, progress=True).fit(X, y)
    return {
        "images": len(X),
        "features": X.shape[1],
        "C": svm.C_,
        "path": svm.path_,
        "extraction_seconds": extracted - start,
        "fit_seconds": time.perf_counter() - extracted,
        "accuracy": svm.score(X_test, y_test),
    }


def compare(root, run, folder, per_class):
    """The same problem by both, on so many images a class: objectives and test accuracy."""
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    X, y, X_test, y_test = matrices(root, run, folder)
    drawn = draw_per_class(y, per_class)
    scaler = StandardScaler(copy=False)
    rows, y = scaler.fit_transform(X[drawn].astype(np.float32)), y[drawn]
    row = {"images": len(rows), "features": rows.shape[1], "C": ONE_C}
    for name, svm in (
        ("ours", L2SVM(ONE_C)),
        ("LinearSVC", LinearSVC(C=ONE_C, tol=1e-4, max_iter=10_000)),
    ):
        start = time.perf_counter()
        svm.fit(rows, y)
        seconds = time.perf_counter() - start
        right = [
            svm.predict(scaler.transform(X_test[i : i + 2000].astype(np.float32)))
            == y_test[i : i + 2000]
            for i in range(0, len(X_test), 2000)
        ]
        row[name] = {
            "seconds": seconds,
            "objective": objective(svm, rows, y),
            "accuracy": np.concatenate(right).mean(),
        }
    row["objective_ratio"] = row["ours"]["objective"] / row["LinearSVC"]["objective"]
    return row


def objective(svm, X, y):
    """liblinear's primal objective of fitted weights, in float64, summed over the classes."""
    signs = 2.0 * (y[:, None] == svm.classes_) - 1
    slack = np.maximum(0, 1 - signs * (X @ svm.coef_.T.astype(np.float32) + svm.intercept_))
    return float(
        0.5 * (svm.coef_.astype(float) ** 2).sum()
        + 0.5 * (svm.intercept_**2).sum()
        + svm.C * (slack**2).sum()
    )


PARTS = {
    "one C": lambda *given: fit_all(*given, ONE_C),
    "a path of C": lambda *given: fit_all(*given, PATH),
    "beside LinearSVC": lambda *given: compare(*given, 400),
    "beside LinearSVC, more images": lambda *given: compare(*given, 2500),
}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, help="write the record here")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        with TemporaryDirectory() as folder:
            row = PARTS[options.part](options.root, options.run, folder)
        row["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(row, default=float))
        return
    found = {}
    for part in PARTS:
        command = [sys.executable, __file__, str(options.root), str(options.run), "--part", part]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        found[part] = json.loads(output.splitlines()[-1])
        print(f"{part}: {found[part]}", flush=True)
        if options.out:
            write_record(options.out, {"environment": environment(), "recipe": RECIPE, **found})


if __name__ == "__main__":
    main()

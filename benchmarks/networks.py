"""Is the difference between trained and untrained networks larger than that between seeds?

    python benchmarks/networks.py [--seeds 10] [--runs runs/networks] [--out RECORD.json]

Trains the chapters' default network once a seed, on `fashion`, and puts the linear L2-SVM on the
features of each network before and after training, on pixels and on k-means features. The record
keeps which test images every classifier got right, so that exact tests can be made from it.
What was interrupted goes on.
"""

import argparse
import base64
from pathlib import Path

import numpy as np

from dcgan_lib import (
    C_GRID,
    L2SVM,
    KMeansFeatures,
    TrainConfig,
    draw_per_class,
    environment,
    extract_features,
    load_images,
    read_record,
    train,
    write_record,
)

SETTINGS = {"image_size": 32, "width": 32, "batch_size": 32, "lr": 4e-4, "ema": 0.99, "epochs": 12}
RECIPE, PER_CLASS, DRAWS, FEW_C = "maxpool", 20, 10, 1e-3
CENTROIDS = (100, 400)


def classify(X, X_test, labels, truth):
    """The L2-SVM on all images, with C chosen on a held-out fifth, and on a few a class."""
    svm = L2SVM(C_GRID, standardize=True).fit(X, labels)
    right = svm.predict(X_test) == truth
    few = []
    for draw in range(DRAWS):
        rows = draw_per_class(labels, PER_CLASS, draw)
        few.append(L2SVM(FEW_C, standardize=True).fit(X[rows], labels[rows]).score(X_test, truth))
    return {
        "features": X.shape[1],
        "C": svm.C_,
        "accuracy": float(right.mean()),
        "right": base64.b64encode(np.packbits(right)).decode(),
        "few": few,
    }


def without_networks(images, test, labels, truth):
    """The same for pixels, and for k-means features of some sizes."""
    pixels = (part.images.flatten(1).numpy().astype(np.float32) for part in (images, test))
    found = {"pixels": classify(*pixels, labels, truth)}
    for count in CENTROIDS:
        kmeans = KMeansFeatures(count).fit(images)
        matrices = (kmeans.transform(part) for part in (images, test))
        found[f"k-means, {count} centres"] = classify(*matrices, labels, truth)
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--runs", type=Path, default=Path("runs/networks"))
    parser.add_argument("--out", type=Path, default=Path("results/networks-fashion.json"))
    options = parser.parse_args(arguments)
    images, test = (load_images("fashion", split=s, size=32) for s in ("train", "test"))
    labels, truth = images.labels.numpy(), test.labels.numpy()
    if options.out.exists():
        record = read_record(options.out)
    else:
        record = {
            "environment": environment(),
            "data": images.name,
            "settings": {**SETTINGS, "recipe": RECIPE},
            "training_images": len(images),
            "test_images": len(test),
            "per_class": PER_CLASS,
            "few_C": FEW_C,
            "without": without_networks(images, test, labels, truth),
            "networks": [],
        }
    for seed in range(len(record["networks"]), options.seeds):
        config = TrainConfig(channels=images.channels, seed=seed, **SETTINGS)
        run = train(images, config, options.runs / f"seed {seed}")
        _, untrained = config.networks()
        found = {"seed": seed}
        for name, network in (("untrained", untrained), ("trained", run.discriminator)):
            matrices = (extract_features(network, part, RECIPE) for part in (images, test))
            found[name] = classify(*matrices, labels, truth)
        record["networks"].append(found)
        write_record(options.out, record)


if __name__ == "__main__":
    main()

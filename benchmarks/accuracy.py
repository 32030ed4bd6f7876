"""What raises the accuracy of a linear classifier on the discriminator's features?

    python benchmarks/accuracy.py ROOT [--epochs 10] [--longer 25] [--runs FOLDER] [--out RECORD]

One thing is changed at a time, then two. ROOT is a folder of pictures with train/<class>/* and
test/<class>/*; CIFAR-10 in the book's record. The networks are trained on the training pictures
without their labels. Every row is written as soon as it is measured: the same command goes on where
it was stopped, in the middle of a training as well.
"""

import argparse
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dcgan_lib import (
    L2SVM,
    KMeansFeatures,
    TrainConfig,
    draw_per_class,
    environment,
    extract_features,
    load_images,
    read_record,
    recalibrate_batchnorm,
    train,
    write_record,
)
from dcgan_lib.classification.methods import C_GRID

# How features are made of a network, and what the classifier does to them.
BASE = {
    "trained": True,
    "recipe": "radford-svhn",
    "mirror": True,
    "shift": 0,
    "recalibrate": False,
    "standardize": True,
}
OVERLAP_AND_PLACES = BASE | {"recipe": "overlap", "shift": 3}
PER_CLASS, DRAWS = 400, 10
ON_THE_WAY = (1, 2, 5)  # epochs after which the base is looked at while it is trained
SEEDS = (0, 1)
CENTROIDS = 1600  # of the k-means features


def questions(base, longer):
    """[(factor, value, configuration, how)] in an order in which no training is done twice."""
    rows = [("epochs", n, replace(base, epochs=n), BASE) for n in ON_THE_WAY if n < base.epochs]
    rows += [("base", 0, base, BASE)]
    rows += [("untrained", 0, base, BASE | {"trained": False})]
    rows += [("mirror images", "not averaged", base, BASE | {"mirror": False})]
    rows += [("scaling", "none", base, BASE | {"standardize": False})]
    rows += [("BatchNorm", "re-estimated on real images", base, BASE | {"recalibrate": True})]
    rows += [
        ("recipe", name, base, BASE | {"recipe": name})
        for name in ("last", "maxpool", "maps", "overlap")
    ]
    for seed in SEEDS:
        four, five = replace(base, seed=seed), replace(base, seed=seed, kernel_size=5)
        if seed:
            rows += [
                ("base", seed, four, BASE),
                ("untrained", seed, four, BASE | {"trained": False}),
            ]
        rows += [
            ("kernel", 5, five, BASE),
            ("untrained, kernel 5", seed, five, BASE | {"trained": False}),
        ]
    both = [replace(base, kernel_size=kernel, seed=seed) for kernel in (4, 5) for seed in SEEDS]
    rows += [
        ("overlap and places", f"kernel {config.kernel_size}", config, OVERLAP_AND_PLACES)
        for config in both
    ]
    rows += [
        ("places", f"nine, {shift} pixel{'s' * (shift > 1)} apart", base, BASE | {"shift": shift})
        for shift in (3, 2, 4, 1)
    ]
    rows += [
        (
            "overlap and places",
            f"kernel {config.kernel_size}, untrained",
            config,
            OVERLAP_AND_PLACES | {"trained": False},
        )
        for config in both
    ]
    rows += [("width", base.width // 2, replace(base, width=base.width // 2), BASE)]
    rows += [("epochs", longer, replace(base, epochs=longer, seed=seed), BASE) for seed in SEEDS]
    rows += [
        (
            "epochs and recipe",
            f"{longer}, overlap",
            replace(base, epochs=longer, seed=seed),
            BASE | {"recipe": "overlap"},
        )
        for seed in SEEDS
    ]
    rows += [("training images", "mirrored at random", replace(base, flip=True), BASE)]
    return rows


def trained(config, train_images, runs):
    """The discriminator after its epochs; a copy of a shorter run goes on, so that both remain."""

    def folder(epochs):
        names = [
            f"{key}={getattr(config, key)}" for key in ("width", "kernel_size", "flip", "seed")
        ]
        return runs / "-".join([*names, f"epochs={epochs}"])

    here = folder(config.epochs)
    shorter = [
        epochs for epochs in range(1, config.epochs) if (folder(epochs) / "weights.pt").exists()
    ]
    if shorter and not here.exists():
        part = here.with_name(
            f"{here.name}.part"
        )  # a copy that was interrupted is not taken for a run
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(folder(shorter[-1]), part).rename(here)
    return train(train_images, config, here).discriminator


def measure(config, how, train_images, test, runs):
    """Accuracy with all labels and with a few for one configuration."""
    network = trained(config, train_images, runs) if how["trained"] else config.networks()[1]
    if how["recalibrate"]:
        recalibrate_batchnorm(network, train_images)
    with TemporaryDirectory(dir=runs) as files:
        matrices = [
            extract_features(
                network,
                images,
                how["recipe"],
                mirror=how["mirror"],
                dtype="float16",
                shift=how["shift"],
                file=Path(files) / f"{part}.npy",
            )
            for part, images in (("train", train_images), ("test", test))
        ]
        return scores(*matrices, train_images, test, how["standardize"])


def scores(X, X_test, train_images, test, standardize=True):
    """Two rows, for all labels and a few: mean and spread over the draws, and the path of C."""
    labels, truth, rows = train_images.labels.numpy(), test.labels.numpy(), []
    # Without standardisation a column's variance is not 1, and C is in its units.
    grid = C_GRID if standardize else [C / float(np.var(X[::50], dtype=np.float64)) for C in C_GRID]
    for per_class in ("all", PER_CLASS):
        tries = []
        for draw in range(1 if per_class == "all" else DRAWS):
            drawn = slice(None) if per_class == "all" else draw_per_class(labels, per_class, draw)
            svm = L2SVM(grid, standardize=standardize, random_state=draw).fit(
                X[drawn], labels[drawn]
            )
            predicted = svm.predict(X_test)
            tries.append(
                {
                    "accuracy": float((predicted == truth).mean()),
                    "C": svm.C_,
                    "path": svm.path_,
                    "classes_predicted": len(np.unique(predicted)),
                }
            )
        accuracies = [attempt["accuracy"] for attempt in tries]
        rows.append(
            {
                "per_class": per_class,
                "features": X.shape[1],
                "accuracy": float(np.mean(accuracies)),
                "spread": float(np.std(accuracies, ddof=1)) if len(tries) > 1 else None,
                "tries": tries,
            }
        )
    return rows


def flat(pixels):
    return pixels.flatten(1).numpy().astype(np.float32)


def control(name, train_images, test):
    """The same from what needs no network: {mirror images averaged or not: rows}."""
    features = KMeansFeatures(CENTROIDS).fit(train_images).transform if name == "k-means" else flat
    plain = [features(images.images) for images in (train_images, test)]
    averaged = [
        (matrix + features(images.images.flip(3))) / 2
        for matrix, images in zip(plain, (train_images, test))
    ]
    return {
        mirror: scores(*pair, train_images, test)
        for mirror, pair in ((False, plain), (True, averaged))
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument(
        "--epochs",
        type=int,
        default=10,
        help="of the base, from which everything else differs in one thing",
    )
    parser.add_argument("--longer", type=int, default=25, help="epochs of the longest training")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/accuracy"), help="where the run folders go"
    )
    parser.add_argument("--out", type=Path, default=Path("results/accuracy-cifar10.json"))
    options = parser.parse_args(arguments)
    options.runs.mkdir(parents=True, exist_ok=True)
    train_images, test = (
        load_images("folder", root=options.root, split=split, size=32)
        for split in ("train", "test")
    )
    base = TrainConfig(image_size=32, channels=train_images.channels, epochs=options.epochs)
    record = (
        read_record(options.out)
        if options.out.exists()
        else {"environment": environment(), "rows": []}
    )

    def note(key, found):
        for row in found:
            record["rows"].append({**key, **row})
            spread = f" ± {100 * row['spread']:.2f}" if row["spread"] is not None else ""
            what = f"{key['factor']} {key['value']}, {row['per_class']}"
            print(f"{what}: {100 * row['accuracy']:.2f}{spread}%", flush=True)
        write_record(options.out, record)

    def lacking(key):
        return not any(
            all(row[name] == value for name, value in key.items()) for row in record["rows"]
        )

    for name in ("pixels", "k-means"):
        key = {"factor": "control", "value": name, "config": None}
        if lacking(key):
            for mirror, found in control(name, train_images, test).items():
                note({**key, "how": {"mirror": mirror}}, found)
    for factor, value, config, how in questions(base, options.longer):
        facts = {**asdict(config), "betas": list(config.betas)}
        if lacking(key := {"factor": factor, "value": value, "config": facts, "how": how}):
            note(key, measure(config, how, train_images, test, options.runs))


if __name__ == "__main__":
    main()

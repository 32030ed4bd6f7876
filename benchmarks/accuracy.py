"""What raises the accuracy of a linear classifier on the discriminator's features? One thing changed at a time.

    python benchmarks/accuracy.py ROOT [--epochs 25] [--runs runs/accuracy] [--out results/accuracy-cifar10.json]

ROOT is a folder of pictures with train/<class>/* and test/<class>/*; CIFAR-10 in the book's record. The networks are
trained on the training pictures without their labels. Every row is written as soon as it is measured: the same
command goes on where it was stopped, in the middle of a training as well.
"""

import argparse
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dcgan_lib import KMeansFeatures, TrainConfig, classification_table, environment, extract_features, load_images
from dcgan_lib import read_record, recalibrate_batchnorm, train, write_record

BASE = dict(recipe="radford-svhn", mirror=False, recalibrate=False, trained=True)  # how features are made of a network
PER_CLASS, DRAWS = 400, 10
EPOCHS = (1, 2, 5, 10)  # after which the base is looked at, on its way
SEEDS = {4: (0, 1, 2), 5: (0, 1)}  # kernel: seeds
CENTROIDS = 1600  # of the k-means features


def questions(base):
    """[(factor, value, configuration, how features are made)] in an order in which no training is done twice."""
    rows = [("epochs", n, replace(base, epochs=n), BASE) for n in EPOCHS if n < base.epochs]
    rows += [("seed", seed, replace(base, kernel_size=kernel, seed=seed), BASE) for kernel in SEEDS for seed in SEEDS[kernel]]
    rows += [("untrained", seed, replace(base, kernel_size=kernel, seed=seed), BASE | dict(trained=False))
             for kernel in SEEDS for seed in SEEDS[kernel]]  # fmt: skip
    rows += [("recipe", name, base, BASE | dict(recipe=name)) for name in ("grid", "last", "maxpool", "maps")]
    rows += [("mirror images", "averaged", base, BASE | dict(mirror=True)),
             ("BatchNorm", "re-estimated", base, BASE | dict(recalibrate=True)),
             ("training", "with mirror images", replace(base, flip=True), BASE),
             ("width", base.width // 2, replace(base, width=base.width // 2), BASE)]  # fmt: skip
    return rows


def features(network, images, how, file):
    """The matrix of a set of images, mapped from a file."""
    return extract_features(network, images, how["recipe"], mirror=how["mirror"], file=file, dtype="float16", progress=True)


def measure(config, how, train_images, test, runs):
    """Accuracy with all labels and with a few, mean and spread, for one configuration."""
    folder = runs / "-".join(f"{key}={getattr(config, key)}" for key in ("width", "kernel_size", "flip", "seed"))
    network = train(train_images, config, folder).discriminator if how["trained"] else config.networks()[1]
    network = deepcopy(network)
    if how["recalibrate"]:
        recalibrate_batchnorm(network, train_images)
    with TemporaryDirectory(dir=runs) as files:
        pair = tuple(features(network, images, how, Path(files) / f"{part}.npy")
                     for part, images in (("train", train_images), ("test", test)))  # fmt: skip
        return table(train_images, test, {"features": pair})


def table(train_images, test, inputs):
    rows = classification_table(train_images, test, features=inputs, methods=["linear L2-SVM"],
                                per_class=("all", PER_CLASS), draws=DRAWS)  # fmt: skip
    return [row for row in rows if row["input"] in inputs]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"), help="where the run folders go")
    parser.add_argument("--out", type=Path, default=Path("results/accuracy-cifar10.json"))
    options = parser.parse_args(arguments)
    options.runs.mkdir(parents=True, exist_ok=True)
    train_images, test = (load_images("folder", root=options.root, split=split, size=32) for split in ("train", "test"))
    base = TrainConfig(image_size=32, channels=train_images.channels, epochs=options.epochs)
    record = read_record(options.out) if options.out.exists() else {"environment": environment(), "rows": []}

    def note(factor, value, config, how, found):
        for row in found:
            record["rows"].append({"factor": factor, "value": value, "config": config, "how": how, **row})
            print(f"{factor} {value}: {100 * row['accuracy']:.2f}% with {row['per_class']} labels", flush=True)
        write_record(options.out, record)

    done = [(row["factor"], row["value"], row["config"], row["how"]) for row in record["rows"]]
    for factor, value, config, how in questions(base):
        key = (factor, value, {**asdict(config), "betas": list(config.betas)}, how)
        if key not in done:
            note(*key, measure(config, how, train_images, test, options.runs))
    for factor, value in (("control", "pixels"), ("control", "k-means")):
        if (factor, value, None, None) not in done:
            note(factor, value, None, None, controls(value, train_images, test))


def controls(value, train_images, test):
    if value == "pixels":
        return table(train_images, test, {value: tuple(s.images.flatten(1).numpy().astype("float32") for s in (train_images, test))})
    kmeans = KMeansFeatures(CENTROIDS, progress=True).fit(train_images)
    return table(train_images, test, {value: tuple(kmeans.transform(images) for images in (train_images, test))})


if __name__ == "__main__":
    main()

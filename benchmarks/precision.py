"""Does bf16 train as fp32 does? The same data and seeds in both, their curves side by side.

    python benchmarks/precision.py ROOT [--seeds 0 1] [--epochs 10] [--runs runs/precision] [--out
    RECORD.json]

ROOT is a folder of pictures as the data set `folder` takes it; CIFAR-10 in the book's record.
Runs that were interrupted go on, finished ones are read. The question is whether two formats with
one seed differ by less than two seeds with one format.
"""

import argparse
from pathlib import Path

import numpy as np

from dcgan_lib import TrainConfig, environment, load_images, train, write_record

METRICS = ("loss_d", "loss_g", "d_real", "d_fake_before", "d_fake_after")


def curves(run):
    """Epoch means of every metric, and the minutes that the training takes at its median speed."""
    history, images = run.history, run.config.batch_size * run.config.d_steps
    epochs = range(1, run.config.epochs + 1)
    means = {
        name: [history[name][history["epoch"] == epoch].mean() for epoch in epochs]
        for name in METRICS
    }
    return {
        **means,
        "minutes": float(
            images * len(history["epoch"]) / np.median(history["images_per_second"]) / 60
        ),
    }


def distance(one, other):
    """Mean absolute difference of the epoch means, for every metric."""
    return {name: float(np.abs(np.subtract(one[name], other[name])).mean()) for name in METRICS}


def compare(found):
    """Distances between the formats with one seed, and between the seeds with one format."""
    seeds = sorted(found["fp32"])
    return {
        "formats": [distance(found["fp32"][seed], found["bf16"][seed]) for seed in seeds],
        "seeds": [
            distance(found[kind][one], found[kind][other])
            for kind in ("fp32", "bf16")
            for one in seeds
            for other in seeds
            if one < other
        ],
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/precision"), help="where the run folders go"
    )
    parser.add_argument("--out", type=Path, help="write the record here")
    options = parser.parse_args(arguments)
    images = load_images("folder", root=options.root, size=32)
    found = {}
    for seed in options.seeds:
        for kind in ("bf16", "fp32"):
            config = TrainConfig(
                image_size=32,
                channels=images.channels,
                epochs=options.epochs,
                seed=seed,
                precision=kind,
            )
            run = train(images, config, options.runs / f"{kind}-{seed}")
            found.setdefault(kind, {})[str(seed)] = curves(run)
    distances = compare(found)
    for what, rows in distances.items():
        print(
            f"between {what}:",
            "; ".join(
                " ".join(f"{name} {value:.3f}" for name, value in row.items()) for row in rows
            ),
        )
    if options.out:
        write_record(
            options.out,
            {
                "environment": environment(),
                "images": len(images),
                "epochs": options.epochs,
                "curves": found,
                "distances": distances,
            },
        )


if __name__ == "__main__":
    main()

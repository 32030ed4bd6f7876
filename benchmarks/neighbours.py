"""Which images are neighbours, by their pixels and by a discriminator's features?

    python benchmarks/neighbours.py RUN ROOT NAME [--training 10000] [--test 2000]

RUN is the folder of a finished run, ROOT the folder of labelled pictures that it was trained on.
Writes results/neighbours-NAME.json with two parts. "sheet": among the 64 test pictures of
results/NAME-real.png, the positions and distances of the three nearest others of each. "counts":
for how many test pictures the nearest training picture has the same class, block by block, and on
how many of them the trained and the untrained network disagree.
"""

import argparse

import torch

from dcgan_lib import Run, environment, extract_features, load_images, write_record
from dcgan_lib.records import RESULTS

SHEET, NEAREST = 64, 3


def inputs_of(run, images):
    """{input: matrix} of the pixels, and of both networks' features block by block."""
    found = {("pixels", "all"): images.images.flatten(1).float()}
    for name, network in (("untrained", run.config.networks()[1]), ("trained", run.discriminator)):
        matrix = torch.from_numpy(extract_features(network, images, "grid"))
        sizes = [16 * block[0].out_channels for block in network.blocks]
        for number, part in enumerate(matrix.split(sizes, dim=1), 1):
            found[name, number] = part
        found[name, "all"] = matrix
    return found


def scaled(rows, training):
    """Rows in units of the training images' deviations; a column that never changes stays 0."""
    deviation = training.std(0)
    deviation[deviation == 0] = 1
    return (rows - training.mean(0)) / deviation


def sheet(training, shown):
    """The nearest others of each of the shown images."""
    rows = {}
    for name in ("pixels", "untrained", "trained"):
        features = shown[name, "all"]
        if name != "pixels":
            features = scaled(features, training[name, "all"])
        distances = torch.cdist(features, features).fill_diagonal_(torch.inf)
        nearest = distances.topk(NEAREST, largest=False)
        rows[name] = {
            "positions": nearest.indices.tolist(),
            "distances": [[round(x, 2) for x in row] for row in nearest.values.tolist()],
        }
    return rows


def counts(training, test, labels, truth):
    """How often the nearest training image has the class of a test image."""
    right = {}
    for key, rows in test.items():
        known = training[key]
        if key[0] != "pixels":
            rows, known = scaled(rows, known), scaled(known, known)
        right[key] = labels[torch.cdist(rows, known).argmin(1)] == truth
    rows = []
    for (name, block), hits in right.items():
        row = {"input": name, "block": block, "right": int(hits.sum())}
        if name == "trained":
            before = right["untrained", block]
            row |= {"won": int((hits & ~before).sum()), "lost": int((before & ~hits).sum())}
        rows.append(row)
    return rows


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="the folder of a finished run")
    parser.add_argument("root", help="the folder of its labelled pictures")
    parser.add_argument("name", help="of the record")
    parser.add_argument("--training", type=int, default=10_000)
    parser.add_argument("--test", type=int, default=2_000)
    options = parser.parse_args(arguments)
    run = Run.load(options.run)
    training, test, shown = (
        load_images("folder", root=options.root, split=split, size=32, limit=limit)
        for split, limit in (
            ("train", options.training),
            ("test", options.test),
            ("test", SHEET),  # the choice that run_record.py makes
        )
    )
    known = inputs_of(run, training)
    record = {
        "name": f"neighbours-{options.name}",
        "config": vars(run.config),
        "environment": environment(),
        "sheet": {
            "classes": [shown.classes[k] for k in shown.labels.tolist()],
            "inputs": sheet(known, inputs_of(run, shown)),
        },
        "counts": {
            "training_images": len(training),
            "test_images": len(test),
            "rows": counts(known, inputs_of(run, test), training.labels, test.labels),
        },
    }
    write_record(RESULTS / f"neighbours-{options.name}.json", record)


if __name__ == "__main__":
    main()

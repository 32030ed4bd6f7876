"""How fast images arrive: a cache made, opened and served, against ImageFolder and DataLoader.

    python benchmarks/image_loading.py ROOT [--out results/image-loading.json]
    python benchmarks/image_loading.py --large [--count 1200000] [--out ...]

ROOT holds train/<class>/*. The large set, as large as ImageNet, is a sparse file of 64-pixel
images: as long as the real one, and empty, so that it shows the memory and the cost of the mapping,
not the speed of a disk. A whole epoch of batches is served from it; then training steps run on it
and on a set in memory, in turn.
"""

import argparse
import os
import resource
import tempfile
from collections import deque
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from tqdm import tqdm
from training_speed import BATCH, clock, players, textbook_loader

from dcgan_lib import (
    ImageSet,
    TrainConfig,
    environment,
    has_bf16,
    load_images,
    read_record,
    training_step,
    write_record,
)
from dcgan_lib.training.batches import Batches
from dcgan_lib.utils.device import default_device

DEVICE = default_device()


def serve(batches, steps):
    for step in steps:
        batches.at(step)


def train_one_step(given, batches, step):
    training_step(*given, *batches.at(step), bf16=has_bf16(DEVICE))


def our_epoch(images):
    config = TrainConfig(image_size=images.size, channels=images.channels, batch_size=BATCH)
    serve(Batches(images, config, torch.device(DEVICE)), range(len(images) // BATCH))


def loading(root, size, rounds):
    """A row of a record: making the cache, opening it, and an epoch of batches on either side."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["DCGAN_LIB_HOME"] = home
        load = partial(load_images, "folder", root=root, size=size)
        built = clock(load, DEVICE)
        opened = median(clock(load, DEVICE) for _ in range(5))
        images, loader = load(), textbook_loader(Path(root, "train"), size)
        sides = {"ours": lambda: our_epoch(images), "textbook": lambda: deque(loader, maxlen=0)}
        sides["textbook"]()  # the first epoch starts the workers
        times = {name: [] for name in sides}
        for _ in range(rounds):
            for name, epoch in sides.items():
                times[name].append(clock(epoch, DEVICE))
        speed = {
            name: len(images) // BATCH * BATCH / median(taken) for name, taken in times.items()
        }
        ratio = median(theirs / ours for ours, theirs in zip(times["ours"], times["textbook"]))
        row = {
            "pixels": size,
            "images": len(images),
            "cache_images_per_second": len(images) / built,
            "second_load_ms": 1000 * opened,
            "batches": speed,
            "ratio": ratio,
        }
    print(
        f"{size} px: cache {row['cache_images_per_second']:,.0f} images/s, "
        f"second load {row['second_load_ms']:.1f} ms, "
        f"batches {speed['ours']:,.0f} against {speed['textbook']:,.0f} images/s: {ratio:.0f}x",
        flush=True,
    )
    return row


def resident():
    """The largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def large(count, steps):
    """Batches and training steps on `count` images of 64 pixels in a file, and a few in memory."""
    libraries, device = resident(), torch.device(DEVICE)
    config = TrainConfig(batch_size=BATCH, epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        with open(Path(folder, "images.bin"), "wb") as file:
            file.truncate(count * 64 * 64 * 3)
        mapped = torch.from_numpy(
            np.memmap(Path(folder, "images.bin"), np.uint8, mode="c", shape=(count, 64, 64, 3))
        )
        served = {}
        for name, pixels in (
            ("memory", torch.zeros(steps * BATCH, 64, 64, 3, dtype=torch.uint8)),
            ("mapped", mapped),
        ):
            served[name] = Batches(
                ImageSet(pixels.permute(0, 3, 1, 2), fingerprint=name), config, device
            )
        epoch = count // BATCH
        serving = clock(
            lambda: serve(served["mapped"], tqdm(range(epoch), "an epoch of batches")), DEVICE
        )
        given = players(64, 4, DEVICE, order=torch.channels_last, fused=True)
        times = {name: [] for name in served}
        for step in tqdm(range(steps), "training"):
            for name in served:  # in turn, so that a busy moment hits both
                position = step * (epoch // steps) if name == "mapped" else step
                times[name].append(
                    clock(partial(train_one_step, given, served[name], position), DEVICE)
                )
    speed = {name: BATCH / median(taken[2:]) for name, taken in times.items()}
    found = {
        "images": count,
        "pixels": 64,
        "served_images_per_second": epoch * BATCH / serving,
        "training_images_per_second": speed,
        "memory_beyond_libraries_mb": resident() - libraries,
        "ratio": median(a / b for a, b in zip(times["memory"][2:], times["mapped"][2:])),
    }
    print(
        f"{count:,} images of 64 px in a file of {count * 12_288 / 1e9:.1f} GB: "
        f"served at {epoch * BATCH / serving:,.0f} images/s; "
        f"training {speed['mapped']:.1f} images/s, {found['ratio']:.2f} of that from memory "
        f"({speed['memory']:.1f}); "
        f"memory beyond the libraries {found['memory_beyond_libraries_mb']:,.0f} MB"
    )
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, help="a folder with train/<class>/*")
    parser.add_argument(
        "--rounds", type=int, default=5, help="epochs that are timed on either side (5)"
    )
    parser.add_argument("--large", action="store_true", help="the set as large as ImageNet")
    parser.add_argument(
        "--count", type=int, default=1_281_167, help="its images (1,281,167, as in ImageNet)"
    )
    parser.add_argument("--steps", type=int, default=20, help="training steps on it (20)")
    parser.add_argument("--out", type=Path, help="add the results to this JSON record")
    options = parser.parse_args()
    if not options.large and options.root is None:
        parser.error("give a folder of images, or --large")
    record = read_record(options.out) if options.out and options.out.exists() else {}
    record |= {"environment": environment()}
    if options.root:
        record["loading"] = [loading(options.root, size, options.rounds) for size in (32, 64)]
    if options.large:
        record["large"] = large(options.count, options.steps)
    if options.out:
        write_record(options.out, record)


if __name__ == "__main__":
    main()

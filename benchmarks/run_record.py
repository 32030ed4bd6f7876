"""Keep what a trained network drew, and its curves, beside the records.

    python benchmarks/run_record.py RUN NAME [--real ROOT]

RUN is the folder of a finished run. Writes results/NAME-run.json (settings, data, versions, a
thinned history), results/NAME-samples.png (the 64 fixed latents at the end) and
results/NAME-epochs.png (16 of them after every epoch, a row per epoch, the untrained first). With a
folder of pictures as ROOT, also results/NAME-real.png: 64 of its test pictures, chosen at random.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from dcgan_lib import Run, environment, load_images, write_record
from dcgan_lib.records import RESULTS

POINTS = 200  # of the thinned history, each the mean over the steps before it


def thinned(history):
    """The means over POINTS equal stretches of the steps, and the last step of each."""
    steps = len(history["epoch"])
    stretches = np.array_split(np.arange(steps), min(POINTS, steps))
    means = {
        name: [round(float(values[stretch].mean()), 5) for stretch in stretches]
        for name, values in history.items()
    }
    return {"step": [int(stretch[-1]) + 1 for stretch in stretches], **means}


def sheet(images, columns):
    """One picture of uint8 images (N, C, H, W), without margins."""
    count, channels, height, width = images.shape
    rows = images.reshape(count // columns, columns, channels, height, width)
    pixels = rows.permute(0, 3, 1, 4, 2).reshape(-1, columns * width, channels)
    return Image.fromarray(pixels.squeeze(2).numpy() if channels == 1 else pixels.numpy())


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    parser.add_argument("name", help="of the record")
    parser.add_argument("--real", type=Path, metavar="ROOT", help="test pictures to set beside")
    options = parser.parse_args(arguments)
    run, samples = Run.load(options.run), Run.load(options.run).samples()
    setting = json.loads((options.run / "config.json").read_text())
    record = {
        "name": f"{options.name}-run",
        "config": setting["config"],
        "data": setting["data"],
        "environment": environment(),
        "history": thinned(run.history),
    }
    sheet(samples[-1], 8).save(RESULTS / f"{options.name}-samples.png", optimize=True)
    sheet(samples[:, :16].flatten(0, 1), 16).save(
        RESULTS / f"{options.name}-epochs.png", optimize=True
    )
    if options.real:
        size = run.config.image_size
        real = load_images("folder", root=options.real, split="test", size=size, limit=64)
        sheet(real.images, 8).save(RESULTS / f"{options.name}-real.png", optimize=True)
    write_record(RESULTS / f"{options.name}-run.json", record)


if __name__ == "__main__":
    main()

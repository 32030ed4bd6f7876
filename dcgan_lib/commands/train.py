"""Train one DCGAN from a parameter file, on one device or on many.

    python -m dcgan_lib.train --params params/NAME.yaml [-p NAME VALUE ...] [--runs runs]
    torchrun --nproc-per-node N -m dcgan_lib.train --params params/NAME.yaml

The file is one of those that the chapters take, or has any other field of `TrainConfig` and argument of `load_images`.
The run lands in runs/NAME/dcgan, where the chapters of a batch run find it.

This is a program, not a module to import: `dcgan_lib.train` is the function.
"""

import argparse
import os
import sys
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path

from dcgan_lib.commands.parameters import Refused, did_you_mean, read_parameters
from dcgan_lib.data.loading import available_datasets, load_images, options_of
from dcgan_lib.training.fast import processes as parallel
from dcgan_lib.training.loop import train
from dcgan_lib.training.run import TrainConfig

OF_THE_IMAGES = {"dataset", "root", "split", "limit", "crop"}  # and what only one data set knows
OF_THE_RUN = {field.name for field in fields(TrainConfig)} - {"channels"}  # the images decide that


def sort_out(path, values):
    """(what the images need, what the run needs, names that training does not use)."""
    dataset = values.setdefault("dataset", "digits")
    of_images = OF_THE_IMAGES | (
        options_of(dataset).keys() if dataset in available_datasets() else set()
    )
    known, other = of_images | OF_THE_RUN, sorted(set(values) - of_images - OF_THE_RUN)
    for name in other:  # a chapter's parameter, unless it looks like a slip
        if get_close_matches(name, known, 1, cutoff=0.8):
            raise Refused(
                f"{path}: training has no parameter {name!r}; {did_you_mean(name, known)}"
            )
    return (
        {name: values[name] for name in of_images & set(values)},
        {name: values[name] for name in OF_THE_RUN & set(values)},
        other,
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m dcgan_lib.train", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--params", type=Path, required=True, help="a YAML file such as params/digits.yaml"
    )
    parser.add_argument(
        "-p",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        dest="overrides",
        help="a parameter, stronger than the file's own",
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="where the run folder goes (runs)"
    )
    parser.add_argument("--device", help="cuda, mps or cpu; by default the fastest")
    options = parser.parse_args(arguments)
    rank = os.environ.get("RANK", "0")
    first = rank == "0"
    try:
        device = parallel.join(options.device) if "LOCAL_RANK" in os.environ else options.device
        of_images, of_run, other = sort_out(
            options.params, read_parameters(options.params, options.overrides)
        )
        if other and first:
            print(f"not used in training: {', '.join(other)}")
        if not first:
            parallel.wait()  # the first downloads and decodes, the others find it done
        images = load_images(
            of_images.pop("dataset"), size=of_run.get("image_size", 64), **of_images
        )
        if first:
            parallel.wait()
        config = TrainConfig(channels=images.channels, **of_run)
        run = train(images, config, options.runs / options.params.stem / "dcgan", device=device)
        if first:
            print(f"trained: {run.dir}")
    except KeyboardInterrupt as reason:
        sys.exit(f"\n{reason}" if first else 1)
    except (ValueError, TypeError, RuntimeError, OSError, MemoryError, FloatingPointError) as error:
        sys.exit(str(error) if first else f"process {rank}: {error}")
    finally:
        parallel.leave()


if __name__ == "__main__":
    main()

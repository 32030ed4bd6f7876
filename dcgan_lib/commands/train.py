"""Train one DCGAN from a parameter file, on one device or, under torchrun, on several.

The file is one of those that the chapters take. It may also hold every other field of
`TrainConfig` and argument of `load_images`. The run lands in `RUNS/NAME/dcgan`, where the chapters
of a batch with the same parameters find it.
"""

import os
import sys
from pathlib import Path

from dcgan_lib import Run, TrainConfig, available_datasets, load_images, train
from dcgan_lib.commands.parameters import (
    TRAINING,
    BadParameters,
    check_folder,
    did_you_mean,
    read_parameters,
    run_name,
)
from dcgan_lib.data.loading import options_of
from dcgan_lib.training.fast import processes

LOADING = {"dataset", "root", "split", "limit", "crop"}  # and the options of the data set


def sort_out(path: Path, values: dict) -> list[dict]:
    """Divide the parameters of a file into those of loading, those of training, and others.

    Raises
    ------
    BadParameters
        Another name is so near to a known one that it must be a slip.
    """
    dataset = values.setdefault("dataset", "fashion")
    loading = LOADING | (options_of(dataset).keys() if dataset in available_datasets() else set())
    others = values.keys() - loading - TRAINING
    for name in others:  # the chapters have parameters that training does not know
        if near := did_you_mean(name, loading | TRAINING, cutoff=0.8):
            raise BadParameters(f"{path}: training has no parameter {name!r}; {near}")
    return [
        {name: value for name, value in values.items() if name in part}
        for part in (loading, TRAINING, others)
    ]


def train_file(path: Path, overrides: list, runs: Path, device: str | None = None) -> Run:
    """Train with the parameters of a file, or return the run that is there.

    Under torchrun every process calls this, and the first one reports.

    Parameters
    ----------
    path : Path
        A parameter file.
    overrides : list of (name, text)
        Parameters in place of the file's own.
    runs : Path
        The folder around the run folder.
    device : str or None, default None
        "cuda", "mps" or "cpu"; None takes the fastest.
    """
    if "LOCAL_RANK" in os.environ:
        device = processes.join(device)
    first, values = processes.is_first(), read_parameters(path, overrides)
    loading, training, others = sort_out(path, values)
    if others and first:
        print(f"not used in training: {', '.join(map(str, others))}")
    if not first:
        processes.wait()  # the first downloads and decodes, the others find it done
    # The configuration is made first, so that what it refuses is refused before a download.
    images = load_images(loading.pop("dataset"), size=TrainConfig(**training).image_size, **loading)
    if first:
        processes.wait()
    folder = runs / run_name(path, overrides, values) / "dcgan"
    check_folder(folder)
    return train(images, TrainConfig(channels=images.channels, **training), folder, device=device)


def main(file: Path, overrides: list, runs: Path, device: str | None = None) -> None:
    """Train; the program ends with 2 where the run is refused, and with 1 where it fails."""
    rank = int(os.environ.get("RANK", 0))
    who = f"process {rank}: " if rank else ""
    try:
        run = train_file(file, overrides, runs, device)
        print(f"trained: {run.dir}\n" * (rank == 0), end="")
    except (ValueError, TypeError, FileNotFoundError, NotADirectoryError) as error:
        raise BadParameters(f"{who}{error}") from error
    except (RuntimeError, OSError, MemoryError, FloatingPointError) as error:
        sys.exit(f"{who}{error}")
    finally:
        processes.leave()

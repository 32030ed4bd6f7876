"""Records: what was measured, on what, so that every number in the book can be traced."""

import json
import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dcgan_lib.utils.files import write_atomically

VERSIONS_OF = ("dcgan_lib", "torch", "torchvision", "numpy", "scikit-learn")


def write_record(path, record):
    """Write a dict of plain values as JSON; the file is whole or not there."""
    write_atomically(path, lambda file: file.write((json.dumps(record, indent=1) + "\n").encode()))


def read_record(path):
    """Read what `write_record` wrote, or what stands in `results/`."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no record at {path}; the run that writes it has not been made"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} is not a whole JSON record; delete it and run again") from error


def results_folder():
    """The folder of committed records: `results/` in a checkout, a copy of it in an installed package."""
    here = Path(__file__).parent
    return next(
        folder for folder in (here / "_results", here.parent / "results") if folder.is_dir()
    )


@cache
def published():
    """The figures that the two papers, and the paper they rebuild, published, each with its source (dict)."""
    return read_record(results_folder() / "published.json")


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def environment():
    """Versions and device of this process, as a dict for a record."""
    from dcgan_lib.utils.device import default_device, device_name

    device = default_device()
    return {
        "python": platform.python_version(),
        **{package: _version(package) for package in VERSIONS_OF},
        "device": device,
        "device_name": device_name(device),
        "cpu_count": os.cpu_count(),
        "system": sys.platform,
    }


def device_report():
    """One line for a reader: which device training will use, and what that means."""
    import torch

    from dcgan_lib.utils.device import default_device, has_bf16

    device = default_device()
    precision = "bf16" if has_bf16(device) else "fp32"
    if device == "cuda":
        gpu = torch.cuda.get_device_properties(0)
        return f"GPU found: {gpu.name}, {gpu.total_memory / 2**30:.0f} GiB. Convolutions run in {precision}."
    if device == "mps":
        return f"GPU found: Apple's, through Metal. Convolutions run in {precision}."
    return f"No GPU found: training uses {torch.get_num_threads()} CPU threads, convolutions run in {precision}."

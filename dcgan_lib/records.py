"""Records: what was measured, on what, so that every number in the book can be traced."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from dcgan_lib import __version__
from dcgan_lib.utils.files import write_atomically

HERE = Path(__file__).parent
# The committed records lie beside the package in a checkout, and inside it once it is installed.
RESULTS = HERE / "_results" if (HERE / "_results").is_dir() else HERE.parent / "results"


def write_record(path: str | os.PathLike, record: dict | list) -> None:
    """Write plain values as JSON; the file is whole or not there.

    Parameters
    ----------
    path : str or path
        Where the file goes. What was there before is replaced.
    record : dict or list
        Numbers, strings, None, and dicts and lists of these.

    Raises
    ------
    TypeError
        A value in the record is not plain, such as a tensor.
    OSError
        The file cannot be written; what was there before is unchanged.

    Examples
    --------
    >>> write_record("accuracy.json", {"method": "KNN", "accuracy": 0.95})  # doctest: +SKIP
    """
    write_atomically(path, lambda file: file.write((json.dumps(record, indent=1) + "\n").encode()))


def read_record(path: str | os.PathLike) -> dict | list:
    """Read a record that `write_record` wrote, or one of the committed ones by its name.

    Parameters
    ----------
    path : str or path
        A file that ends in ".json", or the name of a record in the book's `results/`.

    Raises
    ------
    FileNotFoundError
        There is no such record.
    ValueError
        The file is not whole, or no JSON.

    Examples
    --------
    >>> sorted(read_record("published"))
    ['about', 'devices', 'gomez', 'singh']
    """
    path = Path(path) if str(path).endswith(".json") else RESULTS / f"{path}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no record at {path}; the run that writes it has not been made"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} is not a whole JSON record; delete it and run again") from error


def published() -> dict:
    """The figures that the two papers, and the paper they rebuild, published, with their sources.

    Examples
    --------
    >>> published()["gomez"]["hyperparameters"]["epochs"]
    100
    """
    return dict(read_record("published"))


def _commit():
    """The commit of the checkout that holds this package; None where there is none, or no git."""
    command = ["git", "log", "-1", "--first-parent", "--format=%H", "--", "."]  # tracked files only
    try:
        return (
            subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True).stdout.strip()
            or None
        )
    except OSError:
        return None


def environment() -> dict:
    """Versions, commit and device of this process, for a record.

    Examples
    --------
    >>> environment()["device"]  # doctest: +SKIP
    'cpu'
    """
    from dcgan_lib.utils.device import default_device, device_name

    device = default_device()
    return {
        "python": platform.python_version(),
        "dcgan_lib": __version__,
        "commit": _commit(),
        **{name: version(name) for name in ("torch", "torchvision", "numpy", "scikit-learn")},
        "device": device,
        "device_name": device_name(device),
        "cpu_count": os.cpu_count(),
        "system": sys.platform,
    }


def device_report() -> str:
    """Say in one line which device training will use, and in which number format.

    Examples
    --------
    >>> print(device_report())  # doctest: +SKIP
    No GPU found: training uses 2 CPU threads, convolutions run in fp32.
    """
    import torch

    from dcgan_lib.utils.device import autocast_dtype, default_device, device_name

    device = default_device()
    half = {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(autocast_dtype("auto", device))
    convolutions = f"convolutions run in {half or 'fp32'}."
    if device == "cpu":
        return f"No GPU found: training uses {torch.get_num_threads()} CPU threads, {convolutions}"
    memory = torch.cuda.get_device_properties(0).total_memory if device == "cuda" else 0
    gpu = f"{device_name(device)}, {memory / 2**30:.0f} GiB" if memory else "Apple's, through Metal"
    return f"GPU found: {gpu}; {convolutions}"

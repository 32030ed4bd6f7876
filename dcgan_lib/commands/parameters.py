"""The parameters of a run: read from a file, and checked before anything runs.

There are no rules in here. Whatever would refuse a value later, perhaps hours later, is asked now:
`load_images`, `TrainConfig`, the networks, the recipes, the table, and the run folder itself.
"""

import re
import tempfile
from dataclasses import fields
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path

import torch
import yaml

from dcgan_lib import (
    ImageSet,
    KMeansFeatures,
    TrainConfig,
    classification_table,
    describe_datasets,
    feature_size,
    load_images,
)
from dcgan_lib.training.batches import Batches
from dcgan_lib.training.run import RunFolder

# The fields of a configuration that a user may set. The images decide how many channels there are.
TRAINING = {field.name for field in fields(TrainConfig)} - {"channels"}


class BadParameters(ValueError):
    """Parameters that cannot be used. The text is a sentence for the user; nothing has been run."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes 2e-4 for text, as it has no dot. Here it is a number, as in YAML 1.2."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)$"),
    list("-+.0123456789"),
)


def read_parameters(path: Path, overrides: list = ()) -> dict:
    """Read a parameter file, and put what the command line says in place of its values.

    A relative `root` or `table_root` counts from the folder in which the command was started. It
    becomes absolute, because a notebook is executed in another folder.

    Parameters
    ----------
    path : Path
        A YAML file of lines `name: value`.
    overrides : list of (name, text), default ()
        The text is YAML as well: "5" is a number, and "null" is None.

    Returns
    -------
    dict
        Name -> value.

    Raises
    ------
    BadParameters
        The file cannot be read, or it or an override is not of this form.

    Examples
    --------
    >>> read_parameters(Path("params/digits.yaml"), [("lr", "1e-4")])
    {'dataset': 'digits', 'seed': 0, 'lr': 0.0001}
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
        values |= {name: yaml.load(text, _Loader) for name, text in overrides}
    except OSError as error:
        raise BadParameters(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise BadParameters(
            f"{path} and -p must give `name: value` in YAML: {' '.join(str(error).split())}"
        ) from None
    folders = [name for name in ("root", "table_root") if isinstance(values.get(name), str)]
    return values | {name: str(Path(values[name]).expanduser().absolute()) for name in folders}


def run_name(path: Path, overrides: list, values: dict) -> str:
    """Name a run folder after the file and every override, so that no two runs share one.

    What cannot stand in the name of a folder, such as a path, is replaced by digits of its hash.

    Parameters
    ----------
    path : Path
        The parameter file.
    overrides : list of (name, text)
        What the command line says.
    values : dict
        What `read_parameters` made of both.

    Examples
    --------
    >>> run_name(Path("params/digits.yaml"), [("kernel_size", "5")], {"kernel_size": 5})
    'digits,kernel_size=5'
    """

    def plain(text):
        return (
            text if re.fullmatch(r"[\w.+-]{1,40}", text) else sha256(text.encode()).hexdigest()[:8]
        )

    changes = [f"{plain(name)}={plain(str(values[name]))}" for name in sorted(dict(overrides))]
    return ",".join([path.stem, *changes])


def did_you_mean(name: str, known: dict | set, cutoff: float = 0.6) -> str:
    """Say "did you mean NAME? " where a known name is near, else nothing."""
    near = get_close_matches(str(name), known, 1, cutoff)
    return f"did you mean {near[0]}? " if near else ""


def check_run(settings: dict, folder: Path, download: bool) -> None:
    """Ask everything that the chapters will meet whether it takes these settings.

    Images that are on the disk are decoded here, and lie in the cache when the chapters load them.

    Parameters
    ----------
    settings : dict
        Every parameter of the chapters with its value.
    folder : Path
        The run folder. It may be missing, or hold the same run, perhaps of fewer epochs.
    download : bool
        Whether images may be fetched. If not, what depends on images that are yet to be fetched
        is not asked.

    Raises
    ------
    ValueError, TypeError, RuntimeError, OSError, MemoryError
        With the sentence of whatever refuses.
    """
    own = {"size": settings["image_size"], "crop": settings["crop"], "download": download}
    images = _load(settings["dataset"], root=settings["root"], limit=settings.get("limit"), **own)
    config = TrainConfig(
        channels=images.channels if images else 3,
        **{name: settings[name] for name in TRAINING & settings.keys()},
    )
    with torch.device("meta"):  # shapes without numbers
        feature_size(config.networks()[1], settings.get("recipe", "last"))
    if images:
        batches = Batches(images, config, torch.device("cpu"))
        RunFolder(folder / "dcgan", images, config, "cpu", batches.per_epoch).is_finished()
    if "per_class" in settings:
        _check_table(settings, own)


def _load(name: str, *, download: bool, **arguments) -> ImageSet | None:
    """The images, or None where they are yet to be downloaded."""
    try:
        return load_images(name, download=download, **arguments)
    except (FileNotFoundError, RuntimeError):
        arrival = {row["name"]: row["get"] for row in describe_datasets()}
        if download or not arrival[name].startswith("downloaded"):
            raise


def _check_table(settings: dict, own: dict) -> None:
    """Make a table in small: one draw, the base rate, one test image, and k-means of one image."""
    whose = "table_" if settings.get("table_dataset") else ""
    where = {"root": settings[f"{whose}root"], **own}
    labelled = _load(settings[f"{whose}dataset"], limit=settings["table_images"], **where)
    test = _load(settings[f"{whose}dataset"], split="test", **where)
    if labelled and test:
        classification_table(
            labelled,
            test.subset([0]),
            methods=["majority class"],
            per_class=(settings["per_class"],),
            draws=min(settings.get("draws", 1), 1),
            seed=settings["seed"],
            progress=False,
        )
        KMeansFeatures(min(settings.get("centroids", 1), 1)).fit(labelled.subset([0]))


def check_folder(folder: Path) -> None:
    """Make a run folder; BadParameters where nothing can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise BadParameters(
            f"the run folder {folder} cannot be written ({error.strerror}); "
            "choose another place with --runs"
        ) from None

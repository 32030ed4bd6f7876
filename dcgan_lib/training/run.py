"""A run: its configuration, and the folder with what training leaves there, reads again, and refuses."""

import csv
import io
import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dcgan_lib.data.pixels import to_uint8
from dcgan_lib.models import Discriminator, Generator
from dcgan_lib.utils import files as checkpoint
from dcgan_lib.utils.locks import locked

METRICS = ("loss_d", "loss_g", "d_real", "d_fake_before", "d_fake_after")
COLUMNS = ("epoch", *METRICS, "images_per_second")
GRID = 8  # the sample picture is GRID x GRID


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides a run, apart from the images. The defaults are those of both papers.

    Parameters
    ----------
    image_size, channels, latent_dim, width, kernel_size
        As in `Generator` and `Discriminator`.
    batch_size : int
        Images in the real batch and in the generated batch; a last, smaller batch is dropped.
    epochs : int
        Passes over the images: 100 in gomez, 10 in singh.
    lr : float
        Learning rate of both Adam optimizers.
    betas : tuple of two floats
        Adam's decay rates.
    seed : int
        Decides the initial weights, the order of the images and every latent vector.
    precision : {"auto", "fp32", "bf16"}
        Number format of the convolutions. "auto" takes bf16 where the hardware has it; elsewhere fp32, or TF32 on a
        GPU that has it. "fp32" is never less than that. Weights, losses and optimizer states are fp32 always.
    flip : bool
        Mirror each real image with a probability of one half.
    d_steps : int
        Updates of the discriminator for one of the generator, each with a batch of its own (Goodfellow et al. 2014,
        Algorithm 1).
    real_label : float
        The discriminator's target for real images; 0.9 is one-sided label smoothing (Salimans et al. 2016, 3.4).
    weight_decay : float
        L2 penalty on the weights of both networks; 1e-5 in the program of Radford et al.
    latents : {"normal", "uniform"}
        N(0, 1), or uniform in [-1, 1] as in Radford et al.
    ema : float
        Decay of a moving average of the generator's weights and BatchNorm statistics, which is then the one that
        draws samples; 0.999 averages over about the last thousand steps, 0 keeps none.
    """

    image_size: int = 64
    channels: int = 3
    latent_dim: int = 100
    width: int = 64
    kernel_size: int = 4
    batch_size: int = 128
    epochs: int = 100
    lr: float = 2e-4
    betas: tuple = (0.5, 0.999)
    seed: int = 0
    precision: str = "auto"
    flip: bool = False
    d_steps: int = 1
    real_label: float = 1.0
    weight_decay: float = 0.0
    latents: str = "normal"
    ema: float = 0.0

    def __post_init__(self):
        for name, choices in (
            ("precision", ("auto", "fp32", "bf16")),
            ("latents", ("normal", "uniform")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}"
                )
        for name, least in (("batch_size", 2), ("epochs", 1), ("d_steps", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(
                    f"{name} is {value!r}; it must be a whole number of at least {least}"
                )
        for name, low, high in (
            ("real_label", 0.5, 1),
            ("ema", 0, 0.999999),
            ("weight_decay", 0, 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; it must lie from {low} to {high}"
                )
        object.__setattr__(self, "betas", tuple(self.betas))

    def networks(self):
        """A new generator and discriminator with this configuration's initial weights."""
        size = (self.width, self.kernel_size)
        return (
            Generator(self.image_size, self.channels, self.latent_dim, *size, seed=self.seed),
            Discriminator(self.image_size, self.channels, *size, seed=self.seed),
        )


@dataclass
class Run:
    """A finished training run.

    Attributes
    ----------
    generator, discriminator : Module
        On the CPU, in evaluation mode. With `config.ema` the generator is the averaged one.
    config : TrainConfig
    history : dict of arrays
        One entry a training step in each of `epoch`, `loss_d`, `loss_g`, `d_real`, `d_fake_before`, `d_fake_after`
        and `images_per_second` (measured over the steps around it).
    dir : Path
        The run folder.
    """

    generator: Generator
    discriminator: Discriminator
    config: TrainConfig
    history: dict
    dir: Path

    @classmethod
    def load(cls, run_dir):
        """The run that `train` left in a folder; FileNotFoundError where none is finished."""
        run_dir = Path(run_dir)
        if not (run_dir / "config.json").exists():
            raise FileNotFoundError(
                f"no run in {run_dir}: train(images, config, {str(run_dir)!r}) makes one"
            )
        config = TrainConfig(**read_setting(run_dir)["config"])
        if not (run_dir / "weights.pt").exists():
            raise FileNotFoundError(
                f"the run in {run_dir} is not finished: call train with it again, and it goes on"
            )
        weights = checkpoint.load(run_dir / "weights.pt")
        generator, discriminator = config.networks()
        generator.load_state_dict(weights["generator"])
        discriminator.load_state_dict(weights["discriminator"])
        table = np.loadtxt(run_dir / "history.csv", delimiter=",", skiprows=1, ndmin=2)
        history = dict(zip(COLUMNS, table.T))
        return cls(generator.eval(), discriminator.eval(), config, history, run_dir)

    def samples(self):
        """Images from the same 64 latents after every epoch: uint8 (epochs + 1, 64, C, H, W), untrained first."""
        size, pictures = self.config.image_size, []
        for epoch in range(self.config.epochs + 1):
            with Image.open(_sample_path(self.dir, epoch)) as picture:
                pixels = torch.from_numpy(np.array(picture)).reshape(GRID, size, GRID, size, -1)
            pictures.append(pixels.permute(0, 2, 4, 1, 3).flatten(0, 1))
        return torch.stack(pictures)


def read_setting(run_dir):
    """What config.json says of a run: configuration, data, device, versions."""
    try:
        return json.loads((run_dir / "config.json").read_text())
    except ValueError as error:
        raise ValueError(
            f"{run_dir / 'config.json'} is damaged; delete the folder to start afresh"
        ) from error


def setting_of(images, config, device):
    """What config.json will say."""
    return {
        "config": json.loads(json.dumps(asdict(config))),
        "data": {"name": images.name, "fingerprint": images.fingerprint, "images": len(images)},
        "device": str(device),
        "torch": torch.__version__,
    }


def refuse_another_run(run_dir, setting, resume):
    """Raise where a folder holds a run that is not this one; read only. More epochs than there are no difference."""
    if not (run_dir / "config.json").exists():
        if (run_dir / "weights.pt").exists() or (run_dir / "checkpoint.pt").exists():
            raise ValueError(
                f"{run_dir} has weights but no config.json, so nothing tells what they are; "
                "choose another folder"
            )
        return
    if not resume:
        raise FileExistsError(
            f"{run_dir} holds a run already; choose another folder, or resume=True to go on"
        )
    if not any((run_dir / name).exists() for name in ("checkpoint.pt", "weights.pt")):
        return  # nothing was trained yet
    theirs = read_setting(run_dir)
    defaults = {
        field.name: field.default for field in fields(TrainConfig)
    }  # of a field younger than the run
    differing = [
        f"{part}.{name}: {there!r} there, {value!r} here"
        for part in ("config", "data")
        for name, value in setting[part].items()
        if (there := theirs[part].get(name, defaults.get(name))) != value
        and not (name == "epochs" and value > there)
    ]
    if differing:
        raise ValueError(
            f"{run_dir} holds a run of another configuration ({'; '.join(differing)}); "
            "choose another folder for this one"
        )


def write_setting(run_dir, setting):
    """Make the folder and write config.json."""
    (run_dir / "samples").mkdir(parents=True, exist_ok=True)
    text = json.dumps(setting, indent=1)
    checkpoint.write_atomically(run_dir / "config.json", lambda file: file.write(text.encode()))


def write_history(run_dir, table):
    """history.csv: one line a step, from a tensor with the columns of `COLUMNS`."""

    def write(file):
        text = io.TextIOWrapper(file, newline="", write_through=True)
        rows = csv.writer(text)
        rows.writerow(COLUMNS)
        rows.writerows([int(epoch), *(f"{x:.6g}" for x in row)] for epoch, *row in table.tolist())
        text.detach()

    checkpoint.write_atomically(run_dir / "history.csv", write)


def _sample_path(run_dir, epoch):
    return run_dir / "samples" / f"epoch_{epoch:03d}.png"


def write_samples(run_dir, epoch, images):
    """GRID x GRID images in [-1, 1] as one picture, without gaps, so that `Run.samples` can cut it again."""
    pixels, size, channels = to_uint8(images), images.shape[2], images.shape[1]
    picture = (
        pixels.unflatten(0, (GRID, GRID))
        .permute(0, 3, 1, 4, 2)
        .reshape(GRID * size, GRID * size, channels)
    )
    picture = Image.fromarray(picture.squeeze(2).numpy())
    checkpoint.write_atomically(
        _sample_path(run_dir, epoch), lambda file: picture.save(file, "PNG")
    )


@contextmanager
def only_writer(run_dir):
    """Hold the run folder, so that no second program trains in it; the system lets go of it even after kill -9."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with locked(run_dir, wait=False) as ours:
        if ours is False:
            raise ValueError(
                f"another program is training in {run_dir}; wait for it, end it, or choose another folder"
            )
        for part in run_dir.glob(".*.part"):  # of a program that was killed while it wrote
            part.unlink()
        yield

"""A run: the folder that training leaves, what is read from it again, and what is refused."""

import json
import signal
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from dcgan_lib.data.image_set import ImageSet
from dcgan_lib.data.pixels import to_uint8
from dcgan_lib.models import Discriminator, Generator
from dcgan_lib.sampling import sample
from dcgan_lib.training import health
from dcgan_lib.training.config import TrainConfig
from dcgan_lib.training.fast import processes
from dcgan_lib.utils import files
from dcgan_lib.utils.locks import only_process

COLUMNS = ("epoch", *health.METRICS, "images_per_second")  # of the history
GRID = 8  # the sample picture is GRID x GRID images
READ_EVERY = 50  # steps between two looks at the metrics: to look is to wait for the device
SAVE_EVERY = 60  # seconds between two checkpoints, at least


@dataclass
class Run:
    """A finished training run.

    Attributes
    ----------
    generator, discriminator : Module
        On the CPU, in evaluation mode. With `config.ema` the generator is the averaged one.
    config : TrainConfig
    history : dict of arrays
        One entry for each training step in `epoch`, `loss_d`, `loss_g`, `d_real`, `d_fake_before`,
        `d_fake_after` and `images_per_second` (measured over the steps around it).
    dir : Path
        The run folder.

    Examples
    --------
    >>> run = Run.load("runs/digits/dcgan")  # doctest: +SKIP
    >>> run.samples().shape  # doctest: +SKIP
    torch.Size([41, 64, 1, 32, 32])
    """

    generator: Generator
    discriminator: Discriminator
    config: TrainConfig
    history: dict[str, np.ndarray]
    dir: Path

    @classmethod
    def load(cls, run_dir: str | Path) -> "Run":
        """Load the run that `train` left in a folder.

        Raises
        ------
        FileNotFoundError
            There is no run in the folder, or it is not finished.
        ValueError
            A file of the run is damaged, or was written by a newer version.
        """
        run_dir = Path(run_dir)
        if not (run_dir / "config.json").exists():
            raise FileNotFoundError(
                f"no run in {run_dir}: train(images, config, {str(run_dir)!r}) makes one"
            )
        config, _ = _read_setting(run_dir)
        if not (run_dir / "weights.pt").exists():
            raise FileNotFoundError(
                f"the run in {run_dir} is not finished: call train with it again, and it goes on"
            )
        weights = files.load(run_dir / "weights.pt")
        config = replace(config, epochs=weights.get("epochs", config.epochs))
        generator, discriminator = config.networks()
        generator.load_state_dict(weights["generator"])
        discriminator.load_state_dict(weights["discriminator"])
        history = _read_history(run_dir / "history.csv", config.epochs)
        return cls(generator.eval(), discriminator.eval(), config, history, run_dir)

    def samples(self) -> torch.Tensor:
        """Images from the same 64 latents after every epoch, the untrained generator's first.

        Returns
        -------
        Tensor of shape (epochs + 1, 64, C, H, W)
            uint8.

        Raises
        ------
        ValueError
            A sample picture is missing or damaged; the sentence names it.
        """
        size, pictures = self.config.image_size, []
        for epoch in range(self.config.epochs + 1):
            path = _sample_path(self.dir, epoch)
            try:
                with Image.open(path) as picture:
                    pixels = torch.tensor(np.array(picture)).reshape(GRID, size, GRID, size, -1)
            except (OSError, RuntimeError, SyntaxError) as error:
                raise ValueError(f"{path} is missing or damaged ({error}); train anew") from error
            pictures.append(pixels.permute(0, 2, 4, 1, 3).flatten(0, 1))
        return torch.stack(pictures)


def run_folder(images: ImageSet, config: TrainConfig, runs: str | Path = "runs") -> Path:
    """Name the folder of a run after its data and its settings, so that no two runs share one.

    Parameters
    ----------
    images : ImageSet
    config : TrainConfig
        The number of epochs is left out, so that a run can be trained for longer.
    runs : path, default "runs"
        The folder around it.

    Returns
    -------
    Path
        Such as runs/digits-32px-1a2b3c4d. The folder is not made.

    Examples
    --------
    >>> from dcgan_lib import load_images
    >>> run_folder(load_images("digits"), TrainConfig(image_size=32, channels=1)).parent
    PosixPath('runs')
    """
    settings = {**asdict(config), "epochs": None, "fingerprint": images.fingerprint}
    digest = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return Path(runs) / f"{images.name}-{config.image_size}px-{digest[:8]}"


class RunFolder(ExitStack):
    """The folder of a run while it is trained: held, resumed, written to and, in the end, finished.

    Nothing in it is lost before its successor is whole: files are replaced at once or not at all,
    and a finished run that is trained for more epochs stays as it is until they are done. At the
    end of the `with` the folder is free again, and signals do what they did before.

    Parameters
    ----------
    path : path
    images : ImageSet
    config : TrainConfig
    device : torch.device
    steps_per_epoch : int
    resume, progress : bool, default True
        As in `train`.
    """

    def __init__(self, path, images, config, device, steps_per_epoch, resume=True, progress=True):
        super().__init__()
        self.path, self.config, self.resume = Path(path), config, resume
        self.steps_per_epoch, self.total = steps_per_epoch, config.epochs * steps_per_epoch
        self.setting = {
            "config": asdict(config),
            "data": {"name": images.name, "fingerprint": images.fingerprint, "images": len(images)},
            "device": str(device),
            "torch": torch.__version__,
        }
        self.writes, self.progress = processes.is_first(), progress
        self.history, self.unread = torch.empty(0, len(COLUMNS), dtype=torch.float64), []

    def claim(self):
        """Hold the folder, so that no other program trains here; False if all is done already.

        The folder is looked at before, as nothing is changed for a finished run, and again after.
        """
        processes.check_joined()
        unfinished = processes.in_any(not self.is_finished())
        if unfinished and self.writes:
            self.path.mkdir(parents=True, exist_ok=True)
            self.enter_context(only_process(self.path))
            for part in self.path.glob(".*.part"):  # of a program that was killed while it wrote
                part.unlink()
        processes.wait()
        return unfinished and processes.in_any(not self.is_finished())

    def is_finished(self):
        """Whether a run of these epochs is finished here; another run in the folder is refused."""
        weights, checkpoint, setting = (
            (self.path / name).exists() for name in ("weights.pt", "checkpoint.pt", "config.json")
        )
        if (weights or checkpoint) and not setting:
            raise ValueError(
                f"{self.path} has weights but no config.json, so nothing tells what they are; "
                "choose another folder"
            )
        if setting and not self.resume:
            raise FileExistsError(
                f"{self.path} holds a run already; choose another folder, or resume=True to go on"
            )
        if not (weights or checkpoint):
            return False
        config, data = _read_setting(self.path)
        differing = [
            f"{part}.{name}: {there.get(name)!r} there, {here!r} here"
            for part, there in (("config", asdict(config)), ("data", data))
            for name, here in self.setting[part].items()
            if there.get(name) != here and not (name == "epochs" and here > there[name])
        ]
        if differing:
            raise ValueError(
                f"{self.path} holds a run of another configuration ({'; '.join(differing)}); "
                "choose another folder for this one"
            )
        if not weights:
            return False
        epochs = files.load(self.path / "weights.pt").get("epochs", config.epochs)
        if epochs < self.config.epochs and not checkpoint:
            raise ValueError(
                f"{self.path} is finished and has no checkpoint.pt from which more epochs could "
                "go on; choose another folder"
            )
        return epochs == self.config.epochs

    def begin(self, average, generator, discriminator, opt_g, opt_d, scaler):
        """Load the last checkpoint if there is one; returns the first step to take.

        From here on Ctrl-C and SIGTERM are noted, and stop the training after a whole step.

        Parameters
        ----------
        average : Generator
            Draws the sample pictures; it may be the generator that is trained.
        generator, discriminator, opt_g, opt_d, scaler : Module, Optimizer, GradScaler
            What is trained, and kept in the checkpoint.
        """
        self.average, self.interrupts = average, []
        self.networks = {"generator": generator, "discriminator": discriminator}
        if average is not generator:
            self.networks["average"] = average
        self.optimizers, self.scaler = {"opt_g": opt_g, "opt_d": opt_d}, scaler
        with suppress(ValueError):  # signals reach the main thread alone
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(
                    number, lambda n, _: self.interrupts.append(signal.Signals(n).name)
                )
                self.callback(signal.signal, number, before)
        if (self.path / "checkpoint.pt").exists():
            saved = files.load(self.path / "checkpoint.pt")
            self.history = saved["history"]
            if len(self.history) > self.total:
                raise ValueError(
                    f"{self.path} was trained for {len(self.history)} steps already, more than the "
                    f"{self.total} of epochs={self.config.epochs}; choose more, or another folder"
                )
            for name, network in self.networks.items():
                network.load_state_dict(saved[name])
            for name, optimizer in self.optimizers.items():  # its settings are the configuration's
                optimizer.load_state_dict({**optimizer.state_dict(), "state": saved[name]})
            if saved.get("scaler"):  # not where the checkpoint is of another number format
                self.scaler.load_state_dict(saved["scaler"])
        elif self.writes:
            (self.path / "samples").mkdir(exist_ok=True)
            self._write_setting()
            self._draw(0)
        self.bar = self.enter_context(
            tqdm(
                total=self.total,
                initial=len(self.history),
                disable=not (self.progress and self.writes),
                unit="step",
                mininterval=0.5,
                dynamic_ncols=True,
            )
        )
        self.saved_at = self.clock = time.perf_counter()
        return len(self.history)

    def log(self, step: int, metrics: torch.Tensor) -> None:
        """Take note of a step's metrics; draw, save or stop where it is due.

        Raises
        ------
        FloatingPointError, TrainingFailed
            As in `train`.
        KeyboardInterrupt
            After Ctrl-C or SIGTERM, when all is saved.
        """
        epoch = step // self.steps_per_epoch + 1
        epoch_ends = step + 1 == epoch * self.steps_per_epoch
        self.unread.append(metrics)
        self.bar.set_description(f"epoch {epoch}/{self.config.epochs}", refresh=False)
        self.bar.update()
        # Several processes stop together. On GPUs they ask each other only when they meet to read,
        # because to ask is to wait.
        may_ask = processes.count() == 1 or metrics.device.type == "cpu"
        stop_now = may_ask and processes.in_any(self.interrupts)
        if not (epoch_ends or len(self.unread) == READ_EVERY or stop_now):
            return
        self._read(epoch)
        stop = processes.in_any(self.interrupts)
        if epoch_ends and self.writes:
            self._draw(epoch)
        due = time.perf_counter() - self.saved_at > SAVE_EVERY
        if processes.in_any(stop or step == self.total - 1 or due):
            self._save()
        if stop:
            signals = " and ".join(self.interrupts) or "another process"
            raise KeyboardInterrupt(
                f"stopped by {signals} after step {step + 1} of {self.total}; the same call goes "
                "on from there"
            )
        self.clock = time.perf_counter()  # pictures and checkpoints are not training time

    def finish(self, discriminator):
        """Write the final weights; from now on the run is this one."""
        if self.writes:
            files.save(
                self.path / "weights.pt",
                {
                    "generator": self.average.state_dict(),
                    "discriminator": discriminator.state_dict(),
                    "epochs": self.config.epochs,
                },
            )
            self._write_setting()
        processes.wait()  # until the weights are written

    def _read(self, epoch):
        """Move the unread metrics from the device to the history, and see whether all is well."""
        rows = processes.mean(torch.stack(self.unread)).tolist()
        seen = len(rows) * self.config.batch_size * self.config.d_steps
        speed = seen / (time.perf_counter() - self.clock)
        table = torch.tensor([[epoch, *row, speed] for row in rows], dtype=torch.float64)
        self.history = torch.cat([self.history, table])
        self.unread.clear()
        health.check_metrics(self.history, self.config, self.path)
        loss_d, loss_g, *_ = rows[-1]
        self.bar.set_postfix_str(
            f"loss D {loss_d:.2f}, G {loss_g:.2f}, {speed:.0f} images/s", refresh=False
        )

    def _save(self):
        weights = torch.nn.ModuleDict(self.networks).state_dict().values()
        if not all(values.isfinite().all() for values in weights):
            raise health.not_a_number("weight", self.history, self.config, self.path)
        if self.writes:
            style = dict(fmt=["%d", *["%.6g"] * (len(COLUMNS) - 1)], delimiter=",", comments="")
            files.write_atomically(
                self.path / "history.csv",
                lambda file: np.savetxt(file, self.history, header=",".join(COLUMNS), **style),
            )
            # The checkpoint is written last, so that no other file is ever behind it.
            state = {name: network.state_dict() for name, network in self.networks.items()}
            state |= {name: adam.state_dict()["state"] for name, adam in self.optimizers.items()}
            state |= {"scaler": self.scaler.state_dict(), "history": self.history}
            files.save(self.path / "checkpoint.pt", state)
        self.saved_at = time.perf_counter()

    def _draw(self, epoch):
        """Images of the fixed latents, as one picture that `Run.samples` can cut again."""
        pixels = to_uint8(sample(self.average, GRID**2, self.config.seed))
        # (row, column, channel, y, x) to (row, y, column, x, channel)
        rows = pixels.unflatten(0, (GRID, GRID)).permute(0, 3, 1, 4, 2)
        picture = rows.flatten(0, 1).flatten(1, 2).squeeze(2).numpy()
        files.write_atomically(
            _sample_path(self.path, epoch), lambda file: Image.fromarray(picture).save(file, "PNG")
        )

    def _write_setting(self):
        files.write_atomically(
            self.path / "config.json",
            lambda file: file.write(json.dumps(self.setting, indent=1).encode()),
        )


def _read_setting(run_dir):
    """The configuration of a run, and the name and fingerprint of its data, from config.json."""
    path = run_dir / "config.json"
    try:
        setting = json.loads(path.read_text())
        values, data = dict(setting["config"]), dict(setting["data"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged; delete the folder to start afresh") from error
    if unknown := sorted(values.keys() - asdict(TrainConfig())):
        raise ValueError(f"{run_dir} was written by a newer dcgan_lib: it has {', '.join(unknown)}")
    return TrainConfig(**values), data


def _read_history(path, epochs):
    try:
        table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
        table = table[table[:, 0] <= epochs]  # more are there after an extension that was stopped
        return dict(zip(COLUMNS, table.T, strict=True))
    except (OSError, ValueError, IndexError) as error:
        raise ValueError(f"{path} is missing or damaged ({error}); train anew") from error


def _sample_path(run_dir, epoch):
    return run_dir / "samples" / f"epoch_{epoch:03d}.png"

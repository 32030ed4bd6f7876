"""A run: the folder that training leaves, what is read from it again, and what is refused."""

import json
import signal
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from dcgan_lib.data.image_set import ImageSet
from dcgan_lib.data.pixels import to_uint8
from dcgan_lib.models import Discriminator, Generator
from dcgan_lib.sampling import sample
from dcgan_lib.training import health
from dcgan_lib.training.config import TrainConfig
from dcgan_lib.training.fast import processes
from dcgan_lib.training.fast.memory import give_back_freed_memory
from dcgan_lib.utils import files
from dcgan_lib.utils.locks import only_process

COLUMNS = ("epoch", *health.METRICS, "images_per_second")  # of the history
GRID = 8  # the sample picture is GRID x GRID images
READ_EVERY = (
    50  # steps between two looks at the metrics: each look makes the host wait for the device
)
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
            example = f"train(images, config, {str(run_dir)!r})"
            raise FileNotFoundError(f"no run in {run_dir}: {example} makes one")
        values = _read_setting(run_dir)["config"]
        if unknown := sorted(values.keys() - {field.name for field in fields(TrainConfig)}):
            names = ", ".join(unknown)
            raise ValueError(f"{run_dir} was written by a newer dcgan_lib: it has {names}")
        config = TrainConfig(**values)
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

    def samples(self) -> Tensor:
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
                    pixels = torch.from_numpy(np.array(picture))
                pixels = pixels.reshape(GRID, size, GRID, size, -1)
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


class RunFolder:
    """The folder of a run while it is trained: held, resumed, written to and, in the end, finished.

    Nothing in it is lost before its successor is whole: files are replaced at once or not at all,
    and a finished run that is trained for more epochs stays as it is until they are done.

    Parameters
    ----------
    path : path
    images : ImageSet
    config : TrainConfig
    device : torch.device
    steps_per_epoch : int
    resume, progress : bool
        As in `train`.
    """

    def __init__(self, path, images, config, device, steps_per_epoch, resume, progress):
        self.path, self.config, self.resume_allowed = Path(path), config, resume
        self.steps_per_epoch = steps_per_epoch
        self.total = config.epochs * steps_per_epoch
        self.setting = {
            "config": json.loads(json.dumps(asdict(config))),
            "data": {"name": images.name, "fingerprint": images.fingerprint, "images": len(images)},
            "device": str(device),
            "torch": torch.__version__,
        }
        self.writes = processes.is_first()
        self.shows_progress = progress and self.writes
        self.history, self.unread = torch.empty(0, len(COLUMNS), dtype=torch.float64), []

    def __enter__(self):
        """Look at the folder, hold it, and look again; nothing is changed for a finished run."""
        processes.check_joined()
        self.finished = not processes.in_any(not self.is_finished())
        self.stack = ExitStack()
        if self.finished:
            return self
        with ExitStack() as stack:
            if self.writes:  # no second program may train here
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(only_process(self.path))
                for part in self.path.glob(
                    ".*.part"
                ):  # of a program that was killed while it wrote
                    part.unlink()
            processes.wait()
            self.finished = not processes.in_any(not self.is_finished())
            if not self.finished:
                self.interrupts = stack.enter_context(_interrupts_deferred())
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def is_finished(self):
        """Whether a run of these epochs is finished here; another run in the folder is refused."""
        weights, checkpoint = self.path / "weights.pt", self.path / "checkpoint.pt"
        begun = weights.exists() or checkpoint.exists()
        if begun and not (self.path / "config.json").exists():
            raise ValueError(
                f"{self.path} has weights but no config.json, so nothing tells what they are; "
                "choose another folder"
            )
        if (self.path / "config.json").exists() and not self.resume_allowed:
            raise FileExistsError(
                f"{self.path} holds a run already; choose another folder, or resume=True to go on"
            )
        if not begun:
            return False
        theirs = _read_setting(self.path)
        defaults = {field.name: field.default for field in fields(TrainConfig)}  # of younger fields
        differing = [
            f"{part}.{name}: {there!r} there, {value!r} here"
            for part in ("config", "data")
            for name, value in self.setting[part].items()
            if (there := theirs[part].get(name, defaults.get(name))) != value
            and not (name == "epochs" and value > there)
        ]
        if differing:
            raise ValueError(
                f"{self.path} holds a run of another configuration ({'; '.join(differing)}); "
                "choose another folder for this one"
            )
        if not weights.exists():
            return False
        epochs = files.load(weights).get("epochs", theirs["config"]["epochs"])
        if epochs < self.config.epochs and not checkpoint.exists():
            raise ValueError(
                f"{self.path} is finished and has no checkpoint.pt from which more epochs could "
                "go on; choose another folder"
            )
        return epochs == self.config.epochs

    def begin(self, generator, state):
        """Load the last checkpoint if there is one; returns the first step to take.

        Parameters
        ----------
        generator : Generator
            Draws the sample pictures.
        state : dict of Module, Optimizer and GradScaler
            Everything that a checkpoint must hold, by the name that it has there.
        """
        self.generator, self.state = generator, state
        if (self.path / "checkpoint.pt").exists():
            saved = files.load(self.path / "checkpoint.pt")
            self.history = saved["history"]
            if len(self.history) > self.total:
                raise ValueError(
                    f"{self.path} was trained for {len(self.history)} steps already, more than the "
                    f"{self.total} of epochs={self.config.epochs}; choose more, or another folder"
                )
            for name, part in state.items():
                content = saved.get(name, {})  # an older run has no scaler
                if isinstance(part, torch.optim.Optimizer):  # its settings are the configuration's
                    content = {"state": content, "param_groups": part.state_dict()["param_groups"]}
                part.load_state_dict(content)
        elif self.writes:
            (self.path / "samples").mkdir(exist_ok=True)
            self._write_setting()
            self._draw(0)
        start = len(self.history)
        self.bar = self.stack.enter_context(
            tqdm(
                total=self.total,
                initial=start,
                disable=not self.shows_progress,
                unit="step",
                mininterval=0.5,
                dynamic_ncols=True,
            )
        )
        give_back_freed_memory()  # of loading: no step's large buffers fit into its pieces
        self.saved_at, self.clock = time.monotonic(), time.perf_counter()
        return start

    def log(self, step: int, metrics: Tensor) -> None:
        """Take note of a step's metrics; draw, save or stop where it is due.

        Raises
        ------
        FloatingPointError, TrainingFailed
            As in `train`.
        KeyboardInterrupt
            After Ctrl-C or SIGTERM, when all is saved.
        """
        epoch, position = divmod(step, self.steps_per_epoch)
        self.unread.append(metrics)
        self.bar.set_description(f"epoch {epoch + 1}/{self.config.epochs}", refresh=False)
        self.bar.update()
        epoch_ends = position == self.steps_per_epoch - 1
        # Several processes stop together. On GPUs they ask each other only when they meet to read,
        # because to ask is to wait.
        alone, on_cpu = processes.count() == 1, metrics.device.type == "cpu"
        stop_now = self.interrupts if alone else on_cpu and processes.in_any(self.interrupts)
        if not (epoch_ends or len(self.unread) == READ_EVERY or stop_now):
            return
        self._read()
        stop = processes.in_any(self.interrupts)
        if epoch_ends and self.writes:
            self._draw(epoch + 1)
        due = time.monotonic() - self.saved_at > SAVE_EVERY
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
            _write_history(self.path, self.history)  # after a kill between checkpoint and history
            weights = {
                "generator": self.generator.state_dict(),
                "discriminator": discriminator.state_dict(),
                "epochs": self.config.epochs,
            }
            files.save(self.path / "weights.pt", weights)
            self._write_setting()
        processes.wait()  # until the weights are written

    def _read(self):
        """Move the unread metrics from the device to the history, and see whether all is well."""
        rows = processes.mean(torch.stack(self.unread)).cpu().double()
        seen = len(rows) * self.config.batch_size * self.config.d_steps
        speed = seen / (time.perf_counter() - self.clock)
        steps = torch.arange(len(self.history), len(self.history) + len(rows))
        epochs = steps // self.steps_per_epoch + 1
        rows = torch.cat([epochs[:, None], rows, torch.full_like(rows[:, :1], speed)], dim=1)
        self.history = torch.cat([self.history, rows])
        self.unread.clear()
        health.check_metrics(self.history, self.config, self.path)
        loss_d, loss_g = rows[-1, 1:3].tolist()
        words = f"loss D {loss_d:.2f}, G {loss_g:.2f}, {speed:.0f} images/s"
        self.bar.set_postfix_str(words, refresh=False)

    def _save(self):
        states = {name: part.state_dict() for name, part in self.state.items()}
        networks = [part for part in self.state.values() if isinstance(part, torch.nn.Module)]
        values = [x for network in networks for x in network.state_dict().values()]
        if not all(bool(x.isfinite().all()) for x in values if x.is_floating_point()):
            raise health.not_a_number("weight", self.history, self.config, self.path)
        if self.writes:
            for name, part in self.state.items():
                if isinstance(part, torch.optim.Optimizer):
                    states[name] = states[name]["state"]
            files.save(self.path / "checkpoint.pt", {**states, "history": self.history})
            _write_history(self.path, self.history)
        self.saved_at = time.monotonic()

    def _draw(self, epoch):
        """Images of the fixed latents, as one picture that `Run.samples` can cut again."""
        pixels = to_uint8(sample(self.generator, GRID**2, self.config.seed))
        _, channels, size, _ = pixels.shape
        rows = pixels.unflatten(0, (GRID, GRID)).permute(0, 3, 1, 4, 2)
        picture = rows.reshape(GRID * size, GRID * size, channels).squeeze(2).numpy()
        path = _sample_path(self.path, epoch)
        files.write_atomically(path, lambda file: Image.fromarray(picture).save(file, "PNG"))

    def _write_setting(self):
        text = json.dumps(self.setting, indent=1).encode()
        files.write_atomically(self.path / "config.json", lambda file: file.write(text))


@contextmanager
def _interrupts_deferred():
    """Turn Ctrl-C and SIGTERM into a non-empty list, so that they never interrupt an update."""
    received = []
    if threading.current_thread() is not threading.main_thread():  # signals reach that one alone
        yield received
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [
        signal.signal(number, lambda number, _: received.append(signal.Signals(number).name))
        for number in signals
    ]
    try:
        yield received
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _read_setting(run_dir):
    """What config.json says of a run: configuration, data, device, versions."""
    path = run_dir / "config.json"
    try:
        setting = json.loads(path.read_text())
        return {"config": dict(setting["config"]), "data": dict(setting["data"])}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged; delete the folder to start afresh") from error


def _read_history(path, epochs):
    try:
        table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
        table = table[table[:, 0] <= epochs]  # more are there after an extension that was stopped
        return dict(zip(COLUMNS, table.T, strict=True))
    except (OSError, ValueError, IndexError) as error:
        raise ValueError(f"{path} is missing or damaged ({error}); train anew") from error


def _write_history(run_dir, table):
    """history.csv: one line for each step, from a tensor with the columns of `COLUMNS`."""
    style = dict(fmt=["%d", *["%.6g"] * (len(COLUMNS) - 1)], delimiter=",", comments="")
    files.write_atomically(
        run_dir / "history.csv",
        lambda file: np.savetxt(file, table.numpy(), header=",".join(COLUMNS), **style),
    )


def _sample_path(run_dir, epoch):
    return run_dir / "samples" / f"epoch_{epoch:03d}.png"

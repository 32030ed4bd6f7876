"""Training: one alternating step, and the loop that repeats it, records it and can be interrupted.

The step is the papers' (gomez, section 3.4): the discriminator learns from a real batch and a generated batch, kept
apart so that BatchNorm cannot give the answer away; then the generator learns from the discriminator's verdict on
the same generated batch.
"""

import csv
import io
import json
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import softplus
from tqdm import tqdm

from dcgan_lib import checkpoint
from dcgan_lib.models import Discriminator, Generator
from dcgan_lib.randomness import rng
from dcgan_lib.sampling import sample

METRICS = ("loss_d", "loss_g", "d_real", "d_fake_before", "d_fake_after")
COLUMNS = ("epoch", *METRICS, "images_per_second")
READ_EVERY = 50  # steps between two looks at the metrics: each look makes the host wait for the device
SAVE_EVERY = 20  # seconds between two checkpoints, at least
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
        Number format of the convolutions. "auto" takes bf16 where the hardware has it and fp32 elsewhere. Weights,
        losses and optimizer states are fp32 always.
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

    def __post_init__(self):
        if self.precision not in ("auto", "fp32", "bf16"):
            raise ValueError(f"precision is {self.precision!r}; choose 'auto', 'fp32' or 'bf16'")
        for name, least in (("batch_size", 2), ("epochs", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {least}")
        object.__setattr__(self, "betas", tuple(self.betas))

    def networks(self):
        """A new generator and discriminator with this configuration's initial weights."""
        size = (self.width, self.kernel_size)
        return (Generator(self.image_size, self.channels, self.latent_dim, *size, seed=self.seed),
                Discriminator(self.image_size, self.channels, *size, seed=self.seed))  # fmt: skip


def default_device():
    """The fastest device here: "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def has_bf16(device):
    """Whether the device multiplies bf16 matrices in hardware, so that bf16 is faster and not merely possible."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    features = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return torch.device(device).type == "cpu" and any(getattr(torch.cpu, f, bool)() for f in features)


def to_float(images):
    """Pixels as the networks want them: uint8 0...255 to float32 in [-1, 1], any shape (singh, section 4)."""
    return images.float().div_(127.5).sub_(1)


def to_uint8(images):
    """The way back: [-1, 1] to uint8 0...255, rounded."""
    return images.add(1).mul(127.5).round().clamp(0, 255).byte()


def training_step(generator, discriminator, opt_g, opt_d, real, z, bf16=False):
    """One update of the discriminator, then one of the generator, in place.

    Parameters
    ----------
    generator, discriminator : Module
    opt_g, opt_d : Optimizer
    real : Tensor of shape (N, C, H, W)
        Real images in [-1, 1].
    z : Tensor of shape (N, latent_dim)
        Latents of the generated batch, which serves both updates.
    bf16 : bool
        Compute the convolutions in bf16.

    Returns
    -------
    Tensor of shape (5,)
        Loss of D, loss of G, mean D(x), mean D(G(z)) before and after the update of D; still on the device, so
        that nobody waits for it.
    """

    def autocast():  # left before each update: it caches the weights' bf16 copies, which the update makes stale
        return torch.autocast(real.device.type, torch.bfloat16, enabled=bf16)

    with autocast():
        fake = generator(z)
        real_logits, fake_logits = discriminator(real).float(), discriminator(fake.detach()).float()
    # softplus(-x) is -log(sigmoid(x)): binary cross-entropy from logits, which cannot overflow.
    loss_d = softplus(-real_logits).mean() + softplus(fake_logits).mean()
    opt_d.zero_grad(set_to_none=True)
    loss_d.backward()
    opt_d.step()

    discriminator.requires_grad_(False)  # G needs the gradient through D, not D's own: 8% less work
    with autocast():
        logits = discriminator(fake).float()
    loss_g = softplus(-logits).mean()
    opt_g.zero_grad(set_to_none=True)
    loss_g.backward()
    opt_g.step()
    discriminator.requires_grad_(True)

    with torch.no_grad():
        means = [x.sigmoid().mean() for x in (real_logits, fake_logits, logits)]
        return torch.stack([loss_d, loss_g, *means])


@dataclass
class Run:
    """A finished training run.

    Attributes
    ----------
    generator, discriminator : Module
        On the CPU, in evaluation mode.
    config : TrainConfig
    history : dict of arrays
        One entry a training step in each of `epoch`, `loss_d`, `loss_g`, `d_real`, `d_fake_before`, `d_fake_after`
        and `images_per_second` (measured over the {read} steps around it).
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
            raise FileNotFoundError(f"no run in {run_dir}: train(images, config, {str(run_dir)!r}) makes one")
        config = TrainConfig(**_read_config(run_dir)["config"])
        if not (run_dir / "weights.pt").exists():
            raise FileNotFoundError(f"the run in {run_dir} is not finished: call train with it again, and it goes on")
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


Run.__doc__ = Run.__doc__.format(read=READ_EVERY)


def train(images, config, run_dir, *, device=None, resume=True, progress=True):
    """Train a DCGAN, or go on where an earlier call stopped.

    A finished run is returned as it is. An interrupted one goes on from its last checkpoint and ends with the same
    weights as if it had never stopped. More epochs than the folder's run had are added to it.

    Parameters
    ----------
    images : ImageSet
        Its size and channels must be the configuration's. Labels are not used.
    config : TrainConfig
    run_dir : path
        Receives `config.json`, `checkpoint.pt` (the latest), `weights.pt` (the final ones), `history.csv` and
        `samples/epoch_NNN.png`.
    device : str, optional
        "cuda", "mps" or "cpu"; by default the fastest.
    resume : bool
        False refuses a folder that holds a run already.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        Images that do not fit the configuration, fewer images than a batch, or a folder with a different run.
    FloatingPointError
        A loss that is no longer a number; the last checkpoint stays.
    KeyboardInterrupt
        After Ctrl-C, once the step in hand is saved.
    """
    run_dir, device = Path(run_dir), torch.device(device or default_device())
    _check_images(images, config)
    state = _open_folder(run_dir, images, config, device, resume)
    steps_per_epoch = len(images) // config.batch_size
    total = config.epochs * steps_per_epoch
    if state and state["step"] == total and (run_dir / "weights.pt").exists():
        return Run.load(run_dir)

    generator, discriminator = (net.to(device, memory_format=torch.channels_last) for net in config.networks())
    fused = device.type != "mps"
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), config.lr, config.betas, fused=fused)
                    for net in (generator, discriminator))  # fmt: skip
    parts = {"generator": generator, "discriminator": discriminator, "opt_g": opt_g, "opt_d": opt_d}
    history, start = [], 0
    if state:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        history, start = [state["history"]], state["step"]
    else:
        _save_samples(run_dir, 0, generator, config)

    bf16 = config.precision == "bf16" or (config.precision == "auto" and has_bf16(device))
    pixels = images.images.permute(0, 2, 3, 1).to(device)  # NHWC, so that a batch is a channels_last view
    unread, clock, saved_at = [], time.perf_counter(), time.monotonic()

    def read_metrics(epoch):
        nonlocal clock
        if not unread:
            return
        rows = torch.stack(unread).double().cpu()
        if not rows.isfinite().all():
            raise FloatingPointError(
                f"training broke down in epoch {epoch}: a loss is not a number. The last checkpoint in {run_dir} is "
                f"from before; a smaller learning rate than {config.lr:g} or precision='fp32' may cure it")
        seconds, clock = time.perf_counter() - clock, time.perf_counter()
        speed = len(rows) * config.batch_size / seconds
        ends = torch.full((len(rows), 1), epoch), torch.full((len(rows), 1), speed)
        history.append(torch.cat([ends[0].double(), rows, ends[1].double()], dim=1))
        unread.clear()
        bar.set_postfix_str(f"loss D {rows[-1, 0]:.2f}, G {rows[-1, 1]:.2f}, {speed:.0f} images/s", refresh=False)

    def save(step):
        state = {name: part.state_dict() for name, part in parts.items()}
        table = torch.cat(history)
        checkpoint.save(run_dir / "checkpoint.pt", {**state, "step": step, "history": table})
        _write_history(run_dir, table)

    bar = tqdm(total=total, initial=start, disable=not progress, unit="step", mininterval=0.5, dynamic_ncols=True)
    with bar, _interrupts_deferred() as interrupted:
        for step in range(start, total):
            epoch, position = divmod(step, steps_per_epoch)
            if step == start or position == 0:
                bar.set_description(f"epoch {epoch + 1}/{config.epochs}")
                order = torch.randperm(len(images), generator=rng(config.seed, f"order {epoch}")).to(device)
            batch = order[position * config.batch_size : (position + 1) * config.batch_size]
            real = to_float(pixels[batch]).permute(0, 3, 1, 2)
            z = torch.randn(config.batch_size, config.latent_dim, generator=rng(config.seed, f"latent {step}"))
            unread.append(training_step(generator, discriminator, opt_g, opt_d, real, z.to(device), bf16))
            bar.update()
            epoch_ends = position == steps_per_epoch - 1
            if epoch_ends or len(unread) == READ_EVERY or interrupted:
                read_metrics(epoch + 1)
            if epoch_ends:
                _save_samples(run_dir, epoch + 1, generator, config)
            if interrupted or step == total - 1 or (epoch_ends and time.monotonic() - saved_at > SAVE_EVERY):
                save(step + 1)
                saved_at = time.monotonic()
            if interrupted:
                raise KeyboardInterrupt(f"stopped after step {step + 1} of {total}; the same call goes on from there")
            if epoch_ends:
                clock = time.perf_counter()  # pictures and checkpoints are not training time
    weights = {"generator": generator.state_dict(), "discriminator": discriminator.state_dict()}
    checkpoint.save(run_dir / "weights.pt", weights)
    return Run.load(run_dir)


def _check_images(images, config):
    shape, expected = (images.channels, images.size), (config.channels, config.image_size)
    if shape != expected:
        raise ValueError(
            f"the images of {images.name!r} have {shape[0]} channels and {shape[1]} pixels, the configuration asks for "
            f"{expected[0]} and {expected[1]}; set channels={shape[0]} and image_size={shape[1]} in TrainConfig")
    if len(images) < config.batch_size:
        raise ValueError(f"{images.name!r} has {len(images)} images, fewer than one batch of {config.batch_size}; "
                         f"choose a batch_size of at most {len(images)}")  # fmt: skip


def _read_config(run_dir):
    try:
        return json.loads((run_dir / "config.json").read_text())
    except ValueError as error:
        raise ValueError(f"{run_dir / 'config.json'} is damaged; delete the folder to start afresh") from error


def _open_folder(run_dir, images, config, device, resume):
    """The checkpoint to go on from, or None for a new run; refuses a folder that holds another run."""
    ours = {"config": json.loads(json.dumps(asdict(config))),
            "data": {"name": images.name, "fingerprint": images.fingerprint, "images": len(images)},
            "device": str(device), "torch": torch.__version__}  # fmt: skip
    path = run_dir / "config.json"
    if path.exists():
        if not resume:
            raise FileExistsError(f"{run_dir} holds a run already; choose another folder, or resume=True to go on")
        theirs = _read_config(run_dir)
        differing = [f"{part}.{name}: {theirs[part].get(name)!r} there, {value!r} here"
                     for part in ("config", "data") for name, value in ours[part].items()
                     if theirs[part].get(name) != value
                     and not (name == "epochs" and value > theirs[part][name])]  # fmt: skip
        if differing:
            raise ValueError(f"{run_dir} holds a run of another configuration ({'; '.join(differing)}); "
                             "choose another folder for this one")  # fmt: skip
    elif (run_dir / "weights.pt").exists() or (run_dir / "checkpoint.pt").exists():
        raise ValueError(f"{run_dir} has weights but no config.json, so nothing tells what they are; "
                         "choose another folder")  # fmt: skip
    (run_dir / "samples").mkdir(parents=True, exist_ok=True)
    checkpoint.write_atomically(path, lambda file: file.write(json.dumps(ours, indent=1).encode()))
    saved = run_dir / "checkpoint.pt"
    return checkpoint.load(saved) if saved.exists() else None


def _write_history(run_dir, table):
    def write(file):
        text = io.TextIOWrapper(file, newline="", write_through=True)
        rows = csv.writer(text)
        rows.writerow(COLUMNS)
        rows.writerows([int(epoch), *(f"{x:.6g}" for x in row)] for epoch, *row in table.tolist())
        text.detach()

    checkpoint.write_atomically(run_dir / "history.csv", write)


def _sample_path(run_dir, epoch):
    return run_dir / "samples" / f"epoch_{epoch:03d}.png"


def _save_samples(run_dir, epoch, generator, config):
    """The images of 64 fixed latents as one picture, without gaps, so that `Run.samples` can cut it again."""
    pixels = to_uint8(sample(generator, GRID**2, config.seed))
    side = GRID * config.image_size
    picture = pixels.unflatten(0, (GRID, GRID)).permute(0, 3, 1, 4, 2).reshape(side, side, config.channels)
    picture = Image.fromarray(picture.squeeze(2).numpy())
    checkpoint.write_atomically(_sample_path(run_dir, epoch), lambda file: picture.save(file, "PNG"))


@contextmanager
def _interrupts_deferred():
    """Turn Ctrl-C into a non-empty list, so that it never falls into the middle of an update."""
    received = []
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
        yield received
        return
    before = signal.signal(signal.SIGINT, lambda *_: received.append(True))
    try:
        yield received
    finally:
        signal.signal(signal.SIGINT, before)

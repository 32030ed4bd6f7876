"""Training: the loop around the step. It can be stopped at any moment, by anyone, and ends with the same weights."""

import os
import signal
import threading
import time
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

from dcgan_lib import checkpoint, parallel
from dcgan_lib.device import default_device, has_bf16, keep_freed_memory
from dcgan_lib.randomness import rng
from dcgan_lib.run import COLUMNS, GRID, METRICS, Run
from dcgan_lib.run import read_setting, refuse_another_run, setting_of, write_history, write_samples, write_setting
from dcgan_lib.sampling import generate, latent
from dcgan_lib.step import Graphed, discriminator_step, generated, to_float, training_step
from dcgan_lib.wide import use_matrix_products

READ_EVERY = 50  # steps between two looks at the metrics: each look makes the host wait for the device
SAVE_EVERY = 60  # seconds between two checkpoints, at least
DEAD_AFTER = 1_000  # steps in a row without a contest


def train(images, config, run_dir, *, device=None, resume=True, progress=True):
    """Train a DCGAN, or go on where an earlier call stopped.

    A finished run is returned as it is. An interrupted one goes on from its last checkpoint and ends with the same
    weights as if it had never stopped, to the bit on a CPU. More epochs than the folder's run had are added to it.
    Under torchrun every process calls this with the same arguments; the first one writes and shows the progress.

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
        A loss or a weight that is no longer a number, or a discriminator without a contest for 1,000 steps; the
        last checkpoint stays.
    MemoryError
        The device's memory is too small; the message names a batch size that fits.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, once the step in hand is saved.
    """
    run_dir, device = Path(run_dir), torch.device(device or default_device())
    parallel.check_joined()
    _check(images, config)
    setting = setting_of(images, config, device)
    refuse_another_run(run_dir, setting, resume)
    weights, saved = run_dir / "weights.pt", run_dir / "checkpoint.pt"
    if weights.exists():
        if read_setting(run_dir)["config"]["epochs"] == config.epochs:
            return Run.load(run_dir)
        if not saved.exists():
            raise ValueError(f"{run_dir} is finished and has no checkpoint.pt from which more epochs could go on; "
                             "choose another folder")  # fmt: skip
    config.networks()  # refuses what cannot be built, before anything is written
    keep_freed_memory()
    parallel.wait()  # until all have looked at the folder, before one changes it
    full = None
    with _only_writer(run_dir) if parallel.world()[0] == 0 else nullcontext():
        if parallel.world()[0] == 0:
            weights.unlink(missing_ok=True)  # of fewer epochs; they are in the checkpoint as well
            write_setting(run_dir, setting)
        state = checkpoint.load(saved) if saved.exists() else None
        try:
            with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
                _loop(images, config, run_dir, device, state, progress)
            parallel.wait()  # until the weights are written
        except torch.OutOfMemoryError as error:
            full = str(error).splitlines()[0]
    if full:  # outside of the `except`, which would keep the failed step's tensors alive
        raise MemoryError(f"the memory of {device} is too small for batch_size={config.batch_size} "
                          f"({full}); {_size_that_fits(images, config, device)}")  # fmt: skip
    return Run.load(run_dir)


def steps_per_epoch(images, config):
    """How many steps one pass over the images gives; the images left over sit out."""
    return len(images) // (config.batch_size * config.d_steps)


@contextmanager
def _only_writer(run_dir):
    """Hold the run folder, so that no second program trains in it; the system lets go of it even after kill -9."""
    run_dir.mkdir(parents=True, exist_ok=True)
    folder = os.open(run_dir, os.O_RDONLY) if fcntl else None
    try:
        if fcntl:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"another program is training in {run_dir}; wait for it, end it, or choose another "
                                 "folder") from None  # fmt: skip
            except OSError:
                pass  # some network drives have no locks
        for part in run_dir.glob(".*.part"):  # of a program that was killed while it wrote
            part.unlink()
        yield
    finally:
        if fcntl:
            os.close(folder)


def _loop(images, config, run_dir, device, state, progress):
    writes, total = parallel.world()[0] == 0, config.epochs * steps_per_epoch(images, config)
    players, batches = _Players(config, device), _Batches(images, config, device)
    history, start = torch.empty(0, len(COLUMNS), dtype=torch.float64), 0
    if state:
        players.load(state)
        history, start = state["history"], state["step"]
    elif writes:
        write_samples(run_dir, 0, players.draw())
    advance = Graphed(players.advance) if device.type == "cuda" and not players.shared else players.advance
    per_epoch, images_per_step = steps_per_epoch(images, config), config.batch_size * config.d_steps
    unread, clock, saved_at = [], time.perf_counter(), time.monotonic()

    def left():
        saved = (run_dir / "checkpoint.pt").exists()
        return f"The last checkpoint in {run_dir} is from before." if saved else f"Nothing was saved in {run_dir} yet."

    def read():
        """Fetch the metrics of the last steps; stop if they say that training has come to its end."""
        nonlocal history, clock
        rows = parallel.mean(torch.stack(unread)).cpu().double()
        seconds, clock = time.perf_counter() - clock, time.perf_counter()
        speed = len(rows) * images_per_step / seconds
        epochs = torch.arange(len(history), len(history) + len(rows)) // per_epoch + 1
        history = torch.cat([history, torch.cat([epochs[:, None], rows, torch.full_like(rows[:, :1], speed)], dim=1)])
        unread.clear()
        bar.set_postfix_str(f"loss D {rows[-1, 0]:.2f}, G {rows[-1, 1]:.2f}, {speed:.0f} images/s", refresh=False)
        if trouble := _trouble(history, config):
            raise FloatingPointError(f"{trouble} {left()}")

    def save():
        if not players.finite():
            raise FloatingPointError(f"{_not_a_number(history, 'weight', config)} {left()}")
        if writes:
            checkpoint.save(run_dir / "checkpoint.pt", {**players.state(), "step": len(history), "history": history})
            write_history(run_dir, history)

    bar = tqdm(total=total, initial=start, disable=not (progress and writes), unit="step", mininterval=0.5,
               dynamic_ncols=True)  # fmt: skip
    cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=torch.backends.cudnn.deterministic,
                                       allow_tf32=config.precision != "fp32")  # fmt: skip
    with bar, cudnn, _interrupts_deferred() as interrupted:
        for step in range(start, total):
            epoch, position = divmod(step, per_epoch)
            bar.set_description(f"epoch {epoch + 1}/{config.epochs}", refresh=False)
            unread.append(advance(*batches.at(step)))
            bar.update()
            epoch_ends = position == per_epoch - 1
            # Several processes stop together; on GPUs, where to ask is to wait, only when they meet to read.
            now = bool(interrupted) if not players.shared else device.type == "cpu" and parallel.everywhere(interrupted)
            if not (epoch_ends or len(unread) == READ_EVERY or now):
                continue
            read()
            stop = parallel.everywhere(interrupted)
            if epoch_ends and writes:
                write_samples(run_dir, epoch + 1, players.draw())
            if parallel.everywhere(stop or step == total - 1 or time.monotonic() - saved_at > SAVE_EVERY):
                save()
                saved_at = time.monotonic()
            if stop:
                raise KeyboardInterrupt(f"stopped after step {step + 1} of {total}; the same call goes on from there")
            clock = time.perf_counter()  # pictures and checkpoints are not training time
        if writes:
            write_history(run_dir, history)  # again, after a kill between checkpoint and history
            checkpoint.save(run_dir / "weights.pt", players.weights())


class _Players:
    """Everything that training changes: both networks, their optimizers, the averaged generator."""

    def __init__(self, config, device):
        self.config, self.shared = config, parallel.world()[1] > 1
        self.bf16 = config.precision == "bf16" or (config.precision == "auto" and has_bf16(device))
        self.generator, self.discriminator = (net.to(device, memory_format=torch.channels_last)
                                              for net in config.networks())  # fmt: skip
        self.average = deepcopy(self.generator) if config.ema else None
        options = dict(lr=config.lr, betas=config.betas, weight_decay=config.weight_decay,
                       fused=device.type != "mps", capturable=device.type == "cuda")  # fmt: skip
        self.opt_g, self.opt_d = (torch.optim.Adam(net.parameters(), **options)
                                  for net in (self.generator, self.discriminator))  # fmt: skip
        if self.bf16 and device.type == "cpu":
            for network in (self.generator, self.discriminator):
                use_matrix_products(network)
        self.both = self.generator, self.discriminator
        if self.shared:
            self.both = [parallel.share(network, device) for network in self.both]

    def advance(self, *batches):
        """One step: real images and latents in turn, a pair for each update of the discriminator."""
        *early, (real, z) = zip(batches[::2], batches[1::2])
        for early_real, early_z in early:
            with torch.no_grad():
                fake = generated(self.generator, early_z, self.bf16)
            discriminator_step(self.both[1], self.opt_d, early_real, fake, self.bf16, self.config.real_label)
        metrics = training_step(*self.both, self.opt_g, self.opt_d, real, z, self.bf16, self.config.real_label)
        if self.average is not None:
            torch._foreach_lerp_(_floats(self.average), _floats(self.generator), 1 - self.config.ema)
        return metrics

    def draw(self):
        """Images of the fixed latents, for the picture of an epoch."""
        config = self.config
        return generate(self._drawing(), latent(GRID**2, config.latent_dim, config.seed, config.latents))

    def _drawing(self):
        return self.generator if self.average is None else self.average

    def _networks(self):
        networks = {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}
        return {name: network for name, network in networks.items() if network is not None}

    def state(self):
        """All of it, for a checkpoint. Settings of the optimizers are the configuration's and are left out."""
        optimizers = {"opt_g": self.opt_g.state_dict()["state"], "opt_d": self.opt_d.state_dict()["state"]}
        return {**{name: network.state_dict() for name, network in self._networks().items()}, **optimizers}

    def load(self, state):
        for name, network in self._networks().items():
            network.load_state_dict(state[name])
        for name, optimizer in (("opt_g", self.opt_g), ("opt_d", self.opt_d)):
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state[name], "param_groups": groups})

    def weights(self):
        """What is left at the end: the generator that draws, and the discriminator."""
        return {"generator": self._drawing().state_dict(), "discriminator": self.discriminator.state_dict()}

    def finite(self):
        """Whether every weight is a number."""
        return all(bool(x.isfinite().all()) for network in self._networks().values() for x in _floats(network))


def _floats(network):
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]


class _Batches:
    """The real images and the latents of every step, known from its number alone: nothing drawn before matters."""

    def __init__(self, images, config, device):
        self.config, self.device = config, device
        self.rank, self.processes = parallel.world()
        pixels = images.images.permute(0, 2, 3, 1)  # NHWC, so that a batch is a channels_last view
        # Resident on the device where they take less than half of its memory; else each batch travels.
        fits = device.type != "cuda" or pixels.numel() < torch.cuda.mem_get_info(device)[0] / 2
        self.pixels = pixels.to(device) if fits else pixels
        self.epoch = None

    def at(self, step):
        """Real images and latents in turn, for each update of the discriminator in a step."""
        config, found = self.config, []
        epoch, position = divmod(step, steps_per_epoch(self.pixels, config))
        if epoch != self.epoch:
            stream = rng(config.seed, f"order {epoch}")
            self.order, self.epoch = torch.randperm(len(self.pixels), generator=stream).to(self.pixels.device), epoch
        for update in range(config.d_steps):
            start = (position * config.d_steps + update) * config.batch_size
            real = self.there(self.pixels[self.mine(self.order[start : start + config.batch_size])])
            number = step * config.d_steps + update
            if config.flip:
                mirrored = torch.rand(config.batch_size, generator=rng(config.seed, f"flips {number}")) < 0.5
                real = torch.where(self.there(self.mine(mirrored))[:, None, None, None], real.flip(2), real)
            z = latent(config.batch_size, config.latent_dim, config.seed, config.latents, f"latent {number}")
            found += [to_float(real).permute(0, 3, 1, 2), self.there(self.mine(z))]
        return found

    def there(self, tensor):
        """On the device; to a GPU without waiting for it."""
        if self.device.type != "cuda" or tensor.is_cuda:
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def mine(self, batch):
        """This process's share of a batch."""
        return batch[self.rank :: self.processes]


def _check(images, config):
    shape, expected = (images.channels, images.size), (config.channels, config.image_size)
    if shape != expected:
        raise ValueError(
            f"the images of {images.name!r} have {shape[0]} channels and {shape[1]} pixels, the configuration asks for "
            f"{expected[0]} and {expected[1]}; set channels={shape[0]} and image_size={shape[1]} in TrainConfig")
    if len(images) < config.batch_size * config.d_steps:
        batch = "one batch" if config.d_steps == 1 else f"the {config.d_steps} batches of a step, each"
        raise ValueError(f"{images.name!r} has {len(images)} images, fewer than {batch} of {config.batch_size}; "
                         f"choose a batch_size of at most {len(images) // config.d_steps}")  # fmt: skip
    processes = parallel.world()[1]
    if config.batch_size % processes:
        raise ValueError(f"batch_size is {config.batch_size}, which {processes} processes cannot share equally; "
                         f"choose a multiple of {processes}")  # fmt: skip


def _curves(history):
    """In words, what the metrics were before they broke down."""
    last = history[:, 1:-1][history.isfinite().all(dim=1)][-READ_EVERY:]
    if not len(last):
        return "It did so in its first steps."
    means = ", ".join(f"{name} {value:.3g}" for name, value in zip(METRICS, last.mean(dim=0).tolist()))
    return f"Before, over {len(last)} steps: {means}."


def _not_a_number(history, what, config):
    epoch = int(history[-1, 0])
    return (f"training broke down in epoch {epoch}: a {what} is not a number. {_curves(history)} "
            f"A smaller learning rate than {config.lr:g} or precision='fp32' may cure it.")  # fmt: skip


def _trouble(history, config):
    """A sentence when training has come to its end: no numbers, or no contest; else None."""
    if not history[-READ_EVERY:].isfinite().all():
        return _not_a_number(history, "loss", config)
    recent = history[-DEAD_AFTER:, 1:]
    if len(recent) < DEAD_AFTER:
        return None
    loss_d, d_real, d_fake = recent[:, 0], recent[:, 2], recent[:, 3]
    p = torch.tensor([config.real_label, 1 - config.real_label])
    if (loss_d < 1e-3 - torch.xlogy(p, p).sum()).all():  # the least that these labels allow, and a little
        verdict = "tells every generated image from every real one"
    elif ((d_real - d_fake).abs() < 1e-4).all():
        verdict = "gives every image, real or generated, the same answer"
    else:
        return None
    return (f"training has come to a standstill in epoch {int(history[-1, 0])}: for {DEAD_AFTER:,} steps the "
            f"discriminator {verdict}. {_curves(history)} Other learning rates, real_label=0.9 or another seed may "
            "cure it.")  # fmt: skip


def _size_that_fits(images, config, device):
    """In words, the largest batch, by halving, of which a whole step fits beside the images."""
    if parallel.world()[1] > 1:
        return "choose a smaller batch_size"  # a trial would need every process
    resident = _Batches(images, config, device)  # held while the trials run, as in training
    size = config.batch_size // 2
    while size >= 2:
        try:
            players = _Players(replace(config, batch_size=size, d_steps=1), device)
            real = torch.zeros(size, config.channels, config.image_size, config.image_size, device=device)
            players.advance(real, torch.zeros(size, config.latent_dim, device=device))
            return f"batch_size={size} fits"
        except torch.OutOfMemoryError:
            size //= 2
    return "not even a batch of 2 fits; choose a smaller width or image_size"


@contextmanager
def _interrupts_deferred():
    """Turn Ctrl-C and SIGTERM into a non-empty list, so that they never fall into the middle of an update."""
    received = []
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
        yield received
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: received.append(True)) for number in signals]
    try:
        yield received
    finally:
        for number, handler in zip(signals, before):
            signal.signal(number, handler)

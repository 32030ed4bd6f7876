"""Training: the loop around the step. It can be stopped at any moment, by anyone, and ends with the same weights."""

import signal
import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from dcgan_lib.training import health as trouble
from dcgan_lib.training.batches import Batches, steps_per_epoch
from dcgan_lib.training.fast import processes as parallel
from dcgan_lib.training.players import Players
from dcgan_lib.training.run import (
    COLUMNS,
    Run,
    only_writer,
    read_setting,
    refuse_another_run,
    setting_of,
    write_history,
    write_samples,
    write_setting,
)
from dcgan_lib.training.step import Graphed
from dcgan_lib.utils import files as checkpoint
from dcgan_lib.utils.device import default_device, give_back_freed_memory, keep_freed_memory

READ_EVERY = (
    50  # steps between two looks at the metrics: each look makes the host wait for the device
)
SAVE_EVERY = 60  # seconds between two checkpoints, at least


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
    trouble.check_images(images, config)
    setting = setting_of(images, config, device)
    refuse_another_run(run_dir, setting, resume)
    weights, saved = run_dir / "weights.pt", run_dir / "checkpoint.pt"
    if weights.exists():
        if read_setting(run_dir)["config"]["epochs"] == config.epochs:
            return Run.load(run_dir)
        if not saved.exists():
            raise ValueError(
                f"{run_dir} is finished and has no checkpoint.pt from which more epochs could go on; "
                "choose another folder"
            )
    config.networks()  # refuses what cannot be built, before anything is written
    keep_freed_memory()
    parallel.wait()  # until all have looked at the folder, before one changes it
    full = None
    with only_writer(run_dir) if parallel.world()[0] == 0 else nullcontext():
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
        raise MemoryError(
            f"the memory of {device} is too small for batch_size={config.batch_size} "
            f"({full}); {_size_that_fits(images, config, device)}"
        )
    return Run.load(run_dir)


def _loop(images, config, run_dir, device, state, progress):
    players, batches = Players(config, device), Batches(images, config, device)
    writes, saved = parallel.world()[0] == 0, run_dir / "checkpoint.pt"
    per_epoch = steps_per_epoch(images, config)
    meter, total = _Meter(config, per_epoch, run_dir), config.epochs * per_epoch
    if state:
        players.load(state)
        meter.history = state["history"]
    elif writes:
        write_samples(run_dir, 0, players.draw())
    advance = (
        Graphed(players.advance)
        if device.type == "cuda" and not players.shared
        else players.advance
    )
    give_back_freed_memory()  # of loading and of the first pictures: it lies where a step's large buffers do not fit in
    start, saved_at = len(meter.history), time.monotonic()

    def save():
        if not players.finite():
            meter.stop(trouble.not_a_number(meter.history, "weight", config))
        if writes:
            checkpoint.save(saved, {**players.state(), "history": meter.history})
            write_history(run_dir, meter.history)

    bar = tqdm(
        total=total,
        initial=start,
        disable=not (progress and writes),
        unit="step",
        mininterval=0.5,
        dynamic_ncols=True,
    )
    cudnn = torch.backends.cudnn.flags(
        enabled=True,
        benchmark=True,
        deterministic=torch.backends.cudnn.deterministic,
        allow_tf32=config.precision != "fp32",
    )
    with bar, cudnn, _interrupts_deferred() as interrupted:
        meter.start_clock()
        for step in range(start, total):
            epoch, position = divmod(step, per_epoch)
            bar.set_description(f"epoch {epoch + 1}/{config.epochs}", refresh=False)
            meter.unread.append(advance(*batches.at(step)))
            bar.update()
            epoch_ends = position == per_epoch - 1
            # Several processes stop together; on GPUs, where to ask is to wait, only when they meet to read.
            now = (
                bool(interrupted)
                if not players.shared
                else device.type == "cpu" and parallel.everywhere(interrupted)
            )
            if not (epoch_ends or len(meter.unread) == READ_EVERY or now):
                continue
            meter.read()
            bar.set_postfix_str(meter.latest(), refresh=False)
            stop = parallel.everywhere(interrupted)
            if epoch_ends and writes:
                write_samples(run_dir, epoch + 1, players.draw())
            if parallel.everywhere(
                stop or step == total - 1 or time.monotonic() - saved_at > SAVE_EVERY
            ):
                save()
                saved_at = time.monotonic()
            if stop:
                raise KeyboardInterrupt(
                    f"stopped after step {step + 1} of {total}; the same call goes on from there"
                )
            meter.start_clock()  # pictures and checkpoints are not training time
        if writes:
            write_history(
                run_dir, meter.history
            )  # again, after a kill between checkpoint and history
            checkpoint.save(run_dir / "weights.pt", players.weights())


class _Meter:
    """The metrics of the steps: kept on the device, fetched now and then, and looked at for trouble."""

    def __init__(self, config, per_epoch, run_dir):
        self.config, self.per_epoch, self.run_dir = config, per_epoch, run_dir
        self.history, self.unread = torch.empty(0, len(COLUMNS), dtype=torch.float64), []

    def start_clock(self):
        self.clock = time.perf_counter()

    def read(self):
        """Move the unread metrics to the history; FloatingPointError if they say that training has come to its end."""
        rows = parallel.mean(torch.stack(self.unread)).cpu().double()
        speed = (
            len(rows)
            * self.config.batch_size
            * self.config.d_steps
            / (time.perf_counter() - self.clock)
        )
        epochs = (
            torch.arange(len(self.history), len(self.history) + len(rows)) // self.per_epoch + 1
        )
        rows = torch.cat([epochs[:, None], rows, torch.full_like(rows[:, :1], speed)], dim=1)
        self.history = torch.cat([self.history, rows])
        self.unread.clear()
        if not rows.isfinite().all():
            self.stop(trouble.not_a_number(self.history, "loss", self.config))
        if sentence := trouble.standstill(self.history, self.config):
            self.stop(sentence)

    def latest(self):
        """The end of the progress bar."""
        _, loss_d, loss_g, *_, speed = self.history[-1].tolist()
        return f"loss D {loss_d:.2f}, G {loss_g:.2f}, {speed:.0f} images/s"

    def stop(self, sentence):
        saved = (self.run_dir / "checkpoint.pt").exists()
        left = (
            f"The last checkpoint in {self.run_dir} is from before."
            if saved
            else f"Nothing was saved in {self.run_dir} yet."
        )
        raise FloatingPointError(f"{sentence} {left}")


def _size_that_fits(images, config, device):
    """In words, the largest batch, by halving, of which a whole step fits beside the images."""
    if parallel.world()[1] > 1:
        return "choose a smaller batch_size"  # a trial would need every process
    resident = Batches(images, config, device)  # held while the trials run, as in training
    size = config.batch_size // 2
    while size >= 2:
        try:
            players = Players(replace(config, batch_size=size, d_steps=1), device)
            real = torch.zeros(
                size, config.channels, config.image_size, config.image_size, device=device
            )
            players.advance(real, torch.zeros(size, config.latent_dim, device=device))
            return f"batch_size={size} fits"
        except torch.OutOfMemoryError:
            size //= 2
    return "not even a batch of 2 fits; choose a smaller width or image_size"


@contextmanager
def _interrupts_deferred():
    """Turn Ctrl-C and SIGTERM into a non-empty list, so that they never fall into the middle of an update."""
    received = []
    if (
        threading.current_thread() is not threading.main_thread()
    ):  # signals reach the main thread alone
        yield received
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: received.append(True)) for number in signals]
    try:
        yield received
    finally:
        for number, handler in zip(signals, before):
            signal.signal(number, handler)

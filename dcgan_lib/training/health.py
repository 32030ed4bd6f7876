"""What a training dies of, told in sentences."""

import functools
from dataclasses import replace
from tempfile import TemporaryDirectory

import torch

from dcgan_lib.training.batches import Batches
from dcgan_lib.training.fast import processes
from dcgan_lib.utils.device import default_device

METRICS = ("loss_d", "loss_g", "d_real", "d_fake_before", "d_fake_after")
RECENT = 50  # steps that the averages in a sentence are taken over
NO_CONTEST = 1_000  # steps in a row after which a training without a contest is given up


class TrainingFailed(RuntimeError):
    """The two networks no longer compete, so that more steps would change nothing."""


def check_metrics(history, config, run_dir):
    """Look at the metrics of all steps so far, one row a step: epoch, METRICS, images a second.

    Raises
    ------
    FloatingPointError
        A loss is not a number.
    TrainingFailed
        The discriminator has had no contest for NO_CONTEST steps.
    """
    if not history.isfinite().all():
        raise not_a_number("loss", history, config, run_dir)
    recent = history[-NO_CONTEST:, 1:]
    loss_d, d_real, d_fake = recent[:, 0], recent[:, 2], recent[:, 3]
    p = torch.tensor([config.real_label, 1 - config.real_label])
    least = -torch.xlogy(p, p).sum()  # the least loss that these labels allow
    standstills = {
        "tells every generated image from every real one": loss_d < least + 1e-3,
        "gives every image, real or generated, the same answer": (d_real - d_fake).abs() < 1e-4,
    }
    for verdict, steps in standstills.items():
        if len(steps) == NO_CONTEST and steps.all():
            cure = "Other learning rates, real_label=0.9 or another seed may cure it."
            raise TrainingFailed(
                f"training has come to a standstill in epoch {int(history[-1, 0])}: for "
                f"{NO_CONTEST:,} steps the discriminator {verdict}. "
                f"{_advice(cure, history, run_dir)}"
            )


def not_a_number(what, history, config, run_dir):
    """The error for a loss or a weight that is NaN or infinite."""
    exact = "" if config.precision == "fp32" else " or precision='fp32'"
    cure = f"A smaller learning rate than {config.lr:g}{exact} may cure it."
    return FloatingPointError(
        f"training broke down in epoch {int(history[-1, 0])}: a {what} is not a number. "
        f"{_advice(cure, history, run_dir)}"
    )


def _advice(cure, history, run_dir):
    """In words: the metrics before they broke down, what may cure it, and what is left."""
    last = history[:, 1:-1][history.isfinite().all(dim=1)][-RECENT:]
    words = ", ".join(
        f"{name} {value:.3g}" for name, value in zip(METRICS, last.mean(dim=0), strict=True)
    )
    before = (
        f"Before, over {len(last)} steps: {words}."
        if len(last)
        else "It did so in its first steps."
    )
    left = (
        f"The last checkpoint in {run_dir} is from before."
        if (run_dir / "checkpoint.pt").exists()
        else f"Nothing was saved in {run_dir} yet."
    )
    return f"{before} {cure} {left}"


def name_a_batch_that_fits(train):
    """Decorate `train`: where memory is too small, a MemoryError names a batch size that fits."""

    @functools.wraps(train)
    def explained(images, config, run_dir, **options):
        try:
            return train(images, config, run_dir, **options)
        except torch.OutOfMemoryError as error:
            reason = str(error).splitlines()[0]
        # Outside of the `except`, which would keep the failed step's tensors alive.
        device = torch.device(options.get("device") or default_device())
        raise MemoryError(
            f"the memory of {device} is too small for batch_size={config.batch_size} ({reason}); "
            f"{_what_fits(train, images, config, device)}"
        )

    return explained


def _what_fits(train, images, config, device):
    """The largest batch, by halving, of which a whole step fits beside the images, in words."""
    if processes.count() > 1:
        return "choose a smaller batch_size"  # a trial would need every process
    _resident, size = Batches(images, config, device), config.batch_size // 2
    while size >= 2:
        one_step = replace(config, batch_size=size, epochs=1, d_steps=1)
        try:
            with TemporaryDirectory() as folder:
                train(images.subset(range(size)), one_step, folder, device=device, progress=False)
            return f"batch_size={size} fits"
        except torch.OutOfMemoryError:
            size //= 2
    return "not even a batch of 2 fits; choose a smaller width or image_size"

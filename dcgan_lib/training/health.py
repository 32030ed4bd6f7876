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
    if len(recent) < NO_CONTEST:
        return
    loss_d, d_real, d_fake = recent[:, 0], recent[:, 2], recent[:, 3]
    p = torch.tensor([config.real_label, 1 - config.real_label])
    least = -torch.xlogy(p, p).sum()  # the least loss that these labels allow
    if (loss_d < least + 1e-3).all():
        verdict = "tells every generated image from every real one"
    elif ((d_real - d_fake).abs() < 1e-4).all():
        verdict = "gives every image, real or generated, the same answer"
    else:
        return
    raise TrainingFailed(
        f"training has come to a standstill in epoch {int(history[-1, 0])}: for {NO_CONTEST:,} "
        f"steps the discriminator {verdict}. {_before(history)} Other learning rates, "
        f"real_label=0.9 or another seed may cure it. {_what_is_left(run_dir)}"
    )


def not_a_number(what, history, config, run_dir):
    """The error for a loss or a weight that is NaN or infinite."""
    exact = "" if config.precision == "fp32" else " or precision='fp32'"
    return FloatingPointError(
        f"training broke down in epoch {int(history[-1, 0])}: a {what} is not a number. "
        f"{_before(history)} A smaller learning rate than {config.lr:g}{exact} may cure it. "
        f"{_what_is_left(run_dir)}"
    )


def _before(history):
    """In words, what the metrics were before they broke down."""
    last = history[:, 1:-1][history.isfinite().all(dim=1)][-RECENT:]
    if not len(last):
        return "It did so in its first steps."
    pairs = zip(METRICS, last.mean(dim=0).tolist(), strict=True)
    means = ", ".join(f"{name} {value:.3g}" for name, value in pairs)
    return f"Before, over {len(last)} steps: {means}."


def _what_is_left(run_dir):
    if (run_dir / "checkpoint.pt").exists():
        return f"The last checkpoint in {run_dir} is from before."
    return f"Nothing was saved in {run_dir} yet."


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
        if processes.count() > 1:
            advice = "choose a smaller batch_size"  # a trial would need every process
        elif size := _size_that_fits(train, images, config, device):
            advice = f"batch_size={size} fits"
        else:
            advice = "not even a batch of 2 fits; choose a smaller width or image_size"
        raise MemoryError(
            f"the memory of {device} is too small for batch_size={config.batch_size} ({reason}); "
            f"{advice}"
        )

    return explained


def _size_that_fits(train, images, config, device):
    """The largest batch, by halving, of which a whole step fits beside the images; 0 for none."""
    resident, size = Batches(images, config, device), config.batch_size // 2
    while size >= 2:
        one_step = replace(config, batch_size=size, epochs=1, d_steps=1)
        try:
            with TemporaryDirectory() as folder:
                train(images.subset(range(size)), one_step, folder, device=device, progress=False)
            break
        except torch.OutOfMemoryError:
            size //= 2
    del resident  # it was held while the trials ran, as in training
    return size if size >= 2 else 0

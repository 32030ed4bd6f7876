"""What can be wrong with a training, told in sentences."""

import torch

from dcgan_lib.training.fast import processes as parallel
from dcgan_lib.training.run import METRICS

RECENT = 50  # steps that the averages in a sentence are taken over
DEAD_AFTER = 1_000  # steps in a row without a contest


def check_images(images, config):
    """Raise ValueError where images and configuration do not fit each other."""
    shape, expected = (images.channels, images.size), (config.channels, config.image_size)
    if shape != expected:
        raise ValueError(
            f"the images of {images.name!r} have {shape[0]} channels and {shape[1]} pixels, the configuration asks for "
            f"{expected[0]} and {expected[1]}; set channels={shape[0]} and image_size={shape[1]} in TrainConfig"
        )
    if len(images) < config.batch_size * config.d_steps:
        batch = (
            "one batch" if config.d_steps == 1 else f"the {config.d_steps} batches of a step, each"
        )
        raise ValueError(
            f"{images.name!r} has {len(images)} images, fewer than {batch} of {config.batch_size}; "
            f"choose a batch_size of at most {len(images) // config.d_steps}"
        )
    processes = parallel.world()[1]
    if config.batch_size % processes:
        raise ValueError(
            f"batch_size is {config.batch_size}, which {processes} processes cannot share equally; "
            f"choose a multiple of {processes}"
        )


def curves(history):
    """In words, what the metrics were before they broke down."""
    last = history[:, 1:-1][history.isfinite().all(dim=1)][-RECENT:]
    if not len(last):
        return "It did so in its first steps."
    means = ", ".join(
        f"{name} {value:.3g}" for name, value in zip(METRICS, last.mean(dim=0).tolist())
    )
    return f"Before, over {len(last)} steps: {means}."


def not_a_number(history, what, config):
    """The sentence for a loss or a weight that is none."""
    epoch = int(history[-1, 0])
    exact = "" if config.precision == "fp32" else " or precision='fp32'"
    return (
        f"training broke down in epoch {epoch}: a {what} is not a number. {curves(history)} "
        f"A smaller learning rate than {config.lr:g}{exact} may cure it."
    )


def standstill(history, config):
    """A sentence where the last steps show no contest between the players; else None."""
    recent = history[-DEAD_AFTER:, 1:]
    if len(recent) < DEAD_AFTER:
        return None
    loss_d, d_real, d_fake = recent[:, 0], recent[:, 2], recent[:, 3]
    p = torch.tensor([config.real_label, 1 - config.real_label])
    if (
        loss_d < 1e-3 - torch.xlogy(p, p).sum()
    ).all():  # the least that these labels allow, and a little
        verdict = "tells every generated image from every real one"
    elif ((d_real - d_fake).abs() < 1e-4).all():
        verdict = "gives every image, real or generated, the same answer"
    else:
        return None
    return (
        f"training has come to a standstill in epoch {int(history[-1, 0])}: for {DEAD_AFTER:,} steps the "
        f"discriminator {verdict}. {curves(history)} Other learning rates, real_label=0.9 or another seed may "
        "cure it."
    )

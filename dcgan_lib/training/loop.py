"""The training of a DCGAN: one step, and the loop around it.

A step is the papers' (gomez, section 3.4). The discriminator learns from a real batch and a
generated batch, which pass it one after the other: over a mixed batch, BatchNorm's mean would lie
between the two kinds and give the answer away. Then the generator learns from the discriminator's
verdict on the same generated batch.
"""

from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Optimizer

from dcgan_lib.data.image_set import ImageSet
from dcgan_lib.training.batches import Batches
from dcgan_lib.training.config import TrainConfig
from dcgan_lib.training.fast import accelerate
from dcgan_lib.training.health import name_a_batch_that_fits
from dcgan_lib.training.run import Run, RunFolder
from dcgan_lib.utils.device import autocast_dtype, default_device


def training_step(
    generator: nn.Module,
    discriminator: nn.Module,
    opt_g: Optimizer,
    opt_d: Optimizer,
    real: Tensor,
    z: Tensor,
    bf16: bool = False,
    real_label: float = 1.0,
    *,
    d_steps: int = 1,
    scaler: torch.amp.GradScaler | None = None,
) -> Tensor:
    """Update the discriminator, then the generator, once and in place.

    Parameters
    ----------
    generator, discriminator : Module
    opt_g, opt_d : Optimizer
    real : Tensor of shape (d_steps * N, C, H, W)
        Real images in [-1, 1].
    z : Tensor of shape (d_steps * N, latent_dim)
        Latents of as many generated images.
    bf16 : bool, default False
        Compute the convolutions in bf16.
    real_label : float, default 1.0
        The target for real images; below 1 is one-sided label smoothing (Salimans et al. 2016).
    d_steps : int, default 1
        Updates of the discriminator, each with N real and N generated images of its own.
    scaler : GradScaler, optional
        Compute the convolutions in float16, with gradients scaled by it.

    Returns
    -------
    Tensor of shape (5,)
        Loss of D, loss of G, mean D(x), and mean D(G(z)) before and after the update of D; still on
        the device, so that nobody waits for them.
    """
    scaler = scaler or torch.amp.GradScaler(enabled=False)  # a disabled one changes nothing
    dtype = torch.float16 if scaler.is_enabled() else torch.bfloat16
    mixed = bf16 or scaler.is_enabled()
    autocast = partial(torch.autocast, real.device.type, dtype, enabled=mixed)

    # 1. The discriminator learns to answer 1 (or `real_label`) for real images, 0 for fakes.
    for real_batch, z_batch in zip(real.chunk(d_steps), z.chunk(d_steps), strict=True):
        with autocast():
            fake = generator(z_batch)
            on_real, on_fake = discriminator(real_batch), discriminator(fake.detach())
        loss_d = cross_entropy(on_real, real_label) + cross_entropy(on_fake, 0.0)
        opt_d.zero_grad()
        scaler.scale(loss_d).backward()
        scaler.step(opt_d)
        scaler.update()

    # 2. The generator learns to make the discriminator, as it is now, answer 1 for the last fakes.
    #    What is frozen while it answers gets no gradients, which would only be thrown away.
    discriminator.requires_grad_(False)
    with autocast():
        on_fake_after = discriminator(fake)
    discriminator.requires_grad_(True)
    loss_g = cross_entropy(on_fake_after, 1.0)
    opt_g.zero_grad()
    scaler.scale(loss_g).backward()
    scaler.step(opt_g)
    scaler.update()

    # 3. What happened, for the curves.
    with torch.no_grad():
        logits = [x.to(loss_d.dtype) for x in (on_real, on_fake, on_fake_after)]
        return torch.stack([loss_d, loss_g, *(x.sigmoid().mean() for x in logits)])


def cross_entropy(logits: Tensor, label: float) -> Tensor:
    """Binary cross-entropy between answers, as logits, and one label; never in half precision."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


@torch.no_grad()
def move_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average = decay * average + (1 - decay) * network, for weights and BatchNorm's statistics."""
    ours, theirs = (
        [x for x in net.state_dict().values() if x.is_floating_point()]
        for net in (average, network)
    )
    torch._foreach_lerp_(ours, theirs, 1 - decay)


@name_a_batch_that_fits
def train(
    images: ImageSet,
    config: TrainConfig,
    run_dir: str | Path,
    *,
    device: str | torch.device | None = None,
    resume: bool = True,
    progress: bool = True,
) -> Run:
    """Train a DCGAN, or go on where an earlier call stopped.

    A finished run is returned as it is. An interrupted one goes on from its last checkpoint and
    ends with the same weights as if it had never stopped, to the bit on a CPU. More epochs than the
    run in the folder had are added to it. A run that another program is training is waited for.
    Under torchrun every process makes the same call; the first writes and shows the progress.

    Parameters
    ----------
    images : ImageSet
        Its size and channels must be the configuration's. Labels are not used.
    config : TrainConfig
    run_dir : path
        Receives `config.json`, `checkpoint.pt` (the latest), `weights.pt` (the final ones),
        `history.csv` and `samples/epoch_NNN.png`.
    device : str, optional
        "cuda", "mps" or "cpu"; by default the fastest.
    resume : bool, default True
        False refuses a folder that holds a run already.
    progress : bool, default True
        Show a progress bar.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        Images that do not fit the configuration, or a folder with a different run.
    FloatingPointError, TrainingFailed
        A loss or a weight is no longer a number; the discriminator had no contest for 1,000 steps.
        The last checkpoint stays.
    MemoryError
        The device's memory is too small; the message names a batch size that fits.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, once the step in hand is saved.
    """
    device = torch.device(device or default_device())
    batches = Batches(images, config, device)
    total = config.epochs * batches.per_epoch
    with RunFolder(run_dir, images, config, device, batches.per_epoch, resume, progress) as folder:
        if folder.finished:
            return Run.load(run_dir)

        # 1. Two networks, each with its own optimizer; `average` is the generator that draws.
        generator, discriminator = config.networks()
        generator = generator.to(device, memory_format=torch.channels_last)
        discriminator = discriminator.to(device, memory_format=torch.channels_last)
        settings = dict(lr=config.lr, betas=config.betas, weight_decay=config.weight_decay)
        adam = partial(torch.optim.Adam, fused=device.type != "mps", **settings)
        opt_g, opt_d = adam(generator.parameters()), adam(discriminator.parameters())
        average = deepcopy(generator) if config.ema else generator

        # 2. A step of these four, in the number format that is fast here.
        dtype = autocast_dtype(config.precision, device)
        scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
        options = dict(real_label=config.real_label, d_steps=config.d_steps, scaler=scaler)
        options["bf16"] = dtype == torch.bfloat16
        plain_step = partial(training_step, generator, discriminator, opt_g, opt_d, **options)
        step = accelerate(plain_step, device, exact=config.precision == "fp32")  # only faster

        # 3. The loop, from where an earlier call stopped.
        state = dict(generator=generator, discriminator=discriminator, opt_g=opt_g, opt_d=opt_d)
        state |= dict(average=average) if config.ema else {}
        state |= dict(scaler=scaler) if scaler.is_enabled() else {}
        start = folder.begin(average, state)
        for number in range(start, total):
            real, z = batches.at(number)
            metrics = step(real, z)
            if config.ema:
                move_average(average, generator, config.ema)
            folder.log(number, metrics)  # and draws, saves or stops where it is due
        folder.finish(discriminator)
    return Run.load(run_dir)

"""The training of a DCGAN: one step, and the loop around it (gomez, section 3.4).

Real and generated images pass the discriminator one batch after the other: over a mixed batch,
BatchNorm's mean would lie between the two kinds and give the answer away.
"""

from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from dcgan_lib.data.image_set import ImageSet
from dcgan_lib.models import move_average
from dcgan_lib.training.batches import Batches
from dcgan_lib.training.config import TrainConfig
from dcgan_lib.training.fast import accelerate
from dcgan_lib.training.health import name_a_batch_that_fits
from dcgan_lib.training.precision import cross_entropy, half_precision, mixed_precision
from dcgan_lib.training.run import Run, RunFolder
from dcgan_lib.utils.device import default_device


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
    """Update the discriminator `d_steps` times, then the generator once, in place.

    Parameters
    ----------
    real, z : Tensor of shape (d_steps * N, C, H, W) and (d_steps * N, latent_dim)
        Real images in [-1, 1], and latents. Each update of the discriminator has its own N of both.
    bf16 : bool, default False; computes the convolutions in bf16
    real_label : float, default 1.0
        The target for real images; below 1 is one-sided label smoothing (Salimans et al. 2016).
    d_steps : int, default 1
    scaler : GradScaler, optional; computes them in float16, with gradients scaled by it

    Returns
    -------
    Tensor of shape (5,), still on the device
        Loss of D, loss of G, mean D(x), and mean D(G(z)) before and after the update of D.
    """
    autocast, scaler = half_precision(real.device, bf16, scaler)

    # 1. The discriminator learns to answer 1 (or `real_label`) for real images, 0 for fakes.
    for real_batch, z_batch in zip(real.chunk(d_steps), z.chunk(d_steps), strict=True):
        with autocast:
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
    with autocast:
        on_fake_after = discriminator(fake)
    discriminator.requires_grad_(True)
    loss_g = cross_entropy(on_fake_after, 1.0)
    opt_g.zero_grad()
    scaler.scale(loss_g).backward()
    scaler.step(opt_g)
    scaler.update()

    # 3. No gradient is kept between steps. What happened is told for the curves.
    opt_d.zero_grad()
    opt_g.zero_grad()
    logits = [x.detach().to(loss_d.dtype) for x in (on_real, on_fake, on_fake_after)]
    return torch.stack([loss_d.detach(), loss_g.detach(), *(x.sigmoid().mean() for x in logits)])


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

    A finished run is returned as it is; more epochs are added to it. An interrupted one goes on
    from its last checkpoint and ends with the weights of one that never stopped, to the bit on a
    CPU. What another program trains is waited for. Under torchrun every process makes this call.

    Parameters
    ----------
    images : ImageSet of the configuration's size and channels; labels are not used
    config : TrainConfig
    run_dir : path
        Receives `config.json`, `checkpoint.pt` (the latest), `weights.pt` (the final ones),
        `history.csv` and `samples/epoch_NNN.png`.
    device : {"cuda", "mps", "cpu"}, by default the fastest
    resume : bool, default True; False refuses a folder that holds a run already
    progress : bool, default True; shows a progress bar

    Raises
    ------
    ValueError, FileExistsError
        Images or a run in the folder that do not fit the configuration; any run, if not `resume`.
    FloatingPointError, TrainingFailed
        A loss or a weight is not a number; the discriminator had no contest for 1,000 steps.
    MemoryError
        The device's memory is too small; the message names a batch size that fits.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, once the step in hand is saved.
    """
    device = torch.device(device or default_device())
    batches = Batches(images, config, device)
    with RunFolder(run_dir, images, config, device, batches.per_epoch, resume, progress) as folder:
        if not folder.claim():  # a finished run is returned as it is
            return Run.load(run_dir)

        # 1. Two networks, each with its own optimizer; `average` is the generator that draws.
        generator, discriminator = config.networks()
        generator = generator.to(device, memory_format=torch.channels_last)
        discriminator = discriminator.to(device, memory_format=torch.channels_last)
        settings = dict(lr=config.lr, betas=config.betas, weight_decay=config.weight_decay)
        adam = partial(Adam, fused=device.type != "mps", **settings)
        opt_g, opt_d = adam(generator.parameters()), adam(discriminator.parameters())
        average = deepcopy(generator) if config.ema else generator

        # 2. On from the last checkpoint, if there is one. `accelerate` only makes a step faster.
        options = mixed_precision(config.precision, device)  # bf16=..., scaler=...
        start = folder.begin(average, generator, discriminator, opt_g, opt_d, options["scaler"])
        options |= dict(real_label=config.real_label, d_steps=config.d_steps)
        step = partial(training_step, generator, discriminator, opt_g, opt_d, **options)
        step = accelerate(step, device, exact=config.precision == "fp32")

        # 3. The loop.
        for number in range(start, folder.total):
            real, z = batches.at(number)
            metrics = step(real, z)
            move_average(average, generator, config.ema)
            folder.log(number, metrics)  # and draws, saves or stops where it is due
        folder.finish(discriminator)
    return Run.load(run_dir)

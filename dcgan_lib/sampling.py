"""From latents to images: samples, paths between them, and arithmetic on them."""

import torch
from torch import Tensor

from dcgan_lib.models import Generator
from dcgan_lib.utils.random import rng


def latent(
    n: int,
    latent_dim: int = 100,
    seed: int = 0,
    distribution: str = "normal",
    purpose: str = "latent",
) -> Tensor:
    """Draw latent vectors, the same ones for the same seed.

    Parameters
    ----------
    n : int
    latent_dim : int, default 100
    seed : int, default 0
    distribution : {"normal", "uniform"}, default "normal"
        N(0, 1), or uniform in [-1, 1] as in Radford et al.
    purpose : str, default "latent"
        Draws for another purpose are independent of these.

    Returns
    -------
    Tensor of shape (n, latent_dim)
        float32.

    Examples
    --------
    >>> latent(64).shape
    torch.Size([64, 100])
    """
    stream = rng(seed, purpose)
    if distribution == "uniform":
        return torch.rand(n, latent_dim, generator=stream) * 2 - 1
    return torch.randn(n, latent_dim, generator=stream)


@torch.no_grad()
def generate(generator: Generator, z: Tensor, batch_size: int = 256) -> Tensor:
    """Draw images from given latents, with BatchNorm in evaluation mode.

    In evaluation mode BatchNorm uses the averages collected in training, so that an image depends
    on its own latent alone and not on the others in the batch.

    Parameters
    ----------
    generator : Generator
        Its mode is restored afterwards.
    z : Tensor of shape (N, latent_dim)
    batch_size : int, default 256
        Images computed at a time; it does not change the result.

    Returns
    -------
    Tensor of shape (N, C, H, W)
        float32 in [-1, 1], on the CPU.

    Examples
    --------
    >>> generate(Generator(image_size=32, channels=1), latent(5)).shape
    torch.Size([5, 1, 32, 32])
    """
    was_training = generator.training
    generator.eval()
    try:
        device = next(generator.parameters()).device
        return torch.cat([generator(part.to(device)).float().cpu() for part in z.split(batch_size)])
    finally:
        generator.train(was_training)


def sample(generator: Generator, n: int, seed: int = 0) -> Tensor:
    """Draw images from the latents that the generator was trained with.

    Parameters
    ----------
    generator : Generator
        It knows its own prior, normal or uniform.
    n : int
    seed : int, default 0
        The same generator and seed give the same images.

    Returns
    -------
    Tensor of shape (n, C, H, W)
        float32 in [-1, 1], on the CPU.

    Examples
    --------
    >>> sample(Generator(image_size=32, channels=1), 5).shape
    torch.Size([5, 1, 32, 32])
    """
    return generate(generator, latent(n, generator.latent_dim, seed, generator.latents))


def slerp(z0: Tensor, z1: Tensor, t: Tensor) -> Tensor:
    """Interpolate on a sphere (White 2016): turn from z0 to z1 steadily, and blend their lengths.

    In 100 dimensions nearly all of N(0, 1) lies at a distance of about 10 from the origin. The
    straight line between two such points passes closer to the origin, where the generator has
    hardly seen anything; the arc does not.

    Parameters
    ----------
    z0, z1 : Tensor of shape (latent_dim,)
    t : Tensor of shape (steps,)
        Positions from 0 (z0) to 1 (z1).

    Returns
    -------
    Tensor of shape (steps, latent_dim)

    Examples
    --------
    >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.5]))
    tensor([[0.7071, 0.7071]])
    """
    length0, length1 = z0.norm(), z1.norm()
    angle = torch.arccos((z0 @ z1 / (length0 * length1)).clamp(-1, 1))
    t = t[:, None]
    if angle.sin() < 1e-6:  # the same or the opposite direction: there is no arc to choose
        return (1 - t) * z0 + t * z1
    start, end = torch.sin((1 - t) * angle) * z0 / length0, torch.sin(t * angle) * z1 / length1
    return (start + end) / angle.sin() * ((1 - t) * length0 + t * length1)


def interpolate(generator: Generator, z0: Tensor, z1: Tensor, steps: int = 8) -> Tensor:
    """Draw images on the arc from one latent to another, both ends included.

    Parameters
    ----------
    generator : Generator
    z0, z1 : Tensor of shape (latent_dim,)
    steps : int, default 8

    Returns
    -------
    Tensor of shape (steps, C, H, W)
        float32 in [-1, 1], on the CPU.

    Examples
    --------
    >>> interpolate(Generator(image_size=32, channels=1), *latent(2), steps=3).shape
    torch.Size([3, 1, 32, 32])
    """
    return generate(generator, slerp(z0, z1, torch.linspace(0, 1, steps)))


def latent_arithmetic(generator: Generator, base: Tensor, minus: Tensor, plus: Tensor) -> Tensor:
    """Vector arithmetic on concepts (Radford et al. 2015, section 6.3.2): base - minus + plus.

    Each concept is the mean of the latents of several samples that show it, because single
    samples are unstable.

    Parameters
    ----------
    generator : Generator
    base, minus, plus : Tensor of shape (n, latent_dim)
        Latents whose samples show the concept; n may differ, and the paper takes 3.

    Returns
    -------
    Tensor of shape (4, C, H, W)
        Images of the mean of `base`, of `minus`, of `plus`, and of the result; float32 in [-1, 1].

    Examples
    --------
    >>> latent_arithmetic(Generator(image_size=32, channels=1), *latent(9).split(3)).shape
    torch.Size([4, 1, 32, 32])
    """
    base, minus, plus = (z.mean(dim=0) for z in (base, minus, plus))
    return generate(generator, torch.stack([base, minus, plus, base - minus + plus]))

"""From latent vectors to images: samples, paths between them, and arithmetic on them."""

import torch

from dcgan_lib.utils.random import rng


def latent(n, latent_dim=100, seed=0, distribution="normal", purpose="latent"):
    """n latent vectors: float32 of shape (n, latent_dim), the same for the same seed.

    Each number is from N(0, 1), or with distribution="uniform" from [-1, 1], as in Radford et al.; draws for another
    purpose are independent of these.
    """
    if distribution == "uniform":
        return torch.rand(n, latent_dim, generator=rng(seed, purpose)) * 2 - 1
    return torch.randn(n, latent_dim, generator=rng(seed, purpose))


@torch.no_grad()
def generate(generator, z, batch_size=256):
    """Images from given latents, with BatchNorm in evaluation mode.

    In evaluation mode BatchNorm uses the averages collected in training, so that an image depends on its own
    latent alone and not on the others in the batch.

    Parameters
    ----------
    generator : Generator
        Its mode is restored afterwards.
    z : Tensor of shape (N, latent_dim)
    batch_size : int
        Images computed at a time; it does not change the result.

    Returns
    -------
    Tensor of shape (N, C, H, W)
        float32 in [-1, 1], on the CPU.
    """
    was_training = generator.training
    generator.eval()
    try:
        device = next(generator.parameters()).device
        return torch.cat([generator(part.to(device)).float().cpu() for part in z.split(batch_size)])
    finally:
        generator.train(was_training)


def sample(generator, n, seed=0):
    """n images (n, C, H, W) in [-1, 1]; the same generator and seed give the same images."""
    return generate(generator, latent(n, generator.latent_dim, seed))


def slerp(z0, z1, t):
    """Spherical interpolation (White 2016): turn from z0 to z1 at a steady angle, and blend their lengths.

    In 100 dimensions nearly all of N(0, 1) lies at a distance of about 10 from the origin. The straight line between
    two such points passes closer to the origin, where the generator has seen nothing; the arc does not.

    Parameters
    ----------
    z0, z1 : Tensor of shape (latent_dim,)
    t : Tensor of shape (steps,)
        Positions from 0 (z0) to 1 (z1).

    Returns
    -------
    Tensor of shape (steps, latent_dim)
    """
    length0, length1 = z0.norm(), z1.norm()
    angle = torch.arccos((z0 @ z1 / (length0 * length1)).clamp(-1, 1))
    t = t[:, None]
    if angle.sin() < 1e-6:  # same or opposite direction: there is no arc to choose
        return (1 - t) * z0 + t * z1
    direction = (
        torch.sin((1 - t) * angle) * z0 / length0 + torch.sin(t * angle) * z1 / length1
    ) / angle.sin()
    return direction * ((1 - t) * length0 + t * length1)


def interpolate(generator, z0, z1, steps=8):
    """Images on the arc from latent z0 to latent z1, both ends included: (steps, C, H, W) in [-1, 1]."""
    return generate(generator, slerp(z0, z1, torch.linspace(0, 1, steps)))


def latent_arithmetic(generator, base, minus, plus):
    """Vector arithmetic on concepts (Radford et al. 2015, section 6.3.2): base - minus + plus.

    Each concept is the mean of the latents of several samples that show it; single samples are unstable.

    Parameters
    ----------
    generator : Generator
    base, minus, plus : Tensor of shape (n, latent_dim)
        Latents whose samples show the concept; n may differ, the paper takes 3.

    Returns
    -------
    Tensor of shape (4, C, H, W)
        Images of the mean of `base`, of `minus`, of `plus`, and of the result.
    """
    base, minus, plus = (z.mean(dim=0) for z in (base, minus, plus))
    return generate(generator, torch.stack([base, minus, plus, base - minus + plus]))

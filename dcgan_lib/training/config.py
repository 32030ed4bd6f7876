"""Everything that decides a training run, apart from the images."""

from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral, Real

from dcgan_lib.models import Discriminator, Generator, check_sizes

CHOICES = {
    "precision": ("auto", "fp32", "bf16", "fp16"),
    "latents": ("normal", "uniform"),
    "flip": (False, True),
}
ANY = 1e300  # no limit, but finite
RANGES = {  # the least and the largest value of every number
    "image_size": (Integral, 1, ANY),
    "channels": (Integral, 1, ANY),
    "latent_dim": (Integral, 1, ANY),
    "width": (Integral, 1, ANY),
    "kernel_size": (Integral, 1, ANY),
    "batch_size": (Integral, 2, ANY),  # BatchNorm needs two images
    "epochs": (Integral, 1, ANY),
    "d_steps": (Integral, 1, ANY),
    "seed": (Integral, -ANY, ANY),
    "lr": (Real, 1e-12, ANY),
    "real_label": (Real, 0.5, 1),
    "weight_decay": (Real, 0, 1),
    "ema": (Real, 0, 0.999999),
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides a run, apart from the images. The defaults are those of both papers.

    Every type and range is checked when a configuration is made. A number may be given as text,
    such as "2e-4", because YAML reads it so.

    Parameters
    ----------
    image_size : {32, 64, 128}, default 64
    channels : {1, 3}, default 3
    latent_dim : int, default 100
    width : int, default 64
    kernel_size : {3, 4, 5}, default 4
        These five are as in `Generator` and `Discriminator`.
    batch_size : int, default 128
        Images in the real batch and in the generated batch; a last, smaller batch is dropped.
    epochs : int, default 100
        Passes over the images: 100 in gomez, 10 in singh.
    lr : float, default 2e-4
        Learning rate of both Adam optimizers.
    betas : tuple of two floats, default (0.5, 0.999)
        Adam's decay rates.
    seed : int, default 0
        Decides the initial weights, the order of the images and every latent vector.
    precision : {"auto", "fp32", "bf16", "fp16"}, default "auto"
        Number format of the convolutions. "auto" takes bf16 where the hardware has it, fp16 on a
        GPU that has neither bf16 nor TF32 (Colab's T4), and fp32 elsewhere, or TF32 on a GPU that
        has it. "fp32" is never less than that. Weights, losses and optimizer states are always
        fp32.
    flip : bool, default False
        Mirror each real image with a probability of one half.
    d_steps : int, default 1
        Updates of the discriminator for each update of the generator, every one with a batch of its
        own (Goodfellow et al. 2014, Algorithm 1).
    real_label : float, default 1.0
        The discriminator's target for real images; 0.9 is one-sided label smoothing (Salimans et
        al. 2016, section 3.4).
    weight_decay : float, default 0.0
        L2 penalty on the weights of both networks; 1e-5 in the program of Radford et al.
    latents : {"normal", "uniform"}, default "normal"
        N(0, 1), or uniform in [-1, 1] as in Radford et al.
    ema : float, default 0.0
        Decay of a moving average of the generator's weights and BatchNorm statistics, which is
        then the generator that draws samples; 0.999 averages over about the last thousand steps,
        0 keeps none.

    Raises
    ------
    ValueError, TypeError
        A value of another type or outside of its range; the sentence names it.

    Examples
    --------
    >>> TrainConfig(image_size=32, channels=1, epochs=10).lr
    0.0002
    """

    image_size: int = 64
    channels: int = 3
    latent_dim: int = 100
    width: int = 64
    kernel_size: int = 4
    batch_size: int = 128
    epochs: int = 100
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    seed: int = 0
    precision: str = "auto"
    flip: bool = False
    d_steps: int = 1
    real_label: float = 1.0
    weight_decay: float = 0.0
    latents: str = "normal"
    ema: float = 0.0

    def __post_init__(self):
        values = vars(self)  # the way past `frozen`
        for name, limits in RANGES.items():
            values[name] = _number(name, values[name], *limits)
        check_sizes(self.image_size, self.channels, self.latent_dim, self.width, self.kernel_size)
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise ValueError(f"betas is {self.betas!r}; give two numbers, such as (0.5, 0.999)")
        values["betas"] = tuple(_number("betas", beta, Real, 0, 0.999999) for beta in self.betas)
        for name, choices in CHOICES.items():
            if type(values[name]) is not type(choices[0]) or values[name] not in choices:
                raise ValueError(
                    f"{name} is {values[name]!r}; choose one of {', '.join(map(str, choices))}"
                )

    def networks(self) -> tuple[Generator, Discriminator]:
        """A new generator and discriminator with this configuration's initial weights."""
        return (
            Generator(
                self.image_size,
                self.channels,
                self.latent_dim,
                self.width,
                self.kernel_size,
                latents=self.latents,
                seed=self.seed,
            ),
            Discriminator(
                self.image_size, self.channels, self.width, self.kernel_size, seed=self.seed
            ),
        )


def _number(name, value, kind, low, high):
    """The value as an int or a float; text such as "2e-4" is a number, True and NaN are none."""
    number = value
    with suppress(ValueError):
        number = float(value) if kind is Real and isinstance(value, str) else value
    if isinstance(number, bool) or not (isinstance(number, kind) and low <= number <= high):
        what = "number" if kind is Real else "whole number"
        limits = f" from {low} to {high}" if high < ANY else f" of at least {low}"
        raise ValueError(f"{name} is {value!r}; it must be a {what}{limits if low > -ANY else ''}")
    return float(number) if kind is Real else int(number)

"""A GAN of five numbers on a line, as rows of numbers and as a figure that the reader can play.

The generator owns a shift and a scale and draws x = shift + scale * z. The discriminator owns three
weights, and its logit is w0 + w1 * x + w2 * x^2. Instead of random draws, every round uses the same
evenly spread quantiles of the normal distribution, so that a game is decided by its settings alone
and the page plays exactly the game that Python plays.
"""

from statistics import NormalDist

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dcgan_lib.figures.colours import DISCRIMINATOR, FADED, GENERATOR, STYLE
from dcgan_lib.figures.live import Live


def normal_quantiles(count: int = 64) -> np.ndarray:
    """As many numbers, spread as a normal distribution spreads its draws.

    Examples
    --------
    >>> normal_quantiles(3).round(2)
    array([-0.97,  0.  ,  0.97])
    """
    return np.array([NormalDist().inv_cdf((k + 0.5) / count) for k in range(count)])


def toy_path(
    rounds: int,
    mean: float = 2.0,
    deviation: float = 0.5,
    lr_d: float = 0.05,
    lr_g: float = 0.05,
    decay: float = 0.1,
) -> np.ndarray:
    """Play the game from its start: the state before it and after every round.

    Parameters
    ----------
    rounds : int
        In each, the discriminator moves first and then the generator.
    mean, deviation : float, defaults 2.0 and 0.5
        Of the real numbers.
    lr_d, lr_g : float, default 0.05
        Learning rates of the discriminator and of the generator.
    decay : float, default 0.1
        How strongly the discriminator's weights are drawn back to zero.

    Returns
    -------
    array of shape (rounds + 1, 5)
        w0, w1, w2, shift and scale.

    Examples
    --------
    >>> toy_path(3000)[-1, 3:].round(2)
    array([2. , 0.5])
    """
    z = normal_quantiles()
    terms_of_real = _terms(mean + deviation * z)
    w, shift, scale = np.zeros(3), 0.0, 1.0
    path = [[*w, shift, scale]]
    for _ in range(rounds):
        fake = shift + scale * z
        terms_of_fake = _terms(fake)
        errors_on_real = 1 - _sigmoid(w @ terms_of_real)
        slope = terms_of_fake @ _sigmoid(w @ terms_of_fake) - terms_of_real @ errors_on_real
        w = w - lr_d * (slope / len(z) + decay * w)
        slope = -(1 - _sigmoid(w @ terms_of_fake)) * (w[1] + 2 * w[2] * fake)
        shift, scale = shift - lr_g * slope.mean(), scale - lr_g * (slope * z).mean()
        path.append([*w, shift, scale])
    return np.array(path)


def _terms(x):
    return np.stack([np.ones_like(x), x, x**2])


def _sigmoid(logit):
    return 1 / (1 + np.exp(-logit))


def toy_picture(rounds: tuple[int, ...] = (0, 60, 3000), **settings: float) -> Figure:
    """The game after some numbers of rounds: both densities, and D(x) over the line.

    Parameters
    ----------
    rounds : tuple of int
        One panel each.
    **settings : float
        Those of `toy_path`.

    Examples
    --------
    >>> len(toy_picture((0, 10)).axes)
    2
    """
    mean, deviation = settings.get("mean", 2.0), settings.get("deviation", 0.5)
    path, x = toy_path(max(rounds), **settings), np.linspace(-4, 8, 400)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, len(rounds), figsize=(5.4, 2.2), sharey=True, layout="constrained", squeeze=False
        )
    for axis, after in zip(axes[0], rounds):
        *w, shift, scale = path[after]
        axis.fill_between(x, _density(x, mean, deviation), color=FADED, alpha=0.5, label="real")
        orange = _density(x, shift, max(abs(scale), 0.03))
        axis.fill_between(x, orange, color=GENERATOR, alpha=0.5, label="generated")
        axis.plot(x, _sigmoid(w @ _terms(x)), color=DISCRIMINATOR, label="D(x)")
        axis.set(xlim=(-4, 8), ylim=(0, 1.02), xticks=(-4, 0, 4, 8), yticks=(0, 0.5, 1))
        axis.set_title(f"round {after:,}", fontsize=12)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    plt.close(figure)
    return figure


def _density(x, mean, deviation):
    return np.exp(-(((x - mean) / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi))


def live_toy_game(caption: str = "") -> Live:
    """The game as a figure: step, play, reset, and a slider for each argument of `toy_path`.

    Examples
    --------
    >>> live_toy_game().script
    'toy_game'
    """
    about = (
        "The toy game on a line: grey, the density of the real numbers, with mean 2 and deviation "
        "0.5; orange, the density of the generated ones, which starts at 0 with deviation 1; blue, "
        "the discriminator's belief D(x) that a number is real. When the game is played, the "
        "orange density moves to the right until it lies on the grey one, and D(x) becomes a flat "
        "line at one half."
    )
    data = {"z": normal_quantiles().tolist()}
    return Live("toy_game", data, about, caption, still=toy_picture())

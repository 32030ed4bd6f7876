"""Two Gaussians that the reader moves apart, with the loss of the best possible discriminator."""

import numpy as np

from dcgan_lib.figures.live import Live

GRID = np.linspace(-20, 20, 4001)
FARTHEST = 12


def best_discriminator(distance: float) -> dict[str, float]:
    """How well real N(-d/2, 1) can be told from generated N(d/2, 1), at best.

    Parameters
    ----------
    distance : float
        d, the distance between the two means.

    Returns
    -------
    dict
        `loss` of the best discriminator; `jsd`, the Jensen-Shannon divergence; and `wasserstein`,
        the mean distance over which generated numbers must be moved to become real ones.

    Examples
    --------
    >>> {name: round(value, 3) for name, value in best_discriminator(4).items()}
    {'loss': 0.179, 'jsd': 0.603, 'wasserstein': 4.0}
    """
    real, generated = _density(GRID, -distance / 2), _density(GRID, distance / 2)
    logit = -distance * GRID  # log(real / generated)
    loss = real * np.logaddexp(0, -logit) + generated * np.logaddexp(0, logit)
    loss = float(loss.sum() * (GRID[1] - GRID[0]))  # the ends are zero
    return {"loss": loss, "jsd": float(np.log(2) - loss / 2), "wasserstein": float(abs(distance))}


def _density(x, mean):
    return np.exp(-((x - mean) ** 2) / 2) / np.sqrt(2 * np.pi)


def gaussians_apart(distance: float = 2.0, caption: str = "") -> Live:
    """Move two Gaussians apart, and see what the best discriminator's loss has to say about it.

    Parameters
    ----------
    distance : float, default 2.0
        Between the two means, at the beginning.
    caption : str, default ""

    Examples
    --------
    >>> gaussians_apart()
    Real and generated numbers as two bells, and the loss of the best discriminator over their \
distance: it falls from 1.386 and is flat at zero from a distance of about 8.
    """
    about = (
        "Real and generated numbers as two bells, and the loss of the best discriminator over "
        "their distance: it falls from 1.386 and is flat at zero from a distance of about 8."
    )
    return Live("gaussians_apart", {"distance": distance, "farthest": FARTHEST}, about, caption)

"""Training as a film: the same latents after every epoch, with a button to play and a slider."""

import numpy as np
from torch import Tensor
from torch.nn.functional import interpolate

from dcgan_lib.figures.live import Live, sprite

LIMIT = 300_000  # letters of the pictures that a page has to carry
SIDE = 32  # pixels of one image in the page, at most


def epoch_player(
    samples: Tensor, history: dict | None = None, count: int = 16, caption: str = ""
) -> Live:
    """Play the images that the same latents gave after each epoch.

    Large images are shown at 32 pixels. Of a long run as many epochs are shown, evenly spaced, as
    the page can carry; the first and the last are always among them.

    Parameters
    ----------
    samples : Tensor of shape (epochs + 1, N, C, H, W)
        uint8, the untrained generator's first, as `Run.samples` gives them.
    history : dict of arrays, optional
        A run's history. The mean of both losses over each epoch is then drawn below the images.
    count : int, default 16
        How many of the N latents are shown.
    caption : str, default ""

    Examples
    --------
    >>> import torch
    >>> epoch_player(torch.zeros(13, 64, 1, 32, 32, dtype=torch.uint8))
    Images from 16 latents, before training and after each of 12 epochs.
    """
    epochs = len(samples) - 1
    images = samples[:, :count]
    if max(images.shape[3:]) > SIDE:
        images = interpolate(images.flatten(0, 1).float(), size=SIDE, mode="area")
        images = images.round().byte().unflatten(0, (epochs + 1, -1))
    frames = epochs + 1
    while True:
        shown = np.unique(np.linspace(0, epochs, frames).round().astype(int))
        pixels = images[shown].flatten(0, 1).permute(0, 2, 3, 1).numpy()
        sheet = sprite(pixels, images.shape[1], quality=None if pixels.shape[3] == 1 else 92)
        if len(sheet) < LIMIT or frames <= 2:
            break
        frames = max(2, min(frames - 1, int(frames * LIMIT / len(sheet))))
    data = {
        "sheet": sheet,
        "count": images.shape[1],
        "side": images.shape[3],
        "epochs": shown.tolist(),
        "losses": None if history is None else _means(history, epochs),
    }
    about = (
        f"Images from {images.shape[1]} latents, before training and after each of {epochs} epochs."
    )
    return Live("epoch_player", data, about, caption)


def _means(history, epochs):
    """Mean loss of both networks over each epoch, from the first."""
    number = np.asarray(history["epoch"])
    return {
        name: [
            round(float(history[name][number == epoch].mean()), 4) for epoch in np.unique(number)
        ]
        for name in ("loss_d", "loss_g")
    }

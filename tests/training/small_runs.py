"""Runs of a second, for every test of training."""

import torch

from dcgan_lib import TrainConfig, train

SMALL = TrainConfig(image_size=32, channels=1, width=8, batch_size=16, epochs=2, precision="fp32")


def run_small(images, folder, config=SMALL, **kwargs):
    return train(images, config, folder, device="cpu", progress=False, **kwargs)


def same_weights(one, other):
    pairs = [(one.generator, other.generator), (one.discriminator, other.discriminator)]
    return all(
        torch.equal(a, b)
        for x, y in pairs
        for a, b in zip(x.state_dict().values(), y.state_dict().values())
    )

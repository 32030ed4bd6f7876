"""Every variant of the ablation runs and differs in what its name says; its measures are right."""

import ablation
import pytest
import torch
from torch import nn

from dcgan_lib import Discriminator, Generator, TrainConfig, read_record


def networks(variant):
    pair = Generator(32, 1, width=4, seed=0), Discriminator(32, 1, width=4, seed=0)
    ablation.VARIANTS[variant](*pair, 0)
    return pair


def count(network, kind):
    return sum(isinstance(layer, kind) for layer in network.modules())


@pytest.mark.parametrize("variant", ablation.VARIANTS)
def test_a_variant_draws_and_judges_and_learns(variant, make_images):
    config = TrainConfig(image_size=32, channels=1, width=4, batch_size=8, epochs=1, ema=0.9)
    generator, gap = ablation.trained(variant, make_images(16), config)
    assert generator(torch.zeros(3, 100)).shape == (3, 1, 32, 32)
    assert -1 <= gap <= 1


def test_a_variant_is_what_it_is_called():
    g, d = networks("DCGAN")
    norms = count(g, nn.BatchNorm2d), count(d, nn.BatchNorm2d)
    g, d = networks("no BatchNorm in G")
    assert (count(g, nn.BatchNorm2d), count(d, nn.BatchNorm2d)) == (0, norms[1])
    assert all(block[0].bias is not None for block in g.blocks)
    g, d = networks("BatchNorm everywhere")
    assert (count(g, nn.BatchNorm2d), count(d, nn.BatchNorm2d)) == (norms[0] + 1, norms[1] + 1)
    _, d = networks("max-pooling in D")
    assert count(d, nn.MaxPool2d) == 3 and d.blocks[0][0].stride == (1, 1)
    g, _ = networks("resize and convolve in G")
    assert count(g, nn.ConvTranspose2d) == 1, "only the one that makes the first map"
    assert count(networks("LeakyReLU in G")[0], nn.ReLU) == 0
    assert count(networks("ReLU in D")[1], nn.LeakyReLU) == 0
    assert count(networks("fully connected layers")[1], nn.Linear) == 2
    weights = networks("PyTorch's weights")[0].blocks[1][0].weight
    assert weights.std() > 0.03


def test_the_distance_of_two_normal_distributions():
    """With means 0 and 3, and deviations 1 and 2, in each of two dimensions: 2 * (9 + 1)."""
    x = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0))
    assert ablation.frechet(x, 3 + 2 * x) == pytest.approx(20, rel=0.02)
    assert ablation.frechet(x, x) == pytest.approx(0, abs=1e-6)


def test_classes_are_counted_by_their_entropy():
    assert ablation.effective_classes(torch.arange(10).repeat(5), 10) == pytest.approx(10)
    assert ablation.effective_classes(torch.zeros(5, dtype=torch.long), 10) == pytest.approx(1)


def test_the_record_has_every_variant_with_three_seeds():
    record = read_record("ablation-fashion")
    assert list(record["variants"]) == list(ablation.VARIANTS)
    assert all([row["seed"] for row in rows] == [0, 1, 2] for rows in record["variants"].values())

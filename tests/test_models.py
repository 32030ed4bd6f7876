"""The networks against the papers' tables and an independent build of the same architecture."""

import pytest
import torch
from torch import nn

from dcgan_lib import Discriminator, Generator, count_parameters, layer_table


def reference_discriminator(channels=3, width=64):
    """The 64-pixel discriminator as a flat list of layers, written from Table 1 of gomez."""
    layers, maps_in = [], channels
    for i in range(4):
        layers.append(nn.Conv2d(maps_in, width << i, 4, 2, 1, bias=False))
        if i:
            layers.append(nn.BatchNorm2d(width << i))
        layers.append(nn.LeakyReLU(0.2))
        maps_in = width << i
    return nn.Sequential(*layers, nn.Conv2d(maps_in, 1, 4, 1, 0, bias=False), nn.Flatten(0))


def reference_generator(channels=3, width=64):
    """The 64-pixel generator likewise."""
    maps_in, layers = 100, []
    for i, maps in enumerate((width * 8, width * 4, width * 2, width)):
        stride, padding = (2, 1) if i else (1, 0)
        layers += [
            nn.ConvTranspose2d(maps_in, maps, 4, stride, padding, bias=False),
            nn.BatchNorm2d(maps),
            nn.ReLU(),
        ]
        maps_in = maps
    return nn.Sequential(
        *layers, nn.ConvTranspose2d(maps_in, channels, 4, 2, 1, bias=False), nn.Tanh()
    )


def copy_in_order(source, target):
    values = list(source.state_dict().values())
    assert [v.shape for v in values] == [v.shape for v in target.state_dict().values()]
    target.load_state_dict(dict(zip(target.state_dict(), values)))


def test_equal_to_the_reference_at_64_pixels():
    ours, reference = Discriminator(), reference_discriminator()
    copy_in_order(ours, reference)
    images = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(ours(images), reference(images))
    ours, reference = Generator(), reference_generator()
    copy_in_order(ours, reference)
    z = torch.randn(8, 100, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(z), reference(z[:, :, None, None]))


def test_parameter_counts_of_the_64_pixel_networks():
    # 16 weights a pair of maps, plus scale and shift a normalised map; worked out from Table 1,
    # not from the code.
    pairs = 100 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3
    assert count_parameters(Generator()) == 16 * pairs + 2 * (512 + 256 + 128 + 64) == 3_576_704
    pairs = 3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 1
    assert count_parameters(Discriminator()) == 16 * pairs + 2 * (128 + 256 + 512) == 2_765_568


@pytest.mark.parametrize("kernel_size", [4, 5])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image_size,blocks", [(32, 3), (64, 4), (128, 5)])
def test_shapes(image_size, blocks, channels, kernel_size):
    generator = Generator(image_size, channels, width=8, kernel_size=kernel_size)
    discriminator = Discriminator(image_size, channels, width=8, kernel_size=kernel_size)
    assert len(generator.blocks) == len(discriminator.blocks) == blocks
    images = generator(torch.randn(2, 100))
    assert images.shape == (2, channels, image_size, image_size) and images.abs().max() <= 1
    assert discriminator(images).shape == (2,)
    x = images
    for i, block in enumerate(discriminator.blocks):
        x = block(x)
        side = image_size >> (i + 1)
        assert x.shape == (2, 8 << i, side, side)
    assert x.shape[2:] == (4, 4)


def test_both_forms_of_latents_are_taken():
    generator, z = Generator(32, 1, width=8).eval(), torch.randn(3, 100)
    torch.testing.assert_close(generator(z), generator(z[:, :, None, None]))


@torch.no_grad()
def test_initial_statistics():
    for network in (Generator(), Discriminator()):
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and layer.weight.numel() > 10_000:
                assert abs(layer.weight.mean()) < 5e-4 and layer.weight.std() == pytest.approx(
                    0.02, rel=0.02
                )
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.weight.mean() == pytest.approx(1, abs=0.01)
                assert layer.weight.std() == pytest.approx(0.02, rel=0.3) and not layer.bias.any()


def test_seed_decides_the_weights_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    one, same, other = (Generator(32, 1, width=8, seed=seed).head[0].weight for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_batchnorm_where_the_paper_has_none():
    kinds = [type(layer) for layer in Discriminator().blocks[0]]
    assert nn.BatchNorm2d not in kinds
    assert [type(layer) for layer in Generator().head] == [nn.ConvTranspose2d, nn.Tanh]


def test_layer_table_follows_table_1():
    outputs = [row["output"] for row in layer_table(Discriminator())]
    assert outputs == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (1, 1, 1)]
    outputs = [row["output"] for row in layer_table(Generator())]
    assert outputs == [(512, 4, 4), (256, 8, 8), (128, 16, 16), (64, 32, 32), (3, 64, 64)]
    network = Discriminator()
    assert sum(row["parameters"] for row in layer_table(network)) == count_parameters(network)
    assert network.training, "looking at the layers must not change the mode"


@pytest.mark.parametrize(
    "wrong,word",
    [
        (dict(image_size=48), "48"),
        (dict(kernel_size=6), "kernel_size is 6"),
        (dict(channels=2), "channels is 2"),
        (dict(width=0), "width is 0"),
    ],
)
def test_sizes_that_do_not_exist(wrong, word):
    for kind in (Generator, Discriminator):
        with pytest.raises(ValueError, match=word):
            kind(**wrong)


def test_inputs_of_the_wrong_shape():
    with pytest.raises(ValueError, match=r"\(2, 3, 32, 32\).*\(N, 1, 32, 32\)"):
        Discriminator(32, 1, width=8)(torch.zeros(2, 3, 32, 32))
    with pytest.raises(ValueError, match=r"\(2, 64\).*\(N, 100\)"):
        Generator(32, 1, width=8)(torch.zeros(2, 64))

import pytest
import torch

from dcgan_lib import Generator, generate, interpolate, latent, latent_arithmetic, sample
from dcgan_lib.sampling import slerp


@pytest.fixture
def generator():
    return Generator(32, 1, width=8)


def test_samples_are_repeatable_and_leave_the_mode_alone(generator):
    images = sample(generator, 5, seed=3)
    assert images.shape == (5, 1, 32, 32) and images.abs().max() <= 1
    assert torch.equal(images, sample(generator, 5, seed=3)) and not torch.equal(
        images, sample(generator, 5, seed=4)
    )
    assert generator.training


def test_an_image_depends_on_its_own_latent_alone(generator):
    z = latent(6)
    torch.testing.assert_close(generate(generator, z)[2:3], generate(generator, z[2:3]))
    torch.testing.assert_close(generate(generator, z), generate(generator, z, batch_size=4))


def test_latents_are_standard_normal():
    z = latent(2000, 100, seed=1)
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01


def test_slerp_ends_angle_and_length():
    z0, z1 = latent(2, 100, seed=1)
    path = slerp(z0, z1, torch.linspace(0, 1, 5))
    torch.testing.assert_close(path[0], z0)
    torch.testing.assert_close(path[-1], z1)
    lengths = path.norm(dim=1)
    torch.testing.assert_close(
        lengths, torch.linspace(0, 1, 5) * (z1.norm() - z0.norm()) + z0.norm()
    )
    angles = torch.nn.functional.cosine_similarity(path[:-1], path[1:]).arccos()
    torch.testing.assert_close(angles, angles[:1].expand(4), atol=1e-3, rtol=0)


def test_slerp_between_equal_latents_stays_there():
    z = latent(1)[0]
    torch.testing.assert_close(slerp(z, z, torch.linspace(0, 1, 3)), z.expand(3, -1))


def test_interpolate_begins_and_ends_at_the_two_images(generator):
    z = latent(2)
    images = interpolate(generator, z[0], z[1], steps=4)
    torch.testing.assert_close(images[[0, -1]], generate(generator, z), atol=1e-5, rtol=1e-4)


def test_arithmetic_of_means(generator):
    base, minus, plus = latent(9).split(3)
    images = latent_arithmetic(generator, base, minus, plus)
    mean = base.mean(0) - minus.mean(0) + plus.mean(0)
    torch.testing.assert_close(images[3:], generate(generator, mean[None]))

import numpy as np
import pytest
import torch

from dcgan_lib import Discriminator, available_recipes, extract_features, feature_size, recalibrate_batchnorm, to_float
from dcgan_lib.features import block_maps


@pytest.mark.parametrize("recipe,image_size,size", [
    ("grid", 64, 15_360), ("last", 64, 8_192), ("maxpool", 64, 28_672), ("maps", 32, 28_672),
    ("last", 32, 4_096), ("maxpool", 32, 7_168), ("grid", 32, 7_168),
])  # fmt: skip
@pytest.mark.parametrize("kernel_size", [4, 5])
def test_the_papers_sizes(recipe, image_size, size, kernel_size):
    assert feature_size(Discriminator(image_size, kernel_size=kernel_size), recipe) == size


@pytest.mark.parametrize("recipe", available_recipes())
def test_matrix_has_the_size_that_was_promised(make_images, recipe):
    discriminator = Discriminator(32, 1, width=8)
    matrix = extract_features(discriminator, make_images(10), recipe, progress=False)
    assert matrix.shape == (10, feature_size(discriminator, recipe)) and matrix.dtype == np.float32
    assert discriminator.training, "the mode must be restored"


def test_recipes_by_hand(make_images):
    """Each recipe again with plain loops over windows, for one image."""
    discriminator, images = Discriminator(32, 3, width=8).eval(), make_images(1, channels=3)
    with torch.no_grad():
        maps = [m[0].numpy() for m in block_maps(discriminator, to_float(images.images))]
    found = {r: extract_features(discriminator, images, r, progress=False)[0] for r in available_recipes()}

    def close(recipe, parts):
        np.testing.assert_allclose(found[recipe], np.concatenate([p.ravel() for p in parts]), rtol=1e-4, atol=1e-5)

    def pooled(block, kernel, stride, padding):
        block = np.pad(block, ((0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf)
        starts = range(0, block.shape[1] - kernel + 1, stride)
        return np.stack([[block[:, i : i + kernel, j : j + kernel].max((1, 2)) for j in starts] for i in starts], 0) \
            .transpose(2, 0, 1)

    close("maps", maps)
    close("last", maps[-1:])
    close("grid", [pooled(m, m.shape[1] // 4, m.shape[1] // 4, 0) for m in maps])
    close("maxpool", [pooled(m, 4, 2, 1) for m in maps])


def test_batch_size_does_not_matter(make_images):
    discriminator, images = Discriminator(32, 1, width=8), make_images(10)
    whole, parts = (extract_features(discriminator, images, "grid", batch_size=b, progress=False) for b in (10, 3))
    np.testing.assert_allclose(whole, parts, rtol=1e-4, atol=1e-5)


def test_bad_input(make_images):
    discriminator = Discriminator(64, 1, width=8)
    with pytest.raises(ValueError, match="recipe is 'gird'.*grid, last, maxpool, maps"):
        feature_size(discriminator, "gird")
    with pytest.raises(ValueError, match=r"\(96, 1, 32, 32\).*\(N, 1, 64, 64\)"):
        extract_features(discriminator, make_images(), "grid")
    with pytest.raises(TypeError, match="uint8"):
        extract_features(discriminator, torch.zeros(2, 1, 64, 64), "grid")


def test_recalibrated_statistics_are_those_of_the_real_images(make_images):
    discriminator, images = Discriminator(32, 1, width=8), make_images(96)
    norms = [module for module in discriminator.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.running_mean += 5  # left over from generated images
    weights = [p.clone() for p in discriminator.parameters()]
    recalibrate_batchnorm(discriminator, images, batch_size=96)
    assert discriminator.training and all(norm.momentum == 0.1 for norm in norms), "mode and momentum come back"
    assert all(torch.equal(a, b) for a, b in zip(weights, discriminator.parameters()))
    with torch.no_grad():
        seen = discriminator.blocks[1][0](discriminator.blocks[0](to_float(images.images)))
    torch.testing.assert_close(norms[0].running_mean, seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norms[0].running_var, seen.var((0, 2, 3)), rtol=1e-4, atol=1e-6)
    # With statistics of all images, evaluation mode does to them what training mode does.
    discriminator.eval()
    found = discriminator(to_float(images.images))
    torch.testing.assert_close(found, discriminator.train()(to_float(images.images)), rtol=1e-2, atol=1e-3)


def test_recalibration_weighs_whole_batches_alike(make_images):
    one, other, images = Discriminator(32, 1, width=8), Discriminator(32, 1, width=8), make_images(70)
    recalibrate_batchnorm(one, images, batch_size=32)
    recalibrate_batchnorm(other, images.images[:64], batch_size=32)  # the last six are no batch
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values()))

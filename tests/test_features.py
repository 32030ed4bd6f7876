import numpy as np
import pytest
import torch

from dcgan_lib import Discriminator, available_recipes, extract_features, feature_size, to_float
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

"""Features against recipes by hand, files that are whole or not there, and what is refused."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pytest
import torch

from dcgan_lib import (
    Discriminator,
    available_recipes,
    block_maps,
    extract_features,
    feature_size,
    recalibrate_batchnorm,
    to_float,
)
from dcgan_lib.features import extraction
from dcgan_lib.features.extraction import RECIPES

GOLDEN = {
    "grid": "7b20a97a3a36edec",
    "last": "3972aaa95a26e3e1",
    "maxpool": "93cf263dda774808",
    "maps": "a2ecce0769a1359f",
    "overlap": "20c6eba071475790",
    "radford-svhn": "7b20a97a3a36edec",
    "radford-cifar10": "ea100f1d90a88c23",
}


@pytest.mark.parametrize(
    "recipe,image_size,size",
    [
        ("grid", 64, 15_360),
        ("last", 64, 8_192),
        ("maxpool", 64, 28_672),
        ("maps", 32, 28_672),
        ("last", 32, 4_096),
        ("maxpool", 32, 7_168),
        ("grid", 32, 7_168),
        ("radford-svhn", 32, 7_168),
        ("overlap", 32, 8_384),
        ("overlap", 64, 31_168),
    ],
)
@pytest.mark.parametrize("kernel_size", [4, 5])
def test_the_papers_sizes(recipe, image_size, size, kernel_size):
    assert feature_size(Discriminator(image_size, kernel_size=kernel_size), recipe) == size


def test_the_original_network_on_cifar10():
    """Widths 128, 128, 256, 256, 512, 512, each pooled to 4x4 (Radford et al., section 5.1)."""
    discriminator = Discriminator(32, width=128, kernel_size=3)
    assert feature_size(discriminator, "radford-cifar10") == 28_672
    assert feature_size(discriminator, "grid") == 28_672


def network_for(recipe, channels=1):
    return Discriminator(32, channels, width=8, kernel_size=3 if recipe == "radford-cifar10" else 4)


@pytest.mark.parametrize(
    "recipe,kernel_size,wrong", [("radford-svhn", 3, "6"), ("radford-cifar10", 5, "3")]
)
def test_recipes_of_the_original_refuse_other_networks(recipe, kernel_size, wrong):
    with pytest.raises(ValueError, match=f"this one has {wrong}, .* take the recipe 'grid'"):
        feature_size(Discriminator(32, width=8, kernel_size=kernel_size), recipe)
    with pytest.raises(ValueError, match="32-pixel discriminator"):
        feature_size(Discriminator(64, width=8, kernel_size=kernel_size), recipe)


@pytest.mark.parametrize("recipe", available_recipes())
@pytest.mark.parametrize("image_size", [32, 64, 128])
@pytest.mark.parametrize("kernel_size", [3, 4, 5])
def test_a_recipe_fits_the_network_or_says_what_it_is_for(
    make_images, recipe, image_size, kernel_size
):
    """A kernel of 3 has twice the blocks."""
    discriminator, images = (
        Discriminator(image_size, 1, width=4, kernel_size=kernel_size),
        make_images(2, size=image_size),
    )
    if recipe in available_recipes(discriminator):
        size = feature_size(discriminator, recipe)
        assert extract_features(discriminator, images, recipe).shape == (2, size)
    else:
        with pytest.raises(ValueError, match=f"'{recipe}' is for a 32-pixel discriminator with"):
            extract_features(discriminator, images, recipe)


@pytest.mark.parametrize("recipe,digest", GOLDEN.items())
def test_features_of_a_seeded_network_never_change(recipe, digest):
    """In 64 bits and rounded, so that no machine's order of sums shows."""
    pixels = torch.randint(
        0, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    with torch.no_grad():
        maps = block_maps(network_for(recipe, 3).double().eval(), to_float(pixels).double())
    features = np.concatenate([kept.flatten(1) for kept in RECIPES[recipe](maps)], axis=1)
    rounded = np.round(features, 5) + 0.0  # without a sign of zero
    assert hashlib.sha256(rounded.tobytes()).hexdigest()[:16] == digest


@pytest.mark.parametrize("recipe", available_recipes())
def test_matrix_has_the_size_that_was_promised(make_images, recipe):
    discriminator = network_for(recipe)
    matrix = extract_features(discriminator, make_images(10), recipe, progress=False)
    assert matrix.shape == (10, feature_size(discriminator, recipe)) and matrix.dtype == np.float32
    assert discriminator.training, "the mode must be restored"


def test_recipes_by_hand(make_images):
    """Each recipe again with plain loops over windows, for one image."""
    discriminator, images = Discriminator(32, 3, width=8).eval(), make_images(1, channels=3)
    with torch.no_grad():
        maps = [m[0].numpy() for m in block_maps(discriminator, to_float(images.images))]
    recipes = [recipe for recipe in available_recipes() if recipe != "radford-cifar10"]
    found = {r: extract_features(discriminator, images, r, progress=False)[0] for r in recipes}

    def close(recipe, parts):
        np.testing.assert_allclose(
            found[recipe], np.concatenate([p.ravel() for p in parts]), rtol=1e-4, atol=1e-5
        )

    def pooled(block, kernel, stride, padding):
        block = np.pad(
            block, ((0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf
        )
        starts = range(0, block.shape[1] - kernel + 1, stride)
        return np.stack(
            [
                [block[:, i : i + kernel, j : j + kernel].max((1, 2)) for j in starts]
                for i in starts
            ],
            0,
        ).transpose(2, 0, 1)

    close("maps", maps)
    close("last", maps[-1:])
    close("grid", [pooled(m, m.shape[1] // 4, m.shape[1] // 4, 0) for m in maps])
    close("maxpool", [pooled(m, 4, 2, 1) for m in maps])
    close("overlap", [*(pooled(m, 4, 2, 0) for m in maps[:-1]), maps[-1]])
    close("radford-svhn", [pooled(m, k, k, 0) for m, k in zip(maps, (4, 2, 1))])


def test_batch_size_does_not_matter(make_images):
    discriminator, images = Discriminator(32, 1, width=8), make_images(10)
    whole, parts = (
        extract_features(discriminator, images, "grid", batch_size=b, progress=False)
        for b in (10, 3)
    )
    np.testing.assert_allclose(whole, parts, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_matrix_in_a_file_is_the_same(make_images, tmp_path, dtype):
    discriminator, images = Discriminator(32, 1, width=8), make_images(10)
    whole = extract_features(discriminator, images, "maps", progress=False)
    mapped = extract_features(
        discriminator, images, "maps", file=tmp_path / "a" / "maps.npy", dtype=dtype, progress=False
    )
    assert isinstance(mapped, np.memmap) and mapped.dtype == dtype
    np.testing.assert_array_equal(mapped, whole.astype(dtype))
    np.testing.assert_array_equal(np.load(tmp_path / "a" / "maps.npy"), mapped)


def visible(folder):
    """Names of the files, without the empty lock files."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_an_interrupted_matrix_leaves_what_was_there(make_images, tmp_path):
    discriminator, images = Discriminator(32, 1, width=8), make_images(10)
    file = tmp_path / "last.npy"
    before = extract_features(discriminator, images, "last", file=file, progress=False)
    calls = []

    def interrupt(*args):
        calls.append(1)
        if len(calls) == 4:  # after one for the number of features, and two batches
            raise KeyboardInterrupt

    discriminator.blocks[0].register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        extract_features(discriminator, images, "last", file=file, batch_size=4, progress=False)
    np.testing.assert_array_equal(np.load(file), before)
    assert visible(tmp_path) == ["last.npy"]


KILLED = """
import sys, torch
from dcgan_lib import Discriminator, extract_features
pixels = torch.zeros(100_000, 1, 32, 32, dtype=torch.uint8)
extract_features(Discriminator(32, 1, width=8), pixels, "last", file=sys.argv[1], batch_size=1)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_what_a_killed_process_leaves_is_removed_by_the_next_call(make_images, tmp_path):
    file = tmp_path / "last.npy"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(file)]) as process:
        until = time.time() + 120
        while not any(tmp_path.glob(".*.part")) and time.time() < until:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    assert len(visible(tmp_path)) == 1 and not file.exists()
    extract_features(Discriminator(32, 1, width=8), make_images(4), "last", file=file)
    assert visible(tmp_path) == ["last.npy"]


def test_two_writers_of_one_file_do_not_mix(make_images, tmp_path):
    networks = [Discriminator(32, 1, width=8, seed=seed) for seed in range(4)]
    images, file = make_images(60), tmp_path / "last.npy"

    def write(network):
        options = {"file": file, "batch_size": 2, "progress": False}
        return extract_features(network, images, "last", **options)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, networks))
    found = np.load(file)
    alone = [extract_features(network, images, "last", batch_size=2) for network in networks]
    assert any(np.allclose(found, matrix, rtol=1e-4, atol=1e-5) for matrix in alone)
    assert visible(tmp_path) == ["last.npy"]


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    make_images, tmp_path, monkeypatch
):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(
        OSError, match="10 images of 512 features take 20,480 bytes, and 1,000 are free there"
    ):
        extract_features(
            Discriminator(32, 1, width=8), make_images(10), "last", file=tmp_path / "x.npy"
        )
    assert not visible(tmp_path)


def test_bad_input(make_images):
    discriminator = Discriminator(64, 1, width=8)
    with pytest.raises(
        ValueError, match="recipe is 'gird'.*grid, last, maxpool, maps, overlap, radford"
    ):
        feature_size(discriminator, "gird")
    with pytest.raises(ValueError, match=r"\(96, 1, 32, 32\).*\(N, 1, 64, 64\)"):
        extract_features(discriminator, make_images(), "grid")
    with pytest.raises(TypeError, match="uint8"):
        extract_features(discriminator, torch.zeros(2, 1, 64, 64), "grid")
    images = make_images(size=64)
    with pytest.raises(ValueError, match=r"recipe is \['grid'\]; the known ones"):
        extract_features(discriminator, images, ["grid"])
    for function, rest in ((extract_features, ("grid",)), (recalibrate_batchnorm, ())):
        for size in (0, -1, 2.5):
            with pytest.raises(
                ValueError, match=f"batch_size is {size}; it must be a whole number of at least 1"
            ):
                function(discriminator, images, *rest, batch_size=size)
        with pytest.raises(
            TypeError, match="the first argument is of type ImageSet; it must be a Discriminator"
        ):
            function(images, discriminator, *rest)
        with pytest.raises(
            TypeError, match="images are of type ndarray; give an ImageSet, or a Tensor"
        ):
            function(discriminator, images.images.numpy(), *rest)


def test_a_folder_is_no_file(make_images, tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file in it"):
        extract_features(Discriminator(32, 1, width=8), make_images(10), "last", file=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_networks_of_another_number_format(make_images, dtype):
    """The features are those of the same weights in float32."""
    discriminator, images = Discriminator(32, 1, width=8).to(dtype), make_images(10)
    found = extract_features(discriminator, images, "grid", progress=False)
    wanted = extract_features(deepcopy(discriminator).float(), images, "grid", progress=False)
    np.testing.assert_array_equal(found, wanted)
    assert {p.dtype for p in discriminator.parameters()} == {dtype}
    recalibrate_batchnorm(discriminator, images)
    assert discriminator.blocks[1][1].running_var.dtype == dtype


@pytest.mark.parametrize("in_a_file", [False, True])
def test_features_too_large_for_float16_are_told(make_images, tmp_path, in_a_file):
    discriminator, images = Discriminator(32, 1, width=8), make_images(4)
    with torch.no_grad():
        discriminator.blocks[-1][0].weight *= 1e6
        discriminator.blocks[-1][1].running_var.fill_(1e-3)
    options = {"file": tmp_path / "x.npy"} if in_a_file else {}
    assert extract_features(discriminator, images, "last", **options).max() > 65_504
    with pytest.raises(ValueError, match="do not fit into float16, which ends at 65,504; choose"):
        extract_features(discriminator, images, "last", dtype="float16", **options)
    assert not in_a_file or np.load(tmp_path / "x.npy").dtype == np.float32


def test_broken_weights_are_told(make_images):
    discriminator = Discriminator(32, 1, width=8)
    with torch.no_grad():
        discriminator.blocks[-1][0].weight[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="the features are no numbers: the discriminator's"):
        extract_features(discriminator, make_images(4), "last")


def test_the_device_is_the_fastest_unless_told_otherwise(make_images, monkeypatch):
    """And the network is left where it was, in its modes, with its hooks."""
    discriminator, images = Discriminator(32, 1, width=8), make_images(4)
    discriminator.blocks[1].eval()
    modes = [module.training for module in discriminator.modules()]
    seen = []
    hook = discriminator.blocks[0].register_forward_hook(
        lambda block, given, found: seen.append(found.device.type)
    )
    monkeypatch.setattr(extraction, "default_device", lambda: "meta")  # a device without numbers
    with pytest.raises(RuntimeError, match="[Mm]eta"):
        extract_features(discriminator, images, "last")
    assert seen == ["meta", "meta"]
    extract_features(discriminator, images, "last", device="cpu")
    assert seen == ["meta", "meta", "meta", "cpu"]  # the first of each is the number of features
    assert [module.training for module in discriminator.modules()] == modes
    assert {p.device.type for p in discriminator.parameters()} == {"cpu"}
    assert list(discriminator.blocks[0]._forward_hooks) == [hook.id]


def test_recalibrated_statistics_are_those_of_the_real_images(make_images):
    discriminator, images = Discriminator(32, 1, width=8), make_images(96)
    norms = [
        module for module in discriminator.modules() if isinstance(module, torch.nn.BatchNorm2d)
    ]
    for norm in norms:
        norm.running_mean += 5  # left over from generated images
    weights = [p.clone() for p in discriminator.parameters()]
    recalibrate_batchnorm(discriminator, images, batch_size=96)
    assert discriminator.training and all(norm.momentum == 0.1 for norm in norms), (
        "mode and momentum come back"
    )
    assert all(torch.equal(a, b) for a, b in zip(weights, discriminator.parameters()))
    with torch.no_grad():
        seen = discriminator.blocks[1][0](discriminator.blocks[0](to_float(images.images)))
    torch.testing.assert_close(norms[0].running_mean, seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norms[0].running_var, seen.var((0, 2, 3)), rtol=1e-4, atol=1e-6)
    # With statistics of all images, evaluation mode does to them what training mode does.
    discriminator.eval()
    found = discriminator(to_float(images.images))
    torch.testing.assert_close(
        found, discriminator.train()(to_float(images.images)), rtol=1e-2, atol=1e-3
    )


def test_recalibration_weighs_whole_batches_alike(make_images):
    one, other, images = (
        Discriminator(32, 1, width=8),
        Discriminator(32, 1, width=8),
        make_images(70),
    )
    recalibrate_batchnorm(one, images, batch_size=32)
    recalibrate_batchnorm(other, images.images[:64], batch_size=32)  # the last six are no batch
    assert all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values())
    )


def state(discriminator):
    modes = [module.training for module in discriminator.modules()]
    momenta = [getattr(module, "momentum", None) for module in discriminator.modules()]
    return [value.clone() for value in discriminator.state_dict().values()], modes, momenta


@pytest.mark.parametrize(
    "images, error, sentence",
    [
        (torch.zeros(0, 1, 32, 32, dtype=torch.uint8), ValueError, "there are no images"),
        (torch.zeros(4, 1, 32, 32), TypeError, "images are torch.float32; give the uint8 pixels"),
        (torch.zeros(4, 3, 32, 32, dtype=torch.uint8), ValueError, r"\(4, 3, 32, 32\); this disc"),
    ],
)
def test_a_refused_recalibration_changes_nothing(images, error, sentence):
    discriminator = Discriminator(32, 1, width=8)
    discriminator.blocks[1].eval()
    before = state(discriminator)
    with pytest.raises(error, match=sentence):
        recalibrate_batchnorm(discriminator, images)
    after = state(discriminator)
    assert before[1:] == after[1:] and all(map(torch.equal, before[0], after[0]))


def test_a_failed_recalibration_changes_nothing(make_images):
    """In the middle, and by weights that are broken."""
    discriminator, calls = Discriminator(32, 1, width=8), []

    def interrupt(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    hook = discriminator.blocks[2].register_forward_hook(interrupt)
    before = state(discriminator)
    with pytest.raises(KeyboardInterrupt):
        recalibrate_batchnorm(discriminator, make_images(40), batch_size=8)
    after = state(discriminator)
    assert before[1:] == after[1:] and all(map(torch.equal, before[0], after[0]))
    hook.remove()
    with torch.no_grad():
        discriminator.blocks[0][0].weight[0, 0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="BatchNorm's statistics are no numbers"):
        recalibrate_batchnorm(discriminator, make_images(40))
    assert torch.equal(discriminator.blocks[1][1].running_var, torch.ones(16))


def test_mirrored_images_have_the_same_features(make_images):
    images, network = make_images(12, channels=3), Discriminator(32, width=8)
    mirrored = images.images.flip(3)
    ours = extract_features(network, images, "grid", mirror=True)
    np.testing.assert_allclose(
        ours, extract_features(network, mirrored, "grid", mirror=True), rtol=1e-4, atol=1e-5
    )
    both = [extract_features(network, pixels, "grid") for pixels in (images.images, mirrored)]
    np.testing.assert_allclose(ours, (both[0] + both[1]) / 2, rtol=1e-4, atol=1e-5)
    assert not np.allclose(both[0], both[1], atol=1e-3)


def test_shifted_images_are_averaged(make_images):
    images, network = make_images(8, channels=3).images, Discriminator(32, width=8)
    wide = np.pad(images.numpy(), [(0, 0), (0, 0), (2, 2), (2, 2)], mode="reflect")
    moved = [
        torch.from_numpy(wide[:, :, a : a + 32, b : b + 32].copy())
        for a in (0, 2, 4)
        for b in (0, 2, 4)
    ]
    assert torch.equal(moved[4], images)
    for mirror in (False, True):
        by_hand = np.mean(
            [extract_features(network, view, "overlap", mirror=mirror) for view in moved], axis=0
        )
        ours = extract_features(network, images, "overlap", mirror=mirror, shift=2)
        np.testing.assert_allclose(ours, by_hand, rtol=1e-4, atol=1e-5)
    assert not np.allclose(
        ours, extract_features(network, images, "overlap", mirror=True), atol=1e-3
    )


@pytest.mark.parametrize("shift", [-1, 32, 1.5, "2"])
def test_a_shift_is_a_number_of_pixels_within_the_image(make_images, shift):
    with pytest.raises(
        ValueError, match=f"shift is {shift!r}; it must be a whole number of pixels, 0 to 31"
    ):
        extract_features(Discriminator(32, 1, width=8), make_images(4), "last", shift=shift)

"""Every type and every range of a configuration is checked when it is made."""

from dataclasses import replace

import pytest

from dcgan_lib import TrainConfig


@pytest.mark.parametrize(
    "wrong",
    [
        dict(precision="int8"),
        dict(precision=True),
        dict(batch_size=1),
        dict(batch_size=2.5),
        dict(batch_size="64"),
        dict(epochs=0),
        dict(epochs=True),
        dict(d_steps=0),
        dict(latents="cauchy"),
        dict(ema=1.0),
        dict(real_label=2.0),
        dict(lr=float("nan")),
        dict(lr=-1),
        dict(lr=0),
        dict(lr=float("inf")),
        dict(lr="fast"),
        dict(lr=True),
        dict(flip="maybe"),
        dict(flip=1),
        dict(seed="x"),
        dict(seed=None),
        dict(betas=(2, 3, 4)),
        dict(betas=(0.5, 1.0)),
        dict(betas="ab"),
        dict(betas=0.5),
        dict(image_size=48),
        dict(kernel_size=7),
        dict(width=0),
        dict(channels=2),
        dict(latent_dim="100"),
    ],
    ids=str,
)
def test_configurations_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
        TrainConfig(**wrong)


def test_numbers_as_yaml_reads_them():
    """YAML 1.1 reads 2e-4, without a dot, as text."""
    config = TrainConfig(lr="2e-4", betas=["0.5", 0.999], weight_decay="1e-5", ema=0)
    assert (config.lr, config.betas, config.weight_decay) == (2e-4, (0.5, 0.999), 1e-5)
    assert replace(config, epochs=3).epochs == 3

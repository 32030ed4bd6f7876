"""Everything that training changes: both networks, their optimizers, the averaged generator."""

from copy import deepcopy

import torch

from dcgan_lib.sampling import generate, latent
from dcgan_lib.training.fast import processes as parallel
from dcgan_lib.training.fast.convolutions import use_fast_routines
from dcgan_lib.training.run import GRID
from dcgan_lib.training.step import discriminator_step, generated, training_step
from dcgan_lib.utils.device import has_bf16


class Players:
    """The two players of a run and what moves them, on one device.

    Parameters
    ----------
    config : TrainConfig
    device : torch.device
    """

    def __init__(self, config, device):
        self.config, self.shared = config, parallel.world()[1] > 1
        self.bf16 = config.precision == "bf16" or (config.precision == "auto" and has_bf16(device))
        self.generator, self.discriminator = (
            net.to(device, memory_format=torch.channels_last) for net in config.networks()
        )
        self.average = deepcopy(self.generator) if config.ema else None
        options = dict(
            lr=config.lr,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=device.type != "mps",
            capturable=device.type == "cuda",
        )
        self.opt_g, self.opt_d = (
            torch.optim.Adam(net.parameters(), **options)
            for net in (self.generator, self.discriminator)
        )
        if self.bf16 and device.type == "cpu":
            for network in (self.generator, self.discriminator):
                use_fast_routines(network)
        self.both = self.generator, self.discriminator
        if self.shared:
            self.both = [parallel.share(network, device) for network in self.both]

    def advance(self, *batches):
        """One step: real images and latents in turn, a pair for each update of the discriminator."""
        *early, (real, z) = zip(batches[::2], batches[1::2])
        for early_real, early_z in early:
            with torch.no_grad():
                fake = generated(self.generator, early_z, self.bf16)
            discriminator_step(
                self.both[1], self.opt_d, early_real, fake, self.bf16, self.config.real_label
            )
        metrics = training_step(
            *self.both, self.opt_g, self.opt_d, real, z, self.bf16, self.config.real_label
        )
        if self.average is not None:
            torch._foreach_lerp_(
                _floats(self.average), _floats(self.generator), 1 - self.config.ema
            )
        return metrics

    def draw(self):
        """Images of the fixed latents, for the picture of an epoch."""
        config = self.config
        return generate(
            self._drawing(), latent(GRID**2, config.latent_dim, config.seed, config.latents)
        )

    def _drawing(self):
        return self.generator if self.average is None else self.average

    def _networks(self):
        networks = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "average": self.average,
        }
        return {name: network for name, network in networks.items() if network is not None}

    def state(self):
        """All of it, for a checkpoint. Settings of the optimizers are the configuration's and are left out."""
        optimizers = {
            "opt_g": self.opt_g.state_dict()["state"],
            "opt_d": self.opt_d.state_dict()["state"],
        }
        return {
            **{name: network.state_dict() for name, network in self._networks().items()},
            **optimizers,
        }

    def load(self, state):
        for name, network in self._networks().items():
            network.load_state_dict(state[name])
        for name, optimizer in (("opt_g", self.opt_g), ("opt_d", self.opt_d)):
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state[name], "param_groups": groups})

    def weights(self):
        """What is left at the end: the generator that draws, and the discriminator."""
        return {
            "generator": self._drawing().state_dict(),
            "discriminator": self.discriminator.state_dict(),
        }

    def finite(self):
        """Whether every weight is a number."""
        return all(
            bool(x.isfinite().all())
            for network in self._networks().values()
            for x in _floats(network)
        )


def _floats(network):
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]

"""Everything that training sees: the real images and the latents of every step."""

import torch

from dcgan_lib.data.image_set import ImageSet
from dcgan_lib.data.pixels import to_float
from dcgan_lib.sampling import latent
from dcgan_lib.training.config import TrainConfig
from dcgan_lib.training.fast import processes
from dcgan_lib.training.fast.memory import give_back_pages
from dcgan_lib.utils.random import rng

LARGE = 2**31  # bytes of pixels from which on they are read a window at a time
FILE_BLOCK, WINDOW = 256, 128  # images in a block that is read as a whole, blocks in a window


class Batches:
    """The batches of a run, known from the number of the step alone: nothing drawn before matters.

    The pixels lie on a GPU where they take less than half of its memory; otherwise each batch
    travels there. A large set that is mapped from a file is shuffled by blocks and within windows
    of blocks (32,768 images from 128 places in the file), and the memory of a window is given
    back when it has been seen.

    Parameters
    ----------
    images : ImageSet
    config : TrainConfig
    device : torch.device

    Raises
    ------
    ValueError
        Images that do not fit the configuration, or a batch that the processes cannot share
        equally.
    """

    def __init__(self, images: ImageSet, config: TrainConfig, device: torch.device):
        _check(images, config)
        self.config, self.device = config, device
        self.batch = config.batch_size * config.d_steps  # real images that a step sees
        self.per_epoch = len(images) // self.batch  # what is left over waits for the next epoch
        pixels = images.images.permute(0, 2, 3, 1)  # NHWC, so that a batch is a channels_last view
        free = torch.cuda.mem_get_info(device)[0] / 2 if device.type == "cuda" else LARGE
        self.pixels = pixels.to(device) if pixels.numel() < free else pixels
        self.in_windows = self.pixels.device.type == "cpu" and pixels.numel() >= LARGE
        self.epoch = None

    def at(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The real images and the latents of a step, a batch for each update of the discriminator.

        Returns
        -------
        real : Tensor of shape (d_steps * batch_size, C, H, W)
            float32 in [-1, 1]; of several processes each gets its share.
        z : Tensor of shape (d_steps * batch_size, latent_dim)
        """
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.order, self.epoch = self._shuffled(epoch).to(self.pixels.device), epoch
        start = position * self.batch
        if self.in_windows and start % (FILE_BLOCK * WINDOW) < self.batch:
            give_back_pages(self.pixels)  # of the window before
        chosen = processes.share_of(self.order[start : start + self.batch])
        real, config = self._on_device(self.pixels[chosen]), self.config
        updates = range(step * config.d_steps, (step + 1) * config.d_steps)
        if config.flip:
            draws = torch.cat(
                [
                    torch.rand(config.batch_size, generator=rng(config.seed, f"flips {n}"))
                    for n in updates
                ]
            )
            mirrored = self._on_device(processes.share_of(draws < 0.5))
            real = torch.where(mirrored[:, None, None, None], real.flip(2), real)
        size = config.batch_size, config.latent_dim, config.seed, config.latents
        z = torch.cat([latent(*size, f"latent {n}") for n in updates])
        return to_float(real).permute(0, 3, 1, 2), self._on_device(processes.share_of(z))

    def _shuffled(self, epoch):
        """The positions of all images in the order of an epoch."""
        stream, count = rng(self.config.seed, f"order {epoch}"), len(self.pixels)
        if self.pixels.numel() < LARGE:
            return torch.randperm(count, generator=stream)
        blocks = torch.arange(count).split(FILE_BLOCK)
        windows = [
            torch.cat([blocks[number] for number in window])
            for window in torch.randperm(len(blocks), generator=stream).split(WINDOW)
        ]
        return torch.cat([seen[torch.randperm(len(seen), generator=stream)] for seen in windows])

    def _on_device(self, tensor):
        """The tensor on the device, without waiting for a GPU to take it."""
        to_gpu = self.device.type == "cuda" and not tensor.is_cuda
        return (tensor.pin_memory() if to_gpu else tensor).to(self.device, non_blocking=to_gpu)


def _check(images, config):
    """Raise ValueError where images and configuration do not fit each other."""
    there, wanted = (images.channels, images.size), (config.channels, config.image_size)
    if there != wanted:
        raise ValueError(
            f"the images of {images.name!r} have {there[0]} channels and {there[1]} pixels, the "
            f"configuration asks for {wanted[0]} and {wanted[1]}; set channels={there[0]} and "
            f"image_size={there[1]} in TrainConfig"
        )
    if len(images) < config.batch_size * config.d_steps:
        some = (
            "one batch" if config.d_steps == 1 else f"the {config.d_steps} batches of a step, each"
        )
        raise ValueError(
            f"{images.name!r} has {len(images)} images, fewer than {some} of {config.batch_size}; "
            f"choose a batch_size of at most {len(images) // config.d_steps}"
        )
    if config.batch_size % processes.count():
        raise ValueError(
            f"batch_size is {config.batch_size}, which {processes.count()} processes cannot share "
            f"equally; choose a multiple of {processes.count()}"
        )

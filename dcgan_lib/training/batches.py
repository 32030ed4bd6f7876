"""Everything that training sees: the real images and the latents of every step."""

import torch

from dcgan_lib.data.pixels import to_float
from dcgan_lib.sampling import latent
from dcgan_lib.training.fast import processes as parallel
from dcgan_lib.utils.device import give_back_pages
from dcgan_lib.utils.random import rng

LARGE = 2**31  # bytes of pixels from which on they are read a window at a time
BLOCK, WINDOW = 256, 128  # images in a block that is read as a whole, blocks in a window


def steps_per_epoch(images, config):
    """How many steps one pass over the images gives; the images left over sit out."""
    return len(images) // (config.batch_size * config.d_steps)


class Batches:
    """The batches of a run, known from the number of the step alone: nothing drawn before matters.

    Pixels lie on a GPU where they take less than half of its memory; else each batch travels. A large set that is
    mapped from a file is shuffled by blocks and within windows of blocks (32,768 images from 128 places in the
    file), and the memory of a window is given back when it has been seen.

    Parameters
    ----------
    images : ImageSet
    config : TrainConfig
    device : torch.device
    """

    def __init__(self, images, config, device):
        self.config, self.device = config, device
        self.rank, self.processes = parallel.world()
        pixels = images.images.permute(0, 2, 3, 1)  # NHWC, so that a batch is a channels_last view
        room = torch.cuda.mem_get_info(device)[0] / 2 if device.type == "cuda" else LARGE
        self.pixels = pixels.to(device) if pixels.numel() < room else pixels
        self.in_windows = self.pixels.device.type == "cpu" and pixels.numel() >= LARGE
        self.epoch = self.window = None

    def at(self, step):
        """Real images (N, C, H, W) in [-1, 1] and latents in turn, for each update of the discriminator in a step."""
        config, found = self.config, []
        epoch, position = divmod(step, steps_per_epoch(self.pixels, config))
        if epoch != self.epoch:
            self.order, self.epoch = self.shuffled(epoch).to(self.pixels.device), epoch
        for update in range(config.d_steps):
            start = (position * config.d_steps + update) * config.batch_size
            if self.in_windows and (window := (epoch, start // (BLOCK * WINDOW))) != self.window:
                give_back_pages(self.pixels)
                self.window = window
            real = self.there(self.pixels[self.mine(self.order[start : start + config.batch_size])])
            number = step * config.d_steps + update
            if config.flip:
                mirrored = (
                    torch.rand(config.batch_size, generator=rng(config.seed, f"flips {number}"))
                    < 0.5
                )
                real = torch.where(
                    self.there(self.mine(mirrored))[:, None, None, None], real.flip(2), real
                )
            z = latent(
                config.batch_size,
                config.latent_dim,
                config.seed,
                config.latents,
                f"latent {number}",
            )
            found += [to_float(real).permute(0, 3, 1, 2), self.there(self.mine(z))]
        return found

    def shuffled(self, epoch):
        """The positions of all images in the order of an epoch."""
        stream, count = rng(self.config.seed, f"order {epoch}"), len(self.pixels)
        if self.pixels.numel() < LARGE:
            return torch.randperm(count, generator=stream)
        blocks, order = torch.arange(count).split(BLOCK), []
        for window in torch.randperm(len(blocks), generator=stream).split(WINDOW):
            seen = torch.cat([blocks[number] for number in window])
            order.append(seen[torch.randperm(len(seen), generator=stream)])
        return torch.cat(order)

    def there(self, tensor):
        """On the device; to a GPU without waiting for it."""
        if self.device.type != "cuda" or tensor.is_cuda:
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def mine(self, batch):
        """This process's share of a batch."""
        return batch[self.rank :: self.processes]

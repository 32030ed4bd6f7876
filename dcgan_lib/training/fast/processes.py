"""Several devices, one training: processes that share every batch (torchrun starts them).

Each process takes its share of the batch. BatchNorm normalises over the whole batch, as on one device, so that the
number of devices does not change what is trained; gradients are averaged by DistributedDataParallel.
"""

import os
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel


def join(device=None):
    """Enter the group of processes that torchrun started; returns the device of this one."""
    number, patience = (
        int(os.environ["LOCAL_RANK"]),
        timedelta(hours=12),
    )  # the first may decode images for long
    if device == "cpu" or not torch.cuda.is_available():
        dist.init_process_group("gloo", timeout=patience)
        return "cpu"
    if int(os.environ["LOCAL_WORLD_SIZE"]) > torch.cuda.device_count():
        raise ValueError(
            f"there are {torch.cuda.device_count()} GPUs here, fewer than processes; start one for each"
        )
    torch.cuda.set_device(number)
    dist.init_process_group("nccl", timeout=patience)
    return f"cuda:{number}"


def check_joined():
    """Refuse to train in a process of torchrun's that has not joined the others: each would train for itself."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        raise RuntimeError(
            "torchrun started several processes, but none has joined the others: call "
            "dcgan_lib.training.fast.processes.join() first"
        )


def leave():
    """Leave the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def world():
    """(this process's number, how many there are); (0, 1) without torchrun."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def everywhere(value):
    """Whether a condition holds in any process: all of them then know it."""
    if world()[1] == 1:
        return bool(value)
    flag = torch.tensor(
        float(bool(value)), device="cuda" if dist.get_backend() == "nccl" else "cpu"
    )
    dist.all_reduce(flag, dist.ReduceOp.MAX)
    return bool(flag)


def mean(metrics):
    """The average of a tensor over the processes."""
    if world()[1] > 1:
        dist.all_reduce(metrics)
        metrics /= world()[1]
    return metrics


def wait():
    """Until every process has come this far."""
    if world()[1] > 1:
        dist.barrier()


class _WholeBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over the shares of all processes, on any device (PyTorch's SyncBatchNorm needs CUDA)."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = all_reduce(x.float().sum((0, 2, 3))) / count
        centred = x - mean[:, None, None]
        variance = all_reduce(centred.float().square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def share(network, device):
    """The network as all processes train it: BatchNorm over the whole batch, gradients averaged."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _WholeBatchNorm2d
    ids = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=ids, broadcast_buffers=False)

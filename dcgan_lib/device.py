"""What the machine can do: where to train, in which number format, with what memory."""

import ctypes
import sys

import torch


def default_device():
    """The fastest device here: "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def has_bf16(device):
    """Whether the device multiplies bf16 matrices in hardware, so that bf16 is faster and not merely possible."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    features = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return torch.device(device).type == "cpu" and any(getattr(torch.cpu, f, bool)() for f in features)


def keep_freed_memory():
    """Let glibc keep what a training step frees for the next step, instead of handing it back to the system.

    Every step needs the same buffers. By default glibc maps each large one anew and unmaps it again, and the system
    then clears every page: measured 2 to 12% of a step on a CPU. Nothing happens where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
        mallopt(M_MMAP_THRESHOLD, 2**30) or mallopt(M_MMAP_THRESHOLD, 2**25)  # older versions take no more
        mallopt(M_TRIM_THRESHOLD, 2**30)

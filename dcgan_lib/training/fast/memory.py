"""What the C library and the system do with memory that a training step frees.

Nothing here changes a number, and nothing happens outside of Linux.
"""

import ctypes
import mmap
import sys

from torch import Tensor

LINUX = sys.platform.startswith("linux")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
MADV_PAGEOUT = 21  # linux/mman.h, since 5.4; an older kernel does nothing


def keep_freed_memory() -> None:
    """Let glibc keep what a training step frees for the next step, which needs the same buffers.

    By default glibc maps each large buffer anew, and the system has to clear every page of it.
    What loading freed goes back to the system: no large buffer of a step fits into its pieces.
    """
    libc = ctypes.CDLL(None) if LINUX else None
    if hasattr(libc, "mallopt"):
        libc.malloc_trim(0)
        # Older versions take no more than 32 MiB.
        libc.mallopt(M_MMAP_THRESHOLD, 2**30) or libc.mallopt(M_MMAP_THRESHOLD, 2**25)
        libc.mallopt(M_TRIM_THRESHOLD, 2**30)


def give_back_pages(tensor: Tensor) -> None:
    """Let the system take back the memory of a tensor that is mapped from a file.

    Its pages are read again when they are needed, and nothing that was written to it is lost.
    """
    if LINUX:
        start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        length = tensor.data_ptr() + tensor.nbytes - start
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), MADV_PAGEOUT)

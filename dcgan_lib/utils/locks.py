"""Locks between processes. The system lets go of them when their holder ends, even by kill -9."""

import os
from contextlib import contextmanager

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None


def lock(file, wait=True):
    """Hold an open file until it is closed.

    True: it is held. False: another process holds it, and `wait` is false. None: there are no
    locks, as on Windows and on some network drives.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextmanager
def locked(folder, wait=True):
    """Hold a folder within a block; yields what `lock` answers."""
    if fcntl is None:
        yield None
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield lock(handle, wait)
    finally:
        os.close(handle)

"""One process at a time, as notebooks that run side by side share downloads and caches."""

import sys
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout


def only_process(path: Path) -> AcquireReturnProxy:
    """For a `with`: let one process at a time work on `path`.

    Every other one says that it waits, and waits. The lock is a hidden, empty file beside `path`.
    It stays there, because a process may be waiting for it at the moment when another would delete
    it. The system releases the lock when its holder ends, even by ``kill -9``.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print(f"Another process is at work on {path}: waiting for it.", file=sys.stderr)
        return lock.acquire()

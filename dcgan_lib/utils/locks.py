"""One process at a time, as notebooks that run side by side share downloads and caches."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def only_process(path: Path) -> Iterator[None]:
    """Let one process at a time work on `path`; every other one says that it waits, and waits.

    The lock is a hidden, empty file beside `path`. It stays there, because a process may be waiting
    for it at the moment when another would delete it. The system releases the lock when its holder
    ends, even by ``kill -9``.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"Another process is at work on {path}: waiting for it.", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

"""Unpack an archive from the network: safely, and whole or not at all.

Python's `tarfile.data_filter` does not serve here: Python 3.11.2 lacks it, and it lets links pass.
A data set needs plain files and folders alone, so that one check serves both zip and tar.
"""

import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
from functools import partial
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from dcgan_lib.utils.locks import only_process

PIECE = 1 << 18  # bytes that are read at once, and the longest header that a tar may have
# An archive that unpacks to more than 1 GB and to more than 200 times its own size is a bomb: image
# files hardly shrink. An empty file or a folder counts as the 4,096 bytes that it takes on a disk.
HARMLESS, RATIO, ENTRY = 10**9, 200, 4096


class Unusable(Exception):
    """Why an archive is not unpacked: the rest of a sentence that begins with its path."""


def extract(archive: str | Path, folder: str | Path, holds: str = "") -> None:
    """Unpack a zip, tar, tar.gz or tar.xz archive into a folder, whatever the archive's name says.

    The list of members is checked before anything is written. An archive is refused if it holds
    absolute paths, "..", backslashes, drive letters, links, devices, sparse or encrypted files; if
    it needs more room than the disk has; or if it unpacks to more than 200 times its own size and
    more than 1 GB. The bytes that really come out are counted too. Files are never executable.

    Everything is unpacked into a hidden folder within `folder` and then moved, so that a new file
    or folder appears whole. Files of the same name are replaced, and all others stay. Files get the
    archive's time of change, so that unpacking it once more changes nothing for a cache that looks
    at times. Of two processes with the same archive one waits, and then finds the work done.

    Parameters
    ----------
    archive : str or Path
    folder : str or Path
        It is made if it is not there, and may hold other files.
    holds : str, default ""
        A path, or a pattern for one, that must be in the archive: nothing is unpacked from another
        one, and nothing at all if it is in the folder already. By default everything is unpacked.

    Raises
    ------
    RuntimeError
        The archive is unsafe, damaged, cut off, of an unknown kind, or not the one that was meant.
    OSError
        The archive cannot be read, or the folder cannot be written or has no room.

    Examples
    --------
    >>> extract("tiny-imagenet-200.zip", "data", "tiny-imagenet-200")  # doctest: +SKIP
    """
    archive, folder, need = Path(archive), Path(folder), ""
    try:
        with open(archive, "rb") as file:
            sizes = tqdm(members(file), f"Checking {archive.name}", unit=" files", delay=1)
            total = sum(size for _, size, _ in sizes)
            need = f" It takes {total:,} bytes there."
            folder.mkdir(parents=True, exist_ok=True)
            with only_process(folder / archive.name):
                if not (holds and any(folder.glob(holds))):
                    unpack(file, archive.name, folder, total, holds)
    except Unusable as error:
        raise RuntimeError(f"{archive} {error}") from error
    except Exception as error:  # a damaged archive fails in many ways
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
            why = error.strerror or error
            raise OSError(f"{archive} cannot be unpacked into {folder} ({why}).{need}") from error
        raise RuntimeError(
            f"{archive} is damaged, or no zip, tar, tar.gz or tar.xz archive "
            f"({error or type(error).__name__}). Delete it and fetch it again."
        ) from error


def unpack(file, name, folder, total, holds):
    """Write the members into a hidden folder, then move them to their places."""
    if total > (free := shutil.disk_usage(folder).free):
        raise OSError(f"only {free:,} bytes are free")
    hidden, time = folder / f".unpacking-{name}", os.fstat(file.fileno()).st_mtime_ns
    shutil.rmtree(hidden, ignore_errors=True)  # left by a process that was killed
    try:
        hidden.mkdir()
        with tqdm(None, f"Unpacking {name}", total, unit="B", unit_scale=True, delay=1) as bar:
            for path, size, opened in members(file):
                target = hidden / path
                (target.parent if opened else target).mkdir(parents=True, exist_ok=True)
                if opened:
                    with opened() as source, open(target, "wb") as out:
                        shutil.copyfileobj(source, out, PIECE)  # no more than `size` bytes
                    if target.stat().st_size < size:
                        raise EOFError("a file in it ends too soon")
                    os.utime(target, ns=(time, time))
                    bar.update(size)
        if holds and not any(hidden.glob(holds)):
            raise Unusable(
                f"is another archive: {holds} is not in it. Delete it, and fetch the right one."
            )
        move(hidden, folder)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def move(source, target):
    """Rename a file or folder to its place; if a folder is there already, each of its entries."""
    if source.is_dir() and target.is_dir():
        for entry in sorted(source.iterdir()):
            move(entry, target / entry.name)
    else:
        os.replace(source, target)


def members(file):
    """Yield (path, bytes, function that opens it or None for a folder) of each safe member."""
    file.seek(0)
    start = file.peek(2)[:2]
    if start == b"PK":
        found = zip_members(file)
    else:
        decompress = {b"\x1f\x8b": gzip.open, b"\xfd7": lzma.open}.get(start, lambda file: file)
        found = tar_members(ForwardReader(decompress(file), file))
    cost = 0
    for name, size, opened in found:
        path = PurePosixPath(name)
        if (
            path.is_absolute()
            or ".." in path.parts
            or name[1:2] == ":"  # a drive of Windows
            or "\\" in name
            or "\0" in name
        ):
            raise unsafe(f"{name!r} in it would be written elsewhere")
        cost += size + ENTRY * len(path.parts)
        refuse_bomb(cost, file)
        yield path, size, opened
    if not cost:
        raise EOFError("it is empty")


def zip_members(file):
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & 0x1 or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise unsafe(f"{name!r} in it is encrypted, a link or a device")
            # The rarer ways of compressing need memory without a limit.
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise unsafe(f"{name!r} in it is compressed in the rare way {info.compress_type}")
            opened = None if name.endswith("/") else partial(archive.open, info)
            yield name, info.file_size if opened else 0, opened


def tar_members(stream):
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for info in archive:
            if not (info.isdir() or info.isreg()) or info.issparse():
                raise unsafe(f"{info.name!r} in it is a link, a device or a sparse file")
            opened = partial(archive.extractfile, info) if info.isreg() else None
            yield info.name, info.size if opened else 0, opened
    # tarfile takes any end for the end, so that a tar cut between two files would pass.
    if stream.last != bytes(tarfile.BLOCKSIZE):
        raise EOFError("it is cut off, or damaged in the middle")
    stream.seek(float("inf"))  # to the very end, where a compressed file has its checksum


class ForwardReader:
    """A tar that is read once from beginning to end, in pieces that fit in memory, and counted.

    tarfile goes where the headers lead it, even backwards, and reads as much as they ask for.
    """

    def __init__(self, file, archive):
        self.file, self.archive, self.position, self.last = file, archive, 0, b""

    def tell(self):
        return self.position

    def read(self, size):
        if not 0 <= size <= PIECE:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        self.last = self.file.read(size)
        self.position += len(self.last)
        refuse_bomb(self.position, self.archive)
        return self.last

    def seek(self, position):
        # A header that leads backwards asks for less than nothing here, which is refused.
        while position != self.position and self.read(min(PIECE, position - self.position)):
            pass


def refuse_bomb(size, archive):
    """Refuse an archive that unpacks to far more bytes than images do."""
    limit = max(HARMLESS, RATIO * os.fstat(archive.fileno()).st_size)
    if size > limit:
        raise unsafe(
            f"it would unpack to more than {limit:,} bytes, which no data set of its size does"
        )


def unsafe(why):
    return Unusable(f"is not safe to unpack: {why}. Fetch it from its official source.")

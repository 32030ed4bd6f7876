"""Unpack an archive from the network: safely, and whole or not at all."""

import gzip
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
from functools import partial
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from dcgan_lib.data.downloads import wait_for

CHUNK = 1 << 18  # bytes; also the longest header that a tar may have
RATIO, FREELY = (
    200,
    10**9,
)  # more than 200 times the archive's bytes and more than 1 GB is a bomb: images hardly shrink
BLOCK = (
    4096  # bytes that an empty file or a folder is counted with, as it takes about that of a disk
)


class Refused(Exception):
    """Why an archive is not unpacked, although it may be readable."""


class Another(Exception):
    """What an archive does not hold."""


def extract(archive, folder, holds=""):
    """Unpack a zip, tar, tar.gz or tar.xz archive into a folder; its content says which it is, not its name.

    The whole list of members is checked before anything is written. An archive is refused if it holds absolute paths,
    "..", backslashes, drive letters, links, devices, sparse or encrypted files; if it would unpack to more than the
    disk has room for; or to more than 200 times its own size and more than 1 GB. What is written is counted, whatever
    the archive says of itself. Files get the archive's time of change, so that unpacking it once more changes nothing
    for a cache that looks at times, and are never executable.

    Everything is unpacked into a hidden folder within `folder`, then moved: a file or folder that is new there appears
    whole. Where a folder of that name is there already, as when two archives share it, the same holds for each thing
    in it; files of the same name are replaced, others stay. What a killed call left is removed by the next call for
    the same archive. Of two processes with the same archive one waits for the other.

    Parameters
    ----------
    archive : str or path
    folder : str or path
        Made if it is not there; it may hold other files.
    holds : str
        A path, or a pattern for one, that must be in the archive: from another one nothing is unpacked.

    Raises
    ------
    RuntimeError
        The archive is refused, damaged, cut off, of another kind, or another one.
    OSError
        It cannot be read, or the folder cannot be written or has no room for it.
    """
    archive, folder, total = Path(archive), Path(folder), 0
    try:
        with open(archive, "rb") as file:
            wait_for(file, archive)
            total = check(file, archive.name)
            unpack(file, archive.name, folder, total, holds)
    except Another as error:
        raise RuntimeError(
            f"{archive} is another archive: {error} is not in it. Delete it, and fetch the right one."
        ) from error
    except Refused as error:
        raise RuntimeError(
            f"{archive} is not safe to unpack: {error}. Fetch it from its official source."
        ) from error
    except Exception as error:  # a damaged archive fails in many ways
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
            need = f" It takes {total:,} bytes there." if total else ""
            raise OSError(
                f"{archive} cannot be unpacked into {folder} ({error.strerror or error}).{need}"
            ) from error
        raise RuntimeError(
            f"{archive} is damaged, or no zip, tar, tar.gz or tar.xz archive ({error or type(error).__name__}). "
            "Delete it and fetch it again."
        ) from error


def check(file, name):
    """Read the list of members, and refuse what is not safe; returns how many bytes they have."""
    total = cost = 0
    limit = limit_of(file)
    for path, size, _ in tqdm(members(file), f"Checking {name}", unit=" files", delay=1):
        total += size
        cost += size + BLOCK * len(path.parts)
        if cost > limit:
            raise bomb(limit)
    if not cost:
        raise EOFError("it is empty")
    return total


def unpack(file, name, folder, total, holds):
    """Write the members into a hidden folder, then move them to their places."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".unpacking-{name}"
    shutil.rmtree(
        temporary, ignore_errors=True
    )  # of a killed process: no other one holds the archive
    if total > (free := shutil.disk_usage(folder).free):
        raise OSError(f"only {free:,} bytes are free")
    time = os.fstat(file.fileno()).st_mtime_ns
    try:
        temporary.mkdir()
        with tqdm(None, f"Unpacking {name}", total, unit="B", unit_scale=True, delay=1) as bar:
            for path, size, opened in members(file):
                target = temporary / path
                (target.parent if opened else target).mkdir(parents=True, exist_ok=True)
                if opened:
                    with open(target, "wb") as out:
                        copy(opened(), out, size, bar)
                    os.utime(target, ns=(time, time))
        if holds and not any(temporary.glob(holds)):
            raise Another(holds)
        move(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def copy(source, out, size, bar):
    """Write exactly as many bytes as were announced; an error if there are fewer."""
    while size:
        piece = source.read(min(CHUNK, size))
        if not piece:
            raise EOFError("a file in it ends too soon")
        out.write(piece)
        bar.update(len(piece))
        size -= len(piece)


def move(source, target):
    """Rename a file or folder to its place; into a folder that is there already, each of its entries."""
    if source.is_dir() and target.is_dir():
        for entry in sorted(source.iterdir()):
            move(entry, target / entry.name)
    else:
        os.replace(source, target)


# What is in an archive


def members(file):
    """Yield (path, size, opened) of everything in an archive in its order, if it is safe.

    `path` is relative, `size` is in bytes and `opened()` is something to read them from; it is None for a folder.
    """
    file.seek(0)
    start = file.read(6)
    file.seek(0)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return zip_members(file)
    limit = limit_of(file)
    if start[:2] == b"\x1f\x8b":
        file = gzip.GzipFile(fileobj=file)
    elif start == b"\xfd7zXZ\0":
        file = lzma.LZMAFile(file)
    return tar_members(Forwards(file, limit))


def zip_members(file):
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & 0x1:
                raise Refused(f"{name!r} in it is encrypted")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise Refused(f"{name!r} in it is a link or a device")
            # The other ways need memory without a limit.
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Refused(
                    f"{name!r} in it is compressed in the way {info.compress_type}, which is not used here"
                )
            if name.endswith("/"):
                yield inside(name), 0, None
            else:
                yield inside(name), info.file_size, partial(archive.open, info)


def tar_members(stream):
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for info in archive:
            if info.isdir():
                yield inside(info.name), 0, None
            elif info.isreg() and not info.issparse():
                stream.seek(info.offset_data)
                yield inside(info.name), info.size, lambda: stream
            else:
                raise Refused(f"{info.name!r} in it is a link, a device or a sparse file")
    # tarfile takes any end for the end, so a tar that was cut between two files would pass.
    if stream.last != bytes(tarfile.BLOCKSIZE):
        raise EOFError("it is cut off, or damaged in the middle")
    while stream.read(CHUNK):  # to the checksum of a compressed file
        pass


def inside(name):
    """A member's name as a relative path, if it cannot lead anywhere else."""
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or "\0" in name
        or re.match("[A-Za-z]:", name)
    ):
        raise Refused(f"{name!r} in it would be written elsewhere")
    return path


class Forwards:
    """The bytes of a tar, from the first to the last and only once, in pieces that fit into memory.

    tarfile goes where the headers lead it, backwards as well, and reads as much at once as they ask for.
    """

    def __init__(self, file, limit):
        self.file, self.limit, self.position, self.last = file, limit, 0, b""

    def tell(self):
        return self.position

    def read(self, size):
        if not 0 <= size <= CHUNK:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        self.last = self.file.read(size)
        self.position += len(self.last)
        if self.position > self.limit:
            raise bomb(self.limit)
        return self.last

    def seek(self, position):
        if position < self.position:
            raise tarfile.ReadError("a header that leads backwards")
        while self.position < position and self.read(min(CHUNK, position - self.position)):
            pass


def limit_of(file):
    """How many bytes an archive may unpack to."""
    return max(FREELY, RATIO * os.fstat(file.fileno()).st_size)


def bomb(limit):
    return Refused(
        f"it would unpack to more than {limit:,} bytes, which no data set of its size does"
    )

"""`extract`: good archives of every kind, and harmful, damaged or interrupted ones."""

import gzip
import io
import itertools
import lzma
import multiprocessing
import os
import random
import resource
import shutil
import signal
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from tqdm import tqdm

from dcgan_lib.data import archives as module
from dcgan_lib.data.archives import extract

NOISE = (
    np.random.default_rng(0).integers(0, 256, 700_000, dtype=np.uint8).tobytes()
)  # more than is copied at once
FILES = {
    "images/a.jpg": NOISE,
    "images/deep/er/b.jpg": b"b" * 1024,
    "images/empty.jpg": b"",
    "list.txt": b"a\nb\n",
}
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "archive.zip"  # whatever is in it


def zip_of(path, files, kind=zipfile.ZIP_DEFLATED):
    """Write a zip; a name may be a ZipInfo."""
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tar_of(path, files, how="w", form=tarfile.PAX_FORMAT):
    """Write a tar; a name may be a TarInfo."""
    with tarfile.open(path, how, format=form) as archive:
        for name, data in files.items():
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg() and not info.size:
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


MAKERS = {
    "zip": zip_of,
    "zip, stored": lambda path, files: zip_of(path, files, zipfile.ZIP_STORED),
    "tar": tar_of,
    "tar.gz": lambda path, files: tar_of(path, files, "w:gz"),
    "tar.xz": lambda path, files: tar_of(path, files, "w:xz"),
    "tar of GNU": lambda path, files: tar_of(path, files, "w", tarfile.GNU_FORMAT),
    "tar of 1988": lambda path, files: tar_of(path, files, "w", tarfile.USTAR_FORMAT),
}


def content(folder):
    """Every file in a folder, hidden ones as well, but not the lock."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if not file.is_dir() and file.suffix != ".lock"
    }


def names(folder):
    """What lies in a folder, hidden things as well, but not the lock."""
    return sorted(name for name in os.listdir(folder) if not name.endswith(".lock"))


def told(path, folder, error=RuntimeError):
    """What the reader is told of an archive that is not unpacked; nothing of it may be there."""
    before = content(folder)
    with pytest.raises(error) as caught:
        extract(path, folder)
    assert content(folder) == before and not list(folder.glob(".unpacking-*"))
    return str(caught.value)


# Good archives


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_extract(path, folder, make):
    extract(str(make(path, FILES)), str(folder))
    assert content(folder) == FILES
    assert {file.stat().st_mode & 0o111 for file in folder.rglob("*.*")} == {0}
    extract(path, folder)
    assert content(folder) == FILES and names(folder) == ["images", "list.txt"]


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_folders_and_roots_of_an_archive(path, folder, make):
    entries = {"./": b"", "./images/": b"", "./images/none/": b"", "./images/a.jpg": b"a"}
    if make is tar_of:
        entries = {tarfile.TarInfo(name.rstrip("/")): data for name, data in entries.items()}
        for info in list(entries)[:3]:
            info.type = tarfile.DIRTYPE
    extract(make(path, entries), folder)
    assert content(folder) == {"images/a.jpg": b"a"} and (folder / "images/none").is_dir()


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_and_foreign_names(path, folder, form):
    files = {
        "/".join(["n" * 90] * 4) + ".jpg": b"long",
        "Bilder/Übergröße 猫.jpg": b"foreign",
        "a..b/..c": b"dots",
    }
    extract(tar_of(path, files, "w:gz", form), folder)
    assert content(folder) == files
    extract(zip_of(path, files), folder / "again")
    assert content(folder / "again") == files


def test_several_streams_in_one_file(path, folder, tmp_path):
    """As parallel compressors write them."""
    whole = tar_of(tmp_path / "plain", FILES).read_bytes()
    for number, compress in enumerate((gzip.compress, lzma.compress)):
        path.write_bytes(compress(whole[:5000]) + compress(whole[5000:]))
        extract(path, folder / str(number))
        assert content(folder / str(number)) == FILES


def test_archives_that_share_a_folder(path, folder, tmp_path):
    """As those of COCO's annotations do."""
    extract(zip_of(path, {"annotations/instances.json": b"1", "annotations/deep/a": b"2"}), folder)
    (folder / "notes.txt").write_text("mine")
    extract(
        tar_of(tmp_path / "stuff", {"annotations/stuff.json": b"3", "annotations/deep/b": b"4"}),
        folder,
    )
    assert content(folder) == {
        "annotations/instances.json": b"1",
        "annotations/deep/a": b"2",
        "notes.txt": b"mine",
        "annotations/stuff.json": b"3",
        "annotations/deep/b": b"4",
    }


def test_a_file_that_was_damaged_since_is_replaced(path, folder):
    extract(zip_of(path, FILES), folder)
    time = (folder / "images/a.jpg").stat().st_mtime_ns
    (folder / "images/a.jpg").write_bytes(b"damaged")
    extract(path, folder)
    assert content(folder) == FILES
    assert (folder / "images/a.jpg").stat().st_mtime_ns == time == path.stat().st_mtime_ns


def test_links_of_the_reader_are_followed(path, folder, tmp_path):
    (tmp_path / "large disk").mkdir()
    folder.mkdir()
    (folder / "images").symlink_to(tmp_path / "large disk")
    extract(zip_of(path, FILES), folder)
    assert (tmp_path / "large disk/a.jpg").read_bytes() == NOISE and (
        folder / "images"
    ).is_symlink()


def test_modes_are_not_taken(path, folder):
    info = tarfile.TarInfo("run.sh")
    info.mode = 0o6777
    extract(tar_of(path, {info: b"run"}), folder)
    info = zipfile.ZipInfo("run too.sh")
    info.external_attr = (stat.S_IFREG | 0o6777) << 16
    extract(zip_of(path, {info: b"run"}), folder)
    assert {file.stat().st_mode & 0o7111 for file in folder.glob("run*")} == {0}


def test_progress(path, folder, monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(
        module, "tqdm", lambda *a, **options: tqdm(*a, **{**options, "delay": 0, "file": shown})
    )
    extract(zip_of(path, FILES), folder)
    assert "Checking archive.zip: 4 files" in shown.getvalue()
    assert "Unpacking archive.zip: 100%" in shown.getvalue() and "701k/701k" in shown.getvalue()


# Archives that would do harm

ELSEWHERE = [
    "/tmp/x",
    "../x",
    "images/../../x",
    "images/..",
    "//x",
    "C:/x",
    "c:x",
    "\\x",
    "..\\x",
    "images\\..\\..\\x",
]


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("make", [zip_of, tar_of], ids=["zip", "tar"])
def test_a_path_that_leads_elsewhere(path, folder, name, make):
    entries = {"images/good.jpg": b"good", name: b"evil"}
    assert told(make(path, entries), folder) == (
        f"{path} is not safe to unpack: {name!r} in it would be written elsewhere. "
        "Fetch it from its official source."
    )
    assert not folder.exists()  # not even begun


def test_a_folder_that_leads_elsewhere(path, folder):
    assert "'../up/' in it would be written elsewhere" in told(
        zip_of(path, {"../up/": b""}), folder
    )
    info = tarfile.TarInfo("../up")
    info.type = tarfile.DIRTYPE
    assert "'../up' in it would be written elsewhere" in told(tar_of(path, {info: b""}), folder)


def test_a_name_with_a_zero_byte(path, folder):
    zip_of(path, {"images/a.jpgX../x": b"evil"})
    path.write_bytes(path.read_bytes().replace(b"a.jpgX", b"a.jpg\0"))
    assert "would be written elsewhere" in told(path, folder)


SPECIAL = {
    "symbolic link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "unknown": b"Y",
}


@pytest.mark.parametrize("kind", SPECIAL.values(), ids=SPECIAL)
@pytest.mark.parametrize("target", ["images/a.jpg", "/etc/passwd", "../x"])
def test_special_files_in_a_tar(path, folder, kind, target):
    info = tarfile.TarInfo("images/b.jpg")
    info.type, info.linkname = kind, target
    tar_of(path, {"images/a.jpg": b"a", info: b"", "images/c.jpg": b"c"}, "w:gz")
    assert "'images/b.jpg' in it is a link, a device or a sparse file" in told(path, folder)
    assert not folder.exists()


def test_a_file_through_a_link(path, folder, tmp_path):
    """The classic: a link to a folder elsewhere, then a file in it."""
    info = tarfile.TarInfo("images")
    info.type, info.linkname = tarfile.SYMTYPE, str(tmp_path)
    told(tar_of(path, {info: b"", "images/evil": b"evil"}), folder)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_special_files_in_a_zip(path, folder, kind):
    info = zipfile.ZipInfo("images/b.jpg")
    info.external_attr = (kind | 0o777) << 16
    assert "'images/b.jpg' in it is encrypted, a link or a device" in told(
        zip_of(path, {info: b"/etc/passwd"}), folder
    )


def test_encrypted(path, folder):
    zip_of(path, {"a.jpg": b"secret"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    data[6] |= 1
    path.write_bytes(data)
    assert "'a.jpg' in it is encrypted" in told(path, folder)


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_in_a_rare_way(path, folder, kind):
    assert f"compressed in the rare way {kind}" in told(zip_of(path, FILES, kind), folder)


# Bombs


def central(path, name, offset, form, value):
    """Overwrite a field of a member in the central directory of a zip."""
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))
    struct.pack_into(form, data, entry + offset, value)
    path.write_bytes(data)


SIZE, CRC = 24, 16


def test_a_zip_that_says_it_is_a_bomb(path, folder):
    zip_of(path, {"a.jpg": b"a", "b.jpg": b"b"})
    central(path, "a.jpg", SIZE, "<I", 600_000_000)
    central(path, "b.jpg", SIZE, "<I", 600_000_000)
    assert "it would unpack to more than 1,000,000,000 bytes" in told(path, folder)
    assert not folder.exists()


def test_a_zip_that_lies(path, folder):
    """It says 10 bytes and holds 50 MB: no more than 10 are written, and they are not kept."""
    zip_of(path, {"a.jpg": bytes(50_000_000)})
    assert path.stat().st_size < 60_000
    central(path, "a.jpg", SIZE, "<I", 10)
    assert "is damaged, or no zip" in told(path, folder)
    central(path, "a.jpg", CRC, "<I", zlib.crc32(bytes(10)))  # a better liar
    extract(path, folder)
    assert content(folder) == {"a.jpg": bytes(10)}


def test_a_zip_that_promises_more_than_it_has(path, folder):
    zip_of(path, FILES)
    central(path, "list.txt", SIZE, "<I", 50)
    assert (
        "is damaged, or no zip, tar, tar.gz or tar.xz archive (a file in it ends too soon)"
        in told(path, folder)
    )


def test_a_zip_whose_files_overlap(path, folder, monkeypatch):
    """Many names for the same bytes."""
    monkeypatch.setattr(module, "HARMLESS", 10**6)
    zip_of(path, {f"{n:03}.jpg": bytes(1_000_000) if n == 0 else b"" for n in range(300)})
    data = path.read_bytes()
    at = data.index(b"PK\x01\x02")
    sizes = data[at + 10 : at + 28]
    directory = data[at:].split(b"PK\x01\x02")[1:]
    end = directory[-1][directory[-1].index(b"PK\x05\x06") :]
    entries = [
        entry[:6] + sizes + entry[24:38] + bytes(4) + b"%03d.jpg" % n
        for n, entry in enumerate(directory)
    ]
    path.write_bytes(data[:at] + b"".join(b"PK\x01\x02" + entry for entry in entries) + end)
    with zipfile.ZipFile(path) as archive:
        assert sum(info.file_size for info in archive.infolist()) == 300_000_000
    assert "it would unpack to more than" in told(path, folder)


@pytest.mark.parametrize(
    "make", [MAKERS["zip"], MAKERS["tar.gz"], MAKERS["tar.xz"]], ids=["zip", "gz", "xz"]
)
def test_more_than_200_times_its_size(path, folder, make, monkeypatch):
    monkeypatch.setattr(module, "HARMLESS", 10**6)
    make(path, {"a.jpg": bytes(6_000_000)})
    limit = max(10**6, 200 * path.stat().st_size)
    assert f"it would unpack to more than {limit:,} bytes, which no data set" in told(path, folder)
    monkeypatch.undo()
    extract(path, folder)  # below 1 GB any ratio is right
    assert (folder / "a.jpg").stat().st_size == 6_000_000


@pytest.mark.parametrize("make", [MAKERS["zip"], MAKERS["tar.gz"]], ids=["zip", "gz"])
def test_very_many_empty_files(path, folder, make, monkeypatch):
    monkeypatch.setattr(module, "HARMLESS", 10**6)
    monkeypatch.setattr(module, "RATIO", 1)
    make(path, {f"{n % 10}/{n}.jpg": b"" for n in range(200)})
    assert "it would unpack to more than 1,000,000 bytes" in told(path, folder)


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory(path, folder, compress, kind):
    info = tarfile.TarInfo("name")
    info.type, info.size = kind, 200_000_000
    path.write_bytes(compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(2_000_000)))
    assert "(a header of 200,000,000 bytes)" in told(path, folder)


def test_zeros_after_the_end(path, folder, monkeypatch):
    monkeypatch.setattr(module, "HARMLESS", 10**6)
    path.write_bytes(gzip.compress(tar_of(path, {"a": b"a"}).read_bytes() + bytes(3_000_000)))
    assert "it would unpack to more than 1,000,000" in told(path, folder)


def test_a_header_that_leads_backwards(path, folder):
    """A negative size, at which some versions of tarfile read the same header for ever."""
    info = tarfile.TarInfo("a.jpg")
    data = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    data[124:136] = tarfile.itn(-2048, 12, tarfile.GNU_FORMAT)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    path.write_bytes(data + bytes(20_000))
    assert "is damaged, or no zip" in told(path, folder)


def test_a_sparse_file(path, folder):
    info = tarfile.TarInfo("a.jpg")
    info.type = tarfile.GNUTYPE_SPARSE
    assert "a sparse file" in told(tar_of(path, {info: b""}, form=tarfile.GNU_FORMAT), folder)


# Damaged archives


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_cut_off(path, folder, make):
    whole = make(path, FILES).read_bytes()
    padding = len(whole) - len(
        whole.rstrip(b"\0")
    )  # that of a tar may be missing, as far as this goes
    for end in (0, 3, 100, 512, 1024, len(whole) // 2, len(whole) - padding - 1):
        path.write_bytes(whole[:end])
        assert "is damaged, or no zip, tar, tar.gz or tar.xz archive (" in told(path, folder)


def test_a_tar_that_ends_between_two_files(path, folder):
    whole = tar_of(
        path, {"a.jpg": bytes(1024), "b.jpg": bytes(1024), "c.jpg": bytes(1024)}
    ).read_bytes()
    for end in (
        1536,
        2000,
        3072,
        4608,
    ):  # after the first file, in the header of the second, and after the others
        path.write_bytes(whole[:end])
        assert "(it is cut off, or damaged in the middle)" in told(path, folder)
    path.write_bytes(whole[:1536] + b"x" * 512 + whole[2048:])
    assert "(it is cut off, or damaged in the middle)" in told(path, folder)
    path.write_bytes(whole[:5120])  # one block of zeros is end enough
    extract(path, folder)
    assert names(folder) == ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>Not found</html>", bytes(100), NOISE, gzip.compress(b"no tar" * 99)],
    ids=["nothing", "a web page", "zeros", "noise", "gzip, but no tar"],
)
def test_not_an_archive(path, folder, data):
    path.write_bytes(data)
    assert told(path, folder).endswith("Delete it and fetch it again.")


@pytest.mark.parametrize("make", [zip_of, tar_of], ids=["zip", "tar"])
def test_an_empty_archive(path, folder, make):
    assert "(it is empty)" in told(make(path, {}), folder)


@pytest.mark.parametrize(
    "make", [MAKERS[kind] for kind in ("zip", "zip, stored", "tar.gz", "tar.xz")]
)
def test_one_wrong_byte_in_a_file(path, folder, make):
    data = bytearray(make(path, {"a.jpg": NOISE}).read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "is damaged, or no zip" in told(path, folder)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_random_damage(path, folder, make, tmp_path):
    """A few bytes wrong, 100 times: unpacked or told, never outside of the folder, never half."""
    whole = make(path, {**FILES, "images/a.jpg": NOISE[:2000]}).read_bytes()
    draw, refused = random.Random(0), 0
    for number in range(100):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data)
        try:
            extract(path, folder / str(number))
            assert list(folder.glob(f"{number}/*"))
        except (RuntimeError, OSError) as error:
            refused += str(error).startswith(str(path))
            assert not (folder / str(number)).exists() or not names(folder / str(number))
    assert {"archive.zip"} <= set(os.listdir(tmp_path)) <= {"archive.zip", "data"} and refused > 10


# This machine: its disk, and who else is at work on it


def test_a_disk_that_is_too_small(path, folder, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=700_000))
    assert told(zip_of(path, FILES), folder, OSError) == (
        f"{path} cannot be unpacked into {folder} (only 700,000 bytes are free). "
        "It takes 701,028 bytes there."
    )


def told_on_a_full_disk(path, folder):
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))  # bytes in a file
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return told(path, folder, OSError)


def test_a_disk_that_becomes_full(path, folder):
    with ProcessPoolExecutor(1, mp_context=FORK) as pool:
        sentence = pool.submit(told_on_a_full_disk, zip_of(path, FILES), folder).result()
    assert "(File too large). It takes 701,028 bytes there." in sentence


def test_files_that_cannot_be_there(path, folder, tmp_path):
    with pytest.raises(
        OSError, match=r"nowhere.zip cannot be unpacked into .*data \(No such file or directory\)\."
    ):
        extract(tmp_path / "nowhere.zip", folder)
    assert "(File exists)" in told(zip_of(path, {"a": b"a", "a/b": b"b"}), folder, OSError)
    (folder / "list.txt").mkdir()
    with pytest.raises(OSError, match=r"\(Is a directory\)"):
        extract(zip_of(path, {"list.txt": b"a"}), folder)


def test_ctrl_c_leaves_nothing(path, folder, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "utime", interrupted)
    assert told(zip_of(path, FILES), folder, KeyboardInterrupt) == ""
    assert names(folder) == []


def dies(path, folder, change):
    """Unpack and die before the nth file or folder is made, dated or renamed."""
    count = itertools.count()

    def deadly(act):
        def acts(*arguments, **options):
            if next(count) == change:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*arguments, **options)

        return acts

    os.mkdir, os.utime, os.replace, shutil.copyfileobj = map(
        deadly, (os.mkdir, os.utime, os.replace, shutil.copyfileobj)
    )
    extract(path, folder)


@pytest.mark.parametrize("make", [zip_of, MAKERS["tar.gz"]], ids=["zip", "tar.gz"])
def test_killed_at_every_change(path, folder, make):
    make(path, FILES)
    for change in itertools.count():
        target = folder / str(change)
        process = FORK.Process(target=dies, args=[path, target, change])
        process.start()
        process.join()
        shown = {name: data for name, data in content(target).items() if not name.startswith(".")}
        assert shown in ({}, FILES) or shown == {
            name: FILES[name] for name in FILES if "images" in name
        }
        extract(path, target)
        assert content(target) == FILES and names(target) == ["images", "list.txt"]
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert change > 12


def slowly(path, folder, holds):
    """Unpack with a pause at each file, and tell how many files this process has written."""
    utime, written = os.utime, []
    os.utime = lambda *where, **when: (
        time.sleep(0.1),
        written.append(where),
        utime(*where, **when),
    )
    extract(path, folder, holds)
    assert all((folder / name).read_bytes() == data for name, data in FILES.items())
    return len(written)


def test_two_processes_at_once(path, folder, capfd):
    """One unpacks, and the other waits and finds the work done."""
    zip_of(path, FILES)
    with ProcessPoolExecutor(2, mp_context=FORK) as pool:
        both = [pool.submit(slowly, path, folder, "images/deep") for _ in range(2)]
        assert sorted(done.result() for done in both) == [0, len(FILES)]
    assert content(folder) == FILES
    waits = f"Another process is at work on {folder / path.name}: waiting for it."
    assert waits in capfd.readouterr().err

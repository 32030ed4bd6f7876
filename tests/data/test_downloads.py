"""`download`: the right file or a clear sentence from servers cut off, silent, wrong or gone."""

import hashlib
import multiprocessing
import os
import re
import resource
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
from tqdm import tqdm

from dcgan_lib.data import downloads as module
from dcgan_lib.data.downloads import download

DATA, OTHER = np.random.default_rng(0).integers(0, 256, (2, 1_000_000), dtype=np.uint8)
DATA, OTHER = DATA.tobytes(), OTHER.tobytes()
MD5 = f"md5:{hashlib.md5(DATA).hexdigest()}"
HALF = 400_000
FORK = multiprocessing.get_context("fork")


class Site:
    """A web server whose pages are functions of the handler; it remembers requests and answers."""

    def __init__(self):
        self.pages, self.asked, self.answered = {}, [], []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.close_connection = True
                site.asked.append((self.path.rpartition("/")[2], self.headers["Range"]))
                with suppress(OSError):  # the client has gone, as some tests want it
                    site.pages[site.asked[-1][0]](self)

            def log_request(self, code):
                site.answered.append(code)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __call__(self, *names):
        return [f"{self.address}/{name}" for name in names]


@pytest.fixture
def site(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    site = Site()
    thread = Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "downloads" / "images.zip"


def answer(handler, status, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def serves(data=DATA, *, cut=None, ranges=True, kind="application/zip", pause=0):
    """A page that sends a file, breaks off after `cut` bytes, and pauses before each 100,000."""

    def page(handler):
        start, status, about = 0, 200, {}
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"] or "")
        if ranges and asked:
            start, status = int(asked[1]), 206
            if start >= len(data):
                answer(handler, 416, Content_Range=f"bytes */{len(data)}", Content_Length=0)
                return
            about["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        answer(handler, status, Content_Type=kind, Content_Length=len(data) - start, **about)
        body = data[start:] if cut is None else data[start : start + cut]
        for first in range(0, len(body), 100_000):
            time.sleep(pause)
            handler.wfile.write(body[first : first + 100_000])

    return page


def fails(status, **headers):
    return lambda handler: answer(handler, status, Content_Length=0, **headers)


def beside(path):
    return path.with_name(f"{path.name}.part")


def names(folder):
    """What lies in a folder, but not the locks."""
    return [name for name in os.listdir(folder) if not name.endswith(".lock")]


def alone(path):
    """Whether there is the right file and nothing else."""
    return names(path.parent) == [path.name] and path.read_bytes() == DATA


def sentence(addresses, path, checksum=MD5):
    """What the reader is told when the download fails; no file may be there then."""
    with pytest.raises(RuntimeError) as caught:
        download(addresses, path, checksum)
    assert not path.exists()
    return str(caught.value)


# The right file


@pytest.mark.parametrize("checksum", [MD5, MD5.upper().replace("MD5", "md5"), None, "sha256"])
def test_download(site, path, checksum):
    site.pages["a"] = serves()
    checksum = f"sha256:{hashlib.sha256(DATA).hexdigest()}" if checksum == "sha256" else checksum
    assert download(site("a"), str(path), checksum) == path and alone(path)
    assert download(site("a"), path, checksum) == path and site.asked == [("a", None)]


def test_a_file_put_there_by_hand_is_enough(path):
    path.parent.mkdir()
    path.write_bytes(DATA)
    assert download([], path, MD5) == path


def test_a_wrong_file_that_is_there_is_replaced(site, path):
    path.parent.mkdir()
    path.write_bytes(OTHER)
    with pytest.raises(
        RuntimeError, match=f"{path}: its md5 is [0-9a-f]{{32}}, not {MD5[4:]}; http"
    ):
        download(site("gone"), path, MD5)
    assert path.read_bytes() == OTHER
    site.pages["a"] = serves()
    assert download(site("a"), path, MD5) == path and alone(path)


def test_the_second_address(site, path):
    site.pages.update(a=fails(404), b=serves())
    download(site("a", "b"), path, MD5)
    assert alone(path) and site.asked == [("a", None), ("b", None)]


def test_a_slow_server_is_waited_for(site, path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.4)
    site.pages["a"] = serves(pause=0.1)  # a second in all
    download(site("a"), path, None)
    assert alone(path)


def test_redirects(site, path):
    site.pages.update(a=fails(302, Location="/b"), b=serves())
    download(site("a"), path, MD5)
    assert alone(path)


def test_a_redirect_leads_nowhere_but_to_the_web(site, path, tmp_path):
    (tmp_path / "secret").write_bytes(DATA)
    site.pages.update(
        a=fails(302, Location=f"file://{tmp_path}/secret"),
        b=fails(302, Location="ftp://127.0.0.1/x"),
    )
    site.pages["c"] = fails(302, Location="/c")
    told = sentence(site("a", "b", "c"), path)
    assert "/a: the server answered 302 Found - Redirection to url 'file:" in told
    assert "/b: ftp://127.0.0.1/x is not an address on the web" in told and "infinite loop" in told
    secret = f"file://{tmp_path}/secret"
    assert f"{secret}: {secret} is not an address on the web" in sentence([secret], path)


def test_proxy(site, path, monkeypatch):
    monkeypatch.setenv("http_proxy", site.address)
    monkeypatch.delenv("no_proxy", raising=False)
    site.pages["images.zip"] = serves()
    download(["http://images.invalid/images.zip"], path, MD5)
    assert alone(path)


def test_progress(site, path, monkeypatch):
    shown = StringIO()
    monkeypatch.setattr(
        module, "tqdm", lambda *a, **options: tqdm(*a, **{**options, "delay": 0, "file": shown})
    )
    site.pages["a"] = serves()
    download(site("a"), path, MD5)
    assert "Downloading images.zip: 100%" in shown.getvalue() and "1.00M/1.00M" in shown.getvalue()


def chunked(*pieces, end=b"0\r\n\r\n"):
    def page(handler):
        answer(handler, 200, Transfer_Encoding="chunked")
        for piece in pieces:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(end)

    return page


def test_in_chunks(site, path):
    site.pages.update(a=chunked(DATA[:HALF], DATA[HALF:]), b=chunked(DATA[:HALF], end=b""))
    assert "/b: the server gave no proper answer (Incomplete" in sentence(site("b"), path, None)
    download(site("a"), path, None)
    assert alone(path)


def test_without_a_length(site, path):
    def page(handler):
        answer(handler, 200)
        handler.wfile.write(DATA)

    site.pages["a"] = page
    assert "/a: the server does not tell the length" in sentence(site("a"), path, None)
    download(site("a"), path, MD5)
    assert alone(path)


# Cut connections


def test_a_cut_connection_goes_on(site, path):
    site.pages["a"] = serves(cut=HALF)
    told = sentence(site("a"), path)
    assert told == (
        f"images.zip could not be downloaded. {site('a')[0]}: the connection broke off after "
        "400,000 of 1,000,000 bytes. Try again: 400,000 bytes are here, and it goes on from there. "
        f"Or fetch it by hand and put it at {path}."
    )
    assert "800,000 bytes are here" in sentence(site("a"), path)
    download(site("a"), path, MD5)
    assert alone(path)
    assert site.asked == [("a", None), ("a", "bytes=400000-"), ("a", "bytes=800000-")]


def test_without_ranges_it_begins_anew(site, path):
    site.pages["a"] = serves(cut=HALF, ranges=False)
    sentence(site("a"), path)
    assert "400,000 bytes are here" in sentence(site("a"), path)
    site.pages["a"] = serves(ranges=False)
    download(site("a"), path, MD5)
    assert alone(path)


def test_the_next_address_goes_on_where_the_checksum_is_known(site, path):
    site.pages.update(a=serves(cut=HALF), b=serves())
    download(site("a", "b"), path, MD5)
    assert alone(path) and site.asked == [("a", None), ("b", "bytes=400000-")]


def test_the_next_address_begins_anew_where_it_is_not(site, path):
    site.pages.update(a=serves(OTHER, cut=HALF), b=serves())
    download(site("a", "b"), path, None)
    assert alone(path) and site.asked == [("a", None), ("b", None)]


def test_a_mirror_with_a_file_of_another_length_is_not_glued(site, path):
    site.pages.update(a=serves(OTHER + b"longer", cut=HALF), b=serves())
    download(site("a", "b"), path, MD5)
    assert alone(path) and site.asked == [("a", None), ("b", "bytes=400000-"), ("b", None)]


def test_without_a_checksum_it_begins_anew(site, path):
    site.pages["a"] = serves(OTHER, cut=HALF)
    assert "Try again. Or fetch" in sentence(site("a"), path, None)
    site.pages["a"] = serves()
    download(site("a"), path, None)
    assert alone(path) and site.asked[1:] == [("a", None)]


def test_a_changed_file_is_not_glued_to_the_old_half(site, path):
    site.pages["a"] = serves(OTHER, cut=HALF)
    sentence(site("a"), path)
    site.pages["a"] = serves()
    download(site("a"), path, MD5)
    assert alone(path) and site.answered == [200, 206, 200]


def test_a_wrong_beginning_is_not_kept_for_ever(site, path):
    path.parent.mkdir()
    beside(path).write_bytes(OTHER[:HALF])
    site.pages["a"] = serves()
    download(site("a"), path, MD5)
    assert alone(path) and site.asked == [("a", "bytes=400000-"), ("a", None)]


@pytest.mark.parametrize("there", [DATA, DATA + b"too long"], ids=["whole", "too long"])
def test_nothing_is_left_to_fetch(site, path, there):
    """A process was killed between the last byte and the new name, or what is there is nonsense."""
    path.parent.mkdir()
    beside(path).write_bytes(there)
    site.pages["a"] = serves()
    download(site("a"), path, MD5)
    assert alone(path) and len(site.asked) == (0 if there == DATA else 2)


@pytest.mark.parametrize(
    "told", ["bytes 0-999999/1000000", "bytes 400001-999999/1000000", "nonsense", None]
)
def test_another_range_than_asked_for(site, path, told):
    def page(handler):
        if not handler.headers["Range"]:
            serves()(handler)
            return
        answer(handler, 206, Content_Length=600_000, **({"Content_Range": told} if told else {}))
        handler.wfile.write(OTHER[HALF:])

    site.pages["a"] = serves(cut=HALF)
    sentence(site("a"), path)
    site.pages["a"] = page
    download(site("a"), path, MD5)
    assert alone(path) and site.asked[1:] == [("a", "bytes=400000-"), ("a", None)]


def test_a_range_that_was_not_asked_for(site, path):
    site.pages["a"] = fails(206, Content_Range="bytes 5-9/10")
    assert "/a: the server answered 206 Partial Content, not the file" in sentence(site("a"), path)


def test_a_range_of_unknown_length(site, path):
    def page(handler):
        answer(handler, 206, Content_Length=600_000, Content_Range="bytes 400000-999999/*")
        handler.wfile.write(DATA[HALF:-100_000])

    path.parent.mkdir()
    beside(path).write_bytes(DATA[:HALF])
    site.pages.update(a=page, b=serves())
    assert "/a: the connection broke off after 900,000 of 1,000,000 bytes" in sentence(
        site("a"), path
    )
    download(site("b"), path, MD5)
    assert alone(path) and site.asked[1] == ("b", "bytes=900000-")


# Wrong answers


PAGES = {
    "by its type": serves(b"Sorry", kind="text/html; charset=utf-8"),
    "by its bytes": serves(b"\n <!DOCTYPE html><html>Sorry</html>"),
    "by its bytes, in capitals": serves(b"\xef\xbb\xbf<HTML><p>Sorry"),
    "cut off": serves(b"<!doctype html><html>Sorry</html>", cut=20),
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("checksum", [MD5, None])
def test_a_web_page_in_place_of_the_file(site, path, page, checksum):
    site.pages["a"] = page
    assert "/a: the server answered a web page, not the file. Try again. Or" in sentence(
        site("a"), path, checksum
    )
    assert names(path.parent) == []


def test_a_web_page_does_not_cost_the_half_that_is_here(site, path):
    site.pages.update(a=serves(cut=HALF), b=serves(b"<html>Sorry</html>"), c=serves())
    assert "400,000 bytes are here" in sentence(site("a", "b"), path)
    download(site("c"), path, MD5)
    assert alone(path) and site.asked[-1] == ("c", "bytes=400000-")


@pytest.mark.parametrize(
    "page", [serves(ranges=False, cut=0), serves(b"", ranges=False), fails(503)]
)
def test_nor_does_an_answer_without_a_byte(site, path, page):
    site.pages.update(a=serves(cut=HALF), b=page, c=serves())
    assert "400,000 bytes are here" in sentence(site("a", "b"), path)
    download(site("c"), path, MD5)
    assert alone(path) and site.asked[-1] == ("c", "bytes=400000-")


def test_wrong_bytes(site, path):
    site.pages.update(a=serves(OTHER), b=serves())
    wrong = hashlib.md5(OTHER).hexdigest()
    assert f"/a: its md5 is {wrong}, not {MD5[4:]}. Try again. Or" in sentence(site("a"), path)
    assert site.asked == [("a", None)] and names(path.parent) == []
    download(site("a", "b"), path, MD5)
    assert alone(path)


def silent(handler):
    time.sleep(0.6)


def silent_after_half(handler):
    answer(handler, 200, Content_Length=len(DATA))
    handler.wfile.write(DATA[:HALF])
    time.sleep(0.6)


def garbled(handler):
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")


def test_every_reason_is_told(site, path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    unused = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    unused.server_close()
    gone = f"http://127.0.0.1:{unused.server_port}/gone"
    site.pages.update(
        a=fails(404), b=fails(500), c=serves(b""), d=lambda handler: None, e=silent, f=garbled
    )
    site.pages.update(g=silent_after_half)
    told = sentence([*site(*"abcdefg"), gone, "nonsense"], path)
    a, b, c, d, e, f, g = site(*"abcdefg")
    reasons = {
        a: "the server answered 404 Not Found",
        b: "the server answered 500 Internal Server Error",
        c: "the answer was empty",
        d: "the server gave no proper answer (Remote end closed connection without response)",
        e: "the server said nothing for 0.3 seconds",
        f: "the server gave no proper answer (SSH-2.0-OpenSSH_9.6)",
        g: "the server said nothing for 0.3 seconds",
        gone: "Connection refused",
        "nonsense": "nonsense is not an address on the web",
    }
    assert told == (
        "images.zip could not be downloaded. "
        + "; ".join(f"{address}: {why}" for address, why in reasons.items())
        + ". Try again: 400,000 bytes are here, and it goes on from there. "
        f"Or fetch it by hand and put it at {path}."
    )
    assert len(site.asked) == 7  # each once


# This machine: its disk, and who else is at work on it


def test_a_disk_that_is_too_small(site, path, monkeypatch):
    site.pages["a"] = serves(cut=HALF)
    sentence(site("a"), path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=599_999))
    told = sentence(site("a"), path)
    assert (
        "/a: 600,000 more bytes are needed, and only 599,999 are free. Try again: 400,000" in told
    )
    monkeypatch.undo()
    assert beside(path).stat().st_size == HALF


def told_on_a_full_disk(addresses, path):
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, HALF))  # bytes in a file
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return sentence(addresses, path)


def test_a_disk_that_becomes_full(site, path):
    site.pages["a"] = serves()
    with ProcessPoolExecutor(1, mp_context=FORK) as pool:
        told = pool.submit(told_on_a_full_disk, site("a"), path).result()
    assert (
        "/a: File too large. Try again: 400,000 bytes are here, and it goes on from there" in told
    )
    download(site("a"), path, MD5)
    assert alone(path) and site.asked[1:] == [("a", "bytes=400000-")]


def test_a_place_that_cannot_be_written(site, path):
    path.parent.write_text("a file where the folder should be")
    with pytest.raises(RuntimeError, match=f"{path} cannot be read or written .*Choose a folder"):
        download(site("a"), path, MD5)


def test_ctrl_c_keeps_what_is_here(site, path):
    def page(handler):
        answer(handler, 200, Content_Length=len(DATA))
        handler.wfile.write(DATA[:HALF])
        while not beside(path).exists() or beside(path).stat().st_size < HALF:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)

    site.pages["a"] = page
    with pytest.raises(KeyboardInterrupt):
        download(site("a"), path, MD5)
    site.pages["a"] = serves()
    download(site("a"), path, MD5)
    assert alone(path) and site.asked[1:] == [("a", "bytes=400000-")]


def test_killed_in_the_middle(site, path):
    """Ten times, whenever a little more has come; the next process goes on each time."""
    site.pages["a"] = serves(pause=0.05)
    starts = []
    for kill in range(10):
        process = FORK.Process(target=download, args=[site("a"), path, MD5])
        process.start()
        before = len(site.asked)
        while process.is_alive() and size(path) < (kill + 1) * 90_000:
            time.sleep(0.005)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL and not path.exists()
        assert len(site.asked) <= before + 1
        starts.append(size(path))
    assert starts == sorted(starts) and starts[-1] >= 900_000
    site.pages["a"] = serves()
    download(site("a"), path, MD5)
    assert alone(path) and site.asked[-1] == ("a", f"bytes={starts[-1]}-")


def killed_before_the_new_name(addresses, path):
    os.replace = lambda *names: os._exit(9)
    download(addresses, path, MD5)


def test_killed_at_the_end(site, path):
    site.pages["a"] = serves()
    process = FORK.Process(target=killed_before_the_new_name, args=[site("a"), path])
    process.start()
    process.join()
    assert process.exitcode == 9 and size(path) == len(DATA)
    download(site("a"), path, MD5)
    assert alone(path) and len(site.asked) == 1


def size(path):
    return beside(path).stat().st_size if beside(path).exists() else 0


def is_right_after_download(addresses, path):
    return download(addresses, path, MD5).read_bytes() == DATA


def test_two_processes_at_once(site, path, capfd):
    site.pages["a"] = serves(pause=0.05)
    with ProcessPoolExecutor(4, mp_context=FORK) as pool:
        downloads = [pool.submit(is_right_after_download, site("a"), path) for _ in range(4)]
        assert all(done.result() for done in downloads)
    assert alone(path) and site.asked == [("a", None)]
    assert f"Another process is at work on {path}: waiting for it." in capfd.readouterr().err


def test_who_waited_for_a_killed_process_goes_on(site, path):
    site.pages["a"] = serves(pause=0.05)
    first = FORK.Process(target=download, args=[site("a"), path, MD5])
    first.start()
    while size(path) < HALF:
        time.sleep(0.005)
    site.pages["a"] = serves()
    second = FORK.Process(target=download, args=[site("a"), path, MD5])
    second.start()
    time.sleep(0.1)
    first.kill()
    second.join()
    first.join()
    assert second.exitcode == 0 and alone(path)
    assert len(site.asked) == 2 and site.asked[1][1] is not None

"""Chapters in JupyterLab: they open with folded solutions; a save or a sync changes nothing."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import jupytext
import pytest
from jupytext.cli import jupytext as jupytext_program
from make_notebooks import NOTEBOOKS, chapters, tags

CHAPTERS = chapters()


@pytest.fixture
def copies(tmp_path):
    """A folder of copies of all chapters; each .ipynb holds the cells of its text."""
    for md in CHAPTERS:
        shutil.copy(md, tmp_path)
        shutil.copy(md.with_suffix(".ipynb"), tmp_path)
    shutil.copy(NOTEBOOKS / "jupytext.toml", tmp_path)
    return tmp_path


def contents(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.glob("[0-9]*"))}


@pytest.mark.parametrize("newer", [".md", ".ipynb"])
def test_a_sync_changes_no_file(copies, newer):
    """After a clone either file of a pair may be the newer one."""
    before = contents(copies)
    for name in before:
        age = 0 if name.endswith(newer) else 1000
        os.utime(copies / name, (1.7e9 - age, 1.7e9 - age))
    jupytext_program(["--quiet", "--sync", *map(str, sorted(copies.glob("*.md")))])
    after = contents(copies)
    assert [name for name in before if before[name] != after[name]] == []


def test_the_solutions_are_folded_in_the_text_itself():
    for md in CHAPTERS:
        for cell in jupytext.read(md).cells:
            if "solution" in tags(cell):
                assert cell.metadata["jupyter"] == {"source_hidden": True}, cell.source
                assert cell.metadata["cellView"] == "form", cell.source


@pytest.fixture
def server(copies, tmp_path_factory):
    """ask(path, method, body): the answer of a Jupyter server in the folder of the copies."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    own = {name: str(tmp_path_factory.mktemp("jupyter")) for name in folders}
    options = ["--no-browser", "--allow-root", f"--port={port}", "--ServerApp.port_retries=0"]
    options += [f"--ServerApp.root_dir={copies}", "--IdentityProvider.token="]
    options += ["--ServerApp.disable_check_xsrf=True"]
    program = subprocess.Popen(
        [sys.executable, "-m", "jupyter_server", *options],
        env=os.environ | own,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def ask(path, method="GET", body=None):
        data = None if body is None else json.dumps(body).encode()
        address = f"http://127.0.0.1:{port}/api/{path}"
        try:
            with urlopen(Request(address, data, method=method), timeout=60) as answer:
                return answer.status, json.load(answer)
        except HTTPError as refusal:
            return refusal.code, json.load(refusal)

    deadline = time.monotonic() + 60
    while True:
        try:
            ask("status")
            break
        except URLError:
            assert program.poll() is None and time.monotonic() < deadline, "the server is not there"
            time.sleep(0.1)
    yield ask
    program.terminate()
    program.wait(30)


def test_a_chapter_opens_with_folded_solutions_and_a_save_keeps_them(copies, server):
    """The executed copy is an hour newer than its text here, as it is after `make notebooks`."""
    text = CHAPTERS[0].name
    os.utime(copies / text, (1.7e9, 1.7e9))
    os.utime((copies / text).with_suffix(".ipynb"), (1.7e9 + 3600, 1.7e9 + 3600))
    before = contents(copies)
    for name in (text, CHAPTERS[0].with_suffix(".ipynb").name):
        status, model = server(f"contents/{name}?type=notebook&content=1")
        assert status == 200, model
        solutions = [
            cell["metadata"]
            for cell in model["content"]["cells"]
            if "solution" in cell["metadata"].get("tags", [])
        ]
        assert solutions
        assert all(cell["jupyter"]["source_hidden"] for cell in solutions)
        assert all(cell["cellView"] == "form" for cell in solutions)
        saved, answer = server(f"contents/{name}", "PUT", model)
        assert saved == 200, answer
        assert contents(copies)[text] == before[text]
        assert contents(copies).keys() == before.keys()

"""Batch runs: what is refused, what is recorded, what happens when a chapter fails; then the real chapters."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import yaml

from dcgan_lib.commands import batch

ROOT = Path(__file__).resolve().parents[2]

# Two chapters that leave what the real ones leave; the second breaks where it is told to.
FIRST = [
    """\
seed = 0
epochs = 2
run_dir = "runs/x"
root = None""",
    """\
import json, os
from pathlib import Path
folder = Path(run_dir) / "dcgan"
folder.mkdir(parents=True, exist_ok=True)
(folder / "config.json").write_text(json.dumps({
    "config": {"seed": seed, "epochs": epochs}, "data": {"fingerprint": "f00d"}, "device": "cpu", "torch": "2"}))
lines = ["epoch,loss_d,loss_g"] + [f"{e},{e + half},{2 * e}" for e in range(1, epochs + 1) for half in (0, 0.5)]
(folder / "history.csv").write_text("\\n".join(lines) + "\\n")
(Path(run_dir) / "seen.json").write_text(json.dumps({"root": root, "cwd": os.getcwd()}))""",
]
SECOND = [
    """\
run_dir = "runs/x"
rate = 0.5
mood = "good" """,
    """\
import json, time
from pathlib import Path
if mood == "bad":
    raise ValueError("mood is 'bad'; set it to 'good'")
Path(run_dir, "started").touch()
time.sleep(60 if mood == "slow" else 0)
Path(run_dir, "table.json").write_text(json.dumps([{"method": "majority class", "error": rate}]))""",
]


def notebook(parameters, *cells):
    book = nbformat.v4.new_notebook()
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book.cells = [nbformat.v4.new_code_cell(source) for source in (parameters, *cells)]
    book.cells[0].metadata.tags = ["parameters"]
    return book


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """A folder with the two chapters, entered; write(name, text) puts a parameter file there."""
    (tmp_path / "notebooks").mkdir()
    for name, cells in (("01_first", FIRST), ("02_second", SECOND)):
        nbformat.write(notebook(*cells), tmp_path / "notebooks" / f"{name}.ipynb")
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def refused(capsys, *arguments):
    """The sentence with which a request is refused; nothing may have been run."""
    with pytest.raises(SystemExit) as end:
        batch.main(list(arguments))
    assert end.value.code == 2
    assert not Path("runs").exists()
    text = capsys.readouterr().err
    assert "Nothing was run" in text and "Traceback" not in text
    return text


def test_a_misspelt_name_is_refused_before_any_file_runs(launch, capsys):
    good, wrong = launch("good.yaml", "epochs: 1"), launch("wrong.yaml", "epoch: 3")
    text = refused(capsys, good, wrong)
    assert "'epoch'" in text and "did you mean epochs?" in text
    assert "There are: epochs, mood, rate, root, run_dir, seed" in text
    assert "'sead'" in refused(capsys, good, "-p", "sead", "1")


@pytest.mark.parametrize(
    "line",
    [
        "epochs: ten",
        "epochs: 1.5",
        "epochs: true",
        "epochs:",
        "epochs: [1]",
        "rate: fast",
        "mood: 3",
        "root: [a]",
    ],
)
def test_a_value_of_the_wrong_type_is_refused(launch, capsys, line):
    assert line.split(":")[0] in refused(capsys, launch("wrong.yaml", line))


def test_files_that_cannot_be_used_are_refused(launch, capsys):
    assert "No such file" in refused(capsys, "nowhere.yaml")
    assert "broken.yaml" in refused(capsys, launch("broken.yaml", "epochs: [1"))
    assert "list.yaml" in refused(capsys, launch("list.yaml", "- epochs"))
    assert "broken override" not in refused(
        capsys, launch("good.yaml", "epochs: 1"), "-p", "epochs", "[1"
    )
    assert "--runs" in refused(capsys, launch("moved.yaml", "run_dir: elsewhere"))
    Path("sub").mkdir()
    assert "two files" in refused(capsys, launch("a.yaml", ""), launch("sub/a.yaml", ""))


def test_where_there_is_no_book_or_no_papermill_a_sentence_says_so(launch, capsys, monkeypatch):
    good = launch("good.yaml", "epochs: 1")
    monkeypatch.setitem(sys.modules, "papermill", None)
    assert "papermill" in refused(capsys, good)
    monkeypatch.undo()
    monkeypatch.chdir(ROOT / "book")
    assert "notebooks" in refused(capsys, good)


def test_one_file_fails_and_the_next_still_runs(launch, capsys):
    bad, good = launch("bad.yaml", "mood: bad"), launch("good.yaml", "rate: 1\nroot: pictures")
    with pytest.raises(SystemExit) as end:
        batch.main([bad, good, "-p", "epochs", "3"])
    assert end.value.code == 1
    printed = capsys.readouterr()
    assert "1 of 2 failed: bad" in printed.err
    assert (
        "bad [2/2] 02_second failed" in printed.out and "good [2/2] 02_second done" in printed.out
    )
    assert "ValueError: mood is 'bad'; set it to 'good'" in printed.out

    failed = json.loads(Path("runs/bad/record.json").read_text())
    assert (
        failed["failed"]["chapter"] == "02_second" and "mood is 'bad'" in failed["failed"]["error"]
    )
    assert Path(failed["failed"]["notebook"]).is_file()

    record = json.loads(Path("runs/good/record.json").read_text())
    assert "failed" not in record
    assert record["parameters"] == {
        "rate": 1,
        "root": str(Path("pictures").absolute()),
        "epochs": 3,
    }
    assert (
        record["seed"] == 0
        and record["device"] == "cpu"
        and record["data"] == {"fingerprint": "f00d"}
    )
    assert record["final_metrics"] == {
        "epoch": 3,
        "loss_d": 3.25,
        "loss_g": 6,
    }  # means over the two steps of epoch 3
    assert record["table"] == [{"method": "majority class", "error": 1}]
    assert set(record["seconds"]) == {"01_first", "02_second"}
    assert {"python", "torch", "torchvision", "numpy", "scikit-learn", "dcgan_lib"} <= set(
        record["environment"]
    )

    # Each chapter got what it declares and no more, and ran beside its source.
    seen = json.loads(Path("runs/good/seen.json").read_text())
    assert seen == {
        "root": str(Path("pictures").absolute()),
        "cwd": str(Path("notebooks").absolute()),
    }
    injected = nbformat.read("runs/good/notebooks/02_second.ipynb", as_version=4).cells[1].source
    assert "rate = 1" in injected and "run_dir" in injected and "epochs" not in injected


def test_a_new_run_leaves_nothing_of_the_old_one_to_be_mistaken(launch):
    batch.main([launch("one.yaml", "rate: 1")])
    with pytest.raises(SystemExit):
        batch.main([launch("one.yaml", "mood: bad")])
    assert "table" not in json.loads(Path("runs/one/record.json").read_text())


def test_ctrl_c_says_what_is_done(launch, tmp_path):
    done, slow = launch("done.yaml", "rate: 1"), launch("slow.yaml", "mood: slow")
    process = subprocess.Popen(
        [sys.executable, "-m", "dcgan_lib.commands.batch", done, slow],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "runs/slow/started").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Stopped by Ctrl-C in slow; done done" in error and "Traceback" not in error
    assert (tmp_path / "runs/done/record.json").exists() and not (
        tmp_path / "runs/slow/record.json"
    ).exists()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "params").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_parameter_files_of_the_book_are_accepted(path, tmp_path):
    root = (
        [("root", str(tmp_path))] if "root" in yaml.safe_load(path.read_text()) else []
    )  # any folder that exists
    assert batch.plan([path], root, batch.find_chapters(ROOT / "notebooks"))


def test_images_that_are_not_there_are_refused_before_anything_runs():
    path = ROOT / "params" / "cifar10-folder.yaml"
    chapters = batch.find_chapters(ROOT / "notebooks")
    with pytest.raises(batch.Refused, match="no data set is called 'digit'; there are .*digits"):
        batch.plan([path], [("dataset", "digit")], chapters)
    with pytest.raises(batch.Refused, match="'folder' needs a root that exists; .*nowhere"):
        batch.plan([path], [("root", "nowhere")], chapters)


def test_digits_yaml_says_what_the_chapters_do_by_themselves():
    known = {}
    for declared in batch.find_chapters(ROOT / "notebooks").values():
        known |= declared
    told = yaml.safe_load((ROOT / "params" / "digits.yaml").read_text())
    assert {name: known[name] for name in told} == told


def test_the_real_chapters_run_on_coloured_pictures(coloured_run):
    """A folder of coloured pictures, tiny nets, one epoch: nothing in the chapters is cut to the digits."""
    record = json.loads((coloured_run / "record.json").read_text())
    assert "failed" not in record, record["failed"]
    assert record["training"]["channels"] == 3 and record["training"]["epochs"] == 1
    assert record["data"]["name"] == "folder" and record["data"]["fingerprint"]
    assert {"loss_d", "loss_g", "d_real"} <= set(record["final_metrics"])
    assert {row["method"] for row in record["table"]} and all(
        0 <= row["error"] <= 1 for row in record["table"]
    )

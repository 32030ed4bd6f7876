"""The command line itself, and training from a parameter file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import dcgan_lib
from dcgan_lib import Run
from dcgan_lib.__main__ import main
from dcgan_lib.commands.batch import find_chapters, plan
from dcgan_lib.commands.parameters import read_parameters, run_name

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A parameter file of a training that takes a second, in the folder that is entered."""
    monkeypatch.chdir(tmp_path)
    text = "dataset: digits\nlimit: 64\nimage_size: 32\nwidth: 8\nbatch_size: 16\nepochs: 1\n"
    text += "lr: 2e-4\nema: 0.0\n"
    Path("tiny.yaml").write_text(text)
    return "tiny.yaml"


def command(*arguments, **options):
    """`python -m dcgan_lib ...` in a program of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "dcgan_lib", *arguments]
    return subprocess.run(line, env=environment, capture_output=True, text=True, **options)


def test_help_tells_a_newcomer_what_there_is_without_waiting_for_torch():
    told = command("--help")
    assert told.returncode == 0
    for words in ("train", "batch", "dcgan batch params/fashion.yaml", "130 after Ctrl-C"):
        assert words in told.stdout
    assert "--runs" in command("train", "--help").stdout
    assert "record" in command("batch", "--help").stdout
    assert command("--version").stdout == f"dcgan_lib {dcgan_lib.__version__}\n"
    without = (
        "import sys, dcgan_lib.__main__ as m; m.make_parser(); assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", without], cwd=ROOT).returncode == 0
    assert command().returncode == 2 and command("trian").returncode == 2


def test_a_number_with_an_exponent_is_a_number(tiny, tmp_path):
    file = tmp_path / "lr.yaml"
    file.write_text("lr: 2e-4\nweight_decay: 1E-5\nema: .5e-1\nname: 2e\nseed: 12\nroot: e5\n")
    read = read_parameters(file, [("lr", "1e-4")])
    assert read["lr"] == 1e-4 and read["weight_decay"] == 1e-5 and read["ema"] == 0.05
    assert read["name"] == "2e" and read["seed"] == 12 and read["root"].endswith("/e5")
    main(["train", tiny, "-p", "lr", "1e-3"])
    assert Run.load("runs/tiny,lr=0.001/dcgan").config.lr == 1e-3


def test_a_run_folder_is_named_after_the_file_and_every_override():
    def name(**values):
        return run_name(Path("params/x.yaml"), [(key, "") for key in values], values)

    assert name() == "x"
    assert name(seed=3, kernel_size=5) == name(kernel_size=5, seed=3) == "x,kernel_size=5,seed=3"
    odd = [name(root="/a/b"), name(root="/a_b"), name(root="/a/b/"), name(root="a" * 300)]
    assert len(set(odd)) == 4
    assert all(len(each) == len("x,root=12345678") and "/" not in each for each in odd)
    assert "/" not in run_name(Path("x.yaml"), [("../up", "1")], {"../up": 1})


@pytest.mark.parametrize(
    "overrides, words",
    [
        (["epochs", "0"], "epochs is 0"),
        (["width", "0"], "width is 0"),
        (["kernel_size", "7"], "kernel_size is 7"),
        (["image_size", "48"], "48"),
        (["lr", "fast"], "lr is 'fast'"),
        (["crop", "foo"], "crop='foo' is not known"),
        (["limit", "lots"], "limit='lots' is not a number of images"),
        (["root", "3"], "root=3 is no path of a folder"),
        (["dataset", "digitz"], "Did you mean 'digits'?"),
        (["dataset", "[1]"], "There is no data set [1]"),
        (["dataset", "folder"], "'folder' needs root"),
        (["batch_size", "65"], "fewer than one batch of 65"),
        (["epoch", "3"], "no parameter 'epoch'; did you mean epochs?"),
        (["lr", "[1"], "-p must give `name: value` in YAML"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(tiny, capsys, overrides, words):
    with pytest.raises(SystemExit) as end:
        main(["train", tiny, "-p", *overrides])
    assert end.value.code == 2
    text = capsys.readouterr().err
    assert words in text and "Nothing was run." in text
    assert not list(Path().glob("runs/*/dcgan/*"))


def test_a_run_folder_that_cannot_be_used_is_refused(tiny, capsys):
    main(["train", tiny])
    before = {file: file.read_bytes() for file in Path("runs").rglob("*") if file.is_file()}
    Path(tiny).write_text(Path(tiny).read_text().replace("width: 8", "width: 16"))
    for arguments, words in (
        ([], "config.width: 8 there, 16 here"),
        (["--runs", tiny], "cannot be written (Not a directory); choose another place with --runs"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["train", tiny, *arguments])
        assert end.value.code == 2 and words in capsys.readouterr().err
    assert before == {file: file.read_bytes() for file in Path("runs").rglob("*") if file.is_file()}


def test_a_training_that_fails_ends_with_1(tiny, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise FloatingPointError("a loss is not a number")

    monkeypatch.setattr("dcgan_lib.commands.train.train", fail)
    with pytest.raises(SystemExit, match="a loss is not a number") as end:
        main(["train", tiny])
    assert isinstance(end.value.code, str)  # Python prints it, and ends with 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_training_in_a_sentence(tiny, number):
    line = [sys.executable, "-m", "dcgan_lib", "train", tiny, "-p", "epochs", "100000"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True)
    picture = Path("runs/tiny,epochs=100000/dcgan/samples/epoch_001.png")
    while not picture.exists() and process.poll() is None:
        pass
    process.send_signal(number)
    text = process.communicate(timeout=60)[1]
    assert process.returncode in (130, 143) and "Traceback" not in text
    assert "the same call goes on from there" in text


def test_a_batch_finds_what_a_training_of_the_same_parameters_left(tiny):
    main(["train", tiny, "-p", "seed", "3"])
    chapters = find_chapters(ROOT / "notebooks")
    (folder,) = plan([Path(tiny)], [("seed", "3")], chapters, Path("runs"))
    assert Run.load(folder / "dcgan").config.seed == 3

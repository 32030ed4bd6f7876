"""Batch runs: what is refused, what is recorded, what a failure leaves; then the real chapters."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from PIL import Image

from dcgan_lib import TrainConfig, load_images, train
from dcgan_lib.__main__ import main
from dcgan_lib.commands.batch import defaults, find_chapters, plan
from dcgan_lib.commands.parameters import BadParameters, read_parameters

ROOT = Path(__file__).resolve().parents[2]

# Two chapters that declare and leave what the real ones do; the second breaks where it is told to.
FIRST = [
    """\
dataset = "digits"
root = None
limit = None
crop = "centre"
run_dir = None
image_size = 32
width = 8
kernel_size = 4
batch_size = 16
epochs = 2
seed = 0""",
    """\
import json, os
from pathlib import Path
folder = Path(run_dir) / "dcgan"
folder.mkdir(parents=True, exist_ok=True)
(folder / "config.json").write_text(json.dumps({
    "config": {"seed": seed, "epochs": epochs}, "data": {"fingerprint": "f00d"},
    "device": "cpu", "torch": "2"}))
steps = [f"{e},{e + half},{2 * e}" for e in range(1, epochs + 1) for half in (0, 0.5)]
(folder / "history.csv").write_text("\\n".join(["epoch,loss_d,loss_g", *steps]) + "\\n")
seen = {"root": root, "cwd": os.getcwd()}
(Path(run_dir) / "seen.json").write_text(json.dumps(seen))""",
]
SECOND = [
    """\
run_dir = None
recipe = "maxpool"
per_class = 20
draws = 3
table_dataset = None
table_root = None
table_images = None
centroids = 100
rate = 0.5
mood = "good" """,
    """\
import json, time
from pathlib import Path
if mood == "bad":
    raise ValueError("mood is 'bad'; set it to 'good'")
Path(run_dir, "started").touch()
time.sleep(60 if mood == "slow" else 0)
rows = [{"method": "majority class", "error": rate}]
Path(run_dir, "table.json").write_text(json.dumps(rows))""",
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


@pytest.fixture
def pictures(tmp_path):
    """A tree of small pictures: `train` with 9 and 7 images in two classes, `test` with 2 and 2."""
    for split, counts in (("train", (9, 7)), ("test", (2, 2))):
        for name, count in zip(("dark", "light"), counts):
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                grey = np.full((32, 32), 10 * i + 90 * (name == "light"), np.uint8)
                Image.fromarray(grey).save(folder / f"{i}.png")
    return tmp_path / "pictures"


def end(*arguments):
    """The code with which a batch ends."""
    with pytest.raises(SystemExit) as ending:
        main(["batch", *arguments])
    return ending.value.code


def refused(capsys, *arguments):
    """The sentence with which a request is refused; nothing may have been run."""
    capsys.readouterr()
    assert end(*arguments) == 2
    assert not Path("runs").exists()
    text = capsys.readouterr().err
    assert "Nothing was run" in text and "Traceback" not in text
    return text


def record_in(folder):
    return json.loads(Path(folder, "record.json").read_text())


def test_a_misspelt_name_is_refused_before_any_file_runs(launch, capsys):
    good, wrong = launch("good.yaml", "epochs: 1"), launch("wrong.yaml", "epoch: 3")
    text = refused(capsys, good, wrong)
    assert "'epoch'" in text and "did you mean epochs?" in text
    assert "There are: batch_size, centroids, crop, dataset" in text
    assert "'sead'" in refused(capsys, good, "-p", "sead", "1")
    assert "no chapter has a parameter 3;" in refused(capsys, launch("number.yaml", "3: x"))


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


@pytest.mark.parametrize(
    "line, words",
    [
        ("recipe: foo", "recipe is 'foo'; the known ones are grid, last"),
        ("recipe: radford-cifar10", "6 blocks"),
        ("epochs: 0", "epochs is 0"),
        ("width: 0", "width is 0"),
        ("kernel_size: 7", "kernel_size is 7"),
        ("image_size: 48", "48"),
        ("batch_size: 2000", "fewer than one batch of 2000"),
        ("crop: foo", "crop='foo' is not known: choose 'centre'"),
        ("per_class: 99999", "fewer than 99999 a class"),
        ("per_class: 0", "per_class holds 0"),
        ("draws: 0", "draws is 0"),
        ("centroids: 0", "0"),
        ("limit: lots", "limit='lots' is not a number of images"),
        ("table_images: -1", "limit=-1 is not a number of images"),
        ("table_images: 30", "fewer than 20 a class"),
        ("root: 3", "root=3 is no path of a folder"),
        ("root: pictures", "'digits' takes no root"),
        ("dataset: digit", "There is no data set 'digit'. Did you mean 'digits'?"),
        ("dataset: folder", "'folder' needs root"),
        ("dataset: celeba", "from the drive"),
        ("table_dataset: digitz", "Did you mean 'digits'?"),
        ("table_dataset: folder\ntable_root: nowhere", "There is no folder"),
    ],
)
def test_a_value_that_a_chapter_would_refuse_is_refused_beforehand(launch, capsys, line, words):
    """The second file is wrong, and the first does not run either."""
    text = refused(capsys, launch("good.yaml", "seed: 1"), launch("wrong.yaml", line))
    assert words in text and "wrong.yaml: " in text
    assert len(text.strip().splitlines()) == 2


def test_what_only_the_images_tell_is_known_where_they_are_on_the_disk(launch, capsys, pictures):
    tree = f"dataset: folder\nroot: {pictures}\nbatch_size: 8\nper_class: "
    assert "has 7 images, fewer than 8 a class" in refused(capsys, launch("few.yaml", f"{tree} 8"))
    plan_of = plan([Path(launch("enough.yaml", f"{tree} 7"))], [], find_chapters(), Path("runs"))
    assert list(plan_of) == [Path("runs/enough").absolute()]
    (pictures / "test").rename(pictures / "elsewhere")
    Path("runs/enough").rmdir(), Path("runs").rmdir()
    assert "'test'" in refused(capsys, launch("no-test.yaml", f"{tree} 7"))


def test_what_only_a_download_tells_is_told_before_the_first_chapter(launch, capsys, monkeypatch):
    """A data set that is yet to be downloaded is no reason to refuse; a wrong argument of it is."""
    path = launch("pets.yaml", "dataset: pets\ncrop: square")
    assert plan([Path(path)], [], find_chapters(), Path("elsewhere"))
    assert "crop='round'" in refused(capsys, path, "-p", "crop", "round")
    assert "recipe is 'foo'" in refused(capsys, path, "-p", "recipe", "foo")

    def offline(*arguments, download=True, **options):
        raise (RuntimeError if download else FileNotFoundError)("pets cannot be fetched")

    monkeypatch.setattr("dcgan_lib.commands.parameters.load_images", offline)
    assert end(path) == "1 of 1 failed: pets"
    record = record_in("runs/pets/unfinished")
    assert record["failed"] == {
        "chapter": None,
        "error": "RuntimeError: pets cannot be fetched",
        "notebook": None,
    }


def test_files_that_cannot_be_used_are_refused(launch, capsys):
    assert "No such file" in refused(capsys, "nowhere.yaml")
    assert "broken.yaml" in refused(capsys, launch("broken.yaml", "epochs: [1"))
    assert "list.yaml" in refused(capsys, launch("list.yaml", "- epochs"))
    Path("binary.yaml").write_bytes(b"\xff\xfe\xff")
    assert "binary.yaml" in refused(capsys, "binary.yaml")
    good = launch("good.yaml", "epochs: 1")
    assert "good.yaml and -p must give" in refused(capsys, good, "-p", "epochs", "[1")
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


def test_runs_that_cannot_be_written_are_refused(launch, capsys, tmp_path):
    good = launch("good.yaml", "")
    Path("file").touch()
    assert "file/good cannot be written (Not a directory)" in refused(
        capsys, good, "--runs", "file"
    )
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):  # root may write anywhere, but not there
        locked = Path("/proc")
        if not locked.is_dir():
            pytest.skip("no folder here is read-only for root")
    assert "cannot be written" in refused(capsys, good, "--runs", str(locked))


def test_one_file_fails_and_the_next_still_runs(launch, capsys):
    bad, good = launch("bad.yaml", "mood: bad"), launch("good.yaml", "rate: 1")
    assert end(bad, good, "-p", "epochs", "3") == "1 of 2 failed: bad,epochs=3"
    printed = capsys.readouterr().out
    assert "bad,epochs=3 [2/2] 02_second failed after" in printed
    assert "good,epochs=3 [2/2] 02_second done in" in printed
    assert "ValueError: mood is 'bad'; set it to 'good'" in printed

    failed = record_in("runs/bad,epochs=3/unfinished")
    assert set(failed["seconds"]) == {"01_first", "02_second"}
    assert failed["failed"]["chapter"] == "02_second"
    assert failed["failed"]["error"] == "ValueError: mood is 'bad'; set it to 'good'"
    assert Path(failed["failed"]["notebook"]).is_file()

    record = record_in("runs/good,epochs=3")
    assert "failed" not in record and record["name"] == "good,epochs=3"
    assert record["parameters"] == {"rate": 1, "epochs": 3}
    assert record["seed"] == 0 and record["device"] == "cpu"
    assert record["data"] == {"fingerprint": "f00d"}
    # Means over the two steps of epoch 3.
    assert record["final_metrics"] == {"epoch": 3, "loss_d": 3.25, "loss_g": 6}
    assert record["table"] == [{"method": "majority class", "error": 1}]
    assert set(record["seconds"]) == {"01_first", "02_second"}
    versions = {"python", "torch", "torchvision", "numpy", "scikit-learn", "dcgan_lib", "commit"}
    assert versions <= set(record["environment"])

    # Each chapter got what it declares and no more, and ran beside its source.
    seen = json.loads(Path("runs/good,epochs=3/seen.json").read_text())
    assert seen == {"root": None, "cwd": str(Path("notebooks").absolute())}
    executed = nbformat.read("runs/good,epochs=3/notebooks/02_second.ipynb", as_version=4)
    injected = executed.cells[1].source
    assert "rate = 1" in injected and "run_dir" in injected and "epochs =" not in injected


def test_every_override_has_a_run_folder_of_its_own(launch, pictures, monkeypatch):
    monkeypatch.chdir(pictures.parent)
    path, chapters = Path(launch("x.yaml", "dataset: folder\nbatch_size: 8\nper_class: 2")), None
    chapters = find_chapters()

    def name(*overrides):
        (folder,) = plan([path], [("root", "pictures"), *overrides], chapters, Path("runs"))
        return folder.name

    assert name().startswith("x,root=") and len(name()) == len("x,root=12345678")
    assert name(("root", str(pictures))) == name(), "the same folder, told in another way"
    four, five = name(("kernel_size", "4")), name(("kernel_size", "5"))
    assert four != five and five.startswith("x,kernel_size=5,root=")
    assert name(("seed", "3"), ("width", "16")) == name(("width", "16"), ("seed", "3"))


def test_what_is_finished_stays_until_its_successor_is_whole(launch):
    path, folder = launch("one.yaml", "rate: 1"), Path("runs/one")
    main(["batch", path])
    whole = {file: file.read_bytes() for file in folder.glob("notebooks/*")}
    whole[folder / "record.json"] = (folder / "record.json").read_bytes()
    assert len(whole) == 3
    (folder / "dcgan/config.json").rename("aside.json")  # the stand-in's, which no training wrote

    launch("one.yaml", "mood: bad")
    assert end(path) == "1 of 1 failed: one"
    assert whole == {file: file.read_bytes() for file in whole}
    failed = record_in(folder / "unfinished")
    assert "mood is 'bad'" in failed["failed"]["error"] and "table" not in failed

    launch("one.yaml", "rate: 0.25")
    main(["batch", path])
    assert record_in(folder)["table"][0]["error"] == 0.25
    assert not (folder / "unfinished").exists()
    assert all(file.read_bytes() != content for file, content in whole.items())


def test_another_width_on_a_finished_run_is_refused_and_touches_nothing(launch, capsys):
    path = launch("one.yaml", "width: 8\nlimit: 64\nepochs: 1")
    images = load_images("digits", limit=64)
    config = TrainConfig(channels=1, image_size=32, width=8, batch_size=16, epochs=1)
    train(images, config, "runs/one/dcgan", device="cpu", progress=False)
    Path("runs/one/notebooks").mkdir()
    for name in ("record.json", "notebooks/01_first.ipynb"):
        Path("runs/one", name).write_text("{}")
    before = {file: file.read_bytes() for file in Path("runs").rglob("*") if file.is_file()}

    launch("one.yaml", "width: 16\nlimit: 64\nepochs: 1")
    assert end(path) == 2
    text = capsys.readouterr().err
    assert "config.width: 8 there, 16 here" in text and "runs/one/dcgan" in text
    assert before == {file: file.read_bytes() for file in Path("runs").rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "number, name, code", [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)]
)
def test_a_signal_ends_the_batch_with_a_record_of_what_was_done(
    launch, tmp_path, number, name, code
):
    done, slow = launch("done.yaml", "rate: 1"), launch("slow.yaml", "mood: slow")
    process = subprocess.Popen(
        [sys.executable, "-m", "dcgan_lib", "batch", done, slow],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "runs/slow/started").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(number)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert f"stopped by {name} in slow; done done" in error and "Traceback" not in error
    assert "failed" not in record_in(tmp_path / "runs/done")
    record = record_in(tmp_path / "runs/slow/unfinished")
    assert record["failed"]["chapter"] == "02_second" and "01_first" in record["seconds"]
    assert record["failed"]["error"] == f"stopped by {name}"
    assert not (tmp_path / "runs/slow/record.json").exists()


BY_HAND = {"celeba", "ffhq", "imagenet64"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "params").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_parameter_files_of_the_book_are_accepted(path, pictures, tmp_path):
    """Those whose images come by hand are refused with a sentence that says where to put them."""
    chapters, overrides = find_chapters(ROOT / "notebooks"), []
    if "root" in yaml.safe_load(path.read_text()):
        overrides = [("root", str(pictures)), ("batch_size", "8"), ("per_class", "2")]
    if path.stem in BY_HAND:
        with pytest.raises(BadParameters, match=f"{path.stem}.*downloads/{path.stem}"):
            plan([path], overrides, chapters, tmp_path)
    else:
        assert plan([path], overrides, chapters, tmp_path)


def test_images_that_are_not_there_are_refused_before_anything_runs(tmp_path):
    path, chapters = ROOT / "params" / "cifar10-folder.yaml", find_chapters(ROOT / "notebooks")
    with pytest.raises(BadParameters, match="no data set 'digit'. Did you mean 'digits'"):
        plan([path], [("dataset", "digit")], chapters, tmp_path)
    with pytest.raises(BadParameters, match="cifar10-folder.yaml: There is no folder .*nowhere"):
        plan([path], [("root", "nowhere")], chapters, tmp_path)


@pytest.mark.parametrize("file", sorted((ROOT / "params").glob("*.yaml")), ids=lambda f: f.stem)
def test_a_parameter_file_decides_the_training_by_itself(file):
    """What it leaves to the chapters is the same for a training without them."""
    told, known = read_parameters(file, []), defaults(find_chapters(ROOT / "notebooks"))
    for field in fields(TrainConfig):
        if field.name in known and field.name not in told:
            assert known[field.name] == field.default, field.name


def test_the_real_chapters_run_on_coloured_pictures(coloured_run):
    """A folder of coloured pictures, tiny nets, one epoch: no chapter is cut to the digits."""
    if (coloured_run / "unfinished").exists():
        pytest.fail(str(record_in(coloured_run / "unfinished")["failed"]))
    record = record_in(coloured_run)
    assert record["training"]["channels"] == 3 and record["training"]["epochs"] == 1
    assert record["data"]["name"] == "folder" and record["data"]["fingerprint"]
    assert {"loss_d", "loss_g", "d_real"} <= set(record["final_metrics"])
    assert {row["method"] for row in record["table"]}
    assert all(0 <= row["error"] <= 1 for row in record["table"])

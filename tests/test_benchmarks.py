"""The benchmarks run, and time what they say: every rung of the ladder is the same training."""

import base64
from functools import partial

import accuracy
import classification_size
import failures
import image_loading
import neighbours
import networks
import numpy as np
import precision
import pytest
import run_record
import torch
import training_speed
from PIL import Image

from dcgan_lib import L2SVM, Run, TrainConfig, extract_features, load_images, read_record, train


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(training_speed, "WIDTH", 8)
    monkeypatch.setattr(training_speed, "BATCH", 8)


@pytest.mark.parametrize("size,kernel", [(32, 4), (64, 5)])
def test_all_rungs_start_with_the_same_losses(size, kernel):
    rungs = training_speed.ladder(size, kernel, "cpu")
    first = {name: torch.as_tensor(step()) for name, step in rungs.items()}
    for name, metrics in first.items():
        torch.testing.assert_close(metrics, first["textbook loop"], rtol=0.05, atol=0.02, msg=name)


def test_the_ladder_becomes_a_record(monkeypatch):
    monkeypatch.setattr(training_speed, "peak_flops", lambda device: 1e12)
    found = training_speed.one_process("cpu", 1, [(32, 4)])
    textbook, *rungs = found["ladder"]
    assert textbook["ratio"] == 1 and rungs
    for row in found["ladder"]:
        assert row["share_of_peak"] == pytest.approx(row["gflops"] * 1e9 / 1e12)


def test_both_programs_train_on_the_same_pictures(tmp_path, monkeypatch):
    training_speed.write_pictures(tmp_path, 32, 16)
    seen = []
    step = training_speed.textbook_step
    monkeypatch.setattr(
        training_speed, "textbook_step", lambda *args: seen.append(args[4].shape) or step(*args)
    )
    training_speed.textbook_process(f"{tmp_path}/train", 32, 4, 2)
    assert seen == [(8, 3, 32, 32)] * 2
    training_speed.our_process(tmp_path, 32, 4, 2)


def test_the_formats_are_compared_curve_by_curve(tmp_path, monkeypatch):
    training_speed.write_pictures(tmp_path, 32, 128)
    precision.main(
        [
            f"{tmp_path}/train",
            "--epochs",
            "2",
            "--runs",
            f"{tmp_path}/runs",
            "--out",
            f"{tmp_path}/record.json",
        ]
    )
    record = read_record(tmp_path / "record.json")
    assert {kind: sorted(runs) for kind, runs in record["curves"].items()} == {
        "bf16": ["0", "1"],
        "fp32": ["0", "1"],
    }
    history = Run.load(tmp_path / "runs" / "fp32-1").history
    assert record["curves"]["fp32"]["1"]["loss_d"] == [
        history["loss_d"][history["epoch"] == e].mean() for e in (1, 2)
    ]
    for row in record["distances"]["formats"] + record["distances"]["seeds"]:
        assert min(row.values()) > 0


def test_loading_is_timed_on_both_sides_and_a_large_set_is_served(tmp_path, monkeypatch):
    training_speed.write_pictures(tmp_path, 32, 16)
    monkeypatch.setattr(image_loading, "BATCH", 8)
    found = image_loading.loading(tmp_path, 32, rounds=1)
    assert found["images"] == 16 and found["ratio"] > 0
    found = image_loading.large(count=64, steps=4)
    assert found["images"] == 64 and set(found["training_images_per_second"]) == {
        "memory",
        "mapped",
    }


@pytest.fixture
def labelled(tmp_path):
    """A folder with 48 and 24 pictures of 3 classes that differ in brightness, in both splits."""
    stream = np.random.default_rng(0)
    for split, count in (("train", 16), ("test", 8)):
        for label in range(3):
            folder = tmp_path / "pictures" / split / f"class {label}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = (stream.integers(0, 120, (32, 32, 3)) + 60 * label).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "pictures"


def test_the_study_of_accuracy_changes_one_thing_at_a_time_and_goes_on(
    labelled, tmp_path, monkeypatch
):
    monkeypatch.setattr(accuracy, "TrainConfig", partial(TrainConfig, width=8, batch_size=16))
    monkeypatch.setattr(accuracy, "PER_CLASS", 8)
    monkeypatch.setattr(accuracy, "DRAWS", 2)
    monkeypatch.setattr(accuracy, "CENTROIDS", 4)
    out = tmp_path / "record.json"
    command = [
        str(labelled),
        "--epochs",
        "2",
        "--longer",
        "3",
        "--runs",
        f"{tmp_path}/runs",
        "--out",
        str(out),
    ]
    accuracy.main(command)
    rows = read_record(out)["rows"]
    base = next(row for row in rows if row["factor"] == "base")
    for row in rows:
        if row["config"]:
            facts = [
                (name, value) for name in ("config", "how") for name, value in row[name].items()
            ]
            differing = {
                name for name, value in facts if value != (base["config"] | base["how"])[name]
            } - {"seed"}
            more, repeated = (
                {"base": 0, "untrained, kernel 5": 2, "epochs and recipe": 2},
                ("untrained", "kernel", "epochs"),
            )
            assert row["config"]["seed"] == 0 or row["factor"] in (
                *more,
                *repeated,
                "overlap and places",
            ), row
            if row["factor"] == "overlap and places":
                wanted = {"kernel 5": {"kernel_size"}, "untrained": {"trained"}}
                wanted = set().union(
                    *(names for part, names in wanted.items() if part in row["value"])
                )
                assert differing == {"recipe", "shift"} | wanted, row
            else:
                assert len(differing) == more.get(row["factor"], 1), row
    network = TrainConfig(image_size=32, channels=3, width=8, batch_size=16, epochs=2).networks()[1]
    parts = [
        load_images("folder", root=labelled, split=split, size=32) for split in ("train", "test")
    ]
    X, X_test = (
        extract_features(network, part, "radford-svhn", mirror=True).astype(np.float16)
        for part in parts
    )
    svm = L2SVM(accuracy.C_GRID, standardize=True).fit(X, parts[0].labels.numpy())
    untrained = next(
        row
        for row in rows
        if (row["factor"], row["value"], row["per_class"]) == ("untrained", 0, "all")
    )
    assert untrained["accuracy"] == pytest.approx(
        svm.score(X_test, parts[1].labels.numpy()), abs=0.05
    )

    rows = [
        row for row in rows if row["factor"] != "control"
    ]  # as if they had not been measured yet
    accuracy.write_record(out, read_record(out) | {"rows": rows})
    monkeypatch.setattr(
        accuracy, "measure", None
    )  # nothing that is in the record is measured again
    accuracy.main(command)
    assert [row["value"] for row in read_record(out)["rows"][len(rows) :]] == ["pixels"] * 4 + [
        "k-means"
    ] * 4


def test_the_size_of_a_classifier_is_measured_beside_liblinear(labelled, tmp_path, monkeypatch):
    images = load_images("folder", root=labelled, size=32)
    train(
        images,
        TrainConfig(image_size=32, channels=3, width=8, batch_size=16, epochs=1),
        tmp_path / "run",
    )
    found = classification_size.fit_all(
        labelled, tmp_path / "run", tmp_path, classification_size.C_GRID
    )
    assert (
        (found["images"], found["features"]) == (48, 3584)
        and found["accuracy"] > 0.4
        and len(found["path"]) > 1
    )
    monkeypatch.setattr(classification_size, "ONE_C", 1e-3)
    found = classification_size.compare(labelled, tmp_path / "run", tmp_path, 10)
    assert found["images"] == 30 and found["objective_ratio"] == pytest.approx(1, abs=1e-3)


def test_a_finished_run_becomes_a_record_with_pictures(tmp_path, monkeypatch, make_images):
    monkeypatch.setattr(run_record, "RESULTS", tmp_path)
    config = TrainConfig(image_size=32, channels=1, width=2, batch_size=16, epochs=2)
    run = train(make_images(), config, tmp_path / "run", progress=False)
    run_record.main([str(tmp_path / "run"), "small"])
    record, samples = read_record(tmp_path / "small-run.json"), run.samples()
    assert record["history"]["step"] == list(range(1, 13))
    assert record["history"]["loss_d"] == pytest.approx(run.history["loss_d"], abs=1e-5)
    with Image.open(tmp_path / "small-epochs.png") as picture:
        pixels = torch.from_numpy(np.array(picture))
    cells = pixels.reshape(3, 32, 16, 32).transpose(1, 2)
    assert torch.equal(cells, samples[:, :16, 0])


def test_neighbours_become_a_record(tmp_path, monkeypatch):
    monkeypatch.setattr(neighbours, "RESULTS", tmp_path)
    pictures = np.random.default_rng(0).integers(0, 256, (64, 32, 32), np.uint8)
    for split in ("train", "test"):
        for k, pixels in enumerate(pictures):
            path = tmp_path / "pictures" / split / "ab"[k % 2] / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    training = load_images("folder", root=tmp_path / "pictures")
    config = TrainConfig(
        image_size=32, channels=training.channels, width=2, epochs=1, batch_size=32
    )
    train(training, config, tmp_path / "run", progress=False)
    neighbours.main([str(tmp_path / "run"), str(tmp_path / "pictures"), "small"])
    record = read_record(tmp_path / "neighbours-small.json")
    for found in record["sheet"]["inputs"].values():
        assert np.shape(found["positions"]) == np.shape(found["distances"]) == (64, 3)
        assert all(k not in row for k, row in enumerate(found["positions"])), "never itself"
    for row in record["counts"]["rows"]:
        assert row["right"] == 64, "each test picture is a training picture too"
        assert row.get("won", 0) == row.get("lost", 0) == 0


def test_failures_are_recorded_kind_by_kind_beside_the_control(tmp_path, monkeypatch):
    for name, value in {"IMAGES": 64, "WIDTH": 2, "DRAWN": 200, "RESULTS": tmp_path}.items():
        monkeypatch.setattr(failures, name, value)
    kinds = {name: failures.KINDS[name] for name in ("control", "real and fake in one batch")}
    monkeypatch.setattr(failures, "KINDS", kinds)
    failures.main(["--seeds", "0", "1", "--epochs", "1"])
    record = read_record(tmp_path / "failures-fashion.json")
    assert {name: [row["seed"] for row in rows] for name, rows in record["kinds"].items()} == {
        name: [0, 1] for name in kinds
    }
    row = record["kinds"]["control"][0]
    assert row["loss_d"] == pytest.approx(np.mean(row["curves"]["loss_d"]), abs=0.01)
    with Image.open(tmp_path / "failures-fashion.png") as picture:
        assert picture.size == (10 * 32, 2 * 32)


def test_a_control_of_failures_takes_the_steps_of_training(make_images, tmp_path):
    """Its loop is its own, as the two rates differ; with equal rates the losses begin alike."""
    images = make_images()
    config = TrainConfig(image_size=32, channels=1, width=2, batch_size=16, epochs=1)
    *_, metrics = failures.trained(images, config)
    history = train(images, config, tmp_path, progress=False).history
    assert len(metrics) == len(history["loss_d"])
    assert float(metrics[0, 0]) == pytest.approx(history["loss_d"][0], abs=0.1)


def test_networks_are_compared_seed_by_seed_and_go_on(tmp_path, monkeypatch):
    small = {"image_size": 32, "width": 2, "batch_size": 32, "epochs": 1}
    monkeypatch.setattr(networks, "SETTINGS", small)
    monkeypatch.setattr(networks, "CENTROIDS", (4,))
    monkeypatch.setattr(networks, "DRAWS", 2)
    whole = networks.load_images
    few = {"train": range(400), "test": range(100)}
    monkeypatch.setattr(
        networks,
        "load_images",
        lambda *a, split, **k: whole(*a, split=split, **k).subset(few[split]),
    )
    places = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "record.json")]
    networks.main(["--seeds", "1", *places])
    first = read_record(tmp_path / "record.json")["networks"]
    networks.main(["--seeds", "2", *places])
    record = read_record(tmp_path / "record.json")
    assert record["networks"][:1] == first and len(record["networks"]) == 2
    for row in (record["without"]["pixels"], first[0]["trained"], first[0]["untrained"]):
        right = np.unpackbits(np.frombuffer(base64.b64decode(row["right"]), np.uint8))[:100]
        assert right.mean() == pytest.approx(row["accuracy"])
        assert len(row["few"]) == 2

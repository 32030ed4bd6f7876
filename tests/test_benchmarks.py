"""The benchmarks run, and time what they say: every rung of the ladder is the same training."""

import image_loading
import precision
import pytest
import torch
import training_speed

from dcgan_lib import Run, read_record


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
    monkeypatch.setattr(training_speed, "textbook_step", lambda *args: seen.append(args[4].shape) or step(*args))
    training_speed.textbook_process(f"{tmp_path}/train", 32, 4, 2)
    assert seen == [(8, 3, 32, 32)] * 2
    training_speed.our_process(tmp_path, 32, 4, 2)


def test_the_formats_are_compared_curve_by_curve(tmp_path, monkeypatch):
    training_speed.write_pictures(tmp_path, 32, 128)
    precision.main([f"{tmp_path}/train", "--epochs", "2", "--runs", f"{tmp_path}/runs", "--out", f"{tmp_path}/record.json"])
    record = read_record(tmp_path / "record.json")
    assert {kind: sorted(runs) for kind, runs in record["curves"].items()} == {"bf16": ["0", "1"], "fp32": ["0", "1"]}
    history = Run.load(tmp_path / "runs" / "fp32-1").history
    assert record["curves"]["fp32"]["1"]["loss_d"] == [history["loss_d"][history["epoch"] == e].mean() for e in (1, 2)]
    for row in record["distances"]["formats"] + record["distances"]["seeds"]:
        assert min(row.values()) > 0


def test_loading_is_timed_on_both_sides_and_a_large_set_is_served(tmp_path, monkeypatch):
    training_speed.write_pictures(tmp_path, 32, 16)
    monkeypatch.setattr(image_loading, "BATCH", 8)
    found = image_loading.loading(tmp_path, 32, rounds=1)
    assert found["images"] == 16 and found["ratio"] > 0
    found = image_loading.large(count=64, steps=4)
    assert found["images"] == 64 and set(found["training_images_per_second"]) == {"memory", "mapped"}

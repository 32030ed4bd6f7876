import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from dcgan_lib import (
    Discriminator,
    TrainConfig,
    block_maps,
    device_report,
    environment,
    figures,
    has_bf16,
    published,
    read_record,
    records,
    to_float,
    write_record,
)
from dcgan_lib.training.run import COLUMNS
from dcgan_lib.utils.device import device_name


def test_records_go_out_and_come_back(tmp_path):
    record = {"accuracy": 0.5, "name": "digits", "rows": [1, None]}
    write_record(tmp_path / "r.json", record)
    assert read_record(tmp_path / "r.json") == record
    (tmp_path / "half.json").write_text('{"a": ')
    with pytest.raises(ValueError, match="half.json is not a whole JSON record"):
        read_record(tmp_path / "half.json")
    with pytest.raises(FileNotFoundError, match="no record at"):
        read_record(tmp_path / "none.json")


def test_a_committed_record_is_read_by_its_name():
    assert read_record("published") == published()
    assert read_record("training-speed-cpu")["ladder"]
    with pytest.raises(FileNotFoundError, match="no record at .*training-speed.json"):
        read_record("training-speed")


def test_a_record_of_the_first_edition_is_still_understood():
    """What a batch wrote then is what a batch writes now, and the book's tables can be drawn."""
    first = read_record(Path(__file__).parent / "first_edition" / "record.json")
    assert set(first) == {
        "name",
        "parameters",
        "environment",
        "seconds",
        "seed",
        "device",
        "data",
        "training",
        "final_metrics",
        "table",
        "odd",
    }
    assert set(first["environment"]) == set(environment()) - {"commit"}
    assert TrainConfig(**first["training"]).epochs == first["parameters"]["epochs"]
    assert set(first["final_metrics"]) == set(COLUMNS)
    assert "majority class" in repr(figures.results_table(first["table"]))


def test_a_record_says_the_commit_if_git_is_there(monkeypatch, tmp_path):
    here = Path(__file__).parent
    head = ["git", "log", "-1", "--format=%H"]
    found = subprocess.run(head, cwd=here, capture_output=True, text=True).stdout.strip()
    assert environment()["commit"] == (found or None)
    monkeypatch.setattr(records, "HERE", tmp_path / "package")  # installed, not a checkout
    assert environment()["commit"] is None
    monkeypatch.setenv("PATH", "")
    assert environment()["commit"] is None


def test_published_errors_of_gomez_are_whole_numbers_of_999_images():
    """The classification chapter builds on it: each is k/999, cut or rounded as printed."""
    gomez = published()["gomez"]
    test_images = -(
        -gomez["images"] // 5
    )  # the fifth that the paper sets aside, as scikit-learn rounds it
    for percent in {row[-1] for table in ("table2", "table3") for row in gomez[table]["rows"]}:
        wrong = round(percent / 100 * test_images)
        step = 0.1 if round(percent, 1) == percent else 0.01
        assert abs(100 * wrong / test_images - percent) < step


def test_environment_can_be_written():
    assert json.loads(json.dumps(environment()))["torch"] == torch.__version__.split("+")[0]
    assert device_report().endswith(".")


@pytest.mark.parametrize(
    "amx, avx, unit", [(True, True, "AMX"), (False, True, "AVX-512"), (False, False, None)]
)
def test_a_processor_is_named_with_its_unit_for_bf16(monkeypatch, amx, avx, unit):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx, raising=False)
    name = device_name("cpu")
    assert name.endswith(f", bf16 by {unit}") if unit else name and "bf16" not in name
    assert has_bf16("cpu") == (unit is not None)


def test_curves_are_drawn_at_any_length():
    for steps in (1, 7, 500):
        history = {name: np.linspace(0.1, 0.9, steps) for name in COLUMNS}
        for figure in (figures.loss_curves(history), figures.probability_curves(history)):
            lines = figure.axes[0].get_lines()
            assert len(lines[0].get_xdata()) == steps
            assert np.all(np.isfinite(lines[1].get_ydata()))


def test_smoothing_keeps_a_constant_and_a_mean():
    np.testing.assert_allclose(figures.smooth(np.full(20, 3.0), 5), 3)
    assert figures.smooth(np.arange(21.0), 5)[10] == pytest.approx(10)


def test_grid_puts_every_image_in_its_place(make_images):
    images = make_images(10, channels=3).images
    canvas = figures.tile(images, 4)
    assert canvas.shape == (3 * 34 - 2, 4 * 34 - 2, 3)
    np.testing.assert_array_equal(canvas[34:66, 68:100], images[6].permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(figures.tile(to_float(images), 4), canvas)


def test_pictures_can_be_saved(make_images, tmp_path):
    images, grey = make_images(8, channels=3).images, make_images(8).images
    maps = [m[0] for m in block_maps(Discriminator(32, 1, width=8), to_float(grey[:1]))]
    for i, figure in enumerate(
        (
            figures.sample_grid(images, to_float(grey), titles=("real", "generated")),
            figures.image_row(grey[:3], "abc"),
            figures.feature_map_picture(grey[0], maps),
        )
    ):
        figure.savefig(tmp_path / f"{i}.png")
        assert (tmp_path / f"{i}.png").stat().st_size > 2_000


def test_tables_as_html_and_text():
    table = figures.table([{"name": "<b>", "n": 1}, {"name": "c", "n": 22}], caption="A & B")
    assert "&lt;b&gt;" in table._repr_html_() and "A &amp; B" in table._repr_html_()
    assert repr(table).splitlines()[1:] == ["name  n", "<b>   1", "c     22"]
    with pytest.raises(ValueError, match="no rows"):
        figures.table([])


def test_results_table_says_what_was_not_run():
    row = {
        "method": "KNN",
        "input": "pixels",
        "per_class": 400,
        "accuracy": 0.5,
        "error": 0.5,
        "spread": 0.01,
        "classes_predicted": 3,
        "classes": 10,
        "seconds": 1.26,
        "peak_memory_mb": 1234.5,
        "train_images": 4000,
    }
    empty = {**row, "accuracy": None, "per_class": "all", "note": "not run: too large"}
    text = repr(figures.results_table([row, empty]))
    assert (
        "50.00 ± 1.0" in text
        and "3 of 10" in text
        and "400 a class" in text
        and "all 4,000" in text
        and "too large" in text
    )
    assert "1.2" in text


def test_architecture_table_counts_all_parameters():
    network = Discriminator()
    table = figures.architecture_table(network)
    assert [row[2] for row in table.rows] == [
        "64x32x32",
        "128x16x16",
        "256x8x8",
        "512x4x4",
        "1x1x1",
    ]
    assert sum(int(row[3].replace(",", "")) for row in table.rows) == 2_765_568

"""The program that asks whether the chapters' claims hold: it must be able to say no."""

import claims
import nbformat
import pytest

from dcgan_lib import read_record

v4 = nbformat.v4
CHAPTER = [
    v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
    v4.new_code_cell(
        '# claim: seeds are small\nprint(seed, "holds:", seed < 2)', metadata={"tags": ["claim"]}
    ),
]


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    kernel = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    notebook = v4.new_notebook(cells=CHAPTER, metadata=kernel)
    nbformat.write(notebook, tmp_path / "01_small.ipynb")
    monkeypatch.setattr(claims, "NOTEBOOKS", tmp_path)
    return tmp_path


@pytest.mark.parametrize("seeds, holds", [(["0", "1"], True), (["1", "2"], False)])
def test_a_claim_that_fails_with_one_seed_fails(chapter, capsys, seeds, holds):
    record = chapter / "claims.json"
    with pytest.raises(SystemExit) as ended:
        claims.main(["--seeds", *seeds, "--runs", str(chapter / "runs"), "--out", str(record)])
    assert bool(ended.value.code) != holds
    (row,) = read_record(record)["rows"]
    assert row["claim"] == "seeds are small" and row["holds"] == holds
    assert row["printed"] == {seed: f"{seed} holds: {int(seed) < 2}" for seed in seeds}
    assert ("FAILS" in capsys.readouterr().out) != holds

"""Rows of the ablation: told apart by their settings, spread of the seeds as it should be."""

import importlib.util
import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def ablation():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("ablation", BENCHMARKS / "ablation.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


def row(seed: int, real: float, **more) -> dict:
    return {"condition": "everything", "seed": seed, "real": {"map": real, "rank1": real}} | {
        town: {"map": 0.1, "rank1": 0.1} for town in ("harbour", "winter")
    } | more  # fmt: skip


def test_rows_of_other_settings_stand_apart(ablation, tmp_path: Path, capsys):
    plain, averaged = (ablation.settings(Namespace(ids=400, views=6, epochs=10, average=how)) for how in ("off", "ema"))
    lines = [row(seed, 0.4 + seed / 10, settings=averaged) for seed in range(3)] + [row(0, 0.7, settings=plain)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    ablation.table(Namespace(out=tmp_path / "rows.jsonl"))
    said = capsys.readouterr().out
    assert "average ema, pad_px 3" in said and "average off, pad_px 3" in said
    assert "| 50.0 +- 10.0 |" in said and "| 70.0 |" in said  # three seeds: divided by two; one has no spread


def test_padding_is_the_same_share_at_every_size(ablation):
    assert [ablation.padding(height) for height in (64, 96, 128, 256)] == [2, 3, 5, 10]


def test_a_row_that_was_only_adapted_leaves_the_other_columns_empty(ablation, capsys):
    towns = ("harbour", "winter")
    everything = row(0, 0.4) | {town: {"map": 0.1, "rank1": 0.2, "adapted": 0.3} for town in towns}
    cameras = {"condition": "camera-bn", "seed": 0, "real": {"adapted": 0.5}} | {town: {"adapted": 0.4} for town in towns}
    ablation.print_table({("everything", 0): everything, ("camera-bn", 0): cameras})
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| everything | 10.0 |  | 30.0 |  | 40.0 |  | 40.0 |  |  | 1 |"
    assert lines[3] == "| camera-bn |  |  | 40.0 | +10.0 |  |  |  | 50.0 |  | 1 |"

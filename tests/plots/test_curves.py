import json
import re
from pathlib import Path

import pytest
from PIL import Image

from passerby.errors import DataError, UsageError
from passerby.plots import plot_curves
from passerby.plots.curves import short_names


def write_run(folder: Path, epochs: int = 3, *, parts: bool = True, evaluation: bool = True) -> Path:
    folder.mkdir(parents=True)
    lines = []
    for epoch in range(1, epochs + 1):
        terms = {"ce": 2.0 / epoch, "circle": 1.0 / epoch} if parts else {"ce": 3.0 / epoch}
        measured = {"loss": 3.0 / epoch, "accuracy": epoch / 10, **terms, "lr_head": 0.1}
        lines.append({"kind": "step", "step": epoch * 10 - 5, "epoch": epoch, **measured})
        lines.append({"kind": "epoch", "step": epoch * 10, "epoch": epoch, **measured, "seconds": 1.0, "images_per_s": 9.0})
    if evaluation:
        lines.append({"kind": "evaluation", "step": epochs * 10, "epoch": epochs, "rank1": 0.5, "map": 0.25, "val_error": 0.125})
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def words(path: Path) -> str:
    return " ".join(re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8")))


def test_one_run_shows_its_parts_and_its_evaluation(tmp_path: Path):
    plot_curves([write_run(tmp_path / "mine")], tmp_path / "curves.svg", title="two losses")
    text = words(tmp_path / "curves.svg")
    for said in (
        "two losses",
        "training loss",
        "sum",
        "ce",
        "circle",
        "accuracy",
        "mAP 25.0%",
        "Rank-1 50.0%",
        "validation error 12.5%",
    ):
        assert said in text
    assert "lr_head" not in text and "images_per_s" not in text


def test_one_term_alone_is_not_drawn_twice(tmp_path: Path):
    plot_curves([write_run(tmp_path / "mine", parts=False, evaluation=False)], tmp_path / "curves.svg")
    assert " ce " not in words(tmp_path / "curves.svg") and "search, queries" not in words(tmp_path / "curves.svg")


def test_several_runs_have_a_legend(tmp_path: Path):
    runs = [write_run(tmp_path / name) for name in ("plain", "tricks")]
    plot_curves(runs, tmp_path / "curves.svg")
    text = words(tmp_path / "curves.svg")
    assert "plain · tricks" in text and text.count("tricks") == 2
    plot_curves(runs, tmp_path / "named.svg", names=["first", "second"])
    assert "first · second" in words(tmp_path / "named.svg")


def test_a_run_of_one_epoch_is_a_picture_too(tmp_path: Path):
    plot_curves([write_run(tmp_path / "short", epochs=1)], tmp_path / "curves.png", dpi=40)
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size[1] > 50


def test_names_are_as_short_as_they_can_be():
    assert short_names([Path("/runs/a"), Path("/runs/b")]) == ["a", "b"]
    assert short_names([Path("/one/run"), Path("/two/run")]) == ["one/run", "two/run"]


def test_what_cannot_be_drawn(tmp_path: Path):
    out, run = tmp_path / "curves.png", write_run(tmp_path / "mine")
    with pytest.raises(UsageError, match="no run to draw: give one or more run folders"):
        plot_curves([], out)
    with pytest.raises(UsageError, match=r"a run is given twice: .*Leave one out"):
        plot_curves([run, tmp_path / "other" / ".." / "mine"], out)
    with pytest.raises(UsageError, match=r'curves.gif" has the suffix ".gif"'):
        plot_curves([run], tmp_path / "curves.gif")
    with pytest.raises(UsageError, match="2 names for 1 runs: give one name a run, or none"):
        plot_curves([run], out, names=["a", "b"])
    with pytest.raises(DataError, match=r"no history.jsonl in .*: this is not the folder of a training run"):
        plot_curves([tmp_path], out)
    with pytest.raises(DataError, match="no epoch is finished yet, there is nothing to draw"):
        plot_curves([write_run(tmp_path / "early", epochs=0, evaluation=False)], out)
    assert not out.exists()

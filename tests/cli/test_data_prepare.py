import json

import pytest
from PIL import Image

from passerby import datasets
from passerby.cli import main


@pytest.fixture
def people(tmp_path):
    """A plain folder of four people in two cameras."""
    root = tmp_path / "people"
    for pid in range(1, 5):
        for camera in (1, 2):
            path = root / str(pid) / f"{pid}_c{camera}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 8), (pid * 40, camera * 90, 7)).save(path)
    return root


def test_a_folder_becomes_a_manifest_with_people_held_out(people, tmp_path, capsys):
    out, file = tmp_path / "out", tmp_path / "report.json"
    words = ["data", "prepare", str(people), "--out", str(out), "--test-share", "0.5", "--seed", "1", "--json", str(file)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert f"{out}: 4 train, 2 query, 2 gallery images as manifest; 8 files written" in shown
    assert "stands beside every number: no official split: passerby held out 0.5 of the people, drawn with seed 1" in shown
    assert f"read it as folder: --dataset folder --data {out}" in shown
    assert json.loads(file.read_text())["images"] == {"train": 4, "query": 2, "gallery": 2}
    datasets.check_evaluable(datasets.read("folder", out))
    assert main(words) == 0
    assert "0 files written, 8 were there already" in capsys.readouterr().out


def test_market_layout_by_hard_links(people, tmp_path):
    out = tmp_path / "out"
    assert main(["data", "prepare", str(people), "--out", str(out), "--to", "market", "--files", "hardlink"]) == 0
    assert len(list((out / "bounding_box_train").iterdir())) == 8


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["--test-share", "0.5", "--test-domains", "a"], 2, "--test-share and --test-domains exclude each other: "),
        (["--mot.gap", "3"], 2, "options for MOT boxes go with MOT sources only; this is "),
        (["--test-share", "2"], 2, "test_share is 2.0; allowed are values from 0 to 1."),
        (["--dataset", "market"], 1, '" holds a folder of one folder an identity, not Market-1501; '),
        (["--to", "nowhere"], 2, ""),
        (
            ["--test-domains", "people", "--seed", "3"],
            2,
            "--seed is 3, but it acts only with a share of the people that is drawn",
        ),
        (["--test-share", "0", "--seed", "3"], 2, "--seed is 3, but it acts only with a share of the people that is drawn"),
        (["--test-share", "0", "--queries", "3"], 2, "--queries is 3, but nobody is held out (--test-share 0). Leave one out."),
        (["--seed", "-1"], 2, "seed is -1; at least 0 is needed."),
        (["--json", "."], 2, "--json . cannot be written: give a file name in a folder that can."),
    ],
)
def test_wrong_use_makes_nothing(people, tmp_path, capsys, words, status, expected):
    out = tmp_path / "out"
    assert main(["data", "prepare", str(people), "--out", str(out), *words]) == status
    assert expected in capsys.readouterr().err
    assert not out.exists()

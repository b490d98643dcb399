"""`passerby plot ranking` and `passerby plot curves`, as they are typed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.cli import main
from passerby.cli.plot_ranking import image_folder
from passerby.embeddings import Embeddings


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Two people, two cameras; the first query finds its person, the second one does not."""
    names = ["query/a.png", "query/b.png", "gallery/c.png", "gallery/d.png"]
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 16), (60 * number, 0, 0)).save(tmp_path / name)
    Embeddings([[1, 0], [1, 0.1]], [1, 2], [0, 0], names[:2]).save(tmp_path / "query.npz")
    Embeddings([[1, 0], [0, 1]], [1, 2], [1, 1], names[2:]).save(tmp_path / "gallery.npz")
    return tmp_path


def test_ranking(vectors: Path, capsys: pytest.CaptureFixture[str]):
    out, found = vectors / "sheet.png", vectors / "found.json"
    files = [str(vectors / "query.npz"), str(vectors / "gallery.npz"), "--images", str(vectors)]
    assert main(["plot", "ranking", *files, "--out", str(out), "--json", str(found), "--each", "1", "--dpi", "40"]) == 0
    assert "Rank-1 50.00%, mAP 75.00%" in capsys.readouterr().out and out.is_file()
    written = json.loads(found.read_text())
    assert written["drawn"] == {"best": ["query/a.png"], "worst": ["query/b.png"]} and written["rank1"] == 0.5
    assert main(["plot", "ranking", *files, "--out", str(out), "--queries", "b.png", "--json", str(found), "--dpi", "40"]) == 0
    assert json.loads(found.read_text())["drawn"] == {"chosen": ["query/b.png"]}


def test_ranking_refuses_in_one_line(vectors: Path, capsys: pytest.CaptureFixture[str]):
    files = ["plot", "ranking", str(vectors / "query.npz"), str(vectors / "gallery.npz"), "--images"]
    assert main([*files, str(vectors / "nowhere")]) == 1
    assert "images are not below" in capsys.readouterr().err
    assert main([*files, str(vectors), "--convention", "markt1501"]) == 2
    assert 'no convention "markt1501". Did you mean "market1501"?' in capsys.readouterr().err
    for dpi in ("0", "2401"):
        assert main([*files, str(vectors), "--dpi", dpi]) == 2
        assert capsys.readouterr().err == f"passerby: dpi is {dpi}: give 1 to 2400.\n"


def test_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    line = {"kind": "epoch", "step": 4, "epoch": 1, "loss": 1.0, "accuracy": 0.5}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "history.jsonl").write_text(json.dumps(line) + "\n")
    out, found = tmp_path / "curves.png", tmp_path / "found.json"
    words = ["plot", "curves", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(out), "--json", str(found), "--dpi", "40"]
    assert main(words) == 0 and "2 runs" in capsys.readouterr().out
    assert json.loads(found.read_text())["runs"][str(tmp_path / "a")] == {"epoch": line, "evaluation": None}
    with Image.open(out) as picture:
        assert np.asarray(picture).std() > 1
    assert main(["plot", "curves", str(tmp_path)]) == 1
    assert "this is not the folder of a training run" in capsys.readouterr().err


def touched(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_images_are_found_below_the_folder_of_the_data_set(tmp_path: Path):
    data = tmp_path / "data"
    touched(data / "images" / "x" / "1.jpg")
    assert image_folder(data, ["x/1.jpg"]) == data / "images"
    assert image_folder(data / "images", ["x/1.jpg"]) == data / "images"
    assert image_folder(data, ["x/2.jpg"]) == data
    assert image_folder(data, [""]) == data


def test_of_two_folders_with_the_first_name_the_one_with_all_names_is_taken(tmp_path: Path):
    touched(tmp_path / "a" / "query" / "1 [x].jpg", *(tmp_path / "b" / name for name in ("query/1 [x].jpg", "gallery/2.jpg")))
    assert image_folder(tmp_path, ["query/1 [x].jpg", "gallery/2.jpg"]) == tmp_path / "b"


def test_two_folders_with_all_names_are_refused(vectors: Path, capsys: pytest.CaptureFixture[str]):
    for copy in ("one", "two"):
        for image in vectors.glob("*/*.png"):
            target = vectors / "copies" / copy / image.relative_to(vectors)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(image.read_bytes())
    words = ["plot", "ranking", str(vectors / "query.npz"), str(vectors / "gallery.npz"), "--images", str(vectors / "copies")]
    assert main(words) == 2
    both = f"{vectors / 'copies' / 'one'}, {vectors / 'copies' / 'two'}"
    assert f"{both} each hold all images of the embeddings. Give one of them." in capsys.readouterr().err
    assert main([*words, "--queries", "a.png", "--each", "2"]) == 2
    assert "--each is 2, but it acts only without --queries. Leave one out." in capsys.readouterr().err

import hashlib
import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.cli import main
from passerby.gallery import Gallery

FILMS = Path(__file__).parents[1] / "video" / "films.py"


@pytest.fixture(scope="module")
def films():
    spec = importlib.util.spec_from_file_location("films", FILMS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def place(films, tmp_path_factory):
    """A folder with a film, boxes of another tool for it, and a small model."""
    import torch

    from passerby.artefact import Artefact, save_artefact
    from passerby.embedder import EmbeddingRule
    from passerby.models import ModelConfig, build_model
    from passerby.transforms import Preprocess

    folder = tmp_path_factory.mktemp("place")
    films.write_film(folder / "hall.mp4")
    lines = [
        f"{number + 1},-1,{left + 1},{top + 1},20,48,0.9,-1,-1,-1"
        for number in range(60)
        for left, top in films.crossing(number).values()
    ]
    (folder / "boxes.txt").write_text("\n".join(lines))
    torch.manual_seed(0)
    config = ModelConfig("osnet_x0_25")
    model = build_model(config)
    facts = Artefact(
        "baseline", {}, asdict(config), Preprocess(size=(64, 32)), EmbeddingRule(), model.embedding_dim, licence="CC0-1.0"
    )  # fmt: skip
    save_artefact(folder / "model", model.without_classifier(), facts)
    return folder


def index(place, *words):
    # In bf16 no quicker form of the network is looked for, which would take longer than all of this.
    return main(["index", *map(str, words), "--model", str(place / "model"), "--device", "cpu", "--precision", "bf16"])


def test_a_film_becomes_a_gallery_once(place, tmp_path, capsys):
    words = [place / "hall.mp4", "--to", tmp_path / "g", "--camera", "hall", "--start", "2026-11-21T09:00:00+02:00"]
    words += ["--detections", place / "boxes.txt", "--crops-per-track", 2, "--json", tmp_path / "done.json"]
    assert index(place, *words) == 0
    said = capsys.readouterr().out
    assert "60 frames, 3 tracks, " in said and "new) from hall" in said
    done = json.loads((tmp_path / "done.json").read_text())
    with Gallery.open(tmp_path / "g", read_only=True) as gallery:
        assert len(gallery.tracks()) == 3 and max(len(track.ids) for track in gallery.tracks()) == 2
        assert done["added"] == done["crops"] == len(gallery) and done["films"][0]["tracks"] == 3
        begin, end = gallery.span()
        assert 1795244400 <= begin < end < 1795244406  # nine o'clock two hours east of UTC
        (hits,) = gallery.search(gallery.vectors([gallery.tracks()[0].ids[0]]), k=2)
        assert hits[0].similarity == pytest.approx(1, abs=1e-5)
    assert index(place, *words) == 0
    assert "in the gallery already" in capsys.readouterr().out
    assert json.loads((tmp_path / "done.json").read_text())["added"] == 0


def test_two_lines_with_nothing_named_find_a_person_of_a_film(tmp_path, monkeypatch, capsys):
    """`passerby index FILM` and `passerby search CROP`: gallery, camera, detector and model are the usual ones."""
    from passerby.street.video import ClipOrder, render_video

    (clip,) = render_video(ClipOrder("winter", (1,), 8.0, None, 1, 640, 360, 3), tmp_path / "made", renderer="numba")
    clip.video.rename(tmp_path / "lane.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("passerby.cli.index._ENOUGH", 4)
    assert main(["index", "lane.mp4"]) == 0
    said = capsys.readouterr().out
    advice = (
        "passerby adapt house --gallery people.gallery --out here.model, then passerby gallery re-embed people.gallery --model"
    )
    assert f"to fit the model to these cameras, without labels: {advice} here.model" in said
    assert "gallery people.gallery in this folder; --gallery or PASSERBY_GALLERY names another" in said
    with Gallery.open("people.gallery", read_only=True) as gallery:
        assert gallery.cameras() == ["lane"] and gallery.thresholds is not None and len(gallery.tracks()) > 1
        track = gallery.tracks()[-1]
        Path("crop.jpg").write_bytes(gallery.thumbnail(track.ids[0]))
    assert main(["search", "crop.jpg"]) == 0
    told = capsys.readouterr().out
    first = next(line for line in told.splitlines() if line.startswith("│1"))
    assert "gallery people.gallery" in told and "same" in first and f" {track.name} " in first.replace("│", " ")
    assert Path("search.png").is_file()


def test_a_folder_of_frames_is_a_camera_of_its_name(place, tmp_path, monkeypatch):
    (tmp_path / "gate").mkdir()
    for number in range(2):
        Image.new("RGB", (160, 96), (90, 90, 90)).save(tmp_path / "gate" / f"{number}.png")
    monkeypatch.setenv("PASSERBY_GALLERY", str(tmp_path / "g"))
    assert index(place, tmp_path / "gate", "--sides", 160, "--json", tmp_path / "r.json") == 0
    done = json.loads((tmp_path / "r.json").read_text())
    assert done["films"][0]["camera"] == "gate" and done["gallery"] == str(tmp_path / "g")


def test_films_of_one_camera_follow_each_other(place, films, tmp_path):
    films.write_film(tmp_path / "second.mp4", frames=40)
    words = [
        place / "hall.mp4",
        tmp_path / "second.mp4",
        "--gallery",
        tmp_path / "g",
        "--camera",
        "hall",
        "--start",
        "2026-11-21",
    ]
    assert (
        index(place, *words, "--confidence", 0.9, "--sides", 160, "--every", 10) == 0
    )  # the included detector: it need see nobody
    report = tmp_path / "r.json"
    assert index(place, *words, "--confidence", 0.9, "--sides", 160, "--every", 10, "--json", report) == 0
    assert [film["duration_s"] for film in json.loads(report.read_text())["films"]] == [6.0, 4.0]


def test_crops_go_in_without_a_film(place, tmp_path, capsys):
    for name in ("0001_c1s1_000001_00.jpg", "0002_c2s1_000001_00.jpg"):
        for folder in ("bounding_box_train", "query", "bounding_box_test"):
            (tmp_path / "m" / folder).mkdir(parents=True, exist_ok=True)
            colour = np.random.default_rng(len(folder)).integers(0, 255, 3)
            Image.new("RGB", (32, 64), tuple(int(value) for value in colour)).save(tmp_path / "m" / folder / name)
    words = [tmp_path / "m", "--gallery", tmp_path / "g", "--dataset", "market1501"]
    assert index(place, *words, "--subset", "gallery") == 0
    assert index(place, *words) == 0
    assert "2 crops, 0 of them new" in capsys.readouterr().out
    assert index(place, tmp_path / "m" / "query", "--gallery", tmp_path / "g", "--dataset", "images", "--camera", "desk") == 0
    with Gallery.open(tmp_path / "g", read_only=True) as gallery:
        assert gallery.cameras() == ["desk", "market1501/1", "market1501/2"] and len(gallery) == 4
    assert index(place, *words, "--subset", "all") == 0
    with Gallery.open(tmp_path / "g", read_only=True) as gallery:
        assert len(gallery) == 8  # two of three folders more, and the query once more under the name of the data set


def test_crops_of_a_rendered_street_have_their_times_and_tracks(place, tmp_path, capsys):
    town, lines = tmp_path / "town", []
    for n, folder in enumerate(["query", "bounding_box_test", "bounding_box_test"]):
        (town / folder).mkdir(parents=True, exist_ok=True)
        name = f"0001_c{n + 1}s1_{25 * n:06d}_00.jpg"
        Image.new("RGB", (32, 64), (40 * n, 90, 20)).save(town / folder / name)
        crop = {"folder": folder, "name": name, "pid": 1, "camid": n, "frame": 25 * n, "time_s": float(n), "track": 7 - n}
        lines.append(json.dumps(crop))
    (town / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    (town / "street.json").write_text(json.dumps({"format": "passerby street 1", "town": "harbour", "list_sha256": digest}))
    words = [town, "--dataset", "street", "--subset", "all"]
    assert index(place, *words, "--gallery", tmp_path / "g") == 0
    assert index(place, *words, "--gallery", tmp_path / "h", "--start", "2026-11-21T09:00:00") == 0
    new_year, nine = 1_767_225_600.0, 1_795_251_600.0
    for name, start in (("g", new_year), ("h", nine)):
        with Gallery.open(tmp_path / name, read_only=True) as gallery:
            assert gallery.span() == (start, start + 2) and len(gallery) == 3
            assert [track.name for track in gallery.tracks()] == ["street-harbour-7", "street-harbour-6", "street-harbour-5"]
    capsys.readouterr()
    assert index(place, *words, "--gallery", tmp_path / "i", "--start", "nine") == 2
    assert '--start is "nine"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["{}/none.mp4", "--camera", "a"], 1, "none.mp4: no such file or folder"),
        (["{}/hall.mp4", "{}/hall.mp4"], 2, "--camera is needed for 2 films: the name of the camera that they are all from"),
        (["{}/hall.mp4", "--camera", "a", "--start", "nine"], 2, '--start is "nine": a time is written like 2026-11-21T09:00:00'),
        (["{}/hall.mp4", "--camera", "a", "--every", "0"], 2, "every is 0: look at every frame"),
        (["{}/hall.mp4", "--camera", "a", "--tracks", "x", "--detector", "y"], 2, "--detector and --tracks exclude each other"),
        (["{}/hall.mp4", "{}", "--camera", "a", "--detections", "x"], 2, "--detections tells the boxes of one film, 2 are named"),
        (["{}/hall.mp4", "--camera", "a", "--subset", "query"], 2, "--subset acts only with --dataset. Leave it out"),
        (["{}/hall.mp4", "--camera", "a", "--trial", "1"], 2, "--trial acts only with --dataset. Leave it out"),
        (["{}/hall.mp4", "--camera", "a", "--tracks", "x", "--confidence", "0.5"], 2, "--confidence acts only with a detector"),
        (["{}/hall.mp4", "--camera", "a", "--detections", "x", "--sides", "640"], 2, "--sides acts only with a detector"),
        (["{}", "--dataset", "market1501", "--crops-per-track", "2"], 2, "--crops-per-track goes with films"),
        (["{}", "--dataset", "images", "--camera", "a", "--subset", "query"], 2, "--subset goes with a data set"),
        (["{}", "--dataset", "market1501", "--every", "2"], 2, "--every goes with films"),
        (["{}", "--dataset", "market1501", "--start", "2026-11-21"], 2, "--start goes with films and with --dataset street"),
        (["{}", "--dataset", "images"], 2, "--dataset images needs --camera"),
        (["{}/boxes.txt", "--camera", "a"], 1, 'boxes.txt" is a text or one picture, no film'),
        (["{}/hall.mp4", "--camera", "a", "--detector", "{}/boxes.txt"], 1, 'boxes.txt" is no ONNX model that can be run'),
        (["{}/hall.mp4", "--camera", "a", "--tracks", "{}/boxes.txt"], 1, "it holds detections; give it as --detections"),
    ],
)
def test_wrong_calls_are_told_in_one_line(place, tmp_path, capsys, words, status, said):
    found = index(place, *(word.format(place) for word in words), "--gallery", tmp_path / "g")
    told = capsys.readouterr().err.strip()
    assert found == status and said in told and "\n" not in told and not (tmp_path / "g").exists()


def test_a_subset_that_is_not_there(place, tmp_path, capsys):
    (tmp_path / "f" / "anna").mkdir(parents=True)
    Image.new("RGB", (8, 16)).save(tmp_path / "f" / "anna" / "1.jpg")
    assert index(place, tmp_path / "f", "--gallery", tmp_path / "g", "--dataset", "folder", "--subset", "query") == 2
    assert "has no query images: it has" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert index(place, tmp_path / "empty", "--gallery", tmp_path / "g", "--dataset", "images", "--camera", "desk") == 1
    assert "holds no image" in capsys.readouterr().err and not (tmp_path / "g").exists()


def test_the_help_teaches(capsys):
    assert main(["index", "--help"]) == 0
    said = capsys.readouterr().out
    assert "A stopped call goes on where it stopped" in said and "--to" in said

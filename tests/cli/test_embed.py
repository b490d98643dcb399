import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

from passerby.artefact import Artefact, load, save_artefact
from passerby.cli import main
from passerby.embedder import EmbeddingRule
from passerby.embeddings import Embeddings
from passerby.models import ModelConfig, build_model
from passerby.transforms import Preprocess


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("artefact") / "model"
    config = ModelConfig("osnet_x0_25", image_size=(64, 32), linear_dim=8)
    torch.manual_seed(0)
    network = build_model(config)
    facts = Artefact("baseline", {}, asdict(config), Preprocess(size=(64, 32)), EmbeddingRule(), 8, notes=("drawn people",))
    save_artefact(path, network, facts)
    return path


@pytest.fixture
def market(tmp_path):
    """A Market-1501 of a few drawn rectangles, with the real folder and file names."""
    root = tmp_path / "data dir" / "Market-1501-v15.09.15"
    random = np.random.default_rng(0)
    files = {
        "bounding_box_train": ["0002_c1s1_000451_03.jpg", "0007_c2s1_000451_03.jpg"],
        "bounding_box_test": [
            "-1_c1s1_000401_03.jpg",
            "0000_c1s1_000151_01.jpg",
            "0003_c2s1_000451_03.jpg",
            "0003_c6s1_000451_03.jpg",
        ],
        "query": ["0003_c1s1_000451_00.jpg"],
        "gt_bbox": ["0003_c1s1_000451_00.jpg", "0003_c1s1_000476_00.jpg"],
    }
    for folder, names in files.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            pixels = random.integers(0, 256, (8, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((64, 128)).save(root / folder / name)
    return root


def test_a_data_set_becomes_query_gallery_and_multi_query(model, market, tmp_path, capsys):
    out, report = tmp_path / "vectors", tmp_path / "report.json"
    command = ["embed", str(model), "--dataset", "market", "--data", str(market.parent), "--out", str(out), "--json", str(report)]
    assert main([*command, "--device", "cpu"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["gallery.npz", "multi_query.npz", "query.npz"]
    gallery = Embeddings.load(out / "gallery.npz")
    assert gallery.names.tolist() == [f"bounding_box_test/{p.name}" for p in sorted((market / "bounding_box_test").iterdir())]
    assert sorted(zip(gallery.pids.tolist(), gallery.camids.tolist(), strict=True)) == [(-1, 0), (0, 0), (3, 1), (3, 5)]
    np.testing.assert_allclose(gallery.lengths(), 1, rtol=1e-6)
    expected = load(model, device="cpu")([market / name for name in gallery.names])
    assert np.array_equal(gallery.vectors, expected)
    assert gallery.meta["data"] == "market1501" and gallery.meta["subset"] == "gallery" and "drawn people" in gallery.notes
    assert len(gallery.meta["artefact"]) == 12
    assert Embeddings.load(out / "multi_query.npz").names.tolist()[0].startswith("gt_bbox/")
    found = json.loads(report.read_text())
    assert {name.rsplit("/")[-1]: facts["rows"] for name, facts in found["files"].items()} == {
        "query.npz": 1, "gallery.npz": 4, "multi_query.npz": 2
    }  # fmt: skip
    assert found["artefact"] == gallery.meta["artefact"]
    shown = capsys.readouterr().out
    assert "embeddings (embedding, flip added, scales 1, fp32)" in shown and "note: drawn people" in shown


def test_the_data_set_is_recognised_without_its_name(model, market, tmp_path, monkeypatch):
    monkeypatch.setenv("PASSERBY_DATA", str(market))
    assert main(["embed", str(model), "--out", str(tmp_path / "vectors"), "--device", "cpu"]) == 0
    assert len(Embeddings.load(tmp_path / "vectors" / "query.npz")) == 1


def test_any_images_become_one_file(model, market, tmp_path):
    out = tmp_path / "all.safetensors"
    (market / "query" / "notes.txt").touch()
    single = market / "bounding_box_test" / "0000_c1s1_000151_01.jpg"
    command = ["embed", str(model), "--images", str(market / "query"), str(single), "--out", str(out), "--device", "cpu"]
    assert main([*command, "--flip", "no", "--scales", "1", "1.1", "--compound", "yes", "--raw"]) == 0
    found = Embeddings.load(out)
    assert found.names.tolist() == ["query/0003_c1s1_000451_00.jpg", "bounding_box_test/0000_c1s1_000151_01.jpg"]
    assert found.pids.tolist() == [-1, -1]
    assert found.meta["rule"] == {"kind": "embedding", "flip": False, "scales": [1.0, 1.1], "compound": True, "normalise": False}
    rule = EmbeddingRule(flip=False, scales=(1, 1.1), compound=True, normalise=False)
    assert np.array_equal(found.vectors, load(model, device="cpu", rule=rule)([market / name for name in found.names]))


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--images", "{query}", "--data", "{market}", "--out", "x.npz"], 2, "--images stands instead of --dataset and --data"),
        (["--images", "{query}", "--out", "x"], 2, "--out x: vectors of images go into one file, .npz or .safetensors."),
        (["--images", "{market}/nothing", "--out", "x.npz"], 1, "nothing does not exist."),
        (["--images", "{model}", "--out", "x.npz"], 1, "model holds no image: looked for are .bmp, .gif, .jpeg, .jpg"),
        (["--data", "{market}", "--out", "x.npz"], 2, "--out x.npz: the sets of a data set become several files; give a folder."),
        (
            ["--data", "{market}", "--out", "x", "--trial", "3"],
            2,
            "market1501 has one fixed split, no trials: leave out --trial.",
        ),
        (["--images", "{query}", "--out", "x.npz", "--trial", "3"], 2, "--trial is 3, but it acts only with a data set."),
        (
            ["--data", "{market}", "--out", "x", "--compound", "yes"],
            2,
            "--compound is yes, but it acts only with several scales.",
        ),
        (
            ["--data", "{market}", "--out", "x", "--workers", "-1"],
            2,
            "workers is -1: batch_size is 1 or more, workers 0 or more.",
        ),
        (["--data", "{market}", "--out", "x", "--scales", "0"], 2, "scales are [0.0]: give one or more numbers above 0"),
        (["--dataset", "markt", "--out", "x"], 2, 'no data set "markt".'),
        (["--data", "{market}", "--out", "x", "--device", "foo"], 2, 'no device "foo". Allowed: auto, cpu, cuda'),
    ],
)
def test_a_wrong_call_is_one_line_and_writes_nothing(model, market, tmp_path, monkeypatch, capsys, words, code, text):
    monkeypatch.chdir(tmp_path)
    places = {"query": market / "query", "market": market, "model": model}
    assert main(["embed", str(model), "--device", "cpu", *(word.format(**places) for word in words)]) == code
    error = capsys.readouterr().err
    assert text in error and len(error.splitlines()) == 1
    assert not list(tmp_path.glob("x*"))


def test_a_folder_that_is_no_artefact_is_one_line(market, tmp_path, capsys):
    assert main(["embed", str(market), "--images", str(market / "query"), "--out", str(tmp_path / "x.npz")]) == 1
    assert "has no passerby.json: an artefact is the folder that training writes" in capsys.readouterr().err


def test_an_unreadable_image_leaves_no_file(model, market, tmp_path, capsys):
    broken = market / "query" / "0003_c1s1_000451_00.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    assert (
        main(["embed", str(model), "--images", str(market / "query"), "--out", str(tmp_path / "x.npz"), "--device", "cpu"]) == 1
    )
    assert "0003_c1s1_000451_00.jpg" in capsys.readouterr().err
    assert not list(tmp_path.glob("*x*"))


def test_a_data_set_without_query_and_gallery_is_refused(model, market, tmp_path, capsys):
    (tmp_path / "people").mkdir()
    (market / "query").rename(tmp_path / "people" / "0003")
    assert main(["embed", str(model), "--data", str(tmp_path / "people"), "--out", str(tmp_path / "x")]) == 1
    assert "folder has neither query nor gallery here: there is nothing to embed." in capsys.readouterr().err

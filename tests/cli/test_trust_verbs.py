"""`passerby explain-score`, `passerby calibrate` and `passerby match`: what they print, write and refuse."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from passerby.cli import main
from passerby.embeddings import Embeddings, QueryGallery
from passerby.metrics import MARKET1501, evaluate
from passerby.metrics.calibration import calibrate, drift
from passerby.metrics.calibration_store import read_calibration, to_dict


def town(seed=0, people=30, each=6, shift=0.0, noise=0.8) -> QueryGallery:
    random = np.random.default_rng(seed)
    pids = np.repeat(np.arange(1, people + 1), each)
    vectors = random.standard_normal((people, 12))[pids - 1] + noise * random.standard_normal((len(pids), 12)) + shift
    names = [f"{row:03}.jpg" for row in range(len(pids))]
    both = Embeddings(vectors, pids, np.arange(len(pids)) % 3, names)
    query = np.arange(len(pids)) % each == 0
    return QueryGallery(both[query], both[~query])


@pytest.fixture
def stored(tmp_path) -> QueryGallery:
    made = town()
    made.save(tmp_path / "both.npz")
    made.save(tmp_path / "both.mat")
    return made


def run(tmp_path, capsys, *words) -> tuple[dict, str]:
    assert main([*map(str, words), "--json", str(tmp_path / "found.json")]) == 0
    return json.loads((tmp_path / "found.json").read_text()), " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("form", ["both.npz", "both.mat"])
def test_a_claim_is_explained(tmp_path, capsys, stored, form):
    scores = evaluate(stored.query, stored.gallery, replace(MARKET1501, ap="trapezoid", distance="dot"))
    claim = ["--claim", f"{100 * scores.map:.2f}", "--rank1", f"{100 * scores.rank(1):.2f}"]
    found, said = run(tmp_path, capsys, "explain-score", tmp_path / form, *claim)
    assert found["exact"] and found["claim"]["map"] == claim[1]
    switches = [{"axis": "distance", "from": "cosine", "to": "dot"}, {"axis": "ap", "from": "rank", "to": "trapezoid"}]
    assert found["candidates"][0]["switches"] == switches
    assert found["candidates"][0]["map"] == pytest.approx(scores.map)
    assert f"claimed: mAP {claim[1]} %, Rank-1 {claim[3]} %" in said and "the claim follows from 2 switches" in said
    assert "dot product of the vectors as stored" in said and "AP by the trapezoid rule" in said


def test_what_needs_no_switch_and_what_nothing_explains(tmp_path, capsys, stored):
    scores = evaluate(stored.query, stored.gallery)
    _, said = run(tmp_path, capsys, "explain-score", tmp_path / "both.npz", "--claim", f"{100 * scores.map:.2f}")
    assert "that is the claim: nothing needs to be switched" in said
    words = ["--claim", "3.1", "--switches", "1", "--no-rerank", "--no-single-shot"]
    found, said = run(tmp_path, capsys, "explain-score", tmp_path / "both.npz", *words)
    assert not found["exact"] and "nothing tried gives the claim; the nearest is" in said
    assert all(len(candidate["switches"]) <= 1 for candidate in found["candidates"])


def test_other_features_and_multi_query_files(tmp_path, capsys, stored):
    flat = [part.with_vectors(part.vectors[:, :7]) for part in (stored.query, stored.gallery)]
    QueryGallery(*flat).save(tmp_path / "raw.npz")
    scores = evaluate(*flat)
    words = ["--claim", f"{100 * scores.map:.2f}", "--rank1", f"{100 * scores.rank(1):.2f}", "--no-rerank"]
    found, said = run(
        tmp_path, capsys, "explain-score", tmp_path / "both.npz", *words, "--features", f"before-neck={tmp_path / 'raw.npz'}"
    )
    assert found["candidates"][0]["switches"] == [{"axis": "features", "from": "", "to": "before-neck"}]
    assert 'features "before-neck"' in said
    hard = town(noise=1.8)
    hard.save(tmp_path / "both.npz")
    more = Embeddings.concatenate([hard.query, hard.gallery])
    more.save(tmp_path / "more.npz")
    pooled = evaluate(hard.query, hard.gallery, replace(MARKET1501, multi_query="max"), multi_query=more)
    words = ["--claim", f"{100 * pooled.map:.2f}", "--rank1", f"{100 * pooled.rank(1):.2f}", "--more", tmp_path / "more.npz"]
    found, _ = run(tmp_path, capsys, "explain-score", tmp_path / "both.npz", *words, "--no-rerank")
    assert found["candidates"][0]["switches"] == [{"axis": "multi_query", "from": "none", "to": "max"}]


def test_calibration_of_stored_embeddings(tmp_path, capsys, stored):
    there = town(1, shift=0.8)
    there.save(tmp_path / "there.npz")
    words = ["--far", "0.01", "--bootstrap", "60", "--other", tmp_path / "there.npz"]
    found, said = run(tmp_path, capsys, "calibrate", tmp_path / "both.npz", *words)
    images = Embeddings.concatenate([stored.query, stored.gallery])
    expected = calibrate(images, 0.01, samples=60)
    assert found["calibration"] == json.loads(json.dumps(to_dict(expected)))
    moved = drift(expected, Embeddings.concatenate([there.query, there.gallery]), samples=60)
    assert found["drift"]["far"] == moved.far and found["drift"]["far_interval"] == list(moved.far_interval)
    low, high = expected.threshold_interval
    assert f"same person from similarity {expected.threshold:.4f} on ({low:.4f} to {high:.4f})" in said
    assert f"different people below {expected.reject_threshold:.4f}" in said
    assert f"│ c0 - c1 │ {expected.cameras[0].threshold:.3f} │" in said
    assert "outside what was stated" in said and "bootstrap over people with all their images" in said


def test_two_files_one_set_and_all_pairs(tmp_path, capsys, stored):
    stored.query.save(tmp_path / "query.npz")
    stored.gallery.save(tmp_path / "gallery.npz")
    Embeddings.concatenate([stored.query, stored.gallery]).save(tmp_path / "one.npz")
    words = ["--far", "0.01", "--bootstrap", "10"]
    forms = [["both.npz"], ["query.npz", "gallery.npz"], ["one.npz"]]
    found = [run(tmp_path, capsys, "calibrate", *(tmp_path / f for f in form), *words)[0] for form in forms]
    assert found[0] == found[1] == found[2]
    more = run(tmp_path, capsys, "calibrate", tmp_path / "both.npz", *words, "--pairs", "all", "--people-ahead", "500")[0]
    assert more["calibration"]["num_impostor"] > found[0]["calibration"]["num_impostor"]
    assert more["calibration"]["people_ahead"] == 500


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained model and eight people of one colour each, by two cameras."""
    from dataclasses import asdict

    import torch

    from passerby.artefact import Artefact, save_artefact
    from passerby.embedder import EmbeddingRule
    from passerby.models import ModelConfig, build_model
    from passerby.transforms import Preprocess

    torch.manual_seed(0)
    config = ModelConfig(backbone="osnet_x0_25", image_size=(64, 32), linear_dim=16)
    network = build_model(config)
    facts = Artefact("baseline", {}, asdict(config), Preprocess((64, 32)), EmbeddingRule(), network.embedding_dim)
    folder = tmp_path_factory.mktemp("model")
    save_artefact(folder / "artefact", network, facts)
    random = np.random.default_rng(0)
    for place, row in (("query", 0), ("bounding_box_test", 1), ("bounding_box_test", 2), ("bounding_box_train", 3)):
        (folder / "data" / place).mkdir(parents=True, exist_ok=True)
        for pid in range(1, 9):
            colour = np.random.default_rng(pid).integers(0, 255, 3)
            pixels = np.clip(colour + random.normal(0, 12, (64, 32, 3)), 0, 255).astype(np.uint8)
            name = f"{pid + (100 if 'train' in place else 0):04}_c{1 + row % 2}s1_{row:06}_00.jpg"
            Image.fromarray(pixels).save(folder / "data" / place / name)
    return folder


def test_an_artefact_keeps_its_calibration_and_matches_by_it(tmp_path, capsys, model):
    artefact = tmp_path / "artefact"
    shutil.copytree(model / "artefact", artefact)
    images = sorted((model / "data" / "query").iterdir())
    other = sorted((model / "data" / "bounding_box_test").iterdir())
    assert main(["match", str(images[0]), str(images[1]), "--model", str(artefact)]) == 1
    assert re.search("has no calibration: its thresholds are not known. Make one: passerby calibrate", capsys.readouterr().err)
    words = [
        "--data",
        model / "data",
        "--dataset",
        "market1501",
        "--far",
        "0.1",
        "--bootstrap",
        "20",
        "--batch-size",
        "8",
        "--workers",
        "0",
    ]
    found, said = run(tmp_path, capsys, "calibrate", artefact, *words)
    assert f"kept in {artefact}: passerby match uses it" in said
    kept = read_calibration(artefact)
    assert json.loads(json.dumps(to_dict(kept))) == found["calibration"] and kept.num_people == 8
    from passerby.artefact import load

    embedder = load(artefact)
    for pair in ([images[0], other[0]], [images[0], images[5]]):
        answer, said = run(tmp_path, capsys, "match", *pair, "--model", artefact, "--device", "cpu")
        one, two = embedder(pair).astype(float)
        assert answer["similarity"] == pytest.approx(one @ two, abs=1e-6)
        assert answer["answer"] == kept.verdict(answer["similarity"])
        assert said.startswith(f"{answer['answer']}: similarity {answer['similarity']:.4f};")
        assert "lets 10 % of pairs of different people pass" in said


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["explain-score", "both.npz", "--claim", "0.8"], 2, "claim mAP 0.8 looks like a fraction: write percent, 80."),
        (["explain-score", "both.npz", "--claim", "181"], 2, "claim mAP 181: a score is a percentage, 0 to 100."),
        (["explain-score", "both.npz", "--claim", "80", "--features", "raw.npz"], 2, "--features raw.npz: write NAME=PATH"),
        (
            ["explain-score", "both.npz", "--claim", "80", "--features", "a=both.npz", "a=both.npz"],
            2,
            "--features names a more than once: give each stored features a name of their own.",
        ),
        (["explain-score", "a", "b", "c", "--claim", "80"], 2, "3 inputs: give one file or folder with both sets"),
        (["explain-score", "none.npz", "--claim", "80"], 1, "none.npz: no such file or folder."),
        (["explain-score", "keys.mat", "--claim", "80"], 1, "keys.mat lacks query_f, query_label, query_cam; it holds other."),
        (
            ["explain-score", "both.npz", "--claim", "80", "--convention", "markt1501"],
            2,
            'no convention "markt1501". Did you mean',
        ),
        (["explain-score", "both.npz", "--claim", "80", "--seed", "-1"], 2, "--seed is -1: give 0 or more."),
        (["calibrate"], 2, "nothing to calibrate: give an artefact folder, or embeddings."),
        (["calibrate", "nan.npz"], 1, "nan.npz, gallery: 1 of 150 vectors hold NaN or infinity (rows 2)"),
        (["calibrate", "half.mat"], 1, "half.mat lacks query_label, query_cam; it holds query_f."),
        (["calibrate", "none.npz"], 1, "none.npz: no such file or folder."),
        (
            ["calibrate", "both.npz", "--data", "x"],
            2,
            "--data: only a model embeds a data set; both.npz is no artefact folder or exported file.",
        ),
        (["calibrate", "both.npz", "--far", "0.01", "--store", "nowhere"], 1, "nowhere is no artefact: passerby.json is missing"),
        (
            ["calibrate", "both.npz", "--other", "flat.npz"],
            1,
            "the other town has 5 dimensions, these 12: one model must make both.",
        ),
        (["calibrate", "both.npz", "--other", "none.npz"], 1, "none.npz: no such file or folder."),
        (["calibrate", "both.npz", "--bootstrap", "1000001"], 2, "calibration with 1000001 draws: 1 to 1,000,000 can be made."),
        (["calibrate", "both.npz", "--seed", "-1"], 2, "--seed is -1: give 0 or more."),
        (
            ["calibrate", "both.npz", "both.npz", "both.npz"],
            2,
            "3 inputs: give one file or folder, or a query and a gallery file.",
        ),
        (
            ["calibrate", "int8.npz", "--far", "0.01", "--store", "m"],
            2,
            "the vectors were made by onnx int8: their thresholds are not those of m. Calibrate the exported file itself",
        ),
        (["calibrate", "int8-query.npz", "fp32-gallery.npz"], 1, "queries were made by artefact abc as onnx int8"),
        (
            ["calibrate", "fp32-gallery.npz", "--far", "0.01", "--other", "int8.npz"],
            1,
            "the other town was embedded by onnx int8",
        ),
        (["calibrate", "House", "--data", "x"], 1, 'no model "House": there is no such folder or file. Did you mean "house"?'),
        (["calibrate", "house", "--data", "x"], 2, "is part of the installed package, which stays as it is: copy its folder"),
        (["export", "house"], 2, "is part of the installed package, which stays as it is: name a file or a folder with --out."),
        (
            ["evaluate", "int8-query.npz", "fp32-gallery.npz"],
            1,
            "queries were made by artefact abc as onnx int8, the gallery as its own precision: their vectors differ",
        ),
        (["match", "a.jpg", "--model", "m"], 2, "1 images: a match is between two. To find one among many, search."),
        (["match", "a.jpg", "b.jpg", "--model", "m"], 1, "a.jpg, b.jpg: no such image."),
        (
            ["match", "a.jpg", "b.jpg", "--model", "m", "--cameras", "1", "2", "3"],
            2,
            "3 cameras for two images: give one for both",
        ),
    ],
)
def test_wrong_calls_are_refused_in_one_line(tmp_path, capsys, monkeypatch, stored, words, status, message):
    from scipy import io as scipy_io

    monkeypatch.chdir(tmp_path)
    scipy_io.savemat(tmp_path / "keys.mat", {"other": np.zeros(3)})
    scipy_io.savemat(tmp_path / "half.mat", {"query_f": np.zeros((3, 2))})
    held = dict(np.load(tmp_path / "both.npz"))
    held["gallery/vectors"][2, 0] = np.nan
    np.savez(tmp_path / "nan.npz", allow_pickle=False, **held)
    stored.query.with_vectors(stored.query.vectors[:, :5]).save(tmp_path / "flat.npz")
    forms = {"int8": {"artefact": "abc", "exported": "onnx int8"}, "fp32": {"artefact": "abc", "exported": "onnx fp32"}}
    replace(stored.query, meta=forms["int8"]).save(tmp_path / "int8-query.npz")
    replace(stored.gallery, meta=forms["fp32"]).save(tmp_path / "fp32-gallery.npz")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "passerby.json").write_text(json.dumps({"weights_sha256": "abc"}))
    replace(stored.gallery, meta=forms["int8"]).save(tmp_path / "int8.npz")
    assert main(words) == status
    out, said = capsys.readouterr()
    assert said.count("\n") == 1 and message in said, said
    assert not out  # before any work


def test_people_of_another_split(tmp_path, capsys, model):
    shutil.copytree(model / "artefact", tmp_path / "artefact")
    words = ["--data", model / "data", "--dataset", "market1501", "--split", "train", "--far", "0.1"]
    assert main(["calibrate", str(tmp_path / "artefact"), *map(str, words), "--workers", "0", "--pairs", "all"]) == 1
    assert (
        "no pair of one person among 8 images of 8 people from 1 camera: nothing to measure. People need two images each."
        in capsys.readouterr().err
    )


def test_an_artefact_stands_alone(tmp_path, capsys, model):
    assert main(["calibrate", str(model / "artefact"), "--store", str(tmp_path)]) == 2
    assert "an artefact folder stands alone and keeps its result itself" in capsys.readouterr().err

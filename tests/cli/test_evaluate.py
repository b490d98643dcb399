"""`passerby evaluate`: what it reads, prints, writes and refuses."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image
from scipy import io as scipy_io

from passerby.cli import main
from passerby.embeddings import Embeddings, QueryGallery
from passerby.metrics import LAYUMI, MARKET1501, Convention, bootstrap, evaluate


def people(count: int, seed: int, cameras: int = 3) -> Embeddings:
    rng = np.random.default_rng(seed)
    pids = rng.integers(1, 7, count)
    centres = np.random.default_rng(0).normal(size=(8, 6))
    names = [f"{seed}/{row:03}.jpg" for row in range(count)]
    return Embeddings(centres[pids] + rng.normal(size=(count, 6)), pids, rng.integers(0, cameras, count), names)


@pytest.fixture
def sets(tmp_path) -> QueryGallery:
    query = people(30, 1)
    made = QueryGallery(
        Embeddings(query.vectors, query.pids, query.camids, query.names, {"notes": ["drawn"]}), people(120, 2), query
    )
    made.save(tmp_path / "both.npz")
    made.save(tmp_path / "both.mat")
    (tmp_path / "folder").mkdir()
    for name in ("query", "gallery", "multi_query"):
        getattr(made, name).save(tmp_path / "folder" / f"{name}.npz")
    return made


def run(tmp_path, capsys, *words) -> tuple[dict, str]:
    assert main(["evaluate", *map(str, words), "--json", str(tmp_path / "found.json")]) == 0
    return json.loads((tmp_path / "found.json").read_text()), " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("inputs", [["both.npz"], ["both.mat"], ["folder/query.npz", "folder/gallery.npz"], ["folder"]])
def test_every_form_of_input_gives_the_same_numbers(tmp_path, capsys, sets, inputs):
    found, said = run(tmp_path, capsys, *(tmp_path / name for name in inputs))
    scores = evaluate(sets.query, sets.gallery)
    assert {name: found[name] for name in scores.summary()} == scores.summary()
    assert found["intervals"] == {name: list(ends) for name, ends in bootstrap(scores).items()}
    assert found["camera_pairs"] == scores.camera_pairs.rows()
    assert (found["num_queries"], found["num_valid"], found["num_gallery"]) == (30, 30, 120)
    assert found["notes"] == ([] if inputs == ["both.mat"] else ["drawn"])
    low, high = found["intervals"]["map"]
    assert "30 queries, 30 with a match, against 120 gallery images" in said
    assert f"mAP │ {100 * scores.map:.2f} │ {100 * low:.2f} to {100 * high:.2f}" in said
    assert f"convention: {MARKET1501.in_words()}" in said
    assert f"{100 * scores.camera_pairs.rank1[0, 1]:.1f} / {100 * scores.camera_pairs.map[0, 1]:.1f}" in said
    assert ("note: drawn" in said) == (inputs != ["both.mat"])


def test_a_named_convention_and_flags_over_it(tmp_path, capsys, sets):
    found, said = run(tmp_path, capsys, tmp_path / "both.npz", "--convention", "layumi", "--bootstrap", 0)
    assert found["map"] == evaluate(sets.query, sets.gallery, LAYUMI).map
    assert found["intervals"] == {} and "interval" not in said
    flags = [
        "--ap",
        "rank",
        "--same-camera",
        "keep",
        "--distance",
        "euclidean",
        "--ties",
        "optimistic",
        "--without-match",
        "skip",
    ]
    found, _ = run(
        tmp_path, capsys, tmp_path / "both.npz", "--convention", "layumi", *flags, "--junk", "keep", "--distractors", "drop"
    )
    convention = Convention("rank", "keep", "keep", "drop", "skip", "euclidean", "optimistic")
    assert found["convention_in_words"] == convention.in_words()
    assert found["map"] == evaluate(sets.query, sets.gallery, convention).map


@pytest.mark.parametrize("more", [[], ["--more"]])
def test_multi_query(tmp_path, capsys, sets, more):
    convention = Convention(multi_query="max")
    source = "folder/query.npz" if more else "both.npz"
    inputs = [tmp_path / source, tmp_path / "folder/gallery.npz"] if more else [tmp_path / source]
    found, said = run(
        tmp_path,
        capsys,
        *inputs,
        "--multi-query",
        "max",
        *(word for m in more for word in (m, tmp_path / "folder/multi_query.npz")),
    )
    assert found["map"] == evaluate(sets.query, sets.gallery, convention, multi_query=sets.query).map
    assert "multi-query by max" in said


def test_single_shot_follows_the_seed(tmp_path, capsys, sets):
    words = tmp_path / "both.npz", "--convention", "cuhk03-classic", "--repeats", 3
    (one, said), (same, _), (other, _) = (run(tmp_path, capsys, *words, "--seed", seed) for seed in (1, 1, 2))
    assert one == same and one["map"] != other["map"]
    assert "one random image a person, 3 draws" in said and "by camera" not in said


def test_many_cameras_are_listed_by_difficulty(tmp_path, capsys):
    QueryGallery(people(60, 1, 12), people(300, 2, 12)).save(tmp_path / "both.npz")
    found, said = run(tmp_path, capsys, tmp_path / "both.npz", "--unit", "person")
    hardest = min(found["camera_pairs"], key=lambda row: row["map"])
    assert f"hardest and the easiest of {len(found['camera_pairs'])} camera pairs" in said
    assert f"│ c{hardest['query_camid']} │ c{hardest['gallery_camid']} │" in said
    assert "bootstrap over persons with all their queries" in said


def test_one_line_a_query(tmp_path, capsys, sets):
    run(tmp_path, capsys, tmp_path / "both.npz", "--per-query", tmp_path / "queries.csv")
    rows = list(csv.DictReader((tmp_path / "queries.csv").read_text().splitlines()))
    scores = evaluate(sets.query, sets.gallery)
    assert [row["name"] for row in rows] == sets.query.names.tolist()
    assert [float(row["ap"]) for row in rows] == scores.ap.tolist()
    assert [int(row["first_rank"]) for row in rows] == scores.first_rank.tolist()


def test_ties_are_told(tmp_path, capsys):
    same = Embeddings(np.ones((4, 2)), [1, 1, 2, 2], [0, 1, 0, 1])
    QueryGallery(same, same).save(tmp_path / "both.npz")
    _, said = run(tmp_path, capsys, tmp_path / "both.npz")
    assert "note: 4 queries have a wrong answer exactly as near as a right one." in said


REFUSED = [
    ([], 2, "0 inputs: give one file or folder that holds both sets, or a query and a gallery file."),
    (["both.npz", "both.npz", "both.npz"], 2, "3 inputs: give one file"),
    (["absent.npz"], 1, "absent.npz: no such file"),
    (["both.npz", "--convention", "layum"], 2, 'no convention "layum". Did you mean "layumi"?'),
    (["both.npz", "--repeats", "0"], 2, "Convention repeats is 0"),
    (["both.npz", "--bootstrap", "-1"], 2, "--bootstrap is -1: it counts draws, 0 to 1,000,000."),
    (["both.npz", "--bootstrap", "1000001"], 2, "--bootstrap is 1000001: it counts draws, 0 to 1,000,000."),
    (
        ["both.npz", "--dataset", "market1501", "--batch-size", "8"],
        2,
        "--dataset, --batch-size: only an artefact folder embeds a data set",
    ),
    (["both.npz", "--trial", "a", "--trials"], 2, "--trial and --trials: one split, or all of them."),
    (
        ["both.npz", "--multi-query", "mean", "--more", "both.npz"],
        1,
        "both.npz holds a query and a gallery, one set was asked for",
    ),
    (
        ["both.npz", "--more", "folder/query.npz"],
        2,
        "--more is folder/query.npz, but it acts only with --multi-query mean or max.",
    ),
    (
        ["folder/query.npz", "folder/gallery.npz", "--multi-query", "mean"],
        2,
        "multi-query by mean: no multi-query images came with the data. Give them with --more FILE.",
    ),
    (
        ["empty"],
        1,
        "is no artefact (no passerby.json) and lacks query.npz, gallery.npz: give what training or passerby embed wrote.",
    ),
    (["both.npz", "--memory-mb", "0.5"], 2, "--memory-mb is 0.5: give 1 or more."),
    (["both.npz", "--per-query", "folder"], 2, "--per-query folder cannot be written: give a file name in a folder that can."),
    (["run", "--dataset", "market1501"], 2, "run is a run; its model is in it: give run/artefact."),
    (["folder/query.npz"], 1, "folder/query.npz holds one set, a query and a gallery were asked for: give both files"),
    (["single.mat"], 1, "single.mat holds one set, a query and a gallery were asked for: give both files"),
    (["both.npz", "--repeats", "3"], 2, "--repeats is 3, but it acts only with --shots single. Leave it out, or add that."),
    (["both.npz", "--unit", "person", "--bootstrap", "0"], 2, "--unit is person, but it acts only with intervals: --bootstrap"),
    (["both.npz", "--seed", "3", "--bootstrap", "0"], 2, "--seed is 3, but it acts only with intervals"),
    (["one camera.npz"], 1, 'use same_camera "keep" (--same-camera keep, or --convention any-camera).'),
]


@pytest.mark.parametrize(("words", "status", "message"), REFUSED, ids=[" ".join(words) or "nothing" for words, _, _ in REFUSED])
def test_wrong_calls_are_refused_in_one_line(tmp_path, capsys, monkeypatch, sets, words, status, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "run" / "artefact").mkdir(parents=True)
    QueryGallery(people(9, 1, 1), people(30, 2, 1)).save(tmp_path / "one camera.npz")
    scipy_io.savemat(tmp_path / "single.mat", {"feat": sets.query.vectors, "ids": sets.query.pids, "cam_ids": sets.query.camids})
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert main(["evaluate", *words, "--json", "found.json"] if words else ["evaluate"]) == status
    said = capsys.readouterr().err
    assert re.search(re.escape(message), said) and said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def drawn_market(root) -> None:
    """Four people before two cameras, as stripes of their own colours, in Market-1501's layout."""
    rng = np.random.default_rng(0)
    for pid in range(1, 5):
        colours = rng.integers(0, 255, (4, 1, 3))
        for folder, camera, frame in (
            ("query", 1, 1),
            ("bounding_box_test", 1, 2),
            ("bounding_box_test", 2, 3),
            ("bounding_box_train", 1, 4),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            image = np.repeat(np.repeat(colours, 16, axis=0), 32, axis=1) + rng.integers(-20, 20, (64, 32, 3))
            name = f"{pid if folder != 'bounding_box_train' else pid + 100:04}_c{camera}s1_{frame:06}_00.jpg"
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / folder / name)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory):
    from dataclasses import asdict

    import torch

    from passerby.artefact import Artefact, save_artefact
    from passerby.embedder import EmbeddingRule
    from passerby.models import ModelConfig, build_model
    from passerby.transforms import Preprocess

    torch.manual_seed(0)
    config = ModelConfig(backbone="osnet_x0_25", image_size=(64, 32), linear_dim=16)
    model = build_model(config)
    facts = Artefact(
        "baseline", {}, asdict(config), Preprocess((64, 32)), EmbeddingRule(), model.embedding_dim, notes=("untrained",)
    )
    folder = tmp_path_factory.mktemp("model") / "artefact"
    save_artefact(folder, model, facts)
    drawn_market(folder.parent / "data")
    return folder


def test_an_artefact_is_evaluated_on_a_data_set(tmp_path, capsys, artefact):
    from passerby.artefact import load
    from passerby.datasets import read
    from passerby.embedder import embed

    found, said = run(tmp_path, capsys, artefact, "--dataset", "market", "--data", artefact.parent / "data")
    data, embedder = read("market1501", artefact.parent / "data"), load(artefact)
    scores = evaluate(embed(embedder, data.query), embed(embedder, data.gallery))
    assert found["map"] == pytest.approx(scores.map) and found["num_valid"] == 4
    assert found["data"] == "market1501" and "untrained" in found["notes"] and "note: untrained" in said
    detected, _ = run(tmp_path, capsys, artefact, "--data", artefact.parent / "data")
    assert detected["map"] == found["map"]


def with_trials(monkeypatch, artefact, **more):
    """The drawn data as two trials with half of the queries each."""
    from dataclasses import replace

    from passerby import datasets
    from passerby.records import Trial

    data = datasets.read("market1501", artefact.parent / "data")
    trials = tuple(Trial(name, data.query[rows], data.gallery) for name, rows in (("a", slice(0, 2)), ("b", slice(2, 4))))
    monkeypatch.setattr(
        datasets, "read", lambda name, root=None: replace(data, name="cuhk03-classic-detected", trials=trials, **more)
    )
    return trials


def test_trials_are_averaged(tmp_path, capsys, monkeypatch, artefact):
    with_trials(monkeypatch, artefact)
    words = artefact, "--dataset", "cuhk03-classic-detected", "--data", artefact.parent / "data"
    one, _ = run(tmp_path, capsys, *words, "--trial", "a")
    other, _ = run(tmp_path, capsys, *words, "--trial", "b")
    both, said = run(tmp_path, capsys, *words, "--trials", "--per-query", tmp_path / "queries.csv")
    assert one["trial"] == "a" and one["convention"]["shots"] == "single"  # the convention that belongs to the data
    assert both["num_trials"] == 2 and both["trials"].keys() == {"a", "b"}
    assert both["mean"]["map"] == pytest.approx((one["map"] + other["map"]) / 2)
    assert both["std"]["map"] == pytest.approx(abs(one["map"] - other["map"]) / 2)
    assert f"mAP │ {100 * both['mean']['map']:.2f} │ {100 * both['std']['map']:.2f}" in said
    assert [row["trial"] for row in csv.DictReader((tmp_path / "queries.csv").read_text().splitlines())] == ["a", "a", "b", "b"]


def test_wrong_trials_and_absent_sets_are_refused(capsys, monkeypatch, artefact):
    from passerby.records import Split

    words = ["evaluate", str(artefact), "--dataset", "market1501", "--data", str(artefact.parent / "data")]
    fixed = "market1501 has one fixed split, no trials: leave out "
    cases = [(["--trials"], None, 2, f"{fixed}--trials."), (["--trial", "1"], None, 2, f"{fixed}--trial.")]
    cases += [(["--trial", "c"], {}, 2, 'has no trial "c": a, b.')]
    cases += [([], {"query": Split()}, 2, "has 2 repeated splits: choose one with --trial: a, b.")]
    cases += [
        (["--trials", "--bootstrap", "10"], {}, 2, "--bootstrap is 10, but it acts only with a single split, not with --trials."),
        (["--trials", "--unit", "person"], {}, 2, "--unit is person, but it acts only with intervals"),
    ]
    cases += [([], {"gallery": Split()}, 1, "has 4 queries and 0 gallery images here: both are needed.")]
    for flags, change, status, message in cases:
        with monkeypatch.context() as patch:
            if change is not None:
                with_trials(patch, artefact, **change)
            assert main([*words, *flags]) == status
        assert message in capsys.readouterr().err


def test_data_of_one_camera_is_refused_with_the_ways_out_and_counted_by_them(tmp_path, capsys, artefact):
    root = tmp_path / "shop"
    for image in (artefact.parent / "data").rglob("*_c1*"):
        (root / image.parent.name).mkdir(parents=True, exist_ok=True)
        (root / image.parent.name / image.name).write_bytes(image.read_bytes())
    words = ["evaluate", str(artefact), "--data", str(root)]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "are of one camera (camid 0)" in said and said.endswith("--convention any-camera counts its own images.\n")
    for way in (["--same-camera", "keep"], ["--convention", "any-camera"]):
        assert main([*words, *way, "--workers", "0"]) == 0
        assert "own camera's matches kept" in " ".join(capsys.readouterr().out.split())


def test_notes_are_those_of_the_trial_and_say_whose_people_were_trained_on(tmp_path, capsys, monkeypatch, artefact):
    """A model of split 1 is measured on split 2: what it says of its own split stands beside no number of the other."""
    from dataclasses import replace

    from passerby import artefact as artefacts
    from passerby import datasets

    of_two = [f"train, query and gallery are those of split {number} of 2" for number in (1, 2)]
    trials = with_trials(monkeypatch, artefact)
    named = tuple(replace(t, name=f"split {n}", note=of_two[n - 1]) for n, t in enumerate(trials, 1))
    data = replace(datasets.read("market1501"), query=trials[0].query, trials=named, notes=("general", of_two[0]))
    monkeypatch.setattr(datasets, "read", lambda name, root=None: data)
    facts, weights = artefacts.read_artefact(artefact)
    model = artefacts._built(facts.model)
    model.load_state_dict(weights)
    trained = tmp_path / "trained"
    people = tuple(trials[1].query.identities)[:1]
    artefacts.save_artefact(trained, model, replace(facts, label_map=people, notes=("untrained", of_two[0])))

    words = trained, "--dataset", "cuhk03-classic-detected", "--data", artefact.parent / "data"
    note = "1 of 2 query people{} were trained on: the numbers are too high"
    second, _ = run(tmp_path, capsys, *words, "--trial", 2)
    assert second["notes"] == ["untrained", "general", of_two[1], note.format("")]
    first, _ = run(tmp_path, capsys, *words)
    assert first["notes"] == ["untrained", "general", of_two[0]]
    every, _ = run(tmp_path, capsys, *words, "--trials")
    assert every["notes"] == ["untrained", "general", note.format(" of split 2")]

    out = tmp_path / "vectors"
    assert main(["embed", *map(str, words), "--trial", "split 2", "--out", str(out)]) == 0
    assert Embeddings.load(out / "query.npz").notes == ("untrained", "general", of_two[1], note.format(""))

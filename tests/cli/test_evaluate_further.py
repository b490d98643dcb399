"""`passerby evaluate`: re-ranking, two runs side by side, and numbers by condition."""

import json
import re

import numpy as np
import pytest

from passerby.cli import main
from passerby.embeddings import Embeddings, QueryGallery
from passerby.metrics import MARKET1501, by_condition, compare, evaluate
from passerby.rerank import Graph, KReciprocal, evaluate_reranked


def town(noise: float, seed: int = 0, people: int = 12, each: int = 8) -> QueryGallery:
    random = np.random.default_rng(seed)
    pids = np.repeat(np.arange(1, people + 1), each)
    vectors = random.standard_normal((people + 1, 16))[pids] + noise * random.standard_normal((len(pids), 16))
    both = Embeddings(vectors, pids, np.arange(len(pids)) % 4, [f"images/{row:03}.jpg" for row in range(len(pids))])
    query = np.arange(len(pids)) % each < 2
    return QueryGallery(both[query], both[~query])


@pytest.fixture
def runs(tmp_path) -> dict[str, QueryGallery]:
    made = {"a": town(1.6), "b": town(1.0)}
    for name, sets in made.items():
        sets.save(tmp_path / f"{name}.npz")
        (tmp_path / name).mkdir()
        sets.query.save(tmp_path / name / "query.npz")
        sets.gallery.save(tmp_path / name / "gallery.npz")
    return made


def run(tmp_path, capsys, *words) -> tuple[dict, str]:
    assert main(["evaluate", *map(str, words), "--json", str(tmp_path / "found.json")]) == 0
    return json.loads((tmp_path / "found.json").read_text()), " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("flags", "method"),
    [
        (["--rerank", "k-reciprocal", "--k1", "6", "--k2", "3"], KReciprocal(6, 3)),
        (["--rerank", "k-reciprocal", "--k1", "6", "--power", "2", "--weight", "0.1"], KReciprocal(6, 6, 0.1, 2)),
        (["--rerank", "k-reciprocal", "--k1", "6", "--distance", "euclidean"], KReciprocal(6, 6, distance="euclidean")),
        (["--rerank", "graph", "--k1", "8", "--k2", "3"], Graph(8, 3)),
    ],
)
def test_re_ranking_prints_before_and_after(tmp_path, capsys, runs, flags, method):
    found, said = run(tmp_path, capsys, tmp_path / "a.npz", *flags)
    sets = runs["a"]
    before = evaluate(sets.query, sets.gallery)
    convention = evaluate(sets.query, sets.gallery).convention
    if "euclidean" in flags:
        from dataclasses import replace

        convention = replace(MARKET1501, distance="euclidean")
        before = evaluate(sets.query, sets.gallery, convention)
    after = evaluate_reranked(sets.query, sets.gallery, convention, method)
    assert found["before"] == before.summary()
    assert {name: found[name] for name in after.summary()} == pytest.approx(after.summary())
    change = f"{100 * before.map:.2f} │ {100 * after.map:.2f} │ {100 * (after.map - before.map):+.2f}"
    assert change in said and f"{method.in_words()}: about 0 s and" in said
    assert f"note: after {method.in_words()}" in said


def test_a_k1_that_does_not_suit_is_warned_of(tmp_path, capsys, runs):
    _, said = run(tmp_path, capsys, tmp_path / "a.npz", "--rerank", "k-reciprocal")
    assert "k1 20 does not suit these data: a query person has 8 images in query and gallery (median). Try k1 8." in said


@pytest.mark.parametrize("form", [["a", "b"], ["a.npz", "b.npz"], ["a", "b.npz"]])
def test_two_runs_are_compared_in_pairs(tmp_path, capsys, runs, form):
    found, said = run(tmp_path, capsys, *(tmp_path / name for name in form), "--bootstrap", "200", "--seed", "3")
    a, b = (evaluate(sets.query, sets.gallery) for sets in runs.values())
    for unit in ("query", "person"):
        expected = compare(a, b, samples=200, unit=unit, seed=3)["map"]
        told = found["comparison"][unit]["map"]
        assert (told["a"], told["b"], told["interval"]) == (expected.a, expected.b, list(expected.interval))
        assert f"{100 * expected.interval.low:+.2f}, {100 * expected.interval.high:+.2f}" in said
    assert found["A"]["map"] == a.map and found["B"]["map"] == b.map
    assert "B is better in mAP at 95 %, by person" in said


def test_two_runs_with_re_ranking_and_one_line_a_query(tmp_path, capsys, runs):
    words = ["--rerank", "k-reciprocal", "--k1", "6", "--per-query", tmp_path / "lines.csv"]
    found, said = run(tmp_path, capsys, tmp_path / "a", tmp_path / "a", *words)
    sets = runs["a"]
    assert found["A"]["map"] == pytest.approx(evaluate_reranked(sets.query, sets.gallery, method=KReciprocal(6)).map)
    assert "no difference in mAP can be told at 95 %" in said
    assert (tmp_path / "lines.csv").read_text().count("\nB,images/") == 24


def test_numbers_by_condition(tmp_path, capsys, runs):
    names = runs["a"].query.names
    lines = [f"{name},{'front' if row % 2 else 'back'},{row}" for row, name in enumerate(names)]
    (tmp_path / "known.csv").write_text("path,pose,height_px\n" + "\n".join(lines) + "\n")
    found, said = run(tmp_path, capsys, tmp_path / "a.npz", "--conditions", tmp_path / "known.csv")
    scores = evaluate(runs["a"].query, runs["a"].gallery)
    back, front = by_condition(scores, ["front" if row % 2 else "back" for row in range(24)])
    assert [row["map"] for row in found["conditions"]["pose"]] == [back.map, front.map]
    assert [row["num_queries"] for row in found["conditions"]["height_px"]] == [8, 8, 8]
    assert f"front │ 12 │ {100 * front.rank1:.2f} │ {100 * front.map:.2f}" in said
    only, _ = run(tmp_path, capsys, tmp_path / "a.npz", "--conditions", tmp_path / "known.csv", "--by", "pose")
    assert list(only["conditions"]) == ["pose"]


def test_the_manifest_of_a_street_is_a_table_of_conditions(tmp_path, capsys, runs):
    rows = [
        {"folder": "query", "name": name.split("/")[1], "box": [0, 0, 40, 90 + row], "visible": 0.5 + row / 50, "others": []}
        for row, name in enumerate(runs["a"].query.names)
    ]
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    found, _ = run(tmp_path, capsys, tmp_path / "a.npz", "--conditions", tmp_path / "manifest.jsonl")
    assert list(found["conditions"]) == ["width_px", "height_px", "visible"]
    assert [row["value"] for row in found["conditions"]["height_px"]] == ["90 to 97.7", "97.7 to 105", "105 to 113"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["a.npz", "--k1", "5"], 2, "--k1 acts only with --rerank k-reciprocal or graph."),
        (["a.npz", "--rerank", "graph", "--power", "2"], 2, "--power: graph re-ranking takes cosines alone"),
        (
            ["a.npz", "--rerank", "graph", "--distance", "euclidean"],
            2,
            "--rerank graph takes cosines, the convention says euclidean",
        ),
        (["a.npz", "--rerank", "k-reciprocal", "--distance", "dot"], 2, "neighbours need --distance cosine or euclidean."),
        (["a.npz", "--rerank", "k-reciprocal", "--k1", "500"], 2, "re-ranking with k1 500 and k2 6 needs 501 images; query and"),
        (["a.npz", "--rerank", "graph", "--k1", "500"], 2, "re-ranking with k1 500 and k2 7 needs 500 images; query and"),
        (["a.npz", "--rerank", "k-reciprocal", "--weight", "2"], 2, "weight (lambda) 2.0: it is a share, 0 to 1."),
        (["a.npz", "--rerank", "k-reciprocal", "--rerank-memory-mb", "1"], 2, "memory_mb is 1: re-ranking 96 images"),
        (["a.npz", "--rerank", "graph", "--rerank-memory-mb", "nan"], 2, "memory_mb is nan: re-ranking 96 images"),
        (["a.npz", "--conditions", "list.jsonl"], 1, "list.jsonl, row 2: [1] is no object with columns by name."),
        (["a.npz", "--conditions", "latin.csv"], 1, "latin.csv is no CSV file in UTF-8: "),
        (["a.npz", "--conditions", "."], 1, "no such file. Give a CSV with a column path"),
        (["a.npz", "--by", "pose"], 2, "--by names columns of a table: give the table with --conditions."),
        (["a", "b", "--bootstrap", "0"], 2, "--bootstrap 0 with two runs: a comparison is made of draws"),
        (["a", "b", "--unit", "person"], 2, "--unit with two runs: intervals by query and by person are both printed."),
        (["a", "b", "--conditions", "none.csv"], 2, "--conditions goes with one run; compare the tables of both."),
        (["a.npz", "--conditions", "none.csv"], 1, "no such file. Give a CSV with a column path, or the manifest.jsonl"),
        (
            ["a.npz", "--conditions", "wrong.csv"],
            1,
            "has no row for any of 24 queries: the first is images/000.jpg, its first x.jpg.",
        ),
        (["a.npz", "--conditions", "nameless.csv"], 1, "row 1: no path, name, image or file; it holds pose."),
        (["a.npz", "--conditions", "empty.csv"], 1, "empty.csv has no rows."),
        (["a.npz", "--conditions", "broken.jsonl"], 1, "broken.jsonl is no file of JSON lines:"),
        (["a.npz", "--conditions", "right.csv", "--by", "posse"], 1, 'right.csv has no column "posse". Did you mean "pose"?'),
        (["a", "fewer.npz"], 1, "run A has 24 queries, run B 4: only runs on the same queries compare."),
    ],
)
def test_wrong_calls_are_refused_in_one_line(tmp_path, capsys, monkeypatch, runs, words, status, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.csv").write_text("path,pose\nx.jpg,front\n")
    (tmp_path / "right.csv").write_text("path,pose\nimages/000.jpg,front\n")
    (tmp_path / "nameless.csv").write_text("pose\nfront\n")
    (tmp_path / "empty.csv").write_text("path,pose\n")
    (tmp_path / "broken.jsonl").write_text("{\n")
    (tmp_path / "list.jsonl").write_text('{"path": "a", "pose": 1}\n[1]\n')
    (tmp_path / "latin.csv").write_bytes(b"path,pose\n\xfc.jpg,front\n")
    fewer = town(1.0, people=2)
    fewer.save(tmp_path / "fewer.npz")
    assert main(["evaluate", *words]) == status
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and message in said, said


def test_trials_and_re_ranking(tmp_path, capsys, runs):
    assert main(["evaluate", str(tmp_path / "a.npz"), "--trials", "--rerank", "graph"]) == 2
    assert re.search("--trials: re-ranking, --conditions and two runs go with a single split", capsys.readouterr().err)

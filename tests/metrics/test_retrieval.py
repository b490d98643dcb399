"""The evaluator against an evaluator that sorts everything, against hand-worked cases, and against itself in other forms."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, MissingDependencyError, UsageError
from passerby.metrics import ANY_CAMERA, CUHK03_CLASSIC, LAYUMI, MARKET1501, Convention, evaluate, evaluate_distances
from passerby.metrics.scores import RetrievalScores

RULES = {
    "ap": ("rank", "trapezoid"),
    "junk": ("drop", "keep"),
    "same_camera": ("drop", "keep"),
    "distractors": ("keep", "drop"),
    "without_match": ("skip", "count"),
    "ties": ("pessimistic", "optimistic"),
}
KERNELS = ("numba", "numpy")


def slow_average_precision(right: list[bool], rule: str) -> float:
    """Area under the steps (rank) or the straight lines (trapezoid) of the precision-recall curve, walked item by item."""
    total, found, previous = sum(right), 0, 1.0
    area = 0.0
    for place, is_right in enumerate(right, start=1):
        if is_right:
            found += 1
        precision = found / place
        if is_right:
            area += (precision if rule == "rank" else (previous + precision) / 2) / total
        previous = precision
    return area


def slow_list(distances, query, gallery, convention, names=None) -> list[tuple[bool, int]]:
    """(right, camera) of the gallery images that count for one query, nearest first: a plain sort."""
    pid, camid, name = query
    kept = []
    for column, (gallery_pid, gallery_camid) in enumerate(gallery):
        if gallery_pid == -1 and convention.junk == "drop":
            continue
        if gallery_pid == 0 and convention.distractors == "drop":
            continue
        if gallery_pid == pid and convention.same_camera == "drop" and gallery_camid == camid:
            continue
        if gallery_pid == pid and convention.same_camera == "keep" and names is not None and name and names[column] == name:
            continue
        right = gallery_pid == pid
        last_of_tied = right if convention.ties == "pessimistic" else not right
        kept.append((distances[column], last_of_tied, right, gallery_camid))
    return [(right, camid) for _, _, right, camid in sorted(kept, key=lambda item: item[:2])]


def slow_evaluate(distances, query_pids, gallery_pids, query_camids, gallery_camids, convention, max_rank=8):
    """The reference. None where a number must be refused."""
    Q, gallery = len(query_pids), list(zip(gallery_pids, gallery_camids, strict=True))
    if not Q or not gallery or -1 in query_pids or (convention.distractors == "drop" and 0 in query_pids):
        return None
    lists = [slow_list(distances[q], (query_pids[q], query_camids[q], ""), gallery, convention) for q in range(Q)]
    ap, inp, first = np.zeros(Q), np.zeros(Q), np.zeros(Q, dtype=int)
    pairs = {}
    for q, items in enumerate(lists):
        ranks = [place for place, (right, _) in enumerate(items, start=1) if right]
        if ranks:
            ap[q] = slow_average_precision([right for right, _ in items], convention.ap)
            inp[q], first[q] = len(ranks) / ranks[-1], ranks[0]
        for camera in {camid for right, camid in items if right}:
            within = [right for right, camid in items if camid == camera]
            pairs.setdefault((query_camids[q], camera), []).append((within[0], slow_average_precision(within, convention.ap)))
    if not first.any():
        return None
    counted = (first > 0) if convention.without_match == "skip" else np.ones(Q, dtype=bool)
    cmc = [((first > 0) & (first <= k))[counted].mean() for k in range(1, max_rank + 1)]
    table = {pair: (len(rows), *np.mean(rows, axis=0)) for pair, rows in pairs.items()}
    return {
        "cmc": cmc,
        "map": ap[counted].mean(),
        "minp": inp[counted].mean(),
        "ap": ap,
        "inp": inp,
        "first": first,
        "pairs": table,
    }


def assert_as_slow(scores: RetrievalScores, slow) -> None:
    np.testing.assert_array_equal(scores.first_rank, slow["first"])
    for fast, expected in (
        (scores.ap, slow["ap"]),
        (scores.inp, slow["inp"]),
        (scores.cmc, slow["cmc"]),
        ([scores.map, scores.minp], [slow["map"], slow["minp"]]),
    ):
        np.testing.assert_allclose(fast, expected, rtol=1e-12, atol=1e-15)
    assert scores.num_valid == (slow["first"] > 0).sum() == scores.valid.sum()
    assert scores.camera_pairs is not None
    table = {(row["query_camid"], row["gallery_camid"]): row for row in scores.camera_pairs.rows()}
    assert table.keys() == slow["pairs"].keys()
    for pair, (count, rank1, ap) in slow["pairs"].items():
        assert table[pair]["num_queries"] == count
        np.testing.assert_allclose([table[pair]["rank1"], table[pair]["map"]], [rank1, ap], rtol=1e-12)


def assert_same(left: RetrievalScores, right: RetrievalScores) -> None:
    """Equal to the last bit."""
    for name in ("cmc", "ap", "inp", "first_rank", "num_matches"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    assert (left.map, left.minp, left.num_tied, left.notes) == (right.map, right.minp, right.num_tied, right.notes)
    assert (left.camera_pairs is None) == (right.camera_pairs is None)
    if left.camera_pairs and right.camera_pairs:
        np.testing.assert_equal(vars(left.camera_pairs), vars(right.camera_pairs))


def random_case(rng: np.random.Generator):
    """Few persons, cameras and distances, so that ties, junk, missing matches and empty galleries are common."""
    Q, G = rng.integers(0, 5), rng.integers(0, 14)
    lowest = rng.choice([-1, 0, 1], p=[0.05, 0.2, 0.75])
    convention = Convention(**{name: str(rng.choice(values)) for name, values in RULES.items()})
    distances = rng.integers(0, rng.choice([2, 5, 1000]), (Q, G)).astype(rng.choice([np.float32, np.float64]))
    labels = rng.integers(lowest, 4, Q), rng.integers(-1, 4, G), rng.integers(0, 3, Q), rng.integers(0, 3, G)
    return distances, *labels, convention


@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_the_reference_on_thousands_of_cases(kernel):
    rng = np.random.default_rng(2024)
    scored = refused = tied = 0
    for _ in range(2000):
        *case, convention = random_case(rng)
        slow = slow_evaluate(*(part.tolist() for part in case), convention)
        if slow is None:
            refused += 1
            with pytest.raises(EmbeddingsError):
                evaluate_distances(*case, convention, kernel=kernel, threads=1)
        else:
            scored += 1
            scores = evaluate_distances(*case, convention, kernel=kernel, max_rank=8, threads=1)
            assert_as_slow(scores, slow)
            tied += scores.num_tied > 0
    assert min(scored, refused, tied) > 300


@st.composite
def conventions(draw) -> Convention:
    return Convention(**{name: draw(st.sampled_from(values)) for name, values in RULES.items()})


@settings(max_examples=60, deadline=None)
@given(conventions(), st.sampled_from(["cosine", "euclidean", "dot"]), st.integers(0, 2**32 - 1))
def test_vectors_give_what_their_distances_give(convention, distance, seed):
    """Vectors of +-1 have exact products and equal lengths, so the reference meets the same ties."""
    rng = np.random.default_rng(seed)
    Q, G = rng.integers(1, 5), rng.integers(1, 14)
    vectors = rng.choice([-1.0, 1.0], (Q + G, 4))
    query = Embeddings(vectors[:Q], rng.integers(1, 4, Q), rng.integers(0, 3, Q))
    gallery = Embeddings(vectors[Q:], rng.integers(-1, 4, G), rng.integers(0, 3, G))
    distances = -(query.vectors @ gallery.vectors.T)
    labels = [part.tolist() for part in (query.pids, gallery.pids, query.camids, gallery.camids)]
    slow = slow_evaluate(distances.tolist(), *labels, convention)
    convention = replace(convention, distance=distance)
    if slow is None:
        with pytest.raises(EmbeddingsError):
            evaluate(query, gallery, convention)
    else:
        assert_as_slow(evaluate(query, gallery, convention, max_rank=8), slow)


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "dot"])
def test_distances_are_those_of_their_name(distance):
    rng = np.random.default_rng(5)
    query = Embeddings(rng.normal(size=(20, 6)) * 3, rng.integers(1, 6, 20), rng.integers(0, 3, 20))
    gallery = Embeddings(
        rng.normal(size=(200, 6)) * rng.uniform(0.5, 4, (200, 1)), rng.integers(0, 6, 200), rng.integers(0, 3, 200)
    )
    q, g = query.vectors.astype(float), gallery.vectors.astype(float)
    exact = {
        "cosine": -(q / np.linalg.norm(q, axis=1)[:, None]) @ (g / np.linalg.norm(g, axis=1)[:, None]).T,
        "euclidean": np.linalg.norm(q[:, None] - g[None], axis=2),
        "dot": -q @ g.T,
    }[distance]
    slow = slow_evaluate(
        exact.tolist(), *(p.tolist() for p in (query.pids, gallery.pids, query.camids, gallery.camids)), MARKET1501
    )
    assert_as_slow(evaluate(query, gallery, replace(MARKET1501, distance=distance), max_rank=8), slow)


# The oracles of the specification: one query, hits at known ranks.
ORACLES = [({1, 3, 6}, 0.7222, 0.6778, 0.5), ({2}, 0.5, 0.25, 0.5), ({1}, 1.0, 1.0, 1.0), ({1, 2}, 1.0, 1.0, 1.0)]


@pytest.mark.parametrize(("hits", "by_rank", "by_trapezoid", "inp"), ORACLES)
def test_hand_worked_average_precision(hits, by_rank, by_trapezoid, inp):
    gallery_pids = [1 if place in hits else 2 for place in range(1, 8)]
    for rule, expected in (("rank", by_rank), ("trapezoid", by_trapezoid)):
        scores = evaluate_distances([list(range(7))], [1], gallery_pids, [0], [1] * 7, Convention(ap=rule))
        assert scores.map == pytest.approx(expected, abs=5e-5)
        assert scores.minp == pytest.approx(inp)
        assert scores.first_rank.tolist() == [min(hits)]
        assert scores.cmc[: min(hits)].tolist() == [0.0] * (min(hits) - 1) + [1.0]


def five_images(convention, **more) -> RetrievalScores:
    """Query: person 1, camera 0. Nearest first: own camera, junk, distractor, wrong, right, right."""
    pids, camids = [1, -1, 0, 2, 1, 1], [0, 1, 1, 1, 1, 2]
    return evaluate_distances([[0, 1, 2, 3, 4, 5]], [1], pids, [0], camids, convention, **more)


@pytest.mark.parametrize(
    ("convention", "first", "ap"),
    [
        (MARKET1501, 3, (1 / 3 + 2 / 4) / 2),
        (Convention(distractors="drop"), 2, (1 / 2 + 2 / 3) / 2),
        (Convention(junk="keep"), 4, (1 / 4 + 2 / 5) / 2),
        (Convention(same_camera="keep"), 1, (1 + 2 / 4 + 3 / 5) / 3),
    ],
)
def test_hand_worked_junk_and_distractors(convention, first, ap):
    scores = five_images(convention)
    assert scores.first_rank.tolist() == [first]
    assert scores.map == pytest.approx(ap)


def test_ties_are_bracketed_and_counted():
    """Right, wrong and wrong at one distance: rank 3 or rank 1; a sort would say any of 1, 2, 3."""
    for ties, rank in (("pessimistic", 3), ("optimistic", 1)):
        scores = evaluate_distances([[1, 1, 1, 2]], [1], [1, 2, 3, 4], [0], [1] * 4, Convention(ties=ties))
        assert (scores.first_rank.tolist(), scores.num_tied) == ([rank], 1)
    untied = evaluate_distances([[1, 2, 2, 1]], [1], [1, 2, 3, 1], [0], [1] * 4)
    assert (untied.num_tied, untied.map) == (0, 1.0)


def test_a_model_that_gives_one_vector_to_all_is_worst_not_lucky():
    """A sort leaves the gallery's own order, which is often sorted by person."""
    query = Embeddings(np.ones((3, 8)), [1, 2, 3], [0] * 3)
    gallery = Embeddings(np.ones((9, 8)), [1, 1, 1, 2, 2, 2, 3, 3, 3], [1] * 9)
    scores = evaluate(query, gallery)
    assert scores.first_rank.tolist() == [7, 7, 7]
    assert scores.num_tied == 3


def test_queries_without_a_match_are_skipped_or_counted():
    case = ([[0, 1], [0, 1]], [1, 9], [1, 2], [0, 0], [1, 1])
    skip, count = evaluate_distances(*case, MARKET1501), evaluate_distances(*case, LAYUMI)
    assert (skip.map, count.map, skip.rank(1), count.rank(1)) == (1.0, 0.5, 1.0, 0.5)
    assert (skip.num_queries, skip.num_valid, count.num_valid) == (2, 1, 1)
    assert skip.valid.tolist() == [True, False]
    assert skip.notes == ("1 of 2 queries have no right answer in the gallery and are left out of every mean.",)
    assert count.notes == ("1 of 2 queries have no right answer in the gallery and are counted as 0.",)


def test_pid_0_as_a_person_is_said():
    scores = evaluate_distances([[0, 1]], [0], [0, 1], [0], [1, 1])
    assert (scores.map, scores.notes) == (1.0, ("1 queries have pid 0, taken as a person and not as a distractor.",))


def test_the_curve_may_be_longer_than_the_gallery():
    scores = evaluate_distances([[1, 0]], [1], [1, 2], [0], [1, 1], max_rank=10)
    assert scores.cmc.tolist() == [0.0] + [1.0] * 9


def test_a_query_does_not_find_itself():
    """Leave-one-out on data with one camera: the image itself is out, by its name, and nameless images are all different."""
    vectors = [[1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [-0.1, 1.0]]
    named = Embeddings(vectors, [1, 2, 1, 2], [0] * 4, ["a", "b", "c", "d"])
    assert evaluate(named, named, ANY_CAMERA).first_rank.tolist() == [2, 3, 2, 2]
    nameless = Embeddings(vectors, [1, 2, 1, 2], [0] * 4)
    assert evaluate(nameless, nameless, ANY_CAMERA).rank(1) == 1.0


def people(count: int, seed: int, persons: int = 12, cameras: int = 4, dim: int = 8) -> Embeddings:
    rng = np.random.default_rng(seed)
    pids = rng.integers(1, persons + 1, count)
    centres = np.random.default_rng(0).normal(size=(persons + 1, dim))
    return Embeddings(centres[pids] + 2 * rng.normal(size=(count, dim)), pids, rng.integers(0, cameras, count))


@pytest.mark.parametrize("convention", [MARKET1501, Convention(distance="euclidean"), Convention(ties="optimistic"), ANY_CAMERA])
def test_both_kernels_give_the_same_bits(convention):
    """With few, with dozens and with hundreds of right answers a query, which are counted in different ways; and with ties."""
    for persons in (150, 12, 2):
        query, gallery = people(40, 1, persons), people(1500, 2, persons)
        gallery = Embeddings.concatenate([gallery, gallery[:200].with_vectors(gallery.vectors[200:400])])
        fast, plain = (evaluate(query, gallery, convention, kernel=kernel) for kernel in KERNELS)
        assert_same(fast, plain)
        assert fast.num_matches.max() > {150: 0, 12: 64, 2: 256}[persons]


@pytest.mark.parametrize("convention", [MARKET1501, LAYUMI, CUHK03_CLASSIC])
def test_block_size_and_threads_change_nothing(convention):
    """Whole-number vectors have exact products, so equality is to the last bit whatever the blocks."""
    query, gallery = people(60, 3), people(900, 4)
    query, gallery = (part.with_vectors(np.round(3 * part.vectors)) for part in (query, gallery))
    convention = replace(convention, distance="euclidean")
    whole = evaluate(query, gallery, convention, seed=7)
    for threads, kernel in itertools.product((1, 3), KERNELS):
        small = evaluate(query, gallery, convention, seed=7, memory_mb=1, threads=threads, kernel=kernel)
        assert_same(small, whole)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), conventions())
def test_the_order_of_the_gallery_changes_nothing(seed, convention):
    rng = np.random.default_rng(seed)
    distances, pids, camids = rng.integers(0, 4, (6, 30)), rng.integers(-1, 5, 30), rng.integers(0, 3, 30)
    query = ([1, 2, 3, 4, 1, 2], [0, 1, 2, 0, 1, 2])
    turn = rng.permutation(30)
    one = evaluate_distances(distances, query[0], pids, query[1], camids, convention)
    other = evaluate_distances(distances[:, turn], query[0], pids[turn], query[1], camids[turn], convention)
    assert_same(one, other)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-20, 20))
def test_lengths_change_no_cosine(seed, power):
    rng = np.random.default_rng(seed)
    query, gallery = people(10, seed), people(80, seed + 1)
    longer = (
        query.with_vectors(query.vectors * 2.0**power),
        gallery.with_vectors(gallery.vectors * 2.0 ** rng.integers(-20, 20, (80, 1))),
    )
    assert_same(evaluate(query, gallery), evaluate(*longer))


def test_tensors_and_blocks_of_distances_are_taken():
    query, gallery = people(30, 5), people(300, 6)
    distances = -(query.vectors @ gallery.vectors.T)
    labels = query.pids, gallery.pids, query.camids, gallery.camids
    whole = evaluate_distances(distances, *labels)
    assert_same(whole, evaluate_distances(torch.from_numpy(distances), *map(torch.from_numpy, labels)))
    assert_same(whole, evaluate_distances(distances.tolist(), *labels))
    assert_same(whole, evaluate_distances((distances[start : start + 7] for start in range(0, 30, 7)), *labels))
    assert_same(whole, evaluate_distances(iter([torch.from_numpy(distances[:29]), distances[29:]]), *labels))


def test_given_distances_are_not_written_to():
    distances = np.random.default_rng(0).normal(size=(3, 20))
    before = distances.copy()
    for kernel in KERNELS:
        evaluate_distances(distances, [1, 2, 1], [1, 2] * 10, [0] * 3, [1] * 20, kernel=kernel)
    np.testing.assert_array_equal(distances, before)


def test_progress_and_notes_of_the_vectors_reach_the_scores():
    query = Embeddings(np.eye(2), [1, 2], [0, 0], meta={"notes": ["half of each track stands in for a camera"]})
    gallery = Embeddings(np.eye(2), [1, 2], [1, 1], meta={"notes": ["half of each track stands in for a camera", "rendered"]})
    scores = evaluate(query, gallery, progress=True)
    assert scores.notes == ("half of each track stands in for a camera", "rendered")


@pytest.mark.parametrize("kernel", ["auto", "numba"])
def test_without_numba(monkeypatch, kernel):
    monkeypatch.setitem(__import__("sys").modules, "passerby.metrics.compiled", None)
    monkeypatch.setattr("passerby.metrics.counting._WORTH_COMPILING", 0)
    query, gallery = people(5, 1), people(50, 2)
    if kernel == "auto":
        assert_same(evaluate(query, gallery), evaluate(query, gallery, kernel="numpy"))
    else:
        with pytest.raises(MissingDependencyError, match='kernel "numba": numba is not installed'):
            evaluate(query, gallery, kernel="numba")


GOOD = people(4, 1), people(40, 2)
ONE_CAMERA = Embeddings(np.eye(2), [1, 2], [3, 3]), Embeddings(np.eye(2), [1, 2], [3, 3])
ZERO = Embeddings(np.zeros((2, 2)), [1, 2], [0, 0], ["a.jpg", "b.jpg"])
LONG = Embeddings(np.full((2, 2), 1e30), [1, 2], [0, 0]), Embeddings(np.full((2, 2), 1e30), [1, 2], [1, 1])
TWICE = Embeddings(np.eye(2), [1, 2], [0, 0], ["a", "b"]), Embeddings(np.eye(3), [1, 1, 2], [0] * 3, ["a", "a", "c"])
ONLY_ITSELF = Embeddings(np.eye(2), [1, 2], [0, 0], ["a", "b"])
LABELS = [1], [1, 2], [0], [1, 1]
REFUSED = [
    (lambda: evaluate(GOOD[0][:0], GOOD[1]), "the query is empty: there is nothing to evaluate."),
    (lambda: evaluate(GOOD[0], GOOD[1][:0]), "the gallery is empty"),
    (lambda: evaluate(GOOD[0], Embeddings(np.eye(2), [1, 2], [1, 1])), "queries have 8 dimensions, the gallery 2"),
    (
        lambda: evaluate(*(Embeddings(np.eye(2), [1, 2], [0, 0], meta={"artefact": name}) for name in ("4f", "a0"))),
        "queries were made by artefact 4f, the gallery by a0: one model must make both.",
    ),
    (
        lambda: evaluate(*ONE_CAMERA),
        "every true match is in its query's own camera (query camids 3, gallery camids 3), and this convention drops those. Are "
        'the cameras read rightly? For data with one camera use same_camera "keep" (--same-camera keep, or --convention '
        "any-camera).",
    ),
    (
        lambda: evaluate(ONE_CAMERA[0], Embeddings(np.eye(2), [7, 8], [1, 1])),
        "no query has its person in the gallery: query pids 1, 2, gallery pids 7, 8. Do both come from one data set?",
    ),
    (
        lambda: evaluate(ONLY_ITSELF, ONLY_ITSELF, ANY_CAMERA),
        "the only image of each query's person in the gallery is the query itself: there is nothing to find.",
    ),
    (
        lambda: evaluate(TWICE[0], TWICE[1].with_vectors(np.zeros((3, 2)) + 1), ANY_CAMERA),
        "1 names stand more than once in the gallery (a): a query would match a copy of itself. Take the copies out.",
    ),
    (
        lambda: evaluate(ZERO, ONE_CAMERA[0]),
        "2 of 2 query vectors are zero (a.jpg, b.jpg): the cosine of a zero vector is undefined.",
    ),
    (lambda: evaluate(ONE_CAMERA[0], ZERO), "2 of 2 gallery vectors are zero"),
    (
        lambda: evaluate(*LONG, Convention(distance="dot")),
        "vectors up to 1.41e+30 (query) and 1.41e+30 (gallery) long: products overflow float32. Scale all vectors",
    ),
    (
        lambda: evaluate_distances([[0]], [1], [-1], [0], [1]),
        "all 1 gallery images are junk (pid -1) or dropped distractors (pid 0): none is left.",
    ),
    (
        lambda: evaluate_distances([[0], [0]], [-1, 1], [1], [0, 0], [1]),
        "1 queries have pid -1 (row 0): it is no person. Take these queries out.",
    ),
    (
        lambda: evaluate_distances([[0]], [0], [1], [0], [1], Convention(distractors="drop")),
        "1 queries have pid 0 (row 0): this convention drops pid 0 as distractors",
    ),
    (
        lambda: evaluate_distances([[0, np.nan]], *LABELS),
        "the distance of query 0 to gallery image 1 is nan: all must be finite.",
    ),
    (lambda: evaluate_distances([[0, np.inf]], *LABELS), "the distance of query 0 to gallery image 1 is inf"),
    (
        lambda: evaluate_distances([[0, 1, 2]], *LABELS),
        "distances of shape (1, 3) from query 0 on: 1 queries x 2 gallery images go here.",
    ),
    (lambda: evaluate_distances([[0, 1]] * 2, *LABELS), "distances of shape (2, 2) from query 0 on: 1 queries"),
    (lambda: evaluate_distances(np.zeros(2), *LABELS), "distances of shape (2,) from query 0 on"),
    (lambda: evaluate_distances(iter(()), *LABELS), "distances for 0 queries arrived, the labels are of 1."),
    (lambda: evaluate_distances([[0, 1]], [1.5], [1, 2], [0], [1, 1]), "pids hold 1.5 (type float64): whole numbers are needed."),
]
MISUSED = [
    (lambda: evaluate(*GOOD, max_rank=0), "max_rank is 0: it must be 1 or more."),
    (lambda: evaluate(*GOOD, memory_mb=0), "memory_mb is 0: it must be 1 or more."),
    (lambda: evaluate(*GOOD, threads=0), "threads is 0: it must be 1 or more."),
    (lambda: evaluate(*GOOD, kernel="cuda"), 'no counting kernel "cuda". Allowed: auto, numba, numpy.'),  # type: ignore[arg-type]
    (lambda: evaluate(people(2, 1), people(20_000, 1), memory_mb=1), "memory_mb is 1: this evaluation needs at least "),
    (
        lambda: evaluate(*GOOD, Convention(multi_query="mean")),
        'the convention says multi_query "mean", but no multi-query images were given: give both or neither.',
    ),
    (
        lambda: evaluate(*GOOD, multi_query=GOOD[0]),
        'the convention says multi_query "none", but multi-query images were given: give both or neither.',
    ),
    (
        lambda: evaluate_distances([[0, 1]], *LABELS, Convention(multi_query="mean")),
        'the convention says multi_query "mean": distances cannot be pooled, use evaluate.',
    ),
]


@pytest.mark.parametrize(("act", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_has_no_number_is_refused(act, message):
    with pytest.raises(EmbeddingsError, match=re.escape(message)):
        act()


@pytest.mark.parametrize(("act", "message"), MISUSED, ids=[message[:40] for _, message in MISUSED])
def test_misuse_is_refused(act, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        act()

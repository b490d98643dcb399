"""The exact search: every way gives what a plain sort of all products gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.errors import UsageError
from passerby.gallery import exact
from passerby.gallery.exact import BF16_ERROR, most_similar
from passerby.gallery.grouping import first_of_groups
from passerby.gallery.store import Found

WAYS = ("numpy", "scan", "fp32", "bf16")


def units(random: np.random.Generator, N: int, D: int = 32, around: float = 0.0) -> np.ndarray:
    """Rows of length 1; with `around` they all lie near one direction, as a collapsed model makes them."""
    made = random.standard_normal((N, D)) + around * np.ones(D)
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def by_sorting(vectors: np.ndarray, rows: np.ndarray | None, query: np.ndarray, k: int) -> tuple[list[int], list[float]]:
    places = np.arange(len(vectors)) if rows is None else rows
    products = vectors[places].astype(np.float64) @ query.astype(np.float64)
    order = np.lexsort((places, -products))[:k]
    return places[order].tolist(), products[order].tolist()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("around", [0.0, 3.0])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_every_way_finds_what_sorting_finds(way, around: float, share: float):
    random = np.random.default_rng(3)
    vectors, queries = units(random, 9000, 64, around), units(random, 11, 64, around)
    rows = None if share == 1 else np.flatnonzero(random.random(9000) < share)
    for found, query in zip(most_similar(vectors, rows, queries, 20, way=way), queries, strict=True):
        ids, similar = by_sorting(vectors, rows, query, 20)
        assert np.allclose(found.similarities, similar, atol=1e-6)
        # Two products may differ by less than the rounding of a sum: then either order is right.
        assert set(found.ids.tolist()) == set(ids) or abs(similar[-1] - found.similarities[-1]) < 1e-6


@settings(max_examples=25, deadline=None)
@given(N=st.integers(1, 40), Q=st.integers(0, 3), k=st.integers(1, 50), way=st.sampled_from(WAYS), seed=st.integers(0, 9))
def test_any_size_with_equal_rows(N: int, Q: int, k: int, way, seed: int):
    random = np.random.default_rng(seed)
    vectors = np.eye(4, dtype=np.float32)[random.integers(0, 4, N)]  # exact products, many of them equal
    queries = np.array([[0.5, 0.25, -0.5, 0.0]], np.float32).repeat(Q, axis=0)
    found = most_similar(vectors, None, queries, k, way=way)
    assert len(found) == Q
    for each in found:
        ids, similar = by_sorting(vectors, None, queries[0], k)
        assert each.ids.tolist() == ids and each.similarities.tolist() == similar


def test_the_bound_of_bf16_holds():
    import torch

    random = np.random.default_rng(0)
    for D in (16, 512, 2048):
        for around in (0.0, 1.0):
            a, b = (torch.from_numpy(units(random, 300, D, around)) for _ in range(2))
            wrong = (a.bfloat16() @ b.bfloat16().T).float() - a.double() @ b.double().T
            assert float(wrong.abs().max()) < BF16_ERROR


@pytest.mark.parametrize("rows", [None, np.arange(0, 900, 3)])
def test_several_cores_share_a_scan(monkeypatch: pytest.MonkeyPatch, rows):
    random = np.random.default_rng(4)
    vectors, (query,) = units(random, 900), units(random, 1)
    alone = exact._scanned(vectors, rows, query, 30)
    monkeypatch.setattr(exact, "_ALONE", 0)
    monkeypatch.setattr(exact, "available_cores", lambda: 3)
    shared = exact._scanned(vectors, rows, query, 30)
    assert shared.ids.tolist() == alone.ids.tolist() == by_sorting(vectors, rows, query, 30)[0]


def test_the_usual_way_goes_by_the_shape_of_the_call(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exact, "_bf16_is_fast", lambda: False)
    assert [exact._way(*shape) for shape in ((100, 1), (10**6, 1), (10**6, 100))] == ["numpy", "scan", "fp32"]
    monkeypatch.setattr(exact, "_bf16_is_fast", lambda: True)
    assert exact._way(10**6, 100) == "bf16"


def test_no_row_and_no_way():
    vectors = np.eye(4, dtype=np.float32)
    (found,) = most_similar(vectors, np.zeros(0, np.int64), vectors[:1], 5)
    assert len(found.ids) == 0
    with pytest.raises(UsageError, match='no way "quick" to search'):
        most_similar(vectors, None, vectors[:1], 1, way="quick")  # pyright: ignore[reportArgumentType]


@settings(max_examples=50, deadline=None)
@given(groups=st.lists(st.integers(-1, 4), min_size=1, max_size=60), k=st.integers(1, 8), seed=st.integers(0, 9))
def test_the_first_of_each_group(groups: list[int], k: int, seed: int):
    similar = np.random.default_rng(seed).random(len(groups)).astype(np.float32)
    of = np.array(groups)

    def search(queries: np.ndarray, count: int) -> list[Found]:
        order = np.argsort(-similar, kind="stable")[:count]
        return [Found(order, similar[order]) for _ in queries]

    (found,) = first_of_groups(search, np.zeros((1, 2)), k, lambda places: of[places], len(groups))
    seen, expected = set(), []
    for place in np.argsort(-similar, kind="stable").tolist():
        group = groups[place] if groups[place] >= 0 else ("alone", place)
        if group not in seen:
            seen.add(group)
            expected.append(place)
    assert found.ids.tolist() == expected[:k]

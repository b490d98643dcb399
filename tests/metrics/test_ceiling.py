"""The ceiling of memory holds for every protocol, measured; and what does not fit is refused with what would."""

import re
import tracemalloc

import numpy as np
import pytest

from passerby.embeddings import Embeddings
from passerby.errors import UsageError
from passerby.metrics import Convention, evaluate

CASES = {
    "plain": (Convention(), 64, 500),
    "many right answers": (Convention(), 64, 8),
    "names compared": (Convention(same_camera="keep"), 64, 500),
    "drawn gallery": (Convention(shots="single"), 64, 500),
    "drawn often": (Convention(shots="single", repeats=300), 32, 800),
    "drawn among many": (Convention(shots="single", repeats=40), 16, 8000),
    "multi-query mean": (Convention(multi_query="mean"), 1024, 500),
    "multi-query max": (Convention(multi_query="max", distance="dot"), 1024, 500),
}


def people(count: int, dim: int, persons: int, prefix: str, seed: int) -> Embeddings:
    random = np.random.default_rng(seed)
    names = np.array([f"{prefix}/{number:06d}_c1s1_000451_03.jpg" for number in range(count)])
    vectors = random.standard_normal((count, dim), dtype=np.float32)
    return Embeddings(vectors, random.integers(1, persons + 1, count), random.integers(0, 6, count), names)


def peak_mb(call) -> float:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", CASES)
def test_no_protocol_takes_more_than_the_ceiling(name):
    convention, dim, persons = CASES[name]
    query, gallery = people(900, dim, persons, "query", 1), people(6000, dim, persons, "bounding_box_test", 2)
    more = people(3000, dim, persons, "more", 3) if convention.multi_query != "none" else None

    def scored(memory_mb: float):
        return evaluate(query, gallery, convention, multi_query=more, memory_mb=memory_mb, kernel="numpy", threads=2)

    scored(1000)  # what is imported at the first call is no memory of the second
    with pytest.raises(UsageError, match=r"^memory_mb is 1: this evaluation needs at least \d+\.$") as refused:
        scored(1)
    least = int(re.findall(r"\d+", str(refused.value))[-1])
    for memory_mb in (least, least + 3, 3 * least):
        assert peak_mb(lambda ceiling=memory_mb: scored(ceiling)) <= memory_mb


def test_the_ceiling_changes_no_number():
    """Neither the draws of a single shot nor pooled vectors depend on how much is done at once."""
    for name in ("drawn often", "multi-query mean"):
        convention, _, persons = CASES[name]
        query, gallery, more = (people(n, 8, persons, str(n), n) for n in (50, 2000, 700))
        more = more if convention.multi_query != "none" else None
        few, many = (evaluate(query, gallery, convention, multi_query=more, memory_mb=mb, seed=3) for mb in (8, 500))
        assert np.array_equal(few.ap, many.ap) and np.array_equal(few.first_rank, many.first_rank)


def test_a_draw_does_not_depend_on_how_many_are_made_together(monkeypatch):
    query, gallery = people(40, 8, 30, "query", 1), people(300, 8, 30, "gallery", 2)
    convention = Convention(shots="single", repeats=25)
    together = evaluate(query, gallery, convention, seed=5)
    monkeypatch.setattr("passerby.metrics.protocols.DRAWN_NUMBERS", 40)
    assert np.array_equal(evaluate(query, gallery, convention, seed=5).first_rank, together.first_rank)


def test_a_large_group_is_pooled_piece_by_piece(monkeypatch):
    query, gallery, more = (people(count, 8, 2, str(count), count) for count in (6, 50, 400))
    for how in ("mean", "max"):
        convention = Convention(multi_query=how)
        monkeypatch.undo()
        whole = evaluate(query, gallery, convention, multi_query=more)
        monkeypatch.setattr("passerby.metrics.protocols.BLOCK_NUMBERS", 24)
        pieces = evaluate(query, gallery, convention, multi_query=more)
        assert np.allclose(pieces.ap, whole.ap, atol=1e-6)

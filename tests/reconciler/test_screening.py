"""What rough products may leave out, and that they change nothing that is found."""

import re
from dataclasses import replace

import numpy as np
import pytest

from passerby.embeddings import Embeddings, QueryGallery
from passerby.errors import UsageError
from passerby.metrics import MARKET1501, evaluate
from passerby.reconciler import Claim, Explanation, explain
from passerby.reconciler.products import Products
from passerby.reconciler.screening import Screen, Screening


def town(seed: int, people: int = 60, count: int = 500, dim: int = 48) -> QueryGallery:
    random = np.random.default_rng(seed)
    pids, camids = random.integers(0, people, count), random.integers(0, 4, count)
    vectors = random.normal(size=(people, dim))[pids] + 1.6 * random.normal(size=(count, dim))
    vectors *= random.lognormal(0, 0.3, count)[:, None]
    pids[random.random(count) < 0.1] = -1
    both, asks = Embeddings(vectors, pids, camids), (random.random(count) < 0.3) & (pids > 0)
    return QueryGallery(both[asks], both[~asks], both[pids > 0])


SETS = [town(seed) for seed in range(2)]


def claim_of(scores) -> Claim:
    return Claim(map=f"{100 * scores.map:.2f}", rank1=f"{100 * scores.rank(1):.2f}")


def turned(sets: QueryGallery) -> QueryGallery:
    """Other features of the same images, with some numbers far larger than the rest."""
    assert sets.multi_query is not None
    parts = (sets.query, sets.gallery, sets.multi_query)
    return QueryGallery(*(Embeddings(p.vectors**3, p.pids, p.camids) for p in parts))


@pytest.fixture
def multiplied(monkeypatch):
    """How often queries and gallery were multiplied: exactly, roughly."""
    counts = {False: 0, True: 0}
    blocks = Products.blocks

    def counting(self):
        counts[self.rounded is not None] += 1
        return blocks(self)

    monkeypatch.setattr(Products, "blocks", counting)
    return counts


CLAIMS = [
    ("", {"multi_query": "max", "ap": "trapezoid"}),
    ("", {"multi_query": "mean", "distance": "euclidean", "junk": "keep"}),
    ("", {"multi_query": "max", "distance": "dot", "same_camera": "keep"}),
    ("cubed", {"multi_query": "mean"}),
    ("cubed", {"multi_query": "max", "distance": "dot"}),
    ("", {"junk": "keep"}),
]


def found_by(screen: Screening, sets: QueryGallery, claim: Claim, **others: QueryGallery) -> Explanation:
    return explain(sets, claim, others=others, screen=screen, rerank=False, single_shot=False)


@pytest.mark.parametrize(("features", "change"), CLAIMS, ids=lambda part: part if isinstance(part, str) else "+".join(part))
def test_screening_finds_what_is_found_without(features, change):
    others = {"cubed": turned(SETS[0])}
    of = others[features] if features else SETS[0]
    more = of.multi_query if "multi_query" in change else None
    claim = claim_of(evaluate(of.query, of.gallery, replace(MARKET1501, **change), multi_query=more))
    found, expected = found_by("always", SETS[0], claim, **others), found_by("never", SETS[0], claim, **others)
    assert found.exact and (found.candidates, found.start) == (expected.candidates, expected.start)


@pytest.mark.parametrize(
    "claim", [Claim(map="12.34"), Claim(map="99.90", rank1="12.00"), Claim(map="55.512345", rank1="71.12345")]
)
def test_the_nearest_are_the_same_ten(claim):
    cubed = turned(SETS[1])
    found, expected = found_by("always", SETS[1], claim, cubed=cubed), found_by("never", SETS[1], claim, cubed=cubed)
    assert not found.exact and found.candidates == expected.candidates


def test_what_is_nowhere_near_is_multiplied_roughly_alone(multiplied):
    convention = replace(MARKET1501, junk="keep", same_camera="keep", ap="trapezoid")
    claim = claim_of(evaluate(SETS[0].query, SETS[0].gallery, convention))
    found_by("never", SETS[0], claim)
    assert multiplied == {False: 5, True: 0}  # single, and two ways of pooling for cosines and for the rest
    multiplied.update({False: 0})
    assert found_by("always", SETS[0], claim).exact
    assert multiplied == {False: 2, True: 5}  # single queries both ways, to see how far rough is off; and one that is near


def test_small_sets_are_not_screened(multiplied):
    found_by("auto", SETS[0], Claim(map="50"))
    assert multiplied[True] == 0


def test_large_sets_are_screened_where_that_pays(monkeypatch):
    features = {"": SETS[0]}
    assert Screen(Claim(map="5"), features, "always").on and not Screen(Claim(map="5"), features, "never").on
    monkeypatch.setattr("passerby.reconciler.screening._WORTH_SCREENING", 1000)
    for pays in (True, False):
        monkeypatch.setattr("passerby.reconciler.screening.rounding_pays", lambda dim, pays=pays: pays)
        assert Screen(Claim(map="5"), features, "auto").on is pays


def test_no_such_screening():
    with pytest.raises(UsageError, match=re.escape('no screening "alway". Did you mean "always"?')):
        explain(SETS[0], Claim(map="50"), screen="alway")  # type: ignore[arg-type]


def test_products_that_are_too_large_to_keep_are_made_again(monkeypatch, multiplied):
    small = QueryGallery(SETS[0].query[:20], SETS[0].gallery[:100])
    kept = explain(small, Claim(map="33.33"))
    monkeypatch.setattr("passerby.reconciler.search._KEPT_MB", 0)
    again = explain(small, Claim(map="33.33"))
    assert [(one.switches, one.distance) for one in kept.candidates] == [
        (one.switches, pytest.approx(one.distance, abs=1e-3)) for one in again.candidates
    ]

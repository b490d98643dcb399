"""The reconciler: its counts against the evaluator, planted switches, and what it refuses."""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from passerby.embeddings import Embeddings, QueryGallery
from passerby.errors import EmbeddingsError, UsageError
from passerby.metrics import ANY_CAMERA, LAYUMI, MARKET1501, evaluate, evaluate_distances
from passerby.reconciler import Claim, Setting, explain, words
from passerby.reconciler.profiles import Gallery, Numbers, Profile, View
from passerby.reconciler.switches import RERANKINGS
from passerby.rerank import evaluate_reranked, rerank_together
from passerby.rerank.joined import Workers


def town(seed=0, people=25, each=9, dim=12, noise=0.9) -> QueryGallery:
    random = np.random.default_rng(seed)
    pids = np.repeat(np.arange(people + 1), each)
    random.shuffle(pids)
    camids = random.integers(0, 4, len(pids))
    shift = 0.6 * random.standard_normal((4, dim))
    vectors = random.standard_normal((people + 1, dim))[pids] + noise * random.standard_normal((len(pids), dim)) + shift[camids]
    vectors *= random.lognormal(0, 0.3, len(pids))[:, None]
    pids[random.random(len(pids)) < 0.1] = -1
    both = Embeddings(vectors, pids, camids)
    asks = (random.random(len(pids)) < 0.3) & (pids > 0)
    query = both[asks]
    strangers = Embeddings(query.vectors[:4], query.pids[:4] + 1000, query.camids[:4])
    return QueryGallery(Embeddings.concatenate([query, strangers]), both[~asks], both[pids > 0])


SETS = town()
ZERO = SETS.gallery.with_vectors(SETS.gallery.vectors * 0)
FLAT = SETS.gallery.with_vectors(SETS.gallery.vectors[:, :5])


@pytest.mark.parametrize("kernel", ["numba", "numpy"])
def test_counts_by_kind_give_the_evaluators_numbers(kernel):
    """Every combination of counting rules, on similarities with ties."""
    random = np.random.default_rng(1)
    similar = random.integers(0, 30, (len(SETS.query), len(SETS.gallery))).astype(np.float32)
    labels = Gallery(SETS.query, SETS.gallery, zero_is_nobody=True)
    profile = Profile.empty(labels)
    workers, one = Workers.choose(kernel, 1, 2), np.ones(len(SETS.gallery), dtype=np.float32)
    for first in range(0, len(similar), 20):
        profile.enter(similar[first : first + 20], first, labels, View(labels.order, one, 0 * one), workers)
    columns = SETS.query.pids, SETS.gallery.pids, SETS.query.camids, SETS.gallery.camids
    for junk, own, nobody, without, ties, ap in product(
        ("drop", "keep"),
        ("drop", "keep"),
        ("keep", "drop"),
        ("skip", "count"),
        ("pessimistic", "optimistic"),
        ("rank", "trapezoid"),
    ):
        convention = replace(MARKET1501, junk=junk, same_camera=own, distractors=nobody, without_match=without, ties=ties, ap=ap)
        expected = evaluate_distances(-similar, *columns, convention)
        found = profile.numbers(convention)
        assert found is not None
        assert found.map == pytest.approx(expected.map)
        assert [found.rank1, found.rank5, found.rank10] == pytest.approx([expected.rank(k) for k in (1, 5, 10)])
    assert profile.tied


def claim_of(scores) -> Claim:
    return Claim(map=f"{100 * scores.map:.2f}", rank1=f"{100 * scores.rank(1):.2f}")


PLANTS = [
    {"ap": "trapezoid"},
    {"ap": "trapezoid", "without_match": "count"},
    {"junk": "keep", "distance": "euclidean"},
    {"same_camera": "keep", "distance": "dot", "distractors": "drop"},
    {"multi_query": "mean", "ap": "trapezoid", "junk": "keep"},
    {"multi_query": "max", "distance": "euclidean"},
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: "+".join(plant))
def test_planted_switches_are_found(plant):
    convention = replace(MARKET1501, **plant)
    more = SETS.multi_query if "multi_query" in plant else None
    found = explain(SETS, claim_of(evaluate(SETS.query, SETS.gallery, convention, multi_query=more)), rerank=False)
    assert found.exact
    assert {axis: now for axis, _, now in found.candidates[0].switches} == plant
    assert found.candidates[0].setting == Setting(convention)


@pytest.mark.parametrize("name", ["k-reciprocal", "k-reciprocal-power", "graph"])
def test_planted_re_ranking_is_found(name):
    scores = evaluate_reranked(SETS.query, SETS.gallery, replace(MARKET1501, ap="trapezoid"), RERANKINGS[name])
    found = explain(SETS, claim_of(scores))
    assert found.exact
    assert found.candidates[0].switches == (("rerank", "none", name), ("ap", "rank", "trapezoid"))


def test_other_stored_features_and_single_shots():
    flat = QueryGallery(*(Embeddings(p.vectors[:, :8], p.pids, p.camids) for p in (SETS.query, SETS.gallery)))
    scores = evaluate(flat.query, flat.gallery, replace(MARKET1501, ap="trapezoid"))
    found = explain(SETS, claim_of(scores), others={"before neck": flat}, rerank=False)
    assert found.candidates[0].switches == (("features", "", "before neck"), ("ap", "rank", "trapezoid"))
    shot = evaluate(SETS.query, SETS.gallery, replace(MARKET1501, shots="single"), seed=5)
    found = explain(SETS, Claim(map=f"{100 * shot.map:.1f}"), rerank=False, max_switches=1)
    assert ("shots", "all", "single") in found.candidates[0].switches


def test_a_query_that_stands_in_the_gallery_is_no_answer_to_itself():
    known = SETS.gallery[SETS.gallery.pids > 0]
    named = Embeddings(known.vectors, known.pids, known.camids, [f"{row}.jpg" for row in range(len(known))])
    scores = evaluate(named, named, replace(ANY_CAMERA, ap="trapezoid"))
    found = explain(QueryGallery(named, named), claim_of(scores), rerank=False)
    assert {(axis, now) for axis, _, now in found.candidates[0].switches} == {("same_camera", "keep"), ("ap", "trapezoid")}


def test_junk_among_the_neighbours_counts_as_a_second_switch():
    kept = replace(MARKET1501, junk="keep")
    blocks = next(iter(rerank_together(SETS.query, SETS.gallery, [RERANKINGS["k-reciprocal"]])))
    columns = SETS.query.pids, SETS.gallery.pids, SETS.query.camids, SETS.gallery.camids
    distances = np.concatenate([block.copy() for block in blocks])
    found = explain(SETS, claim_of(evaluate_distances(distances, *columns)))
    assert found.candidates[0].switches == (("rerank", "none", "k-reciprocal"), ("rerank_junk", "drop", "keep"))
    found = explain(SETS, claim_of(evaluate_distances(distances, *columns, kept)))
    assert found.candidates[0].switches[2:] == (("junk", "drop", "keep"),)


def test_a_claim_that_the_start_explains_has_no_switches():
    found = explain(SETS, claim_of(evaluate(SETS.query, SETS.gallery, LAYUMI)), convention=LAYUMI)
    assert found.exact and found.candidates[0].switches == () and found.start == found.candidates[0]


def test_an_impossible_claim_gets_the_nearest():
    found = explain(SETS, Claim(map="99.99"), max_switches=2, rerank=False)
    assert not found.exact and len(found.candidates) == 10
    distances = [candidate.distance for candidate in found.candidates]
    assert distances == sorted(distances) and distances[0] > 0
    assert found.tried > 50


def test_few_images_leave_re_ranking_out_and_say_so():
    tiny = QueryGallery(SETS.query[:4], SETS.gallery[SETS.gallery.pids > 0][:20])
    found = explain(tiny, Claim(map="50"), convention=replace(ANY_CAMERA))
    assert found.notes == ("re-ranking was not tried: it looks at 27 neighbours, and there are fewer images.",)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "no claim: give at least one number in percent, for instance --claim 81.1 for mAP."),
        ({"map": "81,1"}, 'claim mAP "81,1" is no number: write percent with a point'),
        ({"map": "-3"}, 'claim mAP "-3" is no number'),
        ({"rank1": "100.1"}, "claim Rank-1 100.1: a score is a percentage, 0 to 100."),
        ({"rank5": "0.811"}, "claim Rank-5 0.811 looks like a fraction: write percent, 81.1."),
    ],
)
def test_claims_out_of_range(values, text):
    with pytest.raises(UsageError, match=re.escape(text)):
        Claim(**values)


def test_a_claim_holds_what_rounds_to_it():
    assert Claim(map="81.1").distance(Numbers(0.81149, 0, 0, 0)) == 0
    assert Claim(map="81.10").distance(Numbers(0.81149, 0, 0, 0)) == pytest.approx(0.044, abs=1e-5)
    assert Claim(map="81.1", rank1="90").distance(Numbers(0.811, 0.88, 0, 0)) == pytest.approx(1.5, abs=1e-5)
    assert Claim(map="81.1", rank1="90").in_words() == "mAP 81.1 %, Rank-1 90 %"


@pytest.mark.parametrize(
    ("change", "options", "error", "text"),
    [
        ({}, {"max_switches": 0}, UsageError, "explain with up to 0 switches: 1 is the least."),
        ({}, {"convention": replace(MARKET1501, shots="single")}, UsageError, "the search starts from the whole gallery"),
        ({}, {"others": {"flat": town(1)}}, EmbeddingsError, 'features "flat" are not of the same images in the same order'),
        ({"gallery": SETS.gallery[[]]}, {}, EmbeddingsError, "the gallery is empty: there is nothing to evaluate."),
        ({"query": SETS.query[[]]}, {}, EmbeddingsError, "the query is empty"),
        ({"gallery": SETS.gallery.with_vectors(SETS.gallery.vectors * 0)}, {}, EmbeddingsError, "gallery vectors are zero"),
        ({"gallery": FLAT}, {}, EmbeddingsError, "queries have 12 dimensions, the gallery 5: one model must make both."),
        ({"multi_query": FLAT}, {}, EmbeddingsError, "multi-query images have 5 dimensions, the gallery 12"),
        ({"multi_query": ZERO}, {}, EmbeddingsError, "multi-query vectors are zero"),
        ({}, {"others": {"raw": replace(SETS, gallery=ZERO)}}, EmbeddingsError, 'gallery vectors of features "raw" are zero'),
        ({}, {"others": {"raw": replace(SETS, gallery=FLAT)}}, EmbeddingsError, 'queries of features "raw" have 12 dimensions'),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_is_refused(change, options, error, text):
    with pytest.raises(error, match=re.escape(text)):
        explain(replace(SETS, **change), Claim(map="50"), **options)


def test_every_choice_has_words():
    assert words("rerank", "graph") == "graph re-ranking, k1 26, k2 7, lambda 0.3, from cosines"
    assert words("features", "flip") == 'features "flip"' and words("features", "") == "features as given first"
    assert words("ap", "trapezoid") == "AP by the trapezoid rule"

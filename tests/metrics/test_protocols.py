"""Multi-query and the single gallery shot, against what they are by definition."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.metrics import CUHK03_CLASSIC, MARKET1501, MARKET1501_MULTI_QUERY, evaluate, evaluate_distances, pool_queries


def people(count: int, seed: int) -> Embeddings:
    rng = np.random.default_rng(seed)
    return Embeddings(rng.normal(size=(count, 5)), rng.integers(1, 4, count), rng.integers(0, 3, count))


@pytest.mark.parametrize(("how", "pool"), [("mean", np.mean), ("max", np.max)])
@pytest.mark.parametrize("unit", [True, False])
def test_pooling_equals_a_loop(how, pool, unit):
    query, more = people(9, 1), people(40, 2)
    pooled = pool_queries(query, more, how, unit=unit)
    for row in range(len(query)):
        members = more.vectors[(more.pids == query.pids[row]) & (more.camids == query.camids[row])]
        if unit:
            members = members / np.linalg.norm(members, axis=1, keepdims=True)
        assert len(members)
        np.testing.assert_allclose(pooled.vectors[row], pool(members, axis=0), rtol=1e-5)
    assert (pooled.pids.tolist(), pooled.camids.tolist(), pooled.notes) == (query.pids.tolist(), query.camids.tolist(), ())


def test_a_query_without_more_images_keeps_its_vector_and_it_is_said():
    query = Embeddings([[3.0, 0.0], [0.0, 2.0]], [1, 2], [0, 0], meta={"notes": ["drawn people"]})
    more = Embeddings([[0.0, 5.0]], [1], [0])
    pooled = pool_queries(query, more, "mean")
    assert pooled.vectors.tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert pooled.notes == ("drawn people", "1 queries have no multi-query images and kept their own vector.")


def test_multi_query_search_is_search_with_the_pooled_queries():
    query, more, gallery = people(9, 1), people(40, 2), people(60, 3)
    pooled = pool_queries(query, more, "mean")
    by_hand = evaluate(pooled, gallery, MARKET1501)
    scores = evaluate(query, gallery, MARKET1501_MULTI_QUERY, multi_query=more)
    assert scores.map == by_hand.map != evaluate(query, gallery).map


def test_single_shot_equals_the_whole_gallery_where_each_person_has_one_image():
    rng = np.random.default_rng(3)
    distances, labels = rng.normal(size=(8, 8)), (np.arange(1, 9), np.arange(1, 9), [0] * 8, [1] * 8)
    single = evaluate_distances(distances, *labels, CUHK03_CLASSIC)
    whole = evaluate_distances(distances, *labels, MARKET1501)
    assert single.first_rank.tolist() == [[rank] * 10 for rank in whole.first_rank]
    assert single.summary() == pytest.approx(whole.summary())
    assert single.camera_pairs is None and whole.camera_pairs is not None


@pytest.mark.parametrize(("ties", "ap"), list(itertools.product(("pessimistic", "optimistic"), ("rank", "trapezoid"))))
def test_single_shot_approaches_the_mean_over_all_galleries(ties, ap):
    """Every gallery of one image a person is walked through; the query's own camera and junk are no candidates."""
    pids, camids = [1, 1, 1, 2, 2, 3, 3, 3, -1], [0, 1, 1, 0, 1, 0, 1, 1, 1]
    distances = [0.0, 3.0, 1.0, 2.0, 4.0, 0.5, 3.0, 6.0, 0.0]
    ranks = []
    for right, *wrong in itertools.product((1, 2), (3, 4), (5, 6, 7)):
        before = [distances[w] <= distances[right] if ties == "pessimistic" else distances[w] < distances[right] for w in wrong]
        ranks.append(1 + sum(before))
    convention = replace(CUHK03_CLASSIC, ties=ties, ap=ap, repeats=20_000)
    scores = evaluate_distances([distances], [1], pids, [0], camids, convention, seed=1)
    value = {"rank": lambda r: 1 / r, "trapezoid": lambda r: (1 / r + (r == 1)) / 2}[ap]
    assert scores.map == pytest.approx(np.mean([value(rank) for rank in ranks]), abs=0.01)
    assert scores.cmc[:3] == pytest.approx([np.mean([rank <= k for rank in ranks]) for k in (1, 2, 3)], abs=0.01)
    assert scores.found_by(1) == pytest.approx([scores.rank(1)])
    assert scores.num_tied == 1


def test_draws_follow_the_seed():
    query, gallery = people(30, 4), people(300, 5)
    one, same, other = (evaluate(query, gallery, CUHK03_CLASSIC, seed=seed) for seed in (1, 1, 2))
    assert one.first_rank.tolist() == same.first_rank.tolist() != other.first_rank.tolist()


def test_single_shot_leaves_queries_without_a_match_empty():
    scores = evaluate_distances([[0, 1], [0, 1]], [1, 9], [1, 2], [0, 0], [1, 1], CUHK03_CLASSIC)
    assert scores.first_rank[1].tolist() == [0] * 10
    assert (scores.map, scores.rank(1), scores.num_valid) == (1.0, 1.0, 1)


def test_bad_multi_query_is_refused():
    query = people(3, 1)
    with pytest.raises(UsageError, match=re.escape('multi-query by "median": allowed are mean, max.')):
        pool_queries(query, query, "median")
    with pytest.raises(EmbeddingsError, match="queries have 5 dimensions, multi-query images 2: one model"):
        pool_queries(query, Embeddings(np.eye(2), [1, 1], [0, 0]), "mean")
    with pytest.raises(EmbeddingsError, match="none of the 1 multi-query images has the pid and camera of a query"):
        pool_queries(query, Embeddings(np.ones((1, 5)), [77], [0]), "mean")
    with pytest.raises(EmbeddingsError, match="1 of 1 multi-query vectors are zero"):
        pool_queries(query, Embeddings(np.zeros((1, 5)), query.pids[:1], query.camids[:1]), "mean")

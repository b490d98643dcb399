"""Re-ranked distances in the evaluator."""

import re

import numpy as np
import pytest

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.metrics import ANY_CAMERA, MARKET1501, MARKET1501_MULTI_QUERY, Convention, evaluate
from passerby.rerank import Graph, KReciprocal, evaluate_reranked, fitness, predict, rerank_top_k

METHOD = KReciprocal(6, 3)


def town(seed=0, people=12, each=8, dim=16, noise=1.0):
    random = np.random.default_rng(seed)
    pids = np.repeat(np.arange(1, people + 1), each)
    centres = random.standard_normal((people + 1, dim))
    vectors = centres[pids] + noise * random.standard_normal((len(pids), dim))
    names = np.array([f"{row}.jpg" for row in range(len(pids))])
    both = Embeddings(vectors, pids, np.arange(len(pids)) % 4, names)
    query = np.arange(len(pids)) % each == 0
    return both[query], both[~query]


def as_scores(dense, query, gallery, convention):
    """The scores of whole, dense re-ranked distances, by the textbook's reference."""
    from passerby.metrics import evaluate_distances

    final, _ = dense.k_reciprocal(np.concatenate([query.vectors, gallery.vectors]), METHOD.k1, METHOD.k2, METHOD.weight)
    Q = len(query)
    return evaluate_distances(final[:Q, Q:], query.pids, gallery.pids, query.camids, gallery.camids, convention)


def test_blocks_give_the_numbers_of_the_dense_form(dense):
    query, gallery = town()
    found = evaluate_reranked(query, gallery, MARKET1501, METHOD)
    expected = as_scores(dense, query, gallery, MARKET1501)
    assert found.summary() == pytest.approx(expected.summary())
    assert (found.first_rank == expected.first_rank).all()
    assert found.names.tolist() == query.names.tolist()
    assert found.notes[0] == f"after {METHOD.in_words()}"
    assert found.map > evaluate(query, gallery).map


def test_junk_is_dropped_before_neighbours_are_looked_for(dense):
    query, gallery = town()
    junk = Embeddings(query.vectors + 0.01, np.full(len(query), -1), query.camids)
    found = evaluate_reranked(query, Embeddings.concatenate([gallery, junk]), MARKET1501, METHOD)
    assert found.summary() == pytest.approx(as_scores(dense, query, gallery, MARKET1501).summary())
    kept = evaluate_reranked(query, Embeddings.concatenate([gallery, junk]), Convention(junk="keep"), METHOD)
    assert kept.map < found.map
    with pytest.raises(EmbeddingsError, match="all gallery images are junk"):
        evaluate_reranked(query, junk, MARKET1501, METHOD)


def test_one_set_against_itself_leaves_the_query_itself_out():
    query, gallery = town()
    both = Embeddings.concatenate([query, gallery])
    found = evaluate_reranked(both, both, ANY_CAMERA, METHOD)
    assert found.num_queries == len(both) and (found.num_matches == 7).all()


def test_multi_query():
    query, gallery = town()
    found = evaluate_reranked(query, gallery, MARKET1501_MULTI_QUERY, METHOD, multi_query=query)
    assert found.convention == MARKET1501_MULTI_QUERY
    assert found.map == pytest.approx(evaluate_reranked(query, gallery, MARKET1501, METHOD).map)
    with pytest.raises(
        UsageError, match=re.escape('the convention says multi_query "mean": give multi-query images with it, or neither.')
    ):
        evaluate_reranked(query, gallery, MARKET1501_MULTI_QUERY, METHOD)


def test_graph_and_single_shots_go_the_same_way():
    query, gallery = town()
    assert evaluate_reranked(query, gallery, MARKET1501, Graph(8, 3)).map > evaluate(query, gallery).map
    assert evaluate_reranked(query, gallery, Convention(shots="single"), METHOD).first_rank.shape == (12, 10)


def test_a_k1_that_does_not_suit_is_said():
    query, gallery = town()
    assert fitness(query, gallery, KReciprocal(8)) == "" == fitness(query, gallery, KReciprocal(16))
    told = "k1 20 does not suit these data: a query person has 8 images in query and gallery (median). Try k1 8."
    assert fitness(query, gallery, KReciprocal()) == told
    assert "Try k1 8." in fitness(query, gallery, KReciprocal(2))
    assert told in evaluate_reranked(query, gallery).notes
    lonely = Embeddings(query.vectors, query.pids + 100, query.camids)
    assert "12 of 12 persons have a single image" in fitness(lonely, gallery, KReciprocal())
    both = Embeddings.concatenate([query, gallery])
    assert fitness(both, both, KReciprocal(17)).endswith("has 8 images in query and gallery (median). Try k1 8.")


def test_top_k(dense):
    query, gallery = town()
    final, _ = dense.k_reciprocal(np.concatenate([query.vectors, gallery.vectors]), METHOD.k1, METHOD.k2, METHOD.weight)
    expected = final[:12, 12:]
    ids, distances = rerank_top_k(query, gallery, 5, METHOD)
    assert np.abs(np.sort(expected, axis=1)[:, :5] - distances).max() < 1e-6
    assert np.abs(np.take_along_axis(expected, ids, axis=1) - distances).max() < 1e-6
    doubled = Embeddings.concatenate([gallery, gallery])
    ids, _ = rerank_top_k(query, doubled, 6, METHOD)
    assert (ids[:, 1::2] == ids[:, ::2] + len(gallery)).all()  # of two that are equally near the first stands first
    with pytest.raises(UsageError, match=re.escape("the nearest 0 of 84 gallery images: 1 to 84 can be had.")):
        rerank_top_k(query, gallery, 0, METHOD)


def test_a_prediction_comes_before_the_work():
    query, gallery = town()
    plan = predict(query, gallery, METHOD)
    assert plan.rows == 96 and plan.seconds < 5 and plan.memory_mb < 100
    assert re.fullmatch(r"about 0 s and \d\d MB beyond the vectors, 96 images a block", plan.in_words())
    assert predict(query, gallery, Graph(8, 3)).rows == 96

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.embeddings import Embeddings
from passerby.errors import UsageError
from passerby.metrics import MARKET1501, Convention, evaluate
from passerby.plots import choose_queries, rank_query
from passerby.plots.ranking import find_queries


def test_one_query_by_hand(query: Embeddings, gallery: Embeddings):
    found = rank_query(query, gallery, 0, top=3)
    assert found.columns.tolist() == [1, 3, 4]  # 0 is the query's own camera, 2 is junk
    assert found.verdicts == ("right", "wrong", "right") and found.ranks == (1, 2, 3)
    assert found.matches == 2 and found.first_rank == 1
    assert found.nearness == pytest.approx(np.cos(np.deg2rad([2, 4, 5])), abs=1e-6)


def test_junk_is_marked_where_it_would_have_stood_and_has_no_rank(query: Embeddings, gallery: Embeddings):
    found = rank_query(query, gallery, 0, top=5, junk="mark")
    assert found.columns.tolist() == [0, 1, 2, 3, 4]
    assert found.verdicts == ("junk", "right", "junk", "wrong", "right") and found.ranks == (0, 1, 0, 2, 3)


def test_the_convention_decides_what_is_junk(query: Embeddings, gallery: Embeddings):
    kept = rank_query(query, gallery, 0, Convention(junk="keep", same_camera="keep"), top=5)
    assert kept.verdicts == ("right", "right", "wrong", "wrong", "right") and kept.matches == 3
    distractor = rank_query(query, gallery, 2, Convention(distractors="drop"), top=3)
    assert distractor.columns.tolist() == [7, 9, 10] and distractor.first_rank == 3
    assert rank_query(query, gallery, 2, top=4).verdicts == ("wrong", "wrong", "wrong", "right")


def test_a_query_in_the_gallery_does_not_find_itself(query: Embeddings):
    both = Embeddings.concatenate([query, query.with_vectors(query.vectors + 0.1)])
    found = rank_query(both[:1], both[:4], 0, Convention(same_camera="keep"), top=4)
    assert 0 not in found.columns.tolist()


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "dot"])
def test_unit_vectors_rank_alike_by_every_distance(query: Embeddings, gallery: Embeddings, distance: str):
    found = rank_query(query, gallery, 1, replace(MARKET1501, distance=distance), top=2)
    assert found.columns.tolist() == [5, 6]
    degrees = np.deg2rad([1, 2])
    expected = 2 * np.sin(degrees / 2) if distance == "euclidean" else np.cos(degrees)
    assert found.nearness == pytest.approx(expected, abs=1e-6)


def test_ties_go_against_the_query_unless_the_convention_says_otherwise(query: Embeddings, gallery: Embeddings):
    tied = gallery.with_vectors(np.ones_like(gallery.vectors))
    assert rank_query(query, tied, 0, top=12).first_rank == 9  # ten that count, two of them right
    assert rank_query(query, tied, 0, Convention(ties="optimistic"), top=12).first_rank == 1


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(
        [Convention(), Convention(junk="keep", distractors="drop", distance="euclidean"), Convention(distance="dot")]
    ),
)
def test_first_ranks_are_those_of_the_evaluator(seed: int, convention: Convention):
    random = np.random.default_rng(seed)

    def some(count: int, low: int) -> Embeddings:
        vectors = random.standard_normal((count, 3))  # without ties, which the two products could break differently
        return Embeddings(vectors, random.integers(low, 4, count), random.integers(0, 3, count))

    query, gallery = some(5, 1), some(30, -1)
    gallery.pids[:3], gallery.camids[:3] = query.pids[:3], 5  # so that some are found
    scores = evaluate(query, gallery, convention)
    found = [rank_query(query, gallery, row, convention, top=30) for row in range(5)]
    assert [one.matches for one in found] == scores.num_matches.tolist()
    assert [one.first_rank for one in found] == scores.first_rank.tolist()


def test_best_median_and_worst_by_average_precision(query: Embeddings, gallery: Embeddings):
    scores = evaluate(query, gallery)  # AP of the queries: 5/6, 1/2, 1/4; the fourth has no right answer
    assert choose_queries(scores, 1) == {"best": [0], "median": [1], "worst": [2]}
    assert choose_queries(scores, 5) == {"best": [0], "median": [1], "worst": [2]}


def test_groups_do_not_overlap():
    vectors = np.eye(12)
    people = Embeddings(vectors, np.arange(12), np.zeros(12, int))
    found = Embeddings(vectors, np.arange(12), np.ones(12, int))
    groups = choose_queries(evaluate(people, found), 3)
    assert groups == {"best": [0, 1, 2], "median": [4, 5, 6], "worst": [9, 10, 11]}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_queries_stand_once_each(count: int):
    vectors = np.eye(4)[:count]
    scores = evaluate(
        Embeddings(vectors, np.arange(count), np.zeros(count, int)), Embeddings(vectors, np.arange(count), np.ones(count, int))
    )
    rows = [row for group in choose_queries(scores, 3).values() for row in group]
    assert sorted(rows) == list(range(count))


def test_queries_by_name(query: Embeddings):
    assert find_queries(query, ["query/0003.png", "0001.png"]) == [2, 0]
    with pytest.raises(UsageError, match=r'no query "query/0033.png" among 4. Did you mean "query/0003.png"\?'):
        find_queries(query, ["query/0033.png"])
    with pytest.raises(UsageError, match=r'4 queries end in ".png": query/0001.png, .*Give more of the name'):
        find_queries(query, [".png"])

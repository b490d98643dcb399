"""Rates over pairs: by hand, against a loop over thresholds, and the published zeros."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.metrics import ANY_CAMERA, MARKET1501, verification, verify
from passerby.metrics.verification import inverted_tpr_at_fpr, roc, tpr_at_fpr, valid_pairs

SIMILARITIES = np.array([0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
SAME = np.array([1, 1, 0, 1, 0, 0, 1, 0, 0, 0], dtype=bool)  # 4 of one person, 6 of two


def test_by_hand():
    # One false pair accepted (1/6): the pairs at 0.95, 0.9 and 0.7 are; two (2/6): the same three; four (4/6): all four.
    assert tpr_at_fpr(SIMILARITIES, SAME, (1 / 6, 2 / 6, 4 / 6, 1.0)) == pytest.approx((0.75, 0.75, 1.0, 1.0))


def test_a_rate_between_two_thresholds_keeps_the_lower_one_unless_pairs_are_tied():
    assert tpr_at_fpr(SIMILARITIES, SAME, (0.25,)) == pytest.approx((0.75,))
    tied = np.where(SIMILARITIES == 0.6, 0.7, SIMILARITIES)  # 0.7: a right and a wrong pair come together
    assert tpr_at_fpr(tied, SAME, (1 / 6, 0.25, 2 / 6)) == pytest.approx((0.5, 0.625, 0.75))


def test_rates_that_no_threshold_could_show_are_not_a_number():
    assert np.isnan(tpr_at_fpr(SIMILARITIES, SAME, (0.1, 0.16))).all()


def slow(similarities, same, rate):
    """Most true pairs accepted by any threshold that accepts exactly so many false ones."""
    wanted = round(rate * (~same).sum())
    shares = [same[similarities >= t].sum() / same.sum() for t in similarities if (~same)[similarities >= t].sum() == wanted]
    return max(shares) if shares else None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9999), st.integers(1, 20))
def test_it_is_the_loop_over_thresholds(seed, accepted):
    random = np.random.default_rng(seed)
    same = np.arange(60) < 20
    similarities = random.normal(size=60) + same
    rate = accepted / 40
    assert tpr_at_fpr(similarities, same, (rate,))[0] == pytest.approx(slow(similarities, same, rate))
    order = random.permutation(60)
    again = tpr_at_fpr(3 * similarities[order] + 1, same[order], (rate,))
    assert again == pytest.approx(tpr_at_fpr(similarities, same, (rate,)))


def single_shot(queries=125, seed=0):
    random = np.random.default_rng(seed)
    same = np.eye(queries, dtype=bool).reshape(-1)
    return random.normal(size=same.shape) - 3 * same, same


def test_the_published_zeros_come_from_one_right_answer_a_query():
    distances, same = single_shot()
    zero, nought, some = inverted_tpr_at_fpr(distances, same)
    assert (zero, nought) == (0.0, 0.0) and some > 0
    # At 0.01 it snaps to one of 125 true pairs rejected: the share of others beyond the farthest true pair.
    assert some == pytest.approx((distances[~same] >= np.sort(distances[same])[-1]).mean(), abs=2e-3)
    assert tpr_at_fpr(-distances, same, (0.01,))[0] > 0.5


def test_the_published_form_is_that_of_the_usual_library():
    metrics = pytest.importorskip("sklearn.metrics")
    for seed in range(5):
        distances, same = single_shot(40, seed)
        distances = distances.round(1)  # ties
        false_rate, true_rate, _ = metrics.roc_curve(~same, distances)
        expected = [true_rate[np.argmin(np.abs(false_rate - rate))] for rate in (1e-4, 1e-2, 0.1, 0.5)]
        assert inverted_tpr_at_fpr(distances, same, (1e-4, 1e-2, 0.1, 0.5)) == pytest.approx(expected)


def a_set(vectors, pids, camids) -> Embeddings:
    names = np.array([f"{i}" for i in range(len(pids))])
    return Embeddings(np.array(vectors, dtype=np.float32), np.array(pids), np.array(camids), names)


def test_which_pairs_count():
    query = a_set([[1, 0], [0, 1]], [1, 2], [0, 0])
    gallery = a_set([[2, 0], [1, 1], [0, 3], [1, 0], [0, 1]], [1, 2, 2, -1, 0], [0, 1, 1, 1, 1])
    found = verify(query, gallery, rates=(0.5,))
    assert (found.positives, found.negatives) == (2, 5)  # 1 with 1 is in one camera; junk is left out, the distractor not
    assert (verify(query, gallery, ANY_CAMERA, rates=(0.5,)).positives) == 3
    assert found.tpr == (1.0,) and found.rates == (0.5,)


def refused(kind, text, call):
    with pytest.raises(kind, match=re.escape(text)):
        call()


def test_what_cannot_be_measured_is_refused():
    refused(UsageError, "a false positive rate is 0: it is a fraction", lambda: tpr_at_fpr(SIMILARITIES, SAME, (0,)))
    refused(EmbeddingsError, "pairs come as (10,) values and (9,) answers", lambda: tpr_at_fpr(SIMILARITIES, SAME[:9]))
    refused(EmbeddingsError, "is NaN", lambda: inverted_tpr_at_fpr(np.full(10, np.nan), SAME))
    refused(EmbeddingsError, "0 of 10 pairs show one person", lambda: tpr_at_fpr(SIMILARITIES, SAME & False))
    query = a_set([[1, 0]], [1], [0])
    refused(EmbeddingsError, "queries have 2 dimensions, the gallery 3", lambda: verify(query, a_set([[1, 0, 0]], [1], [1])))
    many = a_set(np.ones((20_000, 2)), np.arange(20_000), np.zeros(20_000, dtype=int))
    refused(UsageError, "20000 queries x 20000 gallery images are more than 300,000,000 pairs", lambda: valid_pairs(many, many))


@pytest.mark.parametrize("chunk", [1, 300, 10**6])
def test_more_pairs_than_memory_holds_are_counted_and_give_the_same(monkeypatch, chunk):
    random = np.random.default_rng(3)
    query = a_set(random.normal(size=(60, 4)), random.integers(-1, 8, 60), random.integers(0, 3, 60))
    gallery = a_set(random.normal(size=(90, 4)), random.integers(-1, 8, 90), random.integers(0, 3, 90))
    rates = (0.001, 0.01, 0.3, 1.0)
    exact = verify(query, gallery, MARKET1501, rates)
    monkeypatch.setattr(verification, "_MOST_PAIRS", 0)
    monkeypatch.setattr(verification, "_CHUNK", chunk)
    counted = verify(query, gallery, MARKET1501, rates)
    assert (counted.positives, counted.negatives, counted.rates) == (exact.positives, exact.negatives, exact.rates)
    assert counted.tpr == pytest.approx(exact.tpr) and counted.inverted == pytest.approx(exact.inverted)
    alone = a_set(np.eye(2), [1, 2], [0, 0])
    refused(EmbeddingsError, "0 of 2 pairs show one person", lambda: verify(alone, alone))
    refused(UsageError, "a false positive rate is 2", lambda: verify(query, gallery, MARKET1501, (2,)))


def test_the_whole_curve_by_hand_and_with_ties():
    false, true = roc(np.array([0.9, 0.7, 0.8, 0.1]), np.array([True, True, False, False]))
    assert false.tolist() == [0, 0, 0.5, 0.5, 1] and true.tolist() == [0, 0.5, 0.5, 1, 1]
    false, true = roc(np.array([0.5, 0.5, 0.5]), np.array([True, False, False]))
    assert false.tolist() == [0, 1] and true.tolist() == [0, 1]  # equal similarities come together

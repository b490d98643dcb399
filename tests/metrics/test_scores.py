"""What is said of one evaluation: ranks, camera pairs, trials."""

import json
import math

import numpy as np
import pytest

from passerby.errors import UsageError
from passerby.metrics import CUHK03_CLASSIC, LAYUMI, MARKET1501, evaluate_distances, over_trials

LABELS = ([1, 2, 2], [1, 1, 2, 2, 3], [0, 0, 1], [0, 1, 1, 2, 2])
DISTANCES = [[0, 3, 1, 2, 5], [4, 3, 2, 1, 0], [0, 1, 2, 4, 3]]


def test_hand_worked_camera_pairs():
    """Query 0 (pid 1, camera 0): right answer 1 in camera 1, behind image 2. Query 1 (pid 2, camera 0): right answers in both
    other cameras. Query 2 (pid 2, camera 1): its match in camera 1 is out, the one in camera 2 stands behind image 4."""
    pairs = evaluate_distances(DISTANCES, *LABELS).camera_pairs
    assert pairs is not None
    assert pairs.query_camids.tolist() == [0, 1]
    assert pairs.gallery_camids.tolist() == [0, 1, 2]
    assert pairs.num_queries.tolist() == [[0, 2, 1], [0, 0, 1]]
    assert pairs.rows() == [
        {"query_camid": 0, "gallery_camid": 1, "num_queries": 2, "rank1": 0.5, "map": 0.75},
        {"query_camid": 0, "gallery_camid": 2, "num_queries": 1, "rank1": 0.0, "map": 0.5},
        {"query_camid": 1, "gallery_camid": 2, "num_queries": 1, "rank1": 0.0, "map": 0.5},
    ]
    assert math.isnan(pairs.map[0, 0])


def test_scores_are_json():
    for convention in (MARKET1501, CUHK03_CLASSIC):
        scores = evaluate_distances(DISTANCES, *LABELS, convention, max_rank=6)
        found = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
        assert found["rank1"] == scores.rank(1) and len(found["cmc"]) == 6
        assert found["convention"]["ap"] == "rank" and found["convention_in_words"] == convention.in_words()
        assert (found["camera_pairs"] is None) == (convention is CUHK03_CLASSIC)


def test_a_short_curve_gives_a_short_summary():
    scores = evaluate_distances(DISTANCES, *LABELS, max_rank=6)
    assert list(scores.summary()) == ["rank1", "rank5", "map", "minp"]
    assert scores.rank(6) == scores.cmc[5]
    for k in (0, 7):
        with pytest.raises(UsageError, match=rf"Rank-{k}: this evaluation kept ranks 1 to 6 \(max_rank\)."):
            scores.rank(k)


def test_found_by_averages_to_the_curve():
    for convention in (MARKET1501, LAYUMI, CUHK03_CLASSIC):
        scores = evaluate_distances(DISTANCES, [1, 2, 9], *LABELS[1:], convention)
        for k in (1, 2, 3):
            assert scores.found_by(k)[scores.counted].mean() == pytest.approx(scores.rank(k))


def test_trials_are_averaged_with_the_population_deviation():
    trials = [evaluate_distances(np.array([[0.0, 1.0], [first, 0.5]]), [1, 2], [1, 2], [0, 0], [1, 1]) for first in (0.0, 1.0)]
    together = over_trials(trials)
    assert [trial.map for trial in trials] == [0.75, 1.0]
    assert (together.num_trials, together.mean["map"], together.std["map"]) == (2, 0.875, 0.125)
    assert (together.mean["rank1"], together.std["rank1"]) == (0.75, 0.25)
    assert together.mean.keys() == trials[0].summary().keys()


def test_trials_of_two_conventions_are_refused():
    one, other = (evaluate_distances(DISTANCES, *LABELS, convention) for convention in (MARKET1501, LAYUMI))
    for trials in ([], [one, other]):
        with pytest.raises(UsageError, match="trials to average: one or more are needed, all under one convention"):
            over_trials(trials)

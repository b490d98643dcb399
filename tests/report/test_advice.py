from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from passerby.embeddings import Embeddings
from passerby.metrics import CameraPairs, RetrievalScores, evaluate
from passerby.report import camera_advice
from passerby.report.advice import Look, looks_of, wilson


def scores_with(rank1: list[list[float]], queries: list[list[int]]) -> RetrievalScores:
    """Some evaluation, with this table by camera pair."""
    some = Embeddings(np.eye(2), [1, 2], [0, 0]), Embeddings(np.eye(2), [1, 2], [1, 1])
    table, count = np.array(rank1, dtype=float), np.array(queries)
    cameras = np.arange(len(table))
    return replace(evaluate(*some), camera_pairs=CameraPairs(cameras, cameras, count, table, table))


NONE = float("nan")
CLEAR = [[NONE, 0.9, 0.1], [0.9, NONE, 0.8], [0.7, 0.8, NONE]], [[0, 100, 100], [100, 0, 100], [100, 100, 0]]


def test_the_hardest_pair_by_hand():
    found = camera_advice(scores_with(*CLEAR), norm="batch", model="runs/a/artefact")
    assert found.worst == (0, 2) and found.sure
    # (0.9 + 0.1 + 0.9 + 0.8 + 0.7 + 0.8) / 6 = 0.7; Wilson's interval of 10 of 100 is 5.5 to 17.4 %
    assert "camera 0 searched in camera 2. Rank-1 is 10% over 100 queries (95 % interval 6% to 17%), 60 points" in found.found[0]
    assert "mean over all pairs (70%)" in found.found[0] and "more than chance" not in found.found[0]
    # camera 2 in both directions: (0.1 + 0.8 + 0.7 + 0.8) / 4 = 0.6, the others 0.9
    assert "camera 2 is the hardest: Rank-1 60%" in found.found[1] and "90% between the others" in found.found[1]
    assert any("`passerby adapt runs/a/artefact --data DIR --out ADAPTED`" in help for help in found.might_help)


def test_few_queries_are_not_called_hard_for_sure():
    found = camera_advice(scores_with([[NONE, 0.8], [0.5, NONE]], [[0, 10], [6, 0]]))
    assert found.worst == (1, 0) and not found.sure
    assert "6 queries are too few to call this more than chance" in found.found[0] and "More people" in found.might_help[0]


def test_a_sure_pair_with_many_queries_goes_before_a_bad_one_with_few():
    table = [[NONE, 0.2, 0.3], [0.9, NONE, 0.9], [0.9, 0.9, NONE]]
    assert camera_advice(scores_with(table, [[0, 5, 200], [200, 0, 200], [200, 200, 0]])).worst == (0, 2)


@pytest.mark.parametrize(
    ("norm", "adapted", "says"),
    [
        ("batch", False, "without training"),
        ("batch", True, ""),
        ("camera", False, "trained by camera. If"),
        ("instance", False, ""),
    ],
)
def test_camera_statistics_are_advised_where_a_model_takes_them(norm: str, adapted: bool, says: str):
    helps = " ".join(camera_advice(scores_with(*CLEAR), norm=norm, adapted=adapted).might_help)
    assert ("passerby adapt" in helps) == bool(says) and says in helps


def test_how_pictures_look_is_said_of_the_hardest_camera():
    usual = Look(0.6, 0.3, 128)
    found = camera_advice(scores_with(*CLEAR), looks={0: usual, 1: usual, 2: Look(0.3, 0.3, 60)})
    assert "darker (30% against 60% of full brightness) and smaller (60 against 128 px high)" in found.found[-1]
    helps = " ".join(found.might_help)
    assert "--color-jitter" in helps and "upscaling adds nothing" in helps
    alike = camera_advice(scores_with(*CLEAR), looks={0: usual, 1: usual, 2: usual})
    assert len(alike.found) == 2


def test_nothing_is_said_without_pairs_or_queries():
    single = replace(scores_with(*CLEAR), camera_pairs=None)
    assert camera_advice(single).worst is None and "nothing can be said" in camera_advice(single).found[0]
    few = scores_with([[NONE, 0.5], [0.5, NONE]], [[0, 4], [4, 0]])
    assert camera_advice(few).worst is None and "No pair of cameras has 5 queries" in camera_advice(few).found[0]


def test_wilson_contains_the_share_and_narrows():
    for hits, count in ((0, 5), (3, 9), (9, 9)):
        low, high = wilson(hits, count)
        assert 0 <= low <= hits / count <= high <= 1
    assert wilson(300, 900).high - wilson(300, 900).low < wilson(3, 9).high - wilson(3, 9).low


def test_looks_are_measured_by_camera(images: Path, folders: dict[str, Path]):
    gallery = Embeddings.load(folders["good"] / "embeddings" / "gallery.npz")
    looks = looks_of((gallery,), images)
    assert [looks[camid].height_px for camid in range(3)] == [32, 32, 16]
    assert looks[0].brightness == pytest.approx(200 / 255, abs=0.01)
    assert looks[2].brightness < 0.5 * looks[0].brightness

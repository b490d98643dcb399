"""Calibration: thresholds by hand and by a slow reference, intervals that hold, and what is refused."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from passerby.embeddings import Embeddings
from passerby.errors import ArtefactError, EmbeddingsError, UsageError
from passerby.metrics.calibration import calibrate, drift
from passerby.metrics.calibration_pairs import similarities_of
from passerby.metrics.calibration_store import (
    find_calibration,
    from_dict,
    handed_on,
    read_calibration,
    store_calibration,
    to_dict,
)
from passerby.metrics.identification import identification_rate

CLOTHES = np.random.default_rng(7).standard_normal((30, 12))


def town(seed=0, people=40, each=6, cameras=3, noise=1.0, shift=0.0) -> Embeddings:
    """People in few kinds of clothes, so that some look alike; hard and easy ones."""
    random = np.random.default_rng(seed)
    centres = 0.9 * CLOTHES[random.integers(0, 30, people)] + 0.8 * random.standard_normal((people, 12)) + shift
    pids = np.repeat(np.arange(1, people + 1), each)
    hard = noise * random.uniform(0.3, 1.2, people)
    vectors = centres[pids - 1] + hard[pids - 1, None] * random.standard_normal((len(pids), 12))
    return Embeddings(vectors, pids, np.arange(len(pids)) % cameras)


def slow(images, cross):
    """All pairs in Python."""
    units = images.vectors / np.linalg.norm(images.vectors, axis=1, keepdims=True)
    genuine, impostor = [], []
    for i in range(len(images)):
        for j in range(i):
            if cross and images.camids[i] == images.camids[j]:
                continue
            (genuine if images.pids[i] == images.pids[j] else impostor).append(float(units[i] @ units[j]))
    return np.array(genuine), np.array(impostor)


@pytest.mark.parametrize("pairs", ["cross-camera", "all"])
def test_rates_equal_a_count_of_all_pairs(pairs):
    images = town()
    genuine, impostor = slow(images, pairs == "cross-camera")
    found = calibrate(images, 0.01, pairs=pairs, samples=50)
    assert (found.num_people, found.num_images) == (40, 240)
    assert (found.num_genuine, found.num_impostor) == (len(genuine), len(impostor))
    accepted = int(0.01 * len(impostor))
    assert (impostor >= found.threshold - 1e-6).sum() == accepted
    assert found.frr == pytest.approx((genuine < found.threshold).mean(), abs=3 / len(genuine))
    assert found.reject_frr == pytest.approx(0.01, abs=0.003)
    assert (genuine < found.reject_threshold).mean() == pytest.approx(found.reject_frr, abs=0.003)
    far, frr = found.rates(0.5)
    assert far == pytest.approx((impostor >= 0.5).mean(), abs=0.003) and frr == pytest.approx((genuine < 0.5).mean(), abs=0.003)
    assert found.threshold_interval.low < found.threshold < found.threshold_interval.high
    assert found.far_interval.low < 0.01 < found.far_interval.high
    assert found.frr_interval.low < found.frr < found.frr_interval.high


def test_blocks_and_tails_change_nothing():
    images = town(people=120, each=6)  # more images than a block has rows, more pairs than the tail keeps
    _, impostor = slow(images[:300], True)
    some = similarities_of(images[:300], far=1e-4)
    assert np.allclose(some.tail[:50], np.sort(impostor)[::-1][:50], atol=1e-6)
    whole = similarities_of(images, far=1e-4)
    units = images.vectors / np.linalg.norm(images.vectors, axis=1, keepdims=True)
    counts = (images.pids[:, None] != images.pids) & (images.camids[:, None] != images.camids)
    expected = np.sort((units @ units.T)[np.triu(counts)])[::-1]
    assert np.allclose(whole.tail[:1000], expected[:1000], atol=1e-6)
    assert whole.num_impostor == len(expected) and whole.between.sum() == 2 * len(expected)


def test_intervals_over_people_hold_the_rate_of_people_not_seen():
    """Nine in ten at least of fifty other towns of the same kind; intervals over pairs would hold far fewer."""
    inside = by_pairs = 0
    for seed in range(50):
        found = calibrate(town(seed, people=50), 0.01, samples=200, seed=seed)
        there = drift(found, town(1000 + seed, people=50), samples=2)
        inside += there.inside
        by_pairs += abs(there.far - 0.01) < 1.96 * np.sqrt(2 * 0.01 * 0.99 / found.num_impostor)
    assert inside >= 45
    assert by_pairs < 25


def test_few_people_ahead_vary_more_than_many():
    few, many = (calibrate(town(), 0.01, people_ahead=people, samples=300).far_interval for people in (10, 1000))
    assert few.high - few.low > 1.5 * (many.high - many.low)


def test_drift_in_a_place_where_all_look_alike():
    found = calibrate(town(), 0.01, samples=50)
    there = drift(found, town(1, shift=1.5), samples=50)
    assert there.far > 0.1 and not there.inside and there.own_threshold > found.threshold
    assert there.far_interval.low < there.far < there.far_interval.high
    same = drift(found, town(), samples=50)
    assert same.far == pytest.approx(0.01, abs=1e-4) and same.inside and same.own_threshold == found.threshold


def test_camera_pairs_have_thresholds_of_their_own():
    images = town(people=60)
    found = calibrate(images, 0.01, samples=10)
    assert [each.camids for each in found.cameras] == [(0, 1), (0, 2), (1, 2)]
    one = found.cameras[1]
    units = images.vectors / np.linalg.norm(images.vectors, axis=1, keepdims=True)
    a, b = images.camids == 0, images.camids == 2
    similar = units[a] @ units[b].T
    apart = images.pids[a][:, None] != images.pids[b]
    assert one.num_impostor == apart.sum() and one.num_genuine == (~apart).sum()
    assert (similar[apart] >= one.threshold).mean() == pytest.approx(0.01, abs=0.002)
    assert (similar[~apart] < one.threshold).mean() == pytest.approx(one.frr, abs=0.01)
    alone = calibrate(town(cameras=1), 0.01, pairs="all", samples=10).cameras
    assert [each.camids for each in alone] == [(0, 0)] and alone[0].num_impostor == 240 * 239 // 2 - 40 * 15


def test_identification_of_people_on_a_list():
    easy = town(noise=0.01)
    assert identification_rate(easy, 0.05) > identification_rate(town(noise=1.5), 0.05)
    random = np.random.default_rng(0)
    nothing = easy.with_vectors(random.standard_normal(easy.vectors.shape))
    assert identification_rate(nothing, 0.05) < 0.1
    assert 0 < identification_rate(town(cameras=1), 0.05) <= 1


def test_half_labelled_sets_and_people_with_one_image():
    images = town()
    found = calibrate(images, 0.01, samples=10)
    random = np.random.default_rng(3)
    unknown = Embeddings(random.standard_normal((50, 12)), np.r_[[-1] * 30, [0] * 20], np.zeros(50))
    half = calibrate(Embeddings.concatenate([images, unknown]), 0.01, samples=10)
    assert half.threshold == found.threshold
    assert half.notes == ("50 of 290 images have no person (pid -1 or 0) and were left out.",)
    lonely = Embeddings(random.standard_normal((3, 12)), [501, 502, 503], [0, 1, 2])
    with_lonely = calibrate(Embeddings.concatenate([images, lonely]), 0.01, samples=10)
    assert with_lonely.notes == ("3 of 43 people have no pair of their own and count among different people only.",)
    assert with_lonely.num_genuine == found.num_genuine


def test_verdicts():
    found = replace(calibrate(town(), 0.01, samples=10), threshold=0.8, reject_threshold=0.6)
    assert [found.verdict(value) for value in (0.9, 0.8, 0.7, 0.6, 0.5)] == ["same", "same", "unsure", "unsure", "different"]
    sure = calibrate(town(noise=0.01), 0.01, samples=10)
    assert sure.reject_threshold == sure.threshold


@pytest.mark.parametrize(
    ("images", "options", "error", "text"),
    [
        (town(), {"far": 0}, UsageError, "calibration with far 0: a share between 0 and 1 is needed."),
        (town(), {"reject_frr": 1}, UsageError, "calibration with reject_frr 1: a share between 0 and 1"),
        (town(), {"level": 1.0}, UsageError, "calibration with level 1.0: a share"),
        (town(), {"samples": 0}, UsageError, "calibration with 0 draws: 1 to 1,000,000 can be made."),
        (town(), {"people_ahead": 1}, UsageError, "calibration for 1 people to be met: 2 are the least."),
        (town(), {"pairs": "some"}, UsageError, 'calibration from "some" pairs: allowed are cross-camera, all.'),
        (town(), {"far": 1e-6}, UsageError, "pairs of different people: too few to see. Ask for 0.00053 or more, or bring more"),
        (town(people=4), {}, EmbeddingsError, "4 labelled people (pid above 0) in 24 images: a calibration needs 5"),
        (town(each=1), {"pairs": "all"}, EmbeddingsError, "no pair of one person among 40 images of 40 people from 3 cameras"),
        (
            town(cameras=1),
            {},
            EmbeddingsError,
            "no cross-camera pair of one person among 240 images of 40 people from 1 camera: ",
        ),
        (town()[[]], {}, EmbeddingsError, "0 labelled people (pid above 0) in 0 images"),
        (town().with_vectors(np.zeros((240, 3))), {}, EmbeddingsError, "240 of 240 vectors are zero"),
    ],
)
def test_what_cannot_be_calibrated(images, options, error, text):
    with pytest.raises(error, match=re.escape(text)):
        calibrate(images, **options)


def test_kept_in_an_artefact_and_read_again(tmp_path):
    found = calibrate(town(), 0.01, samples=10)
    other = {"format": 1, "weights_sha256": "ab" * 32, "recipe": "baseline"}
    (tmp_path / "passerby.json").write_text(json.dumps(other))
    with pytest.raises(ArtefactError, match=re.escape("has no calibration: its thresholds are not known. Make one: passerby")):
        read_calibration(tmp_path)
    store_calibration(tmp_path, found, "ab" * 6)
    assert read_calibration(tmp_path) == found
    kept = json.loads((tmp_path / "passerby.json").read_text())
    assert {key: kept[key] for key in other} == other and [path.name for path in tmp_path.iterdir()] == ["passerby.json"]
    with pytest.raises(
        ArtefactError, match=r"the vectors were made by artefact cdcd, .* is abababababab: thresholds of one model"
    ):
        store_calibration(tmp_path, found, "cdcd")
    with pytest.raises(ArtefactError, match="made by an unknown model"):
        store_calibration(tmp_path, found, "")


def test_thresholds_of_vectors_with_camera_statistics_wait_for_an_adapted_model(tmp_path):
    plain, by_camera = (calibrate(town(seed), 0.01, samples=10) for seed in (0, 1))
    folders = [tmp_path / name for name in ("plain", "adapted", "again")]
    for folder in folders:
        folder.mkdir()
        statistics = {} if folder.name == "plain" else {"cameras_sha256": "cd" * 32}
        (folder / "passerby.json").write_text(json.dumps({"weights_sha256": "ab" * 32, **statistics}))
    model, adapted, again = folders

    def take_over(source, target):
        target = target / "passerby.json"
        target.write_text(json.dumps({**json.loads(target.read_text()), **handed_on(source)}))

    assert handed_on(model) == {} and find_calibration(model, by_camera=True) is None
    store_calibration(model, plain, "ab" * 6)
    assert handed_on(model) == {}  # those of vectors without statistics say nothing of an adapted model
    store_calibration(model, by_camera, "ab" * 6, statistics={"source": "own"})
    assert read_calibration(model) == plain and find_calibration(model, by_camera=True) == by_camera
    take_over(model, adapted)
    assert read_calibration(adapted) == by_camera == find_calibration(adapted, by_camera=True)
    for others, told in ((None, "no camera statistics"), ({"source": "own"}, "other camera statistics"), ("ef" * 6, "other")):
        with pytest.raises(ArtefactError, match=f"made with {told}.*adapted uses those of its own cameras"):
            store_calibration(adapted, plain, "ab" * 6, statistics=others)
    with pytest.raises(ArtefactError, match="statistics of the whole set, whatever the camera"):
        store_calibration(model, plain, "ab" * 6, statistics={"source": "whole-set"})
    own = calibrate(town(2), 0.01, samples=10)
    store_calibration(adapted, own, "ab" * 6, statistics="cd" * 6)
    take_over(adapted, again)  # one more camera
    assert read_calibration(again) == own and find_calibration(again, by_camera=True) == by_camera


def test_damaged_calibrations_and_artefacts(tmp_path):
    made = to_dict(calibrate(town(), 0.01, samples=10))
    assert from_dict(json.loads(json.dumps(made))).threshold == made["threshold"]
    for broken in ({**made, "far_interval": [1]}, {**made, "similarity": [0.1]}, {}):
        with pytest.raises(
            ArtefactError, match=r"a calibration that this passerby cannot use .* Make it again: passerby calibrate"
        ):
            from_dict(broken)
    with pytest.raises(ArtefactError, match=re.escape("is no artefact: passerby.json is missing or damaged")):
        read_calibration(tmp_path)
    (tmp_path / "passerby.json").write_text("[]")
    with pytest.raises(ArtefactError, match="describes no artefact: it lacks weights_sha256"):
        read_calibration(tmp_path)

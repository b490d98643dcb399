"""What is done to a cloud: each step against its rule, nothing random in evaluation, every option acts and is deterministic."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.errors import DataError, UsageError
from passerby.points import CloudAugmentation, CloudPreprocess, EvalClouds, TrainClouds
from passerby.points.preprocess import slimmed

NOTHING = CloudAugmentation(flip=0, random_slim=False, scale=(1, 1), jitter=0)


def a_cloud(points: int = 40, white: int = 0, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    cloud = np.concatenate([random.normal(2, 1, (points, 3)), random.uniform(0, 0.9, (points, 3))], 1).astype(np.float32)
    cloud[random.permutation(points)[:white], 3:] = 1
    return cloud


def trained(augmentation: CloudAugmentation, seed: int = 0) -> np.ndarray:
    return TrainClouds(CloudPreprocess(), augmentation)(a_cloud(), np.random.default_rng(seed)).numpy()


def test_evaluation_centres_on_all_points_and_takes_every_other_one():
    cloud = a_cloud()
    found = EvalClouds(CloudPreprocess())(cloud).numpy()
    chosen = np.linspace(0, 39, 20).astype(int)
    assert np.allclose(found[:, :3], (cloud[:, :3] - cloud[:, :3].mean(0))[chosen], atol=1e-6)
    assert np.allclose(found[:, 3:], cloud[chosen, 3:] - 0.5) and found.dtype == np.float32
    assert np.array_equal(cloud, a_cloud())  # what came in is as it was


def test_the_first_points_alone_and_no_depth():
    found = EvalClouds(CloudPreprocess(slim=1.0, first=10, flat=True))(a_cloud()).numpy()
    assert found.shape == (10, 6) and (found[:, 2] == 0).all() and np.allclose(found[:, :2].mean(0), 0, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    points=st.integers(1, 60),
    white=st.integers(0, 60),
    share=st.floats(0.02, 0.99),
    seed=st.integers(0, 99),
    at_random=st.booleans(),
)
def test_a_share_keeps_the_order_and_takes_white_points_last(points: int, white: int, share: float, seed: int, at_random: bool):
    white = min(white, points)
    cloud = a_cloud(points, white, seed)
    cloud[:, 0] = np.arange(points)
    found = slimmed(cloud, share, np.random.default_rng(seed) if at_random else None)
    wanted = max(1, round(points * share))
    assert len(found) == wanted and (np.diff(found[:, 0]) > 0).all()
    hidden = int((cloud[found[:, 0].astype(int), 3:] == 1).all(1).sum())
    assert hidden == max(0, wanted - (points - white))
    assert not (found[:, 3:] == 1).all(1).any()  # they are grey


def test_half_of_the_training_clouds_lose_random_points():
    even = EvalClouds(CloudPreprocess())(a_cloud()).numpy()
    same = [np.array_equal(trained(replace(NOTHING, random_slim=True), seed=seed), even) for seed in range(40)]
    assert 8 < sum(same) < 32


def test_every_change_does_what_it_says():
    plain = trained(NOTHING)
    assert np.array_equal(plain, EvalClouds(CloudPreprocess())(a_cloud()).numpy())
    assert np.array_equal(trained(replace(NOTHING, flip=1)), plain * np.array([-1, 1, 1, 1, 1, 1]))
    factors = trained(replace(NOTHING, scale=(0.5, 2)))[:, :3] / plain[:, :3]
    assert np.allclose(factors, factors[0], rtol=1e-4) and len(set(factors[0].round(3))) == 3 and (factors >= 0.5).all()
    noise = trained(replace(NOTHING, jitter=0.01)) - plain
    assert (
        0.005 < np.abs(noise[:, :3]).mean() < 0.01 + 1e-6
        and np.abs(noise[:, :3]).max() <= 0.01 + 1e-6
        and (noise[:, 3:] == 0).all()
    )
    moved = trained(replace(NOTHING, shift=0.2))[:, :3] - plain[:, :3]
    assert np.allclose(moved, moved[0], atol=1e-6) and 0 < np.abs(moved[0]).max() <= 0.2
    turned = trained(replace(NOTHING, rotate=True))
    assert np.allclose(turned[:, 1], plain[:, 1]) and not np.allclose(turned[:, 0], plain[:, 0])
    assert np.allclose(np.hypot(turned[:, 0], turned[:, 2]), np.hypot(plain[:, 0], plain[:, 2]), atol=1e-5)
    erased = np.flatnonzero((trained(replace(NOTHING, erase=1.0), seed=3)[:, 3:] == 0).all(1))
    assert 0 < len(erased) < 20 and np.array_equal(erased, np.arange(erased[0], erased[-1] + 1))
    shuffled = trained(replace(NOTHING, shuffle=True))
    assert not np.array_equal(shuffled, plain) and np.array_equal(np.sort(shuffled, 0), np.sort(plain, 0))


def test_the_same_generator_makes_the_same_choices():
    everything = CloudAugmentation(rotate=True, erase=0.5, shift=0.1, shuffle=True)
    assert np.array_equal(trained(everything, seed=5), trained(everything, seed=5))
    assert not np.array_equal(trained(everything, seed=5), trained(everything, seed=6))


def test_the_preprocessing_is_plain_values():
    preprocess = CloudPreprocess(slim=1.0, first=1024, surface=2048, colours=False)
    assert CloudPreprocess.from_dict(preprocess.to_dict()) == preprocess and CloudPreprocess.describes(preprocess.to_dict())
    assert not CloudPreprocess.describes({"size": [256, 128]})


def test_arrays_and_tensors_are_clouds():
    cloud = a_cloud()
    assert np.array_equal(CloudPreprocess().checked(torch.from_numpy(cloud)), cloud)


def bad(change: dict[int, float]) -> np.ndarray:
    cloud = a_cloud()
    for column, value in change.items():
        cloud[3, column] = value
    return cloud


REFUSED = {
    "slim is 0: it is the share": lambda: CloudPreprocess(slim=0),
    "first is -1 and surface 0": lambda: CloudPreprocess(first=-1),
    "points of a surface have no colours": lambda: CloudPreprocess(surface=10),
    'no option "slimm" of the preprocessing of clouds. Did you mean "slim"?': lambda: CloudPreprocess.from_dict({"slimm": 1}),
    "flip is 2 and erase 0.0: both are from 0 to 1.": lambda: CloudAugmentation(flip=2),
    "scale is (2, 1): give the least and the largest factor": lambda: CloudAugmentation(scale=(2, 1)),
    "jitter is inf and shift 0.0": lambda: CloudAugmentation(jitter=math.inf),
    "an array of shape (40, 3) and type float32 is no cloud": lambda: CloudPreprocess().checked(a_cloud()[:, :3]),
    "a cloud has points that are not finite": lambda: CloudPreprocess().checked(bad({1: math.nan})),
    "a cloud has points that are not finite: coordinates": lambda: CloudPreprocess().checked(1e300 * a_cloud().astype(float)),
    "a cloud has a point at 3e+19: coordinates are metres": lambda: CloudPreprocess().checked(bad({1: 3e19})),
    "a cloud is 999 from end to end: coordinates are metres, and a person": lambda: CloudPreprocess().checked(bad({1: 1000})),
    "first is 20, of the 10 points that surface draws": lambda: CloudPreprocess(surface=10, first=20, colours=False),
    "a cloud has colours from -0.5 to ": lambda: CloudPreprocess().checked(bad({4: -0.5})),
    "a cloud has 40 points where the first 41 are wanted": lambda: EvalClouds(CloudPreprocess(first=41))(a_cloud()),
}


def test_rows_of_points_have_no_surface(tmp_path: Path):
    with pytest.raises(UsageError) as raised:
        CloudPreprocess(surface=512, colours=False).read(tmp_path / "train0.h5" / "3")
    assert str(raised.value) == (
        f'surface is 512, but "{tmp_path / "train0.h5"}" holds points already and no surface to draw them from: leave surface '
        "out, and give --first 512 to take so many points."
    )


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused(text: str):
    with pytest.raises((UsageError, DataError)) as raised:
        REFUSED[text]()
    assert text in str(raised.value)

"""Three lifters: fitted, placed, and brought along."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.errors import DataError, MissingDependencyError, UsageError
from passerby.lifting import Crop, Lifted, LifterOptions, PinholeCamera, Refused, WeakCamera, lift, open_lifter
from passerby.lifting.masks import beside
from passerby.lifting.vertices import read_body
from passerby.points.preprocess import CloudPreprocess, EvalClouds

BODY = {"vertices": np.random.default_rng(0).normal(0, 0.4, (300, 3)), "camera": np.array([0.9, 0.0, 0.0])}


@pytest.fixture(scope="module")
def anny():
    pytest.importorskip("onnxruntime", reason="lifting by landmarks needs onnxruntime")
    return open_lifter("anny")


def test_a_person_is_lifted(anny, people: dict[str, np.ndarray]):
    cloud = lift(anny, people["side"])
    assert not isinstance(cloud, Refused)
    assert cloud.xyz.shape == (8192, 3) and 1000 < cloud.surface < 3500
    body = cloud.xyz[: cloud.surface]
    assert 1.2 < np.ptp(body[:, 1]) < 2.1 and 0.1 < np.ptp(body[:, 2]) < 1.0
    points = np.concatenate([cloud.xyz, cloud.rgb / np.float32(255)], 1).astype(np.float32)
    assert EvalClouds(CloudPreprocess())(points).shape == (4096, 6)  # as the network of points takes it


def test_what_cannot_be_lifted_is_refused_and_the_others_are_not(anny, people: dict[str, np.ndarray]):
    nothing = np.full((128, 64, 3), 120, np.uint8)
    answers = anny([Crop(nothing), Crop(people["front"]), Crop(people["two"])])
    assert isinstance(answers[1], Lifted)
    assert [answer.reason for answer in answers if isinstance(answer, Refused)] == ["no person", "two people"]
    assert answers[0].detail == "presence 0.00, at least 0.5 is needed"


@pytest.mark.parametrize("name", ["front", "side"])
@pytest.mark.parametrize("share", [0.5, 0.66])
def test_legs_are_no_person(anny, people: dict[str, np.ndarray], name: str, share: float):
    image = people[name]
    legs = np.asarray(Image.fromarray(image[round(share * len(image)) :]).resize((64, 128)))
    answer = lift(anny, legs)
    assert isinstance(answer, Refused), "a whole person was made of legs"


@pytest.mark.parametrize("lifter", ["anny", "template"])
def test_images_that_are_none_are_refused_in_a_line(lifter: str, request: pytest.FixtureRequest):
    ready = request.getfixturevalue("anny") if lifter == "anny" else open_lifter("template")
    for image, found in {
        "float": (np.zeros((128, 64, 3), np.float32), r"\(128, 64, 3\) float32"),
        "grey": (np.zeros((128, 64), np.uint8), r"\(128, 64\) uint8"),
        "alpha": (np.zeros((128, 64, 4), np.uint8), r"\(128, 64, 4\) uint8"),
        "empty": (np.zeros((0, 64, 3), np.uint8), r"\(0, 64, 3\) uint8"),
        "picture": (Image.new("RGB", (64, 128)), "a Image"),
    }.values():
        with pytest.raises(UsageError, match=f"is {found}: give a NumPy array"):
            lift(ready, image)  # pyright: ignore[reportArgumentType]
    answer = lift(ready, np.zeros((15, 20, 3), np.uint8))
    assert answer == Refused("person too small", "the crop has 20 x 15 pixels, at least 8 x 16 are needed")


def test_of_two_people_one_can_be_lifted(people: dict[str, np.ndarray]):
    pytest.importorskip("onnxruntime", reason="lifting by landmarks needs onnxruntime")
    assert not isinstance(lift(open_lifter("anny", LifterOptions(two_people=False)), people["two"]), Refused)


def test_each_limit_has_its_words(anny, people: dict[str, np.ndarray]):
    from dataclasses import replace

    from passerby.lifting.anny import AnnyLifter, Limits

    limits = Limits()
    said = {}
    for name, value in {"presence": 1.01, "height": 1.1, "seen": 26, "moved": -1.0, "residual_m": 0.001}.items():
        (answer,) = AnnyLifter(limits=replace(limits, **{name: value}), second=False)([Crop(people["front"])])
        assert isinstance(answer, Refused)
        said[name] = answer.reason
    assert said == {
        "presence": "no person",
        "height": "person too small",
        "seen": "too little of a person",
        "moved": "too little of a person",
        "residual_m": "no body fits",
    }


def test_the_template_stands_on_the_mask(tmp_path: Path):
    mask = np.zeros((128, 64), np.uint8)
    mask[10:110, 20:44] = 255
    Image.fromarray(mask).save(tmp_path / "a.png")
    crop = Crop(np.zeros((128, 64, 3), np.uint8), "query/a.jpg")
    (lifted,) = open_lifter("template", LifterOptions(masks=tmp_path))([crop])
    assert isinstance(lifted, Lifted) and lifted.mask is not None
    column, row, _ = lifted.camera.project(lifted.vertices).T
    assert (row.min(), row.max()) == pytest.approx((10, 110), abs=1e-3)
    assert (column.min() + column.max()) / 2 == pytest.approx(32, abs=1e-3)


def test_without_masks_the_template_fills_the_crop_as_boxes_do():
    cloud = lift(open_lifter("template"), np.zeros((200, 90, 3), np.uint8))
    assert not isinstance(cloud, Refused) and 1000 < cloud.surface < 4000


def test_the_template_leans_as_the_camera_hangs():
    slopes = []
    for tilt in (0.0, 30.0):
        (lifted,) = open_lifter("template", LifterOptions(tilt_deg=tilt))([Crop(np.zeros((128, 64, 3), np.uint8))])
        assert isinstance(lifted, Lifted)
        slopes.append(np.polyfit(lifted.vertices[:, 1], lifted.vertices[:, 2], 1)[0])
    assert np.rad2deg(np.arctan(slopes[1]) - np.arctan(slopes[0])) == pytest.approx(30, abs=6)


def test_masks_that_are_missing_or_empty_are_refused_and_wrong_ones_named(tmp_path: Path):
    Image.fromarray(np.zeros((128, 64), np.uint8)).save(tmp_path / "empty.png")
    Image.fromarray(np.zeros((12, 6), np.uint8)).save(tmp_path / "small.png")
    lifter, image = open_lifter("template", LifterOptions(masks=tmp_path)), np.zeros((128, 64, 3), np.uint8)
    answers = lifter([Crop(image, "gone.jpg"), Crop(image, "empty.jpg")])
    assert [answer.reason for answer in answers if isinstance(answer, Refused)] == ["no mask", "no person"]
    with pytest.raises(DataError, match=r'small\.png" has 6 x 12 pixels, its crop 64 x 128: they must be equal\.'):
        lifter([Crop(image, "small.jpg")])


def test_bodies_of_other_tools(tmp_path: Path):
    (tmp_path / "query").mkdir()
    np.savez(tmp_path / "query" / "a.jpg.npz", **BODY)
    pinhole = {"focal_px": 900.0, "shift": np.array([0, 0, 8.0]), "centre": np.array([30.0, 70.0])}
    np.savez(tmp_path / "b.npz", vertices=BODY["vertices"], faces=[[0, 1, 2]], mask=np.ones((128, 64)), **pinhole)
    image = np.zeros((128, 64, 3), np.uint8)
    lifter = open_lifter("vertices", LifterOptions(vertices=tmp_path))
    first, second, third = lifter([Crop(image, "query/a.jpg"), Crop(image, "deep/er/b.jpg"), Crop(image, "c.jpg")])
    assert isinstance(first, Lifted) and first.camera == WeakCamera.of_square(0.9, 0, 0, 64, 128)
    np.testing.assert_array_equal(first.vertices, BODY["vertices"])
    assert isinstance(second, Lifted) and second.camera == PinholeCamera(900, 30, 70, (0, 0, 8))
    assert second.faces is not None and second.mask is not None
    assert isinstance(third, Refused) and third.reason == "no vertices"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vertices": None}, '"vertices" is missing'),
        ({"vertices": np.zeros((300, 2))}, r'has "vertices" of shape \(300, 2\) and type float64: numbers, N x 3, are needed'),
        ({"vertices": np.full((300, 3), np.nan)}, "has 300 vertices, or some that are not finite"),
        ({"vertices": np.zeros((0, 3))}, "has 0 vertices"),
        ({"vertices": np.full((300, 3), "a")}, 'has "vertices" of shape'),
        ({"camera": None}, r"a camera is needed, as camera \(s, tx, ty\), or as focal_px and shift"),
        ({"camera": np.array([0.0, 0, 0])}, "has the camera 0, 0, 0: its scale must be above 0"),
        ({"camera": None, "focal_px": 900.0}, '"shift" is missing'),
        ({"camera": None, "focal_px": 900.0, "shift": np.array([0, 0, -1.0])}, "900 px and the pelvis -1 m away"),
        (
            {"camera": None, "focal_px": 900.0, "shift": np.array([0, 0, 8.0]), "centre": np.array([np.nan, 3])},
            r'principal point at \[nan, 3\.0\]: "centre" must be two numbers of pixels',
        ),
        ({"faces": np.array([[0, 1, np.nan]])}, "faces of vertices that are not there"),
        ({"faces": np.array([[0, 1, 2**32]])}, "faces of vertices that are not there"),
        ({"faces": np.array([[0, 1, 300]])}, "faces of vertices that are not there: its 300 vertices count from 0"),
        ({"mask": np.ones((64, 128))}, r'has "mask" of shape \(64, 128\) and type float64: numbers, 128 x 64, are needed'),
    ],
)
def test_wrong_bodies_are_named(tmp_path: Path, changes: dict, words: str):
    content = {name: value for name, value in {**BODY, **changes}.items() if value is not None}
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(DataError, match=words):
        read_body(tmp_path / "a.npz", 64, 128)


def test_what_is_no_archive_is_named(tmp_path: Path):
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="cannot be read: it is no NumPy archive, or a damaged one"):
        read_body(tmp_path / "a.npz", 64, 128)
    np.save(tmp_path / "a.npy", BODY["vertices"])
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(DataError, match="cannot be read: it is a single NumPy array"):
        read_body(tmp_path / "a.npz", 64, 128)


def test_the_nearest_file_is_taken(tmp_path: Path):
    for path in ("q/a.npz", "a.jpg.npz", "a.npz"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    assert beside(tmp_path, "q/a.jpg", ".npz") == tmp_path / "q" / "a.npz"
    assert beside(tmp_path, "g/a.jpg", ".npz") == tmp_path / "a.jpg.npz"
    assert beside(tmp_path, "g/b.jpg", ".npz") is None


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("smpl", LifterOptions(), 'lifter "smpl" is unknown'),
        ("anny", LifterOptions(masks=Path()), 'masks go with the lifter "template": "anny" brings its own'),
        ("vertices", LifterOptions(), 'a folder of vertices goes with the lifter "vertices", and only with it'),
        ("template", LifterOptions(vertices=Path()), 'only with it; the lifter is "template"'),
        ("vertices", LifterOptions(vertices=Path("nowhere")), '"nowhere" is no folder'),
        ("template", LifterOptions(masks=Path("nowhere")), '"nowhere" is no folder'),
        ("template", LifterOptions(tilt_deg=80), "the tilt is 80 degrees"),
        ("vertices", LifterOptions(tilt_deg=3, vertices=Path()), 'tilt is 3 degrees, but .* bring theirs: .* with "vertices"'),
        ("vertices", LifterOptions(two_people=False, vertices=Path()), 'with the lifter "anny" alone: .* with "vertices"'),
        ("template", LifterOptions(two_people=False), 'with the lifter "anny" alone: leave that choice out with "template"'),
    ],
)
def test_wrong_options_are_named(name: str, options: LifterOptions, words: str):
    with pytest.raises(UsageError, match=words):
        open_lifter(name, options)


def test_without_onnxruntime_anny_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match="or give another lifter"):
        open_lifter("anny")

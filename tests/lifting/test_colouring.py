"""A body in a crop becomes H x W coloured points: what the camera sees first, a plane behind it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.errors import UsageError
from passerby.lifting import Lifted, PinholeCamera, Refused, WeakCamera, colour
from passerby.lifting.colouring import drop_occluded, splat

W, H = 64, 128


def ball(count: int = 4000, radius: float = 0.5) -> np.ndarray:
    random = np.random.default_rng(0)
    points = random.normal(size=(count, 3))
    return radius * points / np.linalg.norm(points, axis=1, keepdims=True)


def picture(width: int = W, height: int = H) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (height, width, 3)).astype(np.uint8)


def published(vertices: np.ndarray, camera: WeakCamera, image: np.ndarray) -> tuple[np.ndarray, int]:
    """Steps 3 to 7 of the published generator as loops, with pixels whose centres lie at a half."""
    height, width = image.shape[:2]
    depth, owner = np.full((height, width), np.inf), np.full((height, width), -1)
    for k, (x, y, z) in enumerate(vertices):
        row = min(max(int(np.floor(camera.scale * y + camera.row)), 0), height - 1)
        column = min(max(int(np.floor(camera.scale * x + camera.column)), 0), width - 1)
        if z < depth[row, column]:
            depth[row, column], owner[row, column] = z, k
    front = owner >= 0
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            for other in ((row - 1, column), (row, column - 1)):
                if np.isfinite(depth[row, column]) and depth[other] - depth[row, column] > 0.05:
                    front[other] = False
    rows = []
    place = {owner[at]: at for at in zip(*np.nonzero(front), strict=True)}
    for k in sorted(place):
        rows.append([*vertices[k], *(image[place[k]] / 255)])
    for row in range(height):
        for column in range(width):
            if not front[row, column]:
                x, y = (column + 0.5 - camera.column) / camera.scale, (row + 0.5 - camera.row) / camera.scale
                rows.append([x, y, vertices[:, 2].mean(), *(image[row, column] / 255)])
    return np.array(rows), len(place)


def test_vertices_become_points_as_published():
    vertices, camera, image = ball(), WeakCamera(60, 32, 60), picture()
    cloud = colour(Lifted(vertices, camera), image, points="vertices")
    assert not isinstance(cloud, Refused)
    expected, surface = published(vertices, camera, image)
    assert cloud.surface == surface > 500
    np.testing.assert_allclose(np.concatenate([cloud.xyz, cloud.rgb / 255.0], 1), expected, atol=1e-6)


@pytest.mark.parametrize("points", ["surface", "vertices"])
@pytest.mark.parametrize("size", [(64, 128), (32, 64), (48, 100)])
def test_there_is_one_point_a_pixel_whatever_the_crops_size(points, size: tuple[int, int]):
    image = picture(90, 200)
    cloud = colour(Lifted(ball(), WeakCamera(90, 45, 100)), image, width=size[0], height=size[1], points=points)
    assert not isinstance(cloud, Refused)
    assert cloud.xyz.shape == cloud.rgb.shape == (size[0] * size[1], 3)
    assert np.ptp(cloud.xyz[cloud.surface :, 2]) == 0 and np.isfinite(cloud.xyz).all()


def test_of_two_points_in_a_pixel_the_nearer_counts_and_of_equals_the_first():
    depth, owner = splat(np.array([1.2, 1.7, 1.4, 9.0]), np.array([0.1, 0.9, 0.5, -3.0]), np.array([3.0, 2.0, 2.0, 1.0]), 4, 2)
    assert owner.tolist() == [[-1, 1, -1, 3], [-1, -1, -1, -1]] and depth[0, 1] == 2


@settings(deadline=None)
@given(st.integers(0, 2**31), st.floats(0.1, 0.9))
def test_the_clean_up_is_the_loop_over_pixels_and_does_nothing_twice(seed: int, filled: float):
    random = np.random.default_rng(seed)
    depth = np.where(random.random((9, 7)) < filled, random.choice([0.0, 0.04, 0.2, 0.6], (9, 7)), np.inf)
    front = np.isfinite(depth)
    for row in range(1, 8):
        for column in range(1, 6):
            for other in ((row - 1, column), (row, column - 1)):
                if np.isfinite(depth[row, column]) and depth[other] - depth[row, column] > 0.05:
                    front[other] = False
    found = drop_occluded(depth)
    np.testing.assert_array_equal(found, front)
    np.testing.assert_array_equal(drop_occluded(np.where(found, depth, np.inf)) & found, found)


QUAD = np.array([[-0.2, -0.6, 0.1], [0.2, -0.6, 0.1], [0.2, 0.6, 0.3], [-0.2, 0.6, 0.3]])
FACES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def test_triangles_are_filled_at_the_centres_of_pixels():
    """A board that leans away from the camera towards its foot."""
    cloud = colour(Lifted(QUAD, WeakCamera(60, 32, 64), FACES), picture())
    assert not isinstance(cloud, Refused)
    points = cloud.xyz[: cloud.surface]
    assert cloud.surface == pytest.approx(0.4 * 1.2 * 3600, rel=0.03)
    np.testing.assert_allclose(points[:, 2], 0.2 + points[:, 1] / 6, atol=1e-6)


def test_clothes_beside_the_body_are_as_deep_as_the_nearest_of_it_and_what_is_outside_the_mask_is_background():
    mask = np.zeros((H, W), bool)
    mask[40:80, 16:40] = True  # the board reaches from column 20 to 44
    cloud = colour(Lifted(QUAD, WeakCamera(60, 32, 64), FACES, mask), picture())
    assert not isinstance(cloud, Refused)
    assert cloud.surface == mask.sum()
    left = cloud.xyz[: cloud.surface]
    left = left[left[:, 0] < -0.2]
    assert len(left) == 4 * 40
    np.testing.assert_allclose(left[:, 2], 0.2 + left[:, 1] / 6, atol=0.01)


def test_the_mask_of_something_else_far_away_is_no_surface():
    mask = np.zeros((H, W), bool)
    mask[40:80, 20:40] = mask[40:80, 60:64] = True
    cloud = colour(Lifted(QUAD, WeakCamera(60, 32, 64), FACES, mask), picture())
    assert not isinstance(cloud, Refused) and cloud.surface == 40 * 20


def test_a_pinholes_points_lie_on_their_rays():
    camera = PinholeCamera(600, 32, 64, (0.0, 0.0, 10.0))
    cloud = colour(Lifted(QUAD, camera, FACES), picture())
    assert not isinstance(cloud, Refused)
    column, row, _ = camera.project(cloud.xyz).T
    np.testing.assert_allclose(column % 1, 0.5, atol=1e-3)
    np.testing.assert_allclose(row % 1, 0.5, atol=1e-3)


def test_what_cannot_be_a_cloud_is_refused():
    image, camera = picture(), WeakCamera(60, 32, 64)
    elsewhere = np.zeros((H, W), bool)
    elsewhere[:20, :10] = True
    nowhere = Lifted(QUAD, WeakCamera(60, 900, 64), FACES)
    assert colour(Lifted(QUAD * np.nan, camera, FACES), image) == Refused("vertices that are not finite")
    assert colour(nowhere, image) == Refused("a body outside the picture")
    for points in ("surface", "vertices"):
        assert colour(Lifted(ball(), WeakCamera(60, 900, 64)), image, points=points) == Refused("a body outside the picture")
        far = colour(Lifted(ball(), WeakCamera(60, 1e308 * 10, 64)), image, points=points)
        assert isinstance(far, Refused) and far.reason == "a body outside the picture"
        small = colour(Lifted(ball(), WeakCamera(0.06, 32, 64)), image, points=points)
        assert isinstance(small, Refused) and small.reason == "a body too small in the picture"
        for unit in (1e200, 1000.0, 0.001):
            wrong = colour(Lifted(unit * ball(), WeakCamera(60 / unit, 32, 64)), image, points=points)
            assert isinstance(wrong, Refused) and wrong.reason == "a body of no person's size"
    answer = colour(Lifted(QUAD, camera, FACES, elsewhere), image)
    assert isinstance(answer, Refused) and answer.reason == "body and mask do not fit"


@pytest.mark.parametrize("points", ["surface", "vertices"])
@pytest.mark.parametrize(("away", "behind"), [(-2.0, 4), (-0.2, 2), (-0.1, 2)])
def test_a_body_behind_a_pinhole_is_refused(points, away: float, behind: int):
    """The board's two upper corners are 0.1 m, its lower ones 0.3 m deep: it lies behind the camera, or reaches through it."""
    lifted = Lifted(QUAD, PinholeCamera(600, 32, 64, (0.0, 0.0, away)), FACES)
    assert colour(lifted, picture(), points=points) == Refused("a body behind the camera", f"{behind} of 4 vertices")
    assert not isinstance(colour(Lifted(QUAD, PinholeCamera(600, 32, 64, (0.0, 0.0, 9.0)), FACES), picture()), Refused)


def test_wrong_calls_are_named():
    lifted = Lifted(QUAD, WeakCamera(60, 32, 64), FACES)
    with pytest.raises(UsageError, match=r'points is "mesh": allowed are surface and vertices\.'):
        colour(lifted, picture(), points="mesh")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="the grid is 1 x 128"):
        colour(lifted, picture(), width=1)

import numpy as np

from passerby.street.clouds import point_cloud, save_npz, save_obj
from passerby.street.render import Layer, View
from passerby.street.stage import Shot


def shot():
    """A wall 5 m away of which the lower left quarter is person 7, 1 m nearer; another person is in the upper right."""
    ids = np.full((8, 4), -1, np.int32)
    ids[4:, :2], ids[:4, 2:] = 7, 3
    depth = np.full((8, 4), np.inf, np.float32)
    depth[ids == 7], depth[ids == 3] = 4.0, 3.0
    layer = Layer(np.zeros((8, 4, 3), np.float32), (ids >= 0).astype(np.float32), depth, ids)
    view = View(np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), np.array([0.0, 1.0, 0.0]), 10.0, 10.0, 2.0, 4.0, 4, 8)
    return Shot(np.zeros((8, 4, 3), np.float32), layer, view, (), 1.0, 0.0)


PICTURE = np.arange(8 * 4 * 3, dtype=np.uint8).reshape(8, 4, 3)


def cloud(width=4, height=8):
    return point_cloud(shot(), PICTURE, 7, np.array([0.0, 4.2, 1.0]), width, height)


def test_there_is_one_point_a_pixel_surface_first_then_the_plane_in_row_order():
    made = cloud()
    assert made.xyz.shape == (32, 3) and made.rgb.shape == (32, 3) and made.surface == 8
    assert np.array_equal(made.rgb[:2], PICTURE[4, :2]) and np.array_equal(made.rgb[8:12], PICTURE[0])
    assert np.allclose(made.xyz[:8, 2], -0.2) and np.allclose(made.xyz[8:, 2], 0.0)


def test_points_project_back_to_their_pixels():
    made, view = cloud(), shot().view
    z = made.xyz[:, 2] + 4.2
    column, row = made.xyz[:, 0] / z * view.fx + view.cx, made.xyz[:, 1] / z * view.fy + view.cy
    assert sorted(zip(np.floor(column + 1e-4).tolist(), np.floor(row + 1e-4).tolist(), strict=True)) == [
        (x, y) for x in range(4) for y in range(8)
    ]
    assert row[8] < row[-1]  # y points down


def test_a_coarser_grid_has_its_own_number_of_points():
    made = cloud(2, 4)
    assert len(made.xyz) == 8 and made.surface == 2


def test_the_files_hold_the_form_of_og_net(tmp_path):
    made = cloud()
    save_obj(made, tmp_path / "a" / "x.jpg.obj")
    lines = (tmp_path / "a" / "x.jpg.obj").read_text().splitlines()
    assert len(lines) == 33 and lines[-1] == "f 1 2 3"
    values = np.array([line.split()[1:] for line in lines[:-1]], float)
    assert lines[0].startswith("v ") and all(len(part.split(".")[1]) == 6 for part in lines[0].split()[1:])
    assert np.allclose(values[:, :3], made.xyz, atol=1e-6) and np.allclose(values[:, 3:], made.rgb / 255, atol=1e-6)
    save_npz(made, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as content:
        assert np.array_equal(content["xyz"], made.xyz) and np.array_equal(content["rgb"], made.rgb) and content["surface"] == 8

"""Both renderers: they agree, and each puts the right thing at the right place in the right light."""

import numpy as np
import pytest

from passerby.errors import MissingDependencyError, UsageError
from passerby.street.bodies import make_person
from passerby.street.clothes import WARDROBES
from passerby.street.figures import Figure
from passerby.street.meshes import PATTERNS, TRIMS, Material, box, ellipsoid, quad
from passerby.street.motion import Pose
from passerby.street.render import DrawItem, Light, View, open_renderer, to_display

WHITE = Material((1.0, 1.0, 1.0), grain=0.0)
DULL = Light(sun=(0.0, 0.0, 0.0), sky=(0.5, 0.5, 0.5), ground=(0.5, 0.5, 0.5), horizon=(0.0, 0.0, 0.0))
VIEW = View.look_at((0, -10, 1), (0, 0, 1), 200.0, 64, 96)


@pytest.fixture(scope="module")
def gl():
    try:
        renderer = open_renderer("gl")
    except MissingDependencyError as absent:
        pytest.skip(str(absent))
    yield renderer
    renderer.close()


@pytest.fixture(params=["numba", "gl"])
def renderer(request):
    return request.getfixturevalue("gl") if request.param == "gl" else open_renderer("numba")


def scene():
    """Every pattern and every trim once, as boxes and balls, on a ground that catches their shadows."""
    ground = quad([(-5, -4, 0), (5, -4, 0), (5, 9, 0), (-5, 9, 0)], Material((0.3, 0.3, 0.28), (0.2, 0.2, 0.2), "checks", 0.5))
    items = [DrawItem(ground, 0, casts=False)]
    for k, pattern in enumerate(PATTERNS):
        look = Material(
            (0.1, 0.2, 0.4), (0.7, 0.6, 0.3), pattern, 0.11, 0.1, 0.4, gloss=0.2, crease=0.2, trim=TRIMS[k % len(TRIMS)]
        )
        x, y = -2 + (k % 5), 2.0 * (k // 5)
        shape = box((x, y, 0), (x + 0.5, y + 0.4, 1.2), look) if k % 2 else ellipsoid((x, y, 0.6), (0.3, 0.3, 0.6), look)
        items.append(DrawItem(shape, k + 1))
    return items


def difference(one, other):
    backdrop = np.full((*one.coverage.shape, 3), 0.3)
    return np.abs(to_display(one.over(backdrop)).astype(float) - to_display(other.over(backdrop)).astype(float))


def test_the_renderers_agree_on_every_pattern(gl):
    view = View.look_at((1.5, -8, 3.5), (0, 1.5, 0.4), 260.0, 200, 150)
    light = Light(haze_per_m=0.01)
    one, other = open_renderer("numba").draw(scene(), view, light), gl.draw(scene(), view, light)
    assert difference(one, other).mean() < 0.3
    assert (one.ids != other.ids).mean() < 0.002
    same = (one.ids == other.ids) & (one.ids >= 0)
    np.testing.assert_allclose(one.depth[same], other.depth[same], rtol=1e-3)


@pytest.mark.parametrize("name", sorted(WARDROBES))
def test_the_renderers_agree_on_people(gl, name):
    figure = Figure(make_person(11, WARDROBES[name]))
    items = [DrawItem(figure.posed(Pose(heading=1.0, phase=0.2)), 1), DrawItem(figure.posed(Pose(x=0.3, y=1.0)), 2)]
    view = View.look_at((0, -8, 2.6), (0, 0, 0.9), 560.0, 64, 128)
    assert difference(open_renderer("numba").draw(items, view, Light()), gl.draw(items, view, Light())).mean() < 0.3


def test_a_white_surface_shows_the_light_of_the_sky(renderer):
    layer = renderer.draw([DrawItem(quad([(-9, 0, -9), (9, 0, -9), (9, 0, 9), (-9, 0, 9)], WHITE), 5)], VIEW, DULL)
    np.testing.assert_allclose(layer.rgb, 0.5, atol=1e-3)
    np.testing.assert_allclose(layer.depth, 10.0, atol=1e-3)
    assert (layer.ids == 5).all()
    assert (layer.coverage == 1).all()


def test_the_sun_follows_the_cosine(renderer):
    light = Light(to_sun=(0, -1, 1), sun=(1, 1, 1), sky=(0, 0, 0), ground=(0, 0, 0), horizon=(0, 0, 0))
    layer = renderer.draw([DrawItem(quad([(-9, 0, -9), (9, 0, -9), (9, 0, 9), (-9, 0, 9)], WHITE), 1, casts=False)], VIEW, light)
    np.testing.assert_allclose(layer.rgb[48, 32], (np.sqrt(0.5) + 0.08) / 1.08, atol=1e-3)


def test_a_box_lands_where_the_view_projects_it(renderer):
    corners = np.array([(x, y, z) for x in (-0.5, 0.7) for y in (0.0, 0.4) for z in (0.2, 1.5)])
    seen = VIEW.project(corners)
    layer = renderer.draw([DrawItem(box((-0.5, 0, 0.2), (0.7, 0.4, 1.5), WHITE), 1)], VIEW, DULL)
    rows, columns = np.nonzero(layer.coverage > 0.5)
    found = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
    np.testing.assert_allclose(found, (seen[:, 0].min(), seen[:, 0].max(), seen[:, 1].min(), seen[:, 1].max()), atol=1)


def test_the_nearer_thing_hides_the_farther_whatever_the_order(renderer):
    near, far = DrawItem(box((-1, -1, 0), (1, -0.5, 2), WHITE), 1), DrawItem(box((-1, 3, 0), (1, 4, 2), WHITE), 2)
    for items in ([near, far], [far, near]):
        assert renderer.draw(items, VIEW, DULL).ids[48, 32] == 1


def test_limit_hides_what_lies_behind_a_backdrop(renderer):
    limit = np.full((96, 64), np.inf, np.float32)
    limit[:, :32] = 9.0
    layer = renderer.draw([DrawItem(quad([(-9, 0, -9), (9, 0, -9), (9, 0, 9), (-9, 0, 9)], WHITE), 1)], VIEW, DULL, limit=limit)
    assert (layer.ids[:, :32] == -1).all()
    assert (layer.ids[:, 32:] == 1).all()
    assert np.isinf(layer.depth[:, :32]).all()


def test_nothing_gives_an_empty_layer(renderer):
    layer = renderer.draw([], VIEW, Light())
    assert layer.rgb.shape == (96, 64, 3)
    assert not layer.coverage.any()
    assert (layer.ids == -1).all()


def test_a_ground_under_and_behind_the_camera_is_clipped_at_the_near_plane(renderer):
    ground = quad([(-50, -50, 0), (50, -50, 0), (50, 50, 0), (-50, 50, 0)], WHITE)
    view = View.look_at((0, 0, 1.5), (0, 10, 1.5), 60.0, 64, 96)
    layer = renderer.draw([DrawItem(ground, 1, casts=False)], view, DULL, samples=1)
    assert (layer.ids[60:] == 1).all()
    assert (layer.ids[:45] == -1).all()
    np.testing.assert_allclose(layer.depth[80], 60.0 * 1.5 / (80.5 - 48), rtol=1e-3)


def test_more_samples_soften_edges_only(renderer):
    items = [DrawItem(ellipsoid((0, 0, 1), (0.8, 0.8, 0.8), WHITE), 1)]
    coarse, fine = (renderer.draw(items, VIEW, DULL, samples=samples) for samples in (1, 4))
    assert set(np.unique(coarse.coverage)) == {0.0, 1.0}
    assert len(np.unique(fine.coverage)) > 5
    assert coarse.coverage.sum() == pytest.approx(fine.coverage.sum(), rel=0.03)


def test_over_puts_the_background_where_nothing_is_drawn(renderer):
    layer = renderer.draw([DrawItem(box((-0.2, 0, 0), (0.2, 0.2, 2), WHITE), 1)], VIEW, DULL)
    picture = layer.over(np.full((96, 64, 3), 0.25))
    np.testing.assert_allclose(picture[layer.coverage == 0], 0.25)
    np.testing.assert_allclose(picture[layer.coverage == 1], layer.rgb[layer.coverage == 1])


def test_unproject_undoes_project():
    points = np.random.RandomState(0).uniform(-3, 3, (20, 3))
    seen = VIEW.project(points)
    np.testing.assert_allclose(VIEW.unproject(*seen.T), points, atol=1e-9)
    np.testing.assert_allclose(VIEW.eye, (0, -10, 1), atol=1e-12)


def test_a_cropped_view_sees_the_same_rays():
    part = VIEW.cropped(10, 20, 30, 40, 60, 160)
    points = np.random.RandomState(1).uniform(-1, 1, (9, 3))
    whole, cut = VIEW.project(points), part.project(points)
    np.testing.assert_allclose(cut[:, 0], (whole[:, 0] - 10) * 2)
    np.testing.assert_allclose(cut[:, 1], (whole[:, 1] - 20) * 4)


def test_look_at_puts_the_target_in_the_middle_and_up_is_up():
    view = View.look_at((3, -4, 5), (0, 1, 1), 300.0, 80, 60)
    seen = view.project(np.array([(0, 1, 1), (0, 1, 2)]))
    np.testing.assert_allclose(seen[0, :2], (40, 30), atol=1e-9)
    assert seen[1, 1] < 30


def test_to_display_encodes_srgb():
    assert to_display(np.array([0.0, 0.2140, 1.0, 7.0])).tolist() == [0, 127, 255, 255]


def test_an_unknown_renderer_is_refused():
    with pytest.raises(UsageError, match=r'renderer "vulkan" is unknown\. Allowed: auto, gl, numba\.'):
        open_renderer("vulkan")


def test_without_moderngl_auto_falls_back_and_gl_says_what_to_do(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "moderngl", None)
    assert open_renderer("auto").name == "numba"
    with pytest.raises(
        MissingDependencyError, match=r'moderngl is not installed\. Use the numba renderer, or install the "street" extra'
    ):
        open_renderer("gl")


def test_without_a_context_gl_says_what_to_do(monkeypatch):
    moderngl = pytest.importorskip("moderngl")

    def refuse(**_):
        raise RuntimeError("eglInitialize failed")

    monkeypatch.setattr(moderngl, "create_standalone_context", refuse)
    with pytest.raises(
        MissingDependencyError, match=r"no context could be made \(eglInitialize failed\)\. Use the numba renderer"
    ):
        open_renderer("gl")


def test_auto_takes_gl_only_where_a_gpu_draws(gl):
    chosen = open_renderer("auto")
    assert chosen.name == ("numba" if gl.software else "gl")
    chosen.close()

"""Figures: whole, on the ground, facing their heading, dressed without holes, whatever is worn."""

from dataclasses import replace

import numpy as np
import pytest

from passerby.street import hair, luggage, tailor
from passerby.street.bodies import Hair, make_person
from passerby.street.clothes import Garment
from passerby.street.figures import Figure
from passerby.street.meshes import Material
from passerby.street.motion import ACTIONS, Pose
from passerby.street.render import DrawItem, Light, View, open_renderer
from passerby.street.wardrobes import WARDROBES

PERSON = make_person(2, WARDROBES["spring"])
BLUE, RED = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)
FLAT = Light(sun=(0, 0, 0), sky=(1, 1, 1), ground=(1, 1, 1), horizon=(0, 0, 0))


def wearing(person=PERSON, **garments):
    return replace(person, outfit=replace(person.outfit, **garments))


def sound(mesh):
    assert np.isfinite(mesh.positions).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-3)
    assert mesh.faces.max() < len(mesh.positions)
    assert mesh.material.max() < len(mesh.materials)
    assert (mesh.open >= 0).all()
    assert (mesh.open <= 1).all()


@pytest.mark.parametrize("seed", range(8))
def test_people_are_whole_and_of_human_size(seed):
    figure = Figure(make_person(seed, list(WARDROBES.values())[seed % 6]))
    mesh = figure.posed(Pose(phase=0.1 * seed, speed=1.2))
    sound(mesh)
    assert 1.2 < figure.stature_m < 2.15
    assert np.ptp(mesh.positions[:, 2]) == pytest.approx(figure.stature_m, abs=0.16)
    assert isinstance(mesh.materials[0], Material)


@pytest.mark.parametrize("action", ACTIONS)
def test_feet_stand_on_the_ground(action):
    figure = Figure(PERSON)
    for phase in (0.0, 0.2, 0.6):
        mesh = figure.posed(Pose(x=3, y=-2, phase=phase, speed=1.3, action=action))
        assert mesh.positions[:, 2].min() == pytest.approx(0, abs=1e-6)
        np.testing.assert_allclose(np.median(mesh.positions[:, :2], axis=0), (3, -2), atol=0.25)


def test_heading_zero_looks_along_x():
    mesh = Figure(PERSON).posed(Pose(heading=0.0, speed=0.0))
    face = next(k for k, material in enumerate(mesh.materials) if material.pattern == "face")
    nose = mesh.positions[mesh.material == face][mesh.coords[mesh.material == face][:, 1].argmin()]
    assert nose[0] > 0.05
    turned = Figure(PERSON).posed(Pose(heading=np.pi / 2, speed=0.0))
    np.testing.assert_allclose(turned.positions[:, 0], -mesh.positions[:, 1], atol=1e-5)
    np.testing.assert_allclose(turned.positions[:, 1], mesh.positions[:, 0], atol=1e-5)


def test_the_same_record_gives_the_same_mesh():
    one, other = (Figure(make_person(5, WARDROBES["winter"])).posed(Pose(phase=0.4)) for _ in range(2))
    np.testing.assert_array_equal(one.positions, other.positions)
    assert one.materials == other.materials


@pytest.mark.parametrize("kind", tailor.CUTS)
def test_every_top_can_be_worn(kind):
    outer = kind in ("jacket", "coat", "puffer", "parka", "bodywarmer", "vest_signal", "blazer")
    garment = Garment(kind, BLUE, length=0.2)
    person = wearing(outer=garment) if outer else wearing(top=garment, outer=None)
    sound(Figure(person).posed(Pose()))


@pytest.mark.parametrize("kind", [*tailor.LEGS, "skirt", "long_skirt", "bare"])
def test_everything_for_the_legs_can_be_worn(kind):
    sound(Figure(wearing(bottom=Garment(kind, RED))).posed(Pose()))


@pytest.mark.parametrize("kind", tailor.SHAFTS)
def test_every_shoe_can_be_worn(kind):
    sound(Figure(wearing(shoes=Garment(kind, RED))).posed(Pose()))


@pytest.mark.parametrize("kind", hair.HATS)
def test_every_hat_can_be_worn(kind):
    plain, hatted = Figure(wearing(hat=None)), Figure(wearing(hat=Garment(kind, RED)))
    sound(hatted.posed(Pose()))
    assert hatted.stature_m >= plain.stature_m - 0.04


@pytest.mark.parametrize("kind", luggage.BAGS)
def test_every_bag_can_be_carried(kind):
    bare, loaded = Figure(wearing(bag=None)).posed(Pose()), Figure(wearing(bag=Garment(kind, RED))).posed(Pose())
    sound(loaded)
    assert len(loaded.positions) > len(bare.positions)


def test_a_bag_hangs_upright_below_the_hand_whatever_the_arm_does():
    small = Garment("handbag", (0.5, 0.1, 0.1))
    with_bag, without = Figure(wearing(bag=small)), Figure(wearing(bag=None))
    for action in ("walk", "pockets", "phone"):
        pose = Pose(phase=0.2, speed=1.3, action=action)
        added = with_bag.posed(pose).positions[len(without.posed(pose).positions) :]
        size = np.ptp(added, axis=0)
        assert size[2] < 0.42 and size[1] < 0.16  # its height and its thickness: it has not turned
        assert added[:, 2].min() > 0.1


@pytest.mark.parametrize("style", hair.STYLES)
def test_every_hair_style_can_be_worn(style):
    for hat in (None, Garment("cap", RED), Garment("hood", RED)):
        sound(Figure(replace(wearing(hat=hat), hair=Hair(style, (0.1, 0.05, 0.02)))).posed(Pose()))


def test_a_scarf_is_seen():
    with_scarf = Figure(wearing(scarf=Garment("scarf", RED))).posed(Pose())
    assert any(material.colour == RED for material in with_scarf.materials)


def test_long_sleeves_hide_the_arms_and_short_ones_do_not():
    """Seen from the front, a tank top shows much more skin than a jumper."""

    def skin_pixels(kind):
        person = replace(
            wearing(top=Garment(kind, BLUE), outer=None, bag=None, scarf=None, hat=None, bottom=Garment("jeans", BLUE)), skin=RED
        )
        mesh = Figure(person).posed(Pose(heading=-np.pi / 2, speed=0.0))
        view = View.look_at((0, -8, 1), (0, 0, 1), 500.0, 80, 140)
        layer = open_renderer("numba").draw([DrawItem(mesh, 1)], view, FLAT, samples=1)
        return int((layer.rgb[..., 0] > 3 * layer.rgb[..., 2]).sum())

    assert skin_pixels("tank") > 1.5 * skin_pixels("jumper")


def test_no_skin_shines_through_clothes():
    """A walking person in blue clothes with red skin: red is only to be seen at the head and the hands."""
    person = replace(
        wearing(
            top=Garment("jumper", BLUE),
            outer=None,
            bag=None,
            scarf=None,
            hat=None,
            bottom=Garment("jeans", BLUE),
            shoes=Garment("boots", BLUE),
        ),
        skin=RED,
        hair=Hair("bald", RED),
    )
    figure = Figure(person)
    view = View.look_at((0, -8, 1), (0, 0, 1), 700.0, 160, 200)
    for heading in (-1.5, 0.0, 1.7):
        for phase in (0.0, 0.3, 0.6):
            mesh = figure.posed(Pose(heading=heading, phase=phase))
            layer = open_renderer("numba").draw([DrawItem(mesh, 1)], view, FLAT, samples=1)
            rows = np.nonzero((layer.rgb[..., 0] > 2 * layer.rgb[..., 2]).any(1))[0]
            below = view.project(np.array([(0, 0, 0.62)]))[0, 1]
            assert (rows < below).all(), f"heading {heading} phase {phase}: skin on the legs"

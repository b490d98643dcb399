"""Meshes: closed surfaces face outwards, quads cover what they should."""

import numpy as np
import pytest

from passerby.street.meshes import PATTERNS, TRIMS, Material, box, ellipsoid, quad

RED = Material((0.5, 0.0, 0.0))
SOLIDS = {
    "box": box((-1, -2, 0), (1, 2, 3), RED),
    "ellipsoid": ellipsoid((0, 0, 1), (0.5, 0.5, 1.0), RED, rings=48, sides=64),
}


def volume(mesh):
    """By the divergence theorem: right only when every triangle of a closed surface turns outwards."""
    a, b, c = (mesh.positions[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_a_box_encloses_its_volume():
    assert volume(SOLIDS["box"]) == pytest.approx(24.0)


def test_an_ellipsoid_encloses_its_volume():
    assert volume(SOLIDS["ellipsoid"]) == pytest.approx(4 / 3 * np.pi * 0.25, rel=0.01)


@pytest.mark.parametrize("mesh", SOLIDS.values(), ids=SOLIDS)
def test_normals_are_unit_and_agree_with_the_winding(mesh):
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)
    a, b, c = (mesh.positions[mesh.faces[:, k]] for k in range(3))
    outward = np.cross(b - a, c - a)
    large = np.linalg.norm(outward, axis=1) > 1e-9
    assert (np.einsum("ij,ij->i", outward, mesh.normals[mesh.faces[:, 0]])[large] > 0).all()


def test_a_quad_in_pieces_covers_the_same_square():
    mesh = quad([(0, 0, 0), (2, 0, 0), (2, 3, 0), (0, 3, 0)], RED, pieces=4)
    a, b, c = (mesh.positions[mesh.faces[:, k]] for k in range(3))
    assert np.cross(b - a, c - a)[:, 2].sum() / 2 == pytest.approx(6.0)
    assert (mesh.normals[:, 2] == 1).all()


def test_names_of_patterns_and_trims_are_unique():
    assert len(set(PATTERNS)) == len(PATTERNS)
    assert len(set(TRIMS)) == len(TRIMS)

"""The body that is fitted: bones turn what hangs on them, shapes are people's, everything has a gradient."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from passerby.lifting.blazepose import LANDMARKS
from passerby.lifting.body import ANGLES, BONES, SHAPES, STANDING, fit_body, rotation


def landmarks(angles: torch.Tensor, root: torch.Tensor | None = None) -> dict[str, np.ndarray]:
    body = fit_body()
    pose = body.pose(torch.zeros(1, SHAPES), angles[None], torch.eye(3)[None] if root is None else root[None])
    return dict(zip(LANDMARKS, body.landmarks(pose)[0].numpy(), strict=True))


def test_rotation_vectors():
    vectors = np.random.default_rng(0).normal(0, 1.5, (20, 3))
    expected = Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(rotation(torch.tensor(vectors)).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(rotation(torch.zeros(3)).numpy(), np.eye(3), atol=1e-6)


def test_somebody_who_stands_and_faces_the_camera():
    found = landmarks(STANDING)
    rows = [found[name][1] for name in ("nose", "shoulder.L", "hip.L", "knee.L", "ankle.L", "heel.L")]
    assert rows == sorted(rows) and 1.3 < rows[-1] - rows[0] < 1.8
    assert found["shoulder.L"][0] > 0.1 > -0.1 > found["shoulder.R"][0]
    assert found["nose"][2] < found["ear.L"][2] and found["toe.R"][2] < found["heel.R"][2]
    for name in ("elbow", "wrist", "knee", "toe"):  # one side mirrors the other
        np.testing.assert_allclose(found[f"{name}.L"] * [-1, 1, 1], found[f"{name}.R"], atol=0.01)


def test_the_root_turns_everything_about_the_pelvis():
    turn = rotation(torch.tensor([0.3, 2.0, -0.4]))
    plain, turned = landmarks(STANDING), landmarks(STANDING, turn)
    for name in ("nose", "wrist.L", "heel.R"):
        np.testing.assert_allclose(turned[name], turn.numpy() @ plain[name], atol=1e-5)


def test_a_bent_knee_moves_the_foot_backwards_and_nothing_else():
    bent = STANDING.clone()
    bent[-4] += 1.0  # the left knee
    plain, after = landmarks(STANDING), landmarks(bent)
    assert after["ankle.L"][2] > plain["ankle.L"][2] + 0.2 and after["ankle.L"][1] < plain["ankle.L"][1]
    for name in ("knee.L", "ankle.R", "wrist.L", "nose"):
        np.testing.assert_allclose(after[name], plain[name], atol=1e-6)


def test_clothes_stand_off_the_skin():
    body = fit_body()
    pose = body.pose(torch.zeros(1, SHAPES), STANDING[None], torch.eye(3)[None])
    which = torch.arange(0, body.vertices, 7)
    bare, dressed = body.points(pose, which), body.points(pose, which, torch.full((1, 1), 0.02))
    assert (dressed - bare).norm(dim=-1)[0].numpy() == pytest.approx(0.02, abs=0.004)
    assert np.ptp(dressed[0, :, 2].numpy()) > np.ptp(bare[0, :, 2].numpy())


def test_the_first_shape_number_makes_people_taller_or_smaller():
    body = fit_body()
    shapes = torch.zeros(3, SHAPES)
    shapes[:, 0] = torch.tensor([-1.0, 0.0, 1.0])
    pose = body.pose(shapes, STANDING.repeat(3, 1), torch.eye(3).repeat(3, 1, 1))
    tall = np.ptp(body.points(pose, torch.arange(body.vertices)).numpy()[:, :, 1], axis=1)
    assert 0.03 < abs(tall[2] - tall[0]) / 2 < 0.2 and (tall[2] - tall[1]) * (tall[1] - tall[0]) > 0


def test_every_number_has_a_gradient():
    body = fit_body()
    shape, angles = torch.zeros(1, SHAPES, requires_grad=True), STANDING[None].clone().requires_grad_()
    turn = torch.zeros(1, 3, requires_grad=True)
    pose = body.pose(shape, angles, rotation(turn))
    (body.points(pose, body.chosen) * torch.linspace(0.1, 1, 3)).square().sum().backward()
    for number in (shape, angles, turn):
        assert number.grad is not None and torch.isfinite(number.grad).all() and (number.grad != 0).all()


def test_the_parts_fit_together():
    body = fit_body()
    assert body.vertices == len(body.normals) == len(body.mean) - len(BONES) - len(LANDMARKS)
    assert len(STANDING) == ANGLES and body.faces.max() < body.vertices and body.known.sum() == 25
    torch.testing.assert_close(body.weights.sum(1), torch.ones(body.vertices), atol=1e-3, rtol=0)

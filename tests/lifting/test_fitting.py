"""The fit finds a body again whose landmarks and mask it is given."""

from dataclasses import replace

import numpy as np
import torch

from passerby.lifting.blazepose import LANDMARKS, Found
from passerby.lifting.body import SHAPES, STANDING, fit_body, rotation
from passerby.lifting.fitting import FitSettings, fit
from passerby.lifting.projection import WeakCamera
from passerby.street.raster import fill

SETTINGS = FitSettings(trust=1.0)  # these people stand as the network says


def made_up(seed: int, size: tuple[int, int] = (96, 192)) -> tuple[Found, np.ndarray, WeakCamera]:
    """What a perfect network would find of a random body, the body's vertices and its camera."""
    random = torch.Generator().manual_seed(seed)
    body = fit_body()
    angles = STANDING + 0.25 * torch.randn(len(STANDING), generator=random)
    angles[-4:-2] = angles[-4:-2].abs()
    heading = torch.tensor([0.1, float(torch.rand(1, generator=random) * 6), 0.05])
    pose = body.pose(0.5 * torch.randn(1, SHAPES, generator=random), angles[None], rotation(heading)[None])
    vertices = body.points(pose, torch.arange(body.vertices), torch.full((1, 1), 0.015))[0].numpy()
    points = body.landmarks(pose)[0].numpy()
    camera = WeakCamera(0.85 * size[1] / float(np.ptp(vertices[:, 1])), size[0] / 2, size[1] * 0.46)
    flat = camera.project(vertices)[:, :2].astype(np.float32)
    near, owner = np.full(size[::-1], -np.inf, np.float32), np.full(size[::-1], -1, np.int32)
    fill(flat, -vertices[:, 2], np.ones(len(flat), np.float32), body.faces, near, owner)
    hips = points[[LANDMARKS.index("hip.L"), LANDMARKS.index("hip.R")]].mean(0)
    found = Found(
        presence=1.0,
        points=camera.project(points)[:, :2],
        seen=np.ones(33),
        world=(points - hips).astype(np.float64),
        mask=np.isfinite(near).astype(np.float32),
    )
    return found, vertices, camera


def test_bodies_are_found_again():
    cases = [made_up(seed) for seed in range(4)]
    fitted = fit(fit_body(), [found for found, _, _ in cases], SETTINGS)
    for (_, vertices, camera), made, scale, shift in zip(cases, fitted.vertices, fitted.scale, fitted.shift, strict=True):
        assert np.median(np.linalg.norm(made - vertices, axis=1)) < 0.03
        seen = WeakCamera(float(scale), float(shift[0]), float(shift[1])).project(made)[:, :2]
        assert np.median(np.linalg.norm(seen - camera.project(vertices)[:, :2], axis=1)) < 0.03 * camera.scale
    assert (fitted.residual < 0.04).all()


def test_images_do_not_depend_on_each_other():
    a, b = made_up(5)[0], made_up(6)[0]
    settings = replace(SETTINGS, steps=8)
    alone, together = fit(fit_body(), [a], settings), fit(fit_body(), [b, a], settings)
    np.testing.assert_allclose(alone.vertices[0], together.vertices[1], atol=1e-4)
    np.testing.assert_allclose(alone.scale[0], together.scale[1], rtol=1e-4)


def test_people_are_seen_from_as_high_as_the_camera_hangs():
    found, _, _ = made_up(7)
    lean = []
    for tilt in (0.0, 25.0):
        made = fit(fit_body(), [found], FitSettings(tilt_deg=tilt, trust=0.0)).vertices[0]
        lean.append(np.polyfit(made[:, 1], made[:, 2], 1)[0])
    assert np.rad2deg(np.arctan(lean[1]) - np.arctan(lean[0])) > 15


def test_an_empty_mask_and_hidden_landmarks_do_not_break_it():
    found, vertices, _ = made_up(8)
    seen = np.ones(33)
    seen[-8:] = 0.0
    blind = replace(found, mask=np.zeros_like(found.mask), seen=seen)
    made = fit(fit_body(), [blind], SETTINGS).vertices[0]
    assert np.isfinite(made).all() and np.median(np.linalg.norm(made - vertices, axis=1)) < 0.06


def test_the_mask_makes_clothes_thick_or_thin():
    found, _, _ = made_up(9)
    from scipy import ndimage

    wide = replace(found, mask=ndimage.binary_dilation(found.mask > 0, iterations=4).astype(np.float32))
    plain, thick = (fit(fit_body(), [one], FitSettings(trust=1.0, mask=3.0)).vertices[0] for one in (found, wide))
    body = fit_body()
    hips = body.weights[:, 0].numpy() > 0.6
    assert np.ptp(thick[hips], axis=0)[[0, 2]].max() > np.ptp(plain[hips], axis=0)[[0, 2]].max()

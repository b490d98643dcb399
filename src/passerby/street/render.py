"""Drawing meshes through a pinhole camera: what to draw, from where, in which light, and what comes out.

Two renderers give the same picture: `render_gl` (OpenGL through EGL, made for a GPU) and `render_numba` (a z-buffer on the CPU).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from passerby.errors import MissingDependencyError, UsageError, nearest
from passerby.street.meshes import Mesh

if TYPE_CHECKING:
    from passerby.street.shadows import ShadowMap

__all__ = ["RENDERERS", "DrawItem", "Layer", "Light", "Renderer", "View", "open_renderer", "to_display"]

Colour = tuple[float, float, float]
RENDERERS = ("gl", "numba")


@dataclass(frozen=True, eq=False)
class DrawItem:
    """One thing to draw.

    Args:
        mesh: its triangles in the world.
        item_id: what its pixels are called in `Layer.ids`, 0 or more.
        casts: whether it casts a shadow. Large grounds and walls should not: they cost time and catch shadows all the same.
    """

    mesh: Mesh
    item_id: int
    casts: bool = True


@dataclass(frozen=True)
class Light:
    """The light of a place; colours are linear RGB radiances.

    Args:
        to_sun: direction towards the sun (x, y, z), z > 0; any length.
        sun: colour of its light; zeros on a dull day.
        sky: light from above, and the colour of the sky at the zenith.
        ground: light thrown back from below.
        horizon: colour of the sky at the horizon, and of the haze.
        shadow: how much of the sun a shadow takes away, 0 to 1.
        blur_m: how soft the edges of shadows are, m.
        haze_per_m: share of the light that a metre of air replaces by `horizon`.
    """

    to_sun: tuple[float, float, float] = (0.3, -0.5, 0.8)
    sun: Colour = (1.0, 0.95, 0.85)
    sky: Colour = (0.45, 0.5, 0.58)
    ground: Colour = (0.2, 0.19, 0.18)
    horizon: Colour = (0.75, 0.78, 0.8)
    shadow: float = 0.9
    blur_m: float = 0.02
    haze_per_m: float = 0.0


@dataclass(frozen=True, eq=False)
class View:
    """A pinhole camera, OpenCV convention: x right, y down, z forward; pixel centres at half integers.

    Args:
        rotation: (3, 3) float64, world to camera.
        translation: (3,) float64, m: camera = rotation @ world + translation.
        fx, fy, cx, cy: focal lengths and principal point, px.
        width, height: image size, px.
        near: nothing nearer is drawn, m.
    """

    rotation: np.ndarray
    translation: np.ndarray
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    near: float = 0.2

    @classmethod
    def look_at(
        cls, eye: Sequence[float], target: Sequence[float], focal_px: float, width: int, height: int, roll: float = 0.0
    ) -> View:
        """A camera at `eye` whose optical axis goes through `target` (both x, y, z in m), upright but for `roll` rad."""
        place = np.asarray(eye, np.float64)
        forward = np.asarray(target, np.float64) - place
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        cos, sin = np.cos(roll), np.sin(roll)
        rotation = np.stack([cos * right + sin * down, cos * down - sin * right, forward])
        return cls(rotation, -rotation @ place, focal_px, focal_px, width / 2, height / 2, width, height)

    @property
    def eye(self) -> np.ndarray:
        """(3,) where the camera stands, m."""
        return -self.rotation.T @ self.translation

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) world points, m -> (N, 3): column and row in px, depth along the optical axis in m."""
        camera = np.asarray(points, np.float64) @ self.rotation.T + self.translation
        depth = camera[:, 2:]
        ahead = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
        return np.concatenate([camera[:, :2] / ahead * [self.fx, self.fy] + [self.cx, self.cy], depth], 1)

    def unproject(self, column: np.ndarray, row: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Pixels and depths, (N,) each -> (N, 3) world points, m."""
        camera = np.stack([(column - self.cx) / self.fx * depth, (row - self.cy) / self.fy * depth, depth], -1)
        return (camera - self.translation) @ self.rotation

    def cropped(self, left: float, top: float, width: float, height: float, out_width: int, out_height: int) -> View:
        """The part of the image from (left, top), width x height px, seen as an image of out_width x out_height px."""
        across, along = out_width / width, out_height / height
        return replace(
            self,
            fx=self.fx * across,
            fy=self.fy * along,
            cx=(self.cx - left) * across,
            cy=(self.cy - top) * along,
            width=out_width,
            height=out_height,
        )


@dataclass(frozen=True, eq=False)
class Layer:
    """What a renderer gives.

    Args:
        rgb: (H, W, 3) float32 linear radiance, 0 or more, of what was drawn, times `coverage`.
        coverage: (H, W) float32 in [0, 1]: the share of a pixel that was drawn.
        depth: (H, W) float32, m along the optical axis, at the pixel's centre; inf where nothing is drawn.
        ids: (H, W) int32 `DrawItem.item_id` of the nearest surface at the pixel's centre; -1 where nothing is drawn.
    """

    rgb: np.ndarray
    coverage: np.ndarray
    depth: np.ndarray
    ids: np.ndarray

    def over(self, background: np.ndarray) -> np.ndarray:
        """The layer in front of (H, W, 3) linear radiance."""
        return self.rgb + background * (1 - self.coverage[..., None])


class Renderer(Protocol):
    """Draws items; `name` is "gl" or "numba"."""

    name: str

    def draw(
        self,
        items: Sequence[DrawItem],
        view: View,
        light: Light,
        samples: int = 2,
        limit: np.ndarray | None = None,
        shadows: ShadowMap | None = None,
    ) -> Layer:
        """Draw `items`.

        Args:
            items: what; drawn in any order.
            view: from where.
            light: in which light.
            samples: every pixel is the mean of `samples` x `samples` points.
            limit: (H, W) float32, m: what lies deeper than this is hidden (a backdrop drawn elsewhere).
            shadows: the shadows that fall on the items; None makes them from the items that cast.
        """
        ...

    def close(self) -> None:
        """Give back what the renderer holds."""
        ...


def open_renderer(name: str = "auto") -> Renderer:
    """The renderer called `name` ("gl" or "numba").

    "auto" takes OpenGL where a GPU draws it, else numba: Mesa's software OpenGL needs twice the time of the numba renderer.

    Raises:
        UsageError: the name is neither.
        MissingDependencyError: GL was asked for by name and does not work here.
    """
    if name not in ("auto", *RENDERERS):
        raise UsageError(f'renderer "{name}" is unknown. {nearest(name, ("auto", *RENDERERS))}')
    if name in ("auto", "gl"):
        from passerby.street.render_gl import GLRenderer

        try:
            drawing = GLRenderer()
        except MissingDependencyError:
            if name == "gl":
                raise
        else:
            if name == "gl" or not drawing.software:
                return drawing
            drawing.close()
    from passerby.street.render_numba import NumbaRenderer

    return NumbaRenderer()


def to_display(rgb: np.ndarray) -> np.ndarray:
    """Linear radiance -> uint8 sRGB, clipped at 1: the picture before any camera degrades it."""
    linear = np.clip(rgb, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)

"""Three solids in parallel projection, painted pixel by pixel: capsules (limbs), upright profiles (trunk, skirt) and ellipsoids.

Every solid knows the surface normal at each of its pixels, so light falls on it as on a body, and a painter that is given the
normal in the person's own frame can put a print on the chest or a parting on the head that turns with the person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Easel", "Paint"]

# (t, normal) -> (h, w, 3) colours. t: 0 to 1 along the solid, (h, w); normal: (h, w, 3) in the person's frame: left, up, front.
Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass
class Easel:
    """A canvas and the way from the person's frame (left, up, front; body height 1) to its pixels.

    Attributes:
        canvas: (H, W, 3) float, painted on in place.
        foot: pixel (x, y) of the point on the ground between the feet.
        scale: pixels a unit.
        yaw: radians; 0 faces the camera, pi / 2 walks to the right of the picture.
        pitch: radians that the camera looks down.
        light: unit vector towards the light: right, up, towards the camera.
        ambient: share of the light that comes from everywhere, 0 to 1.
    """

    canvas: np.ndarray
    foot: tuple[float, float]
    scale: float
    yaw: float
    pitch: float
    light: tuple[float, float, float]
    ambient: float
    _parts: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def project(self, point: tuple[float, float, float]) -> tuple[float, float, float]:
        """Pixel x, pixel y and nearness to the camera of a point in the person's frame."""
        left, up, front = point
        x = left * np.cos(self.yaw) + front * np.sin(self.yaw)
        near = front * np.cos(self.yaw) - left * np.sin(self.yaw)
        height = up * np.cos(self.pitch) - near * np.sin(self.pitch)
        return self.foot[0] + x * self.scale, self.foot[1] - height * self.scale, near

    def capsule(self, start: tuple, end: tuple, radii: tuple[float, float], paint: Paint, bias: float = 0.0) -> None:
        """A limb from `start` to `end`; `bias` moves it towards the camera where two parts lie at one depth."""
        (x0, y0, z0), (x1, y1, z1) = self.project(start), self.project(end)
        r0, r1 = radii[0] * self.scale, radii[1] * self.scale

        def draw() -> None:
            box = self._box(min(x0 - r0, x1 - r1), min(y0 - r0, y1 - r1), max(x0 + r0, x1 + r1), max(y0 + r0, y1 + r1))
            if box is None:
                return
            x, y = self._grid(box)
            dx, dy = x1 - x0, y1 - y0
            length = max(float(np.hypot(dx, dy)), 1e-6)
            t = np.clip(((x - x0) * dx + (y - y0) * dy) / length**2, 0, 1)
            off_x, off_y = x - (x0 + t * dx), y - (y0 + t * dy)
            radius = r0 + t * (r1 - r0)
            distance = np.hypot(off_x, off_y)
            self._lay(box, np.clip(radius - distance + 0.5, 0, 1), t, off_x / radius, -off_y / radius, paint)

        self._parts.append(((z0 + z1) / 2 + bias, draw))

    def profile(self, bottom: tuple, top: tuple, widths: tuple[tuple[float, float], ...], depth: float, paint: Paint, bias: float = 0.0) -> None:
        """An upright solid with an elliptic section.

        Args:
            bottom, top: the ends of its axis.
            widths: (t, half-width) pairs, t from 0 at the bottom to 1 at the top.
            depth: half-depth as a fraction of the half-width.
            paint: colours.
            bias: moves it towards the camera.
        """
        (x0, y0, z0), (x1, y1, z1) = self.project(bottom), self.project(top)
        squeeze = float(np.hypot(np.cos(self.yaw), depth * np.sin(self.yaw))) * self.scale
        widest = max(width for _, width in widths) * squeeze

        def draw() -> None:
            box = self._box(min(x0, x1) - widest, y1 - 1, max(x0, x1) + widest, y0 + 1)
            if box is None:
                return
            x, y = self._grid(box)
            t = (y0 - y) / (y0 - y1)
            inside = np.clip(t, 0, 1)
            half = np.maximum(np.interp(inside, *np.array(widths).T) * squeeze, 0.1)
            across = (x - (x0 + inside * (x1 - x0))) / half
            alpha = np.clip((1 - np.abs(across)) * half + 0.5, 0, 1) * np.clip(np.minimum(t, 1 - t) * (y0 - y1) + 0.5, 0, 1)
            self._lay(box, alpha, inside, across, np.zeros_like(across), paint)

        self._parts.append(((z0 + z1) / 2 + bias, draw))

    def ellipsoid(self, centre: tuple, radii: tuple[float, float, float], paint: Paint, square: float = 2.0, bias: float = 0.0) -> None:
        """An ellipsoid with half-axes (left, up, front); `square` above 2 makes a box with round corners of it."""
        x0, y0, near = self.project(centre)
        wide = float(np.hypot(radii[0] * np.cos(self.yaw), radii[2] * np.sin(self.yaw))) * self.scale
        high = radii[1] * self.scale

        def draw() -> None:
            box = self._box(x0 - wide, y0 - high, x0 + wide, y0 + high)
            if box is None:
                return
            x, y = self._grid(box)
            across, up = (x - x0) / wide, (y0 - y) / high
            reach = (np.abs(across) ** square + np.abs(up) ** square) ** (1 / square)
            flat = 1.0 if square == 2 else 0.55  # the faces of a box catch the light evenly
            self._lay(box, np.clip((1 - reach) * min(wide, high) + 0.5, 0, 1), (up + 1) / 2, across * flat, up * flat, paint)

        self._parts.append((near + bias, draw))

    def finish(self) -> None:
        """Paint all parts, the far ones first."""
        for _, draw in sorted(self._parts, key=lambda part: part[0]):
            draw()
        self._parts.clear()

    def _box(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice] | None:
        rows = slice(max(int(top) - 1, 0), min(int(bottom) + 2, self.canvas.shape[0]))
        columns = slice(max(int(left) - 1, 0), min(int(right) + 2, self.canvas.shape[1]))
        return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None

    def _grid(self, box: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        y, x = np.mgrid[box[0], box[1]]
        return x + 0.5, y + 0.5

    def _lay(self, box: tuple, alpha: np.ndarray, t: np.ndarray, right: np.ndarray, up: np.ndarray, paint: Paint) -> None:
        """Colour the pixels of one solid: its paint, times the light that falls on it."""
        near = np.sqrt(np.clip(1 - right**2 - up**2, 0, 1))
        left = right * np.cos(self.yaw) - near * np.sin(self.yaw)
        front = right * np.sin(self.yaw) + near * np.cos(self.yaw)
        colour = paint(t, np.stack([left, up, front], axis=-1))
        towards = np.clip(right * self.light[0] + up * self.light[1] + near * self.light[2], 0, 1)
        lit = colour * (self.ambient + (1 - self.ambient) * towards)[..., None]
        self.canvas[box] += alpha[..., None] * (lit - self.canvas[box])

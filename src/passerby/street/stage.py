"""Where people meet their background: light of a piece of a camera's frame, with everybody in it, and the finished crop."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from passerby.street.backdrop import Backdrop
from passerby.street.bodies import Person
from passerby.street.cameras import Box, Camera, degrade
from passerby.street.figures import Figure
from passerby.street.motion import Pose
from passerby.street.outline import outline_box
from passerby.street.plan import Crop
from passerby.street.render import DrawItem, Layer, Light, Renderer, View
from passerby.street.scenes import Scene, hidden_by_blocks
from passerby.street.seeds import stream
from passerby.street.shadows import ShadowMap, cast
from passerby.street.towns import Town

__all__ = ["Shot", "Stage", "resized"]

_FIGURES_KEPT = 96


@dataclass(frozen=True)
class Shot:
    """A piece of a frame before the camera's lens and sensor touch it.

    Attributes:
        light: (h, w, 3) float32 linear light.
        layer: the people alone: depth and ids (pids) of their pixels, at the frame's pitch.
        view: the pinhole camera of exactly this piece.
        items: the people's meshes; `item_id` is the pid.
        gain: the camera's automatic exposure at that moment.
        motion_px: how far the nearest subject moves during the exposure.
    """

    light: np.ndarray
    layer: Layer
    view: View
    items: tuple[DrawItem, ...]
    gain: float
    motion_px: float


class Stage:
    """A town that can be photographed; keeps the empty streets and the last people that it needed.

    Args:
        town: which.
        renderer: draws the people.
    """

    def __init__(self, town: Town, renderer: Renderer) -> None:
        self.town, self.renderer = town, renderer
        self._figures: OrderedDict[Person, Figure] = OrderedDict()
        self._backdrops: dict[int, tuple[Backdrop, float]] = {}

    def backdrop(self, camera: Camera) -> tuple[Backdrop, float]:
        """The empty street that a camera sees, and the gain that its automatic exposure would choose for it."""
        if camera.camid not in self._backdrops:
            surfaces, blocks = self.town.place(camera.place).build(camera.eye)
            drawn = Backdrop(surfaces, blocks, self.town.lights[camera.place], camera.view())
            coarse = drawn.overview()
            grey = (coarse.shade + coarse.sunlit).mean(-1)
            gain = min(0.24 / max(float(np.median(grey)), 1e-3), 0.75 / max(float(np.percentile(grey, 92)), 1e-3))
            self._backdrops[camera.camid] = (drawn, gain)
        return self._backdrops[camera.camid]

    def figure(self, person: Person) -> Figure:
        """The body of a person, built once while it is needed."""
        if person not in self._figures:
            self._figures[person] = Figure(person)
            if len(self._figures) > _FIGURES_KEPT:
                self._figures.popitem(last=False)
        self._figures.move_to_end(person)
        return self._figures[person]

    def shoot(self, camera: Camera, cast_list: Sequence[tuple[int, Person, Pose]], time_s: float, window: Box) -> Shot:
        """Light of one window of a camera's frame.

        Args:
            camera: which camera.
            cast_list: (pid, person, pose) of everybody in the place.
            time_s: second of the day: clouds pass, the exposure drifts.
            window: whole frame pixels inside the frame.
        """
        x0, y0, width, height = (int(value) for value in (window.left, window.top, window.width, window.height))
        view = camera.view().cropped(x0, y0, width, height, width, height)
        drawn, gain = self.backdrop(camera)
        street = drawn.piece(x0, y0, width, height)
        depth = street.depth
        sunshine, gain = _weather(camera, time_s, gain)
        light = self.town.lights[camera.place]
        light = replace(light, sun=tuple(float(part * sunshine) for part in light.sun))
        near = [(pid, person, pose) for pid, person, pose in cast_list if _matters(person, pose, camera, window)]
        items = [DrawItem(self.figure(person).posed(pose), pid) for pid, person, pose in near]
        shadows = cast(items, light)
        layer = self._people(items, near, view, light, depth, shadows, camera)
        points = _ground_points(view, depth)
        arrived = 1 - light.shadow * (1 - shadows.sunlit(points.reshape(-1, 3)).reshape(depth.shape))
        under = _contact(points, [pose for _, _, pose in near])
        behind = street.shade * under[..., None] + street.sunlit * np.float32(sunshine) * arrived[..., None]
        return Shot(layer.over(behind), layer, view, tuple(items), gain, _motion_px(camera, [pose for _, _, pose in near]))

    def _people(
        self,
        items: list[DrawItem],
        near: list[tuple[int, Person, Pose]],
        view: View,
        light: Light,
        depth: np.ndarray,
        shadows: ShadowMap,
        camera: Camera,
    ) -> Layer:
        """Draw people; a street's shade falls on the whole group when it covers most of them."""
        if near and max(light.sun) > 0:
            blocks = self.backdrop(camera)[0].blocks
            chests = np.array([[pose.x, pose.y, 1.2] for _, _, pose in near])
            sun = np.asarray(light.to_sun) / np.linalg.norm(light.to_sun) * 60.0
            shaded = np.mean([hidden_by_blocks(chest[None] + sun, chest, blocks)[0] for chest in chests])
            if shaded > 0.5:
                light = replace(light, sun=tuple(0.08 * part for part in light.sun))
        return self.renderer.draw(items, view, light, 2, limit=depth, shadows=shadows)

    def crop(self, crop: Crop, scene: Scene) -> tuple[np.ndarray, Shot]:
        """One planned crop, as its camera stored it at its own size, (h, w, 3) uint8, and the shot under it."""
        camera = self.town.cameras[crop.camid]
        cast_list = [(walk.pid, scene.people[walk.pid], pose) for walk, pose in scene.present(camera.place, crop.time_s)]
        shot = self.shoot(camera, cast_list, crop.time_s, Box(*crop.box))
        random = stream("sensor", self.town.name, crop.name)
        return degrade(shot.light, camera.response, random, gain=shot.gain, motion_px=shot.motion_px), shot


def resized(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """(h, w, 3) uint8 -> (height, width, 3) uint8, as tools of the field resize a box to the size of the data set."""
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


def _weather(camera: Camera, time_s: float, gain: float) -> tuple[float, float]:
    """Share of the sun that clouds leave, and the exposure after its slow drift; both smooth in time."""
    phases = stream("weather", camera.place).uniform(0, 2 * math.pi, 3)
    own = stream("drift", camera.name).uniform(0, 2 * math.pi, 2)
    cloud = math.sin(time_s / 97 + phases[0]) + 0.6 * math.sin(time_s / 41 + phases[1])
    sunshine = min(1.0, max(0.15, 0.75 + 0.45 * cloud))
    drift = 1 + 0.10 * math.sin(time_s / 29 + own[0]) + 0.06 * math.sin(time_s / 7 + own[1])
    return sunshine, gain * drift * (1.12 - 0.12 * sunshine)


def _matters(person: Person, pose: Pose, camera: Camera, window: Box) -> bool:
    """Whether somebody can show in the window, or throw a shadow into it."""
    box = outline_box(person, pose, camera.view())
    if box.width <= 0:
        return False
    wide = 0.3 * box.width
    reach = Box(box.left - wide, box.top - 0.05 * box.height, box.width + 2 * wide, 1.12 * box.height)
    return reach.overlaps(window)


def _ground_points(view: View, depth: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32 world points behind every pixel."""
    column = np.arange(view.width, dtype=np.float32) + 0.5
    row = np.arange(view.height, dtype=np.float32) + 0.5
    across, down = np.meshgrid(column, row)
    return view.unproject(across, down, depth).astype(np.float32)


def _contact(points: np.ndarray, poses: Sequence[Pose]) -> np.ndarray:
    """(h, w) how much of the sky the ground still sees close to people's feet."""
    seen = np.ones(points.shape[:2], np.float32)
    for pose in poses:
        away = (points[..., 0] - pose.x) ** 2 + (points[..., 1] - pose.y) ** 2
        seen *= 1 - 0.5 * np.exp(-away / 0.09 - np.abs(points[..., 2]) / 0.15)
    return seen


def _motion_px(camera: Camera, poses: Sequence[Pose]) -> float:
    """How many pixels the fastest walker crosses during the exposure."""
    moved = 0.0
    for pose in poses:
        away = max(math.hypot(pose.x - camera.x, pose.y - camera.y), 1.0)
        across = abs(math.sin(pose.heading - math.atan2(pose.y - camera.y, pose.x - camera.x)))
        moved = max(moved, pose.speed * across * camera.response.motion_s * camera.focal_px / away)
    return moved

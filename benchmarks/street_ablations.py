"""Rendered training sets from which one ingredient was taken away: what `benchmarks/ablation.py` trains on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from passerby.files import write_bytes
from passerby.progress import track
from passerby.records import Record, Split
from passerby.street.backdrop import Piece
from passerby.street.bodies import Person
from passerby.street.cameras import Response, encode
from passerby.street.clothes import Garment
from passerby.street.plan import Crop, Plan, make_plan
from passerby.street.render import open_renderer
from passerby.street.scenes import Scene
from passerby.street.seeds import stream
from passerby.street.stage import Stage, resized
from passerby.street.towns import Town

__all__ = ["ABLATIONS", "render_without"]

CLEAN = Response(lift=0.0, saturation=1.0, blur_px=0.0, sharpen=0.0, noise=0.0, quality=95, motion_s=0.0)


class _EmptyStage(Stage):
    """A stage on which nobody but the person of the crop appears."""

    def crop(self, crop: Crop, scene: Scene):
        alone = replace(scene, walks=tuple(walk for walk in scene.walks if walk.pid == crop.pid), _by_place={})
        return super().crop(crop, alone)


class _GreyStage(Stage):
    """A stage without a street: one grey a camera."""

    def backdrop(self, camera):
        return _Grey(0.08 + 0.2 * stream("grey", camera.name).rand()), 1.5


class _Grey:
    blocks = ()

    def __init__(self, level: float) -> None:
        self.level = level

    def piece(self, left: int, top: int, width: int, height: int) -> Piece:
        flat = np.full((height, width, 3), self.level, np.float32)
        return Piece(flat, np.zeros_like(flat), np.full((height, width), 100.0, np.float32))


def _clothed(person: Person, change: Callable[[Garment], Garment]) -> Person:
    outfit = person.outfit
    changed = {name: change(getattr(outfit, name)) for name in outfit.__dataclass_fields__ if getattr(outfit, name) is not None}
    return replace(person, outfit=replace(outfit, **changed))


def _plain(garment: Garment) -> Garment:
    return replace(garment, pattern="plain")


def _tights(person: Person) -> Person:
    """A long-sleeved top and leggings as tight as they come, in the colours of the clothes; no coat, hat, bag or scarf."""
    outfit = person.outfit
    top, bottom = outfit.outer or outfit.top, outfit.bottom
    tight = replace(
        outfit,
        top=replace(top, kind="longsleeve", length=0.5, width=0.0),
        bottom=replace(bottom, kind="leggings", length=1.0, width=0.0),
        outer=None,
        hat=None,
        bag=None,
        scarf=None,
    )
    return replace(person, outfit=tight)


def _loud(person: Person) -> Person:
    """Saturated colours of every hue, as no street shows them."""
    random = stream("loud", person.seed)
    return _clothed(
        person, lambda garment: replace(garment, colour=tuple(random.rand(3) ** 2.2), second=tuple(random.rand(3) ** 2.2))
    )


def _dress(plan: Plan, change: Callable[[Person], Person]) -> Plan:
    scenes = [
        replace(scene, people={pid: change(person) for pid, person in scene.people.items()}, _by_place={})
        for scene in plan.scenes
    ]
    return replace(plan, scenes=(scenes[0], scenes[1]))


def _equipped(town: Town, change: Callable[[Response], Response]) -> Town:
    return replace(town, cameras=tuple(replace(camera, response=change(camera.response)) for camera in town.cameras))


def _fair(town: Town) -> Town:
    """No sun, no cast, one exposure: the light of a studio."""
    lights = {name: replace(light, sun=(0.0, 0.0, 0.0), sky=(0.7,) * 3, ground=(0.4,) * 3) for name, light in town.lights.items()}
    changed = _equipped(town, lambda seen: replace(seen, cast=(1.0,) * 3, exposure=1.0, gamma=1.0, contrast=1.0, lift=0.0))
    return replace(changed, lights=lights)


def _near(town: Town) -> Town:
    """Frames of twice the pitch, so that hardly anybody is enlarged from few pixels."""
    cameras = (replace(c, width=2 * c.width, height=2 * c.height, focal_px=2 * c.focal_px) for c in town.cameras)
    return replace(town, cameras=tuple(cameras))


def _boxes_twice(plan: Plan) -> Plan:
    crops = (replace(crop, box=(2 * crop.box[0], 2 * crop.box[1], 2 * crop.box[2], 2 * crop.box[3])) for crop in plan.crops)
    return replace(plan, crops=tuple(crops))


def _same(thing):
    return thing


# name -> (stage, change of the plan, change of the town)
ABLATIONS: dict[str, tuple[type[Stage], Callable[[Plan], Plan], Callable[[Town], Town]]] = {
    "texture": (Stage, lambda plan: _dress(plan, lambda person: _clothed(person, _plain)), _same),
    "cloth shape": (Stage, lambda plan: _dress(plan, _tights), _same),
    "street colours": (Stage, lambda plan: _dress(plan, _loud), _same),
    "backgrounds": (_GreyStage, _same, _same),
    "other people": (_EmptyStage, _same, _same),
    "light": (Stage, _same, _fair),
    "low resolution": (Stage, _boxes_twice, _near),
    "lens, sensor and encoder": (Stage, _same, lambda town: _equipped(town, lambda _: CLEAN)),
    "box errors": (Stage, lambda plan: _whole_boxes(plan), _same),
}


def _whole_boxes(plan: Plan) -> Plan:
    """Exact boxes in place of a detector's."""
    from passerby.street.outline import outline_box

    crops = []
    for crop in plan.crops:
        scene = plan.scene_of(crop)
        camera = scene.town.cameras[crop.camid]
        (pose,) = [pose for walk, pose in scene.present(camera.place, crop.time_s) if walk.pid == crop.pid]
        tight = outline_box(scene.people[crop.pid], pose, camera.view()).clipped(camera.width, camera.height)
        x, y = int(tight.left), int(tight.top)
        crops.append(replace(crop, box=(x, y, max(int(tight.right) - x, 8), max(int(tight.bottom) - y, 16))))
    return replace(plan, crops=tuple(crops))


def render_without(name: str, out: Path, towns: Sequence[str], ids: int, views: int) -> Split:
    """Training crops without one ingredient ("everything" leaves all in); finished images are kept.

    Args:
        name: a key of `ABLATIONS`, or "everything".
        out: folder.
        towns: names.
        ids: people of each town.
        views: crops of each.
    """
    kind, change_plan, change_town = ABLATIONS.get(name, (Stage, _same, _same))
    records = []
    renderer = open_renderer("numba")
    for town_name in towns:
        plan = change_plan(make_plan(town_name, ids, 0, views, 77))
        town = change_town(plan.scenes[0].town)
        stage = kind(town, renderer)
        for crop in track(sorted(plan.crops, key=lambda crop: crop.frame), f"{name}: {town_name}", unit="crops"):
            path = out / town_name / crop.name
            if not path.is_file():
                stored, _ = stage.crop(crop, plan.scenes[0])
                write_bytes(path, encode(resized(stored, 128, 256), 92))
            records.append(Record(path, crop.pid, crop.camid, f"street-{town_name}", crop.frame))
    return Split(tuple(records))

"""People who walk through a town: who is where at which second, what a camera can see of them, and which crops are taken.

Nothing here draws. The plan of a data set follows from a town, a seed and a few counts with plain arithmetic, so that it is the
same list on every machine and with either renderer; what a person covers in a picture is judged on an outline of twenty points.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import RandomState

from passerby.street.backdrop import Block
from passerby.street.bodies import Person
from passerby.street.cameras import Box, Camera
from passerby.street.motion import Pose, cycle_m
from passerby.street.outline import outline, outline_box, stature_m
from passerby.street.render import View
from passerby.street.seeds import stream
from passerby.street.towns import Town

__all__ = ["FRAMES_PER_S", "WALK_S", "Scene", "Walk", "make_scene", "visible_share"]

FRAMES_PER_S = 25
WALK_S = 32.0 / 1.3
"""How long a walk through a place takes, s."""
_MOVING = ("walk",) * 6 + ("carry", "phone", "talk", "pockets")
_IDLE = ("stand", "phone", "talk", "pockets")


@dataclass(frozen=True)
class Walk:
    """One person's way through one place.

    Attributes:
        pid: who.
        visit: how many places the person had been to before.
        place: where.
        points: the chain of points that is walked, metres.
        start_s: when.
        speed: m/s.
        phase: of the walk cycle at the start.
        cycle_m: length of two steps, so that feet do not slide.
        action: what arms and head do, see `motion.ACTIONS`.
        look: head turned to the left, rad.
        pause_at_m: where on the way the person stops; negative: nowhere.
        pause_s: for how long.
        pause_action: what the person does there.
    """

    pid: int
    visit: int
    place: str
    points: tuple[tuple[float, float], ...]
    start_s: float
    speed: float
    phase: float
    cycle_m: float = 1.4
    action: str = "walk"
    look: float = 0.0
    pause_at_m: float = -1.0
    pause_s: float = 0.0
    pause_action: str = "stand"

    @property
    def length_m(self) -> float:
        """Length of the way."""
        return sum(math.dist(a, b) for a, b in itertools.pairwise(self.points))

    @property
    def end_s(self) -> float:
        """When the person has left the place."""
        return self.start_s + self.length_m / self.speed + self.pause_s

    def _at(self, distance: float) -> tuple[float, float]:
        for a, b in itertools.pairwise(self.points):
            step = math.dist(a, b)
            if distance <= step:
                part = distance / step
                return (a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part)
            distance -= step
        return self.points[-1]

    def pose(self, time_s: float) -> Pose | None:
        """Where and how the person stands at a second of the day; None before and after."""
        gone = (time_s - self.start_s) * self.speed
        stands = False
        if self.pause_at_m >= 0 and gone > self.pause_at_m:
            held = self.pause_s * self.speed
            stands = gone < self.pause_at_m + held
            gone = self.pause_at_m if stands else gone - held
        length = self.length_m
        if not 0 <= gone <= length:
            return None
        before, after = self._at(max(gone - 0.5, 0)), self._at(min(gone + 0.5, length))
        heading = math.atan2(after[1] - before[1], after[0] - before[0])
        x, y = self._at(gone)
        phase = (self.phase + gone / self.cycle_m) % 1
        if stands:
            sway = math.sin(0.7 * time_s + 6.28 * self.phase)
            return Pose(x, y, heading, phase, 0.0, self.pause_action, self.look, sway)
        return Pose(x, y, heading, phase, self.speed, self.action, self.look)


@dataclass(frozen=True)
class Scene:
    """A day in a town.

    Attributes:
        town: where.
        people: pid -> record.
        walks: all of them, by start.
    """

    town: Town
    people: dict[int, Person]
    walks: tuple[Walk, ...]
    _by_place: dict[str, tuple[list[Walk], np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for place in {walk.place for walk in self.walks}:
            here = [walk for walk in self.walks if walk.place == place]
            spans = np.array([(walk.start_s, walk.end_s) for walk in here])
            self._by_place[place] = (here, spans[:, 0], spans[:, 1])

    def present(self, place: str, time_s: float) -> list[tuple[Walk, Pose]]:
        """Who is in a place at a second of the day."""
        if place not in self._by_place:
            return []
        walks, start_s, end_s = self._by_place[place]
        active = (walks[index] for index in np.flatnonzero((start_s <= time_s) & (time_s <= end_s)))
        return [(walk, pose) for walk in active if (pose := walk.pose(time_s)) is not None]


def make_scene(
    town: Town,
    people: dict[int, Person],
    targets: Mapping[int, Sequence[int]],
    seed: int,
    *,
    start_s: float = 0.0,
    length_s: float | None = None,
    pairs: float = 0.25,
) -> Scene:
    """Send people through a town.

    Args:
        town: where.
        people: pid -> record.
        targets: pid -> cameras that the person passes, in this order.
        seed: of the day.
        start_s: when the day begins.
        length_s: over how long people keep arriving; None: as long as the town's usual crowd needs.
        pairs: share of people who walk beside the one before them.
    """
    usual_s = sum(len(cameras) for cameras in targets.values()) * WALK_S / (len(town.places) * town.style.crowd)
    total_s = usual_s if length_s is None else length_s
    walks: list[Walk] = []
    before: list[Walk] = []
    for pid in sorted(people):
        r = stream("day", town.name, seed, pid)
        if before and r.uniform() < pairs:
            before = [_beside(walk, pid, people[pid], r) for walk in before]
            walks += before
            before = []
            continue
        before = _itinerary(town, pid, people[pid], targets[pid], start_s + r.uniform(0, total_s), r)
        walks += before
    return Scene(town, people, tuple(sorted(walks, key=lambda walk: (walk.start_s, walk.pid, walk.visit))))


def _itinerary(town: Town, pid: int, person: Person, cameras: Sequence[int], begin_s: float, r: RandomState) -> list[Walk]:
    """One walk a camera, in order, with the time that the way between the places takes."""
    walks: list[Walk] = []
    clock = begin_s
    speed = float(np.clip(r.normal(1.3, 0.18), 0.85, 1.8))
    for visit, camid in enumerate(cameras):
        place = town.cameras[camid].place
        if walks:
            clock = walks[-1].end_s + max(town.walking_s(walks[-1].place, place), 8.0) * r.uniform(0.9, 1.3)
        walks.append(_through(town, pid, person, visit, place, clock, speed * r.uniform(0.93, 1.07), r))
    return walks


def _through(town: Town, pid: int, person: Person, visit: int, place: str, start_s: float, speed: float, r: RandomState) -> Walk:
    here = town.place(place)
    aside = r.uniform(-here.spread_m, here.spread_m)
    points = [(round(x, 3), round(y + aside, 3)) for x, y in here.paths[r.randint(len(here.paths))]]
    if r.uniform() < 0.5:
        points.reverse()
    stops = r.uniform() < 0.18
    return Walk(
        pid=pid,
        visit=visit,
        place=place,
        points=tuple(points),
        start_s=round(start_s * FRAMES_PER_S) / FRAMES_PER_S,
        speed=round(speed, 3),
        phase=round(r.uniform(), 3),
        cycle_m=round(cycle_m(speed, stature_m(person), person.gait), 3),
        action=str(r.choice(_MOVING)),
        look=round(float(np.clip(r.normal(0, 0.25), -0.7, 0.7)), 3),
        pause_at_m=round(r.uniform(9, 21), 2) if stops else -1.0,
        pause_s=round(r.uniform(4, 14), 2) if stops else 0.0,
        pause_action=str(r.choice(_IDLE)),
    )


def _beside(walk: Walk, pid: int, person: Person, r: RandomState) -> Walk:
    """The same way, walked by somebody at the first one's side."""
    aside, back = r.choice([-1, 1]) * r.uniform(0.5, 0.75), r.uniform(-0.2, 0.2)
    return replace(
        walk,
        pid=pid,
        points=tuple((round(x + back, 3), round(y + aside, 3)) for x, y in walk.points),
        phase=round(r.uniform(), 3),
        cycle_m=round(cycle_m(walk.speed, stature_m(person), person.gait), 3),
        action=str(r.choice(_MOVING)),
        look=round(float(np.clip(r.normal(0, 0.3), -0.7, 0.7)), 3),
        pause_action=str(r.choice(_IDLE)),
    )


def visible_share(
    person: Person,
    pose: Pose,
    camera: Camera,
    window: Box,
    blocks: Sequence[Block],
    others: Sequence[tuple[Person, Pose]],
) -> float:
    """The share of a person's outline that a camera sees inside a window of its frame.

    Args:
        person, pose: who, and how.
        camera: the camera.
        window: frame pixels that count.
        blocks: furniture that may stand in front.
        others: people who may stand in front.
    """
    view = camera.view()
    points = outline(person, pose)
    pixels = view.project(points)
    seen = (pixels[:, 2] > view.near) & (pixels[:, 0] >= window.left) & (pixels[:, 0] < window.right)
    seen &= (pixels[:, 1] >= window.top) & (pixels[:, 1] < window.bottom)
    seen &= ~hidden_by_blocks(points, camera.eye, blocks)
    column, _, depth = _middle(view, pose)
    for other, its_pose in others:
        its_column, _, its_depth = _middle(view, its_pose)
        if not 0.3 < its_depth < depth or abs(its_column - column) > 1.5 * view.fx * (1 / its_depth + 1 / depth):
            continue  # behind, or more than a stride to the side
        box = outline_box(other, its_pose, view)
        middle = (box.left + box.width / 2, box.top + box.height / 2)
        across = (pixels[:, 0] - middle[0]) / (0.42 * box.width + 1e-6)
        along = (pixels[:, 1] - middle[1]) / (0.5 * box.height + 1e-6)
        seen &= across**4 + along**4 > 1
    return round(float(seen.mean()), 2)


def _middle(view: View, pose: Pose) -> tuple[float, float, float]:
    """Column, row and depth of somebody's middle, 1 m above the ground."""
    x, y, z = view.rotation @ (pose.x, pose.y, 1.0) + view.translation
    ahead = z if abs(z) > 1e-9 else 1e-9
    return view.fx * x / ahead + view.cx, view.fy * y / ahead + view.cy, z


def hidden_by_blocks(points: np.ndarray, eye: np.ndarray, blocks: Sequence[Block]) -> np.ndarray:
    """(N,) bool: which of (N, 3) points have a box between themselves and the eye."""
    hidden = np.zeros(len(points), bool)
    if not blocks:
        return hidden
    ray = points - eye
    inverse = 1 / np.where(np.abs(ray) < 1e-9, 1e-9, ray)
    low = (np.array([block.low for block in blocks])[:, None] - eye) * inverse
    high = (np.array([block.high for block in blocks])[:, None] - eye) * inverse
    enter, leave = np.minimum(low, high).max(-1), np.maximum(low, high).min(-1)
    return ((leave > np.maximum(enter, 0)) & (enter < 0.98)).any(0)

"""The list of a rendered data set: which person is cut out of which camera at which second, before a single pixel is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from passerby.street.bodies import Person, make_person
from passerby.street.cameras import Box, Camera, detect
from passerby.street.clothes import WARDROBES
from passerby.street.motion import Pose
from passerby.street.outline import outline_box
from passerby.street.scenes import FRAMES_PER_S, Scene, Walk, make_scene, visible_share
from passerby.street.seeds import number, stream
from passerby.street.towns import make_town

__all__ = ["FOLDERS", "Crop", "Plan", "make_plan"]

FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
_LEAST_PX, _LEAST_VISIBLE, _APART_S = 56.0, 0.45, 1.2


@dataclass(frozen=True)
class Crop:
    """One image of the set, with everything that is known of it.

    Attributes:
        folder: one of `FOLDERS`.
        name: file name in Market-1501's form, pid_cXs1_frame_number.jpg, cameras counted from 1.
        pid: who; camid: which camera, from 0.
        frame: frame number of the day, 25 a second; time_s: the same in seconds.
        track: number of the person's passage through the camera's picture, unique in the set.
        box: left, top, width, height in whole frame pixels, as the camera's detector reports it.
        x, y: where the person stands, metres; heading_deg: 0 looks along +x, counter-clockwise.
        facing_deg: the person's turn against the camera: 0 shows the face, 180 the back, 90 the left side.
        speed, phase, action: of the walk, see `motion.Pose`.
        visible: share of the person's outline that is inside the box and hidden by nothing.
        others: pids of people who reach into the box.
    """

    folder: str
    name: str
    pid: int
    camid: int
    frame: int
    time_s: float
    track: int
    box: tuple[int, int, int, int]
    x: float
    y: float
    heading_deg: float
    facing_deg: float
    speed: float
    phase: float
    action: str
    visible: float
    others: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """A whole data set, as a list.

    Attributes:
        town: a key of `towns.TOWNS`.
        scenes: the day of the training people and the day of the test people.
        crops: all images, ordered by camera and time inside each scene, so that neighbours share people.
    """

    town: str
    scenes: tuple[Scene, Scene]
    crops: tuple[Crop, ...]

    def scene_of(self, crop: Crop) -> Scene:
        """The day that a crop was taken on."""
        return self.scenes[0] if crop.pid in self.scenes[0].people else self.scenes[1]


def make_plan(town_name: str, train_ids: int, test_ids: int, views: int, seed: int) -> Plan:
    """Plan a data set.

    Args:
        town_name: a key of `towns.TOWNS`.
        train_ids, test_ids: people in each half; nobody is in both.
        views: crops of each person, at least 2.
        seed: who comes, and when.
    """
    town = make_town(town_name)
    wardrobe = WARDROBES[town.style.wardrobe]
    scenes, crops = [], []
    first, day_s = 1, 0.0
    for half, count in (("train", train_ids), ("test", test_ids)):
        people = {pid: make_person(number("person", town_name, seed, pid), wardrobe) for pid in range(first, first + count)}
        targets = {pid: _targets(len(town.cameras), views, town_name, seed, pid) for pid in people}
        scene = make_scene(town, people, targets, number("day", seed, half), start_s=day_s)
        scenes.append(scene)
        crops += _crops(scene, half, views, seed, len(crops))
        first += count
        day_s = math.ceil((max((walk.end_s for walk in scene.walks), default=0.0) + 600) / 600) * 600.0
    return Plan(town_name, (scenes[0], scenes[1]), tuple(crops))


def _targets(cameras: int, views: int, town: str, seed: int, pid: int) -> tuple[int, ...]:
    """The cameras that a person will pass: about two crops on each passage, at least two cameras, never one twice in a row."""
    random = stream("route", town, seed, pid)
    route: list[int] = []
    while len(route) < max(2, round(views / 2)):
        order = random.permutation(cameras).tolist()
        if route and order[0] == route[-1]:
            order.append(order.pop(0))
        route += order
    return tuple(route[: max(2, round(views / 2))])


def _crops(scene: Scene, half: str, views: int, seed: int, tracks: int) -> list[Crop]:
    taken: list[Crop] = []
    for pid in sorted(scene.people):
        walks = [walk for walk in scene.walks if walk.pid == pid]
        chances = [
            (walk, camera)
            for walk in sorted(walks, key=lambda w: w.visit)
            for camera in scene.town.cameras
            if camera.place == walk.place
        ]
        planned = _shots(scene, chances, views, seed)
        mine: list[Crop] = []
        for walk, camera, moments in planned:
            for moment in moments:
                crop = _crop(scene, walk, camera, moment, seed, tracks)
                mine.append(crop)
            tracks += 1
        taken += _foldered(mine, half, seed)
    return sorted(taken, key=lambda crop: (crop.camid, crop.frame, crop.pid))


def _shots(scene: Scene, chances: Sequence[tuple[Walk, Camera]], views: int, seed: int) -> list[tuple[Walk, Camera, list[int]]]:
    """Share `views` crops out over passages; what one camera cannot give, the others give more of."""
    open_: list[tuple[int, Iterator[int]]] = [
        (n, _moments(scene, walk, camera, seed)) for n, (walk, camera) in enumerate(chances)
    ]
    chosen: list[list[int]] = [[] for _ in chances]
    left = views
    while left and open_:
        for entry in tuple(open_):
            moment = next(entry[1], None) if left else None
            if moment is None:
                open_.remove(entry)
            else:
                chosen[entry[0]].append(moment)
                left -= 1
    return [(walk, camera, sorted(mine)) for (walk, camera), mine in zip(chances, chosen, strict=True) if mine]


def _moments(scene: Scene, walk: Walk, camera: Camera, seed: int) -> Iterator[int]:
    """Frame numbers at which a camera sees a walking person well enough, in random order."""
    view, person = camera.view(), scene.people[walk.pid]
    frame_box = Box(0, 0, camera.width, camera.height)
    blocks = scene.town.blocks(camera)
    r = stream("moments", seed, walk.pid, walk.visit, camera.camid)
    begin, end = math.ceil(walk.start_s * FRAMES_PER_S), math.floor(walk.end_s * FRAMES_PER_S)
    good: list[int] = []
    for frame in (int(frame) for frame in r.permutation(np.arange(begin, end, 8) + r.randint(8))):
        if any(abs(frame - other) < _APART_S * FRAMES_PER_S for other in good):
            continue
        pose = walk.pose(frame / FRAMES_PER_S)
        if pose is None:
            continue
        box = outline_box(person, pose, view)
        inside = box.clipped(camera.width, camera.height)
        if (
            box.height < _LEAST_PX
            or inside.width * inside.height < 0.85 * box.width * box.height
            or box.height > 1.1 * camera.height
        ):
            continue
        if visible_share(person, pose, camera, frame_box, blocks, _others(scene, walk, frame)) >= _LEAST_VISIBLE:
            good.append(frame)
            yield frame


def _others(scene: Scene, walk: Walk, frame: int) -> list[tuple[Person, Pose]]:
    here = scene.present(walk.place, frame / FRAMES_PER_S)
    return [(scene.people[other.pid], pose) for other, pose in here if other.pid != walk.pid]


def _crop(scene: Scene, walk: Walk, camera: Camera, frame: int, seed: int, track: int) -> Crop:
    time_s = frame / FRAMES_PER_S
    pose = walk.pose(time_s)
    assert pose is not None
    view, person = camera.view(), scene.people[walk.pid]
    box = detect(outline_box(person, pose, view), camera, stream("detector", seed, walk.pid, camera.camid, frame))
    here = [(other, its_pose) for other, its_pose in scene.present(walk.place, time_s) if other.pid != walk.pid]
    near = [other.pid for other, its_pose in here if outline_box(scene.people[other.pid], its_pose, view).overlaps(box)]
    blocks = scene.town.blocks(camera)
    visible = visible_share(person, pose, camera, box, blocks, [(scene.people[other.pid], its_pose) for other, its_pose in here])
    towards = math.atan2(camera.y - pose.y, camera.x - pose.x)
    facing = math.degrees(towards - pose.heading) % 360
    return Crop(
        folder="",
        name=f"{walk.pid:04d}_c{camera.camid + 1}s1_{frame:06d}_00.jpg",
        pid=walk.pid,
        camid=camera.camid,
        frame=frame,
        time_s=round(time_s, 2),
        track=track,
        box=(int(box.left), int(box.top), int(box.width), int(box.height)),
        x=round(pose.x, 3),
        y=round(pose.y, 3),
        heading_deg=round(math.degrees(pose.heading) % 360, 1),
        facing_deg=round(facing, 1),
        speed=pose.speed,
        phase=round(pose.phase, 3),
        action=pose.action,
        visible=visible,
        others=tuple(sorted(near)),
    )


def _foldered(crops: list[Crop], half: str, seed: int) -> list[Crop]:
    """Training people go to one folder; of a test person, one crop a camera asks and the rest are searched."""
    if half == "train":
        return [replace(crop, folder=FOLDERS[0]) for crop in crops]
    cameras = sorted({crop.camid for crop in crops})
    queries: set[str] = set()
    if len(cameras) > 1:
        for camid in cameras:
            seen = [crop.name for crop in crops if crop.camid == camid]
            if len(seen) > 1:  # a camera's only crop must stay findable
                queries.add(seen[stream("query", seed, crops[0].pid, camid).randint(len(seen))])
    if not queries and len(cameras) > 1:
        queries.add(crops[0].name)
    return [replace(crop, folder=FOLDERS[1] if crop.name in queries else FOLDERS[2]) for crop in crops]

"""Whole frames of a town's cameras as MP4, with ground truth in MOT format and one identity numbering over all cameras."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from passerby.errors import DataError, MissingDependencyError, UsageError, listing
from passerby.files import replacing, write_json, write_text
from passerby.progress import meter
from passerby.street.bodies import make_person
from passerby.street.cameras import Box, Camera, degrade
from passerby.street.clothes import WARDROBES
from passerby.street.meshes import Mesh
from passerby.street.render import View, open_renderer
from passerby.street.scenes import WALK_S, Scene, make_scene, visible_share
from passerby.street.seeds import number, stream
from passerby.street.stage import Shot, Stage
from passerby.street.towns import Town, make_town

__all__ = ["Clip", "ClipOrder", "mesh_box", "render_video"]

_LEAD_S = 30.0  # people are already walking when the film begins
_LEAST_INSIDE = 0.15


@dataclass(frozen=True)
class ClipOrder:
    """What is to be filmed.

    Attributes:
        town: a key of `towns.TOWNS`.
        cameras: camera numbers, from 1 as in file names; empty: all.
        seconds: length of each film.
        people: how many pass all the cameras; None: as many as keep the usual crowd of the town in every place.
        seed: who comes, and when.
        width, height: frame size, pixels, even numbers.
        fps: frames a second.
    """

    town: str
    cameras: tuple[int, ...] = ()
    seconds: float = 20.0
    people: int | None = None
    seed: int = 0
    width: int = 640
    height: int = 360
    fps: int = 25

    def __post_init__(self) -> None:
        if self.people is not None and self.people < 1:
            raise UsageError(f"people is {self.people}: at least one person must walk.")
        if not 0 < self.seconds <= 3600:
            raise UsageError(f"seconds is {self.seconds:g}: a film lasts up to an hour (3600).")
        if self.width < 160 or self.height < 120 or self.width % 2 or self.height % 2 or max(self.width, self.height) > 4096:
            raise UsageError(f"size is {self.width}x{self.height}: frames have 160x120 to 4096x4096 pixels, both even.")
        if not 1 <= self.fps <= 60:
            raise UsageError(f"fps is {self.fps}: allowed are 1 to 60 frames a second.")


@dataclass(frozen=True)
class Clip:
    """One finished film.

    Attributes:
        video, truth: the files.
        camera: camera number, from 1.
        frames: how many.
        boxes: lines of ground truth; people: how many different people they name.
    """

    video: Path
    truth: Path
    camera: int
    frames: int
    boxes: int
    people: int


def render_video(order: ClipOrder, out: Path, *, renderer: str = "auto") -> list[Clip]:
    """Film a town: `TOWN-cN.mp4`, `TOWN-cN.gt.txt` and `TOWN-cN.json` for each camera.

    Ground truth lines are `frame,id,left,top,width,height,1,1,visibility`: frames from 1, boxes tight around the whole body (also
    where it is hidden or outside the frame), ids the same in all cameras.

    Args:
        order: what.
        out: folder; films of the same cameras in it are replaced.
        renderer: "gl", "numba" or "auto".

    Raises:
        UsageError: unknown town or camera.
        MissingDependencyError: PyAV is not installed.
        DataError: `out` cannot be written.
    """
    town = make_town(order.town)
    cameras = _cameras(town, order)
    try:
        import av  # noqa: F401
    except ImportError:
        raise MissingDependencyError('writing video needs PyAV. Install it with: pip install "passerby[video]"') from None
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f'"{out}" cannot be made ({error.strerror}). Give --out a folder of your own.') from None
    scene = _scene(town, order, [camera.camid for camera in cameras])
    people = {str(pid): person.to_json() for pid, person in scene.people.items()}
    write_json(out / f"{order.town}-people.json", people)
    opened = open_renderer(renderer)
    stage = Stage(replace(town, cameras=tuple(_scaled(camera, order) for camera in town.cameras)), opened)
    try:
        return [_film(stage, stage.town.cameras[camera.camid], scene, order, out) for camera in cameras]
    finally:
        opened.close()


def _cameras(town: Town, order: ClipOrder) -> list[Camera]:
    wanted = order.cameras or tuple(range(1, len(town.cameras) + 1))
    unknown = [camera for camera in wanted if not 1 <= camera <= len(town.cameras)]
    if unknown:
        raise UsageError(f"camera {listing(unknown)}: {town.name} has cameras 1 to {len(town.cameras)}.")
    return [town.cameras[camera - 1] for camera in dict.fromkeys(wanted)]


def _scene(town: Town, order: ClipOrder, camids: Sequence[int]) -> Scene:
    wardrobe = WARDROBES[town.style.wardrobe]
    arriving_s = _LEAD_S + 0.8 * order.seconds
    places = {town.cameras[camid].place for camid in camids}
    usual = math.ceil(town.style.crowd * len(places) * arriving_s / WALK_S)
    count = usual if order.people is None else order.people
    people = {pid: make_person(number("film", town.name, order.seed, pid), wardrobe) for pid in range(1, count + 1)}
    targets = {pid: [camids[k] for k in stream("film route", order.seed, pid).permutation(len(camids))] for pid in people}
    return make_scene(town, people, targets, number("film day", order.seed), start_s=-_LEAD_S, length_s=arriving_s)


def _scaled(camera: Camera, order: ClipOrder) -> Camera:
    """The same camera with another frame size: the picture keeps its width and loses or gains rows."""
    factor = order.width / camera.width
    response = replace(camera.response, blur_px=round(camera.response.blur_px * min(factor, 1.0), 3))
    return replace(camera, width=order.width, height=order.height, focal_px=camera.focal_px * factor, response=response)


def _film(stage: Stage, camera: Camera, scene: Scene, order: ClipOrder, out: Path) -> Clip:
    import av

    stem = out / f"{order.town}-c{camera.camid + 1}"
    frames = max(1, round(order.seconds * order.fps))
    lines: list[str] = []
    with (
        replacing(stem.with_suffix(".mp4")) as temporary,
        meter(f"film {camera.name}", frames, "frames") as shown,
        av.open(str(temporary), "w") as container,
    ):
        track = container.add_stream("libx264", rate=order.fps)
        track.width, track.height, track.pix_fmt = camera.width, camera.height, "yuv420p"
        track.options = {"crf": "24", "preset": "veryfast"}
        for index in range(frames):
            picture, truth = _frame(stage, camera, scene, index, order.fps)
            lines += truth
            for packet in track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
            shown.advance()
        for packet in track.encode():
            container.mux(packet)
    write_text(stem.with_suffix(".gt.txt"), "".join(line + "\n" for line in lines))
    facts = {"town": order.town, "camera": asdict(camera), "fps": order.fps, "frames": frames, "seed": order.seed}
    write_json(stem.with_suffix(".json"), facts)
    people = {line.split(",")[1] for line in lines}
    return Clip(stem.with_suffix(".mp4"), stem.with_suffix(".gt.txt"), camera.camid + 1, frames, len(lines), len(people))


def _frame(stage: Stage, camera: Camera, scene: Scene, index: int, fps: int) -> tuple[np.ndarray, list[str]]:
    """One picture and its ground truth lines."""
    time_s = index / fps
    here = [(walk.pid, scene.people[walk.pid], pose) for walk, pose in scene.present(camera.place, time_s)]
    window = Box(0, 0, camera.width, camera.height)
    shot = stage.shoot(camera, here, time_s, window)
    response = replace(camera.response, quality=95)  # the film's own encoder takes the place of the JPEG
    random = stream("film noise", camera.name, index)
    picture = degrade(shot.light, response, random, gain=shot.gain, motion_px=0.0)
    return picture, _truth(shot, stage, camera, here, index, window)


def _truth(shot: Shot, stage: Stage, camera: Camera, here: Sequence[tuple], index: int, window: Box) -> list[str]:
    blocks = stage.town.blocks(camera)
    lines = []
    for item in shot.items:
        box = mesh_box(item.mesh, shot.view)
        inside = box.clipped(camera.width, camera.height)
        if inside.width * inside.height < _LEAST_INSIDE * box.width * box.height or box.width <= 0:
            continue
        (mine,) = (entry for entry in here if entry[0] == item.item_id)
        others = [(person, pose) for pid, person, pose in here if pid != item.item_id]
        share = visible_share(mine[1], mine[2], camera, window, blocks, others)
        values = f"{box.left:.1f},{box.top:.1f},{box.width:.1f},{box.height:.1f}"
        lines.append(f"{index + 1},{item.item_id},{values},1,1,{share:.2f}")
    return lines


def mesh_box(mesh: Mesh, view: View) -> Box:
    """The tight box around the drawn part of a mesh; of no size where some of it is behind the camera."""
    drawn = mesh.positions[mesh.cut >= 0]
    if not len(drawn):
        return Box(0, 0, 0, 0)
    pixels = view.project(drawn)
    if pixels[:, 2].min() <= view.near:
        return Box(0, 0, 0, 0)
    left, top = pixels[:, :2].min(0)
    right, bottom = pixels[:, :2].max(0)
    return Box(float(left), float(top), float(right - left), float(bottom - top))

"""Rendering a data set to disk in Market-1501's layout: several processes, whole files only, a killed run goes on."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from PIL import Image

from passerby.errors import DataError, PasserbyError, UsageError, listing
from passerby.files import replacing, write_bytes
from passerby.progress import meter
from passerby.street.cameras import encode
from passerby.street.clouds import point_cloud, save_npz, save_obj
from passerby.street.folder import Order, open_folder, write_lists
from passerby.street.outline import stature_m
from passerby.street.plan import Crop, make_plan
from passerby.street.render import open_renderer
from passerby.street.scenes import Scene
from passerby.street.stage import Stage, resized
from passerby.street.towns import make_town

__all__ = ["Rendered", "preview", "render_set", "render_sets"]

QUALITY = 92
_PELVIS = 0.53  # of the stature


@dataclass(frozen=True)
class Rendered:
    """What a run did.

    Attributes:
        folder: where.
        crops: images in the set; made: how many of them this run drew.
        people: identities.
        renderer: "gl" or "numba".
        seconds: wall time of all the drawing of the call.
    """

    folder: Path
    crops: int
    made: int
    people: int
    renderer: str
    seconds: float


@dataclass(frozen=True)
class _Job:
    """What one process needs to know."""

    order: Order
    out: Path
    renderer: str
    crops: tuple[Crop, ...]
    scenes: tuple[Scene, Scene]


def render_set(order: Order, out: Path, *, renderer: str = "auto", workers: int = 1) -> Rendered:
    """Render a town's people to `out`; a run that was killed goes on where it stopped.

    Args:
        order: what.
        out: a new or empty folder, or one from an earlier run with the same order.
        renderer: "gl", "numba" or "auto".
        workers: processes that draw; with 1 the calling process draws.

    Raises:
        UsageError: unknown town or renderer, or workers below 1.
        DataError: see `folder.open_folder`.
    """
    return render_sets([(order, out)], renderer=renderer, workers=workers)[0]


def render_sets(work: Sequence[tuple[Order, Path]], *, renderer: str = "auto", workers: int = 1) -> list[Rendered]:
    """Render several towns with the same processes; see `render_set`. All folders are checked before any is drawn into."""
    if workers < 1:
        raise UsageError(f"workers is {workers}: at least one process must draw.")
    for order, _ in work:
        make_town(order.town)
    name = _resolve(renderer)
    plans = [make_plan(order.town, order.train_ids, order.test_ids, order.views, order.seed) for order, _ in work]
    finished = [open_folder(out, order, plan, name) for (order, out), plan in zip(work, plans, strict=True)]
    missing: list[list[Crop]] = []
    for (order, out), plan, done in zip(work, plans, finished, strict=True):
        write_lists(out, order, plan, name)
        by_time = sorted(plan.crops, key=lambda crop: (crop.frame, crop.camid))
        missing.append([crop for crop in by_time if f"{crop.folder}/{crop.name}" not in done])
    total = sum(map(len, missing))
    count = max(1, min(workers, total // 4))
    shares: list[list[_Job]] = [[] for _ in range(count)]
    for (order, out), plan, crops in zip(work, plans, missing, strict=True):
        for share, part in zip(shares, _parts(crops, count), strict=True):
            if part:
                share.append(_Job(order, out, name, tuple(part), plan.scenes))
    begin = time.monotonic()
    with meter(f"render {listing(order.town for order, _ in work)}", total, "crops") as shown:
        if count == 1:
            _draw(shares[0], shown.advance)
        else:
            _draw_apart(shares, shown.advance)
    seconds = time.monotonic() - begin
    return [
        Rendered(out, len(plan.crops), len(crops), order.ids, name, seconds)
        for (order, out), plan, crops in zip(work, plans, missing, strict=True)
    ]


def _resolve(renderer: str) -> str:
    opened = open_renderer(renderer)
    opened.close()
    return opened.name


def _parts(crops: Sequence[Crop], count: int) -> list[Sequence[Crop]]:
    """`count` stretches of the day, one a process: people who meet are drawn by the same process."""
    edges = np.linspace(0, len(crops), count + 1).round().astype(int)
    return [crops[a:b] for a, b in itertools.pairwise(edges)]


def _draw(jobs: Sequence[_Job], advance: Callable[[int], object]) -> None:
    if not jobs:
        return
    renderer = open_renderer(jobs[0].renderer)
    try:
        for job in jobs:
            stage = Stage(job.scenes[0].town, renderer)
            for crop in job.crops:
                scene = job.scenes[0] if crop.pid in job.scenes[0].people else job.scenes[1]
                _finish(job.order, job.out, stage, crop, scene)
                advance(1)
    finally:
        renderer.close()


def _finish(order: Order, out: Path, stage: Stage, crop: Crop, scene: Scene) -> None:
    """Draw one crop and write what belongs to it; the image last, because it marks the crop as done."""
    stored, shot = stage.crop(crop, scene)
    picture = resized(stored, order.width, order.height)
    if order.clouds != "none":
        pelvis = np.array([crop.x, crop.y, _PELVIS * stature_m(scene.people[crop.pid])])
        cloud = point_cloud(shot, picture, crop.pid, pelvis, order.cloud_height // 2, order.cloud_height)
        stem = out / "clouds" / crop.folder / crop.name
        if order.clouds in ("obj", "both"):
            save_obj(cloud, stem.with_name(crop.name + ".obj"))
        if order.clouds in ("npz", "both"):
            save_npz(cloud, stem.with_name(crop.name + ".npz"))
    write_bytes(out / crop.folder / crop.name, encode(picture, QUALITY))


def _work(jobs: Sequence[_Job], said: Connection) -> None:
    """Body of a drawing process: says 1 a crop, then None; or the error that stopped it."""
    try:
        _draw(jobs, said.send)
        said.send(None)
    except PasserbyError as error:
        said.send((type(error), str(error)))
    except OSError as error:
        said.send((DataError, f'"{error.filename or jobs[0].out}": {error.strerror or error}'))


def _draw_apart(shares: Sequence[Sequence[_Job]], advance: Callable[[int], object]) -> None:
    """One process a share. They are started afresh, not forked: an OpenGL context does not survive a fork.

    Each speaks through a pipe of its own, whose end is felt when its process dies, at whatever moment that is.
    """
    context = multiprocessing.get_context("spawn")
    running: dict[Connection, BaseProcess] = {}
    try:
        with _single_threaded(), _deaf_to_interrupts():
            for share in shares:
                hears, speaks = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(share, speaks), daemon=True)
                try:
                    process.start()
                except OSError as error:  # it died before it had read what it should do
                    raise DataError(f"a drawing process could not be started ({error.strerror or error}). Run again.") from None
                speaks.close()
                running[hears] = process
        while running:
            for hears in wait(list(running)):
                assert isinstance(hears, Connection)
                try:
                    word = hears.recv()
                except EOFError:
                    running[hears].join()
                    raise DataError(
                        f"a drawing process ended with status {running[hears].exitcode}. What is finished is kept; run again."
                    ) from None
                if word is None:
                    running.pop(hears).join()
                elif isinstance(word, tuple):
                    raise word[0](word[1])
                else:
                    advance(word)
    finally:
        for process in running.values():
            process.terminate()
            process.join()


class _single_threaded:  # noqa: N801 - reads as a verb phrase in `with`
    """New processes inside use one thread each: there is one process a core already."""

    _names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LP_NUM_THREADS")

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in self._names}
        os.environ.update(dict.fromkeys(self._names, "1"))

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """New processes inside never see Ctrl-C, not even while they import: the terminal sends it to all, and one answer is enough.

    The process that waits for them ends them. It answers an interrupt that arrives inside as soon as it is outside. Where signals
    cannot be held back (another thread than the main one, Windows) nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # multiprocessing would start it inside, and lift the mask there
    arrived: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: arrived.append(number))  # what another thread of ours receives
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # new processes inherit the mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
        if arrived:
            signal.raise_signal(signal.SIGINT)


def preview(out: Path, crops: Sequence[Crop], people: int = 12, columns: int = 8, width: int = 64, height: int = 128) -> Path:
    """Write `preview.jpg`: one person a row, crops of different cameras beside each other.

    Args:
        out: a rendered folder.
        crops: its list.
        people, columns: how many rows and columns at most.
        width, height: of one crop on the sheet, pixels.
    """
    by_pid: dict[int, list[Crop]] = {}
    for crop in crops:
        by_pid.setdefault(crop.pid, []).append(crop)
    pids = sorted(by_pid)
    rows = [by_pid[pids[index]] for index in np.unique(np.linspace(0, len(pids) - 1, min(people, len(pids))).round().astype(int))]
    sheet = Image.new("RGB", (columns * width, len(rows) * height))
    for row, mine in enumerate(rows):
        for column, crop in enumerate(sorted(mine, key=lambda crop: (crop.camid, crop.frame))[:columns]):
            with Image.open(out / crop.folder / crop.name) as image:
                sheet.paste(image.resize((width, height), Image.Resampling.BOX), (column * width, row * height))
    target = out / "preview.jpg"
    with replacing(target) as temporary:
        sheet.save(temporary, quality=85)
    return target

"""Lifts a whole data set into a tree of clouds: several processes, whole files only, a stopped run goes on, failures are listed.

The tree is what the readers of clouds know: ``train_all`` (or ``train`` and ``val``), ``query``, ``gallery`` and perhaps
``multi-query``, one folder a person, one cloud an image. Beside it stand ``lift.json`` (how it was made) and ``failures.csv``
(which images became no cloud, and why; a run that does not try an image again leaves its row).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from passerby.datasets.clouds import LIFTED
from passerby.datasets.images import read_image
from passerby.datasets.layouts import Layout
from passerby.datasets.placing import place_as_market
from passerby.datasets.registry import DATASETS, find_root, locate, read, resolve
from passerby.datasets.walking import absent, image_files, images_below, shown
from passerby.errors import DataError, ImageError, UsageError
from passerby.files import write_json, write_text
from passerby.lifting.colouring import Points, colour
from passerby.lifting.lifter import Crop, Lifted, Lifter, Refused
from passerby.lifting.opening import LifterOptions, open_lifter
from passerby.progress import meter
from passerby.street.clouds import PointCloud, save_npz, save_obj

__all__ = ["LiftReport", "LiftSettings", "Task", "lift_folder", "plan"]

SETTINGS, FAILURES = LIFTED, "failures.csv"
_HEADER = ["image", "reason", "detail"]
_SUBTREES = {"train": "train_all", "val": "val", "query": "query", "gallery": "gallery", "multi_query": "multi-query"}
_READERS = {
    "market1501": "market1501-3d", "dukemtmc": "dukemtmc-3d", "cuhk03-np-detected": "cuhk03-np-3d", "msmt17": "msmt17-3d",
    "msmt17-trainval": "msmt17-3d", "msmt17-v2": "msmt17-3d", "msmt17-v2-trainval": "msmt17-3d",
}  # fmt: skip
"""Who knows the counts of a data set's clouds, and that MSMT17 is trained on with its validation images; others are `clouds`."""

Failure = tuple[str, str, str]  # name of the image, reason, detail


@dataclass(frozen=True)
class LiftSettings:
    """How a folder is lifted; a folder holds clouds of one way only.

    Attributes:
        lifter: "anny", "template" or "vertices"; options: of it.
        points: see `colouring.colour`.
        height: rows of the grid; it has half as many columns.
        form: of the files.
    """

    lifter: str = "anny"
    options: LifterOptions = field(default_factory=LifterOptions)
    points: Points = "surface"
    height: int = 128
    form: Literal["npz", "obj"] = "npz"

    def __post_init__(self) -> None:
        if not 16 <= self.height <= 512 or self.height % 2:
            raise UsageError(f"height is {self.height}: a cloud has 16 to 512 rows of points, an even number.")

    def as_json(self) -> dict[str, Any]:
        """What must be equal for a run to go on; folders of other tools may have moved."""
        content = asdict(self)
        return {**content, "options": {key: value for key, value in content["options"].items() if not isinstance(value, Path)}}


@dataclass(frozen=True)
class Task:
    """One image to lift: its file, its name relative to the source, and its cloud relative to the new folder."""

    image: Path
    name: str
    target: str


@dataclass(frozen=True)
class LiftReport:
    """What a run did.

    Attributes:
        out: the new folder; dataset: the name to read it by, "" for a plain folder of images.
        images: how many there are; made: clouds that this run wrote; kept: clouds that were there.
        failures: (name, reason, detail) of the images that became no cloud.
        reasons: how many failed for which reason.
    """

    out: Path
    dataset: str
    images: int
    made: int
    kept: int
    failures: tuple[tuple[str, str, str], ...]
    reasons: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {**asdict(self), "out": shown(self.out)}


def plan(source: Path, dataset: str = "") -> tuple[str, list[Task]]:
    """What is lifted, and where to.

    Args:
        source: a data set's folder, or a plain folder of images, whose own tree is then kept.
        dataset: its name, where the folder could be several; "images": a plain folder.

    Returns:
        The name by which the result can be read ("" for a plain folder) and the images, sorted by their clouds.

    Raises:
        DataError: no image, no such folder, or the data set does not fit its layout.
    """
    layout, tasks = _planned(source, dataset)
    return _reader(layout), tasks


def _reader(layout: Layout | None) -> str:
    return "" if layout is None else _READERS.get(layout.name, "clouds")


def _planned(source: Path, dataset: str, out: Path | None = None) -> tuple[Layout | None, list[Task]]:
    """The layout, None for a plain folder, and what is lifted; of a plain folder that holds `out`, without the pictures there."""
    layout, root = (None, source) if dataset == "images" else _located(source, dataset)
    if layout is None:
        paths = images_below(source) if source.is_dir() else []
        if out is not None and source.resolve() in out.resolve().parents:
            paths = [path for path in paths if not path.resolve().is_relative_to(out.resolve())]
        if not paths:
            raise DataError(f'"{shown(source)}" holds no image: give a data set, or a folder with images in it or below it.')
        return None, [Task(path, _below(path, source), _below(path, source)) for path in paths]
    placed, _ = place_as_market(read(layout.name, root))
    if not placed:
        raise DataError(
            f'{layout.title} in "{shown(root)}" has several splits and none is chosen: lift its images as they lie, with '
            "--dataset images, or make one split of it first (passerby data prepare)."
        )
    validated = any(one.subset == "val" for one in placed)
    folders = {**_SUBTREES, "train": "train"} if validated else _SUBTREES
    tasks = [
        Task(
            one.record.path,
            _below(one.record.path, root),
            f"{folders[one.subset]}/{_person(one.record.pid)}/{one.target.rpartition('/')[2]}",
        )
        for one in placed
    ]
    return layout, sorted(tasks, key=lambda task: task.target)


def _located(source: Path, dataset: str) -> tuple[Layout | None, Path]:
    """The layout and its folder; None for a folder that only holds images."""
    if dataset:
        layout = DATASETS[resolve(dataset)]
        return layout, find_root(layout, source)
    try:
        return locate(source)
    except DataError as error:
        if source.is_dir() and image_files(source, 1):
            return None, source
        if source.is_dir() and images_below(source):
            raise DataError(f"{error} To lift all images below it as they lie, give --dataset images.") from None
        raise


def _below(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _person(pid: int) -> str:
    return f"{pid:04d}" if pid >= 0 else str(pid)


def lift_folder(
    source: Path, out: Path, settings: LiftSettings, *, dataset: str = "", workers: int = 1, limit: int | None = None
) -> LiftReport:
    """Lift all images of a data set, or of a folder.

    Args:
        source, dataset: see `plan`.
        out: a new or empty folder, or one of an earlier run with the same settings: clouds that are there are kept, and images
            that failed are tried again.
        settings: how.
        workers: processes; with 1 the calling process works.
        limit: at most so many images, spread over the data set; None: all.

    Raises:
        UsageError: see `open_lifter`; or a number below 1.
        DataError: see `plan`; or `out` holds something else, or a list of failures that is damaged.
    """
    if workers < 1 or (limit is not None and limit < 1):
        raise UsageError(f"{workers} workers and {limit} images: both must be at least 1.")
    lifter = open_lifter(settings.lifter, settings.options)  # what is wrong with it is said before work starts
    layout, tasks = _planned(source, dataset, out)
    every = tasks
    if limit is not None and limit < len(tasks):
        tasks = [tasks[at] for at in np.linspace(0, len(tasks) - 1, limit).round().astype(int)]
    _claim(out, settings, _fingerprint(layout, every))
    before = _read_failures(out / FAILURES)
    todo = _without_cloud(tasks, out, settings)
    failures: list[Failure] = []
    tried: set[str] = set()
    try:
        with meter("lift", len(todo)) as bar:
            for names, failed in _answers(todo, out, settings, workers, lifter):
                failures += failed
                tried.update(names)
                bar.advance(len(names))
    finally:
        failures.sort()
        untried = [row for row in before if row[0] not in tried]
        _write_failures(out / FAILURES, sorted([*failures, *_still_true(untried, every, out, settings)]))
    return LiftReport(
        out=out,
        dataset=_reader(layout),
        images=len(tasks),
        made=len(todo) - len(failures),
        kept=len(tasks) - len(todo),
        failures=tuple(failures),
        reasons=dict(Counter(reason for _, reason, _ in failures).most_common()),
    )


def _fingerprint(layout: Layout | None, tasks: Sequence[Task]) -> dict[str, Any]:
    """Which images a folder is made of: their data set and a hash of their names, wherever they lie."""
    names = "\n".join(sorted(task.name for task in tasks))
    return {
        "dataset": "images" if layout is None else layout.name,
        "images": len(tasks),
        "names_sha256": hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest(),
    }


def _claim(out: Path, settings: LiftSettings, source: dict[str, Any]) -> None:
    """Make sure that `out` is ours, of these settings and of these images."""
    mark = out / SETTINGS
    content = {"format": "passerby lift 1", **settings.as_json()}
    if mark.is_file():
        try:
            found = json.loads(mark.read_text(encoding="utf-8"))
        except ValueError:
            raise DataError(
                f'"{shown(mark)}" is damaged: delete it if the clouds beside it are to be kept as they are.'
            ) from None
        theirs = found.pop("source", source) if isinstance(found, dict) else source  # earlier versions did not write it
        theirs = theirs if isinstance(theirs, dict) and theirs.keys() == source.keys() else dict.fromkeys(source, "unknown")
        if found == content and theirs != source:
            was, these = (f"{one['dataset']}, {one['images']} in all" for one in (theirs, source))
            raise DataError(
                f'"{shown(out)}" holds clouds of other images ({was}) than these ({these}): give a new folder, or the images '
                "that it was made of."
            )
        if found != content:
            other = [key for key in content if not isinstance(found, dict) or found.get(key) != content[key]]
            raise DataError(
                f'"{shown(out)}" was lifted in another way ({", ".join(other)}): give the same options or a new folder.'
            )
        return
    if out.is_dir() and any(out.iterdir()):
        raise DataError(f'"{shown(out)}" holds other things, no {SETTINGS}: give a new or empty folder.')
    write_json(mark, {**content, "source": source})


def _cloud(out: Path, task: Task, settings: LiftSettings) -> Path:
    return out / f"{task.target}.{settings.form}"


def _without_cloud(tasks: Sequence[Task], out: Path, settings: LiftSettings) -> list[Task]:
    missing = {path.as_posix() for path in absent([_cloud(out, task, settings) for task in tasks])}
    return [task for task in tasks if _cloud(out, task, settings).as_posix() in missing]


def _read_failures(path: Path) -> list[Failure]:
    """What an earlier run has listed."""
    if not path.is_file():
        return []
    try:
        header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True)
        if header != _HEADER:
            raise ValueError
        return [(image, reason, detail) for image, reason, detail in rows]
    except (ValueError, csv.Error):
        raise DataError(
            f'"{shown(path)}" is no list of image, reason and detail any more: delete it; without --limit every image that has '
            "no cloud is tried and listed again."
        ) from None


def _still_true(rows: Sequence[Failure], tasks: Sequence[Task], out: Path, settings: LiftSettings) -> list[Failure]:
    """The rows of images that have no cloud: a run that was killed wrote clouds, but no list."""
    names = {name for name, _, _ in rows}
    without = {task.name for task in _without_cloud([task for task in tasks if task.name in names], out, settings)}
    return [row for row in rows if row[0] in without]


def _write_failures(path: Path, failures: Sequence[Failure]) -> None:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_HEADER)
    rows.writerows(failures)
    write_text(path, text.getvalue())


# --- the work ---------------------------------------------------------------------------------------------------------------

Answer = tuple[list[str], list[Failure]]


def _answers(tasks: Sequence[Task], out: Path, settings: LiftSettings, workers: int, lifter: Lifter) -> Iterator[Answer]:
    """Which images of a batch are done and which of them failed, batch after batch."""
    batches = [tasks[at : at + lifter.batch] for at in range(0, len(tasks), lifter.batch)]
    if workers == 1 or len(batches) < 2:
        for batch in batches:
            yield _lift_batch(lifter, batch, out, settings)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(batches)), context, _prepare, (out, settings))
    try:
        left = iter(batches)
        running: set[Future[Answer]] = {pool.submit(_work, batch) for batch in islice(left, 2 * workers)}
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(_work, batch) for batch in islice(left, len(finished))}
            for future in finished:
                yield future.result()
    except BrokenProcessPool:
        raise DataError("a lifting process was killed, perhaps for memory. What is finished is kept; run again.") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_here: dict[str, Any] = {}  # of a worker process: its lifter, once


def _prepare(out: Path, settings: LiftSettings) -> None:
    from threadpoolctl import threadpool_limits

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C reaches all; whoever waits answers it
    os.environ["OMP_NUM_THREADS"] = "1"  # there is a process a core already; torch, imported later, reads this
    threadpool_limits(1)
    _here.update(out=out, settings=settings, lifter=open_lifter(settings.lifter, settings.options))


def _work(batch: Sequence[Task]) -> Answer:
    return _lift_batch(_here["lifter"], batch, _here["out"], _here["settings"])


def _lift_batch(lifter: Lifter, batch: Sequence[Task], out: Path, settings: LiftSettings) -> Answer:
    failures: list[Failure] = []
    readable: list[tuple[Task, Crop]] = []
    for task in batch:
        try:
            readable.append((task, Crop(np.asarray(read_image(task.image)), task.name)))
        except ImageError as error:
            failures.append((task.name, "no image", str(error)))
    for (task, crop), answer in zip(readable, _lifted(lifter, [crop for _, crop in readable]), strict=True):
        cloud: PointCloud | Refused = (
            answer
            if isinstance(answer, Refused)
            else colour(answer, crop.image, width=settings.height // 2, height=settings.height, points=settings.points)
        )
        if isinstance(cloud, Refused):
            failures.append((task.name, cloud.reason, cloud.detail))
        else:
            (save_npz if settings.form == "npz" else save_obj)(cloud, _cloud(out, task, settings))
    return [task.name for task in batch], failures


def _lifted(lifter: Lifter, crops: Sequence[Crop]) -> list[Lifted | Refused]:
    """The lifter's answers; where files of another tool are wrong, each by itself, so that one does not stop the others."""
    try:
        return lifter(crops) if crops else []
    except DataError:
        answers: list[Lifted | Refused] = []
        for crop in crops:
            try:
                answers += lifter([crop])
            except DataError as error:
                answers.append(Refused("wrong file", str(error)))
        return answers

"""A data set on one sheet: who it shows, in which cameras, and how many images of what."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from passerby.datasets import read_image
from passerby.errors import DataError, UsageError
from passerby.plots.style import COLOURS, FAINT, HATCHES, MARKERS, check_format, head_and_foot, line_of, look, save_figure
from passerby.records import Record, ReidData

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

__all__ = ["choose_people", "plot_data"]

_MOST_CAMERAS = 12


def plot_data(
    data: ReidData, out: str | os.PathLike[str], *, people: int = 6, title: str = "", dpi: int = 130
) -> list[tuple[str, int]]:
    """Draw some people across the cameras, and the counts of images by camera and by person.

    Args:
        data: what was read.
        out: PNG, PDF, SVG or JPG to write.
        people: how many to show, those whom most cameras see.
        title: heading; default: the data set and its sizes.
        dpi: dots an inch.

    Returns:
        (domain, pid) of the people shown, from top to bottom.

    Raises:
        UsageError: people out of range, or a suffix that cannot be written.
        DataError: nobody is in the data.
        ImageError: an image cannot be decoded.
    """
    check_format(out, dpi)
    if not 1 <= people <= 20:
        raise UsageError(f"people is {people}: give 1 to 20.")
    records = [record for split in data.splits().values() for record in split if record.pid > 0]
    if not records:
        raise DataError(f"{data.name} shows nobody with a number (junk and distractors left out): there is nothing to draw.")
    chosen = choose_people(records, people)
    cameras = sorted({record.camera for record in records})[:_MOST_CAMERAS]
    from matplotlib.figure import Figure

    with look():
        width = max(6.4, 0.75 * len(cameras) + 3.9)
        figure = Figure(figsize=(width, max(3.6, 1.32 * len(chosen) + 1.2)), layout="constrained")
        parts: Any = figure.subfigures(1, 2, width_ratios=[0.75 * len(cameras) + 0.4, 3.2])
        left, right = parts
        _draw_people(left, records, chosen, cameras)
        by_camera, by_person = right.subplots(2, 1)
        _draw_cameras(by_camera, data)
        _draw_images_a_person(by_person, data)
        shown = f"; the first {_MOST_CAMERAS} cameras are shown" if len({r.camera for r in records}) > _MOST_CAMERAS else ""
        sizes = "; ".join(
            f"{name}: {len(split):,} images, {len(split.identities):,} people" for name, split in data.splits().items()
        )
        head_and_foot(figure, title or f"{data.name}: people across its cameras", sizes + shown, *data.notes)
        save_figure(figure, out, dpi=dpi)
    return chosen


def choose_people(records: list[Record], people: int) -> list[tuple[str, int]]:
    """Those whom most cameras see; ties by number of images, then by number."""
    cameras: dict[tuple[str, int], set[int]] = {}
    images: dict[tuple[str, int], int] = {}
    for record in records:
        key = (record.domain, record.pid)
        cameras.setdefault(key, set()).add(record.camid)
        images[key] = images.get(key, 0) + 1
    return sorted(cameras, key=lambda key: (-len(cameras[key]), -images[key], key))[:people]


def _draw_people(part: SubFigure, records: list[Record], chosen: list[tuple[str, int]], cameras: list[tuple[str, int]]) -> None:
    several = len({domain for domain, _ in cameras}) > 1
    first: dict[tuple[tuple[str, int], tuple[str, int]], Record] = {}
    for record in records:
        first.setdefault(((record.domain, record.pid), record.camera), record)
    for (row, column), axes in np.ndenumerate(part.subplots(len(chosen), len(cameras), squeeze=False)):
        domain, camid = cameras[column]
        record = first.get((chosen[row], cameras[column]))
        if record is not None:
            axes.imshow(np.asarray(read_image(record.path)), aspect="auto", interpolation="lanczos")
        for spine in axes.spines.values():
            spine.set_visible(record is not None)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(False)
        if row == 0:
            axes.set_title(
                f"{domain}\nc{camid}" if several else f"camera {camid}", fontsize=7.5, fontweight="normal", loc="center"
            )
        if column == 0:
            axes.set_ylabel(str(chosen[row][1]), fontsize=7.5, color=FAINT)


def _draw_cameras(axes: Axes, data: ReidData) -> None:
    """Images of each camera, one bar on the other by split."""
    splits = data.splits()
    cameras = sorted({camera for split in splits.values() for camera in split.cameras})
    place = {camera: number for number, camera in enumerate(cameras)}
    base = np.zeros(len(cameras))
    for number, (name, split) in enumerate(splits.items()):
        counts = np.bincount([place[record.camera] for record in split], minlength=len(cameras))
        axes.bar(
            range(len(cameras)), counts, bottom=base, label=name, color=COLOURS[number % len(COLOURS)],
            hatch=HATCHES[number % len(HATCHES)], edgecolor="white", linewidth=0.4,
        )  # fmt: skip
        base += counts
    axes.set_title("images of each camera")
    step = max(1, len(cameras) // 12)
    axes.set_xticks(range(0, len(cameras), step), [f"c{camid}" for _, camid in cameras[::step]])
    axes.legend(fontsize=7)


def _draw_images_a_person(axes: Axes, data: ReidData) -> None:
    for number, (name, split) in enumerate(data.splits().items()):
        known = split.where(lambda record: record.pid > 0)
        if len(known):
            _, counts = np.unique([f"{record.domain} {record.pid}" for record in known], return_counts=True)
            sizes, people = np.unique(counts, return_counts=True)
            axes.plot(sizes, people, marker=MARKERS[number], markersize=3.5, label=name, **line_of(number))
    axes.set_title("people by their number of images")
    axes.set_xlabel("images of a person")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7)

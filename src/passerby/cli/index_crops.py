"""Crops that are there already into a gallery: what `passerby index --dataset` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from passerby.cli.galleries import counted
from passerby.cli.moments import moment
from passerby.errors import UsageError, listing

if TYPE_CHECKING:
    from passerby.cli.index import Options
    from passerby.embedder import Embedder
    from passerby.gallery import Gallery
    from passerby.records import Record, Split

__all__ = ["index_crops", "is_street", "read_crops"]

_STREET_DAY = "2026-01-01"


def read_crops(options: Options) -> list[Split]:
    """The crops of each source that are wanted, before a model is loaded or a gallery made.

    Raises:
        DataError: a source that cannot be read, or holds none.
        UsageError: a subset or trial that is not there.
    """
    return [_records(options, source) for source in options.sources]


def index_crops(options: Options, crops: Sequence[Split], gallery: Gallery, embedder: Embedder) -> dict[str, object]:
    """Put the crops of all sources into a gallery; what was done, for --json."""
    from passerby.gallery.ingest import index_records

    counts: dict[str, int] = {}
    for source, split in zip(options.sources, crops, strict=True):
        below = source.is_dir() and all(record.path.is_relative_to(source) for record in split)
        camera, root = options.camera.strip() or None, source if below else None
        counts[str(source)] = added = index_records(
            gallery, split, embedder, root=root, camera=camera, **_passing(options, split)
        )
        print(f"{source}: {counted(len(split), 'crop')}, {added:,} of them new")
    return {"added_of": counts}


def is_street(dataset: str) -> bool:
    """Whether --dataset names the rendered street, whose crops know their times.

    Raises:
        UsageError: there is no such data set.
    """
    from passerby import datasets

    return dataset != "images" and datasets.resolve(dataset) == "street"


class _Passing(TypedDict, total=False):
    """When crops were taken, where that is known."""

    time: Callable[[Record], float]
    track: Callable[[Record], str]


def _passing(options: Options, split: Split) -> _Passing:
    """Times and tracks of a rendered street."""
    if not is_street(options.dataset):
        return {}
    from passerby.datasets.street import passages

    known, start = passages(split), moment(options.start or _STREET_DAY, "--start")
    return {
        "time": lambda record: start + known[record.path].time_s,
        "track": lambda record: f"{record.domain}-{known[record.path].track}",
    }


def _records(options: Options, source: Path) -> Split:
    """The crops of one source that are wanted."""
    from passerby import datasets
    from passerby.datasets.unlabelled import read_unlabelled
    from passerby.records import Split

    if options.dataset == "images":
        return read_unlabelled(source, source.resolve().name)
    data = datasets.one_trial(datasets.read(options.dataset, source), options.trial)
    splits = {name: split for name, split in data.splits().items() if name != "multi_query"}
    wanted = ("gallery" if "gallery" in splits else "all") if options.subset == "auto" else options.subset
    if wanted == "all":
        return Split(tuple(record for split in splits.values() for record in split))
    if wanted not in splits:
        raise UsageError(f"{source} has no {wanted} images: it has {listing(splits)}. Choose --subset accordingly.")
    return splits[wanted]

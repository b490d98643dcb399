"""Convert a data set: MOT sequences to crops, any layout to the layout of Market-1501 or to a manifest.

Every file of the new folder is whole or absent, and `dataset.json` says whether the last one is written; the same call after a
stop goes on where it stopped. What is wrong with the source is found before the new folder is made.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from passerby.datasets.cutting import Cut, write_images
from passerby.datasets.hold_out import hold_out
from passerby.datasets.manifest import MANIFEST_NAMES, write_manifest
from passerby.datasets.mot import HALVES_NOTE, MotSequence, find_sequences, plan_sequence, track_pid
from passerby.datasets.mot_boxes import MotOptions
from passerby.datasets.placing import Placed, place_as_manifest, place_as_market
from passerby.datasets.prepared import Card, read_card, write_card
from passerby.datasets.registry import DATASETS, find_root, locate, read, resolve
from passerby.datasets.walking import shown
from passerby.errors import DataError, UsageError, listing
from passerby.records import Record, ReidData, Split

__all__ = ["HoldOut", "PrepareReport", "prepare"]

Files = Literal["copy", "hardlink", "refer"]


@dataclass(frozen=True)
class HoldOut:
    """Who is held out for evaluation, where the source does not say. See `passerby.datasets.hold_out`."""

    test_share: float = 0.5
    test_domains: tuple[str, ...] = ()
    queries: int = 4
    seed: int = 0


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did.

    Attributes:
        out: the new folder.
        dataset: name to read it by.
        layout: ``manifest`` or ``market-style``.
        images: images by subset.
        made: files written by this call.
        kept: files that an earlier call had written.
        notes: what stands beside every number from this data.
        left_out: boxes that became no crop, by reason; empty for other sources than MOT.
    """

    out: Path
    dataset: str
    layout: str
    images: dict[str, int]
    made: int
    kept: int
    notes: tuple[str, ...]
    left_out: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {**asdict(self), "out": shown(self.out)}


@dataclass(frozen=True)
class _Material:
    """What is converted: records, and for those that are no files yet, the boxes to cut."""

    dataset: str
    root: Path
    data: ReidData
    cuts: dict[Path, Cut] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def prepare(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    name: str | None = None,
    to: Literal["manifest", "market"] = "manifest",
    files: Files = "copy",
    mot: MotOptions | None = None,
    held_out: HoldOut | None = None,
) -> PrepareReport:
    """Convert a data set into a new folder.

    Args:
        source: folder of the data set, or one that holds it.
        out: the new folder; empty, absent, or left by an earlier call with the same arguments, which is then finished.
        name: any name of the data set; default: what the folder looks like.
        to: ``manifest`` (`manifest.csv` and images) or ``market`` (the layout of Market-1501).
        files: ``copy``, ``hardlink``, or ``refer`` (a manifest that names the files where they are).
        mot: which boxes become crops; for MOT sources only.
        held_out: who is held out for evaluation, for sources without query and gallery. Default: half of the people of a MOT
            source, nobody of any other.

    Raises:
        DataError: the source is faulty, or `out` holds something else.
        UsageError: an option does not go with this source, or `out` lies inside it.
    """
    material = _material(Path(source), name, mot, held_out)
    target = Path(out)
    _check_options(material, target, to, files)
    placed, notes = _placed(material, to)
    notes = (*material.data.notes, *notes)
    layout = "manifest" if to == "manifest" else "market-style"
    card = Card(material.dataset, layout, False, notes, _fingerprint(material, placed, to, files), material.facts)
    _claim(target, card)
    made = 0 if files == "refer" else write_images(placed, material.cuts, target, link=files == "hardlink")
    if to == "manifest":
        _write_table(placed, target, files)
    write_card(target, replace(card, complete=True))
    total = len({image.target for image in placed})
    images = Counter(image.subset for image in placed)
    kept = 0 if files == "refer" else total - made
    return PrepareReport(target, material.dataset, layout, dict(images), made, kept, notes, material.left_out)


def _material(source: Path, name: str | None, mot: MotOptions | None, held_out: HoldOut | None) -> _Material:
    if name is None:
        layout, root = locate(source)
    else:
        layout = DATASETS[resolve(name)]
        root = find_root(layout, source)
    if layout.name == "mot" and read_card(root) is None:
        return _cut_out(root, mot or MotOptions(), held_out or HoldOut())
    if mot is not None:
        raise UsageError(f"options for MOT boxes go with MOT sources only; this is {layout.title}.")
    data = read(layout.name, root)
    facts: dict[str, Any] = {}
    if held_out is not None:
        data = _held_out(data, held_out)
        facts["held_out"] = asdict(held_out)
    return _Material(data.name, root if root.is_dir() else root.parent, data, facts=facts)


def _held_out(data: ReidData, wanted: HoldOut) -> ReidData:
    if len(data.query) or len(data.gallery):
        raise UsageError(
            f"{data.name} has its own query and gallery; nobody is to be held out of it (share, domains, queries, seed)."
        )
    train, query, gallery = hold_out(
        data.train,
        test_share=wanted.test_share,
        test_domains=wanted.test_domains,
        queries=wanted.queries,
        seed=wanted.seed,
    )
    notes = (*data.notes, _held_out_note(wanted)) if len(query) else data.notes
    return replace(data, train=train, query=query, gallery=gallery, notes=notes)


def _held_out_note(wanted: HoldOut) -> str:
    who = (
        f"all of {listing(wanted.test_domains)}"
        if wanted.test_domains
        else "all people"
        if wanted.test_share == 1
        else f"{wanted.test_share:g} of the people, drawn with seed {wanted.seed}"
    )
    return f"no official split: passerby held out {who} for evaluation, with up to {wanted.queries} queries a camera and person"


def _cut_out(root: Path, options: MotOptions, wanted: HoldOut) -> _Material:
    """Plan the crops of all sequences under the names that they will have."""
    records: list[Record] = []
    cuts: dict[Path, Cut] = {}
    left_out: Counter[str] = Counter()
    for number, sequence in enumerate(find_sequences(root)):
        source, crops, dropped = plan_sequence(sequence, options)
        left_out.update(dropped)
        for crop in crops:
            path = root / sequence.name / f"{crop.track:04d}_c{crop.half + 1}_f{crop.frame:06d}.jpg"
            records.append(Record(path, track_pid(number, crop.track), crop.half, sequence.name, crop.frame))
            cuts[path] = Cut(source, crop.frame, crop.corners)
    if not records:
        reasons = listing(f"{count} {reason}" for reason, count in left_out.items())
        raise DataError(f'no box in "{shown(root)}" becomes a crop: {reasons}. Loosen the limits (passerby data prepare --help).')
    everything = ReidData("mot", train=Split(tuple(sorted(records, key=lambda record: record.path))), notes=(HALVES_NOTE,))
    facts = {
        "mot": asdict(options),
        "held_out": asdict(wanted),
        "left_out": dict(left_out),
        "sequences": _named(find_sequences(root)),
    }
    return _Material("mot", root, _held_out(everything, wanted), cuts, dict(left_out), facts)


def _named(sequences: list[MotSequence]) -> list[str]:
    return [sequence.name for sequence in sequences]


def _check_options(material: _Material, out: Path, to: str, files: Files) -> None:
    if files == "refer" and to != "manifest":
        raise UsageError("--files refer needs --to manifest: the layout of Market-1501 is made of files.")
    if material.cuts and files != "copy":
        raise UsageError(f"--files {files} does not go with MOT sources: crops are new files.")
    if out.resolve().is_relative_to(material.root.resolve()):
        raise UsageError(f'the new folder "{shown(out)}" lies inside the data set; give one outside of "{shown(material.root)}".')


def _placed(material: _Material, to: str) -> tuple[list[Placed], tuple[str, ...]]:
    if to == "market":
        return place_as_market(material.data)
    return place_as_manifest(material.data, material.root), ()


def _fingerprint(material: _Material, placed: list[Placed], to: str, files: Files) -> str:
    """Equal for equal work: what is written, from where, under which numbers."""
    digest = hashlib.sha256(json.dumps([material.dataset, to, files, material.data.notes]).encode())
    for image in placed:
        record, cut = image.record, material.cuts.get(image.record.path)
        origin = [shown(record.path.absolute()), cut and [shown(cut.source.path.absolute()), cut.frame, cut.corners]]
        row = [image.subset, image.target, record.pid, record.camid, record.frame, record.domain, origin]
        digest.update(json.dumps(row, ensure_ascii=True).encode())
    return digest.hexdigest()


def _claim(out: Path, card: Card) -> None:
    """Take an empty or new folder, or one that the same call has begun."""
    if out.exists() and not out.is_dir():
        raise DataError(f'"{shown(out)}" is a file; give a new folder.')
    if out.is_dir():
        inside = sorted(path.name for path in out.iterdir())
        if inside:
            earlier = read_card(out)
            if earlier is None or not earlier.plan:
                names = listing((f'"{shown(name)}"' for name in inside), 3)
                raise DataError(f'"{shown(out)}" is not empty ({names}) and was not made by this command. Give a new folder.')
            if earlier.plan != card.plan:
                raise DataError(
                    f'"{shown(out)}" was prepared from another source or with other options. Give a new folder, or delete it.'
                )
            return
    out.mkdir(parents=True, exist_ok=True)
    write_card(out, card)


def _write_table(placed: list[Placed], out: Path, files: Files) -> None:
    splits: dict[str, list[Record]] = {}
    where: dict[Record, str] = {}
    for image in placed:
        splits.setdefault(image.subset, []).append(image.record)
        where[image.record] = str(image.record.path.absolute()) if files == "refer" else image.target
    write_manifest(out / MANIFEST_NAMES[0], {name: Split(tuple(records)) for name, records in splits.items()}, where.__getitem__)

"""What a reader is: a `Layout` that knows its names, its folders and its counts, and turns a folder into a `Scan`.

What does not fit becomes a `Fault`: reading raises the first one, checking reports all of them. A scan itself raises only where
nothing at all can be read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from passerby.datasets.walking import absent, command, image_files, shown, subfolders
from passerby.errors import listing
from passerby.records import LARGEST_NUMBER, Record, ReidData, Split

__all__ = [
    "Counts",
    "Fault",
    "Layout",
    "NameRule",
    "Scan",
    "absent_fault",
    "duplicate_paths",
    "folders_named",
    "missing_folders",
    "parse_folder",
    "parse_names",
    "persons",
    "reid_data",
]


@dataclass(frozen=True)
class Counts:
    """What a subset of a public data set holds; None where no reliable figure is known.

    Attributes:
        images: all image files, junk and distractors included.
        ids: persons, junk (-1) and distractors (0) not counted.
        cameras: cameras that occur.
    """

    images: int
    ids: int | None = None
    cameras: int | None = None


@dataclass(frozen=True)
class Fault:
    """Something in a folder that its layout does not promise.

    Attributes:
        kind: what is wrong, in two or three words with hyphens.
        text: the whole one-line message.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Scan:
    """What a folder holds, with everything that is wrong about it."""

    data: ReidData
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Layout:
    """One data set, or one variant of it, as it lies on a disk.

    Attributes:
        name: canonical name, used on disk and on the command line.
        title: the name as people write it.
        aliases: other names that the field uses; case, ``-``, ``_`` and ``.`` do not count.
        folders: the usual names of its folder, compared without case.
        needs: what the folder must hold, as a part of a sentence.
        source: who gives it out, as a sentence; empty for layouts of one's own data.
        scan: reads the folder.
        recognise: whether a folder has this layout; looks at few names only.
        typical: a stricter `recognise`, asked when nobody said which data set it is; None where `recognise` is sure enough.
        expected: counts by subset, for a data set that has one public form.
        causes: (subset, number of images) of known altered copies, with what was done to them.
        harmless: those keys of `causes` that leave every evaluation number as it is.
    """

    name: str
    title: str
    aliases: tuple[str, ...]
    folders: tuple[str, ...]
    needs: str
    source: str
    scan: Callable[[Path], Scan]
    recognise: Callable[[Path], bool]
    typical: Callable[[Path], bool] | None = None
    expected: Mapping[str, Counts] = field(default_factory=dict)
    causes: Mapping[tuple[str, int], str] = field(default_factory=dict)
    harmless: frozenset[tuple[str, int]] = frozenset()

    def where_from(self) -> str:
        """What to get, from whom, and where to put it."""
        source = f" {self.source}" if self.source else ""
        usual = f", or one that holds it as {self.folders[0]}," if self.folders else ""
        return (
            f"{self.title} is read from a folder with {self.needs}.{source} Give that folder{usual} with --data or PASSERBY_DATA."
        )


@dataclass(frozen=True)
class NameRule:
    """How a data set writes person, camera and frame into the name of an image.

    Attributes:
        title: the data set, as people write it.
        pattern: matched from the start of the file name; groups ``pid``, ``cam`` and, where there is one, ``frame``.
        example: a name that fits.
        cameras: cameras are numbered 1 to this; None where any number from 1 is allowed.
    """

    title: str
    pattern: re.Pattern[str]
    example: str
    cameras: int | None

    def numbers(self, name: str) -> tuple[int, int, int | None] | None:
        """Person, camera as the name counts it, and frame; None where the name does not fit or a number is no 64-bit one."""
        match = self.pattern.match(name)
        if match is None or max(int(match["pid"]), int(match["cam"])) > LARGEST_NUMBER:
            return None
        frame = match.groupdict().get("frame")
        return int(match["pid"]), int(match["cam"]), None if frame is None else int(frame)

    def fits(self, *folders: Path, sample: int = 40) -> bool:
        """Whether most of a few image names of each folder, taken together, fit."""
        names = [path.name for folder in folders for path in image_files(folder, sample)]
        return 2 * sum(self.pattern.match(name) is not None for name in names) > len(names)


def missing_folders(root: Path, needed: Sequence[str], title: str) -> list[Fault]:
    """A fault that names those of the `needed` folders which hold no image; it says what is there instead."""
    missing = [folder for folder in needed if not image_files(root / folder, 1)]
    if not missing:
        return []
    there = listing(f'"{shown(folder.name)}"' for folder in subfolders(root)) or "no folder"
    text = (
        f'no images in {listing(missing)} of "{shown(root)}", which has {there}: {title} has {listing(needed)}. '
        "Unpack it again, or give the folder that holds these."
    )
    return [Fault("missing-folders", text)]


def parse_folder(folder: Path, rule: NameRule, domain: str) -> tuple[list[Record], list[Fault]]:
    """Read the images directly in `folder`, by their names."""
    return parse_names(image_files(folder), rule, domain, folder)


def parse_names(paths: Sequence[Path], rule: NameRule, domain: str, folder: Path) -> tuple[list[Record], list[Fault]]:
    """Turn image paths into records; names that do not fit and cameras out of range become one fault each."""
    records, misnamed, foreign = [], [], []
    for path in paths:
        numbers = rule.numbers(path.name)
        if numbers is None:
            misnamed.append(path.name)
            continue
        pid, camera, frame = numbers
        if camera < 1 or (rule.cameras is not None and camera > rule.cameras):
            foreign.append((camera, path.name))
            continue
        records.append(Record(path, pid, camera - 1, domain, frame))
    faults = []
    if misnamed:
        faults.append(Fault("misnamed-files", _misnamed_text(misnamed, len(paths), rule, folder)))
    if foreign:
        faults.append(Fault("unknown-cameras", _foreign_text(foreign, rule, folder)))
    return records, faults


def _misnamed_text(names: Sequence[str], total: int, rule: NameRule, folder: Path) -> str:
    quoted = listing(f'"{shown(name)}"' for name in names)
    many = f" ({len(names)} of {total:,} images)" if len(names) > 1 else ""
    return (
        f'misnamed in "{shown(folder)}": {quoted}{many}: {rule.title} names its images like {rule.example}. '
        f"Is this another data set? Try: {command('data check', folder.parent)}"
    )


def _foreign_text(foreign: Sequence[tuple[int, str]], rule: NameRule, folder: Path) -> str:
    camera, name = foreign[0]
    many = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
    allowed = f"cameras 1-{rule.cameras}" if rule.cameras else "cameras from 1 on"
    return (
        f'camid {camera} in "{shown(name)}"{many}: {rule.title} has {allowed}. '
        f"Is this another data set? Try: {command('data check', folder.parent)}"
    )


def absent_fault(list_name: str, paths: Sequence[Path], root: Path) -> list[Fault]:
    """A fault that names the files which a list promises and the disk does not hold."""
    missing = absent(paths)
    if not missing:
        return []
    names = listing(f'"{shown(os.path.relpath(path, root))}"' for path in missing)
    text = (
        f"{list_name} names {len(missing)} of {len(paths):,} files that are absent: {names}. "
        "Unpack the data set again, or mend the list."
    )
    return [Fault("absent-files", text)]


def duplicate_paths(paths: Sequence[Path], where: str) -> list[Fault]:
    """A fault that names the files which one list or subset holds twice."""
    seen: set[Path] = set()
    twice = [path for path in paths if path in seen or seen.add(path)]
    if not twice:
        return []
    names = listing(f'"{shown(path.name)}"' for path in dict.fromkeys(twice))
    return [Fault("duplicate-paths", f"{where} lists {names} more than once: one image, one record. Remove the repeated rows.")]


def folders_named(parent: Path, names: Sequence[str], depth: int = 2) -> Iterator[Path]:
    """The folders below `parent` whose name is one of `names` without regard to case, down to `depth`, nearest first."""
    wanted = {name.lower() for name in names}
    level = [parent]
    for _ in range(depth):
        level = [child for folder in level for child in subfolders(folder) if child.name.lower() in wanted]
        yield from level


def reid_data(name: str, splits: Mapping[str, Split], notes: tuple[str, ...] = ()) -> ReidData:
    """A data set of the subsets that there are."""
    none = Split()
    return ReidData(
        name,
        train=splits.get("train", none),
        val=splits.get("val", none),
        query=splits.get("query", none),
        gallery=splits.get("gallery", none),
        multi_query=splits.get("multi_query", none),
        notes=notes,
    )


def persons(split: Split) -> set[tuple[str, int]]:
    """The (domain, pid) pairs of real persons: no junk, no distractors."""
    return {(domain, pid) for domain, pid in split.identities if pid > 0}

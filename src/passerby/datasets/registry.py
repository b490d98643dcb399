"""Every data set by name: find it on the disk, read it, or say what lies there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from passerby.datasets.clouds import CLOUDS, CUHK03_3D, DUKEMTMC_3D, MARKET1501_3D, MSMT17_3D, STREET_3D
from passerby.datasets.counts import count_notes
from passerby.datasets.cuhk02 import CUHK02
from passerby.datasets.cuhk03 import CUHK03_DETECTED, CUHK03_LABELED, CUHK03_NP_DETECTED, CUHK03_NP_LABELED
from passerby.datasets.cuhk_sysu import CUHK_SYSU
from passerby.datasets.dukemtmc import DUKEMTMC
from passerby.datasets.folder import FOLDER
from passerby.datasets.grid import GRID
from passerby.datasets.ilids import ILIDS
from passerby.datasets.layouts import Fault, Layout, Scan, folders_named
from passerby.datasets.manifest import MANIFEST
from passerby.datasets.market1501 import MARKET1501, MARKET1501_500K
from passerby.datasets.market_style import MARKET_STYLE
from passerby.datasets.modelnet import MODELNET40
from passerby.datasets.mot import MOT
from passerby.datasets.msmt17 import MSMT17, MSMT17_TRAINVAL, MSMT17_V2, MSMT17_V2_TRAINVAL
from passerby.datasets.prepared import DATASET_FILE, Card, read_card
from passerby.datasets.prid2011 import PRID2011
from passerby.datasets.street import STREET
from passerby.datasets.veri import VERI776
from passerby.datasets.viper import VIPER
from passerby.datasets.walking import image_files, shown, subfolders
from passerby.datasets.whole import CUHK03_ALL_DETECTED, CUHK03_ALL_LABELED, DUKEMTMC_ALL, MARKET1501_ALL, MSMT17_ALL
from passerby.errors import DataError, UsageError, listing, nearest
from passerby.records import ReidData, Split

__all__ = [
    "DATASETS",
    "DATA_VARIABLE",
    "data_folder",
    "detect",
    "find_root",
    "joined",
    "locate",
    "read",
    "read_parts",
    "resolve",
    "scan_root",
]

DATA_VARIABLE = "PASSERBY_DATA"

# In the order in which a folder is asked what it is: the sure signs first, the layouts that could be anything last.
DATASETS: dict[str, Layout] = {
    "msmt17": MSMT17,
    "msmt17-trainval": MSMT17_TRAINVAL,
    "msmt17-v2": MSMT17_V2,
    "msmt17-v2-trainval": MSMT17_V2_TRAINVAL,
    "cuhk03-np-detected": CUHK03_NP_DETECTED,
    "cuhk03-np-labeled": CUHK03_NP_LABELED,
    "cuhk03-classic-detected": CUHK03_DETECTED,
    "cuhk03-classic-labeled": CUHK03_LABELED,
    "cuhk02": CUHK02,
    "cuhk-sysu": CUHK_SYSU,
    "grid": GRID,
    "prid2011": PRID2011,
    "ilids": ILIDS,
    "viper": VIPER,
    "veri776": VERI776,
    "street": STREET,
    "street-3d": STREET_3D,
    "market1501-3d": MARKET1501_3D,
    "dukemtmc-3d": DUKEMTMC_3D,
    "cuhk03-np-3d": CUHK03_3D,
    "msmt17-3d": MSMT17_3D,
    "clouds": CLOUDS,
    "modelnet40": MODELNET40,
    "market1501": MARKET1501,
    "market1501-500k": MARKET1501_500K,
    "dukemtmc": DUKEMTMC,
    "market1501-all": MARKET1501_ALL,
    "dukemtmc-all": DUKEMTMC_ALL,
    "msmt17-all": MSMT17_ALL,
    "cuhk03-all-detected": CUHK03_ALL_DETECTED,
    "cuhk03-all-labeled": CUHK03_ALL_LABELED,
    "market-style": MARKET_STYLE,
    "manifest": MANIFEST,
    "mot": MOT,
    "folder": FOLDER,
}


def _plain(name: str) -> str:
    return re.sub(r"[-_. ]", "", name).lower()


_BY_ALIAS = {_plain(alias): name for name, layout in DATASETS.items() for alias in (name, *layout.aliases)}


def resolve(name: str) -> str:
    """The canonical name of a data set, from any name the field has for it.

    >>> resolve("M"), resolve("MSMT17_V1"), resolve("cuhk03")
    ('market1501', 'msmt17', 'cuhk03-np-detected')
    >>> resolve("M+C2")
    'cuhk02+market1501'

    Raises:
        UsageError: nobody calls a data set so.
    """
    if "+" in name:
        return "+".join(sorted({resolve(part) for part in name.split("+")}))
    if _plain(name) not in _BY_ALIAS:
        raise UsageError(f'no data set "{name}". {nearest(name, DATASETS)}')
    return _BY_ALIAS[_plain(name)]


def data_folder(given: str | os.PathLike[str] | None) -> Path:
    """The folder that a call names, or else the one that `PASSERBY_DATA` names.

    Raises:
        UsageError: neither does.
        DataError: it does not exist.
    """
    place = given or os.environ.get(DATA_VARIABLE)
    if not place:
        raise UsageError(f"no data folder: give one with --data DIR, or set {DATA_VARIABLE}.")
    path = Path(place)
    if not path.exists():
        raise DataError(f'"{shown(path)}" does not exist.')
    return path


def find_root(layout: Layout, given: str | os.PathLike[str] | None) -> Path:
    """The folder of a data set: the given one, or one of its usual names in it.

    Raises:
        UsageError: no folder is given.
        DataError: it is not there; the message says what is, what to get, from whom, and where to put it.
    """
    try:
        path = data_folder(given)
    except DataError as error:
        raise DataError(f"{error} {layout.where_from()}") from None
    for folder in (path, *folders_named(path, layout.folders)):
        if _is_prepared(folder, layout.name) or layout.recognise(folder):
            return folder
    raise DataError(f"{_instead(path, layout)} {layout.where_from()}")


def _is_prepared(folder: Path, name: str) -> bool:
    card = read_card(folder)
    return card is not None and card.dataset == name


def _instead(path: Path, layout: Layout) -> str:
    """What is at `path`, which is not the data set that was asked for."""
    if path.is_dir() and not any(path.iterdir()):
        return f'"{shown(path)}" is empty.'
    other = identify(path)
    if other is None:
        return f'"{shown(path)}" holds no {layout.title}.'
    return f'"{shown(path)}" holds {other.title}, not {layout.title}; its name here is "{other.name}".'


def part_of(text: str, given: str | os.PathLike[str] | None) -> tuple[str, Path | None]:
    """The name and the folder that `read` takes, from ``NAME`` or ``NAME:PART``: a data set, or one folder of it that is one too.

    Args:
        text: as in ``market1501`` or ``street:campus``, one town of the street.
        given: folder of the whole data set or one that holds it; also the part's own.

    Raises:
        UsageError: an unknown name, or a part that is not there.
        DataError: the data set is not there.
    """
    name, _, part = text.partition(":")
    layout = DATASETS[resolve(name)]
    if not part:
        return layout.name, None if given is None else Path(given)
    root = find_root(layout, given)
    parts = {folder.name: folder for folder in subfolders(root) if layout.recognise(folder)} or {root.name: root}
    if part not in parts:
        raise UsageError(f'{layout.name} in "{shown(root)}" has no part "{part}". {nearest(part, parts)}')
    return layout.name, parts[part]


def identify(path: Path) -> Layout | None:
    """The layout of a folder, or None."""
    card = read_card(path)
    if card is not None:
        return DATASETS.get(card.dataset) or DATASETS.get(card.layout)
    return next((layout for layout in DATASETS.values() if (layout.typical or layout.recognise)(path)), None)


def locate(given: str | os.PathLike[str] | None) -> tuple[Layout, Path]:
    """What data set lies at a path, and its own folder: the path, or the one folder in it that has a data set's usual name.

    Raises:
        UsageError: no folder is given.
        DataError: nothing, or more than one.
    """
    path = data_folder(given)
    layout = identify(path)
    if layout is not None:
        return layout, path
    found = list(_inside(path))
    if len(found) == 1:
        return found[0]
    if found:
        several = listing(f'{layout.name} in "{shown(folder.name)}"' for layout, folder in found)
        raise DataError(f'"{shown(path)}" holds several data sets: {several}. Give the folder of one of them.')
    raise DataError(f"{_nothing(path)} Known are: {listing(DATASETS, 40)}.")


def _inside(path: Path) -> Iterator[tuple[Layout, Path]]:
    usual = {name.lower() for layout in DATASETS.values() for name in layout.folders}
    for folder in subfolders(path):
        if folder.name.lower() in usual or (folder / DATASET_FILE).is_file():
            for candidate in (folder, *subfolders(folder)):
                layout = identify(candidate)
                if layout is not None:
                    yield layout, candidate
                    break


def _nothing(path: Path) -> str:
    if path.is_file():
        return f'"{shown(path)}" is a file that no reader knows.'
    if not any(path.iterdir()):
        return f'"{shown(path)}" is empty.'
    if image_files(path, 1):
        return f'"{shown(path)}" holds images but no layout. If it is one subset of a data set, give the folder above it.'
    inside = listing((f'"{shown(folder.name)}"' for folder in subfolders(path)), 3)
    return f'"{shown(path)}" holds no data set that passerby knows ({f"folders {inside}" if inside else "no folders"}).'


def detect(path: str | os.PathLike[str]) -> str:
    """The canonical name of the data set at a path. See `locate`."""
    return locate(path)[0].name


def scan_root(layout: Layout, root: Path) -> Scan:
    """Read a folder without raising on what does not fit; a prepared folder is read as its `dataset.json` says."""
    card = read_card(root)
    if card is None:
        return layout.scan(root)
    if not card.complete:
        return Scan(ReidData(card.dataset), (_unfinished(root),))
    scan = _scan_prepared(layout, card, root)
    data = replace(scan.data, name=card.dataset, notes=(*scan.data.notes, *card.notes))
    return Scan(data, scan.faults)


def _scan_prepared(layout: Layout, card: Card, root: Path) -> Scan:
    if card.dataset != layout.name:
        return layout.scan(root)
    if card.layout not in DATASETS:
        raise DataError(
            f'"{shown(root / DATASET_FILE)}" names the layout "{shown(card.layout)}". {nearest(card.layout, DATASETS)}'
        )
    return DATASETS[card.layout].scan(root)


def _unfinished(root: Path) -> Fault:
    text = f'"{shown(root)}" is unfinished: its preparation was stopped. Give the same command again; it goes on from there.'
    return Fault("unfinished", text)


def read_parts(text: str, given: str | os.PathLike[str] | None) -> ReidData:
    """What a call names: a data set, a part of one as ``NAME:PART`` (see `part_of`), or several with ``+`` between them.

    Raises:
        UsageError, DataError: see `part_of`, `read` and `joined`.
    """
    pieces = sorted(set(text.split("+")))
    parts = []
    for piece in pieces:
        data = read(*part_of(piece, given))
        parts.append(replace(data, name=":".join([data.name, *piece.split(":")[1:]])))
    return parts[0] if len(parts) == 1 else joined(parts)


def joined(parts: Sequence[ReidData]) -> ReidData:
    """Several data sets as one to train on, each a domain of its own; none of their queries and galleries is kept.

    Raises:
        DataError: one of them has no training images, or two have the same domain.
    """
    empty = [part.name for part in parts if not len(part.train)]
    if empty:
        raise DataError(f"{listing(empty)} has no training images, so there is nothing of it to train on. Leave it out.")
    domains = [domain for part in parts for domain in sorted({record.domain for record in part.train})]
    twice = sorted({domain for domain in domains if domains.count(domain) > 1})
    if twice:
        raise DataError(
            f"{listing(twice)} stands in two of {listing(part.name for part in parts)}: its people would count twice."
        )
    notes = tuple(note for part in parts for note in part.notes)
    records = tuple(record for part in parts for record in part.train)
    return ReidData("+".join(part.name for part in parts), train=Split(records), notes=notes)


def read(name: str, root: str | os.PathLike[str] | None = None) -> ReidData:
    """Read a data set.

    Args:
        name: any name the field has for it; see `DATASETS` and `resolve`. Several with ``+`` between them are read together, to
            train on.
        root: its folder, or a folder that holds it under one of its usual names; default: the folder in `PASSERBY_DATA`.

    Returns:
        The data set; where its counts are not those of the public release, `notes` says so, with the likely cause.

    Raises:
        UsageError: an unknown name, or no folder given.
        DataError: it is not there, or something in it does not fit; `passerby data check` lists everything.
    """
    if "+" in name:
        return read_parts(resolve(name), root)
    layout = DATASETS[resolve(name)]
    folder = find_root(layout, root)
    scan = scan_root(layout, folder)
    if scan.faults:
        first, *further = scan.faults
        raise DataError(first.text + (f" ({len(further)} more faults: passerby data check lists them)" if further else ""))
    return replace(scan.data, notes=(*scan.data.notes, *count_notes(layout, scan.data)))

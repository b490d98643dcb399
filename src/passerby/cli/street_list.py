"""`passerby street list`: towns, the cameras of one town, or the people of a rendered folder."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from passerby.errors import DataError, UsageError
from passerby.files import write_json

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """List towns; with --town its cameras; with --folder the people of a rendered folder."""

    town: str = ""
    """List this town's cameras and the walking times between them."""
    folder: Path | None = None
    """List the people of this rendered folder: how they look, in how many crops and cameras they are."""
    json: Path | None = None
    """Write the list to this file."""


def run(options: Options) -> None:
    """Print one table."""
    if options.town and options.folder:
        raise UsageError("--town and --folder were both given: list one thing at a time.")
    if options.folder is not None:
        found: Any = _people(options.folder)
    elif options.town:
        found = _cameras(options.town)
    else:
        found = _towns()
    _show(found)
    if options.json is not None:
        write_json(options.json, found)


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_", " "))
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def _towns() -> list[dict[str, Any]]:
    from passerby.street.towns import TOWNS

    return [
        {"town": name, "cameras": style.cameras, "places": style.places, "wardrobe": style.wardrobe, "what": style.title}
        for name, style in TOWNS.items()
    ]


def _cameras(name: str) -> list[dict[str, Any]]:
    from passerby.street.towns import make_town

    town = make_town(name)
    rows = []
    for camera in town.cameras:
        row = asdict(camera)
        response = row["response"]
        rows.append(
            {
                "camera": camera.camid + 1,
                "place": camera.place,
                "frame": f"{camera.width}x{camera.height}",
                "height_m": camera.height_m,
                "tilt_deg": camera.tilt_deg,
                "focal_px": camera.focal_px,
                "cast": " ".join(f"{part:.2f}" for part in response["cast"]),
                "exposure": response["exposure"],
                "blur_px": response["blur_px"],
                "noise": response["noise"],
                "jpeg": response["quality"],
                "walk_s_from_1": round(town.walking_s(town.cameras[0].place, camera.place)),
            }
        )
    return rows


def _people(folder: Path) -> list[dict[str, Any]]:
    from passerby.street.folder import PEOPLE, read_manifest

    crops = read_manifest(folder)
    path = folder / PEOPLE
    try:
        records = json_module.loads(path.read_text(encoding="utf-8"))
        rows = []
        for pid, record in sorted(records.items(), key=lambda item: int(item[0])):
            mine = [crop for crop in crops if crop.pid == int(pid)]
            outfit = record["outfit"]
            rows.append(
                {
                    "pid": int(pid),
                    "half": "train" if mine and mine[0].folder == "bounding_box_train" else "test",
                    "crops": len(mine),
                    "cameras": len({crop.camid for crop in mine}),
                    "hair": record["hair"]["style"],
                    **{
                        part: outfit[part]["kind"] if outfit[part] else "-" for part in ("outer", "top", "bottom", "shoes", "bag")
                    },
                }
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f'"{path}" is damaged ({error}). Delete it and run the same `passerby street render` again.') from None
    return rows

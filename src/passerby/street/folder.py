"""The folder of a rendered data set: its header, its manifest, and what may and may not be written into it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from passerby.errors import DataError, UsageError, listing
from passerby.files import write_json, write_text
from passerby.street.plan import Crop, Plan

__all__ = [
    "FORMAT",
    "Order",
    "header",
    "list_hash",
    "manifest_lines",
    "open_folder",
    "read_header",
    "read_manifest",
    "write_lists",
]

FORMAT = "passerby street 1"
HEADER, MANIFEST, PEOPLE = "street.json", "manifest.jsonl", "people.json"
CLOUDS = ("none", "obj", "npz", "both")
_BYTES = {"image": 9_000, "none": 0, "obj": 62, "npz": 13, "both": 75}  # an image; a point of a cloud


@dataclass(frozen=True)
class Order:
    """What is to be rendered.

    Attributes:
        town: a key of `towns.TOWNS`.
        train_ids, test_ids: people in each half.
        views: crops of each person.
        seed: who comes, and when.
        width, height: size of the stored crops, pixels.
        clouds: point clouds: "none", "obj", "npz" or "both".
        cloud_height: rows of the cloud's grid; it has half as many columns.
    """

    town: str
    train_ids: int
    test_ids: int
    views: int
    seed: int
    width: int = 128
    height: int = 256
    clouds: str = "none"
    cloud_height: int = 128

    def __post_init__(self) -> None:
        if self.train_ids < 0 or self.test_ids < 0 or self.train_ids + self.test_ids < 1:
            raise UsageError(f"ids is {self.train_ids} + {self.test_ids}: there must be at least one person to render.")
        if not 2 <= self.views <= 100:
            raise UsageError(f"views is {self.views}: each person needs 2 to 100 crops, seen by at least two cameras.")
        if not (16 <= self.width <= 2048 and 32 <= self.height <= 4096):
            raise UsageError(f"size is {self.width}x{self.height}: crops may have 16x32 to 2048x4096 pixels.")
        if self.clouds not in CLOUDS:
            raise UsageError(f'clouds is "{self.clouds}": allowed are {listing(CLOUDS)}.')
        if not 16 <= self.cloud_height <= 512:
            raise UsageError(f"cloud-height is {self.cloud_height}: a point cloud has 16 to 512 rows of points.")

    @property
    def ids(self) -> int:
        """All people."""
        return self.train_ids + self.test_ids


def manifest_lines(plan: Plan) -> list[str]:
    """One JSON object a crop, keys in a fixed order: equal plans give equal lines."""
    return [json.dumps(asdict(crop), separators=(",", ":")) for crop in plan.crops]


def list_hash(lines: Sequence[str]) -> str:
    """SHA-256 of the manifest: the fingerprint of the list."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def header(order: Order, plan: Plan, renderer: str) -> dict[str, Any]:
    """The content of `street.json`."""
    town = plan.scenes[0].town
    return {
        "format": FORMAT,
        **asdict(order),
        "renderer": renderer,
        "crops": len(plan.crops),
        "list_sha256": list_hash(manifest_lines(plan)),
        "cameras": [asdict(camera) for camera in town.cameras],
    }


def read_header(folder: Path) -> dict[str, Any]:
    """Read `street.json`.

    Raises:
        DataError: it is missing or damaged.
    """
    path = folder / HEADER
    if not path.is_file():
        raise DataError(f'"{folder}" has no {HEADER}: it is not a folder that `passerby street render` made.')
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f'"{path}" is damaged ({error}). Delete the folder and render it again.') from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise DataError(f'"{path}" has format "{found}": this version reads "{FORMAT}". Render the folder again.')
    return content


def read_manifest(folder: Path) -> list[Crop]:
    """Read the list of a rendered folder.

    Raises:
        DataError: a line is damaged, or the list is not the one that the header was written for.
    """
    path = folder / MANIFEST
    expected = read_header(folder)["list_sha256"]
    if not path.is_file():
        raise DataError(f'"{path}" is missing: the run was stopped early. Run the same command again to finish it.')
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if list_hash(lines) != expected:
        raise DataError(
            f'"{path}" is corrupted: its {len(lines)} lines are not the list that {HEADER} was written for. '
            f"Delete {MANIFEST} and run the same `passerby street render` again; finished images are kept."
        )
    return [_crop(json.loads(line)) for line in lines]


def _crop(content: dict[str, Any]) -> Crop:
    return Crop(**{**content, "box": tuple(content["box"]), "others": tuple(content["others"])})


def open_folder(out: Path, order: Order, plan: Plan, renderer: str) -> set[str]:
    """Make sure that `out` may be written, and say what it holds already.

    Returns:
        "folder/name" of the images that are finished.

    Raises:
        DataError: `out` is a file, belongs to something else, holds another town or other settings, cannot be written, or its
            disk is too full.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f'"{out}" is a file: --out takes a folder that is new, empty or from an earlier run.')
    if out.is_dir() and any(out.iterdir()):
        _same_work(out, header(order, plan, renderer))
    _writable(out)
    done = {f"{path.parent.name}/{path.name}" for path in out.glob("*/*.jpg") if not path.name.startswith(".")}
    _room(out, order, len(plan.crops) - len(done))
    return done


def _same_work(out: Path, wanted: dict[str, Any]) -> None:
    if not (out / HEADER).is_file():
        raise DataError(f'"{out}" is not empty and has no {HEADER}: it belongs to something else. Give --out a new folder.')
    found = read_header(out)
    if found.get("town") != wanted["town"]:
        raise DataError(f'"{out}" holds the town "{found.get("town")}", not "{wanted["town"]}". Give --out another folder.')
    asked = [key for key in wanted if key not in ("cameras", "crops", "list_sha256") and found.get(key) != wanted[key]]
    if asked:
        changes = listing(f"{key} {found.get(key)} there, {wanted[key]} asked" for key in asked)
        raise DataError(f'"{out}" was rendered with other settings: {changes}. Use the same ones, or another --out.')
    if found.get("list_sha256") != wanted["list_sha256"]:
        raise DataError(f'"{out}" was rendered by another version of the street. Give --out another folder, or delete this one.')
    if (out / MANIFEST).is_file():
        read_manifest(out)


def _writable(out: Path) -> None:
    probe = out / ".writable"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise DataError(f'"{out}" cannot be written ({error.strerror}). Give --out a folder of your own.') from None


def _room(out: Path, order: Order, missing: int) -> None:
    points = order.cloud_height * (order.cloud_height // 2)
    area = order.width * order.height / (128 * 256)
    needed = missing * int(_BYTES["image"] * max(area, 0.2) + _BYTES[order.clouds] * points)
    free = shutil.disk_usage(out).free
    if free < needed + 20_000_000:
        raise DataError(
            f'"{out}" has {free / 1e6:,.0f} MB of free disk space and {missing:,} crops need about {needed / 1e6 + 20:,.0f} MB. '
            "Make room, or render fewer --ids or --views."
        )


def write_lists(out: Path, order: Order, plan: Plan, renderer: str) -> None:
    """Write header, people and manifest; the header first, so that a run killed here is known again."""
    people = {str(pid): person.to_json() for scene in plan.scenes for pid, person in scene.people.items()}
    write_json(out / HEADER, header(order, plan, renderer))
    write_json(out / PEOPLE, people)
    if not (out / MANIFEST).is_file():
        write_text(out / MANIFEST, "\n".join(manifest_lines(plan)) + "\n")

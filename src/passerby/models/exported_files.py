"""What an exported file says of itself, read without the library that runs it: all three kinds carry the same JSON inside.

ONNX         an entry of the model's ``metadata_props``
OpenVINO     an entry of ``rt_info`` in the ``.xml``; the weights lie in the ``.bin`` beside it
TorchScript  a file of its own in the archive
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

from passerby.errors import ArtefactError, listing

__all__ = ["KEY", "SUFFIXES", "ExportFacts", "exported_files", "is_exported", "read_export"]

KEY = "passerby"
"""Under which name the description lies in a file."""

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".torchscript"}
"""Kind of an export -> ending of its file."""

FORMAT = 1
_METADATA, _BYTES = 14, 2  # of ONNX's ModelProto: the field of named texts; the wire type of everything that has a length


@dataclass(frozen=True)
class ExportFacts:
    """How an exported file is used.

    Attributes:
        to: a key of `SUFFIXES`.
        precision: ``fp32``, ``fp16`` or ``int8``.
        inputs: ``normalised``: (B, 3, H, W) float32 as `normalise` makes them; ``pixels``: (B, H, W, 3) uint8 at the network's
            size; ``points``: (B, N, 6) float32.
        kind: which vector comes out, ``embedding`` or ``feature``.
        dim: D of it.
        parts: vectors of equal length that it consists of; each is made a unit vector for itself.
        interleaved: the parts lie channel by channel (PCB), not one behind the other.
        layers: norm -> channels, where the statistics of cameras are an input, (1 or B, 2 x sum): for each norm in this order its
            means and then its variances.
        camera: whose statistics are inside; empty where none are.
        artefact: the description of the artefact that it was made from.
    """

    to: str
    precision: str
    inputs: str
    kind: str
    dim: int
    parts: int = 1
    interleaved: bool = False
    layers: Mapping[str, int] = field(default_factory=dict)
    camera: str = ""
    artefact: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """As it is written into a file."""
        return json.dumps({"format": FORMAT, **asdict(self)})


def is_exported(path: Path) -> bool:
    """Whether a name is that of an exported file."""
    return path.suffix in SUFFIXES.values()


def exported_files(folder: Path) -> list[Path]:
    """The exported files of a folder, by name."""
    return sorted(file for file in folder.iterdir() if is_exported(file)) if folder.is_dir() else []


def read_export(path: Path) -> ExportFacts:
    """Read what an exported file says of itself.

    Raises:
        ArtefactError: no such file, a damaged one, or one that `passerby export` has not written.
    """
    if not path.is_file():
        raise ArtefactError(f"{path}: no such file. Exported files end in {listing(SUFFIXES.values())}.")
    read = {".onnx": _of_onnx, ".xml": _of_xml}.get(path.suffix, _of_archive)
    try:
        text = read(path)
    except (ValueError, IndexError, KeyError, ElementTree.ParseError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{path} is cut short or no exported network: export it again.") from error
    if text is None:
        raise ArtefactError(
            f"{path} does not say how to use it (size and colours of its input, what comes out): only files that passerby export "
            "wrote can be loaded."
        )
    return _parsed(path, text)


def _parsed(path: Path, text: str) -> ExportFacts:
    try:
        content = json.loads(text)
        if content.pop("format") > FORMAT:
            raise ArtefactError(f"{path} was exported by a newer passerby: update passerby.")
        known = {f.name for f in fields(ExportFacts)}
        found = ExportFacts(**{name: value for name, value in content.items() if name in known})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path} describes itself in a way that this passerby does not understand: {error}.") from error
    if found.to not in SUFFIXES or SUFFIXES[found.to] != path.suffix:
        raise ArtefactError(f"{path} says that it is {found.to}: do not rename exported files to another ending.")
    return found


def _of_onnx(path: Path) -> str | None:
    """Walk over the outermost fields of the file; the graph is skipped, however large it is."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for number, start, length in _fields(file, size):
            if number == _METADATA:
                file.seek(start)
                named = dict(_texts(file.read(length)))
                if named.get(1) == KEY:
                    return named.get(2)
                file.seek(start + length)
    return None


def _fields(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """(field, start, length) of everything with a length in a protobuf message."""
    while file.tell() < size:
        tag = _varint(file)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            _varint(file)
        elif wire == _BYTES:
            length = _varint(file)
            start = file.tell()
            if start + length > size:
                raise ValueError("cut short")
            yield number, start, length
            file.seek(start + length)
        elif wire in (1, 5):
            file.seek(8 if wire == 1 else 4, 1)
        else:
            raise ValueError("no protobuf")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise ValueError("no protobuf")


def _texts(message: bytes) -> Iterator[tuple[int, str]]:
    import io

    file = io.BytesIO(message)
    for number, start, length in _fields(file, len(message)):
        yield number, message[start : start + length].decode()


def _of_xml(path: Path) -> str | None:
    if not path.with_suffix(".bin").is_file():
        raise ArtefactError(f"{path} lacks its weights, {path.with_suffix('.bin').name}: keep both files side by side.")
    node = ElementTree.parse(path).getroot().find(f"./rt_info/{KEY}")
    return None if node is None else node.get("value")


def _of_archive(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        name = next((name for name in archive.namelist() if name.endswith(f"/extra/{KEY}.json")), None)
        return None if name is None else archive.read(name).decode()

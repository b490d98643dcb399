"""Embeddings: vectors with their columns, sliced together, saved and read in the forms that tools of this field write.

A file holds either one set (`Embeddings.save`, `Embeddings.load`) or a query and a gallery side by side (`QueryGallery`).
Its form goes by its suffix: ``.npz`` (NumPy, no pickle), ``.safetensors``, or ``.mat``, the MATLAB 5 file that older
tools exchange (`gallery_f gallery_label gallery_cam query_f query_label query_cam`).
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import ArrayLike

from passerby.errors import EmbeddingsError, UsageError, listing
from passerby.files import replacing

__all__ = ["Embeddings", "QueryGallery", "holds_both", "rounded_form"]

SUFFIXES = (".npz", ".safetensors", ".mat")
_COLUMNS = ("vectors", "pids", "camids", "names")
_MAT_FIELDS = {"query": "query", "gallery": "gallery", "multi_query": "mquery"}  # prefix of _f, _label, _cam
_MAT_SINGLE = {"vectors": "feat", "pids": "ids", "camids": "cam_ids", "names": "img_path"}  # one set a file, as one tool writes
_MAT_LIMIT_BYTES = 2**32 - 1024
BLOCK_NUMBERS = 2**17  # of vectors, looked at together; as float64 they stay in a processor's cache


@dataclass(frozen=True, eq=False, init=False)
class Embeddings:
    """N images as vectors, with what is known of each. Checked here, once; whatever takes an `Embeddings` can rely on it.

    Columns may be given as arrays, tensors (of any device and float type) or lists; they are kept as below.

    Attributes:
        vectors: (N, D) float32, finite.
        pids: (N,) int64, -1 junk or unknown, 0 distractor where the data set has them.
        camids: (N,) int64, one number a camera.
        names: (N,) str, what the image is called: its path inside the data set. Left out: N empty names.
        meta: JSON-able facts about the whole: model, data set, subset; under "notes" a list of sentences that must stand
            beside every number made from these vectors.

    Raises:
        EmbeddingsError: columns of unequal length, vectors that are not (N, D) or not finite, numbers that are not whole.

    Example:
        >>> people = Embeddings([[1.0, 0.0], [0.0, 2.0]], pids=[4, 7], camids=[0, 1])
        >>> len(people), people.dim, people[people.pids == 7].camids.tolist()
        (2, 2, [1])
    """

    vectors: np.ndarray
    pids: np.ndarray
    camids: np.ndarray
    names: np.ndarray
    meta: Mapping[str, Any]

    def __init__(
        self, vectors: ArrayLike, pids: ArrayLike, camids: ArrayLike, names: ArrayLike | None = None, meta: Mapping[str, Any] = {}
    ) -> None:
        checked = _vectors(vectors)
        called = np.zeros(len(checked), dtype="U1") if names is None else np.asarray(names)
        self._set(checked, _whole_numbers(pids, "pids"), _whole_numbers(camids, "camids"), called.astype(str, copy=False), meta)
        for name in _COLUMNS[1:]:
            shape = getattr(self, name).shape
            if shape != (len(checked),):
                raise EmbeddingsError(f"{name} of shape {shape} beside {len(checked)} vectors: columns hold one entry a vector.")

    def _set(self, vectors: np.ndarray, pids: np.ndarray, camids: np.ndarray, names: np.ndarray, meta: Mapping[str, Any]) -> None:
        for name, value in zip((*_COLUMNS, "meta"), (vectors, pids, camids, names, dict(meta)), strict=True):
            object.__setattr__(self, name, value)

    @classmethod
    def _of_checked(cls, columns: Sequence[np.ndarray], meta: Mapping[str, Any]) -> Embeddings:
        made = object.__new__(cls)
        vectors, pids, camids, names = columns
        made._set(vectors, pids, camids, names, meta)
        return made

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        """D, the number of dimensions of a vector."""
        return self.vectors.shape[1]

    @property
    def notes(self) -> tuple[str, ...]:
        """The sentences that must stand beside every number made from these vectors."""
        return tuple(self.meta.get("notes", ()))

    def __repr__(self) -> str:
        return f"Embeddings({len(self)} x {self.dim}, {len(np.unique(self.pids))} pids, {len(np.unique(self.camids))} cameras)"

    def __getitem__(self, rows: Any) -> Embeddings:
        """The chosen rows, all columns together. `rows` is a slice, a mask, an array of positions, or one position."""
        if isinstance(rows, (int, np.integer)):
            rows = [rows]
        elif not isinstance(rows, slice):
            rows = np.asarray(rows) if len(rows) else np.zeros(0, dtype=np.intp)
        return Embeddings._of_checked([getattr(self, name)[rows] for name in _COLUMNS], self.meta)

    @staticmethod
    def concatenate(parts: Iterable[Embeddings]) -> Embeddings:
        """The rows of all `parts`, in order. Of `meta` stays what all agree on, and every note.

        Raises:
            EmbeddingsError: no part, or vectors of different dimensions.
        """
        given = list(parts)
        dims = sorted({part.dim for part in given})
        if len(dims) != 1:
            raise EmbeddingsError(f"{len(given)} sets of dimensions {dims}: to be joined, sets need one common dimension.")
        first = given[0].meta
        meta = {key: value for key, value in first.items() if all(part.meta.get(key) == value for part in given)}
        notes = list(dict.fromkeys(note for part in given for note in part.notes))
        if notes:
            meta["notes"] = notes
        columns = [np.concatenate([getattr(part, name) for part in given]) for name in _COLUMNS]
        return Embeddings._of_checked(columns, meta)

    def with_vectors(self, vectors: Any) -> Embeddings:
        """The same images with other vectors, for instance after a change of basis."""
        return Embeddings(vectors, self.pids, self.camids, self.names, self.meta)

    def lengths(self) -> np.ndarray:
        """(N,) float64 Euclidean lengths, computed in blocks so that no copy of the vectors is made."""
        found = np.empty(len(self))
        for rows in _row_blocks(self.vectors):
            block = self.vectors[rows].astype(np.float64)
            found[rows] = np.sqrt(np.einsum("nd,nd->n", block, block))
        return found

    def unit_lengths(self, what: str = "vectors") -> np.ndarray:
        """`lengths`, after making sure that a cosine exists for every row.

        Raises:
            EmbeddingsError: a vector of length zero, which has no direction.
        """
        found = self.lengths()
        zero = np.flatnonzero(found < 1e-30)
        if len(zero):
            raise EmbeddingsError(
                f"{len(zero)} of {len(self)} {what} are zero ({listing(self.label(row) for row in zero)}): the cosine of a zero "
                "vector is undefined. Take these rows out, or look why the model gives them nothing."
            )
        return found

    def label(self, row: int | np.integer) -> str:
        """What to call row `row` in a message: its name, or its number where it has none."""
        return str(self.names[row]) or f"row {row}"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one set as ``.npz`` or ``.safetensors``, whole or not at all.

        Raises:
            UsageError: another suffix.
            EmbeddingsError: `meta` holds something that JSON cannot say.
        """
        if Path(path).suffix == ".mat":
            raise UsageError(f"{path}: a .mat file of this field holds a query and a gallery; write it with QueryGallery.save.")
        _write(path, _packed("", self))

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Embeddings:
        """Read one set from ``.npz``, ``.safetensors`` or a ``.mat`` with `feat ids cam_ids`.

        Raises:
            UsageError: another suffix.
            EmbeddingsError: the file is damaged, or holds something else.
        """
        held = _read(path)
        if any(name.startswith(("query/", "gallery/")) for name in held) or "query_f" in held:
            raise EmbeddingsError(
                f"{path} holds a query and a gallery, one set was asked for: give it alone (QueryGallery.load)."
            )
        if Path(path).suffix == ".mat":
            return _from_mat(path, held, _MAT_SINGLE)
        return _unpacked("", path, held)


@dataclass(frozen=True)
class QueryGallery:
    """What is searched for, where it is searched, and further images of each query's person and camera where there are any."""

    query: Embeddings
    gallery: Embeddings
    multi_query: Embeddings | None = None

    def _sets(self) -> dict[str, Embeddings]:
        sets = {"query": self.query, "gallery": self.gallery, "multi_query": self.multi_query}
        return {name: part for name, part in sets.items() if part is not None}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write both sets into one ``.npz``, ``.safetensors`` or ``.mat``, whole or not at all. A ``.mat`` has no names or meta.

        Raises:
            UsageError: another suffix.
            EmbeddingsError: `meta` is no JSON, or vectors are over the 4 GiB that a variable of a ``.mat`` may have.
        """
        if Path(path).suffix == ".mat":
            _write_mat(path, self._sets())
        else:
            _write(path, {key: value for name, part in self._sets().items() for key, value in _packed(f"{name}/", part).items()})

    @staticmethod
    def load(path: str | os.PathLike[str]) -> QueryGallery:
        """Read both sets from one file.

        Raises:
            UsageError: another suffix.
            EmbeddingsError: the file is damaged, or lacks a query or a gallery.
        """
        held = _read(path)
        if "vectors" in held or (_MAT_SINGLE["vectors"] in held and "query_f" not in held):
            raise EmbeddingsError(
                f"{path} holds one set, a query and a gallery were asked for: give both files, query.npz and gallery.npz."
            )
        if Path(path).suffix == ".mat":
            keys = {name: _mat_keys(prefix) for name, prefix in _MAT_FIELDS.items()}
            names = [name for name in keys if name != "multi_query" or keys[name]["vectors"] in held]
            return QueryGallery(**{name: _from_mat(path, held, keys[name]) for name in names})
        names = [name for name in _MAT_FIELDS if name != "multi_query" or f"{name}/vectors" in held]
        return QueryGallery(**{name: _unpacked(f"{name}/", path, held) for name in names})


def _array(values: Any) -> np.ndarray:
    """An array from whatever arrived; a tensor is recognised by its methods, so that torch need not be imported."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()
    return np.asarray(values)


def _row_blocks(vectors: np.ndarray) -> Iterator[slice]:
    size = max(1, BLOCK_NUMBERS // vectors.shape[1])
    return (slice(start, start + size) for start in range(0, len(vectors), size))


def _vectors(values: Any) -> np.ndarray:
    given = _array(values)
    if given.ndim != 2 or given.shape[1] == 0 or given.dtype.kind not in "fiu":
        raise EmbeddingsError(f"vectors of shape {given.shape} and type {given.dtype}: numbers of shape (N, D), D > 0, go here.")
    with np.errstate(over="ignore"):  # what overflows float32 is caught as infinite below
        vectors = np.ascontiguousarray(given, dtype=np.float32)
    bad = [rows.start + row for rows in _row_blocks(vectors) for row in np.flatnonzero(~np.isfinite(vectors[rows]).all(axis=1))]
    if bad:
        raise EmbeddingsError(
            f"{len(bad)} of {len(vectors)} vectors hold NaN or infinity (rows {listing(bad)}): every number must be finite. "
            "Look at the images of these rows, or at a model that diverged."
        )
    return vectors


def _whole_numbers(values: Any, name: str) -> np.ndarray:
    given = _array(values)
    if given.size == 0:
        return given.reshape(-1).astype(np.int64)
    if given.dtype.kind not in "fiu" or (given.dtype.kind == "f" and not (np.mod(given, 1) == 0).all()):
        offenders = given.ravel() if given.dtype.kind not in "f" else given[np.mod(given, 1) != 0]
        raise EmbeddingsError(f"{name} hold {listing(offenders)} (type {given.dtype}): whole numbers are needed.")
    # As whole Python numbers: 2^63 and more are not told apart in float64 and wrap round in int64.
    largest = int(np.iinfo(np.int64).max)
    far = [number for number in (int(given.min()), int(given.max())) if abs(number) > largest]
    if far:
        raise EmbeddingsError(f"{name} hold {listing(dict.fromkeys(far))}: numbers go up to {largest}.")
    return given.astype(np.int64)


def _packed(prefix: str, part: Embeddings) -> dict[str, np.ndarray]:
    """The arrays of one set under names that start with `prefix`. Names go as UTF-8 bytes and ends: no pickle, no padding."""
    try:
        meta = json.dumps(dict(part.meta), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise EmbeddingsError(f"meta cannot be said in JSON ({error}): keep to text, numbers, lists and mappings.") from error
    encoded = [str(name).encode() for name in part.names]
    return {
        f"{prefix}vectors": part.vectors,
        f"{prefix}pids": part.pids,
        f"{prefix}camids": part.camids,
        f"{prefix}names": np.frombuffer(b"".join(encoded), dtype=np.uint8),
        f"{prefix}name_ends": np.cumsum([len(name) for name in encoded], dtype=np.int64),
        f"{prefix}meta": np.frombuffer(meta, dtype=np.uint8),
    }


def _unpacked(prefix: str, path: str | os.PathLike[str], held: Mapping[str, np.ndarray]) -> Embeddings:
    wanted = [prefix + name for name in _COLUMNS[:3]]
    missing = [name for name in wanted if name not in held]
    if missing:
        raise EmbeddingsError(f"{path} lacks {listing(missing)}; it holds {listing(held, 12) or 'nothing'}.")
    vectors, pids, camids = (held[name] for name in wanted)
    names: Any = held.get(prefix + "names")
    if names is not None and names.dtype.kind != "U":  # our own packing; a plain text array is accepted too
        try:
            content, ends = names.tobytes(), held[prefix + "name_ends"].tolist()
            names = np.array([content[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)], dtype=str)
        except (KeyError, ValueError, TypeError) as error:
            raise EmbeddingsError(
                f"{path} has damaged names ({type(error).__name__}). Write it again: passerby embed."
            ) from error
    try:
        meta = json.loads(held[prefix + "meta"].tobytes()) if prefix + "meta" in held else {}
    except ValueError as error:
        raise EmbeddingsError(f"{path} has damaged facts about the model: {error}. Write it again: passerby embed.") from error
    if not isinstance(meta, dict):
        raise EmbeddingsError(
            f"{path} keeps its facts as a {type(meta).__name__}; they are a mapping. Write it again: passerby embed."
        )
    return _named(path, prefix.rstrip("/"), vectors, pids, camids, names, meta)


def _named(path: str | os.PathLike[str], name: str, *columns: Any) -> Embeddings:
    """A set whose faults are told with the file, and with the name of the set where it holds several."""
    try:
        return Embeddings(*columns)
    except EmbeddingsError as error:
        raise EmbeddingsError(f"{path}{f', {name}' if name else ''}: {error}") from error


def _suffix(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise UsageError(f'{path}: embeddings are kept in {", ".join(SUFFIXES)}, not "{suffix}".')
    return suffix


def _write(path: str | os.PathLike[str], arrays: dict[str, np.ndarray]) -> None:
    suffix = _suffix(path)
    with replacing(path) as temporary:
        if suffix == ".safetensors":
            from safetensors.numpy import save_file

            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)
        else:
            np.savez(temporary, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def _read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    suffix = _suffix(path)
    if not Path(path).is_file():
        raise EmbeddingsError(f"{path}: no such file. Embeddings are written by passerby embed.")
    try:
        if suffix == ".npz":
            with Path(path).open("rb") as raw, np.load(raw, allow_pickle=False) as file:  # np.load leaks a damaged file
                return dict(file)
        if suffix == ".safetensors":
            from safetensors.numpy import load_file

            return load_file(path)
        from scipy.io import loadmat

        return {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    except OSError as error:
        raise EmbeddingsError(f"{path} cannot be read: {error.strerror or error}.") from error
    except _damaged() as error:
        raise EmbeddingsError(f"{path} is no readable {suffix} file ({type(error).__name__}: {error}).") from error


def rounded_form(facts: Mapping[str, Any]) -> str:
    """The exported form of lower precision that made the vectors, `onnx int8`; empty where they are those of the network itself.

    Args:
        facts: `Embeddings.meta`, or `Embedder.facts`.
    """
    form = str(facts.get("exported", ""))
    return "" if form.endswith("fp32") else form


def holds_both(path: str | os.PathLike[str]) -> bool:
    """Whether a file keeps a query and a gallery, by the names in it: no vector is read. Not where it cannot be read at all."""
    try:
        names = _names_in(path)
    except (OSError, EmbeddingsError, UsageError, *_damaged()):
        return False
    return any(name.startswith("query/") or name == _mat_keys(_MAT_FIELDS["query"])["vectors"] for name in names)


def _names_in(path: str | os.PathLike[str]) -> list[str]:
    suffix = _suffix(path)
    if suffix == ".npz":
        with ZipFile(path) as file:
            return file.namelist()
    if suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            return list(file.keys())
    from scipy.io import whosmat

    return [name for name, *_ in whosmat(path)]


def _damaged() -> tuple[type[Exception], ...]:
    """What the readers of the three forms raise on a file that is cut short or holds something else."""
    from safetensors import SafetensorError
    from scipy.io.matlab import MatReadError

    of_formats = (BadZipFile, zlib.error, struct.error, SafetensorError, MatReadError)
    return (*of_formats, ValueError, LookupError, TypeError, EOFError, NotImplementedError)


def _mat_keys(prefix: str) -> dict[str, str]:
    return {"vectors": f"{prefix}_f", "pids": f"{prefix}_label", "camids": f"{prefix}_cam"}


def _from_mat(path: str | os.PathLike[str], held: Mapping[str, np.ndarray], keys: Mapping[str, str]) -> Embeddings:
    missing = [keys[name] for name in _COLUMNS[:3] if keys[name] not in held]
    if missing:
        raise EmbeddingsError(f"{path} lacks {listing(missing)}; it holds {listing(held, 12) or 'nothing'}.")
    names = None
    if keys.get("names") in held:
        names = np.array([str(name).rstrip() for name in held[keys["names"]].ravel()], dtype=str)
    return _named(path, keys["vectors"], held[keys["vectors"]], held[keys["pids"]].ravel(), held[keys["camids"]].ravel(), names)


def _write_mat(path: str | os.PathLike[str], sets: Mapping[str, Embeddings]) -> None:
    from scipy.io import savemat

    arrays: dict[str, np.ndarray] = {}
    for name, part in sets.items():
        if part.vectors.nbytes > _MAT_LIMIT_BYTES:
            raise EmbeddingsError(
                f"{path}: the {name} vectors take {part.vectors.nbytes / 2**30:.1f} GiB, a .mat variable at most 4. Write .npz."
            )
        keys = _mat_keys(_MAT_FIELDS[name])
        arrays |= {keys["vectors"]: part.vectors, keys["pids"]: part.pids, keys["camids"]: part.camids}
    with replacing(path) as temporary:
        savemat(temporary, arrays)

"""Codes of faiss beside the gallery, for searches that may miss a result: half a byte for two numbers, scored again in fp32.

A search scans the codes (product quantisation, sixteen values for each pair of numbers, compared in registers; Andre, Kermarrec
and Le Scouarnec, Cache locality is not enough, VLDB 2015), which take a sixteenth of the vectors, and computes the best anew.
That asks nothing of how the vectors lie: a graph (HNSW) takes a hundred times as long to build, needs structure to find its
way, and loses it under a filter.

The file is named by the state of the copy that it was built from. Rows that came later are searched exactly beside it; after an
erasure it is removed. A filter that lets fewer than a tenth of the rows pass is not its business: scanning those exactly is
quicker.
"""

from __future__ import annotations

import math
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from passerby.errors import MissingDependencyError
from passerby.files import replacing
from passerby.gallery.breadth import NEAREST, SAMPLES, noisy, settle
from passerby.gallery.exact import most_similar
from passerby.gallery.mapped import Copy
from passerby.gallery.store import Found

__all__ = ["LEAST_SHARE", "build_index", "index_file", "remove_index", "search_index"]

LEAST_SHARE = 0.1
"""Share of the rows that a filter must let pass for the index to be used."""
_SAMPLE, _LEAST_SAMPLE = 20_000, 640  # faiss warns on the terminal below 39 vectors for each of the 16 values
_BLOCK = 20_000


def _name(path: Path, copy: Copy | None = None) -> str:
    state = "*" if copy is None else f"{copy.state.epoch}-{copy.state.generation}-*"
    return f"{path.name}-codes-{state}"


def index_file(path: Path, copy: Copy) -> Path | None:
    """The index that fits a copy; None where there is none."""
    found = sorted(path.parent.glob(_name(path, copy)), key=lambda file: int(file.name.rsplit("-", 2)[1]))
    return found[-1] if found else None


def remove_index(path: Path) -> None:
    """Remove all index files of a gallery, graphs of earlier versions too: what is erased must stand in none of them."""
    for name in (_name(path), f"{path.name}-hnsw-*"):
        for file in path.parent.glob(name):
            file.unlink(missing_ok=True)


def build_index(path: Path, copy: Copy) -> float:
    """Build the index of a gallery and put it in the place of an older one; the share of the nearest that it finds.

    How many candidates are scored again is found out on rows with noise, as further images of the same people would be.

    Raises:
        MissingDependencyError: faiss is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise MissingDependencyError(
            'an accelerated search needs faiss. Install it with: pip install "passerby[faiss]"; the exact search needs nothing.'
        ) from None
    D = copy.vectors.shape[1]
    # One list that holds everything: unlike the plain form of these codes, lists know filters.
    index = faiss.index_factory(D, f"IVF1,PQ{D // 2 if D % 2 == 0 else D}x4fs", faiss.METRIC_INNER_PRODUCT)
    index.by_residual = False  # pyright: ignore[reportAttributeAccessIssue]
    sample = np.sort(np.random.default_rng(0).permutation(len(copy))[:_SAMPLE])
    index.train(np.resize(copy.vectors[sample], (max(len(sample), _LEAST_SAMPLE), D)))
    for start in range(0, len(copy), _BLOCK):
        index.add(np.ascontiguousarray(copy.vectors[start : start + _BLOCK]))
    breadth, found = _settled(index, copy)
    target = path.with_name(_name(path, copy)[:-1] + f"{len(copy)}-{breadth}")
    with replacing(target) as temporary:
        faiss.write_index(index, str(temporary))
    for file in path.parent.glob(_name(path)):
        if file != target:
            file.unlink(missing_ok=True)
    return found


def _settled(index: Any, copy: Copy) -> tuple[int, float]:
    """How many candidates for `NEAREST` are enough, and how much is found among them."""
    alive = np.flatnonzero(copy.ids > 0)
    if not len(alive):
        return settle([], lambda breadth: [])
    some = np.sort(np.random.default_rng(0).choice(alive, min(SAMPLES, len(alive)), replace=False))
    asked, rows = noisy(copy.vectors[some]), alive if copy.erased else None
    right = most_similar(copy.vectors, rows, asked, NEAREST)
    return settle(right, lambda breadth: _searched(index, breadth, copy, rows, asked, NEAREST))


@lru_cache(maxsize=1)
def _opened(file: str) -> Any:
    import faiss

    return faiss.read_index(file)


def search_index(path: Path, copy: Copy, rows: np.ndarray | None, queries: np.ndarray, k: int) -> list[Found] | None:
    """Positions of rows near each query by the index, and exactly what came after it; None where it is not to be used.

    Args:
        path: of the gallery.
        copy: what is searched.
        rows: positions that may be found; None: all.
        queries: (Q, D).
        k: at most so many each.
    """
    file = index_file(path, copy)
    if file is None or file.name.rsplit("-", 2)[1] == "0" or (rows is not None and len(rows) < LEAST_SHARE * len(copy)):
        return None
    with suppress(ImportError, RuntimeError, OSError):  # no faiss here, or a file that vanished: the exact search remains
        return _searched(_opened(str(file)), int(file.name.rsplit("-", 1)[1]), copy, rows, queries, k)
    return None


def _searched(index: Any, breadth: int, copy: Copy, rows: np.ndarray | None, queries: np.ndarray, k: int) -> list[Found]:
    own = None if rows is None else rows[rows < index.ntotal]
    later = np.arange(index.ntotal, len(copy)) if rows is None else rows[rows >= index.ntotal]
    wanted = math.ceil(breadth * max(1.0, k / NEAREST))
    if wanted < (index.ntotal if own is None else len(own)):
        near = _candidates(index, own, queries, wanted)
    else:
        near = [np.arange(index.ntotal) if own is None else own] * len(queries)
    found = []
    for query, places, late in zip(queries, near, most_similar(copy.vectors, later, queries, k), strict=True):
        candidates = np.sort(np.concatenate([places, late.ids]))
        (best,) = most_similar(copy.vectors, candidates, query[None], k, way="numpy")
        found.append(best)
    return found


def _candidates(index: Any, own: np.ndarray | None, queries: np.ndarray, wanted: int) -> list[np.ndarray]:
    """Rows among `own` (None: all) with the best codes, for each query; faiss may leave out the last ones."""
    import faiss

    settings = faiss.SearchParametersIVF(nprobe=1)  # pyright: ignore
    if own is not None:
        bits = np.zeros(-(-index.ntotal // 8) * 8, np.uint8)
        bits[own] = 1
        allowed = faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))  # pyright: ignore
        settings.sel = allowed
    _, near = index.search(np.ascontiguousarray(queries), wanted, params=settings)
    return [places[places >= 0] for places in near]

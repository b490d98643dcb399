"""An index of faiss beside the gallery, for searches that may miss a result: HNSW over 8-bit vectors, scored again in fp32.

Its file is named by the state of the copy that it was built from. Rows that came later are searched exactly beside it; after an
erasure it is removed. A filter that lets fewer than a tenth of the rows pass is not its business: a graph walk that may keep so
few of what it meets loses its way (measured: recall 0.27 at 1.6 %), and scanning those rows exactly is quick.
"""

from __future__ import annotations

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
_LINKS, _BREADTH_BUILDING = 32, 120
_AGAIN = 3  # times k candidates whose products are computed again in fp32
_BLOCK = 20_000


def _name(path: Path, copy: Copy | None = None) -> str:
    state = "*" if copy is None else f"{copy.state.epoch}-{copy.state.generation}-*"
    return f"{path.name}-hnsw-{state}"


def index_file(path: Path, copy: Copy) -> Path | None:
    """The index that fits a copy; None where there is none."""
    found = sorted(path.parent.glob(_name(path, copy)), key=lambda file: int(file.name.rsplit("-", 2)[1]))
    return found[-1] if found else None


def remove_index(path: Path) -> None:
    """Remove all index files of a gallery."""
    for file in path.parent.glob(_name(path)):
        file.unlink(missing_ok=True)


def build_index(path: Path, copy: Copy) -> float:
    """Build the index of a gallery and put it in the place of an older one; the share of the nearest that it finds.

    How wide a walk is, is found out on rows with noise, as further images of the same people would be.

    Raises:
        MissingDependencyError: faiss is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise MissingDependencyError(
            'an accelerated search needs faiss. Install it with: pip install "passerby[faiss]"; the exact search needs nothing.'
        ) from None
    index = faiss.IndexHNSWSQ(copy.vectors.shape[1], faiss.ScalarQuantizer.QT_8bit, _LINKS, faiss.METRIC_INNER_PRODUCT)  # pyright: ignore
    index.hnsw.efConstruction = _BREADTH_BUILDING
    sample = np.random.default_rng(0).permutation(len(copy))[:_BLOCK]
    if len(copy):
        index.train(np.ascontiguousarray(copy.vectors[np.sort(sample)]))
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
    """The breadth of a walk with which enough is found, and how much that is."""
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
    import faiss

    wanted = min(_AGAIN * k, index.ntotal)
    settings = faiss.SearchParametersHNSW(efSearch=max(breadth, wanted))  # pyright: ignore
    if rows is not None:
        bits = np.zeros(-(-index.ntotal // 8) * 8, np.uint8)
        bits[rows[rows < index.ntotal]] = 1
        allowed = faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))  # pyright: ignore
        settings.sel = allowed
    _, near = index.search(np.ascontiguousarray(queries), wanted, params=settings)
    later = np.arange(index.ntotal, len(copy)) if rows is None else rows[rows >= index.ntotal]
    beyond = most_similar(copy.vectors, later, queries, k)
    found = []
    for query, places, late in zip(queries, near, beyond, strict=True):
        candidates = np.sort(np.concatenate([places[places >= 0], late.ids]))
        (best,) = most_similar(copy.vectors, candidates, query[None], k, way="numpy")
        found.append(best)
    return found

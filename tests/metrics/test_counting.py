"""The counting kernels one by one; `test_retrieval.py` compares them with a reference on thousands of cases."""

import re

import numpy as np
import pytest

from passerby.errors import UsageError
from passerby.metrics import MARKET1501, compiled
from passerby.metrics.counting import Counter, choose_kernel, count_rows_numpy
from passerby.metrics.matches import Columns, match


def ranks(kernel, similar, pessimistic=True, rows=slice(None)):
    """Query: person 1, camera 0. Gallery: persons 1 and 2 before cameras 1 and 2, and person 1 before camera 0."""
    names = np.zeros(8, dtype=str)
    query = Columns(np.array([1, 2]), np.array([0, 1]), names[:2])
    gallery = Columns(np.array([1, 2, 1, 2, 1, 2, 2, 1]), np.array([2, 1, 1, 2, 0, 1, 2, 2]), names)
    counter = Counter(match(query, gallery, MARKET1501), np.ones(8), np.zeros(8), pessimistic, kernel, 2)
    return counter(np.asarray(similar, dtype=np.float64)[rows], rows.start or 0)


SIMILAR = [[9, 8, 7, 6, 5, 4, 8, 1], [9, 8, 7, 6, 5, 4, 3, 2]]


@pytest.mark.parametrize("kernel", ["numba", "numpy"])
def test_hand_worked_ranks(kernel):
    """Query 0: right at 9, 7, 1 (cameras 2, 1, 2); wrong at 8, 8, 6, 4. Query 1: right at 6 and 3 (camera 2); wrong 9, 7, 5."""
    found = ranks(choose_kernel(kernel, 0), SIMILAR)
    assert found.start.tolist() == [0, 3, 5]
    assert found.rank.tolist() == [1, 4, 7, 3, 5]
    assert found.camera.tolist() == [2, 1, 2, 2, 2]
    assert found.camera_hit.tolist() == [1, 1, 2, 1, 2]
    assert found.camera_rank.tolist() == [1, 2, 4, 2, 3]
    assert found.tied.tolist() == [False, False]


@pytest.mark.parametrize("kernel", ["numba", "numpy"])
def test_a_block_from_the_middle_is_ranked_like_the_whole(kernel):
    found = ranks(choose_kernel(kernel, 0), SIMILAR, rows=slice(1, 2))
    assert (found.start.tolist(), found.rank.tolist()) == ([0, 2], [3, 5])


@pytest.mark.parametrize("kernel", ["numba", "numpy"])
def test_ties_within_a_camera_follow_the_rule(kernel):
    tied = [[5, 5, 5, 5, 5, 5, 5, 5]] * 2
    against, for_it = (ranks(choose_kernel(kernel, 0), tied, pessimistic) for pessimistic in (True, False))
    assert against.rank.tolist() == [5, 6, 7, 5, 6]
    assert for_it.rank.tolist() == [1, 2, 3, 1, 2]
    assert sorted(against.camera_rank[:3].tolist()) == [3, 3, 4]
    assert sorted(for_it.camera_rank[:3].tolist()) == [1, 1, 2]
    assert against.tied.all() and for_it.tied.all()


def test_small_work_is_not_compiled():
    assert choose_kernel("auto", 1000) is count_rows_numpy is choose_kernel("numpy", 10**12)
    assert choose_kernel("auto", 10**12) is compiled.count_rows_numba is choose_kernel("numba", 1)
    with pytest.raises(UsageError, match=re.escape('no counting kernel "nunba". Did you mean "numba"?')):
        choose_kernel("nunba", 1)  # type: ignore[arg-type]


def test_without_a_folder_for_its_cache_numba_compiles_all_the_same(monkeypatch):
    from numba import njit

    def without_folder(*, nogil, fastmath, cache=False):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(nogil=nogil, fastmath=fastmath)

    monkeypatch.setattr(compiled, "njit", without_folder)
    assert compiled.machine_code(lambda number: number + 1)(1) == 2

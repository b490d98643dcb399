"""What the machine gives: cores, and threads that work is shared out to."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby import machine
from passerby.machine import available_cores, in_threads


@given(count=st.integers(0, 40), threads=st.integers(1, 6), cores=st.integers(1, 8))
def test_slices_are_even_and_cover_all_items_in_order(count, threads, cores):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "available_cores", lambda: cores)
        slices = in_threads(lambda start, stop: (start, stop), count, threads)
    assert [item for start, stop in slices for item in range(start, stop)] == list(range(count))
    assert len(slices) == max(1, min(count, threads, cores))
    sizes = [stop - start for start, stop in slices]
    assert max(sizes) - min(sizes) <= 1


def test_an_error_comes_out_when_nobody_works_any_more():
    done = []

    def work(start: int, stop: int) -> None:
        if stop == 2:
            raise ValueError("the last slice")
        threading.Event().wait(0.05)
        done.append(start)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "available_cores", lambda: 2)
        with pytest.raises(ValueError, match="the last slice"):
            in_threads(work, 2, 2)
    assert done == [0]


def test_there_is_a_core():
    assert available_cores() >= 1

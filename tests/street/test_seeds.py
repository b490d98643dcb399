import numpy as np

from passerby.street.seeds import number, stream


def test_names_are_frozen():
    """Street-v1 hangs on these two: they may never change."""
    assert number("campus", 1) == 2476377457
    assert stream("campus", 1).randint(1_000_000) == 95648


def test_streams_of_different_names_differ_and_keys_do_not_run_together():
    assert number("a", "bc") != number("ab", "c")
    assert not np.array_equal(stream("a", 1).rand(5), stream("a", 2).rand(5))

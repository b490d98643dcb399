"""Series are told apart in a grey print, and a picture says what it is of."""

import itertools
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from passerby.plots import style


def test_eight_series_differ_in_colour_and_in_line():
    kinds = [style.line_of(number) for number in range(8)]
    for first, second in itertools.combinations(kinds, 2):
        assert first["color"] != second["color"] and first["linestyle"] != second["linestyle"]
    assert style.line_of(8) == style.line_of(0)
    assert len(set(style.HATCHES)) == len(set(style.MARKERS)) == len(style.COLOURS) == 8


def test_maps_grow_evenly_lighter():
    shades = matplotlib.colormaps[style.MAP_COLOURS](np.linspace(0, 1, 50))[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(shades) > 0).all()


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_heads_and_feet_are_written_and_wrapped(tmp_path: Path, suffix: str):
    with style.look():
        figure = Figure(figsize=(3, 2), layout="constrained")
        figure.subplots()
        style.head_and_foot(figure, "what was measured on what, said at length", "a sentence " * 20, "")
        style.save_figure(figure, tmp_path / f"x.{suffix}")
    assert figure.get_suptitle().count("\n") >= 1
    assert all(len(line) <= 53 for line in figure.get_supxlabel().splitlines())

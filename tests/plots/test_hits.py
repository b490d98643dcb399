"""Sheets of search results."""

from pathlib import Path

import pytest
from PIL import Image

from passerby.errors import UsageError
from passerby.gallery import Hit, Sighting
from passerby.plots.hits import plot_hits

CROP = Image.new("RGB", (40, 80), (200, 10, 10))


def hit(number: int, word, note: str | None = None, time: float | None = 1.0) -> Hit:
    row = Sighting(number, f"k{number}", "a camera with a $long$ name_of_its_own", time, None, None, None, "", None, None)
    return Hit(row, 0.5, word, note)


def test_every_ten_hits_make_a_line(tmp_path: Path):
    sizes = []
    for count in (1, 10, 11):
        hits = [
            (hit(n, ("same", "unsure", "different", None)[n % 4], "at b 3 s before" if n else None), CROP) for n in range(count)
        ]
        plot_hits([CROP], hits, tmp_path / "hits.png", dpi=40)
        with Image.open(tmp_path / "hits.png") as picture:
            sizes.append(picture.size)
    assert sizes[0] == sizes[1] and sizes[2][0] == sizes[0][0] and sizes[2][1] > sizes[0][1]


def test_a_hit_without_a_crop_or_time_has_its_place(tmp_path: Path):
    plot_hits([], [(hit(1, None, time=None), None)], tmp_path / "hits.jpg", dpi=40)
    assert (tmp_path / "hits.jpg").stat().st_size > 1000
    with pytest.raises(UsageError, match=r'has the suffix "\.gif"'):
        plot_hits([], [], tmp_path / "hits.gif")

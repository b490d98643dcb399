import numpy as np
import pytest
from PIL import Image

from passerby.errors import DataError, UsageError
from passerby.video import open_film


def numbers(film, *start):
    return [frame.number for frame in film.frames(*start)]


def test_a_film_tells_size_rate_and_frames_in_order(film, films):
    opened = open_film(film)
    assert (opened.size, opened.fps, opened.count) == (films.SIZE, 10.0, 60)
    frames = list(opened.frames())
    assert [frame.number for frame in frames] == list(range(60))
    assert [frame.seconds for frame in frames] == pytest.approx([n / 10 for n in range(60)])
    error = np.abs(frames[20].pixels().astype(int) - films.picture(films.crossing(20)).astype(int))
    assert error.mean() < 4
    assert opened.note() == ""


def test_a_rate_that_is_given_counts_instead_of_the_films_own(film):
    opened = open_film(film, fps=5)
    assert opened.fps == 5 and [frame.seconds for frame in opened.frames()][10] == 2.0


@pytest.mark.parametrize("start", [0, 1, 11, 12, 13, 37, 59])
def test_reading_from_a_mark_gives_the_same_frames(film, start):
    opened = open_film(film)
    whole = list(opened.frames())
    later = list(opened.frames(start, whole[start].mark))
    assert [frame.number for frame in later] == list(range(start, 60))
    assert all(np.array_equal(a.pixels(), b.pixels()) for a, b in zip(later, whole[start:], strict=True))
    assert [frame.seconds for frame in later] == [frame.seconds for frame in whole[start:]]
    assert numbers(opened, start) == list(range(start, 60))  # without a mark it is counted


def test_a_folder_of_pictures_is_a_film_in_the_order_of_its_numbers(tmp_path):
    for number in (1, 2, 10):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(tmp_path / f"frame{number}.png")
    opened = open_film(tmp_path)
    assert (opened.size, opened.fps, opened.count) == ((8, 6), 25.0, 3)
    assert [int(frame.pixels()[0, 0, 0]) for frame in opened.frames()] == [1, 2, 10]
    assert [frame.seconds for frame in open_film(tmp_path, fps=2).frames(1)] == [0.5, 1.0]


def test_damaged_pictures_are_skipped_and_named(tmp_path):
    for number in range(4):
        Image.new("RGB", (8, 6)).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"\x89PNG broken")
    opened = open_film(tmp_path)
    assert numbers(opened) == [0, 1, 3]
    assert opened.note() == f'"{tmp_path}": 1 frame cannot be decoded and was skipped (2)'


def test_a_damaged_film_gives_what_can_be_decoded(film, tmp_path):
    content = bytearray(film.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    (tmp_path / "damaged.mp4").write_bytes(content)
    opened = open_film(tmp_path / "damaged.mp4")
    found = numbers(opened)
    assert 20 <= len(found) < 60 and found == sorted(set(found))
    assert opened.damaged and "cannot be decoded and were skipped" in opened.note()
    assert numbers(open_film(tmp_path / "damaged.mp4")) == found


def test_what_is_no_film_is_said_in_one_line(film, tmp_path):
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(DataError, match=r'text.mp4" is no video that can be read'):
        open_film(tmp_path / "text.mp4")
    Image.new("RGB", (64, 48)).save(tmp_path / "one.jpg")
    (tmp_path / "words.txt").write_text("1,2,3\n" * 50)
    for name in ("one.jpg", "words.txt"):
        with pytest.raises(DataError, match=f'{name}" is (a text or one picture, no film: give|no video that can be read)'):
            open_film(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures and no video"):
        open_film(tmp_path / "empty")
    (tmp_path / "half.mp4").write_bytes(film.read_bytes()[:300])
    with pytest.raises(DataError, match=r"half\.mp4"):
        open_film(tmp_path / "half.mp4")
    with pytest.raises(UsageError, match="fps is 0: pictures a second are above 0 and up to 1000"):
        open_film(film, fps=0)


def test_pictures_of_two_sizes_are_no_film(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "1.png")
    Image.new("RGB", (9, 6)).save(tmp_path / "2.png")
    with pytest.raises(DataError, match=r'2.png" has 9 x 6 pixels, the pictures before it 8 x 6: .*--dataset'):
        numbers(open_film(tmp_path))


def test_a_film_of_which_nothing_can_be_decoded_is_an_error(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "1.png")
    opened = open_film(tmp_path)
    (tmp_path / "1.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(DataError, match="not one of 1 pictures can be decoded"):
        numbers(opened)

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.embeddings import Embeddings
from passerby.errors import DataError, ImageError, UsageError
from passerby.metrics import Convention, evaluate
from passerby.plots import plot_ranking
from passerby.plots import sheet as module


def words(path: Path) -> str:
    return " ".join(re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8")))


def test_the_sheet_says_what_was_measured(tmp_path: Path, query: Embeddings, gallery: Embeddings, images: Path):
    scores = plot_ranking(query, gallery, images, tmp_path / "sheet.svg", each=1, top=4)
    text = words(tmp_path / "sheet.svg")
    for said in (
        "angles on circle",
        "Rank-1 33.3%",
        "mAP 52.8%",
        "3 of 4 queries",
        scores.convention.in_words(),
        "nobody is real",
    ):
        assert said in text
    assert [name for name in ("best", "median", "worst") if f" {name} " in text] == ["best", "median", "worst"]
    assert "AP 83.3%" in text and "first right: 4" in text


def test_right_and_wrong_can_be_told_apart_in_grey(tmp_path: Path, query: Embeddings, gallery: Embeddings, images: Path):
    """By a sign and by the line, not by colour alone."""
    plot_ranking(query, gallery, images, tmp_path / "sheet.svg", names=["0001.png"], top=3)
    text = words(tmp_path / "sheet.svg")
    assert "✓ 1" in text and "✗ 2" in text and "✓ 3" in text
    assert len({str(line) for line in module._LINE.values()}) == 3


def test_junk_is_left_out_or_marked(tmp_path: Path, query: Embeddings, gallery: Embeddings, images: Path):
    plot_ranking(query, gallery, images, tmp_path / "dropped.svg", names=["0001.png"], top=4)
    plot_ranking(query, gallery, images, tmp_path / "marked.svg", names=["0001.png"], top=4, junk="mark")
    assert "junk </" not in words(tmp_path / "dropped.svg") and "– junk" not in words(tmp_path / "dropped.svg")
    assert "– junk" in words(tmp_path / "marked.svg") and "taken out by the convention" in words(tmp_path / "marked.svg")


def test_a_query_without_a_right_answer_can_be_drawn(tmp_path: Path, query: Embeddings, gallery: Embeddings, images: Path):
    plot_ranking(query, gallery, images, tmp_path / "sheet.svg", names=["0004.png"], top=2)
    assert "no AP" in words(tmp_path / "sheet.svg") and "none right" in words(tmp_path / "sheet.svg")


def test_a_picture_has_a_row_a_query_and_a_column_an_image(tmp_path: Path, query: Embeddings, gallery: Embeddings, images: Path):
    sizes = {}
    for each, top in ((1, 3), (1, 6)):
        plot_ranking(query, gallery, images, tmp_path / "sheet.png", each=each, top=top, dpi=40)
        with Image.open(tmp_path / "sheet.png") as picture:
            sizes[top] = picture.size
    assert sizes[6][0] - sizes[3][0] == pytest.approx(3 * module._CELL * 40, abs=2) and sizes[6][1] == sizes[3][1]


def test_the_same_numbers_give_the_same_file(tmp_path: Path, query: Embeddings, gallery: Embeddings, images: Path):
    for name in ("one.png", "two.png"):
        plot_ranking(query, gallery, images, tmp_path / name, each=1, top=2, dpi=40)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"each": 0}, "each is 0, top is 10: both are whole numbers from 1."),
        ({"top": 0}, "each is 3, top is 0: both are whole numbers from 1."),
        ({"convention": Convention(shots="single")}, "a ranking sheet shows one gallery: give a convention without single shots"),
        (
            {"convention": Convention(multi_query="mean")},
            'the convention says multi_query "mean", but no multi-query images were',
        ),
    ],
)
def test_what_cannot_be_drawn(changed: dict, text: str, tmp_path: Path, query: Embeddings, gallery: Embeddings, images: Path):
    with pytest.raises(UsageError) as caught:
        plot_ranking(query, gallery, images, tmp_path / "sheet.png", **changed)
    assert text in str(caught.value) and not (tmp_path / "sheet.png").exists()


def test_multi_query_shows_what_was_pooled_and_ranks_by_it(tmp_path: Path, query: Embeddings, gallery: Embeddings, images: Path):
    # person 1's queries of camera 0 stand at 0 and 8 degrees: their mean at 4 is nearest to somebody else, at 4 degrees
    more = Embeddings.concatenate([query, query[[0]].with_vectors([[np.cos(np.deg2rad(8)), np.sin(np.deg2rad(8))]])])
    pooled = Convention(multi_query="mean")
    scores = plot_ranking(
        query, gallery, images, tmp_path / "sheet.svg", names=["0001.png"], top=3, convention=pooled, multi_query=more
    )
    assert scores.ap[0] == pytest.approx(evaluate(query, gallery, pooled, multi_query=more).ap[0])
    found = words(tmp_path / "sheet.svg")
    assert "2 images" in found and "multi-query by mean" in found and "✗ 1" in found
    assert "2 images" not in words_of_single(tmp_path, query, gallery, images)


def words_of_single(tmp_path: Path, query: Embeddings, gallery: Embeddings, images: Path) -> str:
    plot_ranking(query, gallery, images, tmp_path / "single.svg", names=["0001.png"], top=3)
    return words(tmp_path / "single.svg")


def test_an_unknown_format_is_named_before_anything_is_drawn(
    tmp_path: Path, query: Embeddings, gallery: Embeddings, images: Path
):
    with pytest.raises(UsageError, match=r'sheet.pgn" has the suffix ".pgn". Did you mean "png"\?'):
        plot_ranking(query, gallery, images, tmp_path / "sheet.pgn", each=1, top=2)


def test_images_elsewhere(tmp_path: Path, query: Embeddings, gallery: Embeddings, images: Path):
    with pytest.raises(DataError, match=r'16 of 16 images are not below ".*elsewhere" \(gallery/00.png, .*give that folder'):
        plot_ranking(query, gallery, tmp_path / "elsewhere", tmp_path / "sheet.png", names=list(query.names), top=12, junk="mark")
    (images / "gallery" / "01.png").write_bytes(b"no image")
    with pytest.raises(ImageError):
        plot_ranking(query, gallery, images, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()

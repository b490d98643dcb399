import numpy as np
import pytest

from passerby.embeddings import Embeddings, QueryGallery
from passerby.metrics import evaluate
from passerby.report.failures import find_failures


def on_circle(rows: list[tuple[float, int, int]]) -> Embeddings:
    angle = np.deg2rad([row[0] for row in rows])
    return Embeddings(np.stack([np.cos(angle), np.sin(angle)], 1), [row[1] for row in rows], [row[2] for row in rows])


SETS = QueryGallery(
    on_circle([(0, 1, 0), (90, 2, 0), (180, 3, 0)]),
    # person 1 is behind two others, person 2 behind one that is farther away than theirs, person 3 is found
    on_circle([(1, 2, 0), (2, 3, 1), (20, 1, 1), (95, 1, 1), (100, 2, 1), (181, 3, 1)]),
)


def test_mistakes_by_hand_the_surest_first():
    scores = evaluate(SETS.query, SETS.gallery)
    found = find_failures(SETS, scores)
    assert (found.count, found.of) == (2, 3)
    first, second = found.shown
    assert first.ranked.row == 0 and first.wrong == (0, 1) and first.right == 2
    assert first.margin == pytest.approx(np.cos(np.deg2rad(1)) - np.cos(np.deg2rad(20)), abs=1e-6)
    assert first.nearness(1) == pytest.approx(np.cos(np.deg2rad(2)), abs=1e-6)
    assert second.ranked.row == 1 and second.wrong == (3,) and second.right == 4


def test_what_mistakes_have_in_common():
    said, mixed = find_failures(SETS, evaluate(SETS.query, SETS.gallery)).sentences
    assert mixed == "Taken for each other most often: people 1 and 2 (2 times)."
    # one of the two is from camera 0; of the gallery's wrong images 1 of 4 and 0 of 4 are: 2 * (0.25 + 0) / 2
    assert "1 of 2 wrong first answers come from the query's own camera; by the gallery's cameras alone it would be 0." in said
    many = QueryGallery(
        on_circle([(5.0 * i, 1, 0) for i in range(8)]),
        on_circle([(5.0 * i + 1, 2, 0) for i in range(8)] + [(200.0, 1, 1)] + [(220.0 + i, 3, 1) for i in range(40)]),
    )
    said = " ".join(find_failures(many, evaluate(many.query, many.gallery)).sentences)
    assert "8 of 8 wrong first answers" in said and "The model knows cameras" not in said
    assert "So the model knows cameras, not only people" in said and "people 1 and 2 (8 times)" in said


def test_a_right_answer_beyond_the_depth_has_no_margin_and_comes_last():
    found = find_failures(SETS, evaluate(SETS.query, SETS.gallery), depth=3)
    assert [failure.right for failure in found.shown] == [2, 4]
    shallow = find_failures(SETS, evaluate(SETS.query, SETS.gallery), depth=2)
    assert [failure.right for failure in shallow.shown] == [4, None] and np.isnan(shallow.shown[1].margin)


def test_no_mistake():
    perfect = QueryGallery(on_circle([(0, 1, 0)]), on_circle([(1, 1, 1), (90, 2, 1)]))
    found = find_failures(perfect, evaluate(perfect.query, perfect.gallery))
    assert (found.count, found.of, found.shown, found.sentences) == (0, 1, (), ())

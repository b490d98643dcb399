import re
from pathlib import Path

import numpy as np
import pytest

from passerby.embeddings import Embeddings, QueryGallery
from passerby.errors import EmbeddingsError, UsageError
from passerby.metrics import LAYUMI, Convention, evaluate
from passerby.plots import plot_cmc, plot_roc
from passerby.plots.retrieval import thinned


def words(path: Path) -> str:
    return " ".join(re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8")))


def test_cmc_says_each_runs_rank_1_and_what_was_measured(query: Embeddings, gallery: Embeddings, tmp_path: Path):
    good, bad = evaluate(query, gallery), evaluate(query.with_vectors(-query.vectors), gallery)
    drawn = plot_cmc({"one": good, "two": bad}, tmp_path / "cmc.svg", top=12, title="angles on a circle")
    # first right answers by hand: rank 1, rank 2, rank 4, and one query without any
    assert drawn["one"][:4] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1]) and len(drawn["two"]) == 12
    text = words(tmp_path / "cmc.svg")
    for said in ("angles on a circle", "one: Rank-1 33.3%", f"two: Rank-1 {bad.rank(1):.1%}", "3 of 4 queries have a match"):
        assert said in text
    assert "AP by the rank rule" in text and "nobody is real" in text


def test_roc_gives_the_area_as_counted_pair_by_pair(query: Embeddings, gallery: Embeddings, tmp_path: Path):
    areas = plot_roc({"mine": QueryGallery(query, gallery)}, tmp_path / "roc.svg")
    similarity = query.vectors @ gallery.vectors.T
    same, other = [], []
    for q in range(len(query)):
        for g in range(len(gallery)):
            own = gallery.pids[g] == query.pids[q]
            if gallery.pids[g] != -1 and not (own and gallery.camids[g] == query.camids[q]):
                (same if own else other).append(similarity[q, g])
    wins = np.mean([(a > b) + 0.5 * (a == b) for a in same for b in other])
    assert areas["mine"] == pytest.approx(wins, abs=1e-6)
    text = words(tmp_path / "roc.svg")
    assert f"mine: area {areas['mine']:.3f}" in text and "4 pairs of one person" in text and "angles on circle" in text


def test_a_long_curve_is_thinned_where_it_is_dense():
    false = np.linspace(0, 1, 5001)
    kept_false, kept_true = thinned(false, np.sqrt(false))
    assert len(kept_false) <= 402 and kept_false[0] == 0 and kept_false[-1] == 1
    assert np.allclose(kept_true, np.sqrt(kept_false)) and (np.diff(kept_false) > 0).all()
    short = np.array([0.0, 0.5, 1.0])
    assert thinned(short, short)[0] is short


def test_wrong_calls(query: Embeddings, gallery: Embeddings, tmp_path: Path):
    scores, out = evaluate(query, gallery), tmp_path / "x.png"
    with pytest.raises(UsageError, match="no run to draw: give scores"):
        plot_cmc({}, out)
    with pytest.raises(UsageError, match="no run to draw: give embeddings"):
        plot_roc({}, out)
    with pytest.raises(UsageError, match="scored by 2 conventions"):
        plot_cmc({"a": scores, "b": evaluate(query, gallery, LAYUMI)}, out)
    for top in (1, 51):
        with pytest.raises(UsageError, match=f"top is {top}: give 2 to 50, the ranks that a kept"):
            plot_cmc({"a": scores}, out, top=top)
    with pytest.raises(EmbeddingsError, match="pairs show one person: both kinds are needed"):
        plot_roc({"a": QueryGallery(query[3:], gallery)}, out, convention=Convention())
    assert not out.exists()

"""t-SNE and densities: what is drawn, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.plots import plot_distances, plot_tsne
from passerby.plots.domains import density, sample_pairs


def a_domain(seed: int, shift: float = 0.0, noise: float = 0.05, people: int = 8, images: int = 5) -> Embeddings:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(people, 6)) + shift
    vectors = (np.repeat(centres, images, axis=0) + noise * random.normal(size=(people * images, 6))).astype(np.float32)
    names = np.array([f"{i}" for i in range(people * images)])
    return Embeddings(vectors, np.arange(1, people + 1).repeat(images), np.zeros(people * images, dtype=int), names)


def test_tsne_puts_people_together_and_repeats_exactly(tmp_path: Path):
    domains = {"a": a_domain(0), "b": a_domain(1, shift=4)}
    places = plot_tsne(domains, tmp_path / "p.png", perplexity=5, dpi=40)
    assert places.shape == (80, 2) and (tmp_path / "p.png").stat().st_size > 1000
    of_person = np.arange(80) // 5
    centres = np.stack([places[of_person == p].mean(0) for p in range(16)])
    nearest = np.linalg.norm(places[:, None] - centres[None], axis=2).argmin(1)
    assert (nearest == of_person).mean() > 0.9
    assert np.array_equal(places, plot_tsne(domains, tmp_path / "q.png", perplexity=5, dpi=40))
    assert plot_tsne(domains, tmp_path / "r.svg", people=4, perplexity=5).shape == (40, 2)


def test_densities_overlap_where_people_are_not_told_apart(tmp_path: Path):
    domains = {"sharp": a_domain(0), "blurred": a_domain(1, noise=5.0)}
    found = plot_distances(domains, tmp_path / "d.png", dpi=40)
    assert found["sharp"] < 0.15 and found["blurred"] > 0.6
    assert plot_distances({"sharp": domains["sharp"]}, tmp_path / "e.png", dpi=40) == {"sharp": found["sharp"]}


def test_a_density_sums_to_one_and_stands_where_the_distances_are():
    random = np.random.default_rng(0)
    curve = density(1.2 + 0.1 * random.normal(size=20_000))
    grid = np.linspace(0, 2, 401)
    assert curve.sum() * 0.005 == pytest.approx(1)
    assert (grid * curve).sum() * 0.005 == pytest.approx(1.2, abs=0.01)


def test_pairs_of_many_images_are_drawn_from_both_kinds():
    found = a_domain(0, people=300, images=8)
    unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    same, other = sample_pairs(unit, found.pids)
    assert len(same) > 100_000 < len(other) and same.mean() < 0.1 < other.mean()
    again = sample_pairs(unit, found.pids)
    assert np.array_equal(same, again[0]) and not np.array_equal(same, sample_pairs(unit, found.pids, seed=1)[0])


def test_junk_and_distractors_are_no_people(tmp_path: Path):
    found = a_domain(0)
    pids = found.pids.copy()
    pids[:5], pids[5:10] = -1, 0
    places = plot_tsne(
        {"a": Embeddings(found.vectors, pids, found.camids, found.names)}, tmp_path / "p.png", perplexity=5, dpi=40
    )
    assert len(places) == 30
    random = np.random.default_rng(0)
    distractors = (random.normal(size=(60, 6)) * 0.2 + 1).astype(np.float32)
    names = np.array([f"d{i}" for i in range(60)])
    crowd = Embeddings(distractors, np.zeros(60, dtype=int), np.zeros(60, dtype=int), names)
    both = Embeddings.concatenate([found, crowd])
    assert plot_distances({"a": both}, tmp_path / "q.png", dpi=40) == plot_distances({"a": found}, tmp_path / "r.png", dpi=40)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path):
    out, few = tmp_path / "p.png", {"a": a_domain(0)}
    with pytest.raises(EmbeddingsError, match=r"40 images are too few for perplexity 20: give more than 60, or lower it\."):
        plot_tsne(few, out)
    with pytest.raises(UsageError, match=r"people is 0, perplexity 20\.0: the first counts from 1"):
        plot_tsne(few, out, people=0)
    with pytest.raises(UsageError, match=r"no domain to draw: give embeddings of one or more\."):
        plot_distances({}, out)
    other = Embeddings(np.ones((2, 3), dtype=np.float32), np.array([1, 2]), np.zeros(2, dtype=int), np.array(["a", "b"]))
    with pytest.raises(EmbeddingsError, match=r"other dimensions: a 6, b 3\. One model must make all"):
        plot_distances({**few, "b": other}, out)
    with pytest.raises(EmbeddingsError, match=r"2 people, 2 images: pairs of one person and of two are needed"):
        plot_distances({"b": other}, out)
    with pytest.raises(UsageError, match=r'has the suffix "\.gif"'):
        plot_tsne(few, tmp_path / "p.gif")

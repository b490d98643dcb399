"""How domains lie among each other: t-SNE by domain and by person, and densities of distances within and between people."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError, listing
from passerby.plots.style import COLOURS, FAINT, RIGHT, WRONG, check_format, look, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["density", "plot_distances", "plot_tsne", "sample_pairs"]

_GRID = np.linspace(0, 2, 401)  # cosine distances
_PAIRS = 200_000


def plot_tsne(
    domains: Mapping[str, Embeddings],
    out: str | os.PathLike[str],
    *,
    people: int = 15,
    perplexity: float = 20.0,
    seed: int = 0,
    dpi: int = 130,
) -> np.ndarray:
    """Draw people of several domains in two dimensions, once coloured by domain and once by person.

    Args:
        domains: vectors by domain; junk and distractors are left out.
        out: PNG, PDF, SVG or JPG to write.
        people: most people of each domain, those with most images first (ties by number).
        perplexity: of t-SNE; about how many neighbours count.
        seed: of t-SNE.
        dpi: dots an inch.

    Returns:
        (N, 2) positions, domain after domain.

    Raises:
        UsageError: no domain, a number out of range, or a suffix that cannot be written.
        EmbeddingsError: other dimensions, or too few images for the perplexity.
    """
    check_format(out, dpi)
    if people < 1 or perplexity <= 0:
        raise UsageError(f"people is {people}, perplexity {perplexity}: the first counts from 1, the second is above 0.")
    vectors = _unit(domains)
    chosen = {name: _people_with_most_images(found, people) for name, found in domains.items()}
    rows = np.concatenate([vectors[name][kept] for name, kept in chosen.items()])
    if len(rows) <= 3 * perplexity:
        raise EmbeddingsError(
            f"{len(rows)} images are too few for perplexity {perplexity:g}: give more than {3 * perplexity:g}, or lower it."
        )
    from sklearn.manifold import TSNE

    places = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, metric="cosine").fit_transform(rows)
    of_domain = np.repeat(np.arange(len(chosen)), [len(kept) for kept in chosen.values()])
    persons = np.concatenate([domains[name].pids[kept] for name, kept in chosen.items()])
    _, of_person = np.unique(np.stack([of_domain, persons]), axis=1, return_inverse=True)
    import matplotlib

    with look():
        figure, axes = _figure(1, 2, (9.6, 4.6))
        for number, name in enumerate(chosen):
            mine = of_domain == number
            axes[0].scatter(*places[mine].T, s=9, color=COLOURS[number % len(COLOURS)], label=name)
        axes[0].legend(loc="best", fontsize=8)
        axes[0].set_title("by domain")
        wheel = matplotlib.colormaps["hsv"](of_person.reshape(-1) * 0.618034 % 1.0)
        axes[1].scatter(*places.T, s=9, color=wheel)
        axes[1].set_title(f"by person ({of_person.max() + 1} people)")
        for axis in axes:
            axis.set_xticks([])
            axis.set_yticks([])
        save_figure(figure, out, dpi=dpi)
    return places


def plot_distances(
    domains: Mapping[str, Embeddings], out: str | os.PathLike[str], *, seed: int = 0, dpi: int = 130
) -> dict[str, float]:
    """Draw densities of cosine distances: within and between people of each domain, and between pairs of domains.

    Args:
        domains: vectors by domain; junk and distractors are left out.
        out: PNG, PDF, SVG or JPG to write.
        seed: of the pairs that are drawn where there are very many.
        dpi: dots an inch.

    Returns:
        The share of the two densities of each domain that lies over each other: 0 where people are told apart, 1 where not at
        all.

    Raises:
        UsageError: no domain, or a suffix that cannot be written.
        EmbeddingsError: other dimensions, or a domain without two images of one person and of two.
    """
    check_format(out, dpi)
    vectors = _unit(domains)
    overlaps = {}
    pairs = list(itertools.combinations(domains, 2))
    with look():
        figure, axes = _figure(1, len(domains) + bool(pairs), (3.4 * (len(domains) + bool(pairs)), 3.2))
        for axis, (name, found) in zip(axes, domains.items(), strict=False):
            same, other = sample_pairs(vectors[name], found.pids, seed)
            curves = density(same), density(other)
            overlaps[name] = float(np.minimum(*curves).sum() * (_GRID[1] - _GRID[0]))
            _fill(axis, curves[0], RIGHT, "one person")
            _fill(axis, curves[1], WRONG, "two people")
            axis.set_title(f"{name}: {overlaps[name]:.0%} in common")
            axis.legend(loc="best", fontsize=8)
        if pairs:
            random = np.random.default_rng(seed)
            for number, (a, b) in enumerate(pairs):
                distances = _between(vectors[a], vectors[b], random)
                axes[-1].plot(_GRID, density(distances), color=COLOURS[number % len(COLOURS)], label=f"{a} - {b}")
            axes[-1].set_title("between domains")
            axes[-1].legend(loc="best", fontsize=7)
        for axis in axes:
            axis.set_xlabel("cosine distance")
            axis.set_yticks([])
        save_figure(figure, out, dpi=dpi)
    return overlaps


def sample_pairs(vectors: np.ndarray, pids: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Cosine distances of pairs of one person and of two people: all pairs, or `_PAIRS` random ones of each kind.

    Args:
        vectors: (N, D) unit rows.
        pids: (N,) people.
        seed: of the draw.

    Raises:
        EmbeddingsError: no pair of one kind.
    """
    first, second = np.triu_indices(len(vectors), 1) if len(vectors) < 2000 else _random_pairs(len(vectors), pids, seed)
    same = pids[first] == pids[second]
    if same.all() or not same.any():
        raise EmbeddingsError(f"{len(np.unique(pids))} people, {len(pids)} images: pairs of one person and of two are needed.")
    distances = 1 - np.einsum("nd,nd->n", vectors[first], vectors[second])
    return distances[same], distances[~same]


def density(distances: np.ndarray) -> np.ndarray:
    """(401,) Gaussian kernel density over distances from 0 to 2, bandwidth by Scott's rule; its sum times the step is 1."""
    counts, _ = np.histogram(distances, bins=len(_GRID), range=(0, 2))
    bandwidth = max(distances.std() * len(distances) ** -0.2, 2 * (_GRID[1] - _GRID[0]))
    kernel = np.exp(-0.5 * ((_GRID - 1) / bandwidth) ** 2)
    smooth = np.convolve(counts, kernel, mode="same")
    return smooth / (smooth.sum() * (_GRID[1] - _GRID[0]))


def _random_pairs(count: int, pids: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of one person drawn among each person's images, and as many others drawn freely."""
    random = np.random.default_rng(seed)
    order = np.argsort(pids, kind="stable")
    starts = np.searchsorted(pids[order], pids)
    sizes = np.searchsorted(pids[order], pids, side="right") - starts
    anchors = random.integers(0, count, _PAIRS)
    partners = order[starts[anchors] + (random.random(_PAIRS) * sizes[anchors]).astype(int)]
    free = random.integers(0, count, (2, _PAIRS))
    first, second = np.concatenate([anchors, free[0]]), np.concatenate([partners, free[1]])
    return first[first != second], second[first != second]


def _between(a: np.ndarray, b: np.ndarray, random: np.random.Generator) -> np.ndarray:
    rows, columns = random.integers(0, len(a), _PAIRS), random.integers(0, len(b), _PAIRS)
    return 1 - np.einsum("nd,nd->n", a[rows], b[columns])


def _unit(domains: Mapping[str, Embeddings]) -> dict[str, np.ndarray]:
    if not domains:
        raise UsageError("no domain to draw: give embeddings of one or more.")
    dims = {name: found.dim for name, found in domains.items()}
    if len(set(dims.values())) > 1:
        shown = listing(f"{name} {dim}" for name, dim in dims.items())
        raise EmbeddingsError(f"the domains have vectors of other dimensions: {shown}. One model must make all.")
    return {name: found.vectors / found.unit_lengths(f"vectors of {name}")[:, None] for name, found in domains.items()}


def _people_with_most_images(found: Embeddings, people: int) -> np.ndarray:
    pids, counts = np.unique(found.pids[found.pids > 0], return_counts=True)
    kept = pids[np.lexsort((pids, -counts))][:people]
    return np.flatnonzero(np.isin(found.pids, kept))


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(rows, columns)).reshape(-1))


def _fill(axis: Axes, curve: np.ndarray, colour: str, label: str) -> None:
    axis.plot(_GRID, curve, color=colour, label=label, linestyle="solid" if colour == RIGHT else (0, (4, 1.6)))
    axis.fill_between(_GRID, curve, color=colour, alpha=0.15)
    axis.axhline(0, color=FAINT, linewidth=0.6)

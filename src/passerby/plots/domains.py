"""How domains lie among each other: t-SNE by domain and by person, and densities of distances within and between people."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError, listing
from passerby.plots.headings import measured_on, notes_of
from passerby.plots.style import COLOURS, FAINT, MARKERS, RIGHT, WRONG, check_format, head_and_foot, line_of, look, save_figure
from passerby.records import DISTRACTOR_PID

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
    title: str = "",
    dpi: int = 130,
) -> np.ndarray:
    """Draw people of several domains in two dimensions: by domain, by camera and by person, each where there are two or more.

    Args:
        domains: vectors by domain; junk and distractors are left out.
        out: PNG, PDF, SVG or JPG to write.
        people: most people of each domain, those with most images first (ties by number).
        perplexity: of t-SNE; about how many neighbours count.
        seed: of t-SNE.
        title: heading; default: the domains, and what their vectors say of themselves.
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
    camids = np.concatenate([domains[name].camids[kept] for name, kept in chosen.items()])
    cameras, of_camera = np.unique(np.stack([of_domain, camids]), axis=1, return_inverse=True)
    names = list(chosen)
    called = [f"{names[d]} c{camid}" if len(names) > 1 else f"camera {camid}" for d, camid in cameras.T]
    kinds = [("domain", of_domain, names), ("camera", of_camera.reshape(-1), called), ("person", of_person.reshape(-1), None)]
    shown = [kind for kind in kinds if kind[1].max() > 0]
    with look():
        figure, axes = _figure(1, len(shown), (4.6 * len(shown), 4.9))
        for axis, (kind, numbers, labels) in zip(axes, shown, strict=True):
            _scatter(axis, places, numbers, labels)
            axis.set_title(f"by {kind} ({numbers.max() + 1})")
        how = f"t-SNE of {len(rows)} images, perplexity {perplexity:g}, cosine distance; near is alike, far says little"
        heading = title or "t-SNE of " + " · ".join(_told(name, domains[name]) for name in names)
        head_and_foot(figure, heading, how, *notes_of(domains.values()))
        save_figure(figure, out, dpi=dpi)
    return places


def _scatter(axis: Axes, places: np.ndarray, numbers: np.ndarray, labels: list[str] | None) -> None:
    """Points by kind, a colour and a shape each; without labels the kinds are many and only told apart."""
    for number in range(int(numbers.max()) + 1):
        style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]}
        axis.scatter(*places[numbers == number].T, s=13, linewidths=0, label=None if labels is None else labels[number], **style)
    if labels is not None and len(labels) <= 24:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, 0), fontsize=7, ncols=4, handletextpad=0.1, columnspacing=0.8)
    axis.set_xticks([])
    axis.set_yticks([])


def _told(name: str, found: Embeddings) -> str:
    """The domain's name, and in brackets what its vectors were made with and of."""
    about = measured_on(found)
    return f"{name} ({about})" if about and about != name else name


def plot_distances(
    domains: Mapping[str, Embeddings], out: str | os.PathLike[str], *, seed: int = 0, title: str = "", dpi: int = 130
) -> dict[str, float]:
    """Draw densities of cosine distances: within and between people of each domain, and between pairs of domains.

    Args:
        domains: vectors by domain; junk and distractors are left out.
        out: PNG, PDF, SVG or JPG to write.
        seed: of the pairs that are drawn where there are very many.
        title: heading; default: the domains, and what their vectors say of themselves.
        dpi: dots an inch.

    Returns:
        The share of the two densities of each domain that lies over each other: 0 where people are told apart, 1 where not at
        all.

    Raises:
        UsageError: no domain, or a suffix that cannot be written.
        EmbeddingsError: other dimensions, or a domain without two images of one person and of two.
    """
    check_format(out, dpi)
    domains = {name: found[found.pids > DISTRACTOR_PID] for name, found in domains.items()}
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
                axes[-1].plot(_GRID, density(distances), label=f"{a} - {b}", **line_of(number))
            axes[-1].set_title("between domains")
            axes[-1].legend(loc="best", fontsize=7, handlelength=3)
        for axis in axes:
            axis.set_xlabel("cosine distance")
            axis.set_yticks([])
        heading = title or "distances of " + " · ".join(_told(name, found) for name, found in domains.items())
        head_and_foot(figure, heading, "densities of cosine distances of pairs of images", *notes_of(domains.values()))
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

"""`passerby plot domains`: how the embeddings of several data sets lie among each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from passerby.errors import UsageError, listing

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Draw t-SNE by domain, by camera and by person, or densities of distances within people, between people and between domains.

    A domain is one file of embeddings, or a folder that `passerby embed` wrote, whose query and gallery count together.
    """

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """embeddings, a file or folder a domain, all made by one model"""
    kind: Literal["tsne", "distances"] = "tsne"
    """tsne: people in two dimensions; distances: densities"""
    out: Path = Path("domains.png")
    """picture to write: .png, .pdf, .svg or .jpg"""
    names: tuple[str, ...] = ()
    """what to call the domains (default: names of the files)"""
    people: int = 15
    """of tsne: most people of each domain"""
    perplexity: float = 20.0
    """of tsne: about how many neighbours count"""
    seed: int = 0
    """of t-SNE, and of the pairs that are drawn"""
    title: str = ""
    """heading (default: the domains, and what their vectors say of themselves)"""
    dpi: int = 130
    """dots an inch"""
    json: Path | None = None
    """write what was drawn to this file too: positions, or the shares in common"""


def run(options: Options) -> None:
    """Draw what the options name."""
    from passerby.files import write_json
    from passerby.plots import plot_distances, plot_tsne
    from passerby.plots.style import check_format

    check_format(options.out, options.dpi)
    if options.kind == "distances" and (options.people, options.perplexity) != (Options(()).people, Options(()).perplexity):
        raise UsageError("--people and --perplexity are of --kind tsne: leave them out.")
    names = options.names or tuple(path.stem for path in options.inputs)
    if len(names) != len(options.inputs) or len(set(names)) < len(names):
        raise UsageError(
            f"{len(options.inputs)} inputs are called {listing(names) or 'nothing'}: give each a name of its own with --names."
        )
    domains = {name: _embeddings(path) for name, path in zip(names, options.inputs, strict=True)}
    if options.kind == "tsne":
        places = plot_tsne(
            domains,
            options.out,
            people=options.people,
            perplexity=options.perplexity,
            seed=options.seed,
            title=options.title,
            dpi=options.dpi,
        )
        found = {"positions": [[round(float(value), 4) for value in row] for row in places]}
    else:
        found = {"share_in_common": plot_distances(domains, options.out, seed=options.seed, title=options.title, dpi=options.dpi)}
    print(f"{options.out}: {len(domains)} domain{'s' if len(domains) > 1 else ''}")
    if options.json is not None:
        write_json(options.json, {"picture": str(options.out), **found})


def _embeddings(path: Path):
    from passerby.cli.stored import check_present, read_sets
    from passerby.embeddings import Embeddings

    if not path.is_dir():
        check_present([path])
        return Embeddings.load(path)
    sets = read_sets([path])
    return Embeddings.concatenate([sets.query, sets.gallery])

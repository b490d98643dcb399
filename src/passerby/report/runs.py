"""What a report knows of one run: its settings, its history, its artefact, its vectors and where their images are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from passerby.artefact import DESCRIPTION_FILE, Artefact, read_description
from passerby.configs import read_yaml
from passerby.embeddings import QueryGallery
from passerby.errors import DataError, EmbeddingsError
from passerby.points import CloudPreprocess
from passerby.training.history import HISTORY_FILE, History, load_history

__all__ = ["Run", "kind_of_people", "read_run"]

_NOT_REAL = {"street": "rendered people", "drawn": "drawn people"}


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        name: what the report calls it.
        folder: of the run.
        history: what it logged.
        settings: ``config.yaml``: data set, trial, and the recipe's options.
        facts: of its artefact; None while it is trained.
        sets: query and gallery as its model embeds them; None where they were not embedded.
        images: folder below which the names in `sets` lie; None where it is not known.
    """

    name: str
    folder: Path
    history: History = field(default_factory=History)
    settings: Mapping[str, Any] = field(default_factory=dict)
    facts: Artefact | None = None
    sets: QueryGallery | None = None
    images: Path | None = None

    @property
    def trained_on(self) -> str:
        """Names of the training data sets."""
        names = (
            [str(entry.get("name", "")) for entry in self.facts.data] if self.facts else [str(self.settings.get("dataset", ""))]
        )
        return " + ".join(name for name in names if name) or "unknown data"

    @property
    def tested_on(self) -> str:
        """Name of the data set that query and gallery come from; empty where it is not known."""
        return str(self.sets.query.meta.get("data", "")) if self.sets else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said beside every number of this run."""
        of_sets = (*self.sets.query.notes, *self.sets.gallery.notes) if self.sets else ()
        return tuple(dict.fromkeys((*(self.facts.notes if self.facts else ()), *of_sets)))

    @property
    def people(self) -> str:
        """``rendered people`` or ``drawn people`` where those who are searched for are not real; else empty."""
        return kind_of_people(self.tested_on or self.trained_on)

    @property
    def sees_images(self) -> bool:
        """Whether the model takes pictures, not clouds of points."""
        return self.facts is None or not isinstance(self.facts.preprocess, CloudPreprocess)


def kind_of_people(data: str) -> str:
    """``rendered people`` or ``drawn people`` by the name of a data set, empty for real ones.

    >>> kind_of_people("street:campus"), kind_of_people("market1501")
    ('rendered people', '')
    """
    first = data.replace("-", ":").split(":")[0]
    return _NOT_REAL.get(first, "")


def read_run(
    folder: str | os.PathLike[str],
    *,
    name: str = "",
    embeddings: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
) -> Run:
    """Read a run folder.

    Args:
        folder: as training writes it.
        name: what to call it; default: the folder's name.
        embeddings: folder with ``query`` and ``gallery`` as ``passerby embed`` writes them; default: ``embeddings`` in the run,
            where it is there.
        images: folder below which the names in the embeddings lie.

    Raises:
        DataError: no run is there, or no embeddings where they were named.
        EmbeddingsError: damaged embeddings, or such as another model made.
        ArtefactError: a damaged artefact.
    """
    path = Path(folder)
    if not (path / HISTORY_FILE).is_file():
        raise DataError(f"no {HISTORY_FILE} in {path}: this is not the folder of a training run. Give what passerby train wrote.")
    settings = read_yaml(path / "config.yaml") if (path / "config.yaml").is_file() else {}
    facts = read_description(path / "artefact") if (path / "artefact" / DESCRIPTION_FILE).is_file() else None
    own = path / "embeddings"
    where = Path(embeddings) if embeddings is not None else own if own.is_dir() else None
    sets = None if where is None else _read_sets(where)
    if sets is not None and facts is not None:
        _check_same_model(path, facts, sets)
    called = name or path.resolve().name
    return Run(called, path, load_history(path), settings, facts, sets, None if images is None else Path(images))


def _read_sets(folder: Path) -> QueryGallery:
    from passerby.embeddings import Embeddings

    missing = [name for name in ("query.npz", "gallery.npz") if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder} lacks {' and '.join(missing)}: give the folder that passerby embed wrote.")
    return QueryGallery(*(Embeddings.load(folder / f"{name}.npz") for name in ("query", "gallery")))


def _check_same_model(path: Path, facts: Artefact, sets: QueryGallery) -> None:
    made_by = sets.query.meta.get("artefact")
    if made_by and made_by != facts.short_id:
        raise EmbeddingsError(
            f"the embeddings were made by artefact {made_by}, {path / 'artefact'} is {facts.short_id}: run passerby embed again."
        )

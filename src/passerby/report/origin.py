"""What was trained on what, in a sentence and whole, and the command that makes it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from passerby.configs import plain
from passerby.errors import PasserbyError
from passerby.metrics import RetrievalScores
from passerby.recipes import recipe
from passerby.report.markup import Markup, details, element, items, joined, paragraph, table
from passerby.report.runs import Run

__all__ = ["command_of", "origin_section", "summary_sentence"]


def summary_sentence(run: Run, scores: RetrievalScores | None) -> str:
    """What was trained on what, and what it finds."""
    facts = run.facts
    if facts is None:
        last = run.history.epochs[-1]["epoch"] if run.history.epochs else 0
        return f"{run.name} is not finished: {last} epochs on {run.trained_on} so far."
    network = str(facts.model.get("backbone", facts.model.get("network", "a network")))
    sizes = "; ".join(
        f"{entry.get('train_images', '?')} images of {entry.get('train_identities', '?')} people in "
        f"{entry.get('train_cameras', '?')} cameras"
        for entry in facts.data
    )
    epochs = f" for {run.history.epochs[-1]['epoch']} epochs" if run.history.epochs else ""
    text = f"{run.name}: {network} by the recipe {facts.recipe}, trained on {run.trained_on} ({sizes}){epochs}."
    if scores is None:
        return text + " Its vectors are not here: embed it to see what it finds."
    return text + (
        f" Of {scores.num_valid} queries of {run.tested_on or 'unnamed data'} it finds the right person first in "
        f"{scores.rank(1):.1%} (mAP {scores.map:.1%}) among {scores.num_gallery} images."
    )


def command_of(run: Run) -> str:
    """The command that trains the run again, from its own settings."""
    name = run.facts.recipe if run.facts else str(run.settings.get("recipe", "RECIPE"))
    words = [
        "passerby",
        "train",
        name,
        "--config",
        str(run.folder / "config.yaml"),
        "--data",
        "DIR",
        "--out",
        f"{run.folder}-again",
    ]
    return shlex.join(words)


def origin_section(run: Run) -> Markup:
    """Data, options that are not the default, versions, and how to make it again."""
    parts: list[str] = []
    if run.facts is not None:
        facts = run.facts
        rows = [[str(key), str(value)] for entry in facts.data for key, value in entry.items() if key != "notes"]
        rows += [
            ["vector", f"{facts.embedding_dim} numbers, {facts.rule.kind}{', mirrored image added' if facts.rule.flip else ''}"],
            ["artefact", facts.short_id], ["licence", facts.licence], ["seed", str(facts.seed)], ["passerby", facts.passerby],
        ]  # fmt: skip
        parts.append(table("Training data and artefact", ["what", "value"], rows, kind="words"))
        changed = _changed(facts.recipe, facts.config)
        said = items(f"{key}: {value} (default {default})" for key, value, default in changed)
        what = f"{len(changed)} options are not the recipe's defaults" if changed else "Every option is the recipe's default."
        parts.append(details(what, said) if changed else paragraph(what))
    parts += [
        paragraph("To train it again, where DIR holds the data:"),
        element("pre", element("code", command_of(run))),
    ]
    if run.settings:
        text = yaml.safe_dump(dict(run.settings), sort_keys=False, allow_unicode=True)
        parts.append(details("config.yaml, whole (should the folder be gone)", element("pre", element("code", text))))
    return joined(parts)


def _changed(name: str, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    try:
        defaults = plain(recipe(name).Config())
    except PasserbyError:  # a recipe that this passerby does not have
        return []
    return [(key, str(value), str(defaults[key])) for key, value in config.items() if key in defaults and defaults[key] != value]

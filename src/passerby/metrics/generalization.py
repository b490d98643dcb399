"""Named protocols of domain generalization: train on some data sets, measure on others that training never saw.

A protocol is plain data: which data sets, which trials, and what was published. It cannot be met half: whoever evaluates by it
checks that a model was trained on exactly its sources, and on nobody of its targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from passerby.errors import DataError, UsageError, nearest
from passerby.records import Split, Trial

__all__ = ["PROTOCOLS", "Protocol", "PublishedRow", "Target", "average", "check_trials", "protocol", "spread"]


@dataclass(frozen=True)
class Target:
    """One data set that is measured on.

    Attributes:
        dataset: canonical name.
        trials: ending of the names of the trials that count; empty for all. VIPeR's published numbers are those that end in
            ``a``.
        count: how many trials there must be, for means that stand beside published ones; 0: as many as there are.
    """

    dataset: str
    trials: str = ""
    count: int = 0

    def chosen(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials that count, in their order."""
        return [trial for trial in trials if trial.name.endswith(self.trials)]


@dataclass(frozen=True)
class PublishedRow:
    """Figures of others by target, as fractions.

    Attributes:
        backbone: canonical name of the backbone that they were made with.
        source: who reports them.
        targets: data set -> rank1, rank5, rank10, map.
        rank1_std: data set -> deviation of rank1 over the trials.
        published_tpr_1e_2: data set -> "TPR at FPR 0.01" in the published form, see `metrics.inverted_tpr_at_fpr`; at 0.001 and
            0.0001 it was reported as 0 wherever it was reported here.
    """

    backbone: str
    source: str
    targets: Mapping[str, tuple[float, float, float, float]]
    rank1_std: Mapping[str, float] = field(default_factory=dict)
    published_tpr_1e_2: Mapping[str, float] = field(default_factory=dict)

    def figures(self, target: str) -> dict[str, float]:
        """What was published of one target, by the names that `passerby evaluate` gives its numbers."""
        found: dict[str, float] = dict(zip(("rank1", "rank5", "rank10", "map"), self.targets[target], strict=True))
        if target in self.published_tpr_1e_2:
            found |= {"published_tpr_1e-2": self.published_tpr_1e_2[target], "published_tpr_1e-3": 0.0, "published_tpr_1e-4": 0.0}
        return found


@dataclass(frozen=True)
class Protocol:
    """Sources, targets, and what was published.

    Attributes:
        name: key of `PROTOCOLS`.
        title: as people write it.
        sources: canonical names of the data sets to train on, sorted.
        targets: what is measured on.
        published: rows to stand beside one's own.
    """

    name: str
    title: str
    sources: tuple[str, ...]
    targets: tuple[Target, ...]
    published: tuple[PublishedRow, ...] = field(default=())

    @property
    def training_data(self) -> str:
        """What `datasets.read` and ``passerby train --dataset`` take."""
        return "+".join(self.sources)


_SMALL = (Target("grid", count=10), Target("viper", "a", 10), Target("prid2011", count=10), Target("ilids", count=10))
_README = "README of MetaBIN"
_P1_ROWS = (
    PublishedRow(
        "mobilenet_v2_x1_4", _README,
        {
            "grid": (0.4968, 0.6752, 0.7680, 0.5810), "viper": (0.5690, 0.7671, 0.8203, 0.6598),
            "prid2011": (0.7250, 0.8820, 0.9130, 0.7978), "ilids": (0.7967, 0.9333, 0.9733, 0.8551),
        },
        {"grid": 0.0230, "viper": 0.0297, "prid2011": 0.0220, "ilids": 0.0440},
        {"grid": 0.4635, "viper": 0.5097, "prid2011": 0.9100, "ilids": 0.5613},
    ),
    PublishedRow(
        "resnet50", _README,
        {
            "grid": (0.4840, 0.7032, 0.7720, 0.5787), "viper": (0.5991, 0.7835, 0.8268, 0.6858),
            "prid2011": (0.7420, 0.8970, 0.9220, 0.8098), "ilids": (0.8133, 0.9500, 0.9700, 0.8696),
        },
        {"grid": 0.0391, "viper": 0.0246, "prid2011": 0.0252, "ilids": 0.0420},
        {"grid": 0.4795, "viper": 0.6129, "prid2011": 0.8412, "ilids": 0.4837},
    ),
)  # fmt: skip
_P1 = ("cuhk-sysu", "cuhk02", "cuhk03-all-detected", "dukemtmc-all", "market1501-all")


def _single(source: str, target: str, figures: tuple[float, float, float, float]) -> Protocol:
    row = PublishedRow("resnet50", "result screenshots of MetaBIN", {target: figures})
    return Protocol(f"{source}->{target}", f"{source} to {target}", (source,), (Target(target),), (row,))


def _leave_one_out() -> list[Protocol]:
    """P2 trains on the training images of the others, P3 on all of theirs."""
    found = []
    kinds = {
        "M": ("market1501", "market1501-all"),
        "MS": ("msmt17-trainval", "msmt17-all"),
        "C3": ("cuhk03-np-detected", "cuhk03-all-detected"),
    }
    tests = {"M": "market1501", "MS": "msmt17", "C3": "cuhk03-np-detected"}
    for number, kind in ((2, 0), (3, 1)):
        for left in kinds:
            sources = sorted(["cuhk-sysu", *(names[kind] for other, names in kinds.items() if other != left)])
            title = f"P{number}: all but {left}" + (" (all images of the sources)" if number == 3 else " (their training images)")
            found.append(Protocol(f"p{number}-{left.lower()}", title, tuple(sources), (Target(tests[left]),)))
    return found


PROTOCOLS: dict[str, Protocol] = {
    found.name: found
    for found in (
        Protocol("p1", "P1: M+D+C2+C3+CS to GRID, VIPeR, PRID, i-LIDS", _P1, _SMALL, _P1_ROWS),
        Protocol("p1-without-duke", "P1 without DukeMTMC", tuple(name for name in _P1 if name != "dukemtmc-all"), _SMALL),
        *_leave_one_out(),
        _single("market1501", "dukemtmc", (0.5516, 0.6903, 0.7437, 0.3309)),
        _single("dukemtmc", "market1501", (0.6918, 0.8308, 0.8783, 0.3594)),
    )
}
"""By name. ``A+B->C,D`` makes any other; see `protocol`."""


def protocol(name: str) -> Protocol:
    """The protocol of a name, or the one that ``SOURCE+SOURCE->TARGET,TARGET`` describes by canonical names of data sets.

    Raises:
        UsageError: neither, or a source that is a target.

    >>> protocol("market1501->grid").sources
    ('market1501',)
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    left, arrow, right = name.partition("->")
    if not arrow or not left or not right:
        raise UsageError(f'no protocol "{name}". {nearest(name, PROTOCOLS)} Or write SOURCE+SOURCE->TARGET,TARGET.')
    sources, targets = tuple(sorted(left.split("+"))), right.split(",")
    both = sorted(set(sources) & set(targets))
    if both:
        raise UsageError(f'protocol "{name}" trains on {both[0]} and measures on it: that is no unseen domain.')
    viper = {"viper": "a"}
    return Protocol(name, name, sources, tuple(Target(target, viper.get(target, "")) for target in targets))


def check_trials(dataset: str, trials: Sequence[Trial], count: int = 0) -> None:
    """Refuse trials that repeat each other: their mean would pretend to a spread that it has not.

    Args:
        dataset: whose they are.
        trials: those that count.
        count: how many there must be; 0: as many as there are.

    Raises:
        DataError: no trial, fewer or more than `count`, an empty one, or two with the same queries and gallery.
    """
    if not trials:
        raise DataError(f"{dataset}: none of its trials counts in this protocol. Is the copy whole?")
    if count and len(trials) != count:
        raise DataError(f"{dataset}: {len(trials)} trials count in this protocol, which has {count}. Is the copy whole?")
    seen: dict[tuple[frozenset[Any], frozenset[Any]], str] = {}
    for trial in trials:
        if not len(trial.query) or not len(trial.gallery):
            raise DataError(f'{dataset}, trial "{trial.name}": {len(trial.query)} queries, {len(trial.gallery)} gallery images.')
        content = _shown(trial.query), _shown(trial.gallery)
        if content in seen:
            raise DataError(
                f'{dataset}: trials "{seen[content]}" and "{trial.name}" hold the same images: one of them is no trial.'
            )
        seen[content] = trial.name


def _shown(split: Split) -> frozenset[tuple[str, int, int, str]]:
    """What a split shows, wherever its files lie: split folders hold copies of the same images."""
    return frozenset((record.domain, record.pid, record.camid, record.path.name) for record in split)


def spread(dataset: str, trials: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and population standard deviation of each number over the trials of a target; NaN where all are NaN.

    Raises:
        DataError: several trials without any deviation: they were not different ones.
    """
    columns = {name: np.array([trial[name] for trial in trials], dtype=float) for name in trials[0]}
    std = {name: float(column.std()) for name, column in columns.items()}
    if len(trials) > 1 and not any(np.ptp(column) > 0 for column in columns.values()):  # std of equal numbers may round to 1e-17
        # Ceilings and floors repeat honestly: at 0 or 1 nothing can deviate.
        inside = [name for name, column in columns.items() if np.isfinite(column).all() and ((column > 0) & (column < 1)).all()]
        if inside:
            raise DataError(f"{dataset}: {len(trials)} trials gave exactly the same numbers, so they were one and the same.")
    return {name: float(column.mean()) for name, column in columns.items()}, std


def average(targets: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The unweighted mean over targets of each number (``all_average`` in the published tables)."""
    names = next(iter(targets.values()))
    return {name: float(np.mean([row[name] for row in targets.values()])) for name in names}

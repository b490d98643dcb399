"""Which conventions turn stored features into a claimed number: every ranking is made once, every way of counting it is tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from passerby.embeddings import QueryGallery
from passerby.errors import EmbeddingsError, UsageError
from passerby.metrics import MARKET1501, Convention
from passerby.metrics.matches import Columns, match
from passerby.progress import meter
from passerby.reconciler.claims import Claim
from passerby.reconciler.profiles import Gallery, Numbers, Profile
from passerby.reconciler.rankings import by_product, by_reranking, same_images
from passerby.reconciler.switches import COUNTED, RERANKINGS, Setting, changed, plausibility, settings_of
from passerby.records import DISTRACTOR_PID, JUNK_PID

__all__ = ["Candidate", "Explanation", "explain"]

_SHOWN = 10
_OTHER = {"ap": "trapezoid", "junk": "keep", "same_camera": "keep", "distractors": "drop", "without_match": "count"}
_OTHER |= {"ties": "optimistic", "shots": "single"}
_BACK = {"ap": "rank", "junk": "drop", "same_camera": "drop", "distractors": "keep", "without_match": "skip"}
_BACK |= {"ties": "pessimistic", "shots": "all"}


@dataclass(frozen=True)
class Candidate:
    """One set of switches and what it gives.

    Attributes:
        setting: all choices.
        switches: (axis, choice at the start, choice here), as `switches.words` puts in words.
        numbers: fractions.
        distance: percentage points from the claim, 0 where it is printed as claimed.
    """

    setting: Setting
    switches: tuple[tuple[str, str, str], ...]
    numbers: Numbers
    distance: float


@dataclass(frozen=True)
class Explanation:
    """What was found.

    Attributes:
        claim: what was claimed.
        start: the numbers under the convention that the search starts from.
        candidates: the smallest sets of switches that give the claim, most plausible first; where there is none, the nearest. A
            set with random draws counts as one larger than it is.
        exact: whether they give the claim.
        tried: how many settings were scored.
        notes: what was not tried, and why.
    """

    claim: Claim
    start: Candidate
    candidates: tuple[Candidate, ...]
    exact: bool
    tried: int
    notes: tuple[str, ...]


def explain(
    sets: QueryGallery,
    claim: Claim,
    *,
    convention: Convention = MARKET1501,
    others: Mapping[str, QueryGallery] = {},
    max_switches: int = 3,
    rerank: bool = True,
    single_shot: bool = True,
    seed: int = 0,
    progress: bool = False,
) -> Explanation:
    """Replay the known conventions on stored features and name the smallest set of switches that gives the claim.

    Re-ranking (with cosines) and single-shot galleries are tried on the features given first and with single queries, and only
    where no set as small gives the claim already.

    Args:
        sets: query, gallery and, where they are stored, multi-query images.
        claim: the numbers to explain.
        convention: where the search starts: switches are counted from it.
        others: further stored features of the same images, by name: without flip, before the neck.
        max_switches: the largest set that is tried.
        rerank: whether re-ranking is tried.
        single_shot: whether single-shot galleries are tried.
        seed: of the draws.
        progress: show how far the work is.

    Raises:
        UsageError: max_switches below 1, or a convention with single shots or multi-query to start from.
        EmbeddingsError: sets that no convention can score, or other features that are not of the same images.
    """
    if max_switches < 1:
        raise UsageError(f"explain with up to {max_switches} switches: 1 is the least.")
    if convention.shots == "single" or convention.multi_query != "none":
        raise UsageError(
            "the search starts from the whole gallery and single queries: take market1501, layumi, cail-mixup, any-camera."
        )
    wrong = same_images(sets, others)
    if wrong:
        raise EmbeddingsError(f'features "{wrong}" are not of the same images in the same order as those given first.')
    search = _Search(sets, claim, Setting(convention), max_switches, single_shot, seed)
    stages = search.stages(others, rerank)
    if progress:
        with meter("explain", len(stages), "steps") as shown:
            for stage in stages:
                search.go(stage)
                shown.advance()
    else:
        for stage in stages:
            search.go(stage)
    return search.result()


class _Stage(NamedTuple):
    """Some rankings that cost one product or one re-ranking; no setting of theirs has fewer than `least` switches."""

    least: int
    slow: bool
    rankings: Callable[[], Iterator[tuple[Setting, Profile]]]


class _Search:
    def __init__(self, sets: QueryGallery, claim: Claim, start: Setting, most: int, single_shot: bool, seed: int) -> None:
        if sets.query.dim != sets.gallery.dim:
            told = f"queries have {sets.query.dim} dimensions, the gallery {sets.gallery.dim}"
            raise EmbeddingsError(f"{told}: one model must make both.")
        for part, name in ((sets.query, "query"), (sets.gallery, "gallery")):
            part.unit_lengths(f"{name} vectors")
        query, gallery = (Columns(part.pids, part.camids, part.names) for part in (sets.query, sets.gallery))
        match(query, gallery, start.convention)  # refuses what cannot be scored, before work starts
        self._sets, self._claim, self._start, self._most, self._seed = sets, claim, start, most, seed
        self._repeats = start.convention.repeats if single_shot else 0
        nobody = not (sets.query.pids == DISTRACTOR_PID).any()
        self._labels = Gallery(sets.query, sets.gallery, zero_is_nobody=nobody)
        self._choices = self._possible(nobody)
        self._found: list[Candidate] = []
        self._notes: list[str] = []

    def _possible(self, nobody: bool) -> dict[str, tuple[str, ...]]:
        """The axes of counting that can change a number of these labels."""
        pids = self._sets.gallery.pids
        without = {
            "junk": not (pids == JUNK_PID).any(),
            "distractors": not (nobody and (pids == DISTRACTOR_PID).any()),
            "shots": not self._repeats,
        }
        convention = self._start.convention
        return {
            axis: (_BACK[axis] if getattr(convention, axis) == _OTHER[axis] else _OTHER[axis],)
            for axis in COUNTED
            if not without.get(axis, False)
        }

    def stages(self, others: Mapping[str, QueryGallery], rerank: bool) -> list[_Stage]:
        sets, start, labels = self._sets, self._start, self._labels
        plain = partial(by_product, start=start, labels=labels, repeats=0, seed=self._seed)
        made = [_Stage(0, False, partial(plain, sets, multi_query="none"))]
        if sets.multi_query is not None:
            made += [_Stage(1, False, partial(plain, sets, multi_query=how)) for how in ("mean", "max")]
        for name, other in others.items():
            named = replace(start, features=name)
            made.append(_Stage(1, False, partial(plain, other, start=named, multi_query="none")))
            if other.multi_query is not None:
                made += [_Stage(2, False, partial(plain, other, start=named, multi_query=how)) for how in ("mean", "max")]
        made += self._reranked() if rerank else []
        if self._repeats:
            drawn = partial(plain, sets, multi_query="none", repeats=self._repeats)
            made.append(_Stage(1, True, drawn))
        return made

    def _reranked(self) -> list[_Stage]:
        sets, labels = self._sets, self._labels
        no_junk = sets.gallery.pids != JUNK_PID
        every = np.ones(len(no_junk), dtype=bool)
        depth = max(method.k1 + 1 for method in RERANKINGS.values())
        if depth > len(sets.query) + int(no_junk.sum()):
            self._notes.append(f"re-ranking was not tried: it looks at {depth} neighbours, and there are fewer images.")
            return []
        once = partial(by_reranking, sets, labels=labels, repeats=0, seed=self._seed)
        made = [_Stage(1, True, partial(once, self._start, kept=no_junk))]
        if not no_junk.all():
            made.append(_Stage(2, True, partial(once, replace(self._start, rerank_junk="keep"), kept=every)))
        return made

    def go(self, stage: _Stage) -> None:
        """Score a stage, unless smaller sets give the claim already (as small ones, where it is slow)."""
        best = min((len(found.switches) for found in self._found if found.distance == 0), default=self._most + 1)
        if stage.least > self._most or best < stage.least or (stage.slow and best <= stage.least):
            return
        for ranked, profile in stage.rankings():
            used = len(changed(self._start, ranked))
            choices = {axis: values for axis, values in self._choices.items() if self._fits(ranked, profile, axis)}
            settings = settings_of(ranked, choices, self._most - used)
            if profile.shots is not None:  # what has no single shots was scored before
                settings = (setting for setting in settings if setting.convention.shots == "single")
            for setting in settings:
                numbers = profile.numbers(setting.convention)
                if numbers is not None:
                    switches = changed(self._start, setting)
                    self._found.append(Candidate(setting, switches, numbers, self._claim.distance(numbers)))

    @staticmethod
    def _fits(ranked: Setting, profile: Profile, axis: str) -> bool:
        """Re-ranked galleries have no distractors taken out afterwards, and no junk that was out before."""
        if (axis == "shots" and profile.shots is None) or (axis == "ties" and profile.shots is None and not profile.tied):
            return False
        if ranked.rerank == "none":
            return True
        return axis != "distractors" and (axis != "junk" or ranked.rerank_junk == "keep")

    def result(self) -> Explanation:
        def size(found: Candidate) -> int:
            return len(found.switches) + found.numbers.drawn  # numbers that were drawn fit many claims

        def key(found: Candidate) -> tuple[float, int, bool, int, float]:
            near = self._claim.centre_distance(found.numbers)
            return found.distance, size(found), found.numbers.drawn, plausibility(self._start, found.setting), near

        ordered = sorted(self._found, key=key)
        exact = ordered[0].distance == 0
        if exact:
            ordered = [found for found in ordered if found.distance == 0 and size(found) == size(ordered[0])]
        start = next(found for found in self._found if not found.switches)
        return Explanation(self._claim, start, tuple(ordered[:_SHOWN]), exact, len(self._found), tuple(self._notes))

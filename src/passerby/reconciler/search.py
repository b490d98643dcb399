"""Which conventions turn stored features into a claimed number: every ranking is made once, every way of counting it is tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from passerby.embeddings import QueryGallery
from passerby.errors import EmbeddingsError, UsageError
from passerby.metrics import MARKET1501, Convention
from passerby.metrics.matches import Columns, match
from passerby.progress import meter
from passerby.reconciler.claims import Claim
from passerby.reconciler.findings import Candidate, Explanation
from passerby.reconciler.products import Products, Rounded
from passerby.reconciler.profiles import Gallery, Profile
from passerby.reconciler.rankings import by_pooled_product, by_product, by_reranking, distances_that_differ, same_images
from passerby.reconciler.screening import Screen, Screening
from passerby.reconciler.switches import COUNTED, RERANKINGS, Setting, changed, plausibility, settings_of
from passerby.records import DISTRACTOR_PID, JUNK_PID

__all__ = ["explain"]

_SHOWN = 10
_KEPT_MB = 600  # of products of queries and gallery that several stages need
_OTHER = {"ap": "trapezoid", "junk": "keep", "same_camera": "keep", "distractors": "drop", "without_match": "count"}
_OTHER |= {"ties": "optimistic", "shots": "single"}
_BACK = {"ap": "rank", "junk": "drop", "same_camera": "drop", "distractors": "keep", "without_match": "skip"}
_BACK |= {"ties": "pessimistic", "shots": "all"}


def explain(
    sets: QueryGallery,
    claim: Claim,
    *,
    convention: Convention = MARKET1501,
    others: Mapping[str, QueryGallery] = {},
    max_switches: int = 3,
    rerank: bool = True,
    single_shot: bool = True,
    screen: Screening = "auto",
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
        screen: whether multi-query rankings are tried by products of rounded vectors first and left there where they are nowhere
            near the claim: "auto" on large sets and where the processor is fast at it, "always" or "never".
        seed: of the draws.
        progress: show how far the work is.

    Raises:
        UsageError: max_switches below 1, a convention with single shots or multi-query to start from, or no such `screen`.
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
    search = _Search(Screen(claim, {"": sets, **others}, screen), Setting(convention), max_switches, single_shot, seed)
    stages = search.stages(rerank)
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
    """Some rankings that cost one product or one re-ranking; no setting of theirs has fewer than `least` switches.

    Where `screened` names features, `rankings` takes their gallery rounded too.
    """

    least: int
    slow: bool
    rankings: Callable[..., Iterator[tuple[Setting, Profile]]]
    screened: str | None = None


class _Search:
    def __init__(self, screen: Screen, start: Setting, most: int, single_shot: bool, seed: int) -> None:
        sets = screen.features[""]
        self._lengths = {name: _checked_lengths(name, given) for name, given in screen.features.items()}
        query, gallery = (Columns(part.pids, part.camids, part.names) for part in (sets.query, sets.gallery))
        match(query, gallery, start.convention)  # refuses what cannot be scored, before work starts
        self._screen, self._claim, self._sets = screen, screen.claim, sets
        self._start, self._most, self._seed = start, most, seed
        self._repeats = start.convention.repeats if single_shot else 0
        nobody = not (sets.query.pids == DISTRACTOR_PID).any()
        self._labels = Gallery(sets.query, sets.gallery, zero_is_nobody=nobody)
        self._choices = self._possible(nobody)
        kept = 4e-6 * len(sets.query) * len(sets.gallery) <= _KEPT_MB
        self._products = Products(sets.query, sets.gallery, self._lengths[""], keep=kept)
        self._found: list[Candidate] = []
        self._tried = 0
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

    def stages(self, rerank: bool) -> list[_Stage]:
        made = [stage for name in self._screen.features for stage in self._multiplied(name)]
        made += self._reranked() if rerank else []
        if self._repeats:
            drawn = partial(by_product, self._products, self._start, self._labels, self._distances(""), self._repeats, self._seed)
            made.append(_Stage(1, True, drawn))
        return made

    def _distances(self, features: str) -> tuple[str, ...]:
        return distances_that_differ(self._lengths[features], self._start.convention.distance)

    def _multiplied(self, features: str) -> Iterator[_Stage]:
        """Single queries, and pooled ones where they are stored."""
        sets, distances, least = self._screen.features[features], self._distances(features), int(features != "")
        yield _Stage(least, False, partial(self._plain, features))
        for how in ("mean", "max") if sets.multi_query is not None else ():
            start = replace(self._start, features=features, convention=replace(self._start.convention, multi_query=how))
            for group in ([d for d in distances if (d == "cosine") == unit] for unit in (True, False)):
                if group:
                    rankings = partial(by_pooled_product, sets, self._lengths[features], start, self._labels, group)
                    yield _Stage(least + 1 + (distances[0] not in group), False, rankings, screened=features)

    def _plain(self, features: str, *, rounded: Rounded | None = None) -> Iterator[tuple[Setting, Profile]]:
        sets, given = self._screen.features[features], not features and rounded is None
        products = self._products if given else Products(sets.query, sets.gallery, self._lengths[features], rounded)
        return by_product(products, replace(self._start, features=features), self._labels, self._distances(features))

    def _reranked(self) -> list[_Stage]:
        sets = self._sets
        no_junk = sets.gallery.pids != JUNK_PID
        depth = max(method.k1 + 1 for method in RERANKINGS.values())
        if depth > len(sets.query) + int(no_junk.sum()):
            self._notes.append(f"re-ranking was not tried: it looks at {depth} neighbours, and there are fewer images.")
            return []
        starts = [(no_junk, self._start)]
        if not no_junk.all():
            starts.append((np.ones(len(no_junk), dtype=bool), replace(self._start, rerank_junk="keep")))
        steps = by_reranking(sets, self._labels, starts, self._products)  # who leaves out the first leaves out both
        return [_Stage(least, True, lambda: next(steps)) for least, _ in enumerate(starts, 1)]

    def go(self, stage: _Stage) -> None:
        """Score a stage, unless smaller sets give the claim already (as small ones, where it is slow), or none is near it."""
        best = min((len(found.switches) for found in self._found if found.distance == 0), default=self._most + 1)
        if stage.least > self._most or best < stage.least or (stage.slow and best <= stage.least):
            return
        if stage.screened is not None and self._screen.on and self._put_off(stage, stage.screened):
            return
        found = self._scored(stage.rankings())
        self._tried += len(found)
        self._found += found

    def _put_off(self, stage: _Stage, features: str) -> bool:
        """Whether rough products show that no set of a stage gives the claim."""
        rounded = self._screen.rounded(features)
        if not self._screen.knows(features):
            self._screen.learn(features, self._scored(self._plain(features, rounded=rounded)), self._found)
        rough = self._scored(stage.rankings(rounded=rounded))
        if not self._screen.puts_off(features, rough, lambda: self._scored(stage.rankings())):
            return False
        self._tried += len(rough)
        return True

    def _scored(self, rankings: Iterator[tuple[Setting, Profile]]) -> list[Candidate]:
        scored = []
        for ranked, profile in rankings:
            used = len(changed(self._start, ranked))
            choices = {axis: values for axis, values in self._choices.items() if self._fits(ranked, profile, axis)}
            settings = settings_of(ranked, choices, self._most - used)
            if profile.shots is not None:  # what has no single shots was scored before
                settings = (setting for setting in settings if setting.convention.shots == "single")
            for setting in settings:
                numbers = profile.numbers(setting.convention)
                if numbers is not None:
                    switches = changed(self._start, setting)
                    scored.append(Candidate(setting, switches, numbers, self._claim.distance(numbers)))
        return scored

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

        exact = any(found.distance == 0 for found in self._found)
        if not exact:
            for more in self._screen.among_nearest(self._found, _SHOWN):
                self._found += more
        ordered = sorted(self._found, key=key)
        if exact:
            ordered = [found for found in ordered if found.distance == 0 and size(found) == size(ordered[0])]
        start = next(found for found in self._found if not found.switches)
        return Explanation(self._claim, start, tuple(ordered[:_SHOWN]), exact, self._tried, tuple(self._notes))


def _checked_lengths(features: str, sets: QueryGallery) -> np.ndarray:
    """(G,) lengths of a gallery's vectors, after making sure that all rankings of these features can be made."""
    of = f' of features "{features}"' if features else ""
    parts = {"queries": sets.query, "multi-query images": sets.multi_query}
    for name, part in parts.items():
        if part is not None and part.dim != sets.gallery.dim:
            told = f"{name}{of} have {part.dim} dimensions, the gallery {sets.gallery.dim}"
            raise EmbeddingsError(f"{told}: one model must make both.")
    for name, part in (("query", sets.query), ("multi-query", sets.multi_query)):
        if part is not None:
            part.unit_lengths(f"{name} vectors{of}")
    return sets.gallery.unit_lengths(f"gallery vectors{of}")

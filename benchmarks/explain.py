"""How often the score reconciler finds planted switches, and how long it takes.

    python benchmarks/explain.py                  # 200 plants of one to three switches in 500 queries x 2,900 gallery images
    python benchmarks/explain.py --market 3       # three more at Market-1501 size, D = 2048, timed
    python benchmarks/explain.py --screen always  # rough products first, which small sets are not worth
    python benchmarks/explain.py --json FILE

A plant is a random set of switches. Its number comes from the evaluator (`metrics.evaluate`, `rerank.evaluate_reranked`), not
from the reconciler's own counting; it is printed as papers print it, mAP and Rank-1 with two decimals, and only that is handed
over. Sets in which some switch changes nothing that is printed, or no more than draws of single shots do, are drawn again, for
nobody could find those; sets that the reconciler says it does not try (single shots or re-ranking with multi-query or other
features) are not drawn. Found means: named first.
Processor seconds (of all threads) stand beside those on the clock: they say what a busy machine would take if it were not.
Vectors are drawn with unequal lengths, so that the distance matters; galleries have junk, distractors and same-camera images,
some queries have no match, and there are multi-query images.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from evaluate import Size, draw

from passerby.embeddings import Embeddings, QueryGallery
from passerby.metrics import MARKET1501, RetrievalScores, evaluate
from passerby.reconciler import Claim, Setting, explain
from passerby.reconciler.screening import SCREENINGS, Screening
from passerby.reconciler.switches import RERANKINGS, changed
from passerby.rerank import evaluate_reranked

COUNTING = {"ap": ["trapezoid"], "junk": ["keep"], "same_camera": ["keep"], "distractors": ["drop"], "without_match": ["count"]}
PLAIN = {
    **COUNTING,
    "shots": ["single"],
    "distance": ["euclidean", "dot"],
    "multi_query": ["mean", "max"],
    "features": ["before neck"],
}
RERANKED = {"ap": ["trapezoid"], "same_camera": ["keep"], "without_match": ["count"]}


def town(size: Size, seed: int) -> tuple[QueryGallery, dict[str, QueryGallery]]:
    random = np.random.default_rng(seed)
    parts = draw(replace(size, queries=3 * size.queries), "strong", seed)
    wide = [part.vectors * random.lognormal(0, 0.15, len(part)).astype(np.float32)[:, None] for part in parts]
    pids = [part.pids.copy() for part in parts]
    pids[1][random.random(len(pids[1])) < 0.16] = -1
    pids[0][: 3 * size.queries // 40] += 10_000  # nobody in the gallery
    sets = [Embeddings(v, p, part.camids) for v, p, part in zip(wide, pids, parts, strict=True)]
    order = random.permutation(len(sets[0]))
    query, more = order[: size.queries], order
    turned = [
        replace_vectors(part, part.vectors + 0.3 * np.roll(part.vectors, 1, axis=1) * random.uniform(0.5, 1.5, part.dim))
        for part in sets
    ]
    made = [QueryGallery(q[query], g, q[more]) for q, g in (sets, turned)]
    return made[0], {"before neck": made[1]}


def replace_vectors(part: Embeddings, vectors: np.ndarray) -> Embeddings:
    return Embeddings(vectors, part.pids, part.camids)


def score(sets: QueryGallery, others: dict[str, QueryGallery], setting: Setting, seed: int) -> RetrievalScores:
    chosen = others[setting.features] if setting.features else sets
    more = chosen.multi_query if setting.convention.multi_query != "none" else None
    if setting.rerank == "none":
        return evaluate(chosen.query, chosen.gallery, setting.convention, multi_query=more, seed=seed)
    return evaluate_reranked(chosen.query, chosen.gallery, setting.convention, RERANKINGS[setting.rerank])


Printed: TypeAlias = tuple[str, str, float, float]


def printed(scores: RetrievalScores) -> Printed:
    """mAP, Rank-1, and by how much each may differ from other draws of single shots, percentage points."""
    noise = 0.0, 0.0
    if scores.first_rank.ndim == 2:
        rank = scores.first_rank[scores.valid]
        by_draw = np.stack([(1 / rank).mean(axis=0), (rank == 1).mean(axis=0)])
        noise = tuple((800 * by_draw.std(axis=1) / np.sqrt(by_draw.shape[1])).tolist())
    return f"{100 * scores.map:.2f}", f"{100 * scores.rank(1):.2f}", *noise


def apply(switches: list[tuple[str, str]]) -> Setting:
    own = {axis: value for axis, value in switches if axis in ("features", "rerank")}
    rest = {axis: value for axis, value in switches if axis not in own}
    return Setting(replace(MARKET1501, **rest), **own)  # type: ignore[arg-type]


def plant(random: np.random.Generator) -> list[tuple[str, str]]:
    size = int(random.integers(1, 4))
    if random.random() < 0.25:
        axes = ["rerank", *random.permutation(list(RERANKED))[: size - 1]]
        choices = {**RERANKED, "rerank": list(RERANKINGS)}
    else:
        axes, choices = random.permutation(list(PLAIN))[:size].tolist(), PLAIN
        if "shots" in axes and {"multi_query", "features"} & set(axes):  # not tried together
            return plant(random)
    return [(axis, str(random.choice(choices[axis]))) for axis in axes]


def effective(switches: list[tuple[str, str]], known: dict[Any, Printed], score_of: Any) -> bool:
    """Whether every switch changes what is printed, and by more than draws do."""

    def of(some: list[tuple[str, str]]) -> Printed:
        key = tuple(sorted(some))
        if key not in known:
            known[key] = printed(score_of(apply(some)))
        return known[key]

    def apart(one: Printed, other: Printed) -> bool:
        return any(abs(float(one[k]) - float(other[k])) > min(one[k + 2], other[k + 2]) for k in (0, 1))

    return all(apart(of([s for s in switches if s != one]), of(switches)) for one in switches)


def trials(size: Size, count: int, seed: int, screen: Screening) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    sets, others = town(size, seed)
    known: dict[Any, Printed] = {}
    first = among = alone = 0
    took, busy, missed = [], [], []
    while len(took) < count:
        switches = plant(random)
        if not effective(switches, known, lambda setting: score(sets, others, setting, seed=99)):
            continue
        precision, rank1, *_ = known[tuple(sorted(switches))]
        start, busy_before = time.perf_counter(), time.process_time()
        found = explain(sets, Claim(map=precision, rank1=rank1), others=others, screen=screen)
        took.append(time.perf_counter() - start)
        busy.append(time.process_time() - busy_before)
        wanted = set(changed(Setting(MARKET1501), apply(switches)))
        hit = found.exact and set(found.candidates[0].switches) == wanted
        first += hit
        among += found.exact and any(set(candidate.switches) == wanted for candidate in found.candidates)
        alone += found.exact and len(found.candidates) == 1 and hit
        if not hit:
            missed.append([switches, (precision, rank1), [c.switches for c in found.candidates[:3]], found.exact])
            print("    missed:", missed[-1], flush=True)
    result = {
        "plants": count, "named_first": first / count, "among_the_named": among / count, "the_only_one": alone / count,
        "median_s": sorted(took)[len(took) // 2], "longest_s": max(took),
        "median_processor_s": sorted(busy)[len(busy) // 2], "longest_processor_s": max(busy), "missed": missed,
    }  # fmt: skip
    print(
        f"{count} plants, {size.queries} x {size.gallery} x {size.dim}: named first {100 * first / count:.1f} %, among the named "
        f"{100 * among / count:.1f} %, the only one {100 * alone / count:.1f} %; median {result['median_s']:.1f} s, longest "
        f"{result['longest_s']:.1f} s; processor seconds {result['median_processor_s']:.1f}, {result['longest_processor_s']:.1f}",
        flush=True,
    )  # fmt: skip
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plants", type=int, default=200)
    parser.add_argument("--market", type=int, default=0, help="plants at Market-1501 size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--screen", choices=SCREENINGS, default="auto")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = {}
    if given.plants:
        found["small"] = trials(Size(500, 2_900, 256, 110, 6, 0.16), given.plants, given.seed, given.screen)
    if given.market:
        found["market1501"] = trials(Size(3_368, 19_732, 2_048, 750, 6, 0.16), given.market, given.seed, given.screen)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

"""Which pairs of cameras are hard, by how much, how sure that is, and what might help: in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from passerby.datasets import read_image
from passerby.embeddings import Embeddings
from passerby.metrics import CameraPairs, Interval, RetrievalScores

__all__ = ["Advice", "Look", "camera_advice", "looks_of", "wilson"]

_LEAST_QUERIES = 5  # of a pair of cameras that is named
_DARK, _GREY, _SMALL = 0.08, 0.08, 0.75  # from where on a camera's pictures are called other than the rest
_IMAGES_LOOKED_AT = 40  # of each camera


@dataclass(frozen=True)
class Look:
    """How a camera's pictures are in the middle: brightness and saturation from 0 to 1, height in px."""

    brightness: float
    saturation: float
    height_px: float


@dataclass(frozen=True)
class Advice:
    """Sentences for a reader.

    Attributes:
        found: what was measured.
        might_help: what could be tried, each with its command where there is one.
        worst: (query camera, gallery camera) of the hardest pair; None where there are too few queries.
        sure: whether the hardest pair's interval lies below the mean over all pairs.
    """

    found: tuple[str, ...]
    might_help: tuple[str, ...]
    worst: tuple[int, int] | None
    sure: bool


def wilson(hits: float, count: int) -> Interval:
    """95 % interval of a share, right for few cases too.

    Source:
        Wilson, Journal of the American Statistical Association 22, 1927.

    >>> [round(end, 3) for end in wilson(2, 9)]
    [0.063, 0.547]
    """
    z, share = 1.959964, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def camera_advice(
    scores: RetrievalScores,
    *,
    norm: str = "batch",
    adapted: bool = False,
    looks: Mapping[int, Look] | None = None,
    model: str = "MODEL",
) -> Advice:
    """Say where the search from camera to camera is worst, and what might be tried.

    Args:
        scores: of one evaluation.
        norm: of the model: ``batch``, ``camera``; anything else takes no camera statistics.
        adapted: whether the model has statistics of its cameras.
        looks: of the cameras' pictures.
        model: its folder, for the commands.
    """
    pairs = scores.camera_pairs
    if pairs is None or len(pairs.rows()) < 2:
        return Advice(("One pair of cameras at most has queries here: nothing can be said about cameras.",), (), None, False)
    rows = [row for row in pairs.rows() if row["num_queries"] >= _LEAST_QUERIES]
    if not rows:
        few = f"No pair of cameras has {_LEAST_QUERIES} queries or more: too few to say which is hard."
        return Advice((few,), (), None, False)
    everything = pairs.rows()
    total = sum(row["num_queries"] for row in everything)
    mean = sum(row["rank1"] * row["num_queries"] for row in everything) / total
    ends = {id(row): wilson(row["rank1"] * row["num_queries"], row["num_queries"]) for row in rows}
    worst = min(rows, key=lambda row: (ends[id(row)].high, row["rank1"]))
    interval = ends[id(worst)]
    sure = interval.high < mean
    found = [_of_pair(worst, interval, mean, sure)]
    camera, sentence = _hardest_camera(pairs)
    found += [sentence] if sentence else []
    reasons = _differences(camera, looks or {})
    found += (
        [f"Pictures of camera {camera} are {' and '.join(reasons.values())} than those of the other cameras."] if reasons else []
    )
    return Advice(tuple(found), tuple(_helps(worst, sure, norm, adapted, reasons, model)), _pair(worst), sure)


def _pair(row: Mapping[str, float]) -> tuple[int, int]:
    return int(row["query_camid"]), int(row["gallery_camid"])


def _of_pair(row: Mapping[str, float], interval: Interval, mean: float, sure: bool) -> str:
    count = int(row["num_queries"])
    text = (
        f"The hardest pair: queries of camera {row['query_camid']} searched in camera {row['gallery_camid']}. Rank-1 is "
        f"{row['rank1']:.0%} over {count} queries (95 % interval {interval.low:.0%} to {interval.high:.0%}), "
        f"{100 * (mean - row['rank1']):.0f} points below the mean over all pairs ({mean:.0%})."
    )
    return text if sure else text + f" The interval holds the mean: {count} queries are too few to call this more than chance."


def _hardest_camera(pairs: CameraPairs) -> tuple[int, str]:
    """The camera whose pairs, in both directions, find least; a sentence where there are three or more."""
    cameras = sorted({int(camid) for camid in (*pairs.query_camids, *pairs.gallery_camids)})

    def share(keep: np.ndarray) -> float:
        count = np.where(keep, pairs.num_queries, 0)
        return float(np.nansum(np.where(count > 0, pairs.rank1 * count, 0.0)) / count.sum()) if count.sum() else float("nan")

    def has(camera: int) -> np.ndarray:
        return (pairs.query_camids == camera)[:, None] | (pairs.gallery_camids == camera)[None, :]

    own = {camera: share(has(camera)) for camera in cameras}
    hardest = min(cameras, key=lambda camera: (math.isnan(own[camera]), own[camera]))
    rest = share(~has(hardest))
    if len(cameras) < 3 or math.isnan(own[hardest]) or math.isnan(rest):
        return hardest, ""
    return hardest, (
        f"Over all pairs, camera {hardest} is the hardest: Rank-1 {own[hardest]:.0%} where it is the query's or the gallery's "
        f"camera, {rest:.0%} between the others."
    )


def _differences(camera: int, looks: Mapping[int, Look]) -> dict[str, str]:
    """How one camera's pictures differ from the middle of the others', by kind."""
    if camera not in looks or len(looks) < 3:
        return {}
    others = [look for other, look in looks.items() if other != camera]
    own, middle = looks[camera], Look(*(median(getattr(o, name) for o in others) for name in Look.__dataclass_fields__))
    found = {}
    if abs(own.brightness - middle.brightness) > _DARK:
        word = "darker" if own.brightness < middle.brightness else "brighter"
        found["light"] = f"{word} ({own.brightness:.0%} against {middle.brightness:.0%} of full brightness)"
    if abs(own.saturation - middle.saturation) > _GREY:
        word = "less colourful" if own.saturation < middle.saturation else "more colourful"
        found["colour"] = f"{word} (saturation {own.saturation:.0%} against {middle.saturation:.0%})"
    if own.height_px < _SMALL * middle.height_px:
        found["size"] = f"smaller ({own.height_px:.0f} against {middle.height_px:.0f} px high)"
    return found


def _helps(row: Mapping[str, float], sure: bool, norm: str, adapted: bool, reasons: Mapping[str, str], model: str) -> list[str]:
    helps = []
    if not sure:
        helps.append(
            "More people seen by both cameras, as queries and in the gallery, would tell whether this pair is hard at all."
        )
    if norm == "batch" and not adapted:
        helps.append(
            "Camera statistics, from unlabelled pictures and without training: "
            f"`passerby adapt {model} --data DIR --out ADAPTED`, then `passerby evaluate ADAPTED --data DIR`. "
            "A model that is trained by camera (`passerby train camera-bn`) is made for this."
        )
    elif norm == "camera" and not adapted:
        helps.append(
            "This model was trained by camera. If these cameras are new to it, give it their statistics: "
            f"`passerby adapt {model} --data DIR --out ADAPTED`."
        )
    if "light" in reasons or "colour" in reasons:
        helps.append(
            "Training with changes of colour and light: `passerby train baseline --color-jitter`, or `--auto-augment reid`."
        )
    if "size" in reasons:
        helps.append("Larger pictures from that camera, by a higher resolution of its stream; upscaling adds nothing.")
    helps.append(
        f"Training pictures of people that cameras {row['query_camid']} and {row['gallery_camid']} both see: "
        "pairs across these two cameras are what the model has to learn."
    )
    return helps


def looks_of(sets: tuple[Embeddings, ...], images: Path) -> dict[int, Look]:
    """Brightness, saturation and height of some pictures of each camera, spread evenly over the rows.

    Raises:
        ImageError: an image cannot be decoded.
    """
    every = Embeddings.concatenate(sets)
    found = {}
    for camid in np.unique(every.camids):
        rows = np.flatnonzero(every.camids == camid)
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, _IMAGES_LOOKED_AT).astype(int))]
        measured = [_look(images / str(every.names[row])) for row in chosen]
        found[int(camid)] = Look(*(median(getattr(look, name) for look in measured) for name in Look.__dataclass_fields__))
    return found


def _look(path: Path) -> Look:
    image = read_image(path)
    height = image.height
    small = np.asarray(image.resize((16, 32), Image.Resampling.BOX).convert("HSV"), dtype=float) / 255
    return Look(float(small[..., 2].mean()), float(small[..., 1].mean()), float(height))

"""Conventions: what is meant by "Rank-1" and "mAP". Two projects that differ here print two numbers for one model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args, get_type_hints

from passerby.errors import UsageError, nearest

__all__ = [
    "ANY_CAMERA",
    "CAIL_MIXUP",
    "CONVENTIONS",
    "CUHK03_CLASSIC",
    "LAYUMI",
    "MARKET1501",
    "MARKET1501_MULTI_QUERY",
    "Convention",
    "resolve",
    "usual",
]


@dataclass(frozen=True)
class Convention:
    """Every choice between a ranked gallery and its numbers.

    Attributes:
        ap: average precision of one query with hits at ranks r_1 < ... < r_R. ``rank``: the mean of i / r_i. ``trapezoid``: the
            mean of i / r_i and (i - 1) / (r_i - 1) (1 where r_i = 1), as the Market-1501 code has it; never larger.
        junk: gallery images of pid -1 (bad detections): ``drop`` takes them out before ranking, ``keep`` leaves them as wrong
            answers.
        same_camera: gallery images of the query's own pid and camera: ``drop`` takes them out before ranking, ``keep`` counts
            them as right answers, except the query image itself, known by its name.
        distractors: gallery images of pid 0: ``keep`` leaves them as wrong answers, ``drop`` takes them out. With ``keep``, pid 0
            is a person like any other for data sets that count people from 0.
        without_match: queries for which no right answer is left: ``skip`` leaves them out of every mean, ``count`` enters them
            as 0.
        distance: ``cosine``, ``euclidean`` or ``dot`` (of the vectors as they are).
        ties: a wrong answer exactly as near as a right one stands before it (``pessimistic``) or after it (``optimistic``).
            Neither depends on the order of the gallery, as sorting does; what any sort gives lies between the two.
        shots: ``all``: the gallery as it is. ``single``: one random image of each person, drawn `repeats` times for each query
            from what the rules above leave, and averaged.
        repeats: how often ``single`` draws.
        multi_query: ``none``, or each query becomes the ``mean`` or the ``max`` (element by element) of the vectors of its pid
            and camera among the multi-query images.

    Raises:
        UsageError: a value that is not allowed.

    Example:
        >>> Convention(ap="trapezoid").in_words().split(";")[0]
        'AP by the trapezoid rule'
    """

    ap: Literal["rank", "trapezoid"] = "rank"
    junk: Literal["drop", "keep"] = "drop"
    same_camera: Literal["drop", "keep"] = "drop"
    distractors: Literal["keep", "drop"] = "keep"
    without_match: Literal["skip", "count"] = "skip"
    distance: Literal["cosine", "euclidean", "dot"] = "cosine"
    ties: Literal["pessimistic", "optimistic"] = "pessimistic"
    shots: Literal["all", "single"] = "all"
    repeats: int = 10
    multi_query: Literal["none", "mean", "max"] = "none"

    def __post_init__(self) -> None:
        allowed = get_type_hints(type(self))
        for field in fields(self):
            value, choices = getattr(self, field.name), get_args(allowed[field.name])
            if choices and value not in choices:
                raise UsageError(f"Convention {field.name} is {value!r}. {nearest(str(value), choices)}")
        if self.repeats < 1:
            raise UsageError(f"Convention repeats is {self.repeats}: a gallery must be drawn at least once.")

    def in_words(self) -> str:
        """What the numbers mean, in one line, to be printed beside them."""
        said = [
            {"rank": "AP by the rank rule", "trapezoid": "AP by the trapezoid rule"}[self.ap],
            f"{self.distance} distance" if self.distance != "dot" else "dot product",
            {"drop": "junk (pid -1) dropped", "keep": "junk (pid -1) kept as wrong answers"}[self.junk],
            {"drop": "own camera's matches dropped", "keep": "own camera's matches kept"}[self.same_camera],
            *([] if self.distractors == "keep" else ["distractors (pid 0) dropped"]),
            {"skip": "queries without a match skipped", "count": "queries without a match count as 0"}[self.without_match],
            {"pessimistic": "ties against the query", "optimistic": "ties for the query"}[self.ties],
            *([] if self.shots == "all" else [f"one random image a person, {self.repeats} draws"]),
            *([] if self.multi_query == "none" else [f"multi-query by {self.multi_query}"]),
        ]
        return "; ".join(said)


MARKET1501 = Convention()
"""The rule of most papers since 2018 and of torchreid, fastreid, camera-based BN and MetaBIN."""

MARKET1501_MULTI_QUERY = Convention(multi_query="mean")
"""As `MARKET1501`, each query the mean of its person's images in its camera (Zheng et al., ICCV 2015)."""

LAYUMI = Convention(ap="trapezoid", without_match="count")
"""The Person_reID_baseline_pytorch and OG-Net code: the trapezoid rule, and every query in the denominator."""

CAIL_MIXUP = Convention(ap="trapezoid")
"""The camera-aware mixup code: the trapezoid rule; it has no answer for a query without a match, which is skipped here."""

CUHK03_CLASSIC = Convention(shots="single")
"""The first CUHK03 protocol: single gallery shot, drawn again and averaged (Li et al., CVPR 2014)."""

ANY_CAMERA = Convention(same_camera="keep")
"""For data with one camera, or whose camera numbers mean nothing: every image of the person but the query itself is right."""

CONVENTIONS: dict[str, Convention] = {
    "market1501": MARKET1501,
    "market1501-multi-query": MARKET1501_MULTI_QUERY,
    "layumi": LAYUMI,
    "cail-mixup": CAIL_MIXUP,
    "cuhk03-classic": CUHK03_CLASSIC,
    "any-camera": ANY_CAMERA,
}


def usual(data: str) -> str:
    """The name of the convention under which a data set's figures are given.

    Args:
        data: canonical name of the data set; any other text is a data set like most.
    """
    return "cuhk03-classic" if data.startswith("cuhk03-classic") else "market1501"


def resolve(name: str) -> Convention:
    """The convention of that name.

    Raises:
        UsageError: no such convention; the message names the nearest.
    """
    if name not in CONVENTIONS:
        raise UsageError(f'no convention "{name}". {nearest(name, CONVENTIONS)}')
    return CONVENTIONS[name]

"""Numbers that can be trusted: exact CMC, mAP and mINP under a named convention, with intervals and a table by camera pair."""

from passerby.metrics.comparison import Condition, Difference, by_condition, compare
from passerby.metrics.conventions import (
    ANY_CAMERA,
    CAIL_MIXUP,
    CONVENTIONS,
    CUHK03_CLASSIC,
    LAYUMI,
    MARKET1501,
    MARKET1501_MULTI_QUERY,
    Convention,
)
from passerby.metrics.intervals import Interval, bootstrap
from passerby.metrics.protocols import pool_queries
from passerby.metrics.retrieval import evaluate, evaluate_distances
from passerby.metrics.scores import CameraPairs, RetrievalScores, TrialScores, over_trials
from passerby.metrics.verification import Verification, verify

__all__ = [
    "ANY_CAMERA",
    "CAIL_MIXUP",
    "CONVENTIONS",
    "CUHK03_CLASSIC",
    "LAYUMI",
    "MARKET1501",
    "MARKET1501_MULTI_QUERY",
    "CameraPairs",
    "Condition",
    "Convention",
    "Difference",
    "Interval",
    "RetrievalScores",
    "TrialScores",
    "Verification",
    "bootstrap",
    "by_condition",
    "compare",
    "evaluate",
    "evaluate_distances",
    "over_trials",
    "pool_queries",
    "verify",
]

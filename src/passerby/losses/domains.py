"""Losses over the domains of a batch: they disarrange places, so that what is left to learn from is the person.

Source: Choi et al., Meta Batch-Instance Normalization for Generalizable Person Re-Identification, CVPR 2021, section 3.3. Both
go with a triplet loss, `triplet_hard` with ``normalise=False, self_positive=True`` there: alone they are least where nothing
tells people apart.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from passerby.losses.precision import fp32
from passerby.losses.triplet import euclidean, hardest_triplets

__all__ = ["domain_scatter", "domain_shuffle"]


def domain_shuffle(embeddings: Tensor, labels: Tensor, domains: Tensor, *, margin: float | Literal["soft"] = "soft") -> Tensor:
    """Inter-domain shuffle: every image of another domain nearer than other people of the own domain.

    The mean over anchors of ``ln(1 + exp(d_p - d_n))``, d Euclidean, d_p to the farthest image of another domain, whoever it
    shows (or to the anchor itself, where there is no other domain), d_n to the nearest image of another person in the own
    domain.

    Args:
        embeddings: (B, D), taken as they are.
        labels: (B,) int64 people.
        domains: (B,) int64.
        margin: ``soft``, or a distance for ``[d_p - d_n + margin]+``.

    Returns:
        Scalar, at least 0. Anchors that are the only person of their domain are left out; 0 with zero gradient without any other.
    """
    with fp32(embeddings) as values:
        near = domains[:, None] == domains[None, :]
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        other_person = labels[:, None] != labels[None, :]
        return hardest_triplets(euclidean(values), ~near | itself, near & other_person, margin)


def domain_scatter(embeddings: Tensor, domains: Tensor) -> Tensor:
    """Intra-domain scatter: the mean cosine similarity of unit vectors to the centroid of their domain, averaged over domains.

    Minimised, it spreads each domain.

    Args:
        embeddings: (B, D), of any length; they are normalised here.
        domains: (B,) int64.

    Returns:
        Scalar from -1 to 1; every domain counts the same, however many images it has.
    """
    with fp32(embeddings) as values:
        unit = F.normalize(values)
        present = domains.unique()
        member = (domains[None, :] == present[:, None]).to(unit.dtype)
        centroids = F.normalize(member @ unit)  # a centroid's length does not change a cosine
        return ((member * (centroids @ unit.T)).sum(1) / member.sum(1)).mean()

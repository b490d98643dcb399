"""Neighbourhood losses: an unlabelled image is drawn to those exemplars that look like it, within its camera and across cameras.

Source: Luo, Song, Zhang, Generalizing Person Re-Identification by Camera-Aware Invariance Learning and Cross-Domain Mixup, ECCV
2020. All take cosine similarities of B images to the N exemplars of a memory, and choose neighbours without gradient.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from passerby.losses.precision import fp32

__all__ = ["CameraAware", "Neighbours", "camera_agnostic", "camera_aware", "camera_neighbours", "neighbours"]


class Neighbours(NamedTuple):
    """Who counts as a neighbour of each image.

    Attributes:
        intra: (B, N) bool, of the image's own camera, itself left out.
        inter: (B, N) bool, of other cameras.
    """

    intra: Tensor
    inter: Tensor


class CameraAware(NamedTuple):
    """The two losses of `camera_aware`, and the neighbourhoods that they were computed on."""

    intra: Tensor
    inter: Tensor
    neighbours: Neighbours


def neighbours(similarities: Tensor, candidates: Tensor, threshold: float) -> Tensor:
    """(B, N) bool: candidates whose similarity is above `threshold` times that of the best candidate.

    A row without a candidate, or whose best one is not above 0, has none.

    Args:
        similarities: (B, N) cosines.
        candidates: (B, N) bool.
        threshold: share of the best similarity, 0 to 1.
    """
    values = similarities.detach()
    best = values.masked_fill(~candidates, -1.0).amax(1, keepdim=True)
    return candidates & (values > threshold * best)


def camera_neighbours(
    similarities: Tensor, own: Tensor, cameras: Tensor, slot_cameras: Tensor, *, threshold: float = 0.8
) -> Neighbours:
    """The neighbours within the camera and across cameras, each by a threshold of its own; see `camera_aware`."""
    itself = _itself(similarities, own)
    same = cameras[:, None] == slot_cameras[None, :]
    return Neighbours(neighbours(similarities, same & ~itself, threshold), neighbours(similarities, ~same, threshold))


def camera_aware(
    similarities: Tensor,
    own: Tensor,
    cameras: Tensor,
    slot_cameras: Tensor,
    *,
    threshold: float = 0.8,
    scale: float = 10.0,
    floor: float = 1e-5,
) -> CameraAware:
    """Intra-camera and inter-camera invariance.

    With A the exemplars of the image's camera and B all others, p_A the softmax of `scale` * similarity over A and p_B that over
    B: P are the exemplars of A (itself left out) above `threshold` times the best of them, Q likewise of B;
    ``intra = mean(-1/|P| sum_P log p_A - log p_A[itself])`` and ``inter = mean(-1/|Q| sum_Q log p_B)``.

    Args:
        similarities: (B, N) cosines to the exemplars, with gradient.
        own: (B,) int64, the exemplar of each image itself.
        cameras: (B,) int64.
        slot_cameras: (N,) int64.
        threshold: of neighbours, a share of the best similarity.
        scale: 1 / temperature of the softmax.
        floor: probabilities are clamped to it; below it there is no gradient.

    Returns:
        Two scalars and the neighbours. Where a set is empty its term is 0 for that image (published: NaN), so that ``inter`` is 0
        with a single camera.

    Source:
        Equations of the paper's section 3.2, with the constants of its code.
    """
    with fp32(similarities) as values:
        itself = _itself(values, own)
        same = cameras[:, None] == slot_cameras[None, :]
        chosen = Neighbours(neighbours(values, same & ~itself, threshold), neighbours(values, ~same, threshold))
        scaled, least = scale * values, math.log(floor) if floor > 0 else -math.inf
        within, across = _log_total(scaled, same), _log_total(scaled, ~same)
        instance = (scaled.gather(1, own[:, None]).squeeze(1) - within).clamp(min=least)
        intra = -(_mean_over(scaled, within, chosen.intra, least) + instance).mean()
        inter = -_mean_over(scaled, across, chosen.inter, least).mean()
        return CameraAware(intra, inter, chosen)


def camera_agnostic(similarities: Tensor, own: Tensor, *, threshold: float = 0.8, scale: float = 10.0) -> tuple[Tensor, Tensor]:
    """The same without cameras, the paper's comparison: one softmax over all exemplars, one neighbourhood, no floor.

    Args:
        similarities, own, threshold, scale: see `camera_aware`.

    Returns:
        Scalar, and the neighbours (B, N) bool.
    """
    with fp32(similarities) as values:
        chosen = neighbours(values, ~_itself(values, own), threshold)
        scaled = scale * values
        total = scaled.logsumexp(1)
        instance = scaled.gather(1, own[:, None]).squeeze(1) - total
        return -(_mean_over(scaled, total, chosen, -math.inf) + instance).mean(), chosen


def _itself(similarities: Tensor, own: Tensor) -> Tensor:
    slots = torch.arange(similarities.shape[1], device=own.device)
    return slots[None, :] == own[:, None]


def _log_total(scaled: Tensor, members: Tensor) -> Tensor:
    """(B,) log of the sum of exponentials over the members of each row; a finite fill keeps rows without a member from NaN."""
    return scaled.masked_fill(~members, torch.finfo(scaled.dtype).min / 2).logsumexp(1)


def _mean_over(scaled: Tensor, total: Tensor, chosen: Tensor, least: float) -> Tensor:
    """(B,) mean over each row's chosen entries of their log probability, which is `least` or more; 0 without any.

    Only these few entries are looked at: as a whole (B, N) table, the memory of a large place would cost as much as the backbone.
    """
    rows, slots = chosen.nonzero(as_tuple=True)
    log_p = (scaled[rows, slots] - total[rows]).clamp(min=least)
    return torch.zeros_like(total).index_add(0, rows, log_p) / chosen.sum(1).clamp(min=1)

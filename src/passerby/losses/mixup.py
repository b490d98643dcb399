"""Cross-domain mixup: images between a labelled place and an unlabelled one, with a class of its own for each unlabelled image.

Source: Luo, Song, Zhang, Generalizing Person Re-Identification by Camera-Aware Invariance Learning and Cross-Domain Mixup, ECCV
2020, section 3.3.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from passerby.losses.precision import fp32

__all__ = ["mixed", "mixing_share", "mixup_cross_entropy", "virtual_logit"]


def mixing_share(alpha: float, *entropy: int) -> float:
    """The share of the labelled image, from 0 to 1: one draw from Beta(alpha, alpha) that follows from `entropy` alone.

    Args:
        alpha: above 0; small values give shares near 0 and 1.
        entropy: whatever the draw may depend on: seed, step, process.
    """
    return float(np.random.default_rng(entropy).beta(alpha, alpha))


def mixed(labelled: Tensor, unlabelled: Tensor, share: float) -> Tensor:
    """``share * labelled + (1 - share) * unlabelled``, row by row, of equal shapes."""
    return torch.lerp(unlabelled, labelled, share)


def virtual_logit(vectors: Tensor, exemplars: Tensor, class_weights: Tensor, labels: Tensor) -> Tensor:
    """(B,) the logit of each mixed image for the class that its unlabelled partner stands for.

    That class has the direction of the partner's exemplar and the length of the weight of the labelled image's class:
    ``<vector, exemplar> * ||w_label||``. Only `vectors` get a gradient.

    Args:
        vectors: (B, D) of the mixed images, not normalised.
        exemplars: (B, D) unit vectors of the partners.
        class_weights: (classes, D) of the classifier.
        labels: (B,) int64 classes of the labelled images.
    """
    with fp32(vectors) as values:
        lengths = class_weights.detach().to(values.dtype)[labels].norm(dim=1)
        return (values * exemplars.detach().to(values.dtype)).sum(1) * lengths


def mixup_cross_entropy(logits: Tensor, virtual: Tensor, labels: Tensor, share: float) -> Tensor:
    """``share * CE(label) + (1 - share) * CE(virtual class)`` over the classes and, for each row, its one virtual class.

    Other rows' partners are no class of this row's: there are C + 1 logits, whatever the number of unlabelled images.

    Args:
        logits: (B, C) of the labelled classes.
        virtual: (B,) see `virtual_logit`.
        labels: (B,) int64 in [0, C).
        share: of the labelled images, 0 to 1.

    Returns:
        Scalar, at least 0.
    """
    with fp32(logits) as values:
        log_p = F.log_softmax(torch.cat([values, virtual.to(values.dtype)[:, None]], dim=1), dim=1)
        return -(share * log_p.gather(1, labels[:, None]).mean() + (1 - share) * log_p[:, -1].mean())

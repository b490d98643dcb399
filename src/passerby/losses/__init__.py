"""Losses: a pure function each, a thin Module only where there is state.

    total = cross_entropy(outputs.logits, batch.labels, smoothing=0.1)
    terms = losses(outputs.embedding, batch.labels)      # losses = make_losses(("circle", "contrastive:0.5"), ...)
    total = total + sum(terms.values())

All take raw embeddings, normalise them where their formula says so, and compute in fp32. ``docs/losses.md`` has the formulas.
"""

from passerby.losses.adversarial import evaluating, odfa
from passerby.losses.circle import circle
from passerby.losses.domains import domain_scatter, domain_shuffle
from passerby.losses.instance import instance, instance_id
from passerby.losses.mixup import mixed, mixing_share, mixup_cross_entropy, virtual_logit
from passerby.losses.neighbour import camera_agnostic, camera_aware
from passerby.losses.pairwise import contrastive, lifted
from passerby.losses.precision import fp32
from passerby.losses.proxy import ArcFace, CosFace, SphereFace
from passerby.losses.softmax import cross_entropy, symmetric_kl
from passerby.losses.terms import LOSSES, LossKind, LossTerm, MetricLosses, make_losses
from passerby.losses.triplet import hardest_triplets, triplet, triplet_hard

__all__ = [
    "LOSSES",
    "ArcFace",
    "CosFace",
    "LossKind",
    "LossTerm",
    "MetricLosses",
    "SphereFace",
    "camera_agnostic",
    "camera_aware",
    "circle",
    "contrastive",
    "cross_entropy",
    "domain_scatter",
    "domain_shuffle",
    "evaluating",
    "fp32",
    "hardest_triplets",
    "instance",
    "instance_id",
    "lifted",
    "make_losses",
    "mixed",
    "mixing_share",
    "mixup_cross_entropy",
    "odfa",
    "symmetric_kl",
    "triplet",
    "triplet_hard",
    "virtual_logit",
]

"""Instance losses: a softmax over the batch itself, without class weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.losses.precision import fp32

__all__ = ["instance", "instance_id"]


def instance(embeddings: Tensor, labels: Tensor, *, gamma: float = 32.0) -> Tensor:
    """Every image is a class of its own: cross-entropy of the rows of ``gamma f f^T`` with the row's own index as target.

    Args:
        embeddings: (B, D), of any length; they are normalised here.
        labels: (B,); only their number counts. Images of one person are pushed apart like any others.
        gamma: scale of the similarities, published 32 (64 in the loss study).

    Returns:
        Scalar, at least 0.

    Source:
        Zheng et al. 2020 (instance loss), in the form of layumi/Person_reID_baseline_pytorch, which also divides it by B.

    Raises:
        UsageError: unequally many embeddings and labels.
    """
    if len(embeddings) != len(labels):
        raise UsageError(f"{len(embeddings)} embeddings and {len(labels)} labels: one label an embedding.")
    with fp32(embeddings) as values:
        return _own_index(F.normalize(values), gamma)


def instance_id(embeddings: Tensor, labels: Tensor, *, gamma: float = 32.0) -> Tensor:
    """Every person of the batch is a class: `instance` on the mean of each person's unit vectors.

    Args:
        embeddings: (B, D), of any length; they are normalised here; the means are not normalised again.
        labels: (B,) int64.
        gamma: scale of the similarities, published 32.

    Returns:
        Scalar, at least 0; 0 with zero gradient when the batch shows one person.

    Source:
        layumi/Person_reID_baseline_pytorch, option ``instance_id``, which also divides it by B.
    """
    with fp32(embeddings) as values:
        people, person = labels.unique(return_inverse=True)
        sums = values.new_zeros(len(people), values.shape[1]).index_add(0, person, F.normalize(values))
        counts = torch.bincount(person, minlength=len(people)).to(values.dtype)
        return _own_index(sums / counts[:, None], gamma)


def _own_index(f: Tensor, gamma: float) -> Tensor:
    return F.cross_entropy(gamma * f @ f.T, torch.arange(len(f), device=f.device))

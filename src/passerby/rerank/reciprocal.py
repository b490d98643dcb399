"""Weights over k-reciprocal neighbours, sparse: what k-reciprocal re-ranking and its Jaccard distance are made of."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from passerby.rerank.joined import Joined, Workers
from passerby.rerank.neighbours import Neighbours

__all__ = ["averaged", "neighbour_weights", "reciprocal_sets"]


def reciprocal_sets(ids: np.ndarray, k1: int) -> sparse.csr_array:
    """(N, N) who is in whose expanded k-reciprocal set, as ones.

    Args:
        ids: (N, > k1) nearest images of each image, nearest first.
        k1: neighbours that must be mutual, beside the image itself.

    Source:
        Zhong et al., CVPR 2017, equations 3 and 4: R*(i, k1) takes in R(c, k1 / 2) of each of its members c where more than two
        thirds of that lies in R(i, k1). k1 / 2 is rounded half to even, as the authors' code does.
    """
    mutual = _mutual(ids[:, : k1 + 1])
    half = _mutual(ids[:, : round(k1 / 2) + 1])
    common = (mutual @ half.T).multiply(mutual).tocsr()  # of each member c of R(i, k1): how much of R(c, k1 / 2) lies in it
    size = half.sum(axis=1)
    common.data = (3 * common.data > 2 * size[common.indices]).astype(np.int32)
    common.eliminate_zeros()
    found = sparse.csr_array(mutual + common @ half)
    found.data[:] = 1
    found.sort_indices()
    return found


def _mutual(ids: np.ndarray) -> sparse.csr_array:
    """R(i, k): who of the neighbours of i has i among its own."""
    N, k = ids.shape
    near = sparse.csr_array((np.ones(N * k, dtype=np.int32), ids.ravel(), np.arange(0, N * k + 1, k)), shape=(N, N))
    near.sort_indices()
    return sparse.csr_array(near.multiply(near.T.tocsr()))


def neighbour_weights(images: Joined, found: Neighbours, k1: int, power: int, workers: Workers) -> sparse.csr_array:
    """(N, N) V, float32: exp(-d / the row's largest d) over each image's set, with sum 1.

    Args:
        images: N images.
        found: their neighbours, more than k1.
        k1: see `reciprocal_sets`.
        power: 1 takes squared Euclidean distances as d, 2 their squares.
        workers: threads and kernel.

    Source:
        Zhong et al., CVPR 2017, equation 7. The sum is 1 in the authors' code and not in the paper.
    """
    near = _set_distances(images, found, k1, workers)
    rows = np.repeat(np.arange(len(images)), np.diff(near.indptr))
    weights = np.exp(-((near.data / positive(found.farthest)[rows]) ** power))
    total = np.bincount(rows, weights=weights, minlength=len(images))
    return sparse.csr_array(((weights / total[rows]).astype(np.float32), near.indices, near.indptr), shape=near.shape)


def _set_distances(images: Joined, found: Neighbours, k1: int, workers: Workers) -> sparse.csr_array:
    """(N, N) float64 distances over each image's set."""
    if found.kept is not None and k1 in found.kept:
        return found.kept[k1]
    sets = reciprocal_sets(found.ids, k1)
    rows = np.repeat(np.arange(len(images)), np.diff(sets.indptr))
    near = sparse.csr_array((images.pair_distances(rows, sets.indices, workers), sets.indices, sets.indptr), shape=sets.shape)
    if found.kept is not None:
        found.kept[k1] = near
    return near


def averaged(weights: sparse.csr_array, ids: np.ndarray, k2: int) -> sparse.csr_array:
    """Each image's weights as the mean of those of its first `k2` neighbours, itself among them: local query expansion.

    Source:
        Zhong et al., CVPR 2017, equation 11.
    """
    if k2 == 1:
        return weights
    N = len(ids)
    starts = np.arange(0, N * k2 + 1, k2)
    mean = sparse.csr_array((np.full(N * k2, 1 / k2, dtype=np.float32), ids[:, :k2].ravel(), starts), shape=(N, N))
    found = sparse.csr_array(mean @ weights)
    found.sort_indices()
    return found


def positive(farthest: np.ndarray) -> np.ndarray:
    """What distances are divided by: where all images are one point, 1."""
    return np.where(farthest > 0, farthest, 1.0)

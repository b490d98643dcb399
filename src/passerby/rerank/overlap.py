"""How much two images' sparse weights have in common, for a block of images against all targets at once."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from passerby.rerank.joined import Workers

__all__ = ["overlap"]


def overlap(
    weights: sparse.csr_array,
    inverted: sparse.csc_array,
    rows: slice,
    out: np.ndarray,
    workers: Workers,
    *,
    by_product: bool = False,
) -> np.ndarray:
    """Sum, over the neighbours that both have, of the smaller weight or of the product of both.

    Args:
        weights: (N, N) weights of the images, by row.
        inverted: (G, N) weights of the targets, by column: only those that share a neighbour with an image are visited.
        rows: the images.
        out: a buffer for the result.
        workers: threads and kernel.
        by_product: products instead of the smaller weight.

    Returns:
        (rows, G) float32, in `out`.
    """
    G = inverted.shape[0]  # pyright: ignore[reportOptionalSubscript]
    block = out[: (rows.stop - rows.start) * G].reshape(-1, G)
    start, neighbour, weight = mine = np.asarray(weights.indptr), np.asarray(weights.indices), np.asarray(weights.data)
    by_start, target, by_weight = theirs = np.asarray(inverted.indptr), np.asarray(inverted.indices), np.asarray(inverted.data)
    if workers.numba:
        from passerby.rerank.compiled import overlap_rows

        theirs = by_start, target.view(f"u{target.itemsize}"), by_weight  # numba need not look for negative columns then
        workers.share(lambda a, b: overlap_rows(block, rows.start, mine, theirs, by_product, a, b), len(block))
        return block
    if by_product:
        block[:] = (weights[rows] @ inverted.T).toarray()
        return block
    block[:] = 0
    for r in range(len(block)):
        for a in range(start[rows.start + r], start[rows.start + r + 1]):
            entry = slice(by_start[neighbour[a]], by_start[neighbour[a] + 1])
            block[r, target[entry]] += np.minimum(weight[a], by_weight[entry])  # a target stands once in a column
    return block

"""Several methods, and more images, from one search for neighbours."""

import numpy as np
import pytest

from passerby.embeddings import Embeddings
from passerby.errors import UsageError
from passerby.rerank import Graph, KReciprocal, rerank_blocks, rerank_together
from passerby.rerank.joined import Dots, Joined, Workers
from passerby.rerank.neighbours import find_candidates, find_neighbours, grow_candidates, settle
from passerby.rerank.together import rerank_growing

METHODS = [KReciprocal(6, 3), KReciprocal(6, 3, power=2), Graph(8, 3)]


def sets(seed=0, ties=False, queries=14, gallery=70):
    random = np.random.default_rng(seed)
    vectors = random.integers(-2, 3, (queries + gallery, 4)).astype(float) if ties else random.normal(size=(queries + gallery, 9))
    vectors[(vectors == 0).all(axis=1)] = 1
    vectors *= random.lognormal(0, 0.3, len(vectors))[:, None]
    both = Embeddings(vectors, np.arange(len(vectors)), np.zeros(len(vectors)))
    return both[:queries], both[queries:], random.random(gallery) < 0.7


def whole(blocks) -> np.ndarray:
    return np.concatenate([block.copy() for block in blocks])


def test_methods_together_give_what_each_gives_alone():
    query, gallery, _ = sets()
    for method, blocks in zip(METHODS, rerank_together(query, gallery, METHODS), strict=True):
        assert np.abs(whole(blocks) - whole(rerank_blocks(query, gallery, method))).max() < 1e-6
    with pytest.raises(UsageError, match="2 methods by 2 distances: neighbours that are found once need one"):
        rerank_together(query, gallery, [METHODS[0], KReciprocal(6, 3, distance="euclidean")])


@pytest.mark.parametrize("kernel", ["numba", "numpy"])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_some_images_and_then_all_give_what_each_set_gives(kernel, given, seed):
    query, gallery, first = sets(seed, ties=seed == 0)
    dots = Dots(4 * query.vectors @ gallery.vectors.T, 0.25) if given else None
    steps = rerank_growing(query, gallery, first, METHODS, dots=dots, kernel=kernel)
    for some, step in zip((gallery[first], gallery), steps, strict=True):
        for method, blocks in zip(METHODS, step, strict=True):
            assert np.abs(whole(blocks) - whole(rerank_blocks(query, some, method))).max() < 2e-6


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_candidates_that_grew_settle_to_the_same_neighbours(seed, given):
    query, gallery, first = sets(seed, ties=seed % 2 == 0)
    workers, k = Workers.choose("numba", 1, 2), 5
    dots = Dots(4 * query.vectors @ gallery.vectors.T, 0.25) if given else None
    some, images = Joined.of(query, gallery[first]), Joined.of(query, gallery, "cosine", dots)
    of = np.flatnonzero(np.concatenate([np.ones(len(query), dtype=bool), first]))
    grown = grow_candidates(images, find_candidates(some, k, workers, 16), of, k, workers, 16)
    found, expected = settle(images, grown, k, workers, 16), find_neighbours(images, k, workers, 16)
    assert (found.ids == expected.ids).all() and np.allclose(found.distances, expected.distances)
    assert np.allclose(found.farthest, expected.farthest, atol=1e-5)


def test_a_further_image_may_be_the_longest():
    query, gallery, first = sets()
    methods = [KReciprocal(6, 3, distance="euclidean")]
    gallery = gallery.with_vectors(gallery.vectors * np.where(first, 1, 3)[:, None])
    for some, (blocks,) in zip(
        (gallery[first], gallery), rerank_growing(query, gallery, first, methods, kernel="numba"), strict=True
    ):
        assert np.abs(whole(blocks) - whole(rerank_blocks(query, some, methods[0]))).max() < 2e-6


def test_few_first_images_are_searched_for_anew():
    query, gallery, _ = sets(queries=6)
    few = np.arange(len(gallery)) < 4
    steps = rerank_growing(query, gallery, few, [KReciprocal(4, 2)], kernel="numba")
    for some, (blocks,) in zip((gallery[few], gallery), steps, strict=True):
        assert np.abs(whole(blocks) - whole(rerank_blocks(query, some, KReciprocal(4, 2)))).max() < 2e-6


@pytest.mark.parametrize("same_first", [True, False])
def test_queries_that_are_the_gallery_in_one_step_alone(same_first):
    query, gallery, _ = sets()
    gallery = Embeddings.concatenate([query, gallery]) if same_first else gallery
    first = np.arange(len(gallery)) < len(query) if same_first else np.arange(len(gallery)) < 40
    query = query if same_first else gallery
    steps = rerank_growing(query, gallery, first, METHODS, kernel="numba")
    for some, step in zip((gallery[first], gallery), steps, strict=True):
        for method, blocks in zip(METHODS, step, strict=True):
            assert np.abs(whole(blocks) - whole(rerank_blocks(query, some, method))).max() < 2e-6


def test_all_images_at_once_are_one_step():
    query, gallery, _ = sets()
    assert len(list(rerank_growing(query, gallery, np.ones(len(gallery), dtype=bool), METHODS))) == 1

"""Exact and rough products, and whether rough ones pay."""

import numpy as np
import pytest
import torch

from passerby.embeddings import Embeddings
from passerby.reconciler.products import Products, Rounded, rounding_pays
from passerby.rerank.joined import Joined


def images(count, seed, dim=40, scale=1.0):
    vectors = scale * np.random.default_rng(seed).standard_normal((count, dim))
    return Embeddings(vectors, np.arange(count), np.zeros(count))


QUERY, GALLERY = images(600, 0, scale=30), images(50, 1, scale=7)


def similarities(query, gallery, distance):
    q, g = query.vectors.astype(float), gallery.vectors.astype(float)
    if distance == "cosine":
        return (q / np.linalg.norm(q, axis=1, keepdims=True)) @ (g / np.linalg.norm(g, axis=1, keepdims=True)).T
    return q @ g.T if distance == "dot" else -((q[:, None] - g) ** 2).sum(axis=2)


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "dot"])
@pytest.mark.parametrize("rough", [False, True])
def test_views_rank_as_the_distance_does(distance, rough):
    products = Products(QUERY, GALLERY, GALLERY.lengths(), Rounded.of(GALLERY.vectors) if rough else None)
    order = np.random.default_rng(2).permutation(len(GALLERY))
    view = products.view(distance, order)
    found = np.concatenate([[view(row) for row in block] for block in products.blocks()])
    expected = similarities(QUERY, GALLERY, distance)[:, order]
    for mine, theirs in zip(found, expected, strict=True):  # equal up to a factor and a summand of the query's own
        assert np.corrcoef(mine, theirs)[0, 1] > (0.9995 if rough else 1 - 1e-6)


def test_what_is_kept_is_given_again_and_to_re_ranking():
    products = Products(QUERY, GALLERY, GALLERY.lengths(), keep=True)
    assert products.known() is None
    blocks = list(products.blocks())
    assert all(np.shares_memory(one, other) for one, other in zip(blocks, products.blocks(), strict=True))
    with_dots, without = (Joined.of(QUERY, GALLERY, "cosine", dots) for dots in (products.known(), None))
    out, other = np.empty((2, 650 * 650), dtype=np.float32)
    rows = slice(580, 620)  # queries and gallery
    assert np.allclose(with_dots.products(rows, 590, out), without.products(rows, 590, other), atol=1e-4)
    assert not Products(QUERY, GALLERY, GALLERY.lengths()).known()


def test_rounded_rows_are_off_by_half_a_step_at_most():
    vectors = np.concatenate([QUERY.vectors, np.zeros((1, 40), dtype=np.float32)])
    rounded = Rounded.of(vectors)
    assert (np.abs(rounded.values * rounded.scale[:, None] - vectors) <= 0.501 * rounded.scale[:, None]).all()
    integers = np.empty((601, 601), dtype=np.int32)
    rounded.products(rounded, integers)
    assert (integers == rounded.values.astype(np.int64) @ rounded.values.astype(np.int64).T).all()


def test_rounding_does_not_pay_where_products_are_missing_or_wrong(monkeypatch):
    def saturating(one, other, out):
        out.copy_((one.int() @ other.int()).clamp(-(2**12), 2**12))

    monkeypatch.setattr(torch, "_int_mm", saturating)
    assert not rounding_pays(64)
    monkeypatch.delattr(torch, "_int_mm")
    assert not rounding_pays(64)


@pytest.mark.parametrize(("ints", "pays"), [(1.0, True), (7.0, False)])
def test_rounding_pays_where_it_is_faster(monkeypatch, ints, pays):
    ticks = iter(np.cumsum([0, 9.0, 0, ints] * 3))  # a float product takes 9, one of integers so many
    monkeypatch.setattr("passerby.reconciler.products.time.perf_counter", lambda: float(next(ticks)))
    assert rounding_pays(8) is pays

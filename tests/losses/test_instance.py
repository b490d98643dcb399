"""Instance losses: a softmax over the batch itself."""

import math

import pytest
import torch

from passerby.errors import UsageError
from passerby.losses import instance, instance_id


def slow_instance(vectors, labels, gamma=32.0):
    units = [v / v.norm() for v in vectors]
    return _rows(units, gamma)


def slow_instance_id(vectors, labels, gamma=32.0):
    means = []
    for label in sorted(set(labels.tolist())):
        own = [v / v.norm() for v, y in zip(vectors, labels.tolist(), strict=True) if y == label]
        means.append(sum(own) / len(own))
    return _rows(means, gamma)


def _rows(f, gamma):
    losses = [-torch.log(torch.exp(gamma * f[i] @ f[i]) / sum(torch.exp(gamma * f[i] @ v) for v in f)) for i in range(len(f))]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("gamma", [32.0, 4.0])
@pytest.mark.parametrize(("loss", "reference"), [(instance, slow_instance), (instance_id, slow_instance_id)])
def test_they_follow_their_formulas(batch, agree, loss, reference, gamma):
    agree(lambda f, y: loss(f, y, gamma=gamma), lambda f, y: reference(f, y, gamma), *batch)


def test_instance_by_hand():
    """Three vectors at right angles: each row is gamma for itself and 0 for two others."""
    expected = math.log(1 + 2 * math.exp(-4))
    assert float(instance(2 * torch.eye(3), torch.zeros(3), gamma=4.0)) == pytest.approx(expected, rel=1e-5)


def test_people_with_one_image_each_make_both_losses_equal(batch):
    vectors, labels = batch[0][:5], torch.arange(5)
    torch.testing.assert_close(instance_id(vectors, labels), instance(vectors, labels))


@pytest.mark.parametrize("labels", [[4, 4, 4], [1]], ids=["one person", "one image"])
def test_one_person_gives_zero_and_zero_gradient(vanishes, labels):
    vanishes(instance_id, torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(0)), torch.tensor(labels))


@pytest.mark.parametrize("loss", [instance, instance_id])
def test_autocast_does_not_reach_inside(batch, loss):
    vectors, labels = batch[0].to(torch.bfloat16), batch[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(vectors, labels)
    assert found.dtype == torch.float32
    assert torch.equal(found, loss(vectors.float(), labels))


def test_a_label_too_few_is_refused():
    with pytest.raises(UsageError) as error:
        instance(torch.eye(3), torch.tensor([0, 1]))
    assert str(error.value) == "3 embeddings and 2 labels: one label an embedding."

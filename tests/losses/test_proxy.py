"""ArcFace, CosFace and SphereFace against their papers, and the class weights that somebody must train."""

import math

import pytest
import torch
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.losses import ArcFace, CosFace, SphereFace

CLASSES, DIM = 10, 6


def slow_arcface(cosine):
    angle, margin = torch.acos(cosine), math.radians(28.6)
    return torch.cos(angle + margin) if angle + margin <= math.pi else cosine - margin * math.sin(margin)


def slow_cosface(cosine):
    return cosine - 0.35


def slow_sphereface(cosine, m=4):
    angle = torch.acos(cosine)
    k = math.floor(float(angle.detach()) * m / math.pi)
    return (-1) ** k * torch.cos(m * angle) - 2 * k


def slow(weights, target, scale):
    def loss(vectors, labels):
        total = 0.0
        for v, label in zip(vectors, labels.tolist(), strict=True):
            cosines = [v @ weights[:, c] / v.norm() / weights[:, c].norm() for c in range(CLASSES)]
            logits = torch.stack([scale * (target(s) if c == label else s) for c, s in enumerate(cosines)])
            total = total - F.log_softmax(logits, dim=0)[label]
        return total / len(vectors)

    return loss


KINDS = {ArcFace: (slow_arcface, 64.0), CosFace: (slow_cosface, 64.0), SphereFace: (slow_sphereface, 1.0)}


@pytest.mark.parametrize("kind", KINDS)
def test_they_follow_their_papers(batch, agree, kind):
    target, scale = KINDS[kind]
    torch.manual_seed(3)
    loss = kind(CLASSES, DIM).double()
    agree(loss, slow(loss.weights, target, scale), *batch)
    vectors, labels = batch
    (found,) = torch.autograd.grad(loss(vectors, labels), loss.weights)
    (expected,) = torch.autograd.grad(slow(loss.weights, target, scale)(vectors, labels), loss.weights)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


def test_arcface_goes_on_rising_beyond_180_degrees():
    """At 170 degrees, 28.6 more would lower the loss again; the straight continuation is cos - margin sin(margin)."""
    loss = ArcFace(2, 2, scale=1.0).double()
    angle = math.radians(170)
    with torch.no_grad():
        loss.weights.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]).T)
    vector = torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    m = math.radians(28.6)
    logits = torch.tensor([[math.cos(angle) - m * math.sin(m), math.sin(angle)]], dtype=torch.float64)
    torch.testing.assert_close(loss(vector, torch.tensor([0])), F.cross_entropy(logits, torch.tensor([0])))


def test_sphereface_over_the_whole_half_circle():
    """Every one of the four pieces, also m = 3: psi falls from 1 to 1 - 2 m without a jump."""
    for m in (3, 4):
        loss = SphereFace(1, 2, margin=m).double()
        cosines = torch.cos(torch.linspace(0.01, math.pi - 0.01, 200, dtype=torch.float64))
        found = loss.loss.modify_cosine_of_target_classes(cosines)
        torch.testing.assert_close(found, torch.stack([slow_sphereface(c, m) for c in cosines]))
        assert (found.diff() < 0).all()
        assert float(found[-1]) == pytest.approx(1 - 2 * m, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_class_weights_are_parameters_and_part_of_the_state(kind):
    loss = kind(CLASSES, DIM)
    assert [p.shape for p in loss.parameters()] == [(DIM, CLASSES)]
    again = kind(CLASSES, DIM)
    again.load_state_dict(loss.state_dict())
    assert torch.equal(again.weights, loss.weights)
    before = loss.weights.detach().clone()
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1)
    loss(torch.randn(4, DIM, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3])).backward()
    optimizer.step()
    assert not torch.equal(loss.weights, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sign", [1, -1])
def test_an_image_exactly_on_or_against_its_class_weight_has_a_finite_gradient(kind, sign):
    loss = kind(CLASSES, DIM)
    vectors = (sign * loss.weights.detach().T[:3]).clone().requires_grad_()
    loss(vectors, torch.tensor([0, 1, 2])).backward()
    assert vectors.grad is not None
    assert loss.weights.grad is not None
    assert vectors.grad.isfinite().all()
    assert loss.weights.grad.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_does_not_reach_inside(batch, kind):
    vectors, labels = batch[0].to(torch.bfloat16), batch[1]
    loss = kind(CLASSES, DIM)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(vectors, labels)
    assert found.dtype == torch.float32
    assert torch.equal(found, loss(vectors.float(), labels))
    assert loss.weights.dtype == torch.float32


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ArcFace(0, 6), "class weights for 0 classes of 6 dimensions: both must be 1 or more."),
        (lambda: CosFace(4, 6, scale=0.0), "margin is 0.35 and scale is 0.0: the margin must be 0 or more, the scale above 0."),
        (
            lambda: ArcFace(4, 6, margin_deg=-1),
            "margin is -1 and scale is 64.0: the margin must be 0 or more, the scale above 0.",
        ),
        (
            lambda: SphereFace(4, 6, margin=1.5),  # type: ignore[arg-type]
            "the margin of SphereFace multiplies the angle: 1.5 is not a whole number of 1 or more.",
        ),
    ],
)
def test_what_they_refuse(make, text):
    with pytest.raises(UsageError) as error:
        make()
    assert str(error.value) == text

"""Cross-entropy with both forms of label smoothing, and the agreement of two predictions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.losses import cross_entropy, symmetric_kl

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.3, 0.1, -0.7]], dtype=torch.float64)
LABELS = torch.tensor([0, 2])


def slow_cross_entropy(logits, labels, smoothing, spread):
    total = 0.0
    classes = logits.shape[1]
    for row, label in zip(logits, labels.tolist(), strict=True):
        p = [math.exp(v) / sum(math.exp(w) for w in row.tolist()) for v in row.tolist()]
        for c in range(classes):
            if spread == "all":
                target = smoothing / classes + (1 - smoothing if c == label else 0)
            else:
                target = 1 - smoothing if c == label else smoothing / (classes - 1)
            total -= target * math.log(p[c])
    return total / len(logits)


@pytest.mark.parametrize("spread", ["all", "others"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_cross_entropy_follows_its_definition(smoothing, spread):
    found = cross_entropy(LOGITS, LABELS, smoothing=smoothing, spread=spread)
    assert float(found) == pytest.approx(slow_cross_entropy(LOGITS, LABELS, smoothing, spread), rel=1e-12)


def test_cross_entropy_by_hand():
    """Three equal logits: every class has 1/3, so any target that sums to 1 costs ln 3."""
    equal = torch.zeros(5, 3)
    for spread in ("all", "others"):
        assert float(cross_entropy(equal, torch.tensor([0, 1, 2, 0, 1]), smoothing=0.1, spread=spread)) == pytest.approx(
            math.log(3)
        )


@given(smoothing=st.floats(0, 0.99), seed=st.integers(0, 1000))
def test_spreading_over_all_is_torchs_own_smoothing(smoothing, seed):
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    labels = torch.tensor([0, 4, 2, 2])
    expected = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    torch.testing.assert_close(cross_entropy(logits, labels, smoothing=smoothing), expected, rtol=1e-10, atol=1e-12)


def test_heads_are_summed():
    heads = (LOGITS, 2 * LOGITS, LOGITS.flip(0))
    expected = sum(float(cross_entropy(head, LABELS)) for head in heads)
    assert float(cross_entropy(heads, LABELS)) == pytest.approx(expected)


def test_one_class_costs_nothing():
    assert float(cross_entropy(torch.randn(3, 1), torch.zeros(3, dtype=torch.int64), smoothing=0.0)) == 0


def test_half_precision_logits_are_computed_in_fp32():
    logits = torch.tensor([[30000.0, -30000.0]], dtype=torch.float16)
    found = cross_entropy(logits, torch.tensor([1]))
    assert found.dtype == torch.float32
    assert float(found) == 60000


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"smoothing": 1.0}, "label smoothing is 1.0: it must be at least 0 and below 1."),
        ({"smoothing": -0.1}, "label smoothing is -0.1: it must be at least 0 and below 1."),
        ({"spread": "some"}, 'label smoothing is spread over "some"; allowed: all, others.'),
        ({"logits": ()}, "cross-entropy needs logits: this model has no classifier."),
    ],
)
def test_what_cross_entropy_refuses(changes, text):
    arguments = {"logits": LOGITS, "labels": LABELS, **changes}
    with pytest.raises(UsageError) as error:
        cross_entropy(**arguments)
    assert str(error.value) == text


def test_symmetric_kl_by_hand():
    p, t = [0.5, 0.5], [0.9, 0.1]
    one_way = sum(a * math.log(a / b) for a, b in zip(p, t, strict=True))
    other_way = sum(b * math.log(b / a) for a, b in zip(p, t, strict=True))
    student, teacher = torch.tensor([p, p]).log(), torch.tensor([t, t]).log() + 3  # a constant does not change a softmax
    assert float(symmetric_kl(student, teacher)) == pytest.approx((one_way + other_way) / 2, rel=1e-5)


def test_symmetric_kl_is_zero_for_equal_predictions_and_does_not_teach_the_teacher():
    student = LOGITS.clone().requires_grad_()
    teacher = (LOGITS + 1).requires_grad_()
    value = symmetric_kl(student, teacher)
    assert value.item() == pytest.approx(0, abs=1e-12)
    symmetric_kl(student, 2 * teacher).backward()
    assert student.grad is not None
    assert student.grad.abs().max() > 0
    assert teacher.grad is None

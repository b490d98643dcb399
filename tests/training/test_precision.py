import pytest
import torch
from torch import nn

from passerby.errors import UsageError
from passerby.training.precision import Precision


def trained(name, steps=6, restore_at=None):
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    precision = Precision(name)
    seen = []
    for step in range(steps):
        if step == restore_at:
            fresh = Precision(name)
            fresh.load_state_dict(precision.state_dict())
            precision = fresh
        with precision.forward():
            logits = model(torch.ones(2, 4) * (step + 1))
        seen.append(logits.dtype)
        precision.update(nn.functional.cross_entropy(logits.float(), torch.tensor([0, 1])), optimizer)
    return model, seen, precision


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_the_forward_pass_has_the_precision_and_the_weights_stay_fp32(name, dtype):
    model, seen, _ = trained(name)
    assert set(seen) == {dtype}
    assert model.weight.dtype == torch.float32
    skipped = name == "fp16"  # the scaler's first scale is too high on purpose, so that its first step is left out
    assert (model.weight - trained("fp32")[0].weight).abs().max() < (0.2 if skipped else 0.05)
    assert model.weight.grad is not None and model.weight.grad.abs().sum() > 0


def test_fp16_scales_gradients_and_leaves_out_a_step_that_overflows():
    model, _, precision = trained("fp16", steps=1)
    before, scale = model.weight.clone(), precision.scaler.get_scale()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    precision.update(model.weight.sum() * float("inf"), optimizer)
    assert torch.equal(model.weight, before)
    assert precision.scaler.get_scale() == scale / 2
    again = Precision("fp16")
    again.load_state_dict(precision.state_dict())
    assert again.state_dict() == precision.state_dict()


def test_restoring_the_scaler_changes_nothing():
    assert torch.equal(trained("fp16")[0].weight, trained("fp16", restore_at=3)[0].weight)


def test_gradients_are_clipped_together_after_unscaling():
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizers = [torch.optim.SGD([first], lr=1.0), torch.optim.SGD([second], lr=1.0)]
    for name in ("fp32", "fp16"):
        first.data.zero_(), second.data.zero_()
        Precision(name).update(3 * first.sum() + 4 * second.sum(), *optimizers, max_norm=1.0)
        assert (first.item(), second.item()) == (pytest.approx(-0.6, rel=1e-4), pytest.approx(-0.8, rel=1e-4))


def test_an_unknown_precision_is_refused():
    with pytest.raises(UsageError, match=r'no precision "fp8". Did you mean "fp32"'):
        Precision("fp8")

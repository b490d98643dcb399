"""Batch-instance norm against torch's own norms, and what its modes do to running statistics."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.models.norms.batch_instance import BatchInstanceNorm2d, InstanceNorm2d, clamp_gates, gates, running_statistics
from passerby.training import synchronise_norms


def a_norm(form="separate", channels=5, seed=0) -> BatchInstanceNorm2d:
    generator = torch.Generator().manual_seed(seed)
    norm = BatchInstanceNorm2d(channels, form=form, init="random", generator=generator).double()
    with torch.no_grad():
        for name, parameter in norm.named_parameters():
            if name != "gate":
                parameter.copy_(torch.rand(parameter.shape, generator=generator) + 0.5)
        norm.batch.running_mean.copy_(torch.rand(channels, generator=generator))
        norm.batch.running_var.copy_(torch.rand(channels, generator=generator) + 0.5)
    return norm


def images(seed=1, batch=4, channels=5) -> torch.Tensor:
    return 3 * torch.randn(batch, channels, 6, 3, generator=torch.Generator().manual_seed(seed)).double() + 2


def slow(norm: BatchInstanceNorm2d, x: torch.Tensor) -> torch.Tensor:
    """The formula, from torch's own two norms."""
    batch = F.batch_norm(
        x,
        norm.batch.running_mean.clone(),
        norm.batch.running_var.clone(),
        norm.batch.weight,
        norm.batch.bias,
        norm.batch.training,
    )
    own = F.instance_norm(x, weight=norm.instance.weight, bias=norm.instance.bias)
    rho = norm.gate[:, None, None]
    mixed = rho * batch + (1 - rho) * own
    return mixed * norm.weight[:, None, None] + norm.bias[:, None, None] if norm.form == "shared" else mixed


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form", ["separate", "shared"])
def test_it_is_the_formula_and_so_are_its_gradients(form, training):
    norm, x = a_norm(form).train(training), images().requires_grad_()
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).double()
    inputs = [x, *norm.parameters()]
    expected = slow(norm, x)
    wanted = torch.autograd.grad((expected * weight).sum(), inputs)
    found = norm(x)
    assert torch.allclose(found, expected)
    for got, want in zip(torch.autograd.grad((found * weight).sum(), inputs), wanted, strict=True):
        assert torch.allclose(got, want, atol=1e-9)


@pytest.mark.parametrize("form", ["separate", "shared"])
def test_gates_at_their_ends_are_batch_norm_and_instance_norm(form):
    x = images().float()
    plain, own = nn.BatchNorm2d(5), nn.InstanceNorm2d(5, affine=True)
    assert torch.allclose(BatchInstanceNorm2d(5, form=form, init="one")(x), plain(x), atol=1e-6)
    assert torch.allclose(BatchInstanceNorm2d(5, form=form, init="zero")(x), own(x), atol=1e-6)


def test_running_statistics_are_those_of_torch_batch_norm():
    norm, plain = BatchInstanceNorm2d(5, init="half"), nn.BatchNorm2d(5)
    for seed in range(3):
        x = images(seed).float()
        norm(x), plain(x)
    for name, buffer in plain.named_buffers():
        assert torch.allclose(getattr(norm.batch, name), buffer), name


def test_the_slope_of_the_gate_is_batch_norm_less_instance_norm():
    norm, x = a_norm(), images()
    (found,) = torch.autograd.grad(norm(x).sum(dim=(0, 2, 3)).sum(), [norm.gate])
    batch = F.batch_norm(x, None, None, norm.batch.weight, norm.batch.bias, True)
    own = F.instance_norm(x, weight=norm.instance.weight, bias=norm.instance.bias)
    assert torch.allclose(found, (batch - own).sum(dim=(0, 2, 3)))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.integers(2, 5))
def test_the_order_of_a_batch_does_not_matter(seed, batch):
    norm, x = a_norm(seed=seed), images(seed, batch)
    order = torch.randperm(batch, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(norm(x)[order], norm(x[order]))


def test_second_derivatives_are_right():
    norm, x = a_norm(channels=2), images(batch=2, channels=2)[:, :, :2, :2].contiguous()

    def out(gate: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(norm, {"gate": gate}, (x,)).square()

    gate = norm.gate.detach().clone().requires_grad_()
    assert torch.autograd.gradgradcheck(out, (gate, x.requires_grad_()))


def test_a_map_of_one_pixel_leaves_of_instance_norm_its_bias():
    norm = BatchInstanceNorm2d(3, init="zero")
    with torch.no_grad():
        norm.instance.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    found = norm(torch.randn(4, 3, 1, 1, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(found.squeeze(), torch.tensor([1.0, 2.0, 3.0]), atol=1e-4)


def test_it_is_as_exact_under_autocast_as_its_input():
    norm, x = BatchInstanceNorm2d(5, init="half"), images().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = norm(x.bfloat16())
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), norm(x.bfloat16().float()), atol=2e-2)


@pytest.mark.parametrize("form", ["separate", "shared"])
def test_a_batch_norm_over_processes_in_its_place_does_the_same_alone(form):
    norm, x = a_norm(form), images()
    expected = norm(x)
    synchronised = synchronise_norms(a_norm(form))
    assert type(synchronised.batch) is not nn.BatchNorm2d
    assert torch.allclose(synchronised(x), expected)


@pytest.mark.parametrize(("init", "least", "most"), [("one", 1, 1), ("zero", 0, 0), ("half", 0.5, 0.5), ("random", 0, 1)])
def test_gates_start_where_they_should(init, least, most):
    gate = BatchInstanceNorm2d(64, init=init).gate
    assert least <= gate.min() and gate.max() <= most
    assert (init == "random") == (len(gate.unique()) > 1)


@pytest.mark.parametrize("affine", [True, False])
def test_the_fast_instance_norm_is_torch_instance_norm(affine):
    ours, theirs = InstanceNorm2d(5, affine=affine).double(), nn.InstanceNorm2d(5, affine=affine).double()
    x = images().requires_grad_()
    if affine:
        with torch.no_grad():
            theirs.weight.copy_(torch.arange(5.0)), theirs.bias.copy_(torch.arange(5.0) - 2)
    ours.load_state_dict(theirs.state_dict())
    wanted = torch.autograd.grad(theirs(x).tanh().sum(), [x, *theirs.parameters()])
    found = torch.autograd.grad(ours(x).tanh().sum(), [x, *ours.parameters()])
    assert torch.allclose(ours(x), theirs(x)) and ours(x.half()).dtype == torch.float16
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(found, wanted, strict=True))


def test_gates_are_found_by_their_layer_and_clamped():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), BatchInstanceNorm2d(4), nn.Sequential(BatchInstanceNorm2d(4)))
    model.register_parameter("some_gate", nn.Parameter(torch.full((2,), 7.0)))
    found = gates(model)
    assert list(found) == ["1.gate", "2.0.gate"]
    with torch.no_grad():
        found["1.gate"].copy_(torch.tensor([-1.0, 0.25, 1.0, 3.0]))
    clamp_gates(model)
    assert found["1.gate"].tolist() == [0.0, 0.25, 1.0, 1.0]
    assert model.some_gate.tolist() == [7.0, 7.0]
    assert list(gates(BatchInstanceNorm2d(2))) == ["gate"]


@pytest.mark.parametrize(
    ("mode", "moves", "of_the_batch"), [("general", True, True), ("hold", False, True), ("eval", False, False)]
)
def test_modes_of_running_statistics(mode, moves, of_the_batch):
    model = nn.Sequential(BatchInstanceNorm2d(5), nn.BatchNorm2d(5))
    x = images().float()
    model(x)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with running_statistics(model, mode):
        found = model(x)
    changed = [name for name, buffer in model.named_buffers() if not torch.equal(buffer, before[name])]
    assert (len(changed) == len(before)) if moves else (changed == [])
    assert (found.mean(dim=(0, 2, 3)).abs() < 1e-5).all() == of_the_batch
    assert all(layer.training for layer in model.modules())
    assert model[0].batch.track_running_stats and model[1].track_running_stats


@pytest.mark.parametrize("mode", ["general", "hold", "eval"])
def test_evaluation_mode_wins_over_every_mode(mode):
    model, x = nn.Sequential(BatchInstanceNorm2d(5), nn.BatchNorm2d(5)).eval(), images().float()
    expected = model(x)
    with running_statistics(model, mode):
        assert torch.equal(model(x), expected)
    assert not any(layer.training for layer in model.modules())


def test_unknown_words_are_refused():
    with pytest.raises(UsageError, match=r'the form of batch-instance norm is "both"; allowed: separate, shared.'):
        BatchInstanceNorm2d(3, form="both")
    with pytest.raises(UsageError, match=r'gates start at "two"; allowed: one, zero, half, random.'):
        BatchInstanceNorm2d(3, init="two")
    with (
        pytest.raises(UsageError, match=r'running statistics are treated as "keep"; allowed: general, hold, eval.'),
        running_statistics(nn.Identity(), "keep"),
    ):
        pass

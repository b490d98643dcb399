"""Alone, a synchronised norm is a plain one; what several processes do is in test_distributed.py."""

import pytest
import torch
from torch import nn

from passerby.training import sync_norm
from passerby.training.sync_norm import SynchronisedBatchNorm, synchronise_norms


def test_plain_norms_are_replaced_with_their_parameters_and_others_left():
    class Own(nn.BatchNorm2d):
        pass

    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm1d(4)), Own(4), nn.InstanceNorm2d(4))
    names = list(model.state_dict())
    weight = model[1].weight
    model[1].eval()
    assert synchronise_norms(model) is model
    assert list(model.state_dict()) == names
    assert [type(m) for m in (model[1], model[2][0], model[3])] == [SynchronisedBatchNorm, SynchronisedBatchNorm, Own]
    assert model[1].weight is weight and not model[1].training and model[2][0].training


def test_a_single_norm_is_converted_itself():
    assert isinstance(synchronise_norms(nn.BatchNorm1d(3)), SynchronisedBatchNorm)


class Twins:
    """Two processes that hold the same rows: gathering doubles them."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(sync_norm, "world", lambda: type("World", (), {"size": 2}))
        monkeypatch.setattr(sync_norm, "gather", lambda rows: torch.cat([rows, rows]))


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 5), (6, 4, 3, 2)])
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
def test_statistics_over_twins_are_those_of_the_doubled_batch(monkeypatch, shape, momentum, affine):
    torch.manual_seed(0)
    inputs = (torch.randn(shape) * 3 + 100).double()
    plain = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](4, momentum=momentum, affine=affine)
    if affine:
        nn.init.uniform_(plain.weight), nn.init.uniform_(plain.bias)
    ours = SynchronisedBatchNorm(4, momentum=momentum, affine=affine)
    ours.load_state_dict(plain.state_dict())
    plain.double()
    alone = ours(inputs.float())
    Twins(monkeypatch)
    ours.load_state_dict(
        {n: torch.zeros_like(t) if "mean" in n else t for n, t in ours.state_dict().items()} | {"running_var": torch.ones(4)}
    )
    ours.num_batches_tracked.zero_()
    together = ours(inputs.float())
    expected = plain(torch.cat([inputs, inputs]))[: len(inputs)]
    torch.testing.assert_close(together.double(), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ours.running_mean.double(), plain.running_mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.running_var.double(), plain.running_var, rtol=1e-4, atol=1e-4)
    assert ours.num_batches_tracked == 1


def test_without_tracking_nothing_is_remembered(monkeypatch):
    Twins(monkeypatch)
    norm = SynchronisedBatchNorm(3, track_running_stats=False)
    norm(torch.randn(4, 3))
    assert norm.running_mean is None


def test_evaluation_uses_the_running_statistics(monkeypatch):
    norm = SynchronisedBatchNorm(3).eval()
    Twins(monkeypatch)
    inputs = torch.randn(4, 3) + 7
    torch.testing.assert_close(norm(inputs), inputs / (1 + 1e-5) ** 0.5)


def test_a_vector_is_refused():
    with pytest.raises(ValueError, match=r"expected \(B, C, ...\), got \(3,\)"):
        SynchronisedBatchNorm(3)(torch.zeros(3))

"""Norms of a backbone by name: how many there are, what they take over, what they refuse."""

import pytest
import torch
from torch import nn

from passerby.errors import UsageError
from passerby.models import ModelConfig, build_backbone, build_model
from passerby.models.norms.batch_instance import BatchInstanceNorm2d, InstanceNorm2d, gates
from passerby.models.norms.mixing import MIXING_NORMS, HalfInstanceNorm2d, mix_norms


@pytest.mark.parametrize(
    ("name", "numbers"), [("mobilenet_v2_x1_0", 17_088), ("mobilenet_v2_x1_4", 23_822), ("resnet50", 26_560)]
)
def test_the_published_counts_of_gates(name, numbers):
    with torch.device("meta"):
        found = gates(mix_norms(build_backbone(name, last_stride=1), "bin"))
    assert len(found) == 53
    assert sum(gate.numel() for gate in found.values()) == numbers


@pytest.mark.parametrize("norm", ["bin", "bin-shared"])
def test_with_gates_at_one_the_network_is_what_it_was(norm, generator):
    backbone = build_backbone("mobilenet_v2_x1_0", image_size=(64, 32))
    x = torch.randn(2, 3, 64, 32, generator=generator)
    backbone(x)  # running statistics that are not the initial ones
    expected = backbone.eval()(x)
    assert torch.allclose(mix_norms(backbone, norm)(x), expected, atol=1e-4)


def test_half_has_batch_norm_on_the_larger_first_half(generator):
    norm = HalfInstanceNorm2d(5)
    x = torch.randn(3, 5, 4, 4, generator=generator)
    expected = torch.cat([nn.BatchNorm2d(3)(x[:, :3]), nn.InstanceNorm2d(2, affine=True)(x[:, 3:])], dim=1)
    assert torch.allclose(norm(x), expected, atol=1e-6)
    plain = nn.Sequential(nn.BatchNorm2d(5))
    with torch.no_grad():
        plain[0].weight.copy_(torch.arange(5.0))
    mix_norms(plain, "half")
    assert plain[0].batch.weight.tolist() == [0, 1, 2] and plain[0].instance.weight.tolist() == [1, 1]


def test_dualnorm_has_instance_norms_in_the_first_six_of_nine_parts():
    with torch.device("meta"):
        body = mix_norms(build_backbone("mobilenet_v2_x1_4"), "dualnorm").body
    for part, layer in body.named_children():
        kinds = {type(norm) for norm in layer.modules() if "Norm" in type(norm).__name__}
        assert kinds == {InstanceNorm2d if int(part[-1]) < 7 else nn.BatchNorm2d}, part


@pytest.mark.parametrize("norm", sorted(MIXING_NORMS))
def test_a_model_is_made_with_each(norm, generator):
    model = build_model(ModelConfig(backbone="mobilenet_v2_x1_0", image_size=(64, 32), head="bnneck", norm=norm), 4)
    outputs = model(torch.randn(2, 3, 64, 32, generator=generator))
    outputs.logits[0].sum().backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert type(model.head.norm) is nn.BatchNorm1d
    assert bool(gates(model)) == norm.startswith("bin")


def test_mode_and_start_of_gates_are_kept():
    plain = nn.Sequential(nn.BatchNorm2d(4)).eval()
    mix_norms(plain, "bin", gate_init="half")
    assert isinstance(plain[0], BatchInstanceNorm2d)
    assert not plain[0].training and not plain[0].batch.training and plain[0].gate.tolist() == [0.5] * 4


def test_what_has_no_such_norms_is_refused():
    with pytest.raises(
        UsageError, match=r'no norm "bni". Did you mean "bin"\? Allowed: instance, half, dualnorm, bin, bin-shared.'
    ):
        mix_norms(nn.Sequential(nn.BatchNorm2d(2)), "bni")
    with pytest.raises(UsageError, match=r'norm "bin" takes the place of plain batch norms; Sequential has none.'):
        mix_norms(nn.Sequential(nn.Linear(2, 2)), "bin")
    with (
        torch.device("meta"),
        pytest.raises(UsageError, match=r'norm "half" .*; mobilenetv2_100 holds BatchNormAct2d. Take a ResNet'),
    ):
        mix_norms(build_backbone("mobilenetv2_100"), "half")
    with pytest.raises(
        UsageError, match=r"dualnorm is defined for mobilenet_v2_x1_0 and mobilenet_v2_x1_4, the backbone is Sequential"
    ):
        mix_norms(nn.Sequential(nn.BatchNorm2d(2)), "dualnorm")

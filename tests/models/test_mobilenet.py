"""The MobileNetV2 of torchreid and MetaBIN: its shape, and the layouts of weights that it takes."""

from pathlib import Path

import pytest
import torch

from passerby.models import build_backbone
from passerby.models.mobilenet import MobileNetV2, _moments_of_relu6
from passerby.models.weights import load_weights

SIZE = (64, 32)


@pytest.mark.parametrize(("width", "channels"), [
    (1.0, [32, 16, 24, 32, 64, 96, 160, 320, 1280]),
    (1.4, [44, 22, 33, 44, 89, 134, 224, 448, 1792]),
])  # fmt: skip
def test_channels_and_maps_are_the_published_ones(width, channels):
    with torch.device("meta"):
        body = MobileNetV2(width)
        x, found = torch.empty(1, 3, 256, 128), []
        body.keep_last_resolution()
        for part in body.children():
            x = part(x)
            found.append(x.shape[1])
    assert found == channels and x.shape[2:] == (16, 8)
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in body.modules()) == 53


def test_torchvision_weights_compute_what_they_compute_there(tmp_path: Path, generator):
    theirs = build_backbone("mobilenet_v2", image_size=SIZE, last_stride=1)
    x = torch.randn(4, 3, *SIZE, generator=generator)
    theirs(x)
    torch.save(theirs.body.state_dict(), tmp_path / "weights.pth")
    ours = build_backbone("mobilenet_v2_x1_0", image_size=SIZE, last_stride=1)
    report = load_weights(ours, tmp_path / "weights.pth")
    assert report.layout == "torchvision" and report.missing == () and report.dropped == () and report.share == 1
    assert torch.allclose(ours.eval()(x), theirs.eval()(x), atol=1e-4)


@pytest.mark.parametrize("layout", ["torchreid", "DualNorm"])
def test_weights_under_the_names_of_others(layout, tmp_path: Path, generator):
    wanted = build_backbone("mobilenet_v2_x1_0", image_size=SIZE)
    state = wanted.body.state_dict()
    if layout == "DualNorm":
        names = {name: name.replace(".conv3.0.", ".conv3.").replace(".conv3.1.", ".bn.") for name in state}
        state = {f"layer{names[name].removeprefix('conv')}": tensor for name, tensor in state.items()}
        assert "layer3.1.bn.weight" in state and "layer2.0.conv3.weight" in state and "layer9.conv.weight" in state
    torch.save(
        {f"module.{name}": tensor for name, tensor in state.items()} | {"module.classifier.weight": torch.ones(3, 2)},
        tmp_path / "w.pth",
    )
    found = build_backbone("mobilenet_v2_x1_0", image_size=SIZE)
    report = load_weights(found, tmp_path / "w.pth")
    assert report.layout == "torchreid" and report.missing == () and report.dropped == ("module.classifier.weight",)
    x = torch.randn(2, 3, *SIZE, generator=generator)
    assert torch.equal(found.eval()(x), wanted.eval()(x))


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1.5, 2.0), (-2.0, 0.5), (7.0, 3.0)])
def test_moments_of_what_relu6_leaves_of_a_normal_distribution(mean, std):
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    weight = torch.exp(-z.square() / 2)
    values = (mean + std * z).clamp(0, 6)
    expected = (values * weight).sum() / weight.sum()
    spread = ((values - expected).square() * weight).sum() / weight.sum()
    found = _moments_of_relu6(torch.tensor([mean]).double(), torch.tensor([std]).double())
    assert torch.allclose(torch.cat(found), torch.stack([expected, spread]), atol=1e-6)

import pytest
import torch
from torch.nn import functional as F

from passerby.models.osnet import OSBlock, osnet, osnet_ain


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def embedding_layer(channels):
    """The published counts include OSNet's own linear layer to 512 numbers with its BN, and leave the classifier out."""
    return channels * 512 + 512 + 2 * 512


@pytest.mark.parametrize(("width", "published"), [(1.0, 2.2), (0.75, 1.3), (0.5, 0.6), (0.25, 0.2)])
def test_parameters_are_those_of_the_paper(width, published):
    network = osnet(width)
    assert round((parameters(network) + embedding_layer(network.num_features)) / 1e6, 1) == published


def test_ain_has_the_parameters_of_osnet():
    """An instance norm stands in for a BN of the same size, so nothing is added."""
    assert parameters(osnet_ain()) == parameters(osnet(1.0)) == 1_905_828


def conv_norm(name):
    return [f"{name}.conv.weight", *norm(f"{name}.bn")]


def norm(name, running=True):
    return [
        f"{name}.{what}"
        for what in ("weight", "bias", *(("running_mean", "running_var", "num_batches_tracked") if running else ()))
    ]


def light(name):
    return [f"{name}.conv1.weight", f"{name}.conv2.weight", *norm(f"{name}.bn")]


def gate(name):
    return [f"{name}.gate.{layer}.{what}" for layer in ("fc1", "fc2") for what in ("weight", "bias")]


def torchreid_osnet():
    names = conv_norm("conv1")
    for stage in (2, 3, 4):
        for number in (0, 1):
            block = f"conv{stage}.{number}"
            names += conv_norm(f"{block}.conv1") + light(f"{block}.conv2a") + gate(block) + conv_norm(f"{block}.conv3")
            for letter, depth in (("b", 2), ("c", 3), ("d", 4)):
                names += [key for k in range(depth) for key in light(f"{block}.conv2{letter}.{k}")]
            names += conv_norm(f"{block}.downsample") if number == 0 else []
        names += conv_norm(f"conv{stage}.2.0") if stage != 4 else []
    return {*names, *conv_norm("conv5")}


def torchreid_osnet_ain():
    names = ["conv1.conv.weight", *norm("conv1.bn", running=False)]
    for stage, instance in ((2, (True, True)), (3, (False, True)), (4, (True, False))):
        for number in (0, 1):
            block = f"conv{stage}.{number}"
            names += conv_norm(f"{block}.conv1") + gate(block) + [f"{block}.conv3.conv.weight"]
            names += norm(f"{block}.IN", running=False) if instance[number] else norm(f"{block}.conv3.bn")
            names += [key for t in range(4) for k in range(t + 1) for key in light(f"{block}.conv2.{t}.layers.{k}")]
            names += conv_norm(f"{block}.downsample") if number == 0 else []
        names += conv_norm(f"pool{stage}.0") if stage != 4 else []
    return {*names, *conv_norm("conv5")}


def test_names_are_those_of_torchreids_checkpoints():
    assert set(osnet(0.25).state_dict()) == torchreid_osnet()
    assert set(osnet_ain().state_dict()) == torchreid_osnet_ain()


def test_a_block_is_the_gated_sum_of_streams_of_growing_depth(shaken, generator):
    """Section 3.2 of the paper, written out with plain functions."""
    block = shaken(OSBlock(16, 64)).eval()
    state = block.state_dict()
    x = torch.randn(2, 16, 6, 5, generator=generator)

    def bn(x, name):
        mean, var, weight, bias = (state[f"{name}.{what}"] for what in ("running_mean", "running_var", "weight", "bias"))
        return ((x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()) * weight[:, None, None] + bias[:, None, None]

    def lite(x, name):
        x = torch.einsum("bihw,oi->bohw", x, state[f"{name}.conv1.weight"][:, :, 0, 0])
        padded = F.pad(x, (1, 1, 1, 1))
        kernel = state[f"{name}.conv2.weight"][:, 0]
        shifted = [kernel[:, a, b, None, None] * padded[:, :, a : a + 6, b : b + 5] for a in range(3) for b in range(3)]
        return bn(sum(shifted), f"{name}.bn").clamp(min=0)

    def gated(x):
        mean = x.mean((2, 3))
        hidden = (mean @ state["gate.fc1.weight"][:, :, 0, 0].T + state["gate.fc1.bias"]).clamp(min=0)
        weight = 1 / (1 + torch.exp(-(hidden @ state["gate.fc2.weight"][:, :, 0, 0].T + state["gate.fc2.bias"])))
        return x * weight[:, :, None, None]

    def pointwise(x, name):
        return bn(torch.einsum("bihw,oi->bohw", x, state[f"{name}.conv.weight"][:, :, 0, 0]), f"{name}.bn")

    squeezed = pointwise(x, "conv1").clamp(min=0)
    mixed = 0
    for depth, letter in enumerate("abcd", start=1):
        stream = squeezed
        for k in range(depth):
            stream = lite(stream, f"conv2{letter}" if depth == 1 else f"conv2{letter}.{k}")
        mixed = mixed + gated(stream)
    expected = (pointwise(mixed, "conv3") + pointwise(x, "downsample")).clamp(min=0)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


def test_ain_forgets_contrast_and_brightness_of_the_image(generator):
    """Its first norm is an instance norm, so gain on the input changes nothing beyond eps."""
    network = osnet_ain().eval()
    x = torch.randn(1, 3, 64, 32, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(network(3 * x), network(x), rtol=1e-2, atol=1e-3)
        plain = osnet(0.25).eval()
        assert not torch.allclose(plain(3 * x), plain(x), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("make", [lambda: osnet(0.25), osnet_ain])
def test_every_parameter_learns(make, generator):
    network = make()
    network(torch.randn(4, 3, 64, 32, generator=generator)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())
    assert sum(parameter.grad.abs().sum() > 0 for parameter in network.parameters()) > 0.95 * len(list(network.parameters()))

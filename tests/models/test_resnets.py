import copy

import pytest
import torch
from torch import nn

from passerby.errors import UsageError
from passerby.models import build_backbone
from passerby.models.resnets import IBN, USAM, add_ibn_a, keep_last_resolution


@pytest.fixture
def resnet18():
    return build_backbone("resnet18").body


def test_ibn_is_instance_norm_on_the_first_half_and_batch_norm_on_the_rest(shaken, generator):
    norm = shaken(IBN(5))
    x = torch.randn(3, 5, 4, 6, generator=generator)
    found = norm(x)
    for channel in range(5):
        if channel < 2:
            mean, var = x[:, channel].mean((1, 2), keepdim=True), x[:, channel].var((1, 2), correction=0, keepdim=True)
            weight, bias = norm.IN.weight[channel], norm.IN.bias[channel]
        else:
            mean, var = x[:, channel].mean(), x[:, channel].var(correction=0)
            weight, bias = norm.BN.weight[channel - 2], norm.BN.bias[channel - 2]
        torch.testing.assert_close(found[:, channel], (x[:, channel] - mean) / (var + 1e-5).sqrt() * weight + bias)


def test_on_a_batch_of_one_image_ibn_a_is_the_plain_resnet(resnet18, shaken, generator):
    """With one image, statistics over the batch are statistics over the image. The affine parameters are carried over."""
    plain = shaken(resnet18).train()
    ibn = add_ibn_a(copy.deepcopy(plain))
    for stage in ("layer1", "layer2", "layer3"):
        for mine, theirs in zip(getattr(ibn, stage), getattr(plain, stage), strict=True):
            half = mine.bn1.widths[0]
            for what in ("weight", "bias"):
                getattr(mine.bn1.IN, what).data.copy_(getattr(theirs.bn1, what)[:half])
                getattr(mine.bn1.BN, what).data.copy_(getattr(theirs.bn1, what)[half:])
    x = torch.randn(1, 3, 64, 64, generator=generator)
    torch.testing.assert_close(ibn.forward_features(x), plain.forward_features(x), rtol=1e-4, atol=1e-4)
    two = torch.cat([x, 2 * x.flip(2)])
    assert not torch.allclose(ibn.forward_features(two), plain.forward_features(two), rtol=1e-2, atol=1e-2)


def test_ibn_a_stands_in_the_first_three_stages_under_its_published_names(resnet18):
    names = {name for name in add_ibn_a(resnet18).state_dict() if ".IN." in name}
    assert names == {f"layer{s}.{b}.bn1.IN.{what}" for s in (1, 2, 3) for b in (0, 1) for what in ("weight", "bias")}


def test_usam_follows_its_formula(shaken, generator):
    """att = LeakyReLU0.1(BN(9 s - box3x3(s))), zero on the border; x + att x."""
    usam = shaken(USAM()).eval()
    x = torch.randn(2, 3, 5, 4, generator=generator)
    total = x.sum(1)
    expected = x.clone()
    for row in range(1, 4):
        for column in range(1, 3):
            box = total[:, row - 1 : row + 2, column - 1 : column + 2].sum((1, 2))
            raw = 9 * total[:, row, column] - box
            raw = (raw - usam.bn.running_mean) / (usam.bn.running_var + 1e-5).sqrt() * usam.bn.weight + usam.bn.bias
            attention = torch.where(raw > 0, raw, 0.1 * raw)
            expected[:, :, row, column] += attention[:, None] * x[:, :, row, column]
    torch.testing.assert_close(usam(x), expected)


def test_usam_adds_two_norms_of_one_channel_and_renames_nothing():
    plain, attentive = build_backbone("resnet18").body, build_backbone("resnet18", usam=True).body
    added = {
        name: tensor.shape
        for name, tensor in attentive.state_dict().items()
        if name not in plain.state_dict() and not name.endswith("num_batches_tracked")
    }
    assert set(plain.state_dict()) < set(attentive.state_dict())
    assert len(added) == 8
    assert set(added.values()) == {torch.Size([1])}


@pytest.mark.parametrize("name", ["resnet26", "resnet26d"])
def test_every_second_pixel_of_stride_1_is_the_map_of_stride_2(name, shaken, generator):
    """Behind the one strided convolution of a bottleneck there are only pointwise ones; the deep shortcut averages 2x2 pixels."""
    block = shaken(build_backbone(name).body.layer4[0]).eval()
    wrapped = nn.Module()
    wrapped.layer4 = nn.ModuleList([copy.deepcopy(block)])
    keep_last_resolution(wrapped, name)
    x = torch.randn(1, 1024, 6, 4, generator=generator)
    if name == "resnet26d":
        x = x[:, :, ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3)  # so that the average is any of its pixels
    fine = wrapped.layer4[0](x)
    assert fine.shape[2:] == (6, 4)
    torch.testing.assert_close(fine[:, :, ::2, ::2], block(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["resnetblur18", "skresnet18", "resnetaa34d"])
def test_a_resnet_that_shrinks_by_a_filter_has_no_last_stride_1(name):
    with pytest.raises(UsageError) as error:
        build_backbone(name, last_stride=1)
    assert (
        str(error.value) == f"{name} shrinks by a filter of its own, so it has no last stride 1. Take last_stride 2, or resnet50."
    )

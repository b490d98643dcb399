from pathlib import Path

import pytest
import torch

from passerby.errors import UsageError
from passerby.models import BACKBONES, Backbone, bodies, build_backbone, resolve_backbone
from passerby.models.bodies import IBN_A, OWN, import_timm

PUBLISHED = [  # name, options, C, map
    ("resnet50", {}, 2048, (8, 4)),
    ("resnet50", {"last_stride": 1}, 2048, (16, 8)),
    ("resnet101_ibn_a", {"last_stride": 1, "drop_path": 0.1}, 2048, (16, 8)),
    ("resnet50_ibn_a", {"usam": True}, 2048, (8, 4)),
    ("densenet121", {"last_stride": 1}, 1024, (15, 7)),
    ("mobilenet_v2", {"last_stride": 1}, 1280, (16, 8)),
    ("mobilenet_v2_x1_4", {"last_stride": 1}, 1792, (16, 8)),
    ("osnet_x1_0", {}, 512, (16, 8)),
    ("osnet_x0_5", {}, 256, (16, 8)),
    ("osnet_x0_25", {}, 128, (16, 8)),
    ("osnet_ain_x1_0", {}, 512, (16, 8)),
    ("hrnet18", {}, 2048, (8, 4)),
    ("efficientnet_b4", {"drop_path": 0.2}, 1792, (8, 4)),
    ("convnext", {"drop_path": 0.2}, 1024, (8, 4)),
    ("swin", {"image_size": (224, 224), "drop_path": 0.2}, 1024, (7, 7)),
    ("swinv2", {"drop_path": 0.2}, 1024, (8, 4)),
    ("dinov3", {}, 768, (133, 1)),  # 16 x 8 patches, one class token, four registers
    ("nasnet", {}, 4032, (8, 4)),
]


@pytest.mark.parametrize(("name", "options", "channels", "map_size"), PUBLISHED)
def test_every_backbone_of_the_spec_gives_its_map_and_a_gradient_to_every_parameter(name, options, channels, map_size):
    with torch.device("meta"):  # shapes and the graph, without numbers
        backbone = build_backbone(name, **options).eval()
        found = backbone(torch.empty(2, 3, *options.get("image_size", (256, 128))))
        found.sum().backward()
    assert found.shape == (2, channels, *map_size)
    assert (backbone.num_features, backbone.map_size) == (channels, map_size)
    assert backbone.is_grid == (map_size != (133, 1))
    assert [key for key, parameter in backbone.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", ["resnet18", "osnet_x0_25", "mobilenet_v2"])
@pytest.mark.parametrize("size", [(64, 32), (48, 80)])
def test_small_and_odd_images_pass_in_training_and_evaluation(name, size, generator):
    backbone = build_backbone(name, image_size=size)
    for mode in (True, False):
        found = backbone.train(mode)(torch.randn(2, 3, *size, generator=generator))
        assert found.shape == (2, backbone.num_features, *backbone.map_size)
        assert found.isfinite().all()


def test_every_name_in_the_table_is_known():
    timm = import_timm()
    for alias, name in BACKBONES.items():
        assert resolve_backbone(alias) == name
        assert name in OWN or name in IBN_A or timm.is_model(name)
    assert set(OWN) | set(IBN_A) <= set(BACKBONES)
    assert resolve_backbone("vit_base_patch16_dinov3.lvd1689m") == "vit_base_patch16_dinov3.lvd1689m"  # timm's own names pass


def test_the_page_about_networks_names_every_backbone():
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    assert [name for name in (*BACKBONES, *BACKBONES.values()) if f"`{name}`" not in page] == []


def test_the_trial_run_draws_no_random_number_and_leaves_norms_alone():
    torch.manual_seed(5)
    expected = import_timm().create_model("resnet18", num_classes=0, global_pool="").state_dict()
    torch.manual_seed(5)
    found = build_backbone("resnet18").body.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_resnet50_has_the_parameters_of_resnet50_without_its_classifier():
    with torch.device("meta"):
        backbone = build_backbone("resnet50")
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 25_557_032 - (2048 * 1000 + 1000)


def test_densenet_ends_in_its_norm_not_in_a_relu(shaken, generator):
    backbone = shaken(build_backbone("densenet121")).eval()
    stock = import_timm().create_model("densenet121", num_classes=0).eval()
    stock.load_state_dict(backbone.body.state_dict())
    x = torch.randn(1, 3, 64, 32, generator=generator)
    with torch.no_grad():
        found, expected = backbone(x), stock.forward_features(x)
    assert found.min() < 0
    torch.testing.assert_close(found.clamp(min=0), expected)


def test_average_pooling_of_a_transformer_is_the_mean_of_all_its_tokens(generator):
    backbone = build_backbone("vit_tiny_patch16_224", image_size=(64, 32)).eval()
    x = torch.randn(2, 3, 64, 32, generator=generator)
    tokens = backbone.body.forward_features(x)
    assert tokens.shape == (2, 4 * 2 + 1, 192)
    torch.testing.assert_close(backbone(x).mean((2, 3)), tokens.mean(1))


def test_a_map_with_channels_last_is_turned(generator):
    backbone = build_backbone("swin_tiny_patch4_window7_224", image_size=(64, 32)).eval()
    x = torch.randn(1, 3, 64, 32, generator=generator)
    with torch.no_grad():
        theirs, found = backbone.body.forward_features(x), backbone(x)
    assert found.shape == (1, 768, 2, 1)
    assert torch.equal(found[0, :, 1, 0], theirs[0, 1, 0, :])


def test_what_only_timms_classifier_would_use_is_taken_out():
    backbone = build_backbone("mobilenetv3_small_050")
    stock = import_timm().create_model("mobilenetv3_small_050", num_classes=0)
    gone = set(stock.state_dict()) - set(backbone.body.state_dict())
    assert gone == {"conv_head.weight", "conv_head.bias"}


def test_a_weight_that_the_map_ignores_inside_a_used_part_is_frozen(monkeypatch):
    """Its gradient would never come, and several processes would wait for it."""

    class Part(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.used(x)

    monkeypatch.setitem(bodies.OWN, "mobilenet_v2", lambda: torch.nn.Sequential(Part()))
    backbone = build_backbone("mobilenet_v2", image_size=(30, 10))  # a size of its own: trial runs are remembered
    trainable = [name for name, parameter in backbone.named_parameters() if parameter.requires_grad]
    assert trainable == ["body.0.used.weight", "body.0.used.bias"]


def test_the_maps_of_a_resnet_are_its_last_two_stages(generator):
    backbone = build_backbone("resnet18", usam=True).eval()
    x = torch.randn(1, 3, 64, 32, generator=generator)
    third, last = backbone.maps(x)
    assert backbone.stage_features == (256, 512) == (third.shape[1], last.shape[1])
    torch.testing.assert_close(last, backbone(x))
    torch.testing.assert_close(backbone.body.layer4(third), last)


def test_a_batch_may_come_in_any_order(generator):
    backbone = build_backbone("osnet_x0_25", image_size=(64, 32)).eval()
    x = torch.randn(4, 3, 64, 32, generator=generator)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(backbone(x[order]), backbone(x)[order])


TABLE = (
    "resnet50, resnet101, resnet50_ibn_a, resnet50_ibn, resnet101_ibn_a, resnet101_ibn, osnet_x1_0, osnet, osnet_x0_75, "
    "osnet_x0_5, osnet_x0_25, osnet_ain_x1_0, osnet_ain, mobilenet_v2, mobilenetv2, "
    "mobilenet_v2_x1_0, mobilenetv2_x1_0, mobilenet_v2_x1_4, mobilenetv2_x1_4, densenet121, hrnet18, hrnet_w18, "
    "efficientnet_b4, convnext, convnext_base, swin, swinv2, dinov3, nasnet, nasnetalarge"
)

REJECTED = [
    (
        {"name": "resnet5"},
        f'no backbone "resnet5". Did you mean "resnet50"? Allowed: {TABLE}, or any model name of timm.',
    ),
    ({"name": "?"}, f'no backbone "?". Allowed: {TABLE}, or any model name of timm.'),
    ({"name": "resnet18", "last_stride": 3}, "last_stride is 3: it is 1 or 2."),
    ({"name": "resnet18", "drop_path": 1.0}, "drop_path is 1.0: it is a probability, at least 0 and below 1."),
    ({"name": "resnet18", "image_size": (256,)}, "image_size is (256,): give height and width in px."),
    (
        {"name": "osnet", "last_stride": 1},
        "osnet_x1_0 has no last stride that could be 1: leave last_stride at 2. ResNets, DenseNets and MobileNetV2s have one.",
    ),
    ({"name": "osnet", "drop_path": 0.2}, "osnet_x1_0 has no stochastic depth, drop_path is 0.2: leave drop_path at 0."),
    ({"name": "densenet121", "drop_path": 0.2}, "densenet121 has no stochastic depth, drop_path is 0.2: leave drop_path at 0."),
    (
        {"name": "densenet121", "usam": True},
        "densenet121 has no usam: it goes with ResNets, for instance resnet50 or resnet50_ibn_a.",
    ),
    (
        {"name": "inception_v3", "image_size": (32, 16)},
        "inception_v3 cannot be a backbone for images of 32x16 px: Calculated padded input size per channel: (6 x 2). "
        "Kernel size: (3 x 3). Kernel size can't be greater than actual input size.",
    ),
    (
        {"name": "resnet18.nobody"},
        "resnet18.nobody cannot be a backbone for images of 256x128 px: Invalid pretrained tag (nobody) for resnet18.",
    ),
]


@pytest.mark.parametrize(("call", "message"), REJECTED)
def test_what_cannot_be_built_is_said_in_one_line(call, message):
    with pytest.raises(UsageError) as error:
        build_backbone(**call)
    assert str(error.value) == message


def test_a_network_without_a_map_is_refused(monkeypatch):
    class Pooled(torch.nn.Module):
        def forward(self, x):
            return x.mean((2, 3))

    monkeypatch.setitem(bodies.OWN, "mobilenet_v2", Pooled)
    with pytest.raises(UsageError) as error:
        build_backbone("mobilenet_v2", image_size=(30, 20))
    assert str(error.value) == "mobilenet_v2 gives no feature map, so it cannot be a backbone. Try resnet50, osnet_x1_0 or swin."


def test_the_name_of_a_backbone_is_canonical():
    backbone = build_backbone("mobilenetv2", image_size=(64, 32))
    assert isinstance(backbone, Backbone)
    assert (backbone.name, backbone.image_size) == ("mobilenet_v2", (64, 32))

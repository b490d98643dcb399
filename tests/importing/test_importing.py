"""Weights of other projects: files in their layouts are made here, and what comes in must give what such a network gives."""

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.artefact import load, read_artefact
from passerby.cli import main
from passerby.errors import ArtefactError, PasserbyError, UsageError
from passerby.importing import ImportOptions, import_weights
from passerby.models import build_backbone
from passerby.models.norms.camera import blended
from passerby.models.norms.mixing import mix_norms
from passerby.torchvision_repair import repair_torchvision
from passerby.transforms import Preprocess, normalise

SIZE = (64, 32)
SMALL = ImportOptions(image_size=SIZE)
COLOURS = {"pixel_mean": torch.tensor([123.675, 116.28, 103.53]), "pixel_std": torch.tensor([58.395, 57.12, 57.375])}


def lively(network: nn.Module) -> nn.Module:
    """Statistics and affine pairs that are no identity, so that a norm in the wrong place shows."""
    torch.manual_seed(len(list(network.parameters())))
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm1d)):
            for values, low, high in ((module.running_var, 0.5, 1.5), (module.weight, 0.5, 1.5)):
                nn.init.uniform_(values, low, high)  # pyright: ignore
            nn.init.normal_(module.running_mean, 0, 0.1)  # pyright: ignore
            nn.init.normal_(module.bias, 0, 0.1)
    return network.eval()


def resnet(*, last_stride: int = 1) -> Any:
    repair_torchvision()
    from torchvision.models import resnet18

    network: Any = lively(resnet18())
    if last_stride == 1:
        network.layer4[0].conv1.stride = network.layer4[0].downsample[0].stride = (1, 1)
    return network


def pooled(network: Any, x: Tensor, *, relu: bool = True, pool: nn.Module | None = None) -> Tensor:
    """Of a torchvision ResNet, with the stem that a project has."""
    x = network.bn1(network.conv1(x))
    x = (pool or network.maxpool)(F.relu(x) if relu else x)
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        x = stage(x)
    return x.mean((2, 3))


def named(prefix: str, module: nn.Module, without: str = "-") -> dict[str, Tensor]:
    return {prefix + name: value for name, value in module.state_dict().items() if not name.startswith(without)}


def norm(width: int) -> nn.BatchNorm1d:
    return lively(nn.BatchNorm1d(width))  # pyright: ignore


@dataclass
class Case:
    """A file, what its own network gives for normalised images, and what the artefact must say."""

    content: Any
    expected: Callable[[Tensor], Tensor]
    layout: str
    dropped: dict[str, str]
    model: dict[str, Any]
    preprocess: Preprocess = Preprocess(interpolation="bilinear")  # noqa: RUF009
    flip: bool = False


def strong_baseline() -> Case:
    body, neck = resnet(), norm(512)
    content = {**named("base.", body, "fc."), **named("bottleneck.", neck), "classifier.weight": torch.zeros(7, 512)}
    return Case(
        content, lambda x: neck(pooled(body, x, relu=False)), "strong-baseline", {"classifier.weight": "a classifier of 7"},
        {"backbone": "resnet18", "head": "bnneck", "last_stride": 1, "stem": "linear"},
    )  # fmt: skip


def fast_reid() -> Case:
    body, neck = resnet(), norm(512)
    weights = {
        **named("backbone.", body, "fc."), **named("heads.bottleneck.0.", neck), "heads.weight": torch.zeros(7, 512),
        "heads.pool_layer.p": torch.tensor([2.5]), **{name: value.view(1, 3, 1, 1) for name, value in COLOURS.items()},
    }  # fmt: skip

    def expected(x: Tensor) -> Tensor:
        x = F.relu(body.bn1(body.conv1(x)))
        x = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
        x = body.layer4(body.layer3(body.layer2(body.layer1(x))))
        return neck(x.clamp(min=1e-6).pow(2.5).mean((2, 3)).pow(1 / 2.5))

    return Case(
        {"model": weights, "iteration": 5}, expected, "fast-reid",
        {"heads.weight": "a classifier of 7 classes", "pixel_mean": "became the preprocessing"},
        {"backbone": "resnet18", "pool": "gem", "stem": "ceil", "last_stride": 1}, Preprocess(),
    )  # fmt: skip


def fast_reid_embedding() -> Case:
    """With EMBEDDING_DIM: a 1x1 convolution without bias and its norm."""
    body, conv, neck = resnet(), nn.Conv2d(512, 32, 1, bias=False), norm(32)
    weights = {
        **named("backbone.", body, "fc."), **named("heads.bottleneck.0.", conv), **named("heads.bottleneck.1.", neck), **COLOURS,
    }  # fmt: skip
    ceil = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    return Case(
        {"model": weights}, lambda x: neck(conv(pooled(body, x, pool=ceil)[:, :, None, None])[:, :, 0, 0]), "fast-reid", {},
        {"head": "block", "linear_dim": 32, "pool": "avg"}, Preprocess(),
    )  # fmt: skip


def camera_bn() -> Case:
    body, neck = resnet(), norm(512)
    weights = {**named("trunk.", body, "fc."), **named("neck.0.", neck), "classify.weight": torch.zeros(7, 512)}
    return Case(
        {"state_dict": {f"module.{name}": value for name, value in weights.items()}, "epoch": 59},
        lambda x: neck(pooled(body, x)), "camera-bn", {"module.classify.weight": "a classifier of 7 classes"},
        {"norm": "camera", "head": "bnneck", "last_stride": 1}, flip=True,
    )  # fmt: skip


def torchreid_resnet() -> Case:
    body = resnet(last_stride=2)
    content = {**named("", body, "fc."), "classifier.weight": torch.zeros(7, 512), "classifier.bias": torch.zeros(7)}
    return Case(
        {"state_dict": {f"module.{name}": value for name, value in content.items()}, "rank1": np.float64(0.9)},
        lambda x: pooled(body, x), "torchreid", {"module.classifier.bias": "a classifier of 7 classes"},
        {"head": "bnneck", "search_before_neck": True, "last_stride": 2},
    )  # fmt: skip


def torchreid_osnet() -> Case:
    body: Any = lively(build_backbone("osnet_x0_25", image_size=SIZE))
    width = body.num_features
    linear, after = nn.Linear(width, 48), norm(48)
    content = {**named("", body.body), **named("fc.0.", linear), **named("fc.1.", after), "classifier.weight": torch.zeros(7, 48)}
    return Case(
        content, lambda x: F.relu(after(linear(body(x).mean((2, 3))))), "torchreid", {"classifier.weight": "a classifier of 7"},
        {"backbone": "osnet_x0_25", "head": "block", "linear_dim": 48, "relu": True},
    )  # fmt: skip


def layumi() -> Case:
    body, linear, after = resnet(last_stride=2), nn.Linear(512, 40), norm(40)
    content = {
        **named("model.", body), **named("classifier.add_block.0.", linear), **named("classifier.add_block.1.", after),
        "classifier.classifier.0.weight": torch.zeros(7, 40), "classifier.classifier.0.bias": torch.zeros(7),
    }  # fmt: skip
    return Case(
        content, lambda x: after(linear(pooled(body, x))), "layumi",
        {"model.fc.weight": "the classifier of ImageNet", "classifier.classifier.0.bias": "a classifier of 7"},
        {"head": "block", "linear_dim": 40, "last_stride": 2}, Preprocess(), flip=True,
    )  # fmt: skip


def layumi_pcb() -> Case:
    body = resnet()
    content = named("model.", body)
    for part in range(2):
        content |= {
            f"classifier{part}.add_block.0.weight": torch.zeros(8, 512),
            f"classifier{part}.add_block.0.bias": torch.zeros(8),
        }
        content |= {f"classifier{part}.classifier.0.weight": torch.zeros(7, 8)}

    def expected(x: Tensor) -> Tensor:
        x = body.maxpool(F.relu(body.bn1(body.conv1(x))))
        x = body.layer4(body.layer3(body.layer2(body.layer1(x))))
        return F.adaptive_avg_pool2d(x, (2, 1)).flatten(1)

    return Case(
        content, expected, "layumi", {"classifier1.classifier.0.weight": "a stripe's own layers"}, {"head": "pcb", "parts": 2},
        Preprocess(), flip=True,
    )  # fmt: skip


def vit() -> Any:
    from passerby.models.bodies import import_timm

    torch.manual_seed(0)
    return import_timm().create_model("vit_tiny_patch16_224", img_size=SIZE, num_classes=0, depth=2).eval()


def metabin() -> Case:
    """The gate is told by its name, batch and instance norm by the running statistics, whatever they are called."""
    body: Any = build_backbone("resnet18", image_size=SIZE, last_stride=1)
    mix_norms(body, "bin", gate_init="random", generator=torch.Generator().manual_seed(1))
    neck = norm(512)
    lively(body)
    called = {"gate": "bin_gate", "batch": "bn_part", "instance": "in_part"}
    weights = {}
    for name, value in body.body.state_dict().items():
        weights["backbone." + ".".join(called.get(part, part) for part in name.split("."))] = value
    weights |= {**named("heads.bnneck.", neck), "heads.classifier.weight": torch.zeros(7, 512), **COLOURS}
    return Case(
        {"model": weights, "optimizer_main": {"state": {}}}, lambda x: neck(body(x).mean((2, 3))), "metabin",
        {"heads.classifier.weight": "a classifier of 7 classes"}, {"norm": "bin", "stem": "usual"}, Preprocess(),
    )  # fmt: skip


def torchvision_backbone() -> Case:
    body = resnet(last_stride=2)
    return Case(
        body.state_dict(), lambda x: pooled(body, x), "backbone", {"fc.weight": "the classifier of the pretraining"},
        {"backbone": "resnet18", "search_before_neck": True}, Preprocess(),
    )  # fmt: skip


CASES = [
    strong_baseline, fast_reid, fast_reid_embedding, camera_bn, torchreid_resnet, torchreid_osnet, layumi, layumi_pcb, metabin,
    torchvision_backbone,
]  # fmt: skip


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_an_imported_network_gives_what_the_projects_own_gives(make: Callable[[], Case], tmp_path: Path):
    case = make()
    torch.save(case.content, tmp_path / "net.pth")

    made = import_weights(tmp_path / "net.pth", tmp_path / "artefact", SMALL)

    assert made.layout == case.layout
    assert {name: getattr(made.config, name) for name in case.model} == case.model
    for name, why in case.dropped.items():
        assert made.dropped[name].startswith(why)
    inside = next((case.content[key] for key in ("model", "state_dict") if key in case.content), case.content)
    tensors = {name for name, value in inside.items() if isinstance(value, Tensor)}
    assert {*made.matched, *made.dropped} == tensors  # every one accounted for, once
    assert not set(made.matched) & set(made.dropped)

    embedder = load(tmp_path / "artefact", without_statistics=case.layout == "camera-bn")
    colours = embedder.preprocess
    assert isinstance(colours, Preprocess)
    assert colours.size == SIZE and colours.interpolation == case.preprocess.interpolation
    np.testing.assert_allclose((*colours.mean, *colours.std), (*case.preprocess.mean, *case.preprocess.std), atol=1e-5)
    assert embedder.rule.flip == case.flip
    pixels = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    x = normalise(pixels, colours)
    with torch.inference_mode(), blended():
        torch.testing.assert_close(embedder.model.eval()(x).embedding, case.expected(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("jigsaw", [False, True])
def test_a_vit_of_transreid_is_searched_with_its_class_token(jigsaw: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    body, neck = vit(), norm(192)
    content = {**named("base.", body), **named("bottleneck.", neck), "classifier.weight": torch.zeros(7, 192)}
    content |= {"base.fc.weight": torch.zeros(5, 192), "base.fc.bias": torch.zeros(5)}
    if jigsaw:
        last = {name: value for name, value in content.items() if name.startswith(("base.blocks.1.", "base.norm."))}
        for name, value in last.items():
            rest = name.removeprefix("base.blocks.1.")
            place = f"0.{rest}" if rest != name else f"1.{name.removeprefix('base.norm.')}"
            content[f"b1.{place}"] = content[f"b2.{place}"] = value
            content[name] = torch.full_like(value, 9.0)  # before the branches: not what is used
        content |= {**named("bottleneck_1.", neck), "classifier_1.weight": torch.zeros(7, 192)}
    torch.save(content, tmp_path / "vit.pth")
    monkeypatch.setattr("passerby.models.bodies._timm_body", lambda name, size, drop_path: _short(name, size))

    made = import_weights(tmp_path / "vit.pth", tmp_path / "artefact", SMALL)

    assert (made.layout, made.config.backbone, made.config.pool) == ("transreid", "vit_tiny_patch16_224", "token")
    assert ("jigsaw" in "".join(made.facts.notes)) == jigsaw
    embedder = load(tmp_path / "artefact")
    assert isinstance(embedder.preprocess, Preprocess) and embedder.preprocess.mean == (0.5, 0.5, 0.5)
    x = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(embedder.model.eval()(x).embedding, body.forward_features(x)[:, 0], rtol=1e-4, atol=1e-4)


def _short(name: str, size: tuple[int, int]) -> nn.Module:
    from passerby.models.bodies import import_timm

    return import_timm().create_model(name, img_size=size, num_classes=0, global_pool="", depth=2)


def test_the_settings_beside_the_weights_decide_what_names_do_not_show(tmp_path: Path):
    torch.save(layumi().content, tmp_path / "net_last.pth")
    (tmp_path / "opts.yaml").write_text("stride: 1\nlinear_num: 40\n")
    made = import_weights(tmp_path / "net_last.pth", tmp_path / "a", SMALL)
    assert made.config.last_stride == 1 and made.settings == tmp_path / "opts.yaml"
    assert (
        import_weights(
            tmp_path / "net_last.pth", tmp_path / "b", ImportOptions(image_size=SIZE, last_stride=2)
        ).config.last_stride
        == 2
    )


def test_the_verb_tells_and_writes_an_account(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    torch.save(torchreid_osnet().content, tmp_path / "osnet.pth")
    words = ["import", str(tmp_path / "osnet.pth"), "--out", str(tmp_path / "a"), "--size", "64x32", "--licence", "MIT"]
    assert main([*words, "--json", str(tmp_path / "account.json")]) == 0
    said = capsys.readouterr().out
    assert "torchreid names, osnet_x0_25, head block" in said
    assert "dropped, a classifier of 7 classes: search needs none: classifier.weight" in said
    account = json.loads((tmp_path / "account.json").read_text())
    assert account["dropped"]["classifier.weight"].startswith("a classifier") and account["matched"]["fc.0.weight"]
    facts, _ = read_artefact(tmp_path / "a")
    assert (facts.recipe, facts.licence) == ("import-torchreid", "MIT")


def half(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if "layer3" not in name}


class Harmful:
    def __reduce__(self) -> Any:
        return print, ("ran",)


def web_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html>Quota exceeded</html>")


def with_code(path: Path) -> None:
    torch.save({"model": Harmful()}, path)


def bare_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"model": 1}))


def truncated(path: Path) -> None:
    torch.save(torchreid_osnet().content, path)
    path.write_bytes(path.read_bytes()[:20_000])


def half_matching(path: Path) -> None:
    torch.save(half(strong_baseline().content), path)


def other_shape(path: Path) -> None:
    torch.save({**strong_baseline().content, "base.layer1.0.conv1.weight": torch.zeros(7, 7)}, path)


def missing_neck_bias(path: Path) -> None:
    content = strong_baseline().content
    del content["bottleneck.bias"]
    torch.save(content, path)


def further_tensor(path: Path) -> None:
    torch.save({**strong_baseline().content, "attention.weight": torch.zeros(3)}, path)


def wrong_architecture(path: Path) -> None:
    torch.save({"encoder.0.weight": torch.zeros(4, 4), "encoder.0.bias": torch.zeros(4)}, path)


def not_finite(path: Path) -> None:
    content = torchreid_osnet().content
    content["fc.0.weight"][0, 0] = float("nan")
    torch.save(content, path)


def side_information(path: Path) -> None:
    torch.save({"base.cls_token": torch.zeros(1, 1, 192), "base.sie_embed": torch.zeros(3, 1, 192)}, path)


def own(path: Path) -> None:
    torch.save({"backbone.body.conv1.weight": torch.zeros(1), "head.norm.weight": torch.zeros(1)}, path)


def non_local(path: Path) -> None:
    torch.save({**fast_reid().content["model"], "backbone.NL_2.0.g.weight": torch.zeros(1)}, path)


BAD = {
    web_page: "is a web page, not weights",
    with_code: "holds more than tensors",
    bare_pickle: "is a pickle, which can run code",
    truncated: "is cut short or damaged: get it again",
    half_matching: "the nearest is resnet18, 75 of whose",
    other_shape: "the nearest is resnet18, 99 of whose 100 tensors fit: layer1.0.conv1.weight has the shape (7, 7) where",
    missing_neck_bias: "head.norm.bias is missing",
    further_tensor: "does not fit resnet18 wholly, so nothing was written: attention.weight has no place",
    wrong_architecture: "fits no network here",
    not_finite: "holds NaN or infinity in head.block.reduce.weight",
    side_information: "with side information (base.sie_embed)",
    own: "these are weights of passerby itself: use the artefact folder",
    non_local: "with non-local blocks (backbone.NL_2.0.g.weight): passerby has no such network",
}


@pytest.mark.parametrize(("write", "told"), BAD.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_no_whole_network_is_refused_in_one_line(
    write: Callable[[Path], None], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("passerby.importing.backbones.BACKBONES", {name: name for name in ("mobilenet_v2", "osnet_x0_25")})
    monkeypatch.setattr("passerby.importing.backbones._BLOCKS", {(2, 2, 2, 2): ("resnet18",)})
    write(tmp_path / "net.pth")
    assert main(["import", str(tmp_path / "net.pth"), "--out", str(tmp_path / "out"), "--size", "64x32"]) == 1
    captured = capsys.readouterr()
    assert told in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


def test_options_that_cannot_be_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(UsageError, match=r'no layout "torchried" of weights. Did you mean "torchreid"'):
        ImportOptions(layout="torchried")
    torch.save({"a": torch.zeros(1)}, tmp_path / "net.pth")
    with pytest.raises(UsageError, match=r"--settings .*: no such file"):
        import_weights(tmp_path / "net.pth", tmp_path / "a", ImportOptions(settings=tmp_path / "none.yaml"))
    (tmp_path / "opts.yaml").write_text("a: !!python/object/apply:os.system [echo]\n")
    with pytest.raises(ArtefactError, match="no YAML that can be read safely"):
        import_weights(tmp_path / "net.pth", tmp_path / "a")
    (tmp_path / "opts.yaml").write_text("- 1\n")
    with pytest.raises(ArtefactError, match="holds no settings by name"):
        import_weights(tmp_path / "net.pth", tmp_path / "a")
    assert main(["import", str(tmp_path / "net.pth"), "--out", str(tmp_path / "a"), "--size", "big"]) == 2
    assert '--size big: give height x width in px, for instance "256x128"' in capsys.readouterr().err
    (tmp_path / "opts.yaml").unlink()
    with pytest.raises(PasserbyError, match="no ResNet in it"):
        import_weights(tmp_path / "net.pth", tmp_path / "a", ImportOptions(layout="camera-bn"))

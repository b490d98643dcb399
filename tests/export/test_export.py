"""Exported networks give what torch gives, whatever the kind of file; and what does not is not written."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from passerby.artefact import CAMERAS_FILE, Artefact, load, read_artefact, read_description, save_artefact
from passerby.cli import main
from passerby.datasets.drawn import DrawnOptions, make_drawn
from passerby.embedder import EmbeddingRule
from passerby.embeddings import Embeddings
from passerby.errors import ArtefactError, DataError, MissingDependencyError, UsageError
from passerby.export import Budget, Comparison, ExportOptions, compare_forms, export, fastest
from passerby.export.latency import interleaved, speeds
from passerby.export.probe import Probe, probe_set
from passerby.models import ModelConfig, build_model
from passerby.models.exported import ExportedNetwork
from passerby.models.exported_files import ExportFacts, read_export
from passerby.models.norms.replacing import camera_norms
from passerby.models.norms.statistics import CameraStatistics
from passerby.transforms import Preprocess

pytest.importorskip("onnx", reason="exports need the extra export")
pytest.importorskip("onnxruntime", reason="exports need the extra export")

SIZE = (64, 32)
TINY = "test_resnet"  # timm's own for tests: five convolutions a stage
ANYTHING = Budget(None, 1.0, 1.0)


def lively(model: nn.Module) -> nn.Module:
    drawn = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1, generator=drawn)
            assert module.running_var is not None
            module.running_var.uniform_(0.5, 1.5, generator=drawn)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5, generator=drawn)
    return model.eval()


def make_artefact(path: Path, config: ModelConfig, rule: EmbeddingRule | None = None, cameras: int = 0) -> Path:
    torch.manual_seed(0)
    model: Any = lively(build_model(config))
    facts = Artefact(
        "test", {}, asdict(config), Preprocess(size=SIZE), rule or EmbeddingRule(), model.embedding_dim, label_map=(("a", 1),)
    )
    statistics = None
    if cameras:
        drawn = torch.Generator().manual_seed(1)
        layers = {name: norm.num_features for name, norm in camera_norms(model).items()}
        means = {name: 0.2 * torch.randn(cameras, width, generator=drawn) for name, width in layers.items()}
        variances = {name: 0.5 + torch.rand(cameras, width, generator=drawn) for name, width in layers.items()}
        names = tuple(f"place/{number}" for number in range(cameras))
        statistics = CameraStatistics(names, means, variances)
        facts = replace(facts, cameras=tuple({"name": name} for name in names))
    save_artefact(path, model, facts, statistics=statistics)
    return path


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_artefact(tmp_path_factory.mktemp("model") / "artefact", ModelConfig(TINY, image_size=SIZE, head="bnneck"))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people") / "drawn"
    make_drawn(folder, DrawnOptions(2, 8, cameras=2, images=2, distractors=2, junk=1, height_px=64))
    return folder


@pytest.fixture(scope="module")
def probe(people: Path):
    with probe_set(people) as found:
        yield found


def pictures(count: int) -> list[np.ndarray]:
    drawn = np.random.default_rng(count)
    return [drawn.integers(0, 256, (40, 20, 3)).astype(np.uint8) for _ in range(count)]


FORMS = [
    ("onnx", "fp32", "normalised", 1e-5), ("onnx", "fp32", "pixels", 1e-5), ("onnx", "fp16", "pixels", 2e-2),
    ("onnx", "int8", "pixels", 1.0), ("openvino", "fp32", "pixels", 1e-5), ("openvino", "fp16", "normalised", 2e-2),
    ("openvino", "int8", "normalised", 1.0), ("torchscript", "fp32", "pixels", 1e-5), ("torchscript", "fp16", "pixels", 2e-2),
]  # fmt: skip


@pytest.mark.parametrize(("to", "precision", "inputs", "near"), FORMS)
def test_a_file_embeds_as_the_artefact_does(
    to: Any, precision: Any, inputs: Any, near: float, artefact: Path, probe: Probe, tmp_path: Path
):
    if to == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO files need the extra openvino")
    options = ExportOptions(to, precision, inputs, budget=ANYTHING, calibration=8, latency=False)
    (made,) = export(artefact, probe, options, tmp_path)
    assert made.path == tmp_path / f"model{'' if precision == 'fp32' else '.' + precision}.{made.path.suffix[1:]}"
    assert made.comparison.difference <= near and made.comparison.cosine > (0.8 if precision == "int8" else 0.99)

    slow, quick = load(artefact), load(made.path)
    assert (quick.computes_in, quick.dim) == (precision, slow.dim)
    for count in (1, 5):  # batches of any size
        np.testing.assert_allclose(quick(pictures(count)), slow(pictures(count)), atol=max(near, 1e-5))
    assert read_description(made.path) == read_description(artefact)
    kept = json.loads((tmp_path / f"{made.path.name}.json").read_text())
    assert kept["comparison"]["difference"] == made.comparison.difference and kept["bytes"] == made.bytes
    assert load(tmp_path).model.facts == read_export(made.path)  # a folder with one exported file stands for it


def test_layers_that_stay_in_fp32_bring_int8_nearer(artefact: Path, probe: Probe, tmp_path: Path):
    cosines = []
    for layers in (0, 1000):  # all of them: what is left is what torch does
        options = ExportOptions("onnx", "int8", "pixels", budget=ANYTHING, calibration=8, exact_layers=layers, latency=False)
        (made,) = export(artefact, probe, options, tmp_path / str(layers))
        cosines.append(made.comparison.cosine)
        assert json.loads((made.path.parent / "model.int8.onnx.json").read_text())["exact_layers"] == layers
    assert cosines[0] < cosines[1] and cosines[1] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("to", "norm"), [("onnx", "bin"), ("onnx", "half"), ("torchscript", "bin")])
def test_instance_norms_and_stripes_are_exported(to: Any, norm: str, probe: Probe, tmp_path: Path):
    model = make_artefact(tmp_path / "artefact", ModelConfig(TINY, image_size=SIZE, head="pcb", parts=2, norm=norm))
    few = Probe("few", probe.query[:4], probe.gallery[:4], probe.calibration)
    # The last maps have two pixels, and a norm over two pixels makes much of little.
    (made,) = export(model, few, ExportOptions(to, budget=Budget(1e-3, 0.0, 0.0), latency=False))
    assert made.path.parent == model and read_export(made.path).parts == 2
    np.testing.assert_allclose(load(made.path)(pictures(3)), load(model)(pictures(3)), atol=1e-3)


def test_beyond_the_budget_nothing_is_written(artefact: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    words = ["export", str(artefact), "--out", str(out), "--probe", str(people), "--precision", "fp16", "--no-latency"]
    assert main([*words, "--max-difference", "1e-7"]) == 1
    said = capsys.readouterr().err
    assert "model.fp16.onnx is not faithful on" in said and "1e-07 is allowed. Nothing was written" in said
    assert said.count("\n") == 1 and not out.exists()

    roomy = ["--max-map-drift", "0.2", "--max-far-drift", "0.1"]  # eight people: one changed rank is much
    assert main([*words, *roomy, "--json", str(tmp_path / "told.json")]) == 0
    said = capsys.readouterr().out
    assert "beside torch, on drawn" in said and "model.fp16.onnx" in said
    assert json.loads((tmp_path / "told.json").read_text())["files"][0]["precision"] == "fp16"

    assert main(["embed", str(out / "model.fp16.onnx"), "--data", str(people), "--out", str(tmp_path / "vectors")]) == 0
    vectors = Embeddings.load(tmp_path / "vectors" / "query.npz")
    assert (vectors.meta["precision"], vectors.meta["exported"]) == ("fp16", "onnx fp16")


def test_statistics_of_cameras_are_inputs_or_inside(probe: Probe, tmp_path: Path):
    model = make_artefact(tmp_path / "a", ModelConfig(TINY, image_size=SIZE, head="bnneck", norm="camera"), cameras=2)
    slow, images = load(model), pictures(4)
    whose = ["place/1", "place/0", "place/0", "place/1"]
    near = Budget(1e-4, 0.01, 0.05)  # few people: one pair is much
    (made,) = export(model, probe, ExportOptions("onnx", budget=near, latency=False), tmp_path / "inputs")
    quick = load(made.path)
    np.testing.assert_allclose(quick(images, whose), slow(images, whose), atol=1e-4)
    np.testing.assert_allclose(quick(images, "place/1"), slow(images, "place/1"), atol=1e-4)
    with pytest.raises(UsageError, match="say whose images these are"):
        quick(images)
    with pytest.raises(UsageError, match="cannot be used without them"):
        load(made.path, without_statistics=True)
    with pytest.raises(UsageError, match="takes the statistics of a camera as an input, and none are given"):
        quick.model(torch.zeros(1, 3, *SIZE))

    each = export(model, probe, ExportOptions("torchscript", cameras="each", budget=near, latency=False), tmp_path / "each")
    assert [one.path.name for one in each] == ["model.place-0.torchscript", "model.place-1.torchscript"]
    np.testing.assert_allclose(load(each[1].path)(images), slow(images, "place/1"), atol=1e-4)
    with pytest.raises(ArtefactError, match="holds several exported networks"):
        load(tmp_path / "each")

    (tmp_path / "inputs" / CAMERAS_FILE).write_bytes(b"others")
    with pytest.raises(UsageError, match="holds the statistics of another model"):
        export(model, probe, ExportOptions(latency=False), tmp_path / "inputs")
    (tmp_path / "inputs" / CAMERAS_FILE).unlink()
    with pytest.raises(ArtefactError, match=r"lacks cameras.safetensors"):
        load(made.path)


def test_a_network_trained_by_camera_needs_statistics_first(probe: Probe, tmp_path: Path):
    model = make_artefact(tmp_path / "a", ModelConfig(TINY, image_size=SIZE, head="bnneck", norm="camera"))
    with pytest.raises(UsageError, match="make them first with passerby adapt"):
        export(model, probe, ExportOptions(latency=False), tmp_path)


def test_the_quickest_faithful_form_is_taken(artefact: Path, probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import shutil

    model = shutil.copytree(artefact, tmp_path / "artefact")
    slow, images = load(model), pictures(6)
    assert fastest(slow, model, images) is slow  # too few to be worth a conversion
    monkeypatch.setattr("passerby.export.choosing.WORTH", 6)
    quick = fastest(slow, model, images)
    assert isinstance(quick.model, ExportedNetwork) and quick.facts["exported"] == "onnx fp32"
    np.testing.assert_allclose(quick(images), slow(images), atol=1e-4)
    assert isinstance(fastest(slow, model).model, ExportedNetwork)
    monkeypatch.setattr("passerby.export.choosing.FAITHFUL", -1.0)
    assert fastest(slow, model, images) is slow  # not the same network: torch
    monkeypatch.undo()

    export(model, probe, ExportOptions(budget=ANYTHING, latency=False))
    assert isinstance(fastest(slow, model, images).model, ExportedNetwork)  # it lies there, so a few images are enough
    other = make_artefact(tmp_path / "other", ModelConfig(TINY, image_size=SIZE, head="block"))
    (model / "model.onnx").rename(other / "model.onnx")
    assert fastest(load(other), other, images).model is not None
    assert not isinstance(fastest(load(other), other, images).model, ExportedNetwork)  # of other weights
    assert fastest(load(model, precision="bf16"), model).precision == "bf16"


def test_embed_takes_the_quickest_form_unless_told_otherwise(
    artefact: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("passerby.export.choosing.WORTH", 1)
    found = {}
    for form in ("auto", "torch"):
        words = ["embed", str(artefact), "--data", str(people), "--out", str(tmp_path / form), "--form", form]
        assert main(words) == 0
        found[form] = Embeddings.load(tmp_path / form / "query.npz")
    assert found["auto"].meta["exported"] == "onnx fp32" and "exported" not in found["torch"].meta
    assert found["auto"].meta["artefact"] == found["torch"].meta["artefact"]
    np.testing.assert_allclose(found["auto"].vectors, found["torch"].vectors, atol=1e-4)


def test_damaged_and_foreign_files_are_refused(artefact: Path, probe: Probe, tmp_path: Path):
    (made,) = export(artefact, probe, ExportOptions(latency=False), tmp_path / "m.onnx")
    content = made.path.read_bytes()
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtefactError, match=r"bad.onnx is cut short or no exported network: export it again"):
        load(bad)
    bad.write_bytes(b"")
    with pytest.raises(ArtefactError, match="does not say how to use it"):
        load(bad)
    broken = content.replace(b"Conv", b"Cnov")
    bad.write_bytes(broken)
    with pytest.raises(ArtefactError, match="cannot be loaded by ONNX Runtime"):
        load(bad)
    bad.write_bytes(content.replace(b'{"format": 1', b'{"format": 9'))
    with pytest.raises(ArtefactError, match="was exported by a newer passerby"):
        load(bad)
    with pytest.raises(ArtefactError, match="no such file"):
        load(tmp_path / "none.onnx")
    (tmp_path / "m.xml").write_text("<net/>")
    with pytest.raises(ArtefactError, match=r"lacks its weights, m.bin"):
        load(tmp_path / "m.xml")
    with pytest.raises(ArtefactError, match="is an exported network, whose weights cannot be changed"):
        read_artefact(made.path)
    with pytest.raises(UsageError, match="gives the embedding, not the feature"):
        load(made.path, rule=EmbeddingRule(kind="feature"))
    with pytest.raises(UsageError, match="was exported as fp32 for the CPU"):
        load(made.path, precision="bf16")
    with pytest.raises(UsageError, match="takes 64x32 px, 67x33 arrived: scale 1 only"):
        load(made.path, rule=EmbeddingRule(scales=(1.0, 1.1)))
    with pytest.raises(UsageError, match="compound scales resize normalised images"):
        (pixels,) = export(artefact, probe, ExportOptions(inputs="pixels", latency=False), tmp_path / "p.onnx")
        load(pixels.path, rule=EmbeddingRule(scales=(1.0, 1.1), compound=True))


def test_calls_that_cannot_be_are_refused(artefact: Path, probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for options, out, told in (
        (ExportOptions("torchscript", "int8"), None, "torchscript files hold fp32 or fp16 here, not int8"),
        (ExportOptions(cameras="each"), None, "has no camera statistics: leave it out"),
        (ExportOptions("openvino"), tmp_path / "a.onnx", "does not go with openvino, whose files end in .xml"),
    ):
        if options.to == "openvino":
            pytest.importorskip("openvino", reason="OpenVINO files need the extra openvino")
        with pytest.raises(UsageError, match=told):
            export(artefact, probe, options, out)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file: give a folder"):
        export(artefact, probe, ExportOptions(), tmp_path / "file")
    with pytest.raises(UsageError, match="calibration is 0 images"):
        ExportOptions(calibration=0)
    for precision, layers in (("int8", -1), ("fp16", 2)):
        with pytest.raises(UsageError, match=f"exact_layers is {layers} with precision {precision}: 0 or more layers stay"):
            ExportOptions(precision=precision, exact_layers=layers)
    with pytest.raises(UsageError, match="the budget for map drift is -1"):
        Budget(None, -1.0, 0.0)
    with pytest.raises(UsageError, match="acts only with --probe DIR"), probe_set(None, "market1501"):
        pass
    with pytest.raises(DataError, match="no such folder"), probe_set(tmp_path / "none"):
        pass
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image and no data set"), probe_set(tmp_path / "empty"):
        pass
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"onnxruntime is not installed.*passerby\[export\]"):
        export(artefact, probe, ExportOptions(), tmp_path)


def test_images_without_names_are_a_probe_of_vectors_alone(artefact: Path, people: Path, tmp_path: Path):
    with probe_set(people / "query") as found:
        (made,) = export(artefact, found, ExportOptions(latency=False), tmp_path)
    assert "without names" in made.comparison.probe and made.comparison.difference < 1e-5
    assert made.comparison.map_torch is None and made.comparison.threshold is None


def turned(vectors: np.ndarray, by: float) -> np.ndarray:
    return vectors @ np.array([[np.cos(by), -np.sin(by)], [np.sin(by), np.cos(by)]])


def test_a_comparison_by_hand():
    """Six people at multiples of 60 degrees; the exported network turns one of the gallery by 90, so its query misses it."""
    angles = np.radians(60.0 * np.arange(6))
    there = np.stack([np.cos(angles), np.sin(angles)], 1)
    names = [[f"{kind}{number}" for number in range(6)] for kind in "qg"]
    query, gallery = (Embeddings(there, range(1, 7), [camera] * 6, names[camera]) for camera in (0, 1))
    same = compare_forms("hand", (query, gallery), (query, gallery))
    assert (same.difference, same.map_drift, same.images, same.queries) == (0.0, 0.0, 12, 6)
    moved = there.copy()
    moved[0] = turned(there[:1], np.radians(90))[0]
    new = compare_forms("hand", (query, gallery), (query, Embeddings(moved, range(1, 7), [1] * 6, names[1])))
    assert new.difference == pytest.approx(1.0) and new.cosine == pytest.approx(0.0, abs=1e-6)
    assert new.map_torch == 1.0 and new.map_drift is not None and -0.5 < new.map_drift < -0.1
    broken = compare_forms("hand", (query, gallery), (query, _not_finite(gallery)))
    assert broken.difference == float("inf")
    with pytest.raises(ArtefactError, match="differs by inf"):
        broken.check(Budget.usual("fp32"), "m.onnx")


def _not_finite(gallery: Embeddings) -> Embeddings:
    bad = object.__new__(Embeddings)  # an embedding cannot be made of NaN; a network can
    for name in ("pids", "camids", "names", "meta"):
        object.__setattr__(bad, name, getattr(gallery, name))
    object.__setattr__(bad, "vectors", np.full_like(gallery.vectors, np.nan))
    return bad


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"difference": 2e-4}, "a number of a unit vector differs by 0.0002, 0.0001 is allowed"),
        ({"map_torch": 0.5, "map_exported": 0.49}, "mAP drifts by -0.01, 0.002 is allowed"),
        ({"far_exported": 0.02}, "the false-accept rate at the old threshold drifts by 0.01, 0.0005 is allowed"),
    ],
)
def test_the_gate_says_which_number_is_beyond(found: dict[str, float], told: str):
    comparison = Comparison(**{"probe": "p", "images": 2, "queries": 1, "difference": 0.0, "cosine": 1.0, **found})  # pyright: ignore
    with pytest.raises(ArtefactError, match=told):
        comparison.check(Budget.usual("fp32"), "m.onnx")
    comparison.check(ANYTHING, "m.onnx")


def test_speeds_are_medians_of_mixed_runs():
    order = []
    medians = interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, seconds=0.0)
    assert order[:4] == ["a", "b", "a", "b"] and order[4:8] == ["a", "b", "a", "b"]  # warmed up, then in turns
    assert set(medians) == {"a", "b"} and all(seconds >= 0 for seconds in medians.values())


def test_the_table_has_a_row_a_form_and_batch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("passerby.export.latency._SECONDS", 0.0)
    found = speeds({"one": lambda batch: lambda: batch}, (1, 4))
    assert [(speed.form, speed.batch) for speed in found] == [("one", 1), ("one", 4)]
    assert all(speed.images_per_s > 0 for speed in found)


def test_facts_survive_a_file():
    facts = ExportFacts("onnx", "fp32", "pixels", "embedding", 8, 2, True, {"a": 3}, "lobby", {"x": 1})
    assert json.loads(facts.to_json())["layers"] == {"a": 3}

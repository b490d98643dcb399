import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn

from passerby.artefact import Artefact, load, load_classifier, provenance, read_artefact, read_description, save_artefact
from passerby.embedder import Embedder, EmbeddingRule
from passerby.errors import ArtefactError, UsageError
from passerby.models import ModelConfig, Outputs, build_model
from passerby.records import Record, ReidData, Split
from passerby.transforms import Preprocess

PREPROCESS = Preprocess(size=(16, 8), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), interpolation="bilinear")


class Net(nn.Module):
    def __init__(self, dim=4):
        super().__init__()
        self.embedding_dim = self.feature_dim = dim
        self.conv = nn.Conv2d(3, dim, 3)
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, inputs):
        feature = self.norm(self.conv(inputs)).mean((2, 3))
        return Outputs(feature, feature)


def build(description):
    if description["net"] != "toy":
        raise UsageError(f'no network "{description["net"]}". Allowed: toy.')
    return Net(description["dim"])


@pytest.fixture
def facts():
    return Artefact(
        recipe="baseline",
        config={"lr": 0.05, "losses": ["circle"]},
        model={"net": "toy", "dim": 4, "backbone": "conv"},
        preprocess=PREPROCESS,
        rule=EmbeddingRule(flip=False, scales=(1.0, 1.1)),
        embedding_dim=4,
        label_map=(("market1501", 2), ("market1501", 7)),
        data=({"name": "market1501", "train_images": 12936},),
        licence="CC0-1.0",
        seed=3,
        notes=("rendered people",),
    )


@pytest.fixture
def saved(facts, tmp_path):
    torch.manual_seed(0)
    model = Net()
    model.norm.running_mean.normal_()
    return tmp_path / "model", model, save_artefact(tmp_path / "model", model, facts)


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 20, 10, 3), dtype=np.uint8)


def test_a_saved_model_embeds_bit_for_bit_as_before(saved, facts):
    path, model, written = saved
    expected = Embedder(model.to(memory_format=torch.channels_last), PREPROCESS, facts.rule)(IMAGES)
    embedder = load(path, build=build, device="cpu")
    assert np.array_equal(embedder(IMAGES), expected)
    assert embedder.facts == {
        "artefact": written.short_id,
        "recipe": "baseline",
        "backbone": "conv",
        "norm": "batch",
        "trained_on": ["market1501"],
        "notes": ["rendered people"],
    }


def test_what_decayed_to_nothing_is_loaded_as_zero_and_embeds_bit_for_bit_as_before(facts, tmp_path):
    """Denormal numbers and products that would be some; what is not a number is no dust."""
    model, path = Net(), tmp_path / "model"
    with torch.no_grad():
        model.conv.weight[0, 0], model.norm.running_mean[1], model.norm.weight[2] = 1e-39, -1e-21, 2e-20
    save_artefact(path, model, facts)
    embedder = load(path, build=build, device="cpu")
    kept = embedder.model
    assert isinstance(kept, Net) and not kept.conv.weight[0, 0].any() and not kept.norm.running_mean[1]
    assert torch.equal(kept.norm.weight, model.norm.weight)
    expected = Embedder(model.to(memory_format=torch.channels_last), PREPROCESS, facts.rule)(IMAGES)
    assert np.array_equal(embedder(IMAGES), expected)
    with torch.no_grad():
        model.conv.weight[0, 0, 0, 0] = float("nan")
    save_artefact(path, model, facts)
    kept = load(path, build=build, device="cpu").model
    assert isinstance(kept, Net) and kept.conv.weight.isnan().sum() == 1


def test_the_description_comes_back_as_it_was(saved, facts):
    path, model, written = saved
    found, weights = read_artefact(path)
    assert found == written == read_description(path)
    assert replace(found, weights_sha256="") == facts
    assert len(found.short_id) == 12
    assert {name: tuple(value.shape) for name, value in weights.items()} == {
        name: tuple(value.shape) for name, value in model.state_dict().items()
    }


def test_the_folder_holds_two_readable_files_and_no_leftovers(saved, tmp_path):
    path, _, _ = saved
    assert sorted(p.name for p in path.iterdir()) == ["model.safetensors", "passerby.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    content = json.loads((path / "passerby.json").read_text())
    assert content["format"] == 1
    assert content["preprocess"] == {"size": [16, 8], "mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bilinear"}
    assert content["label_map"] == [["market1501", 2], ["market1501", 7]]


def test_another_rule_can_be_asked_for(saved):
    path, _, _ = saved
    assert load(path, build=build, rule=EmbeddingRule(flip=True)).rule == EmbeddingRule(flip=True)


def test_saving_again_replaces_the_artefact(saved, facts, tmp_path):
    path, _, first = saved
    (path / "stale.txt").touch()
    second = save_artefact(path, Net(), replace(facts, seed=4))
    assert first.weights_sha256 != second.weights_sha256
    assert read_description(path).seed == 4
    assert not (path / "stale.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_save_that_fails_leaves_the_older_artefact(saved, facts, tmp_path, monkeypatch):
    path, _, first = saved
    with pytest.raises(ArtefactError, match="the description of model cannot be written as JSON: Object of type Tensor"):
        save_artefact(path, Net(), replace(facts, config={"lr": torch.ones(1)}))
    from pathlib import Path

    rename = Path.rename

    def fail(self, target):
        if self.name != "model" and self.name != "old":
            raise OSError("disk full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="disk full"):
        save_artefact(path, Net(), facts)
    assert read_artefact(path)[0] == first
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_shared_tensors_are_saved_twice(facts, tmp_path):
    model = Net()
    model.twin = model.conv
    save_artefact(tmp_path / "m", model, facts)
    assert {"conv.weight", "twin.weight"} <= set(read_artefact(tmp_path / "m")[1])


def test_something_else_is_not_overwritten(facts, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").touch()
    (tmp_path / "file").touch()
    for name in ("thesis", "file"):
        with pytest.raises(ArtefactError, match=f"{name} exists and is no artefact: choose another name, or remove it."):
            save_artefact(tmp_path / name, Net(), facts)
    assert (tmp_path / "thesis" / "chapter1.tex").exists()


def test_an_empty_folder_is_filled(facts, tmp_path):
    (tmp_path / "out").mkdir()
    save_artefact(tmp_path / "out", Net(), facts)
    assert read_description(tmp_path / "out").recipe == "baseline"


def edit(path, change):
    file = path / "passerby.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c.update(format=2), "passerby.json has format 2; this passerby reads up to 1. Update passerby."),
        (lambda c: c.pop("format"), 'is no description of an artefact: it lacks the entry "format".'),
        (lambda c: [c.pop("rule"), c.pop("model")], "passerby.json lacks model, rule: it was edited or damaged."),
        (lambda c: c["preprocess"].update(gamma=2), "does not describe a model that this passerby can use: .*gamma"),
        (lambda c: c["rule"].update(kind="logits"), 'does not describe a model that this passerby can use: no vector "logits"'),
        (lambda c: c.update(label_map=[3]), "does not describe a model that this passerby can use"),
        (lambda c: c["model"].update(net="vgg"), r'holds a network that cannot be built here: no network "vgg". Allowed: toy.'),
        (lambda c: c["model"].update(dim=5), r"conv.weight is \(4, 3, 3, 3\), the network has \(5, 3, 3, 3\)"),
        (lambda c: c.update(weights_sha256="0" * 64), "the file is damaged or belongs to another artefact"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(saved, change, text):
    path, _, _ = saved
    edit(path, change)
    with pytest.raises(ArtefactError, match=text):
        load(path, build=build)


def test_weights_that_miss_or_add_a_tensor_are_refused(facts, tmp_path):
    model = Net()
    model.extra = nn.Linear(1, 1, bias=False)
    del model.norm
    save_artefact(tmp_path / "m", model, facts)
    with pytest.raises(ArtefactError, match=r"do not fit the network that it describes: norm.weight is missing, .* and 1 more\."):
        load(tmp_path / "m", build=build)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (
            lambda p: (p / "model.safetensors").unlink(),
            "lacks model.safetensors: the artefact is incomplete; copy the whole folder again.",
        ),
        (lambda p: (p / "passerby.json").unlink(), "has no passerby.json: an artefact is the folder that training writes"),
        (lambda p: (p / "passerby.json").write_text("{"), "passerby.json is no JSON"),
        (lambda p: (p / "passerby.json").write_text("[]"), 'is no description of an artefact: it lacks the entry "format"'),
        (lambda p: (p / "model.safetensors").write_bytes(b"x" * 99), r"has SHA-256 .*\.\.\., passerby.json says"),
    ],
)
def test_a_damaged_folder_is_refused(saved, damage, text):
    path, _, _ = saved
    damage(path)
    with pytest.raises(ArtefactError, match=text):
        load(path, build=build)


def test_weights_that_are_no_safetensors_are_refused_even_with_the_right_hash(saved):
    import hashlib

    path, _, _ = saved
    (path / "model.safetensors").write_bytes(b"x" * 99)
    edit(path, lambda c: c.update(weights_sha256=hashlib.sha256(b"x" * 99).hexdigest()))
    with pytest.raises(ArtefactError, match="is no readable safetensors file"):
        load(path, build=build)


def test_another_length_of_vectors_than_described_is_refused(saved, facts, tmp_path):
    save_artefact(tmp_path / "other", Net(), replace(facts, embedding_dim=5))
    with pytest.raises(ArtefactError, match="says embedding_dim 5, its network gives 4: it was edited or damaged"):
        load(tmp_path / "other", build=build)


def test_a_run_is_told_from_its_artefact(facts, tmp_path):
    save_artefact(tmp_path / "run" / "artefact", Net(), facts)
    with pytest.raises(ArtefactError, match=r"run is a run; its model is in it: give .*run/artefact"):
        load(tmp_path / "run", build=build)


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(ArtefactError, match=r"nowhere is no folder: an artefact is the folder that training writes"):
        load(tmp_path / "nowhere")


def test_provenance_counts_what_was_trained_on(tmp_path):
    train = Split(tuple(Record(tmp_path / f"{n}.jpg", n // 2, n % 3, "toy") for n in range(6)))
    assert provenance(ReidData("toy", train=train, notes=("drawn",))) == {
        "name": "toy",
        "train_images": 6,
        "train_identities": 3,
        "train_cameras": 3,
        "notes": ["drawn"],
    }


def test_a_network_of_this_package_is_built_again_from_its_description(tmp_path):
    """PCB at 96x32 on a small OSNet: classifier left out, own normalisation, tuples that JSON turns into lists."""
    config = ModelConfig("osnet_x0_25", image_size=(96, 32), head="pcb", parts=6)
    torch.manual_seed(0)
    model = build_model(config, num_classes=4)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
    searching = model.without_classifier()
    preprocess = Preprocess(size=(96, 32))
    described = Artefact("baseline", {}, asdict(config), preprocess, EmbeddingRule(), model.embedding_dim, (("d", 1),) * 4)
    save_artefact(tmp_path / "pcb", searching, described)
    before = torch.get_rng_state()
    embedder = load(tmp_path / "pcb", device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    found = embedder(IMAGES)
    assert found.shape == (5, embedder.dim) == (5, model.embedding_dim)
    stripes = np.linalg.norm(found.reshape(5, -1, 6), axis=1)
    np.testing.assert_allclose(stripes, 1 / np.sqrt(6), rtol=1e-5)
    again = Embedder(searching.to(memory_format=torch.channels_last), preprocess)(IMAGES)
    assert np.array_equal(found, again)
    assert np.array_equal(load(tmp_path / "pcb", device="cpu")(IMAGES), found)


def a_classifier(path):
    """A network that tells three classes apart, and the artefact of it."""
    config = ModelConfig("osnet_x0_25", image_size=(64, 32))
    torch.manual_seed(0)
    model = build_model(config, num_classes=3).eval()
    bare = model.without_classifier()
    own = {name: tensor for name, tensor in model.state_dict().items() if name not in bare.state_dict()}
    described = Artefact("baseline", {}, asdict(config), Preprocess(size=(64, 32)), EmbeddingRule(), model.embedding_dim)
    labels = (("d", 1), ("d", 2), ("d", 3))
    written = save_artefact(path, bare, replace(described, label_map=labels, classes=("bed", "sofa", "table")), classifier=own)
    return model, written


def test_a_classifier_that_was_kept_answers_bit_for_bit_as_before(tmp_path):
    model, written = a_classifier(tmp_path / "m")
    found, facts = load_classifier(tmp_path / "m", device="cpu")
    assert facts.classes == written.classes == ("bed", "sofa", "table") and not found.training
    assert facts.classifier_sha256 == written.classifier_sha256 != ""
    inputs = torch.rand(2, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(found(inputs).logits[0], model(inputs).logits[0])
    assert load(tmp_path / "m", device="cpu")(IMAGES).shape == (5, model.embedding_dim)  # search does without it
    assert set(read_artefact(tmp_path / "m")[1]) == set(model.without_classifier().state_dict())


def test_an_artefact_that_is_written_on_without_its_classifier_names_no_classes(tmp_path):
    model, written = a_classifier(tmp_path / "m")
    again = save_artefact(tmp_path / "m", model.without_classifier(), written)
    assert again.classes == () == read_description(tmp_path / "m").classes and again.classifier_sha256 == ""
    assert not (tmp_path / "m" / "classifier.safetensors").exists()


def test_an_older_artefact_keeps_no_classifier_and_says_so(tmp_path):
    a_classifier(tmp_path / "m")
    edit(tmp_path / "m", lambda content: [content.pop(key) for key in ("classes", "classifier_sha256")])
    assert read_description(tmp_path / "m").classes == () and load(tmp_path / "m", device="cpu").dim > 0
    with pytest.raises(ArtefactError, match="m keeps no classifier: it is for search, or was written before classifiers"):
        load_classifier(tmp_path / "m")


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda p: (p / "classifier.safetensors").unlink(), "m lacks classifier.safetensors: the artefact is incomplete"),
        (
            lambda p: (p / "classifier.safetensors").write_bytes(b"x"),
            r"classifier.safetensors has SHA-256 .*, passerby.json says",
        ),
        (lambda p: edit(p, lambda c: c.update(classes=["bed"])), r"is \(3, 512\), the network has \(1, 512\)"),
        (lambda p: edit(p, lambda c: c.update(classifier_sha256=5)), "classifier_sha256 is 5; it must be text"),
    ],
)
def test_a_damaged_classifier_is_refused(tmp_path, damage, text):
    a_classifier(tmp_path / "m")
    damage(tmp_path / "m")
    with pytest.raises(ArtefactError, match=text):
        load_classifier(tmp_path / "m")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"backbone": "osnet_x0_26"},
            'holds a network that cannot be built here: no backbone "osnet_x0_26". Did you mean "osnet_x0_25"',
        ),
        ({"stride": 1}, 'holds a network that cannot be built here: no option "stride". Did you mean "last_stride"'),
    ],
)
def test_a_network_that_this_package_does_not_know_is_refused(tmp_path, change, text):
    config = asdict(ModelConfig("osnet_x0_25", image_size=(64, 32))) | change
    described = Artefact("baseline", {}, config, PREPROCESS, EmbeddingRule(), 512)
    save_artefact(tmp_path / "m", Net(), described)
    with pytest.raises(ArtefactError, match=text):
        load(tmp_path / "m")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data": [3]}, "model and each entry of data must be mappings"),
        ({"model": 5}, "model and each entry of data must be mappings"),
        ({"weights_sha256": 5}, "weights_sha256 is 5; it must be text"),
        ({"model": {"backbone": 5}}, "describes its network with values that it cannot have"),
        ({"model": {"image_size": 3}}, "describes its network with values that it cannot have"),
    ],
)
def test_a_description_of_wrong_types_is_one_line(facts, tmp_path, changed, said):
    path = tmp_path / "model"
    save_artefact(path, Net(), facts)
    content = json.loads((path / "passerby.json").read_text())
    (path / "passerby.json").write_text(json.dumps({**content, **changed}))
    with pytest.raises(ArtefactError, match=said) as error:
        load(path)
    assert "\n" not in str(error.value)

"""OG-Net's recipe: it learns, every option acts, its artefact is what was trained, a resumed run is the same run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from passerby.artefact import load, load_classifier, read_artefact
from passerby.batches import Batch
from passerby.cli import main
from passerby.embedder import EmbeddingRule, embed
from passerby.embeddings import Embeddings
from passerby.errors import DataError, UsageError
from passerby.losses import circle, cross_entropy
from passerby.metrics import LAYUMI, evaluate
from passerby.points import EvalClouds
from passerby.recipes.ognet import (
    OBJECT_RULE,
    RULE,
    Config,
    OGNetStep,
    augmentation,
    build_model,
    learning_rate,
    make_loader,
    preprocess,
    train,
)
from passerby.records import Record, ReidData, Split
from passerby.training import load_history
from passerby.validation import ClassificationEvaluation

PEOPLE, POINTS = 5, 64
SMALL = Config(
    feature_dims=(8, 16), k=4, init_points=12, linear_dim=16, batch_size=6, epochs=2, warmup_epochs=0, dropout=0.2, lr=0.01,
    average="off",
)  # fmt: skip
CPU = torch.device("cpu")


def write_clouds(root: Path, first_pid: int, shots: int, seed: int) -> Split:
    """People of one colour and one height each, from two cameras: easy to tell apart."""
    random, records = np.random.default_rng(seed), []
    for person in range(PEOPLE):
        for camera in range(2):
            for shot in range(shots):
                xyz = random.uniform(-1, 1, (POINTS, 3)) * (0.3, 0.5 + 0.1 * person, 0.2)
                rgb = np.clip(
                    np.array([person / PEOPLE, 0.5, 0.9 - person / PEOPLE]) + random.normal(0, 0.03, (POINTS, 3)), 0, 0.95
                )
                path = root / f"{first_pid + person:04d}_c{camera + 1}_{shot}.npz"
                np.savez(path, xyz=xyz, rgb=rgb)
                records.append(Record(path, first_pid + person, camera, "clouds"))
    return Split(tuple(records))


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> ReidData:
    known = write_clouds(tmp_path_factory.mktemp("train"), 1, 3, 0)
    test = write_clouds(tmp_path_factory.mktemp("test"), 101, 2, 1)
    query = test.where(lambda record: record.path.stem.endswith("_0"))
    gallery = test.where(lambda record: record.path.stem.endswith("_1"))
    held_out = write_clouds(tmp_path_factory.mktemp("val"), 1, 1, 2)
    return ReidData("clouds", train=known, query=query, gallery=gallery, val=held_out, notes=("people of one colour",))


def a_step(config: Config) -> OGNetStep:
    return OGNetStep(config, build_model(config, PEOPLE), 30, 5, CPU)


def a_batch(seed: int = 0, labels: tuple[int, ...] = (0, 0, 1, 2, 3, 4)) -> Batch:
    inputs = torch.rand(len(labels), 32, 6, generator=torch.Generator().manual_seed(seed)) - 0.5
    zeros = torch.zeros(len(labels), dtype=torch.int64)
    return Batch(inputs, torch.tensor(labels), zeros, zeros, torch.arange(len(labels)))


def test_it_learns_a_handful_of_people_and_finds_new_ones(clouds: ReidData, tmp_path: Path):
    pairs = {"sampler": "identity", "images_per_identity": 2, "batch_size": 10}
    config = replace(SMALL, epochs=14, lr=0.02, dropout=0.0, average="swa", average_start=0.8, **pairs)
    train(config, clouds, tmp_path / "run", workers=0, convention=LAYUMI)
    history = load_history(tmp_path / "run")
    assert history.epochs[-1]["accuracy"] > 0.9 and history.epochs[-1]["loss"] < history.epochs[0]["loss"] / 3
    assert history.evaluations[-1]["rank1"] > 0.5  # people never seen in training; chance is 1 in 5


def test_the_artefact_embeds_as_the_trained_network_did(clouds: ReidData, tmp_path: Path):
    path = train(replace(SMALL, average="swa", average_start=0.5), clouds, tmp_path / "run", workers=0)
    facts, _ = read_artefact(path)
    assert (
        facts.recipe == "ognet" and facts.embedding_dim == 16 and facts.rule == RULE == EmbeddingRule(flip=False, scales=(1, 1.1))
    )
    assert facts.preprocess == preprocess(SMALL) and facts.notes == clouds.notes
    query, gallery = (embed(load(path), split) for split in (clouds.query, clouds.gallery))
    scores = evaluate(query, gallery)
    assert scores.map == load_history(tmp_path / "run").evaluations[-1]["map"]


@pytest.mark.parametrize("options", [{"average": "swa", "average_start": 0.5, "circle": True}, {"sampler": "class"}], ids=str)
def test_a_resumed_run_equals_an_uninterrupted_one(options, clouds: ReidData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = replace(SMALL, **options)
    train(config, clouds, tmp_path / "whole", workers=0)
    calls, whole_call = iter(range(100)), OGNetStep.__call__

    def interrupted(step: OGNetStep, batch: Batch):
        if next(calls) == 7:
            raise KeyboardInterrupt
        return whole_call(step, batch)

    with monkeypatch.context() as patch:
        patch.setattr(OGNetStep, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, clouds, tmp_path / "parts", workers=0)
    train(config, clouds, tmp_path / "parts", workers=0, resume=True)
    whole, parts = (read_artefact(tmp_path / name / "artefact")[1] for name in ("whole", "parts"))
    assert whole.keys() == parts.keys() and all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize(
    "options", [{}, {"parts": 2, "circle": True}, {"network": "dgcnn", "feature_dims": (64, 128, 256, 512)}], ids=str
)
def test_every_parameter_is_owned_once_and_gets_a_gradient(options):
    plain = Config()
    base = replace(SMALL, init_points=plain.init_points) if "network" in options else SMALL
    step = a_step(replace(base, **options))
    step(a_batch())
    assert len(step.ownership.rows) == len(list(step.model.parameters()))
    assert [name for name, parameter in step.model.named_parameters() if parameter.grad is None] == []


def test_the_published_loss():
    config = replace(SMALL, circle=True, dropout=0.5, label_smoothing=0.2, warmup_epochs=2.0)
    step, batch = a_step(config), a_batch()
    torch.manual_seed(1)
    outputs = step.model(batch.inputs)
    torch.manual_seed(1)
    found = a_step(config)
    torch.manual_seed(1)
    parts = found(batch)
    logits: Tensor = outputs.logits[0].log_softmax(1)
    target = torch.full_like(logits, 0.2 / 4).scatter(1, batch.labels[:, None], 0.8)  # over the four wrong classes
    torch.testing.assert_close(parts["ce"], -(target * logits).sum(1).mean())
    torch.testing.assert_close(parts["circle"], circle(outputs.embedding, batch.labels, gamma=64.0) / 6)
    assert (outputs.embedding == 0).any()  # what the circle loss sees has been dropped out
    torch.testing.assert_close(parts["loss"], (parts["ce"] + parts["circle"]) * (0.1 + 0.9 / 10))


@pytest.mark.parametrize("smoothing", [0.9, 0.99])
def test_smoothing_takes_all_shares_that_the_options_allow(smoothing: float):
    step, batch = a_step(replace(SMALL, label_smoothing=smoothing, dropout=0.0)), a_batch()
    logits = step.model(batch.inputs).logits[0].log_softmax(1)
    parts = a_step(replace(SMALL, label_smoothing=smoothing, dropout=0.0))(batch)
    target = torch.full_like(logits, smoothing / 4).scatter(1, batch.labels[:, None], 1 - smoothing)
    torch.testing.assert_close(parts["ce"], -(target * logits).sum(1).mean())


def test_a_single_class_has_nothing_to_smooth_over():
    step = OGNetStep(SMALL, build_model(SMALL, 1), 30, 5, CPU)
    assert step(a_batch(labels=(0,) * 6))["ce"] == 0


def test_fewer_clouds_than_half_a_batch_warm_up_too(clouds: ReidData, tmp_path: Path):
    config = replace(SMALL, sampler="class", per_class=40, batch_size=70, warmup_epochs=1.0)
    train(config, clouds, tmp_path / "run", workers=0)
    first, last = load_history(tmp_path / "run").epochs
    assert first["loss"] < 0.9 * first["ce"] and last["loss"] == pytest.approx(last["ce"])


def test_without_a_positive_pair_the_circle_loss_is_nothing():
    parts = a_step(replace(SMALL, circle=True))(a_batch(labels=(0, 1, 2, 3, 4)))
    assert parts["circle"] == 0 and torch.isfinite(torch.as_tensor(parts["loss"]))


def test_parts_add_their_losses():
    step, batch = a_step(replace(SMALL, parts=2, circle=True, dropout=0.0)), a_batch()
    outputs = step.model(batch.inputs)
    parts = a_step(replace(SMALL, parts=2, circle=True, dropout=0.0))(batch)
    torch.testing.assert_close(parts["ce"], cross_entropy(outputs.logits, batch.labels))
    assert len(outputs.logits) == 3
    vectors = outputs.embedding.chunk(3, dim=1)
    torch.testing.assert_close(parts["circle"], torch.stack([circle(v, batch.labels, gamma=64.0) for v in vectors]).sum() / 6)


def test_rates_follow_the_published_curves():
    assert learning_rate(Config())(0) == 1 and learning_rate(Config())(999) == pytest.approx(0.01, abs=1e-4)
    rate = learning_rate(replace(Config(), schedule="step"))
    assert [round(rate(epoch), 4) for epoch in (0, 799, 800, 950)] == [1, 1, 0.1, 0.01]
    warm = learning_rate(replace(Config(), schedule="constant", warmup="lr"))
    assert [round(warm(epoch), 2) for epoch in (0, 5, 10)] == [0.1, 0.55, 1]
    assert learning_rate(replace(Config(), schedule="constant"))(0) == 1


@pytest.mark.parametrize("sampler", ["balanced", "class", "shuffle", "identity"])
def test_every_sampler_loads(sampler, clouds: ReidData):
    images = {"images_per_identity": 2} if sampler == "identity" else {}
    config = replace(SMALL, sampler=sampler, **images)
    loader = make_loader(config, clouds.train, clouds.train.label_map(), 0)
    batch = next(loader.epoch(0))
    assert batch.inputs.shape == (6, 32, 6) and len(loader) >= 4


def test_options_of_clouds_reach_the_clouds():
    config = replace(
        SMALL, inputs="xyz", slim=1.0, first=40, flat=True, flip=0.0, scale=(1, 2), jitter=0.02, shift=0.1, rotate=True
    )
    made, changes = preprocess(config), augmentation(replace(config, inputs="xyzrgb", erase=0.3, shuffle=True))
    assert (made.slim, made.first, made.flat, made.colours) == (1.0, 40, True, False)
    assert (changes.flip, changes.scale, changes.jitter, changes.shift) == (0, (1, 2), 0.02, 0.1)
    assert changes.rotate and changes.shuffle and changes.erase == 0.3 and preprocess(replace(config, surface=50)).surface == 50


def test_objects_are_classified(clouds: ReidData, tmp_path: Path):
    objects = replace(clouds, query=Split(), gallery=Split())
    config = replace(SMALL, task="classify", epochs=8, optimizer="sgd", lr=0.1, sampler="shuffle", flip=0.0)
    train(config, objects, tmp_path / "run", workers=0)
    found = load_history(tmp_path / "run").evaluations[-1]
    assert found["val_error"] < 0.4 and found["val_class_error"] == pytest.approx(
        found["val_error"]
    )  # equal numbers of each class
    model, facts = load_classifier(tmp_path / "run" / "artefact", device="cpu")
    assert facts.classes == ("1", "2", "3", "4", "5") and facts.rule == OBJECT_RULE == EmbeddingRule(flip=False)
    again = ClassificationEvaluation(
        lambda: model, clouds.val, clouds.train.label_map(), preprocess(config), batch_size=6, by_class=True
    )
    assert again() == {name: found[name] for name in ("val_error", "val_loss", "val_class_error")}
    assert not any("classifier" in name for name in read_artefact(tmp_path / "run" / "artefact")[1])  # search leaves it out
    with pytest.raises(
        DataError, match=r"clouds has no held-out objects to measure a classifier on. Give modelnet40, or take task reid."
    ):
        train(config, replace(objects, val=Split()), tmp_path / "other", workers=0)


def test_a_network_of_positions_needs_no_colours(clouds: ReidData, tmp_path: Path):
    records = []
    for record in clouds.train:
        path = tmp_path / record.path.name
        np.savez(path, xyz=np.load(record.path)["xyz"])
        records.append(replace(record, path=path))
    bare = Split(tuple(records))
    config = replace(SMALL, inputs="xyz")
    assert torch.isfinite(torch.as_tensor(a_step(config)(next(make_loader(config, bare, bare.label_map(), 0).epoch(0)))["loss"]))
    with pytest.raises(DataError, match="has no colours"):
        next(make_loader(SMALL, bare, bare.label_map(), 0).epoch(0))


def test_evaluation_takes_every_other_point(clouds: ReidData):
    made = EvalClouds(preprocess(SMALL))
    assert made(made.read(clouds.query[0].path)).shape == (32, 6)


REFUSED: dict[str, dict] = {
    "epochs is 0: allowed is 1 or more.": {"epochs": 0},
    "lr is 0 and circle_gamma 64.0: both must be above 0.": {"lr": 0},
    "epochs is 5: the average would begin after 90% of them, which leaves none.": {"epochs": 5, "average": "swa"},
    "k is 4, but it acts only with network ognet or dgcnn.": {"network": "pointnet2-ssg"},
    "circle_gamma is 32, but it acts only with circle.": {"circle_gamma": 32},
    "erase is 0.5, but it acts only with inputs rgb or xyzrgb.": {"inputs": "xyz", "erase": 0.5},
    "per_class is 2, but it acts only with sampler class.": {"per_class": 2},
    "momentum is 0.5, but it acts only with optimizer sgd.": {"momentum": 0.5},
    "amsgrad is False, but it acts only with optimizer adam or adamw.": {"amsgrad": False, "optimizer": "sgd"},
    "warmup is lr, but it acts only with warmup_epochs above 0.": {"warmup": "lr"},
    "slim is 0: it is the share of points that is kept": {"slim": 0},
    "points of a surface have no colours": {"surface": 100},
    "scale is (2, 1): give the least and the largest factor": {"scale": (2, 1)},
    "id_skip is 5: 0 is no shortcut": {"id_skip": 5},
    "Give --init-points 16 or more, or --k 3 or less.": {"feature_dims": (8, 16, 24, 32)},
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused_before_work(text: str):
    with pytest.raises(UsageError) as raised:
        replace(SMALL, **REFUSED[text])
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"init_points": 33},
            r"--init-points is 33, but 32 points of 0001_c1_0.npz enter the network \(--slim 0.5 of 64\). Give --init-points 32 "
            "or less, or clouds of more points.",
        ),
        (
            {"k": 41, "init_points": 50, "slim": 1.0, "first": 40},
            "--k is 41, but 40 points of 0001_c1_0.npz enter the network. Give",
        ),
        (
            {"network": "dgcnn", "k": 65, "slim": 1.0, **dict.fromkeys(("feature_dims", "init_points"))},
            "--k is 65, but 64 points",
        ),
    ],
    ids=str,
)
def test_clouds_of_too_few_points_are_refused_before_training(options: dict, said: str, clouds: ReidData, tmp_path: Path):
    plain = Config()
    options = {name: getattr(plain, name) if value is None else value for name, value in options.items()}
    with pytest.raises(UsageError, match=said):
        train(replace(SMALL, **options), clouds, tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()


def test_the_command_line_trains_and_embeds(clouds: ReidData, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tree = tmp_path / "tree"
    for subset, split in {"train_all": clouds.train, "query": clouds.query, "gallery": clouds.gallery}.items():
        for record in split:
            path = tree / subset / f"{record.pid:04d}" / record.path.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record.path.read_bytes())
    small = "--feature-dims 8 16 --k 4 --init-points 12 --linear-dim 16 --batch-size 6 --epochs 1 --average off"
    out = tmp_path / "run"
    words = ["train", "ognet", "--data", str(tree), "--out", str(out), "--device", "cpu", "--workers", "0", *small.split()]
    assert main(words) == 0
    assert "clouds after 1 epochs" in capsys.readouterr().out
    assert main(["embed", str(out / "artefact"), "--images", str(tree / "query"), "--out", str(tmp_path / "q.npz")]) == 0
    assert Embeddings.load(tmp_path / "q.npz").vectors.shape == (len(clouds.query), 16)
    assert main(["embed", str(out / "artefact"), "--data", str(tree), "--out", str(tmp_path / "both")]) == 0
    assert (tmp_path / "both" / "gallery.npz").is_file()
    assert main(["train", "ognet", "--preset", "market-ognet", "--data", str(tree), "--out", str(tmp_path / "other")]) == 2
    assert "of 5 classes does not fill a batch of 36" in capsys.readouterr().err

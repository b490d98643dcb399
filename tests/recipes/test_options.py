"""Every option acts: each field of `Config`, set to another value, changes what it names."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from passerby.batches import Batch
from passerby.errors import PasserbyError
from passerby.recipes.baseline import (
    BaselineStep,
    Config,
    augmentation,
    average_of,
    build_model,
    learning_rate,
    make_loader,
    make_sampler,
    model_config,
    preprocess,
    train,
)
from passerby.records import ReidData
from passerby.running import hold_out_first
from passerby.training import load_history

BASE = Config(backbone="osnet_x0_25", weights="scratch", height=64, width=32, pad_px=2, batch_size=8, epochs=10)
LABELS = np.arange(48) // 8
TOWNS = ["ab"[label % 2] for label in LABELS]


def step_of(config: Config) -> BaselineStep:
    return BaselineStep(config, build_model(config, 6), 6, 32, 4, torch.device("cpu"))


def first_step(config: Config) -> dict[str, float]:
    inputs = torch.randint(0, 256, (8, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    zeros = torch.zeros(8, dtype=torch.int64)
    step = step_of(config)
    torch.manual_seed(0)
    found = step(Batch(inputs, torch.arange(8) // 2, zeros, zeros, torch.arange(8)))
    moved = sum(float(parameter.detach().double().abs().sum()) for parameter in step.model.parameters())
    return {**{name: float(value) for name, value in found.items()}, "moved": moved}


def groups(config: Config) -> list[dict[str, Any]]:
    found = step_of(config).optimizer
    return [{"type": type(found).__name__, **{k: v for k, v in g.items() if k != "params"}} for g in found.param_groups]


def rates(config: Config) -> list[float]:
    return [learning_rate(config)(epoch / 4) for epoch in range(4 * config.epochs)]


def averaged(config: Config) -> float:
    model = build_model(config, 6)
    average = average_of(config, model)
    assert average is not None
    average.update(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    average.update(model)
    return float((next(average.model.parameters()) - next(model.parameters())).detach().sum())


# option -> (another value, what it must change, options that it needs)
OPTIONS: dict[str, tuple[Any, Callable[[Config], Any], dict[str, Any]]] = {
    "backbone": ("osnet_x0_5", model_config, {}),
    "last_stride": (1, model_config, {}),
    "pool": ("gem", model_config, {}),
    "middle": (True, model_config, {}),
    "usam": (True, model_config, {}),
    "drop_path": (0.1, model_config, {}),
    "head": ("bnneck", model_config, {}),
    "linear_dim": (64, model_config, {}),
    "parts": (3, model_config, {"head": "pcb"}),
    "leaky_relu": (True, model_config, {}),
    "dropout": (0.2, model_config, {}),
    "classifier_std": (0.0001, model_config, {}),
    "metric_before_dropout": (True, model_config, {}),
    "search_before_neck": (True, model_config, {"head": "bnneck"}),
    "height": (128, preprocess, {}),
    "width": (64, preprocess, {}),
    "interpolation": ("bilinear", preprocess, {}),
    "flip": (0.0, augmentation, {}),
    "pad_px": (5, augmentation, {}),
    "pad_mode": ("edge", augmentation, {}),
    "color_jitter": (True, augmentation, {}),
    "random_erasing": (0.5, augmentation, {}),
    "erasing_plus": (0.5, augmentation, {}),
    "grayscale_patch": (0.2, augmentation, {}),
    "auto_augment": ("reid", augmentation, {}),
    "label_smoothing": (0.1, first_step, {}),
    "losses": (("circle",), first_step, {}),
    "instance_gamma": (0.5, first_step, {"losses": ("instance",)}),
    "adversarial": (0.5, first_step, {}),
    "precision": ("bf16", first_step, {}),
    "max_grad_norm": (0.001, first_step, {}),
    "warmup": ("loss", first_step, {"warmup_epochs": 2.0}),
    "optimizer": ("adam", groups, {}),
    "lr": (0.01, groups, {}),
    "backbone_lr_factor": (0.5, groups, {}),
    "momentum": (0.5, groups, {}),
    "nesterov": (False, groups, {}),
    "weight_decay": (1e-4, groups, {}),
    "epochs": (12, rates, {}),
    "schedule": ("cosine", rates, {}),
    "warmup_epochs": (2.0, rates, {}),
    "average": ("swa", lambda config: type(average_of(config, build_model(config, 6))), {}),
    "ema_decay": (0.5, averaged, {"average": "ema"}),
    "sampler": ("identity", lambda config: type(make_sampler(config, LABELS)), {}),
    "batch_size": (16, lambda config: make_sampler(config, LABELS).epoch(0), {}),
    "images_per_identity": (2, lambda config: make_sampler(config, LABELS).epoch(0), {"sampler": "identity"}),
    "domains_per_batch": (1, lambda config: make_sampler(config, LABELS, TOWNS).epoch(0), {"sampler": "identity"}),
    "seed": (1, lambda config: make_sampler(config, LABELS).epoch(0), {}),
}
ELSEWHERE = {  # options of a run as a whole, and where they are tested
    "weights": "test_baseline: missing start weights",
    "train_all": "test_baseline: held out images",
    "adversarial_every": "test_baseline: the adversarial term",
    "generated": "test_baseline: generated images",
    "generated_weight": "test_baseline: generated images",
    "sync_bn": "test_baseline: two processes",
    "evaluate_every": "below: the log",
    "save_every_steps": "below: checkpoints",
    "keep_every": "below: checkpoints",
}


def test_every_option_is_tested():
    assert {field.name for field in fields(Config)} == set(OPTIONS) | set(ELSEWHERE)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_changes_what_it_names(name: str):
    value, probe, needed = OPTIONS[name]
    base = replace(BASE, **needed)
    before, after = probe(base), probe(replace(base, **{name: value}))
    assert probe(base) == before, "the probe itself is not repeatable"
    assert before != after


def test_the_log_and_the_checkpoints_follow_their_options(colours: ReidData, tmp_path: Path):
    closely = replace(BASE, epochs=2, evaluate_every=1, save_every_steps=2, keep_every=1)
    for name, config in {"closely": closely, "plain": replace(BASE, epochs=2)}.items():
        train(config, colours, tmp_path / name, workers=0)
    evaluated = {name: [line["epoch"] for line in load_history(tmp_path / name).evaluations] for name in ("closely", "plain")}
    assert evaluated == {"closely": [1, 2], "plain": [2]}
    kept = {name: len(list((tmp_path / name / "checkpoints").iterdir())) for name in ("closely", "plain")}
    assert kept == {"closely": 2, "plain": 1}
    first, second = (tmp_path / name / "artefact" / "model.safetensors" for name in ("closely", "plain"))
    assert first.read_bytes() == second.read_bytes()  # looking on changes nothing


def test_held_out_people_keep_an_image_to_train_on(colours: ReidData):
    chosen, val = hold_out_first(colours.train)
    assert not set(chosen) & set(val)
    assert len(make_loader(BASE, chosen, colours.train.label_map(), 0)) == len(chosen) // 8


def test_an_option_of_another_head_is_refused():
    with pytest.raises(PasserbyError, match='parts is 3, but head "block" has no such option'):
        model_config(replace(BASE, parts=3))

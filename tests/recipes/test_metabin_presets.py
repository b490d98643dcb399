"""The presets of MetaBIN are the published configurations, and the paper's ablation."""

from pathlib import Path

import pytest
import torch

from passerby import datasets, models
from passerby.configs import merged
from passerby.metrics.generalization import PROTOCOLS
from passerby.models.norms.batch_instance import gates
from passerby.recipes import load_preset, preset_names
from passerby.recipes.metabin import Config, model_config

NAMES = preset_names("metabin")


def config_of(name: str) -> Config:
    return merged(Config(), load_preset(name).options, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_makes_its_network_and_names_its_data(name: str):
    preset, config = load_preset(name), config_of(name)
    assert datasets.resolve(preset.dataset) == preset.dataset
    assert preset.dataset in (PROTOCOLS["p1"].training_data, "market1501", "dukemtmc")
    with torch.device("meta"):
        model = models.build_model(model_config(config), 4)
    assert len(gates(model)) == (53 if config.norm == "bin" else 0)
    assert config.meta == (config.norm == "bin" and "-bin" not in name)


def test_there_is_one_for_every_row_of_the_ablation():
    assert NAMES == [
        "d-resnet", "d-resnet-bin", "d-resnet-bn", "dg-mobilenet-x1-0", "dg-mobilenet-x1-4", "dg-mobilenet-x1-4-bin",
        "dg-mobilenet-x1-4-bn", "dg-mobilenet-x1-4-dualnorm", "dg-mobilenet-x1-4-half", "dg-mobilenet-x1-4-in", "dg-resnet",
        "dg-resnet-bin", "dg-resnet-bn", "dg-resnet-ibn", "m-resnet", "m-resnet-bin", "m-resnet-bn",
    ]  # fmt: skip


def test_several_sources_are_as_published():
    config = config_of("dg-resnet")
    assert (config.height, config.width, config.last_stride, config.color_jitter, config.domains) == (
        256,
        128,
        1,
        False,
        "datasets",
    )
    assert (config.batch_size, config.meta_batch_size, config.meta_train_domains, config.images_per_identity) == (80, 80, 3, 4)
    assert (config.lr, config.gate_lr, config.epochs, config.milestones, config.warmup_epochs) == (0.01, 0.1, 100, (40, 70), 10.0)
    assert (config.inner_rates, config.inner_period, config.second_order, config.meta_classification) == (
        (0.001, 0.1),
        5,
        False,
        False,
    )
    published = load_preset("dg-mobilenet-x1-4").published
    assert published is not None and (published.rank1, published.map) == (0.6469, 0.7234)


@pytest.mark.parametrize(
    ("name", "gate_lr", "train_domains", "figures"),
    [("m-resnet", 0.2, 3, (0.8993, 0.719)), ("d-resnet", 0.5, 4, (0.7877, 0.606))],
)
def test_single_sources_are_as_published(name: str, gate_lr: float, train_domains: int, figures: tuple[float, float]):
    config, published = config_of(name), load_preset(name).published
    assert (config.gate_lr, config.meta_train_domains, config.domains) == (gate_lr, train_domains, "cameras")
    assert (config.batch_size, config.meta_batch_size, config.epochs, config.milestones) == (96, 96, 120, (50, 90))
    assert config.color_jitter and config.meta_classification
    assert published is not None and (published.rank1, published.map) == figures
    further = published.further[0]
    row = PROTOCOLS[further["protocol"]].published[0]
    (target,) = row.targets.values()
    assert (further["rank1"], further["map"]) == (target[0], target[3])


def test_the_page_of_the_recipe_lists_them():
    page = (Path(__file__).parents[2] / "docs" / "recipes" / "metabin.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in page] == []

"""Every preset is a published row, or a model of this package, that this version can run as it stands."""

import re
from pathlib import Path

import pytest
import torch

from passerby import datasets, models
from passerby.artefact import named_model, read_description
from passerby.configs import merged
from passerby.errors import ArtefactError, UsageError
from passerby.losses import LossTerm
from passerby.metrics import CONVENTIONS
from passerby.models.weights import find_installed_weights
from passerby.recipes import load_preset, preset_names, recipe
from passerby.recipes.baseline import Config, augmentation, build_model, learning_rate, model_config
from passerby.street.populations import population

POPULATIONS = {"house": "house-large", "house-256": "house", "house-small": "house", "house-small-scratch": "house"}
OWN = tuple(POPULATIONS)
ROWS = [name for name in preset_names("baseline") if name not in OWN]


def test_there_is_one_for_every_row():
    assert len(ROWS) == 40


@pytest.mark.parametrize("name", OWN)
def test_models_of_this_package_train_on_the_street_and_claim_nothing(name: str):
    preset = load_preset(name)
    config = merged(Config(), preset.options, name)
    assert preset.dataset == "street" and preset.published is None
    assert re.findall(r"street render --population ([\w-]+)", preset.note) == [POPULATIONS[name]]
    assert population(POPULATIONS[name])
    assert ("scratch" in name) == (config.weights == "scratch")


@pytest.mark.parametrize("name", OWN)
def test_their_start_weights_are_installed_or_named_with_their_licence(name: str):
    preset = load_preset(name)
    config = merged(Config(), preset.options, name)
    if config.weights == "scratch" or find_installed_weights(config.backbone) is not None:
        return
    assert "--weights FILE" in preset.note and "Apache-2.0" in preset.note
    with pytest.raises(ArtefactError, match=r"get timm's resnet50.a1_in1k \(Apache-2.0\): where there is a network"):
        build_model(config, 2)


@pytest.mark.parametrize(("name", "model"), [("house-small", "house"), ("house-small-scratch", "house-scratch")])
def test_a_model_that_ships_is_what_its_preset_trains(name: str, model: str):
    preset, shipped = load_preset(name).options, read_description(named_model(model)).config
    assert merged(Config(), preset, name) == merged(Config(), shipped, model)  # options that came later are at rest


@pytest.mark.parametrize("name", ROWS)
def test_a_preset_resolves(name: str):
    preset = load_preset(name)
    config = merged(recipe(preset.recipe).Config(), preset.options, name)
    assert datasets.resolve(preset.dataset) == preset.dataset
    assert preset.published is not None and 0 < preset.published.map < preset.published.rank1 < 1
    assert preset.published.convention in CONVENTIONS and preset.published.source
    assert augmentation(config).preprocess.size == (config.height, config.width)
    assert 0 < learning_rate(config)(0.0) <= 1
    assert [LossTerm.parse(text).name for text in config.losses] == list(config.losses)
    assert ("generated" in preset.note) == (config.generated_weight > 0)


def test_the_page_of_the_recipe_lists_every_row_with_its_figures():
    page = (Path(__file__).parents[2] / "docs" / "recipes" / "baseline.md").read_text()
    for name in ROWS:
        preset = load_preset(name)
        assert preset.published is not None
        figures = f"{100 * preset.published.rank1:.2f} / {100 * preset.published.map:.2f}"
        assert f"| `{name}` | {preset.title} | {figures} |" in page


@pytest.mark.parametrize(
    ("name", "figures", "options"),
    [
        ("market-resnet50", (88.84, 71.59), {}),
        ("market-densenet121", (90.17, 74.02), {"backbone": "densenet121"}),
        ("market-pcb", (92.64, 77.47), {"head": "pcb", "lr": 0.02, "height": 384, "width": 192, "last_stride": 1, "pad_px": 0}),
        ("market-all-tricks", (91.83, 78.32), {"batch_size": 8, "lr": 0.02, "random_erasing": 0.5, "last_stride": 1}),
        ("market-circle", (92.13, 79.84), {"losses": ["circle"], "sampler": "published", "batch_size": 8}),
        ("market-swin", (92.75, 79.70), {"height": 224, "width": 224, "drop_path": 0.2}),
        ("market-loss-instance", (92.73, 81.11), {"instance_gamma": 64, "lr": 0.08, "epochs": 100, "batch_size": 32}),
        ("market-hrnet18-circle-dg", (92.19, 81.00), {"lr": 0.01, "batch_size": 16, "generated_weight": 0.1}),
        ("duke-resnet50", (64.23, 43.92), {}),
    ],
)
def test_well_known_rows_are_as_published(name: str, figures: tuple[float, float], options: dict):
    preset = load_preset(name)
    assert preset.published is not None
    assert (preset.published.rank1, preset.published.map) == pytest.approx([value / 100 for value in figures])
    assert {key: preset.options[key] for key in options} == options


def networks() -> dict[models.ModelConfig, str]:
    found = {}
    for name in preset_names("baseline"):
        found.setdefault(model_config(merged(Config(), load_preset(name).options, name)), name)
    return found


@pytest.mark.parametrize("wanted", networks(), ids=networks().values())
def test_its_network_can_be_made(wanted: models.ModelConfig):
    with torch.device("meta"):
        model = models.build_model(wanted, 751)
    assert model.input_size == wanted.image_size


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(UsageError, match=r'no preset "market-resnet5"\. Did you mean "market-resnet50"'):
        load_preset("market-resnet5")


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(UsageError, match=r'no recipe "basline"\. Did you mean "baseline"'):
        recipe("basline")


@pytest.mark.parametrize("name", [name for name in preset_names() if load_preset(name).published is not None])
def test_further_figures_say_what_they_are_of(name: str):
    published = load_preset(name).published
    assert published is not None
    assert all(figures["what"] and 0 < figures["map"] < figures["rank1"] < 1 for figures in published.further)

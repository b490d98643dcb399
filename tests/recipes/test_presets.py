"""Every preset is a published row that this version can run as it stands."""

import pytest
import torch

from passerby import datasets, models
from passerby.configs import merged
from passerby.errors import UsageError
from passerby.losses import LossTerm
from passerby.metrics import CONVENTIONS
from passerby.recipes import load_preset, preset_names, recipe
from passerby.recipes.baseline import Config, augmentation, learning_rate, model_config


def test_there_is_one_for_every_row():
    assert len(preset_names("baseline")) == 40


@pytest.mark.parametrize("name", preset_names("baseline"))
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

"""Every OG-Net preset is a published row that this version can run as it stands."""

from pathlib import Path

import pytest

from passerby import datasets
from passerby.configs import merged
from passerby.metrics import CONVENTIONS
from passerby.models.point_models import build_point_model
from passerby.recipes import Preset, load_preset, preset_names
from passerby.recipes.ognet import Config, model_config

PAGE = Path(__file__).parents[2] / "docs" / "recipes" / "ognet.md"
NAMES = preset_names("ognet")
SIZES = {"small": 1_200_833, "deep": 2_470_498, "": 1_951_738}


def config_of(preset: Preset) -> Config:
    return merged(Config(), preset.options, preset.name)


def test_there_is_one_for_every_set_network_and_loss():
    sets, networks, losses = ("market", "duke", "cuhk03", "msmt17"), ("", "-small", "-deep"), ("", "-circle")
    assert set(NAMES) == {f"{s}-ognet{n}{c}" for s in sets for n in networks for c in losses} | {"modelnet40-ognet-small"}


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_resolves(name: str):
    preset = load_preset(name)
    config = config_of(preset)
    assert datasets.resolve(preset.dataset) == preset.dataset
    assert config.circle == name.endswith("-circle") and config.circle == ("circle" in preset.title)
    assert (config.task == "classify") == (preset.dataset == "modelnet40")
    if preset.published_accuracy is not None:
        assert preset.name == "modelnet40-ognet-small" and preset.published is None
    elif preset.published is None:
        assert "published" in preset.note
    else:
        assert preset.published.convention == "layumi" and "layumi" in CONVENTIONS
        assert 0 < preset.published.map < preset.published.rank1 < 1


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("market") and not name.endswith("circle")])
def test_its_network_has_the_published_size(name: str):
    model = build_point_model(model_config(config_of(load_preset(name))))
    kind = name.removeprefix("market-ognet").strip("-")
    assert sum(parameter.numel() for parameter in model.parameters()) == SIZES[kind]


@pytest.mark.parametrize(
    ("name", "figures", "options"),
    [
        ("market-ognet-circle", (87.80, 70.56), {"epochs": 1500, "batch_size": 36, "lr": 0.001}),
        ("market-ognet-deep-circle", (88.81, 72.91), {"batch_size": 30, "lr": 6e-4, "id_skip": 2, "k": 9, "average": "off"}),
        ("duke-ognet-small-circle", (77.15, 58.51), {"circle_gamma": 32}),
        ("cuhk03-ognet-circle", (48.29, 43.73), {"circle_gamma": 96, "sampler": "class", "weight_decay": 1e-3}),
        ("msmt17-ognet-deep", (44.56, 21.41), {"batch_size": 30, "lr": 4e-4, "epochs": 600}),
    ],
)
def test_well_known_rows_are_as_published(name: str, figures: tuple[float, float], options: dict):
    preset = load_preset(name)
    assert preset.published is not None
    assert (preset.published.rank1, preset.published.map) == pytest.approx([value / 100 for value in figures])
    assert {key: preset.options[key] for key in options} == options


def test_the_classifier_has_its_published_figures_and_what_they_are_of():
    figures = load_preset("modelnet40-ognet-small").published_accuracy
    assert figures is not None
    assert (figures.val_error, figures.val_class_error) == pytest.approx((0.0665, 0.0945))
    assert figures.in_words() == (
        "93.35% of 2,468 objects right, 90.55% in the mean over 40 classes (README of layumi/dgcnn, the best of all epochs on "
        "the test objects themselves)"
    )


def test_the_page_of_the_recipe_lists_every_row_with_its_figures():
    page = PAGE.read_text(encoding="utf-8")
    for name in NAMES:
        preset = load_preset(name)
        assert f"| `{name}` | {preset.title} |" in page
        if preset.published is not None:
            assert (
                f"| `{name}` | {preset.title} | {100 * preset.published.rank1:.2f} / {100 * preset.published.map:.2f} |" in page
            )

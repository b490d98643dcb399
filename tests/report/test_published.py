import pytest

from passerby.configs import plain
from passerby.errors import UsageError
from passerby.recipes import baseline, load_preset
from passerby.report import published_beside


def config(**changed: object) -> dict[str, object]:
    return {**plain(baseline.Config()), **changed}


def test_the_row_with_the_fewest_other_options_stands_beside():
    row = published_beside("baseline", config(head="pcb", height=384, width=192, last_stride=1), "market1501", "market1501")
    assert row is not None and row.preset.name.startswith("market-pcb") and row.trained_alike and row.tested_alike


def test_what_differs_is_said_and_what_changes_no_number_is_not():
    row = published_beside("baseline", config(epochs=7, seed=3, evaluate_every=1), "market1501", "market1501", "market-resnet50")
    assert row is not None and row.differs == (("epochs", "7", str(baseline.Config().epochs)),)
    switched = published_beside("baseline", config(color_jitter=True), "market1501", "", "market-resnet50")
    assert switched is not None and switched.differs == (("color_jitter", "yes", "no"),) and not switched.tested_alike


def test_other_data_has_no_row_unless_one_is_asked_for():
    assert published_beside("baseline", config(), "street", "street") is None
    row = published_beside("baseline", config(), "street", "street", "market-resnet50")
    assert row is not None and not row.trained_alike and not row.tested_alike


def test_a_target_is_what_the_row_was_tested_on():
    preset = load_preset("market2duke")
    row = published_beside("cail-mixup", dict(preset.options), "market1501", "dukemtmc", "market2duke")
    assert row is not None and row.trained_alike and row.tested_alike


def test_a_preset_of_another_recipe_or_without_figures_is_refused():
    with pytest.raises(UsageError, match=r'"market-camera-bn" belongs to camera-bn; this run is of baseline'):
        published_beside("baseline", config(), "market1501", "", "market-camera-bn")
    with pytest.raises(UsageError, match=r'"modelnet40-ognet-small" has no published figures; this run is of ognet'):
        published_beside("ognet", {}, "modelnet40", "", "modelnet40-ognet-small")
    with pytest.raises(UsageError, match='no preset "market-resnet5"'):
        published_beside("baseline", config(), "market1501", "", "market-resnet5")

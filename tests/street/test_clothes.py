"""Wardrobes and outfits: everything named can be made, and colours follow what people wear."""

import numpy as np
import pytest
from numpy.random import RandomState

from passerby.street import hair, luggage, tailor
from passerby.street.clothes import COLOURS, dyed, make_outfit, pick
from passerby.street.meshes import PATTERNS
from passerby.street.wardrobes import WARDROBES


@pytest.mark.parametrize("wardrobe", WARDROBES.values(), ids=WARDROBES)
def test_wardrobes_name_only_what_can_be_made(wardrobe):
    def names(weights):
        assert all(weight > 0 for _, weight in weights)
        return {name for name, _ in weights}

    assert names(wardrobe.top) | names(wardrobe.outer) - {"none"} <= set(tailor.CUTS) | {"none"}
    assert names(wardrobe.bottom) <= set(tailor.LEGS) | {"skirt", "long_skirt"}
    assert names(wardrobe.shoes) <= set(tailor.SHAFTS)
    assert names(wardrobe.hat) <= {"none", *hair.HATS}
    assert names(wardrobe.bag) <= {"none", *luggage.BAGS}
    assert names(wardrobe.scarf) <= {"none", "scarf"}
    assert names(wardrobe.palette) | names(wardrobe.bottom_palette) <= set(COLOURS)


@pytest.mark.parametrize("name", WARDROBES)
def test_outfits_repeat_with_their_seed(name):
    for woman in (False, True):
        first, second, other = (make_outfit(RandomState(seed), WARDROBES[name], woman) for seed in (5, 5, 6))
        assert first == second
        assert first != other


def test_men_wear_no_skirts_and_women_no_polo():
    for seed in range(150):
        man = make_outfit(RandomState(seed), WARDROBES["summer"], woman=False)
        assert man.bottom.kind not in ("skirt", "long_skirt", "bare")
        assert man.top.kind not in ("dress", "blouse")
        assert make_outfit(RandomState(seed), WARDROBES["summer"], woman=True).top.kind != "polo"


def test_patterns_are_known_and_measures_positive():
    for seed in range(200):
        outfit = make_outfit(RandomState(seed), WARDROBES["campus"], woman=bool(seed % 2))
        for garment in (outfit.top, outfit.bottom, outfit.shoes, outfit.outer, outfit.bag):
            if garment is not None:
                assert garment.pattern in PATTERNS
                assert garment.scale > 0
                assert 0 <= garment.length <= 1
                assert 0 <= garment.width <= 1
                assert all(0 <= value <= 1 for value in (*garment.colour, *garment.second))


def test_most_clothes_are_dark_or_without_colour():
    chroma, tone = [], []
    for seed in range(400):
        outfit = make_outfit(RandomState(seed), WARDROBES["spring"], woman=bool(seed % 2))
        worn = outfit.outer or outfit.top
        for garment in (worn, outfit.bottom):
            shown = np.array(garment.colour) ** (1 / 2.2)
            chroma.append(np.ptp(shown))
            tone.append(shown.mean())
    assert np.median(chroma) < 0.1
    assert np.mean(np.array(chroma) > 0.3) < 0.06
    assert 0.2 < np.median(tone) < 0.4


def test_pick_follows_the_weights():
    drawn = [pick(RandomState(seed), (("a", 3.0), ("b", 0.0), ("c", 1.0))) for seed in range(400)]
    assert 0.68 < drawn.count("a") / 400 < 0.82
    assert "b" not in drawn


def test_a_family_gives_related_colours():
    reds = np.array([dyed(RandomState(seed), "red") for seed in range(50)])
    assert (reds[:, 0] > reds[:, 1:].max(1)).all()
    assert len({tuple(red) for red in reds}) == 50

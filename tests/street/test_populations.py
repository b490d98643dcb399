import pytest

from passerby import datasets
from passerby.errors import UsageError
from passerby.street import populations
from passerby.street.folder import Order
from passerby.street.populations import HELD_OUT, POPULATIONS, population, render_population


@pytest.mark.parametrize("name", POPULATIONS)
def test_nobody_is_for_testing_and_held_out_towns_are_in_none(name):
    orders = population(name)
    assert all(order.test_ids == 0 for order in orders)
    assert not {order.town for order in orders} & set(HELD_OUT)
    assert len({order.town for order in orders}) == len(orders)


def test_house_has_what_its_description_says():
    sizes = {
        name: (len(orders), sum(o.ids for o in orders), sum(o.ids * o.views for o in orders))
        for name, orders in POPULATIONS.items()
    }
    assert sizes == {"house": (16, 3_400, 20_400), "house-large": (28, 16_000, 128_000)}


def test_a_population_is_rendered_and_read_as_one_training_set(tmp_path, monkeypatch):
    orders = tuple(Order(town, 2, 0, 2, seed=2) for town in ("market", "random-1"))
    monkeypatch.setitem(populations.POPULATIONS, "tiny", orders)
    made = render_population("tiny", tmp_path, renderer="numba")
    assert [one.crops for one in made] == [4, 4]
    data = datasets.read("street", tmp_path)
    assert (
        len(data.train) == 8 and len({record.pid for record in data.train}) == 4 and not len(data.query) and not len(data.gallery)
    )


def test_an_unknown_population_is_refused():
    with pytest.raises(UsageError, match=r'no population "mouse". Did you mean "house"'):
        population("mouse")

import json
from dataclasses import replace

import pytest

from passerby.errors import DataError, UsageError
from passerby.street import benchmark
from passerby.street.benchmark import SIZES, Size, benchmark_order, check_benchmark, frozen, pixel_hash, render_benchmark
from passerby.street.folder import list_hash, manifest_lines, read_manifest
from passerby.street.output import render_set
from passerby.street.plan import make_plan
from passerby.street.styles import TOWNS


@pytest.mark.parametrize("town", TOWNS)
def test_the_lists_of_size_s_are_the_frozen_ones(town):
    """Fails where the street changed what Street-v1 shows: then Street needs a new version, not a new hash."""
    order = benchmark_order("S", town)
    plan = make_plan(town, order.train_ids, order.test_ids, order.views, order.seed)
    assert list_hash(manifest_lines(plan)) == frozen()["lists"]["S"][town]


def test_size_m_has_about_20_000_crops_and_hashes_for_every_town():
    size = SIZES["M"]
    assert 18_000 < len(TOWNS) * (size.train_ids + size.test_ids) * size.views < 22_000
    assert set(frozen()["lists"]["M"]) == set(frozen()["lists"]["S"]) == set(TOWNS)


@pytest.fixture
def tiny(monkeypatch):
    """A benchmark of its own, small enough to render here."""
    size = Size(1, 2, 2, 0)
    monkeypatch.setitem(SIZES, "T", size)
    plan = make_plan("market", 1, 2, 2, 0)
    monkeypatch.setitem(frozen()["lists"], "T", {"market": list_hash(manifest_lines(plan))})


def test_a_town_of_the_benchmark_is_rendered_and_known_again(tiny, tmp_path):
    (made,) = render_benchmark("T", tmp_path, towns=("market",), renderer="numba", sheets=True)
    assert made.crops == 6 and (tmp_path / "market" / "preview.jpg").is_file()
    assert json.loads((tmp_path / "street-v1.json").read_text())["size"] == "T"
    assert check_benchmark(tmp_path / "market") == ("T", "market")
    first = pixel_hash(tmp_path / "market")
    assert len(first) == 64 and first == pixel_hash(tmp_path / "market")
    crop = read_manifest(tmp_path / "market")[0]
    (tmp_path / "market" / crop.folder / crop.name).unlink()
    with pytest.raises(DataError, match=r"is Street-v1 T but lacks 1 of 6 images. Render again."):
        check_benchmark(tmp_path / "market")


def test_another_rendered_folder_is_no_part_of_it(tmp_path):
    render_set(replace(benchmark_order("S", "market"), train_ids=0, test_ids=1, views=2), tmp_path / "m", renderer="numba")
    with pytest.raises(DataError, match=r"is not a part of Street-v1: its list [0-9a-f]{12} is none of the frozen ones"):
        check_benchmark(tmp_path / "m")


def test_a_changed_street_refuses_to_call_itself_street_v1(monkeypatch, tmp_path):
    monkeypatch.setitem(frozen()["lists"], "S", {**frozen()["lists"]["S"], "market": "0" * 64})
    with pytest.raises(
        DataError, match=r"the list of market is [0-9a-f]{12}, Street-v1 S is frozen at 000000000000: this version is"
    ):
        render_benchmark("S", tmp_path / "x", towns=("market",))
    assert not (tmp_path / "x").exists()


def test_unknown_sizes_and_towns_are_refused():
    with pytest.raises(UsageError, match=r'no Street-v1 size "L". Allowed: S, M'):
        benchmark.benchmark_order("L", "campus")
    with pytest.raises(UsageError, match=r'no town "camp". Did you mean "campus"'):
        benchmark.benchmark_order("S", "camp")

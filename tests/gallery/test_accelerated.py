"""The index of faiss: found again, exact where it must be, gone after erasing."""

import sys

import numpy as np
import pytest

from passerby.errors import MissingDependencyError
from passerby.gallery import Gallery, Model, NewSighting, accelerated
from passerby.gallery.mapped import Copy

faiss = pytest.importorskip("faiss", reason="faiss is not installed")


@pytest.fixture
def gallery(tmp_path):
    random = np.random.default_rng(0)
    rows = [NewSighting(f"k{n}", random.standard_normal(16), f"c{n % 20}" if n % 2 else "c0", float(n)) for n in range(2000)]
    with Gallery.open(tmp_path / "town.gallery", create=True, model=Model("m", "m", 16)) as made:
        made.add(rows)
        yield made


def recall(gallery: Gallery, **where) -> float:
    queries = np.random.default_rng(1).standard_normal((20, 16))
    exact, quick = (
        [[hit.sighting.id for hit in hits] for hits in gallery.search(queries, 10, approximate=quick, **where)]
        for quick in (False, True)
    )
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(exact, quick, strict=True)]))


def test_it_finds_nearly_all_with_and_without_a_filter(gallery: Gallery, monkeypatch: pytest.MonkeyPatch):
    assert gallery.accelerate() >= 0.97
    used = []
    searched = accelerated._searched
    monkeypatch.setattr(accelerated, "_searched", lambda *given: used.append(given[3]) or searched(*given))
    assert recall(gallery) > 0.95 and recall(gallery, cameras=["c0"]) > 0.95 and len(used) == 2
    assert recall(gallery, cameras=["c1"]) == 1.0 and len(used) == 2  # one row in forty: scanned
    similar = [hit.similarity for hit in gallery.search(np.ones(16), 5, approximate=True)[0]]
    assert np.allclose(similar, [hit.similarity for hit in gallery.search(np.ones(16), 5)[0]], atol=1e-6)  # not of the codes


def test_rows_that_came_later_are_found_too(gallery: Gallery):
    gallery.accelerate()
    (new,) = gallery.add([NewSighting("new", np.ones(16), "c0")])
    assert gallery.search(np.ones(16), 1, approximate=True)[0][0].sighting.id == new
    assert gallery.search(np.ones(16), 1, approximate=True, cameras=["c0"])[0][0].sighting.id == new


def test_erasing_removes_it(gallery: Gallery, tmp_path):
    gallery.accelerate()
    assert len(list(tmp_path.glob("*-codes-*"))) == 1
    gallery.accelerate()
    assert len(list(tmp_path.glob("*-codes-*"))) == 1
    (tmp_path / "town.gallery-hnsw-0-0-2000-100").write_bytes(b"an index of an earlier version")
    (first,) = gallery.search(np.ones(16), 1, approximate=True)[0]
    gallery.erase_sightings([first.sighting.id])
    assert not list(tmp_path.glob("*-codes-*")) and not list(tmp_path.glob("*-hnsw-*"))
    assert gallery.search(np.ones(16), 1, approximate=True)[0][0].sighting.id != first.sighting.id


def test_it_looks_as_widely_as_it_takes(gallery: Gallery, tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("passerby.gallery.breadth._ENOUGH", 2.0)
    gallery.accelerate()
    (file,) = tmp_path.glob("*-codes-*")
    assert file.name.endswith("-2000-1600")


@pytest.mark.parametrize("size", [3, 4, 33])
def test_vectors_of_any_length_and_few_of_them(tmp_path, size, capfd):
    random = np.random.default_rng(0)
    with Gallery.open(tmp_path / "few.gallery", create=True, model=Model("m", "m", size)) as few:
        few.add([NewSighting(f"k{n}", random.standard_normal(size), "c0") for n in range(7)])
        assert few.accelerate() == 1.0
        exact, quick = (few.search(np.ones(size), 5, approximate=how)[0] for how in (False, True))
        assert [hit.sighting.id for hit in exact] == [hit.sighting.id for hit in quick]
    assert capfd.readouterr() == ("", "")  # faiss warns of small samples on the terminal


def test_a_damaged_index_is_no_harm(gallery: Gallery, tmp_path):
    gallery.accelerate()
    (file,) = tmp_path.glob("*-codes-*")
    file.write_bytes(b"no index")
    accelerated._opened.cache_clear()
    assert recall(gallery) == 1.0


def test_without_faiss_it_says_what_to_install(gallery: Gallery, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "passerby\[faiss\]"; the exact search needs nothing'):
        gallery.accelerate()
    assert isinstance(gallery._store.copy(), Copy)  # pyright: ignore

"""Embeddings: checked once at the border, sliced together, read back as they were written."""

import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from passerby.embeddings import Embeddings, QueryGallery, holds_both
from passerby.errors import EmbeddingsError, UsageError


def people(count=5, dim=3, seed=0, **more) -> Embeddings:
    rng = np.random.default_rng(seed)
    names = [f"a folder/żółw {row}.jpg" for row in range(count)]
    return Embeddings(rng.normal(size=(count, dim)), rng.integers(0, 3, count), rng.integers(0, 2, count), names, **more)


def assert_equal(left: Embeddings, right: Embeddings) -> None:
    for column in ("vectors", "pids", "camids", "names"):
        np.testing.assert_array_equal(getattr(left, column), getattr(right, column))
        assert getattr(left, column).dtype.kind == getattr(right, column).dtype.kind
    assert left.meta == right.meta


def test_arrays_tensors_and_lists_are_kept_in_one_form():
    values = [[1.0, 0.5], [0.0, 2.0]]
    for vectors in (values, np.array(values), torch.tensor(values, dtype=torch.bfloat16, requires_grad=True)):
        kept = Embeddings(vectors, torch.tensor([4, 7]), [0.0, 1.0])
        assert (kept.vectors.dtype, kept.pids.dtype, kept.camids.dtype) == (np.float32, np.int64, np.int64)
        assert kept.vectors.tolist() == values
        assert kept.names.tolist() == ["", ""]
        assert (len(kept), kept.dim) == (2, 2)


def test_the_default_meta_is_not_shared():
    one, other = people(), people()
    assert one.meta is not other.meta


@pytest.mark.parametrize("rows", [slice(1, 4), [3, 1], np.array([True, False, True, False, False]), [], slice(0, 0)])
def test_rows_are_chosen_in_all_columns_together(rows):
    whole = people(meta={"model": "m"})
    chosen = whole[rows]
    index = np.arange(5)[np.zeros(0, int) if isinstance(rows, list) and not rows else rows]
    assert chosen.names.tolist() == [whole.names[row] for row in index]
    assert chosen.vectors.tolist() == whole.vectors[index].tolist()
    assert chosen.pids.tolist() == whole.pids[index].tolist()
    assert chosen.camids.tolist() == whole.camids[index].tolist()
    assert chosen.meta == {"model": "m"}


def test_one_position_is_one_row():
    assert people()[-1].names.tolist() == ["a folder/żółw 4.jpg"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_concatenating_slices_gives_the_whole(sizes):
    whole = people(sum(sizes)) if sum(sizes) else Embeddings(np.zeros((0, 3)), [], [])
    ends = np.cumsum([0, *sizes])
    assert_equal(Embeddings.concatenate([whole[a:b] for a, b in itertools.pairwise(ends)]), whole)


def test_concatenation_keeps_what_all_agree_on_and_every_note():
    left = people(meta={"model": "m", "subset": "query", "notes": ["one", "two"]})
    right = people(meta={"model": "m", "subset": "gallery", "notes": ["two", "three"]})
    joined = Embeddings.concatenate([left, right])
    assert joined.meta == {"model": "m", "notes": ["one", "two", "three"]}
    assert joined.notes == ("one", "two", "three")


def test_lengths_are_those_of_each_row():
    assert Embeddings([[3.0, 4.0], [0.0, 0.0]], [1, 1], [0, 0]).lengths().tolist() == [5.0, 0.0]


def test_other_vectors_for_the_same_images():
    given = people()
    turned = given.with_vectors(given.vectors[:, :2])
    assert (turned.dim, turned.names.tolist()) == (2, given.names.tolist())


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_one_set_is_read_as_it_was_written(tmp_path, suffix, count):
    written = people(count, meta={"model": "wo ist sie?", "notes": ["half of each track"], "scale": [1, 0.5]})
    written.save(tmp_path / f"set{suffix}")
    assert_equal(Embeddings.load(tmp_path / f"set{suffix}"), written)
    assert [path.name for path in tmp_path.iterdir()] == [f"set{suffix}"]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".mat"])
@pytest.mark.parametrize("more", [None, people(2, seed=3)])
def test_query_and_gallery_are_read_as_they_were_written(tmp_path, suffix, more):
    written = QueryGallery(people(2, seed=1, meta={"n": 1}), people(4, seed=2), more)
    written.save(tmp_path / f"both{suffix}")
    read = QueryGallery.load(tmp_path / f"both{suffix}")
    assert (read.multi_query is None) == (more is None)
    for name in ("query", "gallery", "multi_query"):
        left, right = getattr(read, name), getattr(written, name)
        if right is not None:
            bare = Embeddings(right.vectors, right.pids, right.camids)  # a .mat has neither names nor meta
            assert_equal(left, bare if suffix == ".mat" else right)


def test_a_mat_of_an_older_tool_is_read(tmp_path):
    """Labels come as a row or a column of doubles, features as doubles."""
    fields = {
        "gallery_f": np.eye(3),
        "gallery_label": np.array([[1.0, -1.0, 0.0]]),
        "gallery_cam": np.array([[1.0, 2.0, 3.0]]),
        "query_f": np.eye(3)[:1],
        "query_label": np.array([[1.0]]),
        "query_cam": np.array([[4.0]]),
        "mquery_f": np.eye(3)[:2],
        "mquery_label": np.array([[1.0], [1.0]]),
        "mquery_cam": np.array([[4.0], [4.0]]),
    }
    savemat(tmp_path / "pytorch_result.mat", fields)
    read = QueryGallery.load(tmp_path / "pytorch_result.mat")
    assert read.gallery.pids.tolist() == [1, -1, 0]
    assert read.gallery.camids.tolist() == [1, 2, 3]
    assert read.query.vectors.tolist() == [[1.0, 0.0, 0.0]]
    assert read.multi_query is not None and read.multi_query.pids.tolist() == [1, 1]


def test_a_mat_with_one_set_is_read(tmp_path):
    names = np.array(["a/1.jpg", "b/22.jpg"])
    savemat(tmp_path / "query.mat", {"feat": np.eye(2), "ids": [[5, 6]], "cam_ids": [[0, 1]], "img_path": names})
    read = Embeddings.load(tmp_path / "query.mat")
    assert (read.pids.tolist(), read.camids.tolist(), read.names.tolist()) == ([5, 6], [0, 1], ["a/1.jpg", "b/22.jpg"])


def test_an_npz_of_plain_columns_is_read(tmp_path):
    np.savez(tmp_path / "plain.npz", vectors=np.eye(2), pids=[1, 2], camids=[0, 0], names=np.array(["x", "y"]))
    read = Embeddings.load(tmp_path / "plain.npz")
    assert (read.names.tolist(), read.meta) == (["x", "y"], {})


def test_a_failed_write_leaves_the_old_file(tmp_path):
    people(meta={"model": "old"}).save(tmp_path / "set.npz")
    with pytest.raises(EmbeddingsError, match="meta cannot be said in JSON"):
        people(meta={"model": object()}).save(tmp_path / "set.npz")
    assert Embeddings.load(tmp_path / "set.npz").meta == {"model": "old"}
    assert len(list(tmp_path.iterdir())) == 1


NAN, OVER = [[1.0, 0.0], [float("nan"), 0.0]], np.array([[1e39, 0.0], [0.0, 1.0]])
REJECTED = [
    (lambda: Embeddings(NAN, [1, 2], [0, 0]), "1 of 2 vectors hold NaN or infinity (rows 1): every number must be finite."),
    (lambda: Embeddings(OVER, [1, 2], [0, 0]), "1 of 2 vectors hold NaN or infinity (rows 0)"),
    (lambda: Embeddings(np.eye(2), [1], [0, 0]), "pids of shape (1,) beside 2 vectors: columns hold one entry a vector."),
    (lambda: Embeddings(np.eye(2), [1, 2], [0, 0, 0]), "camids of shape (3,) beside 2 vectors"),
    (lambda: Embeddings(np.eye(2), [1, 2], [0, 0], ["a"]), "names of shape (1,) beside 2 vectors"),
    (
        lambda: Embeddings(np.zeros(4), [1], [0]),
        "vectors of shape (4,) and type float64: numbers of shape (N, D), D > 0, go here.",
    ),
    (lambda: Embeddings(np.zeros((2, 0)), [1, 2], [0, 0]), "vectors of shape (2, 0)"),
    (lambda: Embeddings([["a"]], [1], [0]), "vectors of shape (1, 1) and type <U1"),
    (lambda: Embeddings(np.eye(2), [1.5, 2], [0, 0]), "pids hold 1.5 (type float64): whole numbers are needed."),
    (lambda: Embeddings(np.eye(2), [1, 2], ["c1", "c2"]), "camids hold c1, c2 (type <U2): whole numbers are needed."),
    (lambda: Embeddings.concatenate([]), "0 sets of dimensions []: to be joined, sets need one common dimension."),
    (lambda: Embeddings.concatenate([people(), people(dim=4)]), "2 sets of dimensions [3, 4]"),
    (
        lambda: Embeddings([[0.0], [1.0]], [1, 2], [0, 0], ["x.jpg", "y.jpg"]).unit_lengths("gallery vectors"),
        "1 of 2 gallery vectors are zero (x.jpg): the cosine of a zero vector is undefined.",
    ),
]


@pytest.mark.parametrize(("act", "message"), REJECTED, ids=[message[:40] for _, message in REJECTED])
def test_bad_columns_are_refused(act, message):
    with pytest.raises(EmbeddingsError, match=re.escape(message)):
        act()


def cut_short(path):
    people(50).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BAD_FILES = [
    ("a.npz", lambda path: None, Embeddings.load, "no such file"),
    ("a.npz", cut_short, Embeddings.load, "is no readable .npz file (BadZipFile"),
    ("a.safetensors", cut_short, Embeddings.load, "is no readable .safetensors file (SafetensorError"),
    ("a.npz", lambda path: np.savez(path, x=[{}]), Embeddings.load, "is no readable .npz file (ValueError: Object arrays"),
    ("a.mat", lambda path: path.write_bytes(b"MATLAB 7.3"), Embeddings.load, "is no readable .mat file"),
    ("a.npz", lambda path: np.savez(path, x=[1]), Embeddings.load, "lacks vectors, pids, camids; it holds x."),
    ("a.mat", lambda path: savemat(path, {"feat": np.eye(2)}), Embeddings.load, "lacks ids, cam_ids; it holds feat."),
    ("a.mat", lambda path: savemat(path, {"x": np.eye(2)}), QueryGallery.load, "lacks query_f, query_label, query_cam"),
    ("a.mat", lambda path: savemat(path, {"feat": np.eye(2)}), QueryGallery.load, "holds one set, a query and a gallery were"),
    (
        "a.npz",
        lambda path: np.savez(path, x=[1]),
        QueryGallery.load,
        "lacks query/vectors, query/pids, query/camids; it holds x.",
    ),
    (
        "a.npz",
        lambda path: people().save(path),
        QueryGallery.load,
        "holds one set, a query and a gallery were asked for: give both files, query.npz and gallery.npz.",
    ),
    (
        "a.npz",
        lambda path: QueryGallery(people(), people()).save(path),
        Embeddings.load,
        "holds a query and a gallery, one set was asked for: give it alone (QueryGallery.load).",
    ),
    (
        "a.mat",
        lambda path: QueryGallery(people(), people()).save(path),
        Embeddings.load,
        "holds a query and a gallery, one set was asked for: give it alone (QueryGallery.load).",
    ),
]


@pytest.mark.parametrize(("name", "make", "read", "message"), BAD_FILES, ids=[f"{n} {m[:30]}" for n, _, _, m in BAD_FILES])
def test_bad_files_are_refused(tmp_path, name, make, read, message):
    make(tmp_path / name)
    with pytest.raises(EmbeddingsError, match=re.escape(message)):
        read(tmp_path / name)


@pytest.mark.parametrize("form", ["npz", "safetensors", "mat"])
def test_which_files_hold_both_sets_is_seen_by_their_names(tmp_path, form):
    QueryGallery(people(), people()).save(tmp_path / f"both.{form}")
    assert holds_both(tmp_path / f"both.{form}")
    if form == "mat":
        savemat(tmp_path / "one.mat", {"feat": np.eye(2)})
    else:
        people().save(tmp_path / f"one.{form}")
    (tmp_path / f"broken.{form}").write_bytes(b"nothing that can be read")
    assert not any(holds_both(tmp_path / f"{name}.{form}") for name in ("one", "broken", "none"))
    assert not holds_both(tmp_path / "both.txt")


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    with pytest.raises(EmbeddingsError, match="no such file"):
        Embeddings.load(_made(tmp_path / "d.npz"))


def _made(path):
    path.mkdir()
    return path


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    people().save(tmp_path / "a.npz")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(np, "load", refuse)
    with pytest.raises(EmbeddingsError, match="cannot be read: Permission denied"):
        Embeddings.load(tmp_path / "a.npz")


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(UsageError, match=re.escape('embeddings are kept in .npz, .safetensors, .mat, not ".pkl".')):
        people().save(tmp_path / "a.pkl")
    with pytest.raises(UsageError, match=re.escape('not ""')):
        Embeddings.load(tmp_path / "a")
    with pytest.raises(UsageError, match="write it with QueryGallery"):
        people().save(tmp_path / "a.mat")
    assert list(tmp_path.iterdir()) == []


def test_a_mat_variable_over_its_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("passerby.embeddings._MAT_LIMIT_BYTES", 30)
    with pytest.raises(EmbeddingsError, match=re.escape("a .mat variable at most 4. Write .npz.")):
        QueryGallery(people(), people()).save(tmp_path / "a.mat")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name_ends": None}, "has damaged names"),
        ({"names": np.frombuffer(b"\xff\xfe", dtype=np.uint8)}, "has damaged names"),
        ({"meta": np.frombuffer(b"{", dtype=np.uint8)}, "has damaged facts about the model"),
        ({"meta": np.frombuffer(b"[1]", dtype=np.uint8)}, "keeps its facts as a list; they are a mapping"),
    ],
)
def test_damaged_columns_are_one_line(tmp_path, changed, said):
    Embeddings(np.eye(2, dtype=np.float32), [1, 2], [0, 1], ["a", "b"], {"x": 1}).save(tmp_path / "e.npz")
    held = {**dict(np.load(tmp_path / "e.npz")), **changed}
    np.savez(tmp_path / "f.npz", **{name: array for name, array in held.items() if array is not None})
    with pytest.raises(EmbeddingsError, match=said) as error:
        Embeddings.load(tmp_path / "f.npz")
    assert "\n" not in str(error.value)


def test_an_empty_file_is_one_line(tmp_path):
    (tmp_path / "e.npz").touch()
    with pytest.raises(EmbeddingsError, match=r"is no readable \.npz file"):
        Embeddings.load(tmp_path / "e.npz")


@pytest.mark.parametrize("column", ["pids", "camids"])
@pytest.mark.parametrize("far", [np.array([1e30]), np.array([-1e30]), np.array([2**63], dtype=np.uint64), np.array([2.0**63])])
def test_numbers_beyond_64_bits_are_refused(column, far):
    columns = {"pids": [1], "camids": [0], column: far}
    with pytest.raises(EmbeddingsError, match=rf"{column} hold -?\d+: numbers go up to 9223372036854775807\."):
        Embeddings([[1.0]], **columns)
    assert Embeddings([[1.0]], **{**columns, column: [2**63 - 1]}).vectors.shape == (1, 1)

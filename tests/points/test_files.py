"""Readers of clouds and meshes: what they read is what was written, and every damaged file says what is wrong with it."""

import codecs
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from passerby.errors import DataError, MissingDependencyError
from passerby.points import read_cloud, read_surface
from passerby.points.meshes import read_mesh
from passerby.street.clouds import PointCloud, save_npz, save_obj

CLOUD = np.array([[0.1, -0.8, 2.0, 1, 0, 0.2], [0, 0, 0, 0.4, 0.6, 1], [-1, 0.5, 0.25, 0, 0, 0]], np.float32)
CUBE = """OFF
8 6 12
0 0 0\n2 0 0\n2 2 0\n0 2 0\n0 0 2\n2 0 2\n2 2 2\n0 2 2
4 0 1 2 3\n4 4 5 6 7\n4 0 1 5 4\n4 2 3 7 6\n4 0 3 7 4\n4 1 2 6 5
"""


def ply(form: str, columns: list[tuple[str, str]], rows: np.ndarray, count: int | None = None) -> bytes:
    types = {"float": "f4", "double": "f8", "uchar": "u1", "int": "i4"}
    order = ">" if "big" in form else "<"
    dtype = np.dtype([(name, order + types[kind]) for kind, name in columns])
    properties = "".join(f"property {kind} {name}\n" for kind, name in columns)
    header = f"ply\nformat {form} 1.0\ncomment made by hand\nelement vertex {len(rows) if count is None else count}\n{properties}"
    header += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    if form == "ascii":
        return (header + "".join(" ".join(map(str, row)) + "\n" for row in rows.tolist()) + "3 0 1 2\n").encode()
    return header.encode() + np.array([tuple(row) for row in rows], dtype).tobytes() + b"\x03" + bytes(12)


XYZ = [("float", "x"), ("float", "y"), ("float", "z")]
RGB = [("uchar", "red"), ("uchar", "green"), ("uchar", "blue")]
BYTES = np.concatenate([CLOUD[:, :3], np.round(CLOUD[:, 3:] * 255)], 1)


def test_the_published_form_is_read_whole_though_it_has_one_face(tmp_path: Path):
    rows = ["v " + " ".join(f"{value:.6f}" for value in row) for row in CLOUD]
    (tmp_path / "a.jpg.obj").write_text("\n".join(["# made", "", *rows, "f 1 2 3"]))
    assert np.array_equal(read_cloud(tmp_path / "a.jpg.obj"), CLOUD)


def test_what_the_street_writes_is_read(tmp_path: Path):
    cloud = PointCloud(CLOUD[:, :3], (CLOUD[:, 3:] * 255).astype(np.uint8), 2)
    save_obj(cloud, tmp_path / "a.obj")
    save_npz(cloud, tmp_path / "a.npz")
    for name in ("a.obj", "a.npz"):
        found = read_cloud(tmp_path / name)
        assert found.dtype == np.float32 and np.allclose(found, np.c_[cloud.xyz, cloud.rgb / 255], atol=1e-6)


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_is_read_in_all_its_forms(tmp_path: Path, form: str):
    extra = np.concatenate([BYTES[:, :3], np.arange(3)[:, None], BYTES[:, 3:]], 1)
    (tmp_path / "a.ply").write_bytes(ply(form, [*XYZ, ("int", "label"), *RGB], extra))
    expected = np.c_[CLOUD[:, :3], BYTES[:, 3:] / 255]
    assert np.allclose(read_cloud(tmp_path / "a.ply"), expected, atol=1e-6)


def test_clouds_without_colours_are_grey_where_none_are_needed(tmp_path: Path):
    np.savez(tmp_path / "a.npz", xyz=CLOUD[:, :3])
    (tmp_path / "a.ply").write_bytes(ply("ascii", XYZ, CLOUD[:, :3]))
    for name in ("a.npz", "a.ply"):
        assert np.array_equal(read_cloud(tmp_path / name, colours=False)[:, 3:], np.full((3, 3), 0.5))


def test_rows_of_an_hdf5_file(tmp_path: Path):
    with h5py.File(tmp_path / "train0.h5", "w") as file:
        file["data"] = np.stack([CLOUD[:, :3], CLOUD[:, :3] + 1])
    assert np.array_equal(read_cloud(tmp_path / "train0.h5" / "1", colours=False)[:, :3], CLOUD[:, :3] + 1)


def test_points_of_a_surface_lie_on_it_evenly(tmp_path: Path):
    (tmp_path / "cube.off").write_text(CUBE)
    (tmp_path / "joined.off").write_text(CUBE.replace("OFF\n", "OFF", 1))
    lines = CUBE.splitlines()[2:]
    faces = [" ".join(["f", *(f"{int(word) + 1}//7" for word in line.split()[1:])]) for line in lines[8:]]
    (tmp_path / "cube.obj").write_text("\n".join([*(f"v {line}" for line in lines[:8]), *faces]))
    vertices, triangles = read_mesh(tmp_path / "cube.off")
    assert len(vertices) == 8 and len(triangles) == 12
    for name in ("joined.off", "cube.obj"):
        for one, other in zip(read_mesh(tmp_path / name), (vertices, triangles), strict=True):
            assert np.array_equal(one, other)
    cloud = read_surface(tmp_path / "cube.off", 3000)
    side = np.abs(cloud[:, :3]).max()
    on_a_side = np.isclose(np.abs(cloud[:, :3]), side, atol=0.03)
    assert (on_a_side.sum(1) >= 1).all()
    assert all(0.13 < (on_a_side[:, axis] & (cloud[:, axis] > 0)).mean() < 0.2 for axis in range(3))
    assert np.linalg.norm(cloud[:, :3], axis=1).max() == pytest.approx(1) and np.allclose(cloud[:, :3].mean(0), 0, atol=1e-5)
    assert np.array_equal(cloud, read_surface(tmp_path / "cube.off", 3000))


NAN = CLOUD.copy()
NAN[1, 2] = np.nan
OBJ = {
    "": '"{path}" is an empty file: make it again, or leave it out.',
    "f 1 2 3\n": '"{path}" holds no point: no line begins with "v ".',
    "v 0 1 2\n": '"{path}" has no colours: x y z r g b are needed for each point, or a network with inputs xyz.',
    "v 0 1 2 0 0 0\nv 0 1 2\n": '"{path}" has points of 3 or 6 numbers: each line must be "v x y z r g b".',
    "v 0 1 2 0 0\n": '"{path}" has points of 5 numbers: each line must be "v x y z r g b".',
    "v 0 nan 2 0 0 0\nv 0 1 2 0 0 0\n": '"{path}" has 1 of 2 points that are not finite: make the file again.',
    "v 0 1 2 0 0 255\n": '"{path}" has colours from 0 to 255: they must be from 0 to 1.',
    "v 0 one 2 0 0 1\n": '"{path}" holds something that is no number: could not convert string to float: ',
}


@pytest.mark.parametrize("content", OBJ)
def test_a_damaged_obj_file_says_what_is_wrong(tmp_path: Path, content: str):
    path = tmp_path / "a.obj"
    path.write_text(content)
    with pytest.raises(DataError) as raised:
        read_cloud(path)
    assert str(raised.value).startswith(OBJ[content].format(path=path))


def test_points_of_an_obj_file_may_stand_behind_a_mark_tabs_and_spaces(tmp_path: Path):
    """A byte order mark at the front, as some editors write it, and lines as other tools write them."""
    lines = [b"v\t0 1 2\t0 0 0", b"  v 1 1 2 0 0 1", b"vn 0 0 1", b"v 2 1 2 0 1 0"]
    (tmp_path / "a.obj").write_bytes(codecs.BOM_UTF8 + lines[3] + b"\r\n" + b"\n".join(lines))
    assert read_cloud(tmp_path / "a.obj")[:, 0].tolist() == [2, 0, 1, 2]


def test_a_mesh_may_stand_behind_a_mark_tabs_and_spaces(tmp_path: Path):
    lines = [b"v 0 0 0", b"v\t1 0 0", b"  v 0 1 0", b"v 9 9 9", b"f\t1 2 3"]
    (tmp_path / "a.obj").write_bytes(codecs.BOM_UTF8 + b"\n".join(lines))
    vertices, triangles = read_mesh(tmp_path / "a.obj")
    assert vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9]] and triangles.tolist() == [[0, 1, 2]]


def test_a_person_in_metres_may_stand_anywhere_and_far_from_what_is_behind(tmp_path: Path):
    """A cloud is centred afterwards; in any other unit of length one person alone is larger."""
    person = np.array([[-0.4, -0.9, -0.2, 0, 0, 0], [0.4, 0.9, 0.2, 0, 0, 0], [0, 0, 90, 1, 1, 1]], np.float32)
    for name, xyz in {"near": person[:, :3], "far": person[:, :3] + 50_000}.items():
        np.savez(tmp_path / f"{name}.npz", xyz=xyz, rgb=person[:, 3:])
        assert len(read_cloud(tmp_path / f"{name}.npz")) == 3
    for scale in (1000, 100):
        np.savez(tmp_path / "unit.npz", xyz=person[:2, :3] * scale, rgb=person[:2, 3:])
        with pytest.raises(DataError, match=f'unit.npz" is {1.8 * scale:,.0f} from end to end: coordinates are metres'):
            read_cloud(tmp_path / "unit.npz")


PLY = {
    b"nothing": "is no PLY file: it has no header",
    b"ply\nend_header\n": "is no PLY file of points: its header names no format or no vertex.",
    ply("binary_little_endian", [*XYZ, *RGB], BYTES, 90): "is cut off: its header promises 90 points.",
    ply("ascii", [*XYZ, *RGB], BYTES[:, :], 90).replace(b"3 0 1 2\n", b""): "is cut off: its header promises 90 points.",
    ply("ascii", XYZ[:2], BYTES[:, :2]): "has the columns x, y: x, y and z are needed.",
    ply("ascii", XYZ, BYTES[:, :3]).replace(b"float z", b"list uchar int z"): 'has the column "property list uchar int z"',
    b"ply\nformat ascii 1.0\nelement face 1\nend_header\n": 'begins with "face": only files whose points come first are read.',
    ply("ascii", [*XYZ, *RGB], BYTES[:0]): "holds no point",
    ply("ascii", [*XYZ, *RGB], BYTES[:, :5]): "has a point of 5 numbers where its header has 6 columns: make it again.",
    ply("ascii", [*XYZ, *RGB], BYTES).replace(b"0.25", b""): "has a point of 5 numbers where its header has 6 columns",
    ply("ascii", [*XYZ, *RGB], BYTES).replace(b"uchar red", b"uchar x"): 'has the column "x" twice: each may be there once.',
}


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_a_ply_header_may_end_its_lines_as_windows_does(tmp_path: Path, form: str):
    header, end, body = ply(form, [*XYZ, *RGB], BYTES).partition(b"end_header\n")
    body = body.replace(b"\n", b"\r\n") if form == "ascii" else body
    (tmp_path / "a.ply").write_bytes((header + end).replace(b"\n", b"\r\n") + body)
    assert np.allclose(read_cloud(tmp_path / "a.ply"), np.c_[CLOUD[:, :3], BYTES[:, 3:] / 255], atol=1e-6)


@pytest.mark.parametrize("content", PLY, ids=list(PLY.values()))
def test_a_damaged_ply_file_says_what_is_wrong(tmp_path: Path, content: bytes):
    (tmp_path / "a.ply").write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_cloud(tmp_path / "a.ply")
    assert PLY[content] in str(raised.value)


def test_other_files_are_refused(tmp_path: Path):
    def text(path: Path) -> str:
        with pytest.raises(DataError) as raised:
            read_cloud(path)
        return str(raised.value).replace(str(tmp_path) + "/", "")

    assert text(tmp_path / "a.jpg") == '"a.jpg" is no cloud of points by its name: allowed are .npz, .obj, .ply.'
    assert text(tmp_path / "a.obj") == '"a.obj" cannot be read: no such file or directory.'
    assert text(tmp_path / "a.npz") == '"a.npz" cannot be read: no such file or directory. Make it again.'
    damaged = '"a.npz" cannot be read: it is no NumPy archive, or a damaged one. Make it again.'
    (tmp_path / "a.npz").write_bytes(b"no archive")
    assert text(tmp_path / "a.npz") == damaged
    np.save(tmp_path / "a.npy", CLOUD)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    assert text(tmp_path / "a.npz") == '"a.npz" cannot be read: it is a single NumPy array. Write it with numpy.savez.'
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("xyz.npy", b"no array")
    assert text(tmp_path / "a.npz") == damaged
    np.savez(tmp_path / "d.npz", xyz=CLOUD[:, :3].astype(str), rgb=CLOUD[:, 3:])
    assert text(tmp_path / "d.npz") == '"d.npz" has xyz of type <U32: coordinates and colours must be numbers.'
    np.savez(tmp_path / "e.npz", xyz=CLOUD[:, :3].astype(float) * 1e300, rgb=CLOUD[:, 3:])
    assert text(tmp_path / "e.npz") == '"e.npz" has 2 of 3 points that are not finite: make the file again.'
    np.savez(tmp_path / "f.npz", xyz=CLOUD[:, :3] + np.float32(3e19), rgb=CLOUD[:, 3:])
    assert text(tmp_path / "f.npz").startswith('"f.npz" has a point at 3e+19: coordinates are metres, within 1,000,000 of the')
    np.savez(tmp_path / "g.npz", xyz=CLOUD[:, :3] * 1000, rgb=CLOUD[:, 3:])
    assert text(tmp_path / "g.npz") == (
        '"g.npz" is 2,000 from end to end: coordinates are metres, and a person with what is behind takes at most 100. '
        "Divide millimetres by 1,000, centimetres by 100."
    )
    np.savez(tmp_path / "b.npz", points=CLOUD)
    assert text(tmp_path / "b.npz") == '"b.npz" has no array "xyz": a cloud has xyz (N, 3) and rgb (N, 3).'
    np.savez(tmp_path / "c.npz", xyz=CLOUD[:, :3], rgb=CLOUD[:2, 3:])
    assert text(tmp_path / "c.npz") == '"c.npz" has xyz (3, 3), rgb (2, 3): a cloud has xyz (N, 3) and rgb (N, 3).'
    (tmp_path / "a.h5").write_bytes(b"no hdf5")
    assert text(tmp_path / "a.h5" / "0").startswith('"a.h5" cannot be read as HDF5 with an array "data": ')
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["data"] = CLOUD[None]
    assert text(tmp_path / "b.h5" / "1") == '"b.h5" has rows 0 to 0: there is no row "1".'
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["data"] = CLOUD[None, :, :4]
    assert text(tmp_path / "c.h5" / "0").startswith('"c.h5/0" has an array of shape (3, 4): ')
    for name, content in {"d": 3.0, "e": b"text", "g": np.array([b"text"])}.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["data"] = content
        assert text(tmp_path / f"{name}.h5" / "0") == f'"{name}.h5" has "data", but not as an array of numbers: make it again.'
    with h5py.File(tmp_path / "h.h5", "w") as file:
        file.create_group("data")
    assert text(tmp_path / "h.h5" / "0").startswith('"h.h5" has "data", but not as an array')


@pytest.mark.parametrize("form", ["npz", "packed", "ply", "obj", "off"])
def test_no_wrong_byte_is_a_traceback(tmp_path: Path, form: str):
    """Each byte of a file turned over, and each end cut off: it is read, or refused in words."""
    path = tmp_path / f"a.{'npz' if form == 'packed' else form}"
    if path.suffix == ".npz":
        (np.savez if form == "npz" else np.savez_compressed)(path, xyz=CLOUD[:, :3], rgb=CLOUD[:, 3:])
    elif form == "ply":
        path.write_bytes(ply("binary_little_endian", [*XYZ, *RGB], BYTES))
    else:
        path.write_text("".join(f"v {x} {y} {z} {r} {g} {b}\n" for x, y, z, r, g, b in CLOUD) if form == "obj" else CUBE)
    content, refused = path.read_bytes(), 0
    read = (lambda path: read_surface(path, 10)) if form == "off" else read_cloud
    for at in range(len(content)):
        turned = content[:at] + bytes([content[at] ^ (0x10 if form in ("obj", "off") else 0xFF)]) + content[at + 1 :]
        for wrong in (turned, content[:at]):
            path.write_bytes(wrong)
            try:
                assert np.isfinite(read(path)).all()
            except DataError as error:
                assert "\n" not in str(error)
                refused += 1
    assert refused > len(content) / 2


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match=r"h5py, which is not installed. Try: pip install 'passerby\[cuhk03\]'"):
        read_cloud(tmp_path / "z.h5" / "0")


MESHES = {
    "FOO\n": "is no mesh that can be read",
    "OFF\n3 1 0\n0 0 0\n": "is no mesh that can be read",
    "OFF\n3 0 0\n0 0 0\n0 1 0\n1 0 0\n": "has 3 vertices and 0 triangles: no surface to take points of.",
    "OFF\n3 1 0\n0 0 0\n0 1 0\n1 0 0\n3 0 1 3\n": "has faces of vertices that are not there: it has 3 vertices.",
    "OFF\n3 1 0\n0 0 0\n0 1 0\n1 0 0\n3 0 1 99999999999999999999\n": "has faces of vertices that are not there",
    "OFF\n3 1 0\n0 0 0\n0 1 0\n1 0 0\n3 0 1\n": "is no mesh that can be read",
    "OFF\n3 1 0\n0 0\n0 1\n1 0\n3 0 1 2\n": "is no mesh that can be read",
    "OFF\n-3 1 0\n0 0 0\n0 1 0\n1 0 0\n3 0 1 2\n": "is no mesh that can be read",
    "OFF\n3 1 0\n0 0 0\n0 nan 0\n1 0 0\n3 0 1 2\n": "has vertices that are not finite: make the file again.",
    "OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n": "has no area: all its triangles are degenerate.",
}


@pytest.mark.parametrize("content", MESHES)
def test_a_damaged_mesh_says_what_is_wrong(tmp_path: Path, content: str):
    (tmp_path / "a.off").write_text(content)
    with pytest.raises(DataError) as raised:
        read_surface(tmp_path / "a.off", 10)
    assert MESHES[content] in str(raised.value)

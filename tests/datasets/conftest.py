"""Trees in the true layouts, with tiny pictures made here; every picture differs from every other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.errors import PasserbyError

MARKET_TRAIN = ["0002_c1s1_000451_03.jpg", "0002_c2s1_000801_01.jpg", "0007_c3s3_077419_03.jpg", "0007_c6s1_000100_01.jpg"]
MARKET_QUERY = ["0001_c1s1_001051_00.jpg", "0003_c2s1_000101_00.jpg"]
MARKET_GALLERY = [
    "-1_c1s1_000401_03.jpg",
    "0000_c4s1_000151_01.jpg",
    "0001_c2s1_000301_00.jpg",
    "0003_c5s3_000901_02.jpg",
]
MSMT_TRAIN = ["0000/0000_000_01_0303morning_0015_0.jpg", "0001/0001_001_15_0303noon_0020_1_ex.jpg"]
MSMT_VAL = ["0000/0000_002_04_0303afternoon_0100_0.jpg"]
MSMT_QUERY = ["0000/0000_000_02_0303morning_0001_0.jpg", "0001/0001_000_03_0303morning_0002_0.jpg"]
MSMT_GALLERY = ["0000/0000_001_12_0303noon_0003_0.jpg", "0001/0001_001_13_0303noon_0004_0.jpg"]


def draw(path: Path) -> Path:
    """A tiny picture that depends on the end of the path, so that no two are equal and each is the same in every run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = int.from_bytes(hashlib.sha256("/".join(path.parts[-3:]).encode()).digest()[:4], "little")
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def draw_all(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        draw(folder / name)


def market(root: Path) -> Path:
    draw_all(root / "bounding_box_train", MARKET_TRAIN)
    draw_all(root / "query", MARKET_QUERY)
    draw_all(root / "bounding_box_test", MARKET_GALLERY)
    return root


def duke(root: Path) -> Path:
    draw_all(root / "bounding_box_train", ["0001_c2_f0046182.jpg", "0001_c8_f0046302.jpg"])
    draw_all(root / "query", ["0005_c2_f0046985.jpg"])
    draw_all(root / "bounding_box_test", ["0005_c5_f0051341.jpg", "0006_c1_f0030000.jpg"])
    return root


def msmt(root: Path, folders: tuple[str, str] = ("train", "test")) -> Path:
    lists = {"train": MSMT_TRAIN, "val": MSMT_VAL, "query": MSMT_QUERY, "gallery": MSMT_GALLERY}
    for subset, names in lists.items():
        draw_all(root / folders[0 if subset in ("train", "val") else 1], names)
        lines = [f"{name} {int(name[:4])}\n" for name in names]
        (root / f"list_{subset}.txt").write_text("".join(lines))
    return root


def veri(root: Path) -> Path:
    draw_all(root / "image_train", ["0001_c001_00016450_0.jpg", "0001_c020_00016460_0.jpg"])
    draw_all(root / "image_query", ["0002_c002_00030600_0.jpg"])
    draw_all(root / "image_test", ["0002_c002_00030605_1.jpg", "0002_c013_00030610_0.jpg"])
    return root


TREES: dict[str, Callable[[Path], Path]] = {"market": market, "duke": duke, "msmt": msmt, "veri": veri}


@pytest.fixture
def tree(tmp_path):
    """Build a tree by name; its root is `tmp_path / NAME`, or below `where`."""

    def build(name: str, where: str = "data") -> Path:
        return TREES[name](tmp_path / where)

    return build


@pytest.fixture(name="draw")
def draw_fixture():
    return draw


@pytest.fixture
def message(tmp_path):
    """The text of the error that a call raises, with the temporary folder written as ROOT."""

    def said(expected: type[PasserbyError], call: Callable[[], object]) -> str:
        with pytest.raises(expected) as caught:
            call()
        assert type(caught.value) is expected
        text = str(caught.value)
        assert "\n" not in text
        return text.replace(str(tmp_path), "ROOT")

    return said


def short(split) -> list[tuple[str, int, int, int | None]]:
    return [(record.path.name, record.pid, record.camid, record.frame) for record in split]


@pytest.fixture(name="short")
def short_fixture():
    """(file name, pid, camid, frame) of each record."""
    return short


def level(frame: int) -> int:
    """The grey of a frame of the test videos, frames counted from 1."""
    return 29 + 9 * ((frame - 1) % 25)


def make_video(path: Path, count: int, size: tuple[int, int] = (96, 64)) -> Path:
    """Each frame is one grey, so that a crop tells its frame; B-frames make decoding order differ from showing order."""
    av = pytest.importorskip("av", reason="video needs PyAV")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.bit_rate = 4_000_000
        stream.codec_context.max_b_frames = 2
        for frame in range(1, count + 1):
            pixels = np.full((size[1], size[0], 3), level(frame), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def video():
    return make_video


@pytest.fixture
def mot(tmp_path):
    """Two sequences of two people each, MOT15 columns; the third track of `north` is in one frame only."""

    def build(root: Path | None = None, count: int = 12) -> Path:
        root = root or tmp_path / "walks"
        for name in ("north", "south"):
            make_video(root / f"{name}.mp4", count)
            rows = [f"{f},{t},{1 + 30 * t},5,20,45,1,-1,-1,-1\n" for f in range(1, count + 1) for t in (1, 2)]
            (root / f"{name}.gt.txt").write_text("".join(rows))
        return root

    return build


@pytest.fixture(name="level")
def level_fixture():
    return level

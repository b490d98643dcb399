"""A small gallery: four people by the colours of their coats, three cameras, tracks of three crops; a model of mean colours."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the extra web is not installed")
pytest.importorskip("httpx2", reason="httpx2 (of the group dev) is not installed")

from starlette.testclient import TestClient

from passerby.gallery import Gallery, Model, NewSighting, Thresholds
from passerby.video.boxes import Boxes
from passerby.web.app import make_app
from passerby.web.looking import Looking
from passerby.web.opened import OpenGallery
from passerby.web.service import Service

COATS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (190, 190, 40)]
CAMERAS = ["gate", "lobby", "yard"]
START = 1_795_251_600.0  # 2026-11-21T09:00:00Z


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (32, 64), kind: str = "JPEG") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, colour).save(written, kind)
    return written.getvalue()


def mean_colours(pictures: list[Image.Image], camera: str | None = None) -> np.ndarray:
    return np.stack([np.asarray(each, np.float32).reshape(-1, 3).mean(0) / 255 + 0.01 for each in pictures])


def bright_halves(pixels: np.ndarray) -> Boxes:
    """Finds "people": the left and the right half of a picture, where they are not black; and one that is too small."""
    high, wide = pixels.shape[:2]
    halves = [(0, 0, wide // 2, high), (wide // 2, 0, wide, high), (0, 0, 10, 10)]
    found = [box for box in halves if pixels[box[1] : box[3], box[0] : box[2]].mean() > 20]
    return Boxes.of(found, [0.9 - 0.1 * n for n in range(len(found))])


def fill(path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for person, coat in enumerate(COATS):
        for camera in CAMERAS:
            for n in range(3):
                colour = np.clip(np.array(coat) + rng.integers(-15, 15, 3), 0, 255)
                at = START + 600 * person + 100 * CAMERAS.index(camera) + n
                rows.append(
                    NewSighting(
                        f"{person}-{camera}-{n}", colour / 255 + 0.01, camera, at, f"t{person}", quality=0.5 + n / 10,
                        source=f"{camera}.mp4", frame=n, box=(1, 2, 30, 60), thumbnail=picture(tuple(colour.tolist())),
                    )
                )  # fmt: skip
    rows.append(NewSighting("alone", np.array([0.5, 0.5, 0.5]), "yard", None))
    with Gallery.open(path, create=True, model=Model("colours", "mean colour", 3)) as gallery:
        gallery.add(rows)
        gallery.set_thresholds(Thresholds(0.98, 0.8))
        gallery.set_transitions({("gate", "lobby"): 5000.0})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    fill(tmp_path / "town.gallery")
    return tmp_path / "town.gallery"


@pytest.fixture
def service(path: Path) -> Iterator[Service]:
    opened = OpenGallery(str(path))
    yield Service(opened, Looking(mean_colours, bright_halves))
    opened.close()


class Browser(TestClient):
    """A client that fills in the token of forms, as a browser does."""

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="(\w+)"', self.get("/audit").text + self.get("/identities").text)
        assert found
        return found[1]

    def submit(self, url: str, fields: dict[str, Any] | None = None, files: Any = None, follow: bool = True) -> Any:
        return self.post(url, data={"csrf": self.csrf(), **(fields or {})}, files=files, follow_redirects=follow)

    def upload(self, content: bytes, follow: bool = True, **fields: Any) -> Any:
        return self.submit("/upload", fields, {"picture": ("<b>.jpg", content, "image/jpeg")}, follow)


@pytest.fixture
def browser(service: Service) -> Iterator[Browser]:
    with Browser(make_app(service, names=["testserver"])) as client:
        yield client


@pytest.fixture
def api(service: Service) -> Iterator[TestClient]:
    with TestClient(make_app(service, names=["testserver"]), headers={"X-Passerby": "1"}) as client:
        yield client


@pytest.fixture
def make_browser(service: Service) -> Callable[..., Browser]:
    return lambda **settings: Browser(make_app(service, **{"names": ["testserver"], **settings}))


def text_of(page: Any) -> str:
    """What a reader sees, one line."""
    without = re.sub(r"<dialog.*?</dialog>|<[^>]*>", " ", page.text, flags=re.DOTALL)
    return " ".join(without.split())


def hits_of(page: Any) -> list[int]:
    """The numbers of the crops on the cards, in order."""
    return [int(id) for id in re.findall(r'<article class="card hit.*?/thumbnails/(\d+)\.jpg', page.text, flags=re.DOTALL)]

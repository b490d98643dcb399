"""Crops of a gallery as pictures."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.errors import GalleryError, ImageError
from passerby.gallery import Gallery, Model, NewSighting
from passerby.gallery.thumbnails import Thumbnails, thumbnails_by_camera


def jpeg(level: int) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (16, 32), (level,) * 3).save(made, "JPEG")
    return made.getvalue()


@pytest.fixture
def gallery(tmp_path: Path):
    with Gallery.open(tmp_path / "g", create=True, model=Model("aaaaaaaaaaaa-1", "test model", 4)) as opened:
        kept = [jpeg(10), jpeg(60), jpeg(110), None, b"no picture"]
        opened.add(
            [
                NewSighting(str(number), np.eye(4)[number % 4], "gate" if number == 1 else "lobby", thumbnail=thumbnail)
                for number, thumbnail in enumerate(kept)
            ]
        )
        yield opened


def test_pictures_by_camera_in_the_order_of_the_gallery(gallery: Gallery, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("passerby.gallery.thumbnails._BLOCK", 2)
    found = thumbnails_by_camera(gallery)
    assert {camera: len(crops) for camera, crops in found.items()} == {"gate": 1, "lobby": 4}
    levels = [int(np.asarray(picture).mean().round()) for picture in (found["gate"][0], *found["lobby"][:2])]
    assert levels == [60, 10, 110]
    assert found["lobby"].of([1]).ids == found["lobby"][1:2].ids == found["lobby"].ids[1:2]


def test_what_is_no_picture_is_told_when_it_is_asked_for(gallery: Gallery):
    lobby = thumbnails_by_camera(gallery)["lobby"]
    with pytest.raises(GalleryError, match=f"sighting {lobby.ids[2]} has no thumbnail: name the image files of its camera"):
        lobby[2]
    with pytest.raises(ImageError, match=f"thumbnail of sighting {lobby.ids[3]}"):
        lobby[3]
    with pytest.raises(GalleryError):
        Thumbnails(gallery, [99])[0]

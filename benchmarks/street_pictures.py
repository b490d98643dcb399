"""The pictures of docs/street.md, made anew: python benchmarks/street_pictures.py [people] [towns] [cameras] [clip]; or all."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image

from passerby.files import replacing
from passerby.street.bodies import make_person
from passerby.street.figures import Figure
from passerby.street.folder import Order, read_manifest
from passerby.street.meshes import Material, quad
from passerby.street.motion import Pose
from passerby.street.output import preview, render_set
from passerby.street.render import DrawItem, Light, View, open_renderer, to_display
from passerby.street.towns import TOWNS
from passerby.street.video import ClipOrder, render_video
from passerby.street.wardrobes import WARDROBES

DOCS = Path(__file__).resolve().parent.parent / "docs"
ACTIONS = ("walk", "walk", "phone", "talk", "pockets", "carry")
SHOWN = {"arcade": 3, "campus": 3, "harbour": 3, "market": 2, "station": 1, "winter": 1}  # town -> camera with a good view


def save(picture: Image.Image, name: str, quality: int = 82) -> None:
    with replacing(DOCS / name) as temporary:
        picture.save(temporary, quality=quality, optimize=True, progressive=True)
    print(DOCS / name)


def tiled(pictures: list[Image.Image], columns: int, gap: int = 4) -> Image.Image:
    """Pictures of one size in rows, white between them."""
    width, height = pictures[0].width + gap, pictures[0].height + gap
    sheet = Image.new("RGB", (columns * width - gap, -(-len(pictures) // columns) * height - gap), "white")
    for k, picture in enumerate(pictures):
        sheet.paste(picture, (k % columns * width, k // columns * height))
    return sheet


def people(columns: int = 12, rows: int = 4, height: int = 192) -> None:
    """The people alone, before any camera degrades them."""
    renderer, random = open_renderer("numba"), np.random.RandomState(0)
    ground = quad([(-3, -4, 0), (3, -4, 0), (3, 8, 0), (-3, 8, 0)], Material((0.2, 0.2, 0.19), grain=0.25))
    light = Light(to_sun=(0.6, -0.4, 1.0), sun=(0.5, 0.47, 0.42), sky=(0.3, 0.33, 0.36))
    pictures = []
    for k in range(columns * rows):
        figure = Figure(make_person(200 + k, list(WARDROBES.values())[k % len(WARDROBES)]))
        moment = Pose(
            heading=random.uniform(0, 2 * np.pi),
            phase=random.rand(),
            speed=1.3 * (random.rand() < 0.7),
            action=ACTIONS[random.randint(len(ACTIONS))],
        )
        focal = height * 8.8 / (1.12 * figure.stature_m)
        view = View.look_at((0, -9, 3.2), (0, 0, 0.5 * figure.stature_m), focal, height // 2, height)
        layer = renderer.draw([DrawItem(ground, 0, casts=False), DrawItem(figure.posed(moment), 1)], view, light, samples=3)
        pictures.append(Image.fromarray(to_display(layer.over(np.full((height, height // 2, 3), 0.15)))))
    save(tiled(pictures, columns, gap=0), "street-people.jpg")


def towns(work: Path) -> None:
    """The preview sheet of every town."""
    sheets = []
    for town in TOWNS:
        render_set(Order(town, 0, 6, 10, 5), work / town, workers=2)
        sheets.append(Image.open(preview(work / town, read_manifest(work / town), 6, 10, 40, 80)))
    save(tiled(sheets, 3), "street-towns.jpg", quality=62)  # pictures in docs stay below 200 kB


def cameras(work: Path) -> None:
    """One frame of a camera in each town."""
    frames = []
    for town, camera in SHOWN.items():
        (film,) = render_video(ClipOrder(town, (camera,), 0.04, 20, 2), work / "films")
        with av.open(str(film.video)) as container:
            frames.append(next(container.decode(video=0)).to_image().resize((480, 270), Image.Resampling.LANCZOS))
    save(tiled(frames, 3), "street-cameras.jpg")


def clip(work: Path) -> None:
    """Six seconds of the market."""
    (film,) = render_video(ClipOrder("market", (2,), 6.0, 14, 3, 480, 270, 12), work / "clip")
    shutil.copy(film.video, DOCS / "street-market.mp4")
    print(DOCS / "street-market.mp4")


def main() -> None:
    wanted = sys.argv[1:] or ["people", "towns", "cameras", "clip"]
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            if name == "people":
                people()
            else:
                {"towns": towns, "cameras": cameras, "clip": clip}[name](Path(folder))


if __name__ == "__main__":
    main()

"""Draws the sheet of people in `docs/street-people.jpg`: python benchmarks/street_people.py [OUT]."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from passerby.files import replacing
from passerby.street.bodies import make_person
from passerby.street.figures import Figure
from passerby.street.meshes import Material, quad
from passerby.street.motion import Pose
from passerby.street.render import DrawItem, Light, View, open_renderer, to_display
from passerby.street.wardrobes import WARDROBES

COLUMNS, ROWS, HEIGHT = 12, 4, 192
ACTIONS = ("walk", "walk", "phone", "talk", "pockets", "carry")


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/street-people.jpg")
    renderer, random = open_renderer("numba"), np.random.RandomState(0)
    ground = quad([(-3, -4, 0), (3, -4, 0), (3, 8, 0), (-3, 8, 0)], Material((0.2, 0.2, 0.19), grain=0.25))
    light = Light(to_sun=(0.6, -0.4, 1.0), sun=(0.5, 0.47, 0.42), sky=(0.3, 0.33, 0.36))
    sheet = Image.new("RGB", (COLUMNS * HEIGHT // 2, ROWS * HEIGHT))
    for k in range(COLUMNS * ROWS):
        figure = Figure(make_person(200 + k, list(WARDROBES.values())[k % len(WARDROBES)]))
        moment = Pose(
            heading=random.uniform(0, 2 * np.pi),
            phase=random.rand(),
            speed=1.3 * (random.rand() < 0.7),
            action=ACTIONS[random.randint(len(ACTIONS))],
        )
        focal = HEIGHT * 8.8 / (1.12 * figure.stature_m)
        view = View.look_at((0, -9, 3.2), (0, 0, 0.5 * figure.stature_m), focal, HEIGHT // 2, HEIGHT)
        layer = renderer.draw([DrawItem(ground, 0, casts=False), DrawItem(figure.posed(moment), 1)], view, light, samples=3)
        picture = to_display(layer.over(np.full((HEIGHT, HEIGHT // 2, 3), 0.15)))
        sheet.paste(Image.fromarray(picture), (k % COLUMNS * HEIGHT // 2, k // COLUMNS * HEIGHT))
    with replacing(target) as temporary:
        sheet.save(temporary, quality=85)
    print(target)


if __name__ == "__main__":
    main()

"""How well crops are lifted to 3-D: against the street, where the truth is known, and on real crops, where one looks.

    python benchmarks/lifting.py [--towns campus market station] [--people 20] [--views 4] [--stored] [--parts] [--json FILE]
    python benchmarks/lifting.py --real ../shared/data [--sheet sheet.jpg] [--lift-height 80] [--parts]

Street: crops as the cameras' detectors cut them out, at their own size (--stored: as the street stores them, 128 x 256 whatever
shape the box had, which no lifter can know), lifted by each lifter without knowing anything else. Each pixel of the 64 x 128
grid that is the person's in truth gives one error: the distance of its true point from the cloud's point there, be that on the
surface or on the plane, after the alignment. Three alignments are printed: shift alone (medians of the axes); shift and size; and
the usual one of the field, shift, size and turn (Procrustes). The figure of an image is its median; printed are median and mean
over the images that were lifted. `board` is no lifter: the true places on the picture at the true size, on a plane that leans by
15 degrees; it says what a cloud without any relief would get. The mask's IoU is that of the cloud's surface with the person's
pixels. `clear` are people who are hidden by at most a tenth and have nobody else's pixels beside them. The street's people and
the fitted body come from one body model: only their clothes, hair and bags differ, so real people are lifted somewhat worse.

Real: boxes of MOT ground truth, cut out, brought to 80 pixels of height (the class of distant people; --lift-height 0 keeps
them), and lifted. Printed is the share that fails, by reason. The sheet stays where --sheet says: real people are not for the
repository.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from passerby.datasets.video_frames import frames, open_frames
from passerby.lifting import Crop, Lifter, Refused, colour, open_lifter
from passerby.lifting.preview import turntable
from passerby.lifting.projection import Projection
from passerby.street.clouds import PointCloud
from passerby.street.outline import stature_m
from passerby.street.plan import make_plan
from passerby.street.render import open_renderer
from passerby.street.stage import Stage, resized

WIDTH, HEIGHT, LEAN_DEG = 64, 128, 15.0


@dataclass(frozen=True, eq=False)
class Truth:
    """A crop, (H, W, 3) true points of its grid, whose pixels they are, and whether the person is seen clearly."""

    image: np.ndarray
    xyz: np.ndarray
    mine: np.ndarray
    clear: bool


def street(towns: list[str], people: int, views: int, seed: int, as_stored: bool) -> list[Truth]:
    made = []
    for town in towns:
        plan = make_plan(town, people, 0, views, seed)
        scene, renderer = plan.scenes[0], open_renderer("numba")
        stage = Stage(scene.town, renderer)
        for crop in plan.crops:
            stored, shot = stage.crop(crop, scene)
            view = shot.view
            column, row = (np.arange(WIDTH) + 0.5) * view.width / WIDTH, (np.arange(HEIGHT) + 0.5) * view.height / HEIGHT
            pick = np.ix_(row.astype(int), column.astype(int))
            depth, ids = shot.layer.depth[pick], shot.layer.ids[pick]
            pelvis = np.array([crop.x, crop.y, 0.53 * stature_m(scene.people[crop.pid])])
            root = view.rotation @ pelvis + view.translation
            x, y = (column[None] - view.cx) / view.fx * depth, (row[:, None] - view.cy) / view.fy * depth
            mine, others = ids == crop.pid, ((ids >= 0) & (ids != crop.pid)).sum()
            clear = crop.visible >= 0.9 and others < 0.05 * mine.sum()
            image = resized(stored, 128, 256) if as_stored else stored
            made.append(Truth(image, np.stack([x, y, depth], -1) - root, mine, clear))
        renderer.close()
    return made


def placed(cloud: PointCloud, camera: Projection, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) points at their pixels, and (H, W) which are the surface's: all lie on the rays through the pixels' centres."""
    column, row, _ = camera.project(cloud.xyz).T
    at = np.floor(row * HEIGHT / image.shape[0]).astype(int), np.floor(column * WIDTH / image.shape[1]).astype(int)
    grid, surface = np.full((HEIGHT, WIDTH, 3), np.nan), np.zeros((HEIGHT, WIDTH), bool)
    grid[at] = cloud.xyz
    surface[at] = np.arange(len(cloud.xyz)) < cloud.surface
    return grid, surface


def errors(found: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Median distances, m, of (N, 3) points after shift; shift and size; shift, size and turn."""
    shifted = np.linalg.norm((found - np.median(found, 0)) - (truth - np.median(truth, 0)), axis=1)
    a, b = found - found.mean(0), truth - truth.mean(0)
    sized = np.linalg.norm((a * b).sum() / (a * a).sum() * a - b, axis=1)
    u, singular, v = np.linalg.svd(a.T @ b)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ v))])
    turned = np.linalg.norm((singular * sign).sum() / (a * a).sum() * a @ (u * sign @ v) - b, axis=1)
    return float(np.median(shifted)), float(np.median(sized)), float(np.median(turned))


def lifted(lifter: Lifter, images: list[np.ndarray]) -> tuple[list[tuple[PointCloud, Projection] | Refused], float]:
    """A cloud with its camera or a reason for each image, and CPU seconds an image."""
    lifter([Crop(images[0])])  # loads the body
    begin = time.process_time()
    made: list[tuple[PointCloud, Projection] | Refused] = []
    for at in range(0, len(images), lifter.batch):
        batch = images[at : at + lifter.batch]
        for image, answer in zip(batch, lifter([Crop(image) for image in batch]), strict=True):
            if isinstance(answer, Refused):
                made.append(answer)
                continue
            cloud = colour(answer, image, width=WIDTH, height=HEIGHT)
            made.append(cloud if isinstance(cloud, Refused) else (cloud, answer.camera))
    return made, (time.process_time() - begin) / len(images)


def measure(name: str, lifter: Lifter, crops: list[Truth]) -> dict[str, object]:
    clouds, seconds = lifted(lifter, [crop.image for crop in crops])
    rows, clear = [], []
    for crop, cloud in zip(crops, clouds, strict=True):
        if isinstance(cloud, Refused):
            continue
        grid, surface = placed(*cloud, crop.image)
        iou = (surface & crop.mine).sum() / (surface | crop.mine).sum()
        rows.append((*errors(grid[crop.mine], crop.xyz[crop.mine]), iou))
        clear.append(crop.clear)
    reasons = Counter(cloud.reason for cloud in clouds if isinstance(cloud, Refused))
    print(
        f"\n{name}: {1 / seconds:.1f} images/s of one core's time; {len(crops) - len(rows)} of {len(crops)} fail {dict(reasons)}"
    )
    return {"images_s_core": 1 / seconds, "failed": dict(reasons), "crops": len(crops), **printed(rows, clear)}


def board(crops: list[Truth]) -> dict[str, object]:
    """The errors of a plane that leans, at the true size."""
    rows = []
    for crop in crops:
        truth = crop.xyz[crop.mine]
        plane = np.stack([truth[:, 0], truth[:, 1], np.tan(np.deg2rad(LEAN_DEG)) * truth[:, 1]], 1)
        rows.append((*errors(plane, truth), 1.0))
    print(f"\nboard: a plane that leans by {LEAN_DEG:g} degrees, at the true size, of the true pixels")
    return printed(rows, [crop.clear for crop in crops])


def count_parts(lifter: Lifter, crops: list[np.ndarray], pairs: list[np.ndarray] | None = None) -> dict[str, object]:
    """How many clouds are made of crops that show no whole person, or two."""
    kinds = {
        "lower half": [crop[len(crop) // 2 :] for crop in crops],
        "lower third": [crop[2 * len(crop) // 3 :] for crop in crops],
    }
    result = {}
    for name, images in (kinds | ({"two people": pairs} if pairs else {})).items():
        clouds, _ = lifted(lifter, images)
        reasons = Counter(cloud.reason for cloud in clouds if isinstance(cloud, Refused))
        made = len(images) - sum(reasons.values())
        print(f"{name}: a cloud is made of {made} of {len(images)} ({made / len(images):.1%}); refused: {dict(reasons)}")
        result[name] = {"crops": len(images), "lifted": made, "failed": dict(reasons)}
    return result


def printed(rows: list[tuple[float, ...]], clear: list[bool]) -> dict[str, object]:
    """Print medians and means of the table (N, 4), and give them back."""
    table, result = np.array(rows), {}
    print(f"{'crops':<10}{'number':>8}{'shift':>16}{'+ size':>16}{'+ turn':>16}{'mask IoU':>16}   median / mean, cm")
    for label, chosen in (("clear", np.array(clear)), ("all", np.ones(len(rows), bool))):
        median, mean = np.median(table[chosen], 0), table[chosen].mean(0)
        cells = [f"{100 * m:.1f} / {100 * n:.1f}" for m, n in zip(median[:3], mean[:3], strict=True)]
        print(f"{label:<10}{chosen.sum():>8}" + "".join(f"{c:>16}" for c in cells) + f"{median[3]:>9.3f} / {mean[3]:.3f}")
        result[label] = {"number": int(chosen.sum()), "median": median.tolist(), "mean": mean.tolist()}
    return result


def real_crops(folder: Path, height: int, step: int, least: int = 60) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Boxes of the sequences, every `step`-th frame, brought to `height` pixels, and boxes around two who walk side by side."""
    crops, pairs = [], []

    def add(picture: Image.Image, corners: tuple[float, ...], to: list[np.ndarray]) -> None:
        left, top, right, bottom = (round(v) for v in (*np.maximum(corners[:2], 0), *np.minimum(corners[2:], picture.size)))
        if bottom - top < least or right - left < 16:
            return
        cut = picture.crop((left, top, right, bottom))
        if height:
            cut = cut.resize((max(round(cut.width * height / cut.height), 8), height), Image.Resampling.BOX)
        to.append(np.asarray(cut))

    for truth in sorted(folder.glob("*.gt.txt")):
        rows = np.loadtxt(truth, delimiter=",")
        source = open_frames(truth.with_name(truth.name.replace(".gt.txt", ".mp4")))
        chosen = range(1, int(rows[:, 0].max()) + 1, step)
        for number, picture in frames(source, chosen):
            boxes = rows[rows[:, 0] == number][:, 2:6]
            for at, (x, y, w, h) in enumerate(boxes):
                add(picture, (x, y, x + w, y + h), crops)
                for X, Y, W, H in boxes[at + 1 :]:
                    apart = abs((X + W / 2) - (x + w / 2)) / w
                    if 0.5 < apart < 1.3 and abs(Y - y) < 0.2 * h and 0.75 < H / h < 1.3:
                        add(picture, (min(x, X), min(y, Y), max(x + w, X + W), max(y + h, Y + H)), pairs)
    return crops, pairs


def write_real(lifter: Lifter, crops: list[np.ndarray], sheet: Path | None) -> dict[str, object]:
    clouds, seconds = lifted(lifter, crops)
    reasons = Counter(cloud.reason for cloud in clouds if isinstance(cloud, Refused))
    failed = sum(reasons.values())
    print(f"real crops: {failed} of {len(crops)} fail ({failed / len(crops):.1%}) {dict(reasons)}; {1 / seconds:.1f}/s a core")
    if sheet is not None:
        done = [(crop, cloud[0]) for crop, cloud in zip(crops, clouds, strict=True) if not isinstance(cloud, Refused)]
        strips = []
        for crop, cloud in [done[at] for at in np.linspace(0, len(done) - 1, min(14, len(done))).round().astype(int)]:
            points = np.concatenate([cloud.xyz, cloud.rgb / np.float32(255)], 1)
            seen = np.asarray(Image.fromarray(crop).resize((72, 128)))
            strips.append(np.concatenate([seen, turntable(points, surface=cloud.surface)], 1))
        Image.fromarray(np.concatenate(strips)).save(sheet)
        print(sheet)
    return {"crops": len(crops), "failed": dict(reasons), "images_s_core": 1 / seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--towns", nargs="+", default=["campus", "market", "station"])
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lifters", nargs="+", default=["anny", "template"])
    parser.add_argument("--stored", action="store_true", help="crops of 128 x 256, as the street stores them")
    parser.add_argument("--real", type=Path, help="folder with MOT videos: measure these instead")
    parser.add_argument("--every", type=int, default=8, help="of the videos' frames")
    parser.add_argument("--lift-height", type=int, default=80)
    parser.add_argument("--parts", action="store_true", help="also count clouds that are made of parts of people")
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.real is not None:
        lifter = open_lifter("anny")
        crops, pairs = real_crops(given.real, given.lift_height, given.every)
        result = {"real": write_real(lifter, crops, given.sheet)}
        if given.parts:
            result["parts"] = count_parts(lifter, crops, pairs)
    else:
        truth = street(given.towns, given.people, given.views, given.seed, given.stored)
        result = {"board": board(truth), **{name: measure(name, open_lifter(name), truth) for name in given.lifters}}
        if given.parts:
            result["parts"] = count_parts(open_lifter("anny"), [crop.image for crop in truth])
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

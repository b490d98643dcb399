"""Vectors of passerby as the appearance of a tracker, and what that is worth: IDF1 with them and without.

    pip install deep-sort-realtime        # the tracker; passerby[video] brings detector and measures
    passerby street video --town market --seconds 40 --out films
    python examples/track_people.py films --out runs/tracks            # rendered people
    python examples/track_people.py ../shared/data --out runs/tracks   # real ones

The folder holds NAME.mp4 beside NAME.gt.txt (MOT form). DeepSORT tracks each film twice by the same boxes, of the detector
that comes with passerby: once with a vector for each box, once with one vector for all, so that motion decides alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from passerby import load
from passerby.artefact import default_model
from passerby.metrics.calibration_store import read_calibration
from passerby.video import Boxes, Detection, open_detector, open_film


def seen(film_path: Path, embedder) -> list[tuple[Boxes, np.ndarray]]:
    """The people of every frame and their vectors, (N, D) each."""
    detect, found = open_detector(None, Detection(confidence=0.4)), []
    film = open_film(film_path)
    for frame in film.frames():
        picture = frame.pixels()
        boxes = detect(picture).clipped(film.size)
        boxes = boxes[~boxes.doubtful()]  # DeepSORT would make a track of every part of a body
        crops = [
            Image.fromarray(picture[top:bottom, left:right]) for left, top, right, bottom in boxes.corners.round().astype(int)
        ]
        found.append((boxes, embedder(crops) if crops else np.zeros((0, 0), np.float32)))
    return found


def track(frames: list[tuple[Boxes, np.ndarray]], out: Path, *, appearance: bool, most: float, max_age: int) -> None:
    """DeepSORT over the boxes; `most` is the largest cosine distance between two images of one person."""
    from deep_sort_realtime.deepsort_tracker import DeepSort

    tracker = DeepSort(max_age=max_age, n_init=3, embedder=None, max_cosine_distance=most if appearance else 0.2, nn_budget=50)
    lines = []
    for number, (boxes, vectors) in enumerate(frames, start=1):
        corners = boxes.corners.astype(float)
        sizes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        detections = [(size.tolist(), float(sure), "person") for size, sure in zip(sizes, boxes.confidences, strict=True)]
        embeds = list(vectors) if appearance else [np.ones(2) for _ in detections]
        for one in tracker.update_tracks(detections, embeds=embeds):
            if one.is_confirmed() and one.time_since_update == 0:
                left, top, right, bottom = one.to_ltrb(orig=True)
                lines.append(f"{number},{one.track_id},{left:.1f},{top:.1f},{right - left:.1f},{bottom - top:.1f},1,-1,-1,-1\n")
    out.write_text("".join(lines), encoding="utf-8")


def truth_of_people(truth: Path, out: Path) -> Path:
    """The ground truth with the class "person" (1) in every line, as the measures want it; MOT15 files write -1."""
    rows = [line.split(",") for line in truth.read_text(encoding="utf-8").splitlines() if line.strip()]
    out.write_text("".join(",".join([*row[:6], "1", "1", "1"]) + "\n" for row in rows), encoding="utf-8")
    return out


def main() -> None:
    """Track all films of a folder in both ways, print IDF1 and identity switches."""
    from trackers.eval import evaluate_mot_sequence

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, help="folder with NAME.mp4 and NAME.gt.txt")
    parser.add_argument("--out", type=Path, default=Path("runs/tracks"), help="folder for tracks in MOT form")
    parser.add_argument("--model", type=Path, default=None, help="artefact with a calibration (default: the house model)")
    parser.add_argument("--max-age", type=int, default=30, help="frames that a lost track waits")
    given = parser.parse_args()
    model = given.model or default_model()
    embedder, calibration = load(model, device="cpu"), read_calibration(model)
    most = 1 - calibration.reject_threshold  # below that similarity the model says "different"
    given.out.mkdir(parents=True, exist_ok=True)
    print(f"{'film':<20}{'':<14}{'IDF1':>7}{'MOTA':>7}{'switches':>10}")
    for truth in sorted(given.films.glob("*.gt.txt")):
        name = truth.name.removesuffix(".gt.txt")
        people = truth_of_people(truth, given.out / f"{name}.gt.txt")
        frames = seen(truth.with_name(f"{name}.mp4"), embedder)
        for appearance in (False, True):
            way = "appearance" if appearance else "motion alone"
            out = given.out / f"{name}-{way.replace(' ', '-')}.txt"
            track(frames, out, appearance=appearance, most=most, max_age=given.max_age)
            found = evaluate_mot_sequence(people, out, metrics=["CLEAR", "Identity"])
            row = f"{100 * found.Identity.IDF1:>7.1f}{100 * found.CLEAR.MOTA:>7.1f}{found.CLEAR.IDSW:>10}"
            print(f"{name:<20}{way:<14}{row}", flush=True)


if __name__ == "__main__":
    main()

"""Vectors of passerby as the appearance of a tracker, and what that is worth: IDF1 with them and without.

    pip install deep-sort-realtime        # the tracker; passerby[video] brings detector and measures
    passerby street video --town winter --cameras 1 4 --seconds 20 --out films   # a town that the house model never saw
    python examples/track_people.py films --out runs/tracks            # rendered people
    python examples/track_people.py ../shared/data --out runs/tracks   # real ones

The folder holds NAME.mp4 beside NAME.gt.txt (MOT form). Each film is tracked in three ways by the same boxes, of the detector
that comes with passerby: by DeepSORT with a vector for each box; by DeepSORT without its matching by appearance, so that boxes
are joined by overlap with where the Kalman filter expects them (which is SORT); and by the ByteTrack that `passerby index`
follows people with, which knows no appearance either and finds lost tracks by motion.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from passerby import load
from passerby.artefact import named_model
from passerby.errors import PasserbyError
from passerby.export.thresholds import read_thresholds
from passerby.video import Boxes, Detection, open_detector, open_film
from passerby.video.tracking import ByteTracker, Tracking

CONFIDENCE = 0.4
OVERLAP, BYTE, APPEARANCE = "overlap alone", "ByteTrack", "appearance"


def seen(film_path: Path, embedder) -> list[tuple[Boxes, np.ndarray]]:
    """The people of every frame and their vectors, (N, D) each."""
    detect, found = open_detector(None, Detection(confidence=CONFIDENCE)), []
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


def by_bytetrack(frames: list[tuple[Boxes, np.ndarray]], out: Path, *, fps: float, max_age: int) -> None:
    """The tracker of `passerby index` over the boxes."""
    tracker, lines = ByteTracker(Tracking(begin=1.5 * CONFIDENCE, sure=CONFIDENCE, patience_s=max_age / fps), fps), []
    for number, (boxes, _) in enumerate(frames, start=1):
        found = tracker.step(number, boxes).boxes
        for (left, top, right, bottom), name in zip(found.corners, found.tracks, strict=True):
            lines.append(f"{number},{name + 1},{left:.1f},{top:.1f},{right - left:.1f},{bottom - top:.1f},1,-1,-1,-1\n")
    out.write_text("".join(lines), encoding="utf-8")


def by_deepsort(frames: list[tuple[Boxes, np.ndarray]], out: Path, *, most: float | None, max_age: int) -> None:
    """DeepSORT over the boxes; `most` is the largest cosine distance between two images of one person, None: no appearance."""
    from deep_sort_realtime.deepsort_tracker import DeepSort

    # Below 0 no pair passes, so that its cascade by appearance joins nothing and overlap decides. Equal vectors and a limit above
    # 0 would not do: all pairs that motion allows would cost 0, and the order of the boxes would decide.
    limit = -1.0 if most is None else most
    tracker = DeepSort(max_age=max_age, n_init=3, embedder=None, max_cosine_distance=limit, nn_budget=50)
    lines = []
    for number, (boxes, vectors) in enumerate(frames, start=1):
        corners = boxes.corners.astype(float)
        sizes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        detections = [(size.tolist(), float(sure), "person") for size, sure in zip(sizes, boxes.confidences, strict=True)]
        embeds = [np.ones(2) for _ in detections] if most is None else list(vectors)
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


def films_of(folder: Path) -> list[Path]:
    """Ground truth of each film; what is wrong is said in one line before anything is computed."""
    if not folder.is_dir():
        sys.exit(f"{folder}: no such folder. Give one with NAME.mp4 beside NAME.gt.txt, as passerby street video writes it.")
    found = sorted(folder.glob("*.gt.txt"))
    if not found:
        sys.exit(f"{folder} holds no NAME.gt.txt: give a folder with NAME.mp4 beside NAME.gt.txt (MOT form).")
    films = [truth.with_name(truth.name.removesuffix(".gt.txt") + ".mp4") for truth in found]
    gone = [film.name for film in films if not film.is_file()]
    if gone:
        sys.exit(f"{folder} lacks {', '.join(gone[:5])}, whose ground truth is there: put the films beside it.")
    for module, package in (("deep_sort_realtime", "deep-sort-realtime"), ("trackers", "'passerby[video]'")):
        if importlib.util.find_spec(module) is None:
            sys.exit(f"{module} is not installed: pip install {package}")
    return found


def main() -> None:
    """Track all films of a folder in three ways, print IDF1 and identity switches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, help="folder with NAME.mp4 and NAME.gt.txt")
    parser.add_argument("--out", type=Path, default=Path("runs/tracks"), help="folder for tracks in MOT form")
    parser.add_argument("--model", type=Path, default=None, help="artefact with a calibration (default: the house model)")
    parser.add_argument("--max-age", type=int, default=30, help="frames that a lost track waits")
    given = parser.parse_args()
    if given.max_age < 1:
        sys.exit(f"--max-age is {given.max_age}: a lost track waits 1 frame or more.")
    truths = films_of(given.films)
    from trackers.eval import evaluate_mot_sequence

    model = named_model(given.model)
    try:
        embedder, calibration = load(model, device="cpu"), read_thresholds(model)
    except PasserbyError as error:
        sys.exit(str(error))
    most = 1 - calibration.reject_threshold  # below that similarity the model says "different"
    given.out.mkdir(parents=True, exist_ok=True)
    print(f"{'film':<20}{'':<14}{'IDF1':>7}{'MOTA':>7}{'switches':>10}")
    for truth in truths:
        name = truth.name.removesuffix(".gt.txt")
        people = truth_of_people(truth, given.out / f"{name}.gt.txt")
        film = truth.with_name(f"{name}.mp4")
        frames, fps = seen(film, embedder), open_film(film).fps
        for way in (OVERLAP, BYTE, APPEARANCE):
            out = given.out / f"{name}-{way.replace(' ', '-')}.txt"
            if way == BYTE:
                by_bytetrack(frames, out, fps=fps, max_age=given.max_age)
            else:
                by_deepsort(frames, out, most=most if way == APPEARANCE else None, max_age=given.max_age)
            found = evaluate_mot_sequence(people, out, metrics=["CLEAR", "Identity"])
            row = f"{100 * found.Identity.IDF1:>7.1f}{100 * found.CLEAR.MOTA:>7.1f}{found.CLEAR.IDSW:>10}"
            print(f"{name:<20}{way:<14}{row}", flush=True)


if __name__ == "__main__":
    main()

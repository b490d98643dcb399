"""Vectors of passerby as the appearance of a tracker, and what that is worth: IDF1 with them and without.

    pip install boxmot      # trackers, AGPL-3.0: called here and not part of passerby; passerby[video] brings the measures
    passerby street video --town winter --cameras 1 4 --seconds 20 --out films   # a town that the house model never saw
    python examples/track_people.py films --out runs/tracks            # rendered people
    python examples/track_people.py ../shared/data --out runs/tracks   # real ones

The folder holds NAME.mp4 beside NAME.gt.txt (MOT form). Each film is tracked by the same boxes, of the detector that comes with
passerby, by each tracker of the library twice: with a vector for each box, and with its matching by appearance switched off. The
trackers have their own defaults, but two: a box counts as sure where passerby's own tracker begins a track, and the motion of the
camera is not estimated, because these cameras stand still. `--library deep-sort-realtime` (MIT) takes DeepSORT, which without
appearance is SORT. `--adapted` takes vectors with the statistics of each film's own crops, as `passerby adapt` makes them of a
gallery: those of the whole film, so that it is nothing for a live camera. Last stands the ByteTrack that `passerby index` follows
people with, which knows no appearance.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from passerby import load
from passerby.artefact import named_model
from passerby.embedder import Embedder
from passerby.embedder.adaptation import adapt_to_camera
from passerby.embedder.camera_statistics import Estimation, camera_wise
from passerby.errors import PasserbyError
from passerby.export.thresholds import read_thresholds
from passerby.metrics.calibration_store import find_calibration
from passerby.models.norms.statistics import CameraStatistics
from passerby.video import Boxes, Detection, open_detector, open_film
from passerby.video.tracking import ByteTracker, Tracking

CONFIDENCE, BEGIN = 0.4, 0.6  # boxes that are taken, and those that may begin a track
LIBRARIES = {"boxmot": "boxmot", "deep-sort-realtime": "deep_sort_realtime"}
BOXMOT = {  # what each tracker calls the sure boxes, the age of lost tracks, and the camera's motion
    "BotSort": {"sure": ("track_high_thresh", "new_track_thresh"), "age": "track_buffer", "off": {"use_cmc": False}},
    "BoostTrack": {"sure": ("det_thresh",), "age": "max_age", "off": {"use_cmc": False}},
    "DeepOcSort": {"sure": ("det_thresh",), "age": "max_age", "off": {"cmc_off": True}},
    "HybridSort": {"sure": ("det_thresh",), "age": "max_age", "off": {}},
    "OccluBoost": {"sure": ("det_thresh",), "age": "max_age", "off": {"use_cmc": False}},
}
Frames = list[tuple[Boxes, np.ndarray]]  # boxes of each frame and their vectors, (N, D)


def seen(film_path: Path, embedder: Embedder, *, adapted: bool) -> Frames:
    """The people of every frame and their vectors."""
    detect = open_detector(None, Detection(confidence=CONFIDENCE))
    found: list[tuple[Boxes, list[Image.Image]]] = []
    film = open_film(film_path)
    for frame in film.frames():
        picture = frame.pixels()
        boxes = detect(picture).clipped(film.size)
        boxes = boxes[~boxes.doubtful()]  # these trackers would make a track of every part of a body
        crops = [
            Image.fromarray(picture[top:bottom, left:right]) for left, top, right, bottom in boxes.corners.round().astype(int)
        ]
        found.append((boxes, crops))
    if adapted:
        embedder = fitted(embedder, film_path.stem, [crop for _, crops in found for crop in crops])
    camera = film_path.stem if adapted else None
    return [(boxes, embedder(crops, camera) if crops else np.zeros((0, embedder.dim), np.float32)) for boxes, crops in found]


def fitted(embedder: Embedder, camera: str, crops: list[Image.Image]) -> Embedder:
    """The same network with the statistics of one camera's crops, which nobody has labelled."""
    ready = camera_wise(embedder).with_cameras(None)
    statistics = adapt_to_camera(ready, camera, crops, Estimation()).statistics
    return ready.with_cameras(CameraStatistics.of({camera: statistics}))


def mot_line(frame: int, track: int, corners: np.ndarray) -> str:
    """A box as the line of a MOT file."""
    left, top, right, bottom = corners
    return f"{frame},{track},{left:.1f},{top:.1f},{right - left:.1f},{bottom - top:.1f},1,-1,-1,-1\n"


def by_bytetrack(frames: Frames, *, fps: float, max_age: int) -> list[str]:
    """The tracker of `passerby index` over the boxes."""
    tracker, lines = ByteTracker(Tracking(begin=BEGIN, sure=CONFIDENCE, patience_s=max_age / fps), fps), []
    for number, (boxes, _) in enumerate(frames, start=1):
        found = tracker.step(number, boxes).boxes
        lines += [mot_line(number, name + 1, box) for box, name in zip(found.corners, found.tracks, strict=True)]
    return lines


def by_boxmot(frames: Frames, tracker: str, *, vectors: bool, max_age: int) -> list[str]:
    """One of BoxMOT's trackers over the boxes."""
    import boxmot
    from boxmot import structures

    make, names = getattr(boxmot, tracker), BOXMOT[tracker]
    logging.getLogger("boxmot").setLevel(logging.ERROR)  # it lists its settings for each tracker
    settings = {**dict.fromkeys(names["sure"], BEGIN), names["age"]: max_age, **names["off"]}
    track, lines = make(use_embeddings=vectors, **settings), []
    nothing = np.zeros((8, 8, 3), np.uint8)  # asked for; where vectors come along only the camera's motion is read from it
    for number, (boxes, embeds) in enumerate(frames, start=1):
        seen_now = structures.Detections(
            geometry=structures.Boxes(torch.from_numpy(boxes.corners.astype(np.float32))),
            scores=torch.from_numpy(boxes.confidences.astype(np.float32)),
            class_ids=torch.zeros(len(boxes), dtype=torch.int64),
            sample_id=str(number),
            embeddings=torch.from_numpy(np.ascontiguousarray(embeds, np.float32)) if vectors else None,
        )
        found = track.update(seen_now, nothing)
        lines += [
            mot_line(number, int(name) + 1, box)
            for box, name in zip(found.geometry.values.numpy(), found.track_ids.numpy(), strict=True)
        ]
    return lines


def by_deepsort(frames: Frames, *, most: float | None, max_age: int) -> list[str]:
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
                lines.append(mot_line(number, int(one.track_id), one.to_ltrb(orig=True)))
    return lines


def trackers_of(library: str, *, most: float, max_age: int) -> dict[str, Callable[[Frames, bool], list[str]]]:
    """By name: what tracks frames with vectors (True) or without."""
    if library == "boxmot":
        return {
            name: lambda frames, vectors, name=name: by_boxmot(frames, name, vectors=vectors, max_age=max_age) for name in BOXMOT
        }
    return {"DeepSORT": lambda frames, vectors: by_deepsort(frames, most=most if vectors else None, max_age=max_age)}


def truth_of_people(truth: Path, out: Path) -> Path:
    """The ground truth with the class "person" (1) in every line, as the measures want it; MOT15 files write -1."""
    rows = [line.split(",") for line in truth.read_text(encoding="utf-8").splitlines() if line.strip()]
    out.write_text("".join(",".join([*row[:6], "1", "1", "1"]) + "\n" for row in rows), encoding="utf-8")
    return out


def films_of(folder: Path, library: str) -> list[Path]:
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
    for module, package in ((LIBRARIES[library], library), ("trackers", "'passerby[video]'")):
        if importlib.util.find_spec(module) is None:
            sys.exit(f"{module} is not installed: pip install {package}")
    return found


def main() -> None:
    """Track all films of a folder with and without vectors, print IDF1 and identity switches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, help="folder with NAME.mp4 and NAME.gt.txt")
    parser.add_argument("--out", type=Path, default=Path("runs/tracks"), help="folder for tracks in MOT form")
    parser.add_argument("--library", choices=LIBRARIES, default="boxmot", help="whose trackers")
    parser.add_argument("--model", type=Path, default=None, help="artefact with a calibration (default: the house model)")
    parser.add_argument("--adapted", action="store_true", help="with the statistics of each film's own crops")
    parser.add_argument("--max-age", type=int, default=30, help="frames that a lost track waits")
    given = parser.parse_args()
    if given.max_age < 1:
        sys.exit(f"--max-age is {given.max_age}: a lost track waits 1 frame or more.")
    truths = films_of(given.films, given.library)
    from trackers.eval import evaluate_mot_sequence

    try:
        model = named_model(given.model)
        embedder = load(model, device="cpu")
        calibration = find_calibration(model, by_camera=True) if given.adapted else read_thresholds(model)
    except PasserbyError as error:
        sys.exit(str(error))
    if calibration is None:
        sys.exit(
            f"{model} has no thresholds with camera statistics: passerby calibrate {model} --camera-statistics train makes them."
        )
    # below the threshold of rejection the model says "different"
    trackers = trackers_of(given.library, most=1 - calibration.reject_threshold, max_age=given.max_age)
    given.out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    print(f"{'':<34}{'IDF1':>18}{'switches':>20}\n{'film':<20}{'tracker':<14}" + f"{'without':>10}{'with':>10}" * 2)

    for truth in truths:
        name = truth.name.removesuffix(".gt.txt")
        people = truth_of_people(truth, given.out / f"{name}.gt.txt")
        film = truth.with_name(f"{name}.mp4")
        try:
            frames, fps = seen(film, embedder, adapted=given.adapted), open_film(film).fps
        except PasserbyError as error:
            sys.exit(str(error))

        def measured(lines: list[str], label: str, people: Path = people, name: str = name) -> tuple[float, float]:
            out = given.out / f"{name}-{label}.txt"
            out.write_text("".join(lines), encoding="utf-8")
            found = evaluate_mot_sequence(people, out, metrics=["CLEAR", "Identity"])
            return 100 * found.Identity.IDF1, found.CLEAR.IDSW

        for label, track in trackers.items():
            without, with_them = measured(track(frames, False), f"{label}-without"), measured(track(frames, True), label)
            rows[label].append((without[0], with_them[0], without[1], with_them[1]))
            print(line_of(name, label, rows[label][-1]), flush=True)
        idf1, switches = measured(by_bytetrack(frames, fps=fps, max_age=given.max_age), "ByteTrack")
        rows["ByteTrack"].append((idf1, np.nan, switches, np.nan))
        print(line_of(name, "ByteTrack", rows["ByteTrack"][-1]), flush=True)
    if len(truths) > 1:
        for label, of_films in rows.items():
            print(line_of(f"mean of {len(truths)}", label, tuple(np.mean(of_films, axis=0))))


def line_of(film: str, tracker: str, row: tuple[float, ...]) -> str:
    """A row of the table; what was not measured is a dash."""
    cells = (f"{value:>10.1f}" if np.isfinite(value) else f"{'-':>10}" for value in row)
    return f"{film:<20}{tracker:<14}" + "".join(cells)


if __name__ == "__main__":
    main()

"""Films into a gallery: how fast, how many of the people are found, how well they are followed, and pictures to look at.

    python benchmarks/video.py speed ../shared/data/vtest.avi [--every 1 3] [--model ARTEFACT]
    python benchmarks/video.py detection ../shared/data/TUD-Campus.mp4 ../shared/data/TUD-Stadtmitte.mp4 [--step 5] [--table]
    python benchmarks/video.py tracking FILM.mp4 ... [--every 1 2 3]
    python benchmarks/video.py confidence FILM.mp4 ... [--every 1]
    python benchmarks/video.py kill FILM.mp4 [--times 50]
    python benchmarks/video.py sheet ../shared/data/vtest.avi sheet.png [--every 1]

speed: frames a second of the whole way (decoding, detection, tracking, cropping, embedding, writing) into a new gallery, without
the start of the programme. Without --model an untrained OSNet x0.25 at 256x128 embeds, which costs what a trained one costs.

detection: recall and precision at IoU 0.5, one box a person, by confidence; boxes of the truth that are less visible than 0.4
(where the truth says so) count neither way. --table adds other sizes of the picture and other overlaps.

tracking: HOTA, IDF1 and MOTA of the package trackers (the measures of TrackEval), and recall and precision of the boxes that are
in tracks. Of films with NAME.gt.txt beside them.

confidence: the same and the crops that are kept, over all films together, by the confidence from which a box counts; of one look.
The default was chosen by it, on films of `passerby street video`.

kill: indexing is killed (SIGKILL) at random moments, again and again, until it has been so often; what was there before must be
there after each, and at the end the gallery must hold what an uninterrupted run makes: nothing lost, nothing doubled.

sheet: one row a track, its crops with their qualities.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from passerby.datasets.mot_boxes import parse_box
from passerby.errors import GalleryError
from passerby.gallery import Gallery, Model
from passerby.video import Boxes, Detection, Film, GivenBoxes, Indexing, Tracking, index_film, open_detector, open_film
from passerby.video.boxes import overlaps
from passerby.video.crops import Cropping, TrackCrops, cut
from passerby.video.seeing import Watcher
from passerby.video.tracking import CARRIES

CONFIDENCES = (0.225, 0.3, 0.4, 0.5)
COUNTING = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
LEAST_VISIBLE = 0.4


# --------------------------------------------------------------------------------------------------------------------- truth


def read_truth(film: Path, size: tuple[int, int]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Frame from 0 -> corners inside the picture, and which of them count."""
    path = film.with_name(f"{film.stem}.gt.txt")
    found: dict[int, list] = {}
    for line in path.read_text().splitlines():
        box = parse_box(line, path.name)
        corners = [box.left - 1, box.top - 1, box.left - 1 + box.width, box.top - 1 + box.height]
        found.setdefault(box.frame - 1, []).append((corners, box.visibility is None or box.visibility >= LEAST_VISIBLE))
    return {
        frame: (np.array([each[0] for each in rows]).clip(0, [*size, *size]), np.array([each[1] for each in rows]))
        for frame, rows in found.items()
    }


def matched(boxes: Boxes, truth: tuple[np.ndarray, np.ndarray]) -> tuple[int, int, int]:
    """People found, boxes that show none, and people that count; the surest boxes choose first."""
    corners, counts = truth
    shared = overlaps(boxes.corners.astype(float), corners)
    theirs = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    iou = shared / (boxes.areas[:, None] + theirs[None] - shared)
    taken: set[int] = set()
    wrong = 0
    for row in np.argsort(-boxes.confidences):
        free = [place for place in np.argsort(-iou[row]) if iou[row, place] >= 0.5 and place not in taken]
        if not free:
            wrong += 1
            continue
        taken.add(next((int(place) for place in free if counts[place]), int(free[0])))
    return int(sum(counts[place] for place in taken)), wrong, int(counts.sum())


def rates(pairs: list[tuple[Boxes, tuple[np.ndarray, np.ndarray]]], least: float) -> str:
    totals = np.sum([matched(boxes[boxes.confidences >= least], truth) for boxes, truth in pairs], axis=0)
    return f"{totals[0] / totals[2]:.3f} / {totals[0] / max(totals[0] + totals[1], 1):.3f}"


# ----------------------------------------------------------------------------------------------------------------- the parts


def detection(films: list[Path], step: int, table: bool) -> None:
    usual = Detection(confidence=min(CONFIDENCES))
    sizes = [usual.sides_px, *([(416,), (640,), (960,), (960, 640)] if table else [])]
    print(
        "recall / precision at IoU 0.5     " + "".join(f"from {least:<11g}" for least in CONFIDENCES) + "people  CPU ms a frame"
    )
    for sides in sizes:
        for overlap in (usual.overlap, *((0.6,) if table else ())):
            detector = open_detector(None, Detection(usual.confidence, overlap, sides_px=sides))
            pairs, spent = [], 0.0
            for path in films:
                film = open_film(path)
                truth = read_truth(path, film.size)
                for frame in film.frames():
                    if frame.number % step == 0 and frame.number in truth:
                        begun = time.process_time()
                        pairs.append((detector(frame.pixels()), truth[frame.number]))
                        spent += time.process_time() - begun
            named = f"sides {'+'.join(map(str, sides))}, overlap {overlap:g}"
            people = sum(int(truth[1].sum()) for _, truth in pairs)
            row = "".join(f"{rates(pairs, least):<16}" for least in CONFIDENCES)
            print(f"{named:<34}{row}{people:<8}{1000 * spent / len(pairs):.0f}", flush=True)


def followed(film: Film, every: int) -> dict[int, Boxes]:
    """Boxes with tracks of each frame that is looked at."""
    watcher = Watcher(film, open_detector(), Tracking(), every, segment_s=1e9)
    return {frame.number: watcher.follow(watcher.look(frame)).boxes for frame in film.frames() if frame.number % every == 0}


def measured(path: Path, found: dict[int, Boxes], truth: dict) -> Any:
    """HOTA, IDF1 and MOTA of the package trackers, over the frames that were looked at and have a truth."""
    from trackers.eval import evaluate_mot_sequence

    places = {number: place for place, number in enumerate(sorted(set(found) & set(truth)), 1)}
    ours = [
        f"{place},{track},{c[0] + 1:.1f},{c[1] + 1:.1f},{c[2] - c[0]:.1f},{c[3] - c[1]:.1f},1,-1,-1,-1\n"
        for number, place in places.items()
        for c, track in zip(found[number].corners, found[number].tracks, strict=True)
    ]
    boxes = [parse_box(line, "") for line in path.with_name(f"{path.stem}.gt.txt").read_text().splitlines()]
    theirs = [
        f"{places[b.frame - 1]},{b.track},{b.left},{b.top},{b.width},{b.height},1,1,1\n"
        for b in boxes
        if b.frame - 1 in places and (b.visibility is None or b.visibility >= LEAST_VISIBLE)
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in (("ours.txt", ours), ("theirs.txt", theirs)):
            (Path(folder) / name).write_text("".join(lines))
        return evaluate_mot_sequence(
            Path(folder) / "theirs.txt", Path(folder) / "ours.txt", metrics=["CLEAR", "HOTA", "Identity"]
        )


def tracking(films: list[Path], everies: list[int]) -> None:
    print("film                 every  HOTA   IDF1   MOTA   switches  boxes in tracks: recall / precision")
    for path in films:
        for every in everies:
            film = open_film(path)
            found, truth = followed(film, every), read_truth(path, film.size)
            result = measured(path, found, truth)
            pairs = [(found[number], truth[number]) for number in set(found) & set(truth)]
            numbers = "  ".join(f"{value:.3f}" for value in (result.HOTA.HOTA, result.Identity.IDF1, result.CLEAR.MOTA))
            print(f"{path.stem:<20} {every:<6} {numbers}  {result.CLEAR.IDSW:<9} {rates(pairs, 0)}", flush=True)


def confidence(films: list[Path], every: int) -> None:
    """What each confidence gives, of one look at all films."""
    seen = []
    for path in films:
        film, detector = open_film(path), open_detector(None, Detection(confidence=CARRIES * min(COUNTING)))
        boxes = {frame.number: detector(frame.pixels()) for frame in film.frames() if frame.number % every == 0}
        truth = read_truth(path, film.size)
        people = sum(int(truth[number][1].sum()) for number in set(boxes) & set(truth))
        print(f"{path.stem}: {len(boxes)} looks, {people} people", flush=True)
        seen.append((path, film, boxes, truth, people))
    print("counts  detected, recall / precision  HOTA   IDF1   MOTA   in tracks, recall / precision  crops  of nobody")
    for sure in COUNTING:
        marks, detected, tracked, crops, nobody = [], [], [], 0, 0
        for path, film, boxes, truth, people in seen:
            eyes = GivenBoxes(
                "seen", {number: each[each.confidences >= CARRIES * sure] for number, each in boxes.items()}, tracked=False
            )
            watcher = Watcher(film, eyes, Tracking.of(sure), every, segment_s=1e9)
            found, kept = {}, {}
            for frame in film.frames():
                if frame.number % every:
                    continue
                found[frame.number] = step = watcher.follow(watcher.look(frame)).boxes
                for track, crop in cut(frame, step, film.size, Cropping(min_confidence=sure)).items():
                    kept.setdefault(track, TrackCrops(Cropping().crops_per_track)).offer(crop)
            none = (np.zeros((0, 4)), np.zeros(0, bool))
            pairs = [(number, truth.get(number, none)) for number in boxes]
            detected += [(boxes[number], known) for number, known in pairs]
            tracked += [(found[number], known) for number, known in pairs]
            if people and any(map(len, found.values())):
                result = measured(path, found, truth)
                marks.append((result.HOTA.HOTA, result.Identity.IDF1, result.CLEAR.MOTA))
            elif people:
                marks.append((0.0, 0.0, 0.0))
            for crop in (crop for track in kept.values() for crop in track.best()):
                left, top, wide, high = crop.box
                one = Boxes.of(np.array([[left, top, left + wide, top + high]]), np.ones(1))
                crops, nobody = crops + 1, nobody + matched(one, truth.get(crop.frame, none))[1]
        numbers = "  ".join(f"{value:.3f}" for value in np.mean(marks, axis=0))
        print(f"{sure:<7g} {rates(detected, sure):<28}  {numbers}  {rates(tracked, 0):<29}  ", end="")
        print(f"{crops:<6} {nobody / max(crops, 1):.3f}", flush=True)


def embedder_for(model: Path | None):
    from passerby.training import keep_freed_memory

    keep_freed_memory()
    if model is not None:
        from passerby.artefact import load

        return load(model)
    import torch

    from passerby.embedder import Embedder
    from passerby.models import ModelConfig, build_model
    from passerby.transforms import Preprocess

    torch.manual_seed(0)
    network = build_model(ModelConfig("osnet_x0_25")).eval()
    return Embedder(network, Preprocess(), facts={"artefact": "untrained", "backbone": "osnet_x0_25"})


def speed(path: Path, everies: list[int], model: Path | None) -> None:
    embedder = embedder_for(model)
    embedder([np.zeros((128, 64, 3), np.uint8)])
    detector = open_detector()
    detector(np.zeros((576, 768, 3), np.uint8))
    print(f"{os.cpu_count()} cores, {detector.name}")
    for every in everies:
        with (
            tempfile.TemporaryDirectory() as folder,
            Gallery.open(Path(folder) / "g", create=True, model=Model.of(embedder)) as g,
        ):
            cpu = time.process_time()
            report = index_film(g, embedder, open_film(path), "camera", detector, start=0.0, how=Indexing(every=every))
            cpu = time.process_time() - cpu
            rate = f"{report.frames / report.seconds:.1f} frames/s ({report.frames} in {report.seconds:.1f} s, CPU {cpu:.1f} s)"
            print(f"{path.name}: every {every}: {rate}, {report.tracks} tracks, {report.crops} crops", flush=True)


# ---------------------------------------------------------------------------------------------------------------------- kill


class MeanEmbedder:
    """Mean colours: kill tests the bookkeeping, not a network."""

    cameras = None
    batch_size = 8

    def __call__(self, pictures: list[np.ndarray], camera: str | None = None) -> np.ndarray:
        del camera
        return np.array([[*each.reshape(-1, 3).mean(axis=0), 1] for each in pictures], np.float32)


def seen_by_the_detector(path: Path) -> GivenBoxes:
    """What the detector finds, once: it need not look again each time that a run is killed."""
    detector = open_detector()
    return GivenBoxes("seen", {frame.number: detector(frame.pixels()) for frame in open_film(path).frames()}, tracked=False)


def index_plainly(path: Path, gallery: Path, eyes: GivenBoxes) -> None:
    with Gallery.open(gallery, create=True, model=Model("mean-colours", "mean colours", 4)) as opened:
        how = Indexing(commit_looks=5)
        index_film(opened, MeanEmbedder(), open_film(path), "camera", eyes, start=0.0, how=how)  # pyright: ignore


def held(gallery: Path) -> dict[str, tuple]:
    with Gallery.open(gallery, read_only=True) as opened:
        rows = opened.sightings([id for track in opened.tracks() for id in track.ids])
        vectors = opened.vectors([row.id for row in rows]).round(4)
        assert len(rows) == len(opened), "rows outside of tracks"
    return {row.key: (str({**asdict(row), "id": 0}), *vector.tolist()) for row, vector in zip(rows, vectors, strict=True)}


def kill(path: Path, times: int) -> None:
    chance, eyes = random.Random(0), seen_by_the_detector(path)
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        began = time.monotonic()
        index_plainly(path, whole, eyes)
        usual_s = time.monotonic() - began
        expected, kills, finished, before = held(whole), 0, 0, {}
        while kills < times:
            child = os.fork()
            if child == 0:
                index_plainly(path, cut, eyes)
                os._exit(0)
            time.sleep(chance.uniform(0, 0.8 * usual_s))
            os.kill(child, signal.SIGKILL)
            killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
            kills += killed
            try:
                after = held(cut)
            except GalleryError:  # killed before the gallery was made: nothing had been acknowledged
                assert not before
                after = {}
            assert before.items() <= after.items() <= expected.items(), "something acknowledged was lost, or something is wrong"
            before = after
            if not killed:  # it was done before: begin anew
                assert after == expected
                finished, before = finished + 1, {}
                for piece in cut.parent.glob("cut*"):
                    piece.unlink()
        index_plainly(path, cut, eyes)
        assert held(cut) == expected
        print(
            f"{path.name}: killed {kills} times over {finished + 1} indexings of {len(expected)} crops: none lost, none doubled, "
            "none changed"
        )


def sheet(path: Path, out: Path, every: int) -> None:
    model = Model("mean-colours", "mean colours", 4)
    with tempfile.TemporaryDirectory() as folder, Gallery.open(Path(folder) / "g", create=True, model=model) as gallery:
        how = Indexing(every=every)
        index_film(gallery, MeanEmbedder(), open_film(path), "camera", open_detector(), start=0.0, how=how)  # pyright: ignore
        tracks = gallery.tracks()
        canvas = Image.new("RGB", (16 * 60, 18 * 125 * (1 + len(tracks) * 6 // (16 * 16))), "white")
        draw, x, y = ImageDraw.Draw(canvas), 0, 0
        for track in tracks:
            if x + 60 * len(track.ids) > canvas.width:
                x, y = 0, y + 125
            for row in gallery.sightings(track.ids):
                crop = Image.open(io.BytesIO(gallery.thumbnail(row.id) or b"")).resize((54, 108))
                canvas.paste(crop, (x, y))
                draw.text((x, y + 109), f"{row.quality:.2f} {row.frame}", fill="black")
                x += 57
            draw.line((x, y, x, y + 120), fill="red", width=2)
            x += 6
        canvas.crop((0, 0, canvas.width, y + 125)).save(out)
        print(f"{out}: {len(tracks)} tracks, {len(gallery)} crops")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "detection", "tracking", "confidence", "kill", "sheet"])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--every", nargs="+", type=int, default=[1])
    parser.add_argument("--step", type=int, default=5)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--model", type=Path)
    chosen = parser.parse_args()
    first = chosen.files[0]
    if chosen.what == "speed":
        speed(first, chosen.every, chosen.model)
    elif chosen.what == "detection":
        detection(chosen.files, chosen.step, chosen.table)
    elif chosen.what == "tracking":
        tracking(chosen.files, chosen.every)
    elif chosen.what == "confidence":
        confidence(chosen.files, chosen.every[0])
    elif chosen.what == "kill":
        kill(first, chosen.times)
    else:
        sheet(first, chosen.files[1], chosen.every[0])


if __name__ == "__main__":
    main()

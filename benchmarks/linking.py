"""Linking over the cameras of a rendered town: IDF1 and HOTA within cameras and over all, by looks alone and with time.

    passerby street video --town campus --out films --cameras 1 2 3 --seconds 120 --fps 4
    python benchmarks/linking.py films                       # with the model that comes with passerby; --model DIR for another
    python benchmarks/linking.py films --adapted             # with the statistics of each camera's own crops (passerby adapt)

The boxes are those of the ground truth, so that nothing but linking is measured; a tracker's cuts are imitated by ending tracks
every few seconds. Each piece is a track of its own: within a camera the pieces of a person must be put together again, over all
cameras the visits too. Numbers are those of `trackers.eval`, over all cameras with one frame count after the other, so that a
person who has two identities is two people there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from passerby import artefact, video
from passerby.cli import main as passerby
from passerby.export import fastest
from passerby.gallery import Gallery, Model, Thresholds
from passerby.gallery.linking import Linking, link
from passerby.metrics.calibration_store import find_calibration
from passerby.street.towns import make_town

HURRY = 0.6  # of an unhurried walk: the least that somebody needs
GAP = 10_000  # frames between the films of two cameras, when they are read as one


def read_truth(path: Path, visible: float = 0.3) -> np.ndarray:
    """(n, 6) frame, person, left, top, width, height of people who are to be seen."""
    lines = np.loadtxt(path, delimiter=",", ndmin=2)
    return lines[lines[:, 8] >= visible][:, :6]


def cut(truth: np.ndarray, every: int) -> np.ndarray:
    """The same boxes with a new track number for each person, visit and piece of `every` frames."""
    made = truth[np.lexsort((truth[:, 0], truth[:, 1]))]
    track, person, begun, seen = 0, -1, 0, 0
    for row in made:
        frame = int(row[0])
        if row[1] != person or frame - seen > 2 or frame - begun >= every:
            track, person, begun = track + 1, row[1], frame
        row[1], seen = track, frame
    return made


def write_boxes(path: Path, rows: np.ndarray) -> Path:
    """A file in MOT format."""
    lines = (f"{int(f)},{int(t)},{x:.2f},{y:.2f},{w:.2f},{h:.2f},1,1,1" for f, t, x, y, w, h in rows[np.argsort(rows[:, 0])])
    path.write_text("\n".join(lines) + "\n")
    return path


def measured(truth: dict[str, np.ndarray], found: dict[str, np.ndarray], folder: Path) -> dict[str, float]:
    """IDF1 and HOTA over cameras as one film, and the mean of the cameras alone, in percent."""
    from trackers.eval import evaluate_mot_sequence

    def score(right: np.ndarray, own: np.ndarray) -> tuple[float, float]:
        files = write_boxes(folder / "gt.txt", right), write_boxes(folder / "own.txt", own)
        result = evaluate_mot_sequence(*files, metrics=["HOTA", "Identity"])
        assert result.Identity is not None and result.HOTA is not None
        return 100 * float(result.Identity.IDF1), 100 * float(result.HOTA.HOTA)

    def joined(parts: dict[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([rows + np.array([GAP * n, 0, 0, 0, 0, 0]) for n, (_, rows) in enumerate(sorted(parts.items()))])

    within = np.mean([score(truth[camera], found[camera]) for camera in truth], axis=0)
    across = score(joined(truth), joined(found))
    names = ("IDF1 within", "HOTA within", "IDF1 across", "HOTA across")
    return {name: round(float(value), 1) for name, value in zip(names, (*within, *across), strict=True)}


def named(gallery: Gallery, pieces: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The boxes with the identities that linking gave; what it gave none is a person of its own."""
    made = {}
    alone = 10_000
    by_track: dict[str, dict[int, int]] = defaultdict(dict)
    for track in gallery.tracks():
        identity = gallery.sightings(track.ids[:1])[0].identity
        by_track[track.camera][int(track.name.rsplit("-", 1)[1])] = identity or 0
    for camera, rows in pieces.items():
        own = rows.copy()
        for number in np.unique(rows[:, 1]).astype(int).tolist():
            alone += 1
            own[rows[:, 1] == number, 1] = by_track[camera].get(number) or alone
        made[camera] = own
    return made


def command(*words: object) -> None:
    """One passerby command; stop where it fails."""
    if status := passerby([str(word) for word in words]):
        sys.exit(status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--adapted", action="store_true", help="fit the model to the cameras by the gallery's own crops")
    parser.add_argument("--piece-s", type=float, default=3.0, help="tracks end after so many seconds")
    parser.add_argument(
        "--similarities", type=float, nargs="+", default=[0.3, 0.4, 0.5, 0.6], help="and from the middle of the thresholds on"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = options.model or artefact.default_model()
    embedder = fastest(artefact.load(model, device="cpu"), model)
    facts = {path.stem: json.loads(path.with_suffix(".json").read_text()) for path in sorted(options.films.glob("*-c*.mp4"))}
    truth = {camera: read_truth(options.films / f"{camera}.gt.txt") for camera in facts}
    pieces = {camera: cut(truth[camera], round(options.piece_s * facts[camera]["fps"])) for camera in facts}
    town = make_town(next(iter(facts.values()))["town"])
    places = {camera: fact["camera"]["place"] for camera, fact in facts.items()}
    ways = {(a, b): HURRY * town.walking_s(places[a], places[b]) for a in places for b in places if a < b}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        stored = folder / "a.gallery"
        with Gallery.open(stored, create=True, model=Model.of(embedder)) as gallery:
            for camera, rows in pieces.items():
                eyes = video.read_boxes(write_boxes(folder / f"{camera}.txt", rows), tracked=True)
                film = video.open_film(options.films / f"{camera}.mp4")
                video.index_film(gallery, embedder, film, camera, eyes, start=0.0)
            gallery.set_transitions(ways)
        if options.adapted:
            command("adapt", model, "--gallery", stored, "--out", folder / "adapted")
            command("gallery", "re-embed", stored, "--model", folder / "adapted")
        gallery = stack.enter_context(Gallery.open(stored))
        people = len(np.unique(np.concatenate([rows[:, 1] for rows in truth.values()])))
        report: dict[str, Any] = {"tracks": len(gallery.tracks()), "people": people, "crops": len(gallery)}
        report["not linked"] = measured(truth, named(gallery, pieces), folder)
        usual = find_calibration(artefact.named_model(model), by_camera=options.adapted)
        middle = [] if usual is None else [Thresholds.of(usual).middle]  # what `passerby link` takes
        for similarity in (*middle, *options.similarities):
            for how, use_time in (("looks", False), ("looks and time", True)):
                link(gallery, Linking(similarity, use_time=use_time))
                report[f"{how} from {similarity:.3g} on"] = measured(truth, named(gallery, pieces), folder)
                gallery.undo()
    print(json.dumps(report, indent=2))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

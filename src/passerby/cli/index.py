"""`passerby index`: films and crops of people into a gallery that can be searched."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from passerby.cli.galleries import chosen_gallery, counted, tell_stand_ins
from passerby.cli.index_crops import index_crops, is_street, read_crops
from passerby.cli.moments import moment
from passerby.cli.stored import is_shipped
from passerby.errors import DataError, UsageError, listing

if TYPE_CHECKING:
    from passerby.embedder import Embedder
    from passerby.gallery import Gallery
    from passerby.video import Detector, Film, FilmReport, GivenBoxes, Indexing

__all__ = ["Options", "run"]

_EYES = ("detector", "detections", "tracks")
_LOOKS = ("sides", "confidence")
_CROPS = ("crops_per_track", "min_height")
_ENOUGH = 64  # crops, whose statistics bring nine tenths of what those of all crops bring (docs/recipes/camera_bn.md)


@dataclass(frozen=True)
class Options:
    """Put the people of films into a gallery: find them, follow them, cut them out, keep the best crops of each track.

    `passerby index FILM` is enough: `passerby search CROP` in the same folder then finds its people. A source is a video file, a
    folder of the pictures of one camera in the order of their names, or, with --dataset, a folder of crops in any layout that
    passerby reads. A stopped call goes on where it stopped when it is given again, and a film that is in the gallery already is
    not added twice.
    """

    sources: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """video files and folders; several films of one camera one after the other"""
    gallery: Annotated[str, tyro.conf.arg(aliases=["--to"])] = ""
    """a file, or milvus://host:port/collection; made where it is not there yet (default: what PASSERBY_GALLERY says, else
    people.gallery in the working folder)"""
    camera: str = ""
    """name of the camera that the films are from (default: the name of the one film, without its ending, or of its folder)"""
    start: str = ""
    """when the first film begins: 2026-11-21T09:00:00, UTC unless it says otherwise (+02:00); the films follow each other without
    a gap. Without it crops have no time. With --dataset street: when the rendered day begins (default: 2026-01-01)"""
    model: Path | None = None
    """artefact folder or exported file that makes the vectors (default: house, the model that comes with passerby; house-int8 is
    its quick form, house-scratch one that never saw a real person)"""
    every: int = 1
    """look at every N-th frame; tracks go on between them. Five looks a second are enough for people who walk: 5 of 25 frames"""
    crops_per_track: int = 5
    """most crops of one track, spread over its time"""
    min_height: int = 40
    """smaller people are not cut out, pixels"""
    detector: Path | None = None
    """ONNX file of another detector (YOLO, YOLOX, RT-DETR, DETR; COCO's classes), instead of the one that comes with passerby"""
    sides: tuple[int, ...] = (640, 416)
    """longer sides of the pictures that the detector sees, pixels: a larger one finds smaller people and takes longer, a smaller
    one beside it finds those who fill the picture. A detector of a fixed size sees its own"""
    confidence: float = 0.3
    """of a box that counts as a person and is cut out, 0 to 1; a track begins with one half as sure again, and boxes down to
    three quarters of it carry a track on"""
    detections: Path | None = None
    """boxes of another tool in MOT format, instead of a detector; of one film"""
    tracks: Path | None = None
    """tracks of another tool in MOT format, instead of a detector and a tracker; of one film"""
    fps: float | None = None
    """pictures a second, where a film tells none or a wrong one (default: as it tells; 25 of a folder)"""
    dataset: str = ""
    """read each folder as this data set of crops: market1501, folder, manifest, ...; or images: whatever images lie below it, all
    of the one --camera"""
    subset: Literal["auto", "gallery", "query", "train", "all"] = "auto"
    """of the data set: auto is its gallery where it has one, else all of it"""
    trial: str = ""
    """which of a small data set's repeated splits, by its name or its number"""
    device: str = "auto"
    """for the model: auto, cpu, cuda, cuda:1 ..."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """of the model; vectors of different precisions do not mix"""
    batch_size: int = 64
    """crops a forward pass"""
    json: Path | None = None
    """write what was done to this file too"""


def run(options: Options) -> None:
    """Index what the options name."""
    _check(options)
    job = None if options.dataset else _Job.of(options)
    crops = read_crops(options) if options.dataset else []
    from passerby.artefact import named_model
    from passerby.gallery import Gallery, Model

    model = named_model(options.model)
    where = chosen_gallery(options.gallery)
    embedder = _embedder(options, model)

    with Gallery.open(where, create=True, model=Model.of(embedder)) as gallery:
        _calibrate(gallery, model)
        before = len(gallery)
        done = index_crops(options, crops, gallery, embedder) if job is None else job.run(gallery, embedder, _camera(options))
        tell_stand_ins(embedder, gallery.cameras())
        holds = f"{counted(len(gallery), 'crop')} ({len(gallery) - before:,} new)"
        print(f"{where}: {holds} from {listing(gallery.cameras(), 10)}")
        if len(gallery) > before and len(gallery) >= _ENOUGH:
            _tell_of_adapting(options, model, where)
        if options.json is not None:
            from passerby.files import write_json

            write_json(options.json, {"gallery": where, "crops": len(gallery), "added": len(gallery) - before, **done})


def _tell_of_adapting(options: Options, model: Path, where: str) -> None:
    """What finds more with these cameras; said of the models that ship, whose gain is measured, and not of one that has it."""
    if is_shipped(model) and model.is_dir():
        name, there = options.model or "house", shlex.quote(where)
        print(
            f"to fit the model to these cameras, without labels: passerby adapt {name} --gallery {there} --out here.model, then "
            f"passerby gallery re-embed {there} --model here.model"
        )


def _check(options: Options) -> None:
    """What can be refused before anything heavy is loaded."""
    gone = [path for path in options.sources if not path.exists()]
    if not options.sources or gone:
        raise DataError(f"{listing(gone)}: no such file or folder." if gone else "no film is named: give video files or folders.")
    if options.dataset:
        _refuse(options, ("every", "fps", *_CROPS, *_EYES, *_LOOKS), "goes with films; with --dataset the crops are there")
        if not is_street(options.dataset):
            _refuse(options, ("start",), "goes with films and with --dataset street; other data sets tell no time")
        elif options.start:
            moment(options.start, "--start")
        if options.dataset == "images":
            _refuse(options, ("subset", "trial"), "goes with a data set that has its own layout, not with images")
            if not options.camera.strip():
                raise UsageError("--dataset images needs --camera, one name for all crops.")
        return
    _refuse(options, ("subset", "trial"), "acts only with --dataset")
    if not _camera(options):
        raise UsageError(
            f"--camera is needed for {len(options.sources)} films: the name of the camera that they are all from, for instance "
            "--camera lobby. Films of several cameras are indexed one by one."
        )
    chosen = [name for name in _EYES if getattr(options, name) is not None]
    if len(chosen) > 1:
        raise UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other: where people are is told by one of them.")
    if len(options.sources) > 1 and (options.detections or options.tracks):
        raise UsageError(f"--{chosen[0]} tells the boxes of one film, {len(options.sources)} are named: index them one by one.")
    if options.detections is not None:
        _refuse(options, ("sides",), "acts only with a detector, and --detections stands in for it")
    if options.tracks is not None:
        _refuse(options, _LOOKS, "acts only with a detector, and --tracks stands in for it")


def _camera(options: Options) -> str:
    """As it was named, or as the one film is called; empty for several films without a name."""
    named = options.camera.strip()
    if named or len(options.sources) != 1:
        return named
    film = options.sources[0].resolve()
    return film.name if film.is_dir() else film.stem


def _refuse(options: Options, names: tuple[str, ...], why: str) -> None:
    """No option may be given and do nothing."""
    usual = {field.name: field.default for field in fields(Options)}
    for name in names:
        if getattr(options, name) != usual[name]:
            raise UsageError(f"--{name.replace('_', '-')} {why}. Leave it out.")


def _embedder(options: Options, model: Path) -> Embedder:
    from passerby.artefact import load
    from passerby.export import fastest
    from passerby.training import keep_freed_memory

    keep_freed_memory()
    plain = load(model, device=options.device, precision=options.precision, batch_size=options.batch_size)
    return fastest(plain, model).for_any_camera()


def _calibrate(gallery: Gallery, model: Path) -> None:
    """Give a gallery without thresholds those of the model."""
    from passerby.export.thresholds import find_thresholds
    from passerby.gallery import Thresholds

    stored = find_thresholds(model)
    if stored is not None and gallery.thresholds is None:
        gallery.set_thresholds(Thresholds.of(stored))


@dataclass(frozen=True)
class _Job:
    """All that can be wrong with films, found out before a model is loaded or a gallery made."""

    films: list[Film]
    eyes: Detector | GivenBoxes
    how: Indexing
    start: float | None

    @classmethod
    def of(cls, options: Options) -> _Job:
        from passerby.video import open_film

        start = moment(options.start, "--start") if options.start else None
        how = _how(options)
        return cls([open_film(path, options.fps) for path in options.sources], _eyes(options), how, start)

    def run(self, gallery: Gallery, embedder: Embedder, camera: str) -> dict[str, object]:
        from passerby.video import index_film

        reports, start = [], self.start
        for film in self.films:
            report = index_film(gallery, embedder, film, camera, self.eyes, start=start, how=self.how)
            _tell(report)
            reports.append(asdict(report))
            start = None if start is None else start + report.duration_s
        return {"films": reports}


def _eyes(options: Options) -> Detector | GivenBoxes:
    from passerby.video import Detection, open_detector, read_boxes
    from passerby.video.tracking import CARRIES

    if options.tracks is not None:
        return read_boxes(options.tracks, tracked=True)
    weak = round(CARRIES * options.confidence, 6)
    if options.detections is not None:
        return read_boxes(options.detections, tracked=False, confidence=weak)
    return open_detector(options.detector, Detection(confidence=weak, sides_px=options.sides))


def _how(options: Options) -> Indexing:
    from passerby.video import Cropping, Indexing, Tracking

    cropping = Cropping(options.crops_per_track, min_height_px=options.min_height, min_confidence=options.confidence)
    return Indexing(options.every, Tracking.of(options.confidence), cropping)


def _tell(report: FilmReport) -> None:
    held = f"{report.frames:,} frames, {report.tracks:,} tracks, {report.crops:,} crops of camera {report.camera}"
    if report.was_done:
        print(f"{report.source}: in the gallery already ({held})")
        return
    again = "" if report.resumed_at is None else f", taken up at frame {report.resumed_at:,}"
    small = "" if not report.too_small else f"; {report.too_small:,} tracks have no crop that is large and clear enough"
    print(f"{report.source}: {held} in {report.seconds:.0f} s{again}{small}")
    if report.note:
        print(report.note)

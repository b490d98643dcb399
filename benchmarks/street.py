"""What the rendered street costs, whether it is a re-ID problem, and what it teaches about real people.

    python benchmarks/street.py speed  [--ids 60] [--workers 2]          crops a second and memory, GL and numba in turn; size S
    python benchmarks/street.py agree  [--crops 48]                      GL against numba before the camera degrades anything
    python benchmarks/street.py towns  --root M [--towns campus arcade]  histogram, ImageNet, own training, another town's
    python benchmarks/street.py real   --root M [--ids 400] [--training plain]  trained on rendered people, tested on real ones
    python benchmarks/street.py pixels                                   SHA-256 of size S's pixels, drawn with numba
    python benchmarks/street.py freeze                                   pin lists and pixels anew: only for a new Street version

`--root` is what `passerby street render --benchmark M --out DIR` made. `towns` and `real` train MobileNetV2 from
ImageNet weights at 128x64 with cross-entropy and triplet loss. All mAP are by the rank rule, cross-camera (Market-1501's
convention). The real test are the two TUD videos of ../shared/data, 17 of their 18 people (one track is too short), the first and
the second half of each track standing in for two cameras with 20 frames between; nothing of them is trained on.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from passerby.cli.evaluate_real import imagenet_start

HERE = Path(__file__).resolve().parent
REAL = HERE.parent.parent / "shared" / "data"


def speed(ids: int, workers: int) -> None:
    """Each run is a process of its own, so that its memory can be told; the first one fills the compiler's cache."""
    program = (
        "import sys, json, time, resource; from pathlib import Path\n"
        "from passerby.street.folder import Order; from passerby.street.output import render_set\n"
        "town, ids, out, renderer, workers = sys.argv[1:]\n"
        "order = Order(town, int(ids) // 2, int(ids) // 2, 12, 5)\n"
        "done = render_set(order, Path(out), renderer=renderer, workers=int(workers))\n"
        "used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
        "cpu = sum(use.ru_utime + use.ru_stime for use in used)\n"
        "print(json.dumps([done.crops, done.seconds, cpu, used[0].ru_maxrss / 1024, used[1].ru_maxrss / 1024]))\n"
    )
    print("wanted on 2 quiet cores: 20 crops/s with gl, 8 with numba, below 2,000 MB; S below 30 s")
    print(f"{'renderer':<9}{'town':<9}{'crops':>6}{'crops/s':>9}{'CPU ms':>8}{'MB, all processes':>19}")
    for renderer in ("numba", "gl"):
        for number, (town, people) in enumerate((("harbour", 4), ("campus", ids), ("winter", ids))):
            with tempfile.TemporaryDirectory() as folder:
                words = [sys.executable, "-c", program, town, str(people), folder + "/out", renderer, str(workers)]
                said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            crops, seconds, cpu, parent_mb, child_mb = json.loads(said)
            if number:
                memory = parent_mb + workers * child_mb
                print(f"{renderer:<9}{town:<9}{crops:>6}{crops / seconds:>9.1f}{1000 * cpu / crops:>8.0f}{memory:>19.0f}")
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        words = ["-m", "passerby", "street", "render", "--benchmark", "S", "--out", folder + "/s", "--workers", str(workers)]
        subprocess.run([sys.executable, *words, "--renderer", "numba"], capture_output=True, check=True)
        print(f"Street-v1 S, whole command, numba: {time.perf_counter() - begin:.1f} s")


def agree(crops: int) -> None:
    from passerby.street.plan import make_plan
    from passerby.street.render import open_renderer, to_display
    from passerby.street.stage import Stage

    differences = []
    for town in ("campus", "winter", "harbour"):
        plan = make_plan(town, 6, 6, 8, 2)
        stages = [Stage(plan.scenes[0].town, open_renderer(name)) for name in ("gl", "numba")]
        for crop in plan.crops[:: max(1, 3 * len(plan.crops) // crops)]:
            shots = [stage.crop(crop, plan.scene_of(crop))[1] for stage in stages]
            one, other = (to_display(shot.light * shot.gain).astype(int) for shot in shots)
            differences.append(float(np.abs(one - other).mean()))
    mean, worst = np.mean(differences), max(differences)
    print(f"{len(differences)} crops: mean absolute difference of 255 (wanted: below 2) {mean:.3f}, worst crop {worst:.3f}")


def by_histogram(data):
    """Six-stripe HSV histogram of the whole picture, as filmed."""
    from passerby.cli.colour_histogram import embed_histograms
    from passerby.embedder import Numbering
    from passerby.metrics import evaluate

    numbering = Numbering.of(data.query, data.gallery)
    sides = []
    for split in (data.query, data.gallery):
        pids = np.array([numbering.pids[record.domain, record.pid] for record in split])
        camids = np.array([numbering.camids[record.camera] for record in split])
        sides.append(replace(embed_histograms(split, balanced=False), pids=pids, camids=camids))
    return evaluate(*sides)


def by_network(data, embedder):
    from passerby.embedder import Numbering, embed
    from passerby.metrics import evaluate

    numbering = Numbering.of(data.query, data.gallery)
    return evaluate(*(embed(embedder, split, numbering=numbering) for split in (data.query, data.gallery)))


# What `--training` may change in the recipe; none of it looks at a real image.
TRAININGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "averaged": {"average": "ema", "ema_decay": 0.99},
    "gentle": {"backbone_lr_factor": 0.3},
    "augmented": {"auto_augment": "randaugment"},
}


def config(seed: int, epochs: int, training: str = "plain"):
    from passerby.recipes.baseline import Config

    plain = Config(
        backbone="mobilenet_v2",
        height=128,
        width=64,
        last_stride=1,
        head="bnneck",
        losses=("triplet-hard",),
        label_smoothing=0.1,
        color_jitter=True,
        random_erasing=0.5,
        batch_size=64,
        optimizer="adam",
        lr=3.5e-4,
        backbone_lr_factor=1.0,
        epochs=epochs,
        schedule="cosine",
        warmup_epochs=1,
        seed=seed,
    )
    return replace(plain, **TRAININGS[training])


def trained(train, run: Path, seed: int, epochs: int, training: str = "plain"):
    """An embedder trained on a split alone."""
    from passerby import artefact
    from passerby.recipes import baseline
    from passerby.records import ReidData

    return artefact.load(
        baseline.train(config(seed, epochs, training), ReidData("street", train=train), run, workers=0, resume=run.exists())
    )


def halfway(embedder):
    """Weights in the middle between ImageNet's and the trained ones, searched before the neck, which has no start.

    Source: Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022, with their 0.5; nothing was chosen on a test.
    """
    from copy import deepcopy

    from passerby.embedder import Embedder, EmbeddingRule

    start = imagenet_start("cpu")
    middle, here = deepcopy(embedder.model), start.model.backbone.state_dict()
    weights = {
        name: 0.5 * (value + here[name]) if value.is_floating_point() else value
        for name, value in middle.backbone.state_dict().items()
    }
    middle.backbone.load_state_dict(weights)
    return Embedder(middle, start.preprocess, EmbeddingRule(kind="feature"))


def show(label: str, scores) -> None:
    print(f"  {label:<34} mAP {scores.map:.3f}  rank-1 {scores.cmc[0]:.3f}  ({scores.num_valid} queries)", flush=True)


def towns(root: Path, names: Sequence[str], epochs: int, work: Path) -> None:
    """Each town by colour, by ImageNet features, by a model of its own people, and by the model of the town before it."""
    from passerby import datasets

    sets = {name: datasets.read("street", root / name) for name in names}
    models = {}
    for name, data in sets.items():
        print(f"{name}: {len(data.train)} training images")
        models[name] = trained(data.train, work / f"town-{name}", 0, epochs)
    found: dict[str, list[float]] = {}
    for name, before in zip(names, (names[-1], *names[:-1]), strict=True):
        data = sets[name]
        print(f"{name}: {len(data.query)} queries, {len(data.gallery)} gallery images")
        rows = {
            "six-stripe HSV histogram": by_histogram(data),
            "ImageNet MobileNetV2": by_network(data, imagenet_start("cpu")),
            "trained on its own people": by_network(data, models[name]),
            f"trained on {before}": by_network(data, models[before]),
        }
        for (label, scores), column in zip(rows.items(), "abcd", strict=True):
            show(label, scores)
            found.setdefault(column, []).append(scores.map)
    print("wanted: a and b below 0.45, c above b by 0.25 or more, d well below c; means over the towns:")
    print("  " + "  ".join(f"{column} {np.mean(values):.3f}" for column, values in found.items()))


def real_test(work: Path):
    """The labelled real videos as queries and gallery."""
    from passerby import datasets
    from passerby.datasets import HoldOut, MotOptions

    held_out = HoldOut(test_domains=("TUD-Campus", "TUD-Stadtmitte"))
    return datasets.read("mot", datasets.prepare(REAL, work / "tud", held_out=held_out, mot=MotOptions(gap=20)).out)


def some_people(split, ids: int, views: int):
    """The first people of every town, all towns with the same share of `ids`; `views` crops of each, spread over its cameras."""
    from passerby.records import Split

    people: dict[tuple[str, int], list] = {}
    for record in split:
        people.setdefault((record.domain, record.pid), []).append(record)
    domains = sorted({domain for domain, _ in people})
    kept = [person for d in domains for person in sorted(p for p in people if p[0] == d)[: ids // len(domains)]]
    chosen = []
    for mine in (people[person] for person in kept):
        chosen += [mine[k] for k in np.unique(np.linspace(0, len(mine) - 1, views).round().astype(int))]
    return Split(tuple(chosen))


# What another camera would make of the same picture: gains of red, green and blue, exposure, gamma.
OTHER_CAMERAS = {
    "as filmed": ((1.0, 1.0, 1.0), 1.0, 1.0),
    "warm, darker": ((1.1, 1.0, 0.88), 0.85, 1.0),
    "cold, gamma 1.25": ((0.92, 1.0, 1.1), 1.0, 1.25),
    "exposure 0.6": ((1.0, 1.0, 1.0), 0.6, 1.0),
}


def as_another_camera(split, name: str, out: Path):
    """The same crops in the colours of another camera."""
    from passerby.records import Split

    gains, exposure, gamma = OTHER_CAMERAS[name]
    out.mkdir(parents=True, exist_ok=True)
    records = []
    for number, record in enumerate(split):
        with Image.open(record.path) as image:
            pixels = np.asarray(image.convert("RGB"), np.float32) / 255
        seen = np.clip(pixels * np.array(gains) * exposure, 0, 1) ** gamma
        path = out / f"{number:05d}.png"
        Image.fromarray((seen * 255).round().astype(np.uint8)).save(path)
        records.append(replace(record, path=path))
    return Split(tuple(records))


def real(root: Path, ids: int, views: int, seeds: int, epochs: int, training: str, work: Path) -> None:
    from passerby import datasets

    test, train = real_test(work), some_people(datasets.read("street", root).train, ids, views)
    print(f"real test: {len(test.query)} queries, {len(test.gallery)} gallery images; {len(train)} rendered training images")
    embedders = {"ImageNet MobileNetV2": imagenet_start("cpu")}
    for seed in range(seeds):
        embedder = trained(train, work / f"real-{ids}-{views}-{training}-{seed}", seed, epochs, training)
        embedders |= {
            f"rendered people, {training}, seed {seed}": embedder,
            "the same, half way back to ImageNet": halfway(embedder),
        }
    # Both halves of a real track come from one camera, which a histogram likes; so the queries are seen by others, too.
    for camera in OTHER_CAMERAS:
        query = as_another_camera(test.query, camera, work / "queries" / camera.replace(" ", "-"))
        print(f"queries {camera}:")
        show("six-stripe HSV histogram", by_histogram(replace(test, query=query)))
        for label, embedder in embedders.items():
            show(label, by_network(replace(test, query=query), embedder))


def pixels(workers: int) -> dict[str, str]:
    from passerby.street.benchmark import benchmark_order, pixel_hash
    from passerby.street.output import render_sets
    from passerby.street.styles import TOWNS

    with tempfile.TemporaryDirectory() as folder:
        work = [(benchmark_order("S", town), Path(folder) / town) for town in TOWNS]
        render_sets(work, renderer="numba", workers=workers)
        return {order.town: pixel_hash(out) for order, out in work}


def freeze(workers: int) -> None:
    from passerby.files import write_json
    from passerby.street import benchmark
    from passerby.street.folder import list_hash, manifest_lines
    from passerby.street.plan import make_plan
    from passerby.street.styles import TOWNS

    lists: dict[str, dict[str, str]] = {}
    for size in benchmark.SIZES:
        orders = [benchmark.benchmark_order(size, town) for town in TOWNS]
        plans = {order.town: make_plan(order.town, order.train_ids, order.test_ids, order.views, order.seed) for order in orders}
        lists[size] = {town: list_hash(manifest_lines(plan)) for town, plan in plans.items()}
    target = Path(benchmark.__file__).with_name("street_v1.json")
    write_json(target, {"lists": lists, "pixels": {"numba": pixels(workers)}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "agree", "towns", "real", "pixels", "freeze"])
    parser.add_argument("--root", type=Path)
    parser.add_argument("--towns", nargs="+", default=["arcade", "campus", "harbour", "market", "station", "winter"])
    parser.add_argument("--ids", type=int)
    parser.add_argument("--views", type=int)
    parser.add_argument("--training", choices=TRAININGS, default="plain")
    parser.add_argument("--crops", type=int, default=48)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, help="folder for runs; kept, and gone on with (default: a temporary one)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        if given.what == "speed":
            speed(given.ids or 60, given.workers)
        elif given.what == "agree":
            agree(given.crops)
        elif given.what == "towns":
            towns(given.root, given.towns, given.epochs, work)
        elif given.what == "pixels":
            print(json.dumps(pixels(given.workers), indent=2))
        elif given.what == "freeze":
            freeze(given.workers)
        else:
            real(given.root, given.ids or 400, given.views or 12, given.seeds, given.epochs, given.training, work)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"CPU of this process {used.ru_utime + used.ru_stime:.0f} s")


if __name__ == "__main__":
    main()

"""How fast exported networks are beside torch, how much of that is left with decoding, and what int8 costs in mAP.

    python benchmarks/export.py speed [--backbones mobilenet_v2 resnet50] [--batch 16] [--seconds 6] [--busy] [--keep-memory]
    python benchmarks/export.py speed --model ARTEFACT [--size 256 128] [--exact-layers 6] [--data DIR]
    python benchmarks/export.py embed [--backbones mobilenet_v2 resnet50] [--images 512] [--rounds 5] [--busy]
    python benchmarks/export.py drift MODEL --data DIR [--forms fp32 fp16 int8] [--size 256 128] [--exact-layers 6]

speed: random weights at 256x128; torch as it is usually called (fp32, its own layout), torch with channels last, and the files,
all run in turns in one process with the same threads. Printed is the median rate of each and its ratio to plain torch. --busy,
for a machine with other work: one thread, and its CPU time in place of the clock's. --model: a trained network instead, at its
own size or at --size (its weights as they are: a speed, no figures), with the layers in fp32 that the rule for int8 keeps by
images of --data, or by drawn crops without it, and the first --exact-layers. One row more is torch with the weights as the file
has them: what `load` leaves out costs those that were trained before denormal numbers were rounded to zero three quarters of
their speed, later ones an eighth. `python benchmarks/export.py speed --model
src/passerby/house --size 256 128 --exact-layers 6 --data street-v1/winter` measures the network that ships.

embed: what `passerby embed` takes by itself (fp32 ONNX of pixels), and int8: the bare file on batches that lie ready, and
`Embedder` on JPEG files of 64x128 px that it decodes and resizes, in turns; without mirrored images, which is the harder case.

drift: an artefact on a whole data set with query and gallery (Street-v1: the folder of all towns' people that is evaluated): mAP,
threshold and vectors of each form beside torch. int8 is calibrated on 256 images of its training part.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from passerby.artefact import Artefact, load, read_artefact, read_description, save_artefact
from passerby.embedder import Embedder, EmbeddingRule
from passerby.export import Budget, ExportOptions, coarse, export
from passerby.export import probe as probes
from passerby.export.latency import interleaved
from passerby.export.probe import probe_set
from passerby.models import ModelConfig, build_model
from passerby.models.exported import open_exported
from passerby.training import keep_freed_memory
from passerby.transforms import Preprocess

ANYTHING = Budget(None, 1.0, 1.0)
FORMS = [("onnx", "fp32"), ("onnx", "int8"), ("openvino", "fp32"), ("openvino", "int8")]


def draw_crops(folder: Path, count: int) -> list[Path]:
    """JPEG files of smooth noise, about as large as real crops."""
    random = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:05d}.jpg" for number in range(count)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (32, 16, 3), dtype=np.uint8)).resize((64, 128)).save(path, quality=90)
    return paths


def resized(model: Path, size: tuple[int, int] | None, folder: Path) -> Path:
    """A trained network, for images of another size where one is given."""
    if size is None:
        return model
    facts, network = read_description(model), load(model, device="cpu").model
    told = replace(facts, model={**facts.model, "image_size": size}, preprocess=replace(facts.preprocess, size=size))
    save_artefact(folder / "resized", network, told)
    return folder / "resized"


def trained(arguments: argparse.Namespace, folder: Path) -> tuple[Path, dict[str, Path]]:
    """The artefact of --model and its files, int8 as it would ship."""
    artefact, files = resized(arguments.model, tuple(arguments.size) if arguments.size else None, folder), {}
    if arguments.data is None:
        draw_crops(folder / "crops", 64)
    with probe_set(arguments.data or folder / "crops") as probe:
        few = replace(probe, query=probe.query[:64], gallery=probe.gallery[:64])  # nothing is compared here
        for to, precision in available():
            layers = arguments.exact_layers if precision == "int8" else 0
            options = ExportOptions(
                to, precision, "normalised", budget=ANYTHING, exact_layers=layers, latency=False  # pyright: ignore
            )  # fmt: skip
            files[f"{to} {precision}"] = export(artefact, few, options, folder / "files")[0].path
    return artefact, files


def exported(backbone: str, folder: Path, forms: list[tuple[str, str]], inputs: str) -> tuple[Path, dict[str, Path]]:
    """An artefact with random weights, and its files."""
    torch.manual_seed(0)
    config = ModelConfig(backbone, head="bnneck")
    model = build_model(config)
    artefact = folder / backbone
    rule = EmbeddingRule(flip=False)
    save_artefact(artefact, model, Artefact("benchmark", {}, asdict(config), Preprocess(), rule, model.embedding_dim))
    draw_crops(folder / "crops", 32)
    files = {}
    with probe_set(folder / "crops") as probe:
        for to, precision in forms:
            options = ExportOptions(to, precision, inputs, budget=ANYTHING, calibration=32, latency=False)  # pyright: ignore
            files[f"{to} {precision}"] = export(artefact, probe, options)[0].path
    return artefact, files


def available() -> list[tuple[str, str]]:
    return [(to, precision) for to, precision in FORMS if to != "openvino" or importlib.util.find_spec("openvino")]


def speed(arguments: argparse.Namespace) -> None:
    if arguments.model is None:
        coarse.LEAST = 0.0  # random weights do not say which layers of a trained network stay in fp32
    if arguments.busy:
        torch.set_num_threads(1)
    told = ", CPU time" if arguments.busy else ""
    if arguments.keep_memory:
        keep_freed_memory()
        told += ", freed memory kept"
    size = (256, 128) if arguments.model is None else size_of(arguments)
    shown = f"{size[0]}x{size[1]}, batch {arguments.batch}"
    print(f"| threads: {torch.get_num_threads()}{told}, {shown} | images/s | against torch |")
    print("|---|---|---|")
    for backbone in arguments.backbones if arguments.model is None else [str(arguments.model)]:
        with tempfile.TemporaryDirectory() as made:
            if arguments.model is None:
                artefact, files = exported(backbone, Path(made), available(), "normalised")
            else:
                artefact, files = trained(arguments, Path(made))
            x = torch.randn(arguments.batch, 3, *size)
            last = load(artefact, device="cpu").model.eval()
            plain = load(artefact, device="cpu").model.eval().to(memory_format=torch.contiguous_format)  # pyright: ignore
            passes: dict[str, Callable[[], Any]] = {
                "torch": called(plain, x),
                **({} if arguments.model is None else {"torch, as its file is": called(as_written(arguments.model, plain), x)}),
                "torch, channels last": called(last, x.contiguous(memory_format=torch.channels_last)),
                **{name: called(open_exported(path), x) for name, path in files.items()},
            }
            clock = time.process_time if arguments.busy else time.perf_counter
            medians = interleaved(passes, seconds=arguments.seconds, clock=clock)
        for name, seconds in medians.items():
            rate = arguments.batch / seconds
            print(f"| {backbone}, {name} | {rate:.0f} | {medians['torch'] / seconds:.2f} |", flush=True)


def as_written(model: Path, loaded: torch.nn.Module) -> torch.nn.Module:
    """The network of an artefact with what `load` leaves out: numbers of dead channels that are next to nothing."""
    network = deepcopy(loaded)
    network.load_state_dict(read_artefact(model)[1])
    return network


def size_of(arguments: argparse.Namespace) -> tuple[int, int]:
    """Of the images that --model is shown."""
    own = read_description(arguments.model).preprocess
    return tuple(arguments.size) if arguments.size else own.size  # pyright: ignore


def called(network: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    def run() -> Any:
        with torch.inference_mode():
            return network(x)

    return run


def embed(arguments: argparse.Namespace) -> None:
    keep_freed_memory()
    if arguments.busy:
        torch.set_num_threads(1)
    clock = time.process_time if arguments.busy else time.perf_counter
    told = ", CPU time" if arguments.busy else ""
    print(f"| threads: {torch.get_num_threads()}{told}, batch 64 | bare images/s | from JPEG files | share |")
    print("|---|---|---|---|")
    for backbone in arguments.backbones:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            _, files = exported(backbone, folder, [("onnx", "fp32"), ("onnx", "int8")], "pixels")
            paths = draw_crops(folder / "crops", arguments.images)
            for name, path in files.items():
                embedder: Embedder = load(path)
                ready = torch.randint(0, 256, (64, 256, 128, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
                bare, whole, shares = [], [], []
                embedder(paths[:64]), embedder.model(ready)
                for _ in range(arguments.rounds):
                    began = clock()
                    for _ in range(len(paths) // 64):
                        embedder.model(ready)
                    middle = clock()
                    embedder(paths)
                    end = clock()
                    bare.append(len(paths) // 64 * 64 / (middle - began))
                    whole.append(len(paths) / (end - middle))
                    shares.append(whole[-1] / bare[-1])
                told = [statistics.median(each) for each in (bare, whole, shares)]
                print(f"| {backbone}, {name} | {told[0]:.0f} | {told[1]:.0f} | {told[2]:.2f} |", flush=True)


def drift(arguments: argparse.Namespace) -> None:
    probes.LIMIT = arguments.limit
    print("| form | images | difference | mAP torch | mAP file | drift | threshold | false accepts at torch's 1 % |")
    print("|---|---|---|---|---|---|---|---|")
    with probe_set(arguments.data) as probe, tempfile.TemporaryDirectory() as made:
        model = resized(arguments.model, tuple(arguments.size) if arguments.size else None, Path(made))
        for precision in arguments.forms:
            layers = arguments.exact_layers if precision == "int8" else 0
            options = ExportOptions("onnx", precision, "pixels", budget=ANYTHING, exact_layers=layers, latency=False)
            found = export(model, probe, options, Path(made) / "files")[0].comparison
            numbers = found.map_torch, found.map_exported, found.map_drift, found.threshold_exported, found.far_exported
            shown = " | ".join("-" if each is None else f"{each:.4f}" for each in numbers)
            print(f"| {precision} | {found.images} | {found.difference:.1e} | {shown} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    for name, run in (("speed", speed), ("embed", embed)):
        verb = verbs.add_parser(name)
        verb.set_defaults(run=run)
        verb.add_argument("--backbones", nargs="+", default=["mobilenet_v2", "resnet50"])
        verb.add_argument("--busy", action="store_true")
        if name == "speed":
            verb.add_argument("--batch", type=int, default=16)
            verb.add_argument("--seconds", type=float, default=6.0)
            verb.add_argument("--model", type=Path, help="artefact, instead of random weights of --backbones")
            verb.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="with --model: default its own")
            verb.add_argument("--exact-layers", type=int, default=0, help="with --model, int8: first layers that stay in fp32")
            verb.add_argument("--data", type=Path, help="with --model: images that calibrate int8")
            verb.add_argument(
                "--keep-memory", action="store_true", help="as `passerby embed` does: the C library keeps what torch frees"
            )
        else:
            verb.add_argument("--images", type=int, default=512)
            verb.add_argument("--rounds", type=int, default=5)
    verb = verbs.add_parser("drift")
    verb.set_defaults(run=drift)
    verb.add_argument("model", type=Path)
    verb.add_argument("--data", type=Path, required=True)
    verb.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="default: its own")
    verb.add_argument("--exact-layers", type=int, default=0, help="int8: first layers that stay in fp32")
    verb.add_argument("--forms", nargs="+", default=["fp32", "fp16", "int8"])
    verb.add_argument("--limit", type=int, default=1_000_000, help="images, about")
    arguments = parser.parse_args()
    if (
        arguments.run is speed
        and arguments.model is None
        and any(getattr(arguments, name) for name in ("size", "exact_layers", "data"))
    ):
        parser.error("--size, --exact-layers and --data go with --model")
    arguments.run(arguments)


if __name__ == "__main__":
    main()

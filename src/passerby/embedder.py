"""Images to vectors: one trained network with everything that must be done to an image before and to a vector after it.

Pictures are decoded and resized to uint8 in threads; only whole batches become floats.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.datasets.images import read_image
from passerby.embeddings import Embeddings
from passerby.errors import ImageError, UsageError, nearest
from passerby.progress import meter
from passerby.records import Split
from passerby.transforms import EvalTransform, Preprocess, normalise

__all__ = ["Embedder", "EmbeddingRule", "ImageLike", "Numbering", "bf16_is_fast", "embed"]

ImageLike: TypeAlias = "str | os.PathLike[str] | Image.Image | np.ndarray | Tensor"
"""A file, a PIL image, an (H, W, 3) uint8 array, or a (3, H, W) tensor (uint8, or float from 0 to 1)."""

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
_SLICE = 8  # images a task of a decoding thread: few enough to share a batch out, enough to make handing over cheap
_SIZE_ERRORS = (RuntimeError, AssertionError, ValueError)  # what networks raise on a size that they are not made for


@dataclass(frozen=True)
class EmbeddingRule:
    """How outputs of the network become the vector of an image.

    Attributes:
        kind: ``embedding`` (behind the neck, what the recipe trained for search) or ``feature`` (before it).
        flip: add the output of the mirrored image.
        scales: add the outputs at these scales; each is the square of the factor on height and width, so 1.1 is 268 x 134
            from 256 x 128.
        compound: the published multi-scale test, in which each scale resizes the tensor of the scale before it. False resizes the
            picture itself for every scale.
        normalise: make rows unit vectors (by the model's own rule where it has one: PCB scales every stripe). False leaves
            the sums.

    Raises:
        UsageError: an unknown kind, no scale, or a scale that is not positive.
    """

    kind: str = "embedding"
    flip: bool = True
    scales: tuple[float, ...] = (1.0,)
    compound: bool = False
    normalise: bool = True

    def __post_init__(self) -> None:
        if self.kind not in ("embedding", "feature"):
            raise UsageError(f'no vector "{self.kind}" in a model\'s outputs. {nearest(self.kind, ("embedding", "feature"))}')
        if not self.scales or any(not 0 < scale < 100 for scale in self.scales):
            raise UsageError(f"scales are {list(self.scales)}: give one or more numbers above 0, for instance 1 1.1.")
        object.__setattr__(self, "scales", tuple(float(scale) for scale in self.scales))


class Embedder:
    """A network that turns images into vectors.

    Args:
        model: the network; it is moved to `device`, and put into evaluation mode whenever it embeds. It may be a model in
            training: neither its weights nor their layout are touched.
        preprocess: what its input stage expects.
        rule: how outputs become vectors.
        device: ``cpu``, ``cuda``, ...
        precision: of the forward pass, ``fp32``, ``bf16`` or ``fp16``; sums and normalisation are always fp32.
        batch_size: images a forward pass.
        workers: threads that decode; None takes as many as torch computes with on a CPU, else one a core, at most 16.
        facts: what is known of the model, for `Embeddings.meta`; `artefact.load` gives the whole file.

    Raises:
        UsageError: an unknown precision, a number out of range, or a scale whose size the network does not take.

    Example::

        embedder = passerby.load("runs/market/artefact")
        vectors = embedder(["a.jpg", "b.jpg"])   # (2, D) float32, unit rows
    """

    def __init__(
        self,
        model: nn.Module,
        preprocess: Preprocess,
        rule: EmbeddingRule = EmbeddingRule(),
        *,
        device: torch.device | str = "cpu",
        precision: str = "fp32",
        batch_size: int = 64,
        workers: int | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise UsageError(f'no precision "{precision}". {nearest(precision, PRECISIONS)}')
        if batch_size < 1 or (workers is not None and workers < 1):
            raise UsageError(f"batch_size is {batch_size} and workers is {workers}: both count, so 1 is the least.")
        self.device, self.precision, self.preprocess, self.rule = torch.device(device), precision, preprocess, rule
        self.batch_size = batch_size
        on_cpu = self.device.type == "cpu"
        self.workers = workers or (torch.get_num_threads() if on_cpu else min(16, os.cpu_count() or 1))
        # On a CPU decoding and the network take turns: each of the network's operations waits for its slowest thread, so that one
        # decoding thread beside it would cost the time of all cores. A GPU works while the next batches are decoded.
        self._ready = 1 if on_cpu else 3
        self.facts = dict(facts or {})
        self.model = model.to(self.device)
        sizes = [preprocess.size] if rule.compound else [_scaled(preprocess.size, scale) for scale in rule.scales]
        if rule.scales != (1.0,):
            self._try_scales()
        self._transforms = [EvalTransform(replace(preprocess, size=size)) for size in sizes]

    @property
    def dim(self) -> int:
        """D, the length of a vector."""
        return int(self.model.embedding_dim if self.rule.kind == "embedding" else self.model.feature_dim)  # pyright: ignore

    def _try_scales(self) -> None:
        """Transformers take one size only; better to know before thousands of images are decoded."""
        self.model.eval()
        for scale in self.rule.scales:
            size = _scaled(self.preprocess.size, scale)
            try:
                with torch.inference_mode():
                    self.model(torch.zeros(1, 3, *size, device=self.device))
            except _SIZE_ERRORS as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
                raise UsageError(
                    f"scale {scale:g} gives {size[0]}x{size[1]} px, which this network does not take ({reason}): "
                    "use scale 1 only."
                ) from error

    def __call__(self, images: ImageLike | Sequence[ImageLike] | Iterable[ImageLike]) -> np.ndarray:
        """Embed one image or many.

        Args:
            images: one image or any number of them, mixed at will; see `ImageLike`. A (B, 3, H, W) tensor and a (B, H, W, 3)
                array are B images.

        Returns:
            (N, D) float32 on the CPU; unit rows unless the rule says otherwise. One image gives (1, D).

        Raises:
            ImageError: an image cannot be decoded, or has a shape, type or range that no image has.
        """
        blocks = list(self.stream(_each(images)))
        return np.concatenate(blocks) if blocks else np.zeros((0, self.dim), dtype=np.float32)

    def stream(self, images: Iterable[ImageLike]) -> Iterator[np.ndarray]:
        """Embed images one batch after the other: yields (up to `batch_size`, D) float32 arrays in order."""
        self.model.eval()
        with ThreadPoolExecutor(self.workers, thread_name_prefix="decode") as pool:
            source = iter(images)
            waiting: deque[list[Future[list[list[Tensor]]]]] = deque()
            try:
                while True:
                    while len(waiting) < self._ready and (batch := list(islice(source, self.batch_size))):
                        slices = [batch[start : start + _SLICE] for start in range(0, len(batch), _SLICE)]
                        waiting.append([pool.submit(self._decode, images) for images in slices])
                    if not waiting:
                        return
                    decoded = [image for future in waiting.popleft() for image in future.result()]
                    yield self.forward([_stacked(scale) for scale in zip(*decoded, strict=True)])
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _decode(self, images: Sequence[ImageLike]) -> list[list[Tensor]]:
        pictures = (_picture(image) for image in images)
        return [[transform(picture) for transform in self._transforms] for picture in pictures]

    @torch.inference_mode()
    def forward(self, scales: Sequence[Tensor]) -> np.ndarray:
        """Embed one batch that is already decoded.

        Args:
            scales: (B, 3, h, w) uint8, one tensor a scale of the rule (one only with ``compound``).

        Returns:
            (B, D) float32.
        """
        total: Tensor | None = None
        for inputs in self._inputs(scales):
            for view in (inputs, inputs.flip(-1)) if self.rule.flip else (inputs,):
                with torch.autocast(self.device.type, dtype=PRECISIONS[self.precision], enabled=self.precision != "fp32"):
                    outputs = self.model(view.contiguous(memory_format=torch.channels_last))
                vectors = getattr(outputs, self.rule.kind).float()
                total = vectors if total is None else total + vectors
        assert total is not None
        return self._normalised(total).cpu().numpy()

    def _inputs(self, scales: Sequence[Tensor]) -> Iterator[Tensor]:
        if not self.rule.compound:
            for scale in scales:
                yield normalise(scale.to(self.device, non_blocking=True), self.preprocess)
            return
        inputs = normalise(scales[0].to(self.device), self.preprocess)
        for scale in self.rule.scales:
            if scale != 1:
                inputs = F.interpolate(inputs, scale_factor=math.sqrt(scale), mode="bicubic", align_corners=False)
            yield inputs

    def _normalised(self, total: Tensor) -> Tensor:
        if not self.rule.normalise:
            return total
        own = getattr(self.model, "normalise_embedding", None)
        return own(total) if own is not None and self.rule.kind == "embedding" else F.normalize(total)


def _stacked(images: Sequence[Tensor]) -> Tensor:
    """(3, H, W) tensors as one batch in channels-last memory, in which decoders give them and convolutions want them."""
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    factor = math.sqrt(scale)
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))


def _each(images: Any) -> Iterator[ImageLike]:
    if isinstance(images, (str, os.PathLike, Image.Image)) or (isinstance(images, (np.ndarray, Tensor)) and images.ndim == 3):
        yield images
    else:
        yield from images


def _picture(image: Any) -> Image.Image:
    if isinstance(image, (str, os.PathLike)):
        return read_image(image)
    if isinstance(image, Image.Image):
        return image if image.mode == "RGB" else image.convert("RGB")
    if isinstance(image, Tensor):
        image = _array(image)
    if not isinstance(image, np.ndarray):
        raise ImageError(
            f"a {type(image).__name__} is no image: give a path, a PIL image, an (H, W, 3) array or a (3, H, W) tensor."
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ImageError(
            f"an array of shape {image.shape} and type {image.dtype} is no image: give (H, W, 3) uint8 in RGB order."
        )
    return Image.fromarray(image)


def _array(image: Tensor) -> np.ndarray:
    if image.ndim != 3 or image.shape[0] != 3:
        raise ImageError(f"a tensor of shape {tuple(image.shape)} is no image: give (3, H, W) in RGB order.")
    image = image.detach().cpu()
    if image.is_floating_point():
        if not (image.min() >= 0 and image.max() <= 1):
            raise ImageError(
                f"a float image from {image.min():.3g} to {image.max():.3g}: give 0 to 1, not yet normalised; "
                "the embedder normalises."
            )
        image = (image * 255).round()
    elif image.dtype != torch.uint8:
        raise ImageError(f"a tensor of type {image.dtype} is no image: give uint8, or float from 0 to 1.")
    return np.ascontiguousarray(image.to(torch.uint8).permute(1, 2, 0).numpy())


@dataclass(frozen=True)
class Numbering:
    """One number a person and one a camera over all domains, the same in query and gallery.

    With one domain the data set's own numbers stay. With several, person and camera numbers of different domains coincide
    without meaning the same, so they are counted anew in sorted order; junk (-1) and distractors (0) stay what they are.
    """

    pids: Mapping[tuple[str, int], int]
    camids: Mapping[tuple[str, int], int]
    domains: tuple[str, ...]

    @classmethod
    def of(cls, *splits: Split) -> Numbering:
        """The numbers for all records of `splits`."""
        cameras = sorted({camera for split in splits for camera in split.cameras})
        people = sorted({identity for split in splits for identity in split.identities})
        domains = tuple(sorted({domain for domain, _ in cameras}))
        if len(domains) < 2:
            return cls({person: person[1] for person in people}, {camera: camera[1] for camera in cameras}, domains)
        counted = iter(range(1, len(people) + 1))
        pids = {person: person[1] if person[1] <= 0 else next(counted) for person in people}
        return cls(pids, {camera: number for number, camera in enumerate(cameras)}, domains)


def embed(
    embedder: Embedder,
    split: Split,
    *,
    root: str | os.PathLike[str] | None = None,
    numbering: Numbering | None = None,
    meta: Mapping[str, Any] | None = None,
    max_batches: int | None = None,
) -> Embeddings:
    """Embed a split, with the columns that evaluation and search need.

    Args:
        embedder: who embeds.
        split: what is embedded.
        root: names are paths below this folder; None keeps the paths as they are.
        numbering: from all splits that are compared with each other; needed as soon as there are several domains.
        meta: facts about the data (``data``, ``subset``, ``notes``); facts about the model are added.
        max_batches: stop after so many batches (a dry evaluation).

    Returns:
        N rows in the order of the split, vectors (N, D) float32.

    Raises:
        UsageError: several domains without `numbering`, or a record outside `root`.
        ImageError: an image cannot be decoded.
    """
    if max_batches is not None:
        split = split[: max_batches * embedder.batch_size]
    if numbering is None:
        numbering = Numbering.of(split)
        if len(numbering.domains) > 1:
            raise UsageError(
                f"the images come from {len(numbering.domains)} domains: pass numbering=Numbering.of(query, gallery), "
                "so that people and cameras get the same numbers in all sets."
            )
    names = np.array([_name(record.path, root) for record in split], dtype=str)
    pids = np.array([numbering.pids[record.domain, record.pid] for record in split], dtype=np.int64)
    camids = np.array([numbering.camids[record.camera] for record in split], dtype=np.int64)
    vectors = np.empty((len(split), embedder.dim), dtype=np.float32)
    done = 0
    with meter("embedding", len(split)) as shown:
        for block in embedder.stream(record.path for record in split):
            vectors[done : done + len(block)] = block
            done += len(block)
            shown.advance(len(block))
    return Embeddings(vectors, pids, camids, names, {**_facts(embedder, meta or {}), "domains": list(numbering.domains)})


def _facts(embedder: Embedder, meta: Mapping[str, Any]) -> dict[str, Any]:
    """What stays with the vectors: facts about the model and about the data, and the notes of both."""
    how = {"precision": embedder.precision, "rule": {**asdict(embedder.rule), "scales": list(embedder.rule.scales)}}
    notes = list(dict.fromkeys([*embedder.facts.get("notes", ()), *meta.get("notes", ())]))
    return {**embedder.facts, **how, **meta, "notes": notes}


def _name(path: Path, root: str | os.PathLike[str] | None) -> str:
    if root is None:
        return path.as_posix()
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        raise UsageError(f"{path} is not below {root}: names are paths below the data set's folder.") from None


def bf16_is_fast(device: torch.device | str = "cpu") -> bool:
    """Whether the device computes in bfloat16 natively: AVX-512 BF16 or AMX on a CPU, compute capability 8 on CUDA."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    capable = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)
    return device.type == "cpu" and any(check() for check in capable)

"""A network that embeds: pictures are decoded and made its input in threads, and it sees them batch by batch."""

from __future__ import annotations

import copy
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import islice, repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.embedder.pictures import ImageLike, each, picture, resized
from passerby.embedder.rule import EmbeddingRule
from passerby.errors import UsageError, listing, nearest
from passerby.models.norms.camera import blended, fed
from passerby.models.norms.replacing import camera_norms
from passerby.models.norms.statistics import CameraStatistics
from passerby.models.outputs import Outputs
from passerby.training.distributed import resolve_device
from passerby.training.precision import PRECISIONS
from passerby.transforms import Preprocess, normalise

__all__ = ["WHOLE_SET", "Embedder", "bf16_is_fast"]

WHOLE_SET = "*"
"""Name, among the cameras of `CameraStatistics`, of the statistics of all images together, for cameras that have none."""

_DEFAULT_RULE = EmbeddingRule()
_SLICE = 8  # images a task of a decoding thread: few enough to share out and to stay in the cache, enough to be quick together
_SIZE_ERRORS = (RuntimeError, AssertionError, ValueError)  # what networks raise on a size that they are not made for


class Embedder:
    """A network that turns images into vectors.

    Args:
        model: the network; it is moved to `device`, and put into evaluation mode whenever it embeds. It may be a model in
            training: neither its weights nor their layout are touched.
        preprocess: what its input stage expects.
        rule: how outputs become vectors.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: of the forward pass, ``fp32``, ``bf16`` or ``fp16``; sums and normalisation are always fp32. Vectors of
            different precisions do not mix: between fp32 and bf16 the median cosine of one image was 0.988 (MobileNetV2, ImageNet
            weights, 1,374 crops of TUD), and one query in eight found another first image, though mAP differed by 0.06 points.
        batch_size: images a forward pass.
        workers: threads that decode, 0: none beside the calling one; None takes as many as torch computes with on a CPU, else one
            a core, at most 16.
        facts: what is known of the model, for `Embeddings.meta`; `artefact.load` gives the whole file.
        cameras: statistics of the cameras whose images will come, for a network with camera-wise batch norm.
        camera_agnostic: images of a camera without statistics, or of no named one, use those of the whole set (`WHOLE_SET`)
            instead of being refused.
        without_statistics: use a network that was trained by camera with its running buffers, a blend over all training
            cameras. It costs 10 points and more; otherwise it is refused.

    Raises:
        UsageError: an unknown precision, a device that is not there, a number out of range, a scale whose size the network
            does not take, camera statistics for a network that cannot use them, or no statistics of the whole set.
        ArtefactError: camera statistics of another network.

    Example::

        embedder = passerby.load("runs/market/artefact")
        vectors = embedder(["a.jpg", "b.jpg"])   # (2, D) float32, unit rows
        vectors = embedder(["a.jpg", "b.jpg"], camera="lobby")   # with camera statistics; one name, or one an image
    """

    def __init__(
        self,
        model: nn.Module,
        preprocess: Preprocess,
        rule: EmbeddingRule = _DEFAULT_RULE,
        *,
        device: torch.device | str = "cpu",
        precision: str = "fp32",
        batch_size: int = 64,
        workers: int | None = None,
        facts: Mapping[str, Any] | None = None,
        cameras: CameraStatistics | None = None,
        camera_agnostic: bool = False,
        without_statistics: bool = False,
    ) -> None:
        if precision not in PRECISIONS:
            raise UsageError(f'no precision "{precision}". {nearest(precision, PRECISIONS)}')
        if batch_size < 1 or (workers is not None and workers < 0):
            raise UsageError(f"batch_size is {batch_size} and workers is {workers}: batch_size is 1 or more, workers 0 or more.")
        self.device, self.precision, self.preprocess, self.rule = resolve_device(device), precision, preprocess, rule
        self.batch_size = batch_size
        on_cpu = self.device.type == "cpu"
        usual = torch.get_num_threads() if on_cpu else min(16, os.cpu_count() or 1)
        self.workers = usual if workers is None else workers
        # On a CPU decoding and the network take turns: each of the network's operations waits for its slowest thread, so that one
        # decoding thread beside it would cost the time of all cores. A GPU works while the next batches are decoded.
        self._ready = 1 if on_cpu else 3
        self.facts = dict(facts or {})
        self.model = model.to(self.device)
        self._takes_pixels = bool(getattr(model, "takes_pixels", False))  # an exported network with its own normalisation
        if self._takes_pixels and rule.compound:
            raise UsageError(
                "compound scales resize normalised images, and this network normalises inside: leave compound off, or export it "
                "with inputs normalised."
            )
        self.cameras, self.camera_agnostic, self.without_statistics = cameras, camera_agnostic, without_statistics
        self._settle_cameras()
        self._settle_scales()

    @property
    def computes_in(self) -> str:
        """Precision of the vectors: that of the forward pass, or what an exported network was made in (``int8`` too)."""
        return getattr(self.model, "precision", self.precision)

    @property
    def dim(self) -> int:
        """D, the length of a vector."""
        return int(self.model.embedding_dim if self.rule.kind == "embedding" else self.model.feature_dim)  # pyright: ignore

    def with_cameras(
        self, cameras: CameraStatistics | None, *, camera_agnostic: bool | None = None, facts: Mapping[str, Any] | None = None
    ) -> Embedder:
        """The same network with other camera statistics; this embedder stays as it is.

        Args:
            cameras: see `Embedder`.
            camera_agnostic: see `Embedder`; None keeps it.
            facts: added to those of this embedder.

        Raises:
            PasserbyError: see `Embedder`.
        """
        other = copy.copy(self)
        other.cameras, other.facts = cameras, {**self.facts, **(facts or {})}
        other.camera_agnostic = self.camera_agnostic if camera_agnostic is None else camera_agnostic
        other._settle_cameras()
        return other

    def for_any_camera(self) -> Embedder:
        """For pictures of no camera in particular: with the statistics of the whole set, where there are some."""
        if self.cameras is None or WHOLE_SET not in self.cameras.cameras:
            return self
        return self.with_cameras(self.cameras, camera_agnostic=True)

    def _settle_cameras(self) -> None:
        if self.cameras is not None:
            norms = camera_norms(self.model)
            if not norms:
                raise UsageError(
                    "camera statistics are given, but the norms of the network cannot take them: make them camera-wise first "
                    "with camera_wise(embedder)."
                )
            self.cameras.check(norms)
            self.cameras = self.cameras.to(self.device)
        if self.camera_agnostic and (self.cameras is None or WHOLE_SET not in self.cameras.cameras):
            raise UsageError(
                "camera-agnostic use needs the statistics of a whole set of images, and there are none. "
                "Make them: passerby adapt MODEL --images DIR --camera-agnostic"
            )

    def _rows(self, cameras: Sequence[str | None]) -> Tensor | None:
        """The rows of the statistics for a batch; None for a network that takes none."""
        named = [camera for camera in cameras if camera is not None]
        if self.cameras is None:
            if named:
                raise UsageError(
                    f'camera "{named[0]}" is named, but this model has no camera statistics. '
                    f"Make them: passerby adapt MODEL --camera {named[0]} --images DIR"
                )
            return None
        if self.camera_agnostic:
            known = set(self.cameras.cameras)
            cameras = [camera if camera in known else WHOLE_SET for camera in cameras]
        elif len(named) < len(cameras):
            raise UsageError(
                f"this model has statistics of single cameras: say whose images these are with camera=NAME, one of "
                f"{listing(self.cameras.cameras, 12)}; or take those of the whole set with camera_agnostic."
            )
        return self.cameras.rows(camera for camera in cameras if camera is not None)

    def _settle_scales(self) -> None:
        size, rule = self.preprocess.size, self.rule
        sizes = [size] if rule.compound else [_scaled(size, scale) for scale in rule.scales]
        if rule.scales != (1.0,):
            self._try_scales()
        self._sizes = [replace(self.preprocess, size=size) for size in sizes]

    def _try_scales(self) -> None:
        """Transformers take one size only; better to know before thousands of images are decoded."""
        self.model.eval()
        for scale in self.rule.scales:
            size = _scaled(self.preprocess.size, scale)
            try:
                with torch.inference_mode(), blended():
                    self.model(torch.zeros(1, 3, *size, device=self.device, dtype=torch.uint8 if self._takes_pixels else None))
            except _SIZE_ERRORS as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
                raise UsageError(
                    f"scale {scale:g} gives {size[0]}x{size[1]} px, which this network does not take ({reason}): "
                    "use scale 1 only."
                ) from error

    def __call__(
        self,
        images: ImageLike | Sequence[ImageLike] | Iterable[ImageLike],
        camera: str | Iterable[str] | None = None,
    ) -> np.ndarray:
        """Embed one image or many.

        Args:
            images: one image or any number of them, mixed at will; see `ImageLike`. A (B, 3, H, W) tensor and a (B, H, W, 3)
                array are B images.
            camera: for a model with camera statistics: the camera of all images, or one name an image.

        Returns:
            (N, D) float32 on the CPU; unit rows unless the rule says otherwise. One image gives (1, D).

        Raises:
            ImageError: an image cannot be decoded, or has a shape, type or range that no image has.
            UsageError: a camera without statistics, no camera where one is needed, or fewer cameras than images.
        """
        blocks = list(self.stream(self._each(images), camera))
        return np.concatenate(blocks) if blocks else np.zeros((0, self.dim), dtype=np.float32)

    def _each(self, images: Any) -> Iterator[ImageLike]:
        return each(images)

    def stream(self, images: Iterable[ImageLike], camera: str | Iterable[str] | None = None) -> Iterator[np.ndarray]:
        """Embed images one batch after the other: yields (up to `batch_size`, D) float32 arrays in order."""
        names: Iterator[str | None] = repeat(camera) if camera is None or isinstance(camera, str) else iter(camera)
        source = iter(images)
        for scales in self.decoded(iter(lambda: list(islice(source, self.batch_size)), [])):
            count = len(scales[0])
            whose = list(islice(names, count))
            if len(whose) < count:
                raise UsageError("fewer cameras than images: give one name for all images, or one an image.")
            yield self.forward(scales, self._rows(whose))

    def decoded(self, batches: Iterable[Sequence[ImageLike]]) -> Iterator[list[Tensor]]:
        """Decode batches ahead, in threads: yields what `forward` takes, one batch after the other."""
        self.model.eval()
        with ThreadPoolExecutor(self.workers, thread_name_prefix="decode") if self.workers else _InPlace() as pool:
            source = iter(batches)
            waiting: deque[tuple[list[Tensor], list[Future[None]]]] = deque()
            try:
                while True:
                    for batch in islice(source, self._ready - len(waiting)):
                        waiting.append(self._handed_out(batch, pool))
                    if not waiting:
                        return
                    scales, tasks = waiting.popleft()
                    for task in tasks:
                        task.result()
                    yield scales
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _handed_out(self, batch: Sequence[ImageLike], pool: Executor) -> tuple[list[Tensor], list[Future[None]]]:
        """Room for one batch, a tensor a scale, and the tasks that fill it."""
        # On a CPU the threads normalise too, a few images at a time: the intermediate results of a whole batch are so large that
        # the system would hand out and take back their pages in every batch. A GPU gets the uint8, a quarter of the bytes.
        dtype = torch.float32 if self.device.type == "cpu" and not self._takes_pixels else torch.uint8
        scales = [torch.empty(len(batch), *own.size, 3, dtype=dtype).permute(0, 3, 1, 2) for own in self._sizes]
        starts = range(0, len(batch), _SLICE)
        return scales, [pool.submit(self._fill, batch[start : start + _SLICE], scales, start) for start in starts]

    def _fill(self, images: Sequence[ImageLike], scales: Sequence[Tensor], start: int) -> None:
        pictures = [picture(image) for image in images]
        for room, own in zip(scales, self._sizes, strict=True):
            pixels = resized(pictures, own)
            room[start : start + len(images)] = normalise(pixels, own) if room.is_floating_point() else pixels

    @torch.inference_mode()
    def forward(self, scales: Sequence[Tensor], rows: Tensor | None = None) -> np.ndarray:
        """Embed one batch that is already decoded.

        Args:
            scales: (B, 3, h, w), one tensor a scale of the rule (one only with ``compound``); uint8, or normalised float32.
            rows: (B,) rows of the camera statistics; None for a network without.

        Returns:
            (B, D) float32.
        """
        with self._statistics(rows):
            return self._normalised(self._summed(scales)).cpu().numpy()

    def _statistics(self, rows: Tensor | None) -> AbstractContextManager[None]:
        if rows is not None and self.cameras is not None:
            return fed(self.cameras, rows)
        return blended() if self.without_statistics else nullcontext()

    def _summed(self, scales: Sequence[Tensor]) -> Tensor:
        total: Tensor | None = None
        for outputs in self._outputs(scales, self.rule.flip):
            vectors = getattr(outputs, self.rule.kind).float()
            total = vectors if total is None else total + vectors
        assert total is not None
        return total

    def _outputs(self, scales: Sequence[Tensor], flip: bool) -> Iterator[Outputs]:
        for inputs in self._inputs(scales):
            for view in self._views(inputs, flip):
                with torch.autocast(self.device.type, dtype=PRECISIONS[self.precision], enabled=self.precision != "fp32"):
                    yield self.model(view)

    def _views(self, inputs: Tensor, flip: bool) -> Iterator[Tensor]:
        for view in (inputs, inputs.flip(-1)) if flip else (inputs,):
            yield view.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def pass_through(self, scales: Sequence[Tensor], *, flip: bool) -> int:
        """Let the network see one decoded batch, and then its mirror images, for what its norms observe.

        Args:
            scales: see `forward`.
            flip: whether the mirror images pass too.

        Returns:
            The number of forward passes.
        """
        return sum(1 for _ in self._outputs(scales, flip))

    def _inputs(self, scales: Sequence[Tensor]) -> Iterator[Tensor]:
        if not self.rule.compound:
            for scale in scales:
                yield self._floats(scale)
            return
        inputs = self._floats(scales[0])
        for scale in self.rule.scales:
            if scale != 1:
                inputs = F.interpolate(inputs, scale_factor=math.sqrt(scale), mode="bicubic", align_corners=False)
            yield inputs

    def _floats(self, batch: Tensor) -> Tensor:
        batch = batch.to(self.device, non_blocking=True)
        return batch if batch.is_floating_point() or self._takes_pixels else normalise(batch, self.preprocess)

    def _normalised(self, total: Tensor) -> Tensor:
        if not self.rule.normalise:
            return total
        own = getattr(self.model, "normalise_embedding", None)
        return own(total) if own is not None and self.rule.kind == "embedding" else F.normalize(total)


class _InPlace(Executor):
    """Does each task at once, in the thread that hands it out."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **named))
        return done


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    factor = math.sqrt(scale)
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))


def bf16_is_fast(device: torch.device | str = "cpu") -> bool:
    """Whether the device computes in bfloat16 natively: AVX-512 BF16 or AMX on a CPU, compute capability 8 on CUDA."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    capable = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)
    return device.type == "cpu" and any(check() for check in capable)

"""Camera-based batch normalization: every camera's images are normalised with that camera's own statistics, at every layer.

Source: Zhuang et al., Rethinking the Distribution Gap of Person Re-identification with Camera-based Batch Normalization,
ECCV 2020.

1. A batch of P people x K images holds several cameras. Each camera's images have their own mean and variance in every batch
   norm; gamma and beta are shared. An image that is alone of its camera in the batch has no statistics: it is left out and
   counted (`left_out` in the log).
2. The loss is the cross-entropy over the images that stay, one step a batch. The neck is a BNNeck whose bias stays 0.
3. At test the statistics of each camera come from unlabelled images of it, before anything is embedded: the running averages of
   the training are a blend over its cameras, and are never used.
4. What is searched is the neck's output, summed over the image and its mirror image, and normalised.

Options: the bag of tricks with its triplet loss (`triplet`, `label_smoothing`, `random_erasing`, `warmup_epochs`); identities
that are known within a camera only (`supervision`; the paper describes it, its code does not hold it, so this is made from the
description); training on further data sets one after the other (`then`; likewise); plain batch norm in the same recipe (`norm`).

Differs from the paper: one grouped forward pass instead of one a camera, which is the same to rounding; people are drawn by
`IdentitySampler`; under several processes a camera's images are brought together in one process, so that the result is that of
one process (the published code sends cameras to GPUs in turn).

The data must have: camera ids, two cameras or more, two images or more of each camera.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from passerby import models
from passerby.artefact import read_artefact
from passerby.batches import Batch, TrainLoader, labels_of
from passerby.configs import check_in_use, check_ranges, plain
from passerby.datasets import detect, read
from passerby.embedder.camera_statistics import Estimation
from passerby.errors import DataError, TrainingError, UsageError, listing
from passerby.files import write_json
from passerby.losses import cross_entropy, make_losses
from passerby.metrics import MARKET1501, Convention
from passerby.models import ModelConfig, ReidModel
from passerby.models.norms.camera import normalised_by_camera
from passerby.models.weights import load_start_weights
from passerby.records import ReidData, Split
from passerby.running import fingerprint, fit_to_train, logged_evaluation, save_run, write_settings
from passerby.samplers import IdentitySampler, Sampler, identities_per_batch
from passerby.training import (
    Clock,
    LrSchedule,
    MultiStep,
    Precision,
    Saving,
    Schedule,
    WarmUp,
    World,
    check_ownership,
    distribute,
    fit,
    gather,
    make_optimizer,
    parameter_groups,
    processes,
    world,
)
from passerby.transforms import Preprocess, TrainTransforms, normalise
from passerby.validation import RetrievalEvaluation, predicted

__all__ = ["CameraShares", "CameraStep", "Config", "build_model", "train"]


FEW_OF_A_CAMERA = 10
"""Images of a camera in a batch below which the recipe says so: on Street-v1 four lose, eleven gain."""


@dataclass(frozen=True)
class Config:
    """Options of the recipe. Defaults are the published ones unless said otherwise."""

    # -- network
    backbone: str = "resnet50"
    """name of the backbone, with batch norms: resnet50, mobilenet_v2, osnet_x0_25, densenet121 ..., or any timm name"""
    weights: str = "auto"
    """start weights of the backbone: a file (timm, torchvision, torchreid or layumi layout), `scratch`, or `auto`: those of an
    installed package where there are any, else an error that says how to get them"""
    norm: Literal["camera", "batch"] = "camera"
    """camera: statistics by camera; batch: plain batch norm in the same recipe, to compare with"""
    last_stride: Literal[1, 2] = 1
    """stride of the backbone's last stage"""

    # -- images
    height: int = 256
    """input height in px"""
    width: int = 128
    """input width in px"""
    interpolation: Literal["bicubic", "bilinear"] = "bilinear"
    """resize filter, in training and wherever the model is used"""
    flip: float = 0.5
    """probability of mirroring"""
    pad_px: int = 10
    """padding with black on each side before the random crop, in px; 0: no crop"""
    random_erasing: float = 0.0
    """probability of erasing a rectangle (bag of tricks 0.5)"""

    # -- batches
    batch_size: int = 64
    """images a step, over all processes"""
    images_per_identity: int = 4
    """K of the P x K sampler; P is batch size / K"""
    supervision: Literal["full", "intra-camera"] = "full"
    """intra-camera: identities count within a camera only, so every (person, camera) is a class of its own"""

    # -- losses
    label_smoothing: float = 0.0
    """epsilon of the cross-entropy, 0 to 1 (bag of tricks 0.1)"""
    triplet: float = 0.0
    """weight of the batch-hard triplet loss before the neck, over the images that stay (bag of tricks 1)"""

    # -- optimizer
    optimizer: Literal["sgd", "adam"] = "sgd"
    """who updates the weights"""
    lr: float = 0.01
    """learning rate of all layers, for `batch_size` images a step"""
    momentum: float = 0.9
    """momentum of SGD"""
    weight_decay: float = 5e-4
    """L2 decay of all parameters"""
    epochs: int = 60
    """passes over the training images, on each data set"""
    decay_epoch: int | None = None
    """epoch from which on the rate is a tenth; None: after two thirds (published 40 of 60)"""
    warmup_epochs: float = 0.0
    """epochs in which the rate rises from a tenth (bag of tricks 10)"""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """of the forward pass; statistics and losses are always in fp32"""

    # -- one data set after the other
    then: tuple[Path, ...] = ()
    """folders of data sets to go on with, one after the other, without the images of those before; the run reports the scores on
    each before and after"""

    # -- test-time statistics, for the logged evaluation
    statistics_batches: int = 50
    """batches of images for the statistics of each camera, at most; the paper finds 10 enough"""

    # -- run
    seed: int = 0
    """of the start weights, the order of the images and the augmentation"""
    evaluate_every: int = 0
    """epochs between two evaluations on query and gallery, for the log only; 0: at the end only"""
    save_every_steps: int = 0
    """steps between two checkpoints within an epoch; 0: one at the end of each epoch"""
    keep_every: int = 0
    """epochs between two checkpoints that stay; 0: only the newest stays"""

    def __post_init__(self) -> None:
        check_ranges(self, _RANGES)
        if self.lr <= 0:
            raise UsageError(f"lr is {self.lr}: it must be above 0.")
        check_in_use(self, _ONLY_WITH)


_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, math.inf), "batch_size": (4, math.inf), "images_per_identity": (2, math.inf), "lr": (0, math.inf),
    "weight_decay": (0, math.inf), "momentum": (0, 1), "label_smoothing": (0, 1), "triplet": (0, math.inf),
    "decay_epoch": (1, math.inf), "warmup_epochs": (0, math.inf), "statistics_batches": (1, math.inf), "seed": (0, math.inf),
    "evaluate_every": (0, math.inf), "save_every_steps": (0, math.inf), "keep_every": (0, math.inf),
}  # fmt: skip

_ONLY_WITH: dict[str, tuple[str, Callable[[Config], bool]]] = {
    "momentum": ("optimizer sgd", lambda config: config.optimizer == "sgd"),
    "statistics_batches": ("norm camera", lambda config: config.norm == "camera"),
}


def model_config(config: Config) -> ModelConfig:
    """What makes the network; the artefact keeps it."""
    return ModelConfig(
        backbone=config.backbone,
        image_size=(config.height, config.width),
        last_stride=config.last_stride,
        head="bnneck",
        norm=config.norm,
    )


def preprocess(config: Config) -> Preprocess:
    """What the network's input expects, in training and wherever the model is used."""
    return Preprocess(size=(config.height, config.width), interpolation=config.interpolation)


def augmentation(config: Config) -> TrainTransforms:
    """The augmentation of training images."""
    return TrainTransforms(preprocess(config), flip=config.flip, pad_px=config.pad_px, random_erasing=config.random_erasing)


def build_model(config: Config, num_classes: int, start: Path | None = None) -> ReidModel:
    """The network with its start weights.

    Args:
        config: options.
        num_classes: training classes.
        start: artefact of this recipe to go on from; None starts as `config.weights` says.

    Raises:
        UsageError: a backbone without batch norm, an unknown one, or options that do not fit it.
        ArtefactError: start weights that are absent, damaged, or belong to another network.
    """
    torch.manual_seed(config.seed)
    model = models.build_model(model_config(config), num_classes)
    if start is not None:
        model.load_state_dict(read_artefact(start)[1], strict=False)  # all but the classifier, which is of other people
        return model
    report = load_start_weights(model.backbone, config.backbone, config.weights)
    if report is not None and world().first:
        print(report, file=sys.stderr)
    return model


class CameraShares:
    """Deals the images of each global batch to the processes by camera, so that no camera stands in two of them.

    Images that are alone of their camera are left out. Cameras go to the process that has the fewest images so far, the largest
    camera first; shares are of unequal length, and `CameraStep` weighs them by it.

    Args:
        batches: global batches (of one process).
        cameras: (N,) camera number of every position.
        rank: number of this process, from 0.
        size: number of processes.
    """

    def __init__(self, batches: Sampler, cameras: np.ndarray, rank: int = 0, size: int = 1) -> None:
        self.batches, self.cameras, self.rank, self.size = batches, cameras, rank, size

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, number: int) -> list[list[int]]:
        """This process's batches of the 0-based epoch `number`.

        Raises:
            TrainingError: a batch in which a process would have no camera.
        """
        return [self._share(batch, number, i) for i, batch in enumerate(self.batches.epoch(number))]

    def _share(self, batch: Sequence[int], epoch: int, step: int) -> list[int]:
        numbers = self.cameras[np.asarray(batch)]
        found, counts = np.unique(numbers, return_counts=True)
        usable = [(-int(count), int(camera)) for camera, count in zip(found, counts, strict=True) if count > 1]
        if len(usable) < self.size:
            raise TrainingError(
                f"batch {step} of epoch {epoch} shows {len(usable)} cameras with two or more images, {self.size} "
                f"process{'' if self.size == 1 else 'es'} need{'s' if self.size == 1 else ''} one each: raise batch_size, or "
                "start fewer processes."
            )
        loads = [0] * self.size
        mine: list[int] = []
        for count, camera in sorted(usable):
            owner = loads.index(min(loads))
            loads[owner] -= count
            if owner == self.rank:
                mine.append(camera)
        return [position for camera in sorted(mine) for position, own in zip(batch, numbers, strict=True) if own == camera]


class CameraStep:
    """Forward, losses, backward, update: one step of the recipe. `state` is all that a checkpoint must hold.

    Args:
        config: options.
        model: the network, on its device.
        num_classes: training classes.
        cameras: (N,) camera number of every position of the training split, different for cameras of different domains.
        device: where everything runs.
    """

    def __init__(self, config: Config, model: ReidModel, num_classes: int, cameras: np.ndarray, device: torch.device) -> None:
        self.config, self.model, self.input = config, model, preprocess(config)
        self.cameras = torch.from_numpy(cameras).to(device)
        self.clock, self.parallel = Clock(), distribute(model)
        terms = [f"triplet-hard:{config.triplet}"] if config.triplet else []
        self.losses = make_losses(terms, num_classes=num_classes, embedding_dim=model.embedding_dim)
        groups = parameter_groups(model, config.lr, backbone_factor=1.0, weight_decay=config.weight_decay)
        self.optimizer = make_optimizer(config.optimizer, groups, momentum=config.momentum, nesterov=False)
        self.ownership = check_ownership({"model": model}, {config.optimizer: self.optimizer})
        self.rates = LrSchedule(self.optimizer, learning_rate(config))
        self.precision = Precision(config.precision, device)
        self.state: dict[str, Any] = {"model": model, "optimizer": self.optimizer, "precision": self.precision}

    def __call__(self, batch: Batch) -> dict[str, float | Tensor]:
        """Train on one batch, in which no image is alone of its camera: `CameraShares` makes such."""
        lengths = _lengths(len(batch), batch.labels.device)
        images = normalise(batch.inputs, self.input)
        with self.precision.forward():
            outputs = self._forward(images, self.cameras[batch.indices])
        parts = {"ce": cross_entropy(outputs.logits, batch.labels, smoothing=self.config.label_smoothing)}
        # The processes' gradients are averaged: a mean over a share of M of all images counts M * processes / images.
        total = parts["ce"] * (len(batch) * len(lengths) / sum(lengths))
        if self.losses.terms:
            pairs = self.losses(_gathered(outputs.embedding, lengths), _gathered(batch.labels, lengths))
            parts |= pairs
            total = total + torch.stack(list(pairs.values())).sum()
        self.precision.update(total, self.optimizer)
        accuracy = (predicted(outputs.logits) == batch.labels).float().mean()
        found = {"loss": total.detach(), "accuracy": accuracy, **{name: part.detach() for name, part in parts.items()}}
        return found | {"left_out": float(self.config.batch_size - sum(lengths))}

    def _forward(self, images: Tensor, cameras: Tensor) -> models.Outputs:
        if self.config.norm == "batch":
            return self.parallel(images)
        with normalised_by_camera(cameras):
            return self.parallel(images)


def _lengths(own: int, device: torch.device) -> list[int]:
    """Images of each process's share."""
    return gather(torch.tensor([own], device=device)).tolist()


def _gathered(rows: Tensor, lengths: Sequence[int]) -> Tensor:
    """The rows of all processes, which may hold unequally many."""
    if len(lengths) == 1:
        return rows
    longest = max(lengths)
    padded = torch.cat([rows, rows[:1].expand(longest - len(rows), *rows.shape[1:])])
    everything = gather(padded)
    return torch.cat([everything[i * longest : i * longest + length] for i, length in enumerate(lengths)])


def learning_rate(config: Config) -> Schedule:
    """The factor of the learning rate by epoch."""
    schedule = MultiStep((config.decay_epoch or max(1, 2 * config.epochs // 3),))
    return WarmUp(config.warmup_epochs, then=schedule) if config.warmup_epochs else schedule


def estimation(config: Config) -> Estimation | None:
    """How the logged evaluation estimates statistics; None for plain batch norm."""
    return Estimation(batches=config.statistics_batches, seed=config.seed) if config.norm == "camera" else None


def check_cameras(data: ReidData) -> None:
    """Refuse training images that camera-wise statistics cannot be made of.

    Raises:
        DataError: one camera only, or a camera with a single image.
    """
    cameras = data.train.cameras
    if len(cameras) < 2:
        raise DataError(
            f"{data.name}: the {len(data.train)} training images are all of one camera, or their camera ids are missing: there "
            "is nothing to align. Try: passerby data check PATH; or train with --norm batch."
        )
    counts = np.bincount(data.train.camera_numbers)
    alone = [f"{camid} of {domain}" for (domain, camid), count in zip(cameras, counts, strict=True) if count < 2]
    if alone:
        raise DataError(f"{data.name}: one training image only of camera {listing(alone)}: it has no statistics. Leave it out.")


def intra_camera(split: Split) -> Split:
    """The same images with a person number of their own for each (person, camera)."""
    classes = sorted({(record.domain, record.pid, record.camid) for record in split})
    numbers = {each: number for number, each in enumerate(classes, start=1)}
    records = (replace(record, pid=numbers[record.domain, record.pid, record.camid]) for record in split)
    return Split(tuple(records))


def make_loader(config: Config, train: Split, cameras: np.ndarray, here: World, workers: int) -> TrainLoader:
    """Augmented training batches of this process.

    Raises:
        UsageError: the batch does not divide, or there are too few people.
        TrainingError: somewhere in the run a process would have no camera.
    """
    labels = train.label_map()
    classes = labels_of(train, labels).numpy()
    by_camera = config.norm == "camera"
    P = identities_per_batch(config.batch_size, config.images_per_identity, 1 if by_camera else here.size)
    place = (0, 1) if by_camera else (here.rank, here.size)
    sampler: Sampler = IdentitySampler(classes, P, config.images_per_identity, seed=config.seed, rank=place[0], world=place[1])
    if by_camera:
        sampler = CameraShares(sampler, cameras, here.rank, here.size)
        for number in range(config.epochs):  # better to know before the first step than after hours
            sampler.epoch(number)
    return TrainLoader(train, labels, augmentation(config), sampler, seed=config.seed, workers=workers)


def thin_cameras(config: Config, cameras: np.ndarray) -> str:
    """A line for a user whose batches hold few images of each camera; empty where they hold enough, or the norms are plain.

    Args:
        config: options.
        cameras: (N,) camera of each training image.
    """
    count = len(np.unique(cameras))
    if config.norm != "camera" or config.batch_size >= FEW_OF_A_CAMERA * count:
        return ""
    enough = -(-FEW_OF_A_CAMERA * count // config.images_per_identity) * config.images_per_identity
    return (
        f"batch size {config.batch_size} over {count} cameras: about {config.batch_size / count:.1f} images of each normalise "
        f"every layer, and below {FEW_OF_A_CAMERA} a model may lose more than it gains (docs/recipes/camera_bn.md). "
        f"--batch-size {enough} holds enough."
    )


def train(
    config: Config,
    data: ReidData,
    run_dir: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    workers: int = 2,
    convention: Convention = MARKET1501,
) -> Path:
    """Train, log, and write the artefact.

    Args:
        config: options.
        data: training images, and query and gallery for the log.
        run_dir: folder of the run: config.yaml, checkpoints/, history.jsonl, tensorboard/, artefact/; with `Config.then` a folder
            ``stage-N`` for each data set, and incremental.json.
        resume: go on where the run in `run_dir` stopped.
        device: ``auto``, ``cpu``, ``cuda``.
        workers: processes that decode.
        convention: of the logged evaluation.

    Returns:
        The artefact folder.

    Raises:
        PasserbyError: see `check_cameras`, `build_model`, `make_loader` and `fit`.
    """
    stages = [fit_to_train(each) for each in (data, *(read(detect(folder), folder) for folder in config.then))]
    if config.norm == "camera":
        for each in stages:
            check_cameras(each)
    with processes(device) as here:
        run = _Run(config, here, workers, resume, convention)
        if len(stages) == 1:
            return run.stage(stages[0], Path(run_dir), None)
        return run.incremental(stages, Path(run_dir))


@dataclass(frozen=True)
class _Run:
    config: Config
    here: World
    workers: int
    resume: bool
    convention: Convention

    def stage(self, data: ReidData, run_dir: Path, start: Path | None) -> Path:
        """Train on one data set."""
        config, here = self.config, self.here
        chosen = intra_camera(data.train) if config.supervision == "intra-camera" else data.train
        labels, people, cameras = chosen.label_map(), data.train.label_map(), data.train.camera_numbers
        if here.first and (thin := thin_cameras(config, cameras)):
            print(thin, file=sys.stderr)
        loader = make_loader(config, chosen, cameras, here, self.workers)
        model = build_model(config, len(labels), start).to(here.device, memory_format=torch.channels_last)  # pyright: ignore
        torch.manual_seed(config.seed + here.rank)

        def written_at_start(epoch: int) -> None:
            if epoch == 0 and here.first:
                write_settings(run_dir, data, config, people, stage_before=start)

        step = CameraStep(config, model, len(labels), cameras, here.device)
        fit(
            step, loader, epochs=config.epochs, run_dir=run_dir, state=step.state, schedules=[step.rates], clock=step.clock,
            evaluate=logged_evaluation(
                lambda: model, data, step.input, convention=self.convention, device=here.device, batch_size=config.batch_size,
                cameras=estimation(config),
            ),
            evaluate_every=config.evaluate_every or config.epochs, before_epoch=written_at_start, resume=self.resume,
            device=here.device,
            saving=Saving(every_steps=config.save_every_steps or None, keep_every=config.keep_every or None),
            config={"recipe": "camera-bn", **plain(config), "training_images": fingerprint(chosen)},
            free_keys=("evaluate_every", "save_every_steps", "keep_every"), names=[str(record.path) for record in chosen],
        )  # fmt: skip
        if here.first:
            save_run(
                run_dir / "artefact", model, recipe="camera-bn", config=config, network=model_config(config),
                preprocess=step.input, data=data, labels=people, seed=config.seed, stage_before=start,
            )  # fmt: skip
        gather(torch.zeros(1, device=here.device))  # the others wait until the artefact is there
        del step
        return run_dir / "artefact"

    def incremental(self, stages: Sequence[ReidData], run_dir: Path) -> Path:
        """Train on one data set after the other, and write down what is forgotten."""
        found: list[dict[str, Any]] = []
        start: Path | None = None
        for number, data in enumerate(stages, start=1):
            start = self.stage(data, run_dir / f"stage-{number}", start)
            for learnt, measured in enumerate(stages[:number], start=1):
                scores = self._scores(start, measured)
                found.append({"after_stage": number, "on_stage": learnt, "on": measured.name, **scores})
        assert start is not None
        if self.here.first:
            write_json(run_dir / "incremental.json", found)
            print(_forgotten(found), file=sys.stderr)
            shutil.copytree(start, run_dir / "artefact", dirs_exist_ok=True)
        return run_dir / "artefact"

    def _scores(self, path: Path, data: ReidData) -> dict[str, float]:
        if not (len(data.query) and len(data.gallery)):
            return {}
        config = self.config
        model = models.build_model(model_config(config)).to(self.here.device, memory_format=torch.channels_last)  # pyright: ignore
        model.load_state_dict(read_artefact(path)[1])
        measure = RetrievalEvaluation(
            lambda: model, data, preprocess(config), convention=self.convention, device=self.here.device,
            batch_size=config.batch_size, cameras=estimation(config),
        )  # fmt: skip
        return measure()


def _forgotten(found: Sequence[dict[str, Any]]) -> str:
    """A line a data set: its mAP after its own stage and after each later one."""
    lines: dict[tuple[int, str], list[str]] = {}
    for row in found:
        if "map" in row:
            after = f"{row['map']:.2%} after stage {row['after_stage']}"
            lines.setdefault((row["on_stage"], row["on"]), []).append(after)
    return "\n".join(f"mAP on {name} (stage {number}): {', '.join(values)}" for (number, name), values in lines.items())

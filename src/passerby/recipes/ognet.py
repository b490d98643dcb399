"""OG-Net: people as clouds of coloured points, in networks of one to three million parameters.

Source: Zheng, Wang, Zheng and Yang, Parameter-Efficient Person Re-identification in the 3D Space (TNNLS 2022), and its code
layumi/person-reid-3d (MIT).

1. A person is a cloud: x, y, z and a colour for each of thousands of points, visible surface first, background behind it.
2. Half of the points enter: centred, mirrored, stretched along each axis by its own factor, shaken by a centimetre.
3. The network convolves over the graph of neighbours and reduces the points in four steps; see `models.ognet`.
4. The loss is the cross-entropy over the training people, plus a circle loss over the batch where it is asked for.
5. Adam (AMSGrad) under a cosine; from 90 % of the epochs on the weights are averaged, and the average's norms estimated anew.
6. At test the vectors of the cloud and of the cloud enlarged by 1.1 are summed and normalised.

`task="classify"` trains the same networks as classifiers of objects (ModelNet40) and measures them on held-out objects;
the artefact keeps the classifier.

Differs from the paper: random choices follow a seed, the code has none. Options beside the published forms: `warmup="lr"` warms
up the rate, which scaling the loss hardly does under Adam; `metric_before_dropout` lets the circle loss see the whole vector.

The data must have: clouds of equal numbers of points; several images a person for the circle loss to act.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from passerby.batches import Batch, TrainLoader, labels_of
from passerby.configs import check_in_use, check_ranges, plain
from passerby.embedder import EmbeddingRule
from passerby.errors import DataError, UsageError
from passerby.losses import circle, cross_entropy
from passerby.metrics import MARKET1501, Convention
from passerby.models.ognet import OGNetOptions
from passerby.models.point_models import PointModel, PointModelConfig, build_point_model
from passerby.points import CloudAugmentation, CloudPreprocess, EvalClouds, TrainClouds
from passerby.records import ReidData, Split
from passerby.running import fingerprint, fit_to_train, logged_evaluation, save_run, write_settings
from passerby.samplers import BalancedSampler, ClassSampler, IdentitySampler, Sampler, ShuffleSampler, identities_per_batch
from passerby.training import (
    Clock,
    Constant,
    Cosine,
    Evaluate,
    LossWarmUp,
    LrSchedule,
    MultiStep,
    Precision,
    Saving,
    Schedule,
    WarmUp,
    WeightAverage,
    check_ownership,
    distribute,
    fit,
    gather,
    make_optimizer,
    parameter_groups,
    processes,
    refresh_norms,
    world,
)
from passerby.validation import ClassificationEvaluation, predicted

__all__ = ["OBJECT_RULE", "RULE", "Config", "OGNetStep", "build_model", "train"]

RULE = EmbeddingRule(flip=False, scales=(1.0, 1.1))
"""The published test: f(xyz) + f(1.1 xyz)."""
OBJECT_RULE = EmbeddingRule(flip=False)
"""Of classifiers, which see a cloud once."""


@dataclass(frozen=True)
class Config:
    """Options of OG-Net. Defaults are those that the published runs share; presets set the rest."""

    task: Literal["reid", "classify"] = "reid"
    """reid: find people; classify: tell classes of objects apart (data set modelnet40)"""

    # -- network
    network: Literal["ognet", "dgcnn", "pointnet2-ssg", "pointnet2-msg"] = "ognet"
    """OG-Net, or a baseline that was published beside it"""
    inputs: Literal["rgb", "xyz", "xyzrgb"] = "rgb"
    """what is known of a point beside its place in the graph"""
    feature_dims: tuple[int, ...] = (64, 128, 256, 512)
    """width of each layer (Small: 48 96 192 384)"""
    k: int = 20
    """neighbours of a point, itself included"""
    num_conv: int = 1
    """edge convolutions a layer (Deep: 2)"""
    init_points: int = 768
    """points that the first reduction leaves"""
    stride: int = 2
    """the next reductions leave 1 / stride"""
    cluster: Literal["xyz", "xyzrgb", "allxyzrgb"] = "xyzrgb"
    """what neighbours are near in: place; place, and in the last layer the features too; place and features in all layers"""
    norm: Literal["bn", "bn2", "ln", "ibn", "ibn2"] = "bn2"
    """norm of the edges; with 2: before their aggregation"""
    mix: bool = True
    """aggregate edges by a learned mix of maximum and mean (the source calls it gem), not by the maximum alone"""
    gating: bool = False
    """context gating (cg)"""
    id_skip: Literal[0, 1, 2] = 0
    """residual connections: none, inside the reductions of points, round them (Deep: 2)"""
    res_scale: float = 1.0
    """weight of a layer beside its residual connection"""
    drop_connect: float = 0.0
    """probability of leaving a layer out in training, 0 to 1"""
    ball_gates: bool = True
    """squeeze-and-excitation gates in the balls of the reductions"""
    ball_xyz: bool = True
    """the balls see where in them a point is"""
    parts: int = 1
    """slices by height with vectors and classifiers of their own; 1: none"""
    linear_dim: int = 512
    """length of a vector"""
    dropout: float = 0.7
    """dropout before the classifier, 0 to 1"""

    # -- clouds
    slim: float = 0.5
    """share of a cloud's points that is used, in training and afterwards"""
    first: int = 0
    """only so many of a cloud's first points; 0: all (ModelNet40: 1024)"""
    surface: int = 0
    """the files are meshes: take so many points of their surface; 0: the files are clouds"""
    flat: bool = False
    """leave the depth out, in training and afterwards"""
    flip: float = 0.5
    """probability of mirroring"""
    random_slim: bool = True
    """half of the training clouds lose random points instead of evenly spaced ones"""
    scale: tuple[float, float] = (0.75, 1.33)
    """least and largest factor by which each axis is stretched on its own"""
    jitter: float = 0.01
    """deviation and limit of the noise of coordinates, in metres"""
    shift: float = 0.0
    """move each axis by up to so many metres"""
    rotate: bool = False
    """turn around the vertical axis by any angle"""
    erase: float = 0.0
    """largest share of consecutive points that become grey, 0 to 1; acts where the network sees colours"""
    shuffle: bool = False
    """put the points in random order"""

    # -- batches
    sampler: Literal["balanced", "class", "shuffle", "identity"] = "balanced"
    """balanced: every person with equal chances; class: passes with `per_class` images of each; identity: P x K"""
    per_class: int = 3
    """images of each person in a pass of the class sampler; with 1 the circle loss has no pair to learn from"""
    images_per_identity: int = 4
    """K of the identity sampler"""
    batch_size: int = 36
    """clouds a step, over all processes"""

    # -- losses
    label_smoothing: float = 0.0
    """share of the probability that is spread over the wrong classes, 0 to 1 (ModelNet40: 0.2)"""
    circle: bool = False
    """add the circle loss over the batch, divided by its size as published"""
    circle_gamma: float = 64.0
    """scale of the circle loss (published 32, 64 and 96)"""
    metric_before_dropout: bool = False
    """the circle loss sees the vector before the dropout (published: after it)"""

    # -- optimizer
    optimizer: Literal["adam", "sgd", "adamw"] = "adam"
    """who updates the weights"""
    amsgrad: bool = True
    """the AMSGrad variant of adam and adamw"""
    momentum: float = 0.9
    """momentum of SGD"""
    nesterov: bool = True
    """Nesterov's form of it"""
    lr: float = 1e-3
    """learning rate"""
    weight_decay: float = 5e-4
    """L2 decay of all parameters (CUHK03 1e-3)"""
    epochs: int = 1000
    """epochs of the sampler"""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """cosine: down to 1 %; step: x0.1 at 80 and 95 % of the epochs"""
    warmup_epochs: float = 10.0
    """length of the warm-up in epochs; 0: none"""
    warmup: Literal["loss", "lr"] = "loss"
    """what rises from 10 %: the loss, as published, or the learning rate"""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """of the forward pass; distances, norms of edges and losses are always in fp32"""
    max_grad_norm: float = 0.0
    """clip the norm of the gradients to this; 0: no clipping"""
    average: Literal["swa", "off"] = "swa"
    """swa: the plain average of the late epochs' weights, norms estimated anew; off: the last weights"""
    average_start: float = 0.9
    """share of the epochs after which averaging begins, 0 to 1"""

    # -- run
    seed: int = 0
    """of the start weights, the order of the clouds and their changes"""
    evaluate_every: int = 0
    """epochs between two evaluations, for the log only; 0: at the end only"""
    save_every_steps: int = 0
    """steps between two checkpoints within an epoch; 0: one at the end of each epoch"""
    keep_every: int = 0
    """epochs between two checkpoints that stay; 0: only the newest stays"""

    def __post_init__(self) -> None:
        check_ranges(self, _RANGES)
        if self.lr <= 0 or self.circle_gamma <= 0:
            raise UsageError(f"lr is {self.lr} and circle_gamma {self.circle_gamma}: both must be above 0.")
        check_in_use(self, _ONLY_WITH)
        if self.average == "swa" and math.ceil(self.average_start * self.epochs) >= self.epochs:
            raise UsageError(
                f"epochs is {self.epochs}: the average would begin after {self.average_start:.0%} of them, which leaves none. "
                "Take more epochs, a lower average_start, or average off."
            )
        for made in (model_config, preprocess, augmentation):
            made(self)  # what they refuse is refused now
        if self.network == "ognet":
            model_config(self).ognet.check_neighbours()


_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, math.inf), "batch_size": (2, math.inf), "per_class": (1, math.inf), "images_per_identity": (2, math.inf),
    "lr": (0, math.inf), "weight_decay": (0, math.inf), "momentum": (0, 1), "label_smoothing": (0, 1), "average_start": (0, 1),
    "warmup_epochs": (0, math.inf), "max_grad_norm": (0, math.inf), "seed": (0, math.inf), "evaluate_every": (0, math.inf),
    "save_every_steps": (0, math.inf), "keep_every": (0, math.inf),
}  # fmt: skip

_GRAPH = ("network ognet or dgcnn", lambda config: config.network in ("ognet", "dgcnn"))
_OGNET = ("network ognet", lambda config: config.network == "ognet")
_ONLY_WITH: dict[str, tuple[str, Callable[[Config], bool]]] = {
    **dict.fromkeys(("k", "norm", "mix"), _GRAPH),
    **dict.fromkeys(
        ("feature_dims", "num_conv", "init_points", "stride", "cluster", "gating", "id_skip", "ball_gates", "ball_xyz"), _OGNET
    ),
    "random_slim": ("slim below 1", lambda config: config.slim < 1),
    "erase": ("inputs rgb or xyzrgb", lambda config: config.inputs != "xyz"),
    "per_class": ("sampler class", lambda config: config.sampler == "class"),
    "images_per_identity": ("sampler identity", lambda config: config.sampler == "identity"),
    "circle_gamma": ("circle", lambda config: config.circle),
    "metric_before_dropout": ("circle", lambda config: config.circle),
    "momentum": ("optimizer sgd", lambda config: config.optimizer == "sgd"),
    "nesterov": ("optimizer sgd", lambda config: config.optimizer == "sgd"),
    "amsgrad": ("optimizer adam or adamw", lambda config: config.optimizer != "sgd"),
    "warmup": ("warmup_epochs above 0", lambda config: config.warmup_epochs > 0),
    "average_start": ("average swa", lambda config: config.average == "swa"),
}


def model_config(config: Config) -> PointModelConfig:
    """What makes the network; the artefact keeps it."""
    options = OGNetOptions(
        feature_dims=config.feature_dims, k=config.k, num_conv=config.num_conv, init_points=config.init_points,
        stride=config.stride, cluster=config.cluster, norm=config.norm, mix=config.mix, gating=config.gating,
        id_skip=config.id_skip, res_scale=config.res_scale, drop_connect=config.drop_connect, ball_gates=config.ball_gates,
        ball_xyz=config.ball_xyz,
    )  # fmt: skip
    return PointModelConfig(
        network=config.network, inputs=config.inputs, ognet=options, parts=config.parts, linear_dim=config.linear_dim,
        dropout=config.dropout, metric_before_dropout=config.metric_before_dropout,
    )  # fmt: skip


def preprocess(config: Config) -> CloudPreprocess:
    """What the network expects of a cloud, in training and wherever the model is used."""
    colours = config.inputs != "xyz"
    return CloudPreprocess(slim=config.slim, first=config.first, surface=config.surface, colours=colours, flat=config.flat)


def augmentation(config: Config) -> CloudAugmentation:
    """The changes of training clouds."""
    return CloudAugmentation(
        flip=config.flip, random_slim=config.random_slim, scale=config.scale, jitter=config.jitter, shift=config.shift,
        rotate=config.rotate, erase=config.erase, shuffle=config.shuffle,
    )  # fmt: skip


def build_model(config: Config, num_classes: int) -> PointModel:
    """The network with its start weights.

    Args:
        config: options.
        num_classes: training identities, or classes of objects.

    Raises:
        UsageError: options that do not fit each other.
    """
    torch.manual_seed(config.seed)
    return build_point_model(model_config(config), num_classes)


class OGNetStep:
    """Forward, losses, backward, update: one step of the recipe. `state` is all that a checkpoint must hold.

    Args:
        config: options.
        model: the network, on its device.
        clouds: training clouds.
        steps_per_epoch: batches an epoch.
        device: where everything runs.
    """

    def __init__(self, config: Config, model: PointModel, clouds: int, steps_per_epoch: int, device: torch.device) -> None:
        self.config, self.model, self.clock = config, model, Clock()
        self.parallel = distribute(model)
        groups = parameter_groups(model, config.lr, weight_decay=config.weight_decay)
        self.optimizer = make_optimizer(
            config.optimizer, groups, momentum=config.momentum, nesterov=config.nesterov,
            amsgrad=config.amsgrad and config.optimizer != "sgd",
        )  # fmt: skip
        self.ownership = check_ownership({"model": model}, {config.optimizer: self.optimizer})
        self.rates = LrSchedule(self.optimizer, learning_rate(config))
        warm = config.warmup_epochs if config.warmup == "loss" else 0.0
        published = round(round(clouds / config.batch_size) * warm)  # counts the partial batch that training leaves out
        self.loss_warmup = LossWarmUp(published, until=round(steps_per_epoch * warm))
        self.precision = Precision(config.precision, device)
        self.average = WeightAverage(model, start=config.average_start, decay=None) if config.average == "swa" else None
        self.state: dict[str, Any] = {"model": model, "optimizer": self.optimizer, "precision": self.precision}
        if self.average is not None:
            self.state["average"] = self.average

    def __call__(self, batch: Batch) -> dict[str, float | Tensor]:
        """Train on one batch."""
        with self.precision.forward():
            outputs = self.parallel(batch.inputs)
        smoothing = self.config.label_smoothing
        parts = {"ce": cross_entropy(outputs.logits, batch.labels, smoothing=smoothing, spread="others")}
        if self.config.circle:
            parts["circle"] = self._circle(gather(outputs.embedding), gather(batch.labels))
        loss = torch.stack(list(parts.values())).sum() * self.loss_warmup(self.clock.step)
        self.precision.update(loss, self.optimizer, max_norm=self.config.max_grad_norm or None)
        accuracy = (predicted(outputs.logits) == batch.labels).float().mean()
        return {"loss": loss.detach(), "accuracy": accuracy, **{name: part.detach() for name, part in parts.items()}}

    def _circle(self, embedding: Tensor, labels: Tensor) -> Tensor:
        """The circle loss of each vector, divided by the size of the batch as published."""
        vectors = embedding.chunk(self.model.parts, dim=1)
        return torch.stack([circle(vector, labels, gamma=self.config.circle_gamma) for vector in vectors]).sum() / len(labels)

    def searched(self) -> PointModel:
        """The network that is measured and kept: the average where there is one yet."""
        if self.average is None or not self.average.begun:
            return self.model
        return self.average.model  # pyright: ignore[reportReturnType]


def learning_rate(config: Config) -> Schedule:
    """The factor of the learning rate by epoch."""
    schedule: Schedule = Constant()
    if config.schedule == "cosine":
        schedule = Cosine(config.epochs)
    elif config.schedule == "step":
        schedule = MultiStep(tuple(sorted({int(0.8 * config.epochs), int(0.95 * config.epochs)})))
    return WarmUp(config.warmup_epochs, then=schedule) if config.warmup == "lr" and config.warmup_epochs else schedule


def make_sampler(config: Config, labels: np.ndarray) -> Sampler:
    """This process's share of the batches.

    Raises:
        UsageError: the batch does not divide, or there are too few people or clouds.
    """
    here, size, seed = world(), config.batch_size, config.seed
    if config.sampler == "balanced":
        return BalancedSampler(labels, size, seed=seed, rank=here.rank, world=here.size)
    if config.sampler == "class":
        return ClassSampler(labels, config.per_class, size, seed=seed, rank=here.rank, world=here.size)
    if config.sampler == "shuffle":
        return ShuffleSampler(len(labels), size, seed=seed, rank=here.rank, world=here.size)
    P = identities_per_batch(size, config.images_per_identity, here.size)
    return IdentitySampler(labels, P, config.images_per_identity, seed=seed, rank=here.rank, world=here.size)


def make_loader(config: Config, train: Split, labels: Mapping[tuple[str, int], int], workers: int) -> TrainLoader:
    """Changed training clouds of this process.

    Raises:
        UsageError: see `make_sampler`.
        DataError: no cloud.
    """
    classes = labels_of(train, labels).numpy()
    transform = TrainClouds(preprocess(config), augmentation(config))
    return TrainLoader(train, labels, transform, make_sampler(config, classes), seed=config.seed, workers=workers)


def check_points(config: Config, clouds: Split) -> None:
    """Refuse clouds of fewer points than the network takes, by the first one: a batch's clouds have equal numbers.

    Raises:
        UsageError: too few points.
        DataError: the cloud cannot be read.
    """
    read, name = EvalClouds(preprocess(config)), clouds[0].path.name
    cloud = read.read(clouds[0].path)
    points, before = len(read(cloud)), config.first or len(cloud)
    wanted = {"k": config.k} if config.network in ("ognet", "dgcnn") else {}
    if config.network == "ognet":
        wanted["init_points"] = config.init_points
    for option, least in wanted.items():
        if points < least:
            flag = "--" + option.replace("_", "-")
            kept = f" (--slim {config.slim:g} of {before})" if config.slim < 1 else ""
            raise UsageError(
                f"{flag} is {least}, but {points} points of {name} enter the network{kept}. Give {flag} {points} or less, "
                "or clouds of more points."
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
        data: training clouds; query and gallery for the log, or with ``task="classify"`` the held-out objects in `val`.
        run_dir: folder of the run: config.yaml, checkpoints/, history.jsonl, tensorboard/, artefact/.
        resume: go on where the run in `run_dir` stopped.
        device: ``auto``, ``cpu``, ``cuda``.
        workers: processes that read clouds.
        convention: of the logged evaluation.

    Returns:
        The artefact folder.

    Raises:
        PasserbyError: see `build_model`, `make_loader` and `fit`.
    """
    data = fit_to_train(data)
    labels = data.train.label_map()
    if config.task == "classify" and not len(data.val):
        raise DataError(f"{data.name} has no held-out objects to measure a classifier on. Give modelnet40, or take task reid.")
    with processes(device) as here:
        loader = make_loader(config, data.train, labels, workers)
        check_points(config, data.train)
        model = build_model(config, len(labels)).to(here.device)
        torch.manual_seed(config.seed + here.rank)  # dropout differs between processes

        def written_at_start(epoch: int) -> None:
            if epoch == 0 and here.first:
                write_settings(run_dir, data, config, labels)

        step = OGNetStep(config, model, len(data.train), len(loader), here.device)
        fit(
            step, loader, epochs=config.epochs, run_dir=run_dir, state=step.state, schedules=[step.rates], clock=step.clock,
            evaluate=_evaluation(config, step, data, labels, convention, here.device),
            evaluate_every=config.evaluate_every or config.epochs, before_epoch=written_at_start,
            after_epoch=_averaging(config, step, loader), resume=resume, device=here.device,
            saving=Saving(every_steps=config.save_every_steps or None, keep_every=config.keep_every or None),
            config={"recipe": "ognet", **plain(config), "training_images": fingerprint(data.train)},
            free_keys=("evaluate_every", "save_every_steps", "keep_every"), names=loader.names,
        )  # fmt: skip
        path = Path(run_dir) / "artefact"
        if here.first:
            objects = config.task == "classify"
            save_run(
                path, step.searched(), recipe="ognet", config=config, network=model_config(config), preprocess=preprocess(config),
                data=data, labels=labels, seed=config.seed, rule=OBJECT_RULE if objects else RULE, keep_classifier=objects,
            )  # fmt: skip
        del step
    return path


def _evaluation(
    config: Config, step: OGNetStep, data: ReidData, labels: Mapping[tuple[str, int], int], convention: Convention, device: Any
) -> Evaluate | None:
    """Search with the published rule, or the error on held-out objects."""
    size = config.batch_size
    if config.task == "classify":
        return ClassificationEvaluation(step.searched, data.val, labels, preprocess(config), device, size, by_class=True)
    return logged_evaluation(
        step.searched, data, preprocess(config), rule=RULE, convention=convention, device=device, batch_size=size
    )


def _averaging(config: Config, step: OGNetStep, loader: TrainLoader) -> Callable[[int], None] | None:
    """Average the weights of late epochs, and estimate the norms anew where the average is measured or kept."""
    if step.average is None:
        return None
    average = step.average

    def refresh(model: nn.Module, batch: Batch) -> object:
        return model(batch.to(step.precision.device).inputs)

    def after_epoch(epoch: int) -> None:
        used = epoch + 1 == config.epochs or (config.evaluate_every and (epoch + 1) % config.evaluate_every == 0)
        if average.after_epoch(step.model, epoch, config.epochs) and used:
            refresh_norms(average.model, loader.epoch(epoch), refresh)

    return after_epoch

"""The plain recipe: an ImageNet backbone fine-tuned as an identity classifier, with every option of the published baseline.

Source: layumi/Person_reID_baseline_pytorch (MIT); PCB: Sun et al. 2018; circle loss: Sun et al. 2020; BNNeck: Luo et al. 2019.

1. Every training identity is a class; the network is a backbone, a 512-d bottleneck (or BNNeck, or six stripes) and a classifier.
2. The loss is cross-entropy plus any of the pair and proxy losses, each with its weight, all in fp32.
3. The backbone learns at a tenth of the head's rate, because it starts from ImageNet.
4. At test the classifier is dropped; the features of an image and of its mirror image are summed and normalised.
5. The artefact is the last epoch (or its average): nothing is selected on test labels.

Differs from the paper: warm-up raises the learning rate, not the loss (`warmup="loss"` is the published form); pair losses are
fed by a sampler of P identities x K images, because a plain shuffle has a positive pair in few batches (`sampler="shuffle"` is
the published form); class weights of ArcFace, CosFace and SphereFace are trained; random choices follow the seed.

The data must have: identities with at least one image each; two or more images each for pair losses.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from passerby import models
from passerby.batches import Batch, JoinedLoader, TrainLoader, labels_of
from passerby.configs import check_in_use, check_ranges, plain
from passerby.datasets.unlabelled import read_unlabelled
from passerby.errors import UsageError, listing
from passerby.losses import LossTerm, cross_entropy, evaluating, make_losses, odfa, symmetric_kl
from passerby.metrics import MARKET1501, Convention
from passerby.models import ModelConfig, ReidModel
from passerby.models.weights import load_start_weights
from passerby.records import ReidData, Split
from passerby.running import fingerprint, fit_to_train, hold_out_first, logged_evaluation, save_run, write_settings
from passerby.samplers import FewDomainsSampler, IdentitySampler, Sampler, ShuffleSampler, identities_per_batch
from passerby.training import (
    Clock,
    Constant,
    Cosine,
    LossWarmUp,
    LrSchedule,
    MovingAverage,
    Precision,
    Saving,
    Schedule,
    Step,
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
    synchronise_norms,
    world,
)
from passerby.transforms import Preprocess, TrainTransforms, normalise
from passerby.validation import predicted

__all__ = ["BaselineStep", "Config", "build_model", "train"]

_LATE = 0.8  # of the epochs: where averaging and the term on generated images begin


@dataclass(frozen=True)
class Config:
    """Options of the baseline. Defaults are the published ones unless said otherwise."""

    # -- network
    backbone: str = "resnet50"
    """name of the backbone: resnet50, densenet121, osnet_x0_25, mobilenet_v2, swin..., or any timm name"""
    weights: str = "auto"
    """start weights of the backbone: a file (timm, torchvision, torchreid or layumi layout), `scratch`, or `auto`: those of an
    installed package where there are any, else an error that says how to get them"""
    last_stride: Literal[1, 2] = 2
    """stride of the backbone's last stage; 1 doubles the height and width of the feature map"""
    pool: Literal["avg", "max", "avg+max", "gem"] = "avg"
    """how the feature map becomes a vector"""
    middle: bool = False
    """ResNet: concatenate the third stage's pooled map to the last one's"""
    usam: bool = False
    """ResNet: spatial attention after the stem and after the first stage"""
    drop_path: float = 0.0
    """stochastic depth, 0 to 1 (published 0.2 for Swin and ConvNeXt)"""
    head: Literal["block", "bnneck", "pcb"] = "block"
    """block: linear, BN, dropout, classifier; bnneck: BN with a frozen bias, classifier without bias; pcb: six stripes (published
    with height 384, width 192, last_stride 1, pad_px 0: preset market-pcb)"""
    linear_dim: int | None = None
    """width of the bottleneck, 0 leaves it out; None: the published one (block 512, each stripe of PCB 256)"""
    parts: int = 6
    """stripes of PCB"""
    leaky_relu: bool = False
    """block: LeakyReLU 0.1 after its BN"""
    dropout: float | None = None
    """dropout before the classifier, 0 to 1; None: the published one (block and PCB 0.5, BNNeck 0)"""
    classifier_std: float = 0.001
    """standard deviation of the classifier's start weights (0.0001 in the later published code)"""

    # -- images
    height: int = 256
    """input height in px (PCB 384)"""
    width: int = 128
    """input width in px (PCB 192)"""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    """resize filter, in training and wherever the model is used"""
    flip: float = 0.5
    """probability of mirroring"""
    pad_px: int = 10
    """padding on each side before the random crop, in px of the input (published 10 at 256x128); 0: no crop (PCB)"""
    pad_mode: Literal["zeros", "edge"] = "zeros"
    """what the padding holds"""
    color_jitter: bool = False
    """brightness, contrast and saturation by up to 0.1"""
    random_erasing: float = 0.0
    """probability of erasing a rectangle (published 0.5 among the tricks)"""
    erasing_plus: float = 0.0
    """probability of going on to a further rectangle, up to five"""
    grayscale_patch: float = 0.0
    """probability of turning a rectangle grey"""
    auto_augment: Literal["off", "randaugment", "reid"] = "off"
    """off, torchvision's RandAugment, or the baseline's own list of pairs"""

    # -- batches
    train_all: bool = True
    """train on all training images; otherwise one image an identity is held out and its classification error logged"""
    sampler: Literal["auto", "shuffle", "identity", "published"] = "auto"
    """auto: identity (P x K) where a loss needs pairs, else shuffle; published: a shuffle even for losses that need pairs"""
    batch_size: int = 32
    """images a step, over all processes"""
    images_per_identity: int = 4
    """K of the P x K sampler; P is batch size / K"""
    domains_per_batch: int = 0
    """P x K sampler: people of so many data sets (towns of a street) a batch, equally many of each; 0: of any"""

    # -- losses
    label_smoothing: float = 0.0
    """epsilon of the cross-entropy, 0 to 1"""
    losses: tuple[str, ...] = ()
    """further terms beside the cross-entropy, NAME or NAME:WEIGHT: circle triplet triplet-hard contrastive lifted instance
    instance-id arcface cosface sphere"""
    search_before_neck: bool = False
    """bnneck: search with the feature before the neck, not with the one after it"""
    metric_before_dropout: bool = False
    """block: pair losses see the feature before the dropout (published: after it)"""
    instance_gamma: float = 32.0
    """scale of the instance losses"""
    adversarial: float = 0.0
    """weight of the cross-entropy on adversarial queries (ODFA), published 0.1"""
    adversarial_every: int = 10
    """steps between two adversarial terms"""
    generated: Path | None = None
    """folder of generated, unlabelled images (DG-Market)"""
    generated_weight: float = 0.0
    """weight of the agreement on generated images with the averaged model, published 0.1; from 80 % of the epochs on"""

    # -- optimizer
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    """who updates the weights"""
    lr: float = 0.05
    """learning rate of the head, for `batch_size` images a step"""
    backbone_lr_factor: float = 0.1
    """the backbone's rate as a fraction of `lr`; 1 for a start from scratch"""
    momentum: float = 0.9
    """momentum of SGD"""
    nesterov: bool = True
    """Nesterov's form of it"""
    weight_decay: float = 5e-4
    """L2 decay of all parameters"""
    epochs: int = 60
    """passes over the training images"""
    schedule: Literal["step", "cosine", "constant"] = "step"
    """step: x0.1 after two thirds; cosine: down to 1 %"""
    warmup_epochs: float = 0.0
    """length of the warm-up in epochs (published 5 among the tricks)"""
    warmup: Literal["lr", "loss"] = "lr"
    """what is warmed up from 10 %: the learning rate, or the loss as published"""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """of the forward pass; losses are always in fp32"""
    max_grad_norm: float = 0.0
    """clip the norm of the gradients to this; 0: no clipping"""
    average: Literal["off", "swa", "ema"] = "off"
    """off; swa: average of the epochs from 80 % on, decay 0.996 an epoch as published; ema: of every step. The statistics of BN
    are estimated anew where an average is measured or kept"""
    ema_decay: float = 0.999
    """decay a step of `average="ema"`"""
    sync_bn: bool = False
    """several processes: BN statistics over all of them"""

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
        if self.lr <= 0 or self.backbone_lr_factor <= 0 or self.instance_gamma <= 0:
            raise UsageError(
                f"lr is {self.lr}, backbone_lr_factor {self.backbone_lr_factor}, instance_gamma {self.instance_gamma}: "
                "each must be above 0."
            )
        check_in_use(self, _ONLY_WITH)
        if self.average == "swa" and math.ceil(_LATE * self.epochs) >= self.epochs:
            raise UsageError(f"epochs is {self.epochs}: the average begins at 80 % of the run, in epoch 5 at the earliest.")


_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, math.inf), "batch_size": (2, math.inf), "images_per_identity": (2, math.inf), "adversarial": (0, math.inf),
    "adversarial_every": (1, math.inf), "generated_weight": (0, math.inf), "lr": (0, math.inf), "weight_decay": (0, math.inf),
    "backbone_lr_factor": (0, math.inf), "instance_gamma": (0, math.inf), "momentum": (0, 1), "label_smoothing": (0, 1),
    "ema_decay": (0, 1), "max_grad_norm": (0, math.inf), "warmup_epochs": (0, math.inf), "linear_dim": (0, math.inf),
    "evaluate_every": (0, math.inf), "save_every_steps": (0, math.inf), "keep_every": (0, math.inf), "seed": (0, math.inf),
    "domains_per_batch": (0, math.inf),
}  # fmt: skip


def _with_pairs(config: Config) -> bool:
    return config.sampler == "identity" or any(term.needs_pairs for term in loss_terms(config))


_ONLY_WITH: dict[str, tuple[str, Callable[[Config], bool]]] = {
    "momentum": ("optimizer sgd", lambda config: config.optimizer == "sgd"),
    "nesterov": ("optimizer sgd", lambda config: config.optimizer == "sgd"),
    "ema_decay": ("average ema", lambda config: config.average == "ema"),
    "images_per_identity": ("sampler identity or a loss that needs pairs", _with_pairs),
    "domains_per_batch": ("sampler identity or a loss that needs pairs", _with_pairs),
    "adversarial_every": ("adversarial above 0", lambda config: config.adversarial > 0),
    "instance_gamma": ("loss instance or instance-id", lambda config: any(loss.startswith("instance") for loss in config.losses)),
    "warmup": ("warmup_epochs above 0", lambda config: config.warmup_epochs > 0),
    "pad_mode": ("pad_px above 0", lambda config: config.pad_px > 0),
}


def model_config(config: Config) -> ModelConfig:
    """What makes the network; the artefact keeps it."""
    return ModelConfig(
        backbone=config.backbone,
        image_size=(config.height, config.width),
        last_stride=config.last_stride,
        drop_path=config.drop_path,
        usam=config.usam,
        middle=config.middle,
        head=config.head,
        pool=config.pool,
        linear_dim=config.linear_dim,
        parts=config.parts,
        leaky_relu=config.leaky_relu,
        dropout=config.dropout,
        classifier_std=config.classifier_std,
        metric_before_dropout=config.metric_before_dropout,
        search_before_neck=config.search_before_neck,
    )


def preprocess(config: Config) -> Preprocess:
    """What the network's input expects, in training and wherever the model is used."""
    return Preprocess(size=(config.height, config.width), interpolation=config.interpolation)


def augmentation(config: Config) -> TrainTransforms:
    """The augmentation of training images."""
    strength = 0.1 if config.color_jitter else 0.0
    return TrainTransforms(
        preprocess=preprocess(config),
        flip=config.flip,
        pad_px=config.pad_px,
        pad_mode=config.pad_mode,
        color_jitter=(strength, strength, strength, 0.0),
        random_erasing=config.random_erasing,
        erasing_plus=config.erasing_plus,
        grayscale_patch=config.grayscale_patch,
        auto_augment=config.auto_augment,
    )


def build_model(config: Config, num_classes: int) -> ReidModel:
    """The network with its start weights.

    Args:
        config: options.
        num_classes: training identities.

    Raises:
        UsageError: an unknown backbone, or options that do not fit it or each other.
        ArtefactError: start weights that are absent, damaged, or belong to another network.
    """
    torch.manual_seed(config.seed)
    model = models.build_model(model_config(config), num_classes)
    report = load_start_weights(model.backbone, config.backbone, config.weights)
    if report is not None and world().first:
        print(report, file=sys.stderr)
    return model


class BaselineStep:
    """Forward, losses, backward, update: one step of the recipe. `state` is all that a checkpoint must hold.

    Args:
        config: options.
        model: the network, on its device.
        num_classes: training identities.
        images: training images.
        steps_per_epoch: batches an epoch.
        device: where everything runs.
    """

    def __init__(
        self, config: Config, model: ReidModel, num_classes: int, images: int, steps_per_epoch: int, device: torch.device
    ) -> None:
        self.config, self.model, self.input = config, model, preprocess(config)
        self.clock = Clock()
        self.parallel = distribute(model)
        self.losses = make_losses(loss_terms(config), num_classes=num_classes, embedding_dim=model.embedding_dim).to(device)
        groups = parameter_groups(
            model, config.lr, losses=[self.losses], backbone_factor=config.backbone_lr_factor, weight_decay=config.weight_decay
        )
        self.optimizer = make_optimizer(config.optimizer, groups, momentum=config.momentum, nesterov=config.nesterov)
        self.ownership = check_ownership({"model": model, "losses": self.losses}, {config.optimizer: self.optimizer})
        self.rates = LrSchedule(self.optimizer, learning_rate(config))
        warm = config.warmup_epochs if config.warmup == "loss" else 0.0
        published = round(round(images / config.batch_size) * warm)  # counts the partial batch that training leaves out
        self.loss_warmup = LossWarmUp(published, until=round(steps_per_epoch * warm))
        self.precision = Precision(config.precision, device)
        self.average = average_of(config, model)
        self.state: dict[str, Any] = {
            "model": model, "optimizer": self.optimizer, "losses": self.losses, "precision": self.precision
        }  # fmt: skip
        if self.average is not None:
            self.state["average"] = self.average

    def __call__(self, batch: Batch | tuple[Batch, Batch, Batch]) -> dict[str, float | Tensor]:
        """Train on one batch; with generated images it comes with two views of theirs."""
        batch, *generated = batch if isinstance(batch, tuple) else (batch,)
        images = normalise(batch.inputs, self.input)
        with self.precision.forward():
            outputs = self.parallel(images)
        parts = {"ce": cross_entropy(outputs.logits, batch.labels, smoothing=self.config.label_smoothing)}
        if self.losses.terms:
            parts |= self.losses(gather(outputs.embedding), gather(batch.labels))
        if self.config.adversarial and self.clock.step % self.config.adversarial_every == 0:
            parts["adversarial"] = self.config.adversarial * self._adversarial(images, batch.labels)
        if generated:
            parts["generated"] = self.config.generated_weight * self._agreement(*generated)
        loss = torch.stack(list(parts.values())).sum() * self.loss_warmup(self.clock.step)
        self.precision.update(loss, self.optimizer, max_norm=self.config.max_grad_norm or None)
        if type(self.average) is MovingAverage:
            self.average.update(self.model)
        accuracy = (predicted(outputs.logits) == batch.labels).float().mean()
        return {"loss": loss.detach(), "accuracy": accuracy, **{name: part.detach() for name, part in parts.items()}}

    def _adversarial(self, images: Tensor, labels: Tensor) -> Tensor:
        with evaluating(self.model):
            changed = odfa(lambda x: self.model(x).embedding, images, self.input)
        with self.precision.forward():
            outputs = self.parallel(changed)
        return cross_entropy(outputs.logits, labels, smoothing=self.config.label_smoothing)

    def _agreement(self, view: Batch, other: Batch) -> Tensor:
        """The student on one view of generated images against the averaged teacher on another."""
        assert self.average is not None
        with self.precision.forward():
            student = self.parallel(normalise(view.inputs, self.input))
            with torch.no_grad():
                teacher = self.average.model(normalise(other.inputs, self.input))
        pairs = zip(student.logits, teacher.logits, strict=True)
        return torch.stack([symmetric_kl(logits, target) for logits, target in pairs]).sum()

    def searched(self) -> ReidModel:
        """The network that is measured and kept: the average where there is one yet."""
        if self.average is None or (isinstance(self.average, WeightAverage) and not self.average.begun):
            return self.model
        return self.average.model  # pyright: ignore[reportReturnType]


def learning_rate(config: Config) -> Schedule:
    """The factor of the learning rate by epoch."""
    schedule: Schedule = Constant()
    if config.schedule == "step":
        schedule = Step(max(1, 2 * config.epochs // 3))
    elif config.schedule == "cosine":
        schedule = Cosine(config.epochs)
    return WarmUp(config.warmup_epochs, then=schedule) if config.warmup == "lr" and config.warmup_epochs else schedule


def average_of(config: Config, model: ReidModel) -> MovingAverage | None:
    """The average of weights that the options ask for; the term on generated images needs one as its teacher."""
    if config.average == "ema":
        return MovingAverage(model, config.ema_decay)
    return WeightAverage(model, start=_LATE) if config.average == "swa" or config.generated_weight else None


def loss_terms(config: Config) -> tuple[LossTerm, ...]:
    """The terms beside the cross-entropy.

    Raises:
        UsageError: an unknown loss or a weight that is not above 0.
    """
    terms = [LossTerm.parse(text) for text in config.losses]
    gamma = {"gamma": config.instance_gamma}
    return tuple(replace(term, options=gamma) if term.name.startswith("instance") else term for term in terms)


def make_sampler(config: Config, labels: np.ndarray, domains: Sequence[str] = ()) -> Sampler:
    """P x K where a loss needs pairs, else a plain shuffle; this process's share of either.

    Args:
        config: options.
        labels: (N,) training classes.
        domains: (N,) data set of each image, where `domains_per_batch` asks for it.

    Raises:
        UsageError: the batch does not divide, or there are too few people or images.
    """
    here, size, K = world(), config.batch_size, config.images_per_identity
    needing = [term.name for term in loss_terms(config) if term.needs_pairs]
    if needing and config.sampler == "shuffle":
        raise UsageError(
            f"sampler is shuffle, but {listing(needing)} needs several images of a person in a batch, which a shuffle seldom "
            "gives: take identity (P x K), or published, which shuffles all the same."
        )
    if config.sampler == "identity" or (config.sampler == "auto" and needing):
        P = identities_per_batch(size, K, here.size)
        if config.domains_per_batch:
            count = config.domains_per_batch
            return FewDomainsSampler(domains, labels, P, K, count, seed=config.seed, rank=here.rank, world=here.size)
        return IdentitySampler(labels, P, K, seed=config.seed, rank=here.rank, world=here.size)
    return ShuffleSampler(len(labels), size, seed=config.seed, rank=here.rank, world=here.size)


def make_loader(config: Config, train: Split, labels: Mapping[tuple[str, int], int], workers: int) -> Any:
    """Augmented training batches of this process, with generated images beside them where options name them.

    Raises:
        UsageError: a weight for generated images without their folder, or the reverse.
        DataError: an empty folder.
    """
    transform = augmentation(config)
    classes = labels_of(train, labels).numpy()
    sampler = make_sampler(config, classes, [record.domain for record in train])
    loader = TrainLoader(train, labels, transform, sampler, seed=config.seed, workers=workers)
    if (config.generated is None) != (config.generated_weight == 0):
        raise UsageError(
            f"generated is {config.generated}, generated_weight {config.generated_weight}: give both, or neither. "
            "The folder holds generated, unlabelled images (published: DG-Market, 128,307 images)."
        )
    if config.generated is None:
        return loader
    first = math.ceil(_LATE * config.epochs) + (config.average != "ema")  # the teacher must hold an epoch by then
    if first >= config.epochs:
        raise UsageError(
            f"epochs is {config.epochs}: generated images join after the first averaged epoch, at 80 % of the run. "
            "Give 10 or more."
        )
    here, split = world(), read_unlabelled(config.generated, "generated")
    size = max(8, config.batch_size // 2)
    order = ShuffleSampler(len(split), size, seed=config.seed, rank=here.rank, world=here.size)
    views = [TrainLoader(split, split.label_map(), transform, order, seed=config.seed + n, workers=workers) for n in (1, 2)]
    return JoinedLoader(loader, tuple(views), first)


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
        run_dir: folder of the run: config.yaml, checkpoints/, history.jsonl, tensorboard/, artefact/.
        resume: go on where the run in `run_dir` stopped.
        device: ``auto``, ``cpu``, ``cuda``.
        workers: processes that decode.
        convention: of the logged evaluation.

    Returns:
        The artefact folder.

    Raises:
        PasserbyError: see `build_model`, `make_loader` and `fit`.
    """
    data = fit_to_train(data)
    chosen, val = (data.train, data.val) if config.train_all else hold_out_first(data.train)
    labels = data.train.label_map()
    with processes(device) as here:
        loader = make_loader(config, chosen, labels, workers)
        model = build_model(config, len(labels)).to(here.device, memory_format=torch.channels_last)  # pyright: ignore
        if config.sync_bn:
            synchronise_norms(model)
        torch.manual_seed(config.seed + here.rank)  # dropout differs between processes

        def written_at_start(epoch: int) -> None:
            if epoch == 0 and here.first:
                write_settings(run_dir, data, config, labels)

        step = BaselineStep(config, model, len(labels), len(chosen), len(loader), here.device)
        fit(
            step, loader, epochs=config.epochs, run_dir=run_dir, state=step.state, schedules=[step.rates], clock=step.clock,
            evaluate=logged_evaluation(
                step.searched, data, step.input, val=val, labels=labels, convention=convention, device=here.device,
                batch_size=config.batch_size,
            ),
            evaluate_every=config.evaluate_every or config.epochs, before_epoch=written_at_start,
            after_epoch=_averaging(config, step, loader), resume=resume, device=here.device,
            saving=Saving(every_steps=config.save_every_steps or None, keep_every=config.keep_every or None),
            config={"recipe": "baseline", **plain(config), "training_images": fingerprint(chosen)},
            free_keys=("evaluate_every", "save_every_steps", "keep_every"), names=[str(record.path) for record in chosen],
        )  # fmt: skip
        path = Path(run_dir) / "artefact"
        if here.first:
            save_run(
                path,
                step.searched(),
                recipe="baseline",
                config=config,
                network=model_config(config),
                preprocess=preprocess(config),
                data=data,
                labels=labels,
                seed=config.seed,
            )
        del step
    return path


def _averaging(config: Config, step: BaselineStep, loader: Any) -> Callable[[int], None] | None:
    """Take late epochs into their average, and estimate the norms anew where an average is measured or kept.

    A moving average copies the norms' statistics from the model at every step. They are those of the last weights, not of the
    averaged ones; between two measurements nobody asks for them.
    """
    average = step.average
    if average is None:
        return None
    every = config.evaluate_every or config.epochs

    def refresh(model: nn.Module, batch: Batch) -> object:
        return model(normalise(batch.to(step.precision.device).inputs, step.input))

    def after_epoch(epoch: int) -> None:
        used = epoch + 1 == config.epochs or (epoch + 1) % every == 0
        if average.after_epoch(step.model, epoch, config.epochs) if isinstance(average, WeightAverage) else used:
            own = loader.loader if isinstance(loader, JoinedLoader) else loader
            refresh_norms(average.model, own.epoch(epoch), refresh)

    return after_epoch

"""Camera-aware invariance learning with cross-domain mixup: a model trained elsewhere becomes one for a place without labels.

Source: Luo, Song, Zhang, Generalizing Person Re-Identification by Camera-Aware Invariance Learning and Cross-Domain Mixup, ECCV
2020; code LuckyDC/generalizing-reid (MIT).

1. A batch is half labelled images (the source), half unlabelled ones (the target), paired by position. An epoch shows the larger
   set once; the smaller one comes in full permutations.
2. Both halves pass the backbone together. The neck normalises each half by its own statistics, and only the target moves the
   running ones: what is searched with is a network for the target.
3. A memory holds one unit vector for each target image. It is overwritten in epoch 1 and follows with momentum 0.6 afterwards,
   after each step's backward pass: losses see the vectors of before.
4. From epoch 2 on, mixed images take the place of the labelled ones: share * source + (1 - share) * target, one share a step.
   The classifier has one logit more, for the class that the unlabelled partner stands for.
5. From epoch 11 on, target images are drawn to their neighbours within their camera, from epoch 31 on also to those in other
   cameras, each by a softmax of its own. Neighbours are exemplars above 0.8 of the best similarity.
6. At the end of every epoch the exemplars are looked at without labels (`training.label_free`). The latest epoch whose estimate
   holds, which is 0.9 of the best so far or more, is kept (`keep`): the last one, unless the adaptation has collapsed. Where it
   does not hold twice in a row, the run says so. The first epoch does not count.

Identities of the target are never read, whatever its files are called; its query and gallery, if there are any, feed the log.

Differs from the paper: under several processes the memory is gathered and the same in all (`memory="local"` is the published
form); the last batch of every epoch is filled up (published: a partial batch in epoch 1, none later); of the smaller set the rest
is drawn without replacement; images that have no neighbour are left out of the term that needs one (published: NaN); random
choices follow the seed; the epoch that is kept need not be the last (`keep="last"` is the published form). Two defaults are those
of the other recipes here, and the presets set what was published: erased rectangles are up to 0.4 of the image (published 0.25,
`erased_area`), and padding is black (published grey, `pad_mode`).

The data must have: source identities; half a batch of images of each place; and for camera-aware neighbours camera ids in the
target, of two cameras or more.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby import models
from passerby.batches import Batch, JoinedLoader, TrainLoader
from passerby.configs import check_in_use, check_ranges, plain
from passerby.datasets.unlabelled import Target, digest_of, read_target
from passerby.embedder import Embedder, EmbeddingRule, Numbering, embed
from passerby.embeddings import Embeddings
from passerby.errors import ArtefactError, DataError, UsageError, listing
from passerby.files import replacing
from passerby.losses import (
    camera_agnostic,
    camera_aware,
    cross_entropy,
    mixed,
    mixing_share,
    mixup_cross_entropy,
    virtual_logit,
)
from passerby.metrics import MARKET1501, Convention
from passerby.models import ModelConfig, ReidModel
from passerby.models.heads import BNNeckHead
from passerby.models.weights import load_start_weights
from passerby.records import ReidData, Split
from passerby.running import fingerprint, fit_to_train, logged_evaluation, save_run, write_settings
from passerby.samplers import RepeatingSampler
from passerby.samplers.plain import nearest_multiples
from passerby.training import (
    Checkpoints,
    Clock,
    Evaluate,
    ExemplarMemory,
    LabelFreeProgress,
    LrSchedule,
    MultiStep,
    Precision,
    Saving,
    World,
    check_ownership,
    distribute,
    fit,
    gather,
    load_history,
    make_optimizer,
    parameter_groups,
    processes,
    world,
)
from passerby.training.distributed import everyone
from passerby.training.history import HistoryWriter
from passerby.transforms import Preprocess, TrainTransforms, normalise
from passerby.validation import predicted

__all__ = ["AdaptationStep", "Config", "build_model", "train"]

RULE = EmbeddingRule(flip=False)
"""What is searched: the neck's output, normalised; the paper uses no mirror image."""

ONE_CAMERA = "one camera: no label-free estimate, the last epoch is kept"


@dataclass(frozen=True)
class Config:
    """Options of the adaptation.

    Defaults are those of the published runs, but for `pad_mode`, `erased_area`, `precision`, `keep`, and `memory` where there are
    several processes.
    """

    # -- data
    target: str = ""
    """what to adapt to: a folder of unlabelled crops (cameras in the names, _cN, or a folder a camera), the folder of a data set,
    or a data set's name, market1501 or street:market. Only images and cameras are read; its query and gallery feed the log"""
    target_data: Path | None = None
    """folder that holds the target, where --target is a data set's name (default: --data, else PASSERBY_DATA)"""
    joint: bool = True
    """off: train on the source alone (direct transfer), and only measure on the target"""

    # -- network
    backbone: str = "resnet50"
    """name of a backbone with a map or tokens: resnet50, osnet_x0_25, mobilenet_v2, or any timm name"""
    weights: str = "auto"
    """start weights of the backbone: a file, `scratch`, or `auto`: those of an installed package, else an error"""
    last_stride: Literal[1, 2] = 1
    """stride of the backbone's last stage"""

    # -- images
    height: int = 256
    """input height in px"""
    width: int = 128
    """input width in px"""
    flip: float = 0.5
    """probability of mirroring"""
    pad_px: int = 10
    """padding on each side before the random crop, in px of the input; 0: no crop"""
    pad_mode: Literal["zeros", "grey", "edge"] = "zeros"
    """what the padding holds: zeros (black), grey (127, published), edge (the pixel next to it)"""
    color_jitter: bool = False
    """brightness, contrast and saturation by up to 0.1"""
    random_erasing: float = 0.5
    """probability of erasing a rectangle"""
    erased_area: float = 0.4
    """largest share of the image that the rectangle takes, above 0.02 (published 0.25)"""

    # -- batches
    batch_size: int = 256
    """images a step over all processes, both halves counted: 256 is 128 labelled + 128 unlabelled"""

    # -- memory
    memory: Literal["shared", "local"] = "shared"
    """several processes: all hold the same memory, or each its own as published"""
    memory_momentum: float = 0.6
    """share of the old vector at an update, from epoch 2 on; epoch 1 overwrites"""

    # -- neighbourhoods
    neighbours: Literal["camera-aware", "camera-agnostic", "off"] = "camera-aware"
    """camera-aware: within the camera and across cameras, apart; camera-agnostic: one neighbourhood over all, needs no cameras"""
    threshold: float = 0.8
    """a neighbour is above this share of the best similarity. The option that matters: published, below 0.7 training collapses"""
    scale: float = 10.0
    """of similarities in the softmax (1 / temperature)"""
    probability_floor: float = 1e-5
    """probabilities are clamped to this, and exemplars below it are pushed no further"""
    intra_weight: float = 1.0
    """weight of the loss within the camera"""
    intra_start: int = 10
    """epochs before it joins"""
    inter_weight: float = 0.5
    """weight of the loss across cameras"""
    inter_start: int = 30
    """epochs before it joins"""
    agnostic_weight: float = 0.1
    """weight of the camera-agnostic loss"""
    agnostic_start: int = 10
    """epochs before it joins"""

    # -- mixup
    mix: bool = True
    """mix labelled and unlabelled images"""
    mix_start: int = 1
    """epochs before mixed images take the place of labelled ones"""
    mix_alpha: float = 0.6
    """of the Beta distribution that the share is drawn from; above 0"""

    # -- optimizer
    lr: float = 0.05
    """learning rate of neck and classifier"""
    backbone_lr_factor: float = 0.2
    """the backbone's rate as a fraction of `lr`; 1 for a start from scratch"""
    momentum: float = 0.9
    """momentum of SGD"""
    weight_decay: float = 5e-4
    """L2 decay of all parameters"""
    epochs: int = 70
    """passes over the larger set"""
    decay_epochs: tuple[int, ...] = (60,)
    """epochs after which the rates fall"""
    lr_gamma: float = 0.1
    """factor of the rates at each of these epochs"""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """of the forward pass (published fp16); memory, softmaxes and losses are always in fp32"""

    # -- run
    seed: int = 0
    """of the start weights, the order of the images, the augmentation and the shares"""
    evaluate_every: int = 10
    """epochs between two evaluations on the target's query and gallery, for the log only; 0: at the end only. A folder of crops
    has none, and only label-free numbers are logged"""
    keep: Literal["best", "last"] = "best"
    """which epoch becomes the artefact. best: the latest whose label-free estimate is not clearly below the best before it, not
    counting the first epoch, nor those before the last one without neighbours; last: the last one, whatever is estimated"""
    features: Literal["off", "npz", "npz+mat"] = "npz"
    """write the target's embeddings to features/: .npz, and the published code's .mat"""
    save_every_steps: int = 0
    """steps between two checkpoints within an epoch; 0: one at the end of each epoch"""

    def __post_init__(self) -> None:
        check_ranges(self, _RANGES)
        for name in ("lr", "backbone_lr_factor", "scale", "mix_alpha"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} is {getattr(self, name)}: it must be above 0.")
        if not 0 < self.lr_gamma <= 1:
            raise UsageError(f"lr_gamma is {self.lr_gamma}: a factor above 0 and at most 1.")
        if not 0.02 < self.erased_area <= 1:
            raise UsageError(f"erased_area is {self.erased_area}: a share of the image, above 0.02 and at most 1.")
        check_batch(self, 1)
        check_in_use(self, _ONLY_WITH)


_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, math.inf), "batch_size": (2, math.inf), "memory_momentum": (0, 1), "threshold": (0, 1),
    "probability_floor": (0, 1), "scale": (0, math.inf), "intra_weight": (0, math.inf), "intra_start": (0, math.inf),
    "inter_weight": (0, math.inf), "inter_start": (0, math.inf), "agnostic_weight": (0, math.inf),
    "agnostic_start": (0, math.inf),
    "mix_start": (0, math.inf), "mix_alpha": (0, math.inf), "lr": (0, math.inf), "backbone_lr_factor": (0, math.inf),
    "momentum": (0, 1), "weight_decay": (0, math.inf), "seed": (0, math.inf), "evaluate_every": (0, math.inf),
    "save_every_steps": (0, math.inf),
}  # fmt: skip


def _aware(config: Config) -> bool:
    return config.joint and config.neighbours == "camera-aware"


def _agnostic(config: Config) -> bool:
    return config.joint and config.neighbours == "camera-agnostic"


_JOINT = ("joint training", lambda config: config.joint)
_WITH_NEIGHBOURS = ("neighbours camera-aware or camera-agnostic", lambda config: _aware(config) or _agnostic(config))
_ONLY_WITH: dict[str, tuple[str, Callable[[Config], bool]]] = {
    **dict.fromkeys(("memory", "memory_momentum", "neighbours", "mix", "keep"), _JOINT),
    **dict.fromkeys(("threshold", "scale"), _WITH_NEIGHBOURS),
    **dict.fromkeys(
        ("probability_floor", "intra_weight", "intra_start", "inter_weight", "inter_start"), ("neighbours camera-aware", _aware)
    ),
    **dict.fromkeys(("agnostic_weight", "agnostic_start"), ("neighbours camera-agnostic", _agnostic)),
    **dict.fromkeys(("mix_start", "mix_alpha"), ("mix in joint training", lambda config: config.joint and config.mix)),
    "target_data": ("target", lambda config: bool(config.target)),
    "pad_mode": ("pad_px above 0", lambda config: config.pad_px > 0),
    "erased_area": ("random_erasing above 0", lambda config: config.random_erasing > 0),
    "lr_gamma": ("decay_epochs", lambda config: bool(config.decay_epochs)),
}


def check_batch(config: Config, count: int) -> None:
    """Refuse a batch that `count` processes cannot share, or of which a batch norm would see a single image.

    Raises:
        UsageError: naming the nearest sizes that are allowed.
    """
    size, parts = config.batch_size, (2 if config.joint else 1) * count
    halves = "half of it is labelled, half unlabelled" if config.joint else "all of it is labelled"
    shared = "" if count == 1 else f", and {count} processes share {'each half' if config.joint else 'it'}"
    if size % parts:
        raise UsageError(
            f"batch_size is {size}: {halves}{shared}, so it must be a multiple of {parts}. Nearest: "
            f"{nearest_multiples(size, parts, 2 * parts)}."
        )
    if size < 2 * parts:
        raise UsageError(
            f"batch_size is {size}: {halves}{shared}, and batch norm needs two images in each share. Give {2 * parts} or more."
        )


class Weights(NamedTuple):
    """What acts in one epoch."""

    mix: bool
    intra: float
    inter: float
    agnostic: float
    momentum: float


def weights_in(config: Config, epoch: int) -> Weights:
    """What acts in the 1-based `epoch`; every part joins after its start, not in it."""
    aware, agnostic = _aware(config), _agnostic(config)
    return Weights(
        mix=config.joint and config.mix and epoch > config.mix_start,
        intra=config.intra_weight if aware and epoch > config.intra_start else 0.0,
        inter=config.inter_weight if aware and epoch > config.inter_start else 0.0,
        agnostic=config.agnostic_weight if agnostic and epoch > config.agnostic_start else 0.0,
        momentum=config.memory_momentum if epoch > 1 else 0.0,
    )


def model_config(config: Config) -> ModelConfig:
    """What makes the network; the artefact keeps it."""
    return ModelConfig(
        backbone=config.backbone, image_size=(config.height, config.width), last_stride=config.last_stride, head="bnneck"
    )


def preprocess(config: Config) -> Preprocess:
    """What the network's input expects, in training and wherever the model is used."""
    return Preprocess(size=(config.height, config.width), interpolation="bilinear")


def augmentation(config: Config) -> TrainTransforms:
    """The augmentation of training images, the same for both halves."""
    strength = 0.1 if config.color_jitter else 0.0
    return TrainTransforms(
        preprocess=preprocess(config),
        flip=config.flip,
        pad_px=config.pad_px,
        pad_mode=config.pad_mode,
        color_jitter=(strength, strength, strength, 0.0),
        random_erasing=config.random_erasing,
        erased_area=config.erased_area,
    )


def build_model(config: Config, num_classes: int) -> ReidModel:
    """The network with its start weights: the neck at 1, the classifier as torch starts a linear layer (both as published).

    Args:
        config: options.
        num_classes: identities of the source.

    Raises:
        UsageError: an unknown backbone, or options that do not fit it.
        ArtefactError: start weights that are absent, damaged, or belong to another network.
    """
    torch.manual_seed(config.seed)
    model = models.build_model(model_config(config), num_classes)
    head = _head(model)
    nn.init.ones_(head.norm.weight)
    assert head.classifier is not None
    head.classifier.reset_parameters()
    report = load_start_weights(model.backbone, config.backbone, config.weights)
    if report is not None and world().first:
        print(report, file=sys.stderr)
    return model


def _head(model: ReidModel) -> BNNeckHead:
    assert isinstance(model.head, BNNeckHead)
    return model.head


class TwoHalves(nn.Module):
    """The backbone over both halves at once, the neck over each alone; the first half leaves the neck's running statistics.

    Args:
        model: the network, a BNNeck on any backbone.
    """

    def __init__(self, model: ReidModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) images, `first` of them in the first half -> its vectors and logits, and the second half's vectors."""
        head = _head(self.model)
        assert head.classifier is not None
        pooled = head.pool(self.model.backbone(images))
        norm = head.norm
        own = F.batch_norm(pooled[:first], None, None, norm.weight, norm.bias, training=True, eps=norm.eps)
        return own, head.classifier(own), norm(pooled[first:])


class AdaptationStep:
    """Forward, losses, backward, update of weights, update of the memory. `state` is all that a checkpoint must hold.

    Args:
        config: options.
        model: the network, on its device.
        cameras: (N,) camera of every target image; None trains on the source alone.
        device: where everything runs.
    """

    def __init__(self, config: Config, model: ReidModel, cameras: Tensor | None, device: torch.device) -> None:
        self.config, self.model, self.input = config, model, preprocess(config)
        self.clock = Clock()
        self.parallel = distribute(model if cameras is None else TwoHalves(model))
        groups = parameter_groups(model, config.lr, backbone_factor=config.backbone_lr_factor, weight_decay=config.weight_decay)
        self.optimizer = make_optimizer("sgd", groups, momentum=config.momentum, nesterov=False)
        self.ownership = check_ownership({"model": model}, {"sgd": self.optimizer})
        self.rates = LrSchedule(self.optimizer, MultiStep(tuple(config.decay_epochs), config.lr_gamma))
        self.precision = Precision(config.precision, device)
        self.state: dict[str, Any] = {"model": model, "optimizer": self.optimizer, "precision": self.precision}
        if cameras is not None:
            self.cameras = cameras.to(device)
            self.memory = ExemplarMemory(len(cameras), model.embedding_dim, scope=config.memory, seed=config.seed).to(device)
            self.progress = LabelFreeProgress(self.memory, self.cameras, threshold=config.threshold, seed=config.seed)
            self.state |= {"memory": self.memory, "progress": self.progress}

    def __call__(self, batch: Batch | tuple[Batch, Batch]) -> dict[str, float | Tensor]:
        """Train on one batch of the source, alone or with one of the target."""
        return self._plain(batch) if isinstance(batch, Batch) else self._joint(*batch)

    def _plain(self, source: Batch) -> dict[str, float | Tensor]:
        with self.precision.forward():
            outputs = self.parallel(normalise(source.inputs, self.input))
        loss = cross_entropy(outputs.logits, source.labels)
        self.precision.update(loss, self.optimizer)
        return {"loss": loss.detach(), "accuracy": (predicted(outputs.logits) == source.labels).float().mean()}

    def _joint(self, source: Batch, target: Batch) -> dict[str, float | Tensor]:
        acting = weights_in(self.config, self.clock.epoch + 1)
        share = mixing_share(self.config.mix_alpha, self.config.seed, self.clock.step, world().rank) if acting.mix else 1.0
        labelled, unlabelled = normalise(source.inputs, self.input), normalise(target.inputs, self.input)
        first = mixed(labelled, unlabelled, share) if acting.mix else labelled
        with self.precision.forward():
            vectors, logits, found = self.parallel(torch.cat([first, unlabelled]), len(first))
        features = F.normalize(found.float())
        if acting.mix:
            weight = _head(self.model).classifier.weight  # pyright: ignore[reportOptionalMemberAccess]
            virtual = virtual_logit(vectors, self.memory.slots[target.indices], weight, source.labels)
            parts = {"mix": mixup_cross_entropy(logits, virtual, source.labels, share)}
        else:
            parts = {"ce": cross_entropy(logits, source.labels)}
        parts |= self._neighbourhoods(features, target.indices, acting)
        loss = torch.stack(list(parts.values())).sum()
        self.precision.update(loss, self.optimizer)
        self.memory.update(features, target.indices, acting.momentum)
        accuracy = (predicted([logits]) == source.labels).float().mean()
        return {"loss": loss.detach(), "accuracy": accuracy, **{name: part.detach() for name, part in parts.items()}}

    def _neighbourhoods(self, features: Tensor, own: Tensor, acting: Weights) -> dict[str, Tensor]:
        """The weighted terms on target images that act in this epoch."""
        config = self.config
        if acting.agnostic:
            loss, _ = camera_agnostic(self.memory(features), own, threshold=config.threshold, scale=config.scale)
            return {"agnostic": acting.agnostic * loss}
        if not (acting.intra or acting.inter):
            return {}
        found = camera_aware(
            self.memory(features), own, self.cameras[own], self.cameras,
            threshold=config.threshold, scale=config.scale, floor=config.probability_floor,
        )  # fmt: skip
        named = {"intra": (acting.intra, found.intra), "inter": (acting.inter, found.inter)}
        return {name: weight * loss for name, (weight, loss) in named.items() if weight}


def check_target(config: Config, source: Split, target: Split) -> None:
    """Refuse data that the adaptation cannot work on.

    Raises:
        DataError: one camera, fewer target images than half a batch, or source and target share images.
    """
    if config.neighbours == "camera-aware" and len(target.cameras) < 2:
        raise DataError(
            f"all {len(target)} target images are of one camera: there is nothing to learn across cameras. "
            "Take --neighbours camera-agnostic, or give images of further cameras."
        )
    for what, split in (("target", target), ("source", source)):
        if len(split) < config.batch_size // 2:
            raise DataError(
                f"the {what} has {len(split)} images, half a batch of batch_size {config.batch_size} needs "
                f"{config.batch_size // 2}: lower batch_size to {2 * len(split)} or less, or give more images."
            )
    copies = _shared(source, target, digest_of)  # a few may coincide
    shared = _shared(source, target, Path.resolve) or (copies if 2 * copies > len(target) else 0)
    if shared:
        raise DataError(
            f"{shared} of the {len(target)} target images are training images of the source as well: the target is the place "
            "without labels. Give another --target, or train with --no-joint."
        )


def _shared(source: Split, target: Split, key: Callable[[Path], object]) -> int:
    known = {key(record.path) for record in source}
    return sum(key(record.path) in known for record in target)


def make_loader(config: Config, source: Split, target: Split | None, here: World, workers: int) -> Any:
    """Augmented batches of this process: of the source alone, or half source, half target, the larger one once an epoch.

    Raises:
        UsageError: a batch that the processes cannot share (see `check_batch`), or fewer images than a batch.
    """
    check_batch(config, here.size)

    def loader(split: Split, size: int, batches: int, seed: int) -> TrainLoader:
        order = RepeatingSampler(len(split), size, batches, seed=seed, rank=here.rank, world=here.size)
        return TrainLoader(split, split.label_map(), augmentation(config), order, seed=seed, workers=workers)

    if target is None:
        batches = max(1, len(source) // config.batch_size)
        return loader(source, config.batch_size, batches, config.seed)
    half = config.batch_size // 2
    batches = -(-max(len(source), len(target)) // half)
    beside = loader(target, half, batches, config.seed + 1)
    return JoinedLoader(loader(source, half, batches, config.seed), (beside,))


def never_acts(config: Config) -> str:
    """What the options ask for and the run is too short for, in one line; empty where everything comes to act."""
    last = weights_in(config, config.epochs)
    parts = {
        "mixup": (config.joint and config.mix, last.mix, config.mix_start),
        "the loss within cameras": (_aware(config) and config.intra_weight, last.intra, config.intra_start),
        "the loss across cameras": (_aware(config) and config.inter_weight, last.inter, config.inter_start),
        "the camera-agnostic loss": (_agnostic(config) and config.agnostic_weight, last.agnostic, config.agnostic_start),
    }
    absent = [f"{name} (after epoch {start})" for name, (wanted, acts, start) in parts.items() if wanted and not acts]
    return f"too short, at {config.epochs} epochs, for {listing(absent)}: never joined" if absent else ""


def first_join(config: Config) -> int:
    """Epochs before the first neighbourhood loss joins; the length of the run where none does."""
    acts = (weights_in(config, epoch) for epoch in range(1, config.epochs + 1))
    return next((n for n, acting in enumerate(acts) if acting.intra or acting.inter or acting.agnostic), config.epochs)


def first_that_counts(config: Config) -> int:
    """The 1-based epoch from which on the label-free estimate is held against itself.

    It is the last one before neighbours join, and the second where they join earlier or never: the exemplars of the first epoch
    are those of a network that has hardly been adapted, and their estimate is high or low for reasons of its own.
    """
    joins = first_join(config)
    return min(max(2, joins if joins < config.epochs else 0), config.epochs)


@dataclass
class AdaptationEvaluation:
    """What `fit` logs: the label-free numbers at every epoch, and retrieval on the target every so many epochs.

    Attributes:
        step: whose memory is looked at.
        retrieval: on the target's query and gallery; None where it has none.
        config: its schedule says which epochs count, and when retrieval comes.
    """

    step: AdaptationStep
    retrieval: Evaluate | None
    config: Config

    def __call__(self, max_batches: int | None = None) -> dict[str, float]:
        """The numbers by name; `candidate` is the number of an epoch that holds: the highest is the latest, which is kept."""
        config, dry, epoch = self.config, max_batches is not None, self.step.clock.epoch + 1
        counts, before = epoch >= first_that_counts(config), epoch <= first_join(config)
        found, holds, warning = self.step.progress.look(remember=not dry, counts=counts, before=before)
        if warning and not dry and world().first:
            print(f"epoch {epoch}: {warning}", file=sys.stderr)
        if dry or holds:
            found["candidate"] = float(epoch)
        due = epoch == config.epochs or (config.evaluate_every and epoch % config.evaluate_every == 0)
        if self.retrieval is not None and (dry or due):
            found |= self.retrieval(max_batches)
        return found


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
        config: options; they name the target.
        data: labelled training images of the source.
        run_dir: folder of the run: config.yaml, checkpoints/, history.jsonl, tensorboard/, artefact/, features/.
        resume: go on where the run in `run_dir` stopped.
        device: ``auto``, ``cpu``, ``cuda``.
        workers: processes that decode.
        convention: of the logged evaluation.

    Returns:
        The artefact folder.

    Raises:
        PasserbyError: see `read_target`, `check_target`, `build_model`, `make_loader` and `fit`.
    """
    if config.joint and not config.target:
        raise UsageError("adapt to what? Give --target, a folder of unlabelled crops or a data set, or train with --no-joint.")
    if config.target and Path(run_dir).resolve().is_relative_to(Path(config.target).resolve()):
        raise UsageError(
            f'the run folder "{run_dir}" lies in the target "{config.target}", which is read whole: give another one.'
        )
    cameras = "needed" if _aware(config) else "known"
    target = read_target(config.target, config.target_data, cameras=cameras) if config.target else None
    if target is not None and not config.joint and not (len(target.query) and len(target.gallery)):
        raise UsageError(
            f"--no-joint only measures on the target, and {target.name} has no query and gallery: leave out --target."
        )
    data = fit_to_train(measured_on(data, target, config))
    measured = data if target is None else replace(data, name=target.name)  # errors are about the place that is measured
    unlabelled = target.images if target is not None and config.joint else None
    if unlabelled is not None:
        check_target(config, data.train, unlabelled)
    with processes(device) as here:
        return _Run(config, data, measured, unlabelled, Path(run_dir), here, resume, convention).train(workers)


def measured_on(data: ReidData, target: Target | None, config: Config) -> ReidData:
    """The source's training images with the target's query and gallery, for the log, and the notes of both."""
    if target is None:
        return data
    size = f"{len(target.images)} images, {len(target.images.cameras)} cameras"
    how = f"adapted without labels to {target.name}: {size}" if config.joint else f"not adapted; measured on {target.name}"
    idle = (too_short,) if (too_short := never_acts(config)) else ()
    alone = (ONE_CAMERA,) if config.joint and len(target.images.cameras) < 2 else ()
    return replace(data, query=target.query, gallery=target.gallery, notes=(*data.notes, *target.notes, how, *idle, *alone))


@dataclass(frozen=True)
class _Run:
    config: Config
    data: ReidData
    measured: ReidData
    unlabelled: Split | None
    dir: Path
    here: World
    resume: bool
    convention: Convention

    def train(self, workers: int) -> Path:
        config, data, here, unlabelled = self.config, self.data, self.here, self.unlabelled
        labels = data.train.label_map()
        loader = make_loader(config, data.train, unlabelled, here, workers)
        model = build_model(config, len(labels)).to(here.device, memory_format=torch.channels_last)  # pyright: ignore
        cameras = None if unlabelled is None else torch.from_numpy(unlabelled.camera_numbers)
        step = AdaptationStep(config, model, cameras, here.device)

        def written_at_start(epoch: int) -> None:
            if epoch == 0 and here.first:
                write_settings(self.dir, data, config, labels)
                if unlabelled is not None:
                    alone = "" if retrieval else "; no query and gallery, so that only label-free numbers are logged"
                    print(f"target: {len(unlabelled)} images, {len(unlabelled.cameras)} cameras{alone}", file=sys.stderr)
                if too_short := never_acts(config):
                    print(too_short, file=sys.stderr)

        retrieval = logged_evaluation(
            lambda: model, self.measured, step.input, rule=RULE, convention=self.convention, device=here.device,
            batch_size=config.batch_size,
        )  # fmt: skip
        watched, every, best = retrieval, config.evaluate_every or config.epochs, None
        if unlabelled is not None:
            watched, every = AdaptationEvaluation(step, retrieval, config), 1
            best = "candidate" if config.keep == "best" and not step.progress.one_camera else None
            if step.progress.one_camera and here.first:
                print(ONE_CAMERA, file=sys.stderr)
        fit(
            step, loader, epochs=config.epochs, run_dir=self.dir, state=step.state, schedules=[step.rates], clock=step.clock,
            evaluate=watched, evaluate_every=every, before_epoch=written_at_start, resume=self.resume, device=here.device,
            saving=Saving(every_steps=config.save_every_steps or None, best=best),
            config={
                "recipe": "cail-mixup", **plain(config), "training_images": fingerprint(data.train),
                "target_images": fingerprint(Split(tuple(replace(record, domain="") for record in unlabelled or ()))),
            },
            free_keys=("evaluate_every", "save_every_steps", "target", "target_data", "features"),
            names=[str(record.path) for record in data.train],
        )  # fmt: skip
        if best is not None:
            data = replace(data, notes=(*data.notes, self.back_to_best(model, step, retrieval)))
        if here.first:
            save_run(
                self.dir / "artefact", model, recipe="cail-mixup", config=config, network=model_config(config),
                preprocess=step.input, data=data, labels=labels, seed=config.seed, rule=RULE,
            )  # fmt: skip
            self.store_features(model, step.input)
        gather(torch.zeros(1, device=here.device))  # the others wait until everything is there
        del step
        return self.dir / "artefact"

    def back_to_best(self, model: ReidModel, step: AdaptationStep, retrieval: Evaluate | None) -> str:
        """Give the network the weights of the epoch that is kept, say which, and measure it where it is not the last.

        Returns:
            Which it is and why, as the artefact says it.
        """
        checkpoints, last = Checkpoints(self.dir), step.clock.step  # not by the log, which may have lost lines
        best, known = everyone(_choice_of(checkpoints) if self.here.first else None)[0]
        epoch, at = int(best["value"]), int(best["step"])
        said = _choice_in_words(epoch, self.config, step.progress)
        if self.here.first:
            print(said, file=sys.stderr)
        if at == last:
            return said
        if at not in known:
            raise ArtefactError(
                f"{self.dir} lacks the checkpoint of epoch {epoch}, the one to keep: put it back, or train in another folder."
            )
        model.load_state_dict(Checkpoints.load(checkpoints.steps()[at])["state"]["model"])
        scores = {} if retrieval is None else dict(retrieval())
        if self.here.first and scores and not any("kept" in line for line in load_history(self.dir).evaluations):
            writer = HistoryWriter(self.dir, last, tensorboard=False)
            writer.write("evaluation", last, epoch, {"kept": 1.0, **scores})
            writer.close()
        return said

    def store_features(self, model: ReidModel, preprocess: Preprocess) -> None:
        """Embed the target's query and gallery, or its images where it has none, into ``features/``."""
        splits = {"query": self.data.query, "gallery": self.data.gallery, "target": self.unlabelled or Split()}
        chosen = {name: split for name, split in splits.items() if len(split)}
        if "query" in chosen and "gallery" in chosen:
            chosen.pop("target", None)
        if self.config.features == "off" or not chosen:
            return
        embedder = Embedder(model, preprocess, RULE, device=self.here.device, batch_size=self.config.batch_size)
        numbering = Numbering.of(*chosen.values())
        for name, split in chosen.items():
            found = embed(embedder, split, numbering=numbering)
            found.save(self.dir / "features" / f"{name}.npz")
            if self.config.features == "npz+mat":
                write_mat(self.dir / "features" / f"{name}.mat", found)


def _choice_of(checkpoints: Checkpoints) -> tuple[dict[str, float], list[int]]:
    """What the newest checkpoint says about the one to keep, and the steps of those that are there."""
    newest = checkpoints.latest()
    assert newest is not None, "a run that has ended has its last checkpoint"
    return checkpoints.load(newest)["best"], list(checkpoints.steps())


def _choice_in_words(epoch: int, config: Config, progress: LabelFreeProgress) -> str:
    """Which epoch is kept and why; what the estimate was before neighbours joined only where a look counted before."""
    helped = ""
    if progress.reference is not None and first_join(config) < config.epochs:
        verdict = "adaptation helped" if (progress.held or 0.0) > progress.reference else "neighbours did not help"
        helped = f", {progress.reference:.3f} before neighbours joined: by this estimate {verdict}"
    others = "the last one" if epoch == config.epochs else f"the last one, {config.epochs}, has {progress.last:.3f}"
    return f"kept epoch {epoch}, label-free estimate {progress.held:.3f} ({others}{helped})"


def write_mat(path: Path, vectors: Embeddings) -> None:
    """One set in the form of the published code's feature store: `feat` (N, D), `ids`, `cam_ids` (from 0), `img_path`."""
    from scipy.io import savemat

    columns = {"feat": vectors.vectors, "ids": vectors.pids, "cam_ids": vectors.camids, "img_path": vectors.names.astype(object)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        savemat(file, columns)

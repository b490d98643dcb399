"""MetaBIN: gates between batch and instance norm, learnt by playing unseen domains with those of the training set.

Source: Choi et al., Meta Batch-Instance Normalization for Generalizable Person Re-Identification, CVPR 2021; written from the
facts of the paper and of its published code's behaviour.

1. Every norm of the backbone is ``rho BN(x) + (1 - rho) IN(x)`` with a gate rho in [0, 1] for each channel.
2. Base update, on P people x K images of all domains: cross-entropy and batch-hard triplet loss step everything but the gates.
3. Meta update, on a batch with equal shares of all domains: some of them, drawn anew each time, are the meta-train domains S,
   the others the meta-test domains T. The gates take a virtual step down the loss on S (triplet, shuffle, scatter); the loss
   on T, measured with the virtual gates, steps the real ones. Everything else stays as it is.
4. The size of the virtual step moves up and down between two values, so that gates meet over- and under-fitted virtual ones.
5. At test the vector behind the neck is compared, without mirror images.

With ``meta`` off and a norm ``bin`` the gates learn from the base loss together with everything else (BIN); with another norm
this is the plain baseline of the paper's ablation.

Differs from the paper: losses and gradients of gates are in fp32 whatever the precision; an epoch is as long as its batches of
different people are (see `IdentitySampler`); the phase of the inner rate is part of a checkpoint; the second half of a wave
begins on a whole step.

The data must have: two domains or more, data sets or cameras, each with a few people of two images or more.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from passerby import models
from passerby.batches import Batch, JoinedLoader, TrainLoader, labels_of
from passerby.configs import check_in_use, check_ranges, plain
from passerby.datasets.hold_out import hold_out
from passerby.embedder import EmbeddingRule
from passerby.errors import UsageError
from passerby.files import write_text
from passerby.losses import cross_entropy, domain_scatter, domain_shuffle, triplet_hard
from passerby.metrics import MARKET1501, Convention
from passerby.models import ModelConfig, ReidModel
from passerby.models.heads import BNNeckHead
from passerby.models.norms.batch_instance import StatisticsMode, clamp_gates, gates, running_statistics
from passerby.models.norms.gate_history import record_gates
from passerby.models.norms.mixing import mix_norms
from passerby.models.outputs import Outputs
from passerby.models.weights import load_start_weights
from passerby.records import ReidData, Split
from passerby.running import fingerprint, fit_to_train, logged_evaluation, save_run, write_settings
from passerby.samplers import DomainBalancedSampler, IdentitySampler, identities_per_batch
from passerby.training import (
    Checkpoints,
    Clock,
    LrSchedule,
    MultiStep,
    Precision,
    Saving,
    WarmUp,
    check_ownership,
    distribute,
    fit,
    gather,
    make_optimizer,
    processes,
    world,
)
from passerby.training.distributed import mean_gradients
from passerby.transforms import Preprocess, TrainTransforms, normalise
from passerby.validation import predicted

__all__ = ["Config", "EpisodeLoader", "MetaBinStep", "build_model", "inner_rate", "train", "virtual_gates"]

OWNERS_FILE = "optimizers.txt"
"""In the run folder: optimizer, group, parameter and numbers of every trainable parameter."""
_RULE = EmbeddingRule(flip=False)
_JITTER = (0.15, 0.15, 0.1, 0.1)  # brightness, contrast, saturation, hue


@dataclass(frozen=True)
class Config:
    """Options of MetaBIN. Defaults are the published ones for several source data sets (DG)."""

    # -- network
    backbone: str = "resnet50"
    """name of the backbone: resnet50, mobilenet_v2_x1_0, mobilenet_v2_x1_4, or any other with plain batch norms"""
    weights: str = "auto"
    """start weights of the backbone: a file, `scratch`, or `auto`: those of an installed package"""
    last_stride: Literal[1, 2] = 1
    """stride of the backbone's last stage"""
    norm: Literal["bin", "bin-shared", "batch", "instance", "half", "dualnorm"] = "bin"
    """bin: batch and instance norm with an affine pair each; bin-shared: with one pair; the others have no gates (meta off)"""
    gate_init: Literal["one", "zero", "half", "random"] = "one"
    """where gates start: batch norm, instance norm, between, or anywhere"""

    # -- images
    height: int = 256
    """input height in px"""
    width: int = 128
    """input width in px"""
    flip: float = 0.5
    """probability of mirroring"""
    pad_px: int = 10
    """padding on each side before the random crop, in px of the input; 0: no crop"""
    color_jitter: bool = False
    """brightness and contrast by up to 0.15, saturation and hue by up to 0.1 (published for a single source)"""

    # -- domains and batches
    domains: Literal["datasets", "cameras"] = "datasets"
    """what a domain is: the domain of an image (data set, town), or its camera (published for a single source)"""
    batch_size: int = 80
    """images of a base update, over all processes (96 for a single source)"""
    meta_batch_size: int = 80
    """images of a meta update, over all processes: a multiple of domains x images_per_identity x processes"""
    images_per_identity: int = 4
    """K images of each person in either batch"""
    first_base_updates: int = 10
    """base updates before the first meta update"""

    # -- meta update
    meta: bool = True
    """learn the gates by meta updates; off: together with everything else, by the base loss"""
    meta_train_domains: int = 3
    """domains of a batch that the virtual step learns from (4 of Duke's 8 cameras); the others test it"""
    second_order: bool = False
    """differentiate through the virtual step too"""
    gate_lr: float = 0.1
    """learning rate of the gates, constant (0.2 for Market, 0.5 for Duke)"""
    inner_rates: tuple[float, float] = (0.001, 0.1)
    """least and largest factor of gate_lr in the virtual step, which moves between them; equal ones: a constant step"""
    inner_period: int = 5
    """epochs of one wave of it"""
    base_statistics: Literal["general", "hold", "eval"] = "general"
    """batch norms in base updates; general: by the batch, which moves the running statistics; hold: by the batch; eval: by the
    running statistics"""
    meta_train_statistics: Literal["general", "hold", "eval"] = "hold"
    """the same for meta-train domains"""
    meta_test_statistics: Literal["general", "hold", "eval"] = "hold"
    """the same for meta-test domains"""

    # -- losses
    label_smoothing: float = 0.1
    """epsilon of the cross-entropy, spread over the other classes, 0 to 1"""
    margin: float = 0.3
    """of the triplet losses, in units of the feature; 0: the soft margin"""
    shuffle: float = 1.0
    """weight of the inter-domain shuffle loss on meta-train domains"""
    scatter: float = 1.0
    """weight of the intra-domain scatter loss on meta-train domains"""
    meta_classification: bool = False
    """add the cross-entropy to both meta losses (published for a single source)"""

    # -- optimizer
    lr: float = 0.01
    """learning rate of everything but gates; that of biases is twice as high"""
    momentum: float = 0.9
    """momentum of everything but gates"""
    weight_decay: float = 5e-4
    """L2 decay of everything but gates"""
    epochs: int = 100
    """passes over the training images (120 for a single source)"""
    milestones: tuple[int, ...] = (40, 70)
    """epochs after which the rate falls to a tenth (50 and 90 for a single source)"""
    warmup_epochs: float = 10.0
    """length of the rise of the rate from 1 %"""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """of the forward pass; losses and gradients of gates are always in fp32"""

    # -- run
    seed: int = 0
    """of the start weights, the order of the images, the augmentation and the drawing of meta-train domains"""
    validation: float = 0.0
    """share of each domain's people that is held out, 0 to 1: the log then shows retrieval among them, not the data set's own"""
    select: Literal["last", "best"] = "last"
    """epoch that the artefact is made of: the last, or the best on the held-out people"""
    evaluate_every: int = 0
    """epochs between two evaluations, for the log; 0: at the end only, or with select best after every epoch"""
    save_every_steps: int = 0
    """steps between two checkpoints within an epoch; 0: one at the end of each epoch"""
    keep_every: int = 0
    """epochs between two checkpoints that stay; 0: only the newest stays"""

    def __post_init__(self) -> None:
        check_ranges(self, _RANGES)
        object.__setattr__(self, "inner_rates", tuple(self.inner_rates))
        object.__setattr__(self, "milestones", tuple(self.milestones))
        if self.lr <= 0 or self.gate_lr <= 0:
            raise UsageError(f"lr is {self.lr}, gate_lr {self.gate_lr}: both must be above 0.")
        low, high = self.inner_rates
        if not 0 <= low <= high < math.inf:
            raise UsageError(f"inner_rates are {low} and {high}: give the least and the largest factor, 0 or more.")
        if self.meta and not self.has_gates:
            raise UsageError(f'norm "{self.norm}" has no gates for a meta update to learn: take norm bin, or --no-meta.')
        check_in_use(self, _ONLY_WITH)
        self.schedule()

    @property
    def has_gates(self) -> bool:
        """Whether the norm has gates."""
        return self.norm.startswith("bin")

    def schedule(self) -> WarmUp:
        """The factor of `lr` by epoch."""
        return WarmUp(self.warmup_epochs, then=MultiStep(self.milestones), start=0.01)


_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, math.inf), "batch_size": (2, math.inf), "meta_batch_size": (2, math.inf), "images_per_identity": (2, math.inf),
    "first_base_updates": (1, math.inf), "meta_train_domains": (1, math.inf), "gate_lr": (0, math.inf), "lr": (0, math.inf),
    "inner_period": (1, math.inf), "label_smoothing": (0, 1), "margin": (0, math.inf), "shuffle": (0, math.inf),
    "scatter": (0, math.inf), "momentum": (0, 1), "weight_decay": (0, math.inf), "warmup_epochs": (0, math.inf),
    "evaluate_every": (0, math.inf), "save_every_steps": (0, math.inf), "keep_every": (0, math.inf), "seed": (0, math.inf),
    "validation": (0, 1),
}  # fmt: skip

_WITH_META: tuple[str, Callable[[Config], bool]] = ("meta updates", lambda config: config.meta)
_WITH_GATES: tuple[str, Callable[[Config], bool]] = ("norm bin or bin-shared", lambda config: config.has_gates)
_ONLY_WITH: dict[str, tuple[str, Callable[[Config], bool]]] = {
    **dict.fromkeys(
        (
            "domains", "meta_batch_size", "first_base_updates", "meta_train_domains", "second_order", "inner_rates",
            "inner_period", "meta_train_statistics", "meta_test_statistics", "shuffle", "scatter", "meta_classification",
        ),
        _WITH_META,
    ),
    **dict.fromkeys(("gate_init", "gate_lr"), _WITH_GATES),
    "select": ("validation above 0", lambda config: config.validation > 0),
}  # fmt: skip


def model_config(config: Config) -> ModelConfig:
    """What makes the network; the artefact keeps it."""
    size = (config.height, config.width)
    return ModelConfig(backbone=config.backbone, image_size=size, last_stride=config.last_stride, head="bnneck", norm=config.norm)


def preprocess(config: Config) -> Preprocess:
    """What the network's input expects, in training and wherever the model is used."""
    return Preprocess(size=(config.height, config.width))


def augmentation(config: Config) -> TrainTransforms:
    """The augmentation of training images."""
    jitter = _JITTER if config.color_jitter else (0.0, 0.0, 0.0, 0.0)
    return TrainTransforms(preprocess=preprocess(config), flip=config.flip, pad_px=config.pad_px, color_jitter=jitter)


def build_model(config: Config, num_classes: int) -> ReidModel:
    """The network with its start weights. Norms are mixed after loading them, so every layout of weights will do.

    The neck starts as N(., 1) exactly and the classifier as torch's linear layers do: what the published code comes to.

    Args:
        config: options.
        num_classes: training identities, over all domains.

    Raises:
        UsageError: an unknown backbone, or one whose norms cannot be mixed.
        ArtefactError: start weights that are absent, damaged, or belong to another network.
    """
    torch.manual_seed(config.seed)
    model = models.build_model(replace(model_config(config), norm="batch"), num_classes)
    report = load_start_weights(model.backbone, config.backbone, config.weights)
    if report is not None and world().first:
        print(report, file=sys.stderr)
    if config.norm != "batch":
        mix_norms(model.backbone, config.norm, gate_init=config.gate_init)
    assert isinstance(model.head, BNNeckHead)
    nn.init.ones_(model.head.norm.weight)
    if model.head.classifier is not None:
        model.head.classifier.reset_parameters()
    return model


def inner_rate(config: Config, step: int, steps_per_epoch: int) -> float:
    """The factor of `gate_lr` in the virtual step: a triangular wave that begins at its least value and rises first.

    Args:
        config: options.
        step: 0-based meta update; the wave is advanced before each, so the first does not have the least value.
        steps_per_epoch: meta updates an epoch.

    >>> [round(inner_rate(Config(), step, 2), 3) for step in (0, 4, 9)]
    [0.021, 0.1, 0.001]
    """
    low, high = config.inner_rates
    period = max(1, config.inner_period * steps_per_epoch)
    up = max(1, period // 2)
    position = (step + 1) % period
    rise = position / up if position <= up else (period - position) / (period - up)
    return low + (high - low) * rise


def virtual_gates(real: Mapping[str, Tensor], slopes: Mapping[str, Tensor], rate: float) -> dict[str, Tensor]:
    """Gates after a virtual step: ``clamp(rho - rate slope, 0, 1)``, whose derivative by rho is 1 even where it is clamped.

    Args:
        real: gates by name; they stay in the graph.
        slopes: the gradient of the meta-train loss by name; detached for the first order.
        rate: size of the step.
    """
    moved = {name: gate - rate * slopes[name] for name, gate in real.items()}
    return {name: gate + (gate.clamp(0, 1) - gate).detach() for name, gate in moved.items()}


class EpisodeLoader:
    """A base batch and a meta batch a step; before the first meta update further base batches come along.

    Args:
        base: decides how long an epoch is.
        meta: domain-balanced batches; None for training without meta updates.
        further: gives the further base batches.
        count: how many of them.
    """

    def __init__(
        self, base: TrainLoader, meta: TrainLoader | None = None, further: TrainLoader | None = None, count: int = 0
    ) -> None:
        self.base, self.meta, self.further, self.count = base, meta, further, count
        self._joined = None if meta is None else JoinedLoader(base, (meta,))

    def __len__(self) -> int:
        return len(self.base)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch | tuple[Batch, ...]]:
        """The steps of the 0-based epoch `number`, from the 0-based step `start` on."""
        if self._joined is None:
            yield from self.base.epoch(number, start)
            return
        for position, pair in enumerate(self._joined.epoch(number, start), start):
            assert isinstance(pair, tuple)
            yield (*pair, *self._further()) if (number, position) == (0, 0) else pair

    def _further(self) -> Iterator[Batch]:
        left, epoch = self.count, 0
        while left > 0 and self.further is not None:
            for batch in islice(self.further.epoch(epoch), left):
                left -= 1
                yield batch
            epoch += 1


def domain_of(split: Split, kind: str) -> list[Any]:
    """The domain of every image: its data set, or (data set, camera)."""
    return [(record.domain, record.camid) if kind == "cameras" else record.domain for record in split]


def make_loader(config: Config, train: Split, labels: Mapping[tuple[str, int], int], workers: int) -> EpisodeLoader:
    """The batches of this process.

    Raises:
        UsageError: batches that do not divide, or too few people or domains.
    """
    here, K = world(), config.images_per_identity
    classes = labels_of(train, labels).numpy()
    P = identities_per_batch(config.batch_size, K, here.size)
    order = IdentitySampler(classes, P, K, seed=config.seed, remainder="pad", rank=here.rank, world=here.size)
    base = TrainLoader(train, labels, augmentation(config), order, seed=config.seed, workers=workers)
    if not config.meta:
        return EpisodeLoader(base)
    domains = domain_of(train, config.domains)
    count = len(set(domains))
    if count < 2:
        other = "cameras" if config.domains == "datasets" else "datasets"
        raise UsageError(f"the training images come from one domain, two are the least: try --domains {other}, or --no-meta.")
    if config.meta_train_domains >= count:
        raise UsageError(
            f"meta_train_domains is {config.meta_train_domains} of {count} domains: at least one must be left to test "
            f"the virtual step. Give 1 to {count - 1}."
        )
    balanced = DomainBalancedSampler(
        domains, classes, config.meta_batch_size, K, seed=config.seed + 1, rank=here.rank, world=here.size,
        called="meta_batch_size",
    )  # fmt: skip
    meta = TrainLoader(train, labels, augmentation(config), balanced, seed=config.seed + 1, workers=workers)
    others = IdentitySampler(classes, P, K, seed=config.seed + 2, remainder="pad", rank=here.rank, world=here.size)
    further = TrainLoader(train, labels, augmentation(config), others, seed=config.seed + 2)
    return EpisodeLoader(base, meta, further, config.first_base_updates - 1)


class MetaBinStep:
    """Base update, then meta update. `state` is all that a checkpoint must hold: the phase of the inner rate and the drawing of
    domains follow from the number of the step, which `fit` keeps.

    Args:
        config: options.
        model: the network, on its device.
        domains: (N,) number of the domain of every training image.
        device: where everything runs.
    """

    def __init__(self, config: Config, model: ReidModel, domains: Tensor, device: torch.device) -> None:
        self.config, self.model, self.input = config, model, preprocess(config)
        self.clock = Clock()
        self.parallel = distribute(model)
        self.domains = domains.to(device)
        self.num_domains = int(domains.max()) + 1
        self.gates = gates(model)
        self.precision = Precision(config.precision, device)
        if config.second_order and world().size > 1:
            raise UsageError("second_order goes with one process: the exchange between several has no second derivative.")
        optimizers = {"main": self._main_optimizer()}
        if self.gates:
            group = {"name": "gates", "params": list(self.gates.values()), "lr": config.gate_lr, "weight_decay": 0.0}
            optimizers["gates"] = make_optimizer("sgd", [group], momentum=0.0)
        self.optimizers = optimizers
        self.ownership = check_ownership({"model": model}, optimizers)
        self.rates = LrSchedule(optimizers["main"], config.schedule())
        self.state: dict[str, Any] = {"model": model, "precision": self.precision, **optimizers}

    def _main_optimizer(self) -> torch.optim.Optimizer:
        owned = {id(gate) for gate in self.gates.values()}
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad and id(p) not in owned]
        biases = [p for name, p in named if name.endswith("bias")]
        others = [p for name, p in named if not name.endswith("bias")]
        common = {"weight_decay": self.config.weight_decay}
        return make_optimizer(
            "sgd",
            [
                {"name": "weights", "params": others, "lr": self.config.lr, **common},
                {"name": "biases", "params": biases, "lr": 2 * self.config.lr, **common},
            ],
            momentum=self.config.momentum,
            nesterov=False,
        )

    def __call__(self, batches: Batch | tuple[Batch, ...]) -> dict[str, float | Tensor]:
        """One step: a base batch; or a base batch, a meta batch, and further base batches that come before the meta batch."""
        if isinstance(batches, Batch):
            return self.base_update(batches)
        base, meta, *further = batches
        found = self.base_update(base)
        for batch in further:
            found = self.base_update(batch)
        return found | self.meta_update(meta)

    def base_update(self, batch: Batch) -> dict[str, float | Tensor]:
        """Step everything but the gates; without meta updates the gates too."""
        with running_statistics(self.model, self.config.base_statistics), self.precision.forward():
            outputs = self.parallel(normalise(batch.inputs, self.input))
        parts = {
            "ce": self._classification(outputs, batch),
            "triplet": self._triplet(gather(outputs.feature), gather(batch.labels)),
        }
        loss = torch.stack(list(parts.values())).sum()
        if self.config.meta:
            self.precision.update(loss, self.optimizers["main"])
            for gate in self.gates.values():
                gate.grad = None  # the backward pass makes it; nobody may step by it
        else:
            self.precision.update(loss, *self.optimizers.values())
            clamp_gates(self.model)
        accuracy = (predicted(outputs.logits) == batch.labels).float().mean()
        return {"loss": loss.detach(), "accuracy": accuracy, **{name: part.detach() for name, part in parts.items()}}

    def meta_update(self, batch: Batch) -> dict[str, float | Tensor]:
        """Step the gates by the loss on some domains of gates that took a virtual step on the others."""
        images, domains = normalise(batch.inputs, self.input), self.domains[batch.indices]
        learning = torch.isin(domains, self.meta_train_domains().to(domains.device))
        real = {name: gate.detach().clone().requires_grad_() for name, gate in self.gates.items()}
        S, T = (_part(batch, rows) for rows in (learning, ~learning))

        seen = self._forward(images[learning], real, self.config.meta_train_statistics)
        train_parts = self._meta_train_losses(seen, S, domains[learning])
        train_loss = torch.stack(list(train_parts.values())).sum()
        slopes = self._slopes(train_loss, real, keep=self.config.second_order)
        factor = inner_rate(self.config, self.clock.step, self.clock.steps_per_epoch)
        usable = _finite(slopes)  # fp16 may overflow: such a step is left out, as the scaler does with base updates
        virtual = virtual_gates(real, slopes, self.config.gate_lr * factor) if usable else real

        unseen = self._forward(images[~learning], virtual, self.config.meta_test_statistics)
        test_parts = {"meta_test_triplet": self._triplet(gather(unseen.feature), gather(T.labels))}
        if self.config.meta_classification:
            test_parts["meta_test_ce"] = self._classification(unseen, T)
        outer = self._slopes(torch.stack(list(test_parts.values())).sum(), real)
        usable = usable and _finite(outer)
        if usable:
            self._step_gates(outer)
        else:  # base updates may bear a scale that meta updates do not
            self.precision.lower_scale()
        means = torch.cat([gate.detach() for gate in self.gates.values()]).mean()
        terms = {name: part.detach() for name, part in (train_parts | test_parts).items()}
        return {**terms, "inner_rate": factor, "gate_mean": means, "gate_steps_left_out": float(not usable)}

    def meta_train_domains(self) -> Tensor:
        """The domains that the meta update of the present step learns from: the same in every process."""
        order = np.random.default_rng([self.config.seed, 2, self.clock.step]).permutation(self.num_domains)
        return torch.from_numpy(np.sort(order[: self.config.meta_train_domains]))

    def _forward(self, images: Tensor, values: Mapping[str, Tensor], mode: StatisticsMode) -> Outputs:
        with running_statistics(self.model, mode), self.precision.forward():
            return functional_call(self.model, dict(values), (images,))

    def _classification(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.labels, smoothing=self.config.label_smoothing, spread="others")

    def _triplet(self, feature: Tensor, labels: Tensor) -> Tensor:
        return triplet_hard(feature, labels, margin=self.config.margin or "soft", normalise=False, self_positive=True)

    def _meta_train_losses(self, outputs: Outputs, batch: Batch, domains: Tensor) -> dict[str, Tensor]:
        feature, labels, places = gather(outputs.feature), gather(batch.labels), gather(domains)
        parts = {"meta_train_triplet": self._triplet(feature, labels)}
        if self.config.shuffle:
            parts["shuffle"] = self.config.shuffle * domain_shuffle(feature, labels, places)
        if self.config.scatter:
            parts["scatter"] = self.config.scatter * domain_scatter(feature, places)
        if self.config.meta_classification:
            parts["meta_train_ce"] = self._classification(outputs, batch)
        return parts

    def _slopes(self, loss: Tensor, real: Mapping[str, Tensor], *, keep: bool = False) -> dict[str, Tensor]:
        """Gradients by gates, the mean over processes, in fp32; fp16 activations get the scaler's factor on their way."""
        scale = self.precision.scaler.get_scale()
        found = torch.autograd.grad(loss * scale, list(real.values()), create_graph=keep)
        return mean_gradients({name: slope.float() / scale for name, slope in zip(real, found, strict=True)})

    def _step_gates(self, slopes: Mapping[str, Tensor]) -> None:
        for name, gate in self.gates.items():
            gate.grad = slopes[name]
        self.optimizers["gates"].step()
        self.optimizers["gates"].zero_grad(set_to_none=True)
        clamp_gates(self.model)


def _finite(slopes: Mapping[str, Tensor]) -> bool:
    return bool(torch.stack([slope.isfinite().all() for slope in slopes.values()]).all())


def _part(batch: Batch, rows: Tensor) -> Batch:
    return Batch(batch.inputs[:0], batch.labels[rows], batch.camids[rows], batch.domains[rows], batch.indices[rows])


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
        data: training images of all source domains; query and gallery of a source for the log, where it has them. Targets have no
            place here: nothing in a run can see their labels.
        run_dir: folder of the run: config.yaml, optimizers.txt, checkpoints/, history.jsonl, gates.jsonl, artefact/ ...
        resume: go on where the run in `run_dir` stopped.
        device: ``auto``, ``cpu``, ``cuda``.
        workers: processes that decode.
        convention: of the logged evaluation.

    Returns:
        The artefact folder.

    Raises:
        PasserbyError: see `build_model`, `make_loader` and `fit`.
    """
    data = _with_validation(fit_to_train(data), config)
    labels = data.train.label_map()
    with processes(device) as here:
        loader = make_loader(config, data.train, labels, workers)
        model = build_model(config, len(labels)).to(here.device, memory_format=torch.channels_last)  # pyright: ignore
        step = MetaBinStep(config, model, _numbers(domain_of(data.train, config.domains)), here.device)
        if here.first:
            print(describe(step), file=sys.stderr)
        owners = [f"{row.optimizer} {row.group} {row.parameter} {row.count}" for row in step.ownership.rows]

        def before_epoch(epoch: int) -> None:
            if epoch == 0 and here.first:
                write_settings(run_dir, data, config, labels)
                write_text(Path(run_dir) / OWNERS_FILE, "\n".join(owners) + "\n")
                record_gates(run_dir, 0, model)

        def after_epoch(epoch: int) -> None:
            if here.first:
                record_gates(run_dir, epoch + 1, model)

        fit(
            step, loader, epochs=config.epochs, run_dir=run_dir, state=step.state, schedules=[step.rates], clock=step.clock,
            evaluate=logged_evaluation(
                lambda: model, data, step.input, rule=_RULE, convention=convention, device=here.device,
                batch_size=config.batch_size,
            ),
            evaluate_every=config.evaluate_every or (1 if config.select == "best" else config.epochs),
            before_epoch=before_epoch, after_epoch=after_epoch,
            resume=resume, device=here.device,
            saving=Saving(
                every_steps=config.save_every_steps or None, keep_every=config.keep_every or None,
                best="map" if config.select == "best" else None,
            ),
            config={"recipe": "metabin", **plain(config), "training_images": fingerprint(data.train)},
            free_keys=("save_every_steps", "keep_every"), names=[str(record.path) for record in data.train],
        )  # fmt: skip
        path = Path(run_dir) / "artefact"
        if here.first:
            if config.select == "best":
                _load_best(model, Path(run_dir))
            save_run(
                path, model, recipe="metabin", config=config, network=model_config(config), preprocess=preprocess(config),
                data=data, labels=labels, seed=config.seed, rule=_RULE,
            )  # fmt: skip
        del step
    return path


def describe(step: MetaBinStep) -> str:
    """Which optimizer owns what, line by line."""
    lines = [
        f"optimizer {optimizer}, {group}: {tensors} tensors, {numbers:,} numbers"
        for (optimizer, group), (tensors, numbers) in sorted(step.ownership.totals().items())
    ]
    who = "meta updates" if step.config.meta else "the base loss"
    lines.append(f"gates: {len(step.gates)} layers, stepped by {who}" if step.gates else "gates: none")
    lines.append(f"every parameter with its owner: {OWNERS_FILE} in the run folder")
    return "\n".join(lines)


def _with_validation(data: ReidData, config: Config) -> ReidData:
    """Hold people of the source domains out for the log, if asked for."""
    if not config.validation:
        return data
    train, query, gallery = hold_out(data.train, test_share=config.validation, seed=config.seed)
    note = f"{len(gallery.identities)} source people were held out for validation"
    return replace(data, train=train, query=query, gallery=gallery, notes=(*data.notes, note))


def _numbers(domains: Sequence[Any]) -> Tensor:
    number = {domain: i for i, domain in enumerate(sorted(set(domains)))}
    return torch.tensor([number[domain] for domain in domains])


def _load_best(model: ReidModel, run_dir: Path) -> None:
    checkpoints = Checkpoints(run_dir)
    newest = checkpoints.latest()
    assert newest is not None
    step = int(checkpoints.load(newest)["best"]["step"])
    model.load_state_dict(checkpoints.load(checkpoints.steps()[step])["state"]["model"])

"""Optimizers of the field, and the check that every trainable parameter is in exactly one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from passerby.errors import TrainingError, UsageError, listing, nearest

__all__ = ["OPTIMIZERS", "Owned", "Ownership", "check_ownership", "make_optimizer", "parameter_groups"]

OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def parameter_groups(
    model: nn.Module,
    lr: float,
    *,
    losses: Iterable[nn.Module] = (),
    backbone_factor: float = 0.1,
    weight_decay: float = 5e-4,
    decay_all: bool = True,
) -> list[dict[str, Any]]:
    """The two groups of the field: the pre-trained backbone at a fraction of the rate, everything else at the full rate.

    Args:
        model: what is trained; parameters under its submodule ``backbone`` make the group of that name, all others ``head``.
        lr: rate of the head.
        losses: modules whose parameters (class weights of ArcFace and its kin) learn at the head's rate.
        backbone_factor: the backbone's rate as a fraction of `lr`. Published: 0.1; one rate for all cost 9 points of rank-1.
        weight_decay: of both groups.
        decay_all: False spares norms and biases (parameters with fewer than two dimensions), the custom for transformers.

    Returns:
        Groups with ``name``, ``params``, ``lr`` and ``weight_decay``; empty groups are left out, frozen parameters too.

    Raises:
        UsageError: nothing is trainable, or the rate is not positive.
    """
    if lr <= 0:
        raise UsageError(f"the learning rate is {lr}: it must be above 0.")
    groups: dict[str, list[nn.Parameter]] = {}
    named = list(model.named_parameters()) + [pair for loss in losses for pair in loss.named_parameters(prefix="loss")]
    for name, parameter in named:
        if parameter.requires_grad:
            group = "backbone" if name.startswith("backbone.") else "head"
            spared = not decay_all and parameter.ndim < 2
            groups.setdefault(f"{group}_no_decay" if spared else group, []).append(parameter)
    if not groups:
        raise UsageError("the model has no trainable parameter: unfreeze one, or leave training out.")
    return [
        {
            "name": name,
            "params": parameters,
            "lr": lr * (backbone_factor if name.startswith("backbone") else 1.0),
            "weight_decay": 0.0 if name.endswith("_no_decay") else weight_decay,
        }
        for name, parameters in sorted(groups.items())
    ]


def make_optimizer(
    name: str, groups: Sequence[dict[str, Any]], *, momentum: float = 0.9, nesterov: bool = True, amsgrad: bool = False
) -> Optimizer:
    """Build an optimizer over `groups` (see `parameter_groups`).

    Args:
        name: ``sgd`` (the published choice), ``adam`` or ``adamw``.
        groups: parameter groups that carry their own ``lr`` and ``weight_decay``.
        momentum: of SGD; must be left alone for the others.
        nesterov: Nesterov momentum of SGD.
        amsgrad: the AMSGrad variant of Adam and AdamW.

    Raises:
        UsageError: an unknown name, or ``amsgrad`` with SGD.
    """
    if name not in OPTIMIZERS:
        raise UsageError(f'no optimizer "{name}". {nearest(name, OPTIMIZERS)}')
    if name == "sgd":
        if amsgrad:
            raise UsageError("amsgrad is a variant of adam and adamw: it has no meaning for sgd.")
        return SGD(groups, momentum=momentum, nesterov=nesterov and momentum > 0)
    return (Adam if name == "adam" else AdamW)(groups, amsgrad=amsgrad)


@dataclass(frozen=True)
class Owned:
    """One trainable parameter and who updates it."""

    parameter: str
    optimizer: str
    group: str
    count: int


@dataclass(frozen=True)
class Ownership:
    """Which optimizer owns which parameters."""

    rows: tuple[Owned, ...]

    def totals(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(optimizer, group) -> (tensors, numbers) for a table."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for row in self.rows:
            tensors, numbers = found.get((row.optimizer, row.group), (0, 0))
            found[row.optimizer, row.group] = (tensors + 1, numbers + row.count)
        return found


def check_ownership(modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]) -> Ownership:
    """Check that every trainable parameter is in exactly one group of one optimizer, and report which.

    A class-weight matrix inside a loss (ArcFace, CosFace) is the parameter that projects of this field forget: pass such
    losses too.

    Args:
        modules: everything that is trained, by name.
        optimizers: all optimizers, by name.

    Raises:
        TrainingError: a parameter without an owner, with several, or an owned tensor that belongs to no module.
    """
    owners: dict[int, list[tuple[str, str]]] = {}
    for name, optimizer in optimizers.items():
        for number, group in enumerate(optimizer.param_groups):
            for parameter in group["params"]:
                owners.setdefault(id(parameter), []).append((name, str(group.get("name", number))))
    rows: list[Owned] = []
    without: list[str] = []
    several: list[str] = []
    seen: set[int] = set()
    for module_name, module in modules.items():
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            found = owners.get(id(parameter), [])
            full = f"{module_name}.{name}"
            if len(found) == 1:
                rows.append(Owned(full, *found[0], parameter.numel()))
            else:
                (several if found else without).append(full)
    known = {id(parameter) for module in modules.values() for parameter in module.parameters()}
    stray = sum(key not in known for key in owners)
    _refuse(without, several, stray)
    return Ownership(tuple(rows))


def _refuse(without: list[str], several: list[str], stray: int) -> None:
    if without:
        raise TrainingError(f"{len(without)} trainable parameters are in no optimizer and would never learn: {listing(without)}.")
    if several:
        raise TrainingError(f"{len(several)} parameters are in more than one optimizer or group: {listing(several)}.")
    if stray:
        raise TrainingError(
            f"the optimizers hold {stray} tensors that belong to no trained module: "
            "was a part replaced after the optimizer was made?"
        )

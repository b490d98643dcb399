"""Averages of weights: a moving average over steps, an average over the last epochs, and batch-norm statistics that fit it.

Both stand on torch's `AveragedModel`; both are stateful and belong into `fit`'s `state`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from passerby.errors import UsageError
from passerby.training.distributed import world

__all__ = ["MovingAverage", "WeightAverage", "refresh_norms"]


class MovingAverage:
    """Exponential moving average of the parameters, one update a step; buffers follow the model.

    So the batch-norm statistics are those of the model's last weights: `refresh_norms` before the average is measured or kept.

    Args:
        model: the bare model (not wrapped for several processes).
        decay: share of the old average in the new one, 0 to 1.

    Raises:
        UsageError: a decay outside 0 to 1.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        self._average = _averaged(model, decay)

    @property
    def model(self) -> nn.Module:
        """The averaged model."""
        return self._average.module

    def update(self, model: nn.Module) -> None:
        """Take the parameters of `model` in; the first call copies them."""
        self._average.update_parameters(model)

    def state_dict(self) -> dict[str, Any]:
        """Averages and their count."""
        return self._average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from saved averages."""
        self._average.load_state_dict(state)


class WeightAverage(MovingAverage):
    """Average of the weights at the ends of the last epochs.

    Args:
        model: the bare model.
        start: fraction of the epochs from which on epochs count. Published: 0.8 (baseline), 0.9 (OG-Net).
        decay: share of the old average at each epoch; None weighs all snapshots equally (OG-Net). Published for the baseline:
            0.996, with which 12 of 60 epochs leave 96 % of the first snapshot.
    Source: layumi/Person_reID_baseline_pytorch (``wa``); layumi/person-reid-3d.

    Raises:
        UsageError: a start or a decay outside 0 to 1.
    """

    def __init__(self, model: nn.Module, start: float = 0.8, decay: float | None = 0.996) -> None:
        if not 0 <= start <= 1:
            raise UsageError(f"weight averaging starts at {start} of the epochs: allowed is 0 to 1.")
        self.start = start
        self._average = _averaged(model, decay)

    def after_epoch(self, model: nn.Module, epoch: int, epochs: int) -> bool:
        """Take in the weights at the end of the 0-based `epoch`, if it is late enough.

        Returns:
            Whether the average has changed, and with it its batch-norm statistics need `refresh_norms`.
        """
        if epoch < self.start * epochs:
            return False
        self.update(model)
        return True

    @property
    def begun(self) -> bool:
        """Whether the average holds anything yet."""
        return bool(self._average.n_averaged.item())


def _averaged(model: nn.Module, decay: float | None) -> AveragedModel:
    if decay is not None and not 0 <= decay <= 1:
        raise UsageError(f"the decay of an average is {decay}: allowed is 0 to 1.")
    return AveragedModel(model, multi_avg_fn=None if decay is None else get_ema_multi_avg_fn(decay))


@torch.no_grad()
def refresh_norms(model: nn.Module, batches: Iterable[Any], forward: Callable[[nn.Module, Any], object]) -> int:
    """Estimate batch-norm statistics anew, as the plain mean over all batches: averaged weights do not fit averaged statistics.

    Only the norms are in training mode; dropout stays off, as it is when the statistics are used.

    Args:
        model: what is refreshed in place; its training modes are left as they were.
        batches: training batches, in any number of processes; each process's mean counts the same.
        forward: runs one batch through the model.

    Returns:
        The number of batches seen here.

    Raises:
        UsageError: there are no batches.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    if not norms:
        return 0
    modes = {module: module.training for module in model.modules()}
    momenta = {norm: norm.momentum for norm in norms}
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's way to say: cumulative mean
        norm.training = True
    seen = 0
    try:
        for batch in batches:
            forward(model, batch)
            seen += 1
    finally:
        for module, mode in modes.items():
            module.training = mode
        for norm, momentum in momenta.items():
            norm.momentum = momentum
    if not seen:
        raise UsageError("batch-norm statistics cannot be refreshed: there is no training batch.")
    if world().size > 1:
        _mean_over_processes(norms)
    return seen


def _mean_over_processes(norms: Iterable[nn.modules.batchnorm._BatchNorm]) -> None:
    for norm in norms:
        for buffer in (norm.running_mean, norm.running_var):
            assert buffer is not None
            dist.all_reduce(buffer)
            buffer.div_(world().size)

"""Make the batch norms of a network camera-wise, in place, whatever the network."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from passerby.errors import UsageError, listing
from passerby.models.norms.camera import CameraBatchNorm

__all__ = ["camera_norms", "use_camera_norms"]

M = TypeVar("M", bound=nn.Module)
_BATCH_NORM = nn.modules.batchnorm._BatchNorm


def use_camera_norms(model: M, *, camera_trained: bool) -> M:
    """Replace every `BatchNorm1d` and `BatchNorm2d` (timm's with an activation in them too) by a `CameraBatchNorm`, in place.

    Parameters and buffers are taken over, and their names stay. Call it before making the optimizer.

    Args:
        model: any network; where it has a ``backbone``, that must have batch norms.
        camera_trained: whether the weights come, or will come, from training by camera; see `CameraBatchNorm`.

    Returns:
        The model.

    Raises:
        UsageError: no batch norm (a transformer, or norms folded into the convolutions), or one that cannot be replaced.
    """
    backbone = getattr(model, "backbone", model)
    if isinstance(model, _BATCH_NORM) or not _norms(backbone):
        raise UsageError(
            f"{getattr(backbone, 'name', type(backbone).__name__)} has no batch norm that could be made camera-wise: "
            "transformers have none, and an exported network may have them folded into its convolutions. Take a convolutional "
            "backbone, for instance resnet50, as it was trained."
        )
    foreign = [f"{name} ({type(norm).__name__})" for name, norm in _norms(model).items() if not _replaceable(norm)]
    if foreign:
        raise UsageError(
            f"batch norms of these kinds cannot be made camera-wise: {listing(foreign)}. Leave out other norms and sync_bn."
        )
    for name, norm in _norms(model).items():
        model.set_submodule(name, _camera_wise(norm, name, camera_trained))
    return model


def camera_norms(model: nn.Module) -> dict[str, CameraBatchNorm]:
    """The camera-wise norms of a network by the name under which `CameraStatistics` holds their numbers, first to last."""
    return {norm.layer: norm for norm in model.modules() if isinstance(norm, CameraBatchNorm)}


def _norms(model: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in model.named_modules() if isinstance(module, _BATCH_NORM)}


def _replaceable(norm: nn.Module) -> bool:
    plain = type(norm) in (nn.BatchNorm1d, nn.BatchNorm2d)
    return plain or (type(norm).__name__ == "BatchNormAct2d" and isinstance(norm, nn.BatchNorm2d))


def _camera_wise(norm: nn.Module, layer: str, camera_trained: bool) -> CameraBatchNorm:
    assert isinstance(norm, _BATCH_NORM)
    new = CameraBatchNorm(
        norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats, camera_trained=camera_trained
    )
    new.layer, new.training = layer, norm.training
    new._parameters, new._buffers = norm._parameters, norm._buffers
    new.drop, new.act = getattr(norm, "drop", new.drop), getattr(norm, "act", new.act)
    return new

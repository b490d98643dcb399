"""The networks behind backbones, under the weight names of the library or paper that they come from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from passerby.errors import UsageError
from passerby.models import osnet, resnets
from passerby.models.mobilenet import MobileNetV2, mobilenet_v2
from passerby.torchvision_repair import repair_torchvision

__all__ = ["IBN_A", "OWN", "import_timm", "is_resnet", "make_body"]


def make_body(name: str, size: tuple[int, int], last_stride: int, drop_path: float, usam: bool) -> nn.Module:
    """Make the network of a canonical name, with fresh weights and without classifier; see `backbones.build_backbone`.

    Raises:
        UsageError: an option that this network has not.
    """
    if name in OWN:
        if drop_path:
            raise _no_drop_path(name, drop_path)
        body = OWN[name]()
    elif name in IBN_A:
        body = resnets.add_ibn_a(_timm_body(IBN_A[name], size, drop_path))
    else:
        body = _timm_body(name, size, drop_path)
    if last_stride == 1:
        _keep_last_resolution(body, name)
    if usam:
        if not is_resnet(body):
            raise UsageError(f"{name} has no usam: it goes with ResNets, for instance resnet50 or resnet50_ibn_a.")
        resnets.add_usam(body)
    return body


def _no_drop_path(name: str, drop_path: float) -> UsageError:
    return UsageError(f"{name} has no stochastic depth, drop_path is {drop_path}: leave drop_path at 0.")


def import_timm() -> Any:
    """The timm module, imported where it is first needed: it takes two seconds."""
    repair_torchvision()
    import timm

    return timm


def _timm_body(name: str, size: tuple[int, int], drop_path: float) -> nn.Module:
    timm = import_timm()
    options: dict[str, Any] = {"num_classes": 0, "global_pool": ""}
    if drop_path:
        options["drop_path_rate"] = drop_path
    try:
        try:
            body = timm.create_model(name, img_size=size, **options)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
            body = timm.create_model(name, **options)  # a network that takes images of any size
    except TypeError as error:
        if "drop_path" not in str(error):
            raise
        raise _no_drop_path(name, drop_path) from error
    from timm.models.densenet import DenseNet

    if isinstance(body, DenseNet):
        # The published baseline pools the last norm's output; timm's norm brings a ReLU with it.
        features: Any = body.features
        features.norm5.act = nn.Identity()
    return body


def _mobilenet_v2() -> nn.Module:
    repair_torchvision()
    from torchvision.models import mobilenet_v2

    return nn.Sequential(OrderedDict(features=mobilenet_v2().features))  # torchvision's names, without the classifier


IBN_A: dict[str, str] = {"resnet50_ibn_a": "resnet50", "resnet101_ibn_a": "resnet101"}
"""IBN-a networks and the timm ResNets that they are made from."""

OWN: dict[str, Callable[[], nn.Module]] = {
    "osnet_x1_0": partial(osnet.osnet, 1.0),
    "osnet_x0_75": partial(osnet.osnet, 0.75),
    "osnet_x0_5": partial(osnet.osnet, 0.5),
    "osnet_x0_25": partial(osnet.osnet, 0.25),
    "osnet_ain_x1_0": osnet.osnet_ain,
    "mobilenet_v2": _mobilenet_v2,
    "mobilenet_v2_x1_0": partial(mobilenet_v2, 1.0),
    "mobilenet_v2_x1_4": partial(mobilenet_v2, 1.4),
}
"""Networks that are not timm's; none of them has stochastic depth."""


def is_resnet(body: nn.Module) -> bool:
    """Whether `body` is timm's ResNet or made from it."""
    import_timm()
    from timm.models.resnet import ResNet

    return isinstance(body, ResNet)


def _keep_last_resolution(body: Any, name: str) -> None:
    import_timm()
    from timm.models.densenet import DenseNet

    if is_resnet(body):
        resnets.keep_last_resolution(body, name)
    elif isinstance(body, DenseNet):
        features: Any = body.features
        features.transition3.pool.stride = 1  # kernel 2 stays, as published: 16x8 becomes 15x7
    elif isinstance(body, MobileNetV2):
        body.keep_last_resolution()
    elif name == "mobilenet_v2":
        body.features[14].conv[1][0].stride = (1, 1)
    else:
        raise UsageError(
            f"{name} has no last stride that could be 1: leave last_stride at 2. ResNets, DenseNets and MobileNetV2s have one."
        )

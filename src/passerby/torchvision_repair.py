"""Lets torchvision be imported beside a torch that its wheel was not built against.

PyPI's torchvision is compiled for CUDA torch. Beside a CPU-only torch its extension does not load, and the import fails at
the first mention of its operators (`operator torchvision::nms does not exist`). Declaring the missing schemas before the
import is enough for transforms, models and timm; the operators themselves (`nms`, `roi_align`, ...) stay unavailable.
"""

from __future__ import annotations

from types import ModuleType

import torch

__all__ = ["repair_torchvision"]

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declared: list[torch.library.Library] = []  # a Library withdraws its schemas when it is collected


def repair_torchvision() -> ModuleType:
    """Import torchvision, first declaring its operator schemas where the plain import would fail.

    Call it before anything that imports torchvision on its own (timm does).

    Returns:
        The torchvision module.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        for name, schema in _SCHEMAS.items():
            library.define(name + schema)
        _declared.append(library)
        import torchvision
    return torchvision

"""Trained networks as ONNX, OpenVINO and TorchScript files that are proven to be the same network."""

from passerby.export.choosing import fastest
from passerby.export.gate import Budget, Comparison, compare_forms
from passerby.export.writing import Exported, ExportOptions, export

__all__ = ["Budget", "Comparison", "ExportOptions", "Exported", "compare_forms", "export", "fastest"]

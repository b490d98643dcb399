"""Networks: a backbone and a head (pooling, neck, classifier); every one returns `Outputs`, in training and evaluation alike."""

from passerby.models.backbones import BACKBONES, Backbone, build_backbone, resolve_backbone
from passerby.models.outputs import Outputs
from passerby.models.reid import HEADS, ModelConfig, ReidModel, build_model

__all__ = [
    "BACKBONES",
    "HEADS",
    "Backbone",
    "ModelConfig",
    "Outputs",
    "ReidModel",
    "build_backbone",
    "build_model",
    "resolve_backbone",
]

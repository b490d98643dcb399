"""Networks: a backbone and a head (pooling, neck, classifier); every one returns `Outputs`, in training and evaluation alike."""

from passerby.models.backbones import BACKBONES, Backbone, build_backbone, resolve_backbone
from passerby.models.outputs import Outputs
from passerby.models.reid import HEADS, ModelConfig, ReidModel, build_model
from passerby.models.weights import WeightReport, find_installed_weights, load_weights

__all__ = [
    "BACKBONES",
    "HEADS",
    "Backbone",
    "ModelConfig",
    "Outputs",
    "ReidModel",
    "WeightReport",
    "build_backbone",
    "build_model",
    "find_installed_weights",
    "load_weights",
    "resolve_backbone",
]

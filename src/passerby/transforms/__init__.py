"""Transforms: picture to (3, H, W) uint8 tensor in a loader, and uint8 batch to normalised float on the device."""

from passerby.transforms.auto_augment import PAIRS, augment_by_pair
from passerby.transforms.erasing import erase, erase_several, grey_patch
from passerby.transforms.preprocess import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    INTERPOLATIONS,
    EvalTransform,
    Preprocess,
    as_image_tensor,
    normalise,
    resize,
)
from passerby.transforms.training import AUTO_AUGMENT, PAD_MODES, TrainTransforms

__all__ = [
    "AUTO_AUGMENT",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "INTERPOLATIONS",
    "PAD_MODES",
    "PAIRS",
    "EvalTransform",
    "Preprocess",
    "TrainTransforms",
    "as_image_tensor",
    "augment_by_pair",
    "erase",
    "erase_several",
    "grey_patch",
    "normalise",
    "resize",
]

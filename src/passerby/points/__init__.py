"""Coloured clouds of points: files, and what is done to a cloud before a network sees it, in training and afterwards.

A cloud is an (N, 6) float32 array: x, y, z in metres (x right, y down, z away from the camera), red, green and blue from 0 to 1.
The order of its points counts: the visible surface first, the background behind it.
"""

from passerby.datasets.cloud_files import CLOUD_SUFFIXES, read_cloud
from passerby.points.meshes import read_surface
from passerby.points.preprocess import CloudPreprocess, EvalClouds
from passerby.points.training import CloudAugmentation, TrainClouds

__all__ = ["CLOUD_SUFFIXES", "CloudAugmentation", "CloudPreprocess", "EvalClouds", "TrainClouds", "read_cloud", "read_surface"]

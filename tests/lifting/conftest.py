"""Rendered people as crops, and what the network sees in them, once."""

from pathlib import Path

import numpy as np
import pytest

from passerby.datasets import read_image

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def people() -> dict[str, np.ndarray]:
    """Crops of the rendered street: somebody from the front, somebody from the left, and two people side by side."""
    return {name: np.asarray(read_image(HERE / f"{name}.jpg")) for name in ("front", "side", "two")}


@pytest.fixture(scope="session")
def network():
    pytest.importorskip("onnxruntime", reason="lifting by landmarks needs onnxruntime")
    from passerby.lifting.blazepose import BlazePose

    return BlazePose()

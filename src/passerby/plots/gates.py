"""What the gates of batch-instance norms did: histograms by layer over training."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from passerby.errors import UsageError
from passerby.models.norms.gate_history import GateState, read_gates
from passerby.plots.style import MAP_COLOURS, check_format, head_and_foot, look, save_figure

__all__ = ["plot_gates"]


def plot_gates(
    run: str | os.PathLike[str], out: str | os.PathLike[str], *, moments: int = 4, title: str = "", dpi: int = 130
) -> list[GateState]:
    """Draw the mean gate of each layer over the epochs, and all histograms at a few of them.

    Args:
        run: folder of a run with batch-instance norms.
        out: PNG, PDF, SVG or JPG to write.
        moments: epochs whose histograms are drawn, spread evenly, the first and the last among them; 2 or more.
        title: heading; default: the run.
        dpi: dots an inch.

    Returns:
        The states that were drawn as histograms.

    Raises:
        UsageError: fewer than two moments, or a suffix that cannot be written.
        DataError: the run recorded no gates.
    """
    check_format(out, dpi)
    if moments < 2:
        raise UsageError(f"moments is {moments}: the first and the last make two.")
    states = read_gates(Path(run))
    chosen = [states[i] for i in sorted({int(i) for i in np.linspace(0, len(states) - 1, moments).round()})]
    layers = list(states[-1].mean)
    means = np.array([[state.mean[layer] for state in states] for layer in layers])
    from matplotlib.figure import Figure

    with look():
        figure = Figure(figsize=(3.6 + 2.0 * len(chosen), 5.4), layout="constrained")
        axes = figure.subplots(1, 1 + len(chosen), sharey=True, width_ratios=[1.6, *[1.0] * len(chosen)])
        shown = axes[0].imshow(means, aspect="auto", vmin=0, vmax=1, cmap=MAP_COLOURS, interpolation="nearest")
        figure.colorbar(shown, ax=axes[0], location="left", label="mean gate: 0 instance norm, 1 batch norm")
        step = max(1, len(states) // 5)
        axes[0].set_xticks(range(0, len(states), step), [str(state.epoch) for state in states[::step]])
        axes[0].set_xlabel("epoch")
        axes[0].set_ylabel("layer, the first on top")
        for axis, state in zip(axes[1:], chosen, strict=True):
            counts = np.array([state.histogram[layer] for layer in layers], dtype=float)
            shares = counts / counts.sum(1, keepdims=True).clip(1)
            axis.imshow(shares, aspect="auto", extent=(0, 1, len(layers) - 0.5, -0.5), vmin=0, vmax=0.5, cmap="Greys")
            axis.set_title(f"epoch {state.epoch}")
            axis.set_xlabel("gate")
        for axis in axes:
            axis.grid(False)
        head_and_foot(
            figure,
            title or f"gates of {Path(run).resolve().name}",
            "grey: share of a layer's gates; dark to the right is batch norm",
        )
        save_figure(figure, out, dpi=dpi)
    return chosen

"""A network as a graph: what goes in and what comes out of an exported file, and the tracing of it."""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from passerby.errors import MissingDependencyError, UsageError
from passerby.models.norms.camera import CameraBatchNorm
from passerby.models.norms.replacing import camera_norms
from passerby.models.norms.statistics import LayerStatistics
from passerby.transforms import Preprocess

__all__ = ["Graph", "example", "graph_of", "names_of", "need_onnx", "onnx_of", "quietly", "torchscript_of", "with_statistics"]

_OPSET = 17  # the first with layer norm as one operation


class Graph(nn.Module):
    """The network of an artefact from an exported file's inputs to its one output.

    Args:
        model: in evaluation mode; it is not touched.
        kind: which of its outputs comes out.
        normalisation: what is done to pixels inside; None: the input is normalised already.
        by_input: the statistics of camera-wise norms are a second input.
    """

    def __init__(self, model: nn.Module, kind: str, normalisation: Preprocess | None, *, by_input: bool) -> None:
        super().__init__()
        self.model, self.kind, self.by_input = copy.deepcopy(model).eval().float().cpu(), kind, by_input
        self.layers = {name: norm.num_features for name, norm in camera_norms(model).items()} if by_input else {}
        self._given = _Given(list(self.layers))
        if by_input:
            for name, norm in list(self.model.named_modules()):
                if isinstance(norm, CameraBatchNorm):
                    self.model.set_submodule(name, _InputNorm(norm, self._given))
        self.scale = self.shift = None
        if normalisation is not None:
            mean, std = (torch.tensor(values, dtype=torch.float64) for values in (normalisation.mean, normalisation.std))
            self.scale, self.shift = (1 / (255 * std)).float(), (-mean / std).float()

    def forward(self, images: Tensor, statistics: Tensor | None = None) -> Tensor:
        """See `ExportFacts.inputs` and `ExportFacts.layers`."""
        if self.scale is not None and self.shift is not None:
            images = (images.float() * self.scale + self.shift).permute(0, 3, 1, 2)
        if statistics is not None:
            self._given.split(statistics, self.layers)
        return getattr(self.model(images), self.kind).float()


class _Given:
    """The means and variances of this pass, by norm."""

    def __init__(self, layers: list[str]) -> None:
        self.of: dict[str, tuple[Tensor, Tensor]] = {}

    def split(self, statistics: Tensor, layers: dict[str, int]) -> None:
        widths = [width for width in layers.values() for _ in range(2)]
        parts = iter(statistics.split(widths, dim=1))
        self.of = {layer: (next(parts), next(parts)) for layer in layers}


class _InputNorm(nn.Module):
    """A camera-wise norm whose statistics are an input of the graph."""

    def __init__(self, norm: CameraBatchNorm, given: _Given) -> None:
        super().__init__()
        self.layer, self.eps, self.given = norm.layer, norm.eps, given
        self.weight, self.bias, self.drop, self.act = norm.weight, norm.bias, norm.drop, norm.act

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = self.given.of[self.layer]
        scale = torch.rsqrt(variance + self.eps)
        scale = scale if self.weight is None else scale * self.weight
        shift = -mean * scale if self.bias is None else self.bias - mean * scale
        if x.ndim == 4:
            scale, shift = scale[:, :, None, None], shift[:, :, None, None]
        return self.act(self.drop(x * scale + shift))


def with_statistics(model: nn.Module, statistics: LayerStatistics) -> nn.Module:
    """A copy whose camera-wise norms are plain ones with the statistics of one camera."""
    own = copy.deepcopy(model)
    for name, norm in list(own.named_modules()):
        if isinstance(norm, CameraBatchNorm):
            plain = _PlainNorm(norm, *statistics[norm.layer])
            own.set_submodule(name, plain)
    return own.eval()


class _PlainNorm(nn.Module):
    """Batch norm in evaluation with given statistics, and what timm's norms do behind it."""

    def __init__(self, norm: CameraBatchNorm, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        kind = nn.BatchNorm2d if norm.layer.startswith("backbone.") else nn.BatchNorm1d
        self.norm = kind(norm.num_features, norm.eps, affine=norm.affine)
        values = {"running_mean": mean, "running_var": variance}
        values |= {"weight": norm.weight, "bias": norm.bias} if norm.affine else {}
        self.norm.load_state_dict(values, strict=False)
        self.drop, self.act = norm.drop, norm.act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(self.norm(x)))


def graph_of(model: nn.Module, preprocess: Any, kind: str, inputs: str, *, by_input: bool = False) -> Graph:
    """The graph of a network.

    Args:
        model: its network.
        preprocess: of its input.
        kind: ``embedding`` or ``feature``.
        inputs: see `ExportFacts`.
        by_input: see `Graph`.
    """
    return Graph(model, kind, preprocess if inputs == "pixels" else None, by_input=by_input).eval()


def example(graph: Graph, preprocess: Any, inputs: str, points: int = 1024) -> tuple[Tensor, ...]:
    """Random inputs of two images, with which the graph is traced."""
    drawn = torch.Generator().manual_seed(0)
    if inputs == "points":
        x = torch.rand(2, points, 6, generator=drawn) - 0.5
        x[..., 1] *= 3
    elif inputs == "pixels":
        x = torch.randint(0, 256, (2, *preprocess.size, 3), generator=drawn, dtype=torch.uint8)
    else:
        x = torch.randn(2, 3, *preprocess.size, generator=drawn)
    if not graph.layers:
        return (x,)
    pieces = [part for width in graph.layers.values() for part in (torch.zeros(2, width), torch.ones(2, width))]
    return x, torch.cat(pieces, 1)


def names_of(inputs: str, *, by_input: bool) -> tuple[list[str], dict[str, dict[int, str]]]:
    """Names of the inputs, and which of their axes may have any length."""
    first = "points" if inputs == "points" else "images"
    axes = {first: {0: "batch"}}
    if inputs == "points":
        axes[first][1] = "count"
    if by_input:
        axes["statistics"] = {0: "cameras"}
    return list(axes), axes


def need_onnx() -> Any:
    """The onnx module.

    Raises:
        MissingDependencyError: it is not installed, or ONNX Runtime is not.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"{error.name} is not installed, which exports need: pip install 'passerby[export]'"
        ) from error
    return onnx


def onnx_of(graph: Graph, inputs: str, given: tuple[Tensor, ...]) -> bytes:
    """The graph as ONNX, in fp32, with batches of any size.

    Args:
        graph: what is traced.
        inputs: see `ExportFacts`.
        given: inputs to trace it with.

    Raises:
        UsageError: the network does something that ONNX cannot hold.
        MissingDependencyError: see `need_onnx`.
    """
    need_onnx()
    names, axes = names_of(inputs, by_input=graph.by_input)
    buffer = io.BytesIO()
    # Equal weights of several layers are merged unless the module calls itself training, and ONNX Runtime 1.31 loses merged ones
    # when it folds norms. Only this outermost module is marked; nothing in it depends on that.
    graph.training = True
    with quietly(), contextlib.redirect_stdout(io.StringIO()):  # on an error it prints the whole graph
        try:
            # torch's older exporter: it needs no further package, takes a tenth of the time of the newer one, and keeps loops.
            torch.onnx.export(
                graph, given, buffer, input_names=names, output_names=[graph.kind],  # pyright: ignore[reportArgumentType]
                dynamic_axes={**axes, graph.kind: {0: "batch"}}, opset_version=_OPSET, dynamo=False,
                training=torch.onnx.TrainingMode.PRESERVE,
            )  # fmt: skip
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise UsageError(f"this network cannot become ONNX with torch {torch.__version__}: {reason}.") from error
        finally:
            graph.training = False
    return buffer.getvalue()


def torchscript_of(graph: Graph, given: tuple[Tensor, ...], *, half: bool) -> Any:
    """The graph as a frozen TorchScript module.

    Args:
        graph: what is traced.
        given: inputs to trace it with.
        half: keep and compute in fp16; inputs and output stay fp32.
    """
    module: nn.Module = _Half(graph) if half else graph
    with quietly(), torch.no_grad():
        return torch.jit.freeze(torch.jit.trace(module.eval(), given, check_trace=False))


class _Half(nn.Module):
    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        graph.model.half()

    def forward(self, images: Tensor) -> Tensor:
        graph = self.graph
        if graph.scale is not None and graph.shift is not None:
            images = (images.float() * graph.scale + graph.shift).permute(0, 3, 1, 2)
        return getattr(graph.model(images.half()), graph.kind).float()


@contextmanager
def quietly() -> Iterator[None]:
    """Tracing warns of every Python branch that it fixes, and of its age; what it made is proven by comparison."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        yield

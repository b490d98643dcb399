"""Networks of points as graphs: the operations of the graph are those of the loops, and a file embeds as the artefact does."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from passerby.artefact import Artefact, load, save_artefact
from passerby.embedder import CloudEmbedder, EmbeddingRule
from passerby.errors import UsageError
from passerby.export import Budget, ExportOptions, export
from passerby.export.graphs import quietly
from passerby.export.probe import probe_set
from passerby.models import point_ops, point_traced
from passerby.models.ognet import OGNetOptions
from passerby.models.point_models import PointModelConfig, build_point_model
from passerby.points import CloudPreprocess

pytest.importorskip("onnx", reason="exports need the extra export")
pytest.importorskip("onnxruntime", reason="exports need the extra export")


def people(count: int, points: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return torch.rand(count, points, 3, generator=drawn) - 0.5


def test_on_a_regular_plane_which_of_the_almost_equal_is_taken_does_not_depend_on_the_way():
    """Rounding decides there: one that fuses products with sums finds other neighbours, and another vector in the end."""
    y, x = torch.meshgrid(torch.arange(24) * 0.0157 - 0.2, torch.arange(16) * 0.0151 - 0.1, indexing="ij")
    plane = torch.stack([x, y, 0.3 + 0.26 * y], -1).reshape(1, -1, 3).float()
    squares = sum((plane[0, :, None, c] - plane[0, None, :, c]).square() for c in range(3)).fill_diagonal_(-1)
    wanted = squares.sort(dim=1, stable=True).indices[:, :6]
    assert torch.equal(point_ops.k_nearest(plane, 6)[0], wanted)
    for found in (point_traced.nearest(plane, 6, 16)[0], point_ops._k_nearest_of(plane, 6)[0]):  # of graphs, of other devices
        assert torch.equal(squares.gather(1, found), squares.gather(1, wanted))  # torch takes any of those that are equal
    for farthest in (point_traced.farthest(plane, 60, 1e-3), point_ops._farthest_points_of(plane, 60)):
        assert torch.equal(farthest, point_ops.farthest_points(plane, 60))


def test_traced_operations_are_those_of_the_loops():
    points = people(2, 90)
    centres = points[:, ::7]
    assert torch.equal(point_traced.nearest(points, 5, 16), point_ops.k_nearest(points, 5))
    with quietly():
        found = torch.jit.trace(lambda x: point_traced.farthest(x, 20, point_ops.NEAR_ORIGIN), (people(1, 40, 1),))(points)
    assert torch.equal(found, point_ops.farthest_points(points, 20))
    for mine, theirs in zip(
        point_traced.balls(points, centres, (0.1, 0.4), (4, 16)),
        point_ops.ball_query(points, centres, (0.1, 0.4), (4, 16)),
        strict=True,
    ):
        assert torch.equal(mine, theirs)
    values, index = torch.randn(2, 90, 6), torch.randint(0, 90, (2, 90, 5))
    for mine, theirs in zip(point_traced.edge_reductions(values, index), point_ops.edge_sums(values, index), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert torch.equal(point_traced.rows_of(values, index.flatten(1)).view(2, 90, 5, 6), point_ops.gather(values, index))


@pytest.mark.parametrize("to", ["onnx", "openvino", "torchscript"])
def test_og_net_is_exported_with_its_neighbours(to: str, tmp_path: Path):
    pytest.importorskip("openvino", reason="OpenVINO files need the extra openvino")
    torch.manual_seed(0)
    parts = 2 if to == "torchscript" else 1
    config = PointModelConfig(ognet=OGNetOptions((8, 16), k=4, init_points=24, id_skip=2), parts=parts, linear_dim=8)
    model = build_point_model(config).eval()
    rule = EmbeddingRule(flip=False, scales=(1.0, 1.1))
    facts = Artefact("test", {}, asdict(config), CloudPreprocess(slim=1.0), rule, model.embedding_dim)
    save_artefact(tmp_path / "a", model, facts)
    drawn = np.random.default_rng(0)
    (tmp_path / "clouds").mkdir()
    for number in range(3):
        cloud = np.concatenate([drawn.uniform(-1, 1, (70, 3)), drawn.uniform(0, 1, (70, 3))], 1).astype(np.float32)
        np.savez(tmp_path / "clouds" / f"{number}.npz", xyz=cloud[:, :3], rgb=cloud[:, 3:])
    slow = load(tmp_path / "a")
    with probe_set(tmp_path / "clouds", points=True) as probe:
        options = ExportOptions(to, budget=Budget.usual("fp32"), latency=False)  # pyright: ignore[reportArgumentType]
        (made,) = export(tmp_path / "a", probe, options, tmp_path / "out")
        with pytest.raises(UsageError, match="this is a network of points: leave it out"):
            export(tmp_path / "a", probe, ExportOptions(inputs="pixels"))
        with pytest.raises(UsageError, match="networks of points are exported in fp32, not int8"):
            export(tmp_path / "a", probe, ExportOptions(precision="int8"))
    quick = load(made.path)
    assert isinstance(quick, CloudEmbedder) and made.comparison.difference < 1e-4
    clouds = [
        np.concatenate([drawn.uniform(-1, 1, (55, 3)), drawn.uniform(0, 1, (55, 3))], 1).astype(np.float32) for _ in range(5)
    ]
    np.testing.assert_allclose(
        quick(clouds), slow(clouds), atol=1e-4
    )  # other numbers of clouds and of points than it was traced with

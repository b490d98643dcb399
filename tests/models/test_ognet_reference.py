"""OG-Net against its formulas: every step written out slowly, over its options, with trained-looking norms and weights.

The reference makes the tensor of all edges and loops over points; of the model it takes parameters alone.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.models.ognet import OGNetOptions
from passerby.models.point_blocks import EdgeConv, Gate, GroupedMlp
from passerby.models.point_models import PointModel, PointModelConfig, build_point_model

RADII, SAMPLES = (0.1, 0.2, 0.4), (8, 16, 32)
SLOPE, NEAR_ORIGIN = 0.2, 1e-3
DIMS = (6, 12, 12, 20)


def neighbours(where: Tensor, k: int) -> Tensor:
    """(N, C) -> (N, k): the point itself, then the others by distance."""
    squares = (where[:, None] - where[None]).square().sum(-1)
    squares.fill_diagonal_(-1)
    return squares.argsort(dim=1, stable=True)[:, :k]


def sampled(xyz: Tensor, count: int) -> list[int]:
    """Each pick is farthest from its nearest pick; the first is point 0, and points near the origin are never picked."""
    allowed = [n for n in range(len(xyz)) if float(xyz[n].square().sum()) > NEAR_ORIGIN]
    nearest, picks = {n: float("inf") for n in allowed}, [0]
    while len(picks) < count:
        nearest = {n: min(squared, float((xyz[n] - xyz[picks[-1]]).square().sum())) for n, squared in nearest.items()}
        picks.append(max(allowed, key=lambda n: nearest[n]))  # the first of equals
    return picks


def inside(xyz: Tensor, centre: Tensor, radius: float, count: int) -> list[int]:
    """The first points in a ball, in their order; its first again where there are too few."""
    found = [n for n in range(len(xyz)) if float((xyz[n] - centre).square().sum()) < radius**2][:count]
    return found + [found[0] if found else 0] * (count - len(found))


def normed(x: Tensor, norm: nn.Module) -> Tensor:
    """A batch norm in evaluation."""
    assert isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None and norm.running_var is not None
    return (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias


def gated(x: Tensor, gate: nn.Module) -> Tensor:
    if not isinstance(gate, Gate):
        return x
    narrow = gate.squeeze(x)
    return x * torch.sigmoid(gate.expand(narrow * torch.sigmoid(narrow)))


def edges(conv: EdgeConv, h: Tensor, where: Tensor) -> Tensor:
    """e_ij = theta [h_j - h_i, h_i], normed, aggregated, gated."""
    others = h[neighbours(where, conv.k)]
    own = h[:, None].expand_as(others)
    e = F.linear(torch.cat([others - own, own], -1), conv.conv.weight, conv.conv.bias)
    before = conv.before
    e = normed(e, conv.norm) if before else e
    top, mean = e.max(1).values, e.mean(1)
    share = 1.0 if conv.mix is None else torch.sigmoid(conv.mix)
    aggregate = share * top + (1 - share) * mean
    return F.leaky_relu(gated(aggregate if before else normed(aggregate, conv.norm), conv.gate), SLOPE)


def ball(mlp: GroupedMlp, xyz: Tensor, h: Tensor, centre: Tensor, radius: float, count: int) -> Tensor:
    """Two convolutions, a gate between them, a ReLU behind the last, the maximum over the ball."""
    members = inside(xyz, centre, radius, count)
    x = torch.cat([xyz[members] - centre, h[members]], -1) if mlp.with_xyz else h[members]
    x = gated(normed(x @ mlp.convs[0].weight.T, mlp.norms[0]), mlp.gates[0])  # pyright: ignore
    return F.relu(normed(x @ mlp.convs[1].weight.T, mlp.norms[1])).max(0).values  # pyright: ignore


def trunk(model: PointModel, options: OGNetOptions, xyz: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """All layers, on one cloud."""
    points, width = options.init_points, 0
    layers = list(model.trunk.layers)  # pyright: ignore
    for number, (layer, dim) in enumerate(zip(layers, options.feature_dims, strict=True)):

        def joined(start: Tensor, h: Tensor, layer=layer) -> Tensor:
            share = torch.sigmoid(layer.share)
            through = start
            if not isinstance(layer.shortcut, nn.Identity):
                through = F.leaky_relu(F.linear(start, layer.shortcut[0].weight, layer.shortcut[0].bias), SLOPE)
            return share * through + (1 - share) * options.res_scale * h

        start = h
        features_too = options.cluster == "allxyzrgb" or (options.cluster == "xyzrgb" and number == len(layers) - 1)
        assert len(layer.edges) == options.num_conv
        for conv in layer.edges:
            h = edges(conv, h, torch.cat([xyz, h], -1) if features_too else xyz)
        h = joined(start, h) if options.id_skip == 1 else h
        if dim != width:
            picks = sampled(xyz, points)
            rows = [
                sum(ball(mlp, xyz, h, xyz[pick], *of) for mlp, *of in zip(layer.scales, RADII, SAMPLES, strict=True))
                for pick in picks
            ]
            xyz, h = xyz[picks], torch.stack(rows)  # pyright: ignore
            start = start[picks] if options.id_skip == 2 else start
            points, width = points // options.stride, dim
        h = joined(start, h) if options.id_skip == 2 else h
    return xyz, h


def embedding(model: PointModel, config: PointModelConfig, cloud: Tensor) -> Tensor:
    """Of one cloud (N, 6)."""
    inputs = {"rgb": cloud[:, 3:], "xyz": cloud[:, :3], "xyzrgb": cloud}[config.inputs]
    xyz, h = trunk(model, config.ognet, cloud[:, :3], inputs)
    h = gated(h, model.gate)
    if model.mixes is None:
        pooled = [torch.cat([h.max(0).values, h.mean(0)])]
    else:
        slices = h[xyz[:, 1].argsort()].tensor_split(config.parts)
        shares = torch.sigmoid(model.mixes)
        pooled = [
            share * piece.max(0).values + (1 - share) * piece.mean(0) for share, piece in zip(shares, (h, *slices), strict=True)
        ]
    vectors = [
        normed(feature @ block.reduce.weight.T, block.norm)  # pyright: ignore
        for feature, block in zip(pooled, model.blocks, strict=True)
    ]
    return torch.cat(vectors)


def trained(config: PointModelConfig) -> PointModel:
    """A network whose numbers are far from their start: negative weights of norms, moved statistics, mixes that are no half."""
    torch.manual_seed(0)
    model = build_point_model(config).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                module.weight.mul_(torch.where(torch.rand(module.num_features) < 0.4, -1.0, 1.0))
                module.bias.normal_(0, 0.2)
        for name, parameter in model.named_parameters():
            if parameter.ndim == 0 or name == "mixes":  # shares of maximum and mean, and of shortcuts
                parameter.normal_(0.5, 0.5)
    return model


def people(B: int = 2, N: int = 70) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return (torch.rand(B, N, 6, generator=random) - 0.5) * torch.tensor([0.6, 1.7, 0.4, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    "change",
    [
        {}, {"cluster": "xyz"}, {"cluster": "allxyzrgb"}, {"mix": False}, {"norm": "bn"}, {"norm": "bn", "mix": False},
        {"gating": True}, {"ball_gates": False}, {"ball_xyz": False}, {"stride": 3}, {"num_conv": 2}, {"k": 7}, {"id_skip": 1},
        {"id_skip": 2}, {"id_skip": 1, "res_scale": 0.4}, {"id_skip": 2, "res_scale": 0.4, "num_conv": 2, "gating": True},
        {"inputs": "xyz"}, {"inputs": "xyzrgb", "cluster": "allxyzrgb"}, {"parts": 3}, {"parts": 2, "gating": True, "id_skip": 2},
    ],
    ids=str,
)  # fmt: skip
def test_the_network_is_its_formulas(change: dict):
    of_model = {name: change[name] for name in ("inputs", "parts") if name in change}
    of_ognet = {name: value for name, value in change.items() if name not in of_model}
    options = OGNetOptions(**{"feature_dims": DIMS, "k": 5, "init_points": 48, "stride": 2, **of_ognet})
    config = PointModelConfig(ognet=options, linear_dim=10, **of_model)
    model, clouds = trained(config), people()
    with torch.no_grad():
        found = model(clouds).embedding
        expected = torch.stack([embedding(model, config, cloud) for cloud in clouds])
    assert expected.std() > 0.05  # vectors that tell something
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)

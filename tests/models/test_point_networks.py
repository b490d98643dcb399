"""Networks on points: published sizes, blocks against their literal definition, options that act, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passerby.configs import plain
from passerby.errors import UsageError
from passerby.models.ognet import OGNet, OGNetOptions
from passerby.models.point_blocks import EDGE_NORMS, EdgeConv, Gate, GroupedMlp
from passerby.models.point_models import POINT_NETWORKS, PointModelConfig, build_point_model
from passerby.models.point_ops import gather, k_nearest

SMALL = OGNetOptions(feature_dims=(48, 96, 192, 384))
DEEP = OGNetOptions(feature_dims=(48, 96, 96, 192, 192, 384, 384), k=9, num_conv=2, id_skip=2)
TINY = OGNetOptions(feature_dims=(8, 8, 16), k=4, init_points=24)


def people(B: int = 3, N: int = 60, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    size = torch.tensor([0.6, 1.6, 0.3, 1.0, 1.0, 1.0])
    return (torch.rand(B, N, 6, generator=random) - 0.5) * size


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("options", "total", "with_classifier"),
    [(SMALL, 1_200_833, 1_586_096), (OGNetOptions(), 1_951_738, 2_337_001), (DEEP, 2_470_498, 2_855_761)],
    ids=["small", "ognet", "deep"],
)
def test_networks_have_their_published_sizes(options: OGNetOptions, total: int, with_classifier: int):
    assert count(build_point_model(PointModelConfig(ognet=options))) == total
    assert count(build_point_model(PointModelConfig(ognet=options), 751)) == with_classifier


def test_the_published_sizes_stand_part_by_part():
    trunk = build_point_model(PointModelConfig(ognet=DEEP)).trunk
    assert sum(count(layer.edges) for layer in trunk.layers) == 1_368_014  # pyright: ignore
    assert sum(count(layer.scales) for layer in trunk.layers) == 610_605  # pyright: ignore
    assert sum(count(layer.shortcut) + 1 for layer in trunk.layers) == 97_639  # pyright: ignore
    assert DEEP.points_left == 96


def literal_edges(conv: EdgeConv, norm: str, h: Tensor, index: Tensor, training: bool) -> tuple[Tensor, nn.Module]:
    """The convolution as it is defined: on all edges at once, with torch's own norms."""
    D = conv.conv.out_features
    half = D // 2 if norm.startswith("ibn") else 0
    two = norm.endswith("2")
    batch: nn.Module = nn.LayerNorm(D) if norm == "ln" else (nn.BatchNorm2d if two else nn.BatchNorm1d)(D - half)
    batch.load_state_dict(conv.norm.state_dict())
    batch.train(training)

    def normed(x: Tensor) -> Tensor:  # (B, D, ...)
        if norm == "ln":
            return batch(x.mT).mT
        parts = [batch(x[:, half:])]
        if conv.instance_norm is not None:
            own = conv.instance_norm
            flat = F.instance_norm(x[:, :half].flatten(2), weight=own.weight, bias=own.bias)
            parts.insert(0, flat.view_as(x[:, :half]))
        return torch.cat(parts, 1)

    edges = gather(h, index)
    e = conv.conv(torch.cat([edges - h[:, :, None], h[:, :, None].expand_as(edges)], -1)).permute(0, 3, 1, 2)
    e = normed(e) if two else e
    top, mean = e.amax(-1), e.mean(-1)
    found = top if conv.mix is None else torch.sigmoid(conv.mix) * top + (1 - torch.sigmoid(conv.mix)) * mean
    return F.leaky_relu(found if two else normed(found), 0.2).mT, batch


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("mix", [True, False], ids=["mix", "maximum"])
@pytest.mark.parametrize("norm", EDGE_NORMS)
def test_an_edge_convolution_is_what_it_is_defined_as(norm: str, mix: bool, training: bool):
    torch.manual_seed(0)
    conv = EdgeConv(5, 8, 4, norm=norm, mix=mix).train(training)
    with torch.no_grad():
        conv.norm.weight.mul_(torch.tensor([1.0, -1.0] * 4)[: len(conv.norm.weight)])  # pyright: ignore
        if mix:
            conv.mix.fill_(0.7)  # pyright: ignore
        if norm != "ln":
            conv.norm.running_mean.normal_()  # pyright: ignore
            conv.norm.running_var.uniform_(0.5, 2)  # pyright: ignore
    h = (10 + torch.randn(3, 20, 5)).requires_grad_()  # far from the origin, where squares lose digits
    index = k_nearest(h, 4)
    literal, batch = literal_edges(conv, norm, h, index, training)
    probe = torch.randn_like(literal)
    expected = torch.autograd.grad((literal * probe).sum(), [h, *conv.parameters()], allow_unused=True)
    found = conv(h)
    gradients = torch.autograd.grad((found * probe).sum(), [h, *conv.parameters()], allow_unused=True)
    torch.testing.assert_close(found, literal, atol=2e-4, rtol=2e-4)
    for one, other in zip(gradients[:2], expected[:2], strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=2e-3)
    for name, value in batch.state_dict().items():
        if name.startswith(("running", "num")):
            torch.testing.assert_close(conv.norm.state_dict()[name], value, atol=1e-4, rtol=1e-4)


def test_a_group_is_what_it_is_defined_as():
    torch.manual_seed(0)
    mlp = GroupedMlp(5, (48, 8), radius=0.4, samples=3, gating=True)
    xyz, h, centres, index = torch.randn(2, 9, 3), torch.randn(2, 9, 5), torch.randn(2, 4, 3), torch.randint(0, 9, (2, 4, 3))
    x = torch.cat([gather(xyz, index) - centres[:, :, None], gather(h, index)], -1)
    first, gate = nn.BatchNorm2d(48), mlp.gates[0]
    x = F.linear(x, mlp.convs[0].weight)  # pyright: ignore
    first.load_state_dict(mlp.norms[0].state_dict())
    x = first(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert isinstance(gate, Gate) and gate.squeeze.out_features == 2
    x = x * torch.sigmoid(gate.expand(F.silu(gate.squeeze(x))))
    last = nn.BatchNorm2d(8)
    last.load_state_dict(mlp.norms[1].state_dict())
    x = F.relu(last(F.linear(x, mlp.convs[1].weight).permute(0, 3, 1, 2))).amax(-1).mT  # pyright: ignore
    torch.testing.assert_close(mlp(xyz, h, centres, index), x, atol=1e-4, rtol=1e-4)
    blind = GroupedMlp(5, (4,), radius=0.4, samples=3, with_xyz=False)
    torch.testing.assert_close(blind(xyz, h, centres, index), blind(xyz + 3, h, centres, index))


@pytest.mark.parametrize("name", POINT_NETWORKS)
def test_every_network_trains_all_its_parameters(name: str):
    torch.manual_seed(0)
    model = build_point_model(PointModelConfig(network=name, ognet=TINY, linear_dim=16), 5)
    points = 520 if name.startswith("pointnet2") else 60
    outputs = model(people(B=2, N=points))
    assert [logits.shape for logits in outputs.logits] == [(2, 5)]
    assert outputs.embedding.shape == (2, model.embedding_dim) and outputs.feature.shape == (2, model.feature_dim)
    (outputs.logits[0].square().sum() + outputs.embedding.square().sum()).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(
    "change",
    [
        {"cluster": "allxyzrgb"}, {"cluster": "xyz"}, {"norm": "ibn"}, {"norm": "ln"}, {"mix": False}, {"gating": True},
        {"stride": 3}, {"id_skip": 1}, {"id_skip": 2}, {"num_conv": 2}, {"ball_gates": False}, {"ball_xyz": False}, {"k": 6},
        {"init_points": 20},
    ],
    ids=str,
)  # fmt: skip
def test_every_option_of_ognet_acts(change: dict):
    def embedding(options: OGNetOptions) -> Tensor:
        torch.manual_seed(0)
        model = build_point_model(PointModelConfig(ognet=options, linear_dim=8, dropout=0.0))
        with torch.no_grad():
            return model(people()).embedding

    assert not torch.allclose(embedding(replace(TINY, **change)), embedding(TINY))


def test_residual_options_act():
    base = replace(TINY, id_skip=2)

    def embedding(options: OGNetOptions) -> Tensor:
        torch.manual_seed(0)
        return build_point_model(PointModelConfig(ognet=options, dropout=0.0))(people()).embedding

    assert not torch.allclose(embedding(base), embedding(replace(base, res_scale=0.5)))
    assert not torch.allclose(embedding(base), embedding(replace(base, drop_connect=0.9)))


def test_parts_have_vectors_and_classifiers_of_their_own():
    model = build_point_model(PointModelConfig(ognet=TINY, parts=3, linear_dim=8, dropout=0.0), 5)
    outputs = model(people())
    assert len(outputs.logits) == 4 and model.embedding_dim == 32 == outputs.embedding.shape[1]
    unit = model.normalise_embedding(outputs.embedding).view(3, 4, 8).norm(dim=-1)
    torch.testing.assert_close(unit, torch.full((3, 4), 0.5))


def test_inputs_choose_what_is_known_of_a_point():
    x = people()
    grey, moved = x.clone(), x.clone()
    grey[..., 3:] = 0
    moved[..., :3] *= 1.5

    def embedding(inputs: str, points: Tensor) -> Tensor:
        torch.manual_seed(0)
        with torch.no_grad():
            return build_point_model(PointModelConfig(ognet=TINY, inputs=inputs)).eval()(points).embedding

    assert torch.equal(embedding("xyz", x), embedding("xyz", grey)) and not torch.equal(
        embedding("xyz", x), embedding("xyz", moved)
    )
    assert not torch.equal(embedding("rgb", x), embedding("rgb", grey))
    assert not torch.equal(embedding("xyzrgb", x), embedding("xyzrgb", grey))


def test_pair_losses_see_the_dropped_out_embedding_as_published():
    def model(**options) -> nn.Module:
        torch.manual_seed(0)
        return build_point_model(PointModelConfig(ognet=TINY, dropout=0.7, **options))

    assert (model()(people()).embedding == 0).float().mean() > 0.5
    assert (model(metric_before_dropout=True)(people()).embedding == 0).float().mean() == 0


@pytest.mark.parametrize("name", ["ognet", "dgcnn", "pointnet2-ssg"])
def test_a_forward_pass_in_bf16_trains_too(name: str):
    torch.manual_seed(0)
    model = build_point_model(PointModelConfig(network=name, ognet=replace(TINY, cluster="allxyzrgb"), dropout=0.0), 5)
    x = people(B=2, N=520 if name.startswith("pointnet2") else 60)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(x)
    (outputs.logits[0].float().square().sum() + outputs.embedding.float().square().sum()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)
    assert F.cosine_similarity(outputs.feature.float(), model(x).feature).min() > 0.97


def test_a_search_copy_is_the_network_without_classifier():
    model = build_point_model(PointModelConfig(ognet=TINY), 5)
    model(people())
    searching = model.without_classifier()
    assert searching(people()).logits == () and torch.equal(searching(people()).embedding, model.eval()(people()).embedding)
    build_point_model(PointModelConfig(ognet=TINY)).load_state_dict(searching.state_dict())


def test_a_batch_gives_what_its_clouds_give_alone():
    model = build_point_model(PointModelConfig(ognet=TINY)).eval()
    alone = torch.cat([model(cloud[None]).embedding for cloud in people()])
    torch.testing.assert_close(model(people()).embedding, alone)


def test_a_description_is_plain_and_makes_the_same_network():
    config = PointModelConfig(ognet=DEEP, inputs="xyz", parts=2)
    assert PointModelConfig(**json.loads(json.dumps(plain(config)))) == config


def test_colours_do_not_move_a_graph_in_space():
    torch.manual_seed(0)
    trunk = OGNet(3, replace(TINY, cluster="xyz")).eval()
    x = people()
    with torch.no_grad():
        places = [trunk(x[..., :3].contiguous(), colour)[0] for colour in (x[..., 3:], torch.zeros(3, 60, 3))]
    assert np.array_equal(*places)


def test_the_last_layer_needs_as_many_points_as_neighbours():
    four = OGNetOptions(init_points=96)  # 96, 48, 24
    four.check_neighbours()
    replace(four, init_points=80).check_neighbours()
    with pytest.raises(UsageError, match="--init-points 80 or more"):
        replace(four, init_points=79).check_neighbours()
    OGNetOptions((8,), k=20, init_points=4).check_neighbours()  # a single layer sees the whole cloud
    OGNetOptions((8, 16, 16), k=20, init_points=40).check_neighbours()  # reduced to 40 and 20
    few = OGNetOptions((8, 16, 16), k=20, init_points=39)
    with pytest.raises(UsageError, match="the last layer 19 points, of which each needs k 20"):
        few.check_neighbours()
    build_point_model(PointModelConfig(network="dgcnn", ognet=OGNetOptions(k=300)))  # which reduces nothing


REFUSED = {
    "k is 0: it is 1 or more.": lambda: OGNetOptions(k=0),
    "feature_dims are []: give one width of 2 or more a layer.": lambda: OGNetOptions(feature_dims=()),
    'no cluster "zzz".': lambda: OGNetOptions(cluster="zzz"),
    'no norm "gn" of edges.': lambda: OGNetOptions(norm="gn"),
    'no norm "in" of edges.': lambda: EdgeConv(3, 4, 2, norm="in"),
    "id_skip is 3: 0 is no shortcut": lambda: OGNetOptions(id_skip=3),
    "drop_connect is 1: it is a probability": lambda: OGNetOptions(id_skip=1, drop_connect=1),
    "but they act only with id_skip 1 or 2.": lambda: OGNetOptions(res_scale=0.5),
    "init_points 4 divided by 2 at every reduction leaves no point.": lambda: OGNetOptions(init_points=4),
    "init_points 64 and stride 2 leave the last layer 16 points, of which each needs k 20 neighbours. Give --init-points 80 "
    "or more, or --k 16 or less.": lambda: build_point_model(PointModelConfig(ognet=OGNetOptions(init_points=64))),
    'no option "kk" of OG-Net. Did you mean "k"?': lambda: PointModelConfig(ognet={"kk": 3}),  # pyright: ignore
    'no network of points "ogn". Did you mean "ognet"?': lambda: PointModelConfig(network="ogn"),
    'no inputs "colour".': lambda: PointModelConfig(inputs="colour"),
    "dropout is 1: it is a probability": lambda: PointModelConfig(dropout=1),
    "linear_dim is 0 and parts 1: both are 1 or more.": lambda: PointModelConfig(linear_dim=0),
    "parts is 2, but only ognet": lambda: PointModelConfig(network="dgcnn", parts=2),
    "num_classes is -1": lambda: build_point_model(PointModelConfig(), -1),
    "parts is 100, but the network ends with 96 points": lambda: build_point_model(PointModelConfig(parts=100)),
    "20 nearest neighbours of 10 points": lambda: build_point_model(PointModelConfig())(people(N=10)),
    "768 of 60 points cannot be sampled": lambda: build_point_model(PointModelConfig())(people(N=60)),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused(text: str):
    with pytest.raises(UsageError) as raised:
        REFUSED[text]()
    assert text in str(raised.value)

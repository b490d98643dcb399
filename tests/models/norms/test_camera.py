"""Camera-wise batch norm against the slow form: a separate forward pass of the plain network for each camera."""

import copy
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from passerby.errors import ArtefactError, UsageError
from passerby.models import ModelConfig, build_model
from passerby.models.norms.camera import (
    CameraBatchNorm,
    CameraGroups,
    blended,
    fed,
    normalised_by_camera,
    observed,
    survivors,
)
from passerby.models.norms.replacing import camera_norms, use_camera_norms
from passerby.models.norms.statistics import CameraStatistics, Observations, drift

SIX = torch.tensor([3, 0, 5, 1, 3, 2, 0, 4, 5, 1, 2, 4, 4, 3, 0])


def small_network(**options):
    """Convolution, BN2d with momentum, BN1d with the cumulative average; in doubles."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, **options), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 4, 5),
        nn.BatchNorm1d(5, momentum=None),
    ).double()  # fmt: skip
    nn.init.normal_(layers[1].weight, 1, 0.1)
    return layers


def images(count=15, seed=1):
    return torch.randn(count, 3, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_loop(network, x, cameras):
    """The reference: cameras in ascending order, one forward pass each, outputs put back into the batch's order."""
    found = torch.empty(len(x), 5, dtype=x.dtype)
    parts = []
    for camera in cameras.unique():
        (rows,) = torch.where(cameras == camera)
        parts.append((rows, network(x[rows])))
    return found.index_put((torch.cat([rows for rows, _ in parts]),), torch.cat([out for _, out in parts]))


@pytest.mark.parametrize("cameras", [SIX, SIX.sort().values, torch.zeros(15, dtype=torch.int64)])
@pytest.mark.parametrize("last", [False, True])
def test_one_grouped_pass_equals_the_loop_of_separate_passes(cameras, last):
    slow = small_network()
    quick = use_camera_norms(copy.deepcopy(slow), camera_trained=True)
    x = images()
    weights = torch.randn(15, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    inputs = [x.clone().contiguous(memory_format=torch.channels_last if last else torch.contiguous_format) for _ in range(2)]
    outputs = []
    for network, seen in zip((slow, quick), inputs, strict=True):
        seen.requires_grad_()
        if network is slow:
            found = by_loop(network, seen, cameras)
        else:
            with normalised_by_camera(cameras):
                found = network(seen)
        (found * weights).sum().backward()
        outputs.append(found)
    torch.testing.assert_close(outputs[1], outputs[0], atol=1e-6, rtol=0)  # torch keeps the statistics of a batch in fp32 here
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad, atol=1e-6, rtol=0)
    for (name, wanted), found in zip(slow.named_parameters(), quick.parameters(), strict=True):
        torch.testing.assert_close(found.grad, wanted.grad, atol=1e-5, rtol=1e-5, msg=name)
    for (name, wanted), found in zip(slow.named_buffers(), quick.buffers(), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6, msg=name)


def test_gradients_by_differences():
    norm = CameraBatchNorm(3).double().train()
    cameras = torch.tensor([1, 0, 1, 0, 0])

    def function(x, weight, bias):
        with normalised_by_camera(cameras):
            return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, x).sin()

    x = torch.randn(5, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    bias = torch.tensor([0.0, 0.5, -1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (x, weight, bias), atol=1e-4)


def test_frozen_and_absent_affine_parameters():
    for affine in (True, False):
        slow = nn.BatchNorm1d(4, affine=affine)
        if affine:
            slow.bias.requires_grad_(False)
        quick = use_camera_norms(nn.Sequential(copy.deepcopy(slow)), camera_trained=True)
        cameras, x = torch.tensor([0, 0, 1, 1, 1]), torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
        with normalised_by_camera(cameras):
            found = quick(x)
        torch.testing.assert_close(found, torch.cat([slow(x[:2]), slow(x[2:])]))
        if affine:
            found.square().sum().backward()
            assert quick[0].weight.grad is not None and quick[0].bias.grad is None


@settings(max_examples=25, deadline=None)
@given(cameras=st.lists(st.integers(0, 4), min_size=2, max_size=12), seed=st.integers(0, 99))
def test_the_order_of_the_images_changes_nothing(cameras, seed):
    numbers = torch.tensor(cameras)
    kept = survivors(numbers)
    x = torch.randn(len(cameras), 3, generator=torch.Generator().manual_seed(seed))[kept]
    if not len(kept):
        return
    norm = CameraBatchNorm(3).train()
    shuffled = torch.randperm(len(kept), generator=torch.Generator().manual_seed(seed))
    with normalised_by_camera(numbers[kept]):
        found = norm(x)
    with normalised_by_camera(numbers[kept][shuffled]):
        again = norm(x[shuffled])
    torch.testing.assert_close(again, found[shuffled])


def test_two_images_of_a_camera_become_plus_and_minus_gamma():
    norm = CameraBatchNorm(3).train()
    nn.init.uniform_(norm.weight, 0.5, 2)
    with normalised_by_camera([0, 0, 1, 1]):
        found = norm(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)) * 10)
    torch.testing.assert_close(found.abs(), norm.weight.expand(4, 3), atol=1e-3, rtol=0)
    torch.testing.assert_close(found[0], -found[1])


def test_a_camera_with_one_image_is_left_out_before_the_norm():
    assert survivors(torch.tensor([7, 2, 2, 9, 7])).tolist() == [1, 2, 0, 4]
    with pytest.raises(UsageError, match=r"camera 9 has a single image among the 5 of the batch.*survivors"):
        CameraGroups.of([7, 2, 2, 9, 7])


def test_a_colour_change_of_one_camera_leaves_the_first_norm_as_it_was():
    """x -> a x + b_channel for one camera: seen away from the padded border, as the padding is not changed with it."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)).train()
    camera_wise = use_camera_norms(copy.deepcopy(plain), camera_trained=True)
    x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    cameras, changed = torch.tensor([0, 0, 0, 1, 1, 1]), x.clone()
    changed[3:] = 1.7 * changed[3:] + torch.tensor([0.4, -0.2, 0.9])[:, None, None]
    # Valid convolutions see no border; the statistics then follow the change exactly.
    for network in (plain, camera_wise):
        network[0].padding = (0, 0)
    with normalised_by_camera(cameras):
        before, after = camera_wise(x), camera_wise(changed)
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)
    assert (plain(changed) - plain(x)).abs().max() > 0.3


@pytest.mark.parametrize("batches", [1, 3])
def test_the_cumulative_estimate_is_what_torch_leaves_in_its_buffers(batches):
    reference = small_network(momentum=None)
    model = use_camera_norms(copy.deepcopy(reference), camera_trained=True).eval()
    reference.train()
    seen = Observations()
    for number in range(batches):
        x = images(5, seed=number)
        reference(x)
        with torch.no_grad(), observed(seen):
            model(x)
    found = seen.estimate("cumulative")
    for layer in ("1", "5"):
        norm = reference.get_submodule(layer)
        torch.testing.assert_close(found[layer][0].double(), norm.running_mean, atol=1e-6, rtol=0)
        torch.testing.assert_close(found[layer][1].double(), norm.running_var, atol=1e-6, rtol=1e-5)
    assert model[1].num_batches_tracked == 0 and len(seen) == batches


def test_the_pooled_estimate_is_that_of_all_values_together():
    x = torch.randn(17, 3, 4, 2, generator=torch.Generator().manual_seed(0)) * 3 + torch.arange(17)[:, None, None, None]
    norm = CameraBatchNorm(3).eval()
    seen = Observations()
    for part in x.split([2, 10, 5]):
        with observed(seen):
            norm(part)
    mean, variance = seen.estimate("pooled")[""]
    values = x.transpose(0, 1).flatten(1)
    torch.testing.assert_close(mean, values.mean(1))
    torch.testing.assert_close(variance, values.var(1))
    lower = seen.estimate("cumulative")[""][1]
    assert (lower < variance).all()  # the spread between batches is missing in it
    assert len(seen.part(slice(1, None))) == 2


def two_cameras():
    found = {}
    for name, shift in (("lobby", 0.0), ("gate", 2.0)):
        seen = Observations()
        with observed(seen):
            use_camera_norms(small_network(), camera_trained=True).eval()(images(9, seed=3) + shift)
        found[name] = seen.estimate()
    return CameraStatistics.of(found)


def test_a_batch_of_several_cameras_is_fed_by_row():
    model = use_camera_norms(small_network(), camera_trained=True).eval()
    statistics, x = two_cameras(), images(4)
    before = copy.deepcopy(model.state_dict())
    with fed(statistics, statistics.rows(["gate", "lobby", "gate", "gate"])):
        together = model(x)
    with fed(statistics, statistics.rows(["gate"] * 4)):
        gate = model(x)
    with fed(statistics, statistics.rows(["lobby"] * 4)):
        lobby = model(x)
    torch.testing.assert_close(together, torch.stack([gate[0], lobby[1], gate[2], gate[3]]), atol=1e-5, rtol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    layer_mean, layer_var = statistics.of_layer("1")
    x_after_conv = model[0](x)
    wanted = nn.functional.batch_norm(
        x_after_conv, layer_mean[0].double(), layer_var[0].double(), model[1].weight, model[1].bias, False, 0.0, model[1].eps
    )
    with fed(statistics, [0, 0, 0, 0]):
        torch.testing.assert_close(model[1](x_after_conv), wanted, atol=1e-6, rtol=1e-6)


def test_threads_do_not_see_each_others_cameras():
    model = use_camera_norms(small_network(), camera_trained=True).eval()
    statistics, x, found = two_cameras(), images(4), {}
    with fed(statistics, statistics.rows(["lobby"] * 4)):
        lobby = model(x)

        def other():
            with fed(statistics, statistics.rows(["gate"] * 4)):
                found["gate"] = model(x)
            try:
                model(x)
            except UsageError as error:
                found["error"] = error

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert torch.equal(model(x), lobby)
    assert "without the statistics of a camera" in str(found["error"])
    assert (found["gate"] - lobby).abs().max() > 0.1


def test_without_cameras_it_is_refused_unless_the_buffers_are_asked_for():
    plain = small_network().eval()
    trained = use_camera_norms(copy.deepcopy(plain), camera_trained=True).eval()
    converted = use_camera_norms(copy.deepcopy(plain), camera_trained=False).eval()
    x = images(4)
    with pytest.raises(UsageError, match=r"without the statistics of a camera, which costs 10 points and more.*passerby adapt"):
        trained(x)
    with blended():
        assert torch.equal(trained(x), plain(x))
    assert torch.equal(converted(x), plain(x))
    with pytest.raises(UsageError, match=r"in training mode without cameras: call it inside normalised_by_camera"):
        converted.train()(x)


def test_cameras_must_be_as_many_as_images():
    model = use_camera_norms(small_network(), camera_trained=True).train()
    with normalised_by_camera([0, 0, 1, 1]), pytest.raises(UsageError, match="given for 4 images, the batch holds 5"):
        model(images(5))
    with fed(two_cameras(), [0, 1]), pytest.raises(UsageError, match="given for 2 images, the batch holds 5"):
        model.eval()(images(5))


@pytest.mark.parametrize("backbone", ["densenet121", "efficientnet_b0", "mobilenet_v2", "resnet50_ibn_a", "osnet_ain_x1_0"])
def test_any_backbone_keeps_its_function_and_its_names(backbone, generator, shaken):
    options = {"backbone": backbone, "image_size": (64, 32), "head": "bnneck"}
    plain = shaken(build_model(ModelConfig(**options), 3)).eval()
    camera_wise = build_model(ModelConfig(**options, norm="camera"), 3).eval()
    assert list(plain.state_dict()) == list(camera_wise.state_dict())
    camera_wise.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 64, 32, generator=generator)
    with blended(), torch.no_grad():
        torch.testing.assert_close(camera_wise(x).embedding, plain(x).embedding)
    assert not any(type(module) in (nn.BatchNorm1d, nn.BatchNorm2d) for module in camera_wise.modules())
    assert "head.norm" in camera_norms(camera_wise)
    assert not camera_wise.head.norm.bias.requires_grad


def test_networks_that_cannot_become_camera_wise():
    with pytest.raises(UsageError, match=r"vit_tiny_patch16_224 has no batch norm that could be made camera-wise: transformers"):
        build_model(ModelConfig("vit_tiny_patch16_224", image_size=(32, 32), head="bnneck", norm="camera"))
    with pytest.raises(UsageError, match=r"Sequential has no batch norm.*folded into its convolutions"):
        use_camera_norms(nn.Sequential(nn.Conv2d(3, 4, 3)), camera_trained=False)
    with pytest.raises(UsageError, match=r"cannot be made camera-wise: 1 \(SyncBatchNorm\)\."):
        use_camera_norms(nn.Sequential(nn.BatchNorm2d(3), nn.SyncBatchNorm(3)), camera_trained=False)
    with pytest.raises(UsageError, match=r'no norm "cam".*camera'):
        ModelConfig(norm="cam")


def test_statistics_are_saved_and_checked(tmp_path):
    model = use_camera_norms(small_network(), camera_trained=True)
    statistics = two_cameras()
    statistics.check(camera_norms(model))
    statistics.save(tmp_path / "cameras.safetensors")
    again = CameraStatistics.read(tmp_path / "cameras.safetensors", statistics.cameras)
    again.check(camera_norms(model))
    assert all(torch.equal(again.means[layer], statistics.means[layer]) for layer in statistics.means)
    assert torch.equal(again.of_camera("gate")["5"][1], statistics.variances["5"][1])
    with pytest.raises(ArtefactError, match=r'hold nothing for the norm "7": they belong to another network'):
        statistics.of_layer("7")
    with pytest.raises(ArtefactError, match=r"means of 2 cameras do not fit the network: 5 is unknown\."):
        statistics.check({"1": model[1]})
    with pytest.raises(ArtefactError, match=r"do not fit the network: 5 is \(2, 5\), not \(2, 4\)\."):
        statistics.check({"1": model[1], "5": model[1]})
    statistics.variances["1"][0, 0] = -1
    with pytest.raises(ArtefactError, match="1 holds a number that is no variance"):
        statistics.check(camera_norms(model))
    (tmp_path / "cameras.safetensors").write_bytes(b"no")
    with pytest.raises(ArtefactError, match="holds no readable camera statistics"):
        CameraStatistics.read(tmp_path / "cameras.safetensors", statistics.cameras)


def test_wrong_questions_to_statistics():
    with pytest.raises(
        UsageError, match=r'no statistics of camera "loby". Did you mean "lobby"\?.*passerby adapt MODEL --camera'
    ):
        two_cameras().rows(["gate", "loby"])
    with pytest.raises(UsageError, match=r'no estimator "pool". Did you mean "pooled"'):
        Observations().estimate("pool")
    with pytest.raises(UsageError, match="no batch of it was seen"):
        Observations().estimate()
    with pytest.raises(UsageError, match="statistics of no camera"):
        CameraStatistics.of({})


def test_drift_is_nought_for_equal_and_one_for_a_standard_deviation():
    one = {"a": (torch.zeros(3), torch.ones(3)), "b": (torch.zeros(2), torch.full((2,), 4.0))}
    moved = {"a": (torch.ones(3), torch.ones(3)), "b": (torch.full((2,), 2.0), torch.full((2,), 4.0))}
    assert drift(one, one) == 0
    assert drift(one, moved) == pytest.approx(1, abs=1e-4)
    assert drift(moved, one) == drift(one, moved)

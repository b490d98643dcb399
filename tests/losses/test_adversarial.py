"""The opposite-direction attack: what it may change, and that it turns features round."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.losses import evaluating, odfa
from passerby.transforms import Preprocess, normalise

PREPROCESS = Preprocess(size=(16, 8))


def make_network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, 16, 3), nn.Flatten()]
    return nn.Sequential(*layers, nn.LazyLinear(12))


def make_images() -> torch.Tensor:
    return normalise(
        torch.randint(0, 256, (3, 3, 16, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)), PREPROCESS
    )


def slow_odfa(network, images, rate=16):
    """The specification, step by step: 20 sign steps, the sum clipped to +-16, 1 / (0.226 * 255) a step, valid pixels."""
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    target = -F.normalize(network(images)).detach()
    total, x = torch.zeros_like(images), images.clone()
    for _ in range(20):
        x = x.detach().requires_grad_()
        F.mse_loss(F.normalize(network(x)), target).backward()
        total = torch.clamp(total + x.grad.sign(), -rate, rate)
        x = images - total / (0.226 * 255)
        x = torch.max(torch.min(x, (1 - mean) / std), -mean / std)
    return x.detach()


def test_odfa_follows_its_specification():
    network, images = make_network().eval(), make_images()
    torch.testing.assert_close(odfa(network, images, PREPROCESS), slow_odfa(network, images), rtol=0, atol=1e-6)


def test_features_turn_round_and_pixels_stay_valid_and_near():
    network, images = make_network().eval(), make_images()
    found = odfa(network, images, PREPROCESS)
    noise = 16 / (255 * 0.226) * torch.randn(images.shape, generator=torch.Generator().manual_seed(2)).sign()
    before, attacked, noisy = (F.normalize(network(x)) for x in (images, found, images + noise))
    assert ((before * noisy).sum(dim=1) > 0.9).all()
    assert ((before * attacked).sum(dim=1) < 0.7).all()
    assert not found.requires_grad
    std, mean = torch.tensor(PREPROCESS.std).view(3, 1, 1), torch.tensor(PREPROCESS.mean).view(3, 1, 1)
    pixels = 255 * (found * std + mean)
    assert pixels.min() > -1e-3
    assert pixels.max() < 255 + 1e-3
    levels = (found - images).abs() * 255 * 0.226
    assert levels.max() < 16 + 1e-3


@pytest.mark.parametrize(("rate", "steps"), [(16, 20), (4, 5), (1, 1), (40, 44)])
def test_the_number_of_steps_follows_from_the_rate(rate, steps):
    calls = []

    def embed(x):
        calls.append(1)
        return x.flatten(1)

    odfa(embed, make_images(), PREPROCESS, rate=rate)
    assert len(calls) == steps + 1


def test_the_network_is_left_as_it_was():
    network = make_network()
    network(make_images())
    network[2].eval()  # a part that is frozen on purpose
    modes = [module.training for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    with evaluating(network) as resting:
        assert not any(module.training for module in resting.modules())
        odfa(resting, make_images(), PREPROCESS)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_it_also_works_where_gradients_are_off():
    network = make_network().eval()
    with torch.no_grad():
        found = odfa(network, make_images(), PREPROCESS)
    torch.testing.assert_close(found, odfa(network, make_images(), PREPROCESS))


def test_a_rate_below_one_is_refused():
    with pytest.raises(UsageError) as error:
        odfa(lambda x: x, make_images(), PREPROCESS, rate=0)
    assert str(error.value) == "rate is 0: the attack changes pixels by at least 1 grey level."

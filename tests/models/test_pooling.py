import pytest
import torch

from passerby.errors import UsageError
from passerby.models.pooling import POOLS, Pooling


def by_hand(kind, x, p=3.0):
    rows = []
    for image in x:
        average = [channel.sum() / channel.numel() for channel in image]
        largest = [max(channel.flatten()) for channel in image]
        mean = [((channel.clamp(min=1e-6) ** p).sum() / channel.numel()) ** (1 / p) for channel in image]
        rows.append({"avg": average, "max": largest, "avg+max": average + largest, "gem": mean}[kind])
    return torch.tensor(rows)


def test_the_first_token_is_the_class_token():
    tokens = torch.arange(12.0).reshape(1, 3, 4, 1)  # four tokens of three numbers
    assert Pooling("token")(tokens).tolist() == [[0.0, 4.0, 8.0]]


@pytest.mark.parametrize("kind", [kind for kind in POOLS if kind != "token"])
def test_each_kind_against_loops(kind, generator):
    x = torch.randn(2, 3, 4, 2, generator=generator)
    pool = Pooling(kind)
    found = pool(x)
    assert found.shape == (2, pool.width(3))
    torch.testing.assert_close(found, by_hand(kind, x))


def test_gem_lies_between_the_mean_and_the_maximum_and_its_exponent_learns(generator):
    x = torch.rand(5, 4, 6, 3, generator=generator)
    pool = Pooling("gem")
    found = pool(x)
    assert (found >= x.mean((2, 3)) - 1e-6).all()
    assert (found <= x.amax((2, 3)) + 1e-6).all()
    found.sum().backward()
    assert pool.p.grad != 0


def test_gem_does_not_overflow_in_half_precision():
    x = torch.full((1, 1, 2, 2), 300.0, dtype=torch.float16)
    found = Pooling("gem")(x)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), torch.tensor([[300.0]]), rtol=1e-2, atol=0)


def test_vectors_of_several_maps_stand_one_behind_the_other(generator):
    first, second = torch.randn(2, 3, 4, 2, generator=generator), torch.randn(2, 5, 2, 1, generator=generator)
    found = Pooling("max")(first, second)
    assert torch.equal(found, torch.cat([first.amax((2, 3)), second.amax((2, 3))], dim=1))


def test_an_unknown_kind_is_refused():
    with pytest.raises(UsageError) as error:
        Pooling("gen")
    assert str(error.value) == 'no pooling "gen". Did you mean "gem"? Allowed: avg, max, avg+max, gem, token.'

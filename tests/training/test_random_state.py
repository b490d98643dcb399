import random

import numpy as np
import pytest
import torch

from passerby.training import random_state


def draw():
    return random.random(), random.gauss(0, 1), float(np.random.randn()), float(np.random.rand()), float(torch.randn(()))


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_restored_state_draws_the_same_numbers(tmp_path, before):
    """Gaussian draws come in pairs, of which the second is part of the state."""
    for _ in range(before):
        random.gauss(0, 1), np.random.randn()
    torch.save(random_state.capture(), tmp_path / "state.pt")
    first = draw(), draw()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    random_state.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    assert (draw(), draw()) == first


def test_what_is_drawn_inside_leaves_no_trace_even_after_an_error():
    state = random_state.capture()
    expected = draw()
    random_state.restore(state)
    with pytest.raises(ZeroDivisionError), random_state.preserved():
        draw()
        raise ZeroDivisionError
    assert draw() == expected


def test_another_generator_kind_is_an_error(monkeypatch):
    monkeypatch.setattr(np.random, "get_state", lambda legacy: ("PCG64", np.zeros(1), 0, 0, 0.0))
    with pytest.raises(NotImplementedError, match="NumPy's global generator is PCG64"):
        random_state.capture()

import math

import pytest
import torch
from torch import nn

from passerby.errors import UsageError
from passerby.training.schedules import Constant, Cosine, LossWarmUp, LrSchedule, MultiStep, Step, WarmUp


def torch_rates(make, epochs):
    """The rates of torch's own scheduler, stepped once after each epoch."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.05)
    scheduler = make(optimizer)
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (Step(8), lambda o: torch.optim.lr_scheduler.StepLR(o, 8)),
        (MultiStep((3, 5, 9), gamma=0.5), lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [3, 5, 9], gamma=0.5)),
        (Cosine(12), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 12, eta_min=0.0005)),
        (Constant(), lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1)),
    ],
)
def test_factors_are_those_of_torchs_schedulers_stepped_once_an_epoch(schedule, make):
    assert [0.05 * schedule(epoch) for epoch in range(12)] == pytest.approx(torch_rates(make, 12), rel=1e-9)


def test_decays_change_between_epochs_only():
    for schedule in (Step(2), MultiStep((2,)), Cosine(4)):
        assert schedule(1.99) == schedule(1)
        assert schedule(2) < schedule(1.99)
    assert Cosine(4, per_step=True)(1.99) < Cosine(4, per_step=True)(1)


def test_the_published_decay_falls_after_two_thirds_or_one_epoch_earlier_in_its_first_version():
    assert next(e for e in range(60) if Step(2 * 60 // 3)(e) < 1) == 40
    assert next(e for e in range(60) if MultiStep((39,))(e) < 1) == 39


def test_cosine_ends_at_its_floor_and_stays():
    assert Cosine(10, floor=0.01)(10) == pytest.approx(0.01)
    assert Cosine(10, floor=0.01)(25) == pytest.approx(0.01)
    assert Cosine(10, floor=0.01)(5) == pytest.approx(0.01 + 0.99 / 2)


def test_warm_up_rises_every_step_and_hands_over():
    warm = WarmUp(5, then=Step(10), start=0.01)
    assert warm(0) == pytest.approx(0.01)
    assert warm(2.5) == pytest.approx(0.505)
    assert warm(5) == 1
    assert warm(12) == pytest.approx(0.1)
    assert WarmUp(0)(0) == 1


def test_loss_warm_up_follows_the_published_recurrence():
    steps, factor = 2020, 0.1
    warm = LossWarmUp(steps)
    for step in range(steps):
        factor = min(1.0, factor + 0.9 / steps)
        assert warm(step) == pytest.approx(factor, abs=1e-9)
    assert warm(steps) == 1


def test_loss_warm_up_can_end_before_it_has_risen_as_published():
    warm = LossWarmUp(10, until=9)
    assert warm(8) == pytest.approx(0.91)
    assert warm(9) == 1
    assert LossWarmUp(0)(0) == 1


def test_loss_warm_up_of_no_published_steps_rises_over_the_batches_that_there_are():
    warm = LossWarmUp(0, until=9)  # a sampler repeats fewer images than half a batch
    assert [round(warm(step), 9) for step in (0, 4, 8, 9)] == [0.2, 0.6, 1, 1]


def test_every_group_keeps_its_own_initial_rate():
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD(
        [{"params": parameters[:1], "lr": 0.005, "name": "backbone"}, {"params": parameters[1:], "lr": 0.05}]
    )
    schedule = LrSchedule(optimizer, Step(1))
    schedule.apply(1.5)
    assert schedule.rates() == {"lr_backbone": pytest.approx(0.0005), "lr_1": pytest.approx(0.005)}
    schedule.apply(0)
    assert schedule.rates() == {"lr_backbone": pytest.approx(0.005), "lr_1": pytest.approx(0.05)}


def test_position_of_the_first_step_of_an_epoch_is_exact():
    """Epoch borders are found by division: no rounding may put a step into the epoch before it."""
    for length in (1, 3, 7, 404, 999_983):
        for epoch in (1, 59, 997):
            assert math.floor(epoch * length / length) == epoch
            assert math.floor((epoch * length - 1) / length) == epoch - 1


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Step(0), "the number of epochs between two decays is 0: allowed is 1 or more."),
        (lambda: MultiStep((5, 3)), r"the list of decay epochs is \(5, 3\): allowed is ascending epoch numbers from 0."),
        (lambda: Cosine(0), "the length of the cosine is 0: allowed is 1 epoch or more."),
        (lambda: Cosine(3, floor=2), "the cosine's floor is 2: allowed is 0 to 1, a fraction of the initial rate."),
        (lambda: WarmUp(-1), "the warm-up is -1: allowed is 0 epochs or more."),
        (lambda: WarmUp(1, start=2), "the warm-up's first factor is 2: allowed is 0 to 1."),
        (lambda: LossWarmUp(-1), "the loss warm-up is -1: allowed is 0 steps or more."),
    ],
)
def test_values_out_of_range_are_refused(make, text):
    with pytest.raises(UsageError, match=text):
        make()

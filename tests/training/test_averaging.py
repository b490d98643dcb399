import pytest
import torch
from torch import nn

from passerby.errors import UsageError
from passerby.training.averaging import MovingAverage, WeightAverage, refresh_norms


def network(value=0.0):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


def test_a_moving_average_follows_the_recurrence_and_buffers_follow_the_model():
    model = network(1.0)
    average = MovingAverage(model, decay=0.9)
    average.update(model)
    expected = 1.0
    for value in (3.0, -2.0, 5.0):
        with torch.no_grad():
            model[0].weight.fill_(value)
            model[1].running_mean.fill_(value)
        average.update(model)
        expected = 0.9 * expected + 0.1 * value
    assert average.model[0].weight.flatten().tolist() == pytest.approx([expected] * 4)
    assert average.model[1].running_mean.tolist() == [5.0, 5.0]


def test_the_published_average_keeps_96_percent_of_its_first_snapshot():
    average = WeightAverage(network(), start=0.8, decay=0.996)
    taken = [average.after_epoch(network(1.0 if epoch == 48 else 0.0), epoch, 60) for epoch in range(60)]
    assert sum(taken) == 12 and taken[48] and not taken[47]
    assert average.model[0].bias.tolist() == pytest.approx([0.996**11] * 2)
    assert 0.95 < 0.996**11 < 0.96


def test_without_decay_all_snapshots_weigh_the_same():
    average = WeightAverage(network(), start=0.9, decay=None)
    assert not average.begun
    for epoch, value in zip(range(17, 20), (7.0, 2.0, 4.0), strict=True):
        average.after_epoch(network(value), epoch, 20)
    assert average.begun
    assert average.model[0].weight.flatten().tolist() == pytest.approx([3.0] * 4)


@pytest.mark.parametrize("make", [lambda m: MovingAverage(m, 0.9), lambda m: WeightAverage(m, 0.0)])
def test_saved_averages_go_on(make):
    first, second = make(network(1.0)), make(network(8.0))
    first.update(network(1.0))
    second.load_state_dict(first.state_dict())
    for average in (first, second):
        average.update(network(2.0))
    assert torch.equal(first.model[0].weight, second.model[0].weight)


def test_refreshed_statistics_are_the_mean_over_batches_without_dropout():
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(3, momentum=0.1)
    model = nn.Sequential(nn.Dropout(0.9), norm, nn.Dropout(0.5))
    model.train()
    model[2].eval()
    norm.running_mean.fill_(100.0)
    batches = [torch.randn(16, 3) * scale + scale for scale in (1.0, 2.0, 5.0)]
    assert refresh_norms(model, batches, lambda m, batch: m(batch)) == 3
    assert torch.allclose(norm.running_mean, torch.stack([b.mean(0) for b in batches]).mean(0), atol=1e-6)
    assert torch.allclose(norm.running_var, torch.stack([b.var(0) for b in batches]).mean(0), atol=1e-5)
    assert (model[0].training, norm.training, model[2].training, norm.momentum) == (True, True, False, 0.1)


def test_models_without_batch_norm_read_no_batch():
    assert refresh_norms(nn.Linear(2, 2), iter([1 / 1]), lambda m, b: pytest.fail("no batch is needed")) == 0


def test_a_refresh_that_fails_leaves_the_modes_as_they_were():
    model = network()
    with pytest.raises(ZeroDivisionError):
        refresh_norms(model, [1], lambda m, b: 1 / 0)
    assert model[1].momentum == 0.1 and model[0].training


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: WeightAverage(network(), start=1.5), "weight averaging starts at 1.5 of the epochs: allowed is 0 to 1."),
        (lambda: MovingAverage(network(), decay=1.5), "the decay of an average is 1.5: allowed is 0 to 1."),
        (lambda: refresh_norms(network(), [], lambda m, b: None), "there is no training batch."),
    ],
)
def test_wrong_settings_are_refused(make, text):
    with pytest.raises(UsageError, match=text):
        make()

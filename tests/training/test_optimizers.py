import pytest
import torch
from torch import nn

from passerby.errors import TrainingError, UsageError
from passerby.training.optimizers import check_ownership, make_optimizer, parameter_groups


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)


def test_the_backbone_learns_at_a_tenth_of_the_heads_rate():
    model = Toy()
    groups = {group["name"]: group for group in parameter_groups(model, 0.05)}
    assert groups["backbone"]["lr"] == pytest.approx(0.005)
    assert groups["head"]["lr"] == 0.05
    assert {group["weight_decay"] for group in groups.values()} == {5e-4}
    assert {id(p) for p in groups["backbone"]["params"]} == {id(p) for p in model.backbone.parameters()}
    assert {id(p) for p in groups["head"]["params"]} == {id(p) for p in model.head.parameters()}


def test_norms_and_biases_can_be_spared_from_decay():
    groups = {group["name"]: group for group in parameter_groups(Toy(), 0.1, decay_all=False, weight_decay=0.3)}
    assert {name: (group["weight_decay"], len(group["params"])) for name, group in groups.items()} == {
        "backbone": (0.3, 1),
        "backbone_no_decay": (0.0, 3),
        "head": (0.3, 1),
        "head_no_decay": (0.0, 1),
    }
    assert groups["backbone_no_decay"]["lr"] == pytest.approx(0.01)


def test_frozen_parameters_are_left_out():
    model = Toy()
    model.backbone.requires_grad_(False)
    assert [group["name"] for group in parameter_groups(model, 0.1)] == ["head"]


def test_class_weights_inside_a_loss_learn_at_the_heads_rate():
    model, loss = Toy(), nn.Linear(4, 7, bias=False)
    groups = {group["name"]: group for group in parameter_groups(model, 0.1, losses=[loss])}
    assert any(p is loss.weight for p in groups["head"]["params"])
    check_ownership({"model": model, "arcface": loss}, {"main": make_optimizer("sgd", list(groups.values()))})


def test_sgd_is_torchs_with_the_published_settings():
    optimizer = make_optimizer("sgd", parameter_groups(Toy(), 0.05))
    assert isinstance(optimizer, torch.optim.SGD)
    assert [(g["momentum"], g["nesterov"], g["weight_decay"]) for g in optimizer.param_groups] == [(0.9, True, 5e-4)] * 2
    assert not make_optimizer("sgd", parameter_groups(Toy(), 0.05), momentum=0).param_groups[0]["nesterov"]


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_adam_and_adamw_keep_the_groups_rates_and_decay(name, kind):
    optimizer = make_optimizer(name, parameter_groups(Toy(), 0.01), amsgrad=True)
    assert type(optimizer) is kind
    assert [(g["name"], g["lr"], g["weight_decay"], g["amsgrad"]) for g in optimizer.param_groups] == [
        ("backbone", pytest.approx(0.001), 5e-4, True),
        ("head", 0.01, 5e-4, True),
    ]


def test_ownership_names_every_trainable_parameter_once():
    model = Toy()
    report = check_ownership({"model": model}, {"main": make_optimizer("sgd", parameter_groups(model, 0.05))})
    assert sorted(row.parameter for row in report.rows) == sorted(f"model.{name}" for name, _ in model.named_parameters())
    assert report.totals() == {("main", "backbone"): (4, 3 * 4 * 9 + 4 + 8), ("main", "head"): (2, 10)}


def test_a_shared_parameter_counts_once():
    model = Toy()
    report = check_ownership({"a": model, "b": model}, {"main": make_optimizer("sgd", parameter_groups(model, 0.05))})
    assert len(report.rows) == 6


def test_a_parameter_without_an_optimizer_is_an_error():
    model, forgotten = Toy(), nn.Linear(4, 7, bias=False)
    optimizer = make_optimizer("sgd", parameter_groups(model, 0.05))
    with pytest.raises(
        TrainingError, match=r"1 trainable parameters are in no optimizer and would never learn: arcface\.weight\."
    ):
        check_ownership({"model": model, "arcface": forgotten}, {"main": optimizer})


def test_a_parameter_with_two_optimizers_is_an_error():
    model = Toy()
    both = {"a": make_optimizer("sgd", parameter_groups(model, 0.05)), "b": torch.optim.Adam(model.head.parameters())}
    with pytest.raises(
        TrainingError, match=r"2 parameters are in more than one optimizer or group: model\.head\.weight, model\.head\.bias"
    ):
        check_ownership({"model": model}, both)


def test_a_tensor_of_a_replaced_part_is_an_error():
    model = Toy()
    optimizer = make_optimizer("sgd", parameter_groups(model, 0.05))
    model.head = nn.Linear(4, 9)
    optimizer.add_param_group({"params": list(model.head.parameters())})
    with pytest.raises(TrainingError, match="the optimizers hold 2 tensors that belong to no trained module"):
        check_ownership({"model": model}, {"main": optimizer})


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: parameter_groups(Toy(), 0), "the learning rate is 0: it must be above 0."),
        (lambda: parameter_groups(Toy().requires_grad_(False), 1), "the model has no trainable parameter"),
        (lambda: make_optimizer("agd", []), 'no optimizer "agd". Did you mean "sgd"'),
        (lambda: make_optimizer("sgd", [], amsgrad=True), "amsgrad is a variant of adam and adamw"),
    ],
)
def test_wrong_settings_are_refused(make, text):
    with pytest.raises(UsageError, match=text):
        make()

"""Losses by name: what a recipe writes, what it gets, and what is refused."""

import copy
from pathlib import Path

import pytest
import torch

from passerby.errors import UsageError
from passerby.losses import LOSSES, LossTerm, circle, contrastive, instance, make_losses, triplet_hard

PUBLISHED_PER_BATCH = {"circle", "instance", "instance-id", "arcface", "cosface", "sphere"}


def test_every_loss_of_the_specification_has_its_published_weight():
    assert {name for name, kind in LOSSES.items() if kind.divided_by_batch} == PUBLISHED_PER_BATCH
    assert set(LOSSES) - PUBLISHED_PER_BATCH == {"triplet", "triplet-hard", "contrastive", "lifted"}


def test_who_needs_pairs():
    needy = {name for name, kind in LOSSES.items() if kind.needs_pairs}
    assert needy == {"circle", "triplet", "triplet-hard", "contrastive", "lifted", "instance-id"}
    assert make_losses(["arcface", "circle"], num_classes=10, embedding_dim=6).needs_pairs
    assert not make_losses(["arcface", "instance"], num_classes=10, embedding_dim=6).needs_pairs


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_teaches_the_embeddings_by_name(batch, name):
    losses = make_losses([name], num_classes=10, embedding_dim=6)
    vectors = batch[0].float().requires_grad_()
    found = losses(vectors, batch[1])
    assert list(found) == [name]
    found[name].backward()
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()
    assert vectors.grad.abs().max() > 0
    assert bool(list(losses.parameters())) == LOSSES[name].class_weights
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in losses.parameters())


@pytest.mark.parametrize("name", LOSSES)
def test_no_loss_becomes_nan_on_any_small_batch(name):
    losses = make_losses([name], num_classes=5, embedding_dim=3)
    for labels in ([0], [0, 0], [0, 1], [2, 2, 2], [0, 1, 2, 3], [0, 0, 1, 1]):
        for vectors in (torch.randn(len(labels), 3), torch.zeros(len(labels), 3), torch.ones(len(labels), 3)):
            leaf = vectors.requires_grad_()
            value = losses(leaf, torch.tensor(labels))[name]
            assert value.isfinite()
            (slope,) = torch.autograd.grad(value, leaf)
            assert slope.isfinite().all(), (name, labels)


def test_weights_options_and_the_batch_size(batch):
    vectors, labels = batch
    terms = [
        LossTerm("circle", 0.5, {"margin": 0.4}),
        LossTerm.parse("contrastive:2"),
        LossTerm("instance", options={"gamma": 64.0}, divided_by_batch=False),
        LossTerm("triplet-hard", options={"margin": "soft"}, divided_by_batch=True),
    ]
    found = make_losses(terms, num_classes=10, embedding_dim=6)(vectors, labels)
    B = len(labels)
    torch.testing.assert_close(found["circle"], 0.5 * circle(vectors, labels, margin=0.4) / B)
    torch.testing.assert_close(found["contrastive"], 2 * contrastive(vectors, labels))
    torch.testing.assert_close(found["instance"], instance(vectors, labels, gamma=64.0))
    torch.testing.assert_close(found["triplet-hard"], triplet_hard(vectors, labels, margin="soft") / B)
    assert list(found) == [term.name for term in terms]


def test_no_terms_give_no_losses(batch):
    losses = make_losses([], num_classes=10, embedding_dim=6)
    assert losses(*batch) == {}
    assert not losses.needs_pairs


def test_class_weights_survive_copy_and_state(batch):
    vectors, labels = batch[0].float(), batch[1]
    losses = make_losses(["sphere", "circle", "arcface"], num_classes=10, embedding_dim=6)
    assert len(list(losses.parameters())) == 2
    other = make_losses(["sphere", "circle", "arcface"], num_classes=10, embedding_dim=6)
    other.load_state_dict(losses.state_dict())
    for twin in (other, copy.deepcopy(losses)):
        assert {name: v.item() for name, v in twin(vectors, labels).items()} == {
            name: v.item() for name, v in losses(vectors, labels).items()
        }


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: LossTerm("circel"), 'no loss "circel". Did you mean "circle"? Allowed: '),
        (
            lambda: LossTerm("circle", 0.0),
            "the weight of circle is 0.0: it must be above 0. Leave the loss out to switch it off.",
        ),
        (lambda: LossTerm("circle", float("nan")), "the weight of circle is nan: it must be above 0."),
        (lambda: LossTerm.parse("circle:much"), 'the weight of circle is "much", which is no number. Write it as circle:0.5.'),
        (
            lambda: LossTerm("circle", options={"gama": 1}),
            'circle has no option "gama". Did you mean "gamma"? Allowed: margin, gamma.',
        ),
        (
            lambda: LossTerm("arcface", options={"num_classes": 1}),
            'arcface has no option "num_classes".',
        ),
        (
            lambda: make_losses(["circle", "lifted", "circle:0.1"], num_classes=2, embedding_dim=2),
            "circle is named twice among the losses; give it once, with the weight that you mean.",
        ),
    ],
)
def test_what_is_refused(make, text):
    with pytest.raises(UsageError) as error:
        make()
    assert str(error.value).startswith(text)


def test_the_page_of_losses_names_every_one_with_its_pairs_and_weight():
    page = (Path(__file__).parents[2] / "docs" / "losses.md").read_text(encoding="utf-8")
    lines = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| `")]
    rows = {cells[0].strip(" `"): [cell.strip() for cell in cells] for cells in lines}
    for name, kind in LOSSES.items():
        pairs, per_batch = rows[name][2:4]
        assert (pairs == "yes") == kind.needs_pairs, name
        assert (per_batch == "yes") == kind.divided_by_batch, name

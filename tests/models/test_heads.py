import pytest
import torch
from torch import nn

from passerby.models.heads import Block, BlockHead, BNNeckHead


def maps(generator, channels=8):
    return torch.randn(6, channels, 3, 2, generator=generator)


def test_the_block_in_evaluation_is_linear_norm_and_classifier(shaken, generator):
    head = shaken(BlockHead(8, 4, linear_dim=5)).eval()
    state, x = head.state_dict(), maps(generator)
    feature = x.mean((2, 3))
    reduced = feature @ state["block.reduce.weight"].T + state["block.reduce.bias"]
    normed = (reduced - state["block.norm.running_mean"]) / (state["block.norm.running_var"] + 1e-5).sqrt()
    embedding = normed * state["block.norm.weight"] + state["block.norm.bias"]
    logits = embedding @ state["block.classifier.weight"].T + state["block.classifier.bias"]
    found = head(x)
    torch.testing.assert_close(found.feature, feature)
    torch.testing.assert_close(found.embedding, embedding)
    torch.testing.assert_close(found.logits[0], logits)


def test_the_blocks_weights_start_as_published():
    """Kaiming fan-out: N(0, 2 / 512); BN N(1, 0.02); classifier N(0, 0.001) or N(0, 0.0001); every bias 0."""
    torch.manual_seed(0)
    for std in (1e-3, 1e-4):
        block = Block(2048, 512, 751, classifier_std=std)
        assert block.reduce.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.01)
        assert block.norm.weight.mean().item() == pytest.approx(1, abs=0.005)
        assert block.norm.weight.std().item() == pytest.approx(0.02, rel=0.15)
        assert block.classifier.weight.std().item() == pytest.approx(std, rel=0.01)
        assert not any(bias.any() for bias in (block.reduce.bias, block.norm.bias, block.classifier.bias))


def test_in_training_pair_losses_see_the_embedding_after_dropout_as_published(generator):
    head = BlockHead(8, 4, linear_dim=200, dropout=0.5).train()
    dropped = head(maps(generator)).embedding
    share = (dropped == 0).float().mean().item()
    assert 0.4 < share < 0.6
    head.metric_before_dropout = True
    kept = head(maps(generator)).embedding
    assert (kept != 0).all()
    assert len(BlockHead(8, 4, linear_dim=200, metric_before_dropout=True)(maps(generator)).embedding.unique()) > 1000


def test_the_classifier_reads_what_is_left_after_dropout(generator):
    head = BlockHead(8, 4, linear_dim=16).train()
    found = head(maps(generator))
    torch.testing.assert_close(found.logits[0], head.block.classifier(found.embedding))


@pytest.mark.parametrize("linear_dim", [0, -1])
def test_without_linear_layer_bn_acts_on_the_feature(linear_dim, generator):
    head = BlockHead(8, 4, linear_dim=linear_dim).eval()
    assert head.embedding_dim == 8
    found = head(maps(generator))
    torch.testing.assert_close(found.embedding, head.block.norm(found.feature))


def test_leaky_relu_stands_between_norm_and_dropout(generator):
    head = BlockHead(8, 4, linear_dim=16, leaky_relu=True).eval()
    plain = BlockHead(8, 4, linear_dim=16).eval()
    plain.load_state_dict(head.state_dict())
    x = maps(generator)
    before, after = plain(x).embedding, head(x).embedding
    assert before.min() < 0
    torch.testing.assert_close(after, torch.where(before > 0, before, 0.1 * before))


def test_bnneck_gives_pair_losses_the_feature_and_search_the_neck(shaken, generator):
    head, x = BNNeckHead(8, 4), maps(generator)
    training = head.train()(x)
    assert torch.equal(training.embedding, training.feature)
    evaluation = head.eval()(x)
    torch.testing.assert_close(evaluation.embedding, head.norm(evaluation.feature))
    torch.testing.assert_close(evaluation.logits[0], evaluation.embedding @ head.classifier.weight.T)
    head.search_before_neck = True
    assert torch.equal(head(x).embedding, evaluation.feature)
    assert torch.equal(BNNeckHead(8, 4, search_before_neck=True).eval()(x).embedding, evaluation.feature)


def test_the_bias_of_bnneck_is_zero_and_stays(generator):
    torch.manual_seed(0)
    head = BNNeckHead(2048, 751)
    assert not head.norm.bias.requires_grad
    assert not head.norm.bias.any()
    assert head.classifier.bias is None
    assert head.norm.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert head.classifier.weight.std().item() == pytest.approx(0.001, rel=0.01)


def test_dropout_of_bnneck_stands_before_the_classifier_only(generator):
    head, x = BNNeckHead(8, 4, dropout=0.5).train(), maps(generator)
    assert torch.equal(head(x).embedding, x.mean((2, 3)))
    assert not torch.equal(head(x).logits[0], head(x).logits[0])


@pytest.mark.parametrize("make", [BlockHead, BNNeckHead])
def test_normalised_rows_are_unit_vectors_and_scale_does_not_matter(make, generator):
    head, rows = make(8, 0), torch.randn(4, 8, generator=generator)
    torch.testing.assert_close(head.normalise(rows).norm(dim=1), torch.ones(4))
    torch.testing.assert_close(head.normalise(7 * rows), head.normalise(rows))


@pytest.mark.parametrize("make", [BlockHead, BNNeckHead])
def test_without_classes_there_is_no_classifier(make, generator):
    head = make(8, 0).eval()
    assert head(maps(generator)).logits == ()
    assert not any("classifier" in name for name in head.state_dict())
    full = make(8, 3)
    full.drop_classifier()
    assert full.state_dict().keys() == head.state_dict().keys()


@pytest.mark.parametrize(
    ("make", "frozen"), [(lambda: BlockHead(8, 4, pool="gem", leaky_relu=True), set()), (lambda: BNNeckHead(8, 4), {"norm.bias"})]
)
def test_every_parameter_but_the_frozen_bias_learns(make, frozen, generator):
    head = make()
    nn.functional.cross_entropy(head(maps(generator)).logits[0], torch.tensor([0, 1, 2, 3, 0, 1])).backward()
    assert {name for name, parameter in head.named_parameters() if parameter.grad is None} == frozen

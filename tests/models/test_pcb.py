import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from passerby.models.pcb import PCBHead


def test_stripes_are_averages_of_rows_and_the_vector_runs_channel_by_channel(generator):
    head = PCBHead(5, 3, parts=6).eval()
    x = torch.randn(2, 5, 24, 12, generator=generator)
    found = head(x)
    assert head.embedding_dim == found.embedding.shape[1] == 30
    for channel in range(5):
        for part in range(6):
            expected = x[:, channel, 4 * part : 4 * part + 4].mean((1, 2))
            torch.testing.assert_close(found.embedding[:, channel * 6 + part], expected)
    assert torch.equal(found.feature, found.embedding)


def test_each_stripe_has_a_block_of_its_own(shaken, generator):
    head = shaken(PCBHead(5, 3, linear_dim=4)).eval()
    x = torch.randn(2, 5, 6, 1, generator=generator)
    found = head(x)
    assert [logits.shape for logits in found.logits] == [(2, 3)] * 6
    for part, logits in enumerate(found.logits):
        block = head.blocks[part]
        torch.testing.assert_close(logits, block.classifier(block.norm(block.reduce(x[:, :, part, 0]))))


def test_dropout_falls_on_the_pooled_map_and_in_the_blocks_but_never_on_what_is_searched(generator):
    head = PCBHead(64, 3, linear_dim=32).train()
    x = torch.randn(4, 64, 12, 4, generator=generator)
    expected = F.adaptive_avg_pool2d(x, (6, 1)).flatten(1)
    first, second = head(x), head(x)
    torch.testing.assert_close(first.embedding, expected)
    assert torch.equal(first.embedding, second.embedding)
    assert not torch.equal(first.logits[0], second.logits[0])
    for block in head.blocks:
        block.dropout.p = 0.0
    assert not torch.equal(head(x).logits[0], head(x).logits[0])  # the dropout on the map is left


def test_every_stripe_is_normalised_over_its_channels_and_divided_by_the_root_of_six(generator):
    head = PCBHead(5, 0)
    rows = torch.randn(3, 30, generator=generator)
    found = head.normalise(rows)
    for row in range(3):
        for part in range(6):
            stripe = [rows[row, channel * 6 + part].item() for channel in range(5)]
            length = math.sqrt(sum(number**2 for number in stripe))
            for channel in range(5):
                assert math.isclose(found[row, channel * 6 + part], stripe[channel] / length / math.sqrt(6), rel_tol=1e-5)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))


@settings(max_examples=25, deadline=None)
@given(parts=st.integers(1, 8), channels=st.integers(1, 6), scale=st.floats(0.1, 10), seed=st.integers(0, 99))
def test_how_bright_a_stripe_is_does_not_matter(parts, channels, scale, seed):
    head = PCBHead(channels, 0, parts=parts)
    rows = torch.randn(2, channels, parts, generator=torch.Generator().manual_seed(seed))
    brighter = rows.clone()
    brighter[:, :, 0] *= scale
    found = head.normalise(rows.flatten(1))
    torch.testing.assert_close(head.normalise(brighter.flatten(1)), found)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))


def test_the_sum_of_all_heads_reaches_every_parameter(generator):
    head = PCBHead(5, 3, parts=4, linear_dim=0, leaky_relu=True)
    logits = head(torch.randn(4, 5, 8, 2, generator=generator)).logits
    sum(F.cross_entropy(each, torch.tensor([0, 1, 2, 0])) for each in logits).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
    assert len(logits) == 4


def test_a_search_model_has_no_blocks_at_all(generator):
    head = PCBHead(5, 3)
    head.drop_classifier()
    assert head.state_dict() == {} == PCBHead(5, 0).state_dict()
    assert head(torch.randn(2, 5, 6, 1, generator=generator)).logits == ()

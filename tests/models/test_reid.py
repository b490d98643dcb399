import json
from dataclasses import FrozenInstanceError, asdict

import pytest
import torch
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.models import ModelConfig, Outputs, build_model

SMALL = {"backbone": "osnet_x0_25", "image_size": (96, 32)}
UNUSED_CLASSIFIER = 2048 * 1000 + 1000
"""The published networks carry torchvision's 1000-way layer along; ours do not."""


def parameters(config, num_classes=0):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_model(config, num_classes).parameters())


def images(generator, size=(96, 32), count=4):
    return torch.randn(count, 3, *size, generator=generator)


def test_resnet50_has_the_published_parameters():
    found = parameters(ModelConfig(), 751)
    assert found == 24_943_407
    assert round((found + UNUSED_CLASSIFIER) / 1e6, 2) == 26.99


def test_pcb_has_the_published_parameters():
    found = parameters(ModelConfig(head="pcb", image_size=(384, 192), last_stride=1), 751)
    assert found == 27_816_410
    assert round((found + UNUSED_CLASSIFIER) / 1e6, 2) == 29.87


def test_osnet_with_a_512_block_has_the_published_parameters():
    assert parameters(ModelConfig("osnet_x1_0")) == 2_169_508


CONFIGS = [
    ModelConfig(**SMALL),
    ModelConfig(**SMALL, head="bnneck", pool="gem"),
    ModelConfig(**SMALL, head="pcb", linear_dim=16),
    ModelConfig("resnet18", (96, 32), middle=True, usam=True, pool="avg+max", linear_dim=0),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.head + config.pool)
def test_outputs_have_one_form_in_training_and_evaluation(config, generator):
    model = build_model(config, num_classes=5)
    for mode in (True, False):
        found = model.train(mode)(images(generator))
        assert isinstance(found, Outputs)
        assert found.feature.shape == (4, model.feature_dim)
        assert found.embedding.shape == (4, model.embedding_dim)
        assert [logits.shape for logits in found.logits] == [(4, 5)] * (6 if config.head == "pcb" else 1)
        with pytest.raises(FrozenInstanceError):
            found.feature = None
    assert model.input_size == (96, 32)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.head + config.pool)
def test_every_trainable_parameter_gets_a_gradient_and_belongs_to_backbone_or_head(config, generator):
    model = build_model(config, num_classes=5)
    logits = model(images(generator)).logits
    sum(F.cross_entropy(each, torch.tensor([0, 1, 2, 3])) for each in logits).backward()
    assert [n for n, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None] == []
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"backbone", "head"}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.head + config.pool)
def test_a_search_model_is_rebuilt_bit_for_bit_from_configuration_and_weights(config, generator):
    """The configuration goes through JSON, as in an artefact; neither draws on the model that was trained."""
    model = build_model(config, num_classes=5)
    model(images(generator))  # norms move
    searching = model.without_classifier()
    rebuilt = build_model(ModelConfig(**json.loads(json.dumps(asdict(config))))).eval()
    rebuilt.load_state_dict(searching.state_dict())
    x = images(generator)
    for found, expected in [(rebuilt(x), model.eval()(x)), (searching(x), model(x))]:
        assert torch.equal(found.embedding, expected.embedding)
        assert torch.equal(found.feature, expected.feature)
        assert found.logits == ()
    assert len(model(x).logits) > 0  # the trained model keeps its classifiers


def test_state_dicts_go_round_bit_for_bit(generator):
    one, other = build_model(CONFIGS[0], 5).eval(), build_model(CONFIGS[0], 5).eval()
    x = images(generator)
    assert not torch.equal(one(x).embedding, other(x).embedding)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x).embedding, other(x).embedding)
    assert torch.equal(one(x).logits[0], other(x).logits[0])


def test_middle_puts_the_third_stage_before_the_last(generator):
    model = build_model(ModelConfig("resnet18", (96, 32), middle=True)).eval()
    x = images(generator)
    third, last = model.backbone.maps(x)
    expected = torch.cat([third.mean((2, 3)), last.mean((2, 3))], dim=1)
    torch.testing.assert_close(model(x).feature, expected)
    with torch.device("meta"):
        assert build_model(ModelConfig(middle=True)).feature_dim == 3072
        assert build_model(ModelConfig(pool="avg+max")).feature_dim == 4096


def test_the_published_pcb_is_searched_with_12288_numbers():
    with torch.device("meta"):
        model = build_model(ModelConfig(head="pcb", image_size=(384, 192), last_stride=1))
    assert model.backbone.map_size == (24, 12)
    assert (model.embedding_dim, model.feature_dim) == (12_288, 12_288)


def test_normalisation_after_the_sum_over_mirror_images(generator):
    """Stripes of the sum are normalised, not sums of normalised stripes."""
    model = build_model(CONFIGS[2]).eval()
    x = images(generator)
    total = model(x).embedding + model(x.flip(-1)).embedding
    found = model.normalise_embedding(total)
    stripes = F.normalize(total.view(4, -1, 6), dim=1) / 6**0.5
    torch.testing.assert_close(found, stripes.flatten(1))
    plain = build_model(CONFIGS[0])
    torch.testing.assert_close(plain.normalise_embedding(total), F.normalize(total))


def test_heads_take_their_published_defaults():
    with torch.device("meta"):
        block, neck, pcb = (build_model(ModelConfig(**SMALL, head=head), 2).head for head in ("block", "bnneck", "pcb"))
    assert (block.embedding_dim, block.block.dropout.p) == (512, 0.5)
    assert (neck.embedding_dim, neck.dropout.p) == (128, 0.0)
    assert (pcb.blocks[0].embedding_dim, pcb.dropout.p, len(pcb.blocks)) == (256, 0.5, 6)


def test_every_option_reaches_its_layer():
    def head(**options):
        with torch.device("meta"):
            return build_model(ModelConfig("resnet18", (96, 32), **options), 2).head

    block = head(dropout=0.1, leaky_relu=True, metric_before_dropout=True, pool="max")
    assert (block.block.dropout.p, block.block.activation.negative_slope) == (0.1, 0.1)
    assert (block.metric_before_dropout, block.pool.kind) == (True, "max")
    neck = head(head="bnneck", dropout=0.2, search_before_neck=True)
    assert (neck.dropout.p, neck.search_before_neck) == (0.2, True)
    pcb = head(head="pcb", parts=3, linear_dim=7, dropout=0.25, leaky_relu=True)
    assert (len(pcb.blocks), pcb.blocks[0].embedding_dim, pcb.dropout.p, pcb.blocks[2].dropout.p) == (3, 7, 0.25, 0.25)
    assert pcb.blocks[1].activation.negative_slope == 0.1
    assert isinstance(head(relu=True).block.activation, torch.nn.ReLU)
    stems = {stem: build_model(ModelConfig("resnet18", (96, 32), stem=stem)).backbone.body for stem in ("linear", "ceil")}
    assert isinstance(stems["linear"].act1, torch.nn.Identity)
    assert (stems["ceil"].maxpool.padding, stems["ceil"].maxpool.ceil_mode) == (0, True)
    torch.manual_seed(0)
    for options in ({}, {"head": "bnneck"}, {"head": "pcb", "parts": 1}):
        wide = build_model(ModelConfig("resnet18", (96, 32), classifier_std=0.5, **options), 99).head
        classifiers = [module for module in wide.modules() if isinstance(module, torch.nn.Linear) and module.out_features == 99]
        assert classifiers[0].weight.std().item() == pytest.approx(0.5, rel=0.05)


REJECTED = [
    ({"head": "bnnek"}, 'no head "bnnek". Did you mean "bnneck"? Allowed: block, bnneck, pcb.'),
    ({"pool": "sum"}, 'no pooling "sum". Allowed: avg, max, avg+max, gem, token.'),
    ({"head": "pcb", "pool": "max"}, 'pool is max, but head "pcb" has no such option: it goes with block or bnneck.'),
    ({"head": "pcb", "middle": True}, 'middle is True, but head "pcb" has no such option: it goes with block or bnneck.'),
    (
        {"head": "bnneck", "linear_dim": 256},
        'linear_dim is 256, but head "bnneck" has no such option: it goes with block or pcb.',
    ),
    ({"parts": 4}, 'parts is 4, but head "block" has no such option: it goes with pcb.'),
    (
        {"head": "pcb", "metric_before_dropout": True},
        'metric_before_dropout is True, but head "pcb" has no such option: it goes with block.',
    ),
    ({"search_before_neck": True}, 'search_before_neck is True, but head "block" has no such option: it goes with bnneck.'),
    ({"dropout": 1.0}, "dropout is 1.0: it is a probability, at least 0 and below 1."),
    ({"head": "pcb", "parts": 0}, "parts is 0: there is at least one stripe."),
    ({"stem": "linaer"}, 'no stem "linaer". Did you mean "linear"? Allowed: usual, linear, ceil.'),
    ({"relu": True, "leaky_relu": True}, "relu and leaky_relu are both on: a block has one activation."),
    ({"head": "bnneck", "relu": True}, 'relu is True, but head "bnneck" has no such option: it goes with block.'),
    ({"classifier_std": 0.0}, "classifier_std is 0.0: a standard deviation is above 0 (published: 0.001)."),
]


@pytest.mark.parametrize(("options", "message"), REJECTED)
def test_options_that_do_not_go_together_are_refused_before_anything_is_built(options, message):
    with pytest.raises(UsageError) as error:
        ModelConfig(**options)
    assert str(error.value) == message


UNBUILDABLE = [
    (
        {"backbone": "osnet_x0_25", "middle": True},
        0,
        "osnet_x0_25 has no option middle: it goes with ResNets, for instance resnet50.",
    ),
    (
        {"backbone": "vit_tiny_patch16_224", "head": "pcb"},
        0,
        "vit_tiny_patch16_224 gives tokens, pcb cuts a map into stripes: take a convolutional backbone or swin.",
    ),
    (
        {"backbone": "resnet18", "head": "pcb", "image_size": (128, 64)},
        3,
        "resnet18 makes a map 4 high from 128x64 px, too low for 6 stripes: take a higher image (published 384x192), "
        "last_stride 1, or fewer parts.",
    ),
    ({"backbone": "osnet_x0_25"}, -1, "num_classes is -1: it counts training identities, 0 stands for no classifier."),
]


@pytest.mark.parametrize(("options", "num_classes", "message"), UNBUILDABLE)
def test_a_head_that_does_not_fit_its_backbone_is_refused(options, num_classes, message):
    with pytest.raises(UsageError) as error:
        build_model(ModelConfig(**options), num_classes)
    assert str(error.value) == message

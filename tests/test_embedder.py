import math
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from passerby.embedder import Embedder, EmbeddingRule, Numbering, bf16_is_fast, embed, network
from passerby.embedder.pictures import resized
from passerby.errors import ImageError, UsageError
from passerby.models import Outputs
from passerby.records import Record, Split
from passerby.transforms import EvalTransform, Preprocess, normalise

SIZE = Preprocess(size=(32, 16), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), interpolation="bicubic")


class Net(nn.Module):
    """Sees left and right, up and down; remembers what it was given."""

    embedding_dim, feature_dim = 6, 12

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm1d(12)
        self.head = nn.Linear(12, 6)
        self.seen = []

    def forward(self, inputs):
        assert not self.training
        self.seen.append(tuple(inputs.shape))
        feature = self.norm(F.adaptive_avg_pool2d(self.conv(inputs), 2).flatten(1))
        return Outputs(feature, self.head(feature), (feature[:, :2],))


@pytest.fixture
def pictures(tmp_path):
    """Nine pictures of several sizes, as files."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(9):
        height, width = (48, 24) if number % 2 else (64, 31)
        small = Image.fromarray(random.integers(0, 256, (6, 4, 3), dtype=np.uint8))
        paths.append(tmp_path / f"{number:04d}_c1s1_000000_00.png")
        small.resize((width, height), Image.Resampling.BICUBIC).save(paths[-1])
    return paths


def slow(paths, model, rule, size=SIZE):
    """One image at a time, by the book."""
    rows = []
    model.eval()
    for path in paths:
        total = 0
        for scale in rule.scales:
            h, w = (int(side * math.sqrt(scale)) for side in size.size)
            scaled = Preprocess((h, w), size.mean, size.std, size.interpolation)
            inputs = normalise(EvalTransform(scaled)(Image.open(path).convert("RGB"))[None], scaled)
            for view in [inputs, inputs.flip(3)] if rule.flip else [inputs]:
                with torch.no_grad():
                    outputs = model(view)
                total = total + (outputs.embedding if rule.kind == "embedding" else outputs.feature)
        rows.append(total / total.norm() if rule.normalise else total)
    return torch.cat(rows).numpy()


@pytest.mark.parametrize(
    "rule",
    [
        EmbeddingRule(),
        EmbeddingRule(flip=False),
        EmbeddingRule(scales=(1, 1.1, 0.9)),
        EmbeddingRule(kind="feature", normalise=False),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_vectors_are_those_of_one_image_at_a_time(pictures, rule, batch_size):
    embedder = Embedder(Net(), SIZE, rule, batch_size=batch_size)
    found = embedder(pictures)
    assert found.dtype == np.float32 and found.shape == (9, 12 if rule.kind == "feature" else 6) == (9, embedder.dim)
    np.testing.assert_allclose(found, slow(pictures, Net(), rule), rtol=1e-4, atol=1e-5)


def test_rows_are_unit_vectors_and_a_mirrored_image_has_the_same(pictures):
    embedder = Embedder(Net(), SIZE)
    images = [Image.open(path).convert("RGB") for path in pictures]
    found = embedder(images)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    mirrored = embedder([image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in images])
    np.testing.assert_allclose(mirrored, found, atol=1e-3)
    alone = Embedder(Net(), SIZE, EmbeddingRule(flip=False))
    assert np.abs(alone(images) - alone([i.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for i in images])).max() > 0.01


def test_each_scale_is_made_from_the_picture_with_the_published_sizes(pictures):
    model = Net()
    embedder = Embedder(model, Preprocess(size=(256, 128)), EmbeddingRule(flip=False, scales=(1, 0.9, 1.1, 1.2)))
    model.seen.clear()
    embedder(pictures[:2])
    assert [shape[2:] for shape in model.seen] == [(256, 128), (242, 121), (268, 134), (280, 140)]


def test_the_published_multi_scale_test_compounds(pictures):
    model = Net()
    rule = EmbeddingRule(flip=False, scales=(1, 1.1, 1.2), compound=True)
    embedder = Embedder(model, Preprocess(size=(256, 128)), rule)
    model.seen.clear()
    found = embedder(pictures[0])
    assert [shape[2:] for shape in model.seen] == [(256, 128), (268, 134), (293, 146)]
    inputs = normalise(EvalTransform(Preprocess(size=(256, 128)))(Image.open(pictures[0]))[None], Preprocess(size=(256, 128)))
    total = 0
    for scale in rule.scales:
        if scale != 1:
            inputs = F.interpolate(inputs, scale_factor=math.sqrt(scale), mode="bicubic", align_corners=False)
        total = total + model.eval()(inputs).embedding
    np.testing.assert_allclose(found, F.normalize(total).detach().numpy(), atol=1e-5)


def test_the_models_own_normalisation_is_used_for_embeddings_only(pictures):
    class Striped(Net):
        embedding_dim = 6

        def normalise_embedding(self, total):
            return F.normalize(total.view(-1, 3, 2), dim=1).flatten(1) / math.sqrt(2)

    raw = Embedder(Striped(), SIZE, EmbeddingRule(normalise=False))(pictures)
    parts = raw.reshape(-1, 3, 2) / np.linalg.norm(raw.reshape(-1, 3, 2), axis=1, keepdims=True)
    np.testing.assert_allclose(Embedder(Striped(), SIZE)(pictures), parts.reshape(-1, 6) / math.sqrt(2), atol=1e-5)
    feature = Embedder(Striped(), SIZE, EmbeddingRule(kind="feature"))(pictures)
    np.testing.assert_allclose(np.linalg.norm(feature, axis=1), 1, rtol=1e-6)


def test_all_kinds_of_images_give_the_same_vectors(pictures):
    embedder = Embedder(Net(), SIZE)
    expected = embedder(pictures[:1])
    picture = Image.open(pictures[0]).convert("RGB")
    array = np.array(picture)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    for image in (pictures[0], str(pictures[0]), picture, array, tensor, tensor.float() / 255):
        assert np.array_equal(embedder(image), expected)
        assert np.array_equal(embedder([image]), expected)
    batch = embedder(tensor[None].repeat(3, 1, 1, 1))
    np.testing.assert_allclose(batch, expected.repeat(3, axis=0), atol=1e-6)
    np.testing.assert_allclose(embedder(array[None]), expected, atol=1e-6)
    mixed = embedder(image for image in (pictures[0], picture, array, tensor))
    np.testing.assert_allclose(mixed, expected.repeat(4, axis=0), atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_pictures_that_are_resized_together_are_those_of_the_transform(pictures, interpolation):
    """Training and evaluation resize one picture at a time; the two may not differ in a single grey level."""
    size = Preprocess(size=(32, 16), interpolation=interpolation)
    images = [Image.open(path).convert("RGB") for path in pictures] + [Image.new("RGB", (16, 32), (3, 2, 1))]
    assert len({image.size for image in images}) == 3
    together = resized(images, size)
    assert together.dtype == torch.uint8 and together.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(together, torch.stack([EvalTransform(size)(image) for image in images]))


def test_a_decoded_batch_may_be_bytes_or_floats(pictures):
    embedder = Embedder(Net(), SIZE)
    batch = torch.stack([EvalTransform(SIZE)(Image.open(path).convert("RGB")) for path in pictures])
    expected = embedder(pictures)
    np.testing.assert_allclose(embedder.forward([batch]), expected, atol=1e-6)
    np.testing.assert_allclose(embedder.forward([normalise(batch, SIZE)]), expected, atol=1e-6)


def test_no_image_gives_no_row():
    assert Embedder(Net(), SIZE)([]).shape == (0, 6)


def test_grey_and_transparent_pictures_are_converted(pictures):
    embedder = Embedder(Net(), SIZE)
    grey = Image.open(pictures[0]).convert("L")
    assert np.array_equal(embedder(grey), embedder(grey.convert("RGB")))


@pytest.mark.parametrize("precision", ["bf16"])
def test_reduced_precision_stays_close(pictures, precision):
    found = Embedder(Net(), SIZE, precision=precision)(pictures)
    exact = Embedder(Net(), SIZE)(pictures)
    assert found.dtype == np.float32
    assert not np.array_equal(found, exact)
    assert (found * exact).sum(1).min() > 0.999


def test_a_model_in_training_keeps_its_weights_and_their_layout(pictures):
    model = Net().train()
    before = {name: (value.clone(), value.stride()) for name, value in model.state_dict().items()}
    Embedder(model, SIZE)(pictures)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name][0]) and value.stride() == before[name][1], name


def test_a_damaged_image_is_named_and_ends_the_call(pictures):
    pictures[5].write_bytes(pictures[5].read_bytes()[:60])
    with pytest.raises(ImageError, match="0005_c1s1"):
        Embedder(Net(), SIZE, batch_size=2)(pictures)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (3, "a int is no image: give a path, a PIL image"),
        (np.zeros((4, 4), np.uint8), r"an array of shape \(4,\) and type uint8 is no image"),
        (np.zeros((4, 4, 3)), r"an array of shape \(4, 4, 3\) and type float64 is no image: give \(H, W, 3\) uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"an array of shape \(4, 4, 4\) and type uint8 is no image"),
        (np.zeros((0, 4, 3), np.uint8), r"an array of shape \(0, 4, 3\) and type uint8 is no image"),
        (torch.zeros(4, 4, 3), r"a tensor of shape \(4, 4, 3\) is no image: give \(3, H, W\) in RGB order."),
        (torch.zeros(3, 4, 4, dtype=torch.int64), r"a tensor of type torch.int64 is no image: give uint8, or float from 0 to 1."),
        (torch.full((3, 4, 4), -2.0), "a float image from -2 to -2: give 0 to 1, not yet normalised"),
        (torch.full((3, 4, 4), float("nan")), "a float image from nan to nan: give 0 to 1"),
    ],
)
def test_what_is_no_image_is_refused(image, text):
    with pytest.raises(ImageError, match=text):
        Embedder(Net(), SIZE)([image] if not isinstance(image, np.ndarray) or image.ndim == 3 else image)


def test_a_scale_that_the_network_does_not_take_is_refused_before_any_image():
    class Fixed(Net):
        def forward(self, inputs):
            assert inputs.shape[2:] == (32, 16), "input height does not match"
            return super().forward(inputs)

    with pytest.raises(
        UsageError, match=r"scale 1.1 gives 33x16 px, which this network does not take \(input height does not match\)"
    ):
        Embedder(Fixed(), SIZE, EmbeddingRule(scales=(1, 1.1)))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Embedder(Net(), SIZE, precision="int8"), 'no precision "int8"'),
        (lambda: Embedder(Net(), SIZE, device="foo"), 'no device "foo". Allowed: auto, cpu, cuda'),
        (lambda: Embedder(Net(), SIZE, batch_size=0), "batch_size is 0 and workers is None: batch_size is 1 or more"),
        (lambda: Embedder(Net(), SIZE, workers=-1), "batch_size is 64 and workers is -1: batch_size is 1 or more, workers 0 or"),
        (lambda: EmbeddingRule(kind="logits"), 'no vector "logits" in a model\'s outputs.'),
        (lambda: EmbeddingRule(scales=()), r"scales are \[\]: give one or more numbers above 0"),
        (lambda: EmbeddingRule(scales=(1, 0)), r"scales are \[1, 0\]: give one or more numbers above 0"),
    ],
)
def test_wrong_settings_are_refused(make, text):
    with pytest.raises(UsageError, match=text):
        make()


def test_without_workers_the_calling_thread_decodes(pictures, monkeypatch):
    seen = set()
    own = network.picture
    monkeypatch.setattr(network, "picture", lambda image: (seen.add(threading.current_thread()), own(image))[1])
    found = Embedder(Net(), SIZE, batch_size=4, workers=0)(pictures)
    assert seen == {threading.current_thread()}
    assert np.array_equal(found, Embedder(Net(), SIZE, batch_size=4, workers=2)(pictures)) and len(seen) > 1
    with pytest.raises(ImageError, match="absent"):
        Embedder(Net(), SIZE, workers=0)(["absent.jpg"])


def split_of(paths, domains=("market1501",)):
    return Split(tuple(Record(path, number - 1, number % 3, domains[number % len(domains)]) for number, path in enumerate(paths)))


def test_a_split_becomes_aligned_columns_with_names_below_the_root(pictures, tmp_path):
    embedder = Embedder(Net(), SIZE, batch_size=4, facts={"artefact": "0123456789ab", "notes": ["rendered people"]})
    found = embed(
        embedder, split_of(pictures), root=tmp_path, meta={"data": "market1501", "subset": "query", "notes": ["9 images"]}
    )
    assert np.array_equal(found.vectors, embedder(pictures))
    assert found.pids.tolist() == list(range(-1, 8))
    assert found.camids.tolist() == [0, 1, 2] * 3
    assert found.names[1] == "0001_c1s1_000000_00.png"
    assert found.meta == {
        "artefact": "0123456789ab",
        "precision": "fp32",
        "rule": {"kind": "embedding", "flip": True, "scales": [1.0], "compound": False, "normalise": True},
        "data": "market1501",
        "subset": "query",
        "notes": ["rendered people", "9 images"],
        "domains": ["market1501"],
    }
    found.save(tmp_path / "query.npz")


def test_without_a_root_names_are_the_paths(pictures):
    assert embed(Embedder(Net(), SIZE), split_of(pictures[:2])).names.tolist() == [path.as_posix() for path in pictures[:2]]


def test_a_dry_evaluation_reads_a_few_batches_only(pictures):
    model = Net()
    assert len(embed(Embedder(model, SIZE, batch_size=3), split_of(pictures), max_batches=2)) == 6
    assert len(model.seen) == 4


def test_an_empty_split_gives_no_row():
    assert embed(Embedder(Net(), SIZE), Split()).vectors.shape == (0, 6)


def test_people_and_cameras_of_several_domains_get_numbers_of_their_own(pictures):
    """Query and gallery share the numbers; junk and distractors keep theirs."""
    query, gallery = split_of(pictures[:4], ("b", "a")), split_of(pictures, ("b", "a"))
    numbering = Numbering.of(query, gallery)
    embedder = Embedder(Net(), SIZE)
    small, large = embed(embedder, query, numbering=numbering), embed(embedder, gallery, numbering=numbering)
    assert small.pids.tolist() == large.pids[:4].tolist() and small.camids.tolist() == large.camids[:4].tolist()
    assert large.pids.tolist()[:2] == [-1, 0]
    assert len(set(large.pids.tolist())) == 9
    cameras = dict(zip(large.camids.tolist(), (record.camera for record in gallery), strict=True))
    assert sorted(cameras.items()) == list(enumerate(gallery.cameras))


def test_one_domain_keeps_its_own_numbers(pictures):
    numbering = Numbering.of(split_of(pictures))
    assert numbering.pids["market1501", 5] == 5 and numbering.camids["market1501", 2] == 2


def test_several_domains_need_a_common_numbering(pictures):
    with pytest.raises(UsageError, match=r"the images come from 2 domains: pass numbering=Numbering.of\(query, gallery\)"):
        embed(Embedder(Net(), SIZE), split_of(pictures, ("a", "b")))


def test_a_record_outside_the_root_is_refused(pictures, tmp_path):
    with pytest.raises(UsageError, match=r".png is not below .*elsewhere: names are paths below the data set's folder."):
        embed(Embedder(Net(), SIZE), split_of(pictures), root=tmp_path / "elsewhere")


def test_fast_bf16_is_asked_of_the_processor(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert bf16_is_fast("cpu")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert not bf16_is_fast("cpu")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert not bf16_is_fast("cuda:0")

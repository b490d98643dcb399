"""Loaders: the same pixels whoever decodes them, and errors that fit on one line."""

import gc
import multiprocessing

import numpy as np
import pytest
import torch
from PIL import Image

from passerby.batches import Batch, EvalLoader, JoinedLoader, TrainLoader, labels_of
from passerby.datasets.images import read_image
from passerby.errors import DataError, ImageError, UsageError
from passerby.records import Record, Split
from passerby.samplers import IdentitySampler, SequentialSampler, ShuffleSampler
from passerby.transforms import EvalTransform, Preprocess, TrainTransforms, as_image_tensor

PREPROCESS = Preprocess(size=(16, 8))
AUGMENT = TrainTransforms(PREPROCESS, pad_px=2, random_erasing=0.5)


@pytest.fixture(scope="session")
def split(tmp_path_factory) -> Split:
    """14 noise pictures of four people in two towns; person 12 of each town is another one."""
    folder = tmp_path_factory.mktemp("pictures")
    generator, records = np.random.default_rng(0), []
    people = [("york", 12), ("york", 5), ("bath", 12), ("bath", 30)]
    for i in range(14):
        domain, pid = people[i % 4]
        path = folder / f"{i:04d}.png"
        Image.fromarray(generator.integers(0, 256, (20, 9, 3), dtype=np.uint8)).save(path)
        records.append(Record(path, pid, camid=i % 3, domain=domain))
    return Split(tuple(records))


def make_loader(split, sampler=None, transform=AUGMENT, **options):
    sampler = sampler or ShuffleSampler(len(split), 4, seed=1)
    return TrainLoader(split, split.label_map(), transform, sampler, **{"seed": 3, **options})


def assert_equal(found: list[Batch], expected: list[Batch]):
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        for name in ("inputs", "labels", "camids", "domains", "indices"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_a_batch_says_what_each_row_is(split):
    loader = make_loader(split)
    assert loader.domains == ("bath", "york")
    assert loader.names[3] == str(split[3].path)
    classes = {("bath", 12): 0, ("bath", 30): 1, ("york", 5): 2, ("york", 12): 3}
    seen = []
    for batch in loader.epoch(0):
        assert (batch.inputs.shape, batch.inputs.dtype) == ((4, 3, 16, 8), torch.uint8)
        assert batch.inputs.is_contiguous(memory_format=torch.channels_last)
        for label, camid, domain, index in zip(batch.labels, batch.camids, batch.domains, batch.indices, strict=True):
            record = split[int(index)]
            assert classes[record.domain, record.pid] == label
            assert (record.camid, record.domain) == (camid, loader.domains[int(domain)])
            seen.append(int(index))
    assert len(seen) == len(set(seen)) == 12
    assert len(loader) == 3


def test_every_row_holds_its_own_picture(split):
    loader = make_loader(split, transform=EvalTransform(PREPROCESS))
    for batch in loader.epoch(2):
        for image, index in zip(batch.inputs, batch.indices, strict=True):
            assert torch.equal(image, EvalTransform(PREPROCESS)(read_image(split[int(index)].path)))


def test_workers_resumption_and_repetition_change_no_pixel(split):
    alone, helped = make_loader(split), make_loader(split, workers=2)
    first, second = list(alone.epoch(0)), list(alone.epoch(1))
    assert not torch.equal(first[0].inputs, second[0].inputs)
    assert_equal(list(helped.epoch(1)), second)
    assert_equal(list(helped.epoch(0)), first)
    assert_equal(list(helped.epoch(1, start=2)), second[2:])
    assert_equal(list(alone.epoch(1, start=1)), second[1:])
    assert_equal(list(make_loader(split).epoch(0)), first)
    assert list(alone.epoch(0, start=3)) == list(helped.epoch(0, start=3)) == []


def test_an_epoch_left_early_does_not_reach_into_the_next(split):
    for workers in (0, 2):
        loader = make_loader(split, workers=workers)
        next(iter(loader.epoch(0)))
        assert_equal(list(loader.epoch(1)), list(make_loader(split).epoch(1)))


def test_batches_before_the_start_are_not_read(split):
    read = []

    def transform(image, generator):
        read.append(1)
        return as_image_tensor(np.array(image))

    list(make_loader(split, transform=transform).epoch(0, start=2))
    assert len(read) == 4


def test_one_person_shown_twice_in_a_batch_is_augmented_twice(split):
    """Where K images are asked of a person who has one, the copies differ."""
    alone = Split(split.records[:2])
    sampler = IdentitySampler([0, 1], 2, 4)
    transform = TrainTransforms(PREPROCESS, pad_px=4, random_erasing=1.0)
    (batch,) = make_loader(alone, sampler, transform).epoch(0)
    assert len(set(batch.indices.tolist())) == 2
    assert len({image.numpy().tobytes() for image in batch.inputs}) == 8


def test_processes_together_load_what_one_loads(split):
    labels = labels_of(split, split.label_map())
    whole = make_loader(split, IdentitySampler(labels, 4, 2, seed=5)).epoch(1)
    shares = [make_loader(split, IdentitySampler(labels, 4, 2, seed=5, rank=rank, world=2)).epoch(1) for rank in (0, 1)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert torch.equal(batch.indices, torch.cat([part.indices for part in parts]))
        assert torch.equal(batch.inputs, torch.cat([part.inputs for part in parts]))


def test_seeds_differ(split):
    one, other = (next(iter(make_loader(split, seed=seed).epoch(0))) for seed in (3, 4))
    assert torch.equal(one.indices, other.indices)
    assert not torch.equal(one.inputs, other.inputs)


@pytest.mark.parametrize("workers", [0, 2])
def test_no_pass_moves_the_generator_that_dropout_uses(split, workers):
    loader = make_loader(split, workers=workers)
    before = torch.get_rng_state()
    list(loader.epoch(0))
    list(loader.epoch(1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_goes_through_all_images_in_order(split, workers):
    loader = EvalLoader(split, EvalTransform(PREPROCESS), batch_size=4, workers=workers)
    for _ in range(2):
        batches = list(loader)
        assert len(batches) == len(loader) == 4
        assert torch.cat([batch.indices for batch in batches]).tolist() == list(range(14))
        assert torch.cat([batch.labels for batch in batches]).tolist() == split.pids.tolist()
    assert loader.domains == ("bath", "york")
    by_class = EvalLoader(split, EvalTransform(PREPROCESS), batch_size=14, label_map=split.label_map())
    assert torch.equal(next(iter(by_class)).labels, labels_of(split, split.label_map()))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_picture_is_one_line_that_names_the_file(split, workers, tmp_path):
    damaged = tmp_path / "0099_c1.jpg"
    damaged.write_bytes(b"\xff\xd8\xff no picture")
    records = (*split.records[:9], Record(damaged, 5, 0, "york"), *split.records[10:])
    batches = iter(EvalLoader(Split(records), EvalTransform(PREPROCESS), batch_size=4, workers=workers))
    next(batches)
    next(batches)
    with pytest.raises(ImageError) as error:
        next(batches)
    assert str(damaged) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_defect_in_a_transform_is_not_hidden(split):
    def transform(image, generator):
        raise ZeroDivisionError("defect")

    for workers in (0, 1):
        with pytest.raises(ZeroDivisionError, match="defect"):
            list(make_loader(split, transform=transform, workers=workers).epoch(0))


def test_coloured_points_are_stacked_too(split):
    loader = make_loader(split, transform=lambda image, generator: torch.from_numpy(generator.random((5, 6))))
    assert next(iter(loader.epoch(0))).inputs.shape == (4, 5, 6)


@pytest.mark.parametrize("workers", [0, 2])
def test_two_passes_at_once_over_one_loader_are_refused(split, workers):
    """With workers the second pass would take batches that belong to the first."""
    loader = make_loader(split, workers=workers)
    first = iter(loader.epoch(0))
    next(first)
    assert_equal(list(loader.epoch(1)), list(make_loader(split).epoch(1)))
    with pytest.raises(UsageError) as error:
        next(first)
    assert str(error.value) == "a pass over this loader was begun before the one before it had ended: use one loader each."


def test_a_loader_that_is_gone_takes_its_workers_with_it(split):
    before = set(multiprocessing.active_children())
    loader = make_loader(split, workers=2)
    list(loader.epoch(0))
    own = set(multiprocessing.active_children()) - before
    assert len(own) == 2
    del loader
    gc.collect()
    assert not own & set(multiprocessing.active_children())


def test_batches_move_between_devices(split):
    batch = next(iter(make_loader(split).epoch(0)))
    assert len(batch) == 4
    moved = batch.to("meta")
    assert {moved.inputs.device.type, moved.indices.device.type} == {"meta"}


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda s: make_loader(Split(), ShuffleSampler(4, 4)), DataError, "there is no image to load: the split is empty."),
        (
            lambda s: EvalLoader(Split(), EvalTransform(PREPROCESS), batch_size=2),
            DataError,
            "there is no image to load: the split is empty.",
        ),
        (
            lambda s: TrainLoader(s, {("york", 5): 0, ("york", 12): 1}, AUGMENT, ShuffleSampler(14, 4), seed=0),
            DataError,
            "the label map has no class for pid 12 of bath, 30 of bath. Make it from these training images: split.label_map().",
        ),
        (lambda s: make_loader(s, seed=-1), UsageError, "seed is -1: give 0 or more."),
        (lambda s: make_loader(s, workers=-1), UsageError, "workers is -1: give 0 (decode in this process) or more."),
        (
            lambda s: EvalLoader(s, EvalTransform(PREPROCESS), batch_size=0),
            UsageError,
            "batch_size is 0: a batch holds 1 image or more.",
        ),
        (
            lambda s: make_loader(s, SequentialSampler(20, 20)).epoch(0),
            UsageError,
            "the sampler asks for image 19 of 14: it was made for another split.",
        ),
    ],
)
def test_what_loaders_refuse(split, make, kind, text):
    with pytest.raises(kind) as error:
        make(split)
    assert str(error.value) == text


def indices(batches) -> list[list[list[int]]]:
    return [[batch.indices.tolist() for batch in (group if isinstance(group, tuple) else (group,))] for group in batches]


def test_other_loaders_join_from_an_epoch_on_and_begin_anew_when_they_run_out(split):
    own = make_loader(split, SequentialSampler(14, 3))
    other = make_loader(split[:5], ShuffleSampler(5, 2, seed=8))  # 2 batches an epoch beside 5
    joined = JoinedLoader(own, (other,), first=1)
    assert len(joined) == 5
    assert [len(group) for group in indices(joined.epoch(0))] == [1] * 5
    epochs = [indices(joined.epoch(number)) for number in (1, 2)]
    assert [group[0] for group in epochs[0]] == SequentialSampler(14, 3).epoch(1)
    flowing = [group[1] for epoch in epochs for group in epoch]  # batches 5 to 14 of the endless stream
    stream = [batch for number in range(8) for batch in ShuffleSampler(5, 2, seed=8).epoch(number)]
    assert flowing == stream[5:15]


@pytest.mark.parametrize("start", [1, 4])
def test_a_joined_epoch_resumes_in_its_middle(split, start):
    def loader() -> JoinedLoader:
        return JoinedLoader(make_loader(split, SequentialSampler(14, 3)), (make_loader(split[:5], ShuffleSampler(5, 2, seed=8)),))

    whole, rest = list(loader().epoch(3)), list(loader().epoch(3, start))
    assert len(rest) == 5 - start
    for before, after in zip(whole[start:], rest, strict=True):
        assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(before, after, strict=True))

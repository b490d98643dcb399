"""Label-free progress: its numbers by hand, and what they say about embeddings whose truth is known."""

import pytest
import torch
from torch.nn import functional as F

from passerby.training.exemplars import ExemplarMemory
from passerby.training.label_free import LabelFreeProgress, measure


def place(people: int, noise: float, camera_shift: float, shots: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors of people seen by two cameras, and their cameras."""
    random = torch.Generator().manual_seed(seed)
    centres, shifts = (torch.randn(n, 32, generator=random) for n in (people, 2))
    cameras = torch.arange(2).repeat_interleave(shots).repeat(people)
    persons = torch.arange(people).repeat_interleave(2 * shots)
    vectors = centres[persons] + camera_shift * shifts[cameras] + noise * torch.randn(len(persons), 32, generator=random)
    return F.normalize(vectors), cameras


def test_the_numbers_by_hand():
    # images 0 and 1 of camera 0, images 2 and 3 of camera 1; 0 and 2 are alike, 1 and 3 are alike
    slots = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.8, 0.6]])
    cameras = torch.tensor([0, 0, 1, 1])
    found, nearest = measure(slots, cameras, torch.arange(4), threshold=0.8)
    assert found.neighbours_intra == 0.0  # the other image of the own camera is at right angles
    assert found.neighbours_inter == 1.0
    assert found.crowding == 0.5
    assert found.cross_camera == pytest.approx(1.5)  # all neighbours, where 2 of the 3 others are of another camera
    assert found.cycles == 1.0 and found.estimate == 1.0
    assert nearest[:, 0].tolist() == [2, 3, 0, 1]


def test_the_estimate_falls_where_cameras_do_not_find_each_other_and_where_everybody_is_alike():
    good, _ = measure(*place(20, 0.3, 0.0), torch.arange(160))
    apart, _ = measure(*place(20, 1.0, 3.0), torch.arange(160))
    merged, _ = measure(*place(2, 0.3, 0.0, shots=40), torch.arange(160))
    vectors, cameras = place(20, 0.3, 0.0)
    alike, _ = measure(F.normalize(1 + 0.01 * vectors), cameras, torch.arange(160))
    assert good.cycles > 0.95
    assert good.estimate > max(apart.estimate, merged.estimate, alike.estimate) + 0.1
    assert apart.cycles < good.cycles and apart.cross_camera < 0.2 < good.cross_camera
    assert alike.crowding > 0.99 and alike.estimate < 0.01
    assert merged.cycles > 0.95  # cycles alone do not see that people have been merged


def test_a_single_camera_leaves_nothing_to_close():
    vectors, cameras = place(5, 0.3, 0.0)
    found, _ = measure(vectors, torch.zeros_like(cameras), torch.arange(len(cameras)))
    assert found.cycles == 0.0 and found.estimate == 0.0 and found.neighbours_inter == 0.0


def watched(vectors: torch.Tensor, cameras: torch.Tensor, **options) -> tuple[ExemplarMemory, LabelFreeProgress]:
    memory = ExemplarMemory(len(vectors), vectors.shape[1])
    memory.update(vectors, torch.arange(len(vectors)), 0.0)
    return memory, LabelFreeProgress(memory, cameras, threshold=0.8, **options)


def test_agreement_is_with_the_last_look_that_was_remembered():
    vectors, cameras = place(10, 0.3, 0.0)
    memory, progress = watched(vectors, cameras)
    assert "agreement" not in progress.look(remember=False)[0]
    assert "agreement" not in progress.look()[0]
    assert progress.look()[0]["agreement"] == 1.0
    memory.update(vectors[torch.randperm(80, generator=torch.Generator().manual_seed(0))], torch.arange(len(vectors)), 0.0)
    assert progress.look()[0]["agreement"] < 0.5


def test_a_fall_is_warned_of_once_and_survives_a_resume():
    vectors, cameras = place(20, 0.3, 0.0)
    memory, progress = watched(vectors, cameras)
    _, nothing = progress.look(before=True)
    assert not nothing and progress.reference is not None and progress.reference > 0.5
    assert not progress.look()[1]
    memory.update(F.normalize(1 + 0.01 * vectors), torch.arange(len(vectors)), 0.0)
    other = LabelFreeProgress(memory, cameras, threshold=0.8)
    other.load_state_dict(progress.state_dict())
    found, warning = progress.look()
    assert "the label-free estimate fell from" in warning and "raise the threshold" in warning
    assert other.look() == (found, warning)
    assert not progress.look()[1]


def test_a_sample_of_images_stands_for_all():
    vectors, cameras = place(40, 0.5, 0.5)
    _, every = watched(vectors, cameras, probes=len(vectors))
    _, some = watched(vectors, cameras, probes=100)
    assert len(some.probes) == 100
    large = LabelFreeProgress(some.memory, torch.zeros(300_000, dtype=torch.int64), threshold=0.8)
    assert len(large.probes) == 100  # the table of similarities stays small
    assert some.look()[0]["estimate"] == pytest.approx(every.look()[0]["estimate"], abs=0.1)

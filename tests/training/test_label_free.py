"""Label-free progress: its numbers by hand, and what they say about embeddings whose truth is known."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from passerby.training import label_free
from passerby.training.exemplars import ExemplarMemory
from passerby.training.label_free import LabelFreeProgress, Look, measure


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
    assert "agreement" not in progress.look(remember=False).values
    assert "agreement" not in progress.look().values
    assert progress.look().values["agreement"] == 1.0
    memory.update(vectors[torch.randperm(80, generator=torch.Generator().manual_seed(0))], torch.arange(len(vectors)), 0.0)
    assert progress.look().values["agreement"] < 0.5


def looks(monkeypatch: pytest.MonkeyPatch, estimates: Sequence[float], progress: LabelFreeProgress, **options) -> list[Look]:
    """What is said of a curve of estimates."""
    given = iter(estimates)
    original = measure

    def told(*args, **named):
        found, nearest = original(*args, **named)
        return replace(found, estimate=next(given)), nearest

    monkeypatch.setattr(label_free, "measure", told)
    return [progress.look(**options) for _ in estimates]


def some_progress() -> LabelFreeProgress:
    return watched(*place(5, 0.3, 0.0))[1]


@pytest.mark.parametrize(
    ("estimates", "holds", "warned"),
    [
        ([0.5, 0.6, 0.55, 0.7], [1, 1, 1, 1], []),
        ([0.6, 0.54, 0.53, 0.56], [1, 1, 0, 1], []),  # 0.9 of the best holds; one look below it is no collapse
        ([0.6, 0.5, 0.55, 0.5, 0.55], [1, 0, 1, 0, 1], []),  # two looks below it, but not in a row
        ([0.6, 0.62, 0.5, 0.4, 0.3, 0.2], [1, 1, 0, 0, 0, 0], [3]),
        ([0.6, 0.5, 0.5, 0.6, 0.4, 0.4], [1, 0, 0, 1, 0, 0], [2]),  # it is said once
        ([0.5, 0.9, 0.5, 0.5], [1, 1, 0, 0], [3]),  # held against the best so far, not against the first
        ([0.0, 0.0, 0.0], [1, 1, 1], []),
    ],
)
def test_what_holds_and_when_a_collapse_is_told(monkeypatch, estimates, holds, warned):
    found = looks(monkeypatch, estimates, some_progress())
    assert [look.holds for look in found] == [bool(hold) for hold in holds]
    assert [number for number, look in enumerate(found) if look.warning] == warned
    for number in warned:
        best, now = max(estimates[: number + 1]), estimates[number]
        assert f"the label-free estimate fell from {best:.3f} to {now:.3f}:" in found[number].warning
        assert "raise the threshold" in found[number].warning


def test_looks_that_do_not_count_are_held_against_nothing(monkeypatch):
    progress = some_progress()
    first = looks(monkeypatch, [0.9, 0.1, 0.1], progress, counts=False, before=True)
    assert not any(look.holds or look.warning for look in first)
    assert progress.best is None and progress.reference is None and progress.held is None and progress.last == 0.1
    (second,) = looks(monkeypatch, [0.5], progress, before=True)
    assert second.holds and progress.reference == progress.best == progress.held == 0.5
    looks(monkeypatch, [0.8, 0.3], progress)
    assert (progress.reference, progress.best, progress.held, progress.last) == (0.5, 0.8, 0.8, 0.3)


def test_a_look_that_is_not_remembered_changes_nothing(monkeypatch):
    progress = some_progress()
    before = progress.state_dict()
    looks(monkeypatch, [0.9, 0.1, 0.1], progress, remember=False, before=True)
    assert progress.state_dict() == before


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_resume_goes_on_between_any_two_looks(monkeypatch, cut: int):
    estimates = [0.6, 0.62, 0.5, 0.4, 0.3, 0.2]
    whole = some_progress()
    expected = looks(monkeypatch, estimates, whole)
    first, second = some_progress(), some_progress()
    found = looks(monkeypatch, estimates[:cut], first)
    second.load_state_dict(first.state_dict())
    found += looks(monkeypatch, estimates[cut:], second)
    assert found == expected and sum(bool(look.warning) for look in found) == 1
    states = [{**progress.state_dict(), "before": None} for progress in (whole, second)]
    assert states[0] == states[1]


def test_a_real_collapse_is_seen():
    vectors, cameras = place(20, 0.3, 0.0)
    memory, progress = watched(vectors, cameras)
    assert progress.look(before=True).holds and progress.reference is not None and progress.reference > 0.5
    memory.update(F.normalize(1 + 0.01 * vectors), torch.arange(len(vectors)), 0.0)
    first, second = progress.look(), progress.look()
    assert not first.holds and not first.warning
    assert not second.holds and "the label-free estimate fell from" in second.warning


def test_one_camera_has_no_estimate():
    vectors, cameras = place(5, 0.3, 0.0)
    _, progress = watched(vectors, torch.zeros_like(cameras))
    for _ in range(3):
        found = progress.look()
        assert {*found.values} - {"agreement"} == {"neighbours_intra", "crowding"}
        assert not found.holds and not found.warning
    assert progress.one_camera and progress.best is None and progress.last is None


def test_a_sample_of_images_stands_for_all():
    vectors, cameras = place(40, 0.5, 0.5)
    _, every = watched(vectors, cameras, probes=len(vectors))
    _, some = watched(vectors, cameras, probes=100)
    assert len(some.probes) == 100
    large = LabelFreeProgress(some.memory, torch.zeros(300_000, dtype=torch.int64), threshold=0.8)
    assert len(large.probes) == 100  # the table of similarities stays small
    assert some.look().values["estimate"] == pytest.approx(every.look().values["estimate"], abs=0.1)

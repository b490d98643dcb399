from collections import OrderedDict, defaultdict

import pytest
import torch

from passerby.errors import ArtefactError, TrainingError, UsageError
from passerby.training.checkpoints import Checkpoints, check_config, check_plain


def test_steps_are_sorted_by_number_and_strangers_ignored(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest() is None
    for step in (5, 100_000_000, 20):
        checkpoints.save(step, {"step": step})
    (checkpoints.folder / "step-00000099.pt.bak").touch()
    assert list(checkpoints.steps()) == [5, 20, 100_000_000]
    assert checkpoints.load(checkpoints.latest())["step"] == 100_000_000


def test_pruning_leaves_the_newest_the_wanted_and_no_torn_write(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2, 3, 4):
        checkpoints.save(step, {})
    (checkpoints.folder / ".step-00000005.abc.pt").write_bytes(b"half")
    checkpoints.prune({2, 77})
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["step-00000002.pt", "step-00000004.pt"]


def test_a_write_that_fails_leaves_the_older_checkpoint_alone(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"weights": torch.ones(2)})
    with pytest.raises(Exception, match="pickle"):
        checkpoints.save(2, {"weights": lambda: None})
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step-00000001.pt"]


@pytest.mark.parametrize("size", [0, 100, -1])
def test_a_damaged_checkpoint_is_named(tmp_path, size):
    path = Checkpoints(tmp_path).save(1, {"weights": torch.ones(1000)})
    content = path.read_bytes()
    path.write_bytes(content[:size] if size >= 0 else b"text" * 50)
    with pytest.raises(
        ArtefactError, match=r"step-00000001.pt is cut short or is no checkpoint. Remove it to go on from an older one"
    ):
        Checkpoints.load(path)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "evil.pt"
    torch.save({"format": 1, "state": Checkpoints(tmp_path)}, path)
    with pytest.raises(ArtefactError, match="cannot be read as a checkpoint"):
        Checkpoints.load(path)


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1]])
def test_another_torch_file_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ArtefactError, match='is no checkpoint of a training run: it lacks the entry "format"'):
        Checkpoints.load(tmp_path / "x.pt")


def test_a_newer_format_is_refused(tmp_path):
    torch.save({"format": 99}, tmp_path / "x.pt")
    with pytest.raises(ArtefactError, match=r"has checkpoint format 99; this passerby reads up to 1. Update passerby."):
        Checkpoints.load(tmp_path / "x.pt")


def test_what_a_checkpoint_may_hold():
    check_plain(OrderedDict(a=[1, (2.0, "x", None, True, b"", torch.ones(1), torch.Size([2]))]), "state")
    for value, kind in ((defaultdict(int), "defaultdict"), ({1}, "set"), (object(), "object")):
        with pytest.raises(TrainingError, match=rf"memory\['rows'\]\[1\] is a {kind}: a checkpoint holds tensors"):
            check_plain({"rows": [0, value]}, "memory")


def test_whatever_passes_the_check_survives_a_checkpoint(tmp_path):
    value = {"state": OrderedDict(a=[1, (2.0, "x", None, True, b"y", torch.Size([2]), torch.float16)], b={3: torch.ones(1)})}
    check_plain(value, "value")
    path = Checkpoints(tmp_path).save(1, value)
    assert Checkpoints.load(path)["state"] == value["state"]


def test_configurations_are_compared_key_by_key():
    saved = {"lr": 0.1, "sampler": {"p": 16, "k": 4}, "extra": {}, "steps": [1, 2]}
    check_config(saved, {"steps": [1, 2], "extra": {}, "sampler": {"k": 4, "p": 16}, "lr": 0.1})
    check_config(saved, saved | {"sampler": {"p": 8}}, free=["sampler"])
    with pytest.raises(UsageError) as refused:
        check_config(saved, {"lr": 0.1, "sampler": {"p": 8, "k": 4}, "steps": [1], "new": True})
    assert str(refused.value) == (
        "the run was started with another configuration: extra was {} and is absent, new was absent and is true, "
        "sampler.p was 16 and is 8, steps was [1, 2] and is [1]. "
        "Resume with the old values, or start a new run in another folder."
    )


def test_free_keys_are_whole_words():
    with pytest.raises(UsageError, match="workers_max was 1 and is 2"):
        check_config({"workers_max": 1}, {"workers_max": 2}, free=["workers"])

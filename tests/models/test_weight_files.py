import io
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from passerby.errors import ArtefactError
from passerby.models.weight_files import read_weights

WEIGHTS = {"conv.weight": torch.arange(6.0).view(2, 3), "bn.num_batches_tracked": torch.tensor(4)}


def equal(found):
    return found.keys() == WEIGHTS.keys() and all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


WRAPPED = {
    "plain": WEIGHTS,
    "ordered": OrderedDict(WEIGHTS),
    "torchreid": {
        "state_dict": WEIGHTS,
        "epoch": 60,
        "rank1": np.float32(0.9),
        "map": np.float64(0.8),
        "optimizer": {"state": {}},
    },
    "model": {"model": WEIGHTS, "epoch": torch.tensor(3)},
    "passerby": {"format": 1, "state": {"model": WEIGHTS, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}}},
    "flat with a number": {**WEIGHTS, "epoch": 3},
}


@pytest.mark.parametrize("content", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("old", [False, True])
def test_state_dicts_are_found_whatever_is_around_them(tmp_path, content, old):
    file = tmp_path / "model.pth.tar"
    torch.save(content, file, _use_new_zipfile_serialization=not old)
    assert equal(read_weights(file))


def test_safetensors(tmp_path):
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    assert equal(read_weights(tmp_path / "model.safetensors"))


class Code:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("ran",))


@pytest.mark.parametrize("kind", ["torch", "old torch", "pickle"])
def test_code_in_a_file_is_never_run(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "code.pth"
    if kind == "pickle":
        file.write_bytes(pickle.dumps({"a": Code()}))
        message = f"{file} is a pickle, which can run code, and not of torch.save: save a network's state_dict() with that."
    else:
        torch.save({"a": Code()}, file, _use_new_zipfile_serialization=kind == "torch")
        message = (
            f"{file} holds more than tensors ({os.mkdir.__module__}.mkdir) and loading it would run code, so it is not loaded: "
            "where you trust it, read it there and save its state_dict() alone."
        )
    with pytest.raises(ArtefactError) as error:
        read_weights(file)
    assert str(error.value) == message
    assert not (tmp_path / "ran").exists()


def test_a_whole_pickled_network_is_refused(tmp_path):
    file = tmp_path / "network.pth"
    torch.save(torch.nn.Linear(2, 2), file)
    with pytest.raises(ArtefactError, match=r"holds more than tensors \(torch\.nn\.modules\.linear\.Linear\)"):
        read_weights(file)


def archive(**files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        for name, text in files.items():
            opened.writestr(name.replace("_", "."), text)
    return content.getvalue()


NOT_WEIGHTS = [
    ("w.pth", b"", "{file} is empty: the download failed; get it again."),
    (
        "w.pth",
        b"<!DOCTYPE html><title>Sign in</title>",
        "{file} is a web page, not weights: open the address in a browser and download the file itself.",
    ),
    (
        "w.safetensors",
        b"\n  <html>",
        "{file} is a web page, not weights: open the address in a browser and download the file itself.",
    ),
    (
        "w.pth",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "{file} is a Git LFS pointer, not weights: fetch the file with git lfs pull.",
    ),
    (
        "w.pth",
        b"hello",
        "{file} is no weight file: what torch.save writes begins otherwise. Give .pth, .pt or .safetensors.",
    ),
    (
        "w.pth",
        archive(constants_pkl="", data_pkl=""),
        "{file} is a TorchScript archive, which is code: save the state_dict() of its network.",
    ),
    (
        "w.zip",
        archive(model_onnx=""),
        "{file} is an archive of model.onnx, not weights: unpack it and give the weight file in it.",
    ),
    ("w.pth", archive(data_pkl="no pickle"), "{file} is cut short or damaged: get it again."),
]


@pytest.mark.parametrize(("name", "content", "message"), NOT_WEIGHTS)
def test_what_only_looks_like_weights_is_named(tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ArtefactError) as error:
        read_weights(file)
    assert str(error.value) == message.format(file=file)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("keep", [0.05, 0.5, 0.99])
def test_a_file_cut_short_is_damaged(tmp_path, old, keep):
    file = tmp_path / "w.pth"
    torch.save({"weight": torch.zeros(1000)}, file, _use_new_zipfile_serialization=not old)
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ArtefactError) as error:
        read_weights(file)
    assert str(error.value) == f"{file} is cut short or damaged: get it again."


def test_safetensors_cut_short(tmp_path):
    file = tmp_path / "w.safetensors"
    save_file({"weight": torch.zeros(1000)}, file)
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(ArtefactError) as error:
        read_weights(file)
    assert str(error.value).startswith(f"{file} is cut short or is no safetensors file (")
    assert str(error.value).endswith("): get it again.")


EMPTY = [
    ({"epoch": 3, "rank1": 0.5}, "the entries epoch, rank1"),
    (torch.zeros(3), "a Tensor"),
    ([torch.zeros(3)], "a list"),
    ({0: torch.zeros(3)}, "the entries 0"),
]


@pytest.mark.parametrize(("content", "inside"), EMPTY)
def test_a_file_without_named_tensors_says_what_it_holds(tmp_path, content, inside):
    file = tmp_path / "w.pth"
    torch.save(content, file)
    with pytest.raises(ArtefactError) as error:
        read_weights(file)
    assert str(error.value) == f"{file} holds no named tensors but {inside}: save a network's state_dict()."


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(ArtefactError) as error:
        read_weights(tmp_path / "w.pth")
    assert str(error.value) == f"{tmp_path}/w.pth: no such file. Weights are not downloaded; get the file from who trained it."
    with pytest.raises(ArtefactError) as error:
        read_weights(tmp_path)
    assert str(error.value) == f"{tmp_path} is a folder: give a weight file (of an artefact: {tmp_path}/model.safetensors)."

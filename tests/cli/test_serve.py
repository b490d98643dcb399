import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra web is not installed")

from passerby.cli import main
from passerby.embedder import EmbeddingRule
from passerby.gallery import Gallery, Model, NewSighting
from passerby.web import serving

TOKEN = "a token that is long enough"


class Embedder(SimpleNamespace):
    """As `artefact.load` gives one, as far as `Model.of` looks."""

    def __call__(self, pictures: list[Any], camera: str | None = None) -> np.ndarray:
        return np.ones((len(pictures), 2), np.float32)


def embedder(name: str = "abc", **facts: Any) -> Embedder:
    return Embedder(
        facts={"artefact": name, "recipe": "baseline"}, rule=EmbeddingRule(), precision="fp32", dim=2, cameras=None, **facts
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Gallery.open(tmp_path / "g", create=True, model=Model.of(embedder())) as gallery:
        gallery.add([NewSighting("a", np.array([1.0, 0.0]), "gate"), NewSighting("b", np.array([1.0, 0.1]), "gate")])
    return tmp_path / "g"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been served, instead of serving it."""
    calls: list[Any] = []
    monkeypatch.setattr(serving, "serve", lambda *given: calls.append(given))
    monkeypatch.delenv("PASSERBY_TOKEN", raising=False)
    return calls


def load(monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    def loaded(*_: Any, **__: Any) -> Any:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr("passerby.artefact.load", loaded)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "can be reached from other machines: give a --token"),
        (["--host", "0.0.0.0", "--token", "short"], "the token has 5 characters: 16 are the least"),
        (["--token", "short"], "the token has 5 characters"),
        (["--port", "70000"], "--port is 70000: 0 to 65535"),
        (["--port", "-1"], "--port is -1"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_opened(served: list[Any], capsys, words: list[str], said: str):
    assert main(["serve", "/nowhere/at/all", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not served


def test_the_gallery_of_this_folder_is_served_when_none_is_named(
    served: list[Any], path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.chdir(path.parent)
    monkeypatch.delenv("PASSERBY_GALLERY", raising=False)
    load(monkeypatch, embedder())
    assert main(["serve"]) == 2
    error = capsys.readouterr().err
    assert "no gallery is named, and people.gallery is not in this folder" in error and "or give the gallery's name" in error
    path.rename("people.gallery")
    assert main(["serve"]) == 0 and len(served) == 1
    assert "gallery people.gallery in this folder; the gallery's name or PASSERBY_GALLERY" in capsys.readouterr().out


def test_a_gallery_that_is_not_there_is_one_line(served: list[Any], tmp_path: Path, capsys):
    assert main(["serve", str(tmp_path / "none")]) == 1
    assert "does not exist: a gallery is one file" in capsys.readouterr().err and not served


def test_the_gallerys_model_is_taken_for_pictures(served: list[Any], path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    load(monkeypatch, embedder())
    assert main(["serve", str(path), "--port", "0", "--names", "cameras.example"]) == 0
    ((service, host, port, token, names),) = served
    assert service.looking.embedder is not None and (host, port, token, names) == ("127.0.0.1", 0, None, ("cameras.example",))
    assert service.looking.cameras == () and "is off" not in capsys.readouterr().out


def test_another_model_is_refused_when_it_was_named_and_else_turned_off(
    served: list[Any], path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    load(monkeypatch, embedder("other"))
    assert main(["serve", str(path), "--model", "somewhere"]) == 2
    assert "they cannot be compared" in capsys.readouterr().err and not served
    assert main(["serve", str(path)]) == 0
    assert "searching by pictures is off: the gallery's vectors are of baseline abc" in capsys.readouterr().out
    assert served[0][0].looking.embedder is None and served[0][0].looking.detector is None


def test_without_any_model_the_page_is_served_and_a_wrong_one_is_an_error(
    served: list[Any], path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    from passerby.errors import ArtefactError

    load(monkeypatch, ArtefactError("no such artefact."))
    assert main(["serve", str(path)]) == 0 and "is off: no such artefact" in capsys.readouterr().out
    assert main(["serve", str(path), "--model", "somewhere"]) == 1 and "no such artefact" in capsys.readouterr().err


def test_cameras_of_a_model_with_statistics_are_asked_for(served: list[Any], path: Path, monkeypatch: pytest.MonkeyPatch):
    made = embedder()
    made.cameras, made.camera_agnostic = SimpleNamespace(cameras=["gate", "yard"]), False
    load(monkeypatch, made)
    assert main(["serve", str(path)]) == 0 and served[0][0].looking.cameras == ("gate", "yard")
    made.camera_agnostic = True
    assert main(["serve", str(path)]) == 0 and served[1][0].looking.cameras == ()


def test_without_a_detector_pictures_are_crops(served: list[Any], path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    load(monkeypatch, embedder())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["serve", str(path)]) == 0 and served[0][0].looking.detector is None
    assert "pictures are taken as crops" in capsys.readouterr().out
    assert main(["serve", str(path), "--detector", "x.onnx"]) == 1
    assert "x.onnx" in capsys.readouterr().err or len(served) == 1


def test_the_token_may_come_from_the_environment(served: list[Any], path: Path, monkeypatch: pytest.MonkeyPatch):
    load(monkeypatch, embedder("other"))
    monkeypatch.setenv("PASSERBY_TOKEN", TOKEN)
    assert main(["serve", str(path), "--host", "0.0.0.0"]) == 0 and served[0][3] == TOKEN


def test_without_the_extra_the_verb_says_what_to_install(path: Path):
    # in a process of its own: the modules of this one stay as they are
    absent = "import sys; sys.modules['fastapi'] = sys.modules['uvicorn'] = None"
    told = f"{absent}; from passerby.cli import main; sys.exit(main(['serve', {str(path)!r}]))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True)
    assert done.returncode == 1 and 'pip install "passerby[web]"' in done.stderr and done.stderr.count("\n") == 1


def test_it_serves_and_ends_with_ctrl_c(path: Path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    environment.pop("PASSERBY_TOKEN", None)
    started = subprocess.Popen(
        [sys.executable, "-m", "passerby", "serve", str(path), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert started.stdout is not None
    lines = iter(started.stdout.readline, "")
    address = next(found[0] for line in lines if (found := re.search(r"http://127\.0\.0\.1:\d+/", line)))
    with urllib.request.urlopen(address + "api/v1/search?like=1", timeout=60) as answer:
        assert [hit["sighting"]["id"] for hit in json.load(answer)["hits"]] == [2]
    started.send_signal(signal.SIGINT)
    _, error = started.communicate(timeout=60)
    assert started.returncode == 0 and "Traceback" not in error

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from passerby.embeddings import Embeddings
from passerby.errors import DataError, EmbeddingsError
from passerby.report import Run, read_run
from passerby.report.origin import command_of
from passerby.report.runs import kind_of_people


def test_a_run_knows_what_it_was_trained_and_tested_on(run_of: Callable[[str], Run]):
    run = run_of("good")
    assert (run.trained_on, run.tested_on, run.people) == ("street", "street", "rendered people")
    assert run.notes == ("rendered people: town nowhere",) and run.sees_images and run.settings["epochs"] == 12
    assert command_of(run).startswith("passerby train baseline --config") and "--out" in command_of(run)


def test_a_run_that_is_trained_still_has_no_artefact(folders: dict[str, Path], tmp_path: Path):
    shutil.copy(folders["good"] / "history.jsonl", tmp_path / "history.jsonl")
    run = read_run(tmp_path)
    assert run.facts is None and run.sets is None and run.tested_on == "" and run.trained_on == "unknown data"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("street", "rendered people"),
        ("street:campus", "rendered people"),
        ("drawn", "drawn people"),
        ("market1501", ""),
        ("", ""),
    ],
)
def test_people_who_are_not_real_are_called_so(data: str, kind: str):
    assert kind_of_people(data) == kind


def test_no_run_no_embeddings_and_foreign_embeddings_are_refused(folders: dict[str, Path], tmp_path: Path):
    with pytest.raises(DataError, match=r"no history.jsonl in .*Give what passerby train wrote"):
        read_run(tmp_path)
    with pytest.raises(DataError, match=r"lacks query.npz and gallery.npz: give the folder that passerby embed wrote"):
        read_run(folders["good"], embeddings=tmp_path)
    query = Embeddings.load(folders["good"] / "embeddings" / "query.npz")
    for name in ("query", "gallery"):
        Embeddings(query.vectors, query.pids, query.camids, query.names, {"artefact": "0" * 12}).save(tmp_path / f"{name}.npz")
    with pytest.raises(EmbeddingsError, match=r"made by artefact 000000000000, .* run passerby embed again"):
        read_run(folders["good"], embeddings=tmp_path)

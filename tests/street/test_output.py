import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.errors import DataError, UsageError
from passerby.street.folder import Order, read_manifest
from passerby.street.output import _deaf_to_interrupts, _draw_apart, _Job, _work, preview, render_set
from passerby.street.plan import make_plan
from passerby.street.render import open_renderer

ORDER = Order("market", 1, 2, 4, 0, clouds="both", cloud_height=32)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    out = tmp_path_factory.mktemp("street") / "market"
    return render_set(ORDER, out, renderer="numba")


def _halves():
    plan = make_plan("market", 0, 4, 6, 0)
    return [(plan, plan.crops[::2]), (plan, plan.crops[1::2])]


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_folder_is_in_market_layout_and_whole(rendered):
    crops = read_manifest(rendered.folder)
    assert (rendered.crops, rendered.made, rendered.people, rendered.renderer) == (12, 12, 3, "numba")
    assert {path.name for path in rendered.folder.iterdir()} == {
        "bounding_box_train", "query", "bounding_box_test", "clouds", "manifest.jsonl", "people.json", "street.json",
    }  # fmt: skip
    for crop in crops:
        with Image.open(rendered.folder / crop.folder / crop.name) as image:
            assert image.size == (128, 256)
            assert np.asarray(image).std() > 5
    assert len(list(rendered.folder.glob("*/*.jpg"))) == 12


def test_people_are_saved_and_can_be_read_again(rendered):
    from passerby.street.bodies import Person

    people = json.loads((rendered.folder / "people.json").read_text())
    assert set(people) == {"1", "2", "3"}
    assert all(
        Person.from_json(record).to_json() == Person.from_json(json.loads(json.dumps(record))).to_json()
        for record in people.values()
    )


def test_every_crop_has_its_cloud_in_both_forms(rendered):
    for crop in read_manifest(rendered.folder):
        stem = rendered.folder / "clouds" / crop.folder / crop.name
        with np.load(f"{stem}.npz") as content:
            assert content["xyz"].shape == (32 * 16, 3) and content["surface"] > 20
            assert np.abs(content["xyz"][: content["surface"]]).max() < 1.6
        assert len(Path(f"{stem}.obj").read_text().splitlines()) == 32 * 16 + 1


def test_a_finished_run_draws_nothing_again(rendered):
    before = {path: path.stat().st_mtime_ns for path in rendered.folder.glob("*/*.jpg")}
    again = render_set(ORDER, rendered.folder, renderer="numba")
    assert again.made == 0
    assert before == {path: path.stat().st_mtime_ns for path in rendered.folder.glob("*/*.jpg")}


def test_several_processes_and_a_resumed_run_make_the_same_bytes(rendered, tmp_path):
    order = ORDER
    out = tmp_path / "market"
    render_set(order, out, renderer="numba", workers=2)
    removed = sorted(out.glob("*/*.jpg"))[::2]
    for path in removed:
        path.unlink()
    assert render_set(order, out, renderer="numba").made == len(removed)
    assert files(out) == files(rendered.folder)


def test_a_killed_run_leaves_only_whole_images_and_goes_on(rendered, tmp_path):
    out = tmp_path / "market"
    code = (
        "from pathlib import Path; from passerby.street.folder import Order; from passerby.street.output import render_set;"
        f"render_set(Order('market', 1, 2, 4, 0, clouds='both', cloud_height=32), Path({str(out)!r}), renderer='numba')"
    )
    with subprocess.Popen([sys.executable, "-c", code], env=os.environ) as run:
        deadline = time.monotonic() + 60
        while len(list(out.glob("*/[0-9]*.jpg"))) < 3 and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
    for path in out.glob("*/[0-9]*.jpg"):
        with Image.open(path) as image:
            image.load()
    render_set(ORDER, out, renderer="numba")
    whole = {name: content for name, content in files(out).items() if not Path(name).name.startswith(".")}
    assert whole == files(rendered.folder)


@pytest.mark.parametrize("crops", [0, 3], ids=["at the start", "on the way"])
def test_ctrl_c_is_answered_once(tmp_path, crops):
    out = tmp_path / "market"
    words = ["street", "render", "--town", "market", "--ids", "30", "--views", "6", "--renderer", "numba", "--workers", "2"]
    run = subprocess.Popen(
        [sys.executable, "-m", "passerby", *words, "--out", str(out)], stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in a shell's background jobs
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (started := out.exists() and len(list(out.glob("*/[0-9]*.jpg"))) >= crops) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0 if crops else 0.5)  # the processes are importing
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all of them
    said = run.communicate(timeout=60)[1]
    assert started and run.returncode == 130
    assert [line for line in said.splitlines() if not line.startswith("render ")] == [
        "passerby: interrupted; what was finished is kept"
    ]


@pytest.fixture
def answering():
    """SIGINT raises KeyboardInterrupt, also where a shell has started the tests in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("answering")
def test_ctrl_c_while_processes_are_started_is_answered_behind_it():
    whole = False
    with pytest.raises(KeyboardInterrupt):
        with _deaf_to_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            whole = True
        for _ in range(1000):  # where another thread receives it, it may be there only now
            time.sleep(0.01)
    assert whole and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_an_error_in_a_process_is_passed_on_as_one_line(tmp_path):
    (tmp_path / "query").write_text("in the way")
    (tmp_path / "bounding_box_test").write_text("in the way")
    plan = make_plan("market", 0, 1, 2, 0)
    hears, said = multiprocessing.Pipe(duplex=False)
    _work([_Job(Order("market", 0, 1, 2, 0), tmp_path, "numba", plan.crops, plan.scenes)], said)
    kind, text = hears.recv()
    assert kind is DataError and "in the way" not in text and "\n" not in text
    assert text in (f'"{tmp_path / "query"}": File exists', f'"{tmp_path / "bounding_box_test"}": File exists')
    _work([_Job(Order("market", 0, 1, 2, 0), tmp_path / "new", "numba", plan.crops, plan.scenes)], said)
    assert [hears.recv() for _ in range(3)] == [1, 1, None]


class _Poison:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (3,)


def test_a_process_that_dies_at_its_start_ends_the_run_in_one_line():
    with pytest.raises(DataError, match=r"^a drawing process ended with status 3\. What is finished is kept; run again\.$"):
        _draw_apart([[_Poison()], [_Poison()]], list)
    assert not multiprocessing.active_children()


def test_a_process_that_cannot_be_started_is_one_line(monkeypatch):
    def broken(*_):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", broken)
    with pytest.raises(DataError, match=r"^a drawing process could not be started \(Broken pipe\)\. Run again\.$"):
        _draw_apart([[_Poison()]], list)


def test_a_process_that_is_killed_ends_the_run_in_one_line(tmp_path):
    killed = []

    def kill_one(crops):
        if not killed:
            killed.append(multiprocessing.active_children()[0])
            killed[0].kill()

    shares = [[_Job(Order("market", 0, 4, 6, 0), tmp_path, "numba", half, plan.scenes)] for plan, half in _halves()]
    with pytest.raises(DataError, match=r"a drawing process ended with status -9"):
        _draw_apart(shares, kill_one)
    assert not multiprocessing.active_children()


def test_the_preview_shows_one_person_a_row(rendered):
    path = preview(rendered.folder, read_manifest(rendered.folder), columns=4)
    with Image.open(path) as sheet:
        assert sheet.size == (4 * 64, 3 * 128)
        assert np.asarray(sheet).reshape(3, 128, 4, 64, 3).std(axis=(1, 3)).min() > 1
    path.unlink()


def test_refusals_come_before_any_file(tmp_path):
    with pytest.raises(UsageError, match=r'no town "atlantis"'):
        render_set(Order("atlantis", 1, 1, 4, 0), tmp_path / "x")
    with pytest.raises(UsageError, match=r"workers is 0: at least one process must draw"):
        render_set(ORDER, tmp_path / "x", workers=0)
    with pytest.raises(UsageError, match=r'renderer "vulkan" is unknown'):
        render_set(ORDER, tmp_path / "x", renderer="vulkan")
    assert not (tmp_path / "x").exists()


def test_without_opengl_the_street_falls_back_and_says_so(tmp_path, monkeypatch):
    from passerby.errors import MissingDependencyError
    from passerby.street import render_gl

    def broken(*_):
        raise MissingDependencyError("OpenGL cannot be opened")

    monkeypatch.setattr(render_gl.GLRenderer, "__init__", broken)
    assert open_renderer("auto").name == "numba"
    made = render_set(Order("market", 0, 1, 2, 0), tmp_path / "x")
    assert made.renderer == "numba" and made.made == 2

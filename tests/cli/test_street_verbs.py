import json

import pytest

from passerby.cli import main


def run(capsys, *words):
    status = main(words)
    said = capsys.readouterr()
    return status, said.out, said.err


def refusal(capsys, *words):
    status, _, error = run(capsys, *words)
    assert error.startswith("passerby: ") and error.count("\n") == 1
    return status, error.removeprefix("passerby: ").strip()


def test_render_writes_the_set_the_sheet_and_the_report(capsys, tmp_path):
    out, report = tmp_path / "m", tmp_path / "r.json"
    words = ["street", "render", "--town", "market", "--ids", "3", "--views", "2", "--seed", "4", "--out", str(out)]
    status, text, _ = run(capsys, *words, "--renderer", "numba", "--workers", "1", "--preview", "--json", str(report))
    assert status == 0
    assert "3 people, 6 crops, renderer numba" in text
    assert len(list(out.glob("*/*.jpg"))) == 6 and (out / "preview.jpg").is_file()
    (made,) = json.loads(report.read_text())
    assert (made["crops"], made["made"], made["people"]) == (6, 6, 3)
    status, text, _ = run(capsys, *words, "--renderer", "numba", "--workers", "1")
    assert status == 0 and "6 crops (6 were there)" in text

    status, text, _ = run(capsys, "street", "list", "--folder", str(out), "--json", str(report))
    assert status == 0
    people = json.loads(report.read_text())
    assert [person["pid"] for person in people] == [1, 2, 3]
    assert [person["half"] for person in people] == ["train", "train", "test"]
    assert all(person["crops"] == 2 and person["cameras"] == 2 for person in people)


def test_list_shows_towns_and_cameras(capsys, tmp_path):
    report = tmp_path / "r.json"
    status, text, _ = run(capsys, "street", "list", "--json", str(report))
    assert status == 0 and "harbour" in text
    assert {row["town"]: row["cameras"] for row in json.loads(report.read_text())}["winter"] == 15
    status, text, _ = run(capsys, "street", "list", "--town", "station", "--json", str(report))
    assert status == 0
    assert [row["camera"] for row in json.loads(report.read_text())] == list(range(1, 9))


def test_video_writes_films_and_truth(capsys, tmp_path):
    words = ["street", "video", "--town", "market", "--cameras", "2", "--seconds", "0.2", "--people", "2", "--size", "320x180"]
    status, text, _ = run(capsys, *words, "--fps", "10", "--renderer", "numba", "--out", str(tmp_path / "v"))
    assert status == 0 and "market-c2.mp4: 2 frames" in text
    assert (tmp_path / "v" / "market-c2.gt.txt").is_file()


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (
            ("--town", "campos"),
            2,
            'no town "campos". Did you mean "campus"? Allowed: arcade, campus, harbour, market, station, winter. '
            "Or random-1, random-2, ...: towns put together by chance.",
        ),
        ((), 2, "--town is missing: give one of arcade, campus, harbour, market, station, winter, or --benchmark S."),
        (("--town", "campus", "--ids", "0"), 2, "--ids is 0: there must be at least one person to render."),
        (("--town", "campus", "--views", "1"), 2, "views is 1: each person needs 2 to 100 crops, seen by at least two cameras."),
        (("--town", "campus", "--size", "big"), 2, 'size is "big": give width x height in pixels, for instance 128x256.'),
        (("--town", "campus", "--renderer", "cuda"), 2, 'renderer "cuda" is unknown. Allowed: auto, gl, numba.'),
        (("--benchmark", "XL"), 2, 'no Street-v1 size "XL". Allowed: S, M.'),
        (("--benchmark", "S", "--ids", "9"), 2, "--ids cannot be given with --benchmark: Street-v1 is fixed."),
        (
            ("--population", "house", "--ids", "9", "--size", "64x128"),
            2,
            "--ids, --size cannot be given with --population: who lives in it is fixed.",
        ),
        (
            ("--population", "house", "--town", "campus"),
            2,
            "--town cannot be given with --population: it is rendered whole; look at one town by --town alone.",
        ),
        (("--population", "hose"), 2, 'no population "hose". Did you mean "house"? Allowed: house, house-large.'),
        (
            ("--population", "house", "--benchmark", "S"),
            2,
            "--benchmark and --population were both given: render one, then the other, into folders of their own.",
        ),
    ],
)
def test_wrong_calls_of_render_are_one_line(capsys, tmp_path, words, status, text):
    assert refusal(capsys, "street", "render", *words, "--out", str(tmp_path / "x")) == (status, text)
    assert not (tmp_path / "x").exists()


def test_folders_that_must_not_be_written_are_one_line(capsys, tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("mine")
    words = (
        "street",
        "render",
        "--town",
        "market",
        "--ids",
        "1",
        "--views",
        "2",
        "--renderer",
        "numba",
        "--workers",
        "1",
        "--out",
    )
    status, text = refusal(capsys, *words, str(tmp_path / "foreign"))
    assert status == 1 and text.endswith(
        "is not empty and has no street.json: it belongs to something else. Give --out a new folder."
    )
    status, text = refusal(capsys, *words, "/proc/street")
    assert status == 1 and text.startswith('"/proc/street" cannot be written')


def test_a_corrupted_manifest_is_one_line(capsys, tmp_path):
    out = tmp_path / "m"
    words = (
        "street",
        "render",
        "--town",
        "market",
        "--ids",
        "1",
        "--views",
        "2",
        "--renderer",
        "numba",
        "--workers",
        "1",
        "--out",
        str(out),
    )
    assert main(words) == 0
    capsys.readouterr()  # a slow machine shows progress
    (out / "manifest.jsonl").write_text("{}\n")
    status, text = refusal(capsys, *words)
    assert status == 1 and "is corrupted: its 1 lines are not the list that street.json was written for" in text
    status, again = refusal(capsys, "street", "list", "--folder", str(out))
    assert status == 1 and again == text
    (out / "manifest.jsonl").unlink()
    (out / "people.json").write_text("[]")
    assert main(words) == 0  # writes the list and the people again
    (out / "people.json").write_text("[]")
    status, text = refusal(capsys, "street", "list", "--folder", str(out))
    assert status == 1 and "people.json" in text and "is damaged" in text


def test_other_wrong_calls_are_one_line(capsys, tmp_path):
    assert refusal(capsys, "street", "list", "--folder", str(tmp_path))[1].endswith(
        "it is not a folder that `passerby street render` made."
    )
    assert refusal(capsys, "street", "list", "--town", "x", "--folder", str(tmp_path)) == (
        2, "--town and --folder were both given: list one thing at a time.",
    )  # fmt: skip
    assert refusal(capsys, "street", "list", "--town", "haven")[0] == 2
    status, text = refusal(capsys, "street", "video", "--town", "market", "--cameras", "9", "--out", str(tmp_path / "v"))
    assert (status, text) == (2, "camera 9: market has cameras 1 to 2.")


def test_the_fall_back_to_numba_is_said(capsys, tmp_path, monkeypatch):
    from passerby.errors import MissingDependencyError
    from passerby.street import render_gl

    def broken(*_):
        raise MissingDependencyError("OpenGL cannot be opened")

    monkeypatch.setattr(render_gl.GLRenderer, "__init__", broken)
    words = ("street", "render", "--town", "market", "--ids", "1", "--views", "2", "--workers", "1", "--out", str(tmp_path / "m"))
    status, text, _ = run(capsys, *words)
    assert status == 0 and "Drawn with numba: OpenGL is not there or has no GPU here." in text

"""What is on the page is read back as a browser reads it."""

import base64
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from passerby.embeddings import QueryGallery
from passerby.errors import DataError, UsageError
from passerby.metrics import MARKET1501, bootstrap, compare, evaluate
from passerby.metrics.conventions import resolve
from passerby.report import Run, read_run, write_report

VOID = {"img", "meta", "link"}


@pytest.fixture
def page(whole_page: Path) -> str:
    return whole_page.read_text(encoding="utf-8")


def test_it_says_what_was_trained_on_what_and_how_well_it_finds(
    page: str, run_of: Callable[[str], Run], text_of: Callable[[str], str]
):
    run, text = run_of("noisy"), text_of(page)
    assert run.sets is not None
    scores = evaluate(run.sets.query, run.sets.gallery)
    ends = bootstrap(scores, samples=50, unit="person")["map"]
    assert "noisy: resnet50 by the recipe baseline, trained on street (90 images of 9 people in 3 cameras) for 12 epochs." in text
    assert f"{100 * scores.map:.1f} ({100 * ends.low:.1f} to {100 * ends.high:.1f})" in text
    assert scores.convention.in_words() in text and "18 of 18" in text
    assert "Nothing is published for the recipe baseline trained on street" in text
    assert "passerby train baseline --config" in text and "epochs: 12 (default 60)" in text
    assert "rendered people, nobody is real" in text and "rendered people: town nowhere" in text


def test_it_needs_nothing_else_and_holds_no_script(page: str, reader: Callable[[str], Any]):
    read = reader(page)
    sources = [found.get("src") or found.get("href") or "" for found in read.attributes if "src" in found or "href" in found]
    assert sources and all(source.startswith(("data:", "#")) for source in sources)
    assert not {"script", "iframe", "object", "form"} & set(read.names)
    assert any(str(found.get("content", "")).startswith("default-src 'none'; img-src data:") for found in read.attributes)
    assert not re.search(r"url\(|@import|https?://", page)
    assert len(page.encode()) < 5_000_000


def test_it_can_be_read_without_eyes_and_on_a_phone(page: str, reader: Callable[[str], Any]):
    read = reader(page)
    pictures = [found for name, found in zip(read.names, read.attributes, strict=True) if name == "img"]
    assert len(pictures) > 10 and all(found.get("alt") for found in pictures)
    levels = [int(name[1]) for name in read.names if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(levels))
    ids = [found["id"] for found in read.attributes if "id" in found]
    targets = [str(found["href"])[1:] for found in read.attributes if str(found.get("href", "")).startswith("#")]
    assert len(set(ids)) == len(ids) and targets and set(targets) <= set(ids)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in read.attributes
    assert "prefers-color-scheme: dark" in page and "max-width: 40rem" in page and read.attributes[0] == {"lang": "en"}


def test_elements_are_closed_in_order(page: str):
    opened: list[str] = []
    for closing, name in re.findall(
        r"<(/?)([a-z0-9]+)", re.sub(r"<!DOCTYPE html>|<style>.*?</style>", "", page, flags=re.DOTALL)
    ):
        if closing:
            assert opened.pop() == name
        elif name not in VOID:
            opened.append(name)
    assert not opened


def test_names_with_markup_in_them_are_shown_as_they_are(
    run_of: Callable[[str], Run], text_of: Callable[[str], str], written: Callable[..., str]
):
    evil = '<script>alert("x")</script>'
    page = written(replace(run_of("noisy"), name=evil), title=f"{evil} & co")
    assert "<script" not in page and evil in text_of(page) and "<b>.png" not in page
    assert "query/0001_c0<b>.png" in text_of(page)


def test_pictures_are_small_crops_of_the_right_people(page: str, images: Path, reader: Callable[[str], Any]):
    shown = [
        found for name, found in zip(reader(page).names, reader(page).attributes, strict=True)
        if name == "img" and str(found["src"]).startswith("data:image/jpeg")
    ]  # fmt: skip
    assert all(base64.b64decode(str(found["src"]).split(",")[1])[:2] == b"\xff\xd8" for found in shown)
    alts = [str(found["alt"]) for found in shown]
    assert any(alt.startswith("query: person") for alt in alts)
    assert any(re.fullmatch(r"rank 1: somebody else, person \d, camera \d", alt) for alt in alts)
    assert all(int(str(found["height"])) <= 120 and int(str(found["width"])) <= 96 for found in shown)


def test_mistakes_and_cameras_in_words(page: str, text_of: Callable[[str], str]):
    text = text_of(page)
    assert re.search(r"\d+ of 18 queries find somebody else first", text) and "The surest mistakes" in text
    assert "was taken for person" in text and "The right person comes at rank" in text
    assert "The hardest pair: queries of camera" in text and "None of it is measured on this run" in text
    assert "<code>passerby adapt " in page and "`" not in text


def test_several_runs_are_compared_in_pairs(
    run_of: Callable[[str], Run], text_of: Callable[[str], str], written: Callable[..., str]
):
    runs = [run_of("good"), run_of("noisy")]
    text = text_of(written(*runs))
    first, second = (evaluate(run.sets.query, run.sets.gallery) for run in runs if run.sets)
    found = compare(first, second, samples=50, unit="person")["map"]
    assert f"{100 * found.value:+.1f}" in text and f"{100 * found.interval.low:+.1f} to {100 * found.interval.high:+.1f}" in text
    assert "good is better than noisy in mAP" in text and "Cameras: noisy" in text and "2 runs: good, noisy" in text


def test_runs_that_do_not_compare_say_why(
    run_of: Callable[[str], Run], text_of: Callable[[str], str], written: Callable[..., str]
):
    good, noisy = run_of("good"), run_of("noisy")
    assert noisy.sets is not None
    fewer = replace(noisy, sets=QueryGallery(noisy.sets.query[:9], noisy.sets.gallery))
    assert "noisy cannot be compared with good: run A has 18 queries, run B 9" in text_of(written(good, fewer))
    alike = text_of(written(good, replace(good, name="again")))
    assert "No difference in mAP between good and again can be told" in alike
    alone = text_of(written(good, replace(noisy, sets=None)))
    assert (
        "Fewer than two runs have embeddings" in alone and "Its own log says after epoch 12: Rank-1 50.0 %, mAP 25.0 %" in alone
    )


def test_published_figures_keep_their_source_and_their_rule(
    run_of: Callable[[str], Run], text_of: Callable[[str], str], written: Callable[..., str]
):
    run = run_of("good")
    assert run.facts is not None and run.sets is not None
    data = ({**run.facts.data[0], "name": "market1501"},)
    sets = QueryGallery(*(replace_meta(part, data="market1501") for part in (run.sets.query, run.sets.gallery)))
    market = replace(run, facts=replace(run.facts, data=data), sets=sets)
    text = text_of(written(market, preset="market-resnet50"))
    assert "Published by others, not measured here (AP by the trapezoid rule, convention layumi)" in text
    assert "88.8" in text and "README of layumi/Person_reID_baseline_pytorch" in text and "measured here" in text
    assert "good differs from the published row in 2 options" in text or "differs from the published row" in text
    same = evaluate(sets.query, sets.gallery, resolve("layumi"))
    assert f"{100 * same.map:.1f}" in text
    other = text_of(written(run, preset="market-resnet50"))
    assert "The published figures are of another test (market1501); this run was tested on street" in other
    assert "The published row trained on market1501, good on street." in other


def replace_meta(part, **changed: str):
    from passerby.embeddings import Embeddings

    return Embeddings(part.vectors, part.pids, part.camids, part.names, {**part.meta, **changed})


def test_without_images_names_stand_for_them(
    folders: dict[str, Path], text_of: Callable[[str], str], written: Callable[..., str]
):
    text = text_of(written(read_run(folders["noisy"])))
    assert "The images are not at hand" in text and "query/0002_c1.png" in text


def test_a_run_in_the_middle_and_conventions_without_a_list(
    folders: dict[str, Path],
    run_of: Callable[[str], Run],
    tmp_path: Path,
    text_of: Callable[[str], str],
    written: Callable[..., str],
):
    shutil.copy(folders["good"] / "history.jsonl", tmp_path / "history.jsonl")
    assert "is not finished: 12 epochs on unknown data so far" in text_of(written(read_run(tmp_path, name="new")))
    single = text_of(written(run_of("good"), convention=resolve("cuhk03-classic")))
    assert "there is no one ranked list to show" in single and "there is no table by camera pair" in single


def test_references_stand_beside_the_runs(
    run_of: Callable[[str], Run], text_of: Callable[[str], str], written: Callable[..., str]
):
    good, noisy = run_of("good"), run_of("noisy")
    assert noisy.sets is not None
    plain = evaluate(noisy.sets.query, noisy.sets.gallery, MARKET1501)
    text = text_of(written(good, references={"colour histogram": plain}, each=0, failures=0))
    assert "colour histogram" in text and f"{100 * plain.map:.1f} (" in text and "Not asked for." in text


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"out": "report.pdf"}, UsageError, '"report.pdf" is a web page: give a name that ends in .html'),
        ({"each": -1}, UsageError, "each is -1: give 0 or more"),
        ({"top": 0}, UsageError, "top is 0: give 1 or more"),
        ({"failures": -2}, UsageError, "failures is -2: give 0 or more"),
        ({"samples": 0}, UsageError, "samples is 0: give 1 or more"),
        ({"preset": "market-camera-bn"}, UsageError, 'preset "market-camera-bn" belongs to camera-bn'),
    ],
)
def test_wrong_calls(
    run_of: Callable[[str], Run],
    tmp_path: Path,
    options: dict,
    error: type[Exception],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=re.escape(text)):
        write_report([run_of("good")], **{"out": "r.html", **options})
    assert not list(tmp_path.iterdir())


def test_no_run_two_of_a_name_missing_images_and_too_much(
    run_of: Callable[[str], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run, out = run_of("good"), tmp_path / "r.html"
    with pytest.raises(UsageError, match="no run to report"):
        write_report([], out)
    with pytest.raises(UsageError, match="two runs have one name: good, good"):
        write_report([run, run], out)
    with pytest.raises(DataError, match=r"36 of 36 images of the embeddings are not below .*give the folder of the data set"):
        write_report([replace(run, images=tmp_path)], out)
    monkeypatch.setattr("passerby.report.page._MOST_BYTES", 1000)
    with pytest.raises(UsageError, match=r"the page would have 0\.\d MB, allowed are 5: show less with --each"):
        write_report([run], out, samples=10)
    assert not out.exists()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
def test_a_browser_opens_it_without_a_word(whole_page: Path, tmp_path: Path):
    command = [
        "chromium",
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--enable-logging=stderr",
        "--v=0",
    ]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", whole_page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "Comparison" in done.stdout and "CONSOLE" not in done.stderr, done.stderr

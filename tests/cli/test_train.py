"""`passerby train`: preset, then file, then flags; a run folder that says what was run; errors before work starts."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from passerby.cli import main, train
from passerby.recipes import RECIPES
from passerby.recipes.baseline import Config

FAST = ["--backbone", "osnet_x0_25", "--weights", "scratch", "--height", "64", "--width", "32", "--pad-px", "2", "--workers", "0"]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people in the layout of Market-1501, four to train on, two to find."""
    root = tmp_path_factory.mktemp("data") / "Market-1501-v15.09.15"
    random = np.random.default_rng(0)
    for folder, people, shots in (
        ("bounding_box_train", (2, 7, 10, 11), 3),
        ("query", (1, 3), 1),
        ("bounding_box_test", (1, 3), 2),
    ):
        (root / folder).mkdir(parents=True)
        for pid in people:
            for camera in (1, 2):
                for shot in range(shots):
                    pixels = random.integers(0, 256, (24, 12, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(root / folder / f"{pid:04d}_c{camera}s1_{shot:06d}_00.jpg")
    return root


def resolved(words: list[str]) -> tuple[train.RunOptions, Config]:
    run, config, _ = train._resolve("baseline", words)
    return run, config


def test_flags_go_over_the_file_and_the_file_over_the_preset(tmp_path: Path):
    file = tmp_path / "own.yaml"
    file.write_text("lr: 0.03\nbatch_size: 16\ndata: some/where\n")
    run, config = resolved(["--preset", "market-circle", f"--config={file}", "--batch-size", "24"])
    assert (config.lr, config.batch_size, config.losses, config.last_stride) == (0.03, 24, ("circle",), 1)
    assert run.dataset == "market1501" and run.data == Path("some/where") and run.out == Path("runs/market-circle")


def test_a_run_leaves_what_is_needed_to_repeat_it(market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, scores = tmp_path / "run", tmp_path / "scores.json"
    words = ["train", "baseline", "--data", str(market.parent), *FAST, "--epochs", "1", "--batch-size", "8", "--out", str(out)]
    assert main([*words, "--json", str(scores)]) == 0
    said = capsys.readouterr().out
    assert "Rank-1" in said and "convention: AP by the rank rule" in said and "artefact:" in said
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    written = yaml.safe_load((out / "config.yaml").read_text())
    assert written["dataset"] == "market1501" and written["backbone"] == "osnet_x0_25" and written["epochs"] == 1
    found = json.loads(scores.read_text())
    assert 0 <= found["scores"]["map"] <= 1 and (Path(found["artefact"]) / "passerby.json").is_file()

    assert main(words) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert main([*words, "--resume", "--lr", "0.3"]) == 2
    assert "lr" in capsys.readouterr().err
    again = ["train", "baseline", "--config", str(out / "config.yaml"), "--data", str(market), "--out", str(tmp_path / "again")]
    assert main([*again, "--workers", "0"]) == 0
    first, second = (folder / "artefact" / "model.safetensors" for folder in (out, tmp_path / "again"))
    assert first.read_bytes() == second.read_bytes()


def test_eval_only_measures_the_run_and_trains_nothing(market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, scores, repeated = tmp_path / "run", tmp_path / "scores.json", tmp_path / "repeated.json"
    words = ["train", "baseline", "--data", str(market), "--out", str(out)]
    assert main([*words, *FAST, "--epochs", "1", "--batch-size", "8", "--json", str(scores)]) == 0
    written = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main([*words, "--eval-only", "--json", str(repeated)]) == 0
    assert "Rank-1" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == written
    found = json.loads(repeated.read_text())
    assert found["map"] == pytest.approx(json.loads(scores.read_text())["scores"]["map"])
    for flags, said in (
        (["--resume"], "--resume trains on, --eval-only trains nothing: give one of them."),
        (["--lr", "0.3", "--epochs", "2"], "--lr, --epochs: acts on training, and --eval-only trains nothing. Leave it out."),
        (["--out", str(tmp_path / "none")], f'--eval-only: no artefact in the run "{tmp_path / "none"}". Train it first'),
        (["--dataset", "M+D"], "--eval-only: M+D is joined to train on and has no queries. Name one data set with --dataset."),
    ):
        assert main([*words, "--eval-only", *flags]) == 2
        assert said in capsys.readouterr().err
    assert main(["train", "baseline", "--data", str(market), "--eval-only"]) == 2
    assert "name its folder with --out, or its --preset." in capsys.readouterr().err


def test_a_preset_prints_the_published_figures_beside(market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["--data", str(market), *FAST, "--epochs", "1", "--batch-size", "8", "--out", str(tmp_path / "run")]
    assert main(["train", "baseline", "--preset", "market-resnet50", *words]) == 0
    said = capsys.readouterr().out
    assert "published" in said and "88.84%" in said and "71.59%" in said and "trapezoid" in said


def test_the_recipes_are_listed_with_what_they_are(capsys):
    assert main(["train"]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert [name for name, _ in lines] == list(RECIPES) and dict(lines)["metabin"].startswith("MetaBIN: gates between batch")


def test_the_presets_are_listed(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "baseline", "--presets"]) == 0
    said = capsys.readouterr().out
    assert "market-pcb" in said and "92.64%" in said and "not measured here" in said


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["train", "basline"], 2, 'no recipe "basline". Did you mean "baseline"?'),
        (["train", "baseline", "--preset", "market-resnet5"], 2, 'no preset "market-resnet5". Did you mean "market-resnet50"?'),
        (["train", "baseline", "--preset"], 2, "--preset needs a value."),
        (["train", "baseline"], 2, "train on what? Give --data DIR"),
        (["train", "baseline", "--data", "nowhere"], 1, "nowhere"),
        (["train", "baseline", "--config", "absent.yaml"], 2, "config absent.yaml: No such file or directory."),
        (["train", "baseline", "--dataset", "markt", "--data", "."], 2, "market1501"),
    ],
)
def test_wrong_words_are_one_line(
    words: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PASSERBY_DATA", raising=False)
    assert main(words) == status
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_options_that_do_not_fit_stop_before_the_run_folder_is_made(
    market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "run"
    words = ["train", "baseline", "--data", str(market), *FAST, "--out", str(out), "--batch-size", "6", "--losses", "circle"]
    assert main(words) == 2
    assert "nearest" in capsys.readouterr().err.lower()
    assert not out.exists()


@pytest.mark.parametrize("place", ["", "runs/one", "query"])
def test_a_run_among_the_images_is_refused(market: Path, place: str, capsys: pytest.CaptureFixture[str]):
    before = sorted(market.rglob("*"))
    assert main(["train", "baseline", "--data", str(market.parent), *FAST, "--out", str(market / place)]) == 2
    said = capsys.readouterr().err
    assert f'the run folder "{market / place}" lies in the data set "{market}": give another --out.' in said
    assert sorted(market.rglob("*")) == before


def test_a_run_may_lie_beside_a_manifest_but_not_in_its_place(market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = [f"{image},{image.name[:4]},{int(image.name[6]) - 1},train" for image in sorted(market.glob("bounding_box_train/*"))]
    (tmp_path / "manifest.csv").write_text("path,pid,camid,split\n" + "\n".join(rows) + "\n")
    words = ["train", "baseline", "--data", str(tmp_path), *FAST, "--epochs", "1", "--batch-size", "8", "--out"]
    assert main([*words, str(tmp_path)]) == 2
    assert "lies in the data set" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "runs" / "one")]) == 0


def test_a_trial_is_trained_on_its_own_people_and_says_so(
    market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from dataclasses import replace

    from passerby import datasets
    from passerby.artefact import read_description
    from passerby.records import Trial

    data = datasets.read("market1501", market)
    parts = [data.train.where(lambda r, people=people: r.pid in people) for people in ((2, 7), (10, 11))]
    trials = tuple(
        Trial(f"split {n}", test, test, train, f"those of split {n}") for n, (train, test) in enumerate((parts, parts[::-1]), 1)
    )
    first = replace(data, train=parts[0], query=parts[1], gallery=parts[1], trials=trials, notes=("those of split 1",))
    monkeypatch.setattr(datasets.registry, "read", lambda name, root=None: first)
    monkeypatch.chdir(tmp_path)
    words = ["train", "baseline", "--data", str(market), *FAST, "--epochs", "1", "--batch-size", "4"]
    for trial, people, note, place in (
        ("", [2, 7], "those of split 1", "baseline-market1501"),
        ("2", [10, 11], "those of split 2", "baseline-market1501-2"),
    ):
        assert main([*words, *(["--trial", trial] if trial else [])]) == 0
        found = read_description(tmp_path / "runs" / place / "artefact")
        assert [pid for _, pid in found.label_map] == people and found.notes == (note,)
        settings = yaml.safe_load((tmp_path / "runs" / place / "config.yaml").read_text())
        assert settings.get("trial", "") == (f"split {trial}" if trial else "")  # so that --config repeats the run
        said = capsys.readouterr().out
        assert f"note: {note}" in said and "trained on" not in said
    assert main([*words, "--trial", "3", "--out", "x"]) == 2
    assert 'market1501 has no trial "3": split 1, split 2.' in capsys.readouterr().err


def test_a_finished_run_without_its_history_reports_no_number(market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, scores = tmp_path / "run", tmp_path / "scores.json"
    words = ["train", "baseline", "--data", str(market), *FAST, "--epochs", "1", "--batch-size", "8", "--out", str(out)]
    assert main(words) == 0
    (out / "history.jsonl").unlink()
    capsys.readouterr()
    assert main([*words, "--resume", "--json", str(scores)]) == 0
    said = capsys.readouterr()
    assert f"no evaluation in {out / 'history.jsonl'}: passerby evaluate {out / 'artefact'} makes the numbers again" in said.out
    assert "Rank-1" not in said.out and "lacks the lines of epochs 1;" in said.err
    assert json.loads(scores.read_text())["scores"] == {}


def test_what_could_not_be_written_or_would_be_ignored_is_refused_before_the_work(
    market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["train", "baseline", "--data", str(market), *FAST, "--batch-size", "4", "--epochs", "1"]
    (tmp_path / "file").touch()
    (tmp_path / "people").mkdir()
    for image in (market / "bounding_box_train").iterdir():
        (tmp_path / "people" / image.name[:4]).mkdir(exist_ok=True)
        (tmp_path / "people" / image.name[:4] / image.name).write_bytes(image.read_bytes())
    people = ["--data", str(tmp_path / "people"), "--convention", "layumi", "--out", str(tmp_path / "x")]
    for flags, said in (
        (["--out", str(tmp_path / "file")], f'the run folder "{tmp_path / "file"}" is a file: give another --out.'),
        (["--out", str(tmp_path / "x"), "--json", str(tmp_path)], f"--json {tmp_path} cannot be written: give a file name"),
        (people, "--convention is layumi, but folder has no queries to evaluate. Leave it out."),
    ):
        assert main([*words, *flags]) == 2
        err = capsys.readouterr().err
        assert said in err and len(err.splitlines()) == 1 and not (tmp_path / "x").exists()

"""`evaluate --protocol`: a small model, targets in their true layouts, and everything that would be cheating."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from passerby.cli import main
from passerby.errors import DataError
from passerby.metrics.generalization import PROTOCOLS, Protocol, PublishedRow, Target
from passerby.models import ModelConfig, build_model
from passerby.recipes.metabin import Config
from passerby.records import Record, ReidData, Split
from passerby.running import learnt_before, save_run, write_settings
from passerby.transforms import Preprocess

scipy_io = pytest.importorskip("scipy.io")


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 8, 3), dtype=np.uint8)).save(path)


def grid(root: Path, partitions=((1, 2), (3, 4), (1, 5))) -> None:
    for person in range(1, 7):
        draw(root / "probe" / f"{person:04d}_1_x.png", person)
        draw(root / "gallery" / f"{person:04d}_2_x.png", 50 + person)
    draw(root / "gallery" / "0000_3_x.png", 99)
    cells = np.empty((1, len(partitions)), dtype=object)
    for i, people in enumerate(partitions):
        struct = np.zeros((1, 1), dtype=[("a", object), ("b", object), ("c", object)])
        struct[0, 0] = (np.array([[9]]), np.array([[9]]), np.array([people]))
        cells[0, i] = struct
    scipy_io.savemat(root / "features_and_partitions.mat", {"trainIdxAll": cells})


def trained_on(name: str = "cuhk02+market1501", domain: str = "market1501") -> ReidData:
    return ReidData(name, train=Split((Record(Path("1.png"), 1, 0, domain),)))


def a_model(path: Path, data: ReidData | None = None, *, weights: str | Path = "", stage_before: Path | None = None) -> Path:
    torch.manual_seed(0)
    data = data or trained_on()
    network = ModelConfig(backbone="osnet_x0_25", image_size=(64, 32), linear_dim=16)
    save_run(
        path, build_model(network, 1), recipe="metabin", config=Config(weights=str(weights)), network=network,
        preprocess=Preprocess(size=(64, 32)), data=data, labels={(data.train[0].domain, 1): 0}, seed=0, stage_before=stage_before,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_model(tmp_path_factory.mktemp("model") / "artefact")


def test_the_table_has_every_number_of_the_field(model: Path, tmp_path: Path, capsys):
    grid(tmp_path / "GRID")
    words = ["evaluate", str(model), "--protocol", "market1501+cuhk02->grid", "--data", str(tmp_path), "--device", "cpu"]
    assert main([*words, "--workers", "0", "--json", str(tmp_path / "found.json"), "--each-trial"]) == 0
    shown = capsys.readouterr().out
    for text in (
        "grid 1",
        "grid 3",
        "grid_average",
        "grid_std",
        "all_average",
        "mINP",
        "TPR@FPR",
        "n/a",
        "population standard deviation",
    ):
        assert text in shown
    found = json.loads((tmp_path / "found.json").read_text())
    row = found["targets"]["grid"]
    assert row["num_trials"] == 3 and list(row["trials"]) == ["1", "2", "3"] and found["sources"] == ["cuhk02", "market1501"]
    for name in ("rank1", "map", "minp"):
        values = [trial[name] for trial in row["trials"].values()]
        assert row["mean"][name] == pytest.approx(np.mean(values)) and row["std"][name] == pytest.approx(np.std(values))
        assert found["all_average"][name] == pytest.approx(row["mean"][name])
    assert row["mean"]["tpr_1e-4"] is None and row["mean"]["published_tpr_1e-4"] == 0.0  # the published zero
    assert found["published"] is None


def test_published_figures_stand_beside_each_target_and_the_mean(model: Path, tmp_path: Path, capsys, monkeypatch):
    grid(tmp_path / "GRID")
    for number, people in ((1, (1, 2)), (2, (3, 4)), (3, (1, 4))):
        for part, camera in (("train", 1), ("query", 1), ("gallery", 2)):
            for person in people:
                name = f"p{person:03d}_c{camera}_d000.png"
                draw(tmp_path / "viper" / f"split_{number}a" / part / name, 10 * person + camera)
    row = PublishedRow(
        "osnet_x0_25", "somebody", {"grid": (0.5, 0.6, 0.7, 0.8), "viper": (0.3, 0.4, 0.5, 0.6)}, {"grid": 0.0230},
        {"grid": 0.4635, "viper": 0.1},
    )  # fmt: skip
    targets = (Target("grid", count=3), Target("viper", "a", 3))
    monkeypatch.setitem(PROTOCOLS, "tiny", Protocol("tiny", "tiny", ("cuhk02", "market1501"), targets, (row,)))
    words = ["evaluate", str(model), "--protocol", "tiny", "--data", str(tmp_path), "--device", "cpu", "--workers", "0"]
    assert main([*words, "--json", str(tmp_path / "found.json")]) == 0
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines() if "│" in line]
    shown = [(line[0], line[1], line[4]) for line in lines]
    assert [name for name, _, _ in shown] == [
        "grid_average", "grid_std", "published", "published std", "viper_average", "viper_std", "published", "all_average",
        "published",
    ]  # fmt: skip
    assert shown[2] == ("published", "50.00", "80.00") and shown[3] == ("published std", "2.30", "")
    assert shown[8] == ("published", "40.00", "70.00") and lines[8][9:] == ["28.18", "0.00", "0.00"]
    assert json.loads((tmp_path / "found.json").read_text())["published"]["all_average"]["published_tpr_1e-2"] == 0.28175

    (tmp_path / "viper" / "split_3a").rename(tmp_path / "viper" / "split_3b")
    refused(capsys, words[1:], "viper: 2 trials count in this protocol, which has 3. Is the copy whole?", 1)


def refused(capsys, words: list[str], text: str, status: int = 2) -> None:
    assert main(["evaluate", *words]) == status
    assert text in capsys.readouterr().err


def test_cheating_is_refused(model: Path, tmp_path: Path, capsys):
    grid(tmp_path / "GRID")
    data = ["--data", str(tmp_path)]
    refused(
        capsys, [str(model), "--protocol", "p1", *data],
        'was trained on cuhk02, market1501; protocol "p1" is for models trained on cuhk-sysu, cuhk02, cuhk03-all-detected, '
        "dukemtmc-all, market1501-all: passerby train metabin --dataset cuhk-sysu+cuhk02+",
    )  # fmt: skip
    seen = a_model(tmp_path / "seen", trained_on(domain="grid"))
    refused(
        capsys, [str(seen), "--protocol", "cuhk02+market1501->grid", *data],
        "the model was trained on people of grid, a target of protocol",
    )  # fmt: skip
    for name, change, text in (
        (
            "adapted",
            {"config": {"target": "grid", "joint": True}},
            "was adapted to images of grid: a protocol is for models that",
        ),
        ("cameras", {"cameras": ({"name": "grid:0"},)}, "holds statistics of the cameras grid:0, from images of theirs"),
        ("generated", {"config": {"generated": "crops"}}, "learnt from the unlabelled images in crops too"),
    ):
        rewritten(model, tmp_path / name, change)
        refused(capsys, [str(tmp_path / name), "--protocol", "cuhk02+market1501->grid", *data], text)
    grid(tmp_path / "two" / "GRID", ((1, 2), (1, 2)))
    refused(
        capsys, [str(model), "--protocol", "cuhk02+market1501->grid", "--data", str(tmp_path / "two")],
        'grid: trials "1" and "2" hold the same images', 1,
    )  # fmt: skip


def test_what_start_weights_have_seen_counts_as_seen(model: Path, tmp_path: Path, capsys):
    """A model that goes on from another one, its file or a checkpoint of its run was trained on its people too."""
    grid(tmp_path / "GRID")
    before = a_model(tmp_path / "before", trained_on("grid", "grid"))
    stage = a_model(tmp_path / "stage-2", stage_before=before)
    runs = [tmp_path / "run", tmp_path / "run-of-two-stages"]
    write_settings(runs[0], trained_on("grid", "grid"), Config(), {("grid", 1): 0})
    write_settings(runs[1], trained_on(), Config(), {("market1501", 1): 0}, stage_before=before)
    checkpoints = [run / "checkpoints" / "step-00000001.pt" for run in runs]
    for checkpoint in checkpoints:
        checkpoint.parent.mkdir()
        checkpoint.touch()
    for number, weights in enumerate((before, before / "model.safetensors", stage, *checkpoints)):
        after = a_model(tmp_path / f"after-{number}", weights=weights)
        words = [str(after), "--protocol", "cuhk02+market1501->grid", "--data", str(tmp_path)]
        refused(capsys, words, "was trained on cuhk02, grid, market1501; protocol")
        assert ["grid", 1] in json.loads((after / "passerby.json").read_text())["label_map"]
    (runs[0] / "learnt.json").write_text("{")
    with pytest.raises(DataError, match=r"learnt.json is damaged, which says what .*step-00000001.pt was trained on"):
        learnt_before(checkpoints[0])
    words = ["evaluate", "", "--protocol", "cuhk02+market1501->grid", "--data", str(tmp_path), "--workers", "0"]
    for weights, said in (
        (str(tmp_path / "resnet50.pth"), "resnet50.pth, what they have seen is not verified"),
        ("auto", "start weights: auto"),
        (str(model), "artefact, trained on cuhk02+market1501"),
    ):
        made = a_model(tmp_path / f"from-{len(weights)}", weights=weights)
        words[1] = str(rewritten(made, tmp_path / f"of-{len(weights)}", {"config": {"weights": weights}}))
        assert main(words) == 0
        assert said in " ".join(capsys.readouterr().out.split())


def rewritten(model: Path, path: Path, change: dict[str, object]) -> Path:
    shutil.copytree(model, path)
    facts = json.loads((path / "passerby.json").read_text())
    (path / "passerby.json").write_text(json.dumps(facts | change))
    return path


def test_imported_weights_enter_by_a_declaration_that_the_table_shows(model: Path, tmp_path: Path, capsys):
    grid(tmp_path / "GRID")
    rewritten(model, tmp_path / "imported", {"data": [], "label_map": [], "config": {"weights": "model.pth"}})
    words = [str(tmp_path / "imported"), "--protocol", "M+C2->grid", "--data", str(tmp_path), "--workers", "0"]
    refused(
        capsys, words, "does not say what it was trained on, as imported weights do not: say it with --trained-on cuhk02+market"
    )
    refused(capsys, [*words, "--trained-on", "M"], 'was trained on market1501; protocol "market1501+cuhk02->grid" is for models')
    assert main(["evaluate", *words, "--trained-on", "M+C2"]) == 0
    shown = capsys.readouterr().out
    assert "note: trained on M+C2: so it was declared, and is not verified" in shown and "start weights: model.pth" in shown
    known = [str(model), *words[1:], "--trained-on", "M+C2"]
    refused(capsys, known, "says itself that it was trained on cuhk02, market1501. Leave it out.")


def test_flags_that_would_do_nothing_are_refused(model: Path, tmp_path: Path, capsys):
    refused(
        capsys, [str(model), "--protocol", "p1", "--trials", "--ap", "rank"], "--ap, --trials: --protocol settles that by itself"
    )
    refused(capsys, [str(model), "--each-trial"], "--each-trial and --trained-on go with --protocol: name one.")
    refused(capsys, [str(tmp_path), "--protocol", "p1"], "--protocol measures one artefact folder;")

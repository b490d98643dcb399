"""`evaluate --protocol`: a small model, targets in their true layouts, and everything that would be cheating."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.cli import main
from passerby.models import ModelConfig, build_model
from passerby.records import Record, ReidData, Split
from passerby.running import save_run
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


def a_model(path: Path, trained_on: str = "cuhk02+market1501", domain: str = "market1501") -> Path:
    network = ModelConfig(backbone="osnet_x0_25", image_size=(64, 32), linear_dim=16)
    data = ReidData(trained_on, train=Split((Record(Path("1.png"), 1, 0, domain),)))
    save_run(
        path, build_model(network, 1), recipe="metabin", config=network, network=network, preprocess=Preprocess(size=(64, 32)),
        data=data, labels={(domain, 1): 0}, seed=0,
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
    seen = a_model(tmp_path / "seen", domain="grid")
    refused(
        capsys, [str(seen), "--protocol", "cuhk02+market1501->grid", *data],
        "the model was trained on people of grid, a target of protocol",
    )  # fmt: skip
    grid(tmp_path / "two" / "GRID", ((1, 2), (1, 2)))
    refused(
        capsys, [str(model), "--protocol", "cuhk02+market1501->grid", "--data", str(tmp_path / "two")],
        'grid: trials "1" and "2" hold the same images', 1,
    )  # fmt: skip


def test_flags_that_would_do_nothing_are_refused(model: Path, tmp_path: Path, capsys):
    refused(
        capsys, [str(model), "--protocol", "p1", "--trials", "--ap", "rank"], "--ap, --trials: --protocol settles that by itself"
    )
    refused(capsys, [str(model), "--each-trial"], "--each-trial lists the trials of --protocol: name one.")
    refused(capsys, [str(tmp_path), "--protocol", "p1"], "--protocol measures one artefact folder;")

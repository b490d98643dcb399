from pathlib import Path

import pytest
import torch

from passerby.cli import main
from passerby.errors import DataError, UsageError
from passerby.models.norms.batch_instance import BatchInstanceNorm2d, gates
from passerby.models.norms.gate_history import record_gates
from passerby.plots import plot_gates


@pytest.fixture
def run(tmp_path: Path) -> Path:
    model = torch.nn.Sequential(BatchInstanceNorm2d(8), BatchInstanceNorm2d(4))
    for epoch in range(7):
        record_gates(tmp_path / "run", epoch, model)
        with torch.no_grad():
            for gate in gates(model).values():
                gate.mul_(0.8)
    return tmp_path / "run"


def test_a_picture_of_all_epochs_with_histograms_of_a_few(run: Path, tmp_path: Path):
    states = plot_gates(run, tmp_path / "g.png", dpi=40)
    assert [state.epoch for state in states] == [0, 2, 4, 6] and (tmp_path / "g.png").stat().st_size > 1000
    assert states[1].mean["0"] == pytest.approx(0.64) and sum(states[1].histogram["0"]) == 8
    assert [state.epoch for state in plot_gates(run, tmp_path / "h.svg", moments=2)] == [0, 6]


def test_the_verb(run: Path, tmp_path: Path, capsys):
    assert (
        main(["plot", "gates", str(run), "--out", str(tmp_path / "g.png"), "--json", str(tmp_path / "g.json"), "--dpi", "40"])
        == 0
    )
    assert "2 layers, epochs 0, 2, 4, 6" in capsys.readouterr().out and (tmp_path / "g.json").is_file()
    assert main(["plot", "gates", str(tmp_path)]) == 1
    assert "gates.jsonl is not there" in capsys.readouterr().err


def test_refusals(run: Path, tmp_path: Path):
    with pytest.raises(UsageError, match=r"moments is 1: the first and the last make two\."):
        plot_gates(run, tmp_path / "g.png", moments=1)
    with pytest.raises(DataError, match=r"gates\.jsonl is not there: only runs with batch-instance norms record gates"):
        plot_gates(tmp_path, tmp_path / "g.png")

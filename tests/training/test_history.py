import time

import pytest

from passerby.errors import DataError
from passerby.training.history import HISTORY_FILE, HistoryWriter, load_history


def written(folder, rows, step=0):
    writer = HistoryWriter(folder, step, tensorboard=False)
    for kind, number, value in rows:
        writer.write(kind, number, number // 10 + 1, {"loss": value})
    writer.close()


def test_what_is_written_is_read_back_by_kind(tmp_path):
    written(tmp_path, [("step", 5, 2.5), ("epoch", 10, 2.0), ("evaluation", 10, 0.7), ("step", 15, 1.5)])
    history = load_history(tmp_path)
    assert history.steps == (
        {"kind": "step", "step": 5, "epoch": 1, "loss": 2.5},
        {"kind": "step", "step": 15, "epoch": 2, "loss": 1.5},
    )
    assert len(history.epochs) == len(history.evaluations) == 1
    assert history.column("step", "loss") == ([5, 15], [2.5, 1.5])
    assert history.column("step", "mAP") == ([], [])


def test_a_resumed_run_drops_what_lies_beyond_its_checkpoint(tmp_path):
    written(tmp_path, [("step", 5, 2.5), ("step", 10, 2.0), ("step", 15, 1.5)])
    written(tmp_path, [("step", 15, 9.0)], step=10)
    assert load_history(tmp_path).column("step", "loss") == ([5, 10, 15], [2.5, 2.0, 9.0])


def test_a_run_from_the_beginning_starts_an_empty_history(tmp_path):
    written(tmp_path, [("step", 5, 2.5)])
    written(tmp_path, [])
    assert load_history(tmp_path).lines == ()


@pytest.mark.parametrize("tail", ['{"kind": "step", "st', '{"kind": "step", "step": 9, "epoch": 1}'])
def test_a_last_line_torn_by_a_kill_is_left_out(tmp_path, tail):
    written(tmp_path, [("step", 5, 2.5)])
    with (tmp_path / HISTORY_FILE).open("a") as file:
        file.write(tail)
    assert len(load_history(tmp_path).lines) == 1
    written(tmp_path, [("step", 6, 2.0)], step=5)
    assert load_history(tmp_path).column("step", "loss") == ([5, 6], [2.5, 2.0])


def test_values_that_are_no_number_become_null_so_that_the_file_stays_json(tmp_path):
    written(tmp_path, [("evaluation", 5, float("nan")), ("evaluation", 6, 0.5)])
    assert "NaN" not in (tmp_path / HISTORY_FILE).read_text()
    assert load_history(tmp_path).column("evaluation", "loss") == ([6], [0.5])


def test_a_damaged_line_in_the_middle_is_an_error(tmp_path):
    (tmp_path / HISTORY_FILE).write_text("oops\n{}\n")
    with pytest.raises(DataError, match=r"line 1 of .*history.jsonl is no JSON: the file was edited or damaged."):
        load_history(tmp_path)


def test_a_folder_without_history_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"no history.jsonl in .*: this is not the folder of a training run."):
        load_history(tmp_path)


def test_tensorboard_gets_the_same_numbers_and_hides_what_a_resume_repeats(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for start in (0, 10):
        time.sleep(1.05 - time.time() % 1)  # TensorBoard reads files by name: second of the start, then a count
        writer = HistoryWriter(tmp_path, start, tensorboard=True)
        for step in range(start + 5, 25, 5):
            writer.write("step", step, 1, {"loss": step + start / 100})
        writer.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, pytest.approx(e.value)) for e in events.Scalars("step/loss")] == [
        (5, 5.0),
        (10, 10.0),
        (15, 15.1),
        (20, 20.1),
    ]

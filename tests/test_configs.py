"""Options from YAML: later over earlier, every key and type checked, errors on one line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from passerby.configs import merged, plain, read_yaml, write_yaml
from passerby.errors import UsageError


@dataclass(frozen=True)
class Config:
    lr: float = 0.1
    mode: Literal["a", "b"] = "a"
    names: tuple[str, ...] = ()
    folder: Path | None = None
    count: int = 1


def test_values_take_the_types_of_the_fields():
    found = merged(Config(), {"lr": 1, "names": ["x", "y"], "folder": "some/where"}, "test")
    assert found == Config(lr=1.0, names=("x", "y"), folder=Path("some/where"))
    assert merged(found, {"mode": "b"}, "test").names == ("x", "y")


def test_what_is_written_is_read_back(tmp_path: Path):
    config = Config(lr=0.5, names=("é",), folder=Path("a b"))
    write_yaml(tmp_path / "c.yaml", plain(config))
    assert merged(Config(), read_yaml(tmp_path / "c.yaml"), "test") == config


def test_dashes_are_underscores():
    @dataclass(frozen=True)
    class Two:
        warm_up: int = 0

    assert merged(Two(), {"warm-up": 3}, "test").warm_up == 3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lrr": 1}, 'c.yaml: no option "lrr". Did you mean "lr"? Allowed: lr, mode, names, folder, count.'),
        ({"lr": "fast"}, "c.yaml: lr is 'fast'; input should be a valid number, unable to parse string as a number."),
        ({"mode": "c"}, "c.yaml: mode is 'c'; input should be 'a' or 'b'."),
        ({"count": 1.5}, "c.yaml: count is 1.5; input should be a valid integer, got a number with a fractional part."),
    ],
)
def test_a_wrong_entry_is_named(values: dict, said: str):
    with pytest.raises(UsageError) as error:
        merged(Config(), values, "c.yaml")
    assert str(error.value) == said


def test_files_that_are_no_mapping_are_refused(tmp_path: Path):
    file = tmp_path / "c.yaml"
    with pytest.raises(UsageError, match=r"No such file or directory\. Give a YAML file\."):
        read_yaml(file)
    file.write_text("- a\n- b\n")
    with pytest.raises(UsageError, match="holds a list; it must be a mapping of option: value"):
        read_yaml(file)
    file.write_text("a: [1\n")
    with pytest.raises(UsageError, match="is no YAML"):
        read_yaml(file)
    file.write_text("")
    assert read_yaml(file) == {}

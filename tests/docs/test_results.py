"""Tables that stand on a page are those that their benchmark prints from the rows in `benchmarks/results/`."""

import importlib.util
import sys
from argparse import Namespace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Benchmark, page with its tables, and the least number of lines that these have.
ROWS = [("cail_mixup_street", "recipes/cail_mixup", 20), ("ognet_street", "recipes/ognet", 10), ("ablation", "street", 12)]


@pytest.mark.parametrize(("name", "page", "least"), ROWS)
def test_the_page_has_the_tables_of_its_rows(capsys, name: str, page: str, least: int):
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        benchmark = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(benchmark)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    benchmark.table(Namespace(out=ROOT / "benchmarks" / "results" / f"{name}.jsonl", where=[]))
    lines = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").splitlines()
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(printed) > least and not [line for line in printed if line not in lines]

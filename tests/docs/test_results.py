"""Tables that stand on a page are those that their benchmark prints from the rows in `benchmarks/results/`."""

import importlib.util
import sys
from argparse import Namespace
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_of_the_adaptation_has_the_tables_of_its_rows(capsys):
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        spec = importlib.util.spec_from_file_location("cail_mixup_street", ROOT / "benchmarks" / "cail_mixup_street.py")
        assert spec is not None and spec.loader is not None
        benchmark = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(benchmark)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    benchmark.table(Namespace(out=ROOT / "benchmarks" / "results" / "cail_mixup_street.jsonl", where=[]))
    page = (ROOT / "docs" / "recipes" / "cail_mixup.md").read_text(encoding="utf-8").splitlines()
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(printed) > 20 and not [line for line in printed if line not in page]

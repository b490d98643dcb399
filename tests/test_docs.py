"""README and docs may not lag behind the code: examples compile and import, the README's runs, commands parse, links lead on."""

import ast
import contextlib
import doctest
import importlib
import io
import re
import shlex
from pathlib import Path

import pytest

from passerby.cli import VERBS
from passerby.errors import PasserbyError

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def commands(page: Path) -> list[str]:
    """Command lines of passerby, in blocks and in running text."""
    text = page.read_text(encoding="utf-8")
    lines = [line for _, block in FENCE.findall(text) for line in block.splitlines()]
    lines += INLINE.findall(FENCE.sub("", text))
    return [line.split("#")[0].strip() for line in lines if re.match(r"passerby [a-z]", line)]


PYTHON = [(page, number, text) for page in PAGES for number, text in enumerate(blocks(page, "python"))]
COMMANDS = sorted({(named(page), line) for page in PAGES for line in commands(page)})


def source(text: str) -> str:
    """A block of statements, or those of a block of doctests."""
    return "".join(example.source for example in doctest.DocTestParser().get_examples(text)) if ">>>" in text else text


@pytest.mark.parametrize(("page", "text"), [pytest.param(page, text, id=f"{named(page)}-{n}") for page, n, text in PYTHON])
def test_examples_compile_and_what_they_import_is_there(page: Path, text: str):
    for node in ast.walk(ast.parse(source(text))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


def test_the_readmes_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """As it stands there, but with few people and one epoch."""
    (text,) = blocks(ROOT / "README.md", "python")
    changed = text
    for full, small in {
        'make_drawn("people")': 'make_drawn("people", DrawnOptions(8, 2, 2, 2, 2, 1, 64))',
        "epochs=18": "epochs=1",
    }.items():
        assert changed.count(full) == 1
        changed = changed.replace(full, small)
    monkeypatch.chdir(tmp_path)
    exec(compile("from passerby.datasets.drawn import DrawnOptions\n" + changed, "README.md", "exec"), {"__name__": "__main__"})
    assert (tmp_path / "ranking.png").is_file() and "AP by the rank rule" in capsys.readouterr().out
    assert len([line for line in text.splitlines() if line.strip() and not line.startswith(" ")]) <= 10


def parse(line: str) -> None:
    """Parse a command line as the command line does, without running it."""
    import tyro

    words = shlex.split(line)[1:]
    name = next((name for name in (" ".join(words[:2]), words[0]) if name in VERBS), None)
    if name is None:  # a group of verbs, named in running text
        assert len(words) == 1 and any(verb.startswith(words[0] + " ") for verb in VERBS), f"no such verb: {line}"
        return
    rest = words[len(name.split()) :]
    if not rest or "--presets" in rest:
        return
    if name == "train":
        if len(rest) > 1:
            from passerby.cli.train import _resolve

            _resolve(rest[0], rest[1:])
        return
    tyro.cli(importlib.import_module(f"passerby.cli.{VERBS[name].module}").Options, prog=line, args=rest)


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_are_understood(page: str, line: str):
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            parse(line)
    except (SystemExit, PasserbyError) as error:
        if not ("--help" in line and getattr(error, "code", 1) == 0):
            pytest.fail(f"{page}: {line}\n{error}\n{said.getvalue()}")


def test_there_are_commands_and_examples_to_look_at():
    assert len(COMMANDS) > 10 and len(PYTHON) > 5
    shown = {line for page, line in COMMANDS if page == "README.md"}
    assert {" ".join(line.split()[:2]) for line in shown} >= {
        "passerby data",
        "passerby train",
        "passerby embed",
        "passerby plot",
    }


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{named(page)} links to {target}"


def test_the_index_links_every_page():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        if page.name != "index.md":
            assert f"({page.relative_to(ROOT / 'docs')})" in index, f"docs/index.md does not link {named(page)}"


def test_the_working_notes_stay_short():
    assert len((ROOT / "AGENTS.md").read_text(encoding="utf-8").splitlines()) <= 60


def test_pictures_stay_small():
    for picture in [*(ROOT / "docs").rglob("*.png"), *(ROOT / "docs").rglob("*.jpg")]:
        assert picture.stat().st_size < 200_000, f"{named(picture)} has {picture.stat().st_size} bytes"

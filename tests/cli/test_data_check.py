import json
import subprocess
import sys

import pytest
from PIL import Image

from passerby.cli import main


@pytest.fixture
def people(tmp_path):
    """A sound folder of four people, each picture another colour."""
    root = tmp_path / "people"
    for pid in range(1, 5):
        for camera in (1, 2):
            subset = "train" if pid < 3 else ("query", "gallery")[camera - 1]
            path = root / subset / str(pid) / f"{pid}_c{camera}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 8), (pid * 40, camera * 90, 7)).save(path)
    return root


def test_a_sound_folder_passes(people, tmp_path, capsys):
    file = tmp_path / "report.json"
    assert main(["data", "check", str(people), "--json", str(file)]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert f"(folder) in {people}" in shown.out
    assert "query: query/3/3_c1.png -> pid 3, camid 0, frame 1, domain people" in shown.out or "pid 3, camid 0" in shown.out
    assert "8 images decoded; problems: 0, consequences: 0, notes: 0" in shown.out
    report = json.loads(file.read_text())
    assert report["dataset"] == "folder"
    assert [(row["name"], row["images"], row["ids"], row["cameras"]) for row in report["subsets"]] == [
        ("train", 4, 2, 2),
        ("query", 2, 2, 1),
        ("gallery", 2, 2, 1),
    ]


def test_the_folder_may_come_from_the_environment(people, monkeypatch, capsys):
    monkeypatch.setenv("PASSERBY_DATA", str(people))
    assert main(["data", "check", "--quick"]) == 0
    assert "no image was opened (--quick)" in capsys.readouterr().out


def test_clouds_are_read(tmp_path, capsys):
    root = tmp_path / "3DMarket+bg"
    names = {"train_all": ("0002_c1", "0002_c2"), "query": ("0003_c1",), "gallery": ("0003_c2",)}
    clouds = [root / folder / name[:4] / f"{name}s1_000001_01.jpg.obj" for folder, each in names.items() for name in each]
    for path in clouds:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("v 0 0 0 0 0 0\n" * 512)
    words = ["data", "check", str(root), "--dataset", "clouds"]
    assert main(words) == 0
    assert "4 clouds read; problems: 0, consequences: 0, notes: 0" in capsys.readouterr().out
    clouds[0].write_text("v 0 0 0 0 0 0\n" * 400)
    assert main(words) == 1
    shown = capsys.readouterr()
    assert "4 clouds read; problems: 1, consequences: 0, notes: 0" in shown.out
    assert '1 of 4 clouds do not have the 512 points of the others ("0002_c1s1_000001_01.jpg.obj" 400)' in shown.err
    assert main([*words, "--quick"]) == 0
    assert "no cloud was opened (--quick); problems: 0" in capsys.readouterr().out


def test_a_problem_is_printed_written_and_fails(people, tmp_path, capsys):
    (people / "query" / "3" / "3_c1.png").write_bytes(b"")
    file = tmp_path / "report.json"
    assert main(["data", "check", str(people), "--json", str(file)]) == 1
    shown = capsys.readouterr()
    expected = f'image "{people}/query/3/3_c1.png" has zero bytes. Copy or unpack it again.'
    assert f"problem: {expected}" in shown.out
    assert shown.err == f"passerby: 1 problem in {people}; the first: {expected}\n"
    assert json.loads(file.read_text())["findings"][0]["kind"] == "unreadable-images"


def test_wrong_use(people, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("PASSERBY_DATA", raising=False)
    assert main(["data", "check"]) == 2
    assert capsys.readouterr().err == "passerby: no data folder: give one with --data DIR, or set PASSERBY_DATA.\n"
    assert main(["data", "check", str(people), "--dataset", "peple"]) == 2
    assert main(["data", "check", str(tmp_path / "gone")]) == 1
    assert capsys.readouterr().err.endswith('gone" does not exist.\n')


def test_brackets_in_a_name_are_no_markup(people, capsys):
    path = people / "gallery" / "4" / "[red]4_c2.png"
    (people / "gallery" / "4" / "4_c2.png").rename(path)
    path.write_bytes(b"")
    assert main(["data", "check", str(people)]) == 1
    assert '[red]4_c2.png" has zero bytes' in capsys.readouterr().out


def test_help_is_quick_and_names_the_defaults(capsys):
    assert main(["data", "check", "--help"]) == 0
    assert "PASSERBY_DATA" in capsys.readouterr().out
    heavy = "import sys; from passerby.cli import main; main(['data', 'check', '--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", heavy], capture_output=True, check=False).returncode == 0

"""Every command of README.md, docs/ and docs/recipes/ is run, page by page, in its order, on small things under the page's names.

What a page holds lies in its folder before its first command. `smaller` shrinks what would take long, text by text; each of its
lines must be needed. What cannot run here stands in `only_read`, with the reason; tests/test_docs.py parses those, as all others.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from passerby.cli import VERBS, main

ROOT = Path(__file__).parents[2]
PIECES = re.compile(r"^```\w*\n(?P<block>.*?)^```|(?<!`)`(?P<inline>[^`\n]+)`(?!`)", re.MULTILINE | re.DOTALL)

NET = "--backbone osnet_x0_25 --weights scratch --last-stride 2"
SIZE = "--height 64 --width 32"
SHORT = "--epochs 1 --batch-size 8 --workers 0"
ALL = f"{NET} {SIZE} {SHORT}"
POINTS = "--feature-dims 8 16 --k 4 --init-points 12 --linear-dim 16 --epochs 1 --batch-size 4 --average off --workers 0"
TOWN = "--size 32x64 --workers 1"
RUNS = {"runs/a": "run", "runs/b": "other_run"}
PAIR = {"A": "run/embeddings", "B": "other_run/embeddings"}
MODEL = {"runs/market": "run"}
CROPS = {"a.jpg": "crop", "b.jpg": "other_crop"}
META = "--meta-train-domains 1 --meta-batch-size 16 --first-base-updates 1"
SERVER = "needs a Milvus server; tests/gallery/test_milvus.py starts one"
FIXED = "a fixed set of many people, for an hour"


@dataclass(frozen=True)
class Page:
    """How the commands of one page are run."""

    holds: Mapping[str, str] = field(default_factory=dict)
    smaller: Mapping[str, str] = field(default_factory=dict)
    only_read: Mapping[str, str] = field(default_factory=dict)
    elsewhere: str = ""


PAGES = {
    "README.md": Page(
        {
            "DIR": "people", "osnet_x1_0_market.pth": "osnet", "lobby.mp4": "film", "somebody.jpg": "crop",
        },
        {
            "--preset market-resnet50 --data DIR --weights resnet50.pth": f"--preset market-resnet50 {ALL} --data DIR",
            "export runs": "export --no-latency runs",
            "lobby.mp4 --start": "lobby.mp4 --sides 416 --start",
            "plot ranking": "plot ranking --dpi 40",
        },
        {"passerby evaluate real --data DIR": "films of real people; tests/cli/test_evaluate_real.py"},
    ),
    "docs/conventions.md": Page(
        {"FILE.npz": "both", "ARTEFACT": "run/artefact", "GRID": "grid"},
        {"FILE": "FILE.npz", "--trials": "--trials --data GRID", "--trial 3": f"--trial 3 --data GRID {ALL}"},
    ),
    "docs/data.md": Page(
        {"DIR": "people", "CROPS": "crops"},
        {
            "--target DIR": f"--data DIR --target CROPS {ALL}",
            "--out DIR --clouds": f"--ids 4 --views 2 {TOWN} --out TOWN --clouds",
        },
    ),
    "docs/drawn.md": Page({"people": "people"}),
    "docs/export.md": Page(
        {**MODEL, "DIR": "people"}, {"--probe DIR": "", "passerby export": "passerby export --no-latency --probe DIR"},
    ),
    "docs/house.md": Page(
        {"film.mp4": "film", "crop.jpg": "crop", **CROPS, "street-house": "street"},
        {
            "--preset house-small --data": f"--preset house-small {ALL} --data",
            "--preset house-small-scratch --data": f"--preset house-small-scratch {ALL} --data",
            "--cameras 1 4 --seconds 20": "--cameras 1 4 --seconds 0.2",
        },
        {
            "passerby evaluate real --data DIR --adapted": "films of real people; tests/cli/test_evaluate_real.py",
            "passerby index vtest.avi": "a film of real people",
            "passerby street render --population house --out street-house --renderer numba": FIXED,
            "passerby street render --benchmark M --out street-v1": FIXED,
        },
    ),
    "docs/import.md": Page(
        {
            "osnet_x1_0_market.pth": "osnet", "model/ft_ResNet50": "layumi", "market_bot_R50.pth": "fast_reid", "DIR": "people",
            "FILE": "resnet",
        },
        {"--weights FILE": f"--data DIR --weights FILE --backbone resnet18 {SIZE} {SHORT}"},
    ),
    "docs/lifting.md": Page(
        {"Market-1501-v15.09.15": "seen_people", "CROPS": "seen_people", "DIR": "people", "BODIES": "bodies", "MASKS": "masks"},
        {
            "--preset market-ognet-small-circle": f"--preset market-ognet-small-circle {POINTS}",
            "passerby lift": "passerby lift --workers 1 --height 32",
            "DIR --out DIR3D --lifter template": "DIR --out OTHER3D --lifter template",
        },
    ),
    "docs/extending.md": Page(elsewhere="tests/test_extending.py"),
    "docs/page.md": Page(elsewhere="tests/cli/test_serve.py starts it and stops it"),
    "docs/pictures.md": Page(
        {
            **RUNS, **CROPS, "DIR": "people", "RUN": "run", "OTHER": "other_run", "market": "run/embeddings",
            "grid.npz": "crowd_embeddings/gallery.npz", "QUERY.npz": "run/embeddings/query.npz",
            "GALLERY.npz": "run/embeddings/gallery.npz",
            "MULTI_QUERY.npz": "run/embeddings/multi_query.npz", "CLOUD.obj": "cloud", "runs/dg-resnet": "gates_run",
        },
        {
            "plot ranking": "plot ranking --dpi 40",
            "0065_c1s1_006500_00.jpg": "0007_c1s1_000700_00.jpg",
            "--batch-size 64": "--batch-size 8",
            "GRID --out tsne": "GRID --perplexity 5 --out tsne",
            "report RUN": "report RUN --data DIR",
        },
    ),
    "docs/recipes/baseline.md": Page(
        {"DIR": "people"},
        {
            "--preset market-all-tricks": f"--preset market-all-tricks {ALL}",
            "--backbone osnet_x0_25 --weights scratch --height 128 --width 64": ALL,
        },
    ),
    "docs/recipes/cail_mixup.md": Page(
        {"TOWNS/campus": "street", "DIR_OF_UNLABELLED_CROPS": "crops", "DATA": "sources"},
        {
            "--source street:campus --data street-v1": f"--source street:campus --data TOWNS {ALL}",
            " --backbone mobilenet_v2": "",
            "--source market1501": f"--source market1501 {ALL}",
        },
        {"passerby street render --benchmark M --out street-v1": FIXED},
    ),
    "docs/recipes/camera_bn.md": Page(
        {
            **MODEL, "lobby": "crops", "gate": "crops", "cameras.csv": "cameras_csv", "today": "crops", "DIR": "people",
            "HOME": "crowd", "AWAY": "crowd", "people.gallery": "gallery",
        },
        {
            "passerby adapt": "passerby adapt --min-images 2",
            "train camera-bn": f"train camera-bn {ALL}",
            "compare norms": f"compare norms {ALL}",
        },
    ),
    "docs/recipes/metabin.md": Page(
        {"DIR": "sources", "DIR/GRID": "grid", "resnet50.pth": "resnet"},
        {
            "--preset dg-resnet": f"--preset dg-resnet --dataset M+D {META} --backbone resnet18 {SIZE} {SHORT}",
            "--protocol p1": "--protocol M+D->grid",
        },
        {
            "passerby evaluate MODEL --protocol NAME": "a form, not a command",
            "passerby train metabin --preset dg-resnet --data DIR --eval-only": "nine data sets; tests/cli/test_train_several.py",
        },
    ),
    "docs/recipes/ognet.md": Page(
        {"Market-1501-v15.09.15": "seen_people", "DIR/3DMarket+bg": "clouds", "DIR/ModelNet40": "objects"},
        {
            "--town campus --out STREET": f"--town campus --out STREET --ids 4 --views 2 --cloud-height 16 {TOWN}",
            "--epochs 60 --feature-dims 48 96 192 384": POINTS,
            "--preset market-ognet-small-circle": f"--preset market-ognet-small-circle {POINTS}",
            "--preset modelnet40-ognet-small": f"--preset modelnet40-ognet-small --surface 1024 {POINTS}",
            "--out 3DMarket+bg": "--out 3DMarket+bg --height 32 --workers 1",
        },
    ),
    "docs/report.md": Page(
        {**MODEL, **PAIR, "DIR": "people", "runs/plain": "run", "runs/tricks": "other_run", "demo": "demo"},
    ),
    "docs/reranking.md": Page({"FILE.npz": "both"}),
    "docs/search.md": Page(
        {
            "somebody.jpg": "crop", "front.jpg": "crop", "back.jpg": "other_crop", "town.gallery": "gallery",
            "people.gallery": "gallery", "ways.csv": "ways", "DIR": "people", "OTHER": "run/artefact",
        },
        {"--dataset NAME": "--dataset market-style", "--model DIR": "--model OTHER"},
        {
            "passerby gallery copy town.gallery milvus://host:19530/town": SERVER,
            "passerby gallery copy milvus://host:19530/town back.gallery": SERVER,
            "passerby street video --town campus --out films --cameras 1 2 3 --seconds 120 --fps 4": "six minutes of film",
        },
    ),
    "docs/street.md": Page(
        {"DIR": "people"},
        {
            "--ids 200 --views 6": f"--ids 4 --views 2 {TOWN}",
            "--ids 200 --out random-7": f"--ids 4 --views 2 {TOWN} --out random-7",
            "--seconds 20": "--seconds 0.2 --size 160x120",
        },
        {
            "passerby street render --benchmark S --out street-v1": FIXED,
            "passerby street render --population house --out street-house": FIXED,
            "passerby street render --benchmark M --out M": FIXED,
        },
    ),
    "docs/trust.md": Page(
        {
            **RUNS, **PAIR, **CROPS, "ARTEFACT": "calibrated_run/artefact", "DIR": "people", "FILE.npz": "both",
            "FILE.mat": "both_mat", "RAW.npz": "both",
            "PLAIN.npz": "both", "MQ.npz": "more", "OTHER_TOWN.npz": "other_both", "a.npz": "both", "b.npz": "other_both",
            "street/campus": "street", "STREET.npz": "street_both",
        },
        {"FILE.npz --conditions": "STREET.npz --conditions", "DIR --far 0.001": "DIR --far 0.2"},
    ),
    "docs/tutorial.md": Page(elsewhere="tests/test_tutorial.py"),
    "docs/video.md": Page(
        {
            "lobby.mp4": "film", "frames": "frames", "day/1.mp4": "film", "day/2.mp4": "next_film", "market": "people",
            "crops": "crops", "town": "street", "town.gallery": "gallery",
        },
        {"mp4 --gallery": "mp4 --sides 160 --gallery", "frames/": "frames/ --sides 160"},
        {"passerby index lobby.mp4 --to milvus://localhost:19530/town --camera lobby --model runs/town/artefact": SERVER},
    ),
}  # fmt: skip


def commands(page: str) -> list[str]:
    """Lines of blocks and of running text in their order; a verb that running text only names is no command."""
    found = []
    for piece in PIECES.finditer((ROOT / page).read_text(encoding="utf-8")):
        lines = piece["block"].splitlines() if piece["inline"] is None else [piece["inline"]]
        for line in lines:
            line = line.split("#")[0].strip()
            named = piece["inline"] is not None and line.removeprefix("passerby ") in {
                *VERBS,
                *(verb.split()[0] for verb in VERBS),
            }
            if re.match(r"passerby [a-z]", line) and not named:
                found.append(line)
    return found


@pytest.mark.parametrize("page", [name for name, page in PAGES.items() if not page.elsewhere])
def test_the_commands_of_the_page_work(page: str, stock, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys):
    plan, lines = PAGES[page], commands(page)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PASSERBY_DATA", raising=False)
    for name, thing in plan.holds.items():
        stock.put(thing, tmp_path / name)
    capsys.readouterr()
    used = set()
    for line in lines:
        if line in plan.only_read:
            continue
        shorter = line
        for full, small in plan.smaller.items():
            if full in shorter:
                used.add(full)
                shorter = shorter.replace(full, small)
        assert main(shlex.split(shorter)[1:]) == 0, f"{line}\nas\n{shorter}\n{capsys.readouterr().err}"
    assert not {*plan.smaller} - used, "nothing on the page is shrunk by this any more"
    assert not {*plan.only_read} - {*lines}, "the page no longer has these"


def test_no_page_with_commands_is_left_out():
    pages = ["README.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md")))]
    assert {page for page in pages if commands(page)} == {*PAGES}

"""A room imports only rooms on lower floors, and recipes never import each other."""

import ast
from pathlib import Path

import passerby

FLOORS = [
    {"errors", "files", "machine", "progress", "torchvision_repair"},
    {"configs"},
    {"records", "embeddings"},
    {"metrics"},
    {"rerank", "datasets", "street"},
    {"reconciler", "transforms", "points"},
    {"samplers"},
    {"batches"},
    {"losses", "models", "lifting"},
    {"training"},
    {"embedder"},
    {"artefact"},
    {"validation", "export", "importing"},
    {"running"},
    {"recipes"},
    {"gallery"},
    {"video"},
    {"plots"},
    {"report"},
    {"web"},
    {"cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
ROOT = Path(passerby.__file__).parent
FACES = {"__init__", "__main__"}  # the package's own face looks at everything


def imported_modules(source: Path) -> set[tuple[str, ...]]:
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: relative import; write the whole name"
            base = tuple((node.module or "").split("."))
            found |= {(*base, alias.name) for alias in node.names}
    return {name[1:] for name in found if name[0] == "passerby" and len(name) > 1}


def room_of(source: Path) -> str:
    return source.relative_to(ROOT).with_suffix("").parts[0]


def sources() -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if room_of(path) not in FACES]


def test_every_room_has_a_floor():
    assert {room_of(path) for path in sources()} <= set(FLOOR)


def test_rooms_import_only_lower_floors():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name[0]}"
        for path in sources()
        for name in imported_modules(path)
        if name[0] in FLOOR and name[0] != room_of(path) and FLOOR[name[0]] >= FLOOR[room_of(path)]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_room_stands_on_two_floors():
    assert len(FLOOR) == sum(map(len, FLOORS))


def test_recipes_never_import_each_other():
    recipes = {path.stem for path in (ROOT / "recipes").glob("*.py")} - {"__init__"}
    wrong = [
        f"{path.name} imports {name[1]}"
        for path in (ROOT / "recipes").glob("*.py")
        if path.stem != "__init__"
        for name in imported_modules(path)
        if len(name) > 1 and name[0] == "recipes" and name[1] in recipes - {path.stem}
    ]
    assert not wrong, "\n".join(wrong)

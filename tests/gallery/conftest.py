"""People as vectors, rows of them, and a gallery in whatever store is tested."""

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from passerby.gallery import Gallery, Model, NewSighting

MODEL = Model("0123456789ab-test", "test model", 16)
START = 1_700_000_000.0


def person(number: int, dim: int = 16) -> np.ndarray:
    """A direction of its own for each person."""
    made = np.random.default_rng(number).standard_normal(dim)
    return (made / np.linalg.norm(made)).astype(np.float32)


def row(
    key: str,
    who: int = 0,
    camera: str = "lobby",
    time: float | None = None,
    track: str | None = None,
    identity: int | None = None,
) -> NewSighting:
    """A crop of person `who`: the direction with a little noise."""
    random = np.random.default_rng([who, *key.encode()])
    vector = person(who) + 0.05 * random.standard_normal(16)
    return NewSighting(
        key, vector, camera, time, track, identity, round(random.random(), 3), f"{camera}.mp4", 3, (1.0, 2.0, 30.0, 60.0),
        b"\xff\xd8 crop " + key.encode(),
    )  # fmt: skip


def walk(people: Sequence[int], cameras: Sequence[str] = ("lobby", "yard"), crops: int = 2) -> list[NewSighting]:
    """Each person in each camera, some crops in one track, five minutes apart."""
    return [
        row(f"p{who} {camera} {crop}", who, camera, START + 1000 * who + 300 * place + crop, f"t{who}")
        for who in people
        for place, camera in enumerate(cameras)
        for crop in range(crops)
    ]


@pytest.fixture
def people() -> SimpleNamespace:
    """`person`, `row`, `walk`, MODEL and START."""
    return SimpleNamespace(person=person, row=row, walk=walk, MODEL=MODEL, START=START)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Gallery]]:
    """Opens the gallery of this test (or another one, by `name`) in the store that is tested; closes all in the end."""
    server = os.environ.get("PASSERBY_TEST_MILVUS")
    opened: list[Gallery] = []
    own = uuid.uuid4().hex[:12]

    def url(name: str) -> str:
        return f"milvus://{server}/t_{own}_{name}" if server else str(tmp_path / f"{name}.gallery")

    def open_it(name: str = "town", model: Model | None = MODEL, create: bool = True, read_only: bool = False) -> Gallery:
        opened.append(Gallery.open(url(name), create=create, model=model, read_only=read_only))
        return opened[-1]

    yield open_it
    if server:
        from pymilvus import MilvusClient

        client = MilvusClient(f"http://{server}")
        for collection in client.list_collections():
            if collection.startswith(f"t_{own}_"):
                client.drop_collection(collection)
    for gallery in opened:
        gallery.close()

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def films():
    spec = importlib.util.spec_from_file_location("films", Path(__file__).with_name("films.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def film(films, tmp_path_factory):
    """Sixty frames at ten a second, three people."""
    return films.write_film(tmp_path_factory.mktemp("film") / "hall.mp4")

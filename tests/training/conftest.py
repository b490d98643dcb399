import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def toy():
    """The module toy.py beside this file (tests are no package, so that it cannot be imported by name)."""
    spec = importlib.util.spec_from_file_location("toy", Path(__file__).with_name("toy.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy"] = module
    spec.loader.exec_module(module)
    return module

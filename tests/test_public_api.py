"""The names that others may rely on. To change this list is to change the contract: say so in CHANGELOG.md."""

import subprocess
import sys

import pytest

import passerby

TYPES = (
    "Artefact Batch Convention DataError Embedder EmbeddingRule Embeddings Outputs PasserbyError Preprocess QueryGallery Record "
    "ReidData RetrievalScores Split Trial UsageError"
)
FUNCTIONS = "bootstrap check_data embed evaluate fit load make_drawn plot_curves plot_ranking read_data"
NAMES = f"{TYPES} {FUNCTIONS}".split()


def test_the_public_names():
    assert passerby.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_documented(name: str):
    found = getattr(passerby, name)
    assert found.__doc__ and found.__doc__.strip()
    assert name in dir(passerby)


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="module 'passerby' has no attribute 'lode'"):
        passerby.lode  # noqa: B018


def test_importing_passerby_imports_nothing_heavy():
    heavy = {"torch", "timm", "numpy", "matplotlib", "sklearn"}
    code = f"import sys, passerby, passerby.cli; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]", found.stdout

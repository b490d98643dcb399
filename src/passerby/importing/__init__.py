"""Weights of other projects as artefacts: recognised by their names, mapped one by one, every one accounted for."""

from passerby.importing.layouts import LAYOUTS
from passerby.importing.writing import Imported, ImportOptions, import_weights

__all__ = ["LAYOUTS", "ImportOptions", "Imported", "import_weights"]

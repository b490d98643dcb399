"""`passerby gallery accelerate`: an index beside a gallery, for quicker searches that may miss a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from passerby.cli.galleries import counted

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Build an index for `passerby search --approximate` and `search(approximate=True)`.

    Worth it from some hundred thousand crops on. Beside a file it is short codes of all vectors, made with faiss in seconds:
    crops that come later are searched exactly beside it, so build it again from time to time; filters that let few crops pass are
    searched exactly anyway; erasing removes it. In Milvus it is a graph (HNSW) in the place of the exact scan, for all searches.
    """

    gallery: Annotated[str, tyro.conf.Positional]
    """a file, or milvus://host:port/collection"""


def run(options: Options) -> None:
    """Build."""
    from passerby.gallery import Gallery

    with Gallery.open(options.gallery) as gallery:
        found = gallery.accelerate()
        count = counted(len(gallery), "crop")
        print(f"{options.gallery}: {count} indexed; {100 * found:.1f} % of the 50 nearest are found (100 trials)")

"""`passerby gallery copy`: a gallery into another store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from passerby.cli.galleries import counted

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Copy a gallery: crops, vectors, identities, thresholds, ways, and the words of the audit log; between stores either way.

    A copy that was interrupted goes on when the same call is given again. What was done before cannot be undone in the copy.
    """

    source: Annotated[str, tyro.conf.Positional]
    """a file, or milvus://host:port/collection"""
    target: Annotated[str, tyro.conf.Positional]
    """the same; it must not hold anything yet"""


def run(options: Options) -> None:
    """Copy."""
    from passerby.gallery import Gallery

    with (
        Gallery.open(options.source, read_only=True) as source,
        Gallery.open(options.target, create=True, model=source.model) as target,
    ):
        count = source.copy_to(target)
        print(f"{options.target}: {counted(count, 'crop')}, {counted(len(target.identities()), 'identity', 'identities')}")

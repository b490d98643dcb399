"""`passerby serve`: a page to find people in a gallery."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from passerby.cli.galleries import chosen_gallery
from passerby.errors import MissingDependencyError, PasserbyError, UsageError

if TYPE_CHECKING:
    from passerby.gallery import Model

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Show a gallery as a page: search by a picture, a stored crop or an identity; confirm, reject, name, merge, split, erase.

    Only this machine can open it, unless --host says otherwise; then visitors must show a token. The same is there as JSON, at
    /api/v1. End it with Ctrl-C.
    """

    gallery: Annotated[str, tyro.conf.Positional] = ""
    """a file, or milvus://host:port/collection (default: what PASSERBY_GALLERY says, else people.gallery in the working
    folder)"""
    host: str = "127.0.0.1"
    """address to serve at; beyond this machine a token is needed (0.0.0.0: all addresses)"""
    port: int = 8017
    """0 takes a free one"""
    token: str = ""
    """what visitors must show, 16 characters or more; better in the variable PASSERBY_TOKEN, which other users cannot see"""
    names: tuple[str, ...] = ()
    """further host names under which the page is reached, for instance through a proxy; others are refused"""
    model: Path | None = None
    """the gallery's model, for pictures that are sent: artefact folder or exported file (default: house, the model that comes
    with passerby; house-int8 is its quick form, house-scratch one that never saw a real person)"""
    detector: Path | None = None
    """an ONNX file that finds people in whole pictures (default: the one that comes with passerby)"""
    device: str = "auto"
    """for the model: auto, cpu, cuda, cuda:1 ..."""


def run(options: Options) -> None:
    """Check, open, serve."""
    try:
        from passerby.web import serving
        from passerby.web.looking import Looking
        from passerby.web.opened import OpenGallery
        from passerby.web.service import Service
    except ImportError as error:
        raise MissingDependencyError(f'The page needs {error.name}: pip install "passerby[web]"') from error
    token = options.token or os.environ.get("PASSERBY_TOKEN") or None
    serving.check_reach(options.host, token)
    if not 0 <= options.port <= 65535:
        raise UsageError(f"--port is {options.port}: 0 to 65535 are ports, 0 takes a free one.")
    opened = OpenGallery(chosen_gallery(options.gallery, there=True, naming="the gallery's name"))
    try:
        embedder = _embedder(options, opened.model)
        cameras = getattr(embedder, "cameras", None)
        needed = () if cameras is None or embedder.camera_agnostic else tuple(cameras.cameras)
        detector = _detector(options) if embedder is not None else None
        service = Service(opened, Looking(embedder, detector, needed))
        serving.serve(service, options.host, options.port, token, options.names)
    finally:
        opened.close()


def _embedder(options: Options, model: Model) -> Any:
    """The gallery's model. Without one the page works too, but for pictures that are sent."""
    from passerby.artefact import load
    from passerby.gallery import Model

    try:
        embedder = load(options.model, device=options.device)
        found = Model.of(embedder)
    except PasserbyError as error:
        if options.model is not None:
            raise
        print(f"passerby: searching by pictures is off: {error}")
        return None
    if found.fingerprint == model.fingerprint and found.dim == model.dim:
        return embedder
    wanted = f"the gallery's vectors are of {model.name or model.fingerprint}"
    if options.model is not None:
        raise UsageError(f"--model is {found.name}, but {wanted}: they cannot be compared.")
    print(f"passerby: searching by pictures is off: {wanted}; name it with --model to turn it on.")
    return None


def _detector(options: Options) -> Any:
    """What finds people, where it is installed."""
    try:
        from passerby.video import open_detector

        return open_detector(options.detector)
    except (ImportError, MissingDependencyError) as error:
        if options.detector is not None:
            raise MissingDependencyError('Finding people needs ONNX Runtime: pip install "passerby[video]"') from error
        print('passerby: pictures are taken as crops of one person: finding people in them needs pip install "passerby[video]"')
        return None

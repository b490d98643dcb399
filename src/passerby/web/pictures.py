"""What may be uploaded: a JPEG, PNG or WebP picture by its content, whole, of a bounded size, and nothing behind it.

The bytes that arrive are never kept and never sent to anybody: what is shown of an upload was decoded and written anew.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

from PIL import Image

from passerby.datasets import decode_image
from passerby.errors import ImageError

__all__ = ["Limits", "as_jpeg", "read_upload"]

_NAME = "uploaded"
_PNG = b"\x89PNG\r\n\x1a\n"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # ends coded pixels: no stuffed byte, no restart, no filling
_PADDING = b"\0 \r\n\t"


@dataclass(frozen=True)
class Limits:
    """How large an upload may be.

    Attributes:
        bytes: of the file.
        pixels: width times height; they are decoded into three times as many bytes.
        least_px: of the shorter side.
    """

    bytes: int = 20_000_000
    pixels: int = 64_000_000
    least_px: int = 8


def read_upload(content: bytes, limits: Limits) -> Image.Image:
    """Decode a picture that somebody sent.

    Returns:
        A picture of mode ``RGB``, upright.

    Raises:
        ImageError: no JPEG, PNG or WebP; truncated, too large or too small; or something follows the picture in the file.
    """
    if len(content) > limits.bytes:
        raise ImageError(
            f"the uploaded file has {len(content):,} bytes; up to {limits.bytes:,} are taken. Send a smaller picture."
        )
    _check_ends(content)
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP")) as header:
            wide, high = header.size
    except Image.DecompressionBombError:
        wide = high = limits.pixels  # Pillow does not say how large it claims to be
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError("the uploaded picture is damaged: its header cannot be read. Save it anew.") from error
    if wide * high > limits.pixels:
        raise ImageError(f"the uploaded picture has more than {limits.pixels:,} pixels. Send a smaller one.")
    if min(wide, high) < limits.least_px:
        raise ImageError(f"the uploaded picture is {wide} x {high} pixels: nobody can be told from {limits.least_px} or fewer.")
    decoded = decode_image(content, _NAME)
    decoded.info = {}  # comments and profiles would be written into what is shown
    return decoded


def as_jpeg(picture: Image.Image, longest_px: int, quality: int = 90) -> bytes:
    """A picture as JPEG, made smaller where a side is longer than `longest_px`."""
    if max(picture.size) > longest_px:
        picture = picture.copy()
        picture.thumbnail((longest_px, longest_px))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=quality, subsampling=0)
    return written.getvalue()


def _check_ends(content: bytes) -> None:
    if content.startswith(b"\xff\xd8\xff"):
        end = _jpeg_end(content, 0)
        # Telephones put further whole pictures (depth, brightness) behind the first one.
        while end is not None and content.startswith(b"\xff\xd8\xff", end):
            end = _jpeg_end(content, end)
    elif content.startswith(_PNG):
        end = _png_end(content)
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        whole = 8 + int.from_bytes(content[4:8], "little")
        end = whole + whole % 2 if whole <= len(content) else None
    else:
        raise ImageError("the uploaded file is no JPEG, PNG or WebP picture: its first bytes say so, whatever its name is.")
    if end is None:
        raise ImageError("the uploaded picture is truncated: its end is missing. Save or send it again.")
    if content[end:].strip(_PADDING):
        raise ImageError(
            f"{len(content) - end:,} bytes of something else follow the uploaded picture in its file. Save it anew and send that."
        )


def _jpeg_end(content: bytes, start: int) -> int | None:
    """Where the picture that begins at `start` is over; None where it never is."""
    place = start + 2
    while place + 4 <= len(content) or content[place : place + 2] == b"\xff\xd9":
        if content[place] != 0xFF:
            return None
        kind = content[place + 1]
        if kind == 0xD9:
            return place + 2
        if kind == 0xFF:
            place += 1
            continue
        if kind == 0x01 or 0xD0 <= kind <= 0xD8:
            place += 2
            continue
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if kind == 0xDA:
            found = _MARKER.search(content, place)
            if found is None:
                return None
            place = found.start()
    return None


def _png_end(content: bytes) -> int | None:
    place = len(_PNG)
    while place + 12 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        place += 12 + length
        if kind == b"IEND":
            return place if place <= len(content) else None
    return None

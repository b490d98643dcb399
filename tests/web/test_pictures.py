import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from passerby.errors import ImageError
from passerby.web.pictures import Limits, as_jpeg, read_upload

RNG = np.random.default_rng(1)
NOISE = Image.fromarray(RNG.integers(0, 255, (48, 32, 3), np.uint8))


def written(kind: str, image: Image.Image = NOISE, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


KINDS = {
    "jpeg": written("JPEG"),
    "progressive": written("JPEG", progressive=True),
    "restarts": written("JPEG", restart_marker_blocks=1),
    "png": written("PNG"),
    "palette": written("PNG", NOISE.convert("P")),
    "webp": written("WEBP"),
    "lossless": written("WEBP", lossless=True),
    "two pictures": written("JPEG") + written("JPEG"),
    "padded": written("JPEG") + b"\0" * 100 + b"\r\n",
    "animated": written("WEBP", save_all=True, append_images=[NOISE.rotate(180)]),
}


def refusal(content: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        read_upload(content, limits or Limits())
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("content", KINDS.values(), ids=KINDS)
def test_pictures_that_are_whole_are_taken(content: bytes):
    image = read_upload(content, Limits())
    assert image.mode == "RGB" and image.size == (32, 48)


def test_a_picture_is_turned_upright_as_its_camera_says():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_upload(written("JPEG", exif=exif), Limits()).size == (48, 32)


def test_a_thumbnail_inside_a_picture_is_not_its_end():
    inner = written("JPEG", NOISE.resize((8, 12)))
    assert read_upload(written("JPEG", comment=inner), Limits()).size == (32, 48)


@pytest.mark.parametrize("kind", ["jpeg", "progressive", "png", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.999])
def test_truncated_ones_are_refused(kind: str, share: float):
    content = KINDS[kind]
    assert "truncated" in refusal(content[: int(len(content) * share)])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a" + bytes(100),
        written("BMP"),
        written("TIFF"),
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a 'b'>]><svg/>",
        b"%PDF-1.7 ",
        b"#!/bin/sh",
        b"RIFF\x10\0\0\0WAVEfmt ",
        b"II*\0" + bytes(60),
    ],
)
def test_other_kinds_are_refused_by_their_content(content: bytes):
    assert "no JPEG, PNG or WebP" in refusal(content)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "two pictures"])
@pytest.mark.parametrize("behind", [b"PK\x03\x04 archive", b"<script>alert(1)</script>", b"%PDF-1.7", b"\xff\xd8"])
def test_something_behind_a_picture_is_refused(kind: str, behind: bytes):
    text = refusal(KINDS[kind] + behind)
    assert "something else follow" in text or (behind == b"\xff\xd8" and "follow" in text)


def test_a_picture_with_a_damaged_middle_is_refused_or_decoded_but_never_crashes():
    for content in KINDS.values():
        for _ in range(40):
            damaged = bytearray(content)
            for place in RNG.integers(0, len(damaged), 3):
                damaged[place] ^= int(RNG.integers(1, 255))
            try:
                read_upload(bytes(damaged), Limits())
            except ImageError as error:
                assert "\n" not in str(error)


def bomb(wide: int, high: int) -> bytes:
    """A PNG of a few hundred bytes that claims to be huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(200_000))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("wide", "high"), [(9000, 9000), (30000, 30000), (60000, 60000), (2**31 - 1, 2)])
def test_decompression_bombs_are_refused_before_they_are_decoded(wide: int, high: int):
    assert re.search(r"more than 64,000,000 pixels|claims|damaged", refusal(bomb(wide, high)))


def test_a_text_that_unpacks_to_twenty_megabytes_is_refused():
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    plain = written("PNG")
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(20_000_000), 1))
    try:
        image = read_upload(plain[:33] + text + plain[33:], Limits())
    except ImageError as error:
        assert "\n" not in str(error)
    else:
        assert all(len(str(value)) < 2_000_000 for value in image.info.values())


def test_sizes_out_of_range_are_refused():
    assert "up to 100 are taken" in refusal(KINDS["jpeg"], Limits(bytes=100))
    assert "more than 1,000 pixels" in refusal(KINDS["jpeg"], Limits(pixels=1000))
    assert "2 x 40 pixels" in refusal(written("PNG", NOISE.resize((2, 40))))


def test_what_is_shown_was_written_anew():
    marked = written("JPEG", comment=b"<script>alert(1)</script>")
    again = as_jpeg(read_upload(marked, Limits()), 24)
    assert b"script" not in again and Image.open(io.BytesIO(again)).size == (16, 24)
    assert Image.open(io.BytesIO(as_jpeg(NOISE, 1000))).size == NOISE.size

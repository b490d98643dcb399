import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from passerby.datasets.images import MAX_PIXELS, decode_image, read_image
from passerby.errors import ImageError

HALF_GREY = 128


def saved(path, image, **options):
    image.save(path, **options)
    return path


def test_a_jpeg_comes_out_as_pillow_shows_it(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 10, 3), dtype=np.uint8)
    path = saved(tmp_path / "a.jpg", Image.fromarray(pixels), quality=95)
    with Image.open(path) as plain:
        assert np.array_equal(np.asarray(read_image(path)), np.asarray(plain))


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "LA", "RGBA", "I;16", "I"])
def test_every_mode_is_converted(tmp_path, mode):
    """A mid-grey picture stays mid-grey, whatever way it is stored."""
    if mode in ("I;16", "I"):
        image = Image.fromarray(np.full((6, 4), HALF_GREY * 257, dtype=np.uint16 if mode == "I;16" else np.int32))
    else:
        image = Image.new("RGB", (4, 6), (255, 255, 255) if mode == "1" else (HALF_GREY,) * 3)
        image = image.quantize() if mode == "P" else image.convert("L" if mode == "LA" else "RGB").convert(mode)
    suffix = ".tif" if mode in ("CMYK", "YCbCr", "I") else ".png"
    found = read_image(saved(tmp_path / f"a{suffix}", image))
    assert (found.mode, found.size) == ("RGB", (4, 6))
    assert np.abs(np.asarray(found).astype(int) - (255 if mode == "1" else HALF_GREY)).max() <= 1


def test_a_cmyk_jpeg_keeps_its_colours(tmp_path):
    red = Image.new("RGB", (16, 16), (200, 30, 40)).convert("CMYK")
    found = np.asarray(read_image(saved(tmp_path / "a.jpg", red, quality=95))).astype(int)
    assert np.abs(found - (200, 30, 40)).max() <= 4


def test_what_is_transparent_becomes_black(tmp_path):
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 255, 0, 0))
    assert list(np.asarray(read_image(saved(tmp_path / "a.png", image)))[0].ravel()) == [255, 0, 0, 0, 0, 0]


def test_a_palette_with_transparency_becomes_black_there(tmp_path):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    found = read_image(saved(tmp_path / "a.png", image, transparency=0))
    assert np.asarray(found)[0].tolist() == [[0, 0, 0], [40, 50, 60]]


def test_small_values_in_a_32_bit_picture_are_taken_as_8_bit(tmp_path):
    image = Image.fromarray(np.array([[7, 200]], dtype=np.int32))
    assert np.asarray(read_image(saved(tmp_path / "a.tif", image)))[0, :, 0].tolist() == [7, 200]


def test_the_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (4, 2), (0, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    assert read_image(saved(tmp_path / "a.jpg", image, exif=exif)).size == (2, 4)


def test_the_first_frame_of_an_animation_is_taken(tmp_path):
    first, second = Image.new("RGB", (3, 3), (255, 0, 0)), Image.new("RGB", (3, 3), (0, 0, 255))
    path = saved(tmp_path / "a.gif", first, save_all=True, append_images=[second])
    assert np.asarray(read_image(path))[0, 0].tolist() == [255, 0, 0]


def test_the_picture_no_longer_needs_its_file(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("RGB", (3, 3), (1, 2, 3)))
    image = read_image(path)
    path.unlink()
    assert image.getpixel((0, 0)) == (1, 2, 3)


def test_a_path_with_blanks_and_other_scripts(tmp_path):
    path = saved(tmp_path / "später 人 ä.png", Image.new("RGB", (3, 3), (1, 2, 3)))
    assert read_image(str(path)).size == (3, 3)


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG header that claims 20,000 x 20,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100)))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", 'image "a.jpg" has zero bytes. Copy or unpack it again.'),
        (b"hello, world", "image \"a.jpg\" is no image: its first bytes fit no format that can be read (b'hello, w')."),
        (
            bomb(),
            f'image "a.jpg" claims more than {MAX_PIXELS:,} pixels, too many for a picture of a person.',
        ),
    ],
    ids=["empty", "text", "bomb"],
)
def test_what_cannot_be_decoded_says_so_in_one_line(message, content, expected):
    assert message(ImageError, lambda: decode_image(content, "a.jpg")) == expected


def test_a_truncated_jpeg_is_refused_and_not_half_decoded(message):
    text = message(ImageError, lambda: decode_image(jpeg()[:-300], "a.jpg"))
    assert text.startswith('image "a.jpg" is truncated or damaged: image file is truncated (')
    assert text.endswith("). Copy or unpack it again.")


def test_a_picture_above_the_limit_is_refused_before_it_is_decoded(message, monkeypatch):
    monkeypatch.setattr("passerby.datasets.images.MAX_PIXELS", 4_000)
    text = message(ImageError, lambda: decode_image(jpeg(), "a.jpg"))
    assert text == 'image "a.jpg" is 64 x 64 pixels; at most 4,000 are decoded.'


def test_floating_point_pixels_are_refused(message, tmp_path):
    path = saved(tmp_path / "a.tif", Image.fromarray(np.ones((2, 2), dtype=np.float32)))
    expected = 'image "ROOT/a.tif" holds floating-point pixels without a stated range; save it with 8 bits a channel.'
    assert message(ImageError, lambda: read_image(path)) == expected


def test_an_absent_file_and_a_folder_are_named(message, tmp_path):
    assert (
        message(ImageError, lambda: read_image(tmp_path / "no.jpg"))
        == 'image "ROOT/no.jpg" cannot be read: No such file or directory.'
    )
    assert message(ImageError, lambda: read_image(tmp_path)) == 'image "ROOT" cannot be read: Is a directory.'


@pytest.mark.parametrize("content", [jpeg(), png()])
def test_damage_anywhere_is_an_image_error_or_a_picture(content):
    """Whatever bytes are turned over, nothing but ImageError escapes."""
    generator = np.random.default_rng(1)
    outcomes = set()
    for _ in range(150):
        damaged = bytearray(content)
        for position in generator.integers(0, len(damaged), 8):
            damaged[position] ^= int(generator.integers(1, 256))
        cut = int(generator.integers(1, len(damaged) + 1))
        try:
            outcomes.add(decode_image(bytes(damaged[:cut]), "a").mode)
        except ImageError as error:
            outcomes.add(type(error).__name__)
            assert "\n" not in str(error)
    assert "ImageError" in outcomes

"""The one image decoder: whatever the file holds comes out as an 8-bit RGB picture, or as a one-line `ImageError`.

Every reader, loader and check uses it, so that an image which passes the check also passes the training.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from passerby.datasets.walking import shown
from passerby.errors import ImageError

__all__ = ["MAX_PIXELS", "decode_image", "read_image"]

MAX_PIXELS = 89_000_000  # just below Pillow's own warning; a person crop has about 30,000
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# What Pillow's many format plug-ins raise on damaged files.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error, zlib.error)


def read_image(path: str | os.PathLike[str]) -> Image.Image:
    """Decode one image file.

    Grey, palette, CMYK and 16-bit pictures are converted; transparent ones are laid over black; the EXIF orientation is applied.
    Of an animation the first frame is taken.

    Args:
        path: an image file of any format that Pillow reads.

    Returns:
        A picture of mode ``RGB`` that no longer needs the file.

    Raises:
        ImageError: there is no such file, or it is empty, truncated, no image, or larger than `MAX_PIXELS`.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f'image "{shown(path)}" cannot be read: {error.strerror or error}.') from error
    return decode_image(content, path)


def decode_image(content: bytes, name: str | os.PathLike[str]) -> Image.Image:
    """Decode the bytes of one image file; `name` is what an error calls it. See `read_image`."""
    label = f'image "{shown(name)}"'
    if not content:
        raise ImageError(f"{label} has zero bytes. Copy or unpack it again.")
    try:
        image = Image.open(io.BytesIO(content))
        _refuse_bomb(image.size, label)
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image), label)
    except ImageError:
        raise
    except _BOMBS as error:
        raise ImageError(f"{label} claims more than {MAX_PIXELS:,} pixels, too many for a picture of a person.") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{label} is no image: its first bytes fit no format that can be read ({content[:8]!r}).") from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{label} is truncated or damaged: {reason}. Copy or unpack it again.") from error


def _refuse_bomb(size: tuple[int, int], label: str) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise ImageError(f"{label} is {size[0]} x {size[1]} pixels; at most {MAX_PIXELS:,} are decoded.")


def _to_rgb(image: Image.Image, label: str) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_deep_grey(image)
    if image.mode == "F":
        raise ImageError(f"{label} holds floating-point pixels without a stated range; save it with 8 bits a channel.")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = image.convert("RGBA")
        # What hides under full transparency is arbitrary, so dropping the alpha channel would show random colours.
        return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Keep the high byte: Pillow's own conversion clips everything above 255 to white."""
    grey = np.asarray(image).astype(np.int64)
    if grey.max(initial=0) > 255 or image.mode != "I":
        grey = grey >> 8
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")

"""Images: what is known of one, and a copy that a model can be shown."""

from __future__ import annotations

import io
from typing import Any

from .document import Document, Part, UnreadableError

_MOST_PIXELS = 60_000_000
_LONGEST_SIDE = 1568
_TAGS = 60
_VALUE_CHARS = 200


def describe(data: bytes) -> Document:
    """Format, size and metadata."""
    image = _opened(data)
    width, height = image.size
    lines = [f"format: {image.format}", f"size: {width} x {height} pixels", f"mode: {image.mode}"]
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        lines.append(f"frames: {frames}")
    lines += _metadata(image)
    return Document(
        f"{image.format} image, {width} x {height}; ask_image looks at it", [Part("metadata", "\n".join(lines))]
    )


def shrink(data: bytes) -> bytes:
    """The first frame as a PNG whose sides are not longer than a model looks at."""
    image = _opened(data)
    if image.width * image.height > _MOST_PIXELS:
        raise UnreadableError(f"it has {image.width} x {image.height} pixels, more than are looked at")
    try:
        shown = image.convert("RGBA" if "transparency" in image.info or image.mode in ("RGBA", "LA") else "RGB")
        shown.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
        out = io.BytesIO()
        shown.save(out, "PNG")
    except (OSError, ValueError, SyntaxError) as error:
        raise UnreadableError(f"it is damaged: {error}") from error
    return out.getvalue()


def _opened(data: bytes) -> Any:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # decided here, by size
    try:
        return Image.open(io.BytesIO(data))
    except (OSError, ValueError, SyntaxError) as error:
        raise UnreadableError("it is no image that can be opened") from error


def _metadata(image: Any) -> list[str]:
    from PIL import ExifTags, Image

    # For a PNG without this, it would unpack the whole picture to look for more.
    exif = image.getexif() if "exif" in image.info or image.format != "PNG" else Image.Exif()
    found = {ExifTags.TAGS.get(tag, str(tag)): value for tag, value in exif.items()}
    found |= {ExifTags.TAGS.get(tag, str(tag)): value for tag, value in exif.get_ifd(ExifTags.IFD.Exif).items()}
    found |= {ExifTags.GPSTAGS.get(tag, str(tag)): value for tag, value in exif.get_ifd(ExifTags.IFD.GPSInfo).items()}
    found |= {str(name): value for name, value in image.info.items() if isinstance(value, (str, int, float, tuple))}
    lines = [f"{name}: {str(value)[:_VALUE_CHARS]}" for name, value in found.items() if not isinstance(value, bytes)]
    return [" ".join(line.split()) for line in lines[:_TAGS]]

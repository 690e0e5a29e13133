"""What the tests of the parts of pictures have in common."""

from __future__ import annotations

from pathlib import Path

from PIL import ImageCms

from lib_upscaler.pictures.reading import read_picture
from lib_upscaler.pictures.writing import write_picture
from made_pictures import photo

__all__ = ["ICC", "LARGE", "PHOTO", "TURNED", "XMP_HEAD", "done", "given"]


ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PHOTO = photo()
LARGE = "{" + "x" * 1_300_000 + "}"
TURNED = (0x0112, 3, 1, 6)
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\x00"


def given(folder: Path, data: bytes, name: str = "a.png"):
    """What is read of a file of these bytes."""
    path = folder / name
    path.write_bytes(data)
    return read_picture(path)


def done(folder: Path, data: bytes, name: str, out: str, scale: int = 1) -> tuple[Path, tuple[str, ...]]:
    """Read and written, as large as asked: the file, and the warnings of the reader and the writer."""
    picture = given(folder, data, name)
    image = picture.image.convert("RGB") if picture.image.mode == "P" else picture.image
    image = image.resize((image.width * scale, image.height * scale))
    notes = write_picture(image, folder / out, picture.metadata, overwrite=True)
    return folder / out, (*picture.warnings, *notes)

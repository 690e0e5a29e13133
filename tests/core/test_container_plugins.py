"""HEIC, AVIF and JPEG XL written by the packages that read them; each is tried where its package is installed."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from container_files import pack_bits, written
from lib_upscaler.errors import PictureError, PictureReadError
from lib_upscaler.pictures import plugins
from lib_upscaler.pictures.reading import read_header, read_picture
from made_pictures import exif_data, photo

PHOTO = photo()
ALPHA = photo(channels=4).copy()
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" a:b="c"/>'
VIEWS = {
    1: PHOTO,
    2: PHOTO[:, ::-1],
    3: PHOTO[::-1, ::-1],
    4: PHOTO[::-1],
    5: PHOTO.transpose(1, 0, 2),
    6: np.rot90(PHOTO, -1),
    7: PHOTO.transpose(1, 0, 2)[::-1, ::-1],
    8: np.rot90(PHOTO),
}
"""What is seen by the orientation of the EXIF."""

KINDS = {"heic": plugins.HEIF, "avif": plugins.AVIF, "jxl": plugins.JXL}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kind that can be read and written here. Pillow's registry is put back."""
    if not plugins.can_read(KINDS[request.param]):
        pytest.skip(f"no reader of {request.param} is installed")
    Image.init()
    for registry in ("OPEN", "SAVE", "SAVE_ALL", "ID", "EXTENSION", "MIME"):
        held = getattr(Image, registry)
        monkeypatch.setattr(Image, registry, held.copy())
    return request.param


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def off(image: Image.Image, expected: np.ndarray) -> int:
    return int(np.abs(np.asarray(image).astype(int) - expected).max())


LOSS = {"heic": 3, "avif": 6, "jxl": 0}


def test_pixels_and_parts(kind: str, tmp_path: Path) -> None:
    exif = exif_data((0x010F, 2, 7, 26), more=b"Camera\x00")
    path = saved(tmp_path / f"a.{kind}", written(kind, PHOTO, exif=exif, xmp=XMP, icc_profile=ICC))
    picture, header = read_picture(path), read_header(path)
    assert off(picture.image, PHOTO) <= LOSS[kind]
    assert (header.size.width, header.size.height, header.channels, header.alpha) == (56, 44, 3, False)
    assert picture.warnings == ()
    assert b"Camera" in picture.metadata.exif
    assert picture.metadata.text["XML:com.adobe.xmp"] == XMP.decode()
    if kind != "jxl":  # its writer takes no profile; its reader makes one of the file's numbers
        assert picture.metadata.icc_profile == ICC


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_once(kind: str, orientation: int, tmp_path: Path) -> None:
    exif = exif_data((0x0112, 3, 1, orientation))
    data = written(kind, PHOTO, exif=exif)
    if kind == "jxl":  # whose writer leaves the orientation to the EXIF, where it does not count
        assert off(read_picture(saved(tmp_path / "exif.jxl", data)).image, PHOTO) == 0
        data = told_in_jxl(written(kind, PHOTO), orientation)
    path = saved(tmp_path / f"a.{kind}", data)
    picture, header = read_picture(path), read_header(path)
    assert picture.image.size == VIEWS[orientation].shape[1::-1]
    assert off(picture.image, VIEWS[orientation]) <= LOSS[kind]
    assert (header.size.width, header.size.height) == picture.image.size


def told_in_jxl(data: bytes, orientation: int) -> bytes:
    """A bare JPEG XL of 8 bits as its writer makes it, with an orientation in its header (ISO/IEC 18181-1, annex D)."""
    head = "".join(f"{byte:08b}"[::-1] for byte in data[2:7])
    size, usual, more, color, end = head[:26], head[26:28], head[28:35], head[35:36], head[36:39]
    assert (usual, color, end) == ("00", "1", "001"), "sides of up to 512 px, and nothing out of the usual"
    turned = "01" + f"{orientation - 1:03b}"[::-1] + "000"
    return data[:2] + pack_bits(size + turned + more + color + "1" + end) + data[7:]


def test_transparency(kind: str, tmp_path: Path) -> None:
    image = Image.fromarray(ALPHA)
    path = saved(tmp_path / f"a.{kind}", written(kind, image))
    picture = read_picture(path)
    assert picture.image.mode == "RGBA"
    assert read_header(path).alpha
    assert off(picture.image.getchannel("A"), ALPHA[:, :, 3]) <= LOSS[kind]


def test_alpha_multiplied_into_an_avif(kind: str, tmp_path: Path) -> None:
    if kind != "avif":
        pytest.skip("only the writer of AVIF does it")
    pixels = ALPHA.copy()
    pixels[:, :, 3] = np.maximum(pixels[:, :, 3], 128)
    picture = read_picture(saved(tmp_path / "a.avif", written(kind, pixels, alpha_premultiplied=True)))
    assert off(picture.image, pixels) <= 2 * LOSS[kind] + 2


def test_grey(kind: str, tmp_path: Path) -> None:
    picture = read_picture(saved(tmp_path / f"a.{kind}", written(kind, PHOTO[:, :, 0])))
    planes = np.asarray(picture.image.convert("RGB"))
    assert np.abs(planes.astype(int) - PHOTO[:, :, :1]).max() <= LOSS[kind]


def test_several_pictures_are_said(kind: str, tmp_path: Path) -> None:
    if kind == "jxl":
        pytest.skip("its writer makes one picture")
    more = [Image.fromarray(PHOTO[::-1].copy()), Image.fromarray(PHOTO[:, ::-1].copy())]
    picture = read_picture(saved(tmp_path / f"a.{kind}", written(kind, PHOTO, save_all=True, append_images=more)))
    assert off(picture.image, PHOTO) <= 2 * LOSS[kind]
    words = {"heic": "the 2 further pictures in it cannot be kept", "avif": "has 3 frames; only the first is upscaled"}
    assert any(words[kind] in warning for warning in picture.warnings)


def test_compressed_parts_of_a_jpeg_xl_are_said_to_be_lost(kind: str, tmp_path: Path) -> None:
    if kind != "jxl":
        pytest.skip("only JPEG XL compresses them")
    data = written(kind, PHOTO, exif=exif_data((0x010F, 2, 7, 26), more=b"Camera\x00"), xmp=XMP, compress_metadata=True)
    (said,) = read_picture(saved(tmp_path / "a.jxl", data)).warnings
    assert {*said.split(" cannot be kept")[0].split(", ")} == {"its compressed XMP", "its compressed EXIF data"}


def test_a_jpeg_packed_into_a_jpeg_xl_comes_out_as_it_was(kind: str, tmp_path: Path) -> None:
    if kind != "jxl":
        pytest.skip("only JPEG XL packs them")
    path = tmp_path / "a.jpg"
    Image.fromarray(PHOTO).save(path, exif=exif_data((0x0112, 3, 1, 6)))
    written(kind, PHOTO)  # registers the writer
    with Image.open(path) as jpeg:
        jpeg.save(tmp_path / "a.jxl", "JXL", lossless_jpeg=True)
    one, other = read_picture(path), read_picture(tmp_path / "a.jxl")
    assert one.image.size == (44, 56)
    assert np.array_equal(np.asarray(one.image), np.asarray(other.image))


def test_more_than_8_bits_are_read_as_8_and_said(kind: str, tmp_path: Path) -> None:
    if kind != "heic":
        pytest.skip("only the writer of HEIC makes them")
    import pillow_heif

    deep = (PHOTO.astype(np.uint16) * 257).tobytes()
    buffer = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (56, 44), deep).save(buffer, quality=-1, chroma=444)
    picture = read_picture(saved(tmp_path / "a.heic", buffer.getvalue()))
    assert picture.warnings == ("its 10 bits per channel were read as 8",)
    assert off(picture.image, PHOTO) <= LOSS[kind] + 1


def test_reading_registers_nothing_more_than_importing(kind: str, tmp_path: Path) -> None:
    data = written(kind, PHOTO)
    before = {name: dict(getattr(Image, name)) for name in ("OPEN", "SAVE", "EXTENSION")}
    read_picture(saved(tmp_path / f"a.{kind}", data))
    assert before == {name: dict(getattr(Image, name)) for name in before}


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_file_that_ends_early_is_refused(kind: str, part: float, tmp_path: Path) -> None:
    data = written(kind, photo(200, 160))
    with pytest.raises(PictureReadError):
        read_picture(saved(tmp_path / f"a.{kind}", data[: int(len(data) * part)]))


def test_broken_files_are_read_or_refused_in_words(kind: str, tmp_path: Path) -> None:
    chance = random.Random(kind)
    exif = exif_data((0x0112, 3, 1, 6), (0x010F, 2, 7, 38), more=b"Camera\x00")
    sound = [written(kind, PHOTO, exif=exif, xmp=XMP), written(kind, ALPHA, icc_profile=ICC)]
    outcomes = set()
    for number in range(150):
        data = bytearray(chance.choice(sound))
        reach = chance.choice((40, 400, len(data)))
        for _ in range(chance.choice((1, 4, 30))):
            data[chance.randrange(12, min(len(data), reach))] = chance.choice((0, 255, chance.randrange(256)))
        path = saved(
            tmp_path / f"{number}.{kind}", bytes(data[: chance.choice((len(data), chance.randrange(len(data))))])
        )
        try:
            outcomes.add(read_picture(path).image.mode)
            read_header(path)
        except PictureError as error:
            outcomes.add(error.why)
            outcomes.add("refused")
    assert "refused" in outcomes
    assert "" not in outcomes, "each refusal says why"

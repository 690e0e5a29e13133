"""Parts of a PNG: kept where they are sound, named where they are not."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from lib_upscaler.errors import PictureReadError
from lib_upscaler.pictures.reading import read_picture
from made_pictures import chunk, png, profile, with_chunks
from picture_parts import ICC, LARGE, PHOTO, done, given

PACKED = zlib.compress(LARGE.encode())
LARGE_PARTS = {
    "a packed text": (chunk(b"zTXt", b"workflow\x00\x00" + PACKED), {"workflow": LARGE}),
    "a packed international text": (chunk(b"iTXt", b"workflow\x00\x01\x00de\x00\x00" + PACKED), {"workflow": LARGE}),
    "a plain text": (chunk(b"tEXt", b"workflow\x00" + LARGE.encode()), {"workflow": LARGE}),
}


@pytest.mark.parametrize("kind", LARGE_PARTS)
@pytest.mark.parametrize("place", ["before", "behind"])
def test_a_large_text_costs_nothing(tmp_path: Path, kind: str, place: str) -> None:
    part, text = LARGE_PARTS[kind]
    others = chunk(b"iCCP", b"icc\x00\x00" + zlib.compress(ICC)), chunk(b"tEXt", b"parameters\x00a cat")
    data = png(PHOTO, part, *others) if place == "before" else png(PHOTO, *others, behind=part)
    path, warnings = done(tmp_path, data, "a.png", "out.png")
    assert warnings == ()
    again = read_picture(path)
    assert again.metadata.text == {"parameters": "a cat", **text}
    assert again.metadata.icc_profile == ICC
    np.testing.assert_array_equal(np.asarray(again.image), PHOTO)


@pytest.mark.parametrize("size", [1_300_000, 20_000_000])
def test_a_large_profile_is_kept(tmp_path: Path, size: int) -> None:
    icc = profile(size)
    data = png(PHOTO, chunk(b"iCCP", b"icc\x00\x00" + zlib.compress(icc, 1)), chunk(b"tEXt", b"parameters\x00a cat"))
    path, warnings = done(tmp_path, data, "a.png", "out.png")
    assert warnings == ()
    chunks = with_chunks(path.read_bytes())
    assert zlib.decompress(chunks[b"iCCP"][0].split(b"\x00\x00", 1)[1]) == icc
    assert chunks[b"tEXt"] == [b"parameters\x00a cat"]


BROKEN_CHUNKS = {
    "a bomb": (chunk(b"zTXt", b"bomb\x00\x00" + zlib.compress(bytes(200 << 20), 9)), "'bomb' takes more than 128 MiB"),
    "a wrong checksum": (chunk(b"tEXt", b"note\x00text")[:-1] + b"!", "'note' is damaged (its checksum is wrong)"),
    "a text without an end": (chunk(b"tEXt", b"note"), "'note' is damaged"),
    "a packed text that is none": (chunk(b"zTXt", b"note\x00\x00nonsense"), "'note' is damaged"),
    "a packed text that is cut off": (chunk(b"zTXt", b"note\x00\x00" + PACKED[:500]), "'note' is damaged"),
    "text that is no UTF-8": (chunk(b"iTXt", b"note\x00\x00\x00\x00\x00\xff\xfe"), "'note' is damaged"),
    "a profile that is none": (chunk(b"iCCP", b"icc\x00\x00nonsense"), "its colour profile is damaged"),
    "a profile of other bytes": (
        chunk(b"iCCP", b"icc\x00\x00" + zlib.compress(bytes(500))),
        "colour profile is damaged",
    ),
    "a gamma of nothing": (chunk(b"gAMA", bytes(4)), "its chunk gAMA is damaged"),
    "a gamma of five bytes": (chunk(b"gAMA", bytes(5)), "its chunk gAMA is damaged"),
    "colours on one line": (chunk(b"cHRM", struct.pack(">8I", *(31270, 32900) * 4)), "its chunk cHRM is damaged"),
    "half a density": (chunk(b"pHYs", bytes(4)), "its chunk pHYs is damaged"),
    "an EXIF that is none": (chunk(b"eXIf", b"nonsense"), "its EXIF data is damaged"),
}


@pytest.mark.parametrize("kind", BROKEN_CHUNKS)
def test_a_broken_chunk_costs_itself_alone_and_is_named(tmp_path: Path, kind: str) -> None:
    part, word = BROKEN_CHUNKS[kind]
    sound = chunk(b"tEXt", b"parameters\x00a cat"), chunk(b"pHYs", struct.pack(">IIB", 5906, 5906, 1))
    order = (part, *sound) if b"pHYs" not in part else (part, sound[0])
    picture = given(tmp_path, png(PHOTO, *order))
    (warning,) = picture.warnings
    assert word in warning
    assert picture.metadata.text == {"parameters": "a cat"}
    np.testing.assert_array_equal(np.asarray(picture.image), PHOTO)


@pytest.mark.parametrize("cut", [12, 13, 16])
def test_a_png_without_its_end_is_read(tmp_path: Path, cut: int) -> None:
    """The chunk IEND, and the checksum of the pixels before it: nothing that a picture needs."""
    np.testing.assert_array_equal(np.asarray(given(tmp_path, png(PHOTO)[:-cut]).image), PHOTO)


def test_a_png_without_its_last_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureReadError, match="damaged or incomplete"):
        given(tmp_path, png(PHOTO)[:-40])


def test_chunks_that_no_result_keeps_are_named(tmp_path: Path) -> None:
    data = png(PHOTO, chunk(b"caBX", b"signed"), chunk(b"prVW", b"preview"), chunk(b"tIME", bytes(7)))
    (warning,) = given(tmp_path, data).warnings
    assert "Content Credentials" in warning
    assert "prVW" in warning
    assert "tIME" not in warning

"""EXIF edits change what they say and nothing else."""

from __future__ import annotations

import struct

import pytest
from PIL import Image

from lib_upscaler.pictures.exif import orientation_of, with_size, with_user_comment, without_structure

USER_COMMENT = 0x9286


def exif_of(order: str, orientation: int) -> bytes:
    """By hand: make "Camera", an orientation, an Exif directory with a maker note, a width and a height."""
    head = b"II*\x00" if order == "<" else b"MM\x00*"
    pack = struct.pack
    short = pack(order + "H", orientation) + b"\x00\x00"
    main = pack(order + "H", 3) + pack(order + "HHII", 0x010F, 2, 7, 104)
    main += pack(order + "HHI", 0x0112, 3, 1) + short + pack(order + "HHII", 0x8769, 4, 1, 60) + bytes(4)
    details = pack(order + "H", 3) + pack(order + "HHII", 0x927C, 7, 9, 112)
    for tag, value in ((0xA002, 640), (0xA003, 480)):
        details += pack(order + "HHI", tag, 3, 1) + pack(order + "H", value) + b"\x00\x00"
    details += bytes(4)
    data = head + pack(order + "I", 8) + main
    data = data.ljust(60, b"\x00") + details
    return b"Exif\x00\x00" + data.ljust(104, b"\x00") + b"Camera\x00\x00" + b"makernote"


def read(exif: bytes) -> tuple[dict, dict]:
    parsed = Image.Exif()
    parsed.load(exif)
    return dict(parsed), dict(parsed.get_ifd(0x8769))


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_goes_and_the_rest_stays(order):
    exif = exif_of(order, 6)
    assert orientation_of(exif) == 6
    cleaned = without_structure(exif)
    main, details = read(cleaned)
    assert 0x0112 not in main
    assert main[0x010F] == "Camera"
    assert details == {0x927C: b"makernote", 0xA002: 640, 0xA003: 480}
    assert orientation_of(cleaned) == 1
    assert cleaned[110 : 110 + 17] == exif[110 : 110 + 17]  # values stay where they were: maker notes point at them


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_size_is_brought_up_to_date(order):
    _, details = read(with_size(exif_of(order, 1), 2560, 70_000))
    assert (details[0xA002], details[0xA003]) == (2560, 70_000)
    assert details[0x927C] == b"makernote"


def test_no_size_is_added_where_there_was_none():
    exif = with_user_comment(None, "x")
    assert set(read(with_size(exif, 5, 5))[1]) == {USER_COMMENT}


@pytest.mark.parametrize("before", [None, exif_of("<", 1), exif_of(">", 1)])
def test_a_user_comment_is_written_as_the_webui_reads_it(before):
    exif = with_user_comment(before, "a cat, 猫\nSteps: 20")
    main, details = read(exif)
    assert details[USER_COMMENT] == b"UNICODE\x00" + "a cat, 猫\nSteps: 20".encode("utf-16-be")
    # The type must be UNDEFINED (7); as BYTE, the WebUI's reader takes it for numbers and fails.
    order = "<" if before and before[6:8] == b"II" else ">"
    assert struct.pack(order + "HHI", USER_COMMENT, 7, len(details[USER_COMMENT])) in exif
    if before:
        assert main[0x010F] == "Camera"
        assert details[0x927C] == b"makernote"


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"Exif\x00\x00",
        b"Exif\x00\x00garbage",
        b"Exif\x00\x00II*\x00",
        b"Exif\x00\x00II*\x00\xff\xff\x00\x00",
        exif_of("<", 1)[:24],
    ],
)
def test_damaged_data_is_a_value_error(bad):
    for function in (orientation_of, without_structure, lambda e: with_size(e, 1, 1)):
        with pytest.raises(ValueError, match="EXIF"):
            function(bad)


def test_an_orientation_that_does_not_exist_means_upright():
    assert orientation_of(exif_of("<", 9)) == 1
    assert orientation_of(exif_of("<", 0)) == 1


def test_an_entry_that_points_outside_is_dropped_alone():
    exif = exif_of(">", 3)[:-4]  # the maker note is cut off
    _, details = read(without_structure(exif))
    assert details == {0xA002: 640, 0xA003: 480}

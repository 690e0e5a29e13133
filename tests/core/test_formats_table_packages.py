"""The table of HEIC, AVIF and JPEG XL in docs/formats.md, tried cell by cell where their packages are installed.

Where the program has changed: ``python tests/core/test_formats_table_packages.py`` writes the columns anew whose
packages are there.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pytest

import test_formats_table as tables
from container_files import written
from lib_upscaler.pictures import plugins
from test_formats_table import ALPHA, DOCUMENT, EXIF, FRAMES, ICC, PHOTO, TURNED, XMP, outcome, table

HEADING = "## Read with a package of its own"
COLUMNS = {"HEIC": ("heic", plugins.HEIF), "AVIF": ("avif", plugins.AVIF), "JPEG XL": ("jxl", plugins.JXL)}

DEEP = {"More than 8 bits": (tables.is_there, "read as 8", {})}
"""No row of the other tables."""


def deep_heic(_: str) -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    deep = (PHOTO.astype(np.uint16) * 257).tobytes()
    pillow_heif.from_bytes("RGB;16", (56, 44), deep).save(buffer, quality=-1, chroma=444)
    return buffer.getvalue()


Made = Callable[[str], bytes]
ROWS: dict[str, tuple[Made, tuple[str, ...]]] = {
    "Orientation": (lambda kind: written(kind, PHOTO, exif=TURNED), ("HEIC", "AVIF")),
    "EXIF": (lambda kind: written(kind, PHOTO, exif=EXIF), ("HEIC", "AVIF", "JPEG XL")),
    "Colour profile (ICC)": (lambda kind: written(kind, PHOTO, icc_profile=ICC), ("HEIC", "AVIF")),
    "Transparency": (lambda kind: written(kind, ALPHA), ("HEIC", "AVIF", "JPEG XL")),
    "XMP": (lambda kind: written(kind, PHOTO, xmp=XMP), ("HEIC", "AVIF", "JPEG XL")),
    "Frames, pages": (lambda kind: written(kind, PHOTO, **FRAMES), ("AVIF",)),
    "Further pictures": (lambda kind: written(kind, PHOTO, **FRAMES), ("HEIC",)),
    "More than 8 bits": (deep_heic, ("HEIC",)),
    "Rows of pixels missing": (lambda kind: written(kind, PHOTO)[:-500], ("HEIC", "AVIF", "JPEG XL")),
}
"""What a file holds, and which of their writers can make one."""


def column(name: str) -> list[str]:
    kind, _ = COLUMNS[name]
    cells = []
    for thing, (made, of) in ROWS.items():
        with patch.dict(tables.THINGS, DEEP):
            cells.append(outcome(thing, made(kind), "PNG") if name in of else "")
    return cells


def in_document() -> dict[str, list[str]]:
    """The columns as they stand there."""
    lines = DOCUMENT.read_text(encoding="utf-8").split(HEADING)[1].strip().split("\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert [row[0] for row in rows[2:]] == list(ROWS)
    return {name: [row[number] for row in rows[2:]] for number, name in enumerate(rows[0]) if name}


@pytest.mark.parametrize("name", list(COLUMNS))
def test_the_document_says_what_happens(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not plugins.can_read(COLUMNS[name][1]):
        pytest.skip(f"no reader of {name} is installed")
    assert in_document()[name] == column(name)


def test_nothing_is_lost_in_silence() -> None:
    assert not any("SILENCE" in cell for cells in in_document().values() for cell in cells)


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    before, after = text.split(HEADING) if HEADING in text else (text, "")
    found = in_document() if after else {name: [""] * len(ROWS) for name in COLUMNS}
    columns = [column(name) if plugins.can_read(COLUMNS[name][1]) else found[name] for name in COLUMNS]
    rows = [[thing, *(cells[number] for cells in columns)] for number, thing in enumerate(ROWS)]
    DOCUMENT.write_text(f"{before.rstrip()}\n\n{HEADING}\n\n{table(tuple(COLUMNS), rows)}\n", encoding="utf-8")

"""Pillow's TIFF closes a number of the system's twice; no other thread's file may be closed by that."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.pictures.metadata import Metadata
from lib_upscaler.pictures.reading import read_picture
from lib_upscaler.pictures.writing import write_picture
from made_pictures import photo


@pytest.fixture
def closed_in_vain(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers that were closed when they were open no more: with luck nobody had them meanwhile."""
    numbers: list[int] = []
    plain = os.close

    def close(number: int) -> None:
        try:
            plain(number)
        except OSError:
            numbers.append(number)
            raise

    monkeypatch.setattr(os, "close", close)
    return numbers


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg", "raw"])
def test_reading(compression: str, tmp_path: Path, closed_in_vain: list[int]) -> None:
    image = Image.fromarray(photo(40, 30))
    image.save(tmp_path / "a.tif", compression=compression)
    closed_in_vain.clear()
    found = read_picture(tmp_path / "a.tif").image
    assert closed_in_vain == []
    assert np.asarray(found).shape == (30, 40, 3)


def test_writing(tmp_path: Path, closed_in_vain: list[int]) -> None:
    image = Image.fromarray(photo(40, 30))
    write_picture(image, tmp_path / "a.tif", Metadata())
    assert closed_in_vain == []
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.tif")), np.asarray(image))

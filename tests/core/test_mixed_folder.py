"""A folder of 200 files with every kind of fault: all that is wrong is named, all others are right, exit status 1."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from container_files import no_readers
from lib_upscaler.cli.commands import main
from lib_upscaler.pictures.plugins import advice
from made_pictures import chunk, encoded, exif_data, photo, png, segment, stealth, tga, tiff, with_segments
from small_networks import compact, save_safetensors

COUNT = 200


def sound(number: int) -> tuple[str, bytes, str]:
    """A name, a file that is right, and a word of the warning that it is worth ("" for none)."""
    pixels = photo(12 + number % 5, 10, seed=number)
    alpha = np.dstack([pixels, photo(12 + number % 5, 10, 1, seed=number + 1)])
    kinds = [
        ("png", png(pixels), ""),
        ("png", png(alpha), ""),
        ("jpg", encoded(pixels, "JPEG"), ""),
        ("JPG", encoded(pixels, "JPEG", progressive=True), ""),
        ("webp", encoded(pixels, "WEBP", lossless=True), ""),
        ("tif", encoded(pixels, "TIFF", compression="tiff_lzw"), ""),
        ("bmp", encoded(pixels, "BMP"), ""),
        ("gif", encoded(Image.fromarray(pixels).quantize(16), "GIF"), ""),
        ("tga", tga(alpha, 8), ""),
        ("ppm", encoded(pixels, "PPM"), ""),
        ("jpg", encoded(pixels, "JPEG")[:-2], "end marker"),
        ("jpg", with_segments(encoded(pixels, "JPEG"), segment(0xE1, exif_data((0x8769, 4, 1, 9999)))), "EXIF"),
        ("png", png(pixels, chunk(b"iCCP", b"x\x00\x00nonsense")), "colour profile"),
        ("png", png(pixels, chunk(b"zTXt", b"w\x00\x00" + zlib.compress(b"x" * 1_300_000))), ""),
        ("tif", tiff(np.dstack([pixels, pixels[:, :, :1]]), 2, (0,)), "no transparency"),
        ("tga", tga(np.dstack([pixels, 0 * pixels[:, :, 0]]), 0), ""),
        ("tif", encoded(Image.fromarray(pixels).convert("CMYK"), "TIFF"), "CMYK"),
        ("jp2", encoded(pixels, "JPEG2000"), ""),
        ("png", png(stealth(photo(60, 50, seed=number), "a cat", packed=False)), "hidden"),
    ]
    suffix, data, word = kinds[number % len(kinds)]
    return f"good-{number:03}.{suffix}", data, word


def faulty(number: int) -> tuple[str, bytes, str]:
    """A name, a file that cannot be done, and a word of the reason."""
    pixels = photo(64, 48, seed=number)
    jpeg = encoded(pixels, "JPEG")
    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    kinds = [
        ("png", b"", "empty"),
        ("jpg", b"<!DOCTYPE html><html></html>", "web page"),
        ("png", png(pixels)[:-100], "damaged or incomplete"),
        ("jpg", jpeg[: len(jpeg) * 3 // 4].rstrip(b"\xff"), "ends early"),
        ("jpg", jpeg[: len(jpeg) * 3 // 4].rstrip(b"\xff") + b"\xff\xd9", "ends early"),
        ("png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""), "damaged or incomplete"),
        ("tif", tiff(pixels.astype(np.int16), 2, format=2), "signs of 16 bits"),
        ("tif", tiff(np.zeros((4, 4, 4), np.uint16), 5), "CMYK of 16 bits"),
        ("webp", encoded(pixels, "WEBP")[:200], "damaged or incomplete"),
        ("gif", encoded(Image.fromarray(pixels).quantize(16), "GIF")[:300], "ends early"),
        ("bmp", encoded(pixels, "BMP")[:500], "damaged or incomplete"),
        ("jpg", b"\x00\x00\x00\x18ftypheic" + bytes(40), "HEIC"),
        ("png", bytes(range(9, 256)) * 4, "known kind"),
        ("tga", tga(np.dstack([pixels, pixels[:, :, 0]]), 8)[:900], "damaged or incomplete"),
    ]
    suffix, data, word = kinds[number % len(kinds)]
    return f"bad-{number:03}.{suffix}", data, word


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The names of 200 files, and the word that each is worth; beside them some that are not taken."""
    monkeypatch.chdir(tmp_path)
    no_readers(monkeypatch)
    return _filled(COUNT)


def _filled(count: int) -> dict[str, str]:
    """The folder "pics", with so many files."""
    Path("pics").mkdir()
    words = {}
    for number in range(count):
        name, data, word = (faulty if number % 4 == 3 else sound)(number // 4 if number % 4 == 3 else number)
        (Path("pics") / name).write_bytes(data)
        words[name] = word
    assert len(words) == count
    for name in ("a.heic", "b.HEIC", "c.avif", "d.jpg_large", "e"):
        (Path("pics") / name).write_bytes(b"x")
    return words


def test_two_hundred_pictures_with_every_kind_of_fault(folder: dict[str, str], capsys: pytest.CaptureFixture) -> None:
    model = save_safetensors(compact(2, features=4, layers=1), Path("two.safetensors"))
    words = ["upscale", "pics", "-o", "out", "--model", str(model), "--device", "cpu", "--report", "report.jsonl"]
    assert main(words) == 1

    said = capsys.readouterr().err
    lines = said.splitlines()
    left_out = "warning: left out: 5 files (2 HEIC, 1 .jpg_large, 1 AVIF, 1 without a suffix)"
    to_read = f"; to read HEIC, AVIF: {advice('pillow-heif', 'pillow-avif-plugin')}"
    assert left_out + to_read in lines
    for name, word in folder.items():
        about = [line for line in lines if f"pics/{name}:" in line]
        if name.startswith("bad"):
            assert len(about) == 1, name
            assert about[0].startswith("error:"), name
        assert len(about) == (1 if word else 0), (name, about)
        assert word in "".join(about), name
    bad = sum(name.startswith("bad") for name in folder)
    assert f"{COUNT - bad} of {COUNT} upscaled, {bad} failed" in lines
    assert "Traceback" not in said

    written = {path.stem: path for path in Path("out").iterdir()}
    assert set(written) == {Path(name).stem for name in folder if name.startswith("good")}
    for path in written.values():
        with Image.open(path) as image:
            image.load()
            number = int(path.stem.split("-")[1])
            assert image.size == ((120, 100) if folder[sound(number)[0]] == "hidden" else (2 * (12 + number % 5), 20))
    report = [json.loads(line) for line in Path("report.jsonl").read_text().splitlines()]
    assert len(report) == COUNT
    assert {Path(line["input"]).name for line in report if line["output"] is None} == {
        name for name in folder if name.startswith("bad")
    }


def test_a_second_run_does_only_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    no_readers(monkeypatch)
    folder = _filled(60)
    model = save_safetensors(compact(2, features=4, layers=1), Path("two.safetensors"))
    words = ["upscale", "pics", "-o", "out", "--model", str(model), "--device", "cpu", "--skip-existing"]
    assert main(words) == 1
    before = {path: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    next(iter(before)).unlink()
    capsys.readouterr()
    assert main(words) == 1
    bad = sum(name.startswith("bad") for name in folder)
    assert f"1 of 60 upscaled, {60 - bad - 1} skipped, {bad} failed" in capsys.readouterr().err
    after = {path: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    assert after.keys() == before.keys()
    assert sum(after[path] != time for path, time in before.items()) == 1

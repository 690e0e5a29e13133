"""Several pictures in the Extras: uploads, zip files, a folder; their order, and that no picture ends the others."""

from __future__ import annotations

import functools
import struct
import zipfile
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fake_host.running import FakeHost
from networks import encoded, off, picture, true_picture

OURS = {"enabled": True, "upscaler_1": "four"}


@pytest.fixture
def stumbling(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """The host's reader of EXIF, piexif, ends as it does on EXIF that is broken."""
    plain = host.module("images").read_info_from_image.truescale_plain

    def read(image: Image.Image) -> Any:
        if "exif" in image.info:
            raise struct.error("unpack requires a buffer of 2 bytes")
        return plain(image)

    host.ours("takeover.reading").unprotect()
    host.module("images").read_info_from_image = read
    host.ours("takeover.reading").protect()
    return host


def _sizes(host: FakeHost, **given: Any) -> list[tuple[int, int]]:
    result = host.extras(ours=OURS, **given)
    assert result.error == ""
    return [image.size for image in result.pictures]


def _folder(tmp_path: Path, **files: Image.Image | bytes) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, content in files.items():
        file = folder / name.replace("__", ".")
        file.write_bytes(content) if isinstance(content, bytes) else content.save(file)
    return folder


def _zip(file: Path, *files: Path, **more: bytes) -> Path:
    with zipfile.ZipFile(file, "w") as opened:
        for each in files:
            opened.write(each, f"{each.parent.name}/{each.name}")
        for name, content in more.items():
            opened.writestr(name.replace("__", "."), content)
    return file


def _cut_off(image: Image.Image, tmp_path: Path) -> bytes:
    image.resize((300, 200)).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    return content[: len(content) * 3 // 4]


def _statements(host: FakeHost) -> list[str]:
    html = host.press("truescale_extras_statement_show")["truescale_extras_statement"]
    return [item.split("<")[0] for item in html.split("<li>")[1:]]


# -- order -------------------------------------------------------------------------------------------------------------


def test_uploads_come_back_in_the_order_given(host: FakeHost, tmp_path: Path) -> None:
    folder = _folder(tmp_path, z__png=picture(20, 8), b__png=picture(8, 12), a10__png=picture(9, 9), a9__png=picture(7))
    names = ["z.png", "a10.png", "b.png", "a9.png"]
    sizes = _sizes(host, batch=[folder / name for name in names])

    assert sizes == [(80, 32), (36, 36), (32, 48), (28, 80)]
    assert _statements(host) == ["z", "a10", "b", "a9"]


def test_a_folder_comes_back_in_natural_order(host: FakeHost, tmp_path: Path) -> None:
    folder = _folder(tmp_path, a10__png=picture(10), a9__png=picture(9), B1__png=picture(11), a1__png=picture(12))
    sizes = _sizes(host, folder=folder)

    assert [width // 4 for width, _ in sizes] == [12, 9, 10, 11]
    assert _statements(host) == ["a1.png", "a9.png", "a10.png", "B1.png"]


# -- zip files ---------------------------------------------------------------------------------------------------------


def test_a_zip_file_is_the_pictures_in_it(host: FakeHost, tmp_path: Path) -> None:
    folder = _folder(tmp_path, p10__png=picture(10), p9__png=picture(9), own__png=picture(8))
    file = _zip(tmp_path / "all.zip", folder / "p10.png", folder / "p9.png", notes__txt=b"x")
    result = host.extras(batch=[file, folder / "own.png"], ours=OURS)

    assert [image.width for image in result.pictures] == [36, 40, 32]
    assert [path.name for path in result.saved] == ["own.png", "pictures_p10.png", "pictures_p9.png"]
    assert off(result.pictures[0], true_picture("four", picture(9))) <= 1
    assert host.warnings == ["all.zip: 1 file is left out (not pictures: 1)"]


def test_what_is_unpacked_is_gone_after_the_run(host: FakeHost, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    folder = _folder(tmp_path, one__png=picture())
    host.extras(batch=[_zip(tmp_path / "a.zip", folder / "one.png")], ours=OURS)

    assert [path for path in (tmp_path / "tmp").rglob("*.png") if "gradio" not in path.parts] == []


def test_deep_pictures_of_a_zip_file_stay_deep(host: FakeHost, tmp_path: Path) -> None:
    levels = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    folder = _folder(tmp_path, deep__png=Image.fromarray(levels))
    result = host.extras(batch=[_zip(tmp_path / "a.zip", folder / "deep.png")], ours=OURS)

    (saved,) = result.saved
    assert Image.open(saved).mode.startswith("I")


@pytest.mark.parametrize("content", [b"no zip at all", b""])
def test_a_damaged_zip_file_costs_no_other(content: bytes, host: FakeHost, tmp_path: Path) -> None:
    folder = _folder(tmp_path, a__zip=content, one__png=picture())
    sizes = _sizes(host, batch=[folder / "a.zip", folder / "one.png"])

    assert sizes == [(120, 80)]
    assert "cannot take the pictures of 'a.zip': the file is damaged" in host.warnings[0]


def test_a_zip_file_without_pictures_is_an_error_in_words(host: FakeHost, tmp_path: Path) -> None:
    result = host.extras(batch=[_zip(tmp_path / "a.zip", a__txt=b"x")], ours=OURS)

    assert "none of these files is a picture" in result.error
    assert host.warnings[1:] == ["a.zip: there are no pictures in it"]


def test_a_zip_file_damaged_in_the_way_of_lzma_costs_no_other(host: FakeHost, tmp_path: Path) -> None:
    folder = _folder(tmp_path, a__png=picture(9), own__png=picture(8))
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as opened:
        opened.write(folder / "a.png", "a.png")
    content = bytearray(file.read_bytes())
    content[60:80] = bytes(20)
    file.write_bytes(content)
    sizes = _sizes(host, batch=[file, folder / "own.png"])

    assert [width for width, _ in sizes] == [32]
    assert "a.png is left out: it cannot be unpacked" in host.warnings[0]


def _flat(file: Path, side: int = 2000) -> Path:
    """A small file of a large picture."""
    Image.new("L", (side, side)).save(file, optimize=True)
    return file


def test_more_than_fits_into_memory_is_refused_before_it_is_opened(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host opens all of a drop before the first runs: here two zip files and an upload, 4 MB each in memory."""
    monkeypatch.setattr(host.ours("host.batch"), "_free_memory", lambda: 15_000_000)
    read: list[Any] = []
    monkeypatch.setattr(host.ours("host.batch"), "problem_of", read.append)
    flat = _flat(tmp_path / "flat.png")
    assert flat.stat().st_size < 10_000
    files = [_zip(tmp_path / "a.zip", flat), _zip(tmp_path / "b.zip", flat), flat]
    result = host.extras(batch=files, ours=OURS)

    assert "these are too many pictures at once: the WebUI opens all of them before it begins" in unescape(result.error)
    assert "more than 0.0 GB of the 0.0 GB of memory that are free. Use Batch from Directory" in result.error
    assert result.saved == []
    assert len(read) == 2


def test_one_picture_alone_is_never_too_many(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.ours("host.batch"), "_free_memory", lambda: 1000)

    assert _sizes(host, batch=[_folder(tmp_path, a__png=picture()) / "a.png"]) == [(120, 80)]


@pytest.mark.parametrize("button", ["interrupt", "stop_generating"])
def test_interrupt_is_heard_while_a_drop_is_looked_at(
    button: str, host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = host.ours("host.batch")
    plain, looked = batch.problem_of, []

    def problem_of(file: Any) -> str | None:
        looked.append(file)
        if len(looked) == 3:
            getattr(host.state, button)()
        return plain(file)

    monkeypatch.setattr(batch, "problem_of", problem_of)
    folder = _folder(tmp_path, **{f"p{n}__png": picture(8) for n in range(9)})
    result = host.extras(batch=[_zip(tmp_path / "a.zip", *sorted(folder.iterdir()))], ours=OURS)

    assert len(looked) == 3
    assert result.error == ""
    assert result.saved == []


def test_two_uploads_of_one_name_give_two_results(host: FakeHost, tmp_path: Path) -> None:
    for name, width in (("a", 8), ("b", 9)):
        (tmp_path / name).mkdir()
        picture(width).save(tmp_path / name / "photo.png")
    result = host.extras(batch=[tmp_path / "a" / "photo.png", tmp_path / "b" / "photo.png"], ours=OURS)

    assert [path.name for path in result.saved] == ["photo-2.png", "photo.png"]
    assert [Image.open(path).width for path in result.saved] == [36, 32]


# -- pictures that the host would stumble over -------------------------------------------------------------------------


def test_no_file_at_all_is_an_error_in_words(host: FakeHost) -> None:
    assert "there are no files" in host.extras(batch=[], ours=OURS).error


def test_an_upload_that_is_no_picture_is_left_out_and_named(host: FakeHost, tmp_path: Path) -> None:
    """The host itself ends the batch before it has begun."""
    cut = _cut_off(picture(), tmp_path)
    folder = _folder(tmp_path, a__png=picture(8), b__png=b"no picture", c__png=cut, d__png=picture(9))
    sizes = _sizes(host, batch=[folder / f"{name}.png" for name in "abcd"])

    assert [width for width, _ in sizes] == [32, 36]
    assert [text.split(":")[0] for text in host.warnings] == ["b.png is left out", "c.png is left out"]
    assert str(tmp_path) not in " ".join(host.warnings)  # where the server keeps uploads is nobody's business


def test_a_picture_of_a_folder_that_is_cut_off_is_left_out_and_named(host: FakeHost, tmp_path: Path) -> None:
    """Of one that is not RGB the host would end the batch: it comes upon the rest of it where it guards no more."""
    cut = _cut_off(picture().convert("P"), tmp_path)
    folder = _folder(tmp_path, a__png=picture(8), b__png=cut, c__png=picture(9), d__png=cut)
    sizes = _sizes(host, folder=folder)

    assert [width for width, _ in sizes] == [32, 36]
    assert "2 of 4 pictures are missing: b.png, d.png" in host.warnings[-1]
    assert "truncated" in host.warnings[0]


def _with_exif(file: Path, exif: bytes) -> Path:
    picture().save(file, exif=exif)
    return file


BROKEN_EXIF = (b"Exif\0\0garbage garbage garbage", b"Exif\0\0II", b"nonsense\0bytes")


@pytest.mark.parametrize("exif", BROKEN_EXIF)
@pytest.mark.parametrize("door", ["single", "batch", "folder", "host's accordion"])
def test_broken_exif_costs_the_exif_alone(exif: bytes, door: str, stumbling: FakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    file = _with_exif(folder / "a.webp", exif)
    if door == "single":
        result = stumbling.extras(Image.open(file), ours=OURS)
    elif door == "batch":
        result = stumbling.extras(batch=[file], ours=OURS)
    elif door == "folder":
        result = stumbling.extras(folder=folder, ours=OURS)
    else:
        chosen = {"upscale_by": 4.0, "upscaler_1_name": "four"}
        result = stumbling.extras(batch=[file], upscale=chosen)

    assert result.error == ""
    assert [image.size for image in result.pictures] == [(120, 80)]
    assert "of itself cannot be read, and is left out" in " ".join(stumbling.warnings)


def test_broken_exif_by_the_api(stumbling: FakeHost) -> None:
    asked = {"image": encoded(picture(), "WEBP", exif=BROKEN_EXIF[0]), "upscaling_resize": 4, "upscaler_1": "four"}
    answer = stumbling.client().post("/sdapi/v1/extra-single-image", json=asked)

    assert answer.status_code == 200, answer.text


def test_elsewhere_the_host_still_says_that_exif_is_broken(stumbling: FakeHost, tmp_path: Path) -> None:
    with Image.open(_with_exif(tmp_path / "a.webp", BROKEN_EXIF[0])) as image, pytest.raises(Exception, match="unpack"):
        stumbling.module("images").read_info_from_image(image)


def _transparent_one_bit(file: Path) -> None:
    picture().convert("1").save(file, transparency=0)


def _without_anything(mode: str) -> Callable[[Path], None]:
    return lambda file: picture().convert(mode).save(file, "TIFF" if mode == "CMYK" else "PNG")


def _novel_ai(file: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", "NovelAI")
    text.add_text("parameters", "")
    picture().save(file, pnginfo=text)


MAKERS = {mode: _without_anything(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "CMYK")}
MAKERS |= {"1, transparent": _transparent_one_bit, "NovelAI": _novel_ai}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_picture_without_metadata_never_fails(kind: str, host: FakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    file = folder / "a.png"
    MAKERS[kind](file)
    results = [host.extras(batch=[file], ours=OURS), host.extras(folder=folder, ours=OURS)]
    results.append(host.extras(Image.open(file).convert("RGB").convert("RGBA"), ours=OURS))  # as gradio does

    for result in results:
        assert result.error == ""
        assert [image.size for image in result.pictures] == [(120, 80)]


def test_the_hosts_functions_are_its_own_again(host: FakeHost) -> None:
    images = host.module("images")
    ours = (images.read, images.read_info_from_image)
    host.reload()
    assert not hasattr(images.read.truescale_plain, "truescale_plain")
    host.module("script_callbacks").script_unloaded_callback()

    assert (images.read, images.read_info_from_image) == tuple(each.truescale_plain for each in ours)


def test_what_another_extension_has_put_around_them_stays(host: FakeHost) -> None:
    """``functools.wraps`` copies what a function says of itself, such as that it is ours."""
    images = host.module("images")

    @functools.wraps(images.read)
    def theirs(*given: Any, **named: Any) -> Any:
        return theirs.__wrapped__(*given, **named)

    images.read = theirs
    host.reload()

    assert images.read is theirs


def test_a_folder_is_not_decoded_twice(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To know that a batch is at its end, its last picture is looked at, once; the broken one before is named."""
    failing = host.ours("takeover.failing")
    plain, looked = failing.problem_of, []

    def problem_of(file: Any) -> str | None:
        looked.append(Path(file).name)
        return plain(file)

    monkeypatch.setattr(failing, "problem_of", problem_of)
    cut = _cut_off(picture(), tmp_path)
    folder = _folder(tmp_path, **{f"p{n}__png": picture(8) for n in range(6)}, p3a__png=cut)
    sizes = _sizes(host, folder=folder)

    assert len(sizes) == 6
    assert sorted(looked) == ["p3a.png", "p5.png"]
    assert host.warnings[-1] == "1 of 7 pictures is missing: p3a.png"

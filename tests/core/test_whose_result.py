"""Whose result a file is does not depend on its name, on the order, or on what else lies in the folder."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from container_files import no_readers
from lib_upscaler.batch.inputs import plan_batch
from lib_upscaler.batch.naming import destination_of
from lib_upscaler.cli.commands import main
from lib_upscaler.pictures.metadata import Metadata
from lib_upscaler.pictures.origin import fingerprint, origin_of
from lib_upscaler.pictures.plugins import advice
from lib_upscaler.pictures.reading import read_picture
from lib_upscaler.pictures.writing import write_picture
from made_pictures import photo
from small_networks import compact, save_safetensors


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_safetensors(compact(2, features=4, layers=1), tmp_path_factory.mktemp("model") / "two.safetensors")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    no_readers(monkeypatch)


def save(path: str, tone: int) -> Path:
    """A picture of one tone, which its result has as well, near enough to be told."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (tone, tone, tone)).save(path, **({"quality": 100} if path.endswith("jpg") else {}))
    return Path(path)


def upscale(model: Path, *words: object) -> int:
    return main(["upscale", *map(str, words), "--device", "cpu", "--model", str(model), "--precision", "exact"])


def sources_of(folder: str) -> dict[str, str]:
    """The result's name by the fingerprint that it tells."""
    return {path.name: origin_of(path) or "" for path in Path(folder).iterdir()}


FORMATS = ["png", "jpg", "webp", "tif", "gif", "bmp"]


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_tells_whose_result_it_is(format: str, model: Path) -> None:
    source = save("a.png", 100)
    assert upscale(model, source, "-o", f"out.{format}") == 0
    assert origin_of(f"out.{format}") == fingerprint(source)
    with Image.open(f"out.{format}") as image:
        assert image.size == (16, 16)
        assert "comment" not in image.info, "the WebUI takes that for generation data"


@pytest.mark.parametrize("format", FORMATS)
def test_the_mark_is_found_behind_much_else(format: str, tmp_path: Path) -> None:
    text = {"parameters": "x" * 30_000, "XML:com.adobe.xmp": "y" * 60_000, "Comment": "z" * 60_000}
    metadata = Metadata(text=text, iptc=bytes(60_000), origin="0123456789abcdef" * 2)
    write_picture(Image.fromarray(photo(500, 500)), tmp_path / f"a.{format}", metadata)
    assert origin_of(tmp_path / f"a.{format}") == "0123456789abcdef" * 2


@pytest.mark.parametrize("format", FORMATS)
def test_a_result_of_a_result_is_not_its_sources_result(format: str, model: Path) -> None:
    save("a.png", 100)
    upscale(model, "a.png", "-o", f"b.{format}")
    upscale(model, f"b.{format}", "-o", f"c.{format}")
    assert origin_of(f"c.{format}") == fingerprint(f"b.{format}")
    assert not any("TrueScale source" in key for key in read_picture(f"c.{format}").metadata.text)
    assert "TrueScale source" not in str(read_picture(f"b.{format}").metadata.text)


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_of_the_same_name_is_done_and_none_twice(format: str, model: Path) -> None:
    png, jpg = save("photo.png", 50), save("photo.jpg", 200)
    assert upscale(model, png, "-o", "out/", "--format", format) == 0
    for words in itertools.permutations((jpg, png)):
        assert upscale(model, *words, "-o", "out/", "--format", format, "--skip-existing") == 0
        assert sources_of("out") == {f"photo.{format}": fingerprint(png), f"photo-2.{format}": fingerprint(jpg)}


def test_the_same_name_in_two_folders(model: Path) -> None:
    one, two = save("one/photo.png", 50), save("two/photo.png", 200)
    assert upscale(model, two, "-o", "out/") == 0
    assert upscale(model, "one", "two", "-o", "out/", "--skip-existing") == 0
    assert sources_of("out") == {"photo.png": fingerprint(two), "photo-2.png": fingerprint(one)}
    assert upscale(model, one, "-o", "out/", "--skip-existing") == 0
    assert len(sources_of("out")) == 2


def test_beside_their_sources(model: Path, capsys: pytest.CaptureFixture) -> None:
    save("pics/photo.png", 50)
    assert upscale(model, "pics") == 0
    save("pics/photo.jpg", 200)
    assert upscale(model, "pics", "--skip-existing") == 0
    assert "photo.png: skipped" in capsys.readouterr().out
    assert sources_of("pics")["photo-upscaled-2.png"] == fingerprint("pics/photo.jpg")


def test_a_picture_that_was_changed_is_done_again(model: Path) -> None:
    before = fingerprint(save("photo.png", 50))
    assert upscale(model, "photo.png", "-o", "out/") == 0
    after = fingerprint(save("photo.png", 200))
    assert upscale(model, "photo.png", "-o", "out/", "--skip-existing") == 0
    assert sources_of("out") == {"photo.png": before, "photo-2.png": after}


@pytest.mark.parametrize("plan", [(), ("--plan",)])
def test_a_file_that_was_named_is_not_taken_for_anothers_result(
    plan: tuple[str, ...], model: Path, capsys: pytest.CaptureFixture
) -> None:
    png, jpg = save("photo.png", 50), save("photo.jpg", 200)
    assert upscale(model, png, "-o", "out.png") == 0
    assert upscale(model, jpg, "-o", "out.png", "--skip-existing", *plan) == 1
    assert "it is the result of another picture" in capsys.readouterr().err
    assert upscale(model, png, "-o", "out.png", "--skip-existing", *plan) == 0
    assert origin_of("out.png") == fingerprint(png)


def test_copies_of_one_picture_have_a_result_each(model: Path) -> None:
    save("one/a.png", 50), save("two/a.png", 50)
    for _ in range(2):
        assert upscale(model, "one", "two", "-o", "out/", "--skip-existing") == 0
        assert sorted(sources_of("out")) == ["a-2.png", "a.png"]


def test_results_without_a_mark_go_by_their_names(model: Path, capsys: pytest.CaptureFixture) -> None:
    """Those of earlier versions, and of whoever cleans files."""
    save("photo.png", 50)
    Path("out").mkdir()
    save("out/photo.png", 50)
    assert upscale(model, "photo.png", "-o", "out/", "--skip-existing") == 0
    assert "skipped, out/photo.png exists" in capsys.readouterr().out


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    large = np.random.default_rng(0).integers(0, 256, 1_000_000, np.uint8).tobytes()
    names = {
        "same": large,
        "again": large,
        "first": b"!" + large[1:],
        "last": large[:-1] + b"!",
        "longer": large + b"!",
    }
    for name, data in names.items():
        (tmp_path / name).write_bytes(data)
    found = {name: fingerprint(tmp_path / name) for name in names}
    assert found["same"] == found["again"]
    assert len(set(found.values())) == 4
    assert fingerprint(tmp_path / "none") is None


# -- what is not taken -------------------------------------------------------------------------------------------------


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")


def remainder(recursive: bool = False, out: str | None = None) -> str:
    folder = Path("pics")
    return plan_batch([folder], destination_of([folder], out, None), recursive).remainder()


def test_what_a_folder_holds_beside_pictures_is_counted_by_kind() -> None:
    touch("pics/a.png", "pics/b.HEIC", "pics/c.heic", "pics/d.avif", "pics/e.jxl", "pics/f.jp2", "pics/g.jpg_large")
    touch("pics/h", "pics/i.txt", "pics/.hidden", "pics/._a.png", "pics/._b.heic", "pics/j.PSD")
    counted = "8 files (2 HEIC, 1 .PSD, 1 .jpg_large, 1 .txt, 1 AVIF, 1 JPEG XL, 1 without a suffix)"
    install = advice("pillow-heif", "pillow-avif-plugin", "pillow-jxl-plugin")
    assert remainder() == f"left out: {counted}; to read HEIC, AVIF, JPEG XL: {install}"


def test_pictures_whose_reader_is_there_are_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    no_readers(monkeypatch, but=("pillow_heif", "PIL._avif"))
    touch("pics/a.HEIC", "pics/b.heif", "pics/c.avif", "pics/d.jxl", "pics/e.jp2", "pics/._f.heic")
    folder = Path("pics")
    plan = plan_batch([folder], destination_of([folder], None, None))
    assert [task.source.name for task in plan.tasks] == ["a.HEIC", "b.heif", "c.avif", "e.jp2"]
    assert plan.remainder() == f"left out: 1 file (1 JPEG XL); to read JPEG XL: {advice('pillow-jxl-plugin')}"


def test_without_jpeg_2000_in_pillow_it_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Image.core, "jpeg2k_decoder")
    touch("pics/a.png", "pics/b.jp2")
    assert remainder() == "left out: 1 file (1 JPEG 2000)"


def test_sub_folders_and_results_are_counted_and_the_destination_is_not() -> None:
    touch("pics/a.png", "pics/a-upscaled.png", "pics/a-upscaled-2.png", "pics/sub/b.heic", "pics/out/c.heic")
    assert remainder() == (
        "left out: 2 results of earlier runs (named ...-upscaled), 2 sub-folders (--recursive looks into them)"
    )
    assert remainder(out="pics/out") == "left out: 1 sub-folder (--recursive looks into them)"
    assert remainder(recursive=True, out="pics/out").startswith("left out: 1 file (1 HEIC); to read HEIC: ")


def test_nothing_is_said_where_all_is_taken() -> None:
    touch("pics/a.png", "pics/b.jpg")
    assert remainder() == ""


@pytest.mark.parametrize("name", ["my-upscaled-cat.png", "a-upscaledness.png", "-upscaled.png", "a-upscaled-x.png"])
def test_names_are_matched_whole(name: str) -> None:
    touch(f"pics/{name}")
    folder = Path("pics")
    assert [task.source.name for task in plan_batch([folder], destination_of([folder], None, None)).tasks] == [name]


@pytest.mark.parametrize("out", [(), ("-o", "out/")])
def test_the_line_is_a_warning_and_the_rest_is_done(
    out: tuple[str, ...], model: Path, capsys: pytest.CaptureFixture
) -> None:
    touch("pics/b.HEIC", "pics/c.jpg_large", "pics/d")
    save("pics/plain.png", 50)
    assert upscale(model, "pics", *out, "--quiet") == 0
    said = capsys.readouterr().err
    install = advice("pillow-heif")
    assert said == f"warning: left out: 3 files (1 .jpg_large, 1 HEIC, 1 without a suffix); to read HEIC: {install}\n"


def test_a_folder_of_nothing_but_others_says_which(model: Path, capsys: pytest.CaptureFixture) -> None:
    touch("pics/b.HEIC", "pics/c.heic")
    assert upscale(model, "pics") == 2
    assert "left out: 2 files (2 HEIC)" in capsys.readouterr().err

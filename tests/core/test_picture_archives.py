"""The pictures of a zip file: what is taken, in which order, under which names, and what is refused."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from lib_upscaler.errors import PictureReadError
from lib_upscaler.pictures import archive
from lib_upscaler.pictures.archive import free_name, unpack


def _png(level: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 3), level).save(buffer, "PNG")
    return buffer.getvalue()


def _zip(file: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def _names(made: archive.Unpacked) -> list[str]:
    return [name for _, name in made.files]


def test_pictures_come_in_natural_order_with_their_folders_in_their_names(tmp_path: Path, folder: Path) -> None:
    names = ["page 10.png", "page 9.png", "b/2.png", "b/1.PNG", "a/b/1.jpg"]
    made = unpack(_zip(tmp_path / "a.zip", {name: _png(n) for n, name in enumerate(names)}), folder, set())

    assert _names(made) == ["a_b_1.jpg", "b_1.PNG", "b_2.png", "page 9.png", "page 10.png"]
    assert made.notes == []
    assert [path.read_bytes() for path, _ in made.files] == [_png(n) for n in (4, 3, 2, 1, 0)]


def test_what_is_no_picture_is_counted(tmp_path: Path, folder: Path) -> None:
    members = {"1.png": _png(), "__MACOSX/._1.png": b"x", ".hidden/2.png": b"x", "Thumbs.db": b"x", "inner.zip": b"x"}
    made = unpack(_zip(tmp_path / "a.zip", members), folder, set())

    assert _names(made) == ["1.png"]
    (note,) = made.notes
    assert note == "4 files are left out (hidden: 2, not pictures: 1, archives inside it (not opened): 1)"


@pytest.mark.parametrize(
    ("name", "harmless"),
    [
        ("../../evil.png", "evil.png"),
        ("/etc/evil.png", "etc_evil.png"),
        ("C:\\Windows\\evil.png", "Windows_evil.png"),
        ("a/../../b.png", "a_b.png"),
        ("con.png", "_con.png"),
        ('a<b>:"|?*.png', "a_b______.png"),
        ("x" * 300 + ".png", "x" * 196 + ".png"),
        ("\u00e9" * 200 + ".png", "\u00e9" * 98 + ".png"),
    ],
)
def test_no_name_leads_out_of_the_folder(name: str, harmless: str, tmp_path: Path, folder: Path) -> None:
    made = unpack(_zip(tmp_path / "a.zip", {name: _png()}), folder, set())

    assert _names(made) == [harmless]
    assert [path.parent for path, _ in made.files] == [folder]
    assert {path for path in tmp_path.rglob("*.png")} == {folder / harmless}


def test_names_that_would_give_one_result_get_numbers(tmp_path: Path, folder: Path) -> None:
    taken = {"b"}
    made = unpack(_zip(tmp_path / "a.zip", {"a/1.png": _png(), "A_1.jpg": _png(1), "b.png": _png(2)}), folder, taken)

    assert _names(made) == ["a_1.png", "A_1-2.jpg", "b-2.png"]
    assert taken == {"b", "a_1", "a_1-2", "b-2"}


def test_an_encrypted_file_is_refused_in_words(tmp_path: Path, folder: Path) -> None:
    file = _zip(tmp_path / "secret.zip", {"1.png": _png()})
    content = bytearray(file.read_bytes())
    local, central = content.index(b"PK\3\4"), content.index(b"PK\1\2")
    content[local + 6] |= 1
    content[central + 8] |= 1
    file.write_bytes(content)

    with pytest.raises(PictureReadError, match=r"'secret.zip': it is encrypted. Pack it without a password"):
        unpack(file, folder, set())


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\3\4 cut off"])
def test_a_damaged_file_is_refused_in_words(content: bytes, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.zip").write_bytes(content)

    with pytest.raises(PictureReadError, match="damaged, or no zip file"):
        unpack(tmp_path / "a.zip", folder, set())


def test_a_damaged_picture_costs_that_one_alone(tmp_path: Path, folder: Path) -> None:
    file = _zip(tmp_path / "a.zip", {"1.png": _png(), "2.png": _png(7), "3.png": _png()}, zipfile.ZIP_STORED)
    content = file.read_bytes()
    start = content.index(_png(7)) + 40
    file.write_bytes(content[:start] + bytes([content[start] ^ 255]) + content[start + 1 :])
    made = unpack(file, folder, set())

    assert _names(made) == ["1.png", "3.png"]
    assert "2.png is left out: it cannot be unpacked (Bad CRC" in made.notes[0]
    assert sorted(path.name for path in folder.iterdir()) == ["1.png", "3.png"]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_so_it_does_in_each_way_of_compressing(method: int, tmp_path: Path, folder: Path) -> None:
    noise = random.Random(1).randbytes(5000)
    file = _zip(tmp_path / "a.zip", {"1.png": noise, "2.png": _png()}, method)
    content = bytearray(file.read_bytes())
    content[60:80] = bytes(20)
    file.write_bytes(content)
    made = unpack(file, folder, set())

    assert _names(made) == ["2.png"]
    assert made.notes[0].startswith("1.png is left out: it cannot be unpacked (")


def test_a_bomb_is_refused_before_anything_is_unpacked(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _zip(tmp_path / "a.zip", {"1.png": b"\0" * 1000})
    content = bytearray(file.read_bytes())
    struct.pack_into("<L", content, content.index(b"PK\1\2") + 24, 0xFFFF0000)
    file.write_bytes(content)
    monkeypatch.setattr(archive, "MOST_BYTES", 2**30)
    with pytest.raises(PictureReadError, match=r"unpacked it takes 4.0 GB, and there is room for"):
        unpack(file, folder, set())

    assert list(folder.iterdir()) == []


def test_too_many_pictures_are_refused(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_PICTURES", 2)

    with pytest.raises(PictureReadError, match="it holds 3 pictures, more than 2"):
        unpack(_zip(tmp_path / "a.zip", {f"{n}.png": _png() for n in range(3)}), folder, set())


def test_the_limits_are_of_all_zip_files_together(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_PICTURES", 5)
    monkeypatch.setattr(archive, "MOST_BYTES", 10_000)
    file = _zip(tmp_path / "a.zip", {f"{n}.png": _png() for n in range(3)})
    made = unpack(file, folder, set(), (2, 10_000 - 3 * len(_png())))

    assert made.size == 3 * len(_png())
    with pytest.raises(
        PictureReadError, match="it holds 3 pictures, more than 5 in all, with the 3 of the files before"
    ):
        unpack(file, folder, set(), (3, 0))
    with pytest.raises(PictureReadError, match=r"there is room for 0\.0 GB"):
        unpack(file, folder, set(), (2, 10_001 - 3 * len(_png())))


def test_it_can_be_stopped(tmp_path: Path, folder: Path) -> None:
    asked = iter([False, False, True])
    file = _zip(tmp_path / "a.zip", {f"{n}.png": _png() for n in range(9)})

    assert _names(unpack(file, folder, set(), is_stopped=lambda: next(asked))) == ["0.png", "1.png"]


def test_thousands_of_one_name_take_no_longer_than_others() -> None:
    """Each name is looked up a few times, not once for each that has it."""

    class Counted(set):
        looked = 0

        def __contains__(self, name: object) -> bool:
            Counted.looked += 1
            return super().__contains__(name)

    taken: set[str] = Counted()
    names = [free_name("x.png", taken) for _ in range(1000)]

    assert names == ["x.png", *(f"x-{number}.png" for number in range(2, 1001))]
    assert Counted.looked < 30 * 1000


def test_names_of_other_machines_can_be_read(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Windows in Korean writes them, read there."""
    name = "사진.png"
    file = _zip(tmp_path / "a.zip", {"#" * len(name.encode("cp949")): b""})
    content = file.read_bytes().replace(b"#" * len(name.encode("cp949")), name.encode("cp949"))
    file.write_bytes(content)
    monkeypatch.setattr(archive.locale, "getpreferredencoding", lambda _: "cp949")

    assert _names(unpack(file, folder, set())) == [name]

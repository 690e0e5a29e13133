"""The library lists what lies in the folders, under names that stay, and says what to do where there is nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lib_upscaler.errors import ModelFileError, ModelNotFoundError, UnsupportedModelError
from lib_upscaler.models.library import ModelLibrary

ROOT = Path(__file__).resolve().parents[2]


def put(path: Path, content: bytes = b"weights") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(library: ModelLibrary) -> list[str]:
    return [entry.name for entry in library.models()]


def link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        pytest.skip("this system does not let this user make links")


def test_model_files_are_found_below_the_folders_in_order(tmp_path: Path) -> None:
    for name in ("b.pth", "A.PTH", "sub/c.pt", "sub/deep/d.CKPT", "e.safetensors", "notes.txt", "x.pth.part", "y.tmp"):
        put(tmp_path / "one" / name)
    put(tmp_path / "two" / "aa.pth", b"12345")
    library = ModelLibrary([tmp_path / "two", tmp_path / "one", tmp_path / "missing"])
    assert names(library) == ["aa", "A", "b", "e", "c", "d"]
    first = library.models()[0]
    assert (first.path, first.size_bytes) == (tmp_path / "two" / "aa.pth", 5)
    assert first.mtime_ns == first.path.stat().st_mtime_ns


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("._x.pth", ".git/y.pth", "z.pth"):
        put(tmp_path / name)
    assert names(ModelLibrary([tmp_path])) == ["z"]


def test_hidden_folder_is_searched_where_it_is_named(tmp_path: Path) -> None:
    put(tmp_path / ".models" / "x.pth")
    assert names(ModelLibrary([tmp_path / ".models"])) == ["x"]


def test_later_files_of_one_stem_get_their_folder(tmp_path: Path) -> None:
    put(tmp_path / "ESRGAN" / "x.pth")
    put(tmp_path / "ESRGAN" / "sub" / "x.pth")
    put(tmp_path / "ESRGAN" / "sub" / "more" / "x.pth")
    put(tmp_path / "Other" / "x.pth")
    library = ModelLibrary([tmp_path / "ESRGAN", tmp_path / "Other"])
    assert sorted(names(library)) == ["x", "x [Other]", "x [sub/more]", "x [sub]"]
    assert library.find("x [Other]").path == tmp_path / "Other" / "x.pth"
    assert library.find("x [sub]").path == tmp_path / "ESRGAN" / "sub" / "x.pth"


def test_files_of_one_stem_in_one_folder_are_told_apart_by_suffix(tmp_path: Path) -> None:
    put(tmp_path / "ESRGAN" / "x.pth")
    put(tmp_path / "ESRGAN" / "x.safetensors")
    assert names(ModelLibrary([tmp_path / "ESRGAN"])) == ["x", "x [ESRGAN, safetensors]"]


def test_names_are_unique_whatever_the_files_are_called(tmp_path: Path) -> None:
    for name in ("x.pth", "x.pt", "sub/x.pth", "sub/x.pt", "x [sub].pth", "x [b].pth", "X [B, PT].pth"):
        for folder in ("a/b", "c/b", "d/b"):
            put(tmp_path / folder / name)
    library = ModelLibrary([tmp_path / folder for folder in ("a/b", "c/b", "d/b")])
    assert len(library.models()) == 21
    assert len({name.casefold() for name in names(library)}) == 21
    assert all(library.find(entry.name) == entry for entry in library.models())


def test_order_and_names_are_the_same_each_time(tmp_path: Path) -> None:
    for name in ("b/x.pth", "a/x.pth", "C/x.pth", "x.pth"):
        put(tmp_path / name)
    assert [names(ModelLibrary([tmp_path])) for _ in range(3)] == [["x", "x [a]", "x [b]", "x [C]"]] * 3


def test_same_file_is_listed_once(tmp_path: Path) -> None:
    put(tmp_path / "one" / "z.pth")
    link(tmp_path / "one" / "a.pth", tmp_path / "one" / "z.pth")
    link(tmp_path / "two", tmp_path / "one")
    library = ModelLibrary([tmp_path / "one", tmp_path / "one", tmp_path, tmp_path / "two"])
    assert names(library) == ["z"]


def test_links_are_followed_without_going_round(tmp_path: Path) -> None:
    put(tmp_path / "store" / "blob", b"123")
    put(tmp_path / "elsewhere" / "far.pth")
    (tmp_path / "models" / "sub").mkdir(parents=True)
    link(tmp_path / "models" / "near.safetensors", tmp_path / "store" / "blob")
    link(tmp_path / "models" / "linked", tmp_path / "elsewhere")
    link(tmp_path / "models" / "sub" / "up", tmp_path / "models")
    link(tmp_path / "models" / "broken.pth", tmp_path / "gone.pth")
    link(tmp_path / "models" / "broken", tmp_path / "gone")
    link(tmp_path / "models" / "circle.pth", tmp_path / "models" / "circle.pth")
    library = ModelLibrary([tmp_path / "models"])
    assert sorted(names(library)) == ["far", "near"]
    assert library.find("near").size_bytes == 3


def test_folders_and_pipes_with_the_name_of_a_model_are_left_out(tmp_path: Path) -> None:
    put(tmp_path / "folder.pth" / "inside.pth")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.pth")
    assert names(ModelLibrary([tmp_path])) == ["inside"]


def test_unreadable_folder_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "good.pth")
    put(tmp_path / "locked" / "x.pth")
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert names(ModelLibrary([tmp_path])) == ["good"]


def test_file_that_goes_while_looking_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "good.pth")
    put(tmp_path / "going.pth")
    real = Path.stat

    def stat(path: Path, **options: object) -> os.stat_result:
        if path.name == "going.pth":
            raise FileNotFoundError(2, "No such file or directory")
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert names(ModelLibrary([tmp_path])) == ["good"]


def test_empty_file_is_listed_so_that_its_error_can_be_seen(tmp_path: Path) -> None:
    put(tmp_path / "x.pth", b"")
    assert ModelLibrary([tmp_path]).find("x").size_bytes == 0


def test_refresh_finds_what_is_new_changed_and_gone(tmp_path: Path) -> None:
    put(tmp_path / "stays.pth")
    put(tmp_path / "changes.pth")
    put(tmp_path / "goes.pth")
    library = ModelLibrary([tmp_path])
    before = library.models()
    library.refresh()
    assert library.models() == before
    put(tmp_path / "new.pth")
    put(tmp_path / "changes.pth", b"other weights")
    (tmp_path / "goes.pth").unlink()
    library.refresh()
    assert names(library) == ["changes", "new", "stays"]
    assert library.find("changes").size_bytes == 13
    assert library.find("stays") in before


def test_file_of_the_same_size_but_another_time_is_changed(tmp_path: Path) -> None:
    path = put(tmp_path / "x.pth")
    library = ModelLibrary([tmp_path])
    os.utime(path, ns=(1, 1_000_000_000))
    library.refresh()
    assert library.find("x").mtime_ns == 1_000_000_000


def test_names_stay_when_files_come_and_go(tmp_path: Path) -> None:
    put(tmp_path / "m.pth")
    put(tmp_path / "z" / "m.pth")
    library = ModelLibrary([tmp_path])
    assert {entry.path.parent.name: entry.name for entry in library.models()} == {tmp_path.name: "m", "z": "m [z]"}
    put(tmp_path / "a" / "m.pth")  # comes first in order
    (tmp_path / "m.pth").unlink()
    library.refresh()
    assert {entry.path.parent.name: entry.name for entry in library.models()}["z"] == "m [z]"
    put(tmp_path / "m.pth")
    put(tmp_path / "0" / "m.pth")
    before = {entry.path: entry.name for entry in library.models()}
    library.refresh()
    after = {entry.path: entry.name for entry in library.models()}
    assert before.items() <= after.items()
    assert len(set(after.values())) == 4


def test_built_in_models_come_first(tmp_path: Path) -> None:
    shipped = put(tmp_path / "program" / "small.safetensors")
    put(tmp_path / "models" / "a.pth")
    put(tmp_path / "models" / "small.pth")
    library = ModelLibrary([tmp_path / "models"], builtin=[shipped, tmp_path / "program" / "gone.pth"])
    assert names(library) == ["small", "a", "small [models]"]


def test_find_by_name_letter_case_file_name_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = put(tmp_path / "models" / "RealX4.pth")
    outside = put(tmp_path / "other" / "Y.safetensors")
    library = ModelLibrary([tmp_path / "models"])
    for wanted in ("RealX4", "realx4", "RealX4.pth", str(inside), inside):
        assert library.find(wanted) == library.models()[0]
    found = library.find(outside)
    assert (found.name, found.path) == ("Y", outside)
    monkeypatch.chdir(tmp_path)
    assert library.find("other/Y.safetensors") == found


def test_path_to_a_listed_file_gives_its_listed_name(tmp_path: Path) -> None:
    put(tmp_path / "a" / "x.pth")
    second = put(tmp_path / "b" / "x.pth")
    assert ModelLibrary([tmp_path]).find(second).name == "x [b]"


def test_wrong_name_gets_close_ones_and_the_folders(tmp_path: Path) -> None:
    for name in ("RealESRGAN_x4plus.pth", "4x-UltraSharp.pth"):
        put(tmp_path / name)
    library = ModelLibrary([tmp_path])
    with pytest.raises(ModelNotFoundError) as caught:
        library.find("realesrgan_x4")
    assert "'RealESRGAN_x4plus'" in str(caught.value)
    assert "UltraSharp" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(ModelNotFoundError, match="4x-UltraSharp"):
        library.find("qqqqqqqqqq")
    with pytest.raises(ModelNotFoundError):
        library.find("")


def test_no_model_at_all_says_where_to_put_one(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        ModelLibrary([tmp_path / "models"]).find("x")
    assert f"into {tmp_path / 'models'}" in caught.value.todo
    with pytest.raises(ModelNotFoundError):
        ModelLibrary([]).find("x")


def test_paths_that_are_no_models(tmp_path: Path) -> None:
    library = ModelLibrary([tmp_path])
    with pytest.raises(ModelFileError, match="folder"):
        library.find(tmp_path)
    with pytest.raises(UnsupportedModelError, match=r"\.safetensors"):
        library.find(put(tmp_path / "x.onnx"))


def test_threads_see_whole_lists(tmp_path: Path) -> None:
    for number in range(20):
        put(tmp_path / f"{number}" / "x.pth")
    library = ModelLibrary([tmp_path])
    expected = library.models()
    seen: list[bool] = []

    def work() -> None:
        for _ in range(10):
            library.refresh()
            seen.append(library.models() == expected)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 40


def test_library_needs_no_torch() -> None:
    program = (
        "import sys; import lib_upscaler.models.library, lib_upscaler.models.card; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0

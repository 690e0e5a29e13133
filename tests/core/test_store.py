"""Facts that are put into the cache come back, also in the next process, and a bad disk harms nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lib_upscaler import store
from lib_upscaler.store import DiskCache, cache_folder, shared_cache

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_put_comes_back_in_this_and_another_object(tmp_path: Path) -> None:
    cache = DiskCache("facts", folder=tmp_path)
    assert cache.get("a") is None
    cache.put("a", {"x": 1, "list": [1, 2], "name": "그림"})
    assert cache.get("a") == {"x": 1, "list": [1, 2], "name": "그림"}
    assert DiskCache("facts", folder=tmp_path).get("a") == {"x": 1, "list": [1, 2], "name": "그림"}
    assert DiskCache("others", folder=tmp_path).get("a") is None


def test_what_is_given_out_is_a_copy(tmp_path: Path) -> None:
    cache = DiskCache("facts", folder=tmp_path)
    value = {"list": [1]}
    cache.put("a", value)
    value["list"].append(2)
    cache.get("a")["list"].append(3)
    assert cache.get("a") == {"list": [1]}


def test_oldest_entries_are_dropped(tmp_path: Path) -> None:
    cache = DiskCache("facts", folder=tmp_path, limit=3)
    for number in range(3):
        cache.put(str(number), {"n": number})
    cache.put("0", {"n": 10})  # as new again
    cache.put("3", {"n": 3})
    for reader in (cache, DiskCache("facts", folder=tmp_path, limit=3)):
        assert [reader.get(key) for key in "0123"] == [{"n": 10}, None, {"n": 2}, {"n": 3}]


def test_two_objects_keep_each_others_entries(tmp_path: Path) -> None:
    one, two = DiskCache("facts", folder=tmp_path), DiskCache("facts", folder=tmp_path)
    one.put("a", {"n": 1})
    two.put("b", {"n": 2})
    one.put("c", {"n": 3})
    assert [two.get(key) for key in "abc"] == [{"n": 1}, {"n": 2}, {"n": 3}]
    two.put("a", {"n": 4})
    assert one.get("a") == {"n": 4}


def test_two_processes_keep_the_file_sound(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from lib_upscaler.store import DiskCache\n"
        "cache = DiskCache('facts', folder=Path(sys.argv[1]))\n"
        "for n in range(40): cache.put(f'{sys.argv[2]}{n}', {'n': n})"  # of two in one instant, the later one stays
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), letter], cwd=ROOT) for letter in ("a", "b")
    ]
    assert [process.wait(60) for process in running] == [0, 0]
    cache = DiskCache("facts", folder=tmp_path)
    assert cache.get("a39") or cache.get("b39")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["facts.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe", b'{"a": 5, "b": {"n": 1}}', b"[" * 100_000])
def test_damaged_file_counts_as_empty_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "facts.json").write_bytes(content)
    cache = DiskCache("facts", folder=tmp_path)
    assert cache.get("a") is None
    cache.put("a", {"n": 1})
    assert DiskCache("facts", folder=tmp_path).get("a") == {"n": 1}


def test_folder_that_cannot_be_made_leaves_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = DiskCache("facts", folder=tmp_path / "file" / "below")
    cache.put("a", {"n": 1})
    assert cache.get("a") == {"n": 1}


def test_disk_that_fails_leaves_memory_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = DiskCache("facts", folder=tmp_path)
    cache.put("a", {"n": 1})

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", fail)
        cache.put("b", {"n": 2})
    assert cache.get("b") == {"n": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["facts.json"]
    cache.put("c", {"n": 3})  # works again: what was not written goes along
    assert [DiskCache("facts", folder=tmp_path).get(key) for key in "abc"] == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_place_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRUESCALE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("TRUESCALE_CACHE")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "truescale"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / ".cache" / "truescale"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == tmp_path / "Library" / "Caches" / "truescale"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "truescale"


def test_user_without_a_home_has_a_cache_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("TRUESCALE_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache_folder() is None
    shared_cache("homeless").put("a", {"n": 1})
    assert shared_cache("homeless").get("a") == {"n": 1}
    store._shared_cache.cache_clear()

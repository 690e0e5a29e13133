"""A download that fails, or brings another file, ends in words that say why."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import urllib.error
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from download_server import DATA, Listener, Server, leave_a_beginning, listed, make_entry
from lib_upscaler.catalogue import Entry, offline_reason
from lib_upscaler.catalogue.transfer import open_https
from lib_upscaler.errors import DownloadError, NoNetworkError, StorageError

# -- another file than announced ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("says_length", [True, False])
@pytest.mark.parametrize("data", [DATA[:-1] + b"!", DATA + b"!", DATA * 2, DATA[:1000]])
def test_another_file_is_not_kept(
    data: bytes, says_length: bool, get: Callable[..., Path], entry: Entry, server: Server, tmp_path: Path
) -> None:
    server.data, server.says_length = data, says_length
    with pytest.raises(DownloadError) as caught:
        get(entry)
    shorter_without_length = len(data) < len(DATA) and not says_length
    assert ("cut off" if shorter_without_length else "changed, or was damaged") in str(caught.value)
    assert [name for name in listed(tmp_path / "models") if not name.startswith(".")] == []
    if not shorter_without_length:
        assert listed(tmp_path / "models") == []


def test_no_more_is_read_than_was_announced(get: Callable[..., Path], server: Server, tmp_path: Path) -> None:
    """The beginning is right; the server then goes on and on."""
    server.data, server.says_length = DATA * 20, False
    largest = []

    class Watching(Listener):
        def advance(self, fraction: float, note: str = "") -> None:
            largest.append(fraction)

    with pytest.raises(DownloadError, match="it is larger"):
        get(make_entry(f"{server.address}a", data=DATA), Watching())
    assert max(largest) <= 1.0


def test_a_file_of_another_size_is_not_even_begun(get: Callable[..., Path], entry: Entry, server: Server) -> None:
    server.data = DATA + b"more"
    listener = Listener()
    with pytest.raises(DownloadError, match="it has 512004 bytes, not 512000"):
        get(entry, listener)
    assert listener.told in ([], [0.0])


def test_a_changed_file_is_noticed_when_going_on(get: Callable[..., Path], entry: Entry, server: Server) -> None:
    server.etag = ""
    leave_a_beginning(get, entry, server)
    server.data = DATA + b"more"
    with pytest.raises(DownloadError, match="it has 512004 bytes, not 512000"):
        get(entry)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "not there any more"), (403, "does not give it"), (429, "too many requests"), (503, "has trouble")],
)
def test_a_servers_refusal_in_words(
    status: int, words: str, get: Callable[..., Path], entry: Entry, server: Server, tmp_path: Path
) -> None:
    server.paths = {"/a/file.pth": status}
    with pytest.raises(DownloadError, match=rf"{words}.*HTTP {status}"):
        get(entry)
    assert listed(tmp_path / "models") == []


def test_all_addresses_are_told_where_none_works(get: Callable[..., Path], server: Server) -> None:
    server.paths = {"/one": 404, "/two": 403}
    with pytest.raises(DownloadError) as caught:
        get(make_entry(f"{server.address}one", f"{server.address}two"))
    assert "404" in str(caught.value)
    assert "403" in str(caught.value)


def test_only_encrypted_addresses_are_asked(get: Callable[..., Path], entry: Entry, server: Server) -> None:
    with pytest.raises(DownloadError, match="not encrypted"):
        get(entry, opener=open_https)
    assert server.asked == []


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("http://localhost:{port}/b", "not encrypted"),
        ("ftp://127.0.0.1/b", "not encrypted"),
        ("file:///etc/hostname", "HTTP 302"),
    ],
)
def test_a_redirect_to_an_unencrypted_address_is_not_followed(
    place: str, words: str, get: Callable[..., Path], entry: Entry, server: Server
) -> None:
    server.paths = {"/a/file.pth": place.format(port=server.address.split(":")[-1].strip("/"))}
    with pytest.raises(DownloadError, match=words):
        get(entry)
    assert len(server.asked) == 1


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x.pth", "http://127.0.0.1/x.pth"])
def test_other_kinds_of_addresses_are_refused(url: str, get: Callable[..., Path]) -> None:
    with pytest.raises(DownloadError, match="not encrypted"):
        get(make_entry(url), opener=open_https)


def failing(error: Exception) -> Callable[..., Any]:
    def opener(*_: Any) -> Any:
        raise error

    return opener


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            urllib.error.URLError(socket.gaierror(-2, "Name or service not known")),
            NoNetworkError,
            "there is no network",
        ),
        (urllib.error.URLError(OSError(errno.ENETUNREACH, "unreachable")), NoNetworkError, "there is no network"),
        (urllib.error.URLError(ConnectionRefusedError(111, "refused")), DownloadError, "the connection failed"),
        (socket.timeout("timed out"), DownloadError, "does not answer in time"),
    ],
)
def test_no_network_in_words(
    error: Exception, kind: type, words: str, get: Callable[..., Path], entry: Entry, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words):
        get(entry, opener=failing(error))
    assert listed(tmp_path / "models") == []


@pytest.mark.parametrize("variable", ["TRUESCALE_OFFLINE", "HF_HUB_OFFLINE"])
@pytest.mark.parametrize(("value", "off"), [("1", True), ("true", True), ("0", False), ("", False), ("no", False)])
def test_a_user_who_wants_no_network(
    variable: str, value: str, off: bool, get: Callable[..., Path], entry: Entry, server: Server
) -> None:
    environment = {variable: value}
    assert offline_reason(environment) == (variable if off else "")
    if not off:
        assert get(entry, environment=environment).read_bytes() == DATA
        return
    with pytest.raises(NoNetworkError, match=variable):
        get(entry, environment=environment)
    assert server.asked == []


@pytest.mark.parametrize("lacking", [{"urls": ()}, {"sha256": ""}, {"size": 0}])
def test_without_an_address_a_size_or_a_checksum_the_page_is_named(
    lacking: dict[str, Any], get: Callable[..., Path], entry: Entry, server: Server, tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match=r"https://openmodeldb\.info/models/4x-File") as caught:
        get(replace(entry, **lacking))
    assert str(tmp_path / "models") in str(caught.value)
    assert server.asked == []


def test_a_folder_that_is_none(get: Callable[..., Path], entry: Entry, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(StorageError, match="is no folder"):
        get(entry)


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="may write everywhere")
def test_a_folder_that_is_read_only(get: Callable[..., Path], entry: Entry, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir(mode=0o555)
    with pytest.raises(StorageError, match="may not be written to"):
        get(entry)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EACCES, "may not be written to"), (errno.EROFS, "may not be written to"), (errno.ENOSPC, "disk is full")],
)
def test_what_the_disk_refuses_is_told_in_words(
    number: int, words: str, get: Callable[..., Path], entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError, match=words):
        get(entry)


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    get: Callable[..., Path], entry: Entry, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 400_000))
    with pytest.raises(StorageError, match="has 0 MB left"):
        get(entry)
    assert server.asked == []


def test_a_disk_that_fills_up_keeps_what_came(
    get: Callable[..., Path], entry: Entry, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        get(entry)
    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "*")
    assert not (tmp_path / "models" / "file.pth").exists()
    assert get(entry).read_bytes() == DATA

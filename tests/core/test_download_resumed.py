"""A download that was stopped goes on where it was, where that is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from download_server import DATA, Listener, Server, leave_a_beginning, listed, make_entry
from lib_upscaler.catalogue import Entry
from lib_upscaler.errors import Cancelled, DownloadError
from lib_upscaler.models.library import ModelLibrary


def test_a_stopped_download_leaves_what_no_list_shows_and_goes_on(
    get: Callable[..., Path], entry: Entry, server: Server, tmp_path: Path
) -> None:
    with pytest.raises(Cancelled, match="was stopped"):
        get(entry, Listener(stop_at=0.5))
    folder = tmp_path / "models"
    assert [name for name in listed(folder) if not name.startswith(".")] == []
    assert ModelLibrary([folder]).models() == ()
    beginning = (folder / ".file.pth.part").read_bytes()
    assert 0 < len(beginning) < len(DATA)
    assert DATA.startswith(beginning)
    server.asked.clear()

    listener = Listener()
    assert get(entry, listener).read_bytes() == DATA
    assert server.ranges_asked == [f"bytes={len(beginning)}-"]
    assert server.asked[0]["if-range"] == '"one"'
    assert listener.told == sorted(listener.told)
    assert listed(folder) == ["file.pth"]


def test_a_lost_connection_is_taken_up_again(get: Callable[..., Path], entry: Entry, server: Server) -> None:
    server.cut, server.cuts_left = 200_000, 2
    assert get(entry).read_bytes() == DATA
    assert server.ranges_asked == ["", "bytes=200000-", "bytes=400000-"]


def test_a_connection_that_gives_nothing_more_ends_it_in_words(
    get: Callable[..., Path], entry: Entry, server: Server, tmp_path: Path
) -> None:
    server.cut = 0
    with pytest.raises(DownloadError, match=r"cut off after 0\.0 of 0\.5 MB") as caught:
        get(entry)
    assert "go on" in str(caught.value)
    assert listed(tmp_path / "models") == []


def test_it_goes_on_in_another_run_of_the_program(
    get: Callable[..., Path], entry: Entry, server: Server, tmp_path: Path
) -> None:
    server.cut = 60_000  # more losses than one run puts up with
    with pytest.raises(DownloadError, match="cut off after"):
        get(entry)
    size = (tmp_path / "models" / ".file.pth.part").stat().st_size
    assert size > 0
    server.asked.clear()
    server.cut = None
    assert get(entry).read_bytes() == DATA
    assert server.ranges_asked == [f"bytes={size}-"]


def test_a_server_that_cannot_go_on_begins_anew(get: Callable[..., Path], entry: Entry, server: Server) -> None:
    leave_a_beginning(get, entry, server)
    server.ranges = False
    assert get(entry).read_bytes() == DATA
    assert len(server.asked) == 1


def test_a_file_that_has_another_mark_begins_anew(get: Callable[..., Path], entry: Entry, server: Server) -> None:
    leave_a_beginning(get, entry, server)
    server.etag = '"two"'
    assert get(entry).read_bytes() == DATA
    assert server.asked[0]["if-range"] == '"one"'
    assert len(server.asked) == 1


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_mark_the_checksum_decides(
    etag: str, get: Callable[..., Path], entry: Entry, server: Server
) -> None:
    server.etag = etag
    leave_a_beginning(get, entry, server)
    assert get(entry).read_bytes() == DATA
    assert server.ranges_asked[0].startswith("bytes=")
    assert "if-range" not in server.asked[0]


def test_a_wrong_beginning_is_replaced(get: Callable[..., Path], entry: Entry, server: Server, tmp_path: Path) -> None:
    server.etag = ""
    leave_a_beginning(get, entry, server)
    part = tmp_path / "models" / ".file.pth.part"
    part.write_bytes(b"?" * part.stat().st_size)
    assert get(entry).read_bytes() == DATA
    assert server.ranges_asked == [server.ranges_asked[0], ""]
    assert server.ranges_asked[0]


@pytest.mark.parametrize("said", ["bytes 7-511999/512000", "nonsense"])
def test_a_server_that_goes_on_elsewhere_begins_anew(
    said: str, get: Callable[..., Path], entry: Entry, server: Server
) -> None:
    leave_a_beginning(get, entry, server)
    server.says_range = said
    assert get(entry).read_bytes() == DATA
    assert [bool(asked) for asked in server.ranges_asked] == [True, False]


def test_a_beginning_of_another_file_is_dropped(get: Callable[..., Path], entry: Entry, server: Server) -> None:
    leave_a_beginning(get, entry, server)
    server.data = DATA[::-1]
    other = make_entry(*entry.urls, data=DATA[::-1])
    assert get(other).read_bytes() == DATA[::-1]
    assert server.ranges_asked == [""]


def test_a_whole_beginning_needs_no_server(
    get: Callable[..., Path], entry: Entry, server: Server, tmp_path: Path
) -> None:
    leave_a_beginning(get, entry, server)
    (tmp_path / "models" / ".file.pth.part").write_bytes(DATA)
    assert get(entry).read_bytes() == DATA
    assert server.asked == []


def test_a_beginning_that_is_too_long_is_dropped(
    get: Callable[..., Path], entry: Entry, server: Server, tmp_path: Path
) -> None:
    leave_a_beginning(get, entry, server)
    (tmp_path / "models" / ".file.pth.part").write_bytes(DATA + b"!")
    listener = Listener()
    assert get(entry, listener).read_bytes() == DATA
    assert max(listener.told) == 1.0

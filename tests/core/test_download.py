"""A download ends with the right file under its name, whoever else downloads."""

from __future__ import annotations

import errno
import functools
import os
import socket
import subprocess
import sys
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from download_server import DATA, Listener, Server, listed, make_entry
from lib_upscaler.catalogue import Entry, has_network
from lib_upscaler.catalogue.transfer import open_url
from lib_upscaler.errors import DownloadError, StorageError

# -- a file that comes -------------------------------------------------------------------------------------------------


def test_the_file_is_there_and_nothing_else(get: Callable[..., Path], entry: Entry, tmp_path: Path) -> None:
    listener = Listener()
    path = get(entry, listener)
    assert path == tmp_path / "models" / "file.pth"
    assert path.read_bytes() == DATA
    assert listed(path.parent) == ["file.pth"]
    assert listener.told == sorted(listener.told)
    assert listener.told[-1] == 1.0


def test_what_is_there_already_is_not_asked_for(get: Callable[..., Path], entry: Entry, server: Server) -> None:
    get(entry)
    server.asked.clear()
    listener = Listener()
    assert get(entry, listener).name == "file.pth"
    assert server.asked == []
    assert listener.told == [1.0]


def test_what_is_there_needs_no_network(get: Callable[..., Path], entry: Entry) -> None:
    get(entry)
    assert get(entry, environment={"TRUESCALE_OFFLINE": "1"}).name == "file.pth"


@pytest.mark.parametrize("theirs", [b"another model", DATA[:-1] + b"!"])
def test_another_file_of_the_name_is_left_alone(
    theirs: bytes, get: Callable[..., Path], entry: Entry, tmp_path: Path
) -> None:
    there = tmp_path / "models" / "file.pth"
    there.parent.mkdir()
    there.write_bytes(theirs)
    path = get(entry)
    assert path.name == "file [4x-File].pth"
    assert path.read_bytes() == DATA
    assert there.read_bytes() == theirs
    assert get(entry) == path

    path.write_bytes(b"a third one")
    with pytest.raises(StorageError, match="other files have its names"):
        get(entry)
    assert (there.read_bytes(), path.read_bytes()) == (theirs, b"a third one")


def test_a_link_that_leads_nowhere_is_left_alone(get: Callable[..., Path], entry: Entry, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    try:
        (folder / "file.pth").symlink_to(tmp_path / "elsewhere.pth")
    except OSError:
        pytest.skip("this system lets nobody make links")
    assert get(entry).name == "file [4x-File].pth"
    assert not (tmp_path / "elsewhere.pth").exists()


def test_redirects_are_followed(get: Callable[..., Path], entry: Entry, server: Server) -> None:
    server.paths = {"/a/file.pth": "/b/file.pth"}
    assert get(entry).read_bytes() == DATA


def test_a_server_that_does_not_say_how_long_it_is(get: Callable[..., Path], entry: Entry, server: Server) -> None:
    server.says_length = False
    assert get(entry).read_bytes() == DATA


@pytest.mark.parametrize("status", [404, 403, 500])
def test_the_next_address_is_tried(status: int, get: Callable[..., Path], server: Server) -> None:
    server.paths = {"/gone": status}
    assert get(make_entry(f"{server.address}gone", f"{server.address}there")).read_bytes() == DATA


@pytest.mark.parametrize(
    "file", ["../file.pth", "/etc/file.pth", "..\\..\\file.pth", "C:\\file.pth", ".file.pth", "file.pth\n"]
)
def test_a_name_leads_nowhere_else(file: str, get: Callable[..., Path], server: Server, tmp_path: Path) -> None:
    path = get(make_entry(f"{server.address}a", file=file))
    assert path == tmp_path / "models" / "file.pth"
    assert [one.name for one in tmp_path.iterdir()] == ["models"]


@pytest.mark.parametrize("linked", [True, False])
def test_file_systems_without_links(
    linked: bool, get: Callable[..., Path], entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: Any, target: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if not linked:
        monkeypatch.setattr(os, "link", link)
    path = get(entry)
    assert path.read_bytes() == DATA
    assert listed(path.parent) == ["file.pth"]


# -- two at once -------------------------------------------------------------------------------------------------------


def test_a_second_download_of_the_same_file_is_refused(get: Callable[..., Path], entry: Entry, server: Server) -> None:
    refused = []

    def again() -> None:
        server.on_request = lambda: None
        with pytest.raises(DownloadError, match="under way") as caught:
            get(entry)
        refused.append(str(caught.value))

    server.on_request = again
    assert get(entry).read_bytes() == DATA
    assert len(refused) == 1
    assert len(server.asked) == 1


HOLD = """
import sys, time
from pathlib import Path
from lib_upscaler.catalogue.part_file import locked
with locked(Path(sys.argv[1]), "file.pth"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_program_is_waited_for_only_while_it_lives(
    get: Callable[..., Path], entry: Entry, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    root = Path(__file__).resolve().parents[2]
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline().strip() == "held"
        with pytest.raises(DownloadError, match="under way"):
            get(entry)
    finally:
        other.kill()
        other.communicate()
    assert (folder / ".file.pth.lock").exists()
    assert get(entry).read_bytes() == DATA
    assert listed(folder) == ["file.pth"]


# -- is there a network? -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 404, 405])
def test_whatever_a_server_answers_there_is_a_network(status: int, server: Server) -> None:
    server.paths = {"/a": status}
    assert has_network([f"{server.address}a"], functools.partial(open_url, allowed=(server.address,)))


def test_without_an_answer_there_is_no_network() -> None:
    asked = []

    def opener(request: Any, timeout: float) -> Any:
        asked.append(request.full_url)
        raise urllib.error.URLError(socket.gaierror(-2, "Name or service not known"))

    urls = ["https://a.example/1", "https://a.example/2", "https://b.example/3"]
    assert not has_network(urls, opener)
    assert len(asked) == 2  # each host once
    assert not has_network([], opener)

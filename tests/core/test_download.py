"""A download ends with the right file under its name, or in words that say why not; what came is kept for later."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lib_upscaler.catalogue import Entry, download, has_network, offline_reason
from lib_upscaler.catalogue.transfer import open_https, open_url
from lib_upscaler.errors import Cancelled, DownloadError, NoNetworkError, StorageError
from lib_upscaler.models.library import ModelLibrary

DATA = bytes(range(256)) * 2000  # 512,000 bytes
CALM = {}
"""An environment that forbids nothing."""


@dataclass
class Server:
    """Serves ``data`` under every address, and does what a test sets.

    etag: of the file. ranges: whether it goes on in the middle. cut: how many bytes an answer has at most before the
    connection is lost. paths: address -> a status, or an address to go to instead. asked: headers of each request.
    """

    address: str = ""
    data: bytes = DATA
    etag: str = '"one"'
    ranges: bool = True
    cut: int | None = None
    cuts_left: int = 1000
    says_length: bool = True
    says_range: str = ""
    paths: dict[str, Any] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    on_request: Callable[[], None] = lambda: None

    @property
    def ranges_asked(self) -> list[str]:
        return [headers.get("range", "") for headers in self.asked]


class _Handler(BaseHTTPRequestHandler):
    server_for_tests: Server

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self) -> None:
        server = self.server_for_tests
        server.asked.append({key.lower(): value for key, value in self.headers.items()})
        server.on_request()
        told = server.paths.get(self.path, 200)
        if told != 200:
            self.send_response(302 if isinstance(told, str) else told)
            if isinstance(told, str):
                self.send_header("Location", told)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first = self._first(server)
        if first >= len(server.data) > 0:
            self.send_error(416)
            return
        body = server.data[first:]
        self.send_response(206 if first else 200)
        if first:
            whole = f"bytes {first}-{len(server.data) - 1}/{len(server.data)}"
            self.send_header("Content-Range", server.says_range or whole)
        if server.says_length:
            self.send_header("Content-Length", str(len(body)))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        if self.command == "GET":
            cut = None if server.cuts_left <= 0 else server.cut
            if cut is not None:
                server.cuts_left -= 1
            with contextlib.suppress(ConnectionError):  # who stops reading hangs up
                self.wfile.write(body if cut is None else body[:cut])
        self.close_connection = True

    def _first(self, server: Server) -> int:
        asked = self.headers.get("Range")
        if asked is None or not server.ranges or self.headers.get("If-Range", server.etag) != server.etag:
            return 0
        return int(asked[len("bytes=") : -1])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    facts = Server()
    handler = type("Handler", (_Handler,), {"server_for_tests": facts})
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    facts.address = f"http://127.0.0.1:{running.server_address[1]}/"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield facts
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture
def get(server: Server, tmp_path: Path) -> Callable[..., Path]:
    """Downloads an entry into the folder "models", over the test's own unencrypted server."""
    opener = functools.partial(open_url, allowed=(server.address,))

    def run(entry: Entry, progress: Any = None, folder: Path = tmp_path / "models", **given: Any) -> Path:
        options = {"opener": opener, "environment": CALM, **given}
        return download(entry, folder, progress or Listener(), **options)

    return run


@pytest.fixture
def entry(server: Server) -> Entry:
    return make_entry(f"{server.address}a/file.pth")


def make_entry(*urls: str, data: bytes = DATA, file: str = "file.pth", identity: str = "4x-File") -> Entry:
    sha256 = hashlib.sha256(data).hexdigest()
    facts = ("MIT", "ESRGAN", 4, 3, 3, ("photos",), "2024-01-01")
    return Entry(identity, "File", ("Somebody",), *facts, file, len(data), sha256, urls)


class Listener:
    """Stops at a fraction, where one is given."""

    def __init__(self, stop_at: float = 2.0) -> None:
        self.told: list[float] = []
        self._stop_at = stop_at

    def advance(self, fraction: float, note: str = "") -> None:
        self.told.append(fraction)

    def cancelled(self) -> bool:
        return bool(self.told) and self.told[-1] >= self._stop_at


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leave_a_beginning(get: Callable[..., Path], entry: Entry, server: Server) -> None:
    """As a download that is stopped in the middle does."""
    with pytest.raises(Cancelled):
        get(entry, Listener(stop_at=0.2))
    server.asked.clear()


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


# -- going on ----------------------------------------------------------------------------------------------------------


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

"""A server for the tests of downloads, and what they have in common."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from lib_upscaler.catalogue import Entry
from lib_upscaler.errors import Cancelled

__all__ = ["CALM", "DATA", "Handler", "Listener", "Server", "leave_a_beginning", "listed", "make_entry"]


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


class Handler(BaseHTTPRequestHandler):
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

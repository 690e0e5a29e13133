"""An S3 server (moto's) in a process of its own, and a door before it that cuts connections."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

__all__ = ["Door", "object_store"]


@contextlib.contextmanager
def object_store() -> Iterator[int]:
    """The port of a new server without any bucket."""
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5):
                break
            assert server.poll() is None
            time.sleep(0.1)
        yield port
    finally:
        server.kill()
        server.wait()


class Door:
    """Passes connections on to a port; each of ``cuts`` ends one after so many bytes of the answer."""

    def __init__(self, behind: int) -> None:
        self.cuts: list[int] = []
        self.cut = 0
        self._behind = behind
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._open, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _open(self) -> None:
        while True:
            try:
                here, _ = self._socket.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self._behind))
            threading.Thread(target=self._pass_on, args=(here, there), daemon=True).start()
            threading.Thread(target=self._pass_back, args=(there, here), daemon=True).start()

    @staticmethod
    def _pass_on(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        _end(other)

    def _pass_back(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                if self.cuts:
                    length = self.cuts.pop(0)
                    self.cut += 1
                    other.sendall(data[:length])
                    break
                other.sendall(data)
        _end(other)
        _end(one)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]

"""The bytes of a model file: looked at in parts, then read once from end to end, hashed, and kept where wanted.

A file can change while it is read: it is replaced by another of its name, cut off, or written over. It is therefore not
mapped into memory, where a page that has gone would end the whole process, and nothing is said of the file by any bytes
but those that were read: its SHA-256 is that of the very bytes that the tensors come from.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from ..errors import ModelFileError
from .stored import Place, Unsound, cannot_load, excessive_file

__all__ = ["Source", "opened_source"]

_BLOCK = 4 << 20
_LARGEST_FILE = 16 << 30
_LARGEST_CONTENT = 4 << 30
"""bytes; the largest upscaler that is known, AuraSR, has 2.5 GB."""
_JUST_NOW = 2.0
"""Seconds in which a clock may stand still: so old must the last change be for the file's time to tell of another."""


@contextmanager
def opened_source(path: Path) -> Iterator[Source]:
    """Errors of the system come out as ModelFileError."""
    try:
        with path.open("rb", buffering=0) as file:
            yield Source(path, file)
    except PermissionError as error:
        raise ModelFileError(cannot_load(path), "it may not be read", "change the file's permissions") from error
    except OSError as error:
        raise ModelFileError(cannot_load(path), error.strerror or str(error), "check the disk it lies on") from error


class Source:
    """One open file.

    size, mtime_ns: bytes and time, of the open file whatever its name now leads to.
    sha256: in hex, once ``fetch`` has read it.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        self._state = self._stat()
        self.size, self.mtime_ns = self._state[:2]
        self.sha256 = ""
        self._looked: list[tuple[int, bytes]] = []

    def look(self, start: int, size: int) -> bytes:
        """These bytes, fewer at the file's end. They are remembered, to be compared with what ``fetch`` reads."""
        for at, data in reversed(self._looked[-4:]):  # a table of contents is read in small pieces
            if at <= start and start + size <= at + len(data):
                return data[start - at : start - at + size]
        self._file.seek(start)
        found = bytearray()
        while len(found) < size:
            part = self._file.read(min(size - len(found), _BLOCK))
            if not part:
                break
            found += part
        self._looked.append((start, bytes(found)))
        return self._looked[-1][1]

    def fetch(self, places: Iterable[Place]) -> dict[Place, Tensor]:
        """The bytes at these places, unpacked, 1-D uint8. The whole file is read for it, once.

        Raises ModelFileError where the file changes meanwhile or is larger than any model; Unsound where places
        overlap, or do not unpack to what they should.
        """
        wanted = sorted(set(places), key=lambda place: (place.start, place.length))
        if self.size > _LARGEST_FILE or sum(max(place.size, place.length) for place in wanted) > _LARGEST_CONTENT:
            raise excessive_file(self.path, f"its size is {self.size / 1e9:.1f} GB")
        reading, found = _Reading(self._file, self._looked), {}
        try:
            for place in wanted:
                if not place.length:
                    found[place] = torch.empty(0, dtype=torch.uint8)
                    continue
                if place.start < reading.position:
                    raise Unsound("parts of the file overlap")
                reading.skip(place.start - reading.position)
                data = bytearray(place.length)
                reading.fill(data)
                found[place] = _tensor(place.unpacked(data))
            reading.skip(self.size - reading.position)
        except EOFError:
            raise self._changed() from None
        self.sha256 = reading.digest.hexdigest()
        if not reading.agreed or not self._is_settled():
            raise self._changed()
        return found

    def _is_settled(self) -> bool:
        """Whether what was read is all of one state.

        A write that had begun before the file was opened changes no time any more, and a time can be set back; where
        that may be so, a second look has to find the same bytes. (The file's name going to another changes ``ctime``.)
        """
        *state, touched = self._stat()
        if state != self._state[:2]:
            return False
        if touched == self._state[2] and time.time() - self.mtime_ns / 1e9 > _JUST_NOW:
            return True
        again = _Reading(self._file, [])
        try:
            again.skip(self.size)
        except EOFError:
            return False
        return again.digest.hexdigest() == self.sha256 and self._stat()[:2] == self._state[:2]

    def _stat(self) -> list[int]:
        status = os.fstat(self._file.fileno())
        return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]

    def _changed(self) -> ModelFileError:
        return ModelFileError(
            cannot_load(self.path), "the file was changed while it was read", "wait until it is there, and try again"
        )


class _Reading:
    """One way through the file from its beginning, hashed.

    agreed: whether all that was looked at before (offset, bytes) was still the same.
    """

    def __init__(self, file: BinaryIO, looked: list[tuple[int, bytes]]) -> None:
        self.position, self.agreed, self.digest = 0, True, hashlib.sha256()
        self._file, self._looked = file, sorted(looked)
        self._passed = 0  # so many of them lie before the position
        self._scratch = bytearray()
        file.seek(0)

    def skip(self, size: int) -> None:
        """Read on without keeping anything. Raises EOFError."""
        if size and not self._scratch:
            self._scratch = bytearray(_BLOCK)
        while size > 0:
            part = memoryview(self._scratch)[: min(size, _BLOCK)]
            self.fill(part)
            size -= len(part)

    def fill(self, target: bytearray | memoryview) -> None:
        """Raises EOFError where the file has no more bytes for it."""
        view = memoryview(target)
        while view:
            count = self._file.readinto(view[:_BLOCK])  # type: ignore[attr-defined]
            if not count:
                raise EOFError
            self.digest.update(view[:count])
            self._compare(view[:count])
            self.position += count
            view = view[count:]

    def _compare(self, part: memoryview) -> None:
        end = self.position + len(part)
        for start, data in self._looked[self._passed :]:
            if start >= end:
                break
            first, last = max(start, self.position), min(start + len(data), end)
            now = part[first - self.position : last - self.position]
            if first < last and data[first - start : last - start] != now:
                self.agreed = False
        while self._passed < len(self._looked) and self._end_of(self._passed) <= end:
            self._passed += 1

    def _end_of(self, number: int) -> int:
        start, data = self._looked[number]
        return start + len(data)


def _tensor(data: bytes | bytearray) -> Tensor:
    """The same bytes, 1-D uint8."""
    return torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)

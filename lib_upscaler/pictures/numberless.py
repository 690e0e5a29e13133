"""A file without the number that the system gives it."""

from __future__ import annotations

from typing import Any, BinaryIO

__all__ = ["numberless"]


class _Numberless:
    """Everything of a file but ``fileno``."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        if name == "fileno":
            raise AttributeError(name)
        return getattr(self._file, name)


def numberless(file: BinaryIO) -> BinaryIO:
    """The same file, for Pillow's TIFF, which is read and written by libtiff.

    Pillow gives libtiff a copy of the file's number, which libtiff closes, and then closes that number once more
    (``TiffImagePlugin``, ``os.close(fp)``). Where another thread has opened a file in between, that one is closed under
    its hands, and what it writes next may go into a third one. Without a number Pillow hands over bytes.
    """
    return _Numberless(file)  # type: ignore[return-value]

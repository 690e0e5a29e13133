"""What is remembered, and for how long: a process of a WebUI outlives its page and the scripts it has loaded.

Nothing of ``webui`` is kept in variables of modules: a module stays when the host reloads its scripts or builds its
page anew. What has to be remembered is an object of a class, kept in one of the lives here, and gone when that ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["PAGE", "PROCESS", "SCRIPTS", "Life"]

_Kept = TypeVar("_Kept")


class Life:
    """Keeps one object of each class. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._kept: dict[Any, Any] = {}

    def of(self, kind: Callable[[], _Kept]) -> _Kept:
        """The object of this class, made now where there is none yet."""
        with self._lock:
            if kind not in self._kept:
                self._kept[kind] = kind()
            return self._kept[kind]

    def end(self) -> None:
        """Forget all; the next life begins."""
        with self._lock:
            self._kept.clear()


PROCESS = Life()
"""Goes on when the UI is reloaded: loaded models, a download that is under way."""

SCRIPTS = Life()
"""From one load of the host's scripts to the next."""

PAGE = Life()
"""While the host builds its page, and for as long as that page is served."""

"""How the program ends: what its exit status says, and how Ctrl-C and SIGTERM stop a job with nothing half-done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from ..errors import ModelNotFoundError, RequestError, TrueScaleError

__all__ = ["CANCELLED", "FAILED", "WRONG_USE", "StopRequest", "exit_code", "stop_on_signals"]


FAILED, WRONG_USE, CANCELLED = 1, 2, 130


def exit_code(error: TrueScaleError) -> int:
    """Whether the program was used wrongly, or something failed."""
    return WRONG_USE if isinstance(error, (RequestError, ModelNotFoundError)) else FAILED


class StopRequest:
    """A user's wish to stop.

    Within ``gently()`` the first one only sets ``requested``, for the work to notice; elsewhere, and the second time,
    it interrupts at once.
    """

    def __init__(self) -> None:
        self.requested = False
        self._gentle = False

    def request(self) -> None:
        """Ask to stop. Raises KeyboardInterrupt where there is nothing to finish first."""
        if self.requested or not self._gentle:
            self.requested = True
            raise KeyboardInterrupt
        self.requested = True

    @contextlib.contextmanager
    def gently(self) -> Iterator[None]:
        """Around work that looks at ``requested`` by itself."""
        self._gentle = True
        try:
            yield
        finally:
            self._gentle = False


@contextlib.contextmanager
def stop_on_signals(stop: StopRequest) -> Iterator[None]:
    """Let the signals that end a program ask ``stop`` instead. Signals that are ignored (nohup) stay so."""
    previous = {}
    if threading.current_thread() is threading.main_thread():  # Python lets no other thread set handlers
        for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # the last is Ctrl-Break on Windows
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, lambda *_: stop.request())
    try:
        yield
    finally:
        for number, handler in previous.items():
            # None: a handler that was not set from Python, which Python cannot set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

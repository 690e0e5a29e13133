"""Asking a server for the bytes of a file, over https only, and what is said where it does not give them."""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from .. import __version__
from ..errors import DownloadError, NoNetworkError

__all__ = ["FAILURES", "Opener", "content_range", "has_network", "in_words", "open_https", "open_url", "request_for"]

Opener = Callable[[urllib.request.Request, float], Any]
"""Takes a request and a timeout in seconds; gives a response, or raises one of ``FAILURES`` or DownloadError."""

FAILURES = (OSError, http.client.HTTPException)
"""What a connection raises: urllib's errors and time-outs are kinds of OSError."""

_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}
_STATUS_WORDS = {
    401: "the server wants one to log in",
    403: "the server does not give it to us",
    404: "the file is not there any more",
    410: "the file is not there any more",
    429: "the server has had too many requests",
}


def open_url(request: urllib.request.Request, timeout: float, allowed: Sequence[str] = ("https://",)) -> Any:
    """As ``urlopen``, with the system's proxies; all addresses on the way begin with one of ``allowed``.

    timeout: seconds for connecting, and for each wait for more bytes. Raises ``FAILURES`` or DownloadError.
    """
    _check_allowed(request.full_url, allowed)
    return urllib.request.build_opener(_Redirects(allowed)).open(request, timeout=timeout)


def open_https(request: urllib.request.Request, timeout: float) -> Any:
    """The way that downloads go unless a test says otherwise."""
    return open_url(request, timeout)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects for as long as they stay encrypted."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = allowed

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        try:
            _check_allowed(newurl, self._allowed)
        except DownloadError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_allowed(url: str, allowed: Sequence[str]) -> None:
    if not url.lower().startswith(tuple(allowed)):
        raise DownloadError(
            f"nothing was downloaded from {urlsplit(url).hostname}",
            "the way to the file leads over an address that is not encrypted (https)",
            "fetch the file by hand",
        )


def request_for(url: str, method: str = "GET", **headers: str) -> urllib.request.Request:
    """headers: with underscores in place of hyphens."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    ours = {"User-Agent": f"TrueScale/{__version__}", "Accept-Encoding": "identity"}
    return urllib.request.Request(url, headers={**ours, **given}, method=method)


def has_network(urls: Iterable[str], opener: Opener = open_https, timeout: float = 3.0) -> bool:
    """Whether one of the hosts of these addresses answers; whatever it answers will do. For use when a user asks."""
    by_host = {urlsplit(url).hostname: url for url in urls}
    for url in by_host.values():
        try:
            with opener(request_for(url, "HEAD"), timeout):
                return True
        except urllib.error.HTTPError as answer:
            answer.close()
            return True
        except DownloadError:  # a redirect that is not followed is an answer, too
            return True
        except FAILURES as error:
            if isinstance(getattr(error, "reason", error), ssl.SSLError):  # an answer, if no good one
                return True
    return False


def content_range(text: str | None) -> tuple[int, int | None] | None:
    """First byte and size of the whole file, of ``bytes 10-99/100`` (``*``: size unknown); None for anything else."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", (text or "").strip())
    return (int(match.group(1)), None if match.group(2) == "*" else int(match.group(2))) if match else None


def in_words(error: BaseException, url: str) -> DownloadError:
    """The same error for a person to read."""
    host = urlsplit(url).hostname or url
    what = f"nothing was downloaded from {host}"
    if isinstance(error, DownloadError):
        return error
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        words = _STATUS_WORDS.get(error.code, "the server has trouble" if error.code >= 500 else "the server refuses")
        return DownloadError(what, f"{words} (HTTP {error.code})", "try again later, or fetch the file by hand")
    reason = getattr(error, "reason", error)
    reason = reason if isinstance(reason, BaseException) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        todo = "check this computer's clock and certificates, or fetch the file by hand"
        return DownloadError(what, f"who answers cannot prove to be that server ({reason.verify_message})", todo)
    if isinstance(reason, socket.gaierror) or getattr(reason, "errno", None) in _UNREACHABLE:
        return NoNetworkError(what, "there is no network, or no such server", "connect this computer and try again")
    if isinstance(reason, (TimeoutError, socket.timeout)):
        return DownloadError(what, "the server does not answer in time", "try again")
    return DownloadError(what, f"the connection failed ({reason})", "try again")

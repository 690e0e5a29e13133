"""Whether a request was made by a page of this WebUI, or by another site open in the same browser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from . import access

__all__ = ["is_foreign"]


def is_foreign(headers: Mapping[str, str]) -> bool:
    """headers: of the request, names in lower case. Programs that are no browsers send none of these, and are not.

    Sec-Fetch-Site is the browser's own word, and right behind any proxy; it is there for https and this computer alone.
    Elsewhere Origin is compared with the address that was asked for. Sites that ``--cors-allow-origins`` names are not
    foreign.
    """
    origin = headers.get("origin") or ""
    if origin and _is_allowed(origin):
        return False
    site = headers.get("sec-fetch-site")
    if site:
        return site not in ("same-origin", "none")
    if not origin:
        return False
    asked = (headers.get("host"), headers.get("x-forwarded-host"))
    return urlsplit(origin).netloc.lower() not in {address.lower() for address in asked if address}


def _is_allowed(origin: str) -> bool:
    named = access.command_option("cors_allow_origins") or ""
    pattern = access.command_option("cors_allow_origins_regex")
    if origin in (one.strip() for one in str(named).split(",")) or str(named).strip() == "*":
        return True
    try:
        return bool(pattern and re.fullmatch(str(pattern), origin))
    except re.error:
        return False

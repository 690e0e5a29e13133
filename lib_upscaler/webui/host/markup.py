"""HTML that the host can translate: it knows whole texts only, so that each word of ours is an element of its own.

Numbers and names stand between them. A test finds the words by the calls of ``word``, and in tuples called WORDS.
"""

from __future__ import annotations

import html

__all__ = ["SEPARATOR", "line", "plain", "problem", "word"]

SEPARATOR = " · "


def word(text: str) -> str:
    """A fixed text, which has its translations."""
    return f"<span>{html.escape(text)}</span>"


def plain(text: object) -> str:
    """A number, a name, or words of an error: shown as they are."""
    return html.escape(str(text))


def line(parts: list[str], kind: str = "note") -> str:
    """A paragraph of parts, each HTML; "" where there are none. kind: "note" or "problem"."""
    found = [part for part in parts if part]
    return f"<p class='truescale-{kind}'>{SEPARATOR.join(found)}</p>" if found else ""


def problem(text: object) -> str:
    """A paragraph that says what is wrong."""
    return line([plain(text)], "problem")

"""Recipes: "A > B" is A once, then B on what it gave; "A@25 & B@75" is one network, a quarter of A and three of B.

A name that is a model's wins over this grammar, and one in quotes is taken whole. "&" binds closer than ">". Shares are
percentages; who names none gets an equal part of what the others leave. No torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ..errors import ModelNotFoundError, RequestError
from .entry import BlendedEntry, ModelEntry

__all__ = ["as_models", "recipe_of", "stages_of"]

_T = TypeVar("_T")
Stage = list[tuple[_T, float]]

_SHARE = re.compile(r"(?P<name>.*?)\s*@\s*(?P<share>[0-9]+\.?[0-9]*|\.[0-9]+)\s*%?\s*", re.DOTALL)
_ROUNDING = 0.15
"""Percent that shares may be off together: three thirds are written 33.3."""


def stages_of(text: str | Path, find: Callable[[str | Path], _T]) -> list[Stage[_T]]:
    """What runs one after the other; each is what ``find`` gives for its names, with its share (0 to 1) in the network.

    Raises what ``find`` does, ModelNotFoundError for a name that is none; RequestError for shares that cannot be.
    """
    try:
        return [[(find(text), 1.0)]]
    except ModelNotFoundError:
        parts = _split(text, ">") if isinstance(text, str) else []
        if not parts or not any(sign in str(text) for sign in ">&@\"'"):
            raise
    return [_stage(part, find) for part in parts]


def as_models(stages: Sequence[Stage[_T]]) -> list[_T | BlendedEntry]:
    """One model for each stage. Raises RequestError: only files can be interpolated."""
    return [stage[0][0] if len(stage) == 1 else _blended(stage) for stage in stages]


def recipe_of(entries: Sequence[ModelEntry]) -> str:
    """The text of models that run one after the other."""
    return " > ".join(one.name if isinstance(one, BlendedEntry) else _quoted(one.name) for one in entries)


def _blended(stage: Stage[_T]) -> BlendedEntry:
    files: list[tuple[ModelEntry, float]] = []
    for one, share in stage:
        if not isinstance(one, ModelEntry):
            raise RequestError(
                f"'{getattr(one, 'name', one)}' cannot be interpolated with others",
                "only model files have weights",
                "mix its result in as Upscaler 2 instead",
            )
        files.append((one, share))
    name = " & ".join(f"{_quoted(entry.name)}@{share * 100:.4g}" for entry, share in files)
    first = files[0][0]
    return BlendedEntry(name, first.path, first.size_bytes, first.mtime_ns, tuple(files))


def _quoted(name: str) -> str:
    return f'"{name}"' if any(sign in name for sign in ">&@") else name


def _stage(text: str, find: Callable[[str | Path], _T]) -> Stage[_T]:
    try:
        return [(find(_bare(text)), 1.0)]
    except ModelNotFoundError:
        if not any(sign in text for sign in "&@"):
            raise
    parts = [_part(part, find) for part in _split(text, "&")]
    return _shared_out(text, parts)


def _part(text: str, find: Callable[[str | Path], _T]) -> tuple[_T, float | None]:
    """A model, and its share in percent where one is named."""
    try:
        return find(_bare(text)), None
    except ModelNotFoundError:
        match = _SHARE.fullmatch(text)
        if match is None:
            raise
    return find(_bare(match.group("name"))), float(match.group("share"))


def _shared_out(text: str, parts: list[tuple[_T, float | None]]) -> Stage[_T]:
    named = sum(share for _, share in parts if share is not None)
    silent = sum(share is None for _, share in parts)
    if named > 100 + _ROUNDING or (not silent and named < 100 - _ROUNDING):
        raise RequestError(
            f"the shares in '{text}' come to {named:g} percent", "", "let them come to 100, as in A@25 & B@75"
        )
    whole = max(100.0, named) if silent else named
    each = (whole - named) / silent if silent else 0.0
    shares = [(one, (each if share is None else share) / whole) for one, share in parts]
    return [(one, share) for one, share in shares if share > 0]


def _split(text: str, sign: str) -> list[str]:
    """What stands between the signs of a text; those in quotes, which begin where a name does, are none."""
    parts, current, quote = [], "", ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and current.rstrip()[-1:] in ("", ">", "&"):
            quote = character
        elif character == sign:
            parts.append(current.strip())
            current = ""
            continue
        current += character
    return [*parts, current.strip()]


def _bare(text: str) -> str:
    """Without the quotes around it."""
    text = text.strip()
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" and text[0] not in text[1:-1]
    return text[1:-1] if is_quoted else text

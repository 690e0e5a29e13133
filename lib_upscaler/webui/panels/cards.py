"""What is known of an upscaler: its card below the drop-down, and the scale that it is grouped by."""

from __future__ import annotations

import os
import re
import threading
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import TrueScaleError
from ...fields import NO_UPSCALER
from ...models.card import ModelCard, known_card, known_cards_state, read_card
from ...models.entry import BlendedEntry
from .. import host
from ..host.lives import PAGE
from ..host.markup import line, plain, problem, word
from ..takeover import choices

if TYPE_CHECKING:
    from ...catalogue import Entry

__all__ = ["OTHERS", "card_html", "grouped", "groups", "read", "scale_of", "scales"]

OTHERS = "Other upscalers"
"""The group of upscalers without a scale of their own, or whose scale is not known before they are read."""

_IN_NAMES = re.compile(r"(?:^|[^0-9a-z])(\d{1,2})x(?![0-9])|x(\d{1,2})(?![0-9])", re.IGNORECASE)
_LARGEST_IN_NAMES = 16
_READING = threading.Lock()
"""One at a time: two looks at an unknown model would load it twice."""

WORDS = (
    "upscaling",
    "restoration",
    "Faithful 4x upscaling: no halos, no invented texture. Small and fast.",
)
"""Purposes of cards, and what the model that ships says of itself."""


def read(name: str) -> ModelCard | None:
    """The card of one that our engine runs and whose file is here, else None. Raises ModelError."""
    file = choices.file_of(name)
    if file is None or not os.path.isfile(file):
        return None
    with _READING, host.plain_arithmetic():
        return read_card(Path(file), name=name)


def scale_of(name: str) -> int | None:
    """By the card that was made before, else by the name, as its makers write it ("4x", "x2"); nothing is loaded.

    Of "A > B" what one pass of each comes to.
    """
    stages = choices.stages(name)
    if stages != [[name]]:
        scales = [scale_of(stage[0]) for stage in stages]
        return None if None in scales else prod(scale for scale in scales if scale)
    file = choices.file_of(name)
    if file is not None and os.path.isfile(file):
        try:
            card = known_card(Path(file), name=name)
        except TrueScaleError:
            card = None
        if card is not None:
            return card.scale
    found = _IN_NAMES.search(name)
    scale = int(found.group(1) or found.group(2)) if found else 0
    return scale if 1 <= scale <= _LARGEST_IN_NAMES else None


class _Scales:
    """Of all that is listed, for as long as nothing has changed that they follow from: a page has a dozen lists."""

    def __init__(self) -> None:
        self.state: tuple[object, ...] = ()
        self.found: dict[str, int | None] = {}


def scales(names: list[str]) -> dict[str, int | None]:
    """Name -> ``scale_of``."""
    kept, state = PAGE.of(_Scales), (choices.state(), known_cards_state())
    if kept.state != state:
        kept.state, kept.found = state, {}
    found = kept.found
    for name in names:
        if name not in found:
            found[name] = scale_of(name)
    return {name: found[name] for name in names}


def groups(names: list[str]) -> dict[str, str]:
    """Name -> "1x", "2x" ..., or ``OTHERS``."""
    return {name: f"{scale}x" if scale else OTHERS for name, scale in scales(names).items()}


def grouped(names: list[str]) -> list[str]:
    """The same names, by their scales; within a scale as they were, the others last."""
    found = scales(names)
    return sorted(names, key=lambda name: found[name] or 1000)


# -- for the page ------------------------------------------------------------------------------------------------------


def card_html(name: str | None) -> str:
    """What the page says of it; what is wrong with it, where it cannot be read."""
    if not name or name == NO_UPSCALER:
        return ""
    stages = choices.stages(name)
    if stages != [[name]]:
        parts = [part for stage in stages for part in stage]
        return "".join(line([f"<b>{plain(part)}</b>"]) + card_html(part) for part in parts) + _problem_of(name)
    file = choices.file_of(name)
    if file is None:
        if name in choices.names():
            return line([word("run by the WebUI, or by another extension")])
        return _problem_of(name)
    try:
        card = read(name)
    except TrueScaleError as error:
        return problem(error)
    except Exception as error:  # noqa: BLE001 - whatever one file does, the page and the other models stay
        return problem(f"'{name}' cannot be read: {type(error).__name__}: {error}")
    if card is None:
        return line([word("not on this computer yet; it is fetched at its first use")])
    return line(_facts(card)) + line(_further(card))


def _problem_of(name: str) -> str:
    """Why there is no upscaler of this name, or why the recipe cannot be."""
    try:
        model = choices.peek(name)
        for one in model if isinstance(model, tuple) else (model,):
            if isinstance(one, BlendedEntry) and all(part.path.is_file() for part, _ in one.parts):
                _refuse_unlike(one)
    except TrueScaleError as error:
        return problem(error)
    return ""


def _refuse_unlike(entry: BlendedEntry) -> None:
    """Raises ModelError for files that cannot be interpolated."""
    from ...models.loader import describe

    with _READING, host.plain_arithmetic():
        describe(entry)


def _facts(card: ModelCard) -> list[str]:
    kinds = {1: word("grey"), 3: "RGB", 4: "RGBA"}
    channels = kinds.get(card.input_channels, plain(card.input_channels))
    if card.output_channels != card.input_channels:
        channels += f" → {kinds.get(card.output_channels, plain(card.output_channels))}"
    known = _in_catalogue(card)
    license_text = card.license or (known.license if known else "")
    return [
        f"{plain(card.architecture)} {card.scale}x",
        channels,
        *([word(purpose) for purpose in known.purposes] if known else [word(card.purpose)]),
        f"{card.file_size / 1e6:.1f} MB",
        f"{word('licence')}: {plain(license_text)}" if license_text else "",
        word("tiling changes its result") if card.tiling_effect == "changes the result" else "",
    ]


def _further(card: ModelCard) -> list[str]:
    return [plain(card.description)] if card.description else []


def _in_catalogue(card: ModelCard) -> Entry | None:
    from ...catalogue import by_sha256

    return by_sha256(card.sha256)

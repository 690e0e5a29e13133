"""What the host keeps of a run beside the gallery that shows it, picture by picture.

Its "infotexts" have one item for each picture, grids as well, which come first: "index_of_first_image" of them. The
lists "all_seeds", "all_prompts" and so on have one for each that is no grid. The host's Save and its buttons that reuse
a seed go by them (up to 1.7 by all, later by the texts above all), so that they have to fit the gallery.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Said", "generation_of", "said_of", "told_of"]

_OF_EACH = "all_"
_FIRST = "index_of_first_image"


@dataclass(frozen=True)
class Said:
    """Of one picture. items: by the names of the lists "all_"."""

    infotext: str
    is_grid: bool
    items: Mapping[str, Any]


def generation_of(text: str | None) -> dict[str, Any]:
    """With "infotexts", one for each picture as far as there are."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = {}
    found = found if isinstance(found, dict) else {}
    texts = found.get("infotexts")
    return {**found, "infotexts": list(map(str, texts)) if isinstance(texts, list) else []}


def said_of(known: Mapping[str, Any], index: int) -> Said:
    """index: in the gallery. A grid, and what comes after all that was generated, have the first one's items: as the
    host itself does it."""
    texts, first = known["infotexts"], _grids(known)
    at = index - first
    items = {name: all_of[at if 0 <= at < len(all_of) else 0] for name, all_of in _lists(known).items()}
    return Said(texts[index] if index < len(texts) else "", index < first, items)


def told_of(known: Mapping[str, Any], pictures: Sequence[Said]) -> str:
    """The host's text for a gallery of these pictures. One without an item gets that of the first of the run."""
    lists = {
        name: [said.items.get(name, all_of[0]) for said in pictures if not said.is_grid]
        for name, all_of in _lists(known).items()
    }
    first = {_FIRST: sum(said.is_grid for said in pictures)} if _FIRST in known else {}
    return json.dumps({**known, **lists, **first, "infotexts": [said.infotext for said in pictures]})


def _grids(known: Mapping[str, Any]) -> int:
    first = known.get(_FIRST)
    return first if isinstance(first, int) else 0


def _lists(known: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: one for name, one in known.items() if name.startswith(_OF_EACH) and isinstance(one, list) and one}

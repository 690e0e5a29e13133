"""One thing that can be asked for, in all places where it can, and the check of a value. No torch, no gradio."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import RequestError

__all__ = [
    "BY_SETTINGS",
    "ENGINES",
    "GIGABYTE",
    "IMG2IMG_SIZE",
    "NO_UPSCALER",
    "SECOND_PASSES",
    "WAYS",
    "At",
    "Field",
    "Place",
]

Place = Literal["extras", "sd", "hires", "api", "command line", "xyz"]
"""Where something can be asked for. "extras", "sd" and "hires" are panels."""

NO_UPSCALER = "None"
"""The WebUI's name for none at all."""
BY_SETTINGS = "as in the settings"
"""In a panel's list of precisions: that of the WebUI's settings page."""
GIGABYTE = 10**9

WAYS: dict[str, tuple[str, ...]] = {
    "Scale by": ("scale",),
    "Scale to": ("width", "height"),
    "Longest side": ("longest_side",),
    "Megapixels": ("megapixels",),
}
"""How a size can be asked for, and by which fields."""

IMG2IMG_SIZE = "img2img's size"

ENGINES = ("Tiles", "One canvas", "auto")
"""How a picture is redrawn: tile by tile; at once, with a network that gets tiles; the second where it is possible."""

SECOND_PASSES = ("whole", "one canvas in tiles", "auto")
"""How the second pass of Hires. fix is sampled: at once; at once, with a network that gets tiles; the second where the
first does not fit into memory."""

_AS_FIELD: Any = object()
_LARGEST = 1e300


@dataclass(frozen=True)
class At:
    """A field in one place.

    key: in panels that of the infotext ("" for none), the API's name, the option, or the end of the axis's label.
    default, choices: where they are others than the field's. about: a description, where it is another than ``info``.
    shown: in a panel; what is not shown keeps its place among the arguments.
    """

    key: str
    default: Any = _AS_FIELD
    choices: tuple[str, ...] = ()
    about: str = ""
    shown: bool = True


@dataclass(frozen=True)
class Field:
    """One thing that can be asked for.

    name: in panels, presets, and named arguments. noun: in errors. kind: "model" is the name of an upscaler.
    default: None for one that depends. low, high: what is accepted. smallest: the least that is not 0. slider: its
    least, largest and step. unit: "x", "px", "GB", ... whole: numbers are rounded. words: texts that a number may be as
    well. group: what it belongs to. lines: of a text that are seen at once; above 1 it may have any number.
    """

    name: str
    kind: Literal["model", "choice", "number", "text", "switch"]
    label: str
    at: Mapping[Place, At]
    noun: str = ""
    default: Any = None
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    smallest: float = 0
    slider: tuple[float, float, float] | None = None
    whole: bool = False
    unit: str = ""
    info: str = ""
    group: Literal["models", "size", "tiles", "engine", "ldsr", "second pass"] = "engine"
    words: tuple[str, ...] = field(default=())
    lines: int = 1

    def default_at(self, place: Place) -> Any:
        default = self.at[place].default
        return self.default if default is _AS_FIELD else default

    def choices_at(self, place: Place) -> tuple[str, ...]:
        return self.at[place].choices or self.choices

    def about_at(self, place: Place) -> str:
        return self.at[place].about or self.info

    def checked(self, value: Any, place: Place) -> Any:
        """``value`` in the field's type; its default for None, and for "" where that says nothing.

        How large a picture can be is for ``planning.sizing`` to say, with its reasons. Raises RequestError.
        """
        if value is None or (value == "" and self.kind != "text"):
            return self.default_at(place)
        noun = self.noun or self.label.lower()
        if self.kind == "choice" and value not in self.choices_at(place):
            known = ", ".join(self.choices_at(place))
            raise RequestError(f"there is no {noun} '{value}'", "", f"use one of {known}")
        if self.kind == "text":
            is_listed = self.lines > 1 and isinstance(value, (list, tuple))
            return "\n".join(map(str, value)) if is_listed else str(value)
        if self.kind == "switch":
            return self._switched(value)
        if self.kind != "number" or value in self.words:
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RequestError(f"the {noun} {value!r} is not a number", "", "give a number")
        if not -_LARGEST < value < _LARGEST:  # NaN is neither; of a large int a float cannot even be made
            raise RequestError(f"the {noun} is not a finite number", "", "give a number")
        if self.group != "size" and not self.low <= value <= self.high:
            span = f"from {self.low:g} to {self.high:g}" if self.high < math.inf else f"at least {self.low:g}"
            raise RequestError(f"the {noun} cannot be {value:g}", f"it must be {span}", "give such a number")
        if 0 < value < self.smallest:
            least = f"{self.smallest:g} {self.unit}"
            raise RequestError(
                f"the {noun} cannot be {value:g}", f"it must be 0, or at least {least}", "give such a number"
            )
        return round(value) if self.whole else float(value)

    def _switched(self, value: Any) -> bool:
        """Also of the words that a picture or an X/Y/Z plot has. Raises RequestError."""
        word = str(value).strip().casefold()
        if word not in ("true", "false"):
            noun = self.noun or self.label.lower()
            raise RequestError(f"{noun} cannot be '{value}'", "it is on or off", "give true or false")
        return word == "true"

    def read(self, text: str, place: Place) -> Any:
        """The value of a text in a picture; the default where it is none."""
        try:
            return self.checked(float(text) if self.kind == "number" else text, place)
        except (RequestError, ValueError):
            return self.default_at(place)

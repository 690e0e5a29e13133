"""What can be asked for, in one table: it makes the panels' widgets, what pictures say of how they were made, the API's
schema, the command line's options, the axes of an X/Y/Z plot, and the checks of all of them. No torch, no gradio.

A new field is one more entry of ``FIELDS``, and a line in ``as_request`` for what it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .diffusion.grid import ORDERS
from .errors import RequestError
from .models.library import ModelEntry
from .planning.sizing import FITS, MAX_SCALE, MIN_SCALE, ByDimensions, ByLongestSide, ByMegapixels, ByScale, SizeRequest
from .request import ALPHAS, PRECISIONS, Model, Precision, UpscaleRequest

__all__ = [
    "BY_SETTINGS",
    "FIELDS",
    "GIGABYTE",
    "NO_UPSCALER",
    "WAYS",
    "At",
    "Field",
    "Place",
    "as_request",
    "by_key",
    "checked",
    "default_of",
    "fields_of",
    "in_sequence",
    "size_of",
    "ways_given",
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
    well. group: what it belongs to.
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
    group: Literal["models", "size", "tiles", "engine"] = "engine"
    words: tuple[str, ...] = field(default=())

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
            return str(value)
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

    def read(self, text: str, place: Place) -> Any:
        """The value of a text in a picture; the default where it is none."""
        try:
            return self.checked(float(text) if self.kind == "number" else text, place)
        except (RequestError, ValueError):
            return self.default_at(place)


_SCALES = (float(MIN_SCALE), float(MAX_SCALE))
_SIDE: dict[str, Any] = {"low": 1, "slider": (1, 16384, 1), "whole": True, "unit": "px", "group": "size"}
_TILE_SIDE: dict[str, Any] = {
    **{"low": 0, "high": 65536, "slider": (0, 2048, 8), "whole": True, "unit": "px", "group": "tiles"},
    **{"default": 0, "info": "0 = by checkpoint"},
}

FIELDS: tuple[Field, ...] = (
    Field(
        "upscaler_1",
        "model",
        "Upscaler 1",
        {
            "extras": At("Postprocess upscaler"),
            "sd": At("TrueScale upscaler"),
            "api": At("upscaler_1", about='a name from /models, or several as "A > B"'),
            "command line": At(
                "--model",
                about='the model: its name in a folder of models, or its file; "A > B": A once, then B on what it gave',
            ),
        },
        group="models",
    ),
    Field(
        "upscaler_2",
        "model",
        "Upscaler 2",
        {
            "extras": At("Postprocess upscaler 2", NO_UPSCALER),
            "sd": At("TrueScale upscaler 2", NO_UPSCALER),
            "hires": At("Hires upscaler 2", NO_UPSCALER),
            "api": At("upscaler_2"),
            "command line": At("--model2", about="a second model, whose result is mixed in"),
            "xyz": At("Hires upscaler 2"),
        },
        group="models",
    ),
    Field(
        "visibility",
        "number",
        "Upscaler 2 visibility",
        {
            "extras": At("Postprocess upscaler 2 visibility"),
            "sd": At("TrueScale upscaler 2 visibility"),
            "hires": At("Hires upscaler 2 visibility"),
            "api": At("upscaler_2_visibility", 0.0, about="0 to 1"),
            "command line": At(
                "--visibility",
                None,
                about="of the second model; at 0 or 1 only the model that is seen runs (default: 0.5)",
            ),
            "xyz": At("Hires upscaler 2 visibility"),
        },
        noun="visibility of Upscaler 2",
        default=0.5,
        low=0,
        high=1,
        slider=(0.0, 1.0, 0.01),
        group="models",
    ),
    Field(
        "size_by",
        "choice",
        "Size",
        {
            "extras": At(""),
            "sd": At("TrueScale size by", choices=("Scale by", "Scale to", "Longest side", IMG2IMG_SIZE)),
        },
        noun="way of asking for a size called",
        default="Scale by",
        choices=tuple(WAYS),
        group="size",
    ),
    Field(
        "scale",
        "number",
        "Scale",
        {
            "extras": At("Postprocess upscale by"),
            "sd": At("TrueScale scale", 2.0),
            "api": At("scale", None, about="0.05 to 32"),
            "command line": At("--scale", None, about="times as large, 0.05 to 32"),
        },
        default=4.0,
        low=_SCALES[0],
        high=_SCALES[1],
        slider=(1.0, 16.0, 0.05),
        unit="x",
        group="size",
    ),
    Field(
        "width",
        "number",
        "Width",
        {
            "extras": At("TrueScale width"),
            "sd": At("TrueScale width", 1024),
            "api": At("width", None),
            "command line": At("--width", None, about="alone: the height follows"),
        },
        default=2048,
        **_SIDE,
    ),
    Field(
        "height",
        "number",
        "Height",
        {
            "extras": At("TrueScale height"),
            "sd": At("TrueScale height", 1024),
            "api": At("height", None),
            "command line": At("--height", None, about="alone: the width follows"),
        },
        default=2048,
        **_SIDE,
    ),
    Field(
        "fit",
        "choice",
        "Fit",
        {
            "extras": At("TrueScale fit"),
            "api": At("fit", about=", ".join(FITS)),
            "command line": At(
                "--fit",
                None,
                about="with width and height: as large as fits inside (default), crop what sticks out, stretch, or pad",
            ),
        },
        default="inside",
        choices=FITS,
        group="size",
    ),
    Field(
        "longest_side",
        "number",
        "Longest side, in pixels",
        {
            "extras": At("TrueScale longest side"),
            "sd": At("TrueScale longest side"),
            "api": At("longest_side", None),
            "command line": At("--max-side", None, about="the longer side"),
        },
        noun="longest side",
        default=2048,
        **_SIDE,
    ),
    Field(
        "megapixels",
        "number",
        "Size in megapixels",
        {
            "extras": At("TrueScale megapixels"),
            "api": At("megapixels", None),
            "command line": At("--megapixels", None, about="the area, in millions of pixels"),
        },
        default=4.0,
        low=0,
        slider=(0.1, 100.0, 0.1),
        group="size",
    ),
    Field("tile_width", "number", "Tile width", {"sd": At("TrueScale tile width")}, **_TILE_SIDE),
    Field("tile_height", "number", "Tile height", {"sd": At("TrueScale tile height")}, **_TILE_SIDE),
    Field(
        "overlap",
        "number",
        "Tile overlap",
        {"sd": At("TrueScale tile overlap")},
        noun="overlap",
        default=64,
        low=0,
        high=4096,
        slider=(0, 512, 8),
        whole=True,
        unit="px",
        group="tiles",
    ),
    Field(
        "order",
        "choice",
        "Order",
        # Not shown: the result is the same in any order. It stays for API clients, presets and older infotexts.
        {"sd": At("TrueScale tile order", shown=False)},
        default=ORDERS[0],
        choices=ORDERS,
        group="tiles",
    ),
    Field(
        "batch",
        "number",
        "Tiles at once",
        {"sd": At("TrueScale tile batch")},
        noun="number of tiles at once",
        default=1,
        low=1,
        high=64,
        slider=(1, 16, 1),
        whole=True,
        group="tiles",
    ),
    Field(
        "color_lock",
        "number",
        "Color lock",
        {"sd": At("TrueScale color lock")},
        default=0.5,
        low=0,
        high=1,
        slider=(0.0, 1.0, 0.05),
        info="how much the tiles keep the colors of the source",
        group="tiles",
    ),
    Field(
        "flatness",
        "number",
        "Skip flat tiles",
        {"sd": At("TrueScale flatness")},
        noun="flatness",
        default=0.0,
        low=0,
        high=255,
        slider=(0.0, 20.0, 0.1),
        info="tiles with less detail than this are not redrawn; 0 = redraw all",
        group="tiles",
    ),
    Field(
        "prompt",
        "text",
        "Prompt for tiles",
        {"sd": At("TrueScale tile prompt")},
        default="",
        info="empty: the picture's own; a plain one keeps the subject from appearing in every tile",
        group="tiles",
    ),
    Field(
        "precision",
        "choice",
        "Precision",
        {
            "extras": At("TrueScale precision asked"),
            "sd": At("TrueScale precision"),
            "hires": At("Hires upscaler precision"),
            "api": At("precision", None, PRECISIONS, about=f"{', '.join(PRECISIONS)}; none: as in the settings"),
            "command line": At("--precision", "auto", PRECISIONS),
            "xyz": At("Hires precision", choices=PRECISIONS),
        },
        default=BY_SETTINGS,
        choices=(BY_SETTINGS, *PRECISIONS),
        info="exact is float32; auto takes a smaller one where it is faster and hardly differs",
    ),
    Field(
        "tile",
        "number",
        "Tile size",
        {
            "extras": At("TrueScale tile"),
            "hires": At("Hires upscaler tile"),
            "api": At("tile", about="px; 0: automatic"),
            "command line": At(
                "--tile",
                "auto",
                about="side of a tile in pixels of the input, its margin comes on top (default: auto, as memory needs)",
            ),
            "xyz": At("Hires tile size"),
        },
        default=0,
        low=0,
        high=65536,
        smallest=16,
        slider=(0, 2048, 16),
        whole=True,
        unit="px",
        info="0 = automatic: in tiles only where memory demands it",
        words=("auto", "none"),
    ),
    Field(
        "memory",
        "number",
        "Most memory, in GB",
        {
            "extras": At("TrueScale memory"),
            "api": At("memory_gb", about="0: as in the settings"),
            "command line": At(
                "--memory",
                None,
                about="how much memory may be used above what the loaded models take, such as 2GB, 500MB, 1.5GiB"
                " (default: a share of what is free)",
            ),
        },
        noun="memory",
        default=0.0,
        low=0,
        slider=(0.0, 64.0, 0.5),
        unit="GB",
        info="0 = as in the settings",
    ),
    Field(
        "alpha",
        "choice",
        "Transparency",
        {
            "extras": At("TrueScale transparency"),
            "api": At("alpha", about=", ".join(ALPHAS)),
            "command line": At(
                "--alpha", about="through the network (default), resampled, or the picture put on white"
            ),
        },
        noun="way of treating transparency called",
        default="network",
        choices=ALPHAS,
        info="through the network, fast (resampled), or drop (put on white)",
    ),
    Field(
        "clean_up",
        "model",
        "Clean up first",
        {
            "extras": At("TrueScale clean-up", NO_UPSCALER),
            "api": At("clean_up", about="a network that repairs the picture first, at its own size"),
            "command line": At(
                "--clean-up",
                about="a model that repairs the picture first, at its own size: a 1x network, or one whose result is"
                " made small",
            ),
        },
        info="a 1x network that takes away JPEG damage, noise or blur before the picture is enlarged",
        group="models",
    ),
    Field(
        "followed_by",
        "model",
        "Followed by",
        {
            "extras": At("TrueScale followed by", NO_UPSCALER),
            "api": At("followed_by", about="a model that runs on what Upscaler 1 gave, as B in A > B"),
        },
        info="a second model, run on what Upscaler 1 gave",
        group="models",
    ),
    Field(
        "verify",
        "switch",
        "Verify",
        {
            "command line": At(
                "--verify", about="also run the untiled float32 network on the CPU and tell the difference"
            )
        },
        default=False,
    ),
)
"""In the order of positional arguments: those of the API's ``script_args`` hold to it. New ones come last."""


def fields_of(place: Place) -> list[Field]:
    """Those that can be asked for there, in order."""
    return [one for one in FIELDS if place in one.at]


def default_of(name: str, place: Place) -> Any:
    """Raises KeyError where there is no such field in that place."""
    return {one.name: one.default_at(place) for one in fields_of(place)}[name]


def by_key(place: Place, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the names of their fields, of values by the keys of that place."""
    return {one.name: given[one.at[place].key] for one in fields_of(place) if one.at[place].key in given}


def checked(place: Place, given: Mapping[str, Any]) -> dict[str, Any]:
    """All values of a place by the names of their fields; what is not given, or None, is as by default.

    Raises RequestError.
    """
    unknown = sorted(set(given) - {one.name for one in fields_of(place)})
    if unknown:
        known = ", ".join(one.name for one in fields_of(place))
        raise RequestError(f"there is nothing called '{unknown[0]}' to ask for", "", f"use some of {known}")
    return {one.name: one.checked(given.get(one.name), place) for one in fields_of(place)}


def ways_given(place: Place, values: Mapping[str, Any]) -> str | None:
    """The way in which a size is asked for where no field says it; None where none is. Raises RequestError."""
    keys = {one.name: one.at[place].key for one in fields_of(place)}
    given = {
        way: " and ".join(keys[name] for name in names)
        for way, names in WAYS.items()
        if any(values.get(name) is not None for name in names)
    }
    if len(given) > 1:
        raise RequestError("the size is given in several ways", ", ".join(given.values()), "choose one of them")
    return next(iter(given), None)


def size_of(
    place: Place, values: Mapping[str, Any], way: str | None, own: tuple[float, float] | None = None
) -> SizeRequest | None:
    """What ``planning.sizing`` is asked for. own: width and height of img2img. Raises RequestError, SizeError."""
    if way is None:
        return None
    if way == "Scale by":
        return ByScale(values["scale"])
    if way == "Longest side":
        return ByLongestSide(values["longest_side"])
    if way == "Megapixels":
        return ByMegapixels(values["megapixels"])
    if way == IMG2IMG_SIZE and own is not None:
        return ByDimensions(int(own[0]), int(own[1]), "stretch")
    fit = values.get("fit") or ("stretch" if place == "sd" else "inside")
    if place == "command line":
        return ByDimensions(values["width"], values["height"], fit)
    return ByDimensions(values["width"] or None, values["height"] or None, fit)  # 0 in a panel: as the other needs it


def in_sequence(models: Sequence[Model]) -> Model:
    """All of them, one after the other. Raises RequestError: of several, each is a model's file, or such a sequence."""
    if len(models) == 1:
        return models[0]
    parts = [part for model in models for part in (model if isinstance(model, tuple) else (model,))]
    files = [part for part in parts if isinstance(part, ModelEntry)]
    if len(files) < len(parts):
        other = next(part for part in parts if not isinstance(part, ModelEntry))
        raise RequestError(
            f"'{getattr(other, 'name', other)}' cannot be one of several",
            "only model files run one after the other",
            "choose it alone",
        )
    return tuple(files)


def as_request(
    values: Mapping[str, Any],
    size: SizeRequest | None,
    find: Callable[[Any], Model | None],
    precision: Precision = "auto",
    memory: int | None = None,
    **more: Any,
) -> UpscaleRequest:
    """The request of checked values. find: gives the model of a name, None for none.

    precision, memory (bytes): where the values leave them open. more: further values of the request.

    Raises RequestError, and what ``find`` does.
    """
    first, second = find(values["upscaler_1"]), find(values.get("upscaler_2"))
    if first is None:
        raise RequestError("no upscaler is chosen", "Upscaler 1 is 'None'", "choose one")
    then = find(values.get("followed_by"))
    tile, asked, limit = values.get("tile") or "auto", values.get("precision"), values.get("memory")
    request: dict[str, Any] = {
        "model": first if then is None else in_sequence([first, then]),
        "model2": second,
        "visibility": values["visibility"] if second is not None else 0.0,
        "size": size,
        "precision": precision if asked in (None, BY_SETTINGS) else asked,
        "tile": tile,
        "memory": round(limit * GIGABYTE) if limit else memory,
        "alpha": values.get("alpha", "network"),
        "clean_up": find(values.get("clean_up")),
        "verify": values.get("verify", False),
    }
    return UpscaleRequest(**{**request, **more})

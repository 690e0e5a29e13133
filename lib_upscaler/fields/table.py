"""What can be asked for, in one table: it makes the panels' widgets, what pictures say of how they were made, the API's
schema, the command line's options, the axes of an X/Y/Z plot, and the checks of all of them.

A new field is one more entry of ``FIELDS``, and a line in ``asking.as_request`` for what it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..depths import DEPTHS
from ..diffusion.grid import ORDERS
from ..errors import RequestError
from ..models.ldsr.settings import MODES, MOST_STEPS, SAMPLERS
from ..planning.sizing import FITS, MAX_SCALE, MIN_SCALE
from ..request import ALPHAS, PRECISIONS, WRAPS
from .field import BY_SETTINGS, ENGINES, IMG2IMG_SIZE, NO_UPSCALER, SECOND_PASSES, WAYS, At, Field, Place

__all__ = ["FIELDS", "by_key", "checked", "default_of", "fields_of"]

_SCALES = (float(MIN_SCALE), float(MAX_SCALE))
_SIDE: dict[str, Any] = {"low": 1, "slider": (1, 16384, 1), "whole": True, "unit": "px", "group": "size"}
_TILE_SIDE: dict[str, Any] = {
    **{"low": 0, "high": 65536, "slider": (0, 2048, 8), "whole": True, "unit": "px", "group": "tiles"},
    **{"default": 0, "info": "0 = by checkpoint"},
}


def _ldsr(name: str, about: str) -> dict[Place, At]:
    return {
        "extras": At(f"TrueScale LDSR {name}"),
        "sd": At(f"TrueScale LDSR {name}"),
        "hires": At(f"Hires LDSR {name}"),
        "api": At(f"ldsr_{name}", about=about),
        "command line": At(f"--ldsr-{name}", about=about),
    }


FIELDS: tuple[Field, ...] = (
    Field(
        "upscaler_1",
        "model",
        "Upscaler 1",
        {
            "extras": At("Postprocess upscaler"),
            "sd": At("TrueScale upscaler"),
            "api": At(
                "upscaler_1",
                about='a name from /models; "A > B": A once, then B on what it gave; "A@25 & B@75": interpolated in'
                " their weights",
            ),
            "command line": At(
                "--model",
                about='the model: its name in a folder of models, or its file; "A > B": A once, then B on what it gave;'
                ' "A@25 & B@75": one network, interpolated in their weights (percent)',
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
        "recipe",
        "model",
        "Recipe",
        {
            "extras": At("TrueScale recipe"),
            "sd": At("TrueScale recipe"),
            "hires": At("Hires upscaler recipe"),
        },
        default="",
        info="in place of the first upscaler: A > B one after the other, A@25 & B@75 interpolated in their weights",
    ),
    Field(
        "tta",
        "switch",
        "Average of 8 views (TTA)",
        {
            "extras": At("TrueScale TTA"),
            "sd": At("TrueScale TTA"),
            "hires": At("Hires upscaler TTA"),
            "api": At("tta"),
            "command line": At("--tta"),
            "xyz": At("Hires TTA", choices=("True", "False")),
        },
        noun="averaging",
        default=False,
        info="the mean over 8 flips and turns of the picture: a little truer, 8 times the work",
    ),
    Field(
        "wrap",
        "choice",
        "Seamless",
        {
            "extras": At("TrueScale seamless"),
            "sd": At("TrueScale seamless"),
            "hires": At("Hires upscaler seamless"),
            "api": At("wrap", about=f"{', '.join(WRAPS)}: where the picture goes on at its other side"),
            "command line": At(
                "--wrap",
                about="where the picture goes on at its other side, as textures and panoramas do: to the left and right"
                " (x), above and below (y), or both; so does the result (default: none)",
            ),
            "xyz": At("Hires seamless", choices=WRAPS),
        },
        noun="way of going on at the other side called",
        default="none",
        choices=WRAPS,
        info="for pictures that go on at their other side: textures (xy), panoramas (x)",
    ),
    Field(
        "depth",
        "choice",
        "Depth",
        {
            "api": At("depth", about="bits per channel of the result: 8, 16, 32 (floating point, tiff only), auto"),
            "command line": At(
                "--depth",
                about="bits per channel of the result; 32 is floating point, in TIFF and EXR (default: auto, as many as"
                " the picture has)",
            ),
        },
        default="auto",
        choices=DEPTHS,
    ),
    Field(
        "ldsr_mode",
        "choice",
        "LDSR mode",
        _ldsr("mode", "auto, or webui: the WebUI's own arithmetic"),
        default="auto",
        choices=MODES,
        info="auto is faster; webui computes as the WebUI's own LDSR, in patches",
        group="ldsr",
    ),
    Field(
        "ldsr_steps",
        "number",
        "LDSR steps",
        _ldsr("steps", "1 to 200; 0: 20, with webui 100"),
        default=0,
        low=0,
        high=MOST_STEPS,
        slider=(0, MOST_STEPS, 1),
        whole=True,
        info="0 = 20; with webui, that WebUI's own setting",
        group="ldsr",
    ),
    Field(
        "ldsr_sampler",
        "choice",
        "LDSR sampler",
        _ldsr("sampler", f"auto, {', '.join(SAMPLERS)}"),
        default="auto",
        choices=("auto", *SAMPLERS),
        group="ldsr",
    ),
    Field(
        "ldsr_eta",
        "number",
        "LDSR eta",
        _ldsr("eta", "of ddim, 0 to 1; -1: as usual, 1 with webui and else 0"),
        default=-1.0,
        low=-1,
        high=1,
        slider=(-1.0, 1.0, 0.05),
        info="noise that DDIM adds on its way; -1 = as usual",
        group="ldsr",
    ),
    Field(
        "ldsr_seed",
        "number",
        "LDSR seed",
        _ldsr("seed", "of the noise, 0 or more"),
        default=0,
        low=0,
        high=2**53,
        whole=True,
        info="the same seed gives the same picture",
        group="ldsr",
    ),
    Field(
        "engine",
        "choice",
        "Engine",
        # "Tiles", so that API clients, presets and older infotexts get what they got before there was a choice.
        {"sd": At("TrueScale engine")},
        default=ENGINES[0],
        choices=ENGINES,
        info="Tiles: each is sampled by itself. One canvas: the whole is sampled at once, through tiles that move at"
        " every step; the overlap and flat tiles do not matter. auto: one canvas where it is possible",
        group="tiles",
    ),
    Field(
        "composition",
        "switch",
        "Keep the composition",
        {"sd": At("TrueScale keep composition"), "hires": At("Hires keep composition")},
        noun="keeping the composition",
        default=False,
        info="one canvas only: in the early steps the whole is sampled at low resolution too, so that the subject does"
        " not come up in every tile; for denoising strengths above 0.5",
        group="tiles",
    ),
    Field(
        "second_pass",
        "choice",
        "Second pass",
        {"hires": At("Hires second pass"), "xyz": At("Hires second pass", choices=SECOND_PASSES)},
        noun="second pass",
        default=SECOND_PASSES[0],
        choices=SECOND_PASSES,
        info="in tiles: memory for one tile, and the VAE in bands. auto: in tiles where the whole would not fit. whole:"
        " in tiles only after memory ran out",
        group="second pass",
    ),
    Field(
        "second_seed",
        "number",
        "Seed of the second pass",
        {"hires": At("Hires second pass seed"), "xyz": At("Hires second pass seed")},
        default=-1,
        low=-1,
        high=2**32 - 1,
        whole=True,
        info="-1 or empty = that of the first pass",
        group="second pass",
    ),
    Field(
        "again_scale",
        "number",
        "Then once more, by",
        {"hires": At("Hires once more by"), "xyz": At("Hires once more by")},
        noun="scale of the pass after the second",
        default=1.0,
        low=1,
        high=4,
        slider=(1.0, 4.0, 0.05),
        unit="x",
        info="the result of the second pass enlarged and redrawn again; 1 = not",
        group="second pass",
    ),
    Field(
        "again_denoising",
        "number",
        "Denoising of that pass",
        {"hires": At("Hires once more denoising"), "xyz": At("Hires once more denoising")},
        noun="denoising strength of the pass after the second",
        default=0.3,
        low=0.05,
        high=1,
        slider=(0.05, 1.0, 0.01),
        group="second pass",
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

"""What a panel or the API asks for, as plain values, turned into a Job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...errors import RequestError
from ...planning.sizing import FITS, ByDimensions, ByLongestSide, ByMegapixels, ByScale, SizeRequest
from ..host.settings import PRECISIONS, settings
from ..takeover import choices
from ..upscaling.jobs import Choice, Job

__all__ = ["Values"]

_SMALLEST_TILE = 16
_GIGABYTE = 10**9


@dataclass(frozen=True)
class Values:
    """upscaler_1, upscaler_2: names. visibility: of the second, 0 to 1. clean_up: name of one that runs before them.

    size_by: one of "Scale by", "Scale to" (width, height in px, fit), "Longest side" (px), "Megapixels".
    precision: other words than auto, exact, fp16 and bf16 mean that of the settings. tile: px, 0 for automatic.
    memory: GB, 0 for that of the settings. alpha: network, fast or drop.
    None stands for each value's default: hosts hand it over for what they do not know.
    """

    upscaler_1: str | None = None
    upscaler_2: str | None = None
    visibility: float | None = None
    size_by: str | None = None
    scale: float | None = None
    width: float | None = None
    height: float | None = None
    fit: str | None = None
    longest_side: float | None = None
    megapixels: float | None = None
    precision: str | None = None
    tile: float | None = None
    memory: float | None = None
    alpha: str | None = None
    clean_up: str | None = None

    def size(self) -> SizeRequest:
        """Raises RequestError."""
        way = self.size_by or "Scale by"
        if way == "Scale to":
            width, height = _whole(self.width, "width"), _whole(self.height, "height")
            return ByDimensions(width, height, self.fit if self.fit in FITS else "inside")
        if way == "Longest side":
            return ByLongestSide(_whole(self.longest_side, "longest side") or 0)
        if way == "Megapixels":
            return ByMegapixels(_number(self.megapixels, "size in megapixels"))
        if way == "Scale by":
            return ByScale(_number(4.0 if self.scale is None else self.scale, "scale"))
        raise RequestError(f"there is no way of asking for a size called '{way}'", "", "choose one of the list")

    def job(self, find: Callable[[str | None], Choice | None] = choices.find) -> Job:
        """What to do, by ``find`` of a name; the usual one fetches models that are still to come.

        Raises RequestError, ModelNotFoundError.
        """
        current = settings()
        first = find(self.upscaler_1 or choices.default_name())
        if first is None:
            raise RequestError("no upscaler is chosen", "Upscaler 1 is 'None'", "choose one")
        second = find(self.upscaler_2)
        tile = int(_number(self.tile or 0, "tile size"))
        if tile < 0:
            raise RequestError(f"a tile size of {tile} is not possible", "", "give 0 (automatic) or a number of pixels")
        memory = int(_number(self.memory or 0, "memory") * _GIGABYTE)
        return Job(
            first,
            second=second,
            visibility=float(_number(self.visibility, "visibility")) if second and self.visibility is not None else 0.0,
            size=self.size(),
            precision=self.precision if self.precision in PRECISIONS else current.precision,
            tile=max(tile, _SMALLEST_TILE) if tile > 0 else "auto",
            memory=memory or current.memory,
            alpha=self.alpha or "network",
            clean_up=find(self.clean_up),
        )


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RequestError(f"the {name} {value!r} is not a number", "", "give a number")
    return value


def _whole(value: Any, name: str) -> int | None:
    """None and 0 are for "not given"."""
    return round(_number(value, name)) or None if value else None

"""What is asked for, what was done, and the result of it. No torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Union, get_args

from .depths import DEPTHS, Bits, Depth, depth_of
from .errors import RequestError
from .geometry import Size
from .models.entry import ModelEntry
from .models.ldsr.settings import SMALLEST_TILE, LdsrSettings
from .planning.sizing import ByScale, SizeRequest
from .progress import Progress

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from .pictures.pixels import Pixels

__all__ = [
    "ALPHAS",
    "PRECISIONS",
    "WRAPS",
    "Alpha",
    "Enlarger",
    "Model",
    "Precision",
    "UpscaleReport",
    "UpscaleRequest",
    "UpscaleResult",
    "Wrap",
]

Precision = Literal["auto", "exact", "fp16", "bf16"]
Alpha = Literal["network", "fast", "drop"]
Wrap = Literal["none", "x", "y", "xy"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
WRAPS: tuple[Wrap, ...] = get_args(Wrap)
ALPHAS: tuple[Alpha, ...] = get_args(Alpha)


class Enlarger(Protocol):
    """An upscaler that is not one of our networks, such as one of a WebUI.

    name: for reports. strategy: what ``UpscaleReport.strategy`` says of it.
    """

    name: str
    strategy: str

    def enlarge(self, picture: np.ndarray, size: Size, progress: Progress) -> np.ndarray:
        """``(H, W, 3)`` uint8, RGB, enlarged to about ``size``; what is another size is resampled to it, once.

        Raises TrueScaleError, Cancelled.
        """


Model = Union[str, Path, ModelEntry, tuple[ModelEntry, ...], Enlarger]
"""The name of one in the library, the path of a file, several of these as a recipe (``models.recipe``), the files
themselves, or an upscaler of another kind."""


@dataclass(frozen=True)
class UpscaleRequest:
    """What to do with a picture. Checked when it is made.

    model, model2: see ``Model``. Of "A > B", A runs once, then B on what it gave, and again where the size asks for
        more; "A@25 & B@75" is one network, interpolated in its weights; a name that is a file's wins over this, and
        quotes keep one whole.
    visibility: of model2, 0 to 1; at 0 or 1 only the model that is seen runs.
    clean_up: a model that runs before them, at the picture's own size: a 1x network that repairs, or any other, whose
        result is made small again.
    size: how large; None for the own scale of the (first) model that is seen.
    precision: "auto", "exact" (float32), "fp16" or "bf16". tile: "auto", "none", or the side of a tile's core in px
        of the input, its margin on top.
    memory: bytes that the job may take on the device, None for a share of what is free.
    alpha: "network" (through the network as well), "fast" (resampled) or "drop" (flattened on white).
    verify: also run the untiled float32 network, on the CPU, and report the difference.
    always: run the network once also where the size asks for none of more than 1x.
    wrap: "x", "y" or "xy" where the picture goes on at its other side to the left and right, above and below, or both,
        as seamless textures and panoramas do: so does the result.
    depth: bits per channel of the result: "8", "16", "32" (floating point), or "auto" for those of the picture.
    ldsr: for models of LDSR; ``precision`` and ``tile`` of the request are taken in place of its own.
    tta: the mean of the network's results for the eight flips and turns of the picture ("test-time augmentation", the
        geometric self-ensemble of EDSR): a little truer, at eight times the work.

    Raises RequestError.
    """

    model: Model
    model2: Model | None = None
    visibility: float = 0.0
    size: SizeRequest | None = None
    precision: Precision = "auto"
    tile: int | str = "auto"
    memory: int | None = None
    alpha: Alpha = "network"
    verify: bool = False
    always: bool = False
    clean_up: Model | None = None
    tta: bool = False
    wrap: Wrap = "none"
    depth: Depth = "auto"
    ldsr: LdsrSettings = field(default_factory=LdsrSettings)

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise RequestError(
                f"there is no precision '{self.precision}'", "", f"choose one of {', '.join(PRECISIONS)}"
            )
        if self.alpha not in ALPHAS:
            raise RequestError(
                f"there is no way of treating alpha called '{self.alpha}'", "", f"choose {', '.join(ALPHAS)}"
            )
        if self.wrap not in WRAPS:
            raise RequestError(f"a picture cannot go on along '{self.wrap}'", "", f"choose {', '.join(WRAPS)}")
        if self.depth not in DEPTHS:
            raise RequestError(f"a depth of '{self.depth}' is not possible", "", f"choose {', '.join(DEPTHS)}")
        if not _is_number(self.visibility) or not 0 <= self.visibility <= 1:
            raise RequestError(f"a visibility of {self.visibility} is not possible", "", "choose one from 0 to 1")
        is_side = isinstance(self.tile, int) and not isinstance(self.tile, bool) and self.tile >= 16
        if self.tile not in ("auto", "none") and not is_side:
            raise RequestError(f"a tile of {self.tile!r} is not possible", "", "choose auto, none, or at least 16 px")
        if self.memory is not None and not (_is_number(self.memory) and self.memory > 0):
            raise RequestError(f"a memory limit of {self.memory!r} is not possible", "", "give it in bytes, above 0")
        if self.visibility > 0 and self.model2 is None:
            raise RequestError("a visibility is given, but no second model", "", "name the second model as well")

    @property
    def weighted_models(self) -> list[tuple[Model, float]]:
        """The models that run, with the weight of each in the result."""
        weighted: list[tuple[Model, float]] = [(self.model, 1 - self.visibility)] if self.visibility < 1 else []
        if self.model2 is not None and self.visibility > 0:
            weighted.append((self.model2, self.visibility))
        return weighted

    @property
    def sampling(self) -> LdsrSettings:
        """``ldsr`` with what the request itself says. Raises RequestError."""
        tile = self.tile if isinstance(self.tile, int) and self.ldsr.mode == "auto" else self.ldsr.tile
        if isinstance(tile, int):
            tile = max(SMALLEST_TILE, -(-tile // 8) * 8)
        return replace(self.ldsr, precision=self.precision, tile=tile)

    @property
    def axes(self) -> tuple[bool, bool]:
        """Whether the picture goes on at its other side, across and down."""
        return "x" in self.wrap, "y" in self.wrap

    def stages(self, source_bits: Bits) -> list[UpscaleRequest]:
        """One request after the other, each for what the one before gave: cleaning up comes first.

        In between there are 8 bits where picture and result have them, else floating point.
        """
        if self.clean_up is None:
            return [self]
        plain = replace(self, clean_up=None, depth=str(depth_of(self.depth, source_bits)))  # type: ignore[arg-type]
        between: Depth = "8" if source_bits == 8 and plain.depth == "8" else "32"
        repair = replace(
            plain, model=self.clean_up, model2=None, visibility=0.0, size=ByScale(1), always=True, depth=between
        )
        return [repair, plain]


@dataclass(frozen=True)
class UpscaleReport:
    """What was done.

    models: names of those that ran. passes: of the first of them.
    strategy: "whole", "whole, in bands", "tiles", or "resampled" where no network ran; that of the pass that was cut
        most, as are tiles and margin (px of context around each). "sampled" and "sampled in tiles" of a model such as
        LDSR, whose tiles move and are not compared. Where an ``Enlarger`` alone ran, its own word.
    seam_error: largest difference between neighbouring tiles along their common line, in 8-bit levels.
    precision: "float32", "float16", "bfloat16"; "unknown" of an ``Enlarger``. precision_db: its measured PSNR against
        float32, None where exact or not measured.
    seconds: without loading. load_seconds: of the models loaded for this picture, 0.0 when they were there.
    frames: of an animation, or pages; sizes are the first one's then.
    peak_bytes: memory taken above what was taken before. verify_max, verify_mean: difference from the untiled float32
        network in 8-bit levels, None where not asked for. bits: per channel of the result; 32: floating point.
    """

    input_size: Size
    output_size: Size
    models: tuple[str, ...]
    passes: int
    strategy: str
    tiles: int
    margin: int
    seam_error: float
    precision: str
    precision_db: float | None
    device: str
    seconds: float
    load_seconds: float
    peak_bytes: int
    warnings: tuple[str, ...] = ()
    verify_max: float | None = None
    verify_mean: float | None = None
    bits: Bits = 8
    frames: int = 1

    def to_json(self) -> dict[str, Any]:
        """Plain values that JSON can hold; sizes as [width, height]."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        for name in ("input_size", "output_size"):
            size = getattr(self, name)
            plain[name] = [size.width, size.height]
        return plain

    def after(self, before: UpscaleReport) -> UpscaleReport:
        """Of a job whose last stage this report is of, and ``before`` of those before it."""
        worse = max(before, self, key=lambda report: (report.seam_error, report.tiles))
        return replace(
            self,
            input_size=before.input_size,
            models=tuple(dict.fromkeys((*before.models, *self.models))),
            tiles=worse.tiles,
            margin=worse.margin,
            seam_error=worse.seam_error,
            strategy=worse.strategy if worse.tiles > 1 else self.strategy,
            seconds=round(before.seconds + self.seconds, 3),
            load_seconds=before.load_seconds + self.load_seconds,
            peak_bytes=max(before.peak_bytes, self.peak_bytes),
            warnings=tuple(dict.fromkeys((*before.warnings, *self.warnings))),
            verify_max=_larger(before.verify_max, self.verify_max),
            verify_mean=_larger(before.verify_mean, self.verify_mean),
        )


@dataclass(frozen=True)
class UpscaleResult:
    """pixels: of exactly the size and depth asked for."""

    pixels: Pixels
    report: UpscaleReport

    @cached_property
    def image(self) -> Image.Image:
        """L, LA, RGB or RGBA, in 8 bits; made once."""
        from .pictures.pixels import compose

        pixels = self.pixels.at(8)
        return compose(pixels.color, pixels.alpha, pixels.mode)


def _larger(a: float | None, b: float | None) -> float | None:
    return max((value for value in (a, b) if value is not None), default=None)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

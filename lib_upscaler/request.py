"""What is asked for, what was done, and the result of it. No torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from .errors import RequestError
from .geometry import Size
from .planning.sizing import SizeRequest

__all__ = ["ALPHAS", "PRECISIONS", "UpscaleReport", "UpscaleRequest", "UpscaleResult"]

PRECISIONS = ("auto", "exact", "fp16", "bf16")
ALPHAS = ("network", "fast", "drop")


@dataclass(frozen=True)
class UpscaleRequest:
    """What to do with a picture. Checked when it is made.

    model, model2: names in the library or paths of files. visibility: of model2, 0 to 1; at 0 or 1 only the model
        that is seen runs.
    size: how large; None for the own scale of the (first) model that is seen.
    precision: "auto", "exact" (float32), "fp16" or "bf16". tile: "auto", "none", or the side of a tile's core in px
        of the input, its margin on top.
    memory: bytes that the job may take on the device, None for a share of what is free.
    alpha: "network" (through the network as well), "fast" (resampled) or "drop" (flattened on white).
    verify: also run the untiled float32 network, on the CPU, and report the difference.
    always: run the network once also where the size asks for none of more than 1x.

    Raises RequestError.
    """

    model: str | Path
    model2: str | Path | None = None
    visibility: float = 0.0
    size: SizeRequest | None = None
    precision: str = "auto"
    tile: int | str = "auto"
    memory: int | None = None
    alpha: str = "network"
    verify: bool = False
    always: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise RequestError(
                f"there is no precision '{self.precision}'", "", f"choose one of {', '.join(PRECISIONS)}"
            )
        if self.alpha not in ALPHAS:
            raise RequestError(
                f"there is no way of treating alpha called '{self.alpha}'", "", f"choose {', '.join(ALPHAS)}"
            )
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
    def seen(self) -> list[tuple[str | Path, float]]:
        """The models that are seen, with the weight of each."""
        wanted = [(self.model, 1 - self.visibility)] if self.visibility < 1 else []
        if self.model2 is not None and self.visibility > 0:
            wanted.append((self.model2, self.visibility))
        return wanted


@dataclass(frozen=True)
class UpscaleReport:
    """What was done.

    models: names of those that ran. passes: of the first of them.
    strategy: "whole", "whole, in bands", "tiles", or "resampled" where no network ran; that of the pass that was cut
        most, as are tiles and margin (px of context around each).
    seam_error: largest difference between neighbouring tiles along their common line, in 8-bit levels.
    precision: "float32", "float16", "bfloat16". precision_db: its measured PSNR against float32, None where exact or
        not measured.
    seconds: without loading. load_seconds: of the models loaded for this picture, 0.0 when they were there.
    peak_bytes: memory taken above what was taken before. verify_max, verify_mean: difference from the untiled float32
        network in 8-bit levels, None where not asked for.
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

    def to_json(self) -> dict[str, Any]:
        """Plain values that JSON can hold; sizes as [width, height]."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        for name in ("input_size", "output_size"):
            size = getattr(self, name)
            plain[name] = [size.width, size.height]
        return plain


@dataclass(frozen=True)
class UpscaleResult:
    """image: L, LA, RGB or RGBA, of exactly the size asked for."""

    image: Image.Image
    report: UpscaleReport


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

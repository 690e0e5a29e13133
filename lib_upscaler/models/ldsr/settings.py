"""What can be asked of LDSR. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from ...errors import RequestError

__all__ = ["MODES", "MOST_STEPS", "SAMPLERS", "LdsrSettings", "Mode", "Sampler"]

Mode = Literal["auto", "webui"]
Sampler = Literal["dpmpp_2m", "ddim"]
MODES: tuple[Mode, ...] = get_args(Mode)
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
PRECISIONS = ("auto", "exact", "fp16", "bf16")
MOST_STEPS = 200
SMALLEST_TILE, LARGEST_TILE = 64, 4096


@dataclass(frozen=True)
class LdsrSettings:
    """mode: "auto", or "webui": the arithmetic of AUTOMATIC1111's LDSR, patches and last noise included.

    steps: 1 to 200; None: 20, in the WebUI's arithmetic 100. sampler: None: DPM++ 2M, in the WebUI's arithmetic DDIM,
    which is all that it has. eta: of DDIM, 0 to 1; None: 0, in the WebUI's arithmetic 1. seed: of the noise.
    tile: side in latent px, which are px of the source, a multiple of 8, or "auto": the whole where it fits. Not for
    the WebUI's arithmetic, whose patches are 128. batch: tiles at once, or "auto".
    precision: "auto", "exact" (float32), "fp16" or "bf16". The WebUI's arithmetic is float32 unless asked otherwise.

    Raises RequestError.
    """

    mode: Mode = "auto"
    steps: int | None = None
    sampler: Sampler | None = None
    eta: float | None = None
    seed: int = 0
    tile: int | Literal["auto"] = "auto"
    batch: int | Literal["auto"] = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        _one_of("mode", self.mode, MODES)
        _one_of("precision", self.precision, PRECISIONS)
        if self.sampler is not None:
            _one_of("sampler", self.sampler, SAMPLERS)
        if self.steps is not None:
            _whole("steps", self.steps, 1, MOST_STEPS)
        if self.eta is not None and not 0 <= self.eta <= 1:
            raise RequestError(f"an eta of {self.eta} is not possible", "", "choose 0 to 1")
        _whole("seed", self.seed, 0, 2**63 - 1)
        if self.batch != "auto":
            _whole("batch", self.batch, 1, 64)
        if self.tile != "auto":
            _whole("tile", self.tile, SMALLEST_TILE, LARGEST_TILE)
            if self.tile % 8:
                raise RequestError(f"a tile of {self.tile} px is not possible for LDSR", "", "choose a multiple of 8")
        self._check_together()

    def _check_together(self) -> None:
        if self.mode == "webui" and self.sampler not in (None, "ddim"):
            raise RequestError("LDSR as the WebUI has it samples with DDIM alone", "", "choose ddim, or the mode auto")
        if self.mode == "webui" and self.tile != "auto":
            raise RequestError("LDSR as the WebUI has it works in patches of 128 px", "", "leave the tile on auto")
        if self.sampler == "dpmpp_2m" and self.eta:
            raise RequestError("DPM++ 2M adds no noise on its way", "eta is above 0", "choose ddim, or an eta of 0")
        if self.mode == "auto" and self.sampler is None and self.eta:
            raise RequestError("DPM++ 2M adds no noise on its way", "eta is above 0", "choose ddim, or an eta of 0")

    @property
    def complete(self) -> LdsrSettings:
        """The same with every default filled in."""
        as_webui = self.mode == "webui"
        sampler: Sampler = self.sampler or ("ddim" if as_webui else "dpmpp_2m")
        return replace(
            self,
            steps=self.steps or (100 if as_webui else 20),
            sampler=sampler,
            eta=(1.0 if as_webui else 0.0) if self.eta is None else self.eta,
            precision="exact" if as_webui and self.precision == "auto" else self.precision,
        )


def _one_of(what: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise RequestError(f"LDSR has no {what} '{value}'", "", f"choose one of {', '.join(known)}")


def _whole(what: str, value: object, lowest: int, highest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise RequestError(
            f"LDSR cannot have {value} as its {what}", "", f"choose a whole number, {lowest} to {highest}"
        )

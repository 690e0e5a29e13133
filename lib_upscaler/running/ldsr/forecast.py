"""What a run of LDSR takes, told beforehand."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...geometry import Size
from ...models.ldsr.layout import LdsrLayout
from ...models.ldsr.network import outline
from ...models.ldsr.schedule import STEPS, host_times
from ...models.ldsr.settings import LdsrSettings
from ...planning.ldsr import HOST_PATCH, LdsrPlan, plan_ldsr
from ..limits import memory_budget

__all__ = ["LdsrForecast", "forecast", "notes_on", "plan_for"]

_CUDA_TILES = 8
"""At once at most: more are no faster."""


@dataclass(frozen=True)
class LdsrForecast:
    """What a run would take.

    output: size of the picture that comes out. steps: calls of the UNet for each place, which may be more than were
    asked for, as the WebUI rounds. tiles: of the first step. tile: their side in latent px, None where all is one.
    pixel_steps: latent px that the UNet is run on. work: multiply-accumulates, of the UNet and of decoding.
    weights_bytes, sampling_bytes, decoding_bytes: of the networks in use, and beside them. whole_decoding_bytes: of
    decoding as a whole, where there may be no room for it.
    """

    output: Size
    steps: int
    tiles: int
    tile: int | None
    batch: int
    pixel_steps: int
    work: float
    weights_bytes: int
    sampling_bytes: int
    decoding_bytes: int
    whole_decoding_bytes: int
    warnings: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """At the peak."""
        return self.weights_bytes + max(self.sampling_bytes, self.decoding_bytes)


def forecast(
    layout: LdsrLayout,
    size: Size,
    settings: LdsrSettings,
    device: torch.device,
    memory: int | None = None,
) -> LdsrForecast:
    """What a run takes, as far as it can be told without one: in the precision that is asked for, float32 for "auto".

    size: of the picture, px. memory: bytes that may be taken at most. Raises MemoryLimitError, RequestError.
    """
    settings = settings.complete
    item_size = 2 if settings.precision in ("fp16", "bf16") else 4
    plan = plan_for(layout, size, settings, device, memory, item_size)
    weights = _weights_bytes(layout, item_size)
    decoding = plan.decoder_bytes(None if plan.decodes_whole else Size(HOST_PATCH, HOST_PATCH))
    picture = plan.output.area * 3 * 4
    return LdsrForecast(
        output=plan.output,
        steps=plan.steps,
        tiles=len(plan.grid(0).tiles),
        tile=HOST_PATCH if plan.as_webui else plan.tile,
        batch=plan.batch,
        pixel_steps=plan.pixel_steps,
        work=plan.work + plan.decoder_work,
        weights_bytes=weights,
        sampling_bytes=plan.tile_bytes + plan.canvas_bytes,
        decoding_bytes=decoding + picture,
        whole_decoding_bytes=plan.decoder_bytes() + picture,
        warnings=notes_on(settings, plan.steps),
    )


def plan_for(
    layout: LdsrLayout, size: Size, settings: LdsrSettings, device: torch.device, memory: int | None, item_size: int
) -> LdsrPlan:
    """As ``plan_ldsr``, for what there is on the device. Raises MemoryLimitError."""
    budget = memory_budget(device, memory)
    return plan_ldsr(layout, size, settings, budget, item_size, _CUDA_TILES if device.type == "cuda" else 1)


def notes_on(settings: LdsrSettings, steps: int) -> tuple[str, ...]:
    """What is otherwise than it was asked for."""
    if settings.mode != "webui" or settings.steps is None:
        return ()
    notes = []
    if steps != settings.steps:
        notes.append(f"the WebUI's LDSR runs {steps} steps where it is asked for {settings.steps}")
    if host_times(settings.steps)[0] >= STEPS:
        notes.append(
            f"the WebUI's LDSR fails with {settings.steps} steps, as it asks for noise beyond the last level; "
            "the last level was used"
        )
    return tuple(notes)


def _weights_bytes(layout: LdsrLayout, item_size: int) -> int:
    unet, first_stage = (sum(w.numel() for w in network.parameters()) for network in outline(layout))
    return unet * item_size + first_stage * 4

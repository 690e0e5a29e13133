"""What is kept of a generation whose second pass failed."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any

from ....errors import TrueScaleError, memory_ran_out
from ... import host
from ...takeover.failing import note_picture

__all__ = ["found_in", "in_words", "is_in_unit_range", "kept", "tell"]


def kept(p: Any, samples: Any, decoded: Any) -> Any:
    """The first pass's pictures as the host expects them of the second.

    samples: its latents. decoded: its pictures ``(B, 3, H, W)``, as the host hands them to the second pass; None: of
    the latents alone, which are decoded here, by the checkpoint of the first pass.
    """
    processing = host.module("processing")
    if decoded is not None:
        pictures = decoded * 2 - 1 if is_in_unit_range(p) else decoded
        return processing.DecodedSamples(list(pictures))
    try:
        if getattr(p, "hr_checkpoint_info", None) or getattr(p, "refiner_checkpoint_info", None):
            host.module("sd_models").reload_model_weights()
        return processing.decode_latent_batch(p.sd_model, samples, target_device="cpu", check_for_nans=True)
    except Exception:  # noqa: BLE001 - the host decodes them itself then
        host.log.debug("TrueScale: the host decodes the first pass", exc_info=True)
        return samples


def is_in_unit_range(p: Any) -> bool:
    """Whether this host hands pictures in [0, 1] to its second pass, as Neo; others hand over [-1, 1], and clamp there
    instead of here."""
    code = getattr(type(p).sample, "__code__", None)
    return "clamp" in getattr(code, "co_names", ())


def found_in(error: BaseException) -> tuple[Any, Any] | None:
    """(samples, decoded) of the first pass, from the host's call that failed after it; None where it failed itself."""
    step: TracebackType | None = error.__traceback__
    while step is not None:
        values = step.tb_frame.f_locals
        if step.tb_frame.f_code.co_name == "sample" and "samples" in values and "decoded_samples" in values:
            return values["samples"], values["decoded_samples"]
        step = step.tb_next
    return None


def in_words(error: BaseException) -> str:
    """What went wrong, and what helps; all of it goes into the console."""
    host.log.error(
        "TrueScale: in the second pass\n%s", "".join(traceback.format_exception(None, error, error.__traceback__))
    )
    if isinstance(error, TrueScaleError):
        return str(error)
    words = str(error).strip().split("\n")[0].strip(" .") or type(error).__name__
    if memory_ran_out(error):
        return f"memory ran out ({words}); choose a smaller size, or smaller batches"
    return words if type(error) in (Exception, RuntimeError) else f"{type(error).__name__}: {words}"


def tell(p: Any, what: str, words: str) -> None:
    """On the page, below the pictures, and in the infotext of each of the batch. what: failed, and what is kept."""
    host.warn(f"{what}: {words}")
    if hasattr(p, "comment"):
        p.comment(f"TrueScale: {what}: {words}")
    for number in range(1, p.batch_size + 1):
        note_picture(p, number, f"{what}: {words}")

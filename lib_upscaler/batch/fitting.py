"""What the format of a result asks of the request and of its plan."""

from __future__ import annotations

from dataclasses import replace

from ..depths import Bits, depth_of
from ..errors import SizeError
from ..pictures.formats import PNG, TIFF, OutputFormat
from ..pipeline import Plan
from ..request import UpscaleRequest

__all__ = ["check_memory", "in_depth_of"]


def in_depth_of(request: UpscaleRequest, target: OutputFormat, source_bits: Bits) -> tuple[UpscaleRequest, str]:
    """The request for as many bits as the format of the result holds; and what is to be said of it, "" for nothing."""
    wanted = depth_of(request.depth, source_bits)
    bits = target.depth_for(wanted)
    said = (
        f"{target.name} holds at most {bits} bits per channel; the result was rounded to that" if bits < wanted else ""
    )
    return (request if bits == wanted else replace(request, depth=str(bits))), said  # type: ignore[arg-type]


def check_memory(plan: Plan, target: OutputFormat) -> None:
    """What is written piece by piece need not fit into memory; of other formats it must. Raises SizeError."""
    if target not in (PNG, TIFF) and any(job.on_disk for _, job in plan.stages):
        raise SizeError(
            f"a {target.name} of {plan.output} px cannot be made",
            "it is written as a whole, and does not fit into the memory that may be used",
            "choose PNG or TIFF, which are written piece by piece, ask for a smaller size, or allow more memory",
        )

"""The result's statement: which upscalers, exact size, strategy, precision, seam error, seconds; warnings in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..host.markup import SEPARATOR, line, plain, word

if TYPE_CHECKING:
    from ...request import UpscaleReport

__all__ = [
    "STRATEGIES",
    "WORDS",
    "canvas_text",
    "gigabytes",
    "redraw_text",
    "statement_html",
    "statement_text",
    "vae_text",
]

WORDS = (
    "whole, in one piece",
    "whole, in bands",
    "in tiles",
    "resampled, without a network",
    "by the WebUI's own upscaler",
    "sampled in one piece",
    "sampled in tiles",
    "seam error in levels",
    "match with float32 in dB",
    "seconds",
    "seconds for loading",
    "tiles redrawn",
    "tiles per step",
    "sampled px per px",
    "VAE in bands",
    "memory of the network in GB",
    "as a whole",
    "bits per channel",
    "frames",
)
STRATEGIES = dict(
    zip(("whole", "whole, in bands", "tiles", "resampled", "by the WebUI", "sampled", "sampled in tiles"), WORDS)
)
_CUT = ("tiles", "sampled in tiles")
_NOTABLE_LOADING = 0.05
"""Seconds."""


def _parts(report: UpscaleReport) -> list[tuple[str, str]]:
    source, output = report.input_size, report.output_size
    parts = [
        ("", " + ".join(report.models)),
        ("", f"{source} → {output} px, {output.area / 1e6:.2f} MP"),
        (STRATEGIES.get(report.strategy, ""), str(report.tiles) if report.strategy in _CUT else ""),
    ]
    if report.tiles > 1 and report.strategy == "tiles":
        parts.append(("seam error in levels", f"{report.seam_error:.2f}"))
    if report.precision != "unknown":
        parts.append(("", report.precision))
    if report.frames > 1:
        parts.append(("frames", str(report.frames)))
    if report.bits > 8:
        parts.append(("bits per channel", str(report.bits)))
    if report.precision_db is not None:
        parts.append(("match with float32 in dB", f"{report.precision_db:.1f}"))
    parts.append(("seconds", f"{report.seconds:.1f}"))
    if report.load_seconds >= _NOTABLE_LOADING:
        parts.append(("seconds for loading", f"{report.load_seconds:.1f}"))
    return [(words, value) for words, value in parts if words or value]


def statement_html(report: UpscaleReport) -> str:
    """For the page."""
    texts = [": ".join(filter(None, (words and word(words), plain(value)))) for words, value in _parts(report)]
    warnings = "".join(line([plain(text)], "problem") for text in report.warnings)
    return line(texts) + warnings


def statement_text(report: UpscaleReport) -> str:
    """One line for the host's comments below a picture; the page's script translates the words between the dots."""
    texts = [": ".join(filter(None, pair)) for pair in _parts(report)]
    return SEPARATOR.join(["TrueScale", *texts, *report.warnings])


def redraw_text(tiles: int, seconds: float) -> str:
    """The like for what Stable Diffusion has redrawn."""
    return SEPARATOR.join(["TrueScale", f"tiles redrawn: {tiles}", f"seconds: {seconds:.1f}"])


def canvas_text(tiles: float, work: float, seconds: float, memory: int, whole: int) -> str:
    """The like for what it has redrawn as one canvas. work: px that its network worked on per px of the canvas. memory,
    whole: bytes that it took for its tiles, and would have taken for the whole."""
    texts = [f"tiles per step: {tiles:.3g}", f"sampled px per px: {work:.2f}", f"seconds: {seconds:.1f}"]
    texts += [f"memory of the network in GB: {gigabytes(memory)}", f"as a whole: {gigabytes(whole)}"]
    return SEPARATOR.join(["TrueScale", *texts])


def gigabytes(size: int) -> str:
    """Two digits that count."""
    return f"{size / 1e9:.2f}" if size < 1e9 else f"{size / 1e9:.1f}"


def vae_text(strategy: str, bands: int, warnings: Sequence[str]) -> str:
    """The like for a picture that went through Stable Diffusion's VAE in bands."""
    return SEPARATOR.join(["TrueScale", f"VAE in bands: {strategy}, {bands}", *warnings])

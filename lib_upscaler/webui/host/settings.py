"""TrueScale's settings on the host's page "Upscaling"."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ...fields import GIGABYTE
from ...models.ldsr.settings import MOST_STEPS
from ...request import PRECISIONS, Precision
from .. import host

__all__ = ["HIRES_BUTTON_OPTIONS", "Settings", "VaeBands", "ldsr_steps", "register", "settings"]


TAKEOVER, PRECISION, MEMORY, CACHE, FOLDERS, VAE_BANDS, BESIDE = (
    "truescale_takeover",
    "truescale_precision",
    "truescale_memory_gb",
    "truescale_cache_gb",
    "truescale_folders",
    "truescale_vae_bands",
    "truescale_original_beside",
)

HIRES_BUTTON_OPTIONS = ("hires_button_gallery_insert", "hires_button_gallery_inset")
"""Forge's and reForge's own setting for what their hires button leaves in the gallery."""

VaeBands = Literal["off", "when memory is short", "always"]
_VAE_BANDS: tuple[VaeBands, ...] = get_args(VaeBands)


@dataclass(frozen=True)
class Settings:
    """takeover: the host's own upscaling networks run on our engine.
    precision: where nothing else is asked for. memory: bytes a picture may take, None for a share of what is free.
    cache_bytes: of loaded models. folders: of models, beside the host's. vae_bands: when Stable Diffusion's VAE runs in
    bands, also in ordinary generations. beside: after the host's hires button, the original stays beside the result.
    """

    takeover: bool = True
    precision: Precision = "auto"
    memory: int | None = None
    cache_bytes: int = GIGABYTE
    folders: tuple[Path, ...] = ()
    vae_bands: VaeBands = "when memory is short"
    beside: bool = True


def settings() -> Settings:
    """As they are now; what cannot be used (an edited config.json) counts as not set."""
    plain = Settings()
    precision = host.option(PRECISION, plain.precision)
    lines = str(host.option(FOLDERS, "")).splitlines()
    vae_bands = host.option(VAE_BANDS, plain.vae_bands)
    return Settings(
        takeover=bool(host.option(TAKEOVER, plain.takeover)),
        precision=precision if precision in PRECISIONS else plain.precision,
        memory=_bytes(host.option(MEMORY, 0.0)) or None,
        cache_bytes=_bytes(host.option(CACHE, 1.0)),
        folders=tuple(Path(os.path.expanduser(line.strip())) for line in lines if line.strip()),
        vae_bands=vae_bands if vae_bands in _VAE_BANDS else plain.vae_bands,
        beside=bool(host.option(BESIDE, plain.beside)),
    )


def ldsr_steps() -> int | None:
    """The host's own setting for its LDSR, where it has one."""
    steps = host.option("ldsr_steps", None)
    return steps if isinstance(steps, int) and 1 <= steps <= MOST_STEPS else None


def _bytes(gigabytes: Any) -> int:
    try:
        return max(0, int(float(gigabytes) * GIGABYTE))
    except (TypeError, ValueError, OverflowError):
        return 0


def register(changed: Callable[[], None]) -> None:
    """Add them to the host's page. ``changed`` is called when one of them was changed."""
    import gradio as gr

    shared = host.module("shared")
    section = ("upscaling", "Upscaling")

    def add(name: str, default: Any, label: str, info: str, component: Any, arguments: dict[str, Any]) -> None:
        option = shared.OptionInfo(default, label, component, arguments, onchange=changed, section=section)
        option.category_id = "postprocessing"  # not an argument everywhere (1.6)
        shared.opts.add_option(name, option.info(info))

    add(
        TAKEOVER,
        True,
        "TrueScale: run the upscaling models of this WebUI",
        "right colours, no seams, exact sizes; the tile sizes on this page then no longer apply to these models",
        gr.Checkbox,
        {"interactive": True},
    )
    add(
        PRECISION,
        "auto",
        "TrueScale: precision",
        "exact is float32; auto takes a smaller one where it is faster and hardly differs",
        gr.Dropdown,
        {"choices": list(PRECISIONS)},
    )
    add(
        MEMORY,
        0.0,
        "TrueScale: most memory for a picture, in GB",
        "0 = a share of what is free",
        gr.Slider,
        {"minimum": 0.0, "maximum": 64.0, "step": 0.5},
    )
    add(
        CACHE,
        1.0,
        "TrueScale: models kept loaded, in GB",
        "the model used last is always kept",
        gr.Slider,
        {"minimum": 0.0, "maximum": 16.0, "step": 0.5},
    )
    add(
        FOLDERS,
        "",
        "TrueScale: further folders of models",
        "one in a line; their models are listed after a refresh",
        gr.Textbox,
        {"lines": 3},
    )
    add(
        VAE_BANDS,
        Settings.vae_bands,
        "TrueScale: VAE in bands",
        "large pictures go through Stable Diffusion's VAE in parts that fit into memory; the result is the same",
        gr.Radio,
        {"choices": list(_VAE_BANDS)},
    )
    if any(name in shared.opts.data_labels for name in HIRES_BUTTON_OPTIONS):
        return
    add(
        BESIDE,
        Settings.beside,
        "TrueScale: keep the original beside the result of the hires button",
        "in the gallery of txt2img, after it has upscaled one of the pictures there",
        gr.Checkbox,
        {"interactive": True},
    )

"""Ways through a VAE that are chosen by hand, so that small pictures are cut into many windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

from lib_upscaler.diffusion.vae import Forecast, Means, VaeTree, forecast
from lib_upscaler.diffusion.vae.graph import Graph
from lib_upscaler.diffusion.vae.schedule import Keep, Setting, make_schedule
from lib_upscaler.geometry import Size

KEEPS = {"a": Keep.ALL, "l": Keep.LEAN, "s": Keep.STREAM, "n": Keep.NONE, "p": Keep.SAMPLED}


def by_hand(
    tree: VaeTree,
    size: Size,
    direction: Literal["encode", "decode"],
    keeps: str,
    batch: int = 1,
    working: int = 800_000,
    dtype: torch.dtype = torch.float32,
    attention: Literal["exact", "tiles"] = "exact",
    quantise: bool = True,
) -> Forecast:
    """keeps: a letter for each stage, from the latent to the picture."""
    found = forecast(tree, size, direction, "exact", Means(dtype=dtype), batch, quantise)
    encodes = direction == "encode"
    graph = Graph(tree.encoder if encodes else tree.decoder, tree.wraps, quantise)
    latent = Size(size.width // tree.factor, size.height // tree.factor)
    item_size = torch.empty((), dtype=dtype).element_size()
    setting = Setting(size if encodes else latent, batch, item_size, working, 1e12, attention)
    letters: Sequence[str] = keeps[::-1] if encodes else keeps
    schedule = make_schedule(graph, [KEEPS[letter] for letter in letters], setting)
    return replace(found, schedule=schedule, work=schedule.work)


def set_tiling(model: nn.Module) -> None:
    """As the host's "Tiling" does it."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.padding_mode = "circular"


def on_meta(make: Any) -> Any:
    """A model of full width without any numbers."""
    with torch.device("meta"):
        return make()

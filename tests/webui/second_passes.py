"""Generations with Hires Fix on the fake host, and networks that tell what they saw, or fail."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from fake_host.running import FakeHost

__all__ = [
    "NOTE",
    "OTHER_SEED",
    "SIZE",
    "TILES",
    "WORDS",
    "Widths",
    "by_itself",
    "first_pass",
    "generate",
    "no_memory",
    "tiles_of",
    "with_network",
]


SIZE = (320, 256)
"""Of the second pass: 40 x 32 px of the latent. Two tiles, where these have 256 px."""
TILES = {"enabled": True, "second_pass": "one canvas in tiles"}
OTHER_SEED = {"enabled": True, "second_seed": 77}
WORDS = "The second pass failed, the picture of the first is kept"
NOTE = f'TrueScale: "{WORDS}'


def tiles_of(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("second_sampling", "ways", "plan"):
        monkeypatch.setattr(FakeHost.ours(f"places.hires_fix.{name}"), "tile_for_checkpoint", lambda: side)


def generate(host: FakeHost, hires: dict[str, Any] | None = None, **values: Any) -> Any:
    given = {"enable_hr": True, "hr_upscaler": "Nearest", "width": 160, "height": 128, "denoising_strength": 0.4}
    return host.txt2img(hires=hires, **{**given, **values})


def with_network(host: FakeHost, network: Callable[..., torch.Tensor], **kind: Any) -> None:
    model = host.module("sd_models").model_data
    model.sd_model = SimpleNamespace(**{"is_sd1": True, **kind}, apply_model=network)


def by_itself(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
    """Each px by itself, so that it is the same in whatever tiles."""
    return 0.75 * latent


def first_pass(host: FakeHost, seed: int = 1) -> Image.Image:
    return Image.fromarray(host.module("processing").first_pass(seed, 160, 128))


class Widths:
    """A network that tells how wide its latents were. fails: at which call (from 1), and how."""

    def __init__(self, fails: int = 0, error: Callable[[], BaseException] = lambda: RuntimeError("out of luck")):
        self.seen: list[int] = []
        self._fails, self._error = fails, error

    def __call__(self, latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        self.seen.append(latent.shape[3])
        if len(self.seen) == self._fails:
            raise self._error()
        return 0.75 * latent


def no_memory() -> BaseException:
    return torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

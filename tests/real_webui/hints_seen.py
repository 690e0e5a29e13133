"""What a control network was given by a real WebUI, as a script in it has noted, and where that lies on the canvas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from webui_http import as_base64
from webui_process import Server

__all__ = ["Seen", "as_hint", "check_calls", "own_picture", "places"]


def own_picture(image: Image.Image) -> dict[str, Any]:
    """Of a unit."""
    return {"image": as_base64(image)}


@dataclass
class Seen:
    """steps: the sampler's latent, its noise level, and how many calls were before; calls: of the control network, its
    latent and its hint; tiles: what img2img was given, and how many calls were before."""

    steps: list[tuple[torch.Tensor, float, int]]
    calls: list[tuple[torch.Tensor, torch.Tensor]]
    tiles: list[tuple[torch.Tensor, int]]

    @classmethod
    def of(cls, server: Server, run: Callable[[], Any]) -> Seen:
        file = server.data.path / "control.pt"
        file.unlink(missing_ok=True)
        run()
        return cls(**torch.load(file))

    def canvas_at(self, call: int) -> tuple[torch.Tensor, float]:
        """The sampler's latent and noise level at a call."""
        latent, level, _ = [step for step in self.steps if step[2] <= call][-1]
        return latent, level


def as_hint(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255


def places(part: torch.Tensor, whole: torch.Tensor) -> list[tuple[int, int]]:
    """Where ``(C, h, w)`` is found in ``(C, H, W)``, to the number, at multiples of 8: (x, y)."""
    height, width = part.shape[-2:]
    corners = (whole[:, ::8, ::8] == part[:, :1, :1]).all(0).nonzero().tolist()
    return [
        (8 * x, 8 * y) for y, x in corners if torch.equal(whole[:, 8 * y : 8 * y + height, 8 * x : 8 * x + width], part)
    ]


def check_calls(seen: Seen, canvas: torch.Tensor) -> set[tuple[int, int, int, int]]:
    """Each row's hint is the part of the canvas's hint that lies over the row's latent. Gives the tiles: x, y, w, h."""
    tiles = set()
    for number, (x, hint) in enumerate(seen.calls):
        latent, level = seen.canvas_at(number)
        hints = hint if len(hint) > 1 else hint.expand(len(x), -1, -1, -1)
        assert len(hints) == len(x)
        for row in range(len(x)):
            (place,) = places(hints[row], canvas)
            height, width = x.shape[-2:]
            left, top = place[0] // 8, place[1] // 8
            there = latent[:, :, top : top + height, left : left + width] / (level**2 + 1) ** 0.5
            assert hints.shape[-2:] == (8 * height, 8 * width)
            assert min(float((x[row] - each).abs().max()) for each in there) < 1e-4
            tiles.add((*place, 8 * width, 8 * height))
    return tiles

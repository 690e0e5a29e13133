"""The training loop: Adam, a cosine, a moving average of the weights; stops and goes on without a difference."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from .dataset import Crops, batches
from .settings import SCALE, TrainingSettings
from .validation import Sample, gain_over_lanczos

__all__ = ["Training", "enlarged", "new_network"]

_SAVE_EVERY = 250
_LOG_EVERY = 100
_LARGEST_GRADIENT = 0.5
_MEAN_OVER = 16  # px of the large picture, in each direction
_EXPORTED_PRECISION = torch.float32


def new_network(settings: TrainingSettings) -> nn.Module:
    """A Compact network (SRVGGNetCompact of Real-ESRGAN, Wang et al. 2021), as spandrel has it."""
    from spandrel.architectures.Compact import SRVGGNetCompact

    return SRVGGNetCompact(num_feat=settings.channels, num_conv=settings.layers, upscale=SCALE, act_type="prelu").to(
        memory_format=torch.channels_last
    )


def _cosine(share: float) -> float:
    """From 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * share))


@torch.inference_mode()
def enlarged(network: nn.Module, small: Image.Image) -> Image.Image:
    """The network's output, rounded to 8 bits, halves up."""
    planes = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 255
    device = next(network.parameters()).device
    levels = network(planes.to(device)).float().clamp(0, 1)[0].permute(1, 2, 0) * 255 + 0.5
    return Image.fromarray(levels.cpu().numpy().astype(np.uint8))


@dataclass
class Training:
    """One run. Everything that it writes goes into ``folder``.

    samples: name -> pictures for validation; the gain over Lanczos is logged for each name.
    """

    settings: TrainingSettings
    crops: Crops
    folder: Path
    samples: dict[str, list[Sample]]
    device: torch.device
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        torch.manual_seed(self.settings.seed)
        self.network = new_network(self.settings).to(self.device)
        self.average = new_network(self.settings).to(self.device).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=self.settings.rate, betas=(0.9, 0.99))
        self.step = 0
        self.seconds = 0.0
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def resume(self) -> bool:
        """Go on from the folder's checkpoint; False where there is none. Raises ValueError for other settings."""
        if not self.checkpoint.exists():
            return False
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        if replace(TrainingSettings(**state["settings"]), steps=0) != replace(self.settings, steps=0):
            raise ValueError(f"{self.checkpoint} was made with other settings; use them, or another --out")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        return True

    def save(self) -> None:
        """Write the checkpoint beside, then rename: a stop in between leaves the old one."""
        beside = self.checkpoint.with_suffix(".new")
        torch.save(
            {
                "settings": asdict(self.settings),
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
            },
            beside,
        )
        os.replace(beside, self.checkpoint)

    def run(self, validate_every: int) -> None:
        """To the last step. Ctrl-C saves and ends; the same command goes on."""
        started, before = time.monotonic(), self.seconds
        losses: list[float] = []
        try:
            for step, small, large in batches(self.crops, self.step, self.settings.steps):
                losses.append(self._update(step, small, large))
                self.step = step + 1
                self.seconds = before + time.monotonic() - started
                last = self.step == self.settings.steps
                if self.step % _LOG_EVERY == 0 or last:
                    self._log({"loss": round(float(np.mean(losses)), 6), "rate": self._rate(step)})
                    losses.clear()
                if self.step % validate_every == 0 or last:
                    self._log(self.validated())
                if self.step % _SAVE_EVERY == 0 or last:
                    self.save()
        except KeyboardInterrupt:
            self.save()
            self.say(f"stopped after step {self.step}; the same command goes on from there")
            raise

    def validated(self) -> dict[str, float]:
        """dB over Lanczos of the averaged weights, for each group of samples."""
        return {
            f"{name}_db_over_lanczos": round(gain_over_lanczos(group, lambda s: enlarged(self.average, s)), 3)
            for name, group in self.samples.items()
        }

    def weights(self) -> dict[str, Tensor]:
        """What is exported: the averaged weights."""
        state = self.average.state_dict()
        return {name: value.detach().cpu().to(_EXPORTED_PRECISION).contiguous() for name, value in state.items()}

    def _update(self, step: int, small: Tensor, large: Tensor) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(step)
        small = small.to(self.device).contiguous(memory_format=torch.channels_last)
        mixed = self.settings.precision == "bf16" and step < self.settings.steps - self.settings.exact_steps
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=mixed):
            output = self.network(small)
        loss = self._loss(step, output.float() - large.to(self.device))
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_GRADIENT)
        self.optimizer.step()
        # The average starts short, or the random first weights would stay in it for long.
        decay = min(self.settings.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.network.parameters()):
                kept.lerp_(new, 1 - decay)
        return float(loss)

    def _loss(self, step: int, error: Tensor) -> Tensor:
        if step < self.settings.finish_from:
            return error.abs().mean()
        return 10 * error.square().mean() + 200 * F.avg_pool2d(error, _MEAN_OVER).square().mean()

    def _rate(self, step: int) -> float:
        s = self.settings
        if step < s.warmup:
            return s.rate * (step + 1) / s.warmup
        if step >= s.finish_from:
            return s.finish_rate * _cosine((step - s.finish_from) / (s.steps - s.finish_from))
        return s.rate * _cosine((step - s.warmup) / max(1, s.steps - s.warmup))

    def _log(self, values: dict[str, float]) -> None:
        line = {"step": self.step, "seconds": round(self.seconds, 1), **values}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.say(", ".join(f"{name} {value:g}" for name, value in line.items()))

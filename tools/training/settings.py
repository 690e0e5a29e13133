"""The settings that the shipped model was trained with, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from lib_upscaler.models.library import SHIPPED_MODEL

__all__ = ["MODEL_NAME", "SCALE", "VALIDATION_PHOTOS", "TrainingSettings"]

MODEL_NAME = SHIPPED_MODEL
SCALE = 4

VALIDATION_PHOTOS = ("morskie-oko", "viktor-forgacs")
"""Stems of the photos that are held back, never trained on: fern leaves (irregular) and a facade (regular)."""


@dataclass(frozen=True)
class TrainingSettings:
    """What a run depends on: the same values, pictures and library versions give the same weights on one machine.

    channels, layers: of the Compact network (``num_feat``, ``num_conv``). steps: updates of the weights.
    batch: crops per step. crop: side of a crop in px of the small picture.
    rate: the largest learning rate (Adam), reached after ``warmup`` steps and brought to 0 along a cosine.
    clean: share of crops that are plainly reduced (Pillow's bicubic); the others are degraded.
    photo, text, drawing, texture: shares of the kinds of pictures; the rest is flats and gradients.
    average: decay of the moving average of the weights, which is what is exported.
    precision: "bf16" (mixed) or "float32"; ``exact_steps``: the last ones, always in float32.
    finish: the last steps, in which squared errors are minimised, those of the local mean above all: absolute ones,
        which learn faster, seek the median, so that thin text fades into its ground. ``finish_rate``: the learning rate
        that these begin with, brought to 0 along a cosine of their own.
    """

    channels: int = 48
    layers: int = 12
    steps: int = 16_000
    batch: int = 16
    crop: int = 32
    rate: float = 1e-3
    warmup: int = 400
    clean: float = 0.75
    photo: float = 0.66
    text: float = 0.15
    drawing: float = 0.10
    texture: float = 0.05
    average: float = 0.999
    seed: int = 2026
    precision: str = "bf16"
    exact_steps: int = 300
    finish: int = 3000
    finish_rate: float = 2e-4

    @property
    def finish_from(self) -> int:
        """The step that the finish begins with; of short runs it is a quarter."""
        return self.steps - min(self.finish, self.steps // 4)

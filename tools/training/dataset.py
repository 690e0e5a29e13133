"""Pairs of small and large crops, the same ones for the same seed and step, made beside the training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from . import rendered
from .degrade import reduce_clean, reduce_degraded
from .settings import SCALE, VALIDATION_PHOTOS, TrainingSettings

__all__ = ["Crops", "Photos", "batches", "training_photos"]

_REDUCTIONS = (1, 2, 3)
"""Cameras interpolate colours, so full-size photos are soft; reduced ones are as sharp as what people enlarge."""
_TRIES = 3
_AHEAD = 4


def training_photos(folder: Path) -> list[Path]:
    """The pictures in a folder, by name, without those held back. Raises FileNotFoundError where none is left."""
    pictures = (file for file in folder.iterdir() if file.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    files = sorted(file for file in pictures if file.stem not in VALIDATION_PHOTOS)
    if not files:
        raise FileNotFoundError(f"there are no photos to train on in {folder}")
    return files


class Photos:
    """Photos in memory, each at its own size and reduced."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.names = [file.stem for file in files]
        self.sizes: list[list[np.ndarray]] = []
        for file in files:
            with Image.open(file) as opened:
                photo = opened.convert("RGB")
            reduced = [photo if by == 1 else photo.resize((photo.width // by, photo.height // by), Image.LANCZOS)
                       for by in _REDUCTIONS]  # fmt: skip
            self.sizes.append([np.asarray(each) for each in reduced])

    def crop(self, random: np.random.Generator, side: int) -> Image.Image:
        """A square; of a few places, mostly the one with most detail, since flat ones teach nothing."""
        sizes = self.sizes[random.integers(len(self.sizes))]
        photo = sizes[random.choice(len(sizes), p=(0.25, 0.45, 0.3))]
        tries = [self._cut(random, photo, side) for _ in range(_TRIES if random.random() < 0.8 else 1)]
        return Image.fromarray(np.ascontiguousarray(max(tries, key=_detail)))

    @staticmethod
    def _cut(random: np.random.Generator, photo: np.ndarray, side: int) -> np.ndarray:
        top, left = (int(random.integers(length - side + 1)) for length in photo.shape[:2])
        return photo[top : top + side, left : left + side]


def _detail(crop: np.ndarray) -> float:
    green = crop[::2, ::2, 1].astype(np.float32)
    return float(np.abs(np.diff(green, axis=0)).mean() + np.abs(np.diff(green, axis=1)).mean())


@dataclass(frozen=True)
class Crops:
    """Makes the batch of a step."""

    settings: TrainingSettings
    photos: Photos
    fonts: Sequence[Path]

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Small ``(B, 3, s, s)`` and large ``(B, 3, 4 s, 4 s)`` crops, RGB, float32 in [0, 1]."""
        random = np.random.default_rng((self.settings.seed, step))
        pairs = [self._pair(random) for _ in range(self.settings.batch)]
        small, large = (np.stack([pair[side] for pair in pairs]) for side in (0, 1))
        return _tensor(small), _tensor(large)

    def _pair(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        large = self._picture(random, self.settings.crop * SCALE)
        clean = random.random() < self.settings.clean
        small = reduce_clean(large, SCALE) if clean else reduce_degraded(random, large, SCALE)
        planes = np.asarray(small), np.asarray(large)
        turns, mirrored, order = int(random.integers(4)), random.random() < 0.5, random.permutation(3)
        if random.random() < 0.5:
            order = np.arange(3)
        turned = (np.rot90(plane[:, ::-1] if mirrored else plane, turns)[:, :, order] for plane in planes)
        return tuple(turned)

    def _picture(self, random: np.random.Generator, side: int) -> Image.Image:
        s = self.settings
        kind = random.random()
        if kind < s.photo:
            return self.photos.crop(random, side)
        if kind < s.photo + s.text:
            ground = self.photos.crop(random, side) if random.random() < 0.1 else rendered.smooth(random, side)
            return rendered.text_on(random, ground, self.fonts)
        if kind < s.photo + s.text + s.drawing:
            return rendered.drawing(random, side)
        if kind < s.photo + s.text + s.drawing + s.texture:
            return rendered.texture(random, side)
        return rendered.smooth(random, side)


def batches(crops: Crops, first: int, last: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(step, small, large) of the steps from ``first`` to ``last``, the next ones made meanwhile."""
    with ThreadPoolExecutor(1, "crops") as pool:
        waiting = {step: pool.submit(crops.batch, step) for step in range(first, min(last, first + _AHEAD))}
        for step in range(first, last):
            small, large = waiting.pop(step).result()
            if step + _AHEAD < last:
                waiting[step + _AHEAD] = pool.submit(crops.batch, step + _AHEAD)
            yield step, small, large


def _tensor(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float() / 255

"""Random numbers: one generator for each picture of a batch."""

import torch
from modules import shared


class ImageRNG:
    def __init__(self, shape, seeds, subseeds=None, subseed_strength=0.0, seed_resize_from_h=0, seed_resize_from_w=0):
        self.shape = tuple(map(int, shape))
        self.seeds = seeds
        self.subseeds = subseeds
        self.subseed_strength = subseed_strength
        self.generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        self.is_first = True

    def first(self):
        noise = self._draw()
        if self.subseeds is not None and self.subseed_strength != 0:
            other = [torch.Generator().manual_seed(int(seed)) for seed in self.subseeds]
            strength = self.subseed_strength
            noise = (1 - strength) * noise + strength * torch.stack(
                [torch.randn(self.shape, generator=g) for g in other]
            )
        return noise

    def next(self):
        if self.is_first:
            self.is_first = False
            return self.first()
        return self._draw()

    def _draw(self):
        return torch.stack([torch.randn(self.shape, generator=g) for g in self.generators]).to(shared.device)

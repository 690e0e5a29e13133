"""A sampler that adds its noise to the picture, and with "SDE" that of a tree of its own too.

Between, the network may change it: ``apply_model`` of the loaded checkpoint, where a test has put one there.
"""

import torch
from modules import sd_models, sd_samplers_common
from modules.sd_samplers_cfg_denoiser import CFGDenoiser
from modules.sd_samplers_common import InterruptedException


class Denoiser(torch.nn.Module):
    """As k-diffusion's, around a checkpoint."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input, sigma, **kwargs):
        network = getattr(self.model, "apply_model", None)
        return input if network is None else network(input, sigma, **kwargs)


class CFGDenoiserKDiffusion(CFGDenoiser):
    @property
    def inner_model(self):
        if self.model_wrap is None:
            self.model_wrap = Denoiser(sd_models.model_data.sd_model)
        return self.model_wrap


class Sampler(sd_samplers_common.Sampler):
    def __init__(self, name):
        super().__init__(name)
        self.model_wrap_cfg = CFGDenoiserKDiffusion(self)
        self.model_wrap = self.model_wrap_cfg.inner_model

    def sample_img2img(
        self, p, x, noise, conditioning=None, unconditional_conditioning=None, steps=None, image_conditioning=None
    ):
        """What becomes of the latent picture: half of the first noise, and less of what is drawn on the way."""
        self.model_wrap_cfg.p, self.model_wrap_cfg.step, self.last_latent = p, 0, x
        try:
            return self._sample(p, x, noise, image_conditioning)
        except InterruptedException:
            return self.last_latent

    def _sample(self, p, x, noise, image_conditioning):
        tree = self.create_noise_sampler(x, torch.tensor([2.0, 1.0, 0.5]), p) if self.funcname == "SDE" else None
        latent = x + p.denoising_strength * 0.5 * noise
        for sigma, sigma_next in ((2.0, 1.0), (1.0, 0.5)):
            latent = self.model_wrap_cfg(latent, torch.tensor([sigma]), image_conditioning)
            drawn = tree(sigma, sigma_next) if tree is not None else p.rng.next()
            latent = latent + p.denoising_strength * 0.2 * drawn
        return latent


def create_sampler(name, model):
    return Sampler(name)

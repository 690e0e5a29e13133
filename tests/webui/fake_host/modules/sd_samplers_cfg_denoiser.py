"""What puts prompt and negative prompt around the network, for a sampler."""

import torch
from modules import sd_models
from modules.sd_samplers_common import InterruptedException
from modules.shared import state


class CFGDenoiser(torch.nn.Module):
    def __init__(self, sampler):
        super().__init__()
        self.model_wrap = None
        self.step = 0
        self.sampler = sampler
        self.p = None

    @property
    def inner_model(self):
        raise NotImplementedError

    def update_inner_model(self):
        self.model_wrap = None

    def forward(self, x, sigma, image_cond):
        """In one call for both; the refiner comes in at the second step."""
        if state.interrupted or state.skipped:
            raise InterruptedException
        if self.step == 1 and getattr(self.p, "refiner_checkpoint", None):
            self.update_inner_model()
        text = torch.cat([torch.ones(len(x), 1, 1), torch.zeros(len(x), 1, 1)])
        told = {"c_crossattn": [text]}
        if getattr(sd_models.model_data.sd_model, "is_sdxl", False):
            told = {"crossattn": text, "vector": torch.zeros(2 * len(x), 2816)}
        cond = {**told, "c_concat": [torch.cat([image_cond] * 2)]}
        with_prompt, without = self.inner_model(torch.cat([x] * 2), sigma.repeat(2 * len(x)), cond=cond).chunk(2)
        denoised = without + (with_prompt - without)
        self.sampler.last_latent = denoised
        self.step += 1
        return denoised

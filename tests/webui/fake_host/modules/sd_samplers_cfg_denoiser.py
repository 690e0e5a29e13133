"""What puts prompt and negative prompt around the network, for a sampler."""

import torch
from modules import prompt_parser, sd_models
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

    def _texts(self, rows):
        """Of the prompt and of the negative one, ``(rows, tokens, 1)``."""
        if self.p.c is None:
            return [torch.ones(rows, 1, 1), torch.zeros(rows, 1, 1)]
        _, prompts = prompt_parser.reconstruct_multicond_batch(self.p.c, self.step)
        negative = prompt_parser.reconstruct_cond_batch(self.p.uc, self.step)
        return [made["crossattn"] if isinstance(made, dict) else made for made in (prompts, negative)]

    def _call(self, x, sigma, image_cond, texts):
        text = torch.cat(texts)
        told = {"c_crossattn": [text]}
        if getattr(sd_models.model_data.sd_model, "is_sdxl", False):
            vector = torch.zeros(len(text), 2816)
            vector[:, 0] = text[:, 0, 0]
            told = {"crossattn": text, "vector": vector}
        cond = {**told, "c_concat": [torch.cat([image_cond] * len(texts))]}
        return self.inner_model(torch.cat([x] * len(texts)), sigma.repeat(len(text)), cond=cond)

    def forward(self, x, sigma, image_cond):
        """In one call for both; the refiner comes in at the second step."""
        if state.interrupted or state.skipped:
            raise InterruptedException
        if self.step == 1 and getattr(self.p, "refiner_checkpoint", None):
            if self.p.c is not None:
                self.p.setup_conds()
            self.update_inner_model()
        texts = self._texts(len(x))
        if texts[0].shape[1] == texts[1].shape[1]:
            with_prompt, without = self._call(x, sigma, image_cond, texts).chunk(2)
        else:  # one after the other
            with_prompt, without = (self._call(x, sigma, image_cond, [text]) for text in texts)
        denoised = without + (with_prompt - without)
        self.sampler.last_latent = denoised
        self.step += 1
        return denoised

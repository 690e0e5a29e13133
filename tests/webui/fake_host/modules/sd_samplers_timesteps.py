"""What DDIM, PLMS and UniPC denoise with: it is told timesteps, and gives the noise."""

import torch


class CompVisTimestepsDenoiser(torch.nn.Module):
    def __init__(self, model, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.inner_model = model

    def forward(self, input, timesteps, **kwargs):
        return self.inner_model.apply_model(input, timesteps, **kwargs)


class CompVisTimestepsVDenoiser(torch.nn.Module):
    def __init__(self, model, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.inner_model = model

    def forward(self, input, timesteps, **kwargs):
        alphas = self.inner_model.alphas_cumprod[timesteps.to(torch.int), None, None, None]
        return alphas.sqrt() * self.inner_model.apply_model(input, timesteps, **kwargs) + (1 - alphas).sqrt() * input

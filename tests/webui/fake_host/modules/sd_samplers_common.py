"""Between pictures and latents."""

import numpy as np
import torch
from modules import devices, sd_models
from PIL import Image


class InterruptedException(BaseException):
    pass


class Sampler:
    def __init__(self, funcname):
        self.funcname = funcname
        self.last_latent = None
        self.model_wrap_cfg = None

    def create_noise_sampler(self, x, sigmas, p):
        """One generator for each picture, by its seed, and for each pair of noise levels."""
        seeds = p.all_seeds[p.iteration * p.batch_size : (p.iteration + 1) * p.batch_size]

        def tree(sigma, sigma_next):
            salt = round(1000 * float(sigma) + 7 * float(sigma_next))
            drawn = [torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(seed + salt)) for seed in seeds]
            return torch.stack(drawn)

        return tree


def samples_to_images_tensor(sample, approximation=None, model=None):
    """Always the full VAE: neither the approximations nor the setting for them are here."""
    model = model or sd_models.model_data.sd_model
    with torch.no_grad(), devices.without_autocast():
        return model.decode_first_stage(sample)


def single_sample_to_image(sample, approximation=None):
    x_sample = samples_to_images_tensor(sample.unsqueeze(0), approximation)[0] * 0.5 + 0.5
    x_sample = torch.clamp(x_sample, min=0.0, max=1.0)
    return Image.fromarray((255.0 * np.moveaxis(x_sample.cpu().numpy(), 0, 2)).astype(np.uint8))


def decode_first_stage(model, x):
    return samples_to_images_tensor(x, 0, model)


def sample_to_image(samples, index=0, approximation=None):
    return single_sample_to_image(samples[index], approximation)


def images_tensor_to_samples(image, approximation=None, model=None):
    """``image`` in [0, 1]."""
    model = model or sd_models.model_data.sd_model
    return model.get_first_stage_encoding(model.encode_first_stage(image * 2 - 1))

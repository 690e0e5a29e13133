"""A sampler that adds its noise to the picture, and with "SDE" that of a tree of its own too."""

import torch


class Sampler:
    def __init__(self, name):
        self.name = name

    def create_noise_sampler(self, x, sigmas, p):
        """One generator for each picture, by its seed, and for each pair of noise levels."""
        seeds = p.all_seeds[p.iteration * p.batch_size : (p.iteration + 1) * p.batch_size]

        def tree(sigma, sigma_next):
            salt = round(1000 * float(sigma) + 7 * float(sigma_next))
            drawn = [torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(seed + salt)) for seed in seeds]
            return torch.stack(drawn)

        return tree

    def sample_img2img(self, p, x, noise):
        """What becomes of the latent picture: half of the first noise, and less of what is drawn on the way."""
        change = 0.5 * noise
        tree = self.create_noise_sampler(x, torch.tensor([2.0, 1.0, 0.5]), p) if self.name == "SDE" else None
        for sigma, sigma_next in ((2.0, 1.0), (1.0, 0.5)):
            change = change + 0.2 * (tree(sigma, sigma_next) if tree is not None else p.rng.next())
        return x + p.denoising_strength * change


def create_sampler(name, model):
    return Sampler(name)

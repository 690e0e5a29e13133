"""Stand-ins for extensions that change a generation, switched on by words in the prompt.

__pet__ becomes a word by the seed, as with dynamic prompts. RESCALE: what guidance has made is brought back to a
smaller spread, over the whole latent, as with a rescaled CFG. SEEDED: what the autoencoder draws is decided by
the seed.
"""

import random

import gradio as gr
import torch
from modules import script_callbacks, scripts

PETS = ("cat", "dog", "owl", "fox")


class Rescale:
    on = False


def rescale(params):
    if Rescale.on:
        params.x = params.x * (0.7 + 0.3 / params.x.std())


script_callbacks.on_cfg_after_cfg(rescale)


class Guests(scripts.Script):
    def title(self):
        return "Guests"

    def show(self, is_img2img):
        return scripts.AlwaysVisible if is_img2img else False

    def process(self, p, *args):
        Rescale.on = "RESCALE" in p.prompt
        if "SEEDED" in p.prompt:
            torch.manual_seed(int(p.seed))
        p.all_prompts = [
            prompt.replace("__pet__", random.Random(seed).choice(PETS))
            for prompt, seed in zip(p.all_prompts, p.all_seeds)
        ]

    def postprocess(self, p, processed, *args):
        Rescale.on = False


class Divides(scripts.Script):
    """By its name, and its switch, one that divides the picture."""

    name_of_it = "Regional Prompter"

    def title(self):
        return self.name_of_it

    def show(self, is_img2img):
        return scripts.AlwaysVisible if is_img2img else False

    def ui(self, is_img2img):
        return [gr.Checkbox(value=False, label="Active", elem_id=f"stand_in_{type(self).__name__}")]


class Tiled(Divides):
    name_of_it = "Tiled Diffusion"

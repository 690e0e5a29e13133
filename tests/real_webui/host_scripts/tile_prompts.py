"""For the tests of prompts of tiles: what the network is told goes into a file, and a CLIP that needs no model.

While there is a file ``note`` in the data folder, ``told.pt`` gets of each generation its prompts, and of each call of
the network the canvas of that step, the latents, the text, and SDXL's vector. CLIP calls a picture by how light it is;
while there is a file ``offline``, it is the host's own, whose model cannot be fetched.
"""

import os

import numpy as np
import torch
from modules import interrogate, paths, script_callbacks, scripts

NOTE, TOLD, OFFLINE = (os.path.join(paths.data_path, name) for name in ("note", "told.pt", "offline"))


class Notes:
    canvas, generations = None, []


def step(params):
    Notes.canvas = params.x.cpu().clone()


script_callbacks.on_cfg_denoiser(step)


class TilePrompts(scripts.Script):
    def title(self):
        return "Tile prompts' tests"

    def show(self, is_img2img):
        return scripts.AlwaysVisible if is_img2img else False

    def process(self, p, *args):
        if p.prompt and "SEEDED" in str(p.negative_prompt):
            torch.manual_seed(int(p.seed))

    def process_before_every_sampling(self, p, *args, **named):
        if not os.path.exists(NOTE):
            return
        if not os.path.exists(TOLD):
            Notes.generations = []
        calls = []
        Notes.generations.append({"prompts": list(p.prompts), "calls": calls})
        self.model, plain = p.sd_model, p.sd_model.apply_model

        def apply_model(latents, level, cond, **named):
            text = cond["crossattn"] if "crossattn" in cond else cond["c_crossattn"][0]
            vector = cond.get("vector", torch.zeros(0))
            calls.append((Notes.canvas, latents.cpu().clone(), text.cpu().clone(), vector.cpu().clone()))
            return plain(latents, level, cond, **named)

        p.sd_model.apply_model = apply_model

    def postprocess(self, p, processed, *args):
        model = getattr(self, "model", None)
        if model is not None and "apply_model" in vars(model):
            del model.apply_model
            torch.save(Notes.generations, TOLD)


def answer_by_lightness(kind):
    plain = kind.interrogate

    def interrogate(self, pil_image):
        if os.path.exists(OFFLINE):
            return plain(self, pil_image)
        light = float(np.asarray(pil_image.convert("L")).mean())
        return f"a picture, {light:.0f} of 255\nlight"

    kind.interrogate = interrogate


answer_by_lightness(interrogate.InterrogateModels)

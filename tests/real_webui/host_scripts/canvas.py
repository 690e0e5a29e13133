"""Scripts in img2img for the tests of one canvas, switched on by a word in the prompt."""

import gradio as gr
import torch
from modules import paths, scripts


class Seeded(scripts.Script):
    """SEEDED: what the autoencoder draws is decided by the seed. FAILS: the network fails in its sixth call. NOTED:
    what the network is told goes into a file."""

    def title(self):
        return "Seeded"

    def show(self, is_img2img):
        return scripts.AlwaysVisible if is_img2img else False

    def process(self, p, *args):
        if "SEEDED" in p.prompt:
            torch.manual_seed(int(p.seed))
        if "FAILS" in p.prompt:
            _let_fail(p.sd_model)

    def process_before_every_sampling(self, p, *args, **named):
        if "NOTED" in p.prompt:
            _note(p.sd_model, p.image_conditioning)

    def postprocess(self, p, processed, *args):
        if "NOTED" in p.prompt:
            vars(p.sd_model).pop("apply_model", None)


def _note(model, whole):
    plain, told = model.apply_model, {"whole": whole.cpu(), "calls": []}

    def apply_model(latents, level, cond, **named):
        told["calls"].append((latents.cpu(), cond["c_concat"][0].cpu(), cond.get("vector", torch.zeros(0)).cpu()))
        torch.save(told, f"{paths.data_path}/told.pt")
        return plain(latents, level, cond, **named)

    model.apply_model = apply_model


def _let_fail(model):
    model = model.forge_objects.unet.model if hasattr(model, "forge_objects") else model
    plain, calls = model.apply_model, []

    def apply_model(*args, **kwargs):
        calls.append(args)
        if len(calls) == 6:
            del model.apply_model
            raise RuntimeError("out of luck")
        return plain(*args, **kwargs)

    model.apply_model = apply_model


class Control(scripts.Script):
    """By its name, and its switch, an extension that conditions on the picture."""

    def title(self):
        return "ControlNet"

    def show(self, is_img2img):
        return scripts.AlwaysVisible if is_img2img else False

    def ui(self, is_img2img):
        return [gr.Checkbox(value=False, label="Enable", elem_id="stand_in_control")]

"""Control networks of random weights for the tests of ControlNet, and words in the prompt that say what is to be seen.

SEEDED: what the autoencoder draws is decided by the seed. NOTED: what control networks are given goes into a file, and
at what. ECHO: the control network gives back its hint, and Stable Diffusion's network works px by px. FAILS_n: the
control network fails in its n-th call.
"""

import os
import re
import sys

import numpy as np
import torch
from modules import paths, script_callbacks, scripts
from safetensors.torch import save_file

WIDTH = 32
"""Of the tiny checkpoint, as are ``context_dim`` and ``num_heads``."""

FOLDER = os.path.join(paths.models_path, "ControlNet")
FILE = os.path.join(paths.data_path, "control.pt")


def extension(name):
    return sys.modules[f"scripts.{name}"]


def make_networks():
    """The extension's loader takes everyone's shape from one table of its own, which it copies for each."""
    table = extension("controlnet_model_guess").controlnet_default_config
    table.update(model_channels=WIDTH, context_dim=64, num_heads=4)
    torch.manual_seed(1)
    network = extension("cldm").PlugableControlModel({**table, "hint_channels": 3, "use_fp16": False}).control_model
    save_random(network, "tinycontrol")
    adapter = extension("adapter").Adapter(
        cin=192, channels=[WIDTH, WIDTH * 2, WIDTH * 4, WIDTH * 4], nums_rb=2, ksize=1, sk=True, use_conv=False
    )
    save_random(adapter, "tinyadapter")
    extension("global_state").update_cn_models()


def save_random(network, name):
    """Also what is zero at the start of a training."""
    weights = {key: 0.03 * torch.randn_like(value) for key, value in network.state_dict().items()}
    save_file(weights, os.path.join(FOLDER, f"{name}.safetensors"))


make_networks()


class Noted:
    """steps: the canvas, its noise level, and how many calls were before; calls: of a control network, its latent and
    its hint; tiles: what img2img was given, and how many calls were before. Until the file is taken away."""

    def __init__(self):
        self.steps, self.calls, self.tiles = [], [], []

    def step(self, params):
        self.steps.append((params.x.cpu().clone(), float(params.sigma[0]), len(self.calls)))

    def tile(self, image):
        self.tiles.append((torch.tensor(np.asarray(image.convert("RGB"))), len(self.calls)))

    def call(self, x, hint):
        self.calls.append((x.cpu().clone(), hint.cpu().clone()))

    def save(self):
        torch.save(vars(self), FILE)


class Notes:
    now = Noted()
    on = False


script_callbacks.on_cfg_denoiser(lambda params: Notes.now.step(params) if Notes.on else None)


class Control(scripts.Script):
    def __init__(self):
        self.undo = []

    def title(self):
        return "Control's tests"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process(self, p, *args):
        """Before each generation, of which the engine Tiles makes many."""
        self.end()
        if "SEEDED" in p.prompt:
            torch.manual_seed(int(p.seed))
        Notes.on = "NOTED" in p.prompt
        if Notes.on and not os.path.exists(FILE):
            Notes.now = Noted()
            Notes.now.save()
        if Notes.on and getattr(p, "init_images", None):
            Notes.now.tile(p.init_images[0])
        if Notes.on or "ECHO" in p.prompt or "FAILS" in p.prompt:
            self.watch(p)

    def watch(self, p):
        fails = re.search(r"FAILS_(\d+)", p.prompt)
        calls = []

        def replaced(plain):
            def forward(this, *args, **named):
                calls.append(1)
                if fails and len(calls) == int(fails[1]):
                    self.end()
                    raise RuntimeError("out of luck")
                x, hint = named["x"], named["hint"]
                if Notes.on:
                    Notes.now.call(x, hint)
                if "ECHO" in p.prompt:
                    return echo(x, hint)
                return plain(this, *args, **named)

            return forward

        for owner in (extension("cldm").PlugableControlModel, extension("adapter").PlugableAdapter):
            self.replace(owner, "forward", replaced(owner.forward))
        if "ECHO" in p.prompt:
            self.px_by_px(p.sd_model.model.diffusion_model)

    def replace(self, owner, name, value):
        before = vars(owner).get(name)
        setattr(owner, name, value)
        self.undo.append(lambda: setattr(owner, name, before) if before is not None else delattr(owner, name))

    def px_by_px(self, unet):
        """What comes out is a mix of each px of the latent and of what control adds to the first block."""
        mix = torch.linspace(-1, 1, 4 * WIDTH).reshape(4, WIDTH, 1, 1) * 0.1
        lead = torch.linspace(1, -1, 4 * WIDTH).reshape(WIDTH, 4, 1, 1) * 0.1
        self.replace(unet.input_blocks[0], "forward", lambda h, *more: torch.nn.functional.conv2d(h[:, :4], lead))
        self.replace(unet.output_blocks[-1], "forward", lambda h, *more: h[:, -WIDTH:])
        self.replace(unet.out, "forward", lambda h: torch.nn.functional.conv2d(h, mix))

    def postprocess(self, p, processed, *args):
        if Notes.on:
            Notes.now.save()
        self.end()

    def end(self):
        Notes.on = False
        while self.undo:
            self.undo.pop()()


def echo(x, hint):
    """As 13 blocks would answer, of which the first has the hint at the latent's size."""
    planes = torch.nn.functional.avg_pool2d(hint[:, :3], 8).repeat(1, 11, 1, 1)[:, :WIDTH]
    planes = planes.expand(x.shape[0], -1, -1, -1)
    return [planes, *(torch.zeros(1, 1, 1, 1) for _ in range(12))]

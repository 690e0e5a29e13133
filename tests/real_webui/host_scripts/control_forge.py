"""Control networks of random weights for the tests of the Forge family's ControlNet, and words in the prompt that say
what is to be seen.

SEEDED: what the autoencoder draws is decided by the seed. NOTED: what control networks are given goes into a file, and
at what. ECHO: the control network gives back its hint, and Stable Diffusion's network works px by px. FAILS_n: the
control network fails in its n-th call.
"""

import inspect
import os
import re
import sys

import numpy as np
import torch
from modules import paths, script_callbacks, scripts
from safetensors.torch import save_file

try:
    from backend.nn.cnets import cldm, t2i_adapter
    from backend.patcher import controlnet
except ImportError:  # those of the earlier Forge
    import ldm_patched.controlnet.cldm as cldm
    import ldm_patched.modules.controlnet as controlnet
    import ldm_patched.t2ia.adapter as t2i_adapter
from modules_forge.shared import controlnet_dir

WIDTH = 320
"""Of the smallest checkpoint that is known there; of four levels, all as wide, of one block each."""

SHAPE = {
    **{"image_size": 32, "in_channels": 4, "model_channels": WIDTH, "hint_channels": 3, "num_res_blocks": [1] * 4},
    **{"channel_mult": [1] * 4, "num_heads": 8, "context_dim": 768, "use_spatial_transformer": True, "hint_width": 16},
    **{"transformer_depth": [1, 1, 1, 0], "transformer_depth_middle": 1},
}
LITE = "lllite_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"
"""A ControlNet-LLLite of one place."""

FILE = os.path.join(paths.data_path, "control.pt")


def make_networks():
    torch.manual_seed(1)
    known = inspect.signature(cldm.ControlNet).parameters
    save_random(cldm.ControlNet(**{key: value for key, value in SHAPE.items() if key in known}), "tinycontrol")
    adapter = t2i_adapter.Adapter(
        cin=192,
        channels=[WIDTH, WIDTH * 2, WIDTH * 4, WIDTH * 4],
        nums_rb=2,
        ksize=1,
        sk=True,
        use_conv=False,
        xl=False,
    )
    save_random(adapter, "tinyadapter")
    shapes = {
        **{"conditioning1.0": (8, 3, 4, 4), "conditioning1.2": (16, 8, 2, 2)},
        **{"down.0": (16, WIDTH), "mid.0": (16, 32), "up.0": (WIDTH, 16)},
    }
    weights = {f"{LITE}.{name}.weight": 0.3 * torch.randn(shape) for name, shape in shapes.items()}
    weights.update({f"{LITE}.{name}.bias": torch.zeros(shape[0]) for name, shape in shapes.items()})
    save_file(weights, file_of("tinylllite"))


def save_random(network, name):
    """Also what is zero at the start of a training."""
    weights = {key: (0.03 * torch.randn(value.shape)).half() for key, value in network.state_dict().items()}
    save_file(weights, file_of(name))


def file_of(name):
    return os.path.join(str(controlnet_dir), f"{name}.safetensors")


make_networks()
if "lib_controlnet.global_state" in sys.modules:
    sys.modules["lib_controlnet.global_state"].update_controlnet_filenames()


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
        self.calls.append((x.float().cpu().clone(), hint.float().cpu().clone()))

    def save(self):
        torch.save(vars(self), FILE)


class Notes:
    now = Noted()
    on = False
    asked = None
    """What an adapter is asked for: its network sees the hint alone."""


script_callbacks.on_cfg_denoiser(lambda params: Notes.now.step(params) if Notes.on else None)


class Control(scripts.Script):
    def __init__(self):
        self.undo = []

    def title(self):
        return "Control's tests"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def before_process(self, p, *args):
        known = sys.modules["lib_controlnet.global_state"]
        for name in ("tinycontrol", "tinyadapter", "tinylllite"):  # some hosts list them by their hashes too
            known.controlnet_filename_dict[name] = file_of(name)

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

    def process_before_every_sampling(self, p, *args, **named):
        if "ECHO" in p.prompt:
            network = p.sd_model.forge_objects.unet.model.diffusion_model
            if "forward" not in vars(network):
                self.replace(network, "forward", px_by_px)

    def watch(self, p):
        fails = re.search(r"FAILS_(\d+)", p.prompt)
        calls = []

        def control(plain):
            def forward(this, x, hint, *args, **named):
                calls.append(1)
                if fails and len(calls) == int(fails[1]):
                    self.end()
                    raise RuntimeError("out of luck")
                if Notes.on:
                    Notes.now.call(x, hint)
                return echo(x, hint, this) if "ECHO" in p.prompt else plain(this, x, hint, *args, **named)

            return forward

        def adapter(plain):
            def forward(this, hint):
                if Notes.on:
                    Notes.now.call(Notes.asked, hint)
                return nothing(plain(this, hint))

            return forward

        def asked(plain):
            def get_control(this, x, t, *args):
                Notes.asked = x / (t[:, None, None, None] ** 2 + 1) ** 0.5
                return plain(this, x, t, *args)

            return get_control

        def pictured(plain):
            def set_cond_image(this, picture):
                if Notes.on:
                    levels = ((picture + 1) / 2 * 255).round()
                    Notes.now.call(picture, levels / 255)
                return plain(this, picture)

            return set_cond_image

        lite = sys.modules["lib_controllllite.lib_controllllite"].LLLiteModule
        self.replace(lite, "set_cond_image", pictured(lite.set_cond_image))
        for owner, name, made in (
            (cldm.ControlNet, "forward", control),
            (t2i_adapter.Adapter, "forward", adapter),
            (controlnet.T2IAdapter, "get_control", asked),
        ):
            self.replace(owner, name, made(getattr(owner, name)))

    def replace(self, owner, name, value):
        before = vars(owner).get(name)
        setattr(owner, name, value)
        self.undo.append(lambda: setattr(owner, name, before) if before is not None else delattr(owner, name))

    def postprocess(self, p, processed, *args):
        if Notes.on:
            Notes.now.save()
        self.end()

    def end(self):
        Notes.on = False
        while self.undo:
            self.undo.pop()()


def px_by_px(x, timesteps=None, context=None, y=None, control=None, transformer_options=None, **named):
    """What comes out is a mix of each px of the latent and of what control adds to the first block."""
    lead = torch.linspace(1, -1, 4 * WIDTH).reshape(WIDTH, 4, 1, 1).to(x) * 0.1
    mix = torch.linspace(-1, 1, 4 * WIDTH).reshape(4, WIDTH, 1, 1).to(x) * 0.1
    h = torch.nn.functional.conv2d(x[:, :4], lead)
    if control:
        h = h + control["output"][0]
    return torch.nn.functional.conv2d(h, mix)


def echo(x, hint, network):
    """As its blocks would answer, of which the first has the hint at the latent's size."""
    planes = torch.nn.functional.avg_pool2d(hint[:, :3].to(x), 8).repeat(1, 107, 1, 1)[:, :WIDTH]
    rest = [x.new_zeros(1, 1, 1, 1) for _ in network.zero_convs]
    output = [planes.expand(x.shape[0], -1, -1, -1).clone(), *rest[1:]]
    later = "out_middle" in inspect.getsource(type(network))  # says which come from where
    return {"middle": rest[:1], "output": output} if later else [*output, rest[0]]


def nothing(made):
    """An adapter's answer in its form, which fits a checkpoint of any width."""
    if isinstance(made, dict):
        return {key: nothing(value) for key, value in made.items()}
    if isinstance(made, list):
        return [nothing(value) for value in made]
    return None if made is None else made.new_zeros(1, 1, 1, 1)

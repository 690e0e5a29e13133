"""An extension in the shape of Mikubill's ControlNet, as far as others can see it.

Its script puts itself in front of the network in ``process`` and goes in ``postprocess``. Its network adds a tenth of
the hint's first plane to what the network says.
"""

from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image


class Params:
    def __init__(self, hint, hr_hint, unit):
        self._hint_cond, self.hr_hint_cond = hint, hr_hint
        self.control_model = SimpleNamespace(reset=lambda: None)
        self.control_model_type = SimpleNamespace(name=unit.kind)
        self.preprocessor = {"name": unit.module}
        self.effective_region_mask = None
        self.cfg_injection = unit.cfg_injection
        self.used_hint_cond = self.used_hint_cond_latent = None

    @property
    def hint_cond(self):
        return self._hint_cond

    @hint_cond.setter
    def hint_cond(self, hint):
        self._hint_cond, self.used_hint_cond, self.used_hint_cond_latent = hint, None, None


class Unit:
    """Of the page: ``picture`` is its own."""

    def __init__(self, picture=None, module="none", kind="ControlNet", cfg_injection=False, model="tiny"):
        self.enabled, self.module, self.kind, self.model = True, module, kind, model
        self.image, self.mask, self.cfg_injection = picture, None, cfg_injection

    def get_input_images_rgba(self):
        if isinstance(self.image, list):
            return [np.dstack([one["image"], one["mask"][:, :, :1]]) for one in self.image]
        return [np.dstack([np.asarray(self.image), np.zeros(self.image.size[::-1], np.uint8)])]


SEEN = []
"""Of each call of the network the latent, the hint and its latent, as they were."""


class UnetHook:
    def __init__(self, checkpoint, params, p):
        self.model = SimpleNamespace(in_channels=4)
        self.control_params, self._checkpoint, self._plain = params, checkpoint, checkpoint.apply_model
        self._latents = {}
        checkpoint.apply_model = self._apply

    def call_vae_using_process(self, p, hint):
        return torch.nn.functional.avg_pool2d(hint, 8)

    def _apply(self, latent, sigma, cond):
        result = self._plain(latent, sigma, cond)
        for param in self.control_params:
            if param.used_hint_cond is None:
                param.used_hint_cond = param.hint_cond
            if isinstance(param.hr_hint_cond, torch.Tensor):
                height, low, high = 8 * latent.shape[2], param.hint_cond.shape[2], param.hr_hint_cond.shape[2]
                chosen = param.hint_cond if abs(height - low) < abs(height - high) else param.hr_hint_cond
                if chosen is not param.used_hint_cond:
                    param.used_hint_cond, param.used_hint_cond_latent = chosen, None
            hint = param.used_hint_cond
            SEEN.append((latent.clone(), hint.clone(), param.used_hint_cond_latent))
            if hint.shape[2:] == (8 * latent.shape[2], 8 * latent.shape[3]):
                result = result + 0.1 * torch.nn.functional.avg_pool2d(hint[:, :1], 8)
        return result

    def restore(self):
        self.control_params = None
        self._checkpoint.apply_model = self._plain


class Script:
    alwayson = True
    filename = "controlnet.py"
    infotext_fields = None

    def __init__(self):
        self.latest_network = None
        self.ui_batch_option_state = ["All ControlNet units for all images in a batch", False]
        self.detected_map = []

    def title(self):
        return "ControlNet"

    def controlnet_main_entry(self, p):
        if self.latest_network is not None:
            self.latest_network.restore()
        self.latest_network = None
        units = [unit for unit in p.script_args[self.args_from : self.args_to] if getattr(unit, "enabled", False)]
        if not units:
            return
        params = []
        for unit in units:
            if unit.model == "missing":
                raise RuntimeError("model not found: missing")
            high = None
            if getattr(p, "enable_hr", False):
                high = self.hint(unit, p, int(p.width * p.hr_scale), int(p.height * p.hr_scale))
            params.append(Params(self.hint(unit, p, p.width, p.height), high, unit))
        plain = p.sample
        p.sample = lambda *given, **named: plain(*given, **named)
        self.latest_network = UnetHook(p.sd_model, params, p)
        self.detected_map = [Image.new("RGB", (8, 8))]

    def hint(self, unit, p, width, height):
        picture = p.init_images[0] if unit.image is None else Image.fromarray(unit.get_input_images_rgba()[0][:, :, :3])
        pixels = np.asarray(picture.convert("RGB").resize((width // 8 * 8, height // 8 * 8)), np.float32)
        return torch.from_numpy(pixels / 255).permute(2, 0, 1)[None]

    def before_process(self, p, *given):
        pass

    before_hr = postprocess_image = before_process

    def process(self, p, *units):
        self.controlnet_main_entry(p)

    def postprocess(self, p, processed, *units):
        if self.latest_network is None:
            return
        processed.images.extend(self.detected_map)
        self.latest_network.restore()
        self.latest_network = None
        self.detected_map.clear()


def add(host, *units, img2img=True):
    """Into the page. The script."""
    runner = getattr(host.module("scripts"), "scripts_img2img" if img2img else "scripts_txt2img")
    script = Script()
    script.args_from = len(runner.inputs)
    script.args_to = script.args_from + len(units)
    runner.inputs += [SimpleNamespace(value=unit) for unit in units]
    runner.alwayson_scripts.append(script)
    SEEN.clear()
    return script

"""The ControlNet that is built into the Forge family, as far as others can see it: sd_forge_controlnet's script,
modules_forge/supported_*.py, backend/patcher/controlnet.py.

Its networks give back their hint's first plane, at the latent's size, for what the checkpoint's network adds a tenth of
(``controlled``).
"""

import copy
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from PIL import Image

SEEN = []
"""Of each call of a control its latent and its hint, as they were, and what it was asked with."""


def controlled(latent, sigma, control=None, control_model=None, **told):
    """A checkpoint's network: each px by itself."""
    result = 0.75 * latent
    for plane in () if control is None else control["output"]:
        result = result + 0.1 * plane
    return result


class ControlBase:
    def __init__(self):
        self.cond_hint_original = self.cond_hint = self.previous_controlnet = self.timestep_range = None
        self.strength, self.timestep_percent_range = 1.0, (0.0, 1.0)
        self.transformer_options = {}
        self.positive_advanced_weighting = self.negative_advanced_weighting = self.advanced_mask_weighting = None
        self.cleaned = 0

    def get_models(self):
        return [self] + ([] if self.previous_controlnet is None else self.previous_controlnet.get_models())

    def inference_memory_requirements(self, dtype):
        rest = self.previous_controlnet
        return 1 + (0 if rest is None else rest.inference_memory_requirements(dtype))

    def pre_run(self, model, sigma_of):
        self.timestep_range = tuple(sigma_of(share) for share in self.timestep_percent_range)
        if self.previous_controlnet is not None:
            self.previous_controlnet.pre_run(model, sigma_of)

    def cleanup(self):
        self.cleaned += 1
        self.cond_hint = None

    def get_control(self, x_noisy, t, cond, batched_number):
        before = self.previous_controlnet
        result = None if before is None else before.get_control(x_noisy, t, cond, batched_number)
        if t[0] > self.timestep_range[0] or t[0] < self.timestep_range[1]:
            return result
        size = (8 * x_noisy.shape[2], 8 * x_noisy.shape[3])
        if self.cond_hint is None or self.cond_hint.shape[2:] != size:
            self.cond_hint = torch.nn.functional.interpolate(self.cond_hint_original, size=size, mode="nearest-exact")
        if len(self.cond_hint) not in (1, len(x_noisy)):
            per_batch = len(x_noisy) // batched_number
            self.cond_hint = torch.cat([self.cond_hint[:per_batch]] * batched_number)
        SEEN.append((x_noisy.clone(), self.cond_hint.clone(), cond))
        plane = torch.nn.functional.avg_pool2d(self.cond_hint[:, :1], 8) * self.strength
        plane = self.weighted(plane.expand(len(x_noisy), -1, -1, -1))
        return {"output": [*(() if result is None else result["output"]), plane]}

    def weighted(self, plane):
        mark = self.transformer_options["cond_mark"]
        positive, negative = (
            1.0 if one is None else one for one in (self.positive_advanced_weighting, self.negative_advanced_weighting)
        )
        mask = self.advanced_mask_weighting
        if mask is not None:
            plane = plane * torch.nn.functional.interpolate(mask, size=plane.shape[2:], mode="bilinear")
        return plane * (positive * (1 - mark) + negative * mark)[:, None, None, None]

    def copy(self):
        other = copy.copy(self)
        other.cond_hint = other.previous_controlnet = None
        return other


class ControlNet(ControlBase):
    pass


class T2IAdapter(ControlBase):
    """Keeps what it has made of its hint as long as the hint."""

    def get_control(self, x_noisy, t, cond, batched_number):
        if self.cond_hint is None:
            self.control_input = None
        result = super().get_control(x_noisy, t, cond, batched_number)
        if self.control_input is None:
            self.control_input = result["output"][-1]
        return {"output": [*result["output"][:-1], self.control_input.clone()]}


class Cascade(ControlBase):
    """A kind that is not known."""


class ControlModelPatcher:
    def __init__(self, model_patcher=None):
        self.model_patcher = model_patcher

    def process_before_every_sampling(self, process, cond, mask, *args, **kwargs):
        pass


class ControlNetPatcher(ControlModelPatcher):
    def process_before_every_sampling(self, process, cond, mask, *args, **kwargs):
        control, unit = self.model_patcher.copy(), kwargs["unit"]
        control.cond_hint_original, control.strength = cond, unit.weight
        control.timestep_percent_range = (unit.guidance_start, unit.guidance_end)
        if unit.control_mode == "ControlNet is more important":
            control.negative_advanced_weighting = 0.0
        control.advanced_mask_weighting = mask
        unet = process.sd_model.forge_objects.unet.clone()
        unet.add_patched_controlnet(control)
        process.sd_model.forge_objects.unet = unet


class IPAdapterPatcher(ControlModelPatcher):
    def process_before_every_sampling(self, process, cond, mask, *args, **kwargs):
        SEEN.append((None, cond, None))


class ControlLLLitePatcher(ControlModelPatcher):
    pass


class Preprocessor:
    def __call__(self, image):
        return image

    def process_before_every_sampling(self, process, cond, mask, *args, **kwargs):
        return cond, mask


class Inpaint(Preprocessor):
    def process_before_every_sampling(self, process, cond, mask, *args, **kwargs):
        mask = mask.round()
        return cond * (1 - mask) - mask, None


class Reference(Preprocessor):
    def process_before_every_sampling(self, process, cond, mask, *args, **kwargs):
        SEEN.append((None, cond, None))
        return cond, mask


class Clip(Preprocessor):
    def __call__(self, image):
        return {"image": image}


PREPROCESSORS = {
    "None": Preprocessor(),
    "inpaint_global_harmonious": Inpaint(),
    "reference_only": Reference(),
    "tile_colorfix": Reference(),
    "of_another_extension": Reference(),
    "CLIP-ViT-H (IPAdapter)": Clip(),
}
MODELS = {
    "tiny": lambda: ControlNetPatcher(ControlNet()),
    "adapter": lambda: ControlNetPatcher(T2IAdapter()),
    "cascade": lambda: ControlNetPatcher(Cascade()),
    "face": IPAdapterPatcher,
    "of_another_name": ControlLLLitePatcher,
    "None": ControlModelPatcher,
    "kohya_controllllite_xl": ControlModelPatcher,
}


class Unit:
    """Of the page: ``picture`` is its own."""

    def __init__(self, picture=None, module="None", model="tiny", mask=None, **values):
        self.enabled, self.module, self.model = True, module, model
        self.image = None if picture is None else np.asarray(picture)
        self.mask_image = None if mask is None else np.asarray(mask)
        self.weight, self.guidance_start, self.guidance_end, self.control_mode = 1.0, 0.0, 1.0, "Balanced"
        self.hr_option = "Both"
        vars(self).update(values)

    @staticmethod
    def from_dict(values):
        unit = Unit()
        vars(unit).update(values)
        return unit


class Option:
    def __init__(self, value):
        self.low_res_enabled, self.high_res_enabled = value != "High res only", value != "Low res only"

    from_value = classmethod(lambda kind, value: kind(value))


class Script:
    alwayson = True
    filename = "controlnet.py"
    infotext_fields = None

    def title(self):
        return "ControlNet"

    def before_process(self, p, *given):
        pass

    before_hr = postprocess_image = before_process

    def get_enabled_units(self, units):
        units = [Unit.from_dict(unit) if isinstance(unit, dict) else unit for unit in units]
        return [unit for unit in units if unit.enabled]

    def process(self, p, *units):
        self.current_params = {}
        for number, unit in enumerate(self.get_enabled_units(units)):
            params = SimpleNamespace(model=None, preprocessor=None)
            if self.process_unit_after_click_generate(p, unit, params):  # that it is only Classic asks
                self.current_params[number] = params

    def process_unit_after_click_generate(self, p, unit, params):
        params.preprocessor = PREPROCESSORS[unit.module]
        own = unit.image is not None
        picture = unit.image if own else np.asarray(p.init_images[0].convert("RGB"))
        mask = unit.mask_image if own else p.image_mask
        made = params.preprocessor(picture)
        sizes = [(p.width, p.height)]
        if getattr(p, "enable_hr", False):
            sizes.append((int(p.width * p.hr_scale), int(p.height * p.hr_scale)))
        whole = isinstance(made, dict)
        conds = [made if whole else self.resized(made, size, p.batch_size) for size in sizes]
        masks = [None if mask is None else self.resized(mask, size, p.batch_size)[:, :1] for size in sizes]
        params.control_cond, params.control_cond_for_hr_fix = conds[0], conds[-1]
        params.control_mask, params.control_mask_for_hr_fix = masks[0], masks[-1]
        params.model = MODELS[unit.model]()
        return True

    @staticmethod
    def resized(picture, size, count):
        size = tuple(side // 8 * 8 for side in size)
        pixels = np.asarray(Image.fromarray(np.asarray(picture)).convert("RGB").resize(size), np.float32) / 255
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].repeat(count, 1, 1, 1)

    def process_before_every_sampling(self, p, *units, **named):
        for number, unit in enumerate(self.get_enabled_units(units)):
            params, high = self.current_params[number], getattr(p, "is_hr_pass", False)
            option = Option(unit.hr_option)
            if getattr(p, "enable_hr", False) and not (option.high_res_enabled if high else option.low_res_enabled):
                continue
            cond, mask = (
                (params.control_cond_for_hr_fix, params.control_mask_for_hr_fix)
                if high
                else (params.control_cond, params.control_mask)
            )
            cond, mask = params.preprocessor.process_before_every_sampling(p, cond, mask, unit=unit)
            params.model.process_before_every_sampling(p, cond, mask, unit=unit)

    def postprocess_batch_list(self, p, pp, *units):
        pass

    def postprocess(self, p, processed, *units):
        self.current_params = {}


def add(host, monkeypatch, *units, img2img=True):
    """Into the page, with the modules that the host has beside it. The script."""
    modules = {
        "modules_forge.shared": {"supported_preprocessors": PREPROCESSORS},
        "lib_controlnet.external_code": {"ControlNetUnit": Unit},
        "lib_controlnet.enums": {"HiResFixOption": Option},
    }
    for name, values in modules.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    runner = getattr(host.module("scripts"), "scripts_img2img" if img2img else "scripts_txt2img")
    script = Script()
    script.args_from = len(runner.inputs)
    script.args_to = script.args_from + len(units)
    runner.inputs += [SimpleNamespace(value=unit) for unit in units]
    runner.alwayson_scripts.append(script)
    SEEN.clear()
    return script

"""Makes the fake host sample as the Forge family does: backend/sampling/sampling_function.py, modules/sd_samplers*.py.

The network is ``forge_objects.unet`` of the checkpoint, a patcher; what is set on a clone of it holds for one sampling,
since the host puts the patcher as it was in its place before each.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import torch

from .running import FakeHost

__all__ = ["Checkpoint", "ForgeSampler", "UnetPatcher", "become_forge"]

Network = Callable[..., torch.Tensor]
"""(latent, sigma, **what it is told) -> x0."""


class UnetPatcher:
    """controlnet_linked_list: None, unless a ControlNet has been switched on."""

    def __init__(self, network: Network) -> None:
        self.model = SimpleNamespace(apply_model=network, predictor=SimpleNamespace(prediction_type="epsilon"))
        self.model_options: dict[str, Any] = {"transformer_options": {}}
        self.controlnet_linked_list: Any = None

    def clone(self) -> UnetPatcher:
        other = UnetPatcher(self.model.apply_model)
        other.model = self.model
        other.model_options = copy.deepcopy(self.model_options)
        other.controlnet_linked_list = self.controlnet_linked_list
        return other

    def add_patched_controlnet(self, control: Any) -> None:
        control.previous_controlnet = self.controlnet_linked_list
        self.controlnet_linked_list = control

    def list_controlnets(self) -> list[Any]:
        found, control = [], self.controlnet_linked_list
        while control is not None:
            found.append(control)
            control = control.previous_controlnet
        return found

    def memory_required(self, shape: Sequence[int]) -> int:
        rows, _, height, width = shape
        return 1000 * rows * height * width


class ForgeObjects:
    def __init__(self, unet: UnetPatcher) -> None:
        self.unet = unet

    def shallow_copy(self) -> ForgeObjects:
        return ForgeObjects(self.unet)


class Checkpoint:
    def __init__(self, network: Network, **kind: bool) -> None:
        self.is_sd1 = self.is_sd2 = self.is_sdxl = self.is_sd3 = False
        vars(self).update(kind or {"is_sd1": True})
        self.forge_objects = ForgeObjects(UnetPatcher(network))
        self.forge_objects_after_applying_lora = self.forge_objects.shallow_copy()


class ForgeCfgDenoiser(torch.nn.Module):
    """refiner: the checkpoint that is loaded before the second step. apart: prompt and negative prompt one after the
    other, as where memory for both is short."""

    def __init__(self, host: FakeHost, sampler: ForgeSampler) -> None:
        super().__init__()
        self._host, self.sampler, self.model_wrap, self.step = host, sampler, None, 0
        self.p: Any = None
        self.refiner: Checkpoint | None = None
        self.apart = False

    @property
    def inner_model(self) -> Any:
        if self.model_wrap is None:
            self.model_wrap = SimpleNamespace(inner_model=self._host.module("sd_models").model_data.sd_model)
        return self.model_wrap

    def update_inner_model(self) -> None:
        self.model_wrap = None

    def forward(self, x: torch.Tensor, sigma: torch.Tensor, image_cond: torch.Tensor) -> torch.Tensor:
        if self._host.state.interrupted or self._host.state.skipped:
            raise self._host.module("sd_samplers_common").InterruptedException
        if self.step == 1 and self.refiner is not None:
            self._host.module("sd_models").model_data.sd_model = self.refiner
            self.update_inner_model()
            self.sampler.prepare(x)
        kinds = [0, 1]
        calls = [[kind] for kind in kinds] if self.apart else [kinds]
        predicted = torch.cat([self._calc(x, sigma, image_cond, some) for some in calls])
        denoised = predicted[: len(x)]
        self.sampler.last_latent = denoised
        self.step += 1
        return denoised

    def _texts(self, kinds: list[int], count: int) -> torch.Tensor:
        """``(rows, tokens, 1)``; a shorter one is repeated."""
        parser = self._host.module("prompt_parser")
        made = [torch.ones(count, 1, 1), torch.zeros(count, 1, 1)]
        if self.p is not None and self.p.c is not None:
            _, prompts = parser.reconstruct_multicond_batch(self.p.c, self.step)
            made = [prompts, parser.reconstruct_cond_batch(self.p.uc, self.step)]
        texts = [each["crossattn"] if isinstance(each, dict) else each for each in (made[kind] for kind in kinds)]
        tokens = math.lcm(*(text.shape[1] for text in texts))
        return torch.cat([text.repeat(1, tokens // text.shape[1], 1) for text in texts])

    def _calc(self, x: torch.Tensor, sigma: torch.Tensor, image_cond: torch.Tensor, kinds: list[int]) -> torch.Tensor:
        """One batch of ``calc_cond_uncond_batch``. kinds: 0 for prompts, 1 for negative ones."""
        unet, count = self.inner_model.inner_model.forge_objects.unet, len(x)
        rows = [kind for kind in kinds for _ in range(count)]
        texts = self._texts(kinds, count)
        c = {"c_crossattn": texts}
        if self.inner_model.inner_model.is_sdxl:
            c["y"] = torch.zeros(len(rows), 2816)
            c["y"][:, 0] = texts[:, 0, 0]
        if image_cond.shape[2:] == x.shape[2:]:
            c["c_concat"] = torch.cat([image_cond] * len(kinds))
        options = unet.model_options["transformer_options"].copy()
        options["cond_or_uncond"], options["sigmas"] = kinds[:], sigma
        options["cond_mark"] = torch.tensor(rows, dtype=sigma.dtype)
        options["cond_indices"], options["uncond_indices"] = (
            [number for number, kind in enumerate(rows) if kind == each] for each in (0, 1)
        )
        c["transformer_options"] = options
        control = unet.controlnet_linked_list
        if control is not None:
            for each in unet.list_controlnets():
                each.transformer_options = options
            c["control"] = control.get_control(
                torch.cat([x] * len(kinds)), torch.cat([sigma] * len(kinds)), c.copy(), len(kinds)
            )
            c["control_model"] = control
        given = {"input": torch.cat([x] * len(kinds)), "timestep": torch.cat([sigma] * len(kinds)), "c": c}
        if "model_function_wrapper" in unet.model_options:
            wrapper = unet.model_options["model_function_wrapper"]
            return wrapper(unet.model.apply_model, {**given, "cond_or_uncond": kinds})
        return unet.model.apply_model(given["input"], given["timestep"], **c)


class ForgeSampler:
    """reserved: what it has asked memory for, one for each time. loaded: beside the checkpoint's network, the same.

    asks_options: first; Neo asks the patcher alone.
    """

    reserved: ClassVar[list[int]] = []
    loaded: ClassVar[list[list[Any]]] = []
    asks_options: ClassVar[bool] = True

    def __init__(self, host: FakeHost) -> None:
        self._host = host
        self.last_latent: Any = None
        self.model_wrap_cfg = ForgeCfgDenoiser(host, self)
        self.model_wrap = self.model_wrap_cfg.inner_model

    def prepare(self, x: torch.Tensor) -> None:
        unet = self.model_wrap_cfg.inner_model.inner_model.forge_objects.unet
        options = unet.model_options if self.asks_options else {}
        needed = options.get("memory_peak_estimation_modifier", unet.memory_required)
        self.reserved.append(needed([2 * x.shape[0], *x.shape[1:]]))
        first = unet.controlnet_linked_list
        self.loaded.append([] if first is None else first.get_models())
        if first is not None:
            assert first.inference_memory_requirements("float16") == len(self.loaded[-1])
        for control in unet.list_controlnets():
            control.pre_run(unet.model, lambda share: 10.0 * (1 - share))

    def sample_img2img(
        self, p: Any, x: torch.Tensor, noise: torch.Tensor, *_: Any, image_conditioning: torch.Tensor, **__: Any
    ) -> torch.Tensor:
        cfg = self.model_wrap_cfg
        cfg.p = p
        unet = cfg.inner_model.inner_model.forge_objects.unet
        self.prepare(x)
        cfg.step, self.last_latent = 0, x
        latent = x + p.denoising_strength * 0.5 * noise
        try:
            for sigma in (2.0, 1.0):
                latent = cfg(latent, torch.full((len(x),), sigma), image_conditioning)
                latent = latent + p.denoising_strength * 0.2 * p.rng.next()
        except self._host.module("sd_samplers_common").InterruptedException:
            return self.last_latent
        for control in unet.list_controlnets():
            control.cleanup()
        return latent


def become_forge(host: FakeHost, network: Network, **kind: bool) -> tuple[Checkpoint, list[ForgeSampler]]:
    """Gives the loaded checkpoint, and a list that the samplers come into as they are made."""
    checkpoint, made = Checkpoint(network, **kind), []
    host.module("sd_models").model_data.sd_model = checkpoint
    ForgeSampler.reserved, ForgeSampler.loaded = [], []

    def create_sampler(name: str, model: Any) -> ForgeSampler:
        made.append(ForgeSampler(host))
        return made[-1]

    host.module("sd_samplers").create_sampler = create_sampler
    module = host.module("processing")
    _puts_objects_back(host, module.StableDiffusionProcessingImg2Img, "sample")
    _puts_objects_back(host, module.StableDiffusionProcessingTxt2Img, "sample_hr_pass")
    return checkpoint, made


def _puts_objects_back(host: FakeHost, kind: Any, name: str) -> None:
    plain = getattr(kind, name)

    def sample(self: Any, *given: Any, **named: Any) -> Any:
        loaded = host.module("sd_models").model_data.sd_model
        loaded.forge_objects = loaded.forge_objects_after_applying_lora.shallow_copy()
        self.is_hr_pass = name == "sample_hr_pass"
        for script in () if self.scripts is None else self.scripts.alwayson_scripts:
            if hasattr(script, "process_before_every_sampling"):
                _called(host, script, self)
        return plain(self, *given, **named)

    sample.__name__ = name
    setattr(kind, name, sample)


def _called(host: FakeHost, script: Any, p: Any) -> None:
    """What a script raises the host only reports."""
    try:
        script.process_before_every_sampling(p, *p.script_args[script.args_from : script.args_to])
    except Exception:  # noqa: BLE001 - as the host does
        host.module("errors").report(f"Error running process_before_every_sampling: {script.filename}", exc_info=True)

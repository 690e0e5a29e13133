"""Records of a WebUI what an extension for upscaling touches: names, parameters, attributes, ids.

    python tests/webui/host_facts/record.py WEBUI_DIR NAME [VERSION]

reads the source in WEBUI_DIR, never imports it, and writes NAME.json beside this file. What the WebUI lacks is null.
VERSION: its tag and commit, where WEBUI_DIR is no git checkout.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["facts_of"]

SIGNATURES = (
    "backend.patcher.base.ModelPatcher.clone",
    "backend.patcher.unet.UnetPatcher.clone",
    "ldm_patched.modules.model_patcher.ModelPatcher.clone",
    "modules.call_queue.wrap_gradio_gpu_call",
    "modules.devices.get_optimal_device",
    "modules.devices.torch_gc",
    "modules.devices.without_autocast",
    "modules.images.get_font",
    "modules.images.read",
    "modules.images.read_info_from_image",
    "modules.images.resize_image",
    "modules.images.save_image",
    "modules.modelloader.load_file_from_url",
    "modules.modelloader.load_upscalers",
    "modules.options.OptionInfo.__init__",
    "modules.options.OptionInfo.info",
    "modules.options.Options.add_option",
    "modules.options.Options.set",
    "modules.postprocessing.run_extras",
    "modules.postprocessing.run_postprocessing",
    "modules.processing.DecodedSamples",
    "modules.processing.StableDiffusionProcessing.comment",
    "modules.processing.StableDiffusionProcessingTxt2Img.sample_hr_pass",
    "modules.processing.decode_latent_batch",
    "modules.processing.process_images",
    "modules.processing.process_images_inner",
    "modules.rng.ImageRNG.__init__",
    "modules.rng.ImageRNG.next",
    "modules.script_callbacks.ImageSaveParams.__init__",
    "modules.script_callbacks.on_after_component",
    "modules.script_callbacks.on_app_started",
    "modules.script_callbacks.on_before_component",
    "modules.script_callbacks.on_before_image_saved",
    "modules.script_callbacks.on_before_ui",
    "modules.script_callbacks.on_model_loaded",
    "modules.script_callbacks.on_script_unloaded",
    "modules.script_callbacks.on_ui_settings",
    "modules.scripts.Script.before_hr",
    "modules.scripts.Script.before_process",
    "modules.scripts.Script.postprocess",
    "modules.scripts.Script.postprocess_image",
    "modules.scripts.Script.process",
    "modules.scripts.Script.run",
    "modules.scripts.Script.show",
    "modules.scripts.Script.title",
    "modules.scripts.Script.ui",
    "modules.scripts.basedir",
    "modules.scripts_postprocessing.PostprocessedImage.__init__",
    "modules.scripts_postprocessing.PostprocessedImage.create_copy",
    "modules.scripts_postprocessing.ScriptPostprocessing.image_changed",
    "modules.scripts_postprocessing.ScriptPostprocessing.process",
    "modules.scripts_postprocessing.ScriptPostprocessing.process_firstpass",
    "modules.scripts_postprocessing.ScriptPostprocessing.ui",
    "modules.scripts_postprocessing.ScriptPostprocessingRunner.create_args_for_run",
    "modules.scripts_postprocessing.ScriptPostprocessingRunner.run",
    "modules.scripts_postprocessing.ScriptPostprocessingRunner.scripts_in_preferred_order",
    "modules.sd_models.reload_model_weights",
    "modules.sd_samplers.create_sampler",
    "modules.sd_samplers_cfg_denoiser.CFGDenoiser.update_inner_model",
    "modules.sd_samplers_common.InterruptedException",
    "modules.sd_samplers_common.single_sample_to_image",
    "modules.sd_samplers_timesteps.CompVisTimestepsDenoiser.forward",
    "modules.sd_samplers_timesteps.CompVisTimestepsVDenoiser.forward",
    "modules.sd_vae.reload_vae_weights",
    "modules.shared_state.State.assign_current_image",
    "modules.shared_state.State.begin",
    "modules.shared_state.State.end",
    "modules.shared_state.State.interrupt",
    "modules.shared_state.State.nextjob",
    "modules.shared_state.State.skip",
    "modules.ui_common.create_refresh_button",
    "modules.ui_components.InputAccordion.__init__",
    "modules.ui_components.ToolButton.__init__",
    "modules.upscaler.Upscaler.do_upscale",
    "modules.upscaler.Upscaler.load_model",
    "modules.upscaler.Upscaler.upscale",
    "modules.upscaler.UpscalerData.__init__",
    "modules.util.open_folder",
    "modules_forge.forge_util.prepare_free_memory",
    "modules_forge.unet_patcher.UnetPatcher.clone",
    "modules_forge.utils.prepare_free_memory",
    "scripts.xyz_grid.AxisOption.__init__",
)
"""Their parameters: [name, kind, whether it has a default]; "class" or "name" for what is there but no function."""

NAMES = (
    "ldm_patched.modules.model_sampling.CONST",
    "modules.call_queue.queue_lock",
    "modules.devices.device",
    "modules.devices.device_esrgan",
    "modules.devices.dtype_unet",
    "modules.devices.patch_module_list",
    "modules.paths.data_path",
    "modules.paths.models_path",
    "modules.scripts.AlwaysVisible",
    "modules.scripts.postprocessing_scripts_data",
    "modules.scripts.scripts_data",
    "modules.sd_hijack.model_hijack",
    "modules.sd_models.model_data",
    "modules.shared.OptionInfo",
    "modules.shared.cmd_opts",
    "modules.shared.latent_upscale_modes",
    "modules.shared.opts",
    "modules.shared.sd_upscalers",
    "modules.shared.state",
    "modules.ui_common.refresh_symbol",
    "modules.ui_components.FormRow",
    "modules.ui_components.InputAccordion",
    "modules.ui_components.ToolButton",
    "scripts.postprocessing_upscale.upscale_cache",
    "scripts.xyz_grid.AxisOptionTxt2Img",
    "scripts.xyz_grid.axis_options",
)
"""Whether the module has them."""

ATTRIBUTES = {
    "backend.diffusion_engine.base.ForgeObjects": ("shallow_copy", "unet", "vae"),
    "backend.modules.k_model.KModel": ("computation_dtype", "predictor"),
    "backend.modules.k_prediction.AbstractPrediction": ("prediction_type",),
    "backend.patcher.base.ModelPatcher": ("memory_required", "model", "model_options"),
    "backend.patcher.unet.UnetPatcher": ("controlnet_linked_list",),
    "ldm_patched.modules.model_base.BaseModel": ("model_sampling",),
    "ldm_patched.modules.model_patcher.ModelPatcher": ("memory_required", "model", "model_options"),
    "modules.script_callbacks.ImageSaveParams": ("image", "p", "filename", "pnginfo"),
    "modules.scripts.Script": ("infotext_fields", "paste_field_names", "args_from", "args_to", "controls"),
    "modules.scripts_postprocessing.PostprocessedImage": (
        "image", "info", "shared", "extra_images", "nametags", "disable_processing",
    ),
    "modules.scripts_postprocessing.PostprocessedImageSharedInfo": ("target_width", "target_height"),
    "modules.scripts_postprocessing.ScriptPostprocessing": ("name", "order", "controls", "args_from", "args_to"),
    "modules.sd_hijack.StableDiffusionModelHijack": ("optimization_method",),
    "modules.sd_models.SdModelData": ("loaded_sd_models", "sd_model"),
    "modules.sd_samplers_cfg_denoiser.CFGDenoiser": ("inner_model", "model_wrap", "p", "step"),
    "modules.sd_samplers_common.Sampler": ("create_noise_sampler", "model_wrap_cfg"),
    "modules.sd_samplers_timesteps.CompVisTimestepsDenoiser": ("inner_model",),
    "modules.sd_samplers_timesteps.CompVisTimestepsVDenoiser": ("inner_model",),
    "modules.shared_state.State": (
        "current_image", "interrupted", "job", "job_count", "job_no", "sampling_step", "sampling_steps", "skipped",
        "stopping_generation", "textinfo",
    ),
    "modules.upscaler.Upscaler": ("model_download_path", "model_name", "model_path", "name", "scalers", "scale"),
    "modules.upscaler.UpscalerData": ("data_path", "local_data_path", "name", "scale", "scaler"),
    "modules_forge.forge_loader.ForgeObjects": ("shallow_copy", "unet", "vae"),
    "modules_forge.forge_loader.ForgeSD": ("shallow_copy", "unet", "vae"),
    "modules_forge.unet_patcher.UnetPatcher": ("controlnet_linked_list",),
}  # fmt: skip
"""Whether the class or its instances have them."""

LOCALS = {
    "modules.postprocessing.run_postprocessing": (
        "data_to_process",
        "extras_mode",
        "get_images",
        "image_placeholder",
        "name",
    ),
    "modules.processing.StableDiffusionProcessingTxt2Img.sample_hr_pass": ("self", "i"),
    "modules.processing.process_images_inner": ("p",),
    "modules.scripts_postprocessing.ScriptPostprocessingRunner.run": ("process_args", "scripts"),
    "modules.sd_samplers_common.single_sample_to_image": ("approximation",),
}
"""Whether the function has these variables: we look for them in the calls under way."""

_OF_A_CALL = ("cond_indices", "cond_mark", "cond_or_uncond", "model_function_wrapper", "uncond_indices")
_OF_MEMORY = ("controlnet_linked_list", "memory_peak_estimation_modifier", "memory_required")
ASKED = {
    "backend.sampling.sampling_function.calc_cond_uncond_batch": _OF_A_CALL,
    "backend.sampling.sampling_function.sampling_prepare": _OF_MEMORY,
    "ldm_patched.modules.samplers._calc_cond_batch": _OF_A_CALL,
    "ldm_patched.modules.samplers.calc_cond_uncond_batch": _OF_A_CALL,
    "modules_forge.forge_sampler.sampling_prepare": _OF_MEMORY,
}
"""Whether the function has these attributes or keys in it: what the Forge family asks a patcher for."""

STATE_IN = (
    "modules.postprocessing.run_postprocessing",
    "modules.scripts_postprocessing.ScriptPostprocessingRunner.run",
)
"""Which of the flags that stop a job these functions look at or set."""

ELEM_IDS = (
    "extras_batch_input_dir",
    "extras_batch_output_dir",
    "extras_image",
    "extras_image_batch",
    "extras_show_extras_results",
    "extras_upscale",
    "extras_upscaler_1",
    "extras_upscaler_2",
    "txt2img_hr_resize_x",
    "txt2img_hr_resize_y",
    "txt2img_hr_scale",
    "txt2img_hr_upscaler",
)
FLAGS = (
    *("api", "api-auth", "esrgan-models-path", "hide-ui-dir-config", "listen", "ngrok", "no-gradio-queue", "nowebui"),
    *("server-name", "share"),
)
OPTIONS = ("live_previews_enable", "upscaling_max_images_in_cache", "postprocessing_enable_in_main_ui")
PINS = ("Pillow", "fastapi", "gradio", "numpy", "pydantic", "spandrel", "torch")


class _Source:
    """The Python files of a WebUI, parsed when they are first looked at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._trees: dict[Path, ast.Module] = {}

    def tree(self, path: Path) -> ast.Module:
        if path not in self._trees:
            try:
                self._trees[path] = ast.parse(path.read_text(encoding="utf-8-sig", errors="replace"))
            except SyntaxError:  # some extension that nobody can import either
                self._trees[path] = ast.Module([], [])
        return self._trees[path]

    def trees(self) -> Iterator[ast.Module]:
        """Of all files that make the WebUI's page and list of upscalers."""
        for place in ("modules", "modules_forge", "scripts", "extensions-builtin"):
            for path in sorted((self.folder / place).rglob("*.py")):
                yield self.tree(path)

    def module(self, name: str) -> ast.Module | None:
        """By its name for an import, the WebUI's folder or that of a built-in extension being importable."""
        for folder in (self.folder, *sorted(self.folder.glob("extensions-builtin/*"))):
            base = folder.joinpath(*name.split("."))
            for path in (base.with_suffix(".py"), base / "__init__.py"):
                if path.is_file():
                    return self.tree(path)
        return None

    def find(self, name: str, depth: int = 0) -> ast.AST | None:
        """What stands behind a dotted name: a definition, an assignment, or, in the end, an import."""
        parts = name.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            module = self.module(".".join(parts[:cut]))
            if module is not None:
                return self._within(module, parts[cut:], depth)
        return None

    def _within(self, node: ast.AST, parts: list[str], depth: int) -> ast.AST | None:
        for part in parts:
            if part == "__init__" and isinstance(node, ast.FunctionDef):
                return node  # a function in place of a class
            found = _member(node, part)
            if isinstance(found, ast.ImportFrom) and depth < 5:
                original = next(alias.name for alias in found.names if part in (alias.asname, alias.name))
                rest = parts[parts.index(part) + 1 :]
                return self.find(".".join([found.module or "", original, *rest]), depth + 1) or (
                    None if rest else found
                )
            if found is None and isinstance(node, ast.ClassDef):
                found = self._inherited(node, part, depth)
            if found is None:
                return None
            node = found
        return node

    def _inherited(self, node: ast.ClassDef, part: str, depth: int) -> ast.AST | None:
        if depth > 5:
            return None
        for base in node.bases:
            for tree in self._trees.values():
                parent = _member(tree, ast.unparse(base).split(".")[-1])
                if isinstance(parent, ast.ClassDef) and parent is not node:
                    return self._within(parent, [part], depth + 1)
        return None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a body, and of the conditions and attempts in it."""
    for statement in body:
        yield statement
        for field in ("body", "orelse", "finalbody"):
            if isinstance(statement, (ast.If, ast.Try, ast.With)):
                yield from _statements(getattr(statement, field, []))
        for handler in getattr(statement, "handlers", []):
            yield from _statements(handler.body)


def _member(node: ast.AST, name: str) -> ast.AST | None:
    """The last definition of ``name`` in a module or a class."""
    found = None
    for statement in _statements(getattr(node, "body", [])):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and statement.name == name:
            found = statement
        elif isinstance(statement, ast.ImportFrom):
            if any(name == (alias.asname or alias.name) for alias in statement.names):
                found = statement
        elif name in _assigned(statement):
            found = statement
    return found


def _assigned(statement: ast.AST) -> set[str]:
    targets: list[ast.AST] = []
    if isinstance(statement, ast.Assign):
        targets = list(statement.targets)
    elif isinstance(statement, (ast.AnnAssign, ast.For)):
        targets = [statement.target]
    names = {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return names | (set(statement.names) if isinstance(statement, ast.Global) else set())


def _parameters(node: ast.AST | None) -> Any:
    if node is None:
        return None
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return "class" if isinstance(node, ast.ClassDef) else "name"
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    without = len(positional) - len(arguments.defaults)
    told = [[each.arg, "positional", number >= without] for number, each in enumerate(positional)]
    told += [[arguments.vararg.arg, "*", False]] if arguments.vararg else []
    told += [[a.arg, "keyword", d is not None] for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults)]
    return told + ([[arguments.kwarg.arg, "**", False]] if arguments.kwarg else [])


def _has_attribute(source: _Source, class_name: str, attribute: str) -> bool | None:
    node = source.find(class_name)
    if not isinstance(node, ast.ClassDef):
        return None
    stored = {ast.unparse(each) for each in ast.walk(node) if isinstance(getattr(each, "ctx", None), ast.Store)}
    return True if _member(node, attribute) is not None or f"self.{attribute}" in stored else None


def _variables(node: ast.AST | None) -> set[str]:
    if not isinstance(node, ast.FunctionDef):
        return set()
    names = {each[0] for each in _parameters(node)}
    for each in ast.walk(node):
        names |= _assigned(each) | ({each.name} if isinstance(each, ast.FunctionDef) else set())
    return names


def _words(node: ast.AST | None) -> set[str]:
    """Names of attributes, and texts."""
    inside = list(ast.walk(node)) if node is not None else []
    texts = {each.value for each in inside if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    return texts | {each.attr for each in inside if isinstance(each, ast.Attribute)}


def _attention(source: _Source) -> list[str]:
    """The names of its ways to compute attention, of which Stable Diffusion's checkpoints run with one."""
    tree = source.module("modules.sd_hijack_optimizations") or ast.Module([], [])
    found = [_member(node, "name") for node in tree.body if isinstance(node, ast.ClassDef)]
    values = [each.value for each in found if isinstance(each, ast.Assign)]
    return sorted(each.value for each in values if isinstance(each, ast.Constant) and each.value)


def _state_flags(node: ast.AST | None) -> list[str] | None:
    if node is None:
        return None
    flags = ("interrupted", "skipped", "stopping_generation")
    return sorted({n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and n.attr in flags})


def _strings(source: _Source) -> set[str]:
    """All texts in arguments ``elem_id``."""
    return {
        constant.value
        for tree in source.trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "elem_id"
        for constant in ast.walk(node.value)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    }


def _flags(source: _Source) -> set[str]:
    tree = source.module("modules.cmd_args")
    return {
        argument.value.lstrip("-")
        for node in ast.walk(tree or ast.Module([], []))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"
        for argument in node.args
        if isinstance(argument, ast.Constant)
    }


def _option_names(source: _Source) -> set[str]:
    names: set[str] = set()
    for module in ("modules.shared_options", "modules.shared"):
        for node in ast.walk(source.module(module) or ast.Module([], [])):
            if isinstance(node, ast.Dict):
                names |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
    return names


def _takes_lists(node: ast.AST | None) -> bool | None:
    """Whether the infotext can hold another value for each picture of a job."""
    asked = {ast.unparse(each) for each in ast.walk(node or ast.Module([], [])) if isinstance(each, ast.Call)}
    return True if "isinstance(value, list)" in asked else None


def _upscaler_classes(source: _Source) -> list[str]:
    return sorted(
        {
            node.name
            for tree in source.trees()
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and any(ast.unparse(b).split(".")[-1] == "Upscaler" for b in node.bases)
        }
    )


def _pins(folder: Path) -> dict[str, str | None]:
    """From the requirements; torch from the command that the launcher gives to pip."""
    text = "".join(
        (folder / name).read_text(encoding="utf-8", errors="replace") + "\n"
        for name in ("requirements_versions.txt", "requirements.txt", "modules/launch_utils.py")
        if (folder / name).is_file()
    )
    found = {name: re.search(rf"(?im)(?:^|[\s\"']){name}==([0-9][\w.]*)", text) for name in PINS}
    return {name: match.group(1) if match else None for name, match in found.items()}


def _version(folder: Path) -> str:
    command = ["git", "-C", str(folder), "describe", "--tags", "--always", "--long"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def facts_of(folder: Path, version: str = "") -> dict[str, Any]:
    """What is written as JSON."""
    source = _Source(folder)
    strings, flags, options = _strings(source), _flags(source), _option_names(source)
    return {
        "version": version or _version(folder),
        "signatures": {name: _parameters(source.find(name)) for name in SIGNATURES},
        "names": {name: True if source.find(name) is not None else None for name in NAMES},
        "attributes": {
            name: {each: _has_attribute(source, name, each) for each in attributes}
            for name, attributes in ATTRIBUTES.items()
        },
        "locals": {
            name: {each: True if each in _variables(source.find(name)) else None for each in variables}
            for name, variables in LOCALS.items()
        },
        "asked": {
            name: {each: True if each in _words(source.find(name)) else None for each in words}
            for name, words in ASKED.items()
        },
        "attention": _attention(source),
        "state_flags": {name: _state_flags(source.find(name)) for name in STATE_IN},
        "elem_ids": {each: True if each in strings else None for each in ELEM_IDS},
        "infotext_lists": _takes_lists(source.find("modules.processing.create_infotext")),
        "flags": {each: True if each in flags else None for each in FLAGS},
        "options": {each: True if each in options else None for each in OPTIONS},
        "pins": _pins(folder),
        "upscaler_classes": _upscaler_classes(source),
    }


def _written(facts: dict[str, Any]) -> str:
    """JSON with one parameter list in one line, so that a change shows as a changed line."""
    text = json.dumps(facts, indent=1, sort_keys=True)
    text = re.sub(r"\[\s+(\"[^\"]+\"),\s+(\"[^\"]+\"),\s+(true|false)\s+\]", r"[\1, \2, \3]", text)
    return re.sub(
        r"\[\n\s+(\[.*?\])\n\s+\](?=,?\n)", lambda m: "[" + re.sub(r"\n\s+", " ", m[1]) + "]", text, flags=re.S
    )


def main() -> None:
    folder, name, *version = sys.argv[1:]
    path = Path(__file__).resolve().parent / f"{name}.json"
    path.write_text(_written(facts_of(Path(folder), *version)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

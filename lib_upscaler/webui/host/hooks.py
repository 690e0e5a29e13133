"""What of the host TrueScale holds on to, and what does not work where a host has it not (any more)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import access

__all__ = ["HOOKS", "Hook", "missing", "tell_missing"]


@dataclass(frozen=True)
class Hook:
    """module: of ``modules``. name: what is looked for in it, "Class.method" as well. without: what does not work.

    variables: names within the function, that are read while it runs.
    """

    module: str
    name: str
    without: str
    variables: tuple[str, ...] = ()

    def __str__(self) -> str:
        inside = f" ({', '.join(self.variables)})" if self.variables else ""
        return f"modules.{self.module}.{self.name}{inside}"

    def is_there(self) -> bool:
        """Whether the host has it. Imports the module, where it has one."""
        found: Any = access.module(self.module)
        for part in self.name.split("."):
            found = getattr(found, part, None)
        if not self.variables:
            return found is not None
        code = getattr(found, "__code__", None)
        known = (*code.co_varnames, *code.co_cellvars) if code is not None else ()
        return set(self.variables) <= set(known)


_FAILING = "where a picture fails in the Extras, the whole batch ends"
_GALLERY = "pictures in the galleries of txt2img and img2img are not upscaled there"
_STATEMENT = "no statement below the pictures of txt2img and img2img"

HOOKS = (
    Hook("modelloader", "load_upscalers", "the WebUI's own upscalers run without TrueScale; its panels work"),
    Hook("modelloader", "load_file_from_url", "models that the WebUI fetches at their first use are not fetched"),
    Hook("shared", "sd_upscalers", "the lists show the models of TrueScale alone"),
    Hook("shared", "state", "no progress, and Interrupt is not heard"),
    Hook("devices", "device_esrgan", "networks run on the device of Stable Diffusion"),
    Hook("devices", "without_autocast", "Stable Diffusion's smaller precision may reach the upscaling networks"),
    Hook("devices", "torch_gc", "memory of the device is not handed back at once"),
    Hook("call_queue", "queue_lock", "jobs of the HTTP routes do not wait for a generation under way"),
    Hook("call_queue", "wrap_gradio_gpu_call", _GALLERY),
    Hook("ui_tempdir", "check_tmp_file", _GALLERY),
    Hook("script_callbacks", "on_ui_settings", "no settings"),
    Hook("script_callbacks", "on_before_ui", "no axes in the X/Y/Z plot"),
    Hook(
        "script_callbacks",
        "on_after_component",
        "no statement below the Extras, and the WebUI's lists stay as they are",
    ),
    Hook("script_callbacks", "on_before_component", "no queue in the Extras"),
    Hook("script_callbacks", "on_before_image_saved", "colour profile and EXIF are lost in the Extras"),
    Hook("script_callbacks", "on_app_started", "no HTTP routes"),
    Hook("script_callbacks", "on_model_loaded", "Stable Diffusion's VAE is not run in bands"),
    Hook("script_callbacks", "on_script_unloaded", "a disabled TrueScale stays until the WebUI is restarted"),
    Hook("scripts", "postprocessing_scripts_data", "the Extras may show a picture from before a setting was changed"),
    Hook("scripts", "scripts_data", "no axes in the X/Y/Z plot"),
    Hook("processing", "process_images", "no SD Upscale"),
    Hook("images", "save_image", "no SD Upscale"),
    Hook("images", "read", "a picture that is cut off may end a batch of the Extras"),
    Hook("images", "read_info_from_image", "a picture whose EXIF is broken ends a batch of the Extras"),
    Hook("images", "flatten", "transparent parts of SD Upscale's source become black"),
    Hook("processing", "StableDiffusionProcessing.comment", _STATEMENT),
    Hook(
        "processing",
        "StableDiffusionProcessingTxt2Img.sample_hr_pass",
        "where upscaling fails in Hires Fix, the picture is lost",
        ("self", "i"),
    ),
    Hook("postprocessing", "run_postprocessing", _FAILING, ("image_placeholder", "data_to_process", "name")),
    Hook("util", "open_folder", "no button that opens the folder of models"),
)


def missing() -> list[Hook]:
    """What this host lacks, looked for now."""
    return [hook for hook in HOOKS if not hook.is_there()]


def tell_missing() -> None:
    """A line in the console for each."""
    for hook in missing():
        access.log.warning("TrueScale: this WebUI has no %s: %s", hook, hook.without)

"""What everything else looks at."""

import os
import re

import torch
from modules.options import OptionInfo, Options
from modules.paths_internal import data_path, models_path, script_path
from modules.shared_cmd_options import cmd_opts

__all__ = ["OptionInfo", "cmd_opts", "models_path", "opts", "script_path", "sd_upscalers", "state"]

device = torch.device("cpu")
_OUTPUT = os.path.join(data_path, "output")

opts = Options(
    {
        name: OptionInfo(default, name, section=("fake", "Fake"))
        for name, default in {
            "ESRGAN_tile": 192,
            "ESRGAN_tile_overlap": 8,
            "realesrgan_enabled_models": ["R-ESRGAN 4x+", "R-ESRGAN 4x+ Anime6B"],
            "upscaler_for_img2img": None,
            "upscaling_max_images_in_cache": 5,
            "set_scale_by_when_changing_upscaler": False,
            "postprocessing_enable_in_main_ui": [],
            "postprocessing_disable_in_extras": [],
            "postprocessing_operation_order": [],
            "postprocessing_existing_caption_action": "Ignore",
            "live_previews_enable": True,
            "live_previews_image_format": "png",
            "show_progress_every_n_steps": 10,
            "samples_save": True,
            "samples_format": "png",
            "img2img_background_color": "#ffffff",
            "sd_model_checkpoint": "base.safetensors",
            "sd_vae": "Automatic",
            "jpeg_quality": 80,
            "enable_pnginfo": True,
            "save_images_replace_action": "Replace",
            "save_images_before_highres_fix": False,
            "use_original_name_batch": True,
            "outdir_samples": "",
            "outdir_extras_samples": os.path.join(_OUTPUT, "extras-images"),
            "outdir_txt2img_samples": os.path.join(_OUTPUT, "txt2img-images"),
            "outdir_img2img_samples": os.path.join(_OUTPUT, "img2img-images"),
        }.items()
    },
    set(),
)

demo = None
interrogator = None
sd_upscalers = []
latent_upscale_default_mode = "Latent"
latent_upscale_modes = {
    "Latent": {"mode": "bilinear", "antialias": False},
    "Latent (nearest)": {"mode": "nearest", "antialias": False},
}


def natural_sort_key(text):
    return [int(part) if part.isdigit() else part.lower() for part in re.split("([0-9]+)", text)]


def listfiles(dirname):
    listed = sorted(os.listdir(dirname), key=natural_sort_key)
    names = [os.path.join(dirname, name) for name in listed if not name.startswith(".")]
    return [name for name in names if os.path.isfile(name)]


def walk_files(path, allowed_extensions=None):
    if not os.path.exists(path):
        return
    for root, _, files in sorted(os.walk(path, followlinks=True), key=lambda found: found[0].lower()):
        for filename in sorted(files, key=str.lower):
            if allowed_extensions is None or os.path.splitext(filename)[1].lower() in allowed_extensions:
                yield os.path.join(root, filename)


from modules import shared_state  # noqa: E402 - it needs what is above

state = shared_state.State()


class StyleDatabase:
    """styles: name -> text around {prompt}."""

    styles = {}  # noqa: RUF012

    def apply_styles_to_prompt(self, prompt, styles):
        for name in styles:
            prompt = self.styles[name].replace("{prompt}", prompt)
        return prompt


prompt_styles = StyleDatabase()

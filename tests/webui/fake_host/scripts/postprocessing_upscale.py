"""The host's own step "Upscale" in the Extras, with its cache of pictures."""

import gradio as gr
import numpy as np
from modules import scripts_postprocessing, shared
from modules.ui_components import FormRow, InputAccordion
from PIL import Image

upscale_cache = {}


class ScriptPostprocessingUpscale(scripts_postprocessing.ScriptPostprocessing):
    name = "Upscale"
    order = 1000

    def ui(self):
        selected_tab = gr.Number(value=0, visible=False)
        names = [x.name for x in shared.sd_upscalers]
        with InputAccordion(True, label="Upscale", elem_id="extras_upscale") as upscale_enabled:
            with FormRow():
                first = gr.Dropdown(label="Upscaler 1", elem_id="extras_upscaler_1", choices=names, value=names[0])
            with FormRow():
                second = gr.Dropdown(label="Upscaler 2", elem_id="extras_upscaler_2", choices=names, value=names[0])
                visibility = gr.Slider(minimum=0.0, maximum=1.0, value=0.0, elem_id="extras_upscaler_2_visibility")
            with FormRow():
                resize = gr.Slider(minimum=1.0, maximum=8.0, value=4, elem_id="extras_upscaling_resize")
                limit = gr.Number(label="Max side length", value=0, elem_id="extras_upscale_max_side_length")
                width = gr.Slider(minimum=64, maximum=8192, value=512, elem_id="extras_upscaling_resize_w")
                height = gr.Slider(minimum=64, maximum=8192, value=512, elem_id="extras_upscaling_resize_h")
                crop = gr.Checkbox(label="Crop to fit", value=True, elem_id="extras_upscaling_crop")
        return {
            "upscale_enabled": upscale_enabled,
            "upscale_mode": selected_tab,
            "upscale_by": resize,
            "max_side_length": limit,
            "upscale_to_width": width,
            "upscale_to_height": height,
            "upscale_crop": crop,
            "upscaler_1_name": first,
            "upscaler_2_name": second,
            "upscaler_2_visibility": visibility,
        }

    def upscale(self, image, info, upscaler, mode, by, to_width, to_height, crop):
        if mode == 1:
            by = max(to_width / image.width, to_height / image.height)
            info["Postprocess upscale to"] = f"{to_width}x{to_height}"
        else:
            info["Postprocess upscale by"] = by
        key = (hash(np.array(image.getdata()).tobytes()), upscaler.name, mode, by, to_width, to_height, crop)
        cached = upscale_cache.pop(key, None)
        image = cached if cached is not None else upscaler.scaler.upscale(image, by, upscaler.data_path)
        upscale_cache[key] = image
        if len(upscale_cache) > shared.opts.upscaling_max_images_in_cache:
            upscale_cache.pop(next(iter(upscale_cache), None), None)
        if mode == 1 and crop:
            cropped = Image.new("RGB", (to_width, to_height))
            cropped.paste(image, box=(to_width // 2 - image.width // 2, to_height // 2 - image.height // 2))
            image = cropped
            info["Postprocess crop to"] = f"{image.width}x{image.height}"
        return image

    def process_firstpass(self, pp, upscale_mode=1, upscale_by=2.0, upscale_to_width=None, upscale_to_height=None, **_):
        if upscale_mode == 1:
            pp.shared.target_width, pp.shared.target_height = upscale_to_width, upscale_to_height
        else:
            pp.shared.target_width = int(pp.image.width * upscale_by)
            pp.shared.target_height = int(pp.image.height * upscale_by)

    def process(
        self,
        pp,
        upscale_enabled=True,
        upscale_mode=1,
        upscale_by=2.0,
        max_side_length=0,
        upscale_to_width=None,
        upscale_to_height=None,
        upscale_crop=False,
        upscaler_1_name=None,
        upscaler_2_name=None,
        upscaler_2_visibility=0.0,
    ):
        if not upscale_enabled or upscaler_1_name in (None, "None"):
            return
        first = next((x for x in shared.sd_upscalers if x.name == upscaler_1_name), None)
        assert first, f"could not find upscaler named {upscaler_1_name}"
        second = None
        if upscaler_2_name not in (None, "None"):
            second = next((x for x in shared.sd_upscalers if x.name == upscaler_2_name), None)
            assert second, f"could not find upscaler named {upscaler_2_name}"
        asked = upscale_mode, upscale_by, upscale_to_width, upscale_to_height, upscale_crop
        upscaled_image = self.upscale(pp.image, pp.info, first, *asked)
        pp.info["Postprocess upscaler"] = first.name
        if second and upscaler_2_visibility > 0:
            other = self.upscale(pp.image, pp.info, second, *asked)
            upscaled_image = Image.blend(upscaled_image, other.convert(upscaled_image.mode), upscaler_2_visibility)
            pp.info["Postprocess upscaler 2"] = second.name
        pp.image = upscaled_image

    def image_changed(self):
        upscale_cache.clear()

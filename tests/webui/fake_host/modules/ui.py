"""The page: txt2img with Hires Fix and scripts, and the Extras."""

import gradio as gr
from modules import deepbooru, interrogate, script_callbacks, scripts, shared, ui_common, ui_postprocessing

__all__ = ["create_ui", "deepbooru"]

switch_values_symbol = "\U000021c5"


def create_ui():
    script_callbacks.ui_settings_callback()
    shared.interrogator = shared.interrogator or interrogate.InterrogateModels()
    for runner, is_img2img in ((scripts.scripts_txt2img, False), (scripts.scripts_img2img, True)):
        runner.initialize_scripts(is_img2img)
    with gr.Blocks(analytics_enabled=False) as demo:
        with gr.Tab("txt2img"):
            scripts.scripts_txt2img.prepare_ui()
            gr.Dropdown(
                label="Upscaler",
                elem_id="txt2img_hr_upscaler",
                choices=[*shared.latent_upscale_modes, *[x.name for x in shared.sd_upscalers]],
                value=shared.latent_upscale_default_mode,
            )
            gr.Slider(minimum=1.0, maximum=4.0, step=0.05, label="Upscale by", value=2.0, elem_id="txt2img_hr_scale")
            gr.Slider(minimum=0, maximum=2048, step=8, label="Resize width to", value=0, elem_id="txt2img_hr_resize_x")
            gr.Slider(minimum=0, maximum=2048, step=8, label="Resize height to", value=0, elem_id="txt2img_hr_resize_y")
            scripts.scripts_txt2img.setup_ui()
            ui_common.create_output_panel("txt2img")
        with gr.Tab("img2img"):
            scripts.scripts_img2img.prepare_ui()
            gr.Image(label="Image for img2img", type="pil", elem_id="img2img_image")
            scripts.scripts_img2img.setup_ui()
            ui_common.create_output_panel("img2img")
        with gr.Tab("Extras"):
            ui_postprocessing.create_ui()
    return demo

"""A face restorer that fails on transparency below full visibility, as the host's do."""

import gradio as gr
from modules import scripts_postprocessing
from modules.ui_components import InputAccordion
from PIL import Image


class ScriptPostprocessingGfpGan(scripts_postprocessing.ScriptPostprocessing):
    name = "GFPGAN"
    order = 2000

    def ui(self):
        with InputAccordion(False, label="GFPGAN", elem_id="extras_gfpgan") as enable:
            visibility = gr.Slider(minimum=0.0, maximum=1.0, value=1.0, elem_id="extras_gfpgan_visibility")
        return {"enable": enable, "gfpgan_visibility": visibility}

    def process(self, pp, enable, gfpgan_visibility):
        if gfpgan_visibility == 0 or not enable:
            return
        source_img = pp.image.convert("RGB")
        res = source_img.copy()
        if gfpgan_visibility < 1.0:
            res = Image.blend(pp.image, res, gfpgan_visibility)
        pp.image = res
        pp.info["GFPGAN visibility"] = round(gfpgan_visibility, 3)

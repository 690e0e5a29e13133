"""Binds "TrueScale SD Upscale" to the host's img2img."""

from modules import scripts

from lib_upscaler.webui import sd_panel


class TrueScaleSdUpscale(scripts.Script):
    def title(self):
        return sd_panel.TITLE

    def show(self, is_img2img):
        return is_img2img

    def ui(self, is_img2img):
        components, self.infotext_fields = sd_panel.ui()
        return components

    def run(self, p, *arguments):
        return sd_panel.run(p, *arguments)

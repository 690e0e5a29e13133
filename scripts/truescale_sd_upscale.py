"""Binds "TrueScale SD Upscale" to the host's img2img."""

from modules import scripts

from lib_upscaler.webui.places.sd_upscale import panel


class TrueScaleSdUpscale(scripts.Script):
    def title(self):
        return panel.TITLE

    def show(self, is_img2img):
        return is_img2img

    def ui(self, is_img2img):
        components, self.infotext_fields = panel.ui()
        return components

    def run(self, p, *arguments):
        return panel.run(p, *arguments)

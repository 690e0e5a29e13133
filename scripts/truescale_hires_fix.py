"""Binds the accordion "TrueScale Hires Fix" to the host's txt2img."""

from modules import scripts

from lib_upscaler.webui.places import hires


class TrueScaleHiresFix(scripts.Script):
    def title(self):
        return hires.TITLE

    def show(self, is_img2img):
        return False if is_img2img else scripts.AlwaysVisible

    def ui(self, is_img2img):
        components, self.infotext_fields = hires.ui()
        return components

    def process(self, p, *values):
        hires.prepare(p, *values)

    def before_hr(self, p, *values):
        hires.hand_over()

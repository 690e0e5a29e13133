"""Binds the accordion "TrueScale Hires Fix" to the host's txt2img."""

from modules import scripts

from lib_upscaler.webui.places.hires_fix import accordion, hires_button, prepare, second_pass


class TrueScaleHiresFix(scripts.Script):
    def title(self):
        return prepare.TITLE

    def show(self, is_img2img):
        return False if is_img2img else scripts.AlwaysVisible

    def ui(self, is_img2img):
        components, self.infotext_fields = accordion.ui()
        return components

    def process(self, p, *values):
        prepare.prepare(p, *values)

    def before_hr(self, p, *values):
        second_pass.before_sampling(p)
        prepare.hand_over()

    def postprocess(self, p, processed, *values):
        second_pass.detach(p)
        hires_button.keep_original(p, processed)

"""Binds the panel "TrueScale" to the host's Extras tab."""

from modules import scripts_postprocessing

from lib_upscaler.webui import entry
from lib_upscaler.webui.places import extras

entry.install()


class TrueScaleExtras(scripts_postprocessing.ScriptPostprocessing):
    name = "TrueScale"
    order = 1100  # behind the host's Upscale, before its face restorers

    def ui(self):
        return extras.ui()

    def process_firstpass(self, pp, **values):
        extras.first_pass(pp, **values)

    def process(self, pp, **values):
        extras.process(pp, **values)

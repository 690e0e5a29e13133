"""Which files the page may be shown: those that the host itself has put into a gallery."""

import os

from modules import shared

_plain = None


def register_tmp_file(gradio, filename):
    gradio.temp_file_sets[0] = gradio.temp_file_sets[0] | {os.path.abspath(filename)}


def save_pil_to_file(self, pil_image, dir=None, format="png"):
    """Where gradio would write a file, the one that is there is shown."""
    filename = getattr(pil_image, "already_saved_as", None)
    if filename and os.path.isfile(filename):
        register_tmp_file(shared.demo, filename)
        return filename
    return _plain(self, pil_image, dir, format)


def install(component):
    """As the host does for gradio 3."""
    global _plain
    _plain = component.pil_to_temp_file
    component.pil_to_temp_file = save_pil_to_file


def check_tmp_file(gradio, filename):
    return any(filename in fileset for fileset in gradio.temp_file_sets)

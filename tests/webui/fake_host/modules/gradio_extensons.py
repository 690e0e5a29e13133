"""Every component that gradio makes is shown to the extensions; ``tooltip`` is the host's own argument."""

import gradio as gr
from modules import script_callbacks

_original = {kind: kind.__init__ for kind in (gr.components.IOComponent, gr.blocks.BlockContext)}


def install():
    for kind, original in _original.items():

        def init(self, *args, _original=original, **kwargs):
            self.webui_tooltip = kwargs.pop("tooltip", None)
            script_callbacks.before_component_callback(self, **kwargs)
            _original(self, *args, **kwargs)
            script_callbacks.after_component_callback(self, **kwargs)

        kind.__init__ = init


def remove():
    for kind, original in _original.items():
        kind.__init__ = original

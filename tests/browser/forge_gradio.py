"""Makes gradio 4 look to extensions as Forge does, and the fake host run on it; does nothing with gradio 3."""

from __future__ import annotations

import functools
from typing import Any

import gradio as gr

__all__ = ["IS_GRADIO_4", "adapt", "install"]

IS_GRADIO_4 = gr.__version__.startswith("4.")


def install() -> None:
    """Before the host is loaded: arguments that Forge takes out of each component's, a name that is gone, and files."""
    if not IS_GRADIO_4:
        return
    import gradio.component_meta
    import gradio.processing_utils

    gradio.processing_utils.save_pil_to_cache = _saved_as(gradio.processing_utils.save_pil_to_cache)
    gradio.component_meta.create_or_modify_pyi = lambda *_: None  # it writes beside the sources
    gradio.component_meta.updateable = lambda plain: plain  # it loses positional arguments of subclasses
    gr.components.IOComponent = gr.components.Component
    kinds = {getattr(gr, name) for name in (*gr.components.__all__, *gr.layouts.__all__) if hasattr(gr, name)}
    for kind in kinds:
        if isinstance(kind, type) and getattr(kind, "EVENTS", None):
            kind.__init__ = _without_old_arguments(kind.__init__)


def _saved_as(plain: Any) -> Any:
    """A picture that has been saved is shown by its file."""

    @functools.wraps(plain)
    def save(image: Any, *args: Any, **kwargs: Any) -> str:
        return getattr(image, "already_saved_as", None) or plain(image, *args, **kwargs)

    return save


def _without_old_arguments(plain: Any) -> Any:
    @functools.wraps(plain)
    def init(self: Any, *args: Any, tooltip: str | None = None, source: str | None = None, **kwargs: Any) -> None:
        if source is not None:
            kwargs["sources"] = [source]
        plain(self, *args, **kwargs)
        self.webui_tooltip = tooltip

    return init


def adapt(host: Any) -> None:
    """Before its scripts are loaded: ``InputAccordion`` is a function, and gradio finds the arguments of each class."""
    if not IS_GRADIO_4:
        return
    components = host.module("ui_components")
    for kind, plain in ((components.InputAccordion, gr.Checkbox), (components.ToolButton, gr.Button)):
        kind.__init__ = functools.wraps(plain.__init__)(kind.__init__)
    kind = components.InputAccordion
    components.InputAccordion = lambda value=None, **kwargs: kind(value, **kwargs)

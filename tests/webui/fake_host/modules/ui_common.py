import html

import gradio as gr
from modules.ui_components import ToolButton

refresh_symbol = "\U0001f504"


def plaintext_to_html(text, classname=None):
    return f"<p>{html.escape(text)}</p>"


def create_refresh_button(refresh_component, refresh_method, refreshed_args, elem_id):
    components = refresh_component if isinstance(refresh_component, list) else [refresh_component]

    def refresh():
        refresh_method()
        return [gr.update(**refreshed_args()) for _ in components]

    button = ToolButton(value=refresh_symbol, elem_id=elem_id)
    button.click(fn=refresh, inputs=[], outputs=components)
    return button

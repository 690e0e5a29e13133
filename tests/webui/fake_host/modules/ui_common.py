import html

import gradio as gr
from modules.ui_components import ToolButton

refresh_symbol = "\U0001f504"


def plaintext_to_html(text, classname=None):
    return f"<p>{html.escape(text)}</p>"


def create_output_panel(tabname):
    """A gallery, the buttons below it, and what the host says of the pictures."""
    with gr.Column(elem_id=f"{tabname}_results"):
        with gr.Group(elem_id=f"{tabname}_gallery_container"):
            gallery = gr.Gallery(
                label="Output", show_label=False, elem_id=f"{tabname}_gallery", columns=4, preview=True
            )
        with gr.Row(elem_id=f"image_buttons_{tabname}", elem_classes="image-buttons"):
            ToolButton("\U0001f4c2", elem_id=f"{tabname}_open_folder")
            ToolButton("\U0001f5bc", elem_id=f"{tabname}_send_to_img2img")
        gr.File(None, interactive=False, show_label=False, visible=False, elem_id=f"download_files_{tabname}")
        with gr.Group():
            gr.HTML(elem_id=f"html_info_{tabname}", elem_classes="infotext")
            gr.HTML(elem_id=f"html_log_{tabname}", elem_classes="html-log")
            generation_info = gr.Textbox(visible=False, elem_id=f"generation_info_{tabname}")
    return gallery, generation_info


def create_refresh_button(refresh_component, refresh_method, refreshed_args, elem_id):
    components = refresh_component if isinstance(refresh_component, list) else [refresh_component]

    def refresh():
        refresh_method()
        return [gr.update(**refreshed_args()) for _ in components]

    button = ToolButton(value=refresh_symbol, elem_id=elem_id)
    button.click(fn=refresh, inputs=[], outputs=components)
    return button

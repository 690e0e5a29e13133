import gradio as gr
from modules import call_queue, postprocessing, scripts


def create_ui():
    tab_index = gr.Number(value=0, visible=False)
    with gr.Tabs(elem_id="mode_extras"):
        with gr.TabItem("Single Image", elem_id="extras_single_tab") as tab_single:
            extras_image = gr.Image(
                label="Source", source="upload", interactive=True, type="pil", elem_id="extras_image", image_mode="RGBA"
            )
        with gr.TabItem("Batch Process", elem_id="extras_batch_process_tab") as tab_batch:
            image_batch = gr.Files(label="Batch Process", interactive=True, elem_id="extras_image_batch")
        with gr.TabItem("Batch from Directory", elem_id="extras_batch_directory_tab") as tab_batch_dir:
            input_dir = gr.Textbox(label="Input directory", elem_id="extras_batch_input_dir")
            output_dir = gr.Textbox(label="Output directory", elem_id="extras_batch_output_dir")
            show_results = gr.Checkbox(label="Show result images", value=True, elem_id="extras_show_extras_results")
    script_inputs = scripts.scripts_postproc.setup_ui()
    submit = gr.Button("Generate", elem_id="extras_generate")
    with gr.Column(elem_id="extras_results"):
        gallery, info, log = gr.Gallery(elem_id="extras_gallery"), gr.HTML(), gr.HTML(elem_id="html_log_extras")
    for number, tab in enumerate((tab_single, tab_batch, tab_batch_dir)):
        tab.select(fn=lambda number=number: number, inputs=[], outputs=[tab_index])
    submit.click(
        fn=call_queue.wrap_gradio_gpu_call(postprocessing.run_postprocessing_webui, extra_outputs=[None, ""]),
        inputs=[tab_index, tab_index, extras_image, image_batch, input_dir, output_dir, show_results, *script_inputs],
        outputs=[gallery, info, log],
        show_progress=False,
    )
    extras_image.change(fn=scripts.scripts_postproc.image_changed, inputs=[], outputs=[])

"""Serves our panels on the fake host, with whatever gradio there is:  python serve_panels.py DATA

DATA: a folder for the host's files. The first line it writes is JSON: the address, the version of gradio, and what that
tells a page about our components. It ends with its input. It is a process of its own, since there are two versions of
gradio to try, and the browser's driver occupies the event loop of the tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "webui"), str(ROOT / "tests" / "core")]
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

import gradio as gr

import forge_gradio
from fake_host.running import FakeHost, environment

OURS = ("truescale", "setting_truescale")
_PIL = {"type": "pil"} if forge_gradio.IS_GRADIO_4 else {}
"""What Forge asks of its galleries."""
FACTS = ("label", "value", "choices", "info", "placeholder", "minimum", "maximum", "step", "visible", "open", "lines")


def start(data: Path) -> FakeHost:
    """The fake host with the networks of the other tests in its models/ESRGAN, and the page that is below."""
    from networks import STATES
    from small_networks import save_pth

    os.environ.update(environment(data, "--api"))
    forge_gradio.install()
    host = FakeHost(data)
    for name, state in STATES.items():
        save_pth(state, host.models / f"{name}.pth")
    host.module("modelloader")  # the first that can be imported, as in the real one
    forge_gradio.adapt(host)
    if not forge_gradio.IS_GRADIO_4:
        host.module("ui_tempdir").install(gr.components.IOComponent)
    host.start(ui=False)
    host.module("ui").create_ui = lambda: create_page(host)
    host.show()
    if host.reported:
        raise SystemExit("\n".join(map(str, host.reported)))
    return host


# -- the page ----------------------------------------------------------------------------------------------------------


def create_page(host: FakeHost) -> Any:
    """The host's tabs as far as our panels and their scripts look at them, ours opened up, and our settings."""
    scripts, shared = host.module("scripts"), host.module("shared")
    host.module("script_callbacks").ui_settings_callback()
    for runner, is_img2img in ((scripts.scripts_txt2img, False), (scripts.scripts_img2img, True)):
        runner.initialize_scripts(is_img2img)
    with gr.Blocks(analytics_enabled=False, title="TrueScale's panels") as demo, gr.Tabs(elem_id="tabs"):
        with gr.TabItem("txt2img", elem_id="tab_txt2img"):
            gr.Textbox(label="Prompt", elem_id="txt2img_prompt")
            scripts.scripts_txt2img.prepare_ui()
            names = [*shared.latent_upscale_modes, *[entry.name for entry in shared.sd_upscalers]]
            gr.Dropdown(label="Upscaler", elem_id="txt2img_hr_upscaler", choices=names, value=names[0])
            _generate("txt2img", scripts.scripts_txt2img.setup_ui())
        with gr.TabItem("img2img", elem_id="tab_img2img"):
            image = gr.Image(label="Image for img2img", elem_id="img2img_image", type="pil")
            gr.Slider(label="Width", elem_id="img2img_width", minimum=64, maximum=2048, step=8, value=512)
            gr.Slider(label="Height", elem_id="img2img_height", minimum=64, maximum=2048, step=8, value=512)
            scripts.scripts_img2img.prepare_ui()
            _generate("img2img", scripts.scripts_img2img.setup_ui())
            (ours,) = (one for one in scripts.scripts_img2img.scripts if one.title() == "TrueScale SD Upscale")
            ours.group.visible = True  # as when it is chosen in the drop-down
            ours.group.elem_id = "truescale_sd"
            _img2img_result(image)
        with gr.TabItem("Extras", elem_id="tab_extras"):
            host.module("ui_postprocessing").create_ui()
            _result_buttons("extras")
        with gr.TabItem("Settings", elem_id="tab_settings"):
            options = [item for item in shared.opts.data_labels.items() if item[0].startswith("truescale")]
            with gr.Column(elem_id="settings_upscaling"):
                settings = [_setting(*item) for item in options]
            _generate("settings", settings)
    return demo


def _generate(name: str, inputs: list[Any]) -> None:
    """A button that takes these components, without which gradio would not let the user change them."""
    components = [component for component in inputs if component is not None]
    gr.Button("Run", elem_id=f"{name}_run").click(fn=lambda *_: None, inputs=components, outputs=[])


def _img2img_result(image: Any) -> None:
    """The host's place for it. It gets the same picture twice as large, and the square in its middle."""
    ways = ["Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)"]
    way = gr.Radio(label="Resize mode", choices=ways, value=ways[0], elem_id="resize_mode")
    button = gr.Button("Generate", elem_id="img2img_generate")
    gallery = gr.Gallery(label="Output", show_label=False, elem_id="img2img_gallery", columns=4, preview=True, **_PIL)
    _result_buttons("img2img")
    gr.File(None, interactive=False, show_label=False, visible=False, elem_id="download_files_img2img")
    gr.Textbox(visible=False, elem_id="generation_info_img2img")

    def enlarge(picture: Any, _: str) -> list[Any]:
        edge = (picture.width - picture.height) // 2
        square = picture.crop((edge, 0, edge + picture.height, picture.height))
        return [picture.resize((picture.width * 2, picture.height * 2)), square]

    button.click(fn=enlarge, inputs=[image, way], outputs=[gallery])


def _result_buttons(tab: str) -> None:
    """As the host's ui_common.create_output_panel has them."""
    with gr.Row(elem_id=f"image_buttons_{tab}", elem_classes="image-buttons"):
        gr.Button("\U0001f4c2", elem_id=f"{tab}_open_folder", elem_classes="tool")
        gr.Button("\U0001f5bc", elem_id=f"{tab}_send_to_img2img", elem_classes="tool")


def _setting(key: str, option: Any) -> Any:
    """As the host's page of settings has it; its script puts the comment behind the label."""
    arguments = option.component_args or {}
    with gr.Column(elem_id=f"truescale_of_{key}"):
        component = option.component(label=option.label, value=option.default, elem_id=f"setting_{key}", **arguments)
        gr.HTML(option.comment_after)
    return component


# -- serving ----------------------------------------------------------------------------------------------------------


def serve(host: FakeHost) -> None:
    """Until the input ends, so that nothing is left over whatever becomes of the tests."""
    show_page = gr.routes.templates.TemplateResponse
    begin, end = _head(host).encode(), _style().encode()

    def with_scripts(*args: Any, **kwargs: Any) -> Any:
        response = show_page(*args, **kwargs)
        response.body = response.body.replace(b"</head>", begin + b"</head>").replace(b"</body>", end + b"</body>")
        response.init_headers()
        return response

    gr.routes.templates.TemplateResponse = with_scripts
    _keep_assets()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host.demo.queue()
    with contextlib.redirect_stdout(sys.stderr):  # gradio says its address, in its own words
        host.demo.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True)
    facts = {"address": f"http://127.0.0.1:{port}/", "gradio": gr.__version__, **describe(host)}
    print(json.dumps(facts), flush=True)
    sys.stdin.read()
    os._exit(0)  # without waiting for the server's threads


def _keep_assets() -> None:
    """Let the browser keep gradio's own scripts from one page to the next: each page would ask for a hundred files."""
    show_file, folder = gr.routes.FileResponse, gr.routes.BUILD_PATH_LIB

    def show(path: Any, *args: Any, **kwargs: Any) -> Any:
        response = show_file(path, *args, **kwargs)
        if str(path).startswith(folder):
            response.headers["Cache-Control"] = "max-age=3600"
        return response

    gr.routes.FileResponse = show


def _head(host: FakeHost) -> str:
    tooltips = {
        block.elem_id: block.webui_tooltip
        for block in host.demo.blocks.values()
        if getattr(block, "elem_id", None) and getattr(block, "webui_tooltip", None)
    }
    translation = json.loads((ROOT / "localizations" / "ko_KR.json").read_text(encoding="utf-8"))
    texts = [f"const TOOLTIPS = {json.dumps(tooltips)}, TRANSLATION = {json.dumps(translation)};"]
    files = [HERE / "webui_page.js", *sorted((ROOT / "javascript").glob("*.js"))]
    texts += [file.read_text(encoding="utf-8") for file in files]
    return "".join(f"<script>{text}</script>\n" for text in texts)


def _style() -> str:
    return f"<style>{(ROOT / 'style.css').read_text(encoding='utf-8')}</style>"


def describe(host: FakeHost) -> dict[str, Any]:
    """Our components by their ids, and what changes what."""
    config = host.demo.get_config_file()
    ids = {one["id"]: one["props"].get("elem_id") or "" for one in config["components"]}
    components = {
        one["props"]["elem_id"]: {"type": one["type"], **{key: _fact(one["props"], key) for key in FACTS}}
        for one in config["components"]
        if ids[one["id"]].startswith(OURS)
    }
    events = []
    for event in config["dependencies"]:
        if event.get("trigger_after") is not None:  # follows another one; gradio 4 names no component that it is of
            continue
        targets = [target[0] if isinstance(target, (list, tuple)) else target for target in event["targets"]]
        inputs, outputs = ([ids[each] for each in event[side]] for side in ("inputs", "outputs"))
        events += [[ids[each], inputs, outputs] for each in targets if ids.get(each, "").startswith(OURS)]
    return {"components": components, "events": sorted(events)}


def _fact(props: dict[str, Any], key: str) -> Any:
    value = props.get(key)
    if key == "choices" and value is not None:  # gradio 4: pairs of what is shown and what is meant
        return [list(one) if isinstance(one, (list, tuple)) else [one, one] for one in value]
    return value


if __name__ == "__main__":
    serve(start(Path(sys.argv[1])))

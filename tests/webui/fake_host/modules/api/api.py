"""The host's own API, as far as an upscaler meets it."""

import base64
import io
from secrets import compare_digest

import gradio as gr
from fastapi import Depends, FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import HTTPException
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from modules import errors, images, postprocessing, scripts, shared
from modules.api import models
from modules.processing import StableDiffusionProcessingTxt2Img, process_images
from PIL import PngImagePlugin


def decode_base64_to_image(encoding):
    if encoding.startswith("data:image/"):
        encoding = encoding.split(";")[1].split(",")[1]
    try:
        return images.read(io.BytesIO(base64.b64decode(encoding)))
    except Exception as e:
        raise HTTPException(status_code=500, detail="Invalid encoded image") from e


def encode_pil_to_base64(image):
    with io.BytesIO() as output:
        metadata = PngImagePlugin.PngInfo()
        for key, value in image.info.items():
            if isinstance(key, str) and isinstance(value, str):
                metadata.add_text(key, value)
        image.save(output, format="PNG", pnginfo=metadata)
        return base64.b64encode(output.getvalue())


def _upscalers(request):
    values = vars(request)
    values["extras_upscaler_1"] = values.pop("upscaler_1", None)
    values["extras_upscaler_2"] = values.pop("upscaler_2", None)
    return values


def api_middleware(app: FastAPI):
    def handle_exception(request: Request, e: Exception):
        err = {
            "error": type(e).__name__,
            "detail": vars(e).get("detail", ""),
            "body": vars(e).get("body", ""),
            "errors": str(e),
        }
        if not isinstance(e, HTTPException):
            errors.report(f"API error: {request.method}: {request.url} {err}", exc_info=True)
        return JSONResponse(status_code=vars(e).get("status_code", 500), content=jsonable_encoder(err))

    @app.middleware("http")
    async def exception_handling(request: Request, call_next):
        try:
            return await call_next(request)
        except Exception as e:  # noqa: BLE001 - as the host does
            return handle_exception(request, e)

    @app.exception_handler(Exception)
    async def fastapi_exception_handler(request: Request, e: Exception):
        return handle_exception(request, e)

    @app.exception_handler(HTTPException)
    async def http_exception_handler(request: Request, e: HTTPException):
        return handle_exception(request, e)


class Api:
    def __init__(self, app: FastAPI, queue_lock):
        if shared.cmd_opts.api_auth:
            self.credentials = dict(pair.split(":") for pair in shared.cmd_opts.api_auth.split(","))
        self.app = app
        self.queue_lock = queue_lock
        api_middleware(app)
        for method, name, endpoint in (
            ("POST", "txt2img", self.text2imgapi),
            ("POST", "extra-single-image", self.extras_single_image_api),
            ("POST", "extra-batch-images", self.extras_batch_images_api),
            ("GET", "upscalers", self.get_upscalers),
            ("GET", "progress", self.progressapi),
            ("POST", "interrupt", self.interruptapi),
            ("POST", "options", self.set_config),
        ):
            self.add_api_route(f"/sdapi/v1/{name}", endpoint, methods=[method])
        runner = scripts.scripts_txt2img
        if not runner.scripts:
            runner.initialize_scripts(False)
            with gr.Blocks():
                runner.setup_ui()
        self.default_script_arg_txt2img = self.init_default_script_args(runner)

    def add_api_route(self, path: str, endpoint, **kwargs):
        guard = {"dependencies": [Depends(self.auth)]} if shared.cmd_opts.api_auth else {}
        return self.app.add_api_route(path, endpoint, **guard, **kwargs)

    def auth(self, credentials: HTTPBasicCredentials = Depends(HTTPBasic())):  # noqa: B008 - FastAPI's way
        known = self.credentials.get(credentials.username)
        if known is not None and compare_digest(credentials.password, known):
            return True
        raise HTTPException(401, "Incorrect username or password", headers={"WWW-Authenticate": "Basic"})

    def init_default_script_args(self, script_runner):
        """Builds each panel once more for the values that its components start with."""
        args = [None] * max([1, *(script.args_to for script in script_runner.scripts)])
        args[0] = 0
        with gr.Blocks():
            for script in script_runner.scripts:
                controls = script.ui(script.is_img2img)
                if controls:
                    args[script.args_from : script.args_to] = [control.value for control in controls]
        return args

    def init_script_args(self, request, default_script_args, script_runner):
        args = default_script_args.copy()
        for name, given in request.alwayson_scripts.items():
            titles = [script.title().lower() for script in script_runner.scripts]
            if name.lower() not in titles:
                raise HTTPException(status_code=422, detail=f"Script '{name}' not found")
            script = script_runner.scripts[titles.index(name.lower())]
            for number, value in enumerate(given.get("args", [])[: script.args_to - script.args_from]):
                args[script.args_from + number] = value
        return args

    def text2imgapi(self, request: models.Txt2ImgRequest):
        runner = scripts.scripts_txt2img
        args = self.init_script_args(request, self.default_script_arg_txt2img, runner)
        values = {key: value for key, value in vars(request).items() if key != "alwayson_scripts"}
        with self.queue_lock:
            p = StableDiffusionProcessingTxt2Img(**values, do_not_save_samples=True)
            p.scripts, p.script_args = runner, tuple(args)
            try:
                shared.state.begin(job="scripts_txt2img")
                processed = process_images(p)
            finally:
                shared.state.end()
        return {"images": [encode_pil_to_base64(image) for image in processed.images], "info": processed.info}

    def extras_single_image_api(self, request: models.ExtrasSingleImageRequest):
        values = _upscalers(request)
        values["image"] = decode_base64_to_image(values["image"])
        with self.queue_lock:
            result = postprocessing.run_extras(
                extras_mode=0, image_folder="", input_dir="", output_dir="", save_output=False, **values
            )
        return {"image": encode_pil_to_base64(result[0][0]), "html_info": result[1]}

    def extras_batch_images_api(self, request: models.ExtrasBatchImagesRequest):
        values = _upscalers(request)
        folder = [decode_base64_to_image(each.data) for each in values.pop("imageList", [])]
        with self.queue_lock:
            result = postprocessing.run_extras(
                extras_mode=1, image_folder=folder, image="", input_dir="", output_dir="", save_output=False, **values
            )
        return {"images": [encode_pil_to_base64(image) for image in result[0]], "html_info": result[1]}

    def get_upscalers(self):
        return [
            {
                "name": upscaler.name,
                "model_name": upscaler.scaler.model_name,
                "model_path": upscaler.data_path,
                "model_url": None,
                "scale": upscaler.scale,
            }
            for upscaler in shared.sd_upscalers
        ]

    def progressapi(self):
        return {"progress": progress(), "textinfo": shared.state.textinfo}

    def interruptapi(self):
        shared.state.interrupt()
        return {}

    def set_config(self, req: dict):
        for key, value in req.items():
            shared.opts.set(key, value, is_api=True)


def progress():
    """What the page's bar shows, 0 to 1."""
    state = shared.state
    if state.job_count == 0:
        return 0
    done = 0.01
    if state.job_count > 0:
        done += state.job_no / state.job_count
    if state.sampling_steps > 0:
        done += 1 / state.job_count * state.sampling_step / state.sampling_steps
    return min(done, 1)

"""Starts the fake host, presses its buttons, and removes it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import gradio
from fastapi import FastAPI
from fastapi.testclient import TestClient
from gradio.helpers import special_args
from PIL import Image

from lib_upscaler.fields import fields_of

__all__ = ["FakeHost", "called", "environment"]

_FOLDER = Path(__file__).resolve().parent
_EXTENSION = _FOLDER.parents[2]


class FakeHost:
    """A WebUI whose data lie in ``data``.

    models: its folder models/ESRGAN. output: where it saves pictures. warnings: what was shown to the user.
    """

    def __init__(self, data: Path) -> None:
        self.models = data / "models" / "ESRGAN"
        self.models.mkdir(parents=True, exist_ok=True)
        self.output = data / "output"
        self.warnings: list[str] = []
        self.demo: Any = None
        self._app: FastAPI | None = None
        self._path = sys.path
        sys.path = [str(_FOLDER), *sys.path]

    # -- starting and stopping -----------------------------------------------------------------------------------------

    def start(self, ui: bool = True) -> FakeHost:
        """As webui.py does: scripts, upscalers, page, API."""
        self.module("modelloader")
        self.module("scripts").extensions.append(str(_EXTENSION))
        self.module("gradio_extensons").install()
        self._load()
        if ui:
            self.show()
        return self

    def show(self) -> None:
        """The page, unless the flag says that there is none."""
        self._app = None
        if not self.module("shared").cmd_opts.nowebui:
            self.module("script_callbacks").before_ui_callback()
            self.demo = self.module("shared").demo = self.module("ui").create_ui()

    @property
    def app(self) -> FastAPI:
        """The API, and what extensions add to it; made when a test first asks for it."""
        if self._app is None:
            callbacks, options = self.module("script_callbacks"), self.module("shared").cmd_opts
            self._app = FastAPI()
            if options.api or options.nowebui:
                self.module("api.api").Api(self._app, self.module("call_queue").queue_lock)
            if options.nowebui:
                callbacks.before_ui_callback()
            callbacks.app_started_callback(self.demo, self._app)
        return self._app

    def reload(self) -> None:
        """The button "Reload UI"."""
        self.module("script_callbacks").script_unloaded_callback()
        self._load()
        self.show()

    def _load(self) -> None:
        self.module("scripts").load_scripts()
        self.module("modelloader").load_upscalers()

    def remove(self) -> None:
        self.module("gradio_extensons").remove()
        sys.path = self._path
        for name in [name for name in sys.modules if name == "modules" or name.startswith("modules.")]:
            del sys.modules[name]

    def module(self, name: str) -> ModuleType:
        return importlib.import_module(f"modules.{name}")

    @staticmethod
    def ours(name: str) -> ModuleType:
        """``lib_upscaler.webui.<name>`` of this host."""
        return importlib.import_module(f"lib_upscaler.webui.{name}")

    # -- what there is -------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Any:
        return self.module("shared").state

    @property
    def opts(self) -> Any:
        return self.module("shared").opts

    @property
    def reported(self) -> list[tuple[str, str]]:
        """Errors that the host swallowed: its message and the traceback."""
        return self.module("errors").reported

    @property
    def host_ran(self) -> list[str]:
        """Files that the host's own engine upscaled with."""
        return self.module("esrgan_model").ran

    @property
    def cache(self) -> dict[Any, Any]:
        """The host's cache of upscaled pictures."""
        data = self.module("scripts").postprocessing_scripts_data
        return next(one.module.upscale_cache for one in data if one.script_class.name == "Upscale")

    def names(self) -> list[str]:
        """The upscalers, in the order of the list."""
        return [entry.name for entry in self.module("shared").sd_upscalers]

    def entry(self, name: str) -> Any:
        """As the host looks one up: the first of the name."""
        return next(entry for entry in self.module("shared").sd_upscalers if entry.name == name)

    def component(self, elem_id: str) -> Any:
        """Of the page; it must be there once."""
        found = [block for block in self.demo.blocks.values() if getattr(block, "elem_id", None) == elem_id]
        (only,) = found
        return only

    def script(self, title: str) -> Any:
        return next(script for script in self.module("scripts").scripts_txt2img.scripts if script.title() == title)

    # -- what a user does ----------------------------------------------------------------------------------------------

    def extras(
        self,
        image: Image.Image | None = None,
        batch: Sequence[Path] | None = None,
        folder: Path | None = None,
        upscale: dict[str, Any] | None = None,
        ours: dict[str, Any] | None = None,
        gfpgan: dict[str, Any] | None = None,
    ) -> SimpleNamespace:
        """Press Generate in the Extras: one picture, uploads, or a folder. ``upscale``, ``ours``, ``gfpgan``: values of
        the panels that differ from what the components start with; both upscalers are off unless they are given.

        pictures: those of the gallery. error: words in their place. saved: files, by name.
        """
        there = set(self.saved())
        runner = self.module("scripts").scripts_postproc
        given = {
            "Upscale": {"upscale_enabled": upscale is not None, **(upscale or {})},
            "TrueScale": {"enabled": ours is not None, **(ours or {})},
            "GFPGAN": {"enable": gfpgan is not None, **(gfpgan or {})},
        }
        args: list[Any] = []
        for script in runner.scripts_in_preferred_order():
            values = given.get(script.name, {})
            assert set(values) <= set(script.controls), (script.name, set(values) - set(script.controls))
            args += [values.get(name, component.value) for name, component in script.controls.items()]
        mode = 0 if image is not None else 1 if batch is not None else 2
        uploads = self.dropped(*batch) if batch is not None else None
        queue, page = self.module("call_queue"), self.module("postprocessing")
        generate = queue.wrap_gradio_gpu_call(page.run_postprocessing_webui, extra_outputs=[None, ""])
        gallery, _, log = generate("task(1)", mode, image, uploads, str(folder or ""), "", True, *args)
        saved = [path for path in self.saved() if path not in there]
        return SimpleNamespace(pictures=gallery or [], error=log if "class='error'" in log else "", saved=saved)

    def dropped(self, *files: Path) -> Any:
        """What gradio makes of files that are dropped into Batch Process."""
        given = [{"name": str(file), "data": None, "is_file": True} for file in files]
        return self.component("extras_image_batch").preprocess(given)

    def txt2img(
        self, hires: dict[str, Any] | None = None, steps: Callable[..., None] | None = None, **values: Any
    ) -> Any:
        """Generate, with the values of the accordion for Hires Fix; ``steps`` is called at each sampling step."""
        processing = self.module("processing")
        p = processing.StableDiffusionProcessingTxt2Img(**values)
        return self.generate(p, hires, steps)

    def generate(self, p: Any, hires: dict[str, Any] | None = None, steps: Callable[..., None] | None = None) -> Any:
        """Raises what the host raises."""
        processing = self.module("processing")
        p.scripts = self.module("scripts").scripts_txt2img
        p.script_args = self.script_args(hires)
        self.state.begin(job="txt2img")
        processing.STEPS[:] = [steps] if steps is not None else []
        try:
            return processing.process_images(p)
        finally:
            processing.STEPS.clear()
            self.state.end()

    def script_args(self, hires: dict[str, Any] | None = None) -> tuple[Any, ...]:
        """Of all scripts of txt2img, as their components start, but for ours."""
        runner = self.module("scripts").scripts_txt2img
        args = [0, *(component.value for component in runner.inputs[1:])]
        if hires is not None:
            ours = self.script("TrueScale Hires Fix")
            names = ("enabled", *(field.name for field in fields_of("hires")))
            for number, name in enumerate(names):
                if name in hires:
                    args[ours.args_from + number] = hires[name]
        return tuple(args)

    def client(self, auth: tuple[str, str] | None = None) -> TestClient:
        """Of its HTTP API."""
        client = TestClient(self.app, raise_server_exceptions=False)
        if auth is not None:
            client.auth = auth
        return client

    def press(self, elem_id: str, *inputs: Any) -> dict[str | None, Any]:
        """What pressing the button (or changing the component) of this id does to others: by their ids."""
        component = self.component(elem_id)
        changes: dict[str | None, Any] = {}
        for number, event in enumerate(self.demo.dependencies):
            targets = [target[0] if isinstance(target, (list, tuple)) else target for target in event["targets"]]
            function = self.demo.fns[number].fn
            if component._id in targets and function is not None:
                outputs = [self.demo.blocks[each] for each in event["outputs"]]
                given = called(function, inputs[: len(event["inputs"])])
                values = given if len(outputs) > 1 else [given]
                changes.update({output.elem_id: value for output, value in zip(outputs, values)})
        return changes

    def saved(self) -> list[Path]:
        """All pictures that were saved, by name; also half-written ones."""
        return sorted(path for path in self.output.rglob("*") if path.is_file())


def called(function: Callable[..., Any], inputs: Sequence[Any], **headers: str) -> Any:
    """What gradio does with an event: by default one of the host's own page. headers: of its request."""
    request = gradio.Request(SimpleNamespace(headers=headers or {"sec-fetch-site": "same-origin"}))
    return function(*special_args(function, list(inputs), request)[0])


def environment(data: Path, flags: str) -> dict[str, str]:
    return {
        "FAKE_HOST_DATA": str(data),
        "COMMANDLINE_ARGS": flags,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(data / "gradio"),
    }

"""Looks into the running WebUI for the tests: a script that the host loads, with routes below ``/probe``."""

import gc
import importlib
import os
import sys
import threading
from pathlib import Path

from fastapi import FastAPI
from modules import images, modelloader, script_callbacks, scripts, shared

SEEN = Path(__file__).resolve().parents[3] / "resized"
"""Folder of what goes into and comes out of the upscaler of Hires Fix."""


def status():
    """What a reload of the UI must leave as it was."""
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return {
        "resident": pages * os.sysconf("SC_PAGE_SIZE"),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "callbacks": {name: len(calls) for name, calls in script_callbacks.callback_map.items()},
        "upscalers": [upscaler.name for upscaler in shared.sd_upscalers],
        "loader": modelloader.load_upscalers.__module__,
        "device_job": [shared.state.job, shared.state.job_no, shared.state.job_count],
    }


def spandrels():
    """The host's spandrel as it is in this process, and whether there is another one."""
    found = sys.modules.get("spandrel")
    mixed = [name for name in list(sys.modules) if name.startswith("spandrel") and _file(name).count("spandrel-")]
    return {
        "version": getattr(found, "__version__", ""),
        "identity": id(found),
        "modules": sorted(name for name in list(sys.modules) if name.partition(".")[0] == "spandrel"),
        "mixed": mixed,
        "ours": getattr(sys.modules.get("_truescale_spandrel"), "__version__", ""),
    }


def load_hosts():
    """As the host does when it loads a model itself."""
    importlib.import_module("spandrel")


def plot():
    """Of the X/Y/Z plot in txt2img: its axes, and what it takes. The API of 1.6 cannot tell."""
    runner = scripts.scripts_txt2img
    script = next(one for one in runner.scripts if one.title() == "X/Y/Z plot")
    inputs = runner.inputs[script.args_from : script.args_to]
    return {
        "axes": [axis.label for axis in script.current_axis_options],
        "arguments": [{"label": one.label, "value": one.value} for one in inputs],
    }


def _file(module):
    return str(getattr(sys.modules[module], "__file__", ""))


def reload():
    """As the button "Reload UI"."""
    shared.state.request_restart()


def _kept(original):
    def resize_image(resize_mode, im, width, height, upscaler_name=None):
        result = original(resize_mode, im, width, height, upscaler_name)
        if upscaler_name is not None:
            SEEN.mkdir(exist_ok=True)
            number = len(list(SEEN.glob("*-in.png")))
            im.save(SEEN / f"{number:03}-in.png")
            result.save(SEEN / f"{number:03}-out.png")
        return result

    resize_image.original = original
    return resize_image


def _mount(_demo, app: FastAPI):
    app.add_api_route("/probe/spandrels", spandrels, methods=["GET"])
    app.add_api_route("/probe/spandrels", load_hosts, methods=["POST"])
    app.add_api_route("/probe/status", status, methods=["GET"])
    app.add_api_route("/probe/plot", plot, methods=["GET"])
    app.add_api_route("/probe/reload", reload, methods=["POST"])


images.resize_image = _kept(getattr(images.resize_image, "original", images.resize_image))
script_callbacks.on_app_started(_mount)

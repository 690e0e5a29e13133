"""What the WebUI is asked for, each with an answer for hosts that lack it. Imported when it is used, not before."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from .aside import tell

__all__ = [
    "command_option",
    "data_folder",
    "esrgan_folders",
    "folder_opener",
    "free_memory",
    "hand_over_memory",
    "keep_warnings",
    "ldsr_folders",
    "log",
    "module",
    "option",
    "plain_arithmetic",
    "queue_lock",
    "state",
    "torch_device",
    "upscalers",
    "warn",
]

log = logging.getLogger("truescale")

_OWN_LOCK = threading.Lock()
_NO_STATE = SimpleNamespace()


def keep_warnings() -> None:
    """Words for the user reach the console in a host that shows errors alone (Neo), unless its user has chosen so."""
    chosen = command_option("loglevel") or os.environ.get("SD_WEBUI_LOG_LEVEL")
    if not chosen and not log.isEnabledFor(logging.WARNING):
        log.setLevel(logging.WARNING)


def module(name: str) -> ModuleType | None:
    """``modules.<name>`` of the host, or None where it has none."""
    try:
        return importlib.import_module(f"modules.{name}")
    except ImportError:
        return None


def _attribute(module_name: str, name: str, default: Any = None) -> Any:
    return getattr(module(module_name), name, default)


def option(name: str, default: Any) -> Any:
    """A setting of the host. Those of an extension do not exist before its UI was built once."""
    value = getattr(_attribute("shared", "opts"), name, None)
    return default if value is None else value


def command_option(name: str, default: Any = None) -> Any:
    """A flag of the host's command line, such as "esrgan_models_path"."""
    return getattr(_attribute("shared", "cmd_opts"), name, default)


def state() -> Any:
    """The host's ``shared.state``: how far the job is, and whether it was stopped."""
    return _attribute("shared", "state", _NO_STATE)


def upscalers() -> list[Any]:
    """The host's own list of upscalers, not a copy."""
    found = _attribute("shared", "sd_upscalers")
    return found if isinstance(found, list) else []


def esrgan_folders() -> list[Path]:
    """Where the host looks for ESRGAN models: the flag's folder first, then its default; never empty."""
    default = Path(_attribute("paths", "models_path") or _attribute("shared", "models_path") or "models") / "ESRGAN"
    flag = command_option("esrgan_models_path")
    return list(dict.fromkeys([Path(flag), default] if flag else [default]))


def ldsr_folders() -> list[Path]:
    """Where the host looks for the model of its LDSR: the flag's folder first, then its default."""
    default = Path(_attribute("paths", "models_path") or _attribute("shared", "models_path") or "models") / "LDSR"
    flag = command_option("ldsr_models_path")
    return list(dict.fromkeys([Path(flag), default] if flag else [default]))


def data_folder() -> Path:
    """Where the host keeps its user's data (``--data-dir``)."""
    return Path(_attribute("paths", "data_path") or _attribute("paths_internal", "data_path") or ".").absolute()


def folder_opener() -> Callable[[str], None] | None:
    """Shows a folder in the file manager of the host's computer; None where it cannot (before 1.9), or its users sit
    at other computers."""
    from_afar = ("hide_ui_dir_config", "share", "listen", "ngrok", "server_name")
    return None if any(map(command_option, from_afar)) else _attribute("util", "open_folder")


def torch_device() -> Any:
    """The device that the host runs its upscalers on."""
    devices = module("devices")
    device = getattr(devices, "device_esrgan", None)
    if device is None and hasattr(devices, "get_optimal_device"):
        device = devices.get_optimal_device()
    return device or getattr(devices, "device", None) or "auto"


def queue_lock() -> Any:
    """The lock that one generation at a time holds; it cannot be taken twice by one thread."""
    return _attribute("call_queue", "queue_lock", _OWN_LOCK)


def free_memory() -> None:
    """Give cached device memory back."""
    collect = _attribute("devices", "torch_gc")
    if collect is not None:
        collect()


def hand_over_memory() -> None:
    """Ask a host that keeps Stable Diffusion on the device all the time (Forge) to make room."""
    for name in ("modules_forge.utils", "modules_forge.forge_util"):
        with contextlib.suppress(ImportError):
            prepare = getattr(importlib.import_module(name), "prepare_free_memory", None)
            if prepare is not None:
                prepare()
                return


@contextlib.contextmanager
def plain_arithmetic() -> Iterator[None]:
    """Inside, this thread computes as PyTorch does by itself: no autocast, no inference mode.

    All of that is the thread's own. What the host does to the classes of layers, for all threads, does not reach our
    networks (``plain_layers``), and is left alone: a generation may be under way that needs it.
    """
    import torch

    without = getattr(module("devices"), "without_autocast", contextlib.nullcontext)
    with torch.inference_mode(False), torch.no_grad(), without(), torch.autocast("cpu", enabled=False):
        yield


def warn(text: str) -> None:
    """Words for the user: in the console, and on the page where one is being served, or beside the job (``aside``)."""
    log.warning("TrueScale: %s", text)
    tell(text)
    try:
        import gradio

        gradio.Warning(text)
    except Exception:  # outside of a page's request gradio raises this or that; the console has the words
        log.debug("there is no page to show the warning on", exc_info=True)

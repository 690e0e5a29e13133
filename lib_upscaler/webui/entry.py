"""Puts TrueScale into the host: takeover, settings, API, callbacks. Called when the host loads our scripts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import host
from .host import batch, health, hooks, saving, uploads
from .host.lives import PAGE, SCRIPTS
from .host.settings import register
from .panels import extras_tools, img2img_pictures, lists, queue_panel
from .panels.queue_jobs import queue
from .places import xyz
from .places.gallery import panel as gallery
from .takeover import cache, reading, vae
from .takeover.registry import REGISTRY
from .upscaling.service import service

__all__ = ["install"]


def install() -> None:
    """Once for each load of the scripts: a reload of the UI drops all callbacks, this library stays loaded."""
    SCRIPTS.end()
    host.keep_warnings()
    REGISTRY.install()
    vae.attach_current()
    # In a thread of its own: for each callback the host looks through the calls under way, and takes long where one of
    # them is in a file that is no module, as its scripts are. All: 0.16 s here, 0.015 s in the thread (v1.10.1).
    with ThreadPoolExecutor(1, "truescale") as pool:
        pool.submit(_add_callbacks).result()


def _add_callbacks() -> None:
    callbacks = host.module("script_callbacks")
    for name, function in (
        ("on_ui_settings", _add_settings),
        ("on_before_ui", _before_ui),
        ("on_before_component", _before_component),
        ("on_after_component", _after_component),
        ("on_before_image_saved", saving.before_saving),
        ("on_image_saved", saving.after_saving),
        ("on_app_started", _app_started),
        ("on_model_loaded", vae.attach),
        ("on_script_unloaded", _unloaded),
    ):
        add = getattr(callbacks, name, None)  # ``hooks`` tells of what is missing
        if add is not None:
            add(function)


def _add_settings() -> None:
    register(_settings_changed)


def _settings_changed() -> None:
    cache.clear()
    service().refresh()
    REGISTRY.update()


def _before_ui() -> None:
    PAGE.end()
    cache.protect()
    reading.protect()
    REGISTRY.hand_out()
    xyz.add_axes()


def _before_component(_: Any, **arguments: Any) -> None:
    if queue_panel.is_place(arguments.get("elem_id")) and not health.problem():
        queue_panel.add_queue()


def _after_component(component: Any, **arguments: Any) -> None:
    elem_id = arguments.get("elem_id")
    lists.remember_component(component, elem_id)
    uploads.watch(component, elem_id)
    batch.watch_batch(component, elem_id)
    img2img_pictures.remember(component, elem_id)
    gallery.watch(component, elem_id)
    if elem_id == extras_tools.STATEMENT_BELOW and not health.problem():
        extras_tools.add_statement()


def _app_started(_demo: Any, app: Any) -> None:
    from .places.api import mount

    queue().release()
    hooks.tell_missing()
    mount(app)


def _unloaded() -> None:
    queue().hold()
    REGISTRY.uninstall()
    cache.unprotect()
    reading.unprotect()
    vae.detach_all()

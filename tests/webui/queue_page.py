"""The queue of the Extras as its page uses it."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

from PIL import Image

from fake_host.running import FakeHost

__all__ = [
    "PANEL",
    "SECONDS",
    "act_on",
    "add_job",
    "event_of",
    "inputs_of",
    "jobs_now",
    "jobs_told",
    "of_a_page",
    "press_button",
    "run_queue",
    "states_now",
]

PANEL = "truescale_extras_queue"
SECONDS = 60


def inputs_of(host: FakeHost, **ours: Any) -> list[Any]:
    """Of all inputs of the steps, as the page has them: only ours is on."""
    given = {"Upscale": {"upscale_enabled": False}, "TrueScale": {"enabled": True, "upscaler_1": "four", **ours}}
    given["GFPGAN"] = {"enable": False}
    scripts = host.module("scripts").scripts_postproc.scripts_in_preferred_order()
    return [given.get(s.name, {}).get(name, part.value) for s in scripts for name, part in s.controls.items()]


def add_job(
    host: FakeHost,
    image: Image.Image | None = None,
    files: Any = None,
    folder: str = "",
    shows: bool = True,
    **ours: Any,
) -> dict[str | None, Any]:
    mode = 0 if image is not None else 1 if files is not None else 2
    return host.press(f"{PANEL}_add", image, files, folder, "", shows, *inputs_of(host, **ours), mode, 0)


def of_a_page(host: FakeHost) -> Any:
    """What is asked for, without a page."""
    return host.ours("host.extras_run").Asked(0, {}, "a picture")


def press_button(host: FakeHost, button: str) -> dict[str | None, Any]:
    return host.press(f"{PANEL}_{button}", 0)


def act_on(host: FakeHost, act: str, number: int) -> dict[str | None, Any]:
    return host.press(f"{PANEL}_do", json.dumps({"act": act, "job": number, "count": 1}), 0)


def jobs_told(changes: dict[str | None, Any]) -> list[dict[str, Any]]:
    """As the page's script reads them."""
    (told,) = re.findall("data-truescale-jobs='([^']*)'", changes[f"{PANEL}_jobs"])
    return json.loads(unescape(told))["jobs"]


def jobs_now(host: FakeHost) -> list[dict[str, Any]]:
    return jobs_told(press_button(host, "show"))


def states_now(host: FakeHost) -> list[str]:
    return [job["state"] for job in jobs_now(host)]


def run_queue(host: FakeHost, queue: Any) -> None:
    press_button(host, "run")
    assert queue.wait(SECONDS)


def event_of(host: FakeHost, elem_id: str) -> tuple[Any, dict[str, Any]]:
    """The function of a button, and gradio's event."""
    button = host.component(elem_id)._id
    for number, event in enumerate(host.demo.dependencies):
        targets = [target[0] if isinstance(target, (list, tuple)) else target for target in event["targets"]]
        if button in targets:
            return host.demo.fns[number].fn, event
    raise AssertionError(elem_id)

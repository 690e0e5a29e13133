"""The drop-downs of upscalers on the page, ours and the host's: what they offer, by scale, and how they stay fresh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ...fields import NO_UPSCALER
from .. import host
from ..host.lives import PAGE
from ..takeover import cache, choices
from ..takeover.registry import REGISTRY
from ..upscaling.service import service
from . import bridge, cards

__all__ = [
    "Lists",
    "cleaners",
    "host_components",
    "networks_or_none",
    "offered",
    "offered_or_none",
    "refresh_models",
    "remember_component",
]


class _HostComponents(dict):
    """Component by id."""


def host_components() -> dict[str, Any]:
    """Of the page that is being built, by their ids: the host's lists, and what our panels look at."""
    return PAGE.of(_HostComponents)


_HOST_NAMES: dict[str, Callable[[], list[str]]] = {
    "txt2img_hr_upscaler": lambda: [*_latent_modes(), *_host_names()],
    "extras_upscaler_1": lambda: _host_names(),
    "extras_upscaler_2": lambda: _host_names(),
}
_LOOKED_AT = ("extras_image", "extras_upscale-checkbox", "extras_upscale")


def remember_component(component: Any, elem_id: str | None) -> None:
    """Called for each component of the host's UI as it is built."""
    if elem_id in _HOST_NAMES or elem_id in _LOOKED_AT:
        host_components()[elem_id] = component


def _host_names() -> list[str]:
    return [entry.name for entry in host.upscalers()]


def _latent_modes() -> list[str]:
    return list(getattr(host.module("shared"), "latent_upscale_modes", None) or ())


def refresh_models() -> None:
    """New files are found and listed, in the host's lists as well; those that are gone keep their places."""
    service().refresh()
    REGISTRY.update()
    cache.clear()


# -- what our lists offer ----------------------------------------------------------------------------------------------


def offered() -> list[str]:
    """All upscalers, by their scales."""
    return cards.grouped(choices.names())


def offered_or_none() -> list[str]:
    """The same, with none of them at the top."""
    return [NO_UPSCALER, *offered()]


def networks_or_none() -> list[str]:
    """None, and those that our engine runs."""
    return [NO_UPSCALER, *(name for name in offered() if choices.file_of(name) is not None)]


def cleaners() -> list[str]:
    """None, and the networks that keep a picture's size, or may: of some the scale is known when they were read."""
    kept = (name for name, scale in cards.scales(choices.names()).items() if scale in (1, None))
    return [NO_UPSCALER, *(name for name in kept if choices.file_of(name) is not None)]


class Lists:
    """Those of one panel, and the host's that the page has so far; ``updates`` brings all of them up to date."""

    def __init__(self, elem_id: str) -> None:
        self._ours: list[tuple[Any, Callable[[], list[str]]]] = []
        self._groups = bridge.GROUPS.component(elem_id, _groups())

    def dropdown(self, listed: Callable[[], list[str]], value: str, **arguments: Any) -> Any:
        """A drop-down of what ``listed`` gives; it can be searched by typing."""
        made = gr.Dropdown(choices=listed(), value=value, **arguments)
        self._ours.append((made, listed))
        return made

    @property
    def components(self) -> list[Any]:
        """What ``updates`` is for, in its order."""
        return [*(component for component, _ in self._ours), *self._theirs(), self._groups]

    def updates(self) -> list[Any]:
        """Look for new files; one update for each of ``components``."""
        refresh_models()
        ours = [gr.update(choices=listed()) for _, listed in self._ours]
        theirs = [gr.update(choices=_HOST_NAMES[key]()) for key in _HOST_NAMES if key in host_components()]
        return [*ours, *theirs, bridge.GROUPS.html(_groups())]

    @property
    def ours(self) -> list[Any]:
        """What ``ours_now`` is for, in its order."""
        return [*(component for component, _ in self._ours), self._groups]

    def ours_now(self) -> list[Any]:
        """One update for each of ``ours``, without looking for files: another panel may have found some."""
        return [*(gr.update(choices=listed()) for _, listed in self._ours), bridge.GROUPS.html(_groups())]

    def _theirs(self) -> list[Any]:
        return [host_components()[key] for key in _HOST_NAMES if key in host_components()]


def _groups() -> dict[str, str]:
    """Name -> heading: the page's script shows them."""
    return cards.groups(choices.names())

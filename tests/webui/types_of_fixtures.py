"""What the fixtures of ``conftest`` give, for the tests to name."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from fake_host.running import FakeHost

__all__ = ["Engine", "StartHost"]

StartHost = Callable[..., FakeHost]
"""Starts a fake host; see the fixture ``start_host``."""


class Engine:
    """Stands in front of the core's ``Upscaler.upscale``.

    pictures: those it was given. before: called with each, before the network runs; what it raises the engine raises.
    """

    def __init__(self) -> None:
        self.pictures: list[Image.Image] = []
        self.before: Callable[[Image.Image], None] = lambda image: None

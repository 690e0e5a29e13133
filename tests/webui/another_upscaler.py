"""An upscaler of another extension: nothing that our engine could run."""

from __future__ import annotations

from typing import Any

from fake_host.running import FakeHost

__all__ = ["ANOTHER", "add_another"]

ANOTHER = "Another"


def add_another(host: FakeHost) -> None:
    """For ``start_host(change=...)``: in the host's list, four times as large by nearest neighbours."""
    upscaler: Any = host.module("upscaler")

    class UpscalerAnother(upscaler.Upscaler):
        def __init__(self, user_path: str) -> None:
            self.name = ANOTHER
            self.user_path = user_path
            super().__init__()
            self.scalers = [upscaler.UpscalerData(ANOTHER, None, self)]

        def do_upscale(self, img: Any, selected_model: Any = None) -> Any:
            return img.resize((img.width * 4, img.height * 4), upscaler.NEAREST)

    host.kept = UpscalerAnother  # type: ignore[attr-defined]  # the host finds subclasses that somebody still has

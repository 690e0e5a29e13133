"""An upscaler as the host and other extensions expect it, with our engine inside."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...fields import as_request
from ...models.entry import entry_of
from ...planning.sizing import ByScale
from ...request import Alpha
from .. import host
from ..host import health
from ..host.callers import Caller, find_caller
from ..host.progress import shown_as_job
from ..host.settings import ldsr_steps, settings
from ..upscaling.service import service
from . import results
from .failing import answer, as_error, batch_begins, batch_ends
from .hires_options import options_of

if TYPE_CHECKING:
    from PIL import Image


__all__ = ["Scaler", "is_ours"]


class Scaler:
    """Stands behind one entry of the host's list. Not a subclass of the host's Upscaler: it would be listed twice.

    Like the host's, it takes pictures of any mode; it gives RGB, in the Extras also RGBA. ``upscale`` gives the exact
    size, ``do_upscale`` the network's own scale. Where something fails, ``failing`` says what happens.
    """

    enable = True
    can_tile = True
    user_path = model_url = filter = model = None
    half = False

    def __init__(self, name: str, path: str, model_name: str = "", fetch: Callable[[], str] | None = None) -> None:
        """path: of the file; what the host calls it (an address) where it is still to be fetched.

        model_name: what the host's API tells. fetch: brings the file and gives its path.
        """
        self.name = name
        self.model_name = model_name or name
        self.path = path
        self.scalers: list[Any] = []
        self.scale: float = 1.0  # third parties set these two
        self.tile_size = 0
        self.model_path = self.model_download_path = str(Path(path).parent)
        self._fetch = fetch

    def upscale(self, img: Image.Image, scale: float, selected_model: str | None = None) -> Image.Image:
        """``img`` enlarged ``scale`` times, halves rounded up. As the host's, a scale of 1 runs the network once."""
        self.scale = scale
        return self._run(img, scale, lambda: ByScale(float(scale)), selected_model, always=scale == 1)

    def do_upscale(self, img: Image.Image, selected_model: str | None = None) -> Image.Image:
        """One pass of the network: ``img`` at the network's own scale."""
        return self._run(img, self.scale, lambda: None, selected_model, always=True)

    def load_model(self, path: str | None = None) -> str:
        """The file; see ``file``."""
        return self.file(path)

    def file(self, selected: str | None = None) -> str:
        """The file ``selected``, where it is one, else this entry's, fetched where need be.

        Raises ModelNotFoundError where it cannot be had.
        """
        if selected and selected not in (self.path, self.name) and os.path.isfile(selected):
            return selected
        if self._fetch is not None:
            self.path, self._fetch = self._fetch(), None
        return self.path

    def _run(
        self, img: Image.Image, scale: float, size: Callable[[], ByScale | None], selected: str | None, always: bool
    ) -> Image.Image:
        caller, current = find_caller(), settings()
        results.begins(caller)
        batch_begins(caller)
        with shown_as_job(self.name, bar=caller.kind in ("extras", "batch")) as progress:
            try:
                health.check()
                in_extras = caller.kind in ("extras", "batch")
                entry = entry_of(Path(self.file(selected)), self.name)
                asked = {"visibility": 0.0, **options_of(caller.processing), "upscaler_1": entry}
                more: dict[str, Any] = {"precision": current.precision, "memory": current.memory, "always": always}
                more["alpha"] = self._alpha(img, caller) if in_extras else "drop"
                more["ldsr_steps"] = ldsr_steps()
                request = as_request(asked, size(), lambda model: model, **more)
                if not in_extras:
                    result = service().upscale(img.convert("RGB"), request, progress)
                    results.made(caller, result.report)
                    return result.image.convert("RGB")
                from .moving import enlarged  # not at the WebUI's start: it brings all that reads pictures

                made = enlarged(img, caller, request, progress)
                results.made(caller, made.report)
                return made.given_back(img, caller)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller decides what is kept
                return answer(as_error(error, self.name), caller, img, scale, self.name)
            finally:
                batch_ends(caller)

    def _alpha(self, img: Image.Image, caller: Caller) -> Alpha:
        """What becomes of its transparency."""
        from .handed import crops

        given = img, caller.image  # before 1.9 the host drops it between the two
        if not any(getattr(one, "mode", "").endswith("A") for one in given) or not crops(caller):
            return "network"
        host.warn("Crop to fit drops transparency: the picture was put on white. The panel TrueScale keeps it")
        return "drop"


def is_ours(scaler: Any) -> bool:
    """Whether it is a Scaler, also one made before this file was loaded anew."""
    return (type(scaler).__module__, type(scaler).__qualname__) == (Scaler.__module__, Scaler.__qualname__)

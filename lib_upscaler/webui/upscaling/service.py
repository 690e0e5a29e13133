"""The one engine of the WebUI's process: which models there are, and a picture upscaled by any of them."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ...models.library import ModelLibrary, shipped_models
from ...progress import NO_PROGRESS, Progress
from .. import host
from ..host.lives import PROCESS
from ..host.settings import Settings, settings

if TYPE_CHECKING:
    from PIL import Image

    from ...estimates import Estimate
    from ...geometry import Size
    from ...pictures.pixels import Pixels
    from ...pipeline import Upscaler
    from ...request import UpscaleRequest, UpscaleResult

__all__ = ["Service", "service"]


class Service:
    """Follows the host's settings: what depends on a changed one is made anew at the next use."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._library: ModelLibrary | None = None
        self._upscaler: Upscaler | None = None

    # -- models --------------------------------------------------------------------------------------------------------

    @property
    def library(self) -> ModelLibrary:
        """The model that ships, then those in models/ESRGAN, in the further folders, and in models/LDSR."""
        folders = model_folders(settings())
        with self._lock:
            if self._library is None or list(self._library.folders) != folders:
                self._library = ModelLibrary(folders, builtin=shipped_models())
            return self._library

    def refresh(self) -> None:
        """Look for new files."""
        self.library.refresh()

    def fingerprint(self) -> tuple[object, ...]:
        """Differs when a setting or a model file has changed, so that cached results are no longer true."""
        files = []
        for entry in self.library.models():
            try:
                status = entry.path.stat()
                files.append((entry.path, status.st_size, status.st_mtime_ns))
            except OSError:
                files.append((entry.path, 0, 0))
        return settings(), tuple(files)

    # -- pictures ------------------------------------------------------------------------------------------------------

    def upscale(
        self, image: Image.Image | Pixels, request: UpscaleRequest, progress: Progress = NO_PROGRESS
    ) -> UpscaleResult:
        """Upscale on the host's device, undisturbed by what the host does to PyTorch. Raises what Upscaler does."""
        with host.plain_arithmetic():
            upscaler = self._ready()
            host.hand_over_memory()
            return upscaler.upscale(image, request, progress)

    def estimate(self, source: Size, request: UpscaleRequest) -> Estimate:
        """What it will take with a picture of this size. Nothing runs.

        Raises ModelError, DeviceError, SizeError.
        """
        from ...estimates import estimate

        with host.plain_arithmetic():
            return estimate(self._ready(), source, request)

    def give_back(self) -> None:
        """Drop the copies of the models on the device, and the memory cached there. They stay loaded in main memory."""
        with self._lock:
            if self._upscaler is not None and self._upscaler.device.type != "cpu":
                self._upscaler.cache.move_off_devices()
        host.free_memory()

    def release(self) -> None:
        """Drop all models."""
        with self._lock:
            if self._upscaler is not None:
                self._upscaler.release()
            self._upscaler = None

    def _ready(self) -> Upscaler:
        """The upscaler for the device, folders and cache of this moment. Raises DeviceError, ModelError."""
        from ...pipeline import Upscaler
        from ...running.device import find_device

        device, cache_bytes, library = find_device(host.torch_device()), settings().cache_bytes, self.library
        with self._lock:
            current = self._upscaler
            if current is None or current.device != device:
                self.release()
                current = self._upscaler = Upscaler(library, device, cache_bytes)
            current.library = library
            current.cache.budget = cache_bytes
            return current


def model_folders(current: Settings) -> list[Path]:
    """The host's folders of ESRGAN models, the further ones, and those of LDSR; absolute, each once."""
    folders = (*host.esrgan_folders(), *current.folders, *host.ldsr_folders())
    return list(dict.fromkeys(Path(os.path.abspath(folder)) for folder in folders))


def service() -> Service:
    """The process's one. It lives on when the UI is reloaded, with its loaded models."""
    return PROCESS.of(Service)

"""An upscaler of the host, or of another extension, as the core's ``Enlarger``."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from ...errors import Cancelled, TrueScaleError
from ...geometry import Size
from ...progress import Progress
from ..host.progress import is_stopped

__all__ = ["HostUpscaler"]


class HostUpscaler:
    """scaler: the host's object. path: which of its models, as the host calls it."""

    strategy = "by the WebUI"

    def __init__(self, name: str, scaler: Any, path: str | None = None) -> None:
        self.name = name
        self._scaler, self._path = scaler, path

    def enlarge(self, picture: np.ndarray, size: Size, progress: Progress) -> np.ndarray:
        """See ``Enlarger``."""
        scale = max(size.width / picture.shape[1], size.height / picture.shape[0])
        try:
            done = self._scaler.upscale(Image.fromarray(picture), scale, self._path)
        except TrueScaleError:
            raise
        except Exception as error:
            raise TrueScaleError(f"'{self.name}' failed", f"{type(error).__name__}: {error}") from error
        if is_stopped():
            raise Cancelled  # the host's upscalers then give whatever they have
        return np.asarray(done.convert("RGB"))

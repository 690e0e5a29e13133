"""From the values of a panel, the API or an accordion to a request to the core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...fields import as_request
from ...planning.sizing import SizeRequest
from ...request import Model, UpscaleRequest
from ..host.settings import ldsr_steps, settings
from . import choices

__all__ = ["Find", "request_of"]

Find = Callable[[Any], "Model | None"]
"""Gives the upscaler of a name: ``choices.find``, or ``choices.peek`` for a look."""


def request_of(
    values: Mapping[str, Any], size: SizeRequest | None, find: Find = choices.find, **more: Any
) -> UpscaleRequest:
    """values: checked ones (``fields.checked``). more: further values of the request.

    Raises RequestError, ModelNotFoundError.
    """
    current = settings()
    asked = {**values, "upscaler_1": values["upscaler_1"] or choices.default_name()}
    return as_request(asked, size, find, current.precision, current.memory, **{"ldsr_steps": ldsr_steps(), **more})

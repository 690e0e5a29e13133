"""Events that change something are only done for this WebUI's own page.

gradio takes them from any site that is open in the same browser, past ``--api-auth``, by ``/run/predict``. Such an
event is not queued: of one from the queue, gradio 3 takes whatever headers the caller claims.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ...errors import RequestError
from ..host.origins import is_foreign

__all__ = ["only_own_page"]


def only_own_page(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` with gradio's request before its inputs; for an event with ``queue=False``.

    It raises RequestError for a foreign one.
    """

    def guarded(request: gr.Request, *inputs: Any) -> Any:
        real = getattr(request, "request", None)
        headers = getattr(real, "headers", None)
        if headers is None or is_foreign(headers):
            raise RequestError("another page asked for this, not this WebUI's", "", "do it in the WebUI itself")
        return function(*inputs)

    return guarded

"""Settings of the WebUI that a run asks for itself, and that are dear to change: for the run, not for each tile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ... import host

__all__ = ["HOISTED", "hoisted_overrides"]

HOISTED = {"sd_model_checkpoint": ("sd_models", "reload_model_weights"), "sd_vae": ("sd_vae", "reload_vae_weights")}
"""Setting -> module and function of the host that carry it out."""


@contextmanager
def hoisted_overrides(p: Any) -> Iterator[None]:
    """The checkpoint and VAE that ``p`` asks for: loaded once, not for each tile, and given back at the end."""
    asked = {key: value for key, value in (p.override_settings or {}).items() if key in HOISTED}
    if "sd_model_checkpoint" in asked:
        known = getattr(host.module("sd_models"), "checkpoint_aliases", {})
        if known.get(asked["sd_model_checkpoint"]) is None:
            del asked["sd_model_checkpoint"]  # as the host does
    opts = host.module("shared").opts
    before = {key: opts.data.get(key) for key in asked}
    try:
        for key, value in asked.items():
            _set(opts, key, value)
        yield
    finally:
        if getattr(p, "override_settings_restore_afterwards", True):
            for key, value in before.items():
                _set(opts, key, value)


def _set(opts: Any, key: str, value: Any) -> None:
    opts.set(key, value, is_api=True, run_callbacks=False)
    module_name, function = HOISTED[key]
    getattr(host.module(module_name), function)()

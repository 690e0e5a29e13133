"""The ControlNet that is built into the Forge family: its script of one generation, what it cannot do, and its end.

The script makes hints and loads networks when the host calls its ``process``, for each unit ``current_params``, and
puts controls into the checkpoint's patcher before each sampling. What it raises the host swallows. It forgets them in
``postprocess``, which the host calls only where all went well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

from ....geometry import Size
from .chain import ControlChain
from .integrated_units import refused, units_of
from .refusing import not_possible, not_set_up

__all__ = ["SET_UP", "chain_on_canvas", "cleaned_up", "is_on", "is_set_up", "prepared", "script_of", "why_not"]

SET_UP = "process_unit_after_click_generate"
"""Of the script: makes a unit's hint, ``(p, unit, params, ...)``."""

_FIT = ("ControlNetPatcher", "IPAdapterPatcher")
"""Classes of what the script keeps a network in: whose hint is a control's, and whose has no place. ControlNet-LLLite
and Fooocus's inpainting add to the latent's very places, in ways of their own."""

_NO_MODEL = "ControlModelPatcher"


def script_of(p: Any) -> Any:
    """Its script among those of this generation; None where it is not installed."""
    for script in getattr(getattr(p, "scripts", None), "alwayson_scripts", None) or ():
        if str(script.title()).casefold() == "controlnet" and hasattr(script, SET_UP):
            return script
    return None


def is_on(p: Any) -> bool:
    """Whether it is installed and has a unit that is switched on."""
    script = script_of(p)
    return script is not None and bool(units_of(script, p))


def why_not(p: Any, each_tile_alone: bool) -> str:
    """What its units ask for that tiles cannot have, in words; "" where they can. each_tile_alone: each tile is a
    generation of the host's, as in the engine Tiles."""
    script = script_of(p)
    return "" if script is None else refused(units_of(script, p), each_tile_alone)


def prepared(script: Any, p: Any) -> list[tuple[Any, Any]]:
    """(unit, params) of those that are switched on. Raises TrueScaleError where the script has failed."""
    units = script.get_enabled_units(_values(script, p))
    known = getattr(script, "current_params", None) or {}
    # A unit that failed ends the script's work: it has no model, and those after it have nothing.
    if len(known) != len(units) or any(params.model is None for params in known.values()):
        raise not_set_up()
    return [(unit, known[number]) for number, unit in enumerate(units)]


def is_set_up(p: Any) -> bool:
    """Whether it conditions this generation. Raises TrueScaleError where it is on and does not."""
    script = script_of(p)
    return script is not None and bool(prepared(script, p))


def chain_on_canvas(p: Any, canvas: Size) -> ControlChain:
    """The controls of the sampling that is to begin. canvas: px of the latent. Raises TrueScaleError for units that
    tiles cannot have, or that could not be set up."""
    script, expected = script_of(p), 0
    for unit, params in () if script is None else prepared(script, p):
        if not _in_this_pass(unit, p):
            continue
        kind = type(params.model)
        kinds = {each.__name__ for each in kind.__mro__}
        if kinds.isdisjoint(_FIT) and kind.__name__ != _NO_MODEL:
            raise not_possible(f"tiles are not known to work with a model of the kind {kind.__name__}")
        if "IPAdapterPatcher" in kinds and params.control_mask is not None:
            raise not_possible("an IP-Adapter's mask is for the picture as a whole")
        expected += "ControlNetPatcher" in kinds
    return ControlChain(canvas, expected)


@contextmanager
def cleaned_up(p: Any) -> Iterator[None]:
    """Around a generation of the host: where it fails, nothing of the script is kept all the same."""
    try:
        yield
    except BaseException:
        script = script_of(p)
        if script is not None and getattr(script, "current_params", None):
            with suppress(Exception):  # the error that has brought us here says more
                script.postprocess_batch_list(p, SimpleNamespace(images=[]), *_values(script, p))
            script.current_params = {}
        raise


def _values(script: Any, p: Any) -> list[Any]:
    return list(getattr(p, "script_args", None) or ())[script.args_from or 0 : script.args_to or 0]


def _in_this_pass(unit: Any, p: Any) -> bool:
    """Whether a unit works in the pass that runs: with Hires Fix, the second."""
    if not getattr(p, "enable_hr", False):
        return True
    option = sys.modules["lib_controlnet.enums"].HiResFixOption.from_value(unit.hr_option)
    return bool(option.high_res_enabled)

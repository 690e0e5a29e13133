"""Before a generation: the accordion's values are tied to its ``p``, and noted in its infotext."""

from __future__ import annotations

from typing import Any

from ....errors import TrueScaleError
from ....fields import Place, fields_of
from ... import host
from ...panels.pasting import noted
from ...takeover import choices
from ...takeover.failing import HIRES_NOTE
from ...takeover.hires_options import attach
from ...takeover.scaler import is_ours
from ...upscaling.service import service
from . import second_pass
from .ways import WHOLE

__all__ = ["AXES", "PLACE", "TITLE", "hand_over", "is_ours_by_name", "prepare"]

TITLE = "TrueScale Hires Fix"
PLACE: Place = "hires"
AXES = "truescale_axes"
"""Attribute of ``p``: arguments that an X/Y/Z plot sets."""

_FOR_ALL = {"composition", *(field.name for field in fields_of(PLACE) if field.group == "second pass")}
"""What goes with upscalers of others, and latent ones, too."""


def prepare(p: Any, enabled: Any = False, *given: Any) -> None:
    """The first pass is guarded in any case. Never raises."""
    attach(p, {})
    second_pass.detach(p)
    fields = fields_of(PLACE)
    # A dict of its own: copies of ``p`` (X/Y/Z plot) share one, and what another of them has noted is not this one's.
    ours = (*(field.at[PLACE].key for field in fields), HIRES_NOTE)
    p.extra_generation_params = {key: value for key, value in p.extra_generation_params.items() if key not in ours}
    if not getattr(p, "enable_hr", False):
        return
    axes = getattr(p, AXES, {})
    asked = dict(zip((field.name for field in fields), given)) if enabled else {}
    values = _usable({**asked, **axes})
    if values["composition"] and values["second_pass"] == WHOLE:
        host.warn(f"{TITLE}: the composition is that of the whole already where the second pass is no canvas in tiles")
        values["composition"] = False
    second_pass.attach(p, _second_pass(values))
    if not is_ours_by_name(getattr(p, "hr_upscaler", None)):
        lost = [field.label for field in fields if field.name not in _FOR_ALL and not _is_default(field, values)]
        if lost:
            host.warn(f"{TITLE}: with '{p.hr_upscaler}', which is none of its upscalers, {', '.join(lost)} do nothing")
        values = {name: value if name in _FOR_ALL else None for name, value in values.items()}
        p.extra_generation_params.update(_said(values))
        return
    if enabled or axes:
        second = values["upscaler_2"] if values["visibility"] > 0 else None
        attach(p, {**values, "upscaler_2": second})
        p.extra_generation_params.update(_said({**values, "upscaler_2": second}))


def _second_pass(values: dict[str, Any]) -> second_pass.Asked:
    return second_pass.Asked(
        way=values["second_pass"],
        composition=values["composition"],
        seed=values["second_seed"],
        scale=values["again_scale"],
        denoising=values["again_denoising"],
    )


def _is_default(field: Any, values: dict[str, Any]) -> bool:
    value = values[field.name]
    if field.name == "visibility":
        return values["upscaler_2"] is None or value == 0
    return value is None if field.kind == "model" else value == field.default_at(PLACE)


def _said(values: dict[str, Any]) -> dict[str, Any]:
    """For the infotext. values: None for what is not to be said."""
    second, recipe = values["upscaler_2"], values["recipe"]
    again = {"again_denoising": None} if values["again_scale"] <= 1 else {}
    recipe = None if recipe is None else choices.name_of(recipe)
    said = noted(PLACE, {**values, **again, "recipe": recipe, "upscaler_2": None, "visibility": None})
    if second is not None:
        keys = {field.name: field.at[PLACE].key for field in fields_of(PLACE)}
        said.update({keys["upscaler_2"]: choices.name_of(second), keys["visibility"]: values["visibility"]})
    return said


def is_ours_by_name(upscaler: Any) -> bool:
    return any(entry.name == upscaler and is_ours(entry.scaler) for entry in host.upscalers())


def _usable(given: dict[str, Any]) -> dict[str, Any]:
    """What can be used of the values, by the names of their fields; what cannot is told, and is as by default.

    Upscalers themselves in place of their names.
    """
    values = {}
    for field in fields_of(PLACE):
        try:
            value = field.checked(given.get(field.name), PLACE)
            values[field.name] = choices.find(value) if field.kind == "model" else value
        except TrueScaleError as error:
            default = None if field.kind == "model" else field.default_at(PLACE)
            values[field.name] = default
            used = f"Hires Fix runs without {field.label}" if default is None else f"{field.label} is {default}"
            host.warn(f"{used}: {error}")
    return values


def hand_over() -> None:
    """Between upscaling and the second pass: the device's memory is Stable Diffusion's again."""
    service().give_back()

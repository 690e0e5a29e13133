"""From checked values to a size and a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import RequestError
from ..models.entry import ModelEntry
from ..models.ldsr.settings import LdsrSettings
from ..planning.sizing import ByDimensions, ByLongestSide, ByMegapixels, ByScale, SizeRequest
from ..request import Model, Precision, UpscaleRequest
from .field import BY_SETTINGS, GIGABYTE, IMG2IMG_SIZE, WAYS, Place
from .table import fields_of

__all__ = ["as_request", "in_sequence", "size_of", "ways_given"]


def ways_given(place: Place, values: Mapping[str, Any]) -> str | None:
    """The way in which a size is asked for where no field says it; None where none is. Raises RequestError."""
    keys = {one.name: one.at[place].key for one in fields_of(place)}
    given = {
        way: " and ".join(keys[name] for name in names)
        for way, names in WAYS.items()
        if any(values.get(name) is not None for name in names)
    }
    if len(given) > 1:
        raise RequestError("the size is given in several ways", ", ".join(given.values()), "choose one of them")
    return next(iter(given), None)


def size_of(
    place: Place, values: Mapping[str, Any], way: str | None, own: tuple[float, float] | None = None
) -> SizeRequest | None:
    """What ``planning.sizing`` is asked for. own: width and height of img2img. Raises RequestError, SizeError."""
    if way is None:
        return None
    if way == "Scale by":
        return ByScale(values["scale"])
    if way == "Longest side":
        return ByLongestSide(values["longest_side"])
    if way == "Megapixels":
        return ByMegapixels(values["megapixels"])
    if way == IMG2IMG_SIZE and own is not None:
        return ByDimensions(int(own[0]), int(own[1]), "stretch")
    fit = values.get("fit") or ("stretch" if place == "sd" else "inside")
    if place == "command line":
        return ByDimensions(values["width"], values["height"], fit)
    return ByDimensions(values["width"] or None, values["height"] or None, fit)  # 0 in a panel: as the other needs it


def in_sequence(models: Sequence[Model]) -> Model:
    """All of them, one after the other. Raises RequestError: of several, each is a model's file, or such a sequence."""
    if len(models) == 1:
        return models[0]
    parts = [part for model in models for part in (model if isinstance(model, tuple) else (model,))]
    files = [part for part in parts if isinstance(part, ModelEntry)]
    if len(files) < len(parts):
        other = next(part for part in parts if not isinstance(part, ModelEntry))
        raise RequestError(
            f"'{getattr(other, 'name', other)}' cannot be one of several",
            "only model files run one after the other",
            "choose it alone",
        )
    return tuple(files)


def _ldsr_of(values: Mapping[str, Any], webui_steps: int | None) -> LdsrSettings:
    """webui_steps: those of the WebUI's own setting. Raises RequestError."""
    mode: Any = values.get("ldsr_mode") or "auto"
    steps = int(values.get("ldsr_steps") or 0) or None
    if mode == "webui" and steps is None:
        steps = webui_steps
    sampler: Any = values.get("ldsr_sampler") or "auto"
    eta = values.get("ldsr_eta", -1.0)
    return LdsrSettings(
        mode=mode,
        steps=steps,
        sampler=None if sampler == "auto" else sampler,
        eta=None if eta is None or eta < 0 else eta,
        seed=int(values.get("ldsr_seed") or 0),
    )


def as_request(
    values: Mapping[str, Any],
    size: SizeRequest | None,
    find: Callable[[Any], Model | None],
    precision: Precision = "auto",
    memory: int | None = None,
    **more: Any,
) -> UpscaleRequest:
    """The request of checked values. find: gives the model of a name, None for none.

    precision, memory (bytes): where the values leave them open. more: further values of the request; ``ldsr_steps``:
    those of the WebUI's own setting.

    Raises RequestError, and what ``find`` does.
    """
    first, second = find(values.get("recipe")), find(values.get("upscaler_2"))
    if first is None:
        first = find(values["upscaler_1"])
    if first is None:
        raise RequestError("no upscaler is chosen", "Upscaler 1 is 'None'", "choose one")
    then = find(values.get("followed_by"))
    tile, asked, limit = values.get("tile") or "auto", values.get("precision"), values.get("memory")
    request: dict[str, Any] = {
        "model": first if then is None else in_sequence([first, then]),
        "model2": second,
        "visibility": values["visibility"] if second is not None else 0.0,
        "size": size,
        "precision": precision if asked in (None, BY_SETTINGS) else asked,
        "tile": tile,
        "memory": round(limit * GIGABYTE) if limit else memory,
        "alpha": values.get("alpha", "network"),
        "clean_up": find(values.get("clean_up")),
        "verify": values.get("verify", False),
        "tta": values.get("tta", False),
        "wrap": values.get("wrap", "none"),
        "depth": values.get("depth", "auto"),
        "ldsr": _ldsr_of(values, more.pop("ldsr_steps", None)),
    }
    return UpscaleRequest(**{**request, **more})

"""The hints of a network that Mikubill's ControlNet has hooked, cut for what each call of the network sees.

The extension keeps for each unit a ``ControlParams``: its picture at the canvas's size (``hint_cond``, in Hires Fix
``hr_hint_cond``; the network's wrapper chooses by height), a mask of where it works, and what it has made of them
(``used_...``, cleared by setting ``hint_cond``). The wrapper looks at them in each call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from ....diffusion.canvas_conditioning import Part
from ....diffusion.hints import cut_hint, cut_rows, fitted, shrunk_to_tile
from ....geometry import Size
from .refusing import not_possible

__all__ = ["SlicedHints"]

_CUT = ("ControlNet", "ControlNetUnion", "ControlLoRA", "T2I_Adapter")
"""Kinds whose hint says what lies where."""

_WHOLE = ("IPAdapter", "ReVision", "T2I_StyleAdapter")
"""Kinds whose hint says what it looks like, or who it is: of no place, and the same for each tile."""

_REFERENCE = "AttentionInjection"
"""Of any size: the network sees it beside the picture, whole, with each tile."""

_WITH_LATENT = ("colorfix", "inpaint_only")
"""In names of preprocessors whose hint the wrapper needs as a latent too."""

_INPAINTING = 9
"""Channels that an inpainting checkpoint takes."""


class SlicedHints:
    """Within ``with``, the hints are those that ``sees`` was told last; afterwards those of the canvas.

    network: the extension's, hooked. p: whose autoencoder encodes. canvas: px of the latent. tile_area: of a tile, px
    of the latent.

    Raises TrueScaleError for a unit that cannot be cut.
    """

    def __init__(self, network: Any, p: Any, canvas: Size, tile_area: int) -> None:
        def encode(hint: Tensor) -> Tensor:
            return network.call_vae_using_process(p, hint)

        inpaints = getattr(network.model, "in_channels", 0) == _INPAINTING
        params = list(network.control_params or ())
        for param in params:
            _check(param, inpaints)
        self._units: list[_Cut | _Reference] = [
            _Cut(param, canvas, encode) if _kind(param) in _CUT else _Reference(param, tile_area)
            for param in params
            if _kind(param) not in _WHOLE
        ]
        self._one_by_one = any(_kind(param) == "T2I_Adapter" and param.cfg_injection for param in params)

    def at_once(self, batch: int) -> int:
        """Tiles that can go through the network together: an adapter that works on the prompt alone is repeated by the
        extension for all rows, whatever it was given."""
        return 1 if self._one_by_one else batch

    def __enter__(self) -> SlicedHints:
        return self

    def __exit__(self, *error: object) -> None:
        for unit in self._units:
            unit.restore()

    def sees(self, rows: int, parts: Sequence[Part]) -> None:
        """rows: of the network's batch for each part."""
        for unit in self._units:
            unit.sees(rows, parts)


class _Unit:
    """A ControlParams, what its hint was, and the one that the wrapper takes."""

    def __init__(self, param: Any) -> None:
        self._param = param
        self._before = param.hint_cond, param.hr_hint_cond, param.effective_region_mask
        self._high = isinstance(param.hr_hint_cond, Tensor)
        self._whole = param.hr_hint_cond if self._high else param.hint_cond

    def restore(self) -> None:
        self._param.hint_cond, self._param.hr_hint_cond, self._param.effective_region_mask = self._before
        self._forget()

    def _put(self, hint: Tensor) -> None:
        """Both, so that a tile of the first pass's height does not get the first pass's."""
        self._param.hint_cond = hint
        if self._high:
            self._param.hr_hint_cond = hint
        self._forget()

    def _forget(self) -> None:
        """An adapter keeps what it has made of its first hint."""
        if _kind(self._param) == "T2I_Adapter":
            self._param.control_model.reset()


class _Cut(_Unit):
    def __init__(self, param: Any, canvas: Size, encode: Callable[[Tensor], Tensor]) -> None:
        super().__init__(param)
        mask, name = param.effective_region_mask, param.preprocessor["name"]
        self._whole = fitted(self._whole, canvas)
        self._mask = None if mask is None else fitted(mask, canvas)
        self._latent = encode(self._whole) if any(each in name for each in _WITH_LATENT) else None

    def sees(self, rows: int, parts: Sequence[Part]) -> None:
        hint = cut_hint(self._whole, rows, parts)
        self._put(hint)
        if self._latent is not None:
            # With it, or the wrapper takes the latent for that of another hint.
            self._param.used_hint_cond = hint
            self._param.used_hint_cond_latent = cut_rows(self._latent, rows, parts)
        if self._mask is not None:
            self._param.effective_region_mask = cut_hint(self._mask, rows, parts)


class _Reference(_Unit):
    def __init__(self, param: Any, tile_area: int) -> None:
        super().__init__(param)
        self._whole = shrunk_to_tile(self._whole, tile_area)
        self._rows = 0

    def sees(self, rows: int, parts: Sequence[Part]) -> None:
        if self._rows != rows * len(parts):  # or its latent is that of another batch
            self._rows = rows * len(parts)
            self._put(self._whole)


def _kind(param: Any) -> str:
    return str(getattr(param.control_model_type, "name", param.control_model_type))


def _check(param: Any, inpaints: bool) -> None:
    """Raises TrueScaleError for what cannot be cut, or is not known."""
    kind, hint = _kind(param), param.hint_cond
    if kind == "IPAdapter" and param.effective_region_mask is not None:
        raise not_possible("an IP-Adapter's region mask is for the picture as a whole")
    if kind in _WHOLE:
        return
    if kind not in (*_CUT, _REFERENCE) or "SparseCtrl" in type(param.control_model).__name__:
        raise not_possible(f"tiles are not known to work with a model of the kind {kind}")
    if not isinstance(hint, Tensor) or hint.ndim != 4 or hint.shape[0] != 1:
        raise not_possible("a unit's hint is not one picture")
    if inpaints and hint.shape[1] == 4:
        raise not_possible("its inpainting and that of an inpainting checkpoint go together on the whole only")

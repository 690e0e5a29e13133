"""The controls of a network of the Forge family, asked for each tile in place of the whole canvas.

There a patcher of the network holds its controls as a list: the first in ``controlnet_linked_list``, the next in its
``previous_controlnet``. Before each call of the network the host asks the first one (``get_control``), which asks the
others, for what is added inside of the network, and gives it to what stands around the network. Each makes its hint as
large as the latent it is asked for (``cond_hint`` out of ``cond_hint_original``), and keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from ....diffusion.canvas_conditioning import Part
from ....diffusion.hints import cut_hint, fitted, middle_fitted
from ....geometry import Size
from .refusing import not_possible, not_set_up

__all__ = ["ControlChain", "controls_of"]

_KNOWN = ("ControlNet", "T2IAdapter")
"""Classes of controls whose hint says what lies where; a Control-LoRA is a ControlNet."""

_OTHERWISE_TOLD = ("control", "control_model")
"""Of what the network is told: what came of the whole canvas, and who was asked."""

_MODIFIERS = "controlnet_conditioning_modifiers"


def controls_of(unet: Any) -> list[Any]:
    """unet: a patcher. The first one that is asked comes first."""
    found, control = [], getattr(unet, "controlnet_linked_list", None)
    while control is not None:
        found.append(control)
        control = control.previous_controlnet
    return found


class ControlChain:
    """Of one sampling. canvas: px of the latent. expected: how many controls there must be when it begins."""

    def __init__(self, canvas: Size, expected: int = 0) -> None:
        self._canvas, self._expected = canvas, expected
        self._put_off: _PutOff | None = None
        self._hints: list[_CutHint] = []

    def look(self, unet: Any) -> None:
        """Raises TrueScaleError for controls that are there already, and cannot be cut, or are not known."""
        self._cut(unet)

    def count(self, unet: Any) -> None:
        """Raises TrueScaleError where there are too few when the sampling begins."""
        if len(controls_of(unet)) < self._expected:
            raise not_set_up()
        self._expected = 0  # a refiner's patcher, which comes later, has none

    def take(self, unet: Any) -> None:
        """From a patcher that is ours: from now on it asks for nothing of the whole canvas. Raises as ``look`` and
        ``count``."""
        self.give_back()
        self.count(unet)
        hints = self._cut(unet)
        if hints:
            self._hints, self._put_off = hints, _PutOff(hints[0].control)
            unet.controlnet_linked_list = self._put_off

    def _cut(self, unet: Any) -> list[_CutHint]:
        controls = controls_of(unet)
        if controls:
            _check_options(unet.model_options)
        return [_CutHint(control, self._canvas) for control in controls]

    def give_back(self) -> None:
        """The controls are those of the canvas again."""
        for hint in self._hints:
            hint.restore()
        self._hints, self._put_off = [], None

    def sees(self, rows: int, parts: Sequence[Part]) -> None:
        """What the next call of the network will see. rows: of the network's batch for each part."""
        for hint in self._hints:
            hint.sees(rows, parts)

    def told(self, latents: Tensor, level: Tensor, told: Any, prompts: int) -> Any:
        """``told`` and what the controls add, now asked for these latents. prompts: in the batch, of each tile.

        level: ``(B,)``.
        """
        if self._put_off is None or not self._put_off.asked:
            return told
        first = self._put_off.previous_controlnet
        plain = {key: value for key, value in told.items() if key not in _OTHERWISE_TOLD}
        options = plain.get("transformer_options", {})
        for hint in self._hints:
            hint.control.transformer_options = options
        more = (options if isinstance(one, Mapping) else one for one in self._put_off.more)
        control = first.get_control(latents, level, dict(plain), prompts, *more)
        who = {"control_model": first} if "control_model" in told else {}
        return {**plain, "control": control, **who}

    def answered(self) -> None:
        """The call that the host has asked for is over."""
        if self._put_off is not None:
            self._put_off.asked = False


class _PutOff:
    """In front of the controls: it answers nothing where the host asks for the whole canvas, and the rest as they do.

    asked: whether it was, for the call of the network that comes. more: with what, beside the usual.
    """

    def __init__(self, first: Any) -> None:
        self.previous_controlnet = first
        self.transformer_options: Any = {}
        self.asked, self.more = False, ()

    def __deepcopy__(self, memory: Any) -> _PutOff:
        # Extensions copy what a prompt comes with, to change its tensors; the networks are not meant.
        return self

    def get_control(self, latent: Any, level: Any, told: Any, prompts: int, *more: Any) -> None:
        self.asked, self.more = True, more

    def get_models(self) -> Any:
        return self.previous_controlnet.get_models()

    def inference_memory_requirements(self, dtype: Any) -> Any:
        return self.previous_controlnet.inference_memory_requirements(dtype)

    def pre_run(self, *given: Any) -> None:
        """The host goes through the list."""

    def cleanup(self) -> None:
        """The same."""


class _CutHint:
    """Of one control: its hint, and the mask of where it works."""

    def __init__(self, control: Any, canvas: Size) -> None:
        kinds = {kind.__name__ for kind in type(control).__mro__}
        hint, mask = getattr(control, "cond_hint_original", None), getattr(control, "advanced_mask_weighting", None)
        if kinds.isdisjoint(_KNOWN) or getattr(control, "vae", None) is not None:
            raise not_possible(f"tiles are not known to work with a control of the kind {type(control).__name__}")
        if not isinstance(hint, Tensor) or hint.ndim != 4:
            raise not_possible("a unit's hint is no picture")
        self.control = control
        self._before = hint, mask
        self._hint = middle_fitted(hint, canvas)
        self._mask = fitted(mask, canvas) if isinstance(mask, Tensor) else None

    def sees(self, rows: int, parts: Sequence[Part]) -> None:
        for whole in (self._hint, self._mask):
            if whole is not None and rows % len(whole):
                raise not_possible(f"{len(whole)} hints do not fit a batch of {rows}")
        mask = self._before[1] if self._mask is None else cut_hint(self._mask, rows, parts)
        self._put(cut_hint(self._hint, rows, parts), mask)

    def restore(self) -> None:
        self._put(*self._before)

    def _put(self, hint: Tensor, mask: Any) -> None:
        """An adapter keeps what it has made of a hint only as long as that."""
        self.control.cond_hint_original, self.control.cond_hint = hint, None
        if hasattr(self.control, "advanced_mask_weighting"):
            self.control.advanced_mask_weighting = mask


def _check_options(model_options: Mapping[str, Any]) -> None:
    """Raises TrueScaleError for what changes controls by what it knows of the whole."""
    options = model_options.get("transformer_options", {})
    if options.get(_MODIFIERS):
        raise not_possible("another extension changes what its networks are told (as InstantID does)")

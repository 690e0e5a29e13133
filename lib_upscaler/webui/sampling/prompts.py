"""Prompts for parts of one canvas, made by the WebUI as it makes its own: styles, attention, what changes by the step.

The host makes of the canvas's prompt what its network is told, in ``p.setup_conds``, and does so again for a refiner.
There each further prompt is put in its place for a moment. At each step they are read as the host reads its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...diffusion.canvas_conditioning import Part
from ...diffusion.canvas_prompts import PartPrompts
from ...diffusion.tile_prompts import tags_of
from ...errors import RequestError, TrueScaleError
from .. import host
from .checkpoint import has_cross_attention, is_known

__all__ = ["HostPrompts", "styled", "why_not_on_canvas"]

INSTEAD = "choose the engine Tiles"
_COMPOSED = "AND, and a weight at a prompt's end, are for the picture as a whole"


def styled(p: Any, text: str) -> str:
    """With the styles that are chosen in ``p``, as the host adds them."""
    styles = getattr(host.module("shared"), "prompt_styles", None)
    return text if styles is None else styles.apply_styles_to_prompt(text, getattr(p, "styles", None) or [])


def why_not_on_canvas(own: str, texts: Sequence[str]) -> str:
    """Why parts of one canvas cannot have these prompts, in words; "" where they can. own: the canvas's."""
    if not is_known():
        return "what the prompt of this kind of checkpoint is made into is not known here"
    if any(_is_composed(text) for text in (own, *texts)):
        return _COMPOSED
    if any(set(tags_of(text)) - set(tags_of(own)) for text in texts):
        return "a LoRA works on the picture as a whole: its tag in the prompt of a tile would have no effect"
    return ""


def _is_composed(text: str) -> bool:
    """Whether the host takes it for several prompts, or for one with a weight."""
    listed = getattr(host.module("prompt_parser"), "get_multicond_prompt_list", None)
    if listed is None:
        return " AND " in text
    (parts,), *_ = listed([text])
    return len(parts) > 1 or parts[0][1] != 1.0


class HostPrompts:
    """The prompts of one sampling. For ``in_tiles``."""

    def __init__(self, p: Any, texts: Sequence[str], which: Callable[[Part], int | None]) -> None:
        """p: of the host, not yet run; its ``setup_conds`` is replaced, on this object alone. texts: without styles.
        which: number of a part's prompt; None: that of ``p``."""
        self._p, self._texts = p, [_without_tags(styled(p, text)) for text in texts]
        self._plain = p.setup_conds
        p.setup_conds = self._setup_conds
        self._made: list[Any] = []
        self._read: dict[tuple[int, int], Mapping[str, Any]] = {}
        self._rows = 0
        self.parts = PartPrompts(which)

    def _setup_conds(self) -> None:
        p = self._p
        self._made, self._read = [], {}
        names = ("prompts", "cached_c")
        kept = {name: getattr(p, name) for name in names if hasattr(p, name)}
        try:
            for text in self._texts:
                # The host's cache is for its own prompt, and shared by all generations.
                vars(p).update({name: value for name, value in zip(names, ([text], [None, None])) if name in kept})
                self._plain()
                self._made.append(p.c)
        finally:
            vars(p).update(kept)
        self._plain()  # last, so that everything is as it leaves it
        if any(len(made.batch[0]) > 1 or made.batch[0][0].weight != 1.0 for made in (*self._made, p.c)):
            what = "the prompts of the tiles cannot be told on one canvas"
            raise RequestError(what, f"{_COMPOSED}, also of a style", INSTEAD)
        if not has_cross_attention():
            self._check_lengths()

    def _check_lengths(self) -> None:
        """Raises RequestError where prompts are of several lengths, and cannot go into one call."""
        lengths = {_tokens(part.cond) for made in (*self._made, self._p.c) for part in made.batch[0][0].schedules}
        lengths |= {_tokens(part.cond) for part in (self._p.uc or [[]])[0]}
        if len(lengths) > 1:
            what = "the prompts of the tiles are of different lengths"
            why = f"this kind of checkpoint takes prompts of one length at a time, and these have {_listed(lengths)}"
            raise RequestError(what, f"{why} tokens", f"make them alike, or {INSTEAD}")

    # -- while it samples --------------------------------------------------------------------------------------------

    def begins(self) -> None:
        """A call of the denoiser that puts prompt and negative prompt together."""
        self._rows = 0

    def next_call(self, rows: int, step: int, kinds: Sequence[int] | None) -> None:
        """The network is called with so many rows. kinds: 0 for prompts, 1 for negative ones, each of as many rows;
        None: the first row since ``begins`` is the prompt, the others are negative ones."""
        if kinds is None:
            marks = [self._rows + number == 0 for number in range(rows)]
            self._rows += rows
        else:
            marks = [kind == 0 for kind in kinds for _ in range(rows // len(kinds))]
        self.parts.now(marks, lambda number: self._at(number, step))

    def _at(self, number: int, step: int) -> Mapping[str, Any]:
        if (number, step) not in self._read:
            if not self._made:
                raise TrueScaleError("the tiles have no prompts", "the WebUI makes its prompts in another way", INSTEAD)
            _, made = host.module("prompt_parser").reconstruct_multicond_batch(self._made[number], step)
            is_dict = isinstance(made, Mapping)
            text, vector = (made.get("crossattn"), made.get("vector")) if is_dict else (made, None)
            self._read[number, step] = {k: v for k, v in (("text", text), ("vector", vector)) if v is not None}
        return self._read[number, step]

    def check_reached(self) -> None:
        """At the end, where there were several tiles. Raises TrueScaleError where no prompt could be exchanged."""
        if not self.parts.reached:
            what = "the picture was sampled without the prompts of its tiles"
            raise TrueScaleError(what, "the network is told of prompts in another way", INSTEAD)


def _without_tags(text: str) -> str:
    for tag in tags_of(text):
        text = text.replace(tag, "")
    return text


def _tokens(cond: Any) -> int:
    return int((cond["crossattn"] if isinstance(cond, Mapping) else cond).shape[0])


def _listed(lengths: set[int]) -> str:
    return ", ".join(map(str, sorted(lengths)))

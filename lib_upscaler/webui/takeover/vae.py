"""The VAE of the host's checkpoints in bands, where a picture does not fit through it as a whole.

The hook is a class put in the place of that of the encoder and of the decoder of this one checkpoint: its ``forward``
asks whether the call needs bands and else does what was done before. No other VAE, no class of the host and no weight
is touched, and taking the class back leaves nothing behind. What surrounds these two (quantising convolutions,
distributions, ``--medvram``'s moves, Forge's memory management) stays the host's.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from ...errors import Cancelled, TrueScaleError
from .. import host
from ..host import first_stage
from ..host.lives import PROCESS
from ..host.progress import HostProgress, is_stopped
from ..host.settings import VaeBands, settings
from . import results

if TYPE_CHECKING:
    from torch import Tensor

    from ...diffusion.vae import Coded, Forecast, Means, VaeTree
    from ...geometry import Size

__all__ = ["attach", "attach_current", "detach_all", "expected", "in_bands"]

_LARGE, _PREVIEW_SIDE = 192, 128
"""Latent px of the longer side of a canvas (1536 px of a picture) from which on live previews are decoded small; and
that of what is decoded: nobody sees more of it."""

_STOPPED_SIDE = 96
"""The like for a picture whose decoding was stopped."""

Direction = Literal["encode", "decode"]


class _Hooked:
    """The parts that have our class now; their own classes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.parts: weakref.WeakKeyDictionary[Any, type] = weakref.WeakKeyDictionary()


_INSIDE = threading.local()
"""``busy``: this thread is in a call of ours, in which the parts do what they did before."""


def attach(sd_model: Any) -> None:
    """Hook the VAE of a checkpoint, once. Never raises: a checkpoint must load."""
    try:
        module = first_stage.of_checkpoint(sd_model)
        if module is not None:
            _hook(module)
    except Exception as error:  # noqa: BLE001 - whatever a host's model is made of
        host.log.warning("TrueScale: this checkpoint's VAE runs without bands", exc_info=error)


def attach_current() -> None:
    """The like for those that are loaded already, as after Reload UI."""
    for module in first_stage.current():
        _hook(module)


def detach_all() -> None:
    """All of them are as they were."""
    hooked = PROCESS.of(_Hooked)
    with hooked.lock:
        for part, kind in list(hooked.parts.items()):
            if getattr(type(part), "_truescale_vae", False):
                part.__class__ = kind
        hooked.parts.clear()


def _hook(module: Any) -> None:
    hooked = PROCESS.of(_Hooked)
    reference = weakref.ref(module)
    with hooked.lock:
        for part, direction in ((module.encoder, "encode"), (module.decoder, "decode")):
            if part not in hooked.parts:
                hooked.parts[part] = type(part)
                part.__class__ = _hooking(type(part), direction)
            part.__dict__["_truescale_first_stage"] = reference


@cache
def _hooking(kind: Any, direction: Direction) -> type:
    """A class like ``kind``, whose calls go through ``_answer``."""

    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        plain = super(made, self).forward
        if named or len(arguments) != 1 or getattr(_INSIDE, "busy", False):
            return plain(*arguments, **named)
        _INSIDE.busy = True
        try:
            return _answer(self, direction, arguments[0], plain)
        finally:
            _INSIDE.busy = False

    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "_truescale_vae": True}
    made: Any = type(kind.__name__, (kind,), {**names, "forward": forward})
    return made


_ASKED = "truescale_vae_in_bands"
"""Attribute of a ``p`` that wants its pictures in bands, whatever the setting says."""


@contextmanager
def in_bands(p: Any) -> Iterator[None]:
    """Inside, what this generation encodes and decodes goes through the VAE in bands; a nested one is untouched."""
    setattr(p, _ASKED, True)
    try:
        yield
    finally:
        delattr(p, _ASKED)


def _wanted() -> VaeBands:
    """What the generation that this thread is in asks for, else the setting."""
    return "always" if getattr(first_stage.processing_under_way(), _ASKED, False) else settings().vae_bands


def expected(size: Size, batch: int, bands: bool) -> Forecast | None:
    """What decoding pictures of this size (px) will take; None where no checkpoint is loaded, or its VAE is not known.

    bands: whatever the setting says.
    """
    from ...diffusion.vae import Means, forecast

    for module in first_stage.current():
        wanted = "always" if bands else settings().vae_bands
        try:
            tree, like = _tree(module.decoder), next(module.parameters())
            device = getattr(host.module("devices"), "device", None) or like.device
            means = Means(device, like.dtype, settings().memory, tables=like.device.type != "cuda")
            whole = forecast(tree, size, "decode", "whole", means, batch)
            if wanted == "off" or (wanted != "always" and whole.bytes <= whole.memory):
                return whole
            found = forecast(tree, size, "decode", "auto", means, batch)
            return forecast(tree, size, "decode", "exact", means, batch) if found.schedule is None else found
        except Exception:  # noqa: BLE001 - a VAE of another kind, or no memory for any way: nothing is said of it
            host.log.debug("TrueScale: what the VAE takes cannot be told", exc_info=True)
    return None


# -- one call ----------------------------------------------------------------------------------------------------------


def _answer(part: Any, direction: Direction, x: Tensor, plain: Callable[[Tensor], Tensor]) -> Tensor:
    """What the part makes of ``x``."""
    wanted = _wanted()
    if wanted == "off" or x.dim() != 4:
        return plain(x)
    if direction == "decode" and max(x.shape[2:]) > _LARGE and first_stage.is_preview():
        return plain(_smaller(x, _PREVIEW_SIDE))
    try:
        tree = _tree(part)
        plan = _plan(tree, direction, x, always=wanted == "always")
    except TrueScaleError as error:  # not one that is known, or not enough memory for any way of ours
        host.log.info("TrueScale: %s", error)
        return plain(x)
    except Exception:  # noqa: BLE001 - a device of a kind that tells no memory, say: the generation goes on as it did
        host.log.warning("TrueScale: whether the VAE needs bands could not be told", exc_info=True)
        return plain(x)
    if plan is None:
        return _whole_or_bands(tree, direction, x, plain)
    return _in_bands(tree, direction, x, plan, plain)


def _tree(part: Any) -> VaeTree:
    """Of encoder and decoder without what surrounds them. Raises UnsupportedModelError."""
    from torch import nn

    from ...diffusion.vae import recognise

    whole, bare = part.__dict__["_truescale_first_stage"](), nn.Module()
    if whole is None:
        raise TrueScaleError("this VAE is about to be unloaded")
    bare.encoder, bare.decoder = whole.encoder, whole.decoder
    return recognise(bare)


def _plan(tree: VaeTree, direction: Direction, x: Tensor, always: bool) -> Forecast | None:
    """None where it runs as a whole. Raises MemoryLimitError."""
    from ...diffusion.vae import forecast
    from ...geometry import Size

    size = Size(x.shape[3], x.shape[2])
    size = size.times(tree.factor) if direction == "decode" else size
    means, batch = _means(x), x.shape[0]
    if not always:
        whole = forecast(tree, size, direction, "whole", means, batch)
        if whole.bytes <= whole.memory:
            return None
    found = forecast(tree, size, direction, "auto", means, batch)
    return forecast(tree, size, direction, "exact", means, batch) if found.schedule is None else found


def _means(x: Tensor) -> Means:
    from ...diffusion.vae import Means

    # On CUDA the host's attention needs no table of all pairs, and where it does all the same, that is seen in time.
    return Means(x.device, x.dtype, settings().memory, tables=x.device.type != "cuda")


def _whole_or_bands(tree: VaeTree, direction: Direction, x: Tensor, plain: Callable[[Tensor], Tensor]) -> Tensor:
    """Whole; in bands where memory runs out all the same."""
    from ...running.limits import free_cache, is_out_of_memory

    try:
        return plain(x)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    free_cache(x.device)
    plan = _plan(tree, direction, x, always=True)
    assert plan is not None  # always
    return _in_bands(tree, direction, x, plan, plain)


def _in_bands(
    tree: VaeTree, direction: Direction, x: Tensor, plan: Forecast, plain: Callable[[Tensor], Tensor]
) -> Tensor:
    from ...diffusion.vae import decode, encode

    run = decode if direction == "decode" else encode
    try:
        coded = run(tree, x, means=_means(x), plan=plan, progress=_Progress())
    except Cancelled:
        host.warn("The VAE was stopped: the picture is decoded small and enlarged, without its details")
        return _small(tree, direction, x, plain)
    except TrueScaleError as error:
        host.warn(f"The VAE runs as a whole, since in bands it did not: {error}")
        return plain(x)
    assert coded.tensor is not None  # no sink
    _tell(coded)
    return coded.tensor.to(x.device, tree.dtype)


class _Progress(HostProgress):
    """Words in the host's bar. A job that was stopped before still gets its picture; a stop from now on is heard."""

    def __init__(self) -> None:
        super().__init__(bar=False, label="VAE")
        self._was_stopped = is_stopped()

    def cancelled(self) -> bool:
        return is_stopped() and not self._was_stopped


def _small(tree: VaeTree, direction: Direction, x: Tensor, plain: Callable[[Tensor], Tensor]) -> Tensor:
    """The result of a small copy, enlarged."""
    from torch.nn import functional

    factor = tree.factor if direction == "decode" else 1 / tree.factor
    side = _STOPPED_SIDE if direction == "decode" else _STOPPED_SIDE * tree.factor
    small = plain(_smaller(x, side))
    size = [int(length * factor) for length in x.shape[2:]]
    return functional.interpolate(small.float(), size, mode="bilinear").to(small.dtype)


def _smaller(x: Tensor, side: int) -> Tensor:
    """The mean over areas, with a longer side of at most ``side`` px."""
    from torch.nn import functional

    share = min(1.0, side / max(x.shape[2:]))
    size = [max(8, round(length * share)) for length in x.shape[2:]]
    return functional.interpolate(x.float(), size, mode="area").to(x.dtype)


def _tell(coded: Coded) -> None:
    """How it was done, below the picture."""
    results.comment_vae(first_stage.processing_under_way(), coded.strategy, coded.bands, coded.warnings)

"""A loaded network: its copies per device and precision, and one forward pass over a region of a picture.

Two things let a pass over a large region take little memory and still give the numbers of the plain one: blocks with
large insides (the dense blocks of RRDB networks) run in bands of rows with their small context, and so does the head,
the part at the end that works at the output's resolution. Which modules those are is found in the module tree
(``analysis``), not by name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..geometry import Size
from .analysis import leaf_work
from .bands import banded_forward, bands_of
from .card import ModelCard
from .facts import BandPlan, NetworkFacts
from .faster import Chain, Checked, Faster, Parts, faster_for, is_possible, parts_of, sound_parts
from .layouts import best_layout, converted

__all__ = ["KnownModel", "NonFiniteOutput", "Sink", "UpscaleModel"]

Sink = Callable[[Tensor, int], None]
"""Takes finished output rows, ``(B, C, h, W * scale)`` in [0, 1], and the row at which they begin."""


class NonFiniteOutput(Exception):  # noqa: N818 - the engine answers it with another precision; it never reaches a user
    """The network gave infinities or NaN for this region."""


class _HeadDone(Exception):  # noqa: N818 - unwinds the network's forward once the head has run in bands
    pass


class KnownModel:
    """What can be said of a network without having it."""

    def __init__(self, card: ModelCard, facts: NetworkFacts) -> None:
        self.card = card
        self.facts = facts

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def scale(self) -> int:
        return self.card.scale

    @property
    def supports(self) -> frozenset[torch.dtype]:
        """Precisions that spandrel says the architecture works in."""
        kinds = {torch.float32}
        kinds.update(torch.float16 for name in self.card.precision if name == "float16")
        kinds.update(torch.bfloat16 for name in self.card.precision if name == "bfloat16")
        return frozenset(kinds)


class UpscaleModel(KnownModel):
    """A network that can run on any device in any precision it supports.

    The float32 weights stay on the CPU; copies for other devices and precisions are made when first used and dropped
    by ``release``. Not to be run by two threads at once: the engine holds one lock per device.
    """

    def __init__(self, descriptor: Any, card: ModelCard, facts: NetworkFacts) -> None:
        """descriptor: spandrel's image model descriptor, float32 on the CPU."""
        super().__init__(card, facts)
        self.load_seconds = 0.0
        self._sound: frozenset[str] | None = None
        self._base = _Copy(descriptor, facts, self._sound_parts)
        self._copies: dict[tuple[str, torch.dtype], _Copy] = {}
        self._lock = threading.Lock()

    @property
    def weights_bytes(self) -> int:
        """Memory of all copies of the weights."""
        with self._lock:
            return self._base.weights_bytes + sum(c.weights_bytes for c in self._copies.values())

    def copy_for(self, device: torch.device, dtype: torch.dtype) -> _Copy:
        """The copy on that device in that precision, made if need be."""
        if device.type == "cpu" and dtype == torch.float32:
            return self._base
        key = (str(device), dtype)
        with self._lock:
            if key not in self._copies:
                # Inference tensors cannot be moved between modes; hosts may call us inside inference mode.
                with torch.inference_mode(False), torch.no_grad():
                    descriptor = converted(self._base.descriptor, device, dtype)
                    self._copies[key] = _Copy(descriptor, self.facts, self._sound_parts)
            return self._copies[key]

    def _sound_parts(self) -> frozenset[str]:
        """Names of the parts that may run otherwise: found out once, in float32 on the CPU."""
        if self._sound is None:
            self._sound = sound_parts(self._base.descriptor)
        return self._sound

    def release(self) -> None:
        """Drop every copy but the float32 one on the CPU."""
        with self._lock:
            self._copies.clear()

    def reference(self, image: Tensor, check: Callable[[], None]) -> Tensor:
        """The untiled float32 network on the CPU, with nothing of ours in between: what "true" means.

        image: ``(B, C, H, W)`` float32 in [0, 1]. check: called often; what it raises ends the work.
        Returns ``(B, C, H * scale, W * scale)`` in [0, 1].
        """
        base = self._base
        with torch.inference_mode(), _fixed_random_numbers(base.device), base.watched(lambda _: check()):
            # Some networks write into their input, and some take one picture at a time.
            return torch.cat([base.descriptor(one.clone()) for one in image.split(1)])


class _Copy:
    """The network on one device in one precision."""

    def __init__(self, descriptor: Any, facts: NetworkFacts, sound_parts: Callable[[], frozenset[str]]) -> None:
        """sound_parts: names of the parts that may run otherwise."""
        self.descriptor = descriptor
        self._facts, self._sound_parts = facts, sound_parts
        self._faster: Faster | None = None
        self._is_prepared = False
        weights = next(iter(descriptor.model.parameters()))
        self.device, self.dtype = weights.device, weights.dtype
        self.layout = best_layout(descriptor, facts, self.device, self.dtype)
        self._own_bytes = sum(
            t.numel() * t.element_size() for t in [*descriptor.model.parameters(), *descriptor.model.buffers()]
        )

    @property
    def weights_bytes(self) -> int:
        return self._own_bytes + (self._faster.bytes if self._faster is not None else 0)

    def faster(self) -> Faster | None:
        """What of it runs otherwise than its modules say; found out with the first call."""
        if not self._is_prepared:
            self._is_prepared = True
            with torch.inference_mode(False), torch.no_grad():
                checked = Checked(self.device, self.dtype)
                self._faster = faster_for(self._parts(), self.device, self.dtype, checked)
        return self._faster

    def _parts(self) -> Parts:
        found = parts_of(self.descriptor.model)
        found = tuple(part for part in found if is_possible(part, self.device, self.dtype, self.layout))
        if not found or not self._sound_parts():
            return ()
        head = self.descriptor.model.get_submodule(self._facts.head[0]) if self._facts.head else None
        return tuple(
            part
            for part in found
            # One that the head begins in the middle of would be computed before the head is handed its input.
            if part.name in self._sound_parts() and not (isinstance(part, Chain) and head in part.modules[1:])
        )

    @contextmanager
    def watched(self, on_work: Callable[[float], None]) -> Iterator[None]:
        """Tell of the work done after each module, and look at the output before it is clamped: that would turn an
        infinity into white.
        """

        def worked(module: nn.Module, _: Any, output: Any) -> None:
            on_work(leaf_work(module, output))

        def finite(_module: nn.Module, _: Any, output: Any) -> None:
            _require_finite(output[0] if isinstance(output, (tuple, list)) else output)

        model = self.descriptor.model
        with ExitStack() as stack:
            for module in model.modules():
                if not list(module.children()):
                    stack.callback(module.register_forward_hook(worked).remove)
            stack.callback(model.register_forward_hook(finite).remove)
            yield

    def run(self, image: Tensor, bands: BandPlan, sink: Sink, on_work: Callable[[float], None]) -> None:
        """One pass.

        image: ``(B, C, H, W)`` in [0, 1] on this copy's device; any size, padded by reflection where the network
            needs it.
        on_work: told of the work done after each module; may raise, for instance Cancelled.

        Raises NonFiniteOutput, and whatever torch raises when memory runs out.
        """
        descriptor = self.descriptor
        # A copy: some networks write into their input, which may be wanted again.
        image = torch.empty_like(image, dtype=self.dtype, memory_format=self.layout).copy_(image)
        size = Size(image.shape[-1], image.shape[-2])
        try:
            with torch.inference_mode(), self._as_wanted(bands, size, sink, on_work):
                output = descriptor(image)
        except _HeadDone:
            return
        sink(output[..., : size.height * descriptor.scale, : size.width * descriptor.scale], 0)

    @contextmanager
    def _as_wanted(self, bands: BandPlan, size: Size, sink: Sink, on_work: Callable[[float], None]) -> Iterator[None]:
        """All that is otherwise with the network for the time of one pass."""
        faster = self.faster()
        with ExitStack() as stack:
            stack.enter_context(_fixed_random_numbers(self.device))
            stack.enter_context(self.watched(on_work))
            if faster is not None:
                stack.enter_context(faster.in_place(on_work))
            stack.enter_context(self._in_bands(bands, size, sink, on_work))
            yield

    @contextmanager
    def _in_bands(self, bands: BandPlan, size: Size, sink: Sink, on_work: Callable[[float], None]) -> Iterator[None]:
        """Replace the forward of blocks and head for the time of one pass. on_work: also asked between two bands."""
        model = self.descriptor.model
        with ExitStack() as stack:
            if bands.block_rows is not None:
                for block in self._facts.blocks:
                    module = model.get_submodule(block.name)
                    module.forward = banded_forward(module, block.radius, bands.block_rows, lambda: on_work(0.0))
                    stack.callback(module.__dict__.pop, "forward", None)
            if bands.head_rows is not None and self._facts.head:
                modules = [model.get_submodule(name) for name in self._facts.head]
                plain = modules[0].forward
                modules[0].forward = self._head_forward(modules, plain, bands.head_rows, size, sink)
                stack.callback(modules[0].__dict__.pop, "forward", None)
            yield

    def _head_forward(
        self, modules: list[nn.Module], plain: Callable, rows: int, size: Size, sink: Sink
    ) -> Callable[[Tensor], Tensor]:
        """A forward for the head's first module that runs the whole head in bands, and then ends the pass."""
        scale = self.descriptor.scale * self._facts.head_divisor
        limit = size.times(self.descriptor.scale)

        def head(x: Tensor) -> Tensor:
            x = plain(x)
            for module in modules[1:]:
                x = module(x)
            return x

        def forward(x: Tensor) -> Tensor:
            finite: list[Tensor] = []
            # The input's last rows may be padding, made for the network's size requirements.
            for top, y in bands_of(x, rows, self._facts.head_radius, scale, head):
                if top >= limit.height:
                    break
                is_last = top + y.shape[2] >= limit.height
                y = y[:, :, : limit.height - top, : limit.width]
                if y.is_cuda:
                    finite.append(
                        torch.isfinite(y).all()
                    )  # asked once, at the end: each answer keeps the device waiting
                    if is_last and not bool(torch.stack(finite).all()):
                        raise NonFiniteOutput
                else:
                    _require_finite(y)
                sink(y.clamp(0, 1), top)
            raise _HeadDone

        return forward


@contextmanager
def _fixed_random_numbers(device: torch.device) -> Iterator[None]:
    """The same random numbers in every pass, and everybody else's undisturbed: AuraSR draws some when it runs."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    states = [generator.get_state() for generator in generators]
    for generator in generators:
        generator.manual_seed(0)  # torch.manual_seed would seed every device
    try:
        yield
    finally:
        for generator, state in zip(generators, states):
            generator.set_state(state)


def _require_finite(output: Any) -> None:
    # A sum is finite only if all its terms are, and needs no mask the size of the output; an overflow of the sum
    # itself is no proof, so it is asked again value by value.
    if (
        isinstance(output, Tensor)
        and not bool(torch.isfinite(output.sum(dtype=torch.float32)))
        and not bool(torch.isfinite(output).all())
    ):
        raise NonFiniteOutput

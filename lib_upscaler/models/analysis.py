"""What a network does to a picture, learned from dry runs on torch's ``meta`` device.

A dry run has shapes but no numbers: it costs milliseconds, needs no memory, and gives the same answer on every
machine. From it come the theoretical context radius, whether the context is global, the memory and the work per
input pixel, and the parts of the network that can run in bands of rows without changing a single number.
"""

from __future__ import annotations

import copy
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ..store import DiskCache
from .facts import LocalBlock, NetworkFacts, keep_facts, known_facts
from .windows import window_alignment

if TYPE_CHECKING:
    import spandrel

__all__ = ["analyse", "facts_of", "leaf_work"]

SMALL, LARGE = 128, 256
"""Sides in px of the two dry runs; what grows between them depends on the whole picture."""

MAX_BLOCK_RADIUS = 8
"""A block with more context than this is no block to run in bands: its bands would overlap too much."""

_WRAP_AROUND = {"DCTLSA"}
"""Architectures in which a window at the border reaches over to the opposite border, as its shifts have no mask."""

# Operations whose output at a pixel depends on that pixel of their inputs alone, or only rearrange.
_POINTWISE = {
    "add", "add_", "sub", "sub_", "rsub", "mul", "mul_", "div", "div_", "neg", "abs", "pow", "sqrt", "rsqrt", "exp",
    "relu", "relu_", "leaky_relu", "leaky_relu_", "prelu", "_prelu_kernel", "sigmoid", "sigmoid_", "tanh", "tanh_",
    "silu", "silu_", "mish", "mish_", "gelu", "elu", "elu_", "hardtanh", "hardtanh_", "hardsigmoid", "hardswish",
    "clamp", "clamp_", "clamp_min", "clamp_min_", "clamp_max", "maximum", "minimum", "where", "cat", "split",
    "split_with_sizes", "chunk", "clone", "_to_copy", "detach", "contiguous", "copy_", "lift_fresh",
    "empty", "empty_like", "zeros", "zeros_like", "ones", "ones_like", "new_zeros", "new_empty", "new_full", "full",
    "full_like", "arange", "scalar_tensor", "fill_", "zero_", "alias", "stack", "ne", "eq", "gt", "lt", "ge", "le",
}  # fmt: skip
_VIEWS = {
    "view", "_unsafe_view", "reshape", "permute", "transpose", "t", "unsqueeze", "squeeze", "expand", "slice", "select",
    "pixel_shuffle", "pixel_unshuffle", "narrow", "as_strided", "flatten", "unbind", "repeat",
}  # fmt: skip
_PADDING = {"reflection_pad2d", "replication_pad2d", "constant_pad_nd"}
# On meta, nearest upsampling arrives as _unsafe_index (plain indexing is called index).
_LOCAL_REACH_ONE = {
    "_unsafe_index",
    "upsample_nearest2d",
    "upsample_bilinear2d",
    "upsample_bicubic2d",
    "_upsample_nearest_exact2d",
}
_CHANNEL_ONLY = {"native_layer_norm", "native_batch_norm", "_native_batch_norm_legit_no_training", "linalg_vector_norm"}
_LOCAL = _POINTWISE | _VIEWS | _PADDING | _CHANNEL_ONLY
_REDUCTIONS = {"mean", "sum", "amax", "amin", "var", "var_mean", "std", "max", "min", "norm", "logsumexp"}


def leaf_work(module: nn.Module, output: Any) -> float:
    """Work of one call of a module without children, in multiply-accumulates, from its output's shape.

    Elementwise work counts 8 a value: an operation bound by memory takes about as long as 8 multiply-accumulates.
    """
    if not isinstance(output, Tensor):
        return 0.0
    values = output.numel()
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        return values * (module.weight.numel() / module.weight.shape[0] + 8.0)
    if isinstance(module, nn.Linear):
        return values * (module.in_features + 8.0)
    return values * 8.0


def analyse(descriptor: Any) -> NetworkFacts:
    """Facts about the network of a spandrel image model descriptor. Never raises for a network it cannot follow."""
    try:
        with torch.inference_mode(False), torch.no_grad():
            facts = _analyse(descriptor)
    except Exception:  # noqa: BLE001 - whatever a network does that was never run
        # Networks that look at numbers (sorting, .item(), numpy) cannot run without them: cautious defaults.
        facts = NetworkFacts()
    facts = replace(facts, alignment=window_alignment(descriptor.model, facts.alignment))
    if descriptor.tiling.name != "SUPPORTED" or descriptor.architecture.id in _WRAP_AROUND:
        return replace(facts, global_context=True, radius=None)
    return facts


def facts_of(sha256: str, descriptor: spandrel.ImageModelDescriptor, cache: DiskCache | None = None) -> NetworkFacts:
    """The analysis of a loaded network, from the disk where it was made before. sha256: of its file, in hex."""
    facts = known_facts(sha256, cache)
    if facts is None or not _are_of(facts, descriptor.model):
        facts = analyse(descriptor)
        keep_facts(sha256, facts, cache)
    return facts


def _are_of(facts: NetworkFacts, network: nn.Module) -> bool:
    """Whether the network has the modules that the facts name: what is on the disk may have been damaged."""
    names = {name for name, _ in network.named_modules()}
    return names.issuperset([*facts.head, *(block.name for block in facts.blocks)])


def _analyse(descriptor: Any) -> NetworkFacts:
    dry = _meta_twin(descriptor)
    channels = descriptor.input_channels
    small = _record(dry, channels, SMALL)
    large = _record(dry, channels, LARGE)
    is_global = _gathers_more(small.extents, large.extents)
    area = LARGE * LARGE
    facts = NetworkFacts(
        radius=None if is_global or large.unbounded else int(large.reach + 0.999),
        global_context=is_global,
        work_per_pixel=max(1.0, large.work / area),
        largest_work_per_pixel=large.largest_work / area,
        elements_per_pixel=large.peak / area,
        largest_elements_per_pixel=large.largest / area,
        dense_share=large.dense_work / max(1.0, large.conv_work + large.other_matrix_work),
        alignment=large.coarsest,
    )
    return _with_bands(facts, dry, large)


def _with_bands(facts: NetworkFacts, dry: Any, record: _Recorder) -> NetworkFacts:
    """Add what can run in bands: the blocks with large insides, and the head."""
    head, radius, divisor = record.head_chain()
    blocks = record.banded_blocks()
    if blocks:
        blocks += record.lone_convolutions(blocks, head)
    if not blocks and not head:
        return facts
    area = LARGE * LARGE
    outside = _record(dry, dry.input_channels, LARGE, skip=frozenset(b.name for b in blocks), stop=head[:1])
    return replace(
        facts,
        blocks=tuple(blocks),
        block_elements=max((record.inside[b.name] / record.sizes[b.name] for b in blocks), default=0.0),
        trunk_elements=outside.peak / area,
        trunk_largest_work=outside.largest_work / area,
        trunk_largest_elements=outside.largest / area,
        head=head,
        head_radius=radius,
        head_elements=record.peak_of(set(head)) * divisor * divisor / area if head else 0.0,
        head_divisor=divisor,
    )


def _meta_twin(descriptor: Any) -> Any:
    """A copy of the descriptor whose tensors have shapes but no memory."""
    memo: dict[int, Any] = {}
    for module in descriptor.model.modules():
        for tensor in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
            memo[id(tensor)] = _empty(tensor)
        for value in vars(module).values():
            if isinstance(value, Tensor):
                memo[id(value)] = _empty(value)
    twin = copy.deepcopy(descriptor, memo)
    twin.model.eval()
    return twin


def _empty(tensor: Tensor) -> Tensor:
    made = torch.empty_like(tensor, device="meta")
    return nn.Parameter(made, requires_grad=False) if isinstance(tensor, nn.Parameter) else made


def _record(dry: Any, channels: int, side: int, skip: frozenset[str] = frozenset(), stop: Any = ()) -> _Recorder:
    recorder = _Recorder(dry.model, side, skip, tuple(stop))
    image = torch.empty(1, channels, side, side, device="meta")
    with recorder.watching(), recorder:
        recorder.keep(image, of_picture=True)
        with suppress(_StopDryRun):
            # Without the inference mode that spandrel puts around it: some networks set their own weights when they
            # run, which meta tensors of two modes do not allow.
            call = getattr(type(dry).__call__, "__wrapped__", type(dry).__call__)
            recorder.output = call(dry, image)
    return recorder


def _gathers_more(small: dict[str, float], large: dict[str, float]) -> bool:
    """Whether some operation gathers over an extent that grows with the picture. Both: operation -> extent."""
    return any(extent > small.get(name, 0.0) for name, extent in large.items())


class _StopDryRun(Exception):  # noqa: N818 - it ends a dry run, it is no error
    pass


@dataclass
class _Call:
    """One call of a module in a dry run; ``first`` and ``last``: numbers of the operations within."""

    name: str
    source: _Shape = field(default_factory=lambda: _NO_TENSOR)
    result: _Shape = field(default_factory=lambda: _NO_TENSOR)
    first: int = 0
    last: int = 0
    live_before: int = 0
    peak: int = 0
    unbounded: bool = False
    reach: float = 0.0
    convolutions: int = 0


class _Recorder(TorchDispatchMode):
    """Watches one dry run: every operation with its shapes, every module call, every live tensor."""

    def __init__(self, model: nn.Module, side: int, skip: frozenset[str], stop: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.side, self.skip, self.stop = model, side, skip, stop
        self.output: Any = None
        self.calls: list[_Call] = []
        self.names: list[str] = []
        self.extents: dict[str, float] = {}
        self.inside: dict[str, float] = {}
        self.sizes: dict[str, int] = {}
        self.coarsest = 1
        self.of_picture: set[int] = set()
        self.live = self.peak = self.largest = 0
        self.work = self.largest_work = self.dense_work = self.conv_work = self.other_matrix_work = 0.0
        self.stack: list[_Call] = []
        self.root = _Call("")
        self.storages: Counter[int] = Counter()
        self.alive: dict[int, Any] = {}

    @property
    def operations(self) -> int:
        return len(self.names)

    @property
    def unbounded(self) -> bool:
        return self.root.unbounded

    @property
    def reach(self) -> float:
        return self.root.reach

    # -- module calls ------------------------------------------------------------------------------------------------

    def watching(self) -> ExitStack:
        """Hooks on every module, removed at the end."""
        stack = ExitStack()
        for name, module in self.model.named_modules():
            if not name:
                continue
            if name in self.skip:
                module.forward = lambda x: torch.empty_like(x)  # the block's insides are counted apart
                stack.callback(module.__dict__.pop, "forward", None)
            handles = (
                module.register_forward_pre_hook(self._entered(name), with_kwargs=True),
                module.register_forward_hook(self._left),
            )
            for handle in handles:
                stack.callback(handle.remove)
        return stack

    def _entered(self, name: str) -> Callable[[nn.Module, tuple, dict], None]:
        def hook(module: nn.Module, inputs: tuple, named: dict) -> None:
            if name in self.stop:
                raise _StopDryRun
            call = _Call(name, first=self.operations, live_before=self.live, peak=self.live)
            if len(inputs) == 1 and not named:
                call.source = _Shape.of(inputs[0])
            self.stack.append(call)
            self.calls.append(call)

        return hook

    def _left(self, module: nn.Module, inputs: tuple, output: Any) -> None:
        call = self.stack.pop()
        call.last = self.operations
        call.result = _Shape.of(output)
        if not list(module.children()) and call.name not in self.skip:
            work = leaf_work(module, output)
            self.work += work
            self.largest_work = max(self.largest_work, work)

    # -- operations --------------------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        with self:  # where composite operations arrive whole, their parts are what counts
            result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
        result = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        self.names.append(name)
        outputs = list(_tensors(result))
        of_picture = any(_storage(t) in self.of_picture for t in _tensors([args, list(kwargs.values())]))
        for tensor in outputs:
            self.keep(tensor, of_picture)
        if of_picture:  # what a network does to its own weights tells nothing about the context
            self._judge(name, args, outputs)
        return result

    def keep(self, tensor: Tensor, of_picture: bool) -> None:
        """Count the tensor's storage as live until its last view is gone. of_picture: it depends on the picture."""
        key = _storage(tensor)
        if of_picture:
            self.of_picture.add(key)
        if id(tensor) in self.alive:
            return
        size = tensor.untyped_storage().nbytes() // tensor.element_size()

        def gone(_: Any, identity: int = id(tensor), key: int = key, size: int = size) -> None:
            self.alive.pop(identity, None)
            self.storages[key] -= 1
            if self.storages[key] == 0:
                del self.storages[key]
                self.of_picture.discard(key)
                self.live -= size

        self.alive[id(tensor)] = weakref.ref(tensor, gone)
        self.storages[key] += 1
        if self.storages[key] == 1:
            self.live += size
            self.largest = max(self.largest, size)
            self.peak = max(self.peak, self.live)
            for call in self.stack:
                call.peak = max(call.peak, self.live)

    def _judge(self, name: str, args: tuple, outputs: list[Tensor]) -> None:
        """What the operation does to the context, and its share of the work."""
        extent = _extent(name, args, outputs)
        if extent is not None:
            self.extents[name] = max(self.extents.get(name, 0.0), extent)
        chain = [self.root, *self.stack]
        if name == "convolution":
            self._convolution(args, outputs[0], chain)
        elif name in _LOCAL_REACH_ONE or name.endswith("pool2d") or name == "max_pool2d_with_indices":
            whole_steps = outputs[0].shape[-1] % max(1, args[0].shape[-1]) == 0 and "nearest" in name
            if not (whole_steps or name == "_unsafe_index"):
                for call in chain:
                    call.reach += self.side / max(1, args[0].shape[-1])
        elif name in ("mm", "addmm", "linear"):
            a = args[1] if name == "addmm" else args[0]
            self.other_matrix_work += outputs[0].numel() * a.shape[-1]
        elif name in ("bmm", "baddbmm"):
            a = args[1] if name == "baddbmm" else args[0]
            self.other_matrix_work += outputs[0].numel() * a.shape[-1]
            _mark_unbounded(chain)
        elif name not in _LOCAL and not _reduces_channels_only(name, args):
            _mark_unbounded(chain)

    def _convolution(self, args: tuple, output: Tensor, chain: list[_Call]) -> None:
        image, weight, _, stride, _, dilation, transposed = args[:7]
        work = (image if transposed else output).numel() * weight.numel() / weight.shape[0]
        self.conv_work += work
        kernel = [(k - 1) * d for k, d in zip(weight.shape[2:], dilation)]
        if max(kernel, default=0) > 0 and weight.shape[1] > 1:
            self.dense_work += work
        # Padding does not matter: at a cut it spoils no more than the kernel reaches.
        px = self.side / max(1, min(image.shape[-1], output.shape[-1]))
        if px == int(px) and image.shape[-1] >= 8:  # smaller ones are averages of the whole, not coarser pictures
            self.coarsest = max(self.coarsest, int(px))
        for call in chain:
            call.reach += max(kernel, default=0) / 2 * px
            call.convolutions += 1
            if max(stride) > 1 or transposed:
                call.unbounded = call.unbounded or call is not self.root

    # -- what can run in bands ---------------------------------------------------------------------------------------

    def banded_blocks(self) -> list[LocalBlock]:
        """The outermost modules that are local, keep the size and need much more memory inside than outside."""
        found: dict[str, LocalBlock] = {}
        taken: list[_Call] = []
        counts = Counter(call.name for call in self.calls)
        for call in self.calls:
            if not call.source.shape or not call.result.shape or any(_within(call, outer) for outer in taken):
                continue
            same = call.source.shape == call.result.shape and len(call.source.shape) == 4
            scale = self.side / max(1, call.source.shape[-1])
            radius = int(call.reach / scale + 0.999)
            inside = call.peak - call.live_before
            if (
                not (same and not call.unbounded and call.convolutions >= 2 and 0 < radius <= MAX_BLOCK_RADIUS)
                or inside < 3 * call.source.numel
                or counts[call.name] > 1
            ):
                continue
            taken.append(call)
            found[call.name] = LocalBlock(call.name, radius)
            self.inside[call.name] = inside
            self.sizes[call.name] = call.source.shape[-1] * call.source.shape[-2]
        return list(found.values())

    def lone_convolutions(self, blocks: list[LocalBlock], head: tuple[str, ...]) -> list[LocalBlock]:
        """Convolutions outside of blocks and head that keep the size. They would gain no memory in bands; but as a
        whole each is one long operation, in which a cancel is not heard, and that would limit the size of a tile.
        """
        elsewhere = [call for call in self.calls if call.name in {*head, *(block.name for block in blocks)}]
        counts = Counter(call.name for call in self.calls)
        found = []
        for call in self.calls:
            source, result = call.source.shape, call.result.shape
            is_one = call.convolutions == 1 and isinstance(self.model.get_submodule(call.name), nn.Conv2d)
            if not is_one or source != result or len(source) != 4 or call.unbounded or counts[call.name] > 1:
                continue
            radius = int(call.reach * source[-1] / self.side + 0.999)
            if radius > MAX_BLOCK_RADIUS or any(_within(call, outer) for outer in elsewhere):
                continue
            found.append(LocalBlock(call.name, radius))
            self.inside[call.name], self.sizes[call.name] = call.peak - call.live_before, source[-1] * source[-2]
        return found

    def head_chain(self) -> tuple[tuple[str, ...], int, int]:
        """Names of the modules at the end that hand one tensor on, their radius, and the input px per px before them.

        They must follow one another with no operation in between, and after the last one the network may only cut.
        """
        chain: list[_Call] = []
        reach = 0.0
        end = self.operations - self._trailing_cuts()
        counts = Counter(call.name for call in self.calls)
        while True:
            call = self._ending_at(end, reach)
            if call is None or counts[call.name] > 1:
                break
            if chain and chain[0].source.identity != call.result.identity:
                break  # nothing computed in between, yet the next module took another tensor
            chain.insert(0, call)
            reach += call.reach
            end = call.first
        while chain and chain[0].source.shape[-1] == chain[0].result.shape[-1] and not chain[0].convolutions:
            chain.pop(0)
        if not chain or self.output is None or chain[-1].result.shape[-1] <= chain[0].source.shape[-1]:
            return (), 0, 1
        divisor = self.side / chain[0].source.shape[-1]
        if divisor != int(divisor):
            return (), 0, 1
        radius = int(sum(call.reach for call in chain) / divisor + 0.999)
        return tuple(call.name for call in chain), radius, int(divisor)

    def _ending_at(self, end: int, reach: float) -> _Call | None:
        """The largest module call that ends with operation ``end``, is local and has little context."""
        fitting = [
            call
            for call in self.calls
            if call.last == end
            and call.first < end
            and len(call.source.shape) == 4
            and call.result.shape
            and not call.unbounded
            and reach + call.reach <= MAX_BLOCK_RADIUS
        ]
        return min(fitting, key=lambda call: call.first) if fitting else None

    def _trailing_cuts(self) -> int:
        """How many operations after the last module only cut or clamp."""
        last = max((call.last for call in self.calls), default=0)
        return self.operations - last if self._tail_is_cut(last) else -1

    def _tail_is_cut(self, last: int) -> bool:
        return all(name in ("slice", "clamp_", "clamp", "alias") for name in self.names[last:])

    def peak_of(self, names: set[str]) -> float:
        """Elements live at the peak of these modules beyond those live before the first of them."""
        calls = [call for call in self.calls if call.name in names]
        return max(call.peak for call in calls) - calls[0].live_before if calls else 0.0


@dataclass(frozen=True)
class _Shape:
    """A tensor's shape and identity; holding the tensor itself would falsify the count of live ones."""

    shape: tuple[int, ...]
    numel: int
    identity: int

    @classmethod
    def of(cls, tensor: Any) -> _Shape:
        """``_NO_TENSOR`` for what is none."""
        return cls(tuple(tensor.shape), tensor.numel(), id(tensor)) if isinstance(tensor, Tensor) else _NO_TENSOR


_NO_TENSOR: _Shape = _Shape((), 0, 0)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in a nest of tuples and lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)


def _within(call: _Call, outer: _Call) -> bool:
    return outer.first <= call.first and call.last <= outer.last


def _mark_unbounded(chain: list[_Call]) -> None:
    for call in chain:
        call.unbounded = True


def _reduces_channels_only(name: str, args: tuple) -> bool:
    """Whether the operation gathers over the channels of ``(B, C, H, W)`` and nothing else."""
    if name not in _REDUCTIONS or len(args) < 2 or args[0].dim() != 4:
        return False
    dims = args[1] if isinstance(args[1], (list, tuple)) else [args[1]]
    return bool(dims) and all(dim in (1, -3) for dim in dims)


def _extent(name: str, args: tuple, outputs: list[Tensor]) -> float | None:
    """Over how many values the operation gathers; None where it does not gather."""
    first = args[0] if args and isinstance(args[0], Tensor) else None
    if first is None or not outputs:
        return None
    if name in _REDUCTIONS or name in ("_adaptive_avg_pool2d", "adaptive_max_pool2d", "linalg_vector_norm"):
        return first.numel() / max(1, outputs[0].numel())
    if name in ("_softmax", "softmax", "sort", "topk", "cumsum", "argsort", "_log_softmax"):
        dim = args[1] if len(args) > 1 and isinstance(args[1], int) else -1
        return float(first.shape[dim])
    if name in ("bmm", "mm"):
        return float(first.shape[-1])
    if name in ("baddbmm", "addmm"):
        return float(args[1].shape[-1])
    if "scaled_dot_product" in name:
        return float(args[1].shape[-2])
    if name == "native_group_norm":
        return first.numel() / (first.shape[0] * args[-2])
    if name == "native_layer_norm":
        size = 1.0
        for extent in args[1]:
            size *= extent
        return size
    if name in ("native_batch_norm", "_native_batch_norm_legit") and any(a is True for a in args[3:6]):
        return first.numel() / first.shape[1]
    if name.startswith("_fft"):
        size = 1.0
        for dim in args[1]:
            size *= first.shape[dim]
        return size
    return None

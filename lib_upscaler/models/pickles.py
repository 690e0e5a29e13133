"""Pickles that describe tensors, read without importing or calling anything that they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..errors import UnsafeModelError, UnsupportedModelError
from .pickle_machine import Ended, Machine, put_items
from .stored import MOST_TENSORS, Storage, StoredTensor, Unsound, cannot_load, damaged_file, shown, truncated_file

__all__ = ["Pickles", "Placeholder"]


class Placeholder:
    """Stands for a Python object that a pickle names, or for one of its kind. What is done to it has no effect.

    content: the state that the pickle gave it, if it was a dict.
    """

    __slots__ = ("content", "global_name", "is_global")

    def __init__(self, global_name: str, is_global: bool = False) -> None:
        self.global_name, self.is_global = global_name, is_global
        self.content: dict[str, object] | None = None


@dataclass
class _Record:
    """What a file asked for. ``calls``: names of the objects that it wanted called."""

    calls: list[str] = field(default_factory=list)
    has_module: bool = False


@dataclass(frozen=True)
class _Function:
    """A function that a pickle may call."""

    function: Callable[..., object]


def _rebuild_tensor(storage: object, offset: object, shape: object, stride: object, *_: object) -> StoredTensor:
    """``torch._utils._rebuild_tensor`` and ``_rebuild_tensor_v2``."""
    if not isinstance(storage, Storage):
        raise Unsound("a tensor without data")
    return _rebuild_typed_tensor(storage, offset, shape, stride, False, (), storage.dtype)


def _rebuild_typed_tensor(
    storage: object, offset: object, shape: object, stride: object, _grad: object, _hooks: object, dtype: object,
    *_: object,
) -> StoredTensor:  # fmt: skip
    """``torch._utils._rebuild_tensor_v3``: for types of number that have no storage class."""
    if not (isinstance(storage, Storage) and isinstance(dtype, torch.dtype) and isinstance(offset, int)):
        raise Unsound("a tensor without data")
    return StoredTensor(storage, offset, _size(shape), _size(stride), dtype)


def _size(values: object = (), *_: object) -> tuple[int, ...]:
    if (
        not isinstance(values, (tuple, list))
        or len(values) > 64
        or not all(isinstance(value, int) and value >= 0 for value in values)
    ):
        raise Unsound("a tensor without a sound shape")
    return tuple(values)


def _rebuild_from_type(function: object, _type: object, arguments: object, *_: object) -> object:
    """``torch._tensor._rebuild_from_type_v2``: a tensor with attributes; they are dropped."""
    known = isinstance(function, _Function) and function.function in (_rebuild_tensor, _rebuild_typed_tensor, _first)
    if not known or not isinstance(arguments, tuple):
        raise Unsound("a tensor of an unknown kind")
    return function.function(*arguments)  # type: ignore[attr-defined]


def _first(value: object, *_: object) -> object:
    return value


def _dict(items: object = (), *_: object) -> dict:
    """OrderedDict and defaultdict; Python 2 gives the first its items as a list of pairs."""
    made: dict[str, object] = {}
    for pair in items if isinstance(items, (list, tuple)) else ():
        if isinstance(pair, (list, tuple)) and len(pair) == 2:
            put_items(made, list(pair))
    return made


def _unsupported_layout(*_: object) -> object:
    raise _UnsupportedTensor


class _UnsupportedTensor(Exception):  # noqa: N818 - a signal that does not leave this file
    """Sparse or quantised."""


def _known_names() -> dict[str, object]:
    """What may be used of that which a pickle names, each replaced by something that only describes a tensor."""
    storages = {
        "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
        "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
        "Bool": torch.bool, "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128,
    }  # fmt: skip
    names: dict[str, object] = {f"torch.{name}Storage": dtype for name, dtype in storages.items()}
    names.update({f"torch.cuda.{name}Storage": dtype for name, dtype in storages.items()})
    names.update({f"torch.storage.{name}": torch.uint8 for name in ("UntypedStorage", "_UntypedStorage")})
    names.update({str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)})
    names.update({f"{module}.OrderedDict": _Function(_dict) for module in ("collections", "typing")})
    names.update({"collections.defaultdict": _Function(_dict), "torch.Size": _Function(_size)})
    tensor, typed, layout = _Function(_rebuild_tensor), _Function(_rebuild_typed_tensor), _Function(_unsupported_layout)
    rebuild = {
        "_rebuild_tensor": tensor,
        "_rebuild_tensor_v2": tensor,
        "_rebuild_tensor_v3": typed,
        "_rebuild_parameter": _Function(_first),
        "_rebuild_parameter_with_state": _Function(_first),
        "_rebuild_sparse_tensor": layout,
        "_rebuild_sparse_csr_tensor": layout,
        "_rebuild_nested_tensor": layout,
        "_rebuild_qtensor": layout,
        "_rebuild_meta_tensor_no_storage": layout,
    }
    names.update({f"torch._utils.{name}": function for name, function in rebuild.items()})
    names["torch._tensor._rebuild_from_type_v2"] = _Function(_rebuild_from_type)
    return names


_KNOWN = _known_names()

# Leftovers of a training that checkpoints carry beside the weights. Placeholders stand for them as for everything else;
# being listed only means that the file is not refused for them.
_HARMLESS_PACKAGES = (
    "numpy.", "pathlib.", "datetime.", "collections.", "enum.", "torch.optim.", "torch.torch_version.",
    "torch.jit._pickle.", "__torch__.", "pytorch_lightning.", "lightning.", "lightning_fabric.", "omegaconf.",
    "easydict.", "addict.", "yacs.",
)  # fmt: skip

_HARMLESS_NAMES = {
    "argparse.Namespace", "functools.partial", "_codecs.encode", "copyreg._reconstructor", "copy_reg._reconstructor",
    "decimal.Decimal", "uuid.UUID", "torch.device", "torch.serialization._get_layout", "torch.nn.parameter.Parameter",
    "torch.Tensor",
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in (
        "set", "frozenset", "dict", "list", "tuple", "bytearray", "bytes", "complex", "slice", "range", "object",
        "int", "float", "str", "bool")),
}  # fmt: skip

_SYSTEM = (
    "os.", "posix.", "nt.", "subprocess.", "builtins.", "__builtin__.", "sys.", "io.", "_io.", "shutil.", "socket.",
    "importlib.", "runpy.", "pickle.", "ctypes.", "webbrowser.", "torch.hub.", "torch.serialization.",
)  # fmt: skip


class Pickles:
    """The pickles of one file, read one after the other and judged together."""

    def __init__(self, path: Path, data: bytes, storage_of: Callable[[tuple], Storage]) -> None:
        """storage_of: the storage that a persistent identity of torch's names; may raise Unsound."""
        self._path = path
        self._record = _Record()
        self._storage_of = storage_of
        self._storages: dict[tuple, Storage] = {}
        self._placeholders: dict[str, Placeholder] = {}
        self._machine = Machine(data, self)

    @property
    def position(self) -> int:
        """Where the next one begins."""
        return self._machine.position

    def next(self, whole: bool = True) -> object:
        """The next object: dicts, lists and plain values, with ``StoredTensor`` and ``Placeholder`` among them.

        whole: the data are all that there is. Raises UnsafeModelError, UnsupportedModelError, ModelFileError; Ended
        where the data are not whole and too few.
        """
        try:
            result = self._machine.load()
        except _UnsupportedTensor:
            raise UnsupportedModelError(
                cannot_load(self._path), "its weights are quantised or sparse", "get the version with ordinary weights"
            ) from None
        except Ended:
            if not whole:
                raise
            self._judge()
            raise truncated_file(self._path) from None
        except (Unsound, TypeError, RecursionError) as error:
            self._judge()
            detail = str(error) if isinstance(error, Unsound) else "its table of contents cannot be read"
            raise damaged_file(self._path, detail) from error
        self._judge()
        return result

    # What the machine asks

    def named(self, name: str) -> object:
        if name in _KNOWN:
            return _KNOWN[name]
        if name not in self._placeholders:
            if len(self._placeholders) == MOST_TENSORS:
                raise Unsound("its table of contents names far too many things")
            self._placeholders[name] = Placeholder(name, is_global=True)
        return self._placeholders[name]

    def called(self, function: object, arguments: tuple) -> object:
        if isinstance(function, _Function):
            if function.function is _dict and arguments and isinstance(arguments[0], (list, tuple)):
                self._machine.spend(len(arguments[0]))
            return function.function(*arguments)
        if not isinstance(function, Placeholder):
            raise Unsound("it calls what is no function")
        if not function.is_global:
            return function
        self._record.calls.append(function.global_name)
        return Placeholder(function.global_name)

    def made(self, kind: object) -> object:
        if isinstance(kind, _Function) and kind.function in (_dict, _size):
            return kind.function()
        if not (isinstance(kind, Placeholder) and kind.is_global):
            raise Unsound("it makes an object of no kind")
        return Placeholder(kind.global_name)

    def filled(self, target: object, state: object) -> None:
        if isinstance(target, (dict, StoredTensor)):
            return  # what is set on them beside their items (``_metadata``)
        if not isinstance(target, Placeholder) or target.is_global:
            raise Unsound("it changes what it only names")
        target.content = state if isinstance(state, dict) else None
        if target.content is not None and "_parameters" in target.content and "_modules" in target.content:
            self._record.has_module = True

    def stored(self, identity: object) -> object:
        if isinstance(identity, tuple) and len(identity) > 1 and identity[0] == "module":
            self._record.has_module = True
            return identity[1]
        if not (isinstance(identity, tuple) and len(identity) >= 5 and identity[0] == "storage"):
            raise Unsound("data that is no tensor's")
        _, dtype, key, _, count, *view = identity
        if isinstance(dtype, Placeholder) and dtype.global_name.startswith("torch.Q"):  # QInt8Storage and its like
            raise _UnsupportedTensor
        if not (isinstance(dtype, torch.dtype) and isinstance(key, str) and len(key) < 300 and isinstance(count, int)):
            raise Unsound("data of an unknown kind")
        same = (dtype, key, count, _view(view))
        if same not in self._storages:
            self._storages[same] = self._storage_of(same)
        return self._storages[same]

    def is_open(self, target: object) -> bool:
        return isinstance(target, Placeholder)

    def _judge(self) -> None:
        """Refuse the file for what it wanted called, or for holding a whole module."""
        calls = self._record.calls
        wanted = [name for name in calls if name not in _HARMLESS_NAMES and not name.startswith(_HARMLESS_PACKAGES)]
        if self._record.has_module and not any(name.startswith(_SYSTEM) for name in wanted):
            raise UnsupportedModelError(
                cannot_load(self._path),
                "it holds a whole pickled module, which only its author's program can open, instead of weights",
                "ask for the weights alone (torch.save(model.state_dict(), ...)) or a .safetensors file",
            )
        if wanted and set(wanted) == {"torch.storage._load_from_bytes"}:
            raise UnsupportedModelError(
                cannot_load(self._path),
                "it is a plain pickle, in which each weight is a file of its own",
                "save it again with torch.save, or get the version as .safetensors",
            )
        if wanted:
            raise UnsafeModelError(
                f"refused to load the model '{shown(self._path.name, 255)}'",
                f"the file wants to run '{shown(wanted[0])}' when it is opened, and might harm this computer; "
                "nothing was run",
                "get the model from a source you trust, best as .safetensors",
            )


def _view(view: list) -> tuple[int, int] | None:
    """Offset and length, in elements, of the part of a storage that an old file means; None for all of it."""
    if not view or view[0] is None:
        return None
    part = view[0]
    if not (isinstance(part, tuple) and len(part) == 3 and all(isinstance(one, int) and one >= 0 for one in part[1:])):
        raise Unsound("data of an unknown kind")
    return part[1], part[2]

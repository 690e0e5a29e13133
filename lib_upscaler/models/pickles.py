"""Pickles that describe tensors, read without importing or calling anything that they name."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

import torch

from ..errors import UnsafeModelError, UnsupportedModelError
from .stored import Storage, StoredTensor, cannot_load, damaged_file, strided, truncated_file

__all__ = ["Placeholder", "Record", "unpickle"]


@dataclass
class Record:
    """What a pickle asked for. ``calls``: names of the objects that it wanted called."""

    calls: list[str] = field(default_factory=list)
    has_module: bool = False


class Placeholder:
    """Stands for a Python object that a pickle names. It takes whatever is done to it and does nothing.

    ``content``: the state that the pickle gave it, if it was a dict.
    """

    global_name = ""
    record = Record()
    content: dict[str, object] | None = None

    def __new__(cls, *_: object, **__: object) -> Placeholder:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        # Pickles create objects by __new__ alone; whoever calls the class wants something to happen.
        self.record.calls.append(self.global_name)

    def __setstate__(self, state: object) -> None:
        self.content = state if isinstance(state, dict) else None
        if self.content is not None and "_parameters" in self.content and "_modules" in self.content:
            self.record.has_module = True

    def __call__(self, *_: object, **__: object) -> Placeholder:
        return self

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, _: object) -> None:
        pass

    add = extend = append


class _Dict(dict):
    """In place of OrderedDict and defaultdict: drops what a pickle sets on it beside the items (``_metadata``)."""

    def __init__(self, items: object = ()) -> None:
        super().__init__(items if isinstance(items, (list, tuple, dict)) else ())

    def __setstate__(self, state: object) -> None:
        pass


class _Rebuild:
    """A function that a pickle may call. An object, since a pickle can set attributes on a function."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *args: object) -> object:
        return self._function(*args)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a pickle must not change a function")


def _rebuild_tensor(storage: object, offset: object, shape: object, stride: object, *_: object) -> StoredTensor:
    """``torch._utils._rebuild_tensor`` and ``_rebuild_tensor_v2``."""
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError("a tensor without data")
    return _rebuild_typed_tensor(storage, offset, shape, stride, False, (), storage.dtype)


def _rebuild_typed_tensor(
    storage: object, offset: object, shape: object, stride: object, _grad: object, _hooks: object, dtype: object,
    *_: object,
) -> StoredTensor:  # fmt: skip
    """``torch._utils._rebuild_tensor_v3``: for types of number that have no storage class."""
    if not (isinstance(storage, Storage) and isinstance(dtype, torch.dtype) and isinstance(offset, int)):
        raise pickle.UnpicklingError("a tensor without data")
    return StoredTensor(partial(strided, storage, offset, _whole_numbers(shape), _whole_numbers(stride), dtype))


def _whole_numbers(values: object) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list)) or not all(isinstance(value, int) and value >= 0 for value in values):
        raise pickle.UnpicklingError("a tensor without a sound shape")
    return tuple(values)


def _rebuild_from_type(function: object, _type: object, args: object, *_: object) -> object:
    """``torch._tensor._rebuild_from_type_v2``: a tensor with attributes; they are dropped."""
    if not isinstance(function, _Rebuild) or not isinstance(args, tuple):
        raise pickle.UnpicklingError("a tensor of an unknown kind")
    return function(*args)


def _first(value: object, *_: object) -> object:
    return value


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
    names.update({f"{module}.OrderedDict": _Dict for module in ("collections", "typing")})
    names.update({"collections.defaultdict": _Dict, "torch.Size": tuple})
    tensor, typed, layout = _Rebuild(_rebuild_tensor), _Rebuild(_rebuild_typed_tensor), _Rebuild(_unsupported_layout)
    rebuild = {
        "_rebuild_tensor": tensor,
        "_rebuild_tensor_v2": tensor,
        "_rebuild_tensor_v3": typed,
        "_rebuild_parameter": _Rebuild(_first),
        "_rebuild_parameter_with_state": _Rebuild(_first),
        "_rebuild_sparse_tensor": layout,
        "_rebuild_sparse_csr_tensor": layout,
        "_rebuild_nested_tensor": layout,
        "_rebuild_qtensor": layout,
        "_rebuild_meta_tensor_no_storage": layout,
    }
    names.update({f"torch._utils.{name}": function for name, function in rebuild.items()})
    names["torch._tensor._rebuild_from_type_v2"] = _Rebuild(_rebuild_from_type)
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


class _TensorUnpickler(pickle.Unpickler):
    """Makes dicts, lists, plain values, ``StoredTensor`` and ``Placeholder``; imports and calls nothing else."""

    def __init__(self, file: BinaryIO, record: Record, storage_of: Callable[[tuple], Storage]) -> None:
        # latin1: any byte is a letter, so that strings of Python 2 never fail.
        super().__init__(file, encoding="latin1")
        self._record = record
        self._storage_of = storage_of

    def find_class(self, module: str, name: str) -> object:
        full_name = f"{module}.{name}"
        if full_name in _KNOWN:
            return _KNOWN[full_name]
        return type("Placeholder", (Placeholder,), {"global_name": full_name, "record": self._record})

    def persistent_load(self, pid: object) -> object:
        if isinstance(pid, tuple) and len(pid) > 1 and pid[0] == "module":
            self._record.has_module = True
            return pid[1]
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"):
            raise pickle.UnpicklingError("data that is no tensor's")
        if getattr(pid[1], "global_name", "").startswith("torch.Q"):  # QInt8Storage and its like
            raise _UnsupportedTensor
        if not (isinstance(pid[1], torch.dtype) and isinstance(pid[2], str) and isinstance(pid[4], int)):
            raise pickle.UnpicklingError("data of an unknown kind")
        return self._storage_of(pid)


def unpickle(path: Path, file: BinaryIO, record: Record, storage_of: Callable[[tuple], Storage]) -> object:
    """The next object in ``file``, judged."""
    try:
        result = _TensorUnpickler(file, record, storage_of).load()
    except _UnsupportedTensor:
        raise UnsupportedModelError(
            cannot_load(path), "its weights are quantised or sparse", "get the version with ordinary weights"
        ) from None
    except EOFError as error:
        _judge(path, record)
        raise truncated_file(path) from error
    except Exception as error:  # whatever damaged or hostile bytes lead the unpickler to
        _judge(path, record)
        if "truncated" in str(error):
            raise truncated_file(path) from error
        raise damaged_file(path, "its table of contents cannot be read") from error
    _judge(path, record)
    return result


def _judge(path: Path, record: Record) -> None:
    """Refuse a file for what it wanted called, or for being a whole module."""
    wanted = [name for name in record.calls if name not in _HARMLESS_NAMES and not name.startswith(_HARMLESS_PACKAGES)]
    if record.has_module and not any(name.startswith(_SYSTEM) for name in wanted):
        raise UnsupportedModelError(
            cannot_load(path),
            "it holds a whole pickled module, which only its author's program can open, instead of weights",
            "ask for the weights alone (torch.save(model.state_dict(), ...)) or a .safetensors file",
        )
    if wanted:
        raise UnsafeModelError(
            f"refused to load the model '{path.name}'",
            f"the file wants to run '{wanted[0]}' when it is opened, and might harm this computer; nothing was run",
            "get the model from a source you trust, best as .safetensors",
        )

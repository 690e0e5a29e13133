"""Reads the tensors out of model files without running anything in them.

Four formats: PyTorch's zip archives, its older plain pickles, TorchScript archives and safetensors.

Why not ``torch.load(weights_only=True)``: before torch 2.6 it hands TorchScript archives to ``torch.jit.load``
(CVE-2025-32434), WebUIs replace it by functions of their own, and it refuses a sound checkpoint for one harmless object
of the training beside the weights. Here, the pickle's every name of a Python object that is not part of a tensor is
answered by an inert placeholder: nothing is imported, nothing is called. What a file *wanted* called is written down,
and a file that wanted more than training leftovers is refused by name.
"""

from __future__ import annotations

import io
import json
import mmap
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from ..errors import ModelFileError, UnsafeModelError, UnsupportedModelError

__all__ = ["Placeholder", "StoredTensor", "opened", "safetensors_metadata"]

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first object in a file of torch.save before torch 1.6
_LARGEST_HEADER = 100_000_000  # bytes; the limit that safetensors itself sets
_LARGEST_PICKLE = 512_000_000  # bytes, without the tensors' data
_LARGEST_EXPANDED = 2**28  # elements of a tensor that is larger than its data (a stride of 0)
_DOWNLOAD_AGAIN = "download it again"


@dataclass(frozen=True)
class _Storage:
    """Where the bytes of one or more tensors lie. ``read``: gives them, 1-D uint8, at least ``size`` bytes."""

    dtype: torch.dtype
    size: int
    read: Callable[[], Tensor] = field(repr=False)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that is still in the file: ``shape``, ``stride`` and ``offset`` in elements, as in ``as_strided``."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    def load(self) -> Tensor:
        """The tensor, on the CPU. It may share memory with the (copy-on-write) mapped file.

        Where the description does not fit the data, the error is whichever of Python's or torch's comes of it.
        """
        data = self.storage.read()[: self.storage.size]
        width = _item_size(self.dtype)
        if data.data_ptr() % width:
            data = data.clone()
        flat = data[: data.numel() // width * width].view(self.dtype)
        elements = 1
        for length in self.shape:
            elements *= length
        if elements > max(flat.numel(), _LARGEST_EXPANDED):
            raise ValueError("a tensor is far larger than its data")
        return flat.as_strided(self.shape, self.stride, self.offset)


@contextmanager
def opened(path: Path) -> Iterator[object]:
    """What the file holds: dicts, lists and plain values, with ``StoredTensor`` and ``Placeholder`` among them.

    Load the tensors inside the context; they stay valid after it. For safetensors and TorchScript it is the state dict.
    Raises ModelFileError, UnsafeModelError and UnsupportedModelError.
    """
    with _file(path) as (file, data):
        head = bytes(data[:512])
        _refuse_foreign_file(path, head)
        if head[:4] == b"PK\x03\x04":
            with _zip_archive(path, file) as archive:
                yield _read_zip(path, archive, data)
        elif _is_safetensors(path, head):
            yield _read_safetensors(path, data)
        else:
            yield _read_legacy(path, file, data)


def safetensors_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself, as its maker wrote it: any text. Empty for files of other formats.

    Raises ModelFileError.
    """
    with _file(path) as (_, data):
        head = bytes(data[:512])
        if head[:4] == b"PK\x03\x04" or not _is_safetensors(path, head):
            return {}
        metadata = _safetensors_header(path, data)[0].get("__metadata__")
    return {k: v for k, v in metadata.items() if isinstance(v, str)} if isinstance(metadata, dict) else {}


@contextmanager
def _file(path: Path) -> Iterator[tuple[BinaryIO, mmap.mmap | bytearray]]:
    """The open file and its bytes. Errors of the system come out as ModelFileError."""
    try:
        with path.open("rb") as file:
            yield file, _mapped(file)
    except PermissionError as error:
        raise ModelFileError(_what(path), "it may not be read", "change the file's permissions") from error
    except OSError as error:
        raise ModelFileError(_what(path), error.strerror or str(error), "check the disk it lies on") from error


def _mapped(file: BinaryIO) -> mmap.mmap | bytearray:
    """The file's bytes, private to us. Mapped, so that what is not used is not read; else all of it."""
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError):  # some network file systems cannot map; an empty file cannot be mapped
        data = bytearray(file.read())
        file.seek(0)
        return data


def _bytes(data: mmap.mmap | bytearray, start: int, size: int) -> Tensor:
    """``size`` bytes from ``start``, 1-D uint8, without a copy. Raises ValueError where there are fewer."""
    if not 0 <= start <= start + size <= len(data):
        raise ValueError("data beyond the end of the file")
    if not size:
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(data, dtype=torch.uint8, count=size, offset=start)


def _item_size(dtype: torch.dtype) -> int:
    """Bytes of one element (``dtype.itemsize`` came with torch 2.1)."""
    return torch.empty((), dtype=dtype).element_size()


def _what(path: Path) -> str:
    return f"cannot load the model '{path.name}'"


def _damaged(path: Path, detail: str) -> ModelFileError:
    return ModelFileError(_what(path), f"the file is damaged ({detail})", _DOWNLOAD_AGAIN)


def _truncated(path: Path) -> ModelFileError:
    return ModelFileError(_what(path), "the file is truncated: its end is missing", _DOWNLOAD_AGAIN)


# What is no model file at all


def _refuse_foreign_file(path: Path, head: bytes) -> None:
    """Name what the first bytes show to be something else."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        raise ModelFileError(_what(path), "the file is empty", _DOWNLOAD_AGAIN)
    if not any(head):
        raise ModelFileError(_what(path), "the file begins with nothing but zeros", _DOWNLOAD_AGAIN)
    if head.startswith(b"version https://git-lfs"):
        raise ModelFileError(
            _what(path), "it is a Git LFS pointer, not the model itself", "fetch the model with 'git lfs pull'"
        )
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")):
        raise ModelFileError(
            _what(path),
            "it is a web page: the download saved the page instead of the file",
            "download the file itself, by the page's download button",
        )
    if path.suffix.lower() == ".onnx" or _is_onnx(head):
        raise UnsupportedModelError(
            _what(path), "it is an ONNX model", "get the PyTorch version of it (.pth or .safetensors)"
        )
    if head.startswith(b"GGUF"):
        raise UnsupportedModelError(_what(path), "it is a GGUF model", "get the version as .pth or .safetensors")
    if head.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ")):
        raise ModelFileError(_what(path), "it is a compressed archive", "unpack it and use the model file inside")
    if head[257:262] == b"ustar":
        raise UnsupportedModelError(
            _what(path), "it is a tar archive, as PyTorch before 0.1.10 wrote it", "save it again with a newer PyTorch"
        )


def _is_onnx(head: bytes) -> bool:
    """A protobuf that starts as ONNX's ModelProto: field 1 (ir_version), then a field that may follow it."""
    return len(head) > 3 and head[0] == 0x08 and 1 <= head[1] < 32 and head[2] in b"\x12\x1a\x22\x2a\x32\x3a\x42"


def _is_safetensors(path: Path, head: bytes) -> bool:
    """By name (unless it begins as a pickle) or, whatever the name, by a length and a JSON object behind it."""
    named_so = path.suffix.lower() == ".safetensors" and not head.startswith(b"\x80\x02")
    return named_so or (head[8:9] == b"{" and head[5:8] == b"\0\0\0")


# PyTorch: pickles


@dataclass
class _Record:
    """What a pickle asked for. ``calls``: names of the objects that it wanted called."""

    calls: list[str] = field(default_factory=list)
    has_module: bool = False


class Placeholder:
    """Stands for a Python object that a pickle names. It takes whatever is done to it and does nothing.

    ``content``: the state that the pickle gave it, if it was a dict.
    """

    global_name = ""
    record = _Record()
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
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without data")
    return _rebuild_typed_tensor(storage, offset, shape, stride, False, (), storage.dtype)


def _rebuild_typed_tensor(
    storage: object, offset: object, shape: object, stride: object, _grad: object, _hooks: object, dtype: object,
    *_: object,
) -> StoredTensor:  # fmt: skip
    """``torch._utils._rebuild_tensor_v3``: for types of number that have no storage class."""
    if not (isinstance(storage, _Storage) and isinstance(dtype, torch.dtype) and isinstance(offset, int)):
        raise pickle.UnpicklingError("a tensor without data")
    return StoredTensor(storage, offset, _whole_numbers(shape), _whole_numbers(stride), dtype)


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

    def __init__(self, file: BinaryIO, record: _Record, storage_of: Callable[[tuple], _Storage]) -> None:
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


def _unpickle(path: Path, file: BinaryIO, record: _Record, storage_of: Callable[[tuple], _Storage]) -> object:
    """The next object in ``file``, judged."""
    try:
        result = _TensorUnpickler(file, record, storage_of).load()
    except _UnsupportedTensor:
        raise UnsupportedModelError(
            _what(path), "its weights are quantised or sparse", "get the version with ordinary weights"
        ) from None
    except EOFError as error:
        _judge(path, record)
        raise _truncated(path) from error
    except Exception as error:  # whatever damaged or hostile bytes lead the unpickler to
        _judge(path, record)
        if "truncated" in str(error):
            raise _truncated(path) from error
        raise _damaged(path, "its table of contents cannot be read") from error
    _judge(path, record)
    return result


def _judge(path: Path, record: _Record) -> None:
    """Refuse a file for what it wanted called, or for being a whole module."""
    wanted = [name for name in record.calls if name not in _HARMLESS_NAMES and not name.startswith(_HARMLESS_PACKAGES)]
    if record.has_module and not any(name.startswith(_SYSTEM) for name in wanted):
        raise UnsupportedModelError(
            _what(path),
            "it holds a whole pickled module, which only its author's program can open, instead of weights",
            "ask for the weights alone (torch.save(model.state_dict(), ...)) or a .safetensors file",
        )
    if wanted:
        raise UnsafeModelError(
            f"refused to load the model '{path.name}'",
            f"the file wants to run '{wanted[0]}' when it is opened, and might harm this computer; nothing was run",
            "get the model from a source you trust, best as .safetensors",
        )


def _read_legacy(path: Path, file: BinaryIO, data: mmap.mmap | bytearray) -> object:
    """A file of ``torch.save`` before torch 1.6: five pickles, then the data of the storages one behind the other."""
    record = _Record()
    starts: dict[str, int] = {}
    widths: dict[str, int] = {}

    def storage_of(pid: tuple) -> _Storage:
        _, dtype, key, _, count, *view = pid
        width = widths[key] = _item_size(dtype)
        start, length = 0, count
        if view and view[0] is not None:  # (key, offset, length) of a part of the storage
            start, length = int(view[0][1]), int(view[0][2])
        size, skip = length * width, start * width
        if size < 0 or skip < 0:
            raise pickle.UnpicklingError("data of a negative length")
        return _Storage(dtype, size, lambda: _bytes(data, starts[key] + skip, size))

    if not data[:1] == b"\x80":
        raise ModelFileError(
            _what(path), "it is not a model file of a known format", "use a .pth, .pt, .ckpt or .safetensors file"
        )
    if _unpickle(path, file, record, storage_of) != _LEGACY_MAGIC:
        raise ModelFileError(_what(path), "it is a pickle, but not one of PyTorch", "save it with torch.save")
    _version, system = (_unpickle(path, file, record, storage_of) for _ in range(2))
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise UnsupportedModelError(_what(path), "it was written on a big-endian machine", "save it as .safetensors")
    content = _unpickle(path, file, record, storage_of)
    keys = _unpickle(path, file, record, storage_of)
    position = file.tell()
    for key in keys if isinstance(keys, list) else ():
        if key not in widths:
            raise _damaged(path, "data that belongs to no tensor")
        if position + 8 > len(data):
            raise _truncated(path)
        (count,) = struct.unpack("<q", data[position : position + 8])
        starts[key] = position + 8
        position += 8 + max(count, 0) * widths[key]
    if position > len(data):
        raise _truncated(path)
    return content


# PyTorch: zip archives


@contextmanager
def _zip_archive(path: Path, file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        # The list of a zip file's contents stands at its end, so this is what a broken-off download looks like.
        raise _truncated(path) from error
    with archive:
        yield archive


def _read_zip(path: Path, archive: zipfile.ZipFile, data: mmap.mmap | bytearray) -> object:
    """A file of ``torch.save`` since torch 1.6, or of ``torch.jit.save``."""
    entries = {info.filename: info for info in archive.infolist()}
    roots = sorted((name[: -len("data.pkl")] for name in entries if name.endswith("/data.pkl")), key=len)
    if not roots:
        raise ModelFileError(
            _what(path), "it is a zip archive without a PyTorch model", "unpack it and use the model file inside"
        )
    root = roots[0]
    order = entries.get(f"{root}byteorder")
    if order is not None and _unpacked(path, archive, order, data).strip() == b"big":
        raise UnsupportedModelError(_what(path), "it was written on a big-endian machine", "save it as .safetensors")
    table = entries[f"{root}data.pkl"]
    if table.file_size > _LARGEST_PICKLE:
        raise _damaged(path, "its table of contents is far too large")

    def storage_of(pid: tuple) -> _Storage:
        _, dtype, key, _, count, *_ = pid
        info = entries.get(f"{root}data/{key}")
        size = count * _item_size(dtype)
        if info is None or not 0 <= size <= info.file_size:
            raise pickle.UnpicklingError("data is missing")
        return _Storage(dtype, size, lambda: _entry(archive, info, data))

    content = _unpickle(path, io.BytesIO(_unpacked(path, archive, table, data)), _Record(), storage_of)
    return _script_weights(path, content) if f"{root}constants.pkl" in entries else content


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, data: mmap.mmap | bytearray) -> Tensor:
    """The bytes of one entry: in place, as PyTorch stores them, or unpacked. Raises what zipfile and zlib raise.

    Checksums of entries in place are not looked at: torch can be told not to write them.
    """
    if info.compress_type != zipfile.ZIP_STORED:
        return _bytes(bytearray(archive.read(info)), 0, info.file_size)
    if data[info.header_offset : info.header_offset + 4] != b"PK\x03\x04":
        raise ValueError("an entry is not where it should be")
    name_length, extra_length = struct.unpack("<HH", data[info.header_offset + 26 : info.header_offset + 30])
    start = info.header_offset + 30 + name_length + extra_length
    if start + info.file_size > len(data):
        raise ValueError("an entry reaches beyond the file")
    return _bytes(data, start, info.file_size)


def _unpacked(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, data: mmap.mmap | bytearray) -> bytes:
    try:
        return _entry(archive, info, data).numpy().tobytes()
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, RuntimeError, EOFError) as error:
        raise _damaged(path, "the archive cannot be unpacked") from error


def _script_weights(path: Path, content: object) -> dict[str, StoredTensor]:
    """The state dict of a TorchScript archive: its tensors under the names of the modules they lie in.

    Its code is not touched. A tensor that is neither parameter nor buffer comes along: the file does not tell.
    """
    weights: dict[str, StoredTensor] = {}

    def collect(module: object, prefix: str, depth: int) -> None:
        attributes = module.content if isinstance(module, Placeholder) else None
        for name, value in (attributes or {}).items():
            if isinstance(value, StoredTensor):
                weights[f"{prefix}{name}"] = value
            elif depth < 64:
                collect(value, f"{prefix}{name}.", depth + 1)

    collect(content, "", 0)
    if not weights:
        raise UnsupportedModelError(
            _what(path), "it is a frozen TorchScript program without separate weights", "get the weights as .pth"
        )
    return weights


# safetensors


def _read_safetensors(path: Path, data: mmap.mmap | bytearray) -> dict[str, StoredTensor]:
    header, start_of_data = _safetensors_header(path, data)
    header.pop("__metadata__", None)
    tensors: dict[str, StoredTensor] = {}
    ends: list[tuple[int, int]] = []
    for name, entry in header.items():
        dtype, shape, begin, end = _header_entry(path, name, entry)
        start = start_of_data + begin
        storage = _Storage(dtype, end - begin, lambda start=start, size=end - begin: _bytes(data, start, size))
        tensors[name] = StoredTensor(storage, 0, shape, _contiguous(shape), dtype)
        ends.append((begin, end))
    _check_layout(path, ends, len(data) - start_of_data)
    return tensors


def _safetensors_header(path: Path, data: mmap.mmap | bytearray) -> tuple[dict[str, object], int]:
    """The header, and where the data begins, in bytes.

    https://github.com/huggingface/safetensors#format: a length, a JSON header, the data without gaps.
    """
    if len(data) < 8:
        raise _truncated(path)
    (length,) = struct.unpack("<Q", data[:8])
    if length > _LARGEST_HEADER:
        raise _bad_header(path, "its length cannot be true")
    if 8 + length > len(data):
        raise _bad_header(path, "it reaches beyond the file, whose end may be missing")
    try:
        header = json.loads(bytes(data[8 : 8 + length]))
    except (ValueError, RecursionError) as error:
        raise _bad_header(path, "it is not JSON") from error
    if not isinstance(header, dict):
        raise _bad_header(path, "it lists no tensors")
    return header, 8 + length


def _header_entry(path: Path, name: str, entry: object) -> tuple[torch.dtype, tuple[int, ...], int, int]:
    """Data type, shape and the two offsets (bytes) of one tensor, all checked."""
    try:
        code, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, begin, end]
    except (KeyError, TypeError, ValueError) as error:
        raise _bad_header(path, f"'{name}' is not described as it should be") from error
    if not all(type(number) is int and number >= 0 for number in numbers) or begin > end:
        raise _bad_header(path, f"'{name}' is not described as it should be")
    dtype = _SAFETENSORS_TYPES.get(code) if isinstance(code, str) else None
    if dtype is None:
        raise UnsupportedModelError(
            _what(path), f"it stores '{name}' as {code}, which this PyTorch does not know", "get it as F32 or F16"
        )
    size = _item_size(dtype)
    for side in shape:
        size *= side
    if size != end - begin:
        raise _bad_header(path, f"the shape of '{name}' does not fit its data")
    return dtype, tuple(shape), begin, end


def _check_layout(path: Path, ends: list[tuple[int, int]], available: int) -> None:
    """The tensors must lie one behind the other and fill the data."""
    position = 0
    for begin, end in sorted(ends):
        if begin != position:
            raise _bad_header(path, "its tensors overlap" if begin < position else "there is a gap in its data")
        position = end
    if position > available:
        raise _truncated(path)
    if position < available:
        raise _bad_header(path, "the file is longer than it says")


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= max(length, 1)
    return tuple(reversed(strides))


def _bad_header(path: Path, detail: str) -> ModelFileError:
    return ModelFileError(_what(path), f"its safetensors header is wrong: {detail}", _DOWNLOAD_AGAIN)


def _safetensors_types() -> dict[str, torch.dtype]:
    """The names of the format; those that the installed PyTorch lacks are left out."""
    names = {
        "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
        "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool", "F8_E4M3": "float8_e4m3fn",
        "F8_E5M2": "float8_e5m2", "U16": "uint16", "U32": "uint32", "U64": "uint64",
    }  # fmt: skip
    return {code: getattr(torch, name) for code, name in names.items() if hasattr(torch, name)}


_SAFETENSORS_TYPES = _safetensors_types()

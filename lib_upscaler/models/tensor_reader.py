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
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import torch
from torch import Tensor

from ..errors import ModelFileError, UnsupportedModelError
from .pickles import Placeholder, Record, unpickle
from .stored import DOWNLOAD_AGAIN, Storage, StoredTensor, cannot_load, damaged_file, item_size, truncated_file

__all__ = ["opened", "safetensors_metadata"]

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first object in a file of torch.save before torch 1.6
_LARGEST_HEADER = 100_000_000  # bytes; the limit that safetensors itself sets
_LARGEST_PICKLE = 512_000_000  # bytes, without the tensors' data


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
            with _safetensors(path) as content:
                yield content
        else:
            yield _read_legacy(path, file, data)


def safetensors_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself, as its maker wrote it: any text. Empty for files of other formats.

    Raises ModelFileError, UnsupportedModelError.
    """
    with _file(path) as (_, data):
        head = bytes(data[:512])
    if head[:4] == b"PK\x03\x04" or not _is_safetensors(path, head):
        return {}
    with _opened_safetensors(path) as file:
        return file.metadata() or {}


@contextmanager
def _file(path: Path) -> Iterator[tuple[BinaryIO, mmap.mmap | bytearray]]:
    """The open file and its bytes. Errors of the system come out as ModelFileError."""
    try:
        with path.open("rb") as file:
            yield file, _mapped(file)
    except PermissionError as error:
        raise ModelFileError(cannot_load(path), "it may not be read", "change the file's permissions") from error
    except OSError as error:
        raise ModelFileError(cannot_load(path), error.strerror or str(error), "check the disk it lies on") from error


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


# What is no model file at all


def _refuse_foreign_file(path: Path, head: bytes) -> None:
    """Name what the first bytes show to be something else."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        raise ModelFileError(cannot_load(path), "the file is empty", DOWNLOAD_AGAIN)
    if not any(head):
        raise ModelFileError(cannot_load(path), "the file begins with nothing but zeros", DOWNLOAD_AGAIN)
    if head.startswith(b"version https://git-lfs"):
        raise ModelFileError(
            cannot_load(path), "it is a Git LFS pointer, not the model itself", "fetch the model with 'git lfs pull'"
        )
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")):
        raise ModelFileError(
            cannot_load(path),
            "it is a web page: the download saved the page instead of the file",
            "download the file itself, by the page's download button",
        )
    if path.suffix.lower() == ".onnx" or _is_onnx(head):
        raise UnsupportedModelError(
            cannot_load(path), "it is an ONNX model", "get the PyTorch version of it (.pth or .safetensors)"
        )
    if head.startswith(b"GGUF"):
        raise UnsupportedModelError(cannot_load(path), "it is a GGUF model", "get the version as .pth or .safetensors")
    if head.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ")):
        raise ModelFileError(cannot_load(path), "it is a compressed archive", "unpack it and use the model file inside")
    if head[257:262] == b"ustar":
        raise UnsupportedModelError(
            cannot_load(path),
            "it is a tar archive, as PyTorch before 0.1.10 wrote it",
            "save it again with a newer PyTorch",
        )


def _is_onnx(head: bytes) -> bool:
    """A protobuf that starts as ONNX's ModelProto: field 1 (ir_version), then a field that may follow it."""
    return len(head) > 3 and head[0] == 0x08 and 1 <= head[1] < 32 and head[2] in b"\x12\x1a\x22\x2a\x32\x3a\x42"


def _is_safetensors(path: Path, head: bytes) -> bool:
    """By name (unless it begins as a pickle) or, whatever the name, by a length and a JSON object behind it."""
    named_so = path.suffix.lower() == ".safetensors" and not head.startswith(b"\x80\x02")
    return named_so or (head[8:9] == b"{" and head[5:8] == b"\0\0\0")


# PyTorch: pickles


def _read_legacy(path: Path, file: BinaryIO, data: mmap.mmap | bytearray) -> object:
    """A file of ``torch.save`` before torch 1.6: five pickles, then the data of the storages one behind the other."""
    record = Record()
    starts: dict[str, int] = {}
    widths: dict[str, int] = {}

    def storage_of(pid: tuple) -> Storage:
        _, dtype, key, _, count, *view = pid
        width = widths[key] = item_size(dtype)
        start, length = 0, count
        if view and view[0] is not None:  # (key, offset, length) of a part of the storage
            start, length = int(view[0][1]), int(view[0][2])
        size, skip = length * width, start * width
        if size < 0 or skip < 0:
            raise pickle.UnpicklingError("data of a negative length")
        return Storage(dtype, size, lambda: _bytes(data, starts[key] + skip, size))

    if not data[:1] == b"\x80":
        raise ModelFileError(
            cannot_load(path), "it is not a model file of a known format", "use a .pth, .pt, .ckpt or .safetensors file"
        )
    if unpickle(path, file, record, storage_of) != _LEGACY_MAGIC:
        raise ModelFileError(cannot_load(path), "it is a pickle, but not one of PyTorch", "save it with torch.save")
    _version, system = (unpickle(path, file, record, storage_of) for _ in range(2))
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise UnsupportedModelError(
            cannot_load(path), "it was written on a big-endian machine", "save it as .safetensors"
        )
    content = unpickle(path, file, record, storage_of)
    keys = unpickle(path, file, record, storage_of)
    position = file.tell()
    for key in keys if isinstance(keys, list) else ():
        if key not in widths:
            raise damaged_file(path, "data that belongs to no tensor")
        if position + 8 > len(data):
            raise truncated_file(path)
        (count,) = struct.unpack("<q", data[position : position + 8])
        starts[key] = position + 8
        position += 8 + max(count, 0) * widths[key]
    if position > len(data):
        raise truncated_file(path)
    return content


# PyTorch: zip archives


@contextmanager
def _zip_archive(path: Path, file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        # The list of a zip file's contents stands at its end, so this is what a broken-off download looks like.
        raise truncated_file(path) from error
    with archive:
        yield archive


def _read_zip(path: Path, archive: zipfile.ZipFile, data: mmap.mmap | bytearray) -> object:
    """A file of ``torch.save`` since torch 1.6, or of ``torch.jit.save``."""
    entries = {info.filename: info for info in archive.infolist()}
    roots = sorted((name[: -len("data.pkl")] for name in entries if name.endswith("/data.pkl")), key=len)
    if not roots:
        raise ModelFileError(
            cannot_load(path), "it is a zip archive without a PyTorch model", "unpack it and use the model file inside"
        )
    root = roots[0]
    order = entries.get(f"{root}byteorder")
    if order is not None and _unpacked(path, archive, order, data).strip() == b"big":
        raise UnsupportedModelError(
            cannot_load(path), "it was written on a big-endian machine", "save it as .safetensors"
        )
    table = entries[f"{root}data.pkl"]
    if table.file_size > _LARGEST_PICKLE:
        raise damaged_file(path, "its table of contents is far too large")

    def storage_of(pid: tuple) -> Storage:
        _, dtype, key, _, count, *_ = pid
        info = entries.get(f"{root}data/{key}")
        size = count * item_size(dtype)
        if info is None or not 0 <= size <= info.file_size:
            raise pickle.UnpicklingError("data is missing")
        return Storage(dtype, size, lambda: _entry(archive, info, data))

    content = unpickle(path, io.BytesIO(_unpacked(path, archive, table, data)), Record(), storage_of)
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
        raise damaged_file(path, "the archive cannot be unpacked") from error


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
            cannot_load(path), "it is a frozen TorchScript program without separate weights", "get the weights as .pth"
        )
    return weights


# safetensors


@contextmanager
def _safetensors(path: Path) -> Iterator[dict[str, StoredTensor]]:
    with _opened_safetensors(path) as file:
        yield {name: StoredTensor(partial(_safe_tensor, path, file, name)) for name in file.keys()}  # noqa: SIM118


def _safe_tensor(path: Path, file: Any, name: str) -> Tensor:
    try:
        return file.get_tensor(name)
    except AttributeError as error:  # the library asks torch for the type
        raise _unknown_type(path, name, file.get_slice(name).get_dtype()) from error


@contextmanager
def _opened_safetensors(path: Path) -> Iterator[Any]:
    """The library's own reader. It checks the whole header, and that the tensors fill the file without gaps."""
    try:
        file = safetensors.safe_open(path, framework="pt")
    except safetensors.SafetensorError as error:
        raise _why_not_safe(path, str(error)) from error
    with file:
        yield file


def _why_not_safe(path: Path, said: str) -> ModelFileError | UnsupportedModelError:
    """said: by the library, whose words differ from version to version."""
    plain = said.rpartition("header: ")[2]
    words = plain.lower().replace(" ", "")
    if words in ("headertoosmall", "invalidheaderlength"):
        return truncated_file(path)
    if "incomplete" in words:
        return ModelFileError(
            cannot_load(path), "the file is truncated, or longer than its header says", DOWNLOAD_AGAIN
        )
    for name, kind in _types_in(path).items():
        if kind not in _SAFETENSORS_TYPES:
            return _unknown_type(path, name, kind)
    return ModelFileError(cannot_load(path), f"its safetensors header is wrong ({plain})", DOWNLOAD_AGAIN)


def _types_in(path: Path) -> dict[str, str]:
    """Tensor -> its type's name, of a header that the library refuses for whatever reason; {} where it is no use."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, _LARGEST_HEADER)))
        return {str(name): entry["dtype"] for name, entry in header.items() if name != "__metadata__"}
    except (OSError, ValueError, RecursionError, AttributeError, KeyError, TypeError, struct.error):
        return {}


def _unknown_type(path: Path, name: str, kind: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        cannot_load(path), f"it stores '{name}' as {kind}, which this PyTorch does not know", "get it as F32 or F16"
    )


_SAFETENSORS_TYPES = frozenset(
    ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "U16", "U32", "U64")
)

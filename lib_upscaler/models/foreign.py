"""Files that are no weights of PyTorch: what they are, and what to look for instead. No torch."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ModelFileError, UnsupportedModelError

__all__ = ["is_half_of_ncnn", "refuse_foreign_content", "refuse_foreign_name"]

_DOWNLOAD_AGAIN = "download it again"
_PYTORCH_VERSION = "get the PyTorch version of it (.pth or .safetensors)"
_CONVERTED_FROM = "get the .pth or .safetensors file that it was made from"

_ONNX = "it is an ONNX model"
_NCNN = "it is one half of an NCNN model (a .param and a .bin file)"
_TENSORRT = "it is a TensorRT engine, made for one kind of graphics card"
_TENSORFLOW = "it is a TensorFlow model"
_NUMPY = "it is an archive of NumPy arrays"

_BY_SUFFIX = {
    ".onnx": _ONNX,
    ".ort": "it is a model for ONNX Runtime",
    ".param": _NCNN,
    **dict.fromkeys((".engine", ".trt", ".plan"), _TENSORRT),
    **dict.fromkeys((".pb", ".h5", ".keras", ".tflite"), _TENSORFLOW),
    **dict.fromkeys((".mlmodel", ".mlpackage", ".mlmodelc"), "it is a Core ML model"),
    ".mnn": "it is an MNN model",
    ".gguf": "it is a GGUF model",
    **dict.fromkeys((".npz", ".npy"), _NUMPY),
    **dict.fromkeys((".zip", ".7z", ".rar", ".gz", ".xz", ".tar"), "it is a compressed archive"),
}

_BY_FIRST_BYTES = (
    (b"GGUF", "it is a GGUF model"),
    (b"ftrt", _TENSORRT),
    (b"ptrt", _TENSORRT),
    (b"\x89HDF\r\n\x1a\n", _TENSORFLOW),
    (b"\x93NUMPY", _NUMPY),
)


def refuse_foreign_name(path: Path) -> None:
    """Raises UnsupportedModelError where the file's name says what it is, and that is no weights of PyTorch."""
    what = _BY_SUFFIX.get(path.suffix.lower())
    if what == "it is a compressed archive":
        raise UnsupportedModelError(_cannot_load(path), what, "unpack it and use the model file inside")
    if what is not None:
        raise UnsupportedModelError(
            _cannot_load(path), what, _PYTORCH_VERSION if what in (_ONNX, _NCNN) else _CONVERTED_FROM
        )


def refuse_foreign_content(path: Path, head: bytes) -> None:
    """Name what the first 512 bytes show to be something else. Raises ModelFileError, UnsupportedModelError."""
    _refuse_failed_download(path, head)
    if path.suffix.lower() == ".onnx" or _is_onnx(head):
        raise UnsupportedModelError(_cannot_load(path), _ONNX, _PYTORCH_VERSION)
    if _is_ncnn(path, head):
        raise UnsupportedModelError(_cannot_load(path), _NCNN, _PYTORCH_VERSION)
    what = next((words for magic, words in _BY_FIRST_BYTES if head.startswith(magic)), "")
    if head[4:8] == b"TFL3":
        what = _TENSORFLOW
    if what:
        raise UnsupportedModelError(_cannot_load(path), what, _CONVERTED_FROM)
    if head.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ")):
        raise ModelFileError(
            _cannot_load(path), "it is a compressed archive", "unpack it and use the model file inside"
        )
    if head[257:262] == b"ustar":
        raise UnsupportedModelError(
            _cannot_load(path),
            "it is a tar archive, as PyTorch before 0.1.10 wrote it",
            "save it again with a newer PyTorch",
        )


def _refuse_failed_download(path: Path, head: bytes) -> None:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        raise ModelFileError(_cannot_load(path), "the file is empty", _DOWNLOAD_AGAIN)
    if not any(head) and not _is_ncnn(path, head):
        raise ModelFileError(_cannot_load(path), "the file begins with nothing but zeros", _DOWNLOAD_AGAIN)
    if head.startswith(b"version https://git-lfs"):
        raise ModelFileError(
            _cannot_load(path), "it is a Git LFS pointer, not the model itself", "fetch the model with 'git lfs pull'"
        )
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")):
        raise ModelFileError(
            _cannot_load(path),
            "it is a web page: the download saved the page instead of the file",
            "download the file itself, by the page's download button",
        )


def is_half_of_ncnn(path: str) -> bool:
    """The weights of an NCNN network, beside the file that describes it: a list of models has no use for them."""
    stem, suffix = os.path.splitext(path)
    return suffix.lower() == ".bin" and os.path.exists(f"{stem}.param")


def _is_onnx(head: bytes) -> bool:
    """A protobuf that starts as ONNX's ModelProto: field 1 (ir_version), then a field that may follow it."""
    return len(head) > 3 and head[0] == 0x08 and 1 <= head[1] < 32 and head[2] in b"\x12\x1a\x22\x2a\x32\x3a\x42"


def _is_ncnn(path: Path, head: bytes) -> bool:
    """The text that describes a network; or its weights, which begin with a mark for 16-bit numbers, or with 0 for
    32-bit ones, and have the text beside them.
    """
    if head.startswith((b"7767517\n", b"7767517\r", b"\x47\x6b\x30\x01")):
        return True
    return head[:4] == bytes(4) and is_half_of_ncnn(str(path))


def _cannot_load(path: Path) -> str:
    name = "".join(letter if letter.isprintable() else "?" for letter in path.name[:255])
    return f"cannot load the model '{name}'"

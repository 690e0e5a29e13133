"""Other runtimes for the same network on the CPU, untiled and in float32, where they are installed.

``pip install openvino onnxruntime ncnn pnnx onnx``; each is prepared for the very sizes that it will get, before
anything is timed.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

__all__ = ["RUNTIMES", "is_installed", "prepared"]

Sized = tuple[int, int]
"""Width and height."""

Planes = Callable[[np.ndarray], np.ndarray]
"""``(1, 3, H, W)`` float32 in [0, 1] to ``(1, 3, H * scale, W * scale)``."""

_NEEDED = {
    "openvino": ("openvino",),
    "openvino bf16": ("openvino",),
    "onnxruntime": ("onnxruntime",),
    "ncnn": ("ncnn", "pnnx"),
}

RUNTIMES = tuple(_NEEDED)


def is_installed(runtime: str) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in _NEEDED[runtime])


def prepared(runtime: str, network: Any, sizes: Iterable[Sized]) -> Callable[[Image.Image], Image.Image]:
    """What upscales RGB pictures of these sizes. network: spandrel's descriptor, float32 on the CPU."""
    folder = Path(tempfile.mkdtemp())
    if runtime.startswith("openvino"):
        made = {size: _openvino(_onnx(network, size, folder), runtime.endswith("bf16")) for size in sizes}
    elif runtime == "onnxruntime":
        made = {size: _onnxruntime(_onnx(network, size, folder)) for size in sizes}
    else:
        made = {size: _ncnn(network, size, folder) for size in sizes}

    def upscale(image: Image.Image) -> Image.Image:
        planes = np.asarray(image.convert("RGB"), np.float32).transpose(2, 0, 1)[None] / 255
        output = made[image.size](np.ascontiguousarray(planes))[0].transpose(1, 2, 0)
        return Image.fromarray(np.floor(output * 255 + 0.5).clip(0, 255).astype(np.uint8))

    return upscale


def _example(size: Sized) -> torch.Tensor:
    return torch.rand(1, 3, size[1], size[0])


def _onnx(network: Any, size: Sized, folder: Path) -> str:
    file = str(folder / f"{size[0]}x{size[1]}.onnx")
    with torch.inference_mode(False), torch.no_grad():
        torch.onnx.export(network.model, (_example(size),), file, opset_version=17)
    return file


def _openvino(file: str, bf16: bool) -> Planes:
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    compiled = core.compile_model(core.read_model(file), "CPU", settings)
    return lambda planes: compiled(planes)[0]


def _onnxruntime(file: str) -> Planes:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda planes: session.run(None, {name: planes})[0]


def _ncnn(network: Any, size: Sized, folder: Path) -> Planes:
    import ncnn
    import pnnx

    path = folder / f"ncnn{size[0]}x{size[1]}.pt"
    pnnx.export(network.model, str(path), (_example(size),), fp16=False)
    net = ncnn.Net()
    net.opt.num_threads = torch.get_num_threads()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.load_param(str(path.with_suffix(".ncnn.param")))
    net.load_model(str(path.with_suffix(".ncnn.bin")))

    def run(planes: np.ndarray) -> np.ndarray:
        with net.create_extractor() as extractor:
            extractor.input("in0", ncnn.Mat(planes[0]).clone())
            _, output = extractor.extract("out0")
            return np.array(output)[None]

    return run

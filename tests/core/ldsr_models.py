"""Random models of LDSR in the real layout, and files of them as they are found."""

from __future__ import annotations

import io
import pickle
import sys
import types
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from lib_upscaler.models.ldsr.layout import DecoderLayout, LdsrLayout, UNetLayout
from lib_upscaler.models.ldsr.network import LdsrNetwork, fill, outline
from lib_upscaler.models.ldsr.schedule import default_alphas

REAL = LdsrLayout(
    UNetLayout(6, 3, 160, (1, 2, 2, 4), 2, (3,)), DecoderLayout(128, (1, 2, 4), 3, 3, 3, 8192, 3), averaged=True
)
"""The sizes of the model that there is."""

SMALL = LdsrLayout(
    UNetLayout(6, 3, 32, (1, 2, 2, 4), 1, (3,)), DecoderLayout(32, (1, 2, 4), 2, 3, 3, 256, 3), averaged=True
)
TINY = LdsrLayout(
    UNetLayout(6, 3, 32, (1, 1, 1, 1), 1, (3,)), DecoderLayout(32, (1, 1, 1), 1, 3, 3, 256, 3), averaged=True
)
"""For what has to be run often."""


def unet_weights(layout: LdsrLayout, seed: int = 0) -> dict[str, Tensor]:
    """A network that finds about the noise that there is, and something random besides, so that all stays in bounds.

    Its first and last layers carry the latent through; all else is random, nothing is zero.
    """
    unet = layout.unet
    weights = {name: _random(name, tuple(w.shape), seed, 0.7) for name, w in outline(layout)[0].state_dict().items()}
    last = unet.up()[-1]
    first, skip = (
        weights["input_blocks.0.0.weight"],
        weights[f"output_blocks.{len(unet.up()) - 1}.0.skip_connection.weight"],
    )
    first[: 2 * unet.outputs] *= 0.1
    weights["out.2.weight"] *= 0.5
    for channel in range(unet.outputs):
        for place, sign in ((channel, 1.0), (unet.outputs + channel, -1.0)):
            first[place, channel, 1, 1] += sign
            skip[place, last.inputs - last.skip + place] += 4.0
            weights["out.2.weight"][channel, place, 1, 1] += sign
    return weights


def first_stage_weights(layout: LdsrLayout, seed: int = 0) -> dict[str, Tensor]:
    """A decoder that gives pictures of middling contrast."""
    weights = {name: _random(name, tuple(w.shape), seed) for name, w in outline(layout)[1].state_dict().items()}
    weights["decoder.conv_out.weight"] *= 0.4
    weights["quantize.embedding.weight"] = _random("codes", (layout.decoder.codes, layout.decoder.code_channels), seed)
    return weights


def _random(name: str, shape: tuple[int, ...], seed: int, gain: float = 1.0) -> Tensor:
    """The same numbers on every machine and with every version."""
    values = np.random.RandomState(zlib.crc32(f"{seed} {name}".encode())).standard_normal(shape).astype(np.float32)
    if name == "codes":
        return torch.from_numpy(values * 0.7)
    if len(shape) > 1:
        values *= gain / np.sqrt(np.prod(shape[1:]))
    else:
        values *= 0.1
        if "norm" in name or name.endswith(("in_layers.0.weight", "out_layers.0.weight", "out.0.weight")):
            values += not name.endswith("bias")
    return torch.from_numpy(values)


def network(layout: LdsrLayout = SMALL, seed: int = 0, alphas: np.ndarray | None = None) -> LdsrNetwork:
    """Without a file."""
    unet, first_stage = outline(layout)
    fill(unet, unet_weights(layout, seed))
    fill(first_stage, first_stage_weights(layout, seed))
    return LdsrNetwork(layout, unet, first_stage, default_alphas() if alphas is None else alphas)


def state_dict(layout: LdsrLayout = SMALL, seed: int = 0, averaged: bool = True) -> dict[str, Tensor]:
    """As the file has it. The weights of the last step are others than their average, and there is an encoder."""
    unet = unet_weights(layout, seed)
    last = unet_weights(layout, seed + 100) if averaged else unet
    alphas = torch.from_numpy(default_alphas())
    state = {"betas": torch.full((1000,), 0.01), "alphas_cumprod": alphas}
    state.update({f"model.diffusion_model.{name}": weight for name, weight in last.items()})
    if averaged:
        state["model_ema.decay"] = torch.tensor(0.9999)
        state["model_ema.num_updates"] = torch.tensor(123, dtype=torch.int32)
        state.update({f"model_ema.diffusion_model{name.replace('.', '')}": weight for name, weight in unet.items()})
    state.update({f"first_stage_model.{name}": w for name, w in first_stage_weights(layout, seed).items()})
    state["first_stage_model.encoder.conv_in.weight"] = torch.randn(layout.decoder.width, 3, 3, 3)
    state["first_stage_model.quant_conv.weight"] = torch.randn(3, 3, 1, 1)
    return state


def save_safetensors(state: Mapping[str, Tensor], path: Path) -> Path:
    safetensors.torch.save_file({name: weight.contiguous() for name, weight in state.items()}, path)
    return path


def save_ckpt(state: Mapping[str, Tensor], path: Path, legacy: bool = False) -> Path:
    """As Lightning saves it: a class of its own as a key, and the optimiser's moments. legacy: before torch 1.6."""
    names = [name for name in state if name.startswith("model.diffusion_model.")]
    moments = {
        number: {"step": 5, "exp_avg": state[name] * 0.1, "exp_avg_sq": state[name] ** 2}
        for number, name in enumerate(names)
    }
    with _lightning() as checkpoint_class:
        content = {
            "epoch": 3,
            "global_step": 1000,
            "pytorch-lightning_version": "1.4.2",
            "state_dict": OrderedDict(state),
            "callbacks": {checkpoint_class: {"monitor": "val/loss", "best_model_path": "/x"}},
            "optimizer_states": [{"state": moments, "param_groups": [{"lr": 1e-6, "params": list(moments)}]}],
            "lr_schedulers": [],
        }
        torch.save(content, path, pickle_module=pickle, _use_new_zipfile_serialization=not legacy)
    return path


class _lightning:  # noqa: N801 - used as a function
    """A stand-in for the class that such files name; it is gone again when the file is read."""

    MODULE = "pytorch_lightning.callbacks.model_checkpoint"

    def __enter__(self) -> type:
        made = type("ModelCheckpoint", (), {"__module__": self.MODULE})
        self.before = dict(sys.modules)
        for name in ("pytorch_lightning", "pytorch_lightning.callbacks", self.MODULE):
            sys.modules[name] = types.ModuleType(name)
        sys.modules[self.MODULE].ModelCheckpoint = made  # type: ignore[attr-defined]
        return made

    def __exit__(self, *_: object) -> None:
        for name in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
            if name not in self.before:
                del sys.modules[name]


def pickled_names(path: Path) -> bytes:
    """All that a checkpoint's pickle says, to look for a name in it."""
    import zipfile

    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        return next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))

"""LDSR's file: known by its keys, read without running anything in it, and only what is needed of it.

Of the 2 GB of the usual ``model.ckpt`` that is 0.6 GB: no moments of the optimiser, no encoder, and of the UNet only
the average over the training, which is what the WebUI samples with (``use_ema``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ...errors import ModelFileError, UnsupportedModelError
from ...store import DiskCache
from ..card import ModelCard, keep_sha256, known_sha256
from ..entry import ModelEntry, entry_of
from ..stored import DOWNLOAD_AGAIN, StoredTensor, cannot_load, shown
from ..weights import Origin, look_into, read_chosen
from .layout import FIRST_STAGE, UNET, LdsrLayout, NotLdsr, is_ldsr, layout_of
from .network import LdsrNetwork, fill, outline
from .schedule import STEPS, default_alphas

__all__ = [
    *("ARCHITECTURE", "NO_AVERAGE", "card_of_layout", "ldsr_card", "load_ldsr", "looks_like_ldsr", "recognise"),
]

ARCHITECTURE = "LDSR"
NO_AVERAGE = (
    "this file lacks the average of the UNet's weights over the training (model_ema), which gives better pictures; "
    "the weights of the last step are used"
)
_ALPHAS, _SCALE_FACTOR = "alphas_cumprod", "scale_factor"
_MANY_EXAMPLES = 3


def recognise(path: Path) -> LdsrLayout | None:
    """The sizes of the networks, if the file is of LDSR; None if it is something else. Only its directory is read.

    Raises ModelFileError for a file of LDSR in which something is missing, and the errors of ``weights.read_model`` for
    one that cannot be read.
    """
    stored = _tensors(look_into(path))
    shapes = {name: tensor.shape for name, tensor in stored.items()}
    if not is_ldsr(shapes):
        return None
    layout = _layout(Path(path), shapes)
    _wanted(Path(path), stored, layout)
    return layout


def looks_like_ldsr(path: Path) -> bool:
    """Whether it has the parts of LDSR, complete or not. Raises the errors of ``weights.read_model``."""
    return is_ldsr({name: tensor.shape for name, tensor in _tensors(look_into(path)).items()})


def load_ldsr(path: Path) -> tuple[LdsrNetwork, Origin]:
    """The networks, float32 on the CPU. The file is read once, from end to end.

    Raises UnsupportedModelError for a file of something else, and the errors of ``recognise``.
    """
    layouts: list[LdsrLayout] = []

    def choose(path: Path, content: object) -> dict[str, StoredTensor]:
        stored = _tensors(content)
        shapes = {name: tensor.shape for name, tensor in stored.items()}
        if not is_ldsr(shapes):
            raise UnsupportedModelError(cannot_load(path), "it is no model of LDSR", "choose LDSR's model.ckpt")
        layouts.append(_layout(path, shapes))
        return _wanted(path, stored, layouts[0])

    weights, origin = read_chosen(path, choose)
    layout = layouts[0]
    with torch.inference_mode(False), torch.no_grad():
        unet, first_stage = outline(layout)
        fill(unet, {name: weights.pop(layout.stored_name(name)) for name in unet.state_dict()})
        fill(first_stage, {name: weights.pop(FIRST_STAGE + name) for name in first_stage.state_dict()})
    alphas = weights[_ALPHAS].float().numpy().copy() if _ALPHAS in weights else default_alphas()
    _check_alphas(Path(path), alphas)
    factor = float(weights[_SCALE_FACTOR]) if _SCALE_FACTOR in weights else 1.0
    if factor <= 0:
        raise ModelFileError(cannot_load(Path(path)), "its scale_factor is not above 0", DOWNLOAD_AGAIN)
    notes = () if layout.averaged else (NO_AVERAGE,)
    return LdsrNetwork(layout, unet, first_stage, alphas, factor, notes, origin.sha256), origin


def ldsr_card(
    path: Path, cache: DiskCache | None = None, *, name: str = "", origin: Origin | None = None
) -> ModelCard | None:
    """The card of a file of LDSR; None for another file. Only its directory is read.

    origin: of the file, where it was loaded. sha256: "" until it was read as a whole once.

    Raises the errors of ``recognise``.
    """
    layout = recognise(path)
    return None if layout is None else card_of_layout(entry_of(path, name), layout, cache, origin)


def card_of_layout(
    entry: ModelEntry, layout: LdsrLayout, cache: DiskCache | None = None, origin: Origin | None = None
) -> ModelCard:
    """The card of a file whose networks are of these sizes."""
    if origin is not None:
        entry = replace(entry, size_bytes=origin.size_bytes, mtime_ns=origin.mtime_ns)
        keep_sha256(entry, origin.sha256, cache)
    networks = outline(layout)
    return ModelCard(
        name=entry.name,
        path=entry.path,
        architecture=ARCHITECTURE,
        scale=layout.decoder.scale,
        input_channels=layout.decoder.outputs,
        output_channels=layout.decoder.outputs,
        purpose="upscaling",
        precision=("float16", "bfloat16"),
        tiling_effect="changes the result",
        minimum=1,
        multiple_of=1,
        square=False,
        parameters=sum(weight.numel() for network in networks for weight in network.parameters()),
        file_size=entry.size_bytes,
        sha256=origin.sha256 if origin is not None else known_sha256(entry, cache),
        tags=("diffusion",),
    )


def _tensors(content: object) -> dict[str, StoredTensor]:
    """Those of the model: a checkpoint of Lightning has them under "state_dict", beside the optimiser's."""
    inner = content.get("state_dict") if isinstance(content, dict) else None
    found = inner if isinstance(inner, dict) else content if isinstance(content, dict) else {}
    return {name: value for name, value in found.items() if isinstance(value, StoredTensor)}


def _layout(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> LdsrLayout:
    try:
        return layout_of(shapes)
    except NotLdsr as error:
        raise _incomplete(path, str(error)) from None


def _incomplete(path: Path, why: str) -> ModelFileError:
    return ModelFileError(cannot_load(path), f"it is a damaged or incomplete model of LDSR: {why}", DOWNLOAD_AGAIN)


def _wanted(path: Path, stored: Mapping[str, StoredTensor], layout: LdsrLayout) -> dict[str, StoredTensor]:
    """What is needed of the file, by its names there. Raises ModelFileError where something is not as it should be."""
    unet, first_stage = outline(layout)
    expected = {
        "the UNet" + (" (its average)" if layout.averaged else ""): {
            layout.stored_name(name): tuple(weight.shape) for name, weight in unet.state_dict().items()
        },
        "the decoder": {FIRST_STAGE + name: tuple(w.shape) for name, w in first_stage.state_dict().items()},
    }
    for part, shapes in expected.items():
        missing = [name for name in shapes if name not in stored]
        if missing:
            names = ", ".join(f"'{shown(name)}'" for name in missing[:_MANY_EXAMPLES])
            more = f" and {len(missing) - _MANY_EXAMPLES} more" if len(missing) > _MANY_EXAMPLES else ""
            raise _incomplete(path, f"{len(missing)} of {len(shapes)} weights of {part} are missing: {names}{more}")
        wrong = [name for name, shape in shapes.items() if stored[name].shape != shape]
        if wrong:
            raise _incomplete(path, f"the weight '{shown(wrong[0])}' of {part} has a wrong shape")
    _refuse_strangers(path, stored, layout, expected)
    chosen = {name: stored[name] for shapes in expected.values() for name in shapes}
    if _ALPHAS in stored and stored[_ALPHAS].shape == (STEPS,):
        chosen[_ALPHAS] = stored[_ALPHAS]
    if _SCALE_FACTOR in stored and stored[_SCALE_FACTOR].shape == ():
        chosen[_SCALE_FACTOR] = stored[_SCALE_FACTOR]
    return chosen


def _refuse_strangers(
    path: Path, stored: Mapping[str, StoredTensor], layout: LdsrLayout, expected: Mapping[str, Mapping[str, object]]
) -> None:
    """A network with parts beyond those that are known would run without them, and give something else."""
    known = {name for names in expected.values() for name in names}
    own = ("model_ema.diffusion_model",) if layout.averaged else (UNET,)
    for name in stored:
        if name.startswith((*own, FIRST_STAGE + "decoder.")) and name not in known:
            raise _incomplete(
                path, f"the weight '{shown(name)}' belongs to no network of its kind, or others are missing"
            )


def _check_alphas(path: Path, alphas: np.ndarray) -> None:
    if not (alphas[-1] > 0 and alphas[0] < 1 and bool((np.diff(alphas) < 0).all())):
        raise ModelFileError(cannot_load(path), "its noise levels (alphas_cumprod) do not fall", DOWNLOAD_AGAIN)

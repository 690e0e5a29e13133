"""From weights to a network in memory, or to an error that says what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import MemoryLimitError, TrueScaleError, UnsupportedModelError, memory_ran_out
from .architectures import construct, detect, missing_package, registry
from .build_limit import TooMuch
from .plain_layers import make_plain
from .spandrels import newer_one, spandrel_in_use, versions_in_use
from .stored import largest_content, shown
from .weights import Use, read_model, read_state_dict, refuse_uses

if TYPE_CHECKING:
    import spandrel

__all__ = ["build", "read_model", "read_state_dict", "registry"]

_CHANNELS = (1, 3, 4)
_TRUE_MULTIPLES = {"AdaCode": 64}
"""px that both sides must be multiples of, where an older spandrel_extra_arches says too little and crashes."""


def build(state_dict: Mapping[str, Tensor], name: str) -> spandrel.ImageModelDescriptor:
    """The network of these weights: float32, on the CPU, in evaluation mode, without gradients.

    name: of the model, for messages. The state dict is not changed. The random numbers of torch are not advanced.

    Raises UnsupportedModelError for an unknown architecture, for weights that do not fit the one that they resemble,
    and for what is no upscaling or restoring network of one picture with 1, 3 or 4 channels; MemoryLimitError.
    """
    try:
        return _built(dict(state_dict), name)
    except TrueScaleError:
        raise
    except Exception as error:
        if memory_ran_out(error):
            raise _too_large(name) from error
        raise UnsupportedModelError(
            f"cannot load the model '{name}'", f"it cannot be followed: {_cause(error)}", "use another model"
        ) from error


def _built(weights: dict[str, Tensor], name: str) -> spandrel.ImageModelDescriptor:
    support = _detect(weights, name)
    architecture = support.architecture
    if architecture.id in _REFUSED:
        raise _not_an_upscaler(name, architecture.name, _REFUSED[architecture.id])
    _check_extent(weights, name)
    weights = {key: _ordinary(value) for key, value in weights.items()}
    try:
        descriptor = construct(support, weights)
    except ImportError as error:
        raise missing_package(error) from error
    except Exception as error:  # each architecture fails in its own way on weights that it does not expect
        if memory_ran_out(error):
            raise _too_large(name) from error
        raise UnsupportedModelError(
            f"cannot load the model '{name}'",
            f"it looks like {architecture.name}, but {_cause(error)}",
            newer_one() or "it may be damaged, or a variant that spandrel does not know",
        ) from error
    _check_use(descriptor, name)
    descriptor.model.to(device="cpu", dtype=torch.float32).eval().requires_grad_(False)
    make_plain(descriptor.model)
    multiple = _TRUE_MULTIPLES.get(architecture.id, 1)
    if descriptor.size_requirements.multiple_of < multiple:
        required = descriptor.size_requirements
        descriptor.size_requirements = type(required)(required.minimum, multiple, required.square)
    return descriptor


# Building

# What people put into the wrong folder. Each: words, and a test of the keys.
_OTHER_USES: tuple[Use, ...] = (
    ("an inpainting network (MAT)", lambda key: key.startswith("model.synthesis.first_stage.")),
    ("a LoRA", lambda key: key.startswith(("lora_unet_", "lora_te")) or ".lora_down." in key or ".lora_A." in key),
    ("a ControlNet", lambda key: key.startswith(("control_model.", "controlnet_cond_embedding."))),
    ("a VAE", lambda key: key.startswith(("first_stage_model.", "encoder.down.0.block.", "encoder.down_blocks.0."))),
    ("a text encoder", lambda key: key.startswith(("text_model.encoder.", "transformer.text_model."))),
    ("a textual inversion embedding", lambda key: key in ("emb_params", "string_to_param", "clip_g")),
)


_FACE = "restores faces that were cut out and aligned, not whole pictures"
_INPAINTING = "does inpainting: it needs a mask beside the picture"
_COLOURS = "colours grey pictures, and does not upscale"
_REFUSED = {
    "GFPGAN": _FACE,
    "CodeFormer": _FACE,
    "RestoreFormer": _FACE,
    "LaMa": _INPAINTING,
    "MAT": _INPAINTING,
    "DDColor": _COLOURS,
}
"""Architectures (spandrel's ids) that are refused before they are built, and why."""


def _detect(weights: dict[str, Tensor], name: str) -> spandrel.ArchSupport:
    """The architecture of these weights."""
    known = registry()
    support = detect(weights, known)
    if support is not None:
        return support
    refuse_uses(name, weights, _OTHER_USES)
    raise UnsupportedModelError(
        f"cannot load the model '{name}'",
        f"its architecture is none of the {len(known)} that spandrel {versions_in_use()[0]} knows",
        newer_one() or "use another model; a later TrueScale may know this one",
    )


def _check_extent(weights: Mapping[str, Tensor], name: str) -> None:
    """Raises UnsupportedModelError for tensors that are far larger than their data, of which they repeat a little."""
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in weights.values()}
    written_out = sum(value.numel() * value.element_size() for value in weights.values())
    if written_out > largest_content(sum(storages.values())):
        raise UnsupportedModelError(
            f"cannot load the model '{name}'", "its weights only repeat a few numbers", "use another model"
        )


def _ordinary(value: Tensor) -> Tensor:
    """8-bit floats have no arithmetic of their own: as float32. All other types are left to the network."""
    return value.float() if value.is_floating_point() and value.element_size() == 1 else value


def _check_use(descriptor: Any, name: str) -> None:
    """Refuse what is not a network from one picture to one picture."""
    spandrel = spandrel_in_use().package
    architecture = descriptor.architecture.name
    if isinstance(descriptor, spandrel.MaskedImageModelDescriptor) or descriptor.purpose == "Inpainting":
        raise _not_an_upscaler(name, architecture, _INPAINTING)
    if descriptor.purpose == "FaceSR":
        raise _not_an_upscaler(name, architecture, _FACE)
    if not isinstance(descriptor, spandrel.ImageModelDescriptor):
        raise _not_an_upscaler(name, architecture, "does not turn one picture into one picture")
    if descriptor.input_channels not in _CHANNELS or descriptor.output_channels not in _CHANNELS:
        raise _not_an_upscaler(
            name,
            architecture,
            f"turns {descriptor.input_channels} channels into {descriptor.output_channels}, "
            "where a picture has 1, 3 or 4 channels",
        )


def _not_an_upscaler(name: str, architecture: str, why: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"cannot use the model '{name}'", f"it is a {architecture} network, which {why}", "choose an upscaling model"
    )


def _too_large(name: str) -> MemoryLimitError:
    return MemoryLimitError(f"cannot load the model '{name}'", "there is not enough memory", "close other programs")


def _cause(error: Exception) -> str:
    """In words, and short: what an architecture's loader stumbled over."""
    text = str(error)
    if isinstance(error, TooMuch):
        return "its names and shapes ask for a network far larger than the file"
    if isinstance(error, KeyError):
        return f"its weight '{shown(str(error.args[0]) if error.args else '')}' is missing"
    if "loading state_dict" in text:
        return _mismatch(text)
    first_line = shown(text.strip().partition("\n")[0], 160)
    detail = f": {first_line}" if first_line else ""
    return f"its weights do not fit together ({type(error).__name__}{detail})"


def _mismatch(text: str) -> str:
    """torch's list of keys, which may be thousands long, as counts with one example each."""
    findings = []
    for label, words in (("Missing key", "missing"), ("Unexpected key", "too many")):
        part = re.search(rf'{label}\(s\) in state_dict: ((?:"[^"]*"(?:, )?)+)', text)
        keys = re.findall(r'"([^"]*)"', part.group(1)) if part else []
        if keys:
            findings.append(f"{len(keys)} of its weights are {words} (such as '{shown(keys[0])}')")
    wrong = re.findall(r"size mismatch for ([^:\s]+):", text)
    if wrong:
        findings.append(f"{len(wrong)} of its weights have another size (such as '{shown(wrong[0])}')")
    return " and ".join(findings) or "its weights do not fit"

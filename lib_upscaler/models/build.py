"""From a model file to a network in memory: safely, or with an error that says what is wrong with the file."""

from __future__ import annotations

import re
import stat
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import (
    BrokenModelError,
    MemoryLimitError,
    ModelError,
    ModelFileError,
    ModelNotFoundError,
    UnsupportedModelError,
)
from .pickles import Placeholder
from .plain_layers import make_plain
from .stored import StoredTensor
from .tensor_reader import opened

if TYPE_CHECKING:
    import spandrel

__all__ = ["build", "read_state_dict", "registry"]

# Where training programs put the weights inside a checkpoint, the better ones first: spandrel's list and order, and
# three more names.
_WRAPPERS = (
    "model_state_dict", "state_dict", "params_ema", "params-ema", "params", "model", "net",
    "generator", "net_g", "network",
)  # fmt: skip
_PREFIXES = ("module.", "netG.", "_orig_mod.")  # of DataParallel, BasicSR-like trainers and torch.compile
_CHANNELS = (1, 3, 4)
_BUILDING = threading.Lock()


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The weights in a ``.pth``, ``.pt``, ``.ckpt`` or ``.safetensors`` file, on the CPU, in the types that it has.

    Wrappers ("params_ema", "state_dict" ...) and common prefixes are taken off, everything that is not a tensor is left
    out, and every number is checked to be finite. Nothing in the file is run. The tensors may share memory with the
    mapped file: drop them before that file is replaced.

    Raises ModelNotFoundError, ModelFileError, UnsafeModelError, UnsupportedModelError or BrokenModelError.
    """
    path = Path(path)
    _check_is_file(path)
    with torch.inference_mode(False), opened(path) as content:
        stored = _without_prefix(_weights_in(path, content))
        _refuse_uses(path.name, stored, (_DIFFUSION,))
        weights = {key: _loaded(path, value) for key, value in stored.items()}
        for key, value in weights.items():
            _check_numbers(path.name, key, value)
    return weights


_TRUE_MULTIPLES = {"AdaCode": 64}
"""px that both sides must be multiples of, where an older spandrel_extra_arches says too little and crashes."""


def build(state_dict: Mapping[str, Tensor], name: str) -> spandrel.ImageModelDescriptor:
    """The network of these weights: float32, on the CPU, in evaluation mode, without gradients.

    name: of the model, for messages. The state dict is not changed. The random numbers of torch are not advanced.

    Raises UnsupportedModelError for an unknown architecture, for weights that do not fit the one that they resemble,
    and for what is no upscaling or restoring network of one picture with 1, 3 or 4 channels; MemoryLimitError.
    """
    weights = {key: _ordinary(value) for key, value in state_dict.items()}
    support = _detect(weights, name)
    architecture = support.architecture
    if architecture.id in _REFUSED:
        raise _not_an_upscaler(name, architecture.name, _REFUSED[architecture.id])
    # Networks fill themselves with random numbers before the weights come: the caller's stream must not notice.
    with _BUILDING, torch.random.fork_rng(devices=[]), torch.inference_mode(False):
        try:
            descriptor = architecture.load(weights)
        except MemoryError as error:
            raise _too_large(name) from error
        except ImportError as error:
            raise _missing_package(error) from error
        except Exception as error:  # each architecture fails in its own way on weights that it does not expect
            if "not enough memory" in str(error):
                raise _too_large(name) from error
            raise UnsupportedModelError(
                f"cannot load the model '{name}'",
                f"it looks like {architecture.name}, but {_cause(error)}",
                "it may be damaged, or a variant that the installed spandrel does not know",
            ) from error
    _check_use(descriptor, name)
    descriptor.model.to(device="cpu", dtype=torch.float32).eval().requires_grad_(False)
    make_plain(descriptor.model)
    multiple = _TRUE_MULTIPLES.get(architecture.id, 1)
    if descriptor.size_requirements.multiple_of < multiple:
        required = descriptor.size_requirements
        descriptor.size_requirements = type(required)(required.minimum, multiple, required.square)
    return descriptor


def registry() -> spandrel.ArchRegistry:
    """spandrel's architectures and those of spandrel_extra_arches that it lacks. A new one: no global is changed.

    Raises ModelError where spandrel is not installed.
    """
    try:
        from spandrel import MAIN_REGISTRY
    except ImportError as error:
        raise _missing_package(error) from error
    own = MAIN_REGISTRY.copy()
    try:
        from spandrel_extra_arches import EXTRA_REGISTRY
    except (ImportError, AttributeError, TypeError):  # not installed, or made for another spandrel: do without it
        return own
    own.add(*(support for support in EXTRA_REGISTRY if support.architecture.id not in own))
    return own


# Reading


def _check_is_file(path: Path) -> None:
    what = f"cannot load the model '{path.name}'"
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelNotFoundError(
            what, "there is no such file", "check the name, or refresh the list of models"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise ModelFileError(what, f"the file cannot be reached ({error})", "check the path") from error
    if stat.S_ISDIR(mode):
        raise ModelFileError(what, "it is a folder", "name a model file in it")
    if not stat.S_ISREG(mode):
        raise ModelFileError(what, "it is not an ordinary file", "name a model file")


def _weights_in(path: Path, content: object) -> dict[str, StoredTensor]:
    """The innermost dict of tensors."""
    what = f"cannot load the model '{path.name}'"
    if not isinstance(content, dict):
        raise ModelFileError(what, f"it holds {_in_words(content)} instead of named weights", "use another file")
    for _ in range(8):
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), dict)), None)
        if inner is None and len(content) == 1:
            inner = next(iter(content.values()))
        if not isinstance(inner, dict):
            break
        content = inner
    weights = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, StoredTensor)}
    if not weights:
        raise ModelFileError(what, "it holds no weights", "use another file")
    return weights


def _in_words(content: object) -> str:
    if isinstance(content, StoredTensor):
        return "a single tensor"
    if isinstance(content, Placeholder):
        return f"an object of the type '{content.global_name}'"
    return {list: "a list", tuple: "a list", str: "a text", type(None): "nothing"}.get(type(content), "a single value")


def _without_prefix(weights: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in weights):
            weights = {key[len(prefix) :]: value for key, value in weights.items()}
    return weights


def _loaded(path: Path, stored: StoredTensor) -> Tensor:
    try:
        return stored.load()
    except MemoryError as error:
        raise _too_large(path.name) from error
    except Exception as error:  # whatever a description that does not fit its data leads to
        raise ModelFileError(
            f"cannot load the model '{path.name}'", "the file is damaged (its data is incomplete)", "download it again"
        ) from error


def _check_numbers(name: str, key: str, value: Tensor) -> None:
    """Refuse what is not finite in float32. Needs memory for one tensor at most; masks may hold infinities."""
    if value.is_complex():
        raise UnsupportedModelError(
            f"cannot load the model '{name}'", f"its weight '{key}' holds complex numbers", "use another model"
        )
    if not value.is_floating_point() or value.numel() == 0 or "mask" in key.rpartition(".")[2]:
        return
    wide = value if value.dtype in (torch.float32, torch.float64) else value.float()
    low, high = (extreme.item() for extreme in torch.aminmax(wide))
    limit = torch.finfo(torch.float32).max
    if not (low >= -limit and high <= limit):  # so that NaN, which compares false, is caught
        raise BrokenModelError(
            f"the model '{name}' is broken",
            f"its weight '{key}' holds values that are not finite numbers",
            "download it again; if that does not help, the model itself is at fault",
        )


# Building

# What people put into the wrong folder. Each: words, and a test of the keys. Only the first is asked before the
# architecture is looked for: it may be many gigabytes, and no upscaler has such keys.
_DIFFUSION = (
    "a Stable Diffusion checkpoint (or another latent diffusion model)",
    lambda key: key.startswith(("model.diffusion_model.", "cond_stage_model.", "conditioner.embedders.")),
)
_OTHER_USES: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("an inpainting network (MAT)", lambda key: key.startswith("model.synthesis.first_stage.")),
    ("a LoRA", lambda key: key.startswith(("lora_unet_", "lora_te")) or ".lora_down." in key or ".lora_A." in key),
    ("a ControlNet", lambda key: key.startswith(("control_model.", "controlnet_cond_embedding."))),
    ("a VAE", lambda key: key.startswith(("first_stage_model.", "encoder.down.0.block.", "encoder.down_blocks.0."))),
    ("a text encoder", lambda key: key.startswith(("text_model.encoder.", "transformer.text_model."))),
    ("a textual inversion embedding", lambda key: key in ("emb_params", "string_to_param", "clip_g")),
)


def _refuse_uses(name: str, weights: Mapping[str, object], uses: tuple[tuple[str, Callable[[str], bool]], ...]) -> None:
    for words, matches in uses:
        if any(matches(key) for key in weights):
            raise UnsupportedModelError(
                f"cannot load the model '{name}'",
                f"it is {words}, not an upscaler",
                "move it to the folder for its kind, and choose an upscaling model",
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
    for support in known.architectures("detection"):
        if support.detect(weights):
            return support
    _refuse_uses(name, weights, _OTHER_USES)
    raise UnsupportedModelError(
        f"cannot load the model '{name}'",
        f"its architecture is none of the {len(known)} that the installed spandrel knows",
        "use another model; a newer spandrel may know this one",
    )


def _ordinary(value: Tensor) -> Tensor:
    """8-bit floats have no arithmetic of their own: as float32. All other types are left to the network."""
    return value.float() if value.is_floating_point() and value.element_size() == 1 else value


def _check_use(descriptor: Any, name: str) -> None:
    """Refuse what is not a network from one picture to one picture."""
    import spandrel

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


def _missing_package(error: ImportError) -> ModelError:
    package = (error.name or "spandrel").partition(".")[0]
    return ModelError(
        "cannot load any model",
        f"the Python package '{package}' cannot be imported ({error})",
        f"install it with 'pip install {package}', or run install.py again",
    )


def _cause(error: Exception) -> str:
    """In words, and short: what an architecture's loader stumbled over."""
    text = str(error)
    if isinstance(error, KeyError):
        return f"its weight '{error.args[0] if error.args else ''}' is missing"
    if "loading state_dict" in text:
        return _mismatch(text)
    first_line = text.strip().partition("\n")[0]
    detail = f": {first_line[:160]}" if first_line else ""
    return f"its weights do not fit together ({type(error).__name__}{detail})"


def _mismatch(text: str) -> str:
    """torch's list of keys, which may be thousands long, as counts with one example each."""
    findings = []
    for label, words in (("Missing key", "missing"), ("Unexpected key", "too many")):
        part = re.search(rf'{label}\(s\) in state_dict: ((?:"[^"]*"(?:, )?)+)', text)
        keys = re.findall(r'"([^"]*)"', part.group(1)) if part else []
        if keys:
            findings.append(f"{len(keys)} of its weights are {words} (such as '{keys[0]}')")
    wrong = re.findall(r"size mismatch for ([^:\s]+):", text)
    if wrong:
        findings.append(f"{len(wrong)} of its weights have another size (such as '{wrong[0]}')")
    return " and ".join(findings) or "its weights do not fit"

"""The weights in a model file, and what they were read from."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ..errors import (
    BrokenModelError,
    ModelFileError,
    ModelNotFoundError,
    TrueScaleError,
    UnsupportedModelError,
)
from .architectures import detect, loads, registry
from .parts import best_parts, dicts_of_tensors, fitting_parts, in_words
from .pickles import Placeholder
from .source import Source, opened_source
from .spandrels import newer_one, versions_in_use
from .stored import (
    MOST_TENSORS,
    StoredTensor,
    Unsound,
    cannot_load,
    damaged_file,
    excessive_file,
    item_size,
    largest_content,
    not_enough_memory,
    shown,
    strided,
)
from .tensor_reader import read_content

__all__ = ["Choose", "Origin", "Use", "look_into", "read_chosen", "read_model", "read_state_dict", "refuse_uses"]

_T = TypeVar("_T")

_PREFIXES = ("module.", "netG.", "_orig_mod.")  # of DataParallel, BasicSR-like trainers and torch.compile

_LARGEST_REPEATED = 1_000_000_000
"""Bytes of tensors that repeat their data (a stride of 0), written out, which nobody does before they are built."""

Choose = Callable[[Path, object], "dict[str, StoredTensor]"]
"""From what a file holds (``read_content``) to the weights that are wanted of it, by name."""

Use = tuple[str, Callable[[str], bool]]
"""What a file is that is no upscaler, in words, and a test of its keys."""

# Asked before the data are read: it may be many gigabytes, and no upscaler has such keys.
_DIFFUSION: Use = (
    "a Stable Diffusion checkpoint (or another latent diffusion model)",
    lambda key: key.startswith(("model.diffusion_model.", "cond_stage_model.", "conditioner.embedders.")),
)


@dataclass(frozen=True)
class Origin:
    """The file that weights were read from, by the very bytes that were read.

    sha256: in hex. size_bytes, mtime_ns: of that file, whatever has its name by now. metadata: what a safetensors file
    says of itself.
    """

    sha256: str
    size_bytes: int
    mtime_ns: int
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """As ``read_model``, the weights alone."""
    return read_model(path)[0]


def read_model(path: Path) -> tuple[dict[str, Tensor], Origin]:
    """The weights in a file of PyTorch or safetensors, on the CPU, in the types that it has.

    Of all that a training program saves (dicts in dicts, prefixes of keys, averages beside them) the one part is taken
    that an architecture fits, every number is checked to be finite, and nothing in the file is run.

    Raises ModelNotFoundError, ModelFileError, UnsafeModelError, UnsupportedModelError, BrokenModelError or
    MemoryLimitError; nothing else, whatever the file holds.
    """
    return read_chosen(path, _weights_in)


def read_chosen(path: Path, choose: Choose) -> tuple[dict[str, Tensor], Origin]:
    """As ``read_model``, but of the weights that ``choose`` picks; no others are kept. It may raise those errors."""
    return _safely(path, lambda source: _read(source, choose))


def look_into(path: Path) -> object:
    """What the file holds, as ``read_content`` gives it: names and shapes, without the tensors' data.

    Raises the errors of ``read_model``.
    """
    return _safely(path, lambda source: read_content(source)[0])


def _safely(path: Path, work: Callable[[Source], _T]) -> _T:
    path = Path(path)
    _check_is_file(path)
    try:
        with torch.inference_mode(False), opened_source(path) as source:
            return work(source)
    except TrueScaleError:
        raise
    except Unsound as error:
        raise damaged_file(path, str(error)) from error
    except MemoryError as error:
        raise not_enough_memory(path) from error
    except Exception as error:  # whatever hostile bytes lead to that nobody has thought of
        raise damaged_file(path, f"it cannot be followed: {type(error).__name__}") from error


def _read(source: Source, choose: Choose) -> tuple[dict[str, Tensor], Origin]:
    content, metadata = read_content(source)
    stored = choose(source.path, content)
    _check_extent(source, stored)
    data = source.fetch(value.storage.place for value in stored.values() if value.storage.place is not None)
    weights = {}
    for key, value in stored.items():
        try:
            if value.storage.place is None:
                raise Unsound("its data is missing")
            weights[key] = strided(data[value.storage.place], value)
        except (RuntimeError, ValueError, OverflowError) as error:  # a description that does not fit its data
            raise damaged_file(source.path, "its data is incomplete") from error
        repeats = value.bytes > value.storage.size
        _check_numbers(source.path.name, key, _held(data[value.storage.place], value) if repeats else weights[key])
    return weights, Origin(source.sha256, source.size, source.mtime_ns, metadata)


def _check_is_file(path: Path) -> None:
    what = cannot_load(path)
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


def _check_extent(source: Source, stored: Mapping[str, StoredTensor]) -> None:
    """Before anything is read. Raises ModelFileError for more than a file of this size can hold in earnest."""
    if len(stored) > MOST_TENSORS:
        raise excessive_file(source.path, f"it holds {len(stored)} tensors")
    places = {value.storage.place for value in stored.values() if value.storage.place is not None}
    content = sum(place.size for place in places)
    written_out = sum(value.bytes for value in stored.values())
    if content > largest_content(source.size) or written_out > largest_content(source.size) + _LARGEST_REPEATED:
        size = f"{max(content, written_out) / 1e6:.0f} MB of weights in {source.size / 1e6:.1f} MB"
        raise damaged_file(source.path, f"it claims to hold {size}")


def _weights_in(path: Path, content: object) -> dict[str, StoredTensor]:
    """The one part of the file that an architecture fits; where none does, its only dict of tensors."""
    what = cannot_load(path)
    if not isinstance(content, dict):
        raise ModelFileError(what, f"it holds {_in_words(content)} instead of named weights", "use another file")
    dicts = dicts_of_tensors(content)
    if not dicts:
        raise ModelFileError(what, "it holds no weights", "use another file")
    for one in dicts:
        refuse_uses(path.name, one.weights, (_DIFFUSION,))
    known = registry()
    fitting = [part for one in dicts for part in fitting_parts(one, lambda weights: detect(weights, known) is not None)]
    best = best_parts(fitting, lambda weights: loads(weights, known))
    if len(best) == 1:
        return best[0].weights
    if best:
        raise UnsupportedModelError(
            what, f"it holds several networks: {in_words(best)}", "ask for a file with one of them alone, or save one"
        )
    if len(dicts) > 1:
        raise UnsupportedModelError(
            what,
            f"none of its parts is a network that spandrel {versions_in_use()[0]} knows: {in_words(dicts)}",
            newer_one() or "use another model; a later TrueScale may know this one",
        )
    return _without_prefix(dicts[0].weights)


def _in_words(content: object) -> str:
    if isinstance(content, StoredTensor):
        return "a single tensor"
    if isinstance(content, Placeholder):
        return f"an object of the type '{shown(content.global_name)}'"
    return {list: "a list", tuple: "a list", str: "a text", type(None): "nothing"}.get(type(content), "a single value")


def _without_prefix(weights: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in weights):
            weights = {key[len(prefix) :]: value for key, value in weights.items()}
    return weights


def _held(data: Tensor, stored: StoredTensor) -> Tensor:
    """The numbers of a tensor that repeats them, each once."""
    count = stored.storage.size // item_size(stored.dtype)
    return strided(data, StoredTensor(stored.storage, 0, (count,), (1,), stored.dtype))


def _check_numbers(name: str, key: str, value: Tensor) -> None:
    """Refuse what is not finite in float32. Needs memory for one tensor at most; masks may hold infinities."""
    if value.is_complex():
        raise UnsupportedModelError(
            f"cannot load the model '{name}'", f"its weight '{shown(key)}' holds complex numbers", "use another model"
        )
    if not value.is_floating_point() or value.numel() == 0 or "mask" in key.rpartition(".")[2]:
        return
    wide = value if value.dtype in (torch.float32, torch.float64) else value.float()
    low, high = (extreme.item() for extreme in torch.aminmax(wide))
    limit = torch.finfo(torch.float32).max
    if not (low >= -limit and high <= limit):  # so that NaN, which compares false, is caught
        raise BrokenModelError(
            f"the model '{name}' is broken",
            f"its weight '{shown(key)}' holds values that are not finite numbers",
            "download it again; if that does not help, the model itself is at fault",
        )


def refuse_uses(name: str, weights: Mapping[str, object], uses: tuple[Use, ...]) -> None:
    """Raises UnsupportedModelError for weights that are of one of these uses."""
    for words, matches in uses:
        if any(matches(key) for key in weights):
            raise UnsupportedModelError(
                f"cannot load the model '{name}'",
                f"it is {words}, not an upscaler",
                "move it to the folder for its kind, and choose an upscaling model",
            )

"""Files of one architecture, interpolated in their weights: w = a A + b B + ..., tensor by tensor, in float32.

The network interpolation of ESRGAN (Wang et al. 2018, section 3.4), and Real-ESRGAN's way to a denoise strength.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..errors import UnsupportedModelError
from .analysis import facts_of
from .build import build, read_model
from .card import ModelCard, card_of
from .entry import BlendedEntry, ModelEntry
from .network import KnownModel, UpscaleModel

__all__ = ["described", "load_blended"]

_TODO = "interpolate files of one architecture, scale and size; the results of others can be mixed by Upscaler 2"


@dataclass(frozen=True)
class _Read:
    """One of the files. weights: as they are in it. network: built of them."""

    weights: dict[str, Tensor]
    network: nn.Module
    known: KnownModel


def load_blended(entry: BlendedEntry) -> UpscaleModel:
    """Read the files and build the one network of their weights, float32 on the CPU.

    Raises the named errors of ``build``; UnsupportedModelError where the files do not fit each other.
    """
    parts = [_read(part) for part, _ in entry.parts]
    shares = [share for _, share in entry.parts]
    known = described(entry, [part.known for part in parts])
    # As they are in the files: what is fused when a network is built is not linear in them.
    states = [part.weights for part in parts]
    if _difference(states) is not None:  # such as ESRGAN's old and new names of weights
        states = [part.network.state_dict() for part in parts]
        descriptor = build(parts[0].weights, entry.name)
        _check_shapes(entry, states)
        descriptor.model.load_state_dict(_interpolated(states, shares))
    else:
        descriptor = build(_interpolated(states, shares), entry.name)
    return UpscaleModel(descriptor, known.card, known.facts)


def described(entry: BlendedEntry, parts: Sequence[KnownModel]) -> KnownModel:
    """What is known of the network, of what is known of its parts.

    Raises UnsupportedModelError where they cannot be one, as far as that shows without their weights.
    """
    first = parts[0]
    for (part, _), other in zip(entry.parts[1:], parts[1:]):
        kinds = [_kind(one.card) for one in (first, other)]
        if kinds[0] != kinds[1]:
            raise _unlike(entry.parts[0][0], part, f"one is {kinds[0]}, the other {kinds[1]}")
        if first.card.parameters != other.card.parameters:
            sizes = " and ".join(f"{one.card.parameters:,}" for one in (first, other))
            raise _unlike(entry.parts[0][0], part, f"their networks differ in size: they have {sizes} parameters")
    return KnownModel(_card(entry, [one.card for one in parts]), first.facts)


def _read(entry: ModelEntry) -> _Read:
    weights, origin = read_model(entry.path)
    descriptor = build(weights, entry.path.name)
    facts = facts_of(origin.sha256, descriptor)
    card = card_of(entry, descriptor, origin, facts=facts)
    return _Read(weights, descriptor.model, KnownModel(card, facts))


def _card(entry: BlendedEntry, cards: Sequence[ModelCard]) -> ModelCard:
    """What the network of these is; its SHA-256 is one of the files' and their shares."""
    identity = json.dumps([[card.sha256, round(share, 6)] for card, (_, share) in zip(cards, entry.parts)])
    return replace(
        cards[0],
        name=entry.name,
        file_size=sum(card.file_size for card in cards),
        sha256=hashlib.sha256(identity.encode()).hexdigest(),
        license=", ".join(dict.fromkeys(card.license for card in cards if card.license)),
        description="",
        figures={},
    )


def _kind(card: ModelCard) -> str:
    channels = f"{card.input_channels} to {card.output_channels} channels"
    return f"{card.architecture} {card.scale}x ({channels})"


def _check_shapes(entry: BlendedEntry, states: Sequence[Mapping[str, Tensor]]) -> None:
    """Raises UnsupportedModelError."""
    why = _difference(states)
    if why:
        number, words = why
        raise _unlike(entry.parts[0][0], entry.parts[number][0], words)


def _difference(states: Sequence[Mapping[str, Tensor]]) -> tuple[int, str] | None:
    """Which of them differs from the first in names and shapes, and how; None where none does."""
    first = states[0]
    for number, other in enumerate(states[1:], 1):
        missing = sorted(first.keys() ^ other.keys())
        if missing:
            return number, f"only one of them has the weight '{missing[0]}'"
        for key, value in first.items():
            if value.shape != other[key].shape:
                sizes = " and ".join("x".join(map(str, one.shape)) or "one number" for one in (value, other[key]))
                return number, f"the weight '{key}' has the sizes {sizes}"
    return None


def _interpolated(states: Sequence[Mapping[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """Tables of whole numbers, such as indices, are the first's."""
    result: dict[str, Tensor] = {}
    for key, first in states[0].items():
        if not first.is_floating_point():
            result[key] = first
            continue
        total = torch.zeros(first.shape, dtype=torch.float32)
        for state, share in zip(states, shares):
            total.add_(state[key].float(), alpha=share)
        result[key] = total
    return result


def _unlike(first: ModelEntry, other: ModelEntry, why: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"cannot interpolate '{first.name}' and '{other.name}'", why, _TODO)

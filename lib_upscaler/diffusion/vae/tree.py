"""What an autoencoder is made of: the parts of its encoder and decoder, with the modules that they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Union

import torch
from torch import Tensor, nn

from ...errors import UnsupportedModelError

__all__ = ["Attention", "Block", "Coder", "Conv", "Down", "Head", "Part", "Quantiser", "Up", "VaeTree"]


@dataclass(frozen=True)
class Conv:
    """A convolution of 3x3 or of 1x1, at the same size."""

    conv: nn.Conv2d


@dataclass(frozen=True)
class Block:
    """``shortcut(x) + conv2(swish(norm2(conv1(swish(norm1(x))))))``.

    fused: the module rounds swish once (``nn.SiLU``), not after the sigmoid and after the product.
    """

    norm1: nn.GroupNorm
    conv1: nn.Conv2d
    norm2: nn.GroupNorm
    conv2: nn.Conv2d
    shortcut: nn.Conv2d | None
    fused: bool


@dataclass(frozen=True)
class Attention:
    """``x + out(attention(q(norm(x)), k(norm(x)), v(norm(x))))``, one head over all pixels."""

    norm: nn.GroupNorm
    q: nn.Conv2d
    k: nn.Conv2d
    v: nn.Conv2d
    out: nn.Conv2d


@dataclass(frozen=True)
class Up:
    """Each pixel four times, then a convolution. module: does both."""

    module: nn.Module
    conv: nn.Conv2d


@dataclass(frozen=True)
class Down:
    """A convolution of stride 2 after a row and a column of zeros on the right and below."""

    conv: nn.Conv2d


@dataclass(frozen=True)
class Head:
    """``conv(swish(norm(x)))``; tanh: and the hyperbolic tangent of it."""

    norm: nn.GroupNorm
    conv: nn.Conv2d
    tanh: bool


@dataclass(frozen=True)
class Quantiser:
    """The entry of the codebook that is nearest, for each pixel. entries: how many there are."""

    module: nn.Module
    entries: int
    channels: int

    def __call__(self, z: Tensor) -> Tensor:
        """``(B, C, h, w)``, each px its entry. Of latent-diffusion's module that is the first of what it gives."""
        found = self.module(z)
        return found[0] if isinstance(found, (tuple, list)) else found


Part = Union[Conv, Block, Attention, Up, Down, Head, Quantiser]


@dataclass(frozen=True)
class Coder:
    """An encoder or a decoder: its parts in the order in which they run.

    plain: the modules that do the same on a whole picture, one after the other.
    """

    parts: tuple[Part, ...]
    plain: tuple[nn.Module, ...]
    in_channels: int
    out_channels: int


@dataclass(frozen=True)
class VaeTree:
    """An autoencoder that is known.

    kind: "kl" or "vq". factor: px of the picture per px of the latent. wraps: its convolutions take what is beyond a
    border from the opposite one (the host's "Tiling"). quantiser: of a VQ model. encoder: None where it is not there.
    """

    kind: Literal["kl", "vq"]
    encoder: Coder | None
    decoder: Coder
    factor: int
    wraps: bool
    quantiser: Quantiser | None = None

    def coder(self, direction: Literal["encode", "decode"]) -> Coder:
        """Raises UnsupportedModelError where there is no encoder."""
        if direction == "decode":
            return self.decoder
        if self.encoder is None:
            raise UnsupportedModelError("this VAE cannot encode", "its encoder is not there", "")
        return self.encoder

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return _dtype(self.decoder)

    @property
    def device(self) -> torch.device:
        """Where the weights are now."""
        return self.decoder.plain[-1].conv_out.weight.device  # type: ignore[union-attr,return-value]


def _dtype(coder: Coder) -> torch.dtype:
    return coder.plain[0].weight.dtype if isinstance(coder.plain[0], nn.Conv2d) else _first(coder.plain[0])


def _first(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype

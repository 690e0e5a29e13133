"""LDSR's networks, loaded, and their copies on devices."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from .layout import LdsrLayout
from .unet import UNet
from .vq import FirstStage

__all__ = ["LdsrNetwork", "fill", "outline"]

_Network = TypeVar("_Network", bound=nn.Module)


class LdsrNetwork:
    """unet, first_stage: float32 on the CPU. alphas: ``(1000,)`` float32, how much of a latent is left at each t.

    scale_factor: a latent is divided by it before it is decoded. notes: what the user should know of the file.
    sha256: of the file, in hex; "" for networks that come from none.
    """

    def __init__(
        self,
        layout: LdsrLayout,
        unet: UNet,
        first_stage: FirstStage,
        alphas: np.ndarray,
        scale_factor: float = 1.0,
        notes: tuple[str, ...] = (),
        sha256: str = "",
    ) -> None:
        self.layout, self.unet, self.first_stage = layout, unet, first_stage
        self.alphas, self.scale_factor, self.notes, self.sha256 = alphas, scale_factor, notes, sha256
        self._copies: dict[tuple[str, str, torch.dtype], nn.Module] = {}
        self._lock = threading.Lock()
        # Convolutions are a third faster so, on the CPU as on tensor cores.
        _channels_last(unet)
        _channels_last(first_stage)

    @property
    def weights_bytes(self) -> int:
        """Memory of all copies of the weights."""
        with self._lock:
            return sum(
                weight.numel() * weight.element_size()
                for network in (self.unet, self.first_stage, *self._copies.values())
                for weight in network.parameters()
            )

    def unet_for(self, device: torch.device, dtype: torch.dtype) -> UNet:
        """The UNet on that device in that precision."""
        return self._copy("UNet", self.unet, lambda: outline(self.layout)[0], device, dtype)

    def first_stage_for(self, device: torch.device, dtype: torch.dtype = torch.float32) -> FirstStage:
        """The decoder with its codebook on that device in that precision."""
        return self._copy("first stage", self.first_stage, lambda: outline(self.layout)[1], device, dtype)

    def release(self) -> None:
        """Drop every copy but the float32 ones on the CPU."""
        with self._lock:
            self._copies.clear()

    def _copy(
        self, name: str, network: _Network, new: Callable[[], _Network], device: torch.device, dtype: torch.dtype
    ) -> _Network:
        if device.type == "cpu" and dtype == torch.float32:
            return network
        key = (name, str(device), dtype)
        with self._lock:
            made = self._copies.get(key)
            if made is None:
                made = self._copies[key] = new()
                # Inference tensors cannot be moved between modes; hosts may call us inside inference mode.
                with torch.inference_mode(False), torch.no_grad():
                    fill(made, dict(network.state_dict()), device, dtype)
                    _channels_last(made)
            return cast("_Network", made)


def outline(layout: LdsrLayout) -> tuple[UNet, FirstStage]:
    """The networks without memory for their weights."""
    with torch.device("meta"):
        return UNet(layout.unet), FirstStage(layout.decoder)


def fill(
    network: nn.Module,
    weights: dict[str, Tensor],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> None:
    """Put the weights into a network that has no memory yet, one after the other; ``weights`` is used up."""
    for name in list(weights):
        owner, _, last = name.rpartition(".")
        weight = weights.pop(name).to(device=device, dtype=dtype).contiguous()
        setattr(network.get_submodule(owner), last, nn.Parameter(weight, requires_grad=False))
    network.eval()


def _channels_last(network: nn.Module) -> None:
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

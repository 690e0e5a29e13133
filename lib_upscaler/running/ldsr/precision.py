"""Whether LDSR's UNet may run in half precision.

It depends on the model, the device and the library's version alone: a probe asks for the noise in a small fixed latent,
early, midway and late, in both precisions, and its outcome is kept on the disk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...errors import RequestError
from ...models.ldsr.network import LdsrNetwork
from ...store import is_number, shared_cache
from ..limits import is_out_of_memory
from ..precision import ChosenPrecision, exact_arithmetic, probe_picture

__all__ = ["ACCEPTED_DB", "choose_precision"]

ACCEPTED_DB = 40.0
"""The noise that is found over how far it is off what float32 finds: a hundredth of it, at the worst of the times."""

_SIDE, _TIMES = 64, (949, 500, 50)
_TYPES = {"exact": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def choose_precision(
    wanted: str, network: LdsrNetwork, device: torch.device, check: Callable[[], None] = lambda: None
) -> ChosenPrecision:
    """For "auto": float16 on CUDA where the probe finds it harmless, else float32. decibels: what the probe found.

    Raises RequestError for what the device cannot do, and what ``check`` raises.
    """
    if wanted == "auto":
        if device.type == "cuda":
            decibels = _probed(network, device, torch.float16, check)
            if decibels is not None and decibels >= ACCEPTED_DB:
                return ChosenPrecision(torch.float16, decibels)
        return ChosenPrecision(torch.float32)
    dtype = _TYPES[wanted]
    if dtype == torch.float16 and device.type == "cpu":
        raise RequestError("the CPU cannot run networks in fp16", "", "choose auto, exact or bf16")
    return ChosenPrecision(dtype, None if wanted == "exact" else _probed(network, device, dtype, check))


def _probed(network: LdsrNetwork, device: torch.device, dtype: torch.dtype, check: Callable[[], None]) -> float | None:
    """Decibels; None where it could not be measured, or there were no finite numbers."""
    cache = shared_cache("probes")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    key = json.dumps([1, "ldsr", network.sha256, name, str(dtype), str(torch.__version__)])
    known = (cache.get(key) or {}).get("decibels") if network.sha256 else None
    if known is not None and is_number(known, -1000, 1000):
        return float(known)
    try:
        exact, small = (_asked(network, device, one, check) for one in (torch.float32, dtype))
    except RuntimeError as error:
        if is_out_of_memory(error):
            return None
        raise
    decibels = min(map(_decibels, exact, small))
    if network.sha256:
        cache.put(key, {"decibels": decibels})
    return decibels


def _asked(
    network: LdsrNetwork, device: torch.device, dtype: torch.dtype, check: Callable[[], None]
) -> Sequence[Tensor]:
    unet = network.unet_for(device, dtype)
    channels = network.layout.unet.outputs
    picture = probe_picture(3, _SIDE)[:, :channels].to(device) * 2 - 1
    noise = torch.randn(1, channels, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0)).to(device)
    answers = []
    with torch.inference_mode(), exact_arithmetic():
        for time in _TIMES:
            a = float(network.alphas[time])
            x = math.sqrt(a) * picture + math.sqrt(1 - a) * noise
            both = torch.cat([x, picture], dim=1).to(dtype).contiguous(memory_format=torch.channels_last)
            answers.append(unet(both, torch.full((1,), time, device=device), check).float().cpu())
    return answers


def _decibels(exact: Tensor, small: Tensor) -> float:
    error = float(((small - exact) ** 2).mean() / (exact**2).mean().clamp(min=1e-20))
    if not math.isfinite(error):
        return 0.0
    return round(min(99.0, -10 * math.log10(max(error, 1e-12))), 2)

"""What a sampler of the WebUI means by a noise level."""

from __future__ import annotations

from typing import Any

from ...diffusion.noise_levels import FlowLevels, NoiseLevels, SigmaLevels, TimestepLevels
from ...errors import TrueScaleError

__all__ = ["levels_of"]


def levels_of(sampler: Any) -> NoiseLevels:
    """sampler: of the host, just made. k-diffusion's write sigma, SD3 and its kin the share of noise; DDIM, PLMS and
    UniPC of AUTOMATIC1111 write timesteps and get eps. In the Forge family these too reach the network by sigma.

    Raises TrueScaleError.
    """
    denoiser = getattr(getattr(sampler, "model_wrap_cfg", None), "inner_model", None)
    checkpoint = getattr(denoiser, "inner_model", None)
    objects = getattr(checkpoint, "forge_objects", None)
    if objects is not None:
        return FlowLevels() if _flows(objects.unet.model) else SigmaLevels()
    if "Timesteps" in type(denoiser).__name__:  # CompVisTimestepsDenoiser, CompVisTimestepsVDenoiser
        alphas = getattr(checkpoint, "alphas_cumprod", None)
        if alphas is None:
            what = f"the composition cannot be kept with the sampler {type(sampler).__name__}"
            raise TrueScaleError(what, "its noise levels are not known", "choose another sampler")
        return TimestepLevels(alphas)
    return FlowLevels() if getattr(checkpoint, "is_sd3", False) else SigmaLevels()


def _flows(network: Any) -> bool:
    """Whether it was trained on rectified flow: Forge's predictor says so, in reForge its class; Classic runs none."""
    if getattr(getattr(network, "predictor", None), "prediction_type", "") == "const":
        return True
    kinds = type(getattr(network, "model_sampling", None)).__mro__
    return any(kind.__name__ == "CONST" for kind in kinds)

"""LDSR as one step of a picture's way: planes in, planes four times as large out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..depths import Bits, bits_of, rounded, top_of
from ..models.ldsr.model import LdsrModel
from ..models.ldsr.settings import LdsrSettings
from ..planning.passes import SAMPLED
from ..progress import Progress
from ..running.channels import from_network, to_network
from ..running.engine import PassResult
from ..running.ldsr.decoding import Decode
from ..running.ldsr.sampler import LdsrSampler
from .vae import Means, decode, recognise_decoder

__all__ = ["SAMPLED", "sample"]


def sample(
    model: LdsrModel,
    picture: np.ndarray,
    settings: LdsrSettings,
    device: torch.device,
    memory: int | None,
    progress: Progress,
    bits: Bits,
) -> PassResult:
    """The model's picture of the picture.

    picture: ``(H, W, C)`` of any depth; C is 1 or 3. memory: bytes that it may take, None for a share of what is
    free. bits: of the result. ``seconds`` of what is returned is for the caller to fill in.

    Raises what ``LdsrSampler.upscale`` does.
    """
    channels, top = picture.shape[2], float(top_of(bits_of(picture)))
    planes = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1) / top
    warnings: list[str] = []
    sampler = LdsrSampler(model.network, _decoder(model, device, memory, warnings))
    done = sampler.upscale(to_network(planes, 3)[0].contiguous(), settings, device, memory, progress)
    output = from_network(done.picture[None], channels).permute(1, 2, 0).numpy()
    tiles = len(done.plan.grid(0).tiles)
    return PassResult(
        np.ascontiguousarray(rounded(output, bits)),
        SAMPLED[tiles > 1],
        tiles,
        0,
        0.0,
        done.precision,
        [*done.warnings, *warnings],
        done.plan.work + done.plan.decoder_work,
    )


def _decoder(model: LdsrModel, device: torch.device, memory: int | None, warnings: list[str]) -> Decode:
    """The decoder as a whole where it fits, else in bands."""

    def decoded(latent: Tensor, progress: Progress) -> Tensor:
        tree = recognise_decoder(model.network.first_stage_for(device))
        coded = decode(tree, latent, means=Means(device, torch.float32, memory), progress=progress)
        warnings.extend(coded.warnings)
        assert coded.tensor is not None  # no sink
        return coded.tensor

    return decoded

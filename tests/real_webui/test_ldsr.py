"""LDSR as the WebUI has it: the same weights and the same noise through its own code and through ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ldsr_models import SMALL, save_safetensors, state_dict
from lib_upscaler.models.ldsr.file import load_ldsr
from lib_upscaler.models.ldsr.settings import LdsrSettings
from lib_upscaler.models.ldsr.vq import FirstStage
from lib_upscaler.progress import Progress
from lib_upscaler.running.ldsr import sampler
from lib_upscaler.running.ldsr.decoding import decode_as_webui
from webui_process import Host

HERE = Path(__file__).resolve().parent
STEPS, SEED = 5, 7

# SMALL, as a project.yaml has it.
UNET = {
    "image_size": 64, "in_channels": 6, "out_channels": 3, "model_channels": 32, "attention_resolutions": [16, 8],
    "num_res_blocks": 1, "channel_mult": [1, 2, 2, 4], "num_head_channels": 32,
}  # fmt: skip
DECODER = {
    "double_z": False, "z_channels": 3, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 32,
    "ch_mult": [1, 2, 4], "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0, "codes": 256,
}  # fmt: skip


@pytest.mark.parametrize("size", [(128, 128), (150, 130)])
def test_as_the_webui_within_a_level_of_the_webuis_own_code(
    host: Host,
    photo: Callable[[int, int], Image.Image],
    measured: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    size: tuple[int, int],
) -> None:
    """The latent is decoded after each position became its nearest code: one that lies midway between two may become
    the other by a rounding in its last digits. So the latents are compared, and the pictures of one latent."""
    if host.is_forge:
        pytest.skip("Forge has no LDSR")
    model = save_safetensors(state_dict(SMALL), tmp_path / "model.safetensors")
    image = photo(*size)
    image.save(tmp_path / "picture.png")
    host.run(
        *(HERE / "ldsr_host.py", host.folder, model, tmp_path / "picture.png", tmp_path / "host.npz"),
        *(str(STEPS), str(SEED), json.dumps(UNET), json.dumps(DECODER)),
    )
    theirs = np.load(tmp_path / "host.npz")
    latents: list[torch.Tensor] = []

    def decode(first_stage: FirstStage, latent: torch.Tensor, progress: Progress) -> torch.Tensor:
        latents.append(latent.clone())
        return decode_as_webui(first_stage, torch.from_numpy(theirs["latent"]), progress)

    monkeypatch.setattr(sampler, "decode_as_webui", decode)
    picture = torch.from_numpy(np.asarray(image).astype(np.float32) / 255).permute(2, 0, 1)
    settings = LdsrSettings(mode="webui", steps=STEPS, seed=SEED)
    network, _ = load_ldsr(model)
    result = sampler.LdsrSampler(network).upscale(picture, settings, torch.device("cpu"))
    levels = result.picture.permute(1, 2, 0).numpy() * 255

    apart = float((latents[0] - torch.from_numpy(theirs["latent"])).abs().max())
    quantize = network.first_stage.quantize
    others = int((quantize(latents[0]) != quantize(torch.from_numpy(theirs["latent"]))).any(dim=1).sum())
    exact = (theirs["sample"].clip(-1, 1) + 1) / 2 * 255  # the WebUI rounds down, which costs up to one level
    exact = exact[:, : levels.shape[0], : levels.shape[1]].transpose(1, 2, 0)
    difference = float(np.abs(levels - exact).max())
    measured(
        f"{size}: latents at most {apart:.6f} apart, {others} other codes; pictures of one latent {difference:.4f}"
    )
    assert apart < 1e-3
    assert others <= 1e-3 * latents[0][0, 0].numel()
    assert levels.shape == theirs["levels"].shape
    assert difference < 0.1
    assert np.abs(np.floor(levels) - theirs["levels"]).max() <= 1
    assert theirs["levels"].std() > 5
    assert theirs["latent"].std() > 0.1

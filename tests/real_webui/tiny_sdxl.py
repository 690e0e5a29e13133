"""Run by the WebUI's Python: makes a tiny SDXL checkpoint with random weights, and its config.

python tiny_sdxl.py WEBUI_DIR CLIP_DIR FOLDER NAME
"""

from __future__ import annotations

import sys
from pathlib import Path

WEBUI, CLIP, FOLDER, NAME = sys.argv[1:]
sys.path[:0] = [str(Path(WEBUI) / "repositories" / "generative-models"), str(Path(__file__).parent / "host_scripts")]

import open_clip  # noqa: E402
import tiny_tower  # noqa: E402
import torch  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from sgm.util import instantiate_from_config  # noqa: E402
from transformers import CLIPTextConfig, CLIPTextModel  # noqa: E402


def config_of(base: Path) -> OmegaConf:
    """The real one with tiny widths."""
    config = OmegaConf.load(base)
    params = config.model.params
    network = params.network_config.params
    network.update(model_channels=32, num_head_channels=16, transformer_depth=[1, 1, 1], context_dim=128)
    network.update(use_checkpoint=False, spatial_transformer_attn_type="softmax")
    first, second = params.conditioner_config.params.emb_models[:2]
    first.params.update(version=CLIP, layer_idx=1, device="cpu")
    second.params.update(arch=tiny_tower.NAME, version=None, device="cpu")
    stage = params.first_stage_config.params.ddconfig
    stage.update(ch=32, attn_type="vanilla")
    return config


def main() -> None:
    base = Path(WEBUI) / "repositories" / "generative-models" / "configs" / "inference" / "sd_xl_base.yaml"
    config = config_of(base)
    # Both towers as they are configured, without files of weights.
    CLIPTextModel.from_pretrained = lambda folder: CLIPTextModel(CLIPTextConfig.from_pretrained(folder))
    plain = open_clip.create_model_and_transforms
    open_clip.create_model_and_transforms = lambda *given, pretrained=None, **named: plain(*given, **named)
    torch.manual_seed(1)
    model = instantiate_from_config(config.model)
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in model.state_dict().items()
    }
    for name, tensor in state.items():  # as they begin, the last layers of a block give nothing
        if tensor.is_floating_point() and tensor.ndim > 1 and not tensor.any():
            state[name] = 0.05 * torch.randn(tensor.shape).half()
    save_file(
        {name: tensor.contiguous().clone() for name, tensor in state.items()}, Path(FOLDER) / f"{NAME}.safetensors"
    )
    OmegaConf.save(config, Path(FOLDER) / f"{NAME}.yaml")


if __name__ == "__main__":
    main()

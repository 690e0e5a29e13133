"""What the WebUI's own LDSR makes of a picture: run by the WebUI's Python, it imports nothing of ours.

    python ldsr_host.py WEBUI MODEL PICTURE RESULT.npz STEPS SEED UNET DECODER

The classes are those of the WebUI, its extension LDSR and its ldm; of its surroundings they need no more than a device.
UNET, DECODER: the sizes, as JSON, for the project.yaml that is written beside the model. RESULT: "levels", the picture
that comes out, "sample", what it is made of, ``(3, H, W)`` about [-1, 1], "latent", what that is decoded from, and
"eps", "decoded": what the networks alone give for fixed inputs.
"""

import json
import sys
import types
from pathlib import Path

import numpy as np
import torch
from PIL import Image

CONFIG = """
model:
  base_learning_rate: 1.0e-06
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    linear_start: 0.0015
    linear_end: 0.0155
    log_every_t: 100
    timesteps: 1000
    loss_type: l2
    first_stage_key: image
    cond_stage_key: LR_image
    image_size: 64
    channels: 3
    concat_mode: true
    cond_stage_trainable: false
    unet_config:
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
      params: {unet}
    first_stage_config:
      target: ldm.models.autoencoder.VQModelInterface
      params:
        embed_dim: 3
        n_embed: {codes}
        ddconfig: {decoder}
        lossconfig:
          target: torch.nn.Identity
    cond_stage_config:
      target: torch.nn.Identity
"""


def main(webui, model, picture, result, steps, seed, unet, decoder):
    prepare(Path(webui))
    import ldsr_model_arch
    import sd_hijack_autoencoder  # noqa: F401 - puts the classes where the configuration names them
    import sd_hijack_ddpm_v1  # noqa: F401
    from ldm.models.diffusion.ddim import DDIMSampler

    decoder = json.loads(decoder)
    config = Path(model).with_name("project.yaml")
    codes = decoder.pop("codes")
    config.write_text(CONFIG.format(unet=unet, decoder=json.dumps(decoder), codes=codes), encoding="utf-8")

    plain_sample, plain_run, found = DDIMSampler.sample, ldsr_model_arch.LDSR.run, {}

    def sample(self, *words, **more):
        torch.manual_seed(int(seed))
        latent, others = plain_sample(self, *words, **more)
        found["latent"] = latent.numpy()
        return latent, others

    def run(model, *words):
        found["eps"], found["decoded"] = networks(model)
        logs = plain_run(model, *words)
        found["sample"] = logs["sample"][0].numpy()
        return logs

    DDIMSampler.sample = sample
    DDIMSampler.register_buffer = lambda self, name, value: setattr(self, name, value)  # as the WebUI does, for the CPU
    ldsr_model_arch.LDSR.run = staticmethod(run)
    check_names(model, config)
    with torch.no_grad():
        upscaler = ldsr_model_arch.LDSR(str(model), str(config))
        image = upscaler.super_resolution(Image.open(picture).convert("RGB"), int(steps), 4)
    np.savez(result, levels=np.asarray(image), **found)


def prepare(webui):
    for folder in ("extensions-builtin/LDSR", "repositories/stable-diffusion-stability-ai"):
        sys.path.insert(0, str(webui / folder))
    options = types.SimpleNamespace(ldsr_cached=False)
    arguments = types.SimpleNamespace(opt_channelslast=False)
    shared = types.SimpleNamespace(opts=options, cmd_opts=arguments, device=torch.device("cpu"))
    hijack = types.SimpleNamespace(model_hijack=types.SimpleNamespace(hijack=lambda model: None))
    devices = types.SimpleNamespace(torch_gc=lambda: None)
    modules = types.ModuleType("modules")
    modules.shared, modules.sd_hijack, modules.devices = shared, hijack, devices
    sys.modules["modules"] = modules
    # The extension was written for an older Lightning; the WebUI puts this name back as well.
    if "pytorch_lightning.utilities.distributed" not in sys.modules:
        import pytorch_lightning.utilities.rank_zero as rank_zero

        sys.modules["pytorch_lightning.utilities.distributed"] = rank_zero


def check_names(model, config):
    """It loads what fits and says nothing of the rest, which would then be random."""
    import safetensors.torch
    from ldm.util import instantiate_from_config
    from omegaconf import OmegaConf

    described = OmegaConf.load(config)
    described.model.target = "ldm.models.diffusion.ddpm.LatentDiffusionV1"
    state = safetensors.torch.load_file(model)
    missing, unexpected = instantiate_from_config(described.model).load_state_dict(state, strict=False)
    ours = [
        name
        for name in (*missing, *unexpected)
        if name.startswith(
            (
                "model.",
                "model_ema.",
                "first_stage_model.decoder",
                "first_stage_model.post",
                "first_stage_model.quantize.",
            )
        )
    ]
    assert not ours, ours


def networks(model):
    """The noise that the averaged UNet finds, and what the decoder makes of it."""
    numbers = np.random.RandomState(5)
    x, c = (torch.from_numpy(numbers.standard_normal((1, 3, 16, 24)).astype(np.float32)) for _ in range(2))
    with model.ema_scope():
        eps = model.model.diffusion_model(torch.cat([x, c], 1), torch.tensor([321]))
    return eps[0].numpy(), model.first_stage_model.decode(x)[0].numpy()


if __name__ == "__main__":
    main(*sys.argv[1:])

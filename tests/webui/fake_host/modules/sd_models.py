"""Checkpoints, of which only the names are there, but for one that a test loads."""

from types import SimpleNamespace

from modules import script_callbacks
from modules.shared import opts

checkpoint_aliases = {"base.safetensors": "base", "other.safetensors": "other"}


class SdModelData:
    def __init__(self):
        self.sd_model = SimpleNamespace(is_sdxl=False, is_sd2=False, is_sd1=True)
        self.loaded_sd_models = []


model_data = SdModelData()
loads = []
"""Names, one for each time that a checkpoint was loaded."""


def load_model(first_stage_model):
    """One with this VAE; what was loaded before goes."""
    sd_model = SimpleNamespace(is_sdxl=False, is_sd2=False, is_sd1=True, first_stage_model=first_stage_model)
    sd_model.decode_first_stage = lambda z: first_stage_model.decode(z)
    sd_model.encode_first_stage = lambda x: first_stage_model.encode(x)
    sd_model.get_first_stage_encoding = lambda posterior: posterior
    model_data.sd_model = sd_model
    script_callbacks.model_loaded_callback(sd_model)
    return sd_model


class SkipWritingToConfig:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def reload_model_weights(sd_model=None, info=None, forced_reload=False):
    if (loads[-1] if loads else "base.safetensors") != opts.sd_model_checkpoint:
        loads.append(opts.sd_model_checkpoint)

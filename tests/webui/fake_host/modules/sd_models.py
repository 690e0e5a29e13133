"""Checkpoints, of which only the names are there."""

from types import SimpleNamespace

from modules.shared import opts

checkpoint_aliases = {"base.safetensors": "base", "other.safetensors": "other"}
model_data = SimpleNamespace(sd_model=SimpleNamespace(is_sdxl=False, is_sd2=False))
loads = []
"""Names, one for each time that a checkpoint was loaded."""


def reload_model_weights():
    if (loads[-1] if loads else "base.safetensors") != opts.sd_model_checkpoint:
        loads.append(opts.sd_model_checkpoint)

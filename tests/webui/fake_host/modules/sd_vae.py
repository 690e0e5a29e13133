"""Autoencoders, of which only the names are there."""

from modules.shared import opts

loads = []
"""Names, one for each time that one was loaded."""


unspecified = object()


def reload_vae_weights(sd_model=None, vae_file=unspecified):
    if (loads[-1] if loads else "Automatic") != opts.sd_vae:
        loads.append(opts.sd_vae)

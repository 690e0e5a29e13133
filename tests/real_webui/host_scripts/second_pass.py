"""A script in txt2img for the tests of the second pass, switched on by words in the prompt.

SEEDED: what the autoencoder draws is decided by the seed. In the second pass: STOPAT_n: Interrupt at the n-th call of
the network; FAILSAT_n: it fails there; NOMEMORY_n: and says that memory ran out. NOMEMORY_encode, NOMEMORY_decode: so
does the autoencoder, once.
"""

import re

import torch
from modules import scripts, shared


def _network(sd_model):
    return sd_model.forge_objects.unet.model if hasattr(sd_model, "forge_objects") else sd_model


def _first_stage(sd_model):
    vae = sd_model.forge_objects.vae if hasattr(sd_model, "forge_objects") else sd_model
    return vae.first_stage_model


class Trouble(scripts.Script):
    def title(self):
        return "Trouble"

    def show(self, is_img2img):
        return False if is_img2img else scripts.AlwaysVisible

    def before_process(self, p, *args):
        """The words are not for the network: with some, the tiny checkpoint's first pass is not a number."""
        self.words = p.prompt
        p.prompt = re.sub(r" ?(SEEDED|STOPAT_\d+|FAILSAT_\d+|NOMEMORY_\w+)", "", p.prompt).strip()

    def process(self, p, *args):
        self.undo = []
        if "SEEDED" in self.words:
            torch.manual_seed(int(p.all_seeds[0]))
        network = re.search(r"(STOPAT|FAILSAT|NOMEMORY)_(\d+)", self.words)
        if network:
            self.replace(_network(p.sd_model), "apply_model", self.at(p, int(network[2]), network[1]))
        part = re.search(r"NOMEMORY_(encode|decode)", self.words)
        if part:
            module = getattr(_first_stage(p.sd_model), f"{part[1]}r")
            self.replace(module.conv_in, "forward", self.at(p, 1, "NOMEMORY"))

    def postprocess(self, p, processed, *args):
        for undo in self.undo:
            undo()

    def replace(self, owner, name, trouble):
        plain = getattr(owner, name)

        def with_trouble(*args, **kwargs):
            trouble()
            return plain(*args, **kwargs)

        setattr(owner, name, with_trouble)
        self.undo.append(lambda: delattr(owner, name))

    def at(self, p, number, what):
        calls = []

        def trouble():
            if not p.is_hr_pass:
                return
            calls.append(1)
            if len(calls) != number:
                return
            if what == "STOPAT":
                shared.state.interrupt()
            elif what == "FAILSAT":
                raise RuntimeError("out of luck")
            else:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB")

        return trouble

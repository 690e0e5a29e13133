"""The device, and PyTorch's state around it."""

import contextlib

import torch

cpu = torch.device("cpu")
device = device_esrgan = device_gfpgan = device_codeformer = cpu
dtype = torch.float32
dtype_unet = torch.float16

patch_module_list = [
    torch.nn.Linear,
    torch.nn.Conv2d,
    torch.nn.MultiheadAttention,
    torch.nn.GroupNorm,
    torch.nn.LayerNorm,
]


def get_optimal_device():
    return cpu


def torch_gc():
    pass


def _casting(target):
    def forward(self, *args, **kwargs):
        self.to(target)  # rounds the weights for good
        result = self.org_forward(*(arg.to(target) if isinstance(arg, torch.Tensor) else arg for arg in args), **kwargs)
        self.to(torch.float32)
        return result.float() if isinstance(result, torch.Tensor) else result

    return forward


@contextlib.contextmanager
def manual_cast(target_dtype):
    """What ``autocast`` is on MPS, XPU and GTX 16xx."""
    for kind in patch_module_list:
        kind.org_forward = kind.forward
        kind.forward = _casting(target_dtype)
    try:
        yield
    finally:
        for kind in patch_module_list:
            kind.forward = kind.org_forward
            del kind.org_forward


def autocast(disable=False):
    """Of the CPU; a test puts ``manual_cast`` in its place."""
    return contextlib.nullcontext() if disable else torch.autocast("cpu", dtype=torch.bfloat16)


def without_autocast(disable=False):
    enabled = torch.is_autocast_enabled() and not disable
    return torch.autocast("cuda", enabled=False) if enabled else contextlib.nullcontext()

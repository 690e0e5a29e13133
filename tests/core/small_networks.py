"""The smallest network of every architecture that spandrel knows, with seeded random weights.

spandrel: the one that models are read with, ours where ``install.py`` has put it into its folder. Each network is made
from spandrel's own module class and saved as that module saves itself, so that a test needs no download and no weights
of anybody. Architectures that this spandrel does not have are left out by ``available()``.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lib_upscaler.models.spandrels import spandrel_in_use

__all__ = [
    "NETWORKS",
    "SmallNetwork",
    "available",
    "compact",
    "network_state",
    "registered",
    "rrdb",
    "save_pth",
    "save_safetensors",
]

StateDict = dict[str, Tensor]

USED = spandrel_in_use()


@dataclass(frozen=True)
class SmallNetwork:
    """One small network.

    architecture: spandrel's id of it.
    build: makes its state dict; the same at every call.
    scale: of the output to the input.
    in_channels, out_channels: of the pictures, not of the network's own tensors.
    kind: "image", or "refused" for what is no upscaler (face restorers, inpainting, colourising ...).
    refused_as: a word that the refusal must contain.
    since: the first spandrel that knows this variant.
    random: whether it draws from torch's random numbers when it runs.
    multiple_of: what the sides of its input must be multiples of, where a version of spandrel says too little.
    """

    architecture: str
    build: Callable[[], StateDict] = field(repr=False)
    scale: int = 1
    in_channels: int = 3
    out_channels: int = 3
    kind: str = "image"
    refused_as: str = ""
    since: tuple[int, ...] = (0,)
    random: bool = False
    multiple_of: int = 1


def available() -> dict[str, SmallNetwork]:
    """The networks that the installed libraries can load."""
    version = tuple(int(part) for part in re.findall(r"\d+", USED.package.__version__)[:3])
    known = registered()
    return {n: net for n, net in NETWORKS.items() if net.architecture in known and net.since <= version}


def registered() -> frozenset[str]:
    """Ids of all architectures that spandrel and, where it is installed, spandrel_extra_arches register."""
    return frozenset(support.architecture.id for support in _supports())


def _supports() -> list[Any]:
    registries = [USED.package.MAIN_REGISTRY]
    if USED.extras is not None:
        registries.append(USED.extras.EXTRA_REGISTRY)
    # The extra ones may have been added to the main registry as well.
    by_id = {s.architecture.id: s for registry in registries for s in registry.architectures("insertion")}
    return list(by_id.values())


def save_pth(state: Mapping[str, Tensor], path: Path) -> Path:
    """Write ``state`` as torch does."""
    torch.save(dict(state), path)
    return path


def save_safetensors(state: Mapping[str, Tensor], path: Path) -> Path:
    """Write ``state`` as safetensors."""
    save_file({name: value.clone().contiguous() for name, value in state.items()}, str(path))
    return path


def compact(scale: int = 4, channels: int = 3, features: int = 16, layers: int = 4, seed: int = 0) -> StateDict:
    """A Real-ESRGAN Compact network (SRVGGNetCompact) of ``layers`` inner convolutions; context radius layers + 2."""
    hyperparameters = dict(num_in_ch=channels, num_out_ch=channels, num_feat=features, num_conv=layers, upscale=scale)
    return _state("Compact", hyperparameters, seed=seed, spread=True)


def rrdb(
    scale: int = 4, channels: int = 3, features: int = 16, blocks: int = 2, seed: int = 0, shuffle: int = 1
) -> StateDict:
    """An ESRGAN network with the keys of the original ("old") format.

    scale: of output to input. shuffle: factor of the pixel unshuffle in front (Real-ESRGAN: 2 for x2, 4 for x1).
    """
    hyperparameters = dict(
        in_nc=channels * shuffle**2,
        out_nc=channels,
        num_filters=features,
        num_blocks=blocks,
        scale=scale * shuffle,
        shuffle_factor=shuffle if shuffle > 1 else None,
    )
    # The last convolution of each dense block is scaled by 0.2 twice over; trained weights make up for it.
    return _state("ESRGAN", hyperparameters, seed=seed, spread=True, stronger=".conv5.")


def new_keys(state: StateDict) -> StateDict:
    """The state of ``rrdb`` with the keys that Real-ESRGAN's own code writes."""
    blocks = max(int(m.group(1)) for m in (re.match(r"model\.1\.sub\.(\d+)\.", k) for k in state) if m)
    last = max(int(k.split(".")[1]) for k in state)
    renamed = {}
    for key, value in state.items():
        kind = key.rsplit(".", 1)[1]
        rdb = re.match(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", key)
        number = int(key.split(".")[1])
        if rdb:
            name = f"body.{rdb[1]}.rdb{rdb[2]}.conv{rdb[3]}"
        elif number == 0:
            name = "conv_first"
        elif key.startswith(f"model.1.sub.{blocks}."):
            name = "conv_body"
        elif number == last:
            name = "conv_last"
        elif number == last - 2:
            name = "conv_hr"
        else:
            name = f"conv_up{number // 3}"
        renamed[f"{name}.{kind}"] = value
    return renamed


def middle_keys(state: StateDict) -> StateDict:
    """The state of ``rrdb`` with the keys of BSRGAN and RealSR."""
    swaps = (("conv_body", "trunk_conv"), ("body.", "RRDB_trunk."), ("rdb", "RDB"), ("conv_hr", "HRconv"))
    renamed = {}
    for key, value in new_keys(state).items():
        for old, new in swaps:
            key = key.replace(old, new)
        renamed[re.sub(r"conv_up(\d)", r"upconv\1", key)] = value
    return renamed


def _network_class(architecture: str, name: str = "") -> type[nn.Module]:
    """The module class of an architecture. Its name differs between versions, so it is taken by where it stands."""
    last_error: ImportError | None = None
    for package in filter(None, (USED.package, USED.extras)):
        try:
            module = importlib.import_module(f"{package.__name__}.architectures.{architecture}")
            break
        except ImportError as error:
            last_error = error
    else:
        raise last_error or ImportError(architecture)
    classes = {n: c for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, nn.Module)}
    if name:
        return classes[name]
    (only,) = classes.values()
    return only


_made: dict[str, StateDict] = {}


def _state(architecture: str, hyperparameters: Mapping[str, object], *name: str, **options: Any) -> StateDict:
    """As ``_made_state``, which takes long, but each state is made once in a process."""
    key = repr((architecture, hyperparameters, name, sorted(options.items())))
    if key not in _made:
        _made[key] = _made_state(architecture, hyperparameters, *name, **options)
    return {name: value.clone() for name, value in _made[key].items()}


def _made_state(
    architecture: str,
    hyperparameters: Mapping[str, object],
    name: str = "",
    *,
    seed: int = 0,
    spread: bool = False,
    stronger: str = "",
    multiple_of: int = 1,
) -> StateDict:
    """The state dict of one freshly made network, fit to upscale with.

    name: of the module class, where the architecture has several.
    spread: start the convolutions so that signals keep their strength from layer to layer (He et al. 2015) and each
    output pixel really depends on its whole neighbourhood. With torch's own start they fade after a few layers.
    stronger: part of the names of weights that are multiplied by 8.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
        # Some modules start empty parameters, or call functions that torch has since deprecated.
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        module = _network_class(architecture, name)(**hyperparameters)
        for key, parameter in module.named_parameters():
            _vary(parameter)
            if spread and parameter.dim() == 4:
                nn.init.kaiming_normal_(parameter, a=0.2)
            if stronger and stronger in key:
                parameter *= 8
        state = {key: value.detach().clone() for key, value in module.state_dict().items()}
        return _within_range(architecture, state, multiple_of)


def _vary(parameter: Tensor) -> None:
    """Change a parameter whose values are all alike.

    A fresh network has many (gates of 0, norms of 1), and some of them switch whole blocks off.
    """
    if parameter.numel() and parameter.is_floating_point() and bool((parameter == parameter.flatten()[0]).all()):
        parameter.add_(torch.randn_like(parameter), alpha=0.1)


def _within_range(architecture: str, state: StateDict, multiple_of: int) -> StateDict:
    """Scale the layer that writes the picture, so that what comes out lies in [0, 1] and has contrast.

    Otherwise most of the output of random weights would be cut off at 0 or 1, and a test that compares it could not
    see differences.
    """
    (support,) = (s for s in _supports() if s.architecture.id == architecture)
    descriptor = support.architecture.load(dict(state))
    layers: list[str] = []
    for name, layer in descriptor.model.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and not name.endswith("_mean"):
            layer.register_forward_hook(lambda *_, name=name: layers.append(name))

    # The descriptor's own call would clamp, and hide how far out of range the output is.
    call = descriptor._call_fn
    descriptor.model.eval()
    side = max(32, multiple_of)
    side += descriptor.size_requirements.get_padding(side, side)[0]
    grain = torch.rand(1, descriptor.input_channels, 5, 5)
    picture = nn.functional.interpolate(grain, size=(side, side), mode="bicubic").clamp_(0, 1)

    def run() -> Tensor:
        torch.manual_seed(0)
        return call(descriptor.model, picture.clone()).clone()

    run()
    layer = descriptor.model.get_submodule(layers[-1])
    weight, bias = layer.weight.clone(), layer.bias
    layer.weight.zero_()
    # What a bias of 1 adds to the output: -1 in networks that subtract, 1/255 in those that count in levels.
    lifted = run() if bias is None else _filled(bias, 1.0, run)
    without = lifted if bias is None else _filled(bias, 0.0, run)
    shift = float((lifted - without).mean())
    layer.weight.copy_(weight)
    added = run() - without

    residual = float(without.std()) > 0.05
    gain = (0.08 if residual else 0.16) / max(float(added.std()), 1e-6)
    if bias is None and not residual and float(added.mean()) < 0:
        # Without a bias, the layer can only be turned round.
        gain = -gain
    state[f"{layers[-1]}.weight"] *= gain
    if abs(shift) > 0.1:
        state[f"{layers[-1]}.bias"].fill_((0.5 - float(without.mean() + gain * added.mean())) / shift)
    return state


def _filled(parameter: Tensor, value: float, run: Callable[[], Tensor]) -> Tensor:
    """What ``run`` gives with all of ``parameter`` set to ``value``; it stays so."""
    parameter.fill_(value)
    return run()


def network_state(architecture: str, hyperparameters: Mapping[str, object], name: str = "") -> StateDict:
    """The state dict of a network made with these; its weights are random, and fit to upscale with.

    architecture: spandrel's id. name: of the module class, where the architecture has several.
    """
    return _state(architecture, hyperparameters, name)


def _outline(architecture: str, hyperparameters: Mapping[str, object], prefix: str = "") -> StateDict:
    """A state dict of the right keys and shapes that takes next to no room, for networks that are only refused.

    All values are zero: each tensor is one number seen through strides of 0, and is saved as such in a .pth file.
    prefix: of the module's keys, which the published files lack.
    """
    network = _network_class(architecture)
    try:
        # On "meta" the real weights, up to 400 MB, are never made.
        with torch.device("meta"):
            module = network(**hyperparameters)
    except NotImplementedError:
        # MAT and DDColor compute while they are built.
        module = network(**hyperparameters)
    state = module.state_dict()
    return {key.removeprefix(prefix): torch.zeros((), dtype=v.dtype).expand(v.shape) for key, v in state.items()}


def _image(
    architecture: str,
    hyperparameters: Mapping[str, object],
    name: str = "",
    *,
    scale: int = 1,
    channels: int = 3,
    since: tuple[int, ...] = (0,),
    random: bool = False,
    multiple_of: int = 1,
) -> SmallNetwork:
    """An upscaling or restoring network; ``name`` as in ``_state``."""
    build = partial(_state, architecture, hyperparameters, name, multiple_of=multiple_of)
    return SmallNetwork(
        architecture, build, scale, channels, channels, since=since, random=random, multiple_of=multiple_of
    )


def _refused(
    architecture: str, hyperparameters: Mapping[str, object], word: str, *, in_channels: int = 3, prefix: str = ""
) -> SmallNetwork:
    """A network that is no upscaler; ``word``: what the refusal must name; ``prefix`` as in ``_outline``."""
    build = partial(_outline, architecture, hyperparameters, prefix)
    return SmallNetwork(architecture, build, in_channels=in_channels, kind="refused", refused_as=word)


_SWIN = dict(img_size=16, embed_dim=12, depths=[2], num_heads=[2], window_size=8, mlp_ratio=2.0)

NETWORKS: dict[str, SmallNetwork] = {
    **{f"Compact-x{s}": SmallNetwork("Compact", partial(compact, scale=s), s) for s in (1, 2, 3, 4, 8)},
    "Compact-grey": SmallNetwork("Compact", partial(compact, scale=2, channels=1), 2, 1, 1),
    "Compact-rgba": SmallNetwork("Compact", partial(compact, scale=2, channels=4), 2, 4, 4),
    **{f"ESRGAN-x{s}": SmallNetwork("ESRGAN", partial(rrdb, scale=s), s) for s in (1, 2, 4, 8)},
    "ESRGAN-x2-unshuffle": SmallNetwork("ESRGAN", partial(rrdb, scale=2, shuffle=2), 2),
    "ESRGAN-x1-unshuffle": SmallNetwork("ESRGAN", partial(rrdb, scale=1, shuffle=4), 1),
    "ESRGAN-x4-new": SmallNetwork("ESRGAN", lambda: new_keys(rrdb()), 4),
    "ESRGAN-x4-middle": SmallNetwork("ESRGAN", lambda: middle_keys(rrdb()), 4),
    "ESRGAN-grey": SmallNetwork("ESRGAN", partial(rrdb, channels=1), 4, 1, 1),
    "ESRGAN-rgba": SmallNetwork("ESRGAN", partial(rrdb, channels=4), 4, 4, 4),
    "ESRGAN-plus": _image("ESRGAN", dict(num_filters=16, num_blocks=2, scale=4, plus=True), scale=4),
    "SwinIR-x2": _image("SwinIR", dict(_SWIN, upscale=2, upsampler="pixelshuffle"), scale=2),
    "SwinIR-x3-light": _image("SwinIR", dict(_SWIN, upscale=3, upsampler="pixelshuffledirect"), scale=3),
    "SwinIR-x4-real": _image("SwinIR", dict(_SWIN, upscale=4, upsampler="nearest+conv"), scale=4),
    "SwinIR-grey": _image("SwinIR", dict(_SWIN, in_chans=1), channels=1),
    "SwinIR-jpeg": _image("SwinIR", dict(_SWIN, in_chans=1, window_size=7, img_size=14, img_range=255.0), channels=1),
    "Swin2SR-x2": _image("Swin2SR", dict(_SWIN, upscale=2, upsampler="pixelshuffledirect"), scale=2),
    "Swin2SR-x4-aux": _image("Swin2SR", dict(_SWIN, upscale=4, upsampler="nearest+conv"), scale=4),
    "SRFormer-x2": _image("SRFormer", dict(_SWIN, upscale=2, upsampler="pixelshuffledirect"), scale=2),
    "SRFormer-x4": _image("SRFormer", dict(_SWIN, upscale=4, upsampler="nearest+conv"), scale=4),
    "HAT-x2": _image(
        "HAT",
        dict(_SWIN, compress_ratio=3, squeeze_factor=6, upscale=2, num_feat=16),
        scale=2,
    ),
    "DRCT-x4": _image("DRCT", dict(_SWIN, upscale=4, upsampler="pixelshuffle", gc=6), scale=4),
    "ATD-x2": _image(
        "ATD",
        dict(
            embed_dim=12,
            depths=[2],
            num_heads=[2],
            window_size=8,
            num_tokens=8,
            reducted_dim=2,
            category_size=256,
            upscale=2,
            upsampler="pixelshuffledirect",
        ),
        scale=2,
    ),
    "DAT-x2": _image(
        "DAT",
        dict(
            img_size=16,
            embed_dim=16,
            split_size=[4, 8],
            depth=[2],
            num_heads=[2],
            expansion_factor=2.0,
            upscale=2,
            upsampler="pixelshuffledirect",
        ),
        scale=2,
    ),
    "RGT-x2": _image(
        "RGT",
        dict(embed_dim=12, depth=[2], num_heads=[2], mlp_ratio=2.0, split_size=[8, 8], upscale=2),
        scale=2,
    ),
    "CRAFT-x2": _image("CRAFT", dict(embed_dim=12, depths=[2], num_heads=[2], upscale=2), scale=2),
    "GRL-x2": _image(
        "GRL",
        dict(
            embed_dim=12,
            depths=[2],
            num_heads_window=[1],
            num_heads_stripe=[1],
            mlp_ratio=2.0,
            upscale=2,
            upsampler="pixelshuffledirect",
            anchor_window_down_factor=4,
            window_size=32,
            stripe_size=[64, 64],
        ),
        scale=2,
    ),
    "GRL-x1": _image(
        "GRL",
        dict(
            embed_dim=12,
            depths=[2],
            num_heads_window=[1],
            num_heads_stripe=[1],
            mlp_ratio=2.0,
            anchor_window_down_factor=4,
        ),
    ),
    "OmniSR-x2": _image("OmniSR", dict(num_feat=16, up_scale=2), scale=2),
    "DCTLSA-x2": _image("DCTLSA", dict(nf=10, upscale=2), scale=2),
    "DITN-x2": _image("DITN", dict(dim=16, ITL_blocks=1, SAL_blocks=1, upscale=2), scale=2),
    "IPT-x2": _image(
        "IPT",
        dict(patch_size=48, patch_dim=3, n_feats=4, num_layers=1, scale=[2], rgb_range=255),
        scale=2,
    ),
    "MMRealSR-x4": _image(
        "MMRealSR",
        dict(
            num_in_ch=3,
            num_out_ch=3,
            num_feat=16,
            num_block=2,
            num_grow_ch=8,
            num_feats=[8, 8],
            num_blocks=[1, 1],
            downscales=[2, 1],
        ),
        scale=4,
    ),
    "SPAN-x4": _image("SPAN", dict(num_in_ch=3, num_out_ch=3, feature_channels=16), scale=4),
    "SPAN-x2-plain": _image(
        "SPAN", dict(num_in_ch=3, num_out_ch=3, feature_channels=16, upscale=2, norm=False), scale=2
    ),
    "PLKSR-x4": _image("PLKSR", dict(dim=16, n_blocks=2), "PLKSR", scale=4),
    "PLKSR-real-x4": _image("PLKSR", dict(dim=16, n_blocks=2), "RealPLKSR", scale=4),
    "PLKSR-real-dysample-x2": _image(
        "PLKSR", dict(dim=16, n_blocks=2, upscaling_factor=2, dysample=True), "RealPLKSR", scale=2, since=(0, 4)
    ),
    "PLKSR-real-layer-norm-x4": _image(
        "PLKSR", dict(dim=16, n_blocks=2, layer_norm=True), "RealPLKSR", scale=4, since=(0, 4)
    ),
    "RealCUGAN-x2": _image("RealCUGAN", {}, "UpCunet2x", scale=2),
    "RealCUGAN-x3": _image("RealCUGAN", {}, "UpCunet3x", scale=3),
    "RealCUGAN-x4": _image("RealCUGAN", {}, "UpCunet4x", scale=4),
    "RealCUGAN-x2-pro": _image("RealCUGAN", dict(pro=True), "UpCunet2x", scale=2),
    "RealCUGAN-x2-fast": _image("RealCUGAN", {}, "UpCunet2x_fast", scale=2),
    "SAFMN-x4": _image("SAFMN", dict(dim=16, n_blocks=2), scale=4),
    "SAFMNBCIE": _image("SAFMNBCIE", dict(dim=16, n_blocks=1, num_layers=1)),
    "SwiftSRGAN-x2": _image("SwiftSRGAN", dict(num_channels=16, num_blocks=2, upscale_factor=2), scale=2),
    "SeemoRe-x2": _image("SeemoRe", dict(scale=2, num_experts=3, num_layers=1, embedding_dim=12), scale=2),
    "MoSR-x2": _image("MoSR", dict(upscale=2, n_block=2, dim=16), scale=2),
    "MoSR-x4-dysample": _image("MoSR", dict(upscale=4, n_block=2, dim=16, upsampler="dys"), scale=4),
    "MoESR-x4": _image("MoESR", dict(scale=4, dim=16, n_blocks=1, n_block=1, upsample_dim=16), scale=4),
    "RCAN-x2": _image("RCAN", dict(scale=2, n_resgroups=1, n_resblocks=2, n_feats=16, reduction=4), scale=2),
    "FDAT-x2": _image(
        "FDAT",
        dict(
            scale=2,
            embed_dim=16,
            num_groups=1,
            depth_per_group=1,
            num_heads=2,
            mid_dim=16,
            aim_reduction_ratio=4,
            upsampler_type="pixelshuffle",
        ),
        scale=2,
    ),
    "AuraSR-x4": _image(
        "AuraSR",
        dict(
            dim=8,
            image_size=None,
            input_image_size=None,
            style_network=dict(dim_in=8, dim_out=32, depth=2),
            up_dim_mults=(1, 1, 1, 1, 1),
            down_dim_mults=(1, 1, 1),
            self_attn_dim_head=4,
            attn_depths=(2, 2, 2, 1, 1),
            mid_attn_depth=1,
            num_conv_kernels=2,
            skip_connect_scale=0.4,
        ),
        scale=4,
        random=True,
    ),
    "SCUNet": _image("SCUNet", dict(config=[2, 2, 2, 2, 2, 2, 2], dim=64)),
    "FBCNN": _image("FBCNN", dict(nc=[8, 8, 8, 512], nb=2)),
    "DRUNet": _image("DRUNet", dict(in_nc=4, out_nc=3, nc=[8, 8, 8, 8], nb=2)),
    "DRUNet-grey": _image("DRUNet", dict(in_nc=2, out_nc=1, nc=[8, 8, 8, 8], nb=2), channels=1),
    "DnCNN": _image("DnCNN", dict(in_nc=3, out_nc=3, nc=8, nb=9, act_mode="R")),
    "DnCNN-grey": _image("DnCNN", dict(in_nc=1, out_nc=1, nc=8, nb=5, act_mode="BR"), channels=1),
    "FDnCNN": _image("DnCNN", dict(in_nc=4, out_nc=3, nc=8, nb=9, act_mode="R", mode="FDnCNN")),
    "Uformer": _image("Uformer", dict(dd_in=3, embed_dim=4, depths=[1] * 9, num_heads=[1, 1, 1, 2, 2, 2, 2, 1, 1])),
    "KBNet-s": _image("KBNet", dict(width=8, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]), "KBNet_s"),
    "KBNet-l": _image(
        "KBNet", dict(dim=12, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1, heads=[1, 1, 2, 2]), "KBNet_l"
    ),
    "FFTformer": _image("FFTformer", dict(dim=8, num_blocks=[1, 1, 1], num_refinement_blocks=1)),
    "NAFNet": _image("NAFNet", dict(width=8, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1])),
    "MixDehazeNet": _image("MixDehazeNet", dict(embed_dims=[8, 16, 32, 16, 8])),
    "RetinexFormer": _image("RetinexFormer", dict(n_feat=8, stage=1)),
    "HVICIDNet": _image("HVICIDNet", dict(channels=[8, 8, 16, 16], heads=[1, 1, 2, 2])),
    "Restormer": _image("Restormer", dict(dim=8, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1, heads=[1, 1, 2, 2])),
    "MPRNet": _image("MPRNet", dict(n_feat=8, scale_unetfeats=4, scale_orsnetfeats=4, num_cab=1)),
    "MIRNet2": _image("MIRNet2", dict(n_feat=8, chan_factor=1.0, n_MRB=1)),
    "M3SNet": _image("M3SNet", dict(width=8, enc_blk_nums=[1, 1, 1, 1])),
    "FeMaSR": _image("FeMaSR", dict(codebook_params=[[256, 16, 16]], gt_resolution=512)),
    "FeMaSR-x2": _image(
        "FeMaSR", dict(codebook_params=[[32, 16, 16]], gt_resolution=128, LQ_stage=True, scale_factor=2), scale=2
    ),
    "AdaCode": _image("AdaCode", dict(codebook_params=[[64, 16, 16]], gt_resolution=128), multiple_of=64),
    "GFPGAN": _refused("GFPGAN", {}, "face"),
    "CodeFormer": _refused("CodeFormer", {}, "face"),
    "RestoreFormer": _refused(
        "RestoreFormer",
        dict(n_embed=8, embed_dim=32, ch=32, ch_mult=(1, 1, 1, 1, 1, 1), num_res_blocks=1, z_channels=32),
        "face",
    ),
    "LaMa": _refused("LaMa", dict(in_nc=4), "inpaint"),
    "MAT": _refused("MAT", {}, "inpaint", prefix="model."),
    "DDColor": _refused("DDColor", dict(encoder_name="convnext-t", num_output_channels=2), "colour", in_channels=1),
    "MIRNet2-dual-pixel": _refused(
        "MIRNet2", dict(inp_channels=6, n_feat=8, chan_factor=1.0, n_MRB=1), "channels", in_channels=6
    ),
}

"""Which module tree it is: the autoencoders of Stable Diffusion (KL) and of LDSR (VQ), read module by module.

The layout is that of CompVis' latent-diffusion, ``ldm/modules/diffusionmodules/model.py``, which Stability's sgm and
Forge keep. Hosts replace what some of its modules do (attention, casts, tiling), never what it is made of, so it is
read by what it is made of. Anything else is refused in words: nothing is guessed.
"""

from __future__ import annotations

from torch import nn

from ...errors import UnsupportedModelError
from .tree import Attention, Block, Coder, Conv, Down, Head, Part, Quantiser, Up, VaeTree

__all__ = ["recognise", "recognise_decoder"]


def recognise(module: nn.Module) -> VaeTree:
    """What this first stage is made of.

    module: with ``encoder`` and ``decoder``, such as A1111's ``sd_model.first_stage_model``, Forge's
    ``forge_objects.vae.first_stage_model``, and the ``first_stage_model`` of LDSR.

    Raises UnsupportedModelError, which says why, for whatever is not wholly known: then it runs only as a whole, by its
    own means.
    """
    reader = _Reader()
    encoder, decoder = reader.child(module, "encoder", ""), reader.child(module, "decoder", "")
    down, up = reader.encoder(encoder), reader.decoder(decoder)
    after, before = reader.pointwise(module, "quant_conv"), reader.pointwise(module, "post_quant_conv")
    quantiser = reader.quantiser(module)
    factors = [sum(isinstance(part, kind) for part in parts) for parts, kind in ((down, Down), (up, Up))]
    if factors[0] != factors[1]:
        reader.refuse("encoder and decoder have different scales")
    first: list[Part] = [] if quantiser is None else [quantiser]
    return VaeTree(
        "kl" if quantiser is None else "vq",
        _coder(down + [Conv(conv) for conv in after], (encoder, *after), encoder),
        _coder(first + [Conv(conv) for conv in before] + up, (*before, decoder), decoder),
        2 ** factors[0],
        reader.wraps(),
        quantiser,
    )


def recognise_decoder(module: nn.Module) -> VaeTree:
    """As ``recognise``, of a first stage that can only decode.

    module: with ``decoder``, and perhaps ``post_quant_conv`` and ``quantize``. Raises UnsupportedModelError.
    """
    reader = _Reader()
    decoder = reader.child(module, "decoder", "")
    up, before, quantiser = (
        reader.decoder(decoder),
        reader.pointwise(module, "post_quant_conv"),
        reader.quantiser(module),
    )
    first: list[Part] = [] if quantiser is None else [quantiser]
    coder = _coder(first + [Conv(conv) for conv in before] + up, (*before, decoder), decoder)
    factor = 2 ** sum(isinstance(part, Up) for part in up)
    return VaeTree("kl" if quantiser is None else "vq", None, coder, factor, reader.wraps(), quantiser)


def _coder(parts: list[Part], plain: tuple[nn.Module, ...], module: nn.Module) -> Coder:
    def convolution(of: nn.Module, name: str) -> nn.Conv2d:
        return of if isinstance(of, nn.Conv2d) else getattr(of, name)

    first, last = convolution(plain[0], "conv_in"), convolution(plain[-1], "conv_out")
    return Coder(tuple(parts), plain, first.in_channels, last.out_channels)


class _Reader:
    """Reads a tree and keeps what its convolutions do at borders."""

    def __init__(self) -> None:
        self._padding_modes: set[str] = set()

    def refuse(self, why: str) -> None:
        raise UnsupportedModelError(
            "this VAE cannot be run in bands", why, "it runs as a whole, which takes the memory that it takes"
        )

    def child(self, module: nn.Module, name: str, where: str) -> nn.Module:
        found = getattr(module, name, None)
        if not isinstance(found, nn.Module):
            self.refuse(f"it has no module '{where}{name}'")
        assert isinstance(found, nn.Module)
        return found

    def only(self, module: nn.Module, where: str, *names: str) -> None:
        """Refuse a module with children that are not known, or that somebody has given another forward."""
        others = sorted({name for name, _ in module.named_children()} - set(names))
        if others:
            self.refuse(f"'{where}' has a part that is not known: {others[0]}")
        if list(module.named_parameters(recurse=False)):
            self.refuse(f"'{where}' has weights of its own")
        if "forward" in module.__dict__:
            self.refuse(f"another extension has replaced what '{where}' does")

    # -- parts ---------------------------------------------------------------------------------------------------------

    def encoder(self, module: nn.Module) -> list[Part]:
        self.only(module, "encoder", "conv_in", "down", "mid", "norm_out", "conv_out")
        levels = list(self.child(module, "down", "encoder.").children())
        parts: list[Part] = [Conv(self.conv(module, "conv_in", "encoder.", 3))]
        for number, level in enumerate(levels):
            where = f"encoder.down.{number}."
            parts += self.level(level, where, "downsample")
            if number < len(levels) - 1:
                parts.append(self.down(self.child(level, "downsample", where), f"{where}downsample."))
        return parts + self.middle(module, "encoder.") + [self.head(module, "encoder.")]

    def decoder(self, module: nn.Module) -> list[Part]:
        self.only(module, "decoder", "conv_in", "mid", "up", "norm_out", "conv_out")
        if getattr(module, "give_pre_end", False):
            self.refuse("its decoder ends before its last layers")
        levels = list(self.child(module, "up", "decoder.").children())
        parts = [Conv(self.conv(module, "conv_in", "decoder.", 3)), *self.middle(module, "decoder.")]
        for number in reversed(range(len(levels))):
            where = f"decoder.up.{number}."
            parts += self.level(levels[number], where, "upsample")
            if number:
                parts.append(self.up(self.child(levels[number], "upsample", where), f"{where}upsample."))
        return [*parts, self.head(module, "decoder.")]

    def level(self, level: nn.Module, where: str, change: str) -> list[Part]:
        self.only(level, where[:-1], "block", "attn", change)
        blocks = list(self.child(level, "block", where).children())
        attention = list(level.attn.children()) if isinstance(getattr(level, "attn", None), nn.Module) else []
        if attention and len(attention) != len(blocks):
            self.refuse(f"'{where}attn' does not fit its blocks")
        parts: list[Part] = []
        for number, block in enumerate(blocks):
            parts.append(self.block(block, f"{where}block.{number}"))
            if attention:
                parts += self.attention(attention[number], f"{where}attn.{number}")
        return parts

    def middle(self, module: nn.Module, where: str) -> list[Part]:
        middle = self.child(module, "mid", where)
        where = f"{where}mid."
        self.only(middle, where[:-1], "block_1", "attn_1", "block_2")
        first, second = (self.block(self.child(middle, name, where), where + name) for name in ("block_1", "block_2"))
        return [first, *self.attention(self.child(middle, "attn_1", where), f"{where}attn_1"), second]

    def block(self, block: nn.Module, where: str) -> Block:
        names = ("norm1", "conv1", "norm2", "conv2", "dropout", "swish", "nin_shortcut", "conv_shortcut")
        self.only(block, where, *names)
        dropout = getattr(block, "dropout", None)
        if isinstance(dropout, nn.Dropout) and dropout.p > 0 and dropout.training:
            self.refuse(f"'{where}' drops values at random")
        swish = getattr(block, "swish", None)
        if swish is not None and not isinstance(swish, nn.SiLU):
            self.refuse(f"'{where}' has an activation that is not known")
        if isinstance(getattr(block, "conv_shortcut", None), nn.Module):
            self.refuse(f"'{where}' has a shortcut of 3x3")
        shortcut = isinstance(getattr(block, "nin_shortcut", None), nn.Module)
        where += "."
        found = Block(
            self.norm(block, "norm1", where),
            self.conv(block, "conv1", where, 3),
            self.norm(block, "norm2", where),
            self.conv(block, "conv2", where, 3),
            self.conv(block, "nin_shortcut", where, 1) if shortcut else None,
            swish is not None,
        )
        if not shortcut and found.conv1.in_channels != found.conv2.out_channels:
            self.refuse(f"'{where[:-1]}' changes its channels without a shortcut")
        return found

    def attention(self, module: nn.Module, where: str) -> list[Part]:
        if isinstance(module, nn.Identity):
            return []
        if not isinstance(getattr(module, "proj_out", None), nn.Conv2d):
            self.refuse(f"the attention '{where}' is of another kind ({type(module).__name__})")
        self.only(module, where, "norm", "q", "k", "v", "proj_out")
        where += "."
        q, k, v, out = (self.conv(module, name, where, 1) for name in ("q", "k", "v", "proj_out"))
        return [Attention(self.norm(module, "norm", where), q, k, v, out)]

    def up(self, module: nn.Module, where: str) -> Up:
        self.only(module, where[:-1], "conv")
        return Up(module, self.conv(module, "conv", where, 3))

    def down(self, module: nn.Module, where: str) -> Down:
        self.only(module, where[:-1], "conv")
        return Down(self.conv(module, "conv", where, 3, stride=2, padding=0))

    def head(self, module: nn.Module, where: str) -> Head:
        tanh = bool(getattr(module, "tanh_out", False))
        return Head(self.norm(module, "norm_out", where), self.conv(module, "conv_out", where, 3), tanh)

    def pointwise(self, module: nn.Module, name: str) -> tuple[nn.Conv2d, ...]:
        """Of 1x1; none where there is none (Forge, for models without it)."""
        if getattr(module, name, None) is None:
            return ()
        return (self.conv(module, name, "", 1),)

    def quantiser(self, module: nn.Module) -> Quantiser | None:
        found = getattr(module, "quantize", None)
        if found is None:
            return None
        embedding = getattr(found, "embedding", None)
        if not isinstance(found, nn.Module) or not isinstance(embedding, nn.Embedding):
            self.refuse("its quantiser is of another kind")
        assert isinstance(embedding, nn.Embedding)
        return Quantiser(found, embedding.num_embeddings, embedding.embedding_dim)

    def conv(
        self, module: nn.Module, name: str, where: str, size: int, stride: int = 1, padding: int | None = None
    ) -> nn.Conv2d:
        found = self.child(module, name, where)
        if not isinstance(found, nn.Conv2d):
            self.refuse(f"'{where}{name}' is no convolution in two dimensions but {type(found).__name__}")
        assert isinstance(found, nn.Conv2d)
        padding = size // 2 if padding is None else padding
        expected = (size, size), (stride, stride), (padding, padding), (1, 1), 1
        if (found.kernel_size, found.stride, found.padding, found.dilation, found.groups) != expected:
            self.refuse(f"the convolution '{where}{name}' is of another shape")
        if padding:
            self._padding_modes.add(found.padding_mode)
        return found

    def norm(self, module: nn.Module, name: str, where: str) -> nn.GroupNorm:
        found = self.child(module, name, where)
        if not isinstance(found, nn.GroupNorm):
            self.refuse(f"'{where}{name}' is no GroupNorm but {type(found).__name__}")
        assert isinstance(found, nn.GroupNorm)
        return found

    def wraps(self) -> bool:
        if not self._padding_modes <= {"zeros", "circular"} or len(self._padding_modes) > 1:
            modes = ", ".join(sorted(self._padding_modes))
            self.refuse(f"its convolutions treat borders in different ways ({modes})")
        return self._padding_modes == {"circular"}

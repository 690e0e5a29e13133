"""A tiny text tower for open_clip, whose pooled prompt has SDXL's 1280 numbers: its checkpoint's config asks for it."""

from open_clip.factory import _MODEL_CONFIGS

NAME = "tiny-tower"
_MODEL_CONFIGS[NAME] = {
    "embed_dim": 1280,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}

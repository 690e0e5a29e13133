"""How networks run, and those that sample."""

from __future__ import annotations

from ..depths import DEPTHS
from ..models.ldsr.settings import MODES, MOST_STEPS, SAMPLERS
from ..request import ALPHAS, PRECISIONS, WRAPS
from .field import BY_SETTINGS, NO_UPSCALER, At, Field, Place

__all__ = ["LATER", "LDSR", "RUNNING"]


def _ldsr(name: str, about: str) -> dict[Place, At]:
    return {
        "extras": At(f"TrueScale LDSR {name}"),
        "sd": At(f"TrueScale LDSR {name}"),
        "hires": At(f"Hires LDSR {name}"),
        "api": At(f"ldsr_{name}", about=about),
        "command line": At(f"--ldsr-{name}", about=about),
    }


RUNNING: tuple[Field, ...] = (
    Field(
        "precision",
        "choice",
        "Precision",
        {
            "extras": At("TrueScale precision asked"),
            "sd": At("TrueScale precision"),
            "hires": At("Hires upscaler precision"),
            "api": At("precision", None, PRECISIONS, about=f"{', '.join(PRECISIONS)}; none: as in the settings"),
            "command line": At("--precision", "auto", PRECISIONS),
            "xyz": At("Hires precision", choices=PRECISIONS),
        },
        default=BY_SETTINGS,
        choices=(BY_SETTINGS, *PRECISIONS),
        info="exact is float32; auto takes a smaller one where it is faster and hardly differs",
    ),
    Field(
        "tile",
        "number",
        "Tile size",
        {
            "extras": At("TrueScale tile"),
            "hires": At("Hires upscaler tile"),
            "api": At("tile", about="px; 0: automatic"),
            "command line": At(
                "--tile",
                "auto",
                about="side of a tile in pixels of the input, its margin comes on top (default: auto, as memory needs)",
            ),
            "xyz": At("Hires tile size"),
        },
        default=0,
        low=0,
        high=65536,
        smallest=16,
        slider=(0, 2048, 16),
        whole=True,
        unit="px",
        info="0 = automatic: in tiles only where memory demands it",
        words=("auto", "none"),
    ),
    Field(
        "memory",
        "number",
        "Most memory, in GB",
        {
            "extras": At("TrueScale memory"),
            "api": At("memory_gb", about="0: as in the settings"),
            "command line": At(
                "--memory",
                None,
                about="how much memory may be used above what the loaded models take, such as 2GB, 500MB, 1.5GiB"
                " (default: a share of what is free)",
            ),
        },
        noun="memory",
        default=0.0,
        low=0,
        slider=(0.0, 64.0, 0.5),
        unit="GB",
        info="0 = as in the settings",
    ),
    Field(
        "alpha",
        "choice",
        "Transparency",
        {
            "extras": At("TrueScale transparency"),
            "api": At("alpha", about=", ".join(ALPHAS)),
            "command line": At(
                "--alpha", about="through the network (default), resampled, or the picture put on white"
            ),
        },
        noun="way of treating transparency called",
        default="network",
        choices=ALPHAS,
        info="through the network, fast (resampled), or drop (put on white)",
    ),
    Field(
        "clean_up",
        "model",
        "Clean up first",
        {
            "extras": At("TrueScale clean-up", NO_UPSCALER),
            "api": At("clean_up", about="a network that repairs the picture first, at its own size"),
            "command line": At(
                "--clean-up",
                about="a model that repairs the picture first, at its own size: a 1x network, or one whose result is"
                " made small",
            ),
        },
        info="a 1x network that takes away JPEG damage, noise or blur before the picture is enlarged",
        group="models",
    ),
    Field(
        "followed_by",
        "model",
        "Followed by",
        {
            "extras": At("TrueScale followed by", NO_UPSCALER),
            "api": At("followed_by", about="a model that runs on what Upscaler 1 gave, as B in A > B"),
        },
        info="a second model, run on what Upscaler 1 gave",
        group="models",
    ),
    Field(
        "recipe",
        "model",
        "Recipe",
        {
            "extras": At("TrueScale recipe"),
            "sd": At("TrueScale recipe"),
            "hires": At("Hires upscaler recipe"),
        },
        default="",
        info="in place of the first upscaler: A > B one after the other, A@25 & B@75 interpolated in their weights",
    ),
    Field(
        "tta",
        "switch",
        "Average of 8 views (TTA)",
        {
            "extras": At("TrueScale TTA"),
            "sd": At("TrueScale TTA"),
            "hires": At("Hires upscaler TTA"),
            "api": At("tta"),
            "command line": At("--tta"),
            "xyz": At("Hires TTA", choices=("True", "False")),
        },
        noun="averaging",
        default=False,
        info="the mean over 8 flips and turns of the picture: a little truer, 8 times the work",
    ),
)
"""In order."""

LDSR: tuple[Field, ...] = (
    Field(
        "ldsr_mode",
        "choice",
        "LDSR mode",
        _ldsr("mode", "auto, or webui: the WebUI's own arithmetic"),
        default="auto",
        choices=MODES,
        info="auto is faster; webui computes as the WebUI's own LDSR, in patches",
        group="ldsr",
    ),
    Field(
        "ldsr_steps",
        "number",
        "LDSR steps",
        _ldsr("steps", "1 to 200; 0: 20, with webui 100"),
        default=0,
        low=0,
        high=MOST_STEPS,
        slider=(0, MOST_STEPS, 1),
        whole=True,
        info="0 = 20; with webui, that WebUI's own setting",
        group="ldsr",
    ),
    Field(
        "ldsr_sampler",
        "choice",
        "LDSR sampler",
        _ldsr("sampler", f"auto, {', '.join(SAMPLERS)}"),
        default="auto",
        choices=("auto", *SAMPLERS),
        group="ldsr",
    ),
    Field(
        "ldsr_eta",
        "number",
        "LDSR eta",
        _ldsr("eta", "of ddim, 0 to 1; -1: as usual, 1 with webui and else 0"),
        default=-1.0,
        low=-1,
        high=1,
        slider=(-1.0, 1.0, 0.05),
        info="noise that DDIM adds on its way; -1 = as usual",
        group="ldsr",
    ),
    Field(
        "ldsr_seed",
        "number",
        "LDSR seed",
        _ldsr("seed", "of the noise, 0 or more"),
        default=0,
        low=0,
        high=2**53,
        whole=True,
        info="the same seed gives the same picture",
        group="ldsr",
    ),
)
"""In order."""

LATER: tuple[Field, ...] = (
    Field(
        "verify",
        "switch",
        "Verify",
        {
            "command line": At(
                "--verify", about="also run the untiled float32 network on the CPU and tell the difference"
            )
        },
        default=False,
    ),
    Field(
        "wrap",
        "choice",
        "Seamless",
        {
            "extras": At("TrueScale seamless"),
            "sd": At("TrueScale seamless"),
            "hires": At("Hires upscaler seamless"),
            "api": At("wrap", about=f"{', '.join(WRAPS)}: where the picture goes on at its other side"),
            "command line": At(
                "--wrap",
                about="where the picture goes on at its other side, as textures and panoramas do: to the left and right"
                " (x), above and below (y), or both; so does the result (default: none)",
            ),
            "xyz": At("Hires seamless", choices=WRAPS),
        },
        noun="way of going on at the other side called",
        default="none",
        choices=WRAPS,
        info="for pictures that go on at their other side: textures (xy), panoramas (x)",
    ),
    Field(
        "depth",
        "choice",
        "Depth",
        {
            "api": At("depth", about="bits per channel of the result: 8, 16, 32 (floating point, tiff only), auto"),
            "command line": At(
                "--depth",
                about="bits per channel of the result; 32 is floating point, in TIFF and EXR (default: auto, as many as"
                " the picture has)",
            ),
        },
        default="auto",
        choices=DEPTHS,
    ),
)
"""The latest, behind all others."""

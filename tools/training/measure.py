"""The figures of the README and its picture: how near each way to enlarge comes to what was held back."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from lib_upscaler.models.library import ModelLibrary, shipped_models
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.request import UpscaleRequest

from .export import with_metadata
from .figures import BORDER, psnr, ssim
from .fonts import training_fonts, validation_fonts
from .settings import MODEL_NAME, SCALE, VALIDATION_PHOTOS
from .validation import SIDE, Sample, photo_samples, text_samples

__all__ = ["measure", "side_by_side"]

_LARGE = "R-ESRGAN 4x+"
_OTHERS = {"animevideov3-x4": "realesr-animevideov3-x4", _LARGE: "RealESRGAN_x4plus"}
"""What the table calls a network -> its name among the models."""

_Enlarge = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Result:
    """A sample, enlarged. seconds: that it took, the network being loaded."""

    sample: Sample
    output: Image.Image
    seconds: float

    @cached_property
    def gain(self) -> float:
        """dB of luma PSNR over Lanczos."""
        return psnr(self.output, self.sample.large) - psnr(self.sample.lanczos(), self.sample.large)

    @property
    def seconds_per_megapixel(self) -> float:
        return self.seconds / (self.output.width * self.output.height / 1e6)

    @property
    def shift(self) -> np.ndarray:
        """Mean of the output above that of the input: levels of red, green and blue."""
        return _means(self.output) - _means(self.sample.small)


_Groups = Mapping[str, Sequence[Result]]


def measure(photos: Path, models: Path, model: Path | None, card: Path | None, limit: int) -> int:
    """Print the figures as Markdown.

    photos: folder of the photos. models: folder of the other networks. model: instead of the file that ships.
    card: the same file, to write the figures into it. limit: crops of each photo and size.

    Raises OSError or ValueError where a photo or a file is missing, and the errors of ``Upscaler``.
    """
    model = model or _shipped()
    if card is not None and not card.samefile(model):
        raise ValueError(f"{card} is not the file that is measured, {model}")
    samples = {"photos": photo_samples(photos, limit), "text": text_samples(validation_fonts())}
    table: dict[str, _Groups] = {}
    for name, enlarge in _ways(models, model).items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        table[name] = _results(enlarge, samples)
    again = _results(_network(models, model), samples)
    figures = _figures(table, _same_bytes(table[MODEL_NAME], again))
    print(_markdown(table))
    print()
    for name, value in figures.items():
        print(f"- {name}: {value}")
    if card is not None:
        with_metadata(card, {"figures": json.dumps(figures)})
    return 0


def _shipped() -> Path:
    found = shipped_models()
    if not found:
        raise FileNotFoundError(f"{MODEL_NAME} is not here; name its file with --model")
    return found[0]


# -- the ways ----------------------------------------------------------------------------------------------------------


def _ways(models: Path, model: Path) -> dict[str, _Enlarge]:
    return {
        "Lanczos": lambda small: _resampled(small, Image.LANCZOS),
        "bicubic": lambda small: _resampled(small, Image.BICUBIC),
        **{name: _network(models, file) for name, file in _OTHERS.items()},
        MODEL_NAME: _network(models, model),
    }


def _resampled(small: Image.Image, method: int) -> Image.Image:
    return small.resize((small.width * SCALE, small.height * SCALE), method)


def _network(models: Path, name: str | Path) -> _Enlarge:
    """As a user has it, but always in float32 and on the processor."""
    upscaler = Upscaler(ModelLibrary([models]), "cpu")
    request = UpscaleRequest(name, precision="exact")
    return lambda small: upscaler.upscale(small, request).image


def _results(enlarge: _Enlarge, samples: Mapping[str, Sequence[Sample]]) -> _Groups:
    enlarge(samples["text"][0].small)  # loads the network, and is not counted
    return {group: [_result(enlarge, sample) for sample in each] for group, each in samples.items()}


def _result(enlarge: _Enlarge, sample: Sample) -> Result:
    started = time.perf_counter()
    output = enlarge(sample.small)
    return Result(sample, output, time.perf_counter() - started)


# -- the figures -------------------------------------------------------------------------------------------------------


def _figures(table: Mapping[str, _Groups], same: bool) -> dict[str, float | str]:
    """Of the model that ships, for people and for its file."""
    own = table[MODEL_NAME]
    by_photo = {stem: [r for r in own["photos"] if r.sample.name.startswith(stem)] for stem in VALIDATION_PHOTOS}
    seconds = _seconds(own)
    return {
        "measured": f"{len(own['photos'])} crops of photos and {len(own['text'])} pages of text of {SIDE}x{SIDE} px, "
        f"made {SCALE} times smaller by Pillow's bicubic; luma, {BORDER} px at the border left out",
        **{f"luma PSNR on {name}, dB": _rounded(_psnr(group), 2) for name, group in own.items()},
        **{f"over Lanczos on {name}, dB": _rounded(_gain(group), 2) for name, group in own.items()},
        **{f"over Lanczos on {stem}, dB": _rounded(_gain(group), 2) for stem, group in by_photo.items() if group},
        **{f"least over Lanczos on {name}, dB": _rounded(min(r.gain for r in group), 2) for name, group in own.items()},
        **{f"SSIM on {name}": _rounded(_ssim(group), 4) for name, group in own.items()},
        **{f"largest shift of red, green, blue on {name}, levels": _shift(group) for name, group in own.items()},
        "two runs give the same bytes": "yes" if same else "NO",
        "seconds per output megapixel": _rounded(seconds, 3),
        f"times as fast as {_LARGE}": _rounded(_seconds(table[_LARGE]) / seconds, 1),
        "on": f"{_processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
    }


def _markdown(table: Mapping[str, _Groups]) -> str:
    groups = list(table[MODEL_NAME])
    head = [
        "",
        *(f"{group}: {what}" for group in groups for what in ("PSNR, dB", "SSIM", "over Lanczos, dB")),
        "s / MP",
    ]
    rows = [head, ["---"] * len(head)]
    for name, results in table.items():
        cells = [
            cell
            for group in groups
            for cell in (
                f"{_psnr(results[group]):.2f}",
                f"{_ssim(results[group]):.4f}",
                f"{_gain(results[group]):+.2f}",
            )
        ]
        rows.append([name, *cells, f"{_seconds(results):.3g}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _psnr(results: Sequence[Result]) -> float:
    return mean(psnr(result.output, result.sample.large) for result in results)


def _ssim(results: Sequence[Result]) -> float:
    return mean(ssim(result.output, result.sample.large) for result in results)


def _gain(results: Sequence[Result]) -> float:
    return mean(result.gain for result in results)


def _shift(results: Sequence[Result]) -> str:
    """Of the means, either way. Black and white text is cut off at the ends, so that even Lanczos shifts it by 0.8."""
    return ", ".join(f"{channel:.2f}" for channel in np.abs([result.shift for result in results]).max(axis=0))


def _seconds(results: _Groups) -> float:
    return median(result.seconds_per_megapixel for result in _all(results))


def _all(results: _Groups) -> list[Result]:
    return [result for group in results.values() for result in group]


def _same_bytes(one: _Groups, other: _Groups) -> bool:
    return all(a.output.tobytes() == b.output.tobytes() for a, b in zip(_all(one), _all(other)))


def _means(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"), np.float64).mean(axis=(0, 1))


def _rounded(value: float, digits: int) -> float:
    return round(float(value), digits)


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


# -- the picture -------------------------------------------------------------------------------------------------------

_PICTURED = "viktor-forgacs 1/2"
_WIDTH = 1200  # px
_ZOOM = 2
_LABEL = 34  # px, height
_GAP = 4  # px
_LARGEST_FILE = 400_000  # bytes


def side_by_side(photos: Path, models: Path, model: Path | None, out: Path) -> int:
    """Write one picture: a detail of a photo that was held back, small and enlarged in three ways.

    Raises as ``measure`` does.
    """
    network, large = _network(models, model or _shipped()), _network(models, _OTHERS[_LARGE])
    sample = _pictured(photo_samples(photos))
    panels = {
        "source, 4 times smaller": _resampled(sample.small, Image.NEAREST),
        "Lanczos": sample.lanczos(),
        MODEL_NAME: network(sample.small),
        _LARGE: large(sample.small),
    }
    _save(_sheet(panels), out)
    print(f"wrote {out}: {sample.name}, {out.stat().st_size:,} bytes")
    return 0


def _pictured(samples: Sequence[Sample]) -> Sample:
    """The most detailed crop: the one that Lanczos is farthest from."""
    return min(
        (sample for sample in samples if sample.name.startswith(_PICTURED)),
        key=lambda sample: psnr(sample.lanczos(), sample.large),
    )


def _sheet(panels: Mapping[str, Image.Image]) -> Image.Image:
    """The middles of the panels, each pixel ``_ZOOM`` px wide, with their names below."""
    side = (_WIDTH - _GAP * (len(panels) - 1)) // len(panels) // _ZOOM
    sheet = Image.new("RGB", (_WIDTH, side * _ZOOM + _LABEL), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(str(training_fonts()[0]), 20)
    for number, (name, panel) in enumerate(panels.items()):
        left = number * (side * _ZOOM + _GAP)
        corner = (panel.width - side) // 2, (panel.height - side) // 2
        detail = panel.crop((*corner, corner[0] + side, corner[1] + side))
        sheet.paste(detail.resize((side * _ZOOM, side * _ZOOM), Image.NEAREST), (left, 0))
        draw.text((left + side * _ZOOM // 2, side * _ZOOM + _LABEL // 2), name, "black", font, anchor="mm")
    return sheet


def _save(sheet: Image.Image, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": 92, "subsampling": 0} if out.suffix.lower() in (".jpg", ".jpeg") else {"optimize": True}
    sheet.save(out, **options)
    if out.stat().st_size > _LARGEST_FILE:
        raise ValueError(f"{out} has {out.stat().st_size:,} bytes, too many for a README; give it the suffix .jpg")

"""The fonts that text is drawn in: from packages, so that every machine has the same ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path

__all__ = ["training_fonts", "validation_fonts"]

_TRAINING = {
    "font_roboto": ("Roboto-Regular", "Roboto-Bold", "Roboto-Italic", "Roboto-Light"),
    "font_source_serif_pro": ("SourceSerifPro-Regular", "SourceSerifPro-Bold"),
    "matplotlib": ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono"),
    "koreanize_matplotlib": ("NanumGothic", "NanumGothicBold"),
}
_VALIDATION = {"font_source_sans_pro": ("SourceSansPro-Regular", "SourceSansPro-Semibold", "SourceSansPro-It")}


def training_fonts() -> list[Path]:
    """Sans, serif, monospaced and Korean ones. Raises ModuleNotFoundError where a package is missing."""
    return _files(_TRAINING)


def validation_fonts() -> list[Path]:
    """A family that is not trained on. Raises ModuleNotFoundError where the package is missing."""
    return _files(_VALIDATION)


def _files(wanted: dict[str, tuple[str, ...]]) -> list[Path]:
    found = []
    for package, stems in wanted.items():
        spec = importlib.util.find_spec(package)  # its own code is not run: some of it sets up matplotlib
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"the fonts of '{package}' are not installed; install the extra 'training'")
        there = {file.stem: file for file in Path(spec.origin).parent.rglob("*.ttf")}
        found += [there[stem] for stem in stems]
    return found

"""Animations and files of several pages, written frame by frame, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import RequestError
from ...geometry import Size
from .. import xmp
from ..formats import GIF, PNG, TIFF, OutputFormat, check_format, output_format
from ..gif_writing import write_gif
from ..keeping import Keeping, kept
from ..metadata import Metadata
from ..pixels import Pixels, decompose
from ..publishing import publishing
from ..writing import check_quality, encoder_options, in_depth
from .apng_writing import write_apng
from .source import Frame
from .tiff_writing import write_tiff
from .timing import Clock
from .webp_writing import write_webp

__all__ = ["write_frames"]

_TIME_LOST = "TIFF stores pages and no time: how long each frame is shown was left out"


def write_frames(
    frames: Iterable[Frame],
    path: str | os.PathLike[str],
    metadata: Metadata,
    *,
    count: int,
    plays: int = 0,
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    durable: bool = False,
) -> tuple[str, ...]:
    """Write ``count`` frames as GIF, APNG, animated WebP, or pages of a TIFF; return warnings.

    ``frames`` (L, LA, RGB, RGBA, or planes) are taken one by one, as they are made: no more than two are held, none on
    the disk. Frames of an animation have one size and mode, and get 8 bits; pages keep their depth. metadata: of the
    whole; pages may have their own. plays: 0 without end. All else as ``writing.write_picture``, which see; what
    ``frames`` raises leaves no file either.
    Raises RequestError (suffix, format, quality), SizeError, PictureWriteError.
    """
    path = Path(path)
    target = output_format(path, format)
    if not target.frames:
        raise RequestError(
            f"cannot write {path.name!r}", f"{target.name} holds a single picture", "use PNG, WebP, GIF or TIFF"
        )
    check_quality(quality)
    notes: dict[str, None] = {}
    with publishing(path, overwrite, durable) as file:
        kept_frames = _kept(frames, target, metadata, notes)
        if target is TIFF:
            write_tiff(_as_pages(kept_frames, notes), file)
        elif target is GIF:
            _write_gif(kept_frames, file, plays, notes)
        else:
            options = encoder_options(target, quality if target.quality else None, with_exif=False)
            if target is PNG:
                exact = write_apng(kept_frames, file, options, count, plays)
            else:
                exact = write_webp(kept_frames, file, options, plays)
            if not exact:
                notes[f"the times of its frames are not whole in the units of {target.name}; they were rounded"] = None
    return tuple(notes)


def _kept(
    frames: Iterable[Frame], target: OutputFormat, metadata: Metadata, notes: dict[str, None]
) -> Iterator[tuple[Keeping, Frame]]:
    """Each frame in colours that the format can tell; the first, and each page, with what is kept beside it.

    What comes again is the same object again.
    """
    image: Image.Image | Pixels | None = None
    keeping: Keeping | None = None
    for frame in frames:
        if image is not None and not target.pages and (image.size, image.mode) != (frame.image.size, frame.image.mode):
            raise ValueError("frames of an animation have one size and mode")
        if keeping is None or image is not frame.image:
            lost: list[str] = []
            pixels = in_depth(decompose(frame.image), target.of_frames, lost)
            notes.update(dict.fromkeys(lost))
            check_format(Size(*pixels.size), target.name, len(pixels.mode) * pixels.bits // 8)
            beside = metadata if frame.metadata is None else replace(frame.metadata, origin=metadata.origin)
            if keeping is not None:
                beside = _of_page(frame, beside, notes) if target is TIFF else _colors_alone(beside)
            image, keeping = frame.image, kept(pixels, target, beside)
            del pixels  # it may have been converted, and what comes next needs the room
        yield keeping, frame
        notes.update(dict.fromkeys(keeping.notes))


def _colors_alone(metadata: Metadata) -> Metadata:
    return Metadata(icc_profile=metadata.icc_profile, colors=metadata.colors)


def _of_page(frame: Frame, metadata: Metadata, notes: dict[str, None]) -> Metadata:
    """Of one that is not the first. EXIF is told once: older Pillow cannot put a second one into a file."""
    if frame.metadata is None:
        return replace(_colors_alone(metadata), dpi=metadata.dpi, aspect=metadata.aspect, origin=metadata.origin)
    if metadata.exif is not None:
        notes["EXIF of its further pages was left out; that of the first is kept"] = None
    text = {key: value for key, value in metadata.text.items() if key == xmp.PNG_KEY}
    return replace(metadata, exif=None, text=text)


def _as_pages(frames: Iterable[tuple[Keeping, Frame]], notes: dict[str, None]) -> Iterator[Keeping]:
    for keeping, frame in frames:
        if frame.duration:
            notes[_TIME_LOST] = None
        yield keeping


def _write_gif(frames: Iterator[tuple[Keeping, Frame]], file: object, plays: int, notes: dict[str, None]) -> None:
    first = next(frames, None)
    clock = Clock(10, 2, 65_535)

    def timed() -> Iterator[tuple[Pixels, int]]:
        if first is not None:
            yield first[0].pixels, clock.units(first[1].duration)
        for keeping, frame in frames:
            yield keeping.pixels, clock.units(frame.duration)

    of_first = Keeping(Pixels(np.zeros((1, 1, 1), np.uint8), None, "L")) if first is None else first[0]
    write_gif(timed(), file, of_first, plays)  # type: ignore[arg-type]
    notes.update(dict.fromkeys(of_first.notes))
    if not clock.is_exact:
        notes["GIF tells times in hundredths of a second; those of its frames were rounded"] = None

"""The frames or pages of a file, read one after the other as they are seen, with their times."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Union

import numpy as np
from PIL import Image

from ...errors import PictureError, PictureReadError, TrueScaleError, UnsupportedPictureError
from ...geometry import Size
from ..alpha import NEARLY_OPAQUE
from ..formats import TIFF, OutputFormat
from ..metadata import PARAMETERS, Metadata
from ..opening import opened_file
from ..pixels import Pixels
from ..readers_warnings import collected_warnings
from ..reading import PictureHeader, read_header, read_metadata, read_picture, upright
from ..stealth import hidden_text
from .apng_reading import ApngFrames
from .blocks import MAX_PIXELS, Layout, composed
from .gif_reading import GifFrames
from .kinds import kind_of_frames
from .tiff_pages import page_places
from .webp_reading import WebpFrames

__all__ = ["Frame", "FrameSource", "frame_headers", "read_frames"]

_AGAIN = "download or export it again; its first frame alone may be sound"
_Parsed = Union[GifFrames, ApngFrames, WebpFrames]
_PARSERS: dict[str, Callable[[bytes], _Parsed]] = {"GIF": GifFrames, "PNG": ApngFrames, "WEBP": WebpFrames}


@dataclass(frozen=True)
class Frame:
    """One frame as it is seen, or one page.

    duration: ms, exact; 0 of a page. repeats: it is the same picture as the one before. shown: False of a picture that
    is no frame: an APNG can hold one, for readers that know no animation. image: planes of a page of more than 8 bits.
    metadata, warnings: of a page, its own.
    """

    image: Image.Image | Pixels
    duration: Fraction = Fraction(0)
    repeats: bool = False
    shown: bool = True
    metadata: Metadata | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class FrameSource:
    """A file with several frames or pages. It is read from the disk again each time that they are gone through.

    kind: TIFF has pages, which are pictures of their own; the others an animation, whose frames share size and mode.
    headers: of each. durations: ms, exact. plays: how often all are shown, 0 without end. hidden: whether a picture
    that is none of them comes first (``Frame.shown``). repeats: which are the same picture as the one before.
    warnings: as of ``SourcePicture``.
    """

    path: Path
    kind: OutputFormat
    headers: tuple[PictureHeader, ...]
    durations: tuple[Fraction, ...]
    plays: int
    metadata: Metadata
    repeats: tuple[bool, ...]
    hidden: bool = False
    orientation: int = 1
    places: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.headers)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Of each, upright."""
        return tuple(header.size for header in self.headers)

    @property
    def is_animation(self) -> bool:
        return self.kind is not TIFF

    @property
    def mode(self) -> str:
        """Of all frames of an animation."""
        header = self.headers[0]
        return ("L" if header.channels == 1 else "RGB") + ("A" if header.alpha else "")

    def frames(self, hidden: bool = False) -> Iterator[Frame]:
        """One after the other; one is held, and the file. hidden: whether the picture that is no frame comes as well.

        Raises PictureReadError and UnsupportedPictureError, which name the frame.
        """
        if not self.is_animation:
            yield from self._pages()
            return
        parsed, layout = _parsed(self.path, self.kind)
        for number, image in _seen(self.path, parsed, layout, []):
            if number < 0 and not hidden:
                continue
            turned = upright(_in_mode(image, self.mode), self.orientation)
            if number < 0:
                yield Frame(turned, shown=False)
            else:
                yield Frame(turned, self.durations[number], self.repeats[number])

    def _pages(self) -> Iterator[Frame]:
        for number, place in enumerate(self.places):
            with _naming(number):
                picture = read_picture(self.path, place)
            yield Frame(picture.image, metadata=picture.metadata, warnings=picture.warnings)


def read_frames(path: str | os.PathLike[str]) -> FrameSource | None:
    """The frames of a file that has several; None for one that has not.

    An animation is gone through once, so that a damaged frame is told before any work. Raises PictureReadError and
    UnsupportedPictureError, as ``read_picture`` does; with the number of the frame.
    """
    path = Path(path)
    kind = kind_of_frames(path)
    if kind is None:
        return None
    return _pages_of(path) if kind is TIFF else _animation(path, kind)


def frame_headers(path: str | os.PathLike[str]) -> tuple[PictureHeader, ...]:
    """Those of all frames or pages that ``read_frames`` would give, without reading their pixels; () of one."""
    path = Path(path)
    kind = kind_of_frames(path)
    if kind is None:
        return ()
    if kind is TIFF:
        return _pages_of(path).headers
    _, layout = _parsed(path, kind)
    return (read_header(path),) * len(layout.durations)


# -- animations --------------------------------------------------------------------------------------------------------


def _animation(path: Path, kind: OutputFormat) -> FrameSource:
    parsed, layout = _parsed(path, kind)
    notes: list[str] = []
    text, lowest, repeats = None, 255, []
    before: np.ndarray | None = None
    for number, image in _seen(path, parsed, layout, notes):
        lowest = min(lowest, image.getextrema()[3][0])  # type: ignore[index]
        if number < 0:
            continue
        if number == 0:
            text = hidden_text(image)
        now = np.asarray(image)
        repeats.append(before is not None and np.array_equal(before, now))
        before = now
    metadata, orientation, told = read_metadata(path)
    notes += told
    if text is not None and PARAMETERS not in metadata.text:
        notes.append("the text hidden in the pixels of its first frame was read and is kept as 'parameters'")
        metadata = replace(metadata, text={**metadata.text, PARAMETERS: text})
    size = layout.size
    if orientation in (5, 6, 7, 8):
        size = Size(size.height, size.width)
    return FrameSource(
        path,
        kind,
        (PictureHeader(size, 1 if layout.grey else 3, lowest < (255 if text is None else NEARLY_OPAQUE)),)
        * len(layout.durations),
        layout.durations,
        layout.plays,
        replace(metadata, size=(size.width, size.height)),
        tuple(repeats),
        layout.hidden,
        orientation,
        warnings=tuple(dict.fromkeys(notes)),
    )


def _parsed(path: Path, kind: OutputFormat) -> tuple[_Parsed, Layout]:
    """Raises PictureReadError, UnsupportedPictureError."""
    what = f"cannot read {path.name!r}"
    try:
        with opened_file(path, what) as file:
            data = file.read()
        parsed = _PARSERS[kind.name](data)
        layout = parsed.layout
    except (OSError, struct.error, IndexError, ValueError) as error:
        raise PictureReadError(what, "the file is damaged or incomplete", _AGAIN) from error
    _check(what, parsed, layout)
    return parsed, layout


def _check(what: str, parsed: _Parsed, layout: Layout) -> None:
    if isinstance(parsed, ApngFrames) and parsed.deep:
        raise UnsupportedPictureError(
            what, "it is an animation of 16 bits per channel", "convert it to 8 bits, or take its first frame alone"
        )
    told = parsed.told if isinstance(parsed, ApngFrames) else parsed.count + parsed.cut
    if parsed.count < max(1, told):
        raise PictureReadError(what, f"frame {parsed.count + 1} is not in the file, or not all of it", _AGAIN)
    if layout.size.area > MAX_PIXELS:
        raise PictureReadError(what, f"{layout.size} px are more than can be opened safely", "make it smaller first")


def _seen(path: Path, parsed: _Parsed, layout: Layout, notes: list[str]) -> Iterator[tuple[int, Image.Image]]:
    """Number and picture of each frame, RGBA; -1: the one that is none. Raises PictureReadError."""
    frames = composed(parsed.blocks(), layout.size)
    for number in range(-1 if layout.hidden else 0, len(layout.durations)):
        try:
            with collected_warnings(notes):
                image, cut = next(frames)
        except TrueScaleError:
            raise
        except Exception as error:
            # Pillow's decoders raise almost anything on damaged data.
            name = f"frame {number + 1} of {len(layout.durations)}" if number >= 0 else "its still picture"
            why = f"{name} is damaged or incomplete ({error})"
            raise PictureReadError(f"cannot read {path.name!r}", why, _AGAIN) from error
        if cut:
            notes.append("frames of it reach beyond the picture; what lies there is not shown, and was left out")
        yield number, image


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "LA":
        return Image.merge("LA", (image.getchannel("R"), image.getchannel("A")))
    return image.getchannel("R") if mode == "L" else image.convert(mode)


# -- pages -------------------------------------------------------------------------------------------------------------


def _pages_of(path: Path) -> FrameSource:
    """By their headers alone: pages can be large, and are none the worse for each other."""
    with opened_file(path, f"cannot read {path.name!r}") as file:
        pages = page_places(file)
    headers = []
    for number, place in enumerate(pages.places):
        with _naming(number):
            headers.append(read_header(path, place))
    metadata, _, told = read_metadata(path)
    notes = list(told)
    if pages.others:
        notes.append(f"{pages.others} smaller copies of its pages, or masks, are no pages of their own; left out")
    count = len(headers)
    return FrameSource(
        path,
        TIFF,
        tuple(headers),
        (Fraction(0),) * count,
        1,
        metadata,
        (False,) * count,
        places=pages.places,
        warnings=tuple(dict.fromkeys(notes)),
    )


@contextlib.contextmanager
def _naming(number: int) -> Iterator[None]:
    """Puts the number of the page into errors about it."""
    try:
        yield
    except PictureError as error:
        raise type(error)(error.what, f"page {number + 1}: {error.why}", error.todo) from error

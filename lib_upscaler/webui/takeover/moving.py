"""A picture of the Extras enlarged. Of animations and files of several pages the host hands over the first frame.

The host goes on with the first frame, and saves it; then the whole takes that file's place.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image

from ...animation import upscale_frames
from ...pictures.formats import GIF, PNG, TIFF, suffix_of
from ...pictures.frames.kinds import kind_of_frames
from ...pictures.frames.source import FrameSource, read_frames
from ...pictures.metadata import COMMENT, Metadata
from ...progress import Progress
from ...request import UpscaleReport, UpscaleRequest, UpscaleResult
from .. import host
from ..host.callers import Caller
from ..host.infotexts import line_of
from ..host.saving import Rewrite
from ..host.temporary import own_folder
from ..upscaling.service import service
from .handed import give_back, is_as_it_was, received
from .source_file import laid_out

__all__ = ["Enlarged", "enlarged", "frames_of"]

Texts = Callable[[UpscaleReport], Mapping[str, Any]]


@dataclass(frozen=True)
class Enlarged:
    """A picture, or the first of several frames. report: of all of them. rewrite: as of ``saving.Kept``."""

    first: UpscaleResult
    report: UpscaleReport
    metadata: Metadata
    rewrite: Rewrite | None = None

    def given_back(self, handed: Image.Image, caller: Caller) -> Image.Image:
        """What the host goes on with; as ``handed.give_back``."""
        return give_back(self.first, self.metadata, caller, handed, self.rewrite)


@dataclass(frozen=True)
class Frames:
    """source: of the file, which lies in ``folder`` where it was uploaded, and is gone with it."""

    source: FrameSource
    folder: tempfile.TemporaryDirectory[str]


def frames_of(image: Image.Image, caller: Caller) -> Frames | None:
    """Those of the picture's file; None where it has one alone, cannot be reached, or a step before ours has changed
    the picture. Raises PictureError for one that is damaged.
    """
    if caller.file is None or not is_as_it_was(image, caller):
        return None
    folder = own_folder()
    path = laid_out(caller.file, folder.name)
    if kind_of_frames(path) is None:
        return None
    source = read_frames(path)
    return None if source is None else Frames(source, folder)


def enlarged(
    image: Image.Image, caller: Caller, request: UpscaleRequest, progress: Progress, texts: Texts = lambda _: {}
) -> Enlarged:
    """A picture of the Extras: all its frames, and all its bits, where its file can be reached.

    texts: what a file of several frames is to say of how it was made. Raises TrueScaleError, Cancelled.
    """
    frames = frames_of(image, caller)
    if frames is not None:
        return _all_frames(frames, request, progress, texts)
    picture, metadata = received(image, caller)
    result = service().upscale(picture, request, progress)
    return Enlarged(result, result.report, metadata)


def _all_frames(frames: Frames, request: UpscaleRequest, progress: Progress, texts: Texts) -> Enlarged:
    source, folder, numbers = frames.source, frames.folder, count()
    first = service().upscale(next(source.frames()).image, request, progress)
    hidden = int(source.hidden and source.kind is PNG)  # a picture that is none of the frames comes before them

    def enlarge(image: Any, part: Progress) -> UpscaleResult:
        return first if next(numbers) == hidden else service().upscale(image, request, part)

    key = COMMENT if source.kind is GIF else "postprocessing"  # the only text that a GIF has
    metadata = _with_text(source.metadata, key, texts(first.report))
    made = Path(folder.name) / f"made{suffix_of(source.kind)}"
    report, warnings = upscale_frames(source, enlarge, made, progress, metadata=metadata)

    def rewrite(path: Path, _: dict[str, str] | None) -> Path | None:
        place = _free(path.with_suffix(made.suffix)) if path.suffix.lower() != made.suffix else path
        with tempfile.NamedTemporaryFile(prefix=".truescale-", suffix=".tmp", dir=path.parent, delete=False) as file:
            beside = Path(file.name)
        try:
            shutil.copyfile(Path(folder.name) / made.name, beside)
            shutil.copymode(path, beside)  # else nobody else could read it
            beside.replace(place)
        finally:
            beside.unlink(missing_ok=True)
        # A browser shows no TIFF: the first page stays for that.
        return None if place == path or source.kind is TIFF else place

    return Enlarged(first, replace(report, warnings=warnings), metadata, rewrite)


def _with_text(metadata: Metadata, key: str, said: Mapping[str, Any]) -> Metadata:
    """With the host's text of what the Extras did, in its form; of a picture that they made before, of this run.

    The comment of a GIF, which is its author's, stays before it. None at all where the user wants none.
    """
    if not host.option("enable_pnginfo", True):
        return replace(metadata, text={})
    line = line_of(said)
    if not line:
        return metadata
    before = metadata.text.get(key) if key == COMMENT else None
    return replace(metadata, text={**metadata.text, key: f"{before}\n{line}" if before else line})


def _free(path: Path) -> Path:
    """The path, or one with a number that is not taken."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free

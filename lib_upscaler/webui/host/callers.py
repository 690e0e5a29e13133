"""Who in the host asked for a picture, from the calls under way.

What to do when an upscaler fails depends on it, and no object of the host says it: its upscalers get a picture, a
scale and a path; ``pp`` of the Extras holds the picture alone, neither the mode nor its place in a batch; ``p`` is
handed to scripts only when the pass of Hires Fix has enlarged the picture already. Where an object does say it, it is
used: ``p`` in our own hooks (``places.hires_fix``), and the run's options on it. To look at the calls is exact, needs
nothing to be remembered or reset, and holds in every thread and for nested jobs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal

from .uploads import file_of

__all__ = ["Caller", "find_caller"]

_LARGEST_DEPTH = 80  # calls; gradio's and FastAPI's own lie below


CallerKind = Literal["hires", "extras", "batch", "other"]


@dataclass(frozen=True)
class Caller:
    """kind: "hires" (the pass of Hires Fix), "extras" (one picture in the Extras tab or its API), "batch" (several
        pictures there), or "other" (img2img, other extensions, scripts).
    processing: with "hires", the host's ``p``. scripts: in the Extras, (name, arguments) of the scripts of the run.
    position: of the picture in its batch, from 1. picture: its name, "" where it has none.
    pictures: with "batch", all of them: (picture or path of its file, name). batch: tells one batch from another.
    source: in the Extras, the picture as it came, or the path of its file. image: the picture that the run began with.
    file: in the Extras, the file that the picture was read from: its path, or what gradio got of an upload
        (``uploads``); None where it cannot be reached.
    run: in the Extras, an object of the host's that is made anew for each run, and the same for all its pictures.
    """

    kind: CallerKind = "other"
    processing: Any = None
    scripts: tuple[tuple[str, dict[str, Any]], ...] = ()
    position: int = 0
    picture: str = ""
    pictures: tuple[tuple[Any, Any], ...] = ()
    batch: int = 0
    source: Any = None
    image: Any = None
    file: Any = None
    run: Any = None


def find_caller() -> Caller:
    """The innermost job that this thread is in."""
    scripts: tuple[tuple[str, dict[str, Any]], ...] = ()
    for frame in _calls(sys._getframe(1)):
        name, values = frame.f_code.co_name, frame.f_locals
        if name == "sample_hr_pass":
            return Caller("hires", processing=values.get("self"), position=values.get("i", 0) + 1)
        if name in ("process_images", "process_images_inner"):
            return Caller()
        if name == "run" and "process_args" in values and isinstance(values.get("scripts"), list):
            scripts = tuple((getattr(s, "name", None) or "", arguments) for s, arguments in values["scripts"])
        if name == "run_postprocessing":
            return _in_extras(values, scripts)
    return Caller()


def _in_extras(values: dict[str, Any], scripts: tuple[tuple[str, dict[str, Any]], ...]) -> Caller:
    """values: the host's local variables."""
    # A host that gives no names to its pictures (1.6) does not know how to leave one out either.
    image = values.get("image_data")
    source, run = values.get("image_placeholder", image), values.get("get_images", image)
    if values.get("extras_mode", 0) == 0 or "image_placeholder" not in values:
        name = str(values.get("name") or "")
        told = {"position": 1, "picture": name, "file": file_of(source)}
        return Caller("extras", scripts=scripts, source=source, image=image, run=run, **told)
    pictures, place = tuple(values.get("data_to_process") or ()), values["image_placeholder"]
    position = next((number for number, (one, _) in enumerate(pictures, 1) if one is place), len(pictures))
    name, batch = str(values.get("name") or ""), id(values.get("data_to_process"))
    listed = values.get("image_folder") or ()
    file = file_of(source) or (file_of(listed[position - 1]) if 0 < position <= len(listed) else None)
    told = {"position": position, "picture": name, "pictures": pictures, "batch": batch, "file": file}
    return Caller("batch", scripts=scripts, source=source, image=image, run=run, **told)


def _calls(frame: FrameType | None) -> Iterator[FrameType]:
    for _ in range(_LARGEST_DEPTH):
        if frame is None:
            return
        yield frame
        frame = frame.f_back

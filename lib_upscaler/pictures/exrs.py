"""OpenEXR pictures, by the package OpenEXR or by OpenCV, whichever is there.

They hold light, where networks were trained on sRGB's codes: in between, and only there, the picture has the curve of
sRGB, which goes on beyond white. Colours are multiplied by alpha in the file ("associated"), and are not here.
"""

from __future__ import annotations

import importlib
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PictureReadError, PictureWriteError, UnsupportedPictureError
from ..geometry import Size
from .colours import light_of_srgb, srgb_of_light
from .finite import finite_alpha, finite_light
from .metadata import Metadata
from .pixels import Pixels
from .plugins import advice

__all__ = ["check_writer", "header", "is_exr", "read", "write"]

_MAGIC = b"v/1\x01"
_LONGEST = 1 << 20  # bytes of a header
_BAND = 256  # rows
_SMALLEST_ALPHA = 1e-6


def is_exr(path: Path) -> bool:
    """By its first bytes; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(4) == _MAGIC
    except (OSError, ValueError):
        return False


def header(path: Path, what: str) -> tuple[Size, int, bool]:
    """Size, channels of the colours (1 or 3), and whether there is transparency. Raises PictureReadError."""
    with path.open("rb") as file:
        data = file.read(_LONGEST)
    place, size, names = 8, None, []
    try:
        while data[place] != 0:
            name, place = _text(data, place)
            kind, place = _text(data, place)
            (length,) = struct.unpack_from("<I", data, place)
            value = data[place + 4 : place + 4 + length]
            place += 4 + length
            if (name, kind) == ("dataWindow", "box2i"):
                left, top, right, bottom = struct.unpack("<4i", value)
                size = Size(right - left + 1, bottom - top + 1)
            elif (name, kind) == ("channels", "chlist"):
                names = _names(value)
    except (IndexError, ValueError, struct.error) as error:
        raise PictureReadError(what, "its header is damaged", "export it again") from error
    if size is None or not names:
        raise PictureReadError(what, "its header tells no size, or no channels", "export it again")
    _, colors, alpha = _chosen(names, what)
    return size, len(colors), alpha is not None


def read(path: Path, what: str, notes: list[str]) -> tuple[Pixels, Metadata]:
    """Its first part. Raises PictureReadError, UnsupportedPictureError."""
    size, _, _ = header(path, what)
    found: dict[str, np.ndarray] | None = None
    problem = ""
    for reader in (_by_openexr, _by_opencv):
        try:
            found = reader(path)
        except ImportError:
            continue
        except Exception as error:  # noqa: BLE001 - whatever a reader raises on damaged data
            problem = " ".join(str(error).split())
            continue
        if found:
            break
    if not found and problem:
        raise PictureReadError(what, f"the file is damaged or of an unusual kind ({problem})", "export it again")
    if not found:
        todo = f"{_install()}, or convert the picture to a TIFF in floating point first"
        raise UnsupportedPictureError(what, "it is an OpenEXR picture, and the package OpenEXR is not there", todo)
    pixels = _as_pixels(found, what, notes)
    if pixels.size != (size.width, size.height):
        raise UnsupportedPictureError(what, "its channels have different sizes", "export it with equal ones")
    return pixels, Metadata(size=pixels.size)


def write(path: Path, pixels: Pixels) -> list[str]:
    """A new file: of floating point with 32 bits, or with 16 where the picture has no more.

    Gives notes on what it cannot hold. Raises PictureWriteError, UnsupportedPictureError, OSError.
    """
    kind = np.float32 if pixels.bits == 32 else np.float16
    planes, most, cut_off = {}, float(np.finfo(kind).max), False
    names = "RGB" if pixels.color.shape[2] == 3 else "Y"
    alpha = None if pixels.alpha is None else pixels.at(32).alpha
    for number, name in enumerate(names):
        values = Pixels(pixels.color[:, :, number : number + 1], None, "L").at(32).color[:, :, 0]
        plane = np.empty(values.shape, kind)
        for top in range(0, len(values), _BAND):
            rows = slice(top, top + _BAND)
            light = light_of_srgb(values[rows].astype(np.float64))
            light = light if alpha is None else light * alpha[rows]
            cut_off |= bool(light.max() > most)
            plane[rows] = np.clip(light, -most, most)
        planes[name] = plane
    if alpha is not None:
        planes["A"] = alpha.astype(kind)
    for writer in (_write_by_openexr, _write_by_opencv):
        try:
            writer(path, planes)
            return [f"light above {most:g}, the most that it can hold, was cut off"] if cut_off else []
        except ImportError:
            continue
    raise _no_writer()


def check_writer() -> None:
    """Raises PictureWriteError where none of the packages can."""
    for library in (_openexr, _opencv_that_writes):
        try:
            library()
            return
        except ImportError:
            continue
    raise _no_writer()


def _install() -> str:
    return f"install it with '{advice('OpenEXR', keeps='numpy')}'"


def _no_writer() -> PictureWriteError:
    return PictureWriteError(
        "cannot write an OpenEXR picture",
        "the package OpenEXR is not there",
        f"{_install()}, or choose TIFF, which holds floating point as well",
    )


# -- the two libraries -------------------------------------------------------------------------------------------------


def _openexr() -> Any:
    library = importlib.import_module("OpenEXR")
    if not hasattr(library, "File"):  # before 3.3
        raise ImportError("OpenEXR is too old")
    return library


def _by_openexr(path: Path) -> dict[str, np.ndarray]:
    library = _openexr()
    with library.File(str(path), separate_channels=True) as file:
        return {name: np.array(channel.pixels) for name, channel in file.channels().items()}


def _write_by_openexr(path: Path, planes: dict[str, np.ndarray]) -> None:
    library = _openexr()
    about = {"compression": library.ZIP_COMPRESSION, "type": library.scanlineimage}
    with library.File(about, planes) as file:
        file.write(str(path))


def _by_opencv(path: Path) -> dict[str, np.ndarray]:
    cv2 = _opencv()
    planes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if planes is None:
        raise ImportError("OpenCV was built without OpenEXR, or cannot read it")
    planes = planes[:, :, None] if planes.ndim == 2 else planes
    return dict(zip({1: "Y", 3: "BGR", 4: "BGRA"}[planes.shape[2]], planes.transpose(2, 0, 1)))


def _write_by_opencv(path: Path, planes: dict[str, np.ndarray]) -> None:
    cv2 = _opencv_that_writes()
    order = [name for name in ("B", "G", "R", "Y", "A") if name in planes]
    if order == ["Y", "A"]:
        order = ["Y", "Y", "Y", "A"]
    stacked = np.stack([planes[name].astype(np.float32) for name in order], axis=2)
    half = next(iter(planes.values())).dtype == np.float16
    options = [cv2.IMWRITE_EXR_TYPE, cv2.IMWRITE_EXR_TYPE_HALF if half else cv2.IMWRITE_EXR_TYPE_FLOAT]
    _, data = cv2.imencode(".exr", stacked, options)
    path.write_bytes(data.tobytes())


def _opencv() -> Any:
    os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")  # else it refuses them; looked at when first used
    return importlib.import_module("cv2")


def _opencv_that_writes() -> Any:
    cv2 = _opencv()
    try:
        done, _ = cv2.imencode(".exr", np.zeros((1, 1, 3), np.float32))
    except cv2.error:
        done = False
    if not done:
        raise ImportError("OpenCV was built without OpenEXR")
    return cv2


# -- what the channels are ---------------------------------------------------------------------------------------------


def _as_pixels(found: dict[str, np.ndarray], what: str, notes: list[str]) -> Pixels:
    prefix, colors, alpha = _chosen(list(found), what)
    others = len(found) - len(colors) - (alpha is not None)
    if others:
        notes.append(f"{others} of its channels are no colours of the picture; left out")
    if prefix:
        notes.append(f"its layer {prefix.rstrip('.')!r} was taken")
    light = np.stack([found[name].astype(np.float32) for name in colors], axis=2)
    light = finite_light(light, notes)
    weight = None if alpha is None else finite_alpha(found[alpha].astype(np.float32), notes)
    if weight is not None and (glows := (weight == 0) & (light > 0).any(axis=2)).any():
        notes.append(f"{int(glows.sum())} of its pixels are light without any cover (alpha 0); that light is left out")
        light[glows] = 0
    color = np.empty_like(light)
    for top in range(0, len(light), _BAND):  # so that intermediates stay small
        rows = slice(top, top + _BAND)
        values = light[rows].astype(np.float64)
        if weight is not None:
            values /= np.maximum(weight[rows, :, None], _SMALLEST_ALPHA)
        color[rows] = srgb_of_light(values)
    mode = ("L" if len(colors) == 1 else "RGB") + ("A" if weight is not None else "")
    return Pixels(color, weight, mode)


def _chosen(names: list[str], what: str) -> tuple[str, list[str], str | None]:
    """The layer, the names of its colours and of its alpha: the picture itself, else the first layer with colours."""
    prefixes = sorted({name.rpartition(".")[0] for name in names}, key=lambda layer: (layer != "", layer))
    for layer in prefixes:
        prefix = f"{layer}." if layer else ""
        alpha = f"{prefix}A" if f"{prefix}A" in names else None
        for colors in (["R", "G", "B"], ["Y"]):
            if all(prefix + name in names for name in colors):
                return prefix, [prefix + name for name in colors], alpha
    raise UnsupportedPictureError(
        what, f"it has no channels R, G, B or Y ({', '.join(sorted(names)[:8])})", "export it as RGB"
    )


def _text(data: bytes, place: int) -> tuple[str, int]:
    """Up to its zero. Raises ValueError."""
    end = data.index(b"\x00", place)
    return data[place:end].decode("utf-8", "replace"), end + 1


def _names(value: bytes) -> list[str]:
    names, place = [], 0
    while value[place] != 0:
        name, place = _text(value, place)
        names.append(name)
        place += 16  # kind, linearity and sampling
    return names

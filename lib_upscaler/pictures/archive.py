"""The pictures of a zip file, laid out in a folder.

Nothing in the file is trusted: a name never leads out of the folder, sizes are looked at before anything is unpacked,
and a picture that cannot be unpacked costs that one alone.
"""

from __future__ import annotations

import locale
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import PictureReadError
from .formats import is_picture_path

__all__ = ["MOST_BYTES", "MOST_PICTURES", "Unpacked", "free_name", "is_archive", "natural", "unpack"]

MOST_PICTURES = 10_000
MOST_BYTES = 16 * 2**30
"""Of all pictures together, unpacked, as their number is of all together. The disk may set a lower limit."""

_SHARE_OF_DISK = 0.9
_NESTED = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".cbz", ".cbr")
_ENCRYPTED, _UTF8 = 0x1, 0x800
"""Bits of a member's flags."""

_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""Names that Windows keeps for itself."""

_LONGEST_NAME = 200
"""Bytes: file systems take 255, and the host adds to it."""


@dataclass
class Unpacked:
    """files: (file, name) of each picture, in the natural order of their names. notes: in words, what is left out.

    size: of the files, bytes.
    """

    files: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    size: int = 0


def is_archive(path: Path) -> bool:
    """By its name: many other files are zip files inside."""
    return path.suffix.lower() == ".zip"


def unpack(
    archive: Path,
    folder: Path,
    taken: set[str],
    before: tuple[int, int] = (0, 0),
    is_stopped: Callable[[], bool] = lambda: False,
) -> Unpacked:
    """archive: a zip file. folder: where the pictures go. taken: names that they must not have, in small letters and
    without suffixes; theirs are added. Sub-folders become parts of the names. before: pictures, and bytes, of other
    zip files, that count for the limits. is_stopped: asked before each picture; the rest is not unpacked then.

    Raises PictureReadError where nothing of it can be used.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _pictures_of(opened, unpacked := Unpacked())
            _check(members, folder, archive.name, *before)
            for info, parts in members:
                if is_stopped():
                    break
                name = free_name(_short("_".join(parts)), taken)
                problem = _extract(opened, info, folder / name)
                if problem is None:
                    unpacked.files.append((folder / name, name))
                    unpacked.size += info.file_size
                else:
                    unpacked.notes.append(f"{name} is left out: {problem}")
    except PictureReadError:
        raise
    except Exception as error:  # a damaged file may make the reader stumble in any way
        raise _refused(archive.name, f"the file is damaged, or no zip file ({error})", "pack it again") from error
    return unpacked


def natural(text: str) -> list[tuple[int, int, str]]:
    """Sorts "2" before "10"."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in re.split(r"(\d+)", text)]


def free_name(name: str, taken: set[str]) -> str:
    """``name``, or with a number that makes it another one; it is taken from now on. Names that differ in their suffix
    alone count as the same: the results will have the same suffix."""
    path = Path(name)

    def numbered(number: int) -> str:
        return path.stem if number == 1 else f"{path.stem}-{number}"

    last, free = 0, 1  # not one by one: thousands of pictures may have one name
    while numbered(free).lower() in taken:
        last, free = free, 2 * free
    while free - last > 1:
        middle = (last + free) // 2
        last, free = (middle, free) if numbered(middle).lower() in taken else (last, middle)
    taken.add(numbered(free).lower())
    return f"{numbered(free)}{path.suffix}"


def _pictures_of(opened: zipfile.ZipFile, unpacked: Unpacked) -> list[tuple[zipfile.ZipInfo, list[str]]]:
    """Those to be unpacked, in order, with the parts of their names; what is left out is counted in the notes."""
    found, others = [], Counter[str]()
    for info in opened.infolist():
        if info.is_dir():
            continue
        parts = _parts(_name_of(info))
        suffix = Path(parts[-1]).suffix.lower() if parts else ""
        if not parts or any(part == "__MACOSX" or part.startswith(".") for part in parts):
            others["hidden"] += 1
        elif suffix in _NESTED:
            others["archives inside it (not opened)"] += 1
        elif is_picture_path(Path(parts[-1])):
            found.append((info, parts))
        else:
            others["not pictures"] += 1
    if others:
        counted = ", ".join(f"{what}: {number}" for what, number in others.items())
        files = "1 file is" if sum(others.values()) == 1 else f"{sum(others.values())} files are"
        unpacked.notes.append(f"{files} left out ({counted})")
    return sorted(found, key=lambda one: [natural(part) for part in one[1]])


def _check(
    members: Iterable[tuple[zipfile.ZipInfo, list[str]]], folder: Path, name: str, pictures: int, size: int
) -> None:
    """Before anything is unpacked. pictures, size: of other zip files. Raises PictureReadError."""
    infos = [info for info, _ in members]
    if any(info.flag_bits & _ENCRYPTED for info in infos):
        raise _refused(name, "it is encrypted", "pack it without a password")
    if pictures + len(infos) > MOST_PICTURES:
        others = f" in all, with the {pictures} of the files before" if pictures else ""
        raise _refused(name, f"it holds {len(infos)} pictures, more than {MOST_PICTURES}{others}", "divide it")
    most = min(MOST_BYTES - size, int(shutil.disk_usage(folder).free * _SHARE_OF_DISK))
    own = sum(info.file_size for info in infos)
    if own > most:
        reason = f"unpacked it takes {own / 2**30:.1f} GB, and there is room for {most / 2**30:.1f} GB"
        raise _refused(name, reason, "divide it, or use Batch from Directory")


def _extract(opened: zipfile.ZipFile, info: zipfile.ZipInfo, file: Path) -> str | None:
    """Never more than the member's stated size. What went wrong, in words, or None."""
    try:
        with opened.open(info) as source, file.open("xb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except Exception as error:  # noqa: BLE001 - each way of compressing has errors of its own
        file.unlink(missing_ok=True)
        return f"it cannot be unpacked ({error})"
    return None


def _refused(name: str, why: str, todo: str) -> PictureReadError:
    return PictureReadError(f"cannot take the pictures of '{name}'", why, todo)


def _name_of(info: zipfile.ZipInfo) -> str:
    """Older programs write names as their machine does, and do not say so."""
    if not info.flag_bits & _UTF8:
        for encoding in ("utf-8", locale.getpreferredencoding(False)):
            try:
                return info.filename.encode("cp437").decode(encoding)
            except (UnicodeError, LookupError):
                continue
    return info.filename


def _parts(name: str) -> list[str]:
    """Of a path, without what would lead anywhere else; each could be the name of a file on any system."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if parts and re.fullmatch(r"[A-Za-z]:", parts[0]):
        parts = parts[1:]
    return [_harmless(part) for part in parts]


def _harmless(part: str) -> str:
    part = _FORBIDDEN.sub("_", part).rstrip(" .") or "_"
    return f"_{part}" if _DEVICES.match(part) else part


def _short(name: str) -> str:
    suffix = Path(name).suffix
    stem = name[: len(name) - len(suffix)].encode()[: _LONGEST_NAME - len(suffix.encode())]
    return stem.decode(errors="ignore") + suffix

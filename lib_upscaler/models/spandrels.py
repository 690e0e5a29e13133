"""The spandrel that models are read with: ours, imported apart from the host's; the host's where ours is not there."""

from __future__ import annotations

import importlib
import logging
import re
import threading
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..own_packages import find, host_version, pins
from .apart import PREFIX, forget, make_importable

if TYPE_CHECKING:
    import spandrel

__all__ = ["Spandrel", "newer_one", "spandrel_in_use", "versions_in_use"]

_LOG = logging.getLogger(__name__)
_PACKAGES = ("spandrel", "spandrel_extra_arches")
_LOCK = threading.RLock()
_host_version = cache(host_version)  # to look one up takes a millisecond, and lists ask for every model's card


@dataclass(frozen=True)
class Spandrel:
    """package: spandrel. extras: spandrel_extra_arches; None where it is not there. is_ours: not the host's."""

    package: Any
    extras: ModuleType | None
    is_ours: bool

    def registry(self) -> spandrel.ArchRegistry:
        """All its architectures, a new registry: no global is changed."""
        own = self.package.MAIN_REGISTRY.copy()
        more = getattr(self.extras, "EXTRA_REGISTRY", ())
        own.add(*(support for support in more if support.architecture.id not in own))
        return own


class _Ours:
    """What has become of ours: not looked at yet, loaded, or the reason why it does not load here."""

    loaded: Spandrel | None = None
    problem = ""


def spandrel_in_use() -> Spandrel:
    """Imported now if it was not before, which takes a few tenths of a second.

    Raises ImportError where there is neither ours nor the host's.
    """
    with _LOCK:
        return _ours() or _hosts()


def versions_in_use() -> tuple[str, str]:
    """Of spandrel and of the extra architectures; "" for what is not there. Nothing is imported."""
    wanted = pins() if find() is not None and not _Ours.problem else {}
    spandrel, extras = (wanted.get(package) or _host_version(package) for package in _PACKAGES)
    return spandrel, extras


def newer_one() -> str:
    """What to do for the newer spandrel of ours where an older one of the host's has to serve; "" where it has not."""
    wanted = pins()["spandrel"]
    if _numbers(versions_in_use()[0]) >= _numbers(wanted):
        return ""
    if _Ours.problem:
        return f"this WebUI's PyTorch cannot load spandrel {wanted}, which may know this model: update the WebUI"
    return (
        f"start the WebUI (or 'python install.py upscale') with the network up: it then fetches spandrel {wanted}, "
        "which may know this model"
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _ours() -> Spandrel | None:
    folder = find()
    if _Ours.loaded is not None or folder is None or _Ours.problem:
        return _Ours.loaded
    make_importable(folder, _PACKAGES)
    try:
        package, extras = (importlib.import_module(PREFIX + name) for name in _PACKAGES)
    except MemoryError:
        forget(_PACKAGES)
        raise
    except Exception as error:  # noqa: BLE001 - made for another torch, or damaged: whatever that leads to
        forget(_PACKAGES)
        _Ours.problem = f"{type(error).__name__}: {error}"
        _LOG.warning("TrueScale's own spandrel in %s cannot be loaded (%s); the WebUI's serves.", folder, error)
        return None
    _Ours.loaded = Spandrel(package, extras, is_ours=True)
    return _Ours.loaded


def _hosts() -> Spandrel:
    package = importlib.import_module("spandrel")
    try:
        extras = importlib.import_module("spandrel_extra_arches")
    except (ImportError, AttributeError, TypeError):  # not installed, or made for another spandrel: do without it
        return Spandrel(package, None, is_ours=False)
    return Spandrel(package, extras, is_ours=False)

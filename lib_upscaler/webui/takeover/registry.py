"""The takeover: the host's own entries for upscaling networks run on our engine, under their names and in their places.

``modelloader.load_upscalers`` is wrapped, since every host calls it at the start and at each reload of the UI, and some
of them know no other way into their list. Nothing is ever re-sorted: older scripts address upscalers by their place.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from ...catalogue import offline_reason
from ...errors import ModelNotFoundError
from ...models.entry import split_name
from ...models.ldsr.naming import is_ldsr_file
from .. import host
from ..host import health
from ..host.settings import settings
from ..upscaling.service import service
from .scaler import Scaler, is_ours

__all__ = ["REGISTRY", "Registry", "scaler_for"]

# The hosts' own classes of networks that our engine runs, and the file's name where the host gives a fetched one
# another than its address does.
_HOST_CLASSES = {
    "UpscalerESRGAN": "ESRGAN_4x.pth",
    "UpscalerSwinIR": "SwinIR_4x.pth",
    **dict.fromkeys(
        ("UpscalerCOMPACT", "UpscalerDAT", "UpscalerGRL", "UpscalerHAT", "UpscalerOmniSR", "UpscalerPLKSR",
         "UpscalerRCAN", "UpscalerRealESRGAN", "UpscalerSPAN", "UpscalerSRFormer", "UpscalerScuNET")
    ),
}  # fmt: skip
_MARK = "truescale_wraps"
_LOADER = "load_upscalers"


def scaler_for(entry: Any) -> Scaler | None:
    """Our scaler in place of that of the host's entry; None for what is not ours to run."""
    kind = type(entry.scaler).__name__
    path = entry.data_path
    if kind == "UpscalerLDSR":
        return ldsr_scaler(entry)
    if kind not in _HOST_CLASSES or not path:
        return None
    model_name = getattr(entry.scaler, "model_name", None) or ""
    local = getattr(entry, "local_data_path", None) or path
    if not _is_address(local):
        return Scaler(entry.name, local, model_name)
    return Scaler(entry.name, path, model_name, fetch=lambda: _fetched(entry, kind))


def ldsr_scaler(entry: Any) -> Scaler:
    """Of the host's LDSR, whose entry names no file: that of ours, else the one that the host would fetch."""
    model_name, address = getattr(entry.scaler, "model_name", None) or "", getattr(entry.scaler, "model_url", None)
    here = ldsr_file()
    if here is not None:
        return Scaler(entry.name, str(here), model_name)
    return Scaler(entry.name, str(address or ""), model_name, fetch=lambda: _fetched_ldsr(entry, str(address or "")))


def ldsr_file() -> Path | None:
    """The model of LDSR: as the host, a .safetensors rather than another."""
    found = [model.path for model in service().library.models() if is_ldsr_file(model)]
    return min(found, key=lambda path: path.suffix.lower() != ".safetensors", default=None)


@dataclass
class Registry:
    """Where the takeover stands. One in a process: it lives on when the UI is reloaded."""

    _replaced: list[tuple[Any, Any]] = field(default_factory=list)
    """(the host's entry, ours), of those that are in the list now."""
    _appended: list[Any] = field(default_factory=list)
    _wrapper: Callable[..., Any] | None = None
    """Ours around the host's loader. One that is not this one (another extension holds on to it) does nothing."""

    def install(self) -> None:
        """From now on every load of the host's list ends with ``update``. Once, however often it is called."""
        loader = host.module("modelloader")
        original = getattr(loader, "load_upscalers", None)
        if original is None or hasattr(original, _MARK):
            return

        def load_upscalers(*args: Any, **kwargs: Any) -> Any:
            returned = original(*args, **kwargs)
            if self._wrapper is not load_upscalers:
                return returned
            self._forget()
            try:
                service().refresh()
                self.update()
            except Exception:  # noqa: BLE001 - the WebUI must start, with its own upscalers
                host.log.exception("TrueScale: the upscalers could not be taken over; the WebUI's own are used")
            return returned

        setattr(load_upscalers, _MARK, original)
        self._wrapper = load_upscalers
        loader.load_upscalers = load_upscalers

    def hand_out(self) -> None:
        """Before the page is built: the host's steps of the Extras that have the function by its name (Neo's refresh
        button) get the wrapper.
        """
        for names in _steps_with_loader():
            if names[_LOADER] is getattr(self._wrapper, _MARK, None):
                names[_LOADER] = self._wrapper

    def uninstall(self) -> None:
        """The host as it was."""
        self._give_back()
        for names in _steps_with_loader():
            names[_LOADER] = getattr(names[_LOADER], _MARK, names[_LOADER])
        self._wrapper = None
        loader = host.module("modelloader")
        original = getattr(getattr(loader, "load_upscalers", None), _MARK, None)
        if original is not None:
            loader.load_upscalers = original

    def update(self) -> None:
        """Bring the host's list in line with the setting and with the files that are there.

        Where TrueScale cannot run, the host's own networks run as they always did; the names that only ours had stay,
        and say why: whoever asks for them by the API would be told that there is no such upscaler.
        """
        if not settings().takeover:
            self._give_back()
            return
        if health.problem():
            self._give_back()
            self._append_ours()
            return
        entries = host.upscalers()
        for place, entry in enumerate(entries):
            ours = None if is_ours(entry.scaler) else scaler_for(entry)
            if ours is not None:
                entries[place] = self._entry_like(entry, ours)
                self._replaced.append((entry, entries[place]))
        self._find_ldsr()
        self._append_ours()

    def _append_ours(self) -> None:
        """The files that the host does not list, behind its own."""
        entries = host.upscalers()
        known = {_identity(entry.data_path) for entry in entries if entry.data_path}
        names = {entry.name for entry in entries}
        for model in service().library.models():
            if _identity(str(model.path)) not in known:
                name = model.name if model.name not in names else f"{model.name} [TrueScale]"
                self._append(entries, name, model.path)
                names.add(name)

    def _find_ldsr(self) -> None:
        """Its file may have come since the entry was made."""
        for theirs, ours in self._replaced:
            file = ldsr_file() if type(theirs.scaler).__name__ == "UpscalerLDSR" else None
            if file is not None and ours.data_path != str(file):
                ours.data_path, ours.scaler = str(file), ldsr_scaler(theirs)
                ours.scaler.scalers = [ours]

    def _append(self, entries: list[Any], name: str, path: Path) -> None:
        scaler = Scaler(name, str(path))
        make = getattr(host.module("upscaler"), "UpscalerData", None)
        if make is not None:
            entry = make(name, str(path), scaler, 4)
        else:
            entry = SimpleNamespace(name=name, data_path=str(path), local_data_path=str(path), scaler=scaler, scale=4)
        scaler.scalers = [entry]
        entries.append(entry)
        self._appended.append(entry)

    @staticmethod
    def _entry_like(entry: Any, scaler: Scaler) -> Any:
        ours = copy.copy(entry)
        if ours.data_path is None:
            ours.data_path = scaler.path
        ours.scaler = scaler
        scaler.scalers = [ours]
        return ours

    def _give_back(self) -> None:
        """The host's entries in their places again, and ours gone."""
        entries = host.upscalers()
        theirs = {id(ours): entry for entry, ours in self._replaced}
        gone = {id(entry) for entry in self._appended}
        entries[:] = [theirs.get(id(entry), entry) for entry in entries if id(entry) not in gone]
        self._forget()

    def _forget(self) -> None:
        self._replaced.clear()
        self._appended.clear()


REGISTRY = Registry()


def _steps_with_loader() -> Iterator[dict[str, Any]]:
    """The globals of the host's steps of the Extras that hold its function that makes the list."""
    for data in getattr(host.module("scripts"), "postprocessing_scripts_data", ()):
        names = getattr(getattr(data.script_class, "process", None), "__globals__", {})
        if callable(names.get(_LOADER)):
            yield names


def _fetched(entry: Any, kind: str) -> str:
    """The file of an entry that the host knows an address of: one of ours of that name, else fetched by the host."""
    stem = split_name(PurePosixPath(urlsplit(entry.data_path).path).name)[0]
    models = service().library.models()
    here = next((model.path for model in models if split_name(model.path.name)[0] == stem), None)
    if here is not None:
        return str(here)
    return _download(entry, entry.data_path, _HOST_CLASSES[kind])


def _fetched_ldsr(entry: Any, address: str) -> str:
    """The file of LDSR, by the host where it is not there. It is two gigabytes."""
    here = ldsr_file()
    return str(here) if here is not None else _download(entry, address, "model.ckpt")


def _download(entry: Any, address: str, file: str) -> str:
    """By the host. Raises ModelNotFoundError."""
    download: Callable[..., str] | None = getattr(host.module("modelloader"), "load_file_from_url", None)
    folder = getattr(entry.scaler, "model_download_path", None) or getattr(entry.scaler, "model_path", None)
    what = f"the model '{entry.name}' is not here yet"
    todo = f"connect to the network, or put the file of {address} into {folder}"
    if download is None or folder is None:
        raise ModelNotFoundError(what, "this WebUI cannot fetch it", todo)
    if offline_reason():
        raise ModelNotFoundError(what, f"{offline_reason()} says that the network is not to be used", todo)
    try:
        return str(download(address, model_dir=str(folder), file_name=file))
    except Exception as error:
        raise ModelNotFoundError(what, f"fetching it failed ({error})", todo) from error


def _is_address(path: str) -> bool:
    return str(path).startswith(("http://", "https://"))


def _identity(path: str) -> str:
    return path if _is_address(path) else os.path.normcase(os.path.realpath(path))

"""Well-known upscalers, and how to get them: a list with addresses, licences and checksums, and a download. No torch.

    entries()                 the list, models.json
    find("4x-Remacri")        one of it
    download(entry, folder)   its file, checked; goes on where it stopped

The list comes from OpenModelDB (https://openmodeldb.info); ``tools.write_catalogue`` wrote it.
"""

from __future__ import annotations

from .catalogue import PURPOSES, Entry, by_sha256, entries, find, installed
from .download import download, has_network, offline_reason

__all__ = [
    "PURPOSES",
    "Entry",
    "by_sha256",
    "download",
    "entries",
    "find",
    "has_network",
    "installed",
    "offline_reason",
]

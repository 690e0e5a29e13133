"""Everything that TrueScale raises on purpose.

    TrueScaleError
    ├── ModelError                 something is wrong with a model file
    │   ├── ModelNotFoundError     no such model, or no model at all
    │   ├── ModelFileError         empty, truncated, not a model, unreadable
    │   ├── UnsafeModelError       wants to run code; nothing of it was run
    │   ├── UnsupportedModelError  a sound file that this program cannot use
    │   └── BrokenModelError       weights or output are not finite numbers
    ├── PictureError               something is wrong with a picture
    │   ├── PictureReadError       missing, truncated, not a picture
    │   ├── UnsupportedPictureError  a mode or depth that would come out wrong
    │   └── PictureWriteError      the result could not be written
    ├── RequestError               a wrong or contradictory setting
    │   └── SizeError              a size that cannot be made
    ├── DownloadError              a model could not be fetched
    │   ├── NoNetworkError         no network, or it is not to be used
    │   └── StorageError           no room or no permission to store it
    ├── MemoryLimitError           does not fit, even in the smallest tiles
    ├── DeviceError                no such device, or it fails
    └── Cancelled                  the user stopped the job; nothing is half-done

Each says *what* happened, *why*, and what *to do* about it, in words that can be shown as they are.
"""

from __future__ import annotations

import errno

__all__ = [
    "BrokenModelError",
    "Cancelled",
    "DeviceError",
    "DownloadError",
    "MemoryLimitError",
    "ModelError",
    "ModelFileError",
    "ModelNotFoundError",
    "NoNetworkError",
    "PictureError",
    "PictureReadError",
    "PictureWriteError",
    "RequestError",
    "SizeError",
    "StorageError",
    "TrueScaleError",
    "UnsafeModelError",
    "UnsupportedModelError",
    "UnsupportedPictureError",
]


class TrueScaleError(Exception):
    """Base of all errors raised on purpose; ``str()`` is the whole message.

    what: what happened, a phrase without a full stop ("cannot load 'x.pth'").
    why: the reason, likewise ("the file is empty").
    todo: what the user can do, likewise ("download it again").
    """

    def __init__(self, what: str, why: str = "", todo: str = "") -> None:
        self.what = what
        self.why = why
        self.todo = todo
        super().__init__(what, why, todo)

    def __str__(self) -> str:
        text = f"{self.what}: {self.why}" if self.why else self.what
        return f"{text}. {self.todo[:1].upper()}{self.todo[1:]}." if self.todo else f"{text}."


class ModelError(TrueScaleError):
    """Something is wrong with a model file."""


class ModelNotFoundError(ModelError):
    """No model of that name, or no model at all."""


class ModelFileError(ModelError):
    """The file is empty, truncated, unreadable, or no model file."""


class UnsafeModelError(ModelError):
    """The file asks for code to be run when it is opened. Nothing of it was run."""


class UnsupportedModelError(ModelError):
    """A sound file, but of a kind that this program cannot use."""


class BrokenModelError(ModelError):
    """The weights, or what the network makes of a sound picture, are not finite numbers."""


class PictureError(TrueScaleError):
    """Something is wrong with a picture."""


class PictureReadError(PictureError):
    """The file is missing, truncated, too large to open safely, or no picture."""


class UnsupportedPictureError(PictureError):
    """A mode or bit depth that would come out wrong."""


class PictureWriteError(PictureError):
    """The result could not be written."""


class RequestError(TrueScaleError):
    """A wrong or contradictory setting."""


class SizeError(RequestError):
    """A size that cannot be made, held in memory, or stored in the format asked for."""


class DownloadError(TrueScaleError):
    """A model could not be fetched: no address, no answer, or another file than the one that was announced."""


class NoNetworkError(DownloadError):
    """There is no network, or the user has said that it is not to be used."""


class StorageError(DownloadError):
    """What was fetched cannot be stored: the disk is full, or the folder may not be written to."""


class MemoryLimitError(TrueScaleError):
    """The job does not fit into the memory allowed, even in the smallest tiles."""


class DeviceError(TrueScaleError):
    """There is no such device, or it cannot do the work."""


class Cancelled(TrueScaleError):  # noqa: N818 - the name that every framework gives it
    """The user stopped the job."""

    def __init__(self, what: str = "stopped by the user, nothing was saved", why: str = "", todo: str = "") -> None:
        super().__init__(what, why, todo)


_NO_MEMORY = (
    *("not enough memory", "cannot allocate memory", "can't allocate memory", "out of memory"),
    *("failed to map segment", "paging file is too small"),  # of Linux and Windows, where a library is loaded
    *("could not allocate tensor", "invalid buffer size"),  # of DirectML and MPS
    *("cudnn_status_alloc_failed", "cublas_status_alloc_failed"),
)
_NOT_PERMITTED = ("not permitted", "permission denied")
"""Why a library cannot be mapped although there is memory: the disk it lies on allows no programs."""


def memory_ran_out(error: BaseException | None) -> bool:
    """Whether this error, or one that it comes from, says that there is no more memory.

    Also of an ImportError: where there is no room to load it, a package looks as if it were missing.
    """
    for _ in range(10):
        if error is None:
            return False
        no_memory = isinstance(error, OSError) and error.errno == errno.ENOMEM
        text = str(error).lower() if isinstance(error, (ImportError, OSError, RuntimeError)) else ""
        says_so = any(words in text for words in _NO_MEMORY) and not any(words in text for words in _NOT_PERMITTED)
        if isinstance(error, MemoryError) or no_memory or says_so:
            return True
        error = error.__cause__ or error.__context__
    return False

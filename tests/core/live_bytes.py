"""The bytes of all tensors that are alive at once, counted while code runs; on the meta device without running it."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

__all__ = ["LiveBytes"]


class LiveBytes(TorchDispatchMode):
    """Counts what is made inside the ``with``, in this thread. What single operations take for themselves is not seen.

    now, peak: bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._alive: dict[int, list[int]] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_flatten(result)[0]:
            if isinstance(tensor, torch.Tensor):
                self._see(tensor)
        return result

    def _see(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._alive:
            self._alive[key] = [0, storage.nbytes()]
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
        self._alive[key][0] += 1
        weakref.finalize(tensor, self._gone, key)

    def _gone(self, key: int) -> None:
        self._alive[key][0] -= 1
        if not self._alive[key][0]:
            self.now -= self._alive.pop(key)[1]

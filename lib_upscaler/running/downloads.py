"""Results on their way from a CUDA device into main memory, while the device works on."""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
from torch import Tensor

__all__ = ["Downloads"]


class Downloads:
    """At most two of them under way, in memory that the device can write to by itself (pinned).

    They arrive in the order in which they were put, so that what is written to a place last stays there.
    """

    def __init__(self, at_once: int = 2) -> None:
        self._at_once = at_once
        self._under_way: deque[tuple[Tensor, torch.cuda.Event, np.ndarray]] = deque()
        self._spare: list[Tensor] = []

    def put(self, values: Tensor, place: np.ndarray) -> None:
        """values: on the device. place: of the same shape; filled by the time that ``finish`` returns."""
        if len(self._under_way) >= self._at_once:
            self._arrived()
        values = values.contiguous()  # in the picture's own order, which the device is quicker at
        buffer = self._buffer(values.numel(), values.dtype)
        buffer.copy_(values.flatten(), non_blocking=True)
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(values.device))
        self._under_way.append((buffer, event, place))

    def finish(self) -> None:
        """Wait for all of them."""
        while self._under_way:
            self._arrived()
        self._spare.clear()

    def _arrived(self) -> None:
        buffer, event, place = self._under_way.popleft()
        event.synchronize()
        place[...] = buffer.numpy().reshape(place.shape)
        self._spare.append(buffer)

    def _buffer(self, count: int, dtype: torch.dtype) -> Tensor:
        for number, buffer in enumerate(self._spare):
            if buffer.dtype == dtype and buffer.numel() >= count:
                del self._spare[number]
                return buffer[:count]
        self._spare.clear()
        return torch.empty(count, dtype=dtype, pin_memory=True)

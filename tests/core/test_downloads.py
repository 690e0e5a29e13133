"""Results on their way from a CUDA device, and the work that it tells of, with a device that is made up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lib_upscaler.progress import NO_PROGRESS
from lib_upscaler.running.downloads import Downloads
from lib_upscaler.running.runner import DeviceTracker


class Device:
    """What it was asked to do is done when somebody waits for an event."""

    def __init__(self) -> None:
        self.waited: list[int] = []
        self.marks = 0
        self.late: list[tuple[Tensor, Tensor]] = []

    def event(self) -> object:
        device = self

        class Event:
            def record(self, _: object) -> None:
                device.marks += 1
                self.number, self.copies = device.marks, len(device.late)

            def synchronize(self) -> None:
                device.waited.append(self.number)
                for buffer, values in device.late[: self.copies]:
                    if buffer is not None:
                        Tensor.copy_(buffer, values)
                device.late[: self.copies] = [(None, None)] * self.copies  # type: ignore[list-item]

        return Event()


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    made, empty = Device(), torch.empty
    monkeypatch.setattr(torch.cuda, "Event", made.event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: None)

    class Pinned(Tensor):
        def copy_(self, values: Tensor, non_blocking: bool = False) -> Tensor:
            assert non_blocking
            made.late.append((self, values.clone()))
            return self

    def pinned(count: int, dtype: torch.dtype, pin_memory: bool) -> Tensor:
        assert pin_memory
        return empty(count, dtype=dtype).zero_().as_subclass(Pinned)

    monkeypatch.setattr(torch, "empty", pinned)
    return made


def rows(number: int, height: int = 4) -> Tensor:
    return torch.full((3, height, 5), number, dtype=torch.uint8).permute(1, 2, 0)


def test_all_have_arrived_in_the_end(device: Device) -> None:
    picture = np.zeros((20, 5, 3), np.uint8)
    downloads = Downloads()
    for number in range(5):
        downloads.put(rows(number + 1), picture[4 * number : 4 * number + 4])
    assert device.waited == [1, 2, 3]  # two are under way
    downloads.finish()
    assert device.waited == [1, 2, 3, 4, 5]
    assert picture[:, 0, 0].tolist() == [number + 1 for number in range(5) for _ in range(4)]


def test_what_is_written_last_stays(device: Device) -> None:
    picture = np.zeros((4, 5, 3), np.uint8)
    downloads = Downloads()
    for number in (7, 8, 9):  # a part that is run again, twice
        downloads.put(rows(number), picture)
    downloads.finish()
    assert (picture == 9).all()


def test_parts_of_other_sizes_and_kinds(device: Device) -> None:
    pictures = [np.zeros((height, 5, 3), kind) for height, kind in ((2, np.uint8), (6, np.uint8), (3, np.uint16))]
    downloads = Downloads(1)
    for number, picture in enumerate(pictures, 1):
        kind = torch.uint8 if picture.dtype == np.uint8 else torch.int32
        downloads.put(rows(number, len(picture)).to(kind), picture)
    downloads.finish()
    assert [set(picture.ravel().tolist()) for picture in pictures] == [{1}, {2}, {3}]


def test_the_program_runs_ahead_of_the_device_by_one_mark(device: Device) -> None:
    tracker = DeviceTracker(NO_PROGRESS, torch.device("cuda", 0))
    tracker.total = 4e12
    for _ in range(6):
        tracker.add(3e11)
    assert device.marks == 3
    assert device.waited == [1, 2]
    assert tracker.done == pytest.approx(1.2e12)  # what the device has really done

"""The three stages overlap, in order, and what waits between them is bounded."""

from __future__ import annotations

import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from lib_upscaler.batch import line as lines
from lib_upscaler.batch import picture
from lib_upscaler.batch.line import Room
from lib_upscaler.request import UpscaleRequest
from test_batch import FakeUpscaler, Notes, pictures, run


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Watched:
    """Counts the pictures in each stage, by the functions that do the work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, read: float = 0.0, write: float = 0.0) -> None:
        self.now = {"read": 0, "written": 0}
        self.seen: list[tuple[int, int]] = []
        self._guard = threading.Lock()
        plain_read, plain_write = picture.read_picture, picture.write_picture

        def read_picture(*given, **named):
            time.sleep(read)
            done = plain_read(*given, **named)
            self._count("read")
            return done

        def write_picture(*given, **named):
            time.sleep(write)
            self._count("written")
            return plain_write(*given, **named)

        monkeypatch.setattr(picture, "read_picture", read_picture)
        monkeypatch.setattr(picture, "write_picture", write_picture)

    def _count(self, what: str) -> None:
        with self._guard:
            self.now[what] += 1
            self.seen.append((self.now["read"], self.now["written"]))


class Slow(FakeUpscaler):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.busy = 0.0

    def upscale(self, image: Image.Image, request: UpscaleRequest, progress, plan: SimpleNamespace):
        started = time.perf_counter()
        time.sleep(self.seconds)
        done = super().upscale(image, request, progress, plan)
        self.busy += time.perf_counter() - started
        return done


def test_results_are_told_in_order_whichever_is_written_first(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = iter([0.2, 0.0, 0.1, 0.0, 0.0, 0.05])
    plain = picture.write_picture

    def write_picture(*given, **named):
        time.sleep(next(slow))
        return plain(*given, **named)

    monkeypatch.setattr(picture, "write_picture", write_picture)
    outcome, notes = run(pictures(4, 5, 6, 7, 8, 9))
    assert outcome.finished == 6
    assert [record.task.source.name for record in notes.records] == [f"{width}.png" for width in range(4, 10)]


def test_reading_and_writing_go_on_beside_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes as long as the network: done one after the other it would be three times as much."""
    Watched(monkeypatch, read=0.05, write=0.05)
    upscaler = Slow(0.05)
    started = time.perf_counter()
    outcome, _ = run(pictures(*range(4, 24)), upscaler)
    assert outcome.finished == 20
    assert time.perf_counter() - started < 2 * upscaler.busy


def test_what_is_read_ahead_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    run(pictures(*range(4, 34)), Slow(0.01))
    most = max(read - written for read, written in watched.seen)
    assert most <= lines.AHEAD + 2 + 2 * lines._WRITERS


def test_pictures_too_large_to_wait_beside_others_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "room_for_waiting", lambda *given: 10)  # bytes
    watched = Watched(monkeypatch, write=0.01)
    outcome, _ = run(pictures(*range(4, 24)), Slow(0.001))
    assert outcome.finished == 20
    # One before the network, one in it, one behind it that waits for the one that is being written.
    assert max(read - written for read, written in watched.seen) <= 3


def test_room_is_given_in_bytes_and_never_refused() -> None:
    room, order = Room(100), []

    def take(size: int) -> None:
        room.take(size)
        order.append(size)

    take(60)
    others = [threading.Thread(target=take, args=(size,), daemon=True) for size in (500, 70)]
    for other in others:
        other.start()
    time.sleep(0.05)
    assert order == [60]
    room.give_back(60)
    time.sleep(0.05)
    assert len(order) == 2
    room.give_back(order[1])
    time.sleep(0.05)
    assert sorted(order) == [60, 70, 500]
    room.open()
    take(1000)


def test_who_is_stopped_while_much_is_read_ahead_is_not_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    from lib_upscaler.batch.picture import BatchOptions
    from lib_upscaler.batch.run import run_batch
    from lib_upscaler.batch.stopping import StopRequest

    monkeypatch.setattr(lines, "room_for_waiting", lambda *given: 10)
    stop, notes = StopRequest(), Notes()

    class Stopping(Slow):
        def upscale(self, *given):
            if len(self.requests) == 2:
                stop.request()
            return super().upscale(*given)

    started = time.perf_counter()
    outcome = run_batch(Stopping(0.02), UpscaleRequest("m"), pictures(*range(4, 30)), notes, BatchOptions(), stop)
    assert (outcome.cancelled, outcome.finished) == (True, 3)
    assert time.perf_counter() - started < 5


def test_what_a_network_warns_of_is_no_note_of_the_picture_that_is_read_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python's filters are one for all threads. A reader that changed them would let others' silenced warnings out."""
    plain = picture.read_picture
    reading, warned = threading.Event(), threading.Event()
    heard: list[str] = []
    monkeypatch.setattr("warnings.showwarning", lambda message, *more: heard.append(str(message)))

    class Warns(Slow):
        def upscale(self, *given):
            if len(self.requests) == 1:
                reading.wait(5)
                warnings.warn("of the network", UserWarning, stacklevel=1)
                warnings.simplefilter("ignore", BytesWarning)  # as a library does that is imported now
                warned.set()
            return super().upscale(*given)

    def read_picture(path, *more):
        if path.name == "6.png":
            opened = Image.open

            def warning(*given, **named):
                image = opened(*given, **named)
                exec("import warnings; warnings.warn('of the picture')", {"__name__": "PIL.Image"})
                reading.set()
                warned.wait(5)
                return image

            monkeypatch.setattr(Image, "open", warning)
        return plain(path, *more)

    monkeypatch.setattr(picture, "read_picture", read_picture)
    monkeypatch.setattr(picture.Pictures, "bytes_to_read", lambda self, file: 0)
    filters = list(warnings.filters)
    with warnings.catch_warnings():
        _, notes = run(pictures(4, 5, 6), Warns(0.0))
        silenced = [each for each in warnings.filters if each[2] is BytesWarning and each[0] == "ignore"]
        assert silenced, "what the library asked for is still so"
    assert [record.warnings for record in notes.records] == [(), (), ("of the picture",)]
    assert heard == ["of the network"]
    assert list(warnings.filters) == filters

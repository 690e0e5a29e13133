"""The host's progress bar, its words, the live preview, and how soon a button is obeyed."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from fake_host.older import as_1_6_0
from fake_host.running import FakeHost
from networks import off, picture, true_picture
from small_networks import compact
from types_of_fixtures import StartHost

SLOW = compact(scale=2, features=32, layers=24, seed=5)
LARGE = picture(400, 320)
"""With the network above: more than a second of work."""


class Watch:
    """Looks at the page's bar, its words and its preview all the time, as the browser does."""

    def __init__(self, host: FakeHost) -> None:
        self._state = host.state
        self._progress = host.module("api.api").progress
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.bar: list[float] = []
        self.words: list[str] = []
        self.previews: list[Any] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.005):
            if str(self._state.textinfo).startswith("TrueScale"):
                self.bar.append(self._progress())
                self.words.append(self._state.textinfo)
                if self._state.current_image is not None and self._state.current_image not in self.previews:
                    self.previews.append(self._state.current_image)


@pytest.fixture
def slow_host(start_host: StartHost) -> FakeHost:
    return start_host(models={"slow": SLOW}, truescale_precision="exact")


PANEL = {"ours": {"enabled": True, "upscaler_1": "slow", "scale": 2.0}}
ACCORDION = {"upscale": {"upscaler_1_name": "slow", "upscale_by": 2.0}}


@pytest.mark.parametrize("way", [PANEL, ACCORDION], ids=["panel", "accordion"])
@pytest.mark.parametrize("change", [lambda host: None, as_1_6_0], ids=["1.10", "1.6"])
def test_the_bar_of_one_picture_goes_from_0_to_1(change: Any, way: dict[str, Any], start_host: StartHost) -> None:
    slow_host = start_host(models={"slow": SLOW}, change=change, truescale_precision="exact")
    with Watch(slow_host) as watch:
        result = slow_host.extras(LARGE, **way)

    assert result.error == ""
    assert watch.bar == sorted(watch.bar)
    assert watch.bar[0] < 0.2
    assert watch.bar[-1] > 0.8
    assert len(set(watch.bar)) > 10
    assert all("slow" in words for words in watch.words), watch.words


def test_the_bar_of_a_batch_goes_from_0_to_1(slow_host: FakeHost, tmp_path: Any) -> None:
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.png")
        picture(160, 160, seed=number).save(paths[-1])
    with Watch(slow_host) as watch:
        slow_host.extras(batch=paths, **PANEL)

    assert watch.bar == sorted(watch.bar)
    assert watch.bar[0] < 0.1
    for third in range(3):
        assert sum(third / 3 <= value - 0.01 < (third + 1) / 3 for value in watch.bar) > 2


@pytest.mark.parametrize("way", [PANEL, ACCORDION], ids=["panel", "accordion"])
def test_the_hosts_counters_are_as_it_left_them(way: dict[str, Any], slow_host: FakeHost) -> None:
    """The host counts on in them after our step."""
    state, seen = slow_host.state, []
    plain = slow_host.module("postprocessing").images.save_image

    def save_image(*args: Any, **kwargs: Any) -> Any:
        seen.append((state.job_no, state.job_count, state.sampling_step, state.textinfo))
        return plain(*args, **kwargs)

    slow_host.module("postprocessing").images.save_image = save_image
    slow_host.extras(picture(), **way)

    assert seen == [(1, 1, 0, None)]


def test_hires_fix_tells_in_words_and_leaves_the_hosts_bar_alone(slow_host: FakeHost) -> None:
    steps: list[tuple[int, int]] = []
    with Watch(slow_host) as watch:
        slow_host.txt2img(
            enable_hr=True,
            hr_upscaler="slow",
            width=320,
            height=320,
            steps=lambda p, number: steps.append((slow_host.state.job_no, slow_host.state.sampling_step)),
        )

    assert steps == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3)]
    assert any("slow" in words and "%" in words for words in watch.words)
    assert len(set(watch.bar)) == 1


@pytest.mark.alone
@pytest.mark.parametrize("button", ["interrupt", "skip"])
@pytest.mark.parametrize("way", [PANEL, ACCORDION], ids=["panel", "accordion"])
def test_a_button_is_obeyed_within_a_second(button: str, way: dict[str, Any], slow_host: FakeHost) -> None:
    slow_host.extras(picture(), **way)  # loads the model
    pressed: list[float] = []

    def press() -> None:
        deadline = time.monotonic() + 20
        while not slow_host.state.textinfo and time.monotonic() < deadline:  # until the network is at work
            time.sleep(0.005)
        pressed.append(time.monotonic())
        getattr(slow_host.state, button)()

    presser = threading.Thread(target=press)
    presser.start()
    result = slow_host.extras(LARGE, **way)
    ended = time.monotonic()
    presser.join()

    assert "Cancelled" in result.error, "the picture was done before the button was pressed"
    assert ended - pressed[0] < 1
    assert result.saved == []


def test_the_picture_is_shown_while_it_grows(slow_host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    plain = slow_host.state.assign_current_image
    monkeypatch.setattr(slow_host.state, "assign_current_image", lambda image: (shown.append(image), plain(image)))
    result = slow_host.extras(picture(160, 125), ours={**PANEL["ours"], "tile": 64})

    *growing, last = shown
    assert last is result.pictures[0]
    assert growing
    assert all(image.mode == "RGB" and max(image.size) <= 1024 for image in growing)
    wide, high = growing[-1].size
    assert abs(wide / high - 160 / 125) < 0.02


def test_no_picture_is_shown_where_the_user_wants_none(slow_host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_host.opts.data["live_previews_enable"] = False
    shown: list[Any] = []
    monkeypatch.setattr(slow_host.state, "assign_current_image", shown.append)
    result = slow_host.extras(picture(160, 125), ours={**PANEL["ours"], "tile": 64})

    assert shown == [result.pictures[0]]


def test_looking_at_the_progress_does_not_change_the_picture(slow_host: FakeHost) -> None:
    image = picture(100, 80)
    with Watch(slow_host):
        result = slow_host.extras(image, **PANEL)

    assert off(result.pictures[0], true_picture(SLOW, image)) <= 1
    assert np.asarray(result.pictures[0]).std() > 1

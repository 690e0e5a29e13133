"""What a host has not is said once at its start, and by our route; the rest goes on working."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from fake_host.running import FakeHost
from lib_upscaler import __version__
from networks import off, picture, true_picture
from types_of_fixtures import StartHost


def _without(module: str, name: str) -> Any:
    """What takes a function away from a host before ours is loaded."""

    def change(host: FakeHost) -> None:
        place: Any = host.module(module)
        *path, last = name.split(".")
        for part in path:
            place = getattr(place, part)
        delattr(place, last)

    return change


def test_a_host_that_has_all_of_it_is_told_nothing(host: FakeHost, caplog: pytest.LogCaptureFixture) -> None:
    health = host.client().get("/truescale/v1/health").json()

    assert [one["hook"] for one in health["missing"]] == []
    assert (health["version"], health["problem"]) == (__version__, "")
    assert "this WebUI has no" not in caplog.text


@pytest.mark.parametrize(
    ("module", "name", "without"),
    [
        ("script_callbacks", "on_after_component", "no statement below the Extras"),
        ("script_callbacks", "on_before_image_saved", "colour profile and EXIF are lost"),
        ("devices", "torch_gc", "memory of the device"),
        ("processing", "StableDiffusionProcessing.comment", "no statement below the pictures of txt2img"),
    ],
)
def test_what_is_missing_is_said_and_the_rest_works(
    module: str, name: str, without: str, start_host: StartHost, caplog: pytest.LogCaptureFixture
) -> None:
    host = start_host(truescale_precision="exact", change=_without(module, name))
    answer = host.client().get("/truescale/v1/health").json()

    assert [one["hook"] for one in answer["missing"]] == [f"modules.{module}.{name}"]
    assert without in answer["missing"][0]["without"]
    lines = [record.getMessage() for record in caplog.records if "this WebUI has no" in record.getMessage()]
    assert len(lines) == 1
    assert f"modules.{module}.{name}: " in lines[0]
    image = picture(20, 14)
    entry = host.entry("four")
    assert off(entry.scaler.upscale(image, 4, entry.data_path), true_picture("four", image)) <= 1


def test_a_function_whose_insides_have_changed_is_missing(start_host: StartHost) -> None:
    def change(host: FakeHost) -> None:
        host.module("postprocessing").run_postprocessing = lambda *args, **kwargs: None

    host = start_host(change=change)
    (missing,) = host.client().get("/truescale/v1/health").json()["missing"]
    assert missing["hook"].startswith("modules.postprocessing.run_postprocessing (image_placeholder")


@pytest.fixture
def shows_errors_alone() -> Iterator[None]:
    """The console as Neo sets it up."""
    loggers = logging.getLogger(), logging.getLogger("truescale")
    before = [logger.level for logger in loggers]
    loggers[0].setLevel(logging.ERROR)
    yield
    for logger, level in zip(loggers, before):
        logger.setLevel(level)


@pytest.mark.parametrize("chosen", [False, True])
def test_warnings_are_in_the_console_unless_its_user_wants_none(
    chosen: bool,
    shows_errors_alone: None,
    start_host: StartHost,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if chosen:
        monkeypatch.setenv("SD_WEBUI_LOG_LEVEL", "ERROR")
    host = start_host()
    (host.models / "four.pth").write_bytes(b"nonsense")
    host.txt2img(enable_hr=True, hr_upscaler="four")

    assert ("Hires Fix took Lanczos instead of 'four'" in caplog.text) is not chosen

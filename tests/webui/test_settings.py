"""TrueScale's settings on the host's page "Upscaling"."""

from __future__ import annotations

from typing import Any

import pytest

from fake_host.running import FakeHost
from networks import off, picture, true_picture
from small_networks import compact, save_pth
from types_of_fixtures import Engine, StartHost

OURS = ["truescale_takeover", "truescale_precision", "truescale_memory_gb", "truescale_cache_gb", "truescale_folders"]
OURS += ["truescale_vae_bands", "truescale_original_beside"]


def _four(host: FakeHost, **values: Any) -> Any:
    return host.extras(picture(), upscale={"upscaler_1_name": "four", "upscale_by": 4, **values})


def test_they_are_on_the_page_upscaling_each_with_words(start_host: StartHost) -> None:
    host = start_host()
    labels = host.opts.data_labels

    assert [name for name in labels if name.startswith("truescale")] == OURS
    for name in OURS:
        assert labels[name].section == ("upscaling", "Upscaling")
        assert labels[name].label.startswith("TrueScale")
        assert labels[name].comment_after
        assert getattr(host.opts, name) == labels[name].default


def test_their_components_can_be_built(start_host: StartHost) -> None:
    host = start_host()
    for name in OURS:
        option = host.opts.data_labels[name]
        component = option.component(label=option.label, value=option.default, **(option.component_args or {}))
        assert component.value == option.default


@pytest.mark.parametrize(("name", "expected"), [("exact", "float32"), ("bf16", "bfloat16"), ("auto", "float32")])
def test_precision(name: str, expected: str, start_host: StartHost) -> None:
    host = start_host()
    host.opts.set("truescale_precision", name)
    result = host.extras(picture(), ours={"enabled": True, "upscaler_1": "four"})

    assert f"TrueScale precision: {expected}" in result.pictures[0].info["postprocessing"]


def test_memory(host: FakeHost) -> None:
    host.opts.set("truescale_memory_gb", 0.0001)

    assert "memory" in _four(host).error
    host.opts.set("truescale_memory_gb", 0.0)
    assert _four(host).error == ""


def test_the_models_that_stay_loaded(host: FakeHost, loads: list[str]) -> None:
    host.opts.set("truescale_cache_gb", 0.0)
    for name in ("four", "two", "two", "four"):
        host.extras(picture(), ours={"enabled": True, "upscaler_1": name, "scale": 2.0})
    assert loads == ["four", "two", "four"]  # the one used last is always kept
    host.opts.set("truescale_cache_gb", 1.0)
    for name in ("two", "four", "two"):
        host.extras(picture(), ours={"enabled": True, "upscaler_1": name, "scale": 2.0})
    assert loads == ["four", "two", "four", "two"]


def test_further_folders_of_models(host: FakeHost, tmp_path: Any) -> None:
    names = host.names()
    other = compact(scale=4, features=4, layers=1, seed=9)
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    save_pth(other, tmp_path / "elsewhere" / "deep" / "mine.pth")
    host.opts.set("truescale_folders", f"\n  {tmp_path / 'elsewhere'}  \n{tmp_path / 'not there'}\n")

    assert host.names() == [*names, "mine"]
    result = host.extras(picture(), upscale={"upscaler_1_name": "mine", "upscale_by": 4})
    assert off(result.pictures[0], true_picture(other, picture())) <= 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("truescale_precision", "double"),
        ("truescale_precision", None),
        ("truescale_memory_gb", "much"),
        ("truescale_memory_gb", -3),
        ("truescale_cache_gb", None),
        ("truescale_cache_gb", float("nan")),
        ("truescale_folders", None),
        ("truescale_folders", 5),
        ("truescale_takeover", None),
    ],
)
def test_an_edited_config_file_breaks_nothing(name: str, value: Any, start_host: StartHost, engine: Engine) -> None:
    host = start_host(**{name: value})
    result = _four(host)

    assert result.error == ""
    assert result.pictures[0].size == (120, 80)
    assert len(engine.pictures) == 1
    assert host.reported == []


def test_they_are_read_before_the_page_was_built_once(start_host: StartHost) -> None:
    """The API alone builds no page; the settings that an extension adds do not exist then."""
    host = start_host("--nowebui")

    assert "truescale_precision" not in host.opts.data_labels
    answer = host.client().get("/truescale/v1/models")
    assert "four" in [each["name"] for each in answer.json()]


def test_a_setting_that_is_changed_drops_no_loaded_model(host: FakeHost, loads: list[str]) -> None:
    _four(host)
    host.opts.set("truescale_memory_gb", 2.0)
    _four(host)

    assert loads == ["four"]


def test_the_hosts_tile_size_does_not_matter(host: FakeHost) -> None:
    host.opts.data["ESRGAN_tile"] = 16
    host.opts.data["ESRGAN_tile_overlap"] = 0

    assert off(_four(host).pictures[0], true_picture("four", picture())) <= 1

"""The host's list of upscalers: its networks run on our engine, under their names and in their places."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from another_upscaler import ANOTHER, add_another
from fake_host.running import FakeHost
from networks import STATES, encoded, off, picture, true_picture
from small_networks import compact, save_pth, save_safetensors
from types_of_fixtures import Engine, StartHost

SHIPPED = "TrueScale 4x"
OWN_LIST = ["None", "Lanczos", "Nearest", "four", "LDSR", "one", "R-ESRGAN 4x+", "R-ESRGAN 4x+ Anime6B", "two"]
"""What the host lists of itself with the three networks in models/ESRGAN."""

ADDRESS = "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.1.0/RealESRGAN_x4plus.pth"
OTHER = compact(scale=4, features=4, layers=1, seed=9)


def _by_extras(host: FakeHost, name: str, scale: float = 4) -> Any:
    """The picture that the host's own accordion gives, and its error."""
    return host.extras(picture(), upscale={"upscaler_1_name": name, "upscale_by": scale})


def _bytes(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()


# -- names and places --------------------------------------------------------------------------------------------------


def test_names_and_places_are_the_hosts_own_and_ours_come_behind(host: FakeHost) -> None:
    assert host.names() == [*OWN_LIST, SHIPPED]


@pytest.mark.parametrize(("name", "scale"), [("four", 4), ("two", 2)])
def test_the_hosts_entries_give_the_true_output(name: str, scale: int, host: FakeHost) -> None:
    result = _by_extras(host, name, scale)

    assert off(result.pictures[0], true_picture(name, picture())) <= 1
    assert host.host_ran == []


def test_upscalers_that_are_no_networks_of_the_host_stay_whose_they_are(start_host: StartHost) -> None:
    host = start_host(truescale_takeover=False, change=add_another)
    before = {name: host.entry(name) for name in ("None", "Lanczos", "Nearest", ANOTHER)}
    host.opts.set("truescale_takeover", True)

    assert all(host.entry(name) is entry for name, entry in before.items())
    assert _by_extras(host, ANOTHER).pictures[0].size == (120, 80)


def test_models_in_a_format_that_the_host_does_not_list_come_behind(start_host: StartHost, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "ESRGAN"
    folder.mkdir(parents=True)
    save_safetensors(OTHER, folder / "another.safetensors")
    host = start_host(truescale_precision="exact")

    assert host.names()[: len(OWN_LIST)] == OWN_LIST
    assert sorted(host.names()[len(OWN_LIST) :]) == sorted([SHIPPED, "another"])
    assert off(_by_extras(host, "another").pictures[0], true_picture(OTHER, picture())) <= 1


def test_the_models_of_the_flags_folder_run_on_our_engine(start_host: StartHost, tmp_path: Path) -> None:
    elsewhere = tmp_path / "my models"
    elsewhere.mkdir()
    save_pth(OTHER, elsewhere / "mine.pth")
    host = start_host(flags=f"--esrgan-models-path '{elsewhere}'", truescale_precision="exact")

    assert {"mine", "four", SHIPPED} <= set(host.names())
    assert off(_by_extras(host, "mine").pictures[0], true_picture(OTHER, picture())) <= 1
    assert host.host_ran == []


def test_without_any_model_the_host_starts_and_the_one_that_ships_is_there(start_host: StartHost) -> None:
    host = start_host(models={})

    assert host.reported == []
    assert host.names()[-1] == SHIPPED
    assert "ESRGAN_4x" in host.names()
    assert _by_extras(host, SHIPPED).pictures[0].size == (120, 80)


def test_a_folder_that_cannot_be_read(start_host: StartHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain, closed = os.scandir, str(tmp_path / "models" / "ESRGAN")

    def scandir(path: Any = ".") -> Any:
        if os.fspath(path) == closed:
            raise PermissionError(13, "Permission denied", closed)
        return plain(path)

    monkeypatch.setattr(os, "scandir", scandir)
    host = start_host()

    assert host.reported == []
    assert host.names()[-1] == SHIPPED


@pytest.mark.parametrize("name", ["Lanczos", "four", "None"])
def test_a_model_of_a_taken_name_gets_another_one(name: str, start_host: StartHost, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "ESRGAN"
    folder.mkdir(parents=True)
    save_safetensors(OTHER, folder / f"{name}.safetensors")
    host = start_host(truescale_precision="exact")
    names = host.names()

    assert len(set(names)) == len(names), names
    (new,) = set(names) - {*OWN_LIST, SHIPPED}
    assert name in new
    assert off(_by_extras(host, new).pictures[0], true_picture(OTHER, picture())) <= 1
    if name == "four":
        assert off(_by_extras(host, name).pictures[0], true_picture("four", picture())) <= 1


def test_the_hosts_api_tells_of_all(host: FakeHost) -> None:
    told = host.client().get("/sdapi/v1/upscalers").json()

    assert [each["name"] for each in told] == host.names()
    path = {each["name"]: each["model_path"] for each in told}
    assert path["four"] == str(host.models / "four.pth")
    assert path["R-ESRGAN 4x+"] == ADDRESS


# -- reloads, and the host as it was -----------------------------------------------------------------------------------


def test_five_reloads_change_nothing(host: FakeHost) -> None:
    names = host.names()
    for _ in range(5):
        host.reload()
        assert host.names() == names
    assert host.reported == []
    assert off(_by_extras(host, "four").pictures[0], true_picture("four", picture())) <= 1
    assert host.host_ran == []


def test_a_reload_finds_what_has_come_and_what_has_gone(host: FakeHost) -> None:
    (host.models / "one.pth").unlink()
    save_pth(OTHER, host.models / "new.pth")
    host.reload()

    assert "one" not in host.names()
    assert off(_by_extras(host, "new").pictures[0], true_picture(OTHER, picture())) <= 1


def test_an_extension_that_is_unloaded_leaves_the_host_as_it_was(start_host: StartHost) -> None:
    host = start_host()
    host.module("script_callbacks").script_unloaded_callback()
    loader = host.module("modelloader")

    assert host.names() == OWN_LIST
    assert _by_extras(host, "four").pictures[0].size == (120, 80)
    assert host.host_ran == [str(host.models / "four.pth")]
    loader.load_upscalers()
    assert host.names() == OWN_LIST
    assert loader.load_upscalers.__code__.co_filename == loader.__file__


def test_the_setting_hands_the_entries_back_and_takes_them_again(host: FakeHost) -> None:
    host.opts.set("truescale_takeover", False)
    assert host.names() == OWN_LIST
    _by_extras(host, "four")
    assert host.host_ran == [str(host.models / "four.pth")]

    host.opts.set("truescale_takeover", True)
    assert host.names() == [*OWN_LIST, SHIPPED]
    assert off(_by_extras(host, "four").pictures[0], true_picture("four", picture())) <= 1
    assert len(host.host_ran) == 1


def test_the_setting_stays_off_over_a_reload(start_host: StartHost) -> None:
    host = start_host(truescale_takeover=False)
    host.reload()

    assert host.names() == OWN_LIST


def test_whatever_goes_wrong_the_host_starts_with_its_own(
    start_host: StartHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any) -> None:
        raise RuntimeError("nobody expected this")

    monkeypatch.setattr(FakeHost.ours("upscaling.service").Service, "refresh", fail)
    host = start_host()

    assert host.names() == OWN_LIST


# -- files that come and go while the host runs ------------------------------------------------------------------------


def test_a_deleted_model_keeps_its_place_and_says_so(host: FakeHost) -> None:
    names = host.names()
    (host.models / "four.pth").unlink()
    host.ours("panels.lists").refresh_models()

    assert host.names() == names
    result = _by_extras(host, "four")
    assert result.pictures == []
    assert "four.pth" in result.error
    assert "there is no" in result.error
    assert off(_by_extras(host, "two", 2).pictures[0], true_picture("two", picture())) <= 1


def test_a_refresh_lists_new_models_at_the_end(host: FakeHost) -> None:
    names = host.names()
    save_pth(OTHER, host.models / "a new one.pth")
    host.ours("panels.lists").refresh_models()
    host.ours("panels.lists").refresh_models()

    assert host.names() == [*names, "a new one"]
    assert off(_by_extras(host, "a new one").pictures[0], true_picture(OTHER, picture())) <= 1


def test_a_model_that_is_replaced_is_loaded_anew(host: FakeHost) -> None:
    before = _by_extras(host, "four").pictures[0]
    path = host.models / "four.pth"
    save_pth(OTHER, path)
    os.utime(path, ns=(1, 1))
    after = _by_extras(host, "four").pictures[0]

    assert off(before, true_picture("four", picture())) <= 1
    assert off(after, true_picture(OTHER, picture())) <= 1


# -- models that are still to be fetched -------------------------------------------------------------------------------


def test_a_model_is_fetched_when_it_is_first_used(host: FakeHost) -> None:
    host.module("modelloader").online[ADDRESS] = _bytes(OTHER)
    assert host.entry("R-ESRGAN 4x+").data_path == ADDRESS
    result = _by_extras(host, "R-ESRGAN 4x+")

    assert off(result.pictures[0], true_picture(OTHER, picture())) <= 1
    assert (host.models.parent / "RealESRGAN" / "RealESRGAN_x4plus.pth").is_file()
    host.module("modelloader").online.clear()
    assert _by_extras(host, "R-ESRGAN 4x+", 3).pictures[0].size == (90, 60)
    assert host.host_ran == []


def test_without_a_network_the_words_say_what_to_do(host: FakeHost) -> None:
    error = _by_extras(host, "R-ESRGAN 4x+").error

    assert "R-ESRGAN 4x+" in error
    assert ADDRESS in error
    assert "name resolution" in error
    assert str(host.models.parent / "RealESRGAN") in error


def test_a_file_in_the_models_folder_is_used_instead_of_fetching(start_host: StartHost) -> None:
    host = start_host(models={"RealESRGAN_x4plus": OTHER}, truescale_precision="exact")

    assert off(_by_extras(host, "R-ESRGAN 4x+").pictures[0], true_picture(OTHER, picture())) <= 1


def test_the_hosts_fallback_for_an_empty_folder_is_fetched_under_its_name(start_host: StartHost) -> None:
    host = start_host(models={}, truescale_precision="exact")
    host.module("modelloader").online["https://github.com/cszn/KAIR/releases/download/v1.0/ESRGAN.pth"] = _bytes(OTHER)

    assert off(_by_extras(host, "ESRGAN_4x").pictures[0], true_picture(OTHER, picture())) <= 1
    assert (host.models / "ESRGAN_4x.pth").is_file()


def test_a_refresh_of_the_host_by_its_own_name_for_it_keeps_ours(start_host: StartHost) -> None:
    """Neo's step "Upscale" has imported the function before ours is in its place."""
    host = start_host(ui=False)
    steps = host.module("scripts").postprocessing_scripts_data
    step = next(one for one in steps if one.script_class.name == "Upscale").module
    original = host.module("modelloader").load_upscalers.truescale_wraps
    step.load_upscalers = original
    host.show()
    step.load_upscalers()

    assert host.names() == [*OWN_LIST, SHIPPED]
    assert type(host.entry("four").scaler).__name__ == "Scaler"
    host.module("script_callbacks").script_unloaded_callback()
    assert step.load_upscalers is original


# -- something is missing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["spandrel", "torchvision", "safetensors"])
def test_without_a_package_the_host_keeps_its_own_and_the_panels_say_why(
    missing: str, start_host: StartHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    health = FakeHost.ours("host.health")
    plain = health.present
    monkeypatch.setattr(health, "present", lambda name: name != missing and plain(name))
    monkeypatch.setenv("TRUESCALE_PACKAGES", "nowhere")  # and no spandrel of our own
    host = start_host()

    assert host.names() == [*OWN_LIST, SHIPPED]
    assert host.reported == []
    for elem_id in ("truescale_extras_problem", "truescale_hires_problem"):
        assert missing in host.component(elem_id).value
    _by_extras(host, "four")
    assert host.host_ran == [str(host.models / "four.pth")]
    result = host.extras(picture(), ours={"enabled": True})
    assert missing in result.error
    assert result.saved == []
    assert host.txt2img(enable_hr=True, hr_upscaler="Lanczos", hires={"enabled": True}).images[0].size == (128, 96)
    answer = host.client().post("/truescale/v1/upscale", json={"image": ""})
    assert answer.status_code == 422
    assert missing in answer.json()["detail"]
    assert ".." not in answer.json()["detail"]


def test_a_name_that_only_ours_has_is_answered_in_words_where_we_cannot_run(
    start_host: StartHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the host's own API, which knows nothing but that there is no such name, and in Hires Fix, which loses no
    picture; what the host runs by itself runs on.
    """
    monkeypatch.setattr(FakeHost.ours("host.health"), "present", lambda name: name != "torchvision")
    monkeypatch.setenv("TRUESCALE_PACKAGES", "nowhere")
    host = start_host()
    save_safetensors(OTHER, host.models / "dropped.safetensors")
    host.reload()
    body = {"image": encoded(picture()), "upscaling_resize": 4}
    for name in ("dropped", SHIPPED):
        answer = host.client().post("/sdapi/v1/extra-single-image", json={**body, "upscaler_1": name})
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith("TrueScale cannot run: torchvision is not installed. Restart")
        assert ".." not in answer.json()["detail"]
    assert host.client().post("/sdapi/v1/extra-single-image", json={**body, "upscaler_1": "four"}).status_code == 200
    result = host.txt2img(enable_hr=True, hr_upscaler="dropped")
    assert result.images[0].size == (128, 96)
    assert "TrueScale: Lanczos instead of dropped (failed)" in result.infotexts[0]


@pytest.mark.parametrize("has_ours", [True, False])
def test_a_webui_with_an_old_spandrel_works_by_ours_and_says_where_it_is_missing(
    has_ours: bool, start_host: StartHost, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if has_ours:
        request.getfixturevalue("own_spandrel_folder")
    else:
        monkeypatch.setenv("TRUESCALE_PACKAGES", "nowhere")
    monkeypatch.setattr(FakeHost.ours("host.health"), "host_is_too_old", lambda: True)
    host = start_host(truescale_precision="exact")
    answer = host.client().get("/truescale/v1/health").json()

    if has_ours:
        assert answer["problem"] == ""
        assert set(STATES) <= set(host.names())
    else:
        assert "older than 0.3.4" in answer["problem"]
        assert "network up" in answer["problem"]


def test_nothing_of_ours_runs_before_it_is_asked_for(host: FakeHost, engine: Engine, loads: list[str]) -> None:
    host.reload()
    host.extras(picture(), upscale={"upscaler_1_name": "Lanczos", "upscale_by": 2.0})

    assert engine.pictures == []
    assert loads == []
    assert set(STATES) <= set(host.names())

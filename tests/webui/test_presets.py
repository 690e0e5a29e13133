"""Presets of the panels: what they set, and that the user's own are never lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fake_host.running import FakeHost
from lib_upscaler.errors import TrueScaleError
from small_networks import compact, save_pth
from types_of_fixtures import StartHost

BAR = "truescale_extras_preset"
PARTS = ("upscaler_1", "upscaler_2", "upscaler_2_visibility", "size_by", "scale", "width", "height", "fit", "longest",
         "megapixels", "precision", "tile", "memory", "alpha", "clean_up")  # fmt: skip


def _file(host: FakeHost) -> Path:
    return host.models.parents[1] / "truescale" / "presets.json"


def _apply(host: FakeHost, name: str) -> tuple[dict[str, Any], str]:
    """Part -> the value that choosing the preset sets, and what the panel says."""
    changed = host.press(BAR, name)
    note = changed.pop(f"{BAR}_note")
    prefix = "truescale_extras_"
    return {key[len(prefix) :]: one["value"] for key, one in changed.items() if "value" in one}, note


def _values(**given: Any) -> list[Any]:
    """In the order of the panel's widgets."""
    plain = {
        "upscaler_1": "four",
        "upscaler_2": "None",
        "visibility": 0.5,
        "size_by": "Scale by",
        "scale": 4.0,
        "width": 2048,
        "height": 2048,
        "fit": "inside",
        "longest_side": 2048,
        "megapixels": 4.0,
        "precision": "as in the settings",
        "tile": 0,
        "memory": 0.0,
        "alpha": "network",
        "clean_up": "None",
    }
    return list({**plain, **given}.values())


def _do(host: FakeHost, action: str, chosen: str | None, name: str, *values: Any) -> dict[str | None, Any]:
    return host.press(f"{BAR}_do", action, chosen, name, *(values or _values()))


def _listed(host: FakeHost) -> list[str]:
    """After a reload of the page."""
    host.reload()
    return [choice[0] if isinstance(choice, tuple) else choice for choice in host.component(BAR).choices]


# -- built in ----------------------------------------------------------------------------------------------------------


def test_the_four_that_come_with_it(host: FakeHost) -> None:
    assert _listed(host) == ["Photo", "Illustration", "Clean-up then enlarge", "Fast preview"]


def test_without_their_models_they_take_the_one_that_ships_and_say_so(host: FakeHost) -> None:
    values, note = _apply(host, "Illustration")

    assert values["upscaler_1"] == "TrueScale 4x"
    assert values["scale"] == 4.0
    assert "not found" in note


def test_a_model_that_is_here_is_taken(start_host: StartHost) -> None:
    files = {"4x-UltraSharp": compact(scale=4, features=4, layers=1), "1xDeJPG_realplksr_otf": compact(scale=1)}
    host = start_host(models=files)

    photo, note = _apply(host, "Photo")
    assert (photo["upscaler_1"], photo["upscaler_2"], photo["upscaler_2_visibility"]) == (
        *("4x-UltraSharp", "TrueScale 4x"),
        0.4,
    )
    assert note == ""
    clean, _ = _apply(host, "Clean-up then enlarge")
    assert (clean["clean_up"], clean["upscaler_1"]) == ("1xDeJPG_realplksr_otf", "TrueScale 4x")


def test_one_model_is_not_mixed_with_itself(host: FakeHost) -> None:
    values, _ = _apply(host, "Photo")  # none of its models is here

    assert (values["upscaler_1"], values["upscaler_2"]) == ("TrueScale 4x", "None")


def test_they_cannot_be_changed(host: FakeHost) -> None:
    for action, name in (("Save", "Photo"), ("Rename", "Other"), ("Delete", "")):
        told = _do(host, action, "Photo", name)[f"{BAR}_note"]
        assert "comes with TrueScale" in told, action
    assert not _file(host).exists()


# -- the user's own ----------------------------------------------------------------------------------------------------


def test_one_is_saved_and_sets_the_panel_back(host: FakeHost) -> None:
    asked = _values(upscaler_2="two", visibility=0.25, size_by="Longest side", longest_side=999, alpha="fast", tile=64)
    changed = _do(host, "Save", None, "  Mine  ", *asked)

    assert changed[BAR]["value"] == "Mine"
    assert "Mine" in _listed(host)
    values, note = _apply(host, "Mine")
    assert [values[part] for part in PARTS] == asked
    assert note == ""


def test_saving_under_the_same_name_replaces(host: FakeHost) -> None:
    for scale in (2.0, 3.0):
        _do(host, "Save", None, "Mine", *_values(scale=scale))

    assert _listed(host).count("Mine") == 1
    assert _apply(host, "Mine")[0]["scale"] == 3.0


def test_renaming_and_deleting(host: FakeHost) -> None:
    _do(host, "Save", None, "Mine", *_values(scale=3.0))
    _do(host, "Save", None, "Other")
    assert "already" in _do(host, "Rename", "Mine", "Other")[f"{BAR}_note"]
    _do(host, "Rename", "Mine", "더 크게")
    assert {"더 크게", "Other"} <= set(_listed(host))
    assert _apply(host, "더 크게")[0]["scale"] == 3.0
    _do(host, "Delete", "더 크게", "")
    listed = _listed(host)
    assert "더 크게" not in listed
    assert "Other" in listed


@pytest.mark.parametrize("name", ["", "   ", "x" * 61])
def test_a_name_that_cannot_be_is_told(name: str, host: FakeHost) -> None:
    told = _do(host, "Save", None, name)[f"{BAR}_note"]

    assert "truescale-problem" in told
    assert not _file(host).exists()


def test_one_whose_model_is_gone_keeps_the_panels_and_says_so(host: FakeHost) -> None:
    save_pth(compact(scale=2, features=4, layers=1), host.models / "going.pth")
    host.press("truescale_extras_refresh")
    _do(host, "Save", None, "Mine", *_values(upscaler_1="going", scale=3.0))
    (host.models / "going.pth").unlink()
    host.press("truescale_extras_refresh")

    values, note = _apply(host, "Mine")

    assert "upscaler_1" not in values
    assert values["scale"] == 3.0
    assert "going" in note
    save_pth(compact(scale=2, features=4, layers=1), host.models / "going.pth")
    host.press("truescale_extras_refresh")
    assert _apply(host, "Mine")[0]["upscaler_1"] == "going"  # the preset itself has kept it


@pytest.mark.parametrize("content", ["{", "[]", '{"presets": 3}', ""])
def test_a_damaged_file_is_kept_aside_and_the_panel_works(content: str, host: FakeHost) -> None:
    _file(host).parent.mkdir(parents=True)
    _file(host).write_text(content)

    assert _listed(host) == ["Photo", "Illustration", "Clean-up then enlarge", "Fast preview"]
    _do(host, "Save", None, "Mine")
    assert "Mine" in _listed(host)
    assert _file(host).with_suffix(".damaged.json").read_text() == content


def test_a_folder_that_cannot_be_written_is_told(host: FakeHost) -> None:
    _file(host).parent.write_text("a file where the folder should be")

    told = _do(host, "Save", None, "Mine")[f"{BAR}_note"]

    assert "cannot keep the preset" in told


def test_those_of_one_panel_are_not_anothers(host: FakeHost) -> None:
    _do(host, "Save", None, "Mine")
    host.reload()

    for panel in ("truescale_sd", "truescale_hires"):
        assert "Mine" not in host.component(f"{panel}_preset").choices
    assert list(json.loads(_file(host).read_text(encoding="utf-8"))["presets"]) == ["extras"]


def test_the_store_refuses_what_is_not_there(host: FakeHost) -> None:
    store = host.ours("panels.presets").store()

    for action in (lambda: store.delete("extras", "nothing"), lambda: store.rename("extras", None, "new")):
        with pytest.raises(TrueScaleError, match="Choose one of your own"):
            action()

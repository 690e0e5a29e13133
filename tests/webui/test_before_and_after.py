"""What the panels say before a run and after it, and settings that a picture brings back."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_host.running import FakeHost
from networks import encoded, off, picture, true_picture
from small_networks import compact, save_pth
from types_of_fixtures import StartHost

EXTRAS = "truescale_extras"


def _words(html: str) -> str:
    """What can be read, with single spaces."""
    return " ".join(unescape(re.sub("<[^>]*>", " ", html)).split())


def _parts(host: FakeHost) -> dict[str, Any]:
    """Argument -> component of our panel in the Extras."""
    script = next(one for one in host.module("scripts").scripts_postproc.scripts if one.name == "TrueScale")
    return {name: component for name, component in script.controls.items() if name != "enabled"}


def _plan(host: FakeHost, width: int | None, height: int | None, /, **values: Any) -> str:
    """What the Extras panel says before a run with a picture of this size."""
    parts = _parts(host)
    given = {name: values.get(name, component.value) for name, component in parts.items()}
    source = json.dumps({"width": width, "height": height} if width else {})
    return _words(host.press(f"{EXTRAS}_tile", source, *given.values())[f"{EXTRAS}_plan"])


# -- before ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "values", "expected"),
    [
        ((512, 768), {}, ["512x768 → 2048x3072 px", "6.29 MP", "whole, in"]),
        ((131, 100), {"scale": 2.5}, ["131x100 → 328x250 px", "0.08 MP"]),  # 327.5 is rounded up
        ((30, 20), {"size_by": "Longest side", "longest_side": 77}, ["30x20 → 77x51 px"]),
        ((200, 100), {"tile": 64}, ["in tiles : 8", "800x400"]),
        ((30, 20), {"upscaler_1": "Lanczos"}, ["30x20 → 120x80 px", "0.01 MP"]),
        ((30, 20), {"upscaler_1": "four", "upscaler_2": "two", "visibility": 0.3, "clean_up": "one"}, ["→ 120x80 px"]),
    ],
)
def test_the_exact_size_and_the_pieces_are_told_before_the_run(
    size: tuple[int, int], values: dict[str, Any], expected: list[str], host: FakeHost
) -> None:
    told = _plan(host, *size, **{"upscaler_1": "four", **values})

    for words in expected:
        assert words in told


@pytest.fixture
def nothing_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine on which nothing has run yet."""
    monkeypatch.setenv("TRUESCALE_CACHE", str(tmp_path / "nothing learned"))


@pytest.mark.usefixtures("nothing_learned")
def test_time_is_told_once_the_device_is_known(host: FakeHost) -> None:
    assert "known after a first run" in _plan(host, 200, 150, upscaler_1="four")
    host.extras(picture(200, 150), ours={"enabled": True, "upscaler_1": "four"})

    assert re.search(r"time (< 1|≈ \d+) s", _plan(host, 200, 150, upscaler_1="four"))


@pytest.mark.usefixtures("nothing_learned")
def test_others_upscalers_are_known_after_a_run_too(with_another: FakeHost) -> None:
    assert "known after a first run" in _plan(with_another, 30, 20, upscaler_1="Another")
    with_another.extras(picture(), ours={"enabled": True, "upscaler_1": "Another"})

    assert re.search(r"time (< 1|≈ \d+) s", _plan(with_another, 30, 20, upscaler_1="Another"))


def test_without_a_picture_nothing_is_told(host: FakeHost) -> None:
    assert _plan(host, None, None) == ""


def test_what_cannot_be_made_is_told_before_the_run(host: FakeHost) -> None:
    assert "width and height are missing" in _plan(host, 30, 20, size_by="Scale to", width=0, height=0)
    assert "memory" in _plan(host, 60_000, 60_000, upscaler_1="four", scale=16.0)


def test_a_model_that_is_still_to_be_fetched_is_not_fetched_for_a_look(host: FakeHost) -> None:
    told = _plan(host, 30, 20, upscaler_1="R-ESRGAN 4x+")

    assert "30x20 → 120x80 px" in told
    assert "fetched first" in told
    assert not list(host.models.parent.rglob("RealESRGAN*"))


def test_hires_fix_tells_its_size(host: FakeHost) -> None:
    source = {"width": 512, "height": 512, "scale": 1.5, "resize_x": 0, "resize_y": 0, "upscaler": "four"}
    plan = host.ours("places.hires_fix.accordion")._plan_html

    assert "512x512 → 768x768 px" in _words(plan(source, {}))
    assert "512x512 → 1000x1200 px" in _words(plan({**source, "resize_x": 1000, "resize_y": 1200}, {}))
    assert "512x512 → 768x768 px" in _words(plan({**source, "upscaler": "Latent"}, {}))
    assert plan({**source, "upscaler": ""}, {}) == ""


# -- cards -------------------------------------------------------------------------------------------------------------


def _card(host: FakeHost, name: str) -> str:
    return _words(host.ours("panels.cards").card_html(name))


def test_the_card_tells_what_the_model_is(host: FakeHost) -> None:
    size = (host.models / "four.pth").stat().st_size / 1e6

    told = _card(host, "four")
    assert told.startswith("RealESRGAN Compact 4x · RGB · upscaling")
    assert f"{size:.1f} MB" in told
    assert "tiling" not in told
    shipped = _card(host, "TrueScale 4x")
    assert "licence : MIT" in shipped


def test_a_damaged_model_says_so_in_its_card(host: FakeHost) -> None:
    (host.models / "damaged.pth").write_bytes(b"nothing" * 99)
    host.press(f"{EXTRAS}_refresh")

    html = host.ours("panels.cards").card_html("damaged")
    assert "truescale-problem" in html
    assert "damaged" in html


def test_a_model_that_does_what_nobody_has_thought_of_says_so_in_its_card(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = host.ours("panels.cards")
    plain = cards.read_card

    def read(path: Path, **given: str) -> object:
        if path.stem == "four":
            raise AttributeError("no such thing")
        return plain(path, **given)

    monkeypatch.setattr(cards, "read_card", read)
    html = cards.card_html("four")
    assert "truescale-problem" in html
    assert "no such thing" in html
    assert _card(host, "TrueScale 4x").startswith("RealESRGAN Compact 4x")


def test_others_upscalers_have_a_short_one(with_another: FakeHost) -> None:
    assert "another extension" in _card(with_another, "Another")
    assert "fetched at its first use" in _card(with_another, "R-ESRGAN 4x+")
    assert "fetched at its first use" in _card(with_another, "LDSR")
    assert _card(with_another, "None") == ""


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("4x-UltraSharp", 4),
        ("RealESRGAN_x2plus", 2),
        ("R-ESRGAN 4x+ Anime6B", 4),
        ("realesr-animevideov3-x4", 4),
        ("1xDeJPG_realplksr_otf", 1),
        ("8x_NMKD-Superscale_150000_G", 8),
        ("DAT x3", 3),
        ("Remacri", None),
        ("sdxl 1024x1024", None),
        ("720x faster", None),
    ],
)
def test_scales_are_read_from_names_until_a_file_was_read(name: str, scale: int | None, host: FakeHost) -> None:
    assert host.ours("panels.cards").scale_of(name) == scale


def test_models_are_grouped_by_scale(start_host: StartHost) -> None:
    small = {"features": 4, "layers": 1}
    files = {"4x_b": compact(scale=4, **small), "2x_c": compact(scale=2, **small), "1x_a": compact(scale=1, **small)}
    host = start_host(models=files)

    listed = host.component(f"{EXTRAS}_upscaler_1").choices
    listed = [one[0] if isinstance(one, tuple) else one for one in listed]
    assert listed.index("1x_a") < listed.index("2x_c") < listed.index("4x_b") < listed.index("Lanczos")
    groups = json.loads(re.search("data-truescale-groups='(.*?)'", host.component(f"{EXTRAS}_groups").value)[1]
                        .replace("&quot;", '"'))  # fmt: skip
    assert {name: groups[name] for name in ("1x_a", "2x_c", "4x_b", "Lanczos")} == {
        "1x_a": "1x",
        "2x_c": "2x",
        "4x_b": "4x",
        "Lanczos": "Other upscalers",
    }


def test_a_file_that_was_read_counts_more_than_its_name(start_host: StartHost) -> None:
    host = start_host(models={"4x_wrong": compact(scale=2, features=4, layers=1)})
    scale_of = host.ours("panels.cards").scale_of
    assert scale_of("4x_wrong") == 4

    _card(host, "4x_wrong")

    assert scale_of("4x_wrong") == 2


def test_a_models_place_in_the_lists_follows_what_was_read_and_what_has_come(start_host: StartHost) -> None:
    host = start_host(models={"4x_wrong": compact(scale=2, features=4, layers=1)})
    cards, lists = host.ours("panels.cards"), host.ours("panels.lists")
    group = lambda: cards.groups(lists.offered())["4x_wrong"]  # noqa: E731
    assert group() == "4x"
    _card(host, "4x_wrong")
    assert group() == "2x"

    save_pth(compact(scale=3, features=5, layers=1), host.models / "4x_wrong.pth")
    save_pth(compact(scale=3, features=6, layers=1), host.models / "3x_more.pth")
    lists.refresh_models()

    assert group() == "4x"  # as its name says: another file, which was not read yet
    assert {"3x_more", "4x_wrong"} <= set(lists.offered())
    _card(host, "4x_wrong")
    assert group() == "3x"


@pytest.mark.parametrize(("follows", "scale"), [(True, 2.0), (False, None)])
def test_the_scale_follows_the_model_where_that_is_wanted(follows: bool, scale: float | None, host: FakeHost) -> None:
    _card(host, "two")
    changed = host.press(f"{EXTRAS}_follow", "two", follows)

    assert changed[f"{EXTRAS}_scale"].get("value") == scale


# -- after -------------------------------------------------------------------------------------------------------------


def _statement(host: FakeHost) -> str:
    return _words(host.press(f"{EXTRAS}_statement_show")[f"{EXTRAS}_statement"])


def test_the_statement_of_one_picture(host: FakeHost) -> None:
    assert _statement(host) == ""
    host.extras(picture(), ours={"enabled": True, "upscaler_1": "four", "upscaler_2": "two", "visibility": 0.5})

    told = _statement(host)
    assert told.startswith("four + two · 30x20 → 120x80 px, 0.01 MP · whole, in")
    assert "float32" in told
    assert re.search(r"seconds : \d+\.\d", told)


def test_a_model_of_the_host_is_told_by_the_name_that_was_chosen(host: FakeHost) -> None:
    """Its file has another one."""
    folder = host.models.parent / "RealESRGAN"
    folder.mkdir(exist_ok=True)
    save_pth(compact(scale=4, features=4, layers=1), folder / "RealESRGAN_x4plus.pth")
    host.press(f"{EXTRAS}_refresh")
    host.extras(picture(), ours={"enabled": True, "upscaler_1": "R-ESRGAN 4x+"})

    assert _statement(host).startswith("R-ESRGAN 4x+ · 30x20 → 120x80 px")


def test_tiles_come_with_their_seam_error(host: FakeHost) -> None:
    host.extras(picture(100, 60), ours={"enabled": True, "upscaler_1": "four", "tile": 32})

    assert re.search(r"in tiles : 8 · seam error in levels : 0\.\d\d", _statement(host))


def test_a_run_without_us_has_no_statement(host: FakeHost) -> None:
    host.extras(picture(), ours={"enabled": True, "upscaler_1": "four"})
    host.extras(picture(), ours={"enabled": False})

    assert _statement(host) == ""


def test_the_hosts_own_accordion_has_one_too(host: FakeHost) -> None:
    host.extras(picture(), upscale={"upscaler_1_name": "four", "upscale_by": 2.0})

    assert "30x20 → 60x40 px" in _statement(host)


def test_each_picture_of_a_batch_has_its_own(host: FakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, width in (("a", 20), ("b", 40)):
        picture(width, 20).save(folder / f"{name}.png")
    host.extras(folder=folder, ours={"enabled": True, "upscaler_1": "four"})

    told = _statement(host)
    assert "a.png four · 20x20 → 80x80 px" in told
    assert "b.png four · 40x20 → 160x80 px" in told


# -- cleaning up first -------------------------------------------------------------------------------------------------


def test_a_network_that_repairs_runs_before_the_one_that_enlarges(host: FakeHost) -> None:
    result = host.extras(picture(), ours={"enabled": True, "upscaler_1": "four", "clean_up": "one"})

    clean = Image.fromarray(true_picture("one", picture()))
    assert off(result.pictures[0], true_picture("four", clean)) <= 1
    with Image.open(result.saved[0]) as made:
        assert "TrueScale clean-up: one" in made.info["extras"]
    assert "one + four" in _statement(host)


# -- settings from a picture -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"upscaler_1": "four", "scale": 2.5},
        {"upscaler_1": "two", "upscaler_2": "four", "visibility": 0.25, "size_by": "Scale to", "width": 90,
         "height": 70, "fit": "crop"},
        {"upscaler_1": "four", "size_by": "Longest side", "longest_side": 99, "precision": "exact", "tile": 64},
        {"upscaler_1": "four", "size_by": "Megapixels", "megapixels": 0.5, "alpha": "drop", "memory": 2.5,
         "clean_up": "one"},
    ],
)  # fmt: skip
def test_a_picture_that_we_made_sets_the_panel_back_as_it_was(values: dict[str, Any], host: FakeHost) -> None:
    parts = _parts(host)
    asked = {**{name: component.value for name, component in parts.items()}, **values}
    file = host.extras(picture(), ours={"enabled": True, **asked}).saved[0]

    with Image.open(file) as made:
        changed = host.press(f"{EXTRAS}_read", made)

    assert {name: changed[component.elem_id]["value"] for name, component in parts.items()} == asked
    assert "as it was" in changed[f"{EXTRAS}_read_note"]


def test_one_by_the_hosts_own_accordion_is_understood(host: FakeHost) -> None:
    file = host.extras(picture(), upscale={"upscaler_1_name": "four", "upscale_by": 3.0}).saved[0]

    with Image.open(file) as made:
        changed = host.press(f"{EXTRAS}_read", made)

    assert (changed[f"{EXTRAS}_upscaler_1"]["value"], changed[f"{EXTRAS}_scale"]["value"]) == ("four", 3.0)


def test_a_picture_that_says_nothing_is_told(host: FakeHost) -> None:
    for image, words in ((picture(), "does not say"), (None, "load one")):
        changed = host.press(f"{EXTRAS}_read", image)
        assert words in changed[f"{EXTRAS}_read_note"].lower()
        assert all("value" not in one for key, one in changed.items() if key != f"{EXTRAS}_read_note")


def test_the_models_that_a_picture_names_may_be_gone(host: FakeHost) -> None:
    save_pth(compact(scale=2, features=4, layers=1), host.models / "going.pth")
    host.press(f"{EXTRAS}_refresh")
    file = host.extras(picture(), ours={"enabled": True, "upscaler_1": "going", "scale": 3.0}).saved[0]
    (host.models / "going.pth").unlink()
    host.press(f"{EXTRAS}_refresh")

    with Image.open(file) as made:
        changed = host.press(f"{EXTRAS}_read", made)

    assert "value" not in changed[f"{EXTRAS}_upscaler_1"]
    assert changed[f"{EXTRAS}_scale"]["value"] == 3.0
    assert "going" in changed[f"{EXTRAS}_read_note"]


# -- which model -------------------------------------------------------------------------------------------------------


def _listed(html: str) -> list[str]:
    """The names of the pictures, as the page's script reads them."""
    return json.loads(unescape(re.search("data-truescale-names='(.*?)'", html)[1]))


def _tried(host: FakeHost, image: Image.Image | None, crop: str, names: list[str], **values: Any) -> list[tuple]:
    """The updates of a comparison, one after the other."""
    parts = _parts(host)
    given = {name: values.get(name, component.value) for name, component in parts.items()}
    return list(host.ours("panels.which_panel")._compared(image, crop, names, given))


def test_each_model_shows_what_it_makes_of_the_crop(host: FakeHost) -> None:
    image = picture(120, 90)
    crop = {"x": 40, "y": 30, "width": 32, "height": 24, "of": [120, 90]}
    pictures, names, note = _tried(host, image, json.dumps(crop), ["four", "two"], precision="exact")[-1]

    assert _listed(names) == ["Source", "four", "two", "Contact sheet"]
    assert note == ""
    plain = image.crop((40, 30, 72, 54)).resize((128, 96), Image.Resampling.NEAREST)
    assert off(pictures[0], np.asarray(plain)) == 0
    assert off(pictures[1], true_picture("four", image)[120:216, 160:288]) <= 1
    assert pictures[2].size == (128, 96)  # all of one size, so that they can be compared
    assert pictures[3].width >= 2 * 128


def test_a_model_that_fails_does_not_take_the_others_with_it(host: FakeHost) -> None:
    (host.models / "damaged.pth").write_bytes(b"nothing" * 99)
    host.press(f"{EXTRAS}_refresh")

    pictures, names, note = _tried(host, picture(60, 60), "", ["damaged", "four"])[-1]

    assert _listed(names) == ["Source", "four", "Contact sheet"]
    assert "damaged" in note
    assert len(pictures) == 3


@pytest.mark.parametrize(
    ("image", "names", "words"),
    [(None, ["four"], "no picture"), (picture(), [], "no model is chosen"), (picture(), ["four"] * 25, "too many")],
)
def test_what_is_missing_for_a_comparison_is_told(
    image: Image.Image | None, names: list[str], words: str, host: FakeHost
) -> None:
    (update,) = _tried(host, image, "", names)

    assert words in update[2]


def test_stop_leaves_the_others_out(host: FakeHost) -> None:
    panel = host.ours("panels.which_panel")
    values = {"upscaler_1": "four", "scale": 4.0}
    updates = panel._compared(picture(60, 60), "", ["four", "two", "one"], values)
    next(updates)
    next(updates)
    host.press(f"{EXTRAS}_which_stop")

    _, names, note = list(updates)[-1]
    assert _listed(names) == ["Source", "four", "Contact sheet"]
    assert "stopped" in note


def test_a_click_chooses(host: FakeHost) -> None:
    assert host.press(f"{EXTRAS}_which_chosen", '{"name": "two", "count": 1}')[f"{EXTRAS}_upscaler_1"]["value"] == "two"
    assert "value" not in host.press(f"{EXTRAS}_which_chosen", '{"name": "no such model"}')[f"{EXTRAS}_upscaler_1"]


def test_the_api_cleans_up_too(host: FakeHost) -> None:
    body = {"image": encoded(picture()), "upscaler_1": "four", "clean_up": "one"}
    answer = host.client().post("/truescale/v1/upscale", json=body)

    assert answer.json()["report"]["models"] == ["one", "four"]

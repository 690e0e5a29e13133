"""Recipes and the mean over eight views in the panels: what they make, and that pictures say so and give it back."""

from __future__ import annotations

import io
from base64 import b64decode
from html import unescape
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_host.running import FakeHost
from networks import encoded, off, picture, true_picture
from small_networks import compact
from types_of_fixtures import StartHost

A, B = (compact(scale=2, features=8, layers=2, seed=seed) for seed in (1, 2))
BETWEEN = {key: A[key] * 0.25 + B[key] * 0.75 for key in A}
RECIPE = "a@25 & b@75"
HIRES = {"enable_hr": True, "hr_upscaler": "a", "hr_scale": 2.0, "do_not_save_samples": True}


@pytest.fixture
def host(start_host: StartHost) -> FakeHost:
    return start_host(models={"a": A, "b": B, "four": compact(scale=4)}, truescale_precision="exact")


def _first_pass(host: FakeHost) -> Image.Image:
    return Image.fromarray(host.module("processing").first_pass(1, 64, 48))


def test_in_extras_it_takes_the_place_of_upscaler_1(host: FakeHost) -> None:
    ours = {"enabled": True, "upscaler_1": "four", "recipe": RECIPE, "scale": 2, "tta": True}
    result = host.extras(picture(), ours=ours)

    assert off(result.pictures[0], true_picture(BETWEEN, picture(), tta=True)) <= 1
    text = result.pictures[0].info["postprocessing"]
    assert f"Postprocess upscaler: {RECIPE}" in text
    read = host.ours("panels.extras_text").settings_of(text)
    assert (read["recipe"], read["tta"], read["upscaler_1"]) == (RECIPE, True, "TrueScale 4x")
    again = host.extras(picture(), ours={"enabled": True, **read}).pictures[0]
    assert again.tobytes() == result.pictures[0].tobytes()


def test_a_recipe_with_signs_of_the_infotext_comes_back(host: FakeHost) -> None:
    recipe = '"a"@50 & b > "b"'
    result = host.extras(picture(), ours={"enabled": True, "recipe": recipe, "scale": 4})
    read = host.ours("panels.extras_text").settings_of(result.pictures[0].info["postprocessing"])
    assert read["recipe"] == recipe
    assert read["tta"] is False


def test_the_api_takes_it_as_an_upscaler(host: FakeHost) -> None:
    body = {"image": encoded(picture()), "upscaler_1": RECIPE, "scale": 2, "tta": True}
    answer = host.client().post("/truescale/v1/upscale", json=body)
    assert answer.status_code == 200, answer.text
    made = Image.open(io.BytesIO(b64decode(answer.json()["image"])))
    assert off(made, true_picture(BETWEEN, picture(), tta=True)) <= 1

    answer = host.client().post("/truescale/v1/upscale", json={**body, "upscaler_1": "a & Lanczos"})
    assert answer.status_code == 422
    assert "'Lanczos' cannot be interpolated" in answer.json()["detail"]


def test_in_hires_fix_it_takes_the_place_of_the_hosts_upscaler(host: FakeHost) -> None:
    made = host.txt2img(hires={"enabled": True, "recipe": RECIPE, "tta": True}, **HIRES)

    assert off(made.images[0], true_picture(BETWEEN, _first_pass(host), tta=True)) <= 1
    assert f"Hires upscaler recipe: {RECIPE}" in made.info
    assert "Hires upscaler TTA: True" in made.info

    wrong = host.txt2img(hires={"enabled": True, "recipe": "a & four"}, **HIRES)
    assert wrong.images[0].size[0] > 0  # the first pass is not lost
    told = " ".join([*host.warnings, str(wrong.comments), wrong.info])
    assert "cannot interpolate 'a' and 'four'" in unescape(told)


def test_what_is_pasted_switches_them_on_and_off(host: FakeHost) -> None:
    scripts = host.module("scripts")
    for title, prefix in (("TrueScale SD Upscale", "TrueScale"), ("TrueScale Hires Fix", "Hires upscaler")):
        runners = scripts.scripts_txt2img.scripts, scripts.scripts_img2img.scripts
        script = next(one for runner in runners for one in runner if one.title() == title and one.controls)
        paste = {id(component): value for component, value in script.infotext_fields}
        by_label = {one.label: paste[id(one)] for one in script.controls if id(one) in paste}
        found = {f"{prefix} recipe": RECIPE, f"{prefix} TTA": "True"}
        assert by_label["Recipe"](found) == RECIPE
        assert by_label["Average of 8 views (TTA)"](found) is True
        assert by_label["Recipe"]({}) == ""
        assert by_label["Average of 8 views (TTA)"]({}) is False


def test_sd_upscale_enlarges_by_it(host: FakeHost) -> None:
    script = host.ours("places.sd_upscale.script")
    values = script.values_of([{"upscaler_1": "None", "recipe": " a@25&b ", "scale": 2, "tta": "true"}])
    assert (values["recipe"], values["tta"]) == (RECIPE, True)
    enlarged = script.upscaled(picture(), values, host.module("processing").StableDiffusionProcessingImg2Img())
    assert off(enlarged, true_picture(BETWEEN, picture(), tta=True)) <= 1
    assert script.infotext(values)["TrueScale recipe"] == RECIPE


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("a & tow", "there is no upscaler 'tow'"),
        ("a & four", "cannot interpolate 'a' and 'four'"),
        ("a@20 & b@20", "come to 40 percent"),
        ("a & Lanczos", "'Lanczos' cannot be interpolated"),
    ],
)
def test_what_cannot_be_is_told_before_and_at_the_run(recipe: str, words: str, host: FakeHost) -> None:
    ours = {"enabled": True, "recipe": recipe, "scale": 2}
    result = host.extras(picture(), ours=ours)
    assert words in unescape(result.error)
    assert result.pictures == []
    assert words in unescape(host.ours("panels.cards").card_html(recipe))


def test_the_card_below_the_field_tells_of_each_part(host: FakeHost) -> None:
    cards = host.ours("panels.cards")
    html = cards.card_html(RECIPE)
    assert html.count("<b>") == 2
    assert "truescale-problem" not in html
    cards.card_html("four")
    assert cards.scale_of(f"{RECIPE} > four") == 8
    assert cards.card_html("") == ""


def test_a_preset_keeps_them(host: FakeHost) -> None:
    presets = host.ours("panels.presets")
    values: dict[str, Any] = {"upscaler_1": "a", "recipe": RECIPE, "tta": True}
    assert presets.resolved(presets.Preset(values)) == (values, [])
    got, missing = presets.resolved(presets.Preset({**values, "recipe": "a & gone"}))
    assert ("recipe" in got, missing) == (False, ["a & gone"])
    assert presets.resolved(presets.Preset({"upscaler_1": "a", "recipe": ""})) == (
        {"upscaler_1": "a", "recipe": ""},
        [],
    )


def test_the_picture_is_not_what_one_of_them_makes(host: FakeHost) -> None:
    """Else the tests before could not tell."""
    between = true_picture(BETWEEN, picture(), tta=True).astype(int)
    for other in (true_picture(A, picture(), tta=True), true_picture(BETWEEN, picture())):
        assert np.abs(between - other).max() > 1

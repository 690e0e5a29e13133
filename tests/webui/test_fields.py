"""One table of fields: what it drives, and that all doors do the same with the same values."""

from __future__ import annotations

import ast
import io
import re
from base64 import b64decode
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_host.running import FakeHost
from lib_upscaler.cli.commands import main
from lib_upscaler.cli.options import parse
from lib_upscaler.errors import RequestError
from lib_upscaler.fields import At, Field, checked, fields_of, table
from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.planning.sizing import ByScale
from lib_upscaler.request import UpscaleRequest
from networks import STATES, encoded, off, picture
from reference import levels, true_output
from small_networks import compact
from types_of_fixtures import StartHost

PANELS = ("extras", "sd", "hires")
GRAIN = Field(
    "grain",
    "number",
    "Film grain",
    {
        "extras": At("TrueScale grain"),
        "sd": At("TrueScale grain"),
        "hires": At("Hires upscaler grain"),
        "api": At("grain_share", about="0 to 3"),
        "command line": At("--grain", about="how much grain is put on top"),
        "xyz": At("Hires grain"),
    },
    default=1.0,
    low=0,
    high=3,
    slider=(0.0, 3.0, 0.1),
    info="how much grain",
)
README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture
def grainy(start_host: StartHost, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """A host whose TrueScale has one field more."""
    monkeypatch.setattr(table, "FIELDS", (*table.FIELDS, GRAIN))
    return start_host(truescale_precision="exact")


# -- what the table drives ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("panel", PANELS)
def test_a_new_field_is_a_widget_of_every_panel(panel: str, grainy: FakeHost) -> None:
    slider = grainy.component(f"truescale_{panel}_grain")

    assert (slider.label, slider.value, slider.minimum, slider.maximum, slider.step) == ("Film grain", 1.0, 0, 3, 0.1)
    assert slider.info == "how much grain"


@pytest.mark.parametrize(
    ("title", "key"), [("TrueScale SD Upscale", "TrueScale grain"), ("TrueScale Hires Fix", "Hires upscaler grain")]
)
def test_a_new_field_is_pasted(title: str, key: str, grainy: FakeHost) -> None:
    scripts = grainy.module("scripts")
    runners = scripts.scripts_txt2img.scripts, scripts.scripts_img2img.scripts
    script = next(one for runner in runners for one in runner if one.title() == title and one.controls)
    paste = {id(component): value for component, value in script.infotext_fields}
    (slider,) = (one for one in script.controls if one.label == "Film grain")

    assert [paste[id(slider)](found) for found in ({key: "2.5"}, {}, {key: "much"}, {key: "7"})] == [2.5, 1.0, 1.0, 1.0]


def test_a_new_field_is_written_and_read_in_extras_and_hires_fix(grainy: FakeHost) -> None:
    extras = grainy.extras(picture(), ours={"enabled": True, "upscaler_1": "four", "grain": 0.5})
    (image,) = extras.pictures
    assert "TrueScale grain: 0.5" in image.info["postprocessing"]
    assert grainy.ours("panels.extras_text").settings_of(image.info["postprocessing"])["grain"] == 0.5

    made = grainy.txt2img(
        hires={"enabled": True, "grain": 2}, enable_hr=True, hr_upscaler="four", hr_scale=2.0, do_not_save_samples=True
    )
    assert "Hires upscaler grain: 2" in made.info


def test_a_new_field_is_in_the_apis_schema_and_checked(grainy: FakeHost) -> None:
    client = grainy.client()
    described = client.get("/openapi.json").json()["components"]["schemas"]["UpscaleBody"]["properties"]["grain_share"]
    assert (described["title"], described["default"], described["description"]) == ("Film grain", 1.0, "0 to 3")

    body = {"image": encoded(picture()), "upscaler_1": "four", "grain_share": 4}
    answer = client.post("/truescale/v1/upscale", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "the film grain cannot be 4: it must be from 0 to 3. Give such a number.",
    )


def test_a_new_field_is_an_option_of_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(table, "FIELDS", (*table.FIELDS, GRAIN))
    assert parse(["upscale", "in.png", "--grain", "0.25"], "truescale").grain == 0.25
    assert parse(["upscale", "in.png"], "truescale").grain == 1.0
    with pytest.raises(SystemExit):
        parse(["upscale", "--help"], "truescale")
    assert "--grain" in (told := capsys.readouterr().out)
    assert "how much grain is put on top" in told


def test_a_new_field_is_an_axis(grainy: FakeHost) -> None:
    axes = {axis.label: axis for axis in grainy.script("X/Y/Z plot").current_axis_options}
    assert axes["[TrueScale] Hires grain"].type is float


@pytest.mark.parametrize("place", ["extras", "sd", "hires", "api", "command line"])
def test_the_table_is_sound(place: Any) -> None:
    """Keys are told apart, and each default can be asked for."""
    keys = [field.at[place].key for field in fields_of(place) if field.at[place].key]
    assert len(keys) == len(set(keys))
    assert checked(place, {field.name: field.default_at(place) for field in fields_of(place)}) == checked(place, {})


@pytest.mark.parametrize("place", ["extras", "sd"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"visibility": 1.01},
        {"visibility": 10**400},
        {"visibility": float("nan")},
        {"visibility": "half"},
        {"precision": "fp8"},
        {"colour": 1},
    ],
)
def test_what_is_wrong_is_wrong_in_every_place(place: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        checked(place, wrong)


def test_the_readmes_requests_fit_the_table(host: FakeHost) -> None:
    schema = host.client().get("/openapi.json").json()["components"]["schemas"]["UpscaleBody"]["properties"]
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.S) if "v1" in block)
    dicts = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Dict)]
    keys = [{key.value for key in node.keys if isinstance(key, ast.Constant)} for node in dicts]
    ours, theirs = (found for found in keys if found & {"image", "script_args"})
    (arguments,) = (found for found in keys if "overlap" in found)

    assert ours <= set(schema)
    assert "script_args" in theirs
    assert arguments <= {field.name for field in fields_of("sd")}
    assert code.count("[None] * ") == 1
    assert int(re.findall(r"\[None\] \* (\d+)", code)[0]) == len(fields_of("sd")) - 1


# -- the same in every door --------------------------------------------------------------------------------------------

CHAIN = "one > two"


def _expected() -> Any:
    """A pass of the 1x network, then one of the 2x network on what it gave."""
    first = levels(true_output(STATES["one"], _pixels(picture())))
    return levels(true_output(STATES["two"], first))


def _pixels(image: Image.Image) -> Any:
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(
    "asked",
    [
        {"upscaler_1": CHAIN},
        {"upscaler_1": "two", "clean_up": "one"},
        {"upscaler_1": CHAIN, "upscaler_2": "four > one", "visibility": 0.4},
        {"upscaler_1": "two", "clean_up": "one > one"},
    ],
)
def test_chains_and_clean_up_are_the_same_in_every_door(
    asked: dict[str, Any], host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture().save("in.png")
    names = {"upscaler_1": "model", "upscaler_2": "model2"}
    request = {names.get(name, name): value for name, value in asked.items()}
    upscaler = Upscaler(ModelLibrary([host.models]), "cpu")
    by_python = upscaler.upscale(picture(), UpscaleRequest(precision="exact", size=ByScale(3), **request)).image

    panel = host.extras(picture(), ours={"enabled": True, "scale": 3, **asked}).pictures[0]
    keys = {field.name: field.at["api"].key for field in fields_of("api")}
    body = {"image": encoded(picture()), "scale": 3, **{keys[name]: value for name, value in asked.items()}}
    answer = host.client().post("/truescale/v1/upscale", json=body)
    assert answer.status_code == 200, answer.text
    by_api = Image.open(io.BytesIO(b64decode(answer.json()["image"])))
    options = {field.name: field.at["command line"].key for field in fields_of("command line")}
    words = [word for name, value in asked.items() for word in (options[name], str(value))]
    common = ["--models-dir", str(host.models), "--precision", "exact", "--device", "cpu", "--scale", "3"]
    assert main(["upscale", "in.png", "-o", "out.png", *common, *words]) == 0

    for image in (panel, by_api, Image.open("out.png")):
        assert image.tobytes() == by_python.tobytes()


def test_a_chain_in_a_panel_is_one_model_after_the_other(host: FakeHost) -> None:
    result = host.extras(picture(), ours={"enabled": True, "upscaler_1": CHAIN, "scale": 2})
    assert off(result.pictures[0], _expected()) <= 2  # a level of the first is two of the second
    assert "Postprocess upscaler: one > two" in result.pictures[0].info["postprocessing"]


def test_a_chain_can_be_the_second_upscaler_of_hires_fix_and_the_first_of_sd_upscale(host: FakeHost) -> None:
    made = host.txt2img(
        hires={"enabled": True, "upscaler_2": CHAIN, "visibility": 1.0},
        **{"enable_hr": True, "hr_upscaler": "four", "hr_scale": 2.0, "do_not_save_samples": True},
    )
    source = Image.fromarray(host.module("processing").first_pass(1, 64, 48))
    first = levels(true_output(STATES["one"], _pixels(source)))
    assert off(made.images[0], levels(true_output(STATES["two"], first))) <= 2
    assert "Hires upscaler 2: one > two" in made.info

    values = host.ours("places.sd_upscale.script").values_of([{"upscaler_1": "ONE > two"}])
    assert values["upscaler_1"] == CHAIN


def test_a_model_that_follows_is_the_second_of_a_chain(host: FakeHost) -> None:
    ours = {"enabled": True, "upscaler_1": "one", "followed_by": "two", "scale": 2}
    image = host.extras(picture(), ours=ours).pictures[0]
    assert off(image, _expected()) <= 2
    text = image.info["postprocessing"]
    assert "Postprocess upscaler: one" in text
    assert "TrueScale followed by: two" in text
    read = host.ours("panels.extras_text").settings_of(text)
    assert (read["upscaler_1"], read["followed_by"]) == ("one", "two")

    body = {"image": encoded(picture()), "upscaler_1": "one", "followed_by": "two", "scale": 2}
    answer = host.client().post("/truescale/v1/upscale", json=body)
    assert Image.open(io.BytesIO(b64decode(answer.json()["image"]))).tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("name", "words"),
    [("one > tow", "there is no upscaler 'tow'"), ("one > Lanczos", "'Lanczos' cannot be one of several")],
)
def test_what_cannot_be_a_chain_is_told(name: str, words: str, host: FakeHost) -> None:
    result = host.extras(picture(), ours={"enabled": True, "upscaler_1": name})
    assert words in unescape(result.error)
    assert result.pictures == []


def test_a_name_with_the_sign_in_it_is_a_name(start_host: StartHost) -> None:
    host = start_host(models={"a > b": compact(scale=2, features=4, layers=1), "a": compact(scale=4)})
    result = host.extras(picture(), ours={"enabled": True, "upscaler_1": "a > b", "scale": 2})
    assert result.error == ""
    assert result.pictures[0].size == (60, 40)


def test_the_card_of_a_chain_tells_of_each(host: FakeHost) -> None:
    cards = host.ours("panels.cards")
    cards.card_html("one")
    cards.card_html("two")
    html = cards.card_html(CHAIN)
    assert html.count("<b>") == 2
    assert html.index("one") < html.index("two")
    assert cards.scale_of("two > two") == 4
    assert "there is no upscaler 'tow'" in unescape(cards.card_html("one > tow"))


def test_a_tile_that_is_too_small_costs_no_hires_fix(host: FakeHost) -> None:
    """Of an API client: it is told, and the picture is enlarged by the network all the same."""
    made = host.txt2img(
        hires={"enabled": True, "tile": 8},
        **{"enable_hr": True, "hr_upscaler": "four", "hr_scale": 4.0, "do_not_save_samples": True},
    )
    source = Image.fromarray(host.module("processing").first_pass(1, 64, 48))
    assert off(made.images[0], levels(true_output(STATES["four"], _pixels(source)))) <= 1
    assert any("at least 16 px" in text for text in host.warnings)

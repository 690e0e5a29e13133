"""The accordion TrueScale Hires Fix in txt2img."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_host.running import FakeHost
from networks import off, picture, true_picture
from types_of_fixtures import Engine, StartHost

TITLE = "TrueScale Hires Fix"
TWO = {"enabled": True, "upscaler_2": "two", "visibility": 0.25}


def _source(host: FakeHost, seed: int = 1) -> Image.Image:
    return Image.fromarray(host.module("processing").first_pass(seed, 64, 48))


def _mixed(source: Image.Image, share: float) -> np.ndarray:
    first, second = (true_picture(name, source, (128, 96)).astype(float) for name in ("four", "two"))
    return np.floor((1 - share) * first + share * second + 0.5)


def _generate(host: FakeHost, hires: dict[str, Any] | None = None, **values: Any) -> Any:
    return host.txt2img(hires=hires, **{"enable_hr": True, "hr_upscaler": "four", "hr_scale": 2.0, **values})


def test_two_upscalers_are_mixed(host: FakeHost) -> None:
    result = _generate(host, TWO)

    assert off(result.images[0], _mixed(_source(host), 0.25)) <= 1
    assert "Hires upscaler 2: two, Hires upscaler 2 visibility: 0.25" in result.info


def test_the_hosts_own_upscaler_can_be_the_second(host: FakeHost) -> None:
    result = _generate(host, {**TWO, "upscaler_2": "Nearest"})

    nearest = np.asarray(_source(host).resize((128, 96), Image.Resampling.NEAREST)).astype(float)
    expected = np.floor(0.75 * true_picture("four", _source(host), (128, 96)) + 0.25 * nearest + 0.5)
    assert off(result.images[0], expected) <= 1


def test_switched_off_it_changes_nothing(host: FakeHost) -> None:
    result = _generate(host, {**TWO, "enabled": False})

    assert off(result.images[0], true_picture("four", _source(host), (128, 96))) <= 1
    assert "upscaler 2" not in result.info


def test_precision_and_tile(start_host: StartHost) -> None:
    host = start_host(truescale_precision="bf16")
    exact = _generate(host, {"enabled": True, "precision": "exact", "tile": 16})
    rough = _generate(host)

    assert off(exact.images[0], true_picture("four", _source(host), (128, 96))) <= 1
    assert exact.images[0].tobytes() != rough.images[0].tobytes()
    assert "Hires upscaler precision: exact, Hires upscaler tile: 16" in exact.info
    assert "precision" not in rough.info


def test_what_is_as_by_default_is_not_in_the_infotext(host: FakeHost) -> None:
    plain, enabled = _generate(host), _generate(host, {"enabled": True})

    assert plain.info == enabled.info


def test_without_hires_fix_the_infotext_says_nothing(host: FakeHost) -> None:
    result = host.txt2img(hires=TWO, enable_hr=False)

    assert result.images[0].tobytes() == _source(host).tobytes()
    assert "upscaler" not in result.info


@pytest.mark.parametrize("upscaler", ["Lanczos", "Latent", "Another"])
def test_the_infotext_names_no_upscaler_that_did_not_run(upscaler: str, with_another: FakeHost, engine: Engine) -> None:
    result = _generate(with_another, TWO, hr_upscaler=upscaler)

    assert ("Hires upscaler 2: two" in result.info) == bool(engine.pictures)


# -- for this generation only ------------------------------------------------------------------------------------------


def test_the_next_generation_has_its_own_values(host: FakeHost) -> None:
    _generate(host, TWO)
    result = _generate(host)

    assert off(result.images[0], true_picture("four", _source(host), (128, 96))) <= 1


def test_a_generation_that_is_run_again_has_the_values_of_that_time(host: FakeHost) -> None:
    """Scripts of others run one ``p`` several times."""
    p = host.module("processing").StableDiffusionProcessingTxt2Img(enable_hr=True, hr_upscaler="four")
    mixed, plain = host.generate(p, TWO), host.generate(p, {**TWO, "enabled": False})

    assert off(mixed.images[0], _mixed(_source(host), 0.25)) <= 1
    assert off(plain.images[0], true_picture("four", _source(host), (128, 96))) <= 1
    assert "upscaler 2" not in plain.info


def test_a_failed_generation_leaves_nothing_behind(host: FakeHost) -> None:
    with pytest.raises(Exception, match="could not find upscaler"):
        _generate(host, TWO, hr_upscaler="nonsense")
    result = _generate(host)

    assert off(result.images[0], true_picture("four", _source(host), (128, 96))) <= 1


def test_a_generation_within_another_is_not_affected(host: FakeHost) -> None:
    """As by ADetailer: img2img on a picture while the outer generation is in its second pass."""
    processing = host.module("processing")
    host.opts.data["upscaler_for_img2img"] = "four"
    nested: list[Image.Image] = []

    def step(p: Any, number: int) -> None:
        if getattr(p, "is_hr_pass", False) and not nested:
            nested.append(Image.new("RGB", (1, 1)))
            inner = processing.StableDiffusionProcessingImg2Img(
                width=56, height=40, init_images=[picture(28, 20)], denoising_strength=0.0
            )
            nested[0] = processing.process_images(inner).images[0]

    result = host.txt2img(
        enable_hr=True, hr_upscaler="four", hr_scale=2.0, n_iter=2, hires=TWO, steps=step, do_not_save_samples=True
    )

    assert off(nested[0], true_picture("four", picture(28, 20), (56, 40))) <= 1
    for seed, image in enumerate(result.images, 1):
        assert off(image, _mixed(_source(host, seed), 0.25)) <= 1


def test_the_models_stay_loaded_between_two_generations(host: FakeHost, loads: list[str]) -> None:
    _generate(host, n_iter=2)
    _generate(host)

    assert loads == ["four"]


# -- the host's API ----------------------------------------------------------------------------------------------------


def _post(host: FakeHost, args: list[Any] | None, title: str = TITLE) -> Any:
    body: dict[str, Any] = {"enable_hr": True, "hr_upscaler": "four"}
    if args is not None:
        body["alwayson_scripts"] = {title: {"args": args}}
    return host.client().post("/sdapi/v1/txt2img", json=body)


def _picture_of(answer: Any) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(base64.b64decode(answer.json()["images"][0])))


@pytest.mark.parametrize("title", [TITLE, TITLE.lower()])
@pytest.mark.parametrize(
    "args", [[True, "two", 0.25], [True, "two", 0.25, "exact", 0], [True, "TWO", 0.25, None, None]]
)
def test_positional_arguments(args: list[Any], title: str, host: FakeHost) -> None:
    assert off(_picture_of(_post(host, args, title)), _mixed(_source(host), 0.25)) <= 1


def test_an_upscaler_may_be_given_by_its_place_in_the_list(host: FakeHost) -> None:
    answer = _post(host, [True, host.names().index("two"), 0.25])

    assert off(_picture_of(answer), _mixed(_source(host), 0.25)) <= 1


@pytest.mark.parametrize("args", [None, [], [False], [None, None, None, None, None], [True], [True, "None", 1.0]])
def test_missing_arguments_change_nothing(args: list[Any] | None, host: FakeHost) -> None:
    answer = _post(host, args)

    assert off(_picture_of(answer), true_picture("four", _source(host), (128, 96))) <= 1
    assert host.warnings == []


@pytest.mark.parametrize(
    ("args", "word"),
    [
        ([True, "nonsense", 0.5], "nonsense"),
        ([True, 99, 0.5], "99"),
        ([True, "None", "half"], "visibility"),
        ([True, "None", 1.5], "visibility"),
        ([True, "None", 0.5, "double"], "double"),
        ([True, "None", 0.5, "exact", -5], "tile"),
        ([True, "None", 0.5, "exact", "large"], "tile"),
        ([True, "None", 0.5, "exact", float(10**9)], "tile"),
    ],
)
def test_wrong_arguments_are_told_of_and_the_picture_is_made(args: list[Any], word: str, host: FakeHost) -> None:
    answer = _post(host, args)

    assert off(_picture_of(answer), true_picture("four", _source(host), (128, 96))) <= 1
    assert word in host.warnings[0]
    assert host.reported == []


@pytest.mark.parametrize("args", [["yes", ["two"], {}, [], "x"], [True, {"a": 1}, [0.5], 3, None], [True, True, True]])
def test_arguments_of_quite_another_kind_break_nothing(args: list[Any], host: FakeHost) -> None:
    assert _picture_of(_post(host, args)).size == (128, 96)
    assert host.reported == []


# -- reading it back from a picture ------------------------------------------------------------------------------------


def _pasted(host: FakeHost, info: str) -> dict[str, Any]:
    """Element id -> value, as the host's button for pasting sets them."""
    found = host.module("infotext_utils").parse_generation_parameters(info)
    fields = host.module("scripts").scripts_txt2img.infotext_fields
    return {component.elem_id: function(found) for component, function in fields}


VALUES = [
    {"enabled": True, "upscaler_2": "two", "visibility": 0.25, "precision": "exact", "tile": 64},
    {"enabled": True, "upscaler_2": "Nearest", "visibility": 1.0, "precision": "as in the settings", "tile": 0},
    {"enabled": True, "upscaler_2": "R-ESRGAN 4x+", "visibility": 0.5, "precision": "auto", "tile": 16},
]


@pytest.mark.parametrize("values", VALUES)
def test_what_was_generated_is_pasted_back(values: dict[str, Any], host: FakeHost) -> None:
    if values["upscaler_2"].startswith("R-"):
        host.opts.data["truescale_precision"] = "exact"
        from small_networks import compact, save_pth

        save_pth(compact(scale=4, features=4, layers=1), host.models / "RealESRGAN_x4plus.pth")
        host.reload()
    result = _generate(host, values)
    pasted = _pasted(host, result.info)

    names = {
        "enabled": "truescale_hires-checkbox",
        "upscaler_2": "truescale_hires_upscaler_2",
        "visibility": "truescale_hires_upscaler_2_visibility",
        "precision": "truescale_hires_precision",
        "tile": "truescale_hires_tile",
    }
    assert {name: pasted[elem_id] for name, elem_id in names.items()} == values
    again = _generate(host, {name: pasted[elem_id] for name, elem_id in names.items()})
    assert again.images[0].tobytes() == result.images[0].tobytes()
    assert again.info == result.info


def test_a_picture_of_another_kind_switches_it_off(host: FakeHost) -> None:
    pasted = _pasted(host, _generate(host).info)

    assert pasted["truescale_hires-checkbox"] is False
    assert pasted["truescale_hires_upscaler_2"] == "None"


def test_the_components_take_what_is_pasted(host: FakeHost) -> None:
    """The host's API casts to the type of a component's value: a slider of fractions must start with one."""
    values = {c.elem_id: c.value for c in host.module("scripts").scripts_txt2img.inputs[1:]}

    assert isinstance(values["truescale_hires_upscaler_2_visibility"], float)
    assert isinstance(values["truescale_hires_tile"], int)
    assert isinstance(values["truescale_hires-checkbox"], bool)


def test_it_is_in_txt2img_alone(host: FakeHost) -> None:
    titles = [[s.title() for s in runner.scripts] for runner in (
        host.module("scripts").scripts_txt2img, host.module("scripts").scripts_img2img
    )]  # fmt: skip

    assert [titles.count(TITLE) for titles in titles] == [1, 0]

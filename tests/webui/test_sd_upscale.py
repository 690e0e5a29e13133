"""The script SD Upscale: its arguments, several pictures, files and infotext."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_host.running import FakeHost
from lib_upscaler.errors import RequestError, TrueScaleError
from lib_upscaler.fields import fields_of
from networks import off, picture
from sd_upscaling import SMALL, TITLE, enlarged, img2img, levels, run, script_of

# -- arguments ---------------------------------------------------------------------------------------------------------


def test_values_come_by_position_or_by_name(host: FakeHost) -> None:
    of = host.ours("places.sd_upscale.script").values_of
    plain = of([])
    assert (plain["scale"], plain["overlap"], plain["upscaler_2"], plain["color_lock"]) == (2.0, 64, "None", 0.5)
    assert of(["two", None, None, "Longest side"]) == {**plain, "upscaler_1": "two", "size_by": "Longest side"}
    named = of([{"upscaler_1": "TWO", "overlap": 32, "scale": 3}])
    assert named == {**plain, "upscaler_1": "two", "overlap": 32, "scale": 3.0}
    assert of([{"upscaler_1": "None"}])["upscaler_1"] == "None"
    assert of([None] * len(plain)) == plain


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"overlp": 3}, "nothing called 'overlp'"),
        ({"overlap": "wide"}, "the overlap 'wide' is not a number"),
        ({"overlap": -8}, "from 0 to 4096"),
        ({"color_lock": 1.5}, "from 0 to 1"),
        ({"batch": 0}, "from 1 to 64"),
        ({"batch": True}, "True is not a number"),
        ({"order": "zigzag"}, "there is no order 'zigzag'"),
        ({"size_by": "Half"}, "there is no way of asking for a size called 'Half'"),
        ({"upscaler_1": "twoo"}, "there is no upscaler 'twoo'"),
        ({"upscaler_1": 99}, "there is no upscaler number 99"),
    ],
)
def test_wrong_values_are_refused_in_words(wrong: dict[str, Any], words: str, host: FakeHost) -> None:
    with pytest.raises(TrueScaleError, match=words):
        host.ours("places.sd_upscale.script").values_of([wrong])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_amount_is_refused_in_words(value: float, host: FakeHost) -> None:
    with pytest.raises(RequestError):
        host.ours("places.sd_upscale.script").values_of([{"scale": value}])


def test_the_panel_starts_with_the_defaults(host: FakeHost) -> None:
    of = host.ours("places.sd_upscale.script").values_of
    found = of([component.value for component in script_of(host).controls])
    default = {**of([]), "upscaler_1": host.ours("takeover.choices").default_name()}
    assert found == default


# -- several pictures, files and infotext ------------------------------------------------------------------------------


def test_every_picture_of_a_batch_has_its_seed_and_its_file(host: FakeHost) -> None:
    processed = run(host, img2img(host, seed=5, n_iter=2, batch_size=2))
    assert processed.all_seeds == [5, 6, 7, 8]
    assert [image.size for image in processed.images] == [(150, 100)] * 4
    for first in range(4):
        alone = run(host, img2img(host, seed=5 + first)).images[0]
        assert np.abs(levels(alone) - levels(processed.images[first])).max() <= 1
    saved = host.saved()
    assert len(saved) == 8  # the pictures, and no tiles
    for number, path in enumerate(saved[:4]):
        image = Image.open(path)
        assert path.stem.endswith(f"-{5 + number}")
        assert off(image, np.asarray(processed.images[number])) == 0
        assert image.info["parameters"] == processed.infotexts[number] == processed.images[number].info["parameters"]
        assert f"Seed: {5 + number}, Size: 150x100" in image.info["parameters"]


def test_each_picture_of_a_batch_from_its_own_source(host: FakeHost) -> None:
    """As the API's init_images: several."""
    p = img2img(host, batch_size=2, denoising_strength=0.0)
    sources = [picture(75, 50, seed=1), picture(75, 50, seed=2)]
    p.init_images = sources
    results = run(host, p).images
    for source, result in zip(sources, results):
        assert np.abs(levels(result) - enlarged(source, (150, 100))).max() <= 1


@pytest.mark.parametrize(("option", "given"), [("samples_save", {}), (None, {"do_not_save_samples": True})])
def test_nothing_is_saved_where_the_user_wants_none(option: str | None, given: dict, host: FakeHost) -> None:
    if option:
        host.opts.data[option] = False
    run(host, img2img(host, **given))
    assert host.saved() == []


def test_the_infotext_says_what_differs_from_the_defaults_and_can_be_pasted(host: FakeHost) -> None:
    values = {
        "upscaler_1": "two",
        "upscaler_2": "four",
        "visibility": 0.3,
        "size_by": "Longest side",
        "longest_side": 180,
        "tile_width": 72,
        "tile_height": 64,
        "overlap": 24,
        "order": "spiral",
        "batch": 2,
        "color_lock": 0.25,
        "flatness": 0.1,
        "prompt": "fur, whiskers: sharp",
    }
    processed = run(host, img2img(host), **values)
    text = processed.infotexts[0]
    assert text.startswith("a cat\n")
    found = host.module("infotext_utils").parse_generation_parameters(text)
    assert found["Script"] == TITLE
    assert (found["Size-1"], found["Size-2"]) == ("180", "120")
    assert "TrueScale width" not in found

    pasted = {id(component): function(found) for component, function in script_of(host).infotext_fields}
    of = host.ours("places.sd_upscale.script").values_of
    controls = script_of(host).controls
    again = of([pasted.get(id(component), component.value) for component in controls])
    assert again == of([{**SMALL, **values, "precision": again["precision"]}])


def test_pasting_another_pictures_text_puts_the_defaults_back(host: FakeHost) -> None:
    """But for the upscaler, which the text does not name."""
    names = [field.name for field in fields_of("sd")]
    script = script_of(host)
    fields = {id(component): function for component, function in script.infotext_fields}
    pasted = {name: fields[id(component)]({}) for name, component in zip(names, script.controls)}
    assert "value" not in pasted.pop("upscaler_1")
    for name, value in pasted.items():
        component = script.controls[names.index(name)]
        assert value == component.value, name


def test_the_prompt_for_tiles_is_sampled_and_the_pictures_own_is_told(host: FakeHost) -> None:
    prompts = []
    processed = run(host, img2img(host), lambda p, step: prompts.append(p.prompt), prompt="fur")
    assert set(prompts) == {"fur"}
    assert processed.infotexts[0].startswith("a cat\n")
    assert "TrueScale tile prompt: fur" in processed.infotexts[0]


def test_a_host_whose_sides_of_the_blur_cannot_be_set(host: FakeHost) -> None:
    """Neo: there is one blur for both, and what newer hosts call its sides can only be read."""
    p = img2img(host)
    sides = property(lambda self: self.blur)
    blur = property(sides.fget, lambda self, value: setattr(self, "blur", value))
    p.__class__ = type("Neo", (type(p),), {"mask_blur_x": sides, "mask_blur_y": sides, "mask_blur": blur})
    p.mask_blur = 4

    assert run(host, p).images[0].size == (150, 100)

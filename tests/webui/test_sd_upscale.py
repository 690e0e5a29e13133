"""The img2img script "TrueScale SD Upscale", on a host whose img2img adds its noise to the picture."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fake_host.running import FakeHost
from lib_upscaler.errors import RequestError, TrueScaleError
from lib_upscaler.fields import fields_of
from networks import STATES, off, picture, true_picture
from small_networks import save_pth
from types_of_fixtures import Engine

TITLE = "TrueScale SD Upscale"
SMALL = {"upscaler_1": "None", "tile_width": 64, "tile_height": 64, "overlap": 16, "color_lock": 0.0}
"""Plain resampling of 75 x 50 to 150 x 100: 3 x 2 tiles."""


def _p(host: FakeHost, image: Image.Image | None = None, **given: Any) -> Any:
    values = {"prompt": "a cat", "denoising_strength": 0.1, "width": 75, "height": 50, "steps": 2, **given}
    p = host.module("processing").StableDiffusionProcessingImg2Img(init_images=[image or picture(75, 50)], **values)
    p.scripts = host.module("scripts").scripts_img2img
    p.outpath_samples = host.opts.outdir_img2img_samples
    return p


def _script(host: FakeHost) -> Any:
    return next(one for one in host.module("scripts").scripts_img2img.scripts if one.title() == TITLE)


def _run(host: FakeHost, p: Any, steps: Callable[..., None] | None = None, **values: Any) -> Any:
    """Generate in img2img, with the script chosen and the values of its panel."""
    runner, script = host.module("scripts").scripts_img2img, _script(host)
    args = [runner.selectable_scripts.index(script) + 1, *(component.value for component in runner.inputs[1:])]
    names = [field.name for field in fields_of("sd")]
    for name, value in {**SMALL, **values}.items():
        args[script.args_from + names.index(name)] = value
    p.script_args = tuple(args)
    host.module("processing").STEPS[:] = [steps] if steps is not None else []
    host.state.begin(job="img2img")
    try:
        return runner.run(p, *args)
    finally:
        host.module("processing").STEPS.clear()


def _levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float64)


def _enlarged(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """By Pillow's Lanczos in float."""
    planes = [plane.convert("F").resize(size, Image.Resampling.LANCZOS) for plane in image.convert("RGB").split()]
    return np.stack([np.asarray(plane, np.float64) for plane in planes], axis=2).clip(0, 255)


def _at_tile(number: int, action: Callable[[], None]) -> Callable[..., None]:
    """Something that happens at the first step of the n-th call of the host's img2img (from 1)."""
    calls = []

    def step(p: Any, step_number: int) -> None:
        if step_number == 0:
            calls.append(p)
            if len(calls) == number:
                action()

    return step


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
    found = of([component.value for component in _script(host).controls])
    default = {**of([]), "upscaler_1": host.ours("takeover.choices").default_name()}
    assert found == default


# -- the picture -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"scale": 2.0}, (150, 100)),
        ({"scale": 1.5}, (113, 75)),
        ({"size_by": "Longest side", "longest_side": 201}, (201, 134)),
        ({"size_by": "Scale to", "width": 131, "height": 97}, (131, 97)),
        ({"size_by": "img2img's size"}, (91, 77)),
        ({"scale": 1.0}, (75, 50)),
    ],
)
def test_the_exact_size_and_where_nothing_is_redrawn_the_upscaled_picture(
    values: dict[str, Any], size: tuple[int, int], host: FakeHost
) -> None:
    image = picture(75, 50)
    processed = _run(host, _p(host, image, denoising_strength=0.0, width=91, height=77), **values)
    (result,) = processed.images
    assert result.size == size
    assert np.abs(_levels(result) - _enlarged(image, size)).max() <= 1


def test_the_core_upscales_it(host: FakeHost) -> None:
    image = picture(75, 50)
    (result,) = _run(host, _p(host, image, denoising_strength=0.0), upscaler_1="two").images
    assert off(result, true_picture("two", image, (150, 100))) <= 1


def test_transparent_parts_are_put_on_the_hosts_ground(host: FakeHost) -> None:
    image = picture(75, 50, "RGBA")
    (result,) = _run(host, _p(host, image, denoising_strength=0.0), scale=1.0).images
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image)
    assert result.mode == "RGB"
    assert off(result, np.asarray(ground.convert("RGB"))) <= 1


def test_without_a_picture_it_says_so(host: FakeHost) -> None:
    p = _p(host)
    p.init_images = [None]
    with pytest.raises(TrueScaleError, match="there is no picture to upscale"):
        _run(host, p)


def _redrawn(seed: int, strength: float) -> np.ndarray:
    """``(104, 152, 3)`` levels: what the fake host would change if it did the canvas at once."""
    random = torch.Generator().manual_seed(seed)
    first, *later = (torch.randn((4, 13, 19), generator=random) for _ in range(3))
    change = strength * (0.5 * first + 0.2 * later[0] + 0.2 * later[1])
    seen = (change[:3] + strength * change[3:]) * 127.5
    return seen.repeat_interleave(8, 1).repeat_interleave(8, 2).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("overlap", [0, 16, 40])
def test_tiles_get_their_parts_of_one_noise(overlap: int, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiles together are what one large tile would be, as long as the autoencoder draws nothing."""
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    image = Image.new("RGB", (75, 50), (120, 130, 140))
    (result,) = _run(host, _p(host, image, seed=5), overlap=overlap).images
    expected = np.array([120, 130, 140]) + _redrawn(5, 0.1)[:100, :150]
    assert np.abs(_redrawn(5, 0.1)).mean() > 3
    assert np.abs(_levels(result) - expected).max() <= 1.1  # the tile is rounded, and the sum


@pytest.mark.parametrize("given", [{}, {"sampler_name": "SDE"}, {"subseed_strength": 0.4, "subseed": 9}])
def test_one_seed_is_one_picture_in_every_order_and_batch(given: dict[str, Any], host: FakeHost) -> None:
    runs = [("rows", 1), ("chess", 1), ("spiral", 2), ("detail", 4), ("rows", 4)]
    first, *others = (
        _levels(_run(host, _p(host, seed=5, **given), order=order, batch=batch).images[0]) for order, batch in runs
    )
    for picture_, name in zip(others, runs[1:]):
        assert np.abs(picture_ - first).max() <= 1, name
    other = _levels(_run(host, _p(host, seed=6, **given)).images[0])
    assert np.abs(other - first).mean() > 3


@pytest.mark.parametrize("given", [{"sampler_name": "SDE"}, {"subseed_strength": 0.4, "subseed": 9}])
def test_samplers_and_variations_differ(given: dict[str, Any], host: FakeHost) -> None:
    """So that the test before does not compare what was left out."""
    plain = _levels(_run(host, _p(host, seed=5)).images[0])
    assert np.abs(_levels(_run(host, _p(host, seed=5, **given)).images[0]) - plain).mean() > 1


def test_torchs_own_random_numbers_go_on_as_if_nothing_had_been(host: FakeHost) -> None:
    torch.manual_seed(3)
    expected = torch.randn(4)
    torch.manual_seed(3)
    _run(host, _p(host))
    assert (torch.randn(4) == expected).all()


def test_the_seed_alone_decides_what_the_autoencoder_draws(host: FakeHost) -> None:
    pictures = []
    for before in (1, 2):
        torch.manual_seed(before)
        pictures.append(_levels(_run(host, _p(host, seed=5)).images[0]))
    assert (pictures[0] == pictures[1]).all()


# -- masks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inverted", [0, 1])
def test_only_the_mask_is_redrawn(inverted: int, host: FakeHost) -> None:
    image, mask = picture(75, 50), Image.new("L", (75, 50), 255 * inverted)
    mask.paste(255 - 255 * inverted, (5, 5, 30, 45))
    p = _p(host, image, mask=mask, inpainting_mask_invert=inverted, mask_blur_x=0, mask_blur_y=0)
    tiles = []
    (result,) = _run(host, p, lambda tile, step: step or tiles.append(tile)).images
    change = np.abs(_levels(result) - _enlarged(image, (150, 100)))
    assert change[16:80, 16:54].mean() > 3
    assert change[:, 66:].max() <= 1
    assert change[94:].max() <= 1
    assert 0 < len(tiles) < 6


def test_a_blurred_mask_fades_out(host: FakeHost) -> None:
    image, mask = Image.new("RGB", (75, 50), (128,) * 3), Image.new("L", (75, 50), 0)
    mask.paste(255, (0, 0, 38, 50))
    p = _p(host, image, mask=mask, mask_blur_x=4, mask_blur_y=4)
    (result,) = _run(host, p).images
    change = np.abs(_levels(result) - 128).mean(axis=(0, 2))
    assert change[:60].mean() > 3
    assert 0.2 * change[:60].mean() < change[74:78].mean() < 0.8 * change[:60].mean()
    assert change[110:].max() == 0


# -- stopping and failing ----------------------------------------------------------------------------------------------


def _sides(result: Image.Image, image: Image.Image) -> tuple[float, float]:
    """How much the upper left tile and the lower right one have changed, away from their neighbours."""
    change = np.abs(_levels(result) - _enlarged(image, result.size))
    return float(change[:32, :36].mean()), float(change[68:, 112:].mean())


@pytest.mark.parametrize("how", ["interrupt", "stop_generating"])
def test_an_interrupt_keeps_what_is_redrawn_and_the_rest_is_the_upscaled_picture(how: str, host: FakeHost) -> None:
    image = picture(75, 50)
    p = _p(host, image, n_iter=2)
    processed = _run(host, p, _at_tile(3, lambda: getattr(host.state, how)()))
    (result,) = processed.images  # and no second picture
    first, last = _sides(result, image)
    assert first > 3
    assert last <= 1 / 3
    assert "TrueScale: partly redrawn (interrupted)" in processed.infotexts[0]
    (saved,) = host.saved()
    assert Image.open(saved).size == (150, 100)


def test_an_interrupt_while_a_tile_is_encoded(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first Interrupt of the page only asks for an end; the host then gives back nothing for the tile."""
    samplers, image, calls = host.module("sd_samplers"), picture(75, 50), []
    plain = samplers.create_sampler

    def stopping(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            host.state.stop_generating()
        return plain(*arguments)

    monkeypatch.setattr(samplers, "create_sampler", stopping)
    processed = _run(host, _p(host, image))
    first, last = _sides(processed.images[0], image)
    assert first > 3
    assert last <= 1 / 3
    assert "TrueScale: partly redrawn (interrupted)" in processed.infotexts[0]
    assert host.warnings == []


def test_an_interrupt_in_the_first_tile_gives_the_upscaled_picture(host: FakeHost) -> None:
    image = picture(75, 50)
    processed = _run(host, _p(host, image), _at_tile(1, host.state.interrupt))
    assert np.abs(_levels(processed.images[0]) - _enlarged(image, (150, 100))).max() <= 1
    assert "Size: 150x100" in processed.infotexts[0]


def test_a_skip_leaves_one_tile_as_it_is(host: FakeHost) -> None:
    image = picture(75, 50)
    processed = _run(host, _p(host, image), _at_tile(1, host.state.skip))
    first, last = _sides(processed.images[0], image)
    assert first <= 1 / 3
    assert last > 3
    assert not host.state.skipped


def _fail() -> None:
    raise RuntimeError("out of luck")


def test_when_a_tile_fails_what_is_done_is_kept_and_told(host: FakeHost) -> None:
    image = picture(75, 50)
    processed = _run(host, _p(host, image), _at_tile(3, _fail))
    first, last = _sides(processed.images[0], image)
    assert first > 3
    assert last <= 1 / 3
    assert "TrueScale: partly redrawn (failed)" in processed.infotexts[0]
    assert any("out of luck" in words for words in host.warnings)


def test_when_the_first_tile_fails_there_is_an_error_in_words(host: FakeHost) -> None:
    with pytest.raises(TrueScaleError, match="RuntimeError: out of luck"):
        _run(host, _p(host), _at_tile(1, _fail))
    assert host.saved() == []


def test_a_failure_in_the_second_picture_does_not_lose_the_first(host: FakeHost) -> None:
    processed = _run(host, _p(host, n_iter=2), _at_tile(7, _fail))
    assert processed.images[0].size == (150, 100)
    assert any("out of luck" in words for words in host.warnings)


def _state_of(p: Any) -> dict[str, Any]:
    return {name: copy.copy(value) for name, value in vars(p).items() if name not in ("scripts", "script_args")}


@pytest.mark.parametrize("fails", [False, True])
def test_p_is_left_as_it_was(fails: bool, host: FakeHost) -> None:
    p = _p(host, override_settings={"sd_vae": "good.pt"}, seed=-1, mask=Image.new("L", (75, 50), 255))
    image, before = p.init_images[0], _state_of(p)
    pixels = image.tobytes()
    if fails:
        with pytest.raises(TrueScaleError):
            _run(host, p, _at_tile(1, _fail))
    else:
        _run(host, p)
    assert _state_of(p) == before
    assert p.init_images[0] is image
    assert image.tobytes() == pixels


@pytest.mark.parametrize("fails", [False, True])
def test_a_checkpoint_and_an_autoencoder_are_loaded_once_and_given_back(fails: bool, host: FakeHost) -> None:
    models, vae = host.module("sd_models"), host.module("sd_vae")
    asked = {"sd_model_checkpoint": "other.safetensors", "sd_vae": "good.pt", "jpeg_quality": 50}
    seen = []

    def watch(p: Any, step: int) -> None:
        seen.append((host.opts.sd_model_checkpoint, host.opts.sd_vae, host.opts.jpeg_quality))
        if fails:
            _fail()

    p = _p(host, override_settings=asked)
    if fails:
        with pytest.raises(TrueScaleError):
            _run(host, p, watch)
    else:
        _run(host, p, watch)
    assert set(seen) == {("other.safetensors", "good.pt", 50)}
    assert models.loads == ["other.safetensors", "base.safetensors"]
    assert vae.loads == ["good.pt", "Automatic"]
    assert (host.opts.sd_model_checkpoint, host.opts.sd_vae, host.opts.jpeg_quality) == (
        "base.safetensors", "Automatic", 80)  # fmt: skip


def test_a_checkpoint_that_is_not_there_is_passed_over_as_the_host_does(host: FakeHost) -> None:
    _run(host, _p(host, override_settings={"sd_model_checkpoint": "lost.safetensors"}))
    assert host.module("sd_models").loads == []


# -- several pictures, files and infotext ------------------------------------------------------------------------------


def test_every_picture_of_a_batch_has_its_seed_and_its_file(host: FakeHost) -> None:
    processed = _run(host, _p(host, seed=5, n_iter=2, batch_size=2))
    assert processed.all_seeds == [5, 6, 7, 8]
    assert [image.size for image in processed.images] == [(150, 100)] * 4
    for first in range(4):
        alone = _run(host, _p(host, seed=5 + first)).images[0]
        assert np.abs(_levels(alone) - _levels(processed.images[first])).max() <= 1
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
    p = _p(host, batch_size=2, denoising_strength=0.0)
    sources = [picture(75, 50, seed=1), picture(75, 50, seed=2)]
    p.init_images = sources
    results = _run(host, p).images
    for source, result in zip(sources, results):
        assert np.abs(_levels(result) - _enlarged(source, (150, 100))).max() <= 1


@pytest.mark.parametrize(("option", "given"), [("samples_save", {}), (None, {"do_not_save_samples": True})])
def test_nothing_is_saved_where_the_user_wants_none(option: str | None, given: dict, host: FakeHost) -> None:
    if option:
        host.opts.data[option] = False
    _run(host, _p(host, **given))
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
    processed = _run(host, _p(host), **values)
    text = processed.infotexts[0]
    assert text.startswith("a cat\n")
    found = host.module("infotext_utils").parse_generation_parameters(text)
    assert found["Script"] == TITLE
    assert (found["Size-1"], found["Size-2"]) == ("180", "120")
    assert "TrueScale width" not in found

    pasted = {id(component): function(found) for component, function in _script(host).infotext_fields}
    of = host.ours("places.sd_upscale.script").values_of
    controls = _script(host).controls
    again = of([pasted.get(id(component), component.value) for component in controls])
    assert again == of([{**SMALL, **values, "precision": again["precision"]}])


def test_pasting_another_pictures_text_puts_the_defaults_back(host: FakeHost) -> None:
    """But for the upscaler, which the text does not name."""
    names = [field.name for field in fields_of("sd")]
    script = _script(host)
    fields = {id(component): function for component, function in script.infotext_fields}
    pasted = {name: fields[id(component)]({}) for name, component in zip(names, script.controls)}
    assert "value" not in pasted.pop("upscaler_1")
    for name, value in pasted.items():
        component = script.controls[names.index(name)]
        assert value == component.value, name


def test_the_prompt_for_tiles_is_sampled_and_the_pictures_own_is_told(host: FakeHost) -> None:
    prompts = []
    processed = _run(host, _p(host), lambda p, step: prompts.append(p.prompt), prompt="fur")
    assert set(prompts) == {"fur"}
    assert processed.infotexts[0].startswith("a cat\n")
    assert "TrueScale tile prompt: fur" in processed.infotexts[0]


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_only_the_redraw_is_done_again_where_only_it_has_changed(host: FakeHost, engine: Engine) -> None:
    for values in ({"seed": 1}, {"seed": 2}, {"denoising_strength": 0.2}):
        _run(host, _p(host, **values), upscaler_1="two")
    _run(host, _p(host), upscaler_1="two", overlap=8, color_lock=1.0, batch=3)
    assert len(engine.pictures) == 1
    (plain,) = _run(host, _p(host, denoising_strength=0.0), upscaler_1="two").images
    assert off(plain, true_picture("two", picture(75, 50), (150, 100))) <= 1


def test_it_is_upscaled_again_where_picture_model_file_size_or_setting_has_changed(
    host: FakeHost, engine: Engine
) -> None:
    def again(image: Image.Image | None = None, **values: Any) -> int:
        before = len(engine.pictures)
        _run(host, _p(host, image), **{"upscaler_1": "two", **values})
        return len(engine.pictures) - before

    assert again() == 1
    assert again() == 0
    assert again(picture(75, 50, seed=2)) == 1
    assert again(upscaler_1="four") == 1
    assert again(scale=1.5) == 1
    assert again(precision="bf16") == 1
    assert again() == 1
    save_pth(STATES["four"], host.models / "two.pth")
    assert again() == 1
    assert again() == 0
    host.opts.data["truescale_precision"] = "auto"
    assert again() == 1


# -- progress ----------------------------------------------------------------------------------------------------------


def test_the_bar_counts_batches_of_tiles_of_all_pictures(host: FakeHost) -> None:
    seen = []

    def watch(p: Any, step: int) -> None:
        if step == 0:
            seen.append((host.state.job_no, host.state.job_count, host.state.job))

    _run(host, _p(host, n_iter=2), watch, batch=4)
    assert [each[:2] for each in seen] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert [each[2] for each in seen] == ["Tile 1 of 6", "Tile 5 of 6"] * 2


@pytest.mark.parametrize("wanted", [True, False])
def test_the_picture_is_shown_as_it_grows(wanted: bool, host: FakeHost) -> None:
    host.opts.data["live_previews_enable"] = wanted
    _run(host, _p(host))
    assert (host.state.id_live_preview == 6) is wanted
    assert (host.state.current_image is not None) is wanted


@pytest.mark.parametrize(
    ("size", "values", "words"),
    [
        ("1024x1536", {"scale": 2.0}, "35 tiles, 5 x 7, overlap 80, 2048x3072"),
        ("200x200", {"scale": 2.0}, "1 tile, 400x400"),
        ("1000x500", {"scale": 1.5, "tile_width": 768, "tile_height": 768}, "3 tiles, 3 x 1, overlap 400, 1500x750"),
        ("1024x1024", {"overlap": 512}, "choose at most 504 px"),
        ("1024x1024", {"tile_width": 32}, "at least 64 px"),
        ("", {}, ""),
        ("0x0", {}, ""),
    ],
)
def test_the_plan_is_told_before_the_run(size: str, values: dict[str, Any], words: str, host: FakeHost) -> None:
    source = dict(zip(("width", "height"), (int(side) for side in size.split("x") if side)))
    text = re.sub("<[^>]*>", "", host.ours("places.sd_upscale.panel")._plan_html(source, values))
    assert words.lower() in text.lower()
    assert bool(text) is bool(words)


@pytest.mark.parametrize(
    ("model", "side"), [({}, 512), ({"is_sd2": True}, 768), ({"is_sdxl": True}, 1024), ({"is_sd3": True}, 1024)]
)
def test_tiles_are_as_large_as_the_checkpoint_likes(model: dict[str, bool], side: int, host: FakeHost) -> None:
    from types import SimpleNamespace

    host.module("sd_models").model_data.sd_model = SimpleNamespace(**model)
    tiles = []
    _run(host, _p(host), lambda p, step: tiles.append((p.width, p.height)), tile_width=0, scale=16.0, tile_height=800)
    assert set(tiles) == {(side, 800)}

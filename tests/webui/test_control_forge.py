"""ControlNet that is built into the Forge family, with tiles: hints to the pixel, and never asked for the whole."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fake_host.forge import Checkpoint, ForgeSampler, become_forge
from fake_host.forge_control import SEEN, ControlNet, Unit, add, controlled
from fake_host.running import FakeHost
from lib_upscaler.errors import RequestError, TrueScaleError
from networks import picture
from sd_upscaling import CANVAS, WIDE, img2img, levels, run

TILES = {"engine": "Tiles", "scale": 1.0, "tile_width": 128, "tile_height": 128, "overlap": 32}
WHOLE = {**CANVAS, "tile_width": 384, "tile_height": 384}


@pytest.fixture
def half() -> Image.Image:
    """White in the left upper part."""
    mask = Image.new("RGB", WIDE)
    mask.paste((255, 255, 255), (0, 0, 80, 160))
    return mask


@pytest.fixture(autouse=True)
def checkpoint(host: FakeHost) -> Checkpoint:
    return become_forge(host, controlled)[0]


@pytest.fixture
def units(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Puts them into the page, and gives the script."""
    return lambda *given, **named: add(host, monkeypatch, *given, **named)


def _redraw(host: FakeHost, image: Image.Image, engine: dict[str, Any], **values: Any) -> Any:
    p = img2img(host, image, width=image.width, height=image.height, seed=5)
    return run(host, p, **{**engine, **values})


def _tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image.convert("RGB"), np.float32) / 255).permute(2, 0, 1)


def _place(part: torch.Tensor, whole: torch.Tensor) -> tuple[int, int]:
    """Where it is found, to the number, at multiples of 8."""
    height, width = part.shape[-2:]
    corners = (whole[:, ::8, ::8] == part[:, :1, :1]).all(0).nonzero().tolist()
    (found,) = (
        (8 * x, 8 * y) for y, x in corners if torch.equal(whole[:, 8 * y : 8 * y + height, 8 * x : 8 * x + width], part)
    )
    return found


def _off(one: Any, other: Any) -> float:
    return float(np.abs(levels(one.images[0]) - levels(other.images[0])).max())


# -- one canvas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["tiny", "adapter"])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("of_its_own", [True, False])
def test_a_tile_gets_its_part_of_the_hint(
    of_its_own: bool, batch: int, model: str, host: FakeHost, units: Callable[..., Any], wide, own
) -> None:
    units(Unit(own if of_its_own else None, model=model))
    result = _redraw(host, wide, CANVAS, batch=batch)
    canvas = _tensor(own if of_its_own else wide)
    places = set()
    for latent, hints, told in SEEN:
        assert latent.shape[3] <= 32  # never the whole, which is of 40
        assert len(hints) in (1, len(latent)) == (1, len(told["c_crossattn"]))
        assert hints.shape[2:] == (8 * latent.shape[2], 8 * latent.shape[3])
        places |= {_place(hint, canvas) for hint in hints}
    assert len(places) >= 3  # the grid moves
    assert len(result.images) == 1


@pytest.mark.parametrize("model", ["tiny", "adapter"])
def test_in_tiles_it_is_the_picture_as_a_whole(model: str, host: FakeHost, units, wide, own, half) -> None:
    """Where the network sees each px by itself. Two units, one with a mask, of which one ends early."""
    plain = _redraw(host, wide, CANVAS)
    how = {"weight": 0.5, "guidance_end": 0.85, "control_mode": "ControlNet is more important"}
    units(Unit(own, model=model, mask=half), Unit(None, **how))
    whole = _redraw(host, wide, WHOLE)
    assert any(latent.shape[2:] == (32, 40) for latent, *_ in SEEN)
    tiles = _redraw(host, wide, CANVAS)
    four = _redraw(host, wide, CANVAS, batch=4)
    assert _off(whole, plain) > 4
    assert _off(tiles, whole) <= 1
    assert _off(four, whole) <= 1


def test_a_hint_that_is_no_picture_any_more(host: FakeHost, units, wide, own, half) -> None:
    """An inpainting unit's: the script has put -1 where it is to paint."""
    units(Unit(own, "inpaint_global_harmonious", mask=half))
    _redraw(host, wide, CANVAS)
    hidden = _tensor(half)[:1].round()
    canvas = _tensor(own) * (1 - hidden) - hidden
    assert len({_place(hints[0], canvas) for _, hints, _ in SEEN}) >= 3


def test_the_pass_at_low_resolution_gets_the_whole_hint_shrunk(host: FakeHost, units) -> None:
    image = picture(512, 512)
    own = np.random.default_rng(2).integers(0, 256, (512, 512, 3), np.uint8)
    units(Unit(own))
    run(host, img2img(host, image, width=512, height=512, denoising_strength=1.0), **{**CANVAS, "composition": True})
    means = own.reshape(256, 2, 256, 2, 3).mean((1, 3)).transpose(2, 0, 1) / 255
    low = [hints[0].numpy() for _, hints, _ in SEEN if hints.shape[2:] == means.shape[1:]]
    assert any(np.abs(hint - means).max() < 1e-5 for hint in low)


def test_its_networks_are_loaded_and_left_as_they_were(
    host: FakeHost, units, checkpoint: Checkpoint, wide, own
) -> None:
    units(Unit(own), Unit(own))
    _redraw(host, wide, CANVAS)
    (loaded,) = ForgeSampler.loaded
    assert [type(each) for each in loaded] == [ControlNet, ControlNet]
    for control in loaded:
        assert torch.equal(control.cond_hint_original[0], _tensor(own))
        assert control.cond_hint is None
        assert control.cleaned
    assert loaded[0].previous_controlnet is loaded[1]


@pytest.mark.parametrize("engine", [CANVAS, TILES])
def test_after_an_error_nothing_is_left(engine: dict[str, Any], host: FakeHost, units, checkpoint, wide, own) -> None:
    before = _redraw(host, wide, engine)
    calls: list[int] = []

    def fails(latent: torch.Tensor, sigma: torch.Tensor, **told: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of luck")
        return controlled(latent, sigma, **told)

    unit = Unit(own)
    script = units(unit)
    original = checkpoint.forge_objects_after_applying_lora.unet
    original.model.apply_model = fails
    with pytest.raises(TrueScaleError, match="out of luck"):
        _redraw(host, wide, engine)
    original.model.apply_model, unit.enabled = controlled, False
    assert script.current_params == {}
    assert "process_unit_after_click_generate" not in vars(script)
    assert original.controlnet_linked_list is None
    assert _off(before, _redraw(host, wide, engine)) == 0


@pytest.mark.parametrize("engine", [CANVAS, WHOLE, TILES])
@pytest.mark.parametrize(
    "unit", [Unit(model="missing"), Unit(module="inpaint_global_harmonious")], ids=["model", "mask"]
)
def test_that_it_could_not_be_set_up_is_an_error(unit: Unit, engine, host: FakeHost, units, wide) -> None:
    """The WebUI itself would report it in the console, and go on without. An inpainting unit fails without a mask,
    only when the sampling is to begin."""
    units(unit)
    with pytest.raises(TrueScaleError, match="ControlNet could not be set up"):
        _redraw(host, wide, engine)
    assert SEEN == []


def test_a_refiner_has_no_control(host: FakeHost, units, wide, own) -> None:
    refiner = Checkpoint(controlled, is_sdxl=True)
    plain = host.module("sd_samplers").create_sampler

    def create_sampler(*given: Any) -> ForgeSampler:
        sampler = plain(*given)
        sampler.model_wrap_cfg.refiner = refiner
        return sampler

    host.module("sd_samplers").create_sampler = create_sampler
    units(Unit(own))
    assert len(_redraw(host, wide, CANVAS).images) == 1
    assert len(SEEN) == 2


# -- tiles that are generations ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("of_its_own", [True, False])
def test_a_tile_that_is_a_generation_gets_its_part_too(of_its_own: bool, host: FakeHost, units, wide, own) -> None:
    """3 x 3 tiles, one at a time whatever is asked for, of two steps."""
    units(Unit(own if of_its_own else None))
    result = _redraw(host, wide, TILES, batch=4)
    canvas = _tensor(own if of_its_own else wide)
    places = [_place(hints[0], canvas) for _, hints, _ in SEEN]
    assert sorted(set(places)) == [(x, y) for x in (0, 96, 192) for y in (0, 64, 128)]
    assert {hints.shape[2:] for _, hints, _ in SEEN} == {(128, 128)}
    assert len(result.images) == 1


def test_the_canvas_is_prepared_once(host: FakeHost, units, wide, own, monkeypatch: pytest.MonkeyPatch) -> None:
    script, sizes = units(Unit(own)), []
    plain = type(script).process_unit_after_click_generate

    def noted(self: Any, p: Any, *given: Any) -> bool:
        sizes.append((p.width, p.height))
        return plain(self, p, *given)

    monkeypatch.setattr(type(script), "process_unit_after_click_generate", noted)
    _redraw(host, wide, TILES)
    assert sizes == [WIDE]


def test_a_mask_is_cut_with_its_hint(host: FakeHost, units, wide, own, half) -> None:
    units(Unit(own, "inpaint_global_harmonious", mask=half))
    _redraw(host, wide, TILES)
    hidden = _tensor(half)[:1].round()
    canvas = _tensor(own) * (1 - hidden) - hidden
    assert len({_place(hints[0], canvas) for _, hints, _ in SEEN}) == 9


def test_a_reference_is_whole_in_each_tile(host: FakeHost, units, wide) -> None:
    """Of the tile's size, which its method needs."""
    own = np.zeros((256, 320, 3), np.uint8)
    own[:, 160:] = 255
    units(Unit(own, "reference_only", "None"))
    _redraw(host, wide, TILES)
    expected = np.zeros((128, 128))
    expected[:, 64:] = 1
    assert len(SEEN) == 9
    assert all(np.abs(hint[0, 0].numpy() - expected).max() < 1e-5 for _, hint, _ in SEEN)


@pytest.mark.parametrize("engine", [CANVAS, TILES])
def test_what_has_no_place_is_whole_in_each_tile(engine: dict[str, Any], host: FakeHost, units, wide, own) -> None:
    units(Unit(own, "CLIP-ViT-H (IPAdapter)", "face"))
    _redraw(host, wide, engine)
    assert len(SEEN) == (1 if engine is CANVAS else 9)
    assert all(np.array_equal(hint["image"], np.asarray(own)) for _, hint, _ in SEEN)


@pytest.mark.parametrize("engine", [CANVAS, TILES])
def test_a_picture_that_is_padded(engine: dict[str, Any], host: FakeHost, units) -> None:
    """Its px stay where they are, also in a unit's own picture, and in one of the API."""
    size = (300, 250)
    own = np.random.default_rng(2).integers(0, 256, (*size[::-1], 3), np.uint8)
    unit = {"enabled": True, "module": "None", "model": "tiny", "image": own}
    units(unit)
    _redraw(host, picture(*size), engine)
    canvas = _tensor(Image.fromarray(np.pad(own, [(0, 6), (0, 4), (0, 0)], mode="reflect")))
    assert SEEN
    assert all(_place(hints[0], canvas) for _, hints, _ in SEEN)
    assert unit["image"] is own  # the user's is as it was


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [CANVAS, TILES, {**CANVAS, "engine": "auto"}])
@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (Unit(module="inpaint_only+lama"), "inpaint_only.lama changes the noise"),
        (Unit(module="InsightFace (InstantID)"), "InstantID"),
        (Unit(model="instant_id_sdxl"), "InstantID"),
        (Unit(model="inpaint_v26.fooocus.patch"), "Fooocus"),
    ],
)
def test_what_tiles_cannot_have(unit: Unit, words: str, engine: dict[str, Any], host: FakeHost, units, wide) -> None:
    units(unit)
    with pytest.raises(RequestError, match=words):
        _redraw(host, wide, engine)
    assert SEEN == []


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (Unit(module="reference_only", model="None"), "recorded from the whole picture"),
        (Unit(module="tile_colorfix"), "mends the colours of the whole"),
        (Unit(model="kohya_controllllite_xl"), "LLLite"),
        (Unit(module="of_another_extension"), "its preprocessor of_another_extension is not known"),
    ],
)
def test_what_is_put_into_the_network_goes_with_tiles_that_are_generations(
    unit: Unit, words: str, host: FakeHost, units, wide
) -> None:
    units(unit)
    with pytest.raises(RequestError, match=f"{words}.*Choose the engine Tiles"):
        _redraw(host, wide, CANVAS)
    assert SEEN == []
    assert "TrueScale engine" not in _redraw(host, wide, {**CANVAS, "engine": "auto"}).infotexts[0]


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (Unit(model="cascade"), "a control of the kind Cascade"),
        (Unit(model="of_another_name"), "a model of the kind ControlLLLitePatcher"),
    ],
)
def test_what_is_only_known_when_it_is_loaded(unit: Unit, words: str, host: FakeHost, units, checkpoint, wide) -> None:
    units(unit)
    with pytest.raises(TrueScaleError, match=words):
        _redraw(host, wide, CANVAS)
    assert SEEN == []
    assert "model_function_wrapper" not in checkpoint.forge_objects.unet.model_options


def test_a_mask_of_what_it_looks_like(host: FakeHost, units, wide, own, half) -> None:
    units(Unit(own, "CLIP-ViT-H (IPAdapter)", "face", mask=half))
    with pytest.raises(TrueScaleError, match="an IP-Adapter's mask is for the picture as a whole"):
        _redraw(host, wide, CANVAS)


def test_an_extension_that_changes_what_controls_are_told(host: FakeHost, units, checkpoint, wide, own) -> None:
    options = checkpoint.forge_objects_after_applying_lora.unet.model_options["transformer_options"]
    options["controlnet_conditioning_modifiers"] = [lambda *given: given[1:]]
    units(Unit(own))
    with pytest.raises(TrueScaleError, match="another extension changes what its networks are told"):
        _redraw(host, wide, CANVAS)
    assert SEEN == []


def test_a_control_of_another_script(host: FakeHost, checkpoint, wide) -> None:
    """It is cut by what it is, whoever has put it there; of an unknown kind it is refused."""
    unet = checkpoint.forge_objects_after_applying_lora.unet
    control = ControlNet()
    control.cond_hint_original = _tensor(wide)[None]
    unet.add_patched_controlnet(control)
    SEEN.clear()
    _redraw(host, wide, CANVAS)
    assert len({_place(hints[0], _tensor(wide)) for _, hints, _ in SEEN}) >= 3
    unet.controlnet_linked_list = SimpleNamespace(previous_controlnet=None)
    with pytest.raises(TrueScaleError, match="a control of the kind SimpleNamespace"):
        _redraw(host, wide, CANVAS)


# -- Hires Fix ---------------------------------------------------------------------------------------------------------


def _hires(host: FakeHost, **given: Any) -> Any:
    usual = {"enable_hr": True, "hr_upscaler": "Nearest", "width": 320, "height": 256, "hr_scale": 1.25}
    return host.txt2img({"enabled": True, "second_pass": "one canvas in tiles"}, **{**usual, **given})


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("second_sampling", "ways"):
        monkeypatch.setattr(FakeHost.ours(f"places.hires_fix.{name}"), "tile_for_checkpoint", lambda: 256)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("pictures", [1, 2])
def test_hires_fix(pictures: int, host: FakeHost, units, own: Image.Image) -> None:
    """256 px of the first pass: so high are tiles too. Of two pictures each has its row of the hints."""
    units(Unit(own), img2img=False)
    _hires(host, batch_size=pictures)
    canvas = _tensor(own.resize((400, 320)))
    assert len(SEEN) >= 4
    assert all(hints.shape[2:] == (8 * latent.shape[2], 8 * latent.shape[3]) for latent, hints, _ in SEEN)
    assert all(len(latent) == 2 * pictures for latent, *_ in SEEN)
    assert len({_place(hint, canvas) for _, hints, _ in SEEN for hint in hints}) >= 3


@pytest.mark.usefixtures("small_tiles")
def test_a_unit_for_the_first_pass_only(host: FakeHost, units, own: Image.Image) -> None:
    units(Unit(own, hr_option="Low res only"), img2img=False)
    _hires(host)
    assert SEEN == []


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("unit", [{"module": "tile_colorfix"}, {"model": "cascade"}, {"model": "of_another_name"}])
def test_hires_fix_of_what_tiles_cannot_have_is_whole(
    unit: dict[str, str], host: FakeHost, units, own: Image.Image
) -> None:
    units(Unit(own, **unit), img2img=False)
    _hires(host)
    assert all(latent is None or latent.shape[2:] == (40, 50) for latent, *_ in SEEN)
    assert any("The second pass runs as a whole" in words for words in host.warnings)

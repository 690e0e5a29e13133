"""ControlNet (an extension in the shape of Mikubill's) with tiles: hints to the pixel, and nothing left behind."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fake_host.mikubill import SEEN, Unit, add
from fake_host.running import FakeHost
from lib_upscaler.errors import RequestError, TrueScaleError
from networks import picture
from sd_upscaling import CANVAS, img2img, levels, run

TILES = {"engine": "Tiles", "scale": 1.0, "tile_width": 128, "tile_height": 128, "overlap": 32}


@pytest.fixture(autouse=True)
def network(host: FakeHost) -> SimpleNamespace:
    """Each px by itself."""
    model = SimpleNamespace(is_sd1=True, apply_model=lambda latent, sigma, cond: 0.75 * latent)
    host.module("sd_models").model_data.sd_model = model
    return model


def _redraw(host: FakeHost, image: Image.Image, engine: dict[str, Any], **values: Any) -> Any:
    p = img2img(host, image, width=image.width, height=image.height, seed=5)
    return run(host, p, **{**engine, **values})


def _tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)


def _place(part: torch.Tensor, whole: torch.Tensor) -> tuple[int, int]:
    """Where it is found, to the number, at multiples of 8."""
    height, width = part.shape[-2:]
    (found,) = (
        (x, y)
        for y in range(0, whole.shape[1] - height + 1, 8)
        for x in range(0, whole.shape[2] - width + 1, 8)
        if torch.equal(whole[:, y : y + height, x : x + width], part)
    )
    return found


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("of_its_own", [True, False])
def test_a_tile_gets_its_part_of_the_hint(
    of_its_own: bool, batch: int, host: FakeHost, wide: Image.Image, own: Image.Image
) -> None:
    add(host, Unit(own if of_its_own else None))
    result = _redraw(host, wide, CANVAS, batch=batch)
    canvas = _tensor(own if of_its_own else wide)
    places = set()
    for latent, hints, _ in SEEN:
        assert len(hints) in (1, len(latent))
        assert hints.shape[2:] == (8 * latent.shape[2], 8 * latent.shape[3])
        places |= {_place(hint, canvas) for hint in hints}
    assert len(places) >= 3  # the grid moves
    assert len(result.images) == 1


def test_in_tiles_it_is_the_picture_as_a_whole(host: FakeHost, wide: Image.Image, own: Image.Image) -> None:
    """Where the network sees each px by itself."""
    plain = levels(_redraw(host, wide, CANVAS).images[0])
    add(host, Unit(own))
    whole, tiles, batch = (
        levels(_redraw(host, wide, {**CANVAS, **how}).images[0])
        for how in ({"tile_width": 384, "tile_height": 384}, {}, {"batch": 4})
    )
    assert np.abs(whole - plain).max() > 4
    assert np.abs(tiles - whole).max() <= 1
    assert np.abs(batch - whole).max() <= 1


@pytest.mark.parametrize("of_its_own", [True, False])
def test_a_tile_that_is_a_generation_gets_its_part_too(
    of_its_own: bool, host: FakeHost, wide: Image.Image, own: Image.Image
) -> None:
    """3 x 3 tiles, one at a time whatever is asked for, since the extension looks at the first picture of a batch."""
    add(host, Unit(own if of_its_own else None))
    result = _redraw(host, wide, TILES, batch=4)
    canvas = _tensor(own if of_its_own else wide)
    places = [_place(hint[0], canvas) for _, hint, _ in SEEN]
    assert sorted(set(places)) == [(x, y) for x in (0, 96, 192) for y in (0, 64, 128)]
    assert {hint.shape[2:] for _, hint, _ in SEEN} == {(128, 128)}
    assert len(result.images) == 1


@pytest.mark.parametrize("engine", [CANVAS, TILES])
def test_a_picture_that_is_padded(engine: dict[str, Any], host: FakeHost) -> None:
    """Its px stay where they are, also in a unit's own picture."""
    size = (300, 250)
    own = np.random.default_rng(2).integers(0, 256, (*size[::-1], 3), np.uint8)
    unit = Unit(Image.fromarray(own))
    add(host, unit)
    _redraw(host, picture(*size), engine)
    canvas = _tensor(Image.fromarray(np.pad(own, [(0, 6), (0, 4), (0, 0)], mode="reflect")))
    assert all(_place(hint[0], canvas) for _, hint, _ in SEEN)
    assert unit.image.size == size  # the user's is as it was


def test_latents_of_hints_are_those_of_the_canvas(host: FakeHost, wide: Image.Image, own: Image.Image) -> None:
    add(host, Unit(own, "tile_colorfix"))
    _redraw(host, wide, CANVAS, batch=4)
    canvas = torch.nn.functional.avg_pool2d(_tensor(own)[None], 8)[0]
    for latent, hints, latents in SEEN:
        for hint, small in zip(hints, latents):
            x, y = (side // 8 for side in _place(hint, _tensor(own)))
            assert torch.equal(small, canvas[:, y : y + latent.shape[2], x : x + latent.shape[3]])


@pytest.mark.parametrize("kind", ["IPAdapter", "ReVision", "T2I_StyleAdapter"])
def test_what_has_no_place_is_whole_in_each_tile(
    kind: str, host: FakeHost, wide: Image.Image, own: Image.Image
) -> None:
    add(host, Unit(own, kind=kind))
    _redraw(host, wide, CANVAS)
    assert all(torch.equal(hint[0], _tensor(own)) for _, hint, _ in SEEN)


@pytest.mark.parametrize("engine", [CANVAS, TILES])
def test_a_reference_is_whole_and_of_a_tiles_size(engine: dict[str, Any], host: FakeHost, wide, own) -> None:
    add(host, Unit(own, "reference_only", kind="AttentionInjection"))
    _redraw(host, wide, engine)
    sizes = {tuple(hint.shape[2:]) for _, hint, _ in SEEN}
    assert sizes == {(192, 256)} if engine is CANVAS else {(64, 128)}


def test_an_adapter_for_the_prompt_alone_gets_tiles_one_at_a_time(host: FakeHost, own: Image.Image) -> None:
    wide = picture(120 * 8, 32 * 8)
    add(host, Unit(own, kind="T2I_Adapter", cfg_injection=True))
    _redraw(host, wide, CANVAS, batch=4)
    assert {len(latent) for latent, _, _ in SEEN} == {2}
    assert {len(hint) for _, hint, _ in SEEN} == {1}


@pytest.mark.parametrize("engine", [CANVAS, TILES])
def test_after_an_error_nothing_is_left(engine: dict[str, Any], host: FakeHost, network: Any, wide, own) -> None:
    plain, calls = network.apply_model, []

    def fails(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        calls.append(latent)
        if len(calls) == 2:
            raise RuntimeError("out of luck")
        return plain(latent, sigma, cond)

    network.apply_model = fails
    script = add(host, Unit(own))
    with pytest.raises(TrueScaleError, match="out of luck"):
        _redraw(host, wide, engine)
    assert script.latest_network is None
    assert network.apply_model is fails
    assert "controlnet_main_entry" not in vars(script)


@pytest.mark.parametrize("engine", [CANVAS, TILES])
def test_that_it_could_not_be_set_up_is_an_error(engine: dict[str, Any], host: FakeHost, wide: Image.Image) -> None:
    add(host, Unit(model="missing"))
    with pytest.raises(TrueScaleError, match="ControlNet could not be set up"):
        _redraw(host, wide, engine)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [CANVAS, TILES, {**CANVAS, "engine": "auto"}])
@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (Unit(module="inpaint_only+lama"), "inpaint_only.lama changes the noise"),
        (Unit(module="instant_id_face_keypoints"), "InstantID"),
        (Unit(model="kohya_controllllite_xl"), "LLLite"),
    ],
)
def test_what_tiles_cannot_have(unit: Unit, words: str, engine: dict[str, Any], host: FakeHost, wide) -> None:
    add(host, unit)
    with pytest.raises(RequestError, match=words):
        _redraw(host, wide, engine)
    assert SEEN == []


@pytest.mark.parametrize(("separate", "align"), [(True, False), (False, True)])
def test_what_mixes_or_divides_a_batch(separate: bool, align: bool, host: FakeHost, wide: Image.Image) -> None:
    script = add(host, *([Unit(), Unit()] if separate else []))
    script.ui_batch_option_state = ["Each ControlNet unit for each image in a batch" if separate else "All", align]
    with pytest.raises(RequestError, match="ControlNet's"):
        _redraw(host, wide, CANVAS)


def test_what_is_put_into_the_finished_picture_goes_on_one_canvas(host: FakeHost, wide: Image.Image) -> None:
    add(host, Unit(module="recolor_luminance"))
    with pytest.raises(RequestError, match="Choose the engine One canvas"):
        _redraw(host, wide, TILES)
    assert "TrueScale engine: One canvas" in _redraw(host, wide, {**CANVAS, "engine": "auto"}).infotexts[0]


@pytest.mark.parametrize("kind", ["InstantID", "Controlllite", "SparseCtrl"])
@pytest.mark.parametrize("engine", [CANVAS, TILES])
def test_what_is_only_known_when_it_is_loaded(kind: str, engine: dict[str, Any], host: FakeHost, wide) -> None:
    script = add(host, Unit(kind=kind))
    with pytest.raises(TrueScaleError, match=f"the kind {kind}"):
        _redraw(host, wide, engine)
    assert SEEN == []
    assert script.latest_network is None


class Another:
    """An extension that conditions too, as the one that is built into Forge: of which no more is known."""

    alwayson, filename, infotext_fields = True, "another.py", None

    def __init__(self, host: FakeHost, unit: Any) -> None:
        runner = host.module("scripts").scripts_img2img
        self.args_from, self.args_to, self.rows = len(runner.inputs), len(runner.inputs) + 1, []
        runner.inputs.append(SimpleNamespace(value=unit))
        runner.alwayson_scripts.append(self)

    def title(self) -> str:
        return "ControlNet"

    def process(self, p: Any, *units: Any) -> None:
        self.rows.append(len(p.init_images))

    def before_process(self, p: Any, *given: Any) -> None:
        pass

    postprocess = postprocess_image = before_process


def test_tiles_that_another_conditions_on_come_one_at_a_time(host: FakeHost, wide: Image.Image) -> None:
    another = Another(host, SimpleNamespace(enabled=True, module="none", image=None))
    _redraw(host, wide, TILES, batch=4)
    assert another.rows == [1] * 9


def test_a_picture_that_another_would_squeeze_into_each_tile(host: FakeHost, wide, own: Image.Image) -> None:
    Another(host, SimpleNamespace(enabled=True, module="depth", image=np.asarray(own)))
    with pytest.raises(RequestError, match="squeeze a unit's own picture into each tile"):
        _redraw(host, wide, TILES)


def test_a_picture_of_no_place_goes_into_each_tile(host: FakeHost, wide, own: Image.Image) -> None:
    Another(host, SimpleNamespace(enabled=True, module="CLIP-ViT-H (IPAdapter)", image=np.asarray(own)))
    assert len(_redraw(host, wide, TILES).images) == 1


# -- Hires Fix ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("height", [256, 208])
def test_hires_fix(height: int, host: FakeHost, monkeypatch: pytest.MonkeyPatch, own: Image.Image) -> None:
    """256 px of the first pass: so high are tiles too, which would get its hint. 208 px: so high is the second pass,
    and a tile would get the hint of all of that."""
    for name in ("second_sampling", "ways"):
        monkeypatch.setattr(FakeHost.ours(f"places.hires_fix.{name}"), "tile_for_checkpoint", lambda: 256)
    add(host, Unit(own), img2img=False)
    given = {"enable_hr": True, "hr_upscaler": "Nearest", "width": 320, "height": height, "hr_scale": 1.25}
    host.txt2img({"enabled": True, "second_pass": "one canvas in tiles"}, **given)
    canvas = _tensor(own.resize((400, int(height * 1.25) // 8 * 8)))
    assert len(SEEN) >= 4
    assert all(hint.shape[2:] == (8 * latent.shape[2], 8 * latent.shape[3]) for latent, hint, _ in SEEN)
    assert len({_place(hint[0], canvas) for _, hint, _ in SEEN}) >= 3

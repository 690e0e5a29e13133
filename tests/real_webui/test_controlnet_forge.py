"""The Forge family's own ControlNet in a real WebUI, with SD Upscale's engines and with Hires Fix in tiles.

python -m pytest tests/real_webui/test_controlnet_forge.py --webui DIR
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from canvas_host import SCRIPT, ask, by_the_host, off, redraw
from hints_seen import Seen, as_hint, check_calls, own_picture, places
from hires_host import hires
from webui_browser import open_ui
from webui_http import as_base64
from webui_process import DataFolder, Host, Server

WIDE, LARGE = (448, 128), (320, 288)
"""Of the canvas: 56 x 16 px of the latent, which are tiles of at most 32 side by side; 40 x 36, which are 2 x 2 and
more."""
QUICK = {"cfg_scale": 1}
"""No negative prompt."""


@pytest.fixture(scope="module")
def server(host: Host, new_data: Callable[..., DataFolder]) -> Iterator[Server]:
    if not host.is_forge:
        pytest.skip("this WebUI has no ControlNet of its own")
    data = new_data(scripts=("control_forge",))
    with Server(host, data) as running:
        yield running


@pytest.fixture
def image(photo: Callable[[int, int], Image.Image]) -> Image.Image:
    return enlarged(photo, WIDE)


def enlarged(photo: Callable[[int, int], Image.Image], size: tuple[int, int]) -> Image.Image:
    """The photo is not as wide."""
    return photo(size[0] // 2, size[1] // 2).resize(size, Image.Resampling.LANCZOS)


def own_of(size: tuple[int, int]) -> Image.Image:
    """A unit's own picture, no two places of which are alike."""
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (*size[::-1], 3), np.uint8))


@pytest.fixture
def own() -> Image.Image:
    return own_of(WIDE)


def units(*given: dict[str, Any]) -> dict[str, Any]:
    plain = {"enabled": True, "module": "None", "model": "tinycontrol", "resize_mode": "Just Resize"}
    plain["save_detected_map"] = False  # the host's own img2img would give it back as a picture
    return {"alwayson_scripts": {"ControlNet": {"args": [{**plain, **each} for each in given]}}}


def none_is_whole(seen: Seen) -> None:
    """The control network was asked for tiles, and never for the canvas."""
    latent, _ = seen.canvas_at(0)
    assert seen.calls
    assert all(x.shape[-2:] != latent.shape[-2:] for x, _ in seen.calls)


# -- one canvas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "size", "batch", "with_own"),
    [
        ("tinycontrol", WIDE, 1, True),
        ("tinycontrol", WIDE, 4, False),
        ("tinycontrol", LARGE, 4, True),
        ("tinyadapter", WIDE, 4, True),
    ],
)
def test_a_tile_of_the_canvas_gets_its_part_of_the_hint(
    model: str, size: tuple[int, int], batch: int, with_own: bool, server: Server, photo, measured
) -> None:
    """With networks that compute."""
    image, own = enlarged(photo, size), own_of(size)
    given = units({"model": model, **(own_picture(own) if with_own else {})})
    pictures: list[Any] = []
    run = {"prompt": "SEEDED NOTED", "steps": 3, **given}
    seen = Seen.of(server, lambda: pictures.extend(redraw(server, image, {"batch": batch}, **run)[0]))
    none_is_whole(seen)
    tiles = check_calls(seen, as_hint(own if with_own else image))
    measured(f"{len(tiles)} tiles, in calls of {sorted({len(x) for x, _ in seen.calls})} rows")
    assert len(tiles) > 2  # the grid moves
    assert len(pictures) == 1


def _region() -> Image.Image:
    """White in the left upper part."""
    mask = Image.new("RGB", WIDE)
    mask.paste((255,) * 3, (0, 0, 184, 96))
    return mask


@pytest.mark.parametrize(
    "more",
    [
        [{}],
        [{"weight": 0.5, "control_mode": "ControlNet is more important"}, {"weight": 0.7, "guidance_end": 0.5}],
        [{"mask_image": as_base64(_region())}],
        [{"mask_image": as_base64(_region()), "module": "inpaint_global_harmonious"}],
        [{"mask_image": as_base64(_region()), "module": "inpaint_only"}],
        [{"module": "recolor_luminance"}],
    ],
    ids=["plain", "two units, weight, mode and end", "mask", "inpaint_global_harmonious", "inpaint_only", "recolor"],
)
def test_what_gives_back_its_hint_is_the_same_in_tiles(
    more: list[dict[str, Any]], server: Server, image: Image.Image, own: Image.Image, measured: Callable[[str], None]
) -> None:
    """Where the network works px by px, so that tiles make no other difference."""
    known = server.http.get("/controlnet/module_list")["module_list"]
    if not all(each.get("module", "None") in known for each in more):
        pytest.skip("this WebUI lacks the preprocessor")
    given = {"prompt": "SEEDED ECHO", "steps": 4}
    control = units(*({**own_picture(own), **each} for each in more))
    (whole,), _ = redraw(server, image, {"tile_width": 512}, **given, **control)
    (plain,), _ = redraw(server, image, {"tile_width": 512}, **given)
    (tiles,), _ = redraw(server, image, **given, **control)
    (four,), _ = redraw(server, image, {"batch": 4}, **given, **control)
    theirs = by_the_host(server, image, **given, **control)
    measured(f"changes {off(whole, plain)} levels; tiles {off(tiles, whole)} and {off(four, whole)} from the whole")
    assert off(whole, plain) > 8
    assert off(whole, theirs) == 0
    assert off(tiles, whole) <= 1
    assert off(four, whole) <= 1


def test_where_it_begins_and_ends(server: Server, image: Image.Image, own: Image.Image) -> None:
    unit = {**own_picture(own), "guidance_start": 0.3, "guidance_end": 0.7}
    run = {"prompt": "SEEDED NOTED ECHO", "steps": 10, "denoising_strength": 1.0, **QUICK}
    seen = Seen.of(server, lambda: redraw(server, image, {}, **run, **units(unit)))
    with_calls = {step[2] for step in seen.steps}
    assert check_calls(seen, as_hint(own))
    assert 3 < len(with_calls) < len(seen.steps)


def test_the_composition_gets_the_whole_hint_shrunk(server: Server, photo) -> None:
    image, own = photo(512, 256), own_of((512, 256))
    run = {"prompt": "SEEDED NOTED ECHO", "steps": 3, "denoising_strength": 1.0, **QUICK}
    seen = Seen.of(server, lambda: redraw(server, image, {"composition": True}, **run, **units(own_picture(own))))
    means = np.asarray(own, float).reshape(128, 2, 256, 2, 3).mean((1, 3)) / 255
    low = [hint for x, hint in seen.calls if x.shape[2:] == (16, 32)]
    assert low
    assert any(np.abs(hint[0].permute(1, 2, 0).numpy() - means).max() < 1e-5 for hint in low)


@pytest.mark.parametrize("engine", ["One canvas", "Tiles"])
def test_a_picture_that_is_padded(engine: str, server: Server, photo) -> None:
    """To multiples of 8 by reflection; a unit's own picture too, so that its px stay where they are."""
    size = (379, 140)
    image, own = photo(*size), np.random.default_rng(3).integers(0, 256, (*size[::-1], 3), np.uint8)
    canvas = as_hint(Image.fromarray(np.pad(own, [(0, 4), (0, 5), (0, 0)], mode="reflect")))
    control = units({**own_picture(Image.fromarray(own)), "resize_mode": "Crop and Resize"})
    run = {"prompt": "SEEDED NOTED ECHO", "steps": 3, **control, **QUICK}
    script = {"engine": engine, "tile_width": 128 if engine == "Tiles" else 256, "overlap": 32}
    seen = Seen.of(server, lambda: redraw(server, image, script, **run))
    assert len(seen.calls) > 1
    assert all(len(places(hint[0], canvas)) == 1 for _, hint in seen.calls)


@pytest.mark.parametrize("engine", ["One canvas", "Tiles"])
def test_an_error_in_the_middle_leaves_nothing_behind(
    engine: str, server: Server, image: Image.Image, own: Image.Image
) -> None:
    before = by_the_host(server, image, steps=2, **QUICK)
    control = units(own_picture(own))
    script = {"engine": engine, "overlap": 32}
    answer = ask(server, image, script, prompt="SEEDED a cat FAILS_3", steps=6, **QUICK, **control)
    assert answer.status != 200
    assert "out of luck" in str(answer.json)
    assert off(before, by_the_host(server, image, steps=2, **QUICK)) == 0


# -- tiles, each a generation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_own", [True, False], ids=["own picture", "source"])
@pytest.mark.parametrize("overlap", [32, 64])
def test_a_tile_of_its_own_gets_its_part_of_the_hint(
    overlap: int, with_own: bool, server: Server, image: Image.Image, own: Image.Image
) -> None:
    given = units(own_picture(own) if with_own else {})
    script = {"engine": "Tiles", "tile_width": 128, "overlap": overlap, "batch": 4}
    pictures: list[Any] = []
    run = {"prompt": "SEEDED NOTED ECHO", "steps": 3, **QUICK, **given}
    seen = Seen.of(server, lambda: pictures.extend(redraw(server, image, script, **run)[0]))
    canvas, source = as_hint(own if with_own else image), as_hint(image)
    assert len(pictures) == 1
    assert len(seen.tiles) >= 5
    for tile, first in seen.tiles:
        place = places(tile.permute(2, 0, 1).float() / 255, source)
        _, hint = seen.calls[first]
        assert places(hint[0], canvas) == place
        assert len(place) == 1


def test_a_tile_gets_its_part_for_a_lite_network(server: Server, image: Image.Image, own: Image.Image) -> None:
    given = units({**own_picture(own), "model": "tinylllite"})
    script = {"engine": "Tiles", "tile_width": 128, "overlap": 32}
    run = {"prompt": "SEEDED NOTED", "steps": 2, **QUICK, **given}
    seen = Seen.of(server, lambda: redraw(server, image, script, **run))
    source = as_hint(image)
    assert len(seen.tiles) >= 5
    for tile, first in seen.tiles:
        _, hint = seen.calls[first]
        assert places(hint[0], as_hint(own)) == places(tile.permute(2, 0, 1).float() / 255, source)


@pytest.mark.parametrize(
    ("engine", "unit"),
    [
        ("One canvas", {"module": "canny", "pixel_perfect": True}),
        ("Tiles", {"module": "canny", "pixel_perfect": True}),
        ("Tiles", {"module": "tile_resample"}),
    ],
    ids=lambda given: given if isinstance(given, str) else given["module"],
)
def test_a_tile_gets_its_part_of_what_the_preprocessor_made(
    engine: str, unit: dict[str, Any], server: Server, image: Image.Image
) -> None:
    """Of the whole picture, as it is where the canvas is one tile."""
    run = {"prompt": "SEEDED NOTED ECHO", "steps": 3, **QUICK, **units(unit)}
    whole = Seen.of(server, lambda: redraw(server, image, {"tile_width": 512}, **run))
    script = {"engine": engine, "tile_width": 128 if engine == "Tiles" else 256, "overlap": 32}
    seen = Seen.of(server, lambda: redraw(server, image, script, **run))
    canvas = whole.calls[0][1][0]
    assert canvas.shape[1:] == WIDE[::-1]
    assert float(canvas.std()) > 0.05
    assert len(seen.calls) > len(whole.calls)
    assert all(places(hint[0], canvas) for _, hint in seen.calls)


@pytest.mark.parametrize(
    "unit",
    [
        {"module": "reference_only", "threshold_a": 0.5},
        {"module": "tile_colorfix", "threshold_a": 8},
        {"model": "tinylllite", "resize_mode": "Crop and Resize"},
    ],
    ids=lambda unit: unit.get("module", unit.get("model")),
)
def test_what_is_put_into_the_network(
    unit: dict[str, Any], server: Server, image: Image.Image, own: Image.Image, measured: Callable[[str], None]
) -> None:
    """Refused on one canvas, and there in tiles that are generations."""
    unit = units({**own_picture(own), **unit})
    answer = ask(server, image, {}, **unit)
    assert answer.status == 422
    assert "engine Tiles" in answer.json["detail"]
    tiles = {"engine": "Tiles", "tile_width": 256, "overlap": 32}
    (without,), _ = redraw(server, image, tiles, steps=2)
    (with_it,), _ = redraw(server, image, tiles, steps=2, **unit)
    measured(f"changes {off(with_it, without)} levels")
    assert off(with_it, without) > 1


# -- Hires Fix ---------------------------------------------------------------------------------------------------------

TALL = {"width": 256, "height": 512, "hr_scale": 1.25, **QUICK}
"""320x640 px, 40 x 80 px of the latent: tiles of 64 px are as high as the first pass."""


@pytest.fixture
def tall(server: Server) -> dict[str, Any]:
    """Enlarged as a latent where that is possible, which is quicker, else by resampling."""
    latent = [one["name"] for one in server.http.get("/sdapi/v1/latent-upscale-modes")]
    return {**TALL, "hr_upscaler": [*latent, "None"][0]}


def test_hires_fix_with_tiles_of_the_first_pass_size(server: Server, tall: dict[str, Any]) -> None:
    own = own_of((320, 640))
    run = {**tall, "prompt": "NOTED ECHO", **units(own_picture(own))}
    seen = Seen.of(server, lambda: hires(server, "one canvas in tiles", **run))
    first = [number for number, (x, _) in enumerate(seen.calls) if x.shape[2:] == (64, 32)]
    second = Seen(
        [(x, level, calls - len(first)) for x, level, calls in seen.steps if x.shape[2] == 80],
        [call for number, call in enumerate(seen.calls) if number not in first],
        [],
    )
    assert len(first) >= 3
    assert not places(seen.calls[0][1][0], as_hint(own))
    none_is_whole(second)
    assert len(check_calls(second, as_hint(own))) > 3


def test_hires_fix_of_what_gives_back_its_hint(
    server: Server, tall: dict[str, Any], measured: Callable[[str], None]
) -> None:
    run = {**tall, "prompt": "ECHO", **units(own_picture(own_of((320, 640))))}
    (whole, *_), (tiles, *_) = (hires(server, way, **run) for way in ("whole", "one canvas in tiles"))
    (plain, *_) = hires(server, "one canvas in tiles", **{**tall, "prompt": "ECHO"})
    measured(f"changes {off(whole, plain)} levels; tiles {off(tiles, whole)} from the whole")
    assert off(whole, plain) > 8
    assert off(whole, tiles) <= 1


# -- the page ----------------------------------------------------------------------------------------------------------


def test_on_the_page(chromium: str, server: Server, image: Image.Image, tmp_path: Path, screenshots: Path) -> None:
    image.save(tmp_path / "photo.png")
    with open_ui(chromium, server.port, height=1400) as ui:
        ui.tab("img2img")
        unit = ui.page.locator("#img2img_controlnet_accordions .input-accordion-checkbox")
        if not unit.count():
            pytest.skip("its units are not switched on by accordions here")
        ui.upload("img2img_image", tmp_path / "photo.png")
        ui.page.locator("#img2img_prompt textarea").fill("SEEDED NOTED ECHO")
        ui.page.locator("#tab_img2img #script_list input").click()
        ui.page.locator("ul.options > li", has_text=SCRIPT).first.click()
        ui.page.wait_for_timeout(1500)
        ui.set_number("img2img_steps", 4)
        ui.choose("truescale_sd_upscaler_1", "None")
        ui.set_number("truescale_sd_scale", 1)
        for side in ("width", "height"):
            ui.set_number(f"truescale_sd_tile_{side}", 256)
        ui.choose("truescale_sd_engine", "One canvas")
        ui.page.locator("#tab_img2img #controlnet > .label-wrap").click()
        unit.first.click()
        ui.page.wait_for_timeout(700)
        model = ui.page.locator("#img2img_controlnet_ControlNet-0_controlnet_model_dropdown input")
        model.click()
        ui.page.locator("ul.options > li", has_text="tinycontrol").first.click()
        ui.page.wait_for_timeout(700)
        seen = Seen.of(server, lambda: ui.run("img2img"))
        ui.shot(screenshots / "controlnet_forge.png")
        unit.first.scroll_into_view_if_needed()
        ui.shot(screenshots / "controlnet_forge_unit.png")
        text = ui.text("#html_info_img2img")
        assert ui.errors == []
    assert "TrueScale engine: One canvas" in text
    assert "ControlNet 0" in text
    none_is_whole(seen)
    assert len(check_calls(seen, as_hint(image))) > 2


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["One canvas", "Tiles", "auto"])
def test_what_tiles_cannot_have_is_refused_in_words(engine: str, server: Server, image: Image.Image) -> None:
    answer = ask(server, image, {"engine": engine}, **units({"module": "inpaint_only+lama"}))
    assert answer.status == 422
    assert "inpaint_only+lama changes the noise of the whole picture" in answer.json["detail"]


@pytest.mark.parametrize("engine", ["One canvas", "Tiles"])
def test_a_missing_model_is_told(engine: str, server: Server, image: Image.Image) -> None:
    """The host would go on without."""
    answer = ask(server, image, {"engine": engine}, steps=2, **QUICK, **units({"model": "nowhere"}))
    assert answer.status != 200
    assert "ControlNet could not be set up" in str(answer.json)

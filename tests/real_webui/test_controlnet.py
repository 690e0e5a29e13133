"""Mikubill's ControlNet in a real WebUI, with SD Upscale's engines and with Hires Fix in tiles.

python -m pytest tests/real_webui/test_controlnet.py --webui DIR --controlnet DIR
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from canvas_host import ask, by_the_host, off, redraw
from hints_seen import Seen, as_hint, check_calls, own_picture, places
from hires_host import hires
from webui_http import as_base64
from webui_process import DataFolder, Host, Server

SIZE = (384, 256)
"""Of the canvas: 48 x 32 px of the latent. Two tiles of 256 px and more."""


FAST = ("--opt-sdp-attention",)
"""Or the attention of the whole takes most of the time."""


@pytest.fixture(scope="module")
def server(host: Host, controlnet: Path, new_data: Callable[..., DataFolder]) -> Iterator[Server]:
    if host.is_forge:
        pytest.skip("this family has a ControlNet of its own")
    data = new_data(scripts=("control",))
    (data.extensions / "test-control").rename(data.extensions / "zz-control")  # after the one that it reaches into
    data.install_extension(controlnet)
    with Server(host, data, FAST) as running:
        yield running


@pytest.fixture
def image(photo: Callable[[int, int], Image.Image]) -> Image.Image:
    return photo(*SIZE)


@pytest.fixture
def own() -> Image.Image:
    """A unit's own picture, no two places of which are alike."""
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (*SIZE[::-1], 3), np.uint8))


def units(*given: dict[str, Any]) -> dict[str, Any]:
    plain = {"enabled": True, "module": "none", "model": "tinycontrol", "resize_mode": "Just Resize"}
    return {"alwayson_scripts": {"ControlNet": {"args": [{**plain, **each} for each in given]}}}


# -- one canvas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_own", [True, False], ids=["own picture", "source"])
@pytest.mark.parametrize(("tile", "batch"), [(256, 1), (256, 4)])
@pytest.mark.parametrize("model", ["tinycontrol", "tinyadapter"])
def test_a_tile_of_the_canvas_gets_its_part_of_the_hint(
    model: str, tile: int, batch: int, with_own: bool, server: Server, image: Image.Image, own: Image.Image
) -> None:
    given = units({"model": model, **(own_picture(own) if with_own else {})})
    script = {"tile_width": tile, "batch": batch}
    pictures: list[Any] = []
    seen = Seen.of(
        server, lambda: pictures.extend(redraw(server, image, script, prompt="SEEDED NOTED", steps=4, **given)[0])
    )
    tiles = check_calls(seen, as_hint(own if with_own else image))
    assert len(tiles) > 2  # the grid moves
    assert len(pictures) == 1


@pytest.mark.parametrize("engine", ["One canvas", "Tiles"])
@pytest.mark.parametrize("size", [(379, 250), (200, 170)])
def test_a_picture_that_is_padded(engine: str, size: tuple[int, int], server: Server, photo) -> None:
    """To multiples of 8, or to a tile, by reflection; a unit's own picture too, so that its px stay where they are."""
    image = photo(*size)
    own = np.random.default_rng(3).integers(0, 256, (*size[::-1], 3), np.uint8)
    padding = [(0, -side % 8) for side in size[::-1]]
    canvas = as_hint(Image.fromarray(np.pad(own, [*padding, (0, 0)], mode="reflect")))
    control = units({**own_picture(Image.fromarray(own)), "resize_mode": "Crop and Resize"})
    run = {"prompt": "SEEDED NOTED", "steps": 3, **control}
    seen = Seen.of(server, lambda: redraw(server, image, {"engine": engine}, **run))
    assert len(seen.calls) > 1
    assert all(len(places(hint[0], canvas)) == 1 for _, hint in seen.calls)


def _region() -> Image.Image:
    """A unit works in the left upper part."""
    mask = Image.new("RGB", SIZE)
    mask.paste((255,) * 3, (0, 0, 184, 200))
    return mask


@pytest.mark.parametrize(
    "unit",
    [
        {},
        {"low_vram": True, "weight": 0.5, "control_mode": "ControlNet is more important"},
        {"effective_region_mask": as_base64(_region())},
    ],
    ids=["plain", "weight and mode", "region"],
)
def test_what_gives_back_its_hint_is_the_same_in_tiles(
    unit: dict[str, Any], server: Server, image: Image.Image, own: Image.Image
) -> None:
    """Where the network works px by px, so that tiles make no other difference."""
    given = {"prompt": "SEEDED ECHO", "steps": 4}
    control = units({**own_picture(own), **unit, "save_detected_map": False})
    (whole,), _ = redraw(server, image, {"tile_width": 512}, **given, **control)
    (plain,), _ = redraw(server, image, {"tile_width": 512}, **given)
    (tiles,), _ = redraw(server, image, **given, **control)
    (four,), _ = redraw(server, image, {"batch": 4}, **given, **control)
    assert off(whole, plain) > 8
    assert off(whole, by_the_host(server, image, **given, **control)) == 0
    assert off(tiles, whole) <= 1
    assert off(four, whole) <= 1


def test_where_it_begins_and_ends(server: Server, image: Image.Image, own: Image.Image) -> None:
    unit = {**own_picture(own), "guidance_start": 0.3, "guidance_end": 0.7}
    run = {"prompt": "SEEDED NOTED", "steps": 10, "denoising_strength": 1.0}
    seen = Seen.of(server, lambda: redraw(server, image, {}, **run, **units(unit)))
    with_calls = {step[2] for step in seen.steps}
    assert check_calls(seen, as_hint(own))
    assert 3 < len(with_calls) < len(seen.steps)


def test_the_composition_gets_the_whole_hint_shrunk(server: Server, image: Image.Image, own: Image.Image) -> None:
    run = {"prompt": "SEEDED NOTED", "steps": 3, "denoising_strength": 1.0}
    seen = Seen.of(server, lambda: redraw(server, image, {"composition": True}, **run, **units(own_picture(own))))
    low = [hint for x, hint in seen.calls if x.shape[2:] == (16, 24)]
    means = np.asarray(own, float).reshape(128, 2, 192, 2, 3).mean((1, 3)) / 255
    assert low
    assert all(np.abs(hint[0].permute(1, 2, 0).numpy() - means).max() < 1e-5 for hint in low)


def test_an_error_in_the_middle_leaves_nothing_behind(server: Server, image: Image.Image, own: Image.Image) -> None:
    before = by_the_host(server, image)
    for engine in ("One canvas", "Tiles"):
        control = units(own_picture(own))
        answer = ask(server, image, {"engine": engine}, prompt="SEEDED a cat FAILS_3", steps=12, **control)
        assert answer.status != 200
        assert "out of luck" in str(answer.json)
        assert off(before, by_the_host(server, image)) == 0


@pytest.mark.parametrize("engine", ["One canvas", "Tiles"])
@pytest.mark.parametrize(
    "unit",
    [
        {"module": "tile_resample", "threshold_a": 2},
        {"module": "canny", "pixel_perfect": True},
        {"module": "inpaint_global_harmonious"},
    ],
    ids=lambda unit: unit["module"],
)
def test_a_tile_gets_its_part_of_what_the_preprocessor_made(
    unit: dict[str, Any], engine: str, server: Server, image: Image.Image
) -> None:
    """Of the whole picture, as it is where the canvas is one tile."""
    run = {"prompt": "SEEDED NOTED", "steps": 3, **units(unit)}
    whole = Seen.of(server, lambda: redraw(server, image, {"tile_width": 512}, **run))
    seen = Seen.of(server, lambda: redraw(server, image, {"engine": engine, "tile_width": 256}, **run))
    canvas = whole.calls[0][1][0]
    assert canvas.shape[1:] == SIZE[::-1]
    assert float(canvas.std()) > 0.05
    for number, (x, hint) in enumerate(seen.calls):
        if engine == "Tiles":
            picture = [tile for tile, first in seen.tiles if first <= number][-1]
            (place,) = places(picture.permute(2, 0, 1).float() / 255, as_hint(image))
        else:
            latent, level = seen.canvas_at(number)
            (place,) = places_of_latent(x[0], latent / (level**2 + 1) ** 0.5)
        assert place in places(hint[0], canvas)


def places_of_latent(part: torch.Tensor, canvas: torch.Tensor) -> list[tuple[int, int]]:
    """px of the picture."""
    height, width = part.shape[-2:]
    return [
        (8 * x, 8 * y)
        for y in range(canvas.shape[2] - height + 1)
        for x in range(canvas.shape[3] - width + 1)
        if any(float((each[:, y : y + height, x : x + width] - part).abs().max()) < 1e-4 for each in canvas)
    ]


REFERENCE = {"module": "reference_adain+attn", "model": "None", "threshold_a": 0.5}


@pytest.mark.parametrize(
    ("unit", "share"),
    [
        (REFERENCE, None),  # of another size with tiles
        ({"module": "tile_colorfix", "threshold_a": 4}, 0.5),
        ({"module": "inpaint_only"}, 0.5),
        ({"module": "recolor_luminance"}, 0.5),
    ],
    ids=lambda unit: unit["module"] if isinstance(unit, dict) else "",
)
def test_what_changes_more_than_the_network(
    unit: dict[str, Any], share: float | None, server: Server, image: Image.Image, measured: Callable[[str], None]
) -> None:
    """In tiles much as where it is whole. share: of the change, how far from it at the most."""
    given = {"steps": 4, **units(unit)}
    (without,), _ = redraw(server, image, {"tile_width": 512}, steps=4)
    (whole,), _ = redraw(server, image, {"tile_width": 512}, **given)
    (tiles,), _ = redraw(server, image, {"batch": 4}, **given)
    changed, differ = mean_off(whole, without), mean_off(tiles, whole)
    measured(f"changes the whole by {changed:.2f} levels, in tiles {differ:.2f} from it")
    assert changed > 1
    assert share is None or differ < share * changed


def mean_off(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one).astype(float) - np.asarray(other)).mean())


# -- tiles, each a generation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_own", [True, False], ids=["own picture", "source"])
@pytest.mark.parametrize("overlap", [32, 64])
@pytest.mark.parametrize("model", ["tinycontrol", "tinyadapter"])
def test_a_tile_of_its_own_gets_its_part_of_the_hint(
    model: str, overlap: int, with_own: bool, server: Server, image: Image.Image, own: Image.Image
) -> None:
    given = units({"model": model, **(own_picture(own) if with_own else {})})
    script = {"engine": "Tiles", "tile_width": 192, "overlap": overlap, "batch": 4}
    pictures: list[Any] = []
    run = {"prompt": "SEEDED NOTED", "steps": 3, **given}
    seen = Seen.of(server, lambda: pictures.extend(redraw(server, image, script, **run)[0]))
    canvas, source = as_hint(own if with_own else image), as_hint(image)
    assert len(pictures) == 1
    assert len(seen.tiles) == 6
    for tile, first in seen.tiles:
        place = places(tile.permute(2, 0, 1).float() / 255, source)
        _, hint = seen.calls[first]
        assert places(hint[0], canvas) == place
        assert len(place) == 1


# -- Hires Fix ---------------------------------------------------------------------------------------------------------


def test_hires_fix_with_tiles_of_the_first_pass_size(server: Server) -> None:
    """512 px, both: by its height alone a tile would get the first pass's hint."""
    own = Image.fromarray(np.random.default_rng(3).integers(0, 256, (640, 640, 3), np.uint8))
    run = {"width": 512, "height": 512, "hr_scale": 1.25, "prompt": "NOTED", **units(own_picture(own))}
    seen = Seen.of(server, lambda: hires(server, "one canvas in tiles", **run))
    first = [hint for x, hint in seen.calls if x.shape[2:] == (64, 64) and hint.shape[2] == 512]
    second = Seen(seen.steps, seen.calls[3:], [])
    second.steps[:] = [(x, level, calls - 3) for x, level, calls in seen.steps if x.shape[2] == 80]
    assert len(first) >= 3
    assert not places(seen.calls[0][1][0], as_hint(own))
    assert len(check_calls(second, as_hint(own))) > 3


def test_hires_fix_of_what_gives_back_its_hint(server: Server, own: Image.Image) -> None:
    run = {"prompt": "ECHO", **units(own_picture(own))}
    (whole, *_), (tiles, *_) = (hires(server, way, **run) for way in ("whole", "one canvas in tiles"))
    (plain,) = hires(server, "one canvas in tiles", prompt="ECHO")
    assert off(whole, plain) > 8
    assert off(whole, tiles) <= 1


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["One canvas", "Tiles", "auto"])
def test_what_tiles_cannot_have_is_refused_in_words(engine: str, server: Server, image: Image.Image) -> None:
    answer = ask(server, image, {"engine": engine}, **units({"module": "inpaint_only+lama"}))
    assert answer.status == 422
    assert "inpaint_only+lama changes the noise of the whole picture" in answer.json["detail"]


def test_a_missing_model_is_told(server: Server, image: Image.Image) -> None:
    """The host would go on without."""
    for engine in ("One canvas", "Tiles"):
        answer = ask(server, image, {"engine": engine}, **units({"model": "nowhere"}))
        assert answer.status != 200
        assert "ControlNet could not be set up" in str(answer.json)

"""The panel TrueScale in the Extras tab."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fake_host.running import FakeHost
from networks import PROFILE, encoded, is_lanczos, off, picture, true_picture
from types_of_fixtures import Engine, StartHost


def _by_panel(host: FakeHost, image: Image.Image | None = None, **values: Any) -> SimpleNamespace:
    """One picture through our panel with these values; the model "four"."""
    given = {"enabled": True, "upscaler_1": "four", **values}
    return host.extras(image if image is not None else picture(), ours=given)


def _only(result: SimpleNamespace) -> Image.Image:
    assert result.error == ""
    (image,) = result.pictures
    return image


def _text(path: Path) -> dict[str, Any]:
    with Image.open(path) as image:
        image.load()
        return dict(image.text)


# -- sizes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"size_by": "Scale by", "scale": 2.5}, (75, 50)),
        ({"size_by": "Scale by", "scale": 1.25}, (38, 25)),  # 37.5 is rounded up
        ({"size_by": "Scale to", "width": 100, "height": 100, "fit": "inside"}, (100, 67)),
        ({"size_by": "Scale to", "width": 100, "height": 60, "fit": "stretch"}, (100, 60)),
        ({"size_by": "Scale to", "width": 90, "height": 0}, (90, 60)),
        ({"size_by": "Longest side", "longest_side": 77}, (77, 51)),
        ({"size_by": "Megapixels", "megapixels": 0.006}, (95, 63)),
        ({}, (120, 80)),
    ],
)
def test_every_way_of_asking_for_a_size(values: dict[str, Any], size: tuple[int, int], host: FakeHost) -> None:
    image = _only(_by_panel(host, **values))

    assert image.size == size
    assert off(image, true_picture("four", picture(), size)) <= 1


def test_crop_keeps_the_middle_and_pad_puts_it_there(host: FakeHost) -> None:
    box = {"size_by": "Scale to", "width": 80, "height": 80}
    cropped, padded = _only(_by_panel(host, fit="crop", **box)), _only(_by_panel(host, fit="pad", **box))

    covering = true_picture("four", picture(), (120, 80))
    assert off(cropped, covering[:, 20:100]) <= 1
    inside = true_picture("four", picture(), (80, 53))
    assert off(padded.crop((0, 13, 80, 66)), inside) <= 1
    assert np.asarray(padded)[:13].max() == 0
    assert np.asarray(padded)[66:].max() == 0


def test_a_longest_side_below_the_pictures_own_makes_it_smaller(host: FakeHost) -> None:
    image = _only(_by_panel(host, size_by="Longest side", longest_side=15))

    assert image.size == (15, 10)


@pytest.mark.parametrize("values", [{"size_by": "Scale to", "width": 0, "height": 0}, {"scale": 0}, {"scale": 100}])
def test_a_size_that_cannot_be_made_is_an_error_in_words(values: dict[str, Any], host: FakeHost) -> None:
    result = _by_panel(host, **values)

    assert result.saved == []
    assert len(result.error) > 60


# -- upscalers ---------------------------------------------------------------------------------------------------------


def test_two_upscalers_are_mixed(host: FakeHost) -> None:
    image = _only(_by_panel(host, upscaler_2="two", visibility=0.3, scale=2.0))

    first, second = (true_picture(name, picture(), (60, 40)).astype(float) for name in ("four", "two"))
    assert off(image, np.floor(0.7 * first + 0.3 * second + 0.5)) <= 1


def test_one_of_the_hosts_own_upscalers_can_be_mixed_in(host: FakeHost) -> None:
    image = _only(_by_panel(host, upscaler_2="Nearest", visibility=0.25, scale=4.0))

    nearest = np.asarray(picture().resize((120, 80), Image.Resampling.NEAREST)).astype(float)
    assert off(image, np.floor(0.75 * true_picture("four", picture()) + 0.25 * nearest + 0.5)) <= 1


@pytest.mark.parametrize(("visibility", "seen"), [(0.0, "four"), (1.0, "two")])
def test_an_upscaler_that_is_not_seen_is_not_loaded(
    visibility: float, seen: str, host: FakeHost, loads: list[str]
) -> None:
    image = _only(_by_panel(host, upscaler_2="two", visibility=visibility, scale=2.0))

    assert off(image, true_picture(seen, picture(), (60, 40))) <= 1
    assert loads == [seen]


def test_another_extensions_upscaler_alone_gives_the_exact_size(with_another: FakeHost) -> None:
    image = _only(_by_panel(with_another, upscaler_1="Another", scale=4.0))

    assert off(image, np.asarray(picture().resize((120, 80), Image.Resampling.NEAREST))) == 0
    assert _only(_by_panel(with_another, upscaler_1="Another", scale=2.55)).size == (77, 51)  # 76.5 is rounded up


def test_the_model_that_ships_is_used_where_none_is_named(host: FakeHost, loads: list[str]) -> None:
    assert _only(_by_panel(host, upscaler_1=None, scale=2.0)).size == (60, 40)
    assert loads == ["TrueScale 4x"]


def test_a_wrong_name_is_an_error_that_suggests_the_right_one(host: FakeHost) -> None:
    result = _by_panel(host, upscaler_1="fuor")

    assert "fuor" in result.error
    assert "four" in result.error.replace("fuor", "")


def test_no_upscaler_is_an_error_in_words(host: FakeHost) -> None:
    assert "Upscaler 1" in _by_panel(host, upscaler_1="None").error


def test_a_model_is_found_without_the_takeover(start_host: StartHost) -> None:
    host = start_host(truescale_precision="exact", truescale_takeover=False)

    assert off(_only(_by_panel(host)), true_picture("four", picture())) <= 1
    assert host.host_ran == []


def test_a_batch_loads_the_model_once(host: FakeHost, loads: list[str], tmp_path: Path) -> None:
    paths = []
    for number in range(5):
        paths.append(tmp_path / f"{number}.png")
        picture(30 + number, 20, seed=number).save(paths[-1])
    result = host.extras(batch=paths, ours={"enabled": True, "upscaler_1": "four", "scale": 2.0})

    assert len(result.saved) == 5
    assert loads == ["four"]
    for number, image in enumerate(result.pictures):
        expected = true_picture("four", picture(30 + number, 20, seed=number), (60 + 2 * number, 40))
        assert off(image, expected) <= 1


# -- advanced ----------------------------------------------------------------------------------------------------------


def test_tiles_on_purpose_give_the_same_picture(host: FakeHost) -> None:
    image = picture(100, 80)

    assert off(_only(_by_panel(host, image, tile=32)), true_picture("four", image)) <= 1


def test_the_precision_of_the_panel_goes_before_that_of_the_settings(host: FakeHost) -> None:
    exact, other = _by_panel(host, precision="as in the settings"), _by_panel(host, precision="bf16")

    assert "TrueScale precision: float32" in _text(exact.saved[0])["extras"]
    assert "TrueScale precision: bfloat16" in _text(other.saved[0])["extras"]
    assert _only(exact).tobytes() != _only(other).tobytes()


def test_memory_that_does_not_suffice_is_an_error_in_words(host: FakeHost) -> None:
    result = _by_panel(host, picture(400, 300), memory=0.0005)

    assert "memory" in result.error
    assert result.saved == []


# -- transparency ------------------------------------------------------------------------------------------------------


def _visible(image: Image.Image) -> np.ndarray:
    return np.asarray(image.getchannel("A"))


@pytest.mark.parametrize("alpha", ["network", "fast"])
def test_transparency_is_kept(alpha: str, host: FakeHost) -> None:
    source = picture(mode="RGBA")
    image = _only(_by_panel(host, source, alpha=alpha))

    assert image.mode == "RGBA"
    assert image.size == (120, 80)
    resampled = np.asarray(source.getchannel("A").resize((120, 80), Image.Resampling.LANCZOS))
    assert (np.abs(_visible(image).astype(int) - resampled).max() <= 2) == (alpha == "fast")


def test_dropped_transparency_is_put_on_white(host: FakeHost) -> None:
    source = picture(mode="RGBA")
    image = _only(_by_panel(host, source, alpha="drop"))

    on_white = Image.alpha_composite(Image.new("RGBA", source.size, "white"), source).convert("RGB")
    assert image.mode == "RGB"
    assert off(image, true_picture("four", on_white)) <= 12  # a level of difference in what is put in grows


def test_opaque_parts_and_clear_parts_stay_so(host: FakeHost) -> None:
    source = picture(120, 40)
    alpha = Image.new("L", source.size, 0)
    alpha.paste(255, (60, 0, 120, 40))
    source.putalpha(alpha)
    visible = _visible(_only(_by_panel(host, source, scale=2.0)))

    assert (visible[:, :80] == 0).all()
    assert (visible[:, 160:] == 255).all()


# -- what a file says beside its pixels --------------------------------------------------------------------------------


def _photo(path: Path) -> Path:
    """A picture with a profile, EXIF and the text of a generation."""
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler, Seed: 7")
    picture().save(path, pnginfo=text, icc_profile=PROFILE, exif=exif)
    return path


@pytest.mark.parametrize("source", ["single", "batch", "folder"])
def test_profile_exif_and_text_are_kept_in_the_saved_picture(source: str, host: FakeHost, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = _photo(tmp_path / "in" / "photo.png")
    ours = {"enabled": True, "upscaler_1": "four"}
    if source == "single":
        with Image.open(path) as image:
            image.load()
            result = host.extras(image, ours=ours)
    else:
        result = host.extras(ours=ours, **({"batch": [path]} if source == "batch" else {"folder": tmp_path / "in"}))

    (saved,) = result.saved
    with Image.open(saved) as image:
        image.load()
        assert image.info["icc_profile"] == PROFILE
        assert image.getexif()[0x010F] == "A camera"
        assert image.text["parameters"] == "a cat\nSteps: 20, Sampler: Euler, Seed: 7"
        assert set(image.text) == {"parameters", "postprocessing", "extras"}


def test_a_picture_that_lies_on_its_side_is_turned_once(host: FakeHost, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"  # to be turned clockwise
    path = tmp_path / "photo.png"
    picture().save(path, exif=exif)
    result = host.extras(batch=[path], ours={"enabled": True, "upscaler_1": "four"})

    with Image.open(result.saved[0]) as image:
        assert image.getexif().get(0x0112, 1) == 1
        assert off(image, true_picture("four", picture().transpose(Image.Transpose.ROTATE_270))) <= 1
        assert image.getexif()[0x010F] == "A camera"


def test_a_picture_without_any_of_it_gets_none(host: FakeHost) -> None:
    with Image.open(_by_panel(host).saved[0]) as image:
        image.load()
        assert set(image.info) <= {"postprocessing", "extras"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"scale": 2.5},
            "Postprocess upscale by: 2.5, Postprocess upscaler: four, TrueScale precision: float32",
        ),
        (
            {"size_by": "Scale to", "width": 80, "height": 80, "fit": "crop", "upscaler_2": "two", "visibility": 0.5},
            "Postprocess upscale to: 80x80, Postprocess upscaler: four, Postprocess upscaler 2: two,"
            " Postprocess upscaler 2 visibility: 0.5, TrueScale width: 80, TrueScale height: 80, TrueScale fit: crop,"
            " TrueScale precision: float32",
        ),
        (
            {"size_by": "Longest side", "longest_side": 60},
            "Postprocess upscale to: 60x40, Postprocess upscaler: four, TrueScale longest side: 60,"
            " TrueScale precision: float32",
        ),
        ({"upscaler_2": "two", "visibility": 0.0}, "Postprocess upscale by: 4.0, Postprocess upscaler: four"),
        ({"upscaler_1": "Nearest"}, "Postprocess upscale by: 4.0, Postprocess upscaler: Nearest"),
    ],
)
def test_the_picture_says_what_was_done(values: dict[str, Any], expected: str, host: FakeHost) -> None:
    told = _text(_by_panel(host, **values).saved[0])["extras"]

    assert told.startswith(expected)
    assert "None" not in told


# -- beside the host's other steps -------------------------------------------------------------------------------------


def test_switched_off_it_does_nothing(host: FakeHost, engine: Engine) -> None:
    result = host.extras(picture())

    assert _only(result).tobytes() == picture().tobytes()
    assert engine.pictures == []


def test_the_hosts_api_that_gives_none_for_everything_switches_it_off(host: FakeHost, engine: Engine) -> None:
    body = {"image": encoded(picture()), "upscaler_1": "None"}
    answer = host.client().post("/sdapi/v1/extra-single-image", json=body)

    with Image.open(io.BytesIO(base64.b64decode(answer.json()["image"]))) as image:
        assert image.tobytes() == picture().tobytes()
    assert engine.pictures == []
    assert host.warnings == []


def _sizes_seen(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The target sizes that a script behind ours sees."""
    seen: list[tuple[int, int]] = []
    runner = host.module("scripts").scripts_postproc
    behind = next(script for script in runner.scripts_in_preferred_order() if script.name == "GFPGAN")
    monkeypatch.setattr(
        behind, "process", lambda pp, **_: seen.append((pp.shared.target_width, pp.shared.target_height))
    )
    return seen


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"scale": 2.5}, (75, 50)),
        ({"size_by": "Scale to", "width": 64, "height": 64, "fit": "pad"}, (64, 64)),
        ({"size_by": "Longest side", "longest_side": 77}, (77, 51)),
    ],
)
def test_the_steps_behind_are_told_the_size(
    values: dict[str, Any], size: tuple[int, int], host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _sizes_seen(host, monkeypatch)
    image = _only(_by_panel(host, **values))

    assert seen == [size]
    assert image.size == size


def test_face_restorers_get_the_enlarged_picture(host: FakeHost) -> None:
    result = host.extras(picture(), ours={"enabled": True, "upscaler_1": "four"}, gfpgan={"gfpgan_visibility": 0.5})

    assert off(_only(result), true_picture("four", picture())) <= 1
    assert "GFPGAN visibility: 0.5" in _text(result.saved[0])["extras"]


def test_face_restorers_get_no_transparency_where_there_is_none(host: FakeHost) -> None:
    opaque = picture().convert("RGBA")
    result = host.extras(opaque, ours={"enabled": True, "upscaler_1": "four"}, gfpgan={"gfpgan_visibility": 0.5})

    assert off(_only(result), true_picture("four", picture())) <= 1
    assert host.warnings == []


def test_face_restorers_that_cannot_take_transparency_are_told_of(host: FakeHost) -> None:
    ours = {"enabled": True, "upscaler_1": "four"}
    host.extras(picture(mode="RGBA"), ours=ours, gfpgan={"gfpgan_visibility": 0.5})

    assert "GFPGAN" in host.warnings[0]
    assert "transparency" in host.warnings[0].lower()
    assert host.extras(picture(mode="RGBA"), ours=ours, gfpgan={"gfpgan_visibility": 1.0}).error == ""


def test_enlarging_twice_is_told_of(host: FakeHost) -> None:
    both = host.extras(
        picture(),
        upscale={"upscaler_1_name": "two", "upscale_by": 2.0},
        ours={"enabled": True, "upscaler_1": "four", "scale": 2.0},
    )

    assert _only(both).size == (120, 80)
    assert any("once more" in warning for warning in host.warnings)


def test_as_a_step_after_generating(start_host: StartHost) -> None:
    host = start_host(truescale_precision="exact", postprocessing_enable_in_main_ui=["TrueScale"])
    assert host.reported == []
    step = host.script("TrueScale")
    names = list(step.postprocessing_controls)
    args = list(host.script_args())
    p = host.module("processing").StableDiffusionProcessingTxt2Img()
    p.scripts, p.script_args = host.module("scripts").scripts_txt2img, tuple(args)
    process = host.module("processing").process_images
    plain = process(p).images[0]
    for name, value in {"enabled": True, "upscaler_1": "four", "scale": 2.0}.items():
        args[step.args_from + names.index(name)] = value
    p.script_args = tuple(args)
    result = process(p)

    source = Image.fromarray(host.module("processing").first_pass(1, 64, 48))
    assert plain.tobytes() == source.tobytes()
    assert off(result.images[0], true_picture("four", source, (128, 96))) <= 1
    assert "Postprocess upscaler: four" in result.info
    assert not is_lanczos(result.images[0], source)

"""Pictures that the host hands over in the Extras: panel, accordion and API give the same, and lose nothing."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fake_host.older import as_1_6_0
from fake_host.running import FakeHost
from lib_upscaler.pictures.reading import read_picture
from made_pictures import png, stealth
from networks import PROFILE, STATES, encoded, off, picture, true_picture
from reference import levels, true_output
from types_of_fixtures import StartHost

PANEL: dict[str, Any] = {"ours": {"enabled": True, "upscaler_1": "four"}}
ACCORDION: dict[str, Any] = {"upscale": {"upscale_mode": 0, "upscale_by": 4.0, "upscaler_1_name": "four"}}
BOTH = pytest.mark.parametrize("door", [PANEL, ACCORDION], ids=["panel", "accordion"])


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def _by_api(host: FakeHost, image: Image.Image, **values: Any) -> Any:
    body = {"image": encoded(image), "upscaler_1": "four", "upscaling_resize": 4, **values}
    return host.client().post("/sdapi/v1/extra-single-image", json=body)


def _answered(answer: Any) -> Image.Image:
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(base64.b64decode(answer.json()["image"])))
    image.load()
    return image


# -- more than 8 bits --------------------------------------------------------------------------------------------------


def _deep(path: Path) -> Path:
    grey = np.asarray(picture(mode="L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(path)
    return path


def _fine(path: Path) -> tuple[Path, np.ndarray]:
    """Colours whose steps are too fine for 8 bits, and what the network makes of them, white is 1."""
    y, x = np.mgrid[0:20, 0:30]
    planes = np.stack([(x * 997 + y * 311 + c * 9000) % 65536 for c in range(3)], axis=2).astype(np.uint16)
    path.write_bytes(png(planes))
    return path, true_output(STATES["four"], planes / 257).clip(0, 255) / 255


def _sixteen(path: Path) -> np.ndarray:
    """The values of a PNG of 16 bits, white is 1; looked at without Pillow, which would drop half of each."""
    assert path.read_bytes()[24] == 16, "bits of each channel, in the header"
    return np.asarray(read_picture(path).image.color / 65535)


@BOTH
@pytest.mark.parametrize("way", ["batch", "folder"])
def test_sixteen_bits_of_a_file_are_kept(door: dict[str, Any], way: str, host: FakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    deep, expected = _fine(folder / "a deep.png")
    picture().save(folder / "plain.png")
    before = deep.read_bytes()
    given = {"folder": folder} if way == "folder" else {"batch": [deep, folder / "plain.png"]}
    result = host.extras(**given, **door)

    shown, plain = result.pictures
    assert np.abs(np.asarray(shown) - expected * 255).max() <= 1
    assert off(plain, true_picture("four", picture())) <= 1
    saved, saved_plain = result.saved
    assert np.abs(_sixteen(saved) - expected).max() <= 1 / 65535
    assert saved_plain.read_bytes()[24] == 8
    assert "Postprocess upscale" in _opened(saved).text["postprocessing"], "as the host's own file says it"
    assert deep.read_bytes() == before
    assert (host.warnings, result.error) == ([], "")


def test_grey_of_sixteen_bits_is_not_white(host: FakeHost, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    _deep(tmp_path / "in" / "depth.png")
    result = host.extras(folder=tmp_path / "in", **PANEL)
    grey = picture(mode="L").convert("RGB")
    expected = true_output(STATES["four"], np.asarray(grey)).clip(0, 255) @ (0.299, 0.587, 0.114)
    assert result.pictures[0].mode == "RGB"
    assert np.abs(np.asarray(result.pictures[0])[..., 0] - expected).max() <= 1
    assert np.abs(_sixteen(result.saved[0])[..., 0] * 255 - expected).max() <= 1 / 128


def test_where_the_host_saves_no_png_that_is_said(host: FakeHost, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    _fine(tmp_path / "in" / "deep.png")
    host.module("shared").opts.samples_format = "jpg"
    result = host.extras(folder=tmp_path / "in", **PANEL)
    assert [path.suffix for path in result.saved] == [".jpg"]
    assert any("8 bits per channel" in text for text in host.warnings)


def test_a_step_behind_gets_eight_bits_and_its_result_stays(host: FakeHost, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    _fine(tmp_path / "in" / "deep.png")
    result = host.extras(folder=tmp_path / "in", gfpgan={"gfpgan_visibility": 0.5}, **PANEL)
    assert result.error == ""
    assert result.saved[0].read_bytes()[24] == 8


def test_sixteen_bits_are_refused_by_the_hosts_api(host: FakeHost, tmp_path: Path) -> None:
    with Image.open(_deep(tmp_path / "depth.png")) as image:
        image.load()
        answer = _by_api(host, image)
    assert answer.status_code >= 400
    assert "16 or 32 bits" in answer.text


# -- transparency ------------------------------------------------------------------------------------------------------


def _hidden() -> Image.Image:
    """Magenta below what is clear."""
    pixels = np.dstack([np.asarray(picture()), np.full((20, 30), 255, np.uint8)])
    pixels[:, :12] = (255, 0, 255, 0)
    return Image.fromarray(pixels)


def test_panel_and_accordion_give_the_same_transparency(host: FakeHost) -> None:
    by_panel, by_accordion = (host.extras(_hidden(), **door).pictures[0] for door in (PANEL, ACCORDION))

    assert by_accordion.mode == "RGBA"
    assert by_accordion.tobytes() == by_panel.tobytes()
    assert _answered(_by_api(host, _hidden())).tobytes() == by_panel.tobytes()
    pixels = np.asarray(by_accordion).astype(int)
    assert pixels[:, :36, 3].max() == 0
    assert pixels[:, 60:, 3].min() == 255
    seen = pixels[pixels[..., 3] > 0]
    assert not ((seen[:, 0] > 200) & (seen[:, 1] < 60) & (seen[:, 2] > 200)).any(), "the hidden magenta shows"


def test_crop_to_fit_drops_transparency_and_says_so(host: FakeHost) -> None:
    values = {"upscale_mode": 1, "upscale_to_width": 80, "upscale_to_height": 80, "upscale_crop": True}
    result = host.extras(_hidden(), upscale={**values, "upscaler_1_name": "four"})

    assert (result.pictures[0].mode, result.pictures[0].size) == ("RGB", (80, 80))
    same = {"size_by": "Scale to", "width": 80, "height": 80, "fit": "crop", "alpha": "drop"}
    on_white = host.extras(_hidden(), ours={**PANEL["ours"], **same}).pictures[0]
    assert result.pictures[0].tobytes() == on_white.tobytes()
    assert any("Crop to fit drops transparency" in text for text in host.warnings)


@BOTH
@pytest.mark.parametrize("low", [254, 0])
def test_a_face_restorer_that_blends_does_not_cost_the_picture(door: dict[str, Any], low: int, host: FakeHost) -> None:
    source = picture().convert("RGBA")
    alpha = np.full((20, 30), 255, np.uint8)
    alpha[:6, :6] = low
    source.putalpha(Image.fromarray(alpha))
    result = host.extras(source, gfpgan={"gfpgan_visibility": 0.5}, **door)

    assert result.error == ""
    saved = _opened(result.saved[0])
    assert saved.size == (120, 80)
    assert saved.mode == "RGBA", "its transparency is kept, whoever takes none"
    kept = np.asarray(saved)[..., 3]
    assert (kept[:12, :12].max() <= low + 1, kept[40:, 40:].min()) == (True, 255)
    assert any("takes no transparency" in text for text in host.warnings) == (low == 0)


# Before 1.9, and in Classic, all that the steps of the Extras get is RGB.


@pytest.fixture
def without_alpha(start_host: StartHost) -> FakeHost:
    return start_host(change=as_1_6_0, truescale_precision="exact")


@pytest.mark.parametrize("way", ["batch", "folder", "upload"])
def test_sixteen_bits_are_kept_where_the_host_opens_files_itself(
    way: str, without_alpha: FakeHost, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    deep, expected = _fine(folder / "deep.png")
    given: dict[str, Any] = {"folder": folder} if way == "folder" else {"batch": [deep]}
    if way == "upload":
        given = {"image": _uploaded(without_alpha, deep, "extras_image")}
    result = without_alpha.extras(**given, **PANEL)
    assert result.error == ""
    assert np.abs(_sixteen(result.saved[0]) - expected).max() <= 1 / 65535


@BOTH
def test_transparency_that_the_host_has_dropped_comes_back_where_the_picture_is_saved(
    door: dict[str, Any], without_alpha: FakeHost
) -> None:
    """As our route gives it. The steps behind ours get what they expect, RGB."""
    shown = without_alpha.extras(_hidden(), gfpgan={"gfpgan_visibility": 0.5}, **door)
    plain = without_alpha.extras(_hidden(), **door)
    answered = _answered(_by_api(without_alpha, _hidden()))
    body = {"image": encoded(_hidden()), "upscaler_1": "four", "scale": 4}
    whole = _answered(without_alpha.client().post("/truescale/v1/upscale", json=body))

    assert (shown.error, plain.error) == ("", "")
    assert _opened(plain.saved[0]).tobytes() == answered.tobytes() == plain.pictures[0].tobytes() == whole.tobytes()
    assert whole.mode == "RGBA"
    restored = _opened(shown.saved[0])
    assert restored.getchannel("A").tobytes() == whole.getchannel("A").tobytes()


@BOTH
def test_a_host_that_gives_rgb_gets_rgb_for_what_is_opaque(door: dict[str, Any], without_alpha: FakeHost) -> None:
    result = without_alpha.extras(picture().convert("RGBA"), **door)
    assert (result.pictures[0].mode, _opened(result.saved[0]).mode) == ("RGB", "RGB")
    assert off(result.pictures[0], true_picture("four", picture())) <= 1


def test_the_page_of_an_older_host_lets_transparency_in(without_alpha: FakeHost, tmp_path: Path) -> None:
    _hidden().save(tmp_path / "clear.png")
    image = _uploaded(without_alpha, tmp_path / "clear.png", "extras_image", image_mode="RGB")
    assert image.tobytes() == _hidden().tobytes()


# -- what is said beside the pixels ------------------------------------------------------------------------------------


def _with_profile() -> Image.Image:
    image = picture()
    image.info["icc_profile"] = PROFILE
    return image


MIXED = {"upscale": {**ACCORDION["upscale"], "upscaler_2_name": "Lanczos", "upscaler_2_visibility": 0.5}}


@pytest.mark.parametrize("door", [PANEL, ACCORDION, MIXED], ids=["panel", "accordion", "mixed"])
@pytest.mark.parametrize("restored", [False, True])
def test_the_profile_is_kept(door: dict[str, Any], restored: bool, host: FakeHost) -> None:
    more = {"gfpgan": {"gfpgan_visibility": 0.5}} if restored else {}
    result = host.extras(_with_profile(), **door, **more)

    assert _opened(result.saved[0]).info["icc_profile"] == PROFILE


def test_the_profile_is_kept_in_the_answer_of_the_hosts_api(host: FakeHost) -> None:
    buffer = io.BytesIO()
    picture().save(buffer, "PNG", icc_profile=PROFILE)
    body = {
        "image": base64.b64encode(buffer.getvalue()).decode(),
        "upscaler_1": "four",
        "upscaling_resize": 4,
    }
    answer = host.client().post("/sdapi/v1/extra-single-image", json=body)
    assert _answered(answer).info["icc_profile"] == PROFILE


@BOTH
def test_one_pictures_profile_is_not_the_nexts(door: dict[str, Any], host: FakeHost, tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png", icc_profile=PROFILE)
    picture(seed=2).save(tmp_path / "b.png")
    result = host.extras(batch=[tmp_path / "a.png", tmp_path / "b.png"], **door)

    profiles = {path.name[:1]: _opened(path).info.get("icc_profile") for path in result.saved}
    assert profiles == {"a": PROFILE, "b": None}


def test_the_hosts_own_upscalers_are_left_alone(host: FakeHost) -> None:
    lanczos = {"upscale": {**ACCORDION["upscale"], "upscaler_1_name": "Lanczos"}}
    assert "icc_profile" not in _opened(host.extras(_with_profile(), **lanczos).saved[0]).info


@BOTH
def test_colours_told_by_a_gamma_are_converted_and_that_is_said(
    door: dict[str, Any], host: FakeHost, tmp_path: Path
) -> None:
    """Linear light, which only a gAMA chunk tells: the host would save it as if it were sRGB."""
    path = tmp_path / "linear.png"
    text = PngImagePlugin.PngInfo()
    text.add(b"gAMA", (100_000).to_bytes(4, "big"))
    picture().save(path, pnginfo=text)
    result = host.extras(batch=[path], **door)

    light = np.asarray(picture()).astype(float) / 255
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    expected = levels(true_output(STATES["four"], np.floor(255 * curve + 0.5).astype(np.uint8)))
    assert off(result.pictures[0], expected) <= 8  # a level of the source can be several of the result
    assert any("converted to sRGB" in text for text in host.warnings)


@BOTH
def test_a_text_hidden_in_the_alpha_is_kept_as_text(door: dict[str, Any], host: FakeHost) -> None:
    hidden = "a cat\nSteps: 20, Sampler: Euler, Seed: 7"
    source = Image.fromarray(stealth(np.asarray(picture(160, 40)), hidden, packed=True))
    result = host.extras(source, **door)

    saved = _opened(result.saved[0])
    assert saved.text["parameters"] == hidden
    assert saved.mode == "RGB", "an alpha that held nothing else"
    assert any("hidden in its pixels" in text for text in host.warnings)


@BOTH
def test_where_nothing_is_wrong_nothing_is_said(door: dict[str, Any], host: FakeHost) -> None:
    result: SimpleNamespace = host.extras(picture(), **door)
    assert (host.warnings, result.error) == ([], "")


# -- uploads into the page ---------------------------------------------------------------------------------------------


def _uploaded(host: FakeHost, path: Path, elem_id: str, image_mode: str = "RGBA") -> Image.Image:
    """As gradio hands an uploaded file to the host's functions."""
    import gradio as gr

    component = gr.Image(
        source="upload", interactive=True, type="pil", elem_id=elem_id, image_mode=image_mode, render=False
    )
    host.ours("host.uploads").watch(component, elem_id)
    return component.preprocess(f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}")


@BOTH
def test_an_upload_of_sixteen_bits_keeps_them_in_extras(door: dict[str, Any], host: FakeHost, tmp_path: Path) -> None:
    deep, expected = _fine(tmp_path / "deep.png")
    result = host.extras(_uploaded(host, deep, "extras_image"), **door)

    assert np.abs(_sixteen(result.saved[0]) - expected).max() <= 1 / 65535
    assert result.error == ""


def test_the_hosts_component_is_watched(host: FakeHost, tmp_path: Path) -> None:
    deep, expected = _fine(tmp_path / "deep.png")
    encoded_file = base64.b64encode(deep.read_bytes()).decode()
    image = host.component("extras_image").preprocess(f"data:image/png;base64,{encoded_file}")
    result = host.extras(image, **PANEL)
    assert np.abs(_sixteen(result.saved[0]) - expected).max() <= 1 / 65535
    assert "bits per channel" in host.ours("takeover.results").latest_html()


def test_an_upload_of_sixteen_bits_is_scaled_for_stable_diffusion(host: FakeHost, tmp_path: Path) -> None:
    image = _uploaded(host, _deep(tmp_path / "depth.png"), "img2img_image")

    assert image.mode == "RGBA"
    assert np.array_equal(np.asarray(image)[..., 0], np.asarray(picture(mode="L")))


def test_other_uploads_are_as_gradio_makes_them(host: FakeHost, tmp_path: Path) -> None:
    picture().save(tmp_path / "plain.png")
    image = _uploaded(host, tmp_path / "plain.png", "extras_image")
    assert image.convert("RGB").tobytes() == picture().tobytes()
    assert host.extras(image, **PANEL).error == ""


# -- what Stable Diffusion gets ----------------------------------------------------------------------------------------


def _source(host: FakeHost, image: Image.Image) -> np.ndarray:
    return np.asarray(host.ours("takeover.handed").source_of(image).convert("RGB")).astype(int)


def test_sd_upscale_gets_colours_told_by_a_gamma_in_srgb(host: FakeHost) -> None:
    image = picture()
    image.info["gamma"] = 1.0
    light = np.asarray(picture()).astype(float) / 255
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)

    assert np.abs(_source(host, image) - np.floor(255 * curve + 0.5)).max() <= 1
    assert any("converted to sRGB" in text for text in host.warnings)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_sd_upscale_gets_colours_told_by_a_profile_and_its_transparency(mode: str, host: FakeHost) -> None:
    image = picture(mode=mode)
    image.info["icc_profile"] = PROFILE  # sRGB's own: nothing to convert
    given = host.ours("takeover.handed").source_of(image)

    assert given.mode == mode
    assert np.abs(np.asarray(given).astype(int) - np.asarray(picture(mode=mode))).max() <= 1


def test_sd_upscale_says_that_sixteen_bits_become_eight(host: FakeHost, tmp_path: Path) -> None:
    with Image.open(_deep(tmp_path / "depth.png")) as image:
        image.load()
        assert np.array_equal(_source(host, image)[..., 0], np.asarray(picture(mode="L")))
    assert any("more than 8 bits" in text for text in host.warnings)

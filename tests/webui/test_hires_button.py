"""The host's hires button in the gallery: the original is kept beside the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fake_host.running import FakeHost


def _button(host: FakeHost, original: Image.Image, path: Path, text: str = "as it was made") -> Any:
    """The host's button in the gallery."""

    def txt2img_upscale(image_info: dict[str, str], geninfo: dict[str, list[str]], gallery_index: int) -> Any:
        p = host.module("processing").StableDiffusionProcessingTxt2Img(enable_hr=True, hr_upscaler="Nearest")
        p.txt2img_upscale, p.firstpass_image = True, original
        return host.generate(p)

    return txt2img_upscale({"name": f"{path}?1234"}, {"infotexts": ["another", text]}, 1)


@pytest.fixture
def original(host: FakeHost) -> Image.Image:
    """A picture that was generated before, as the host reads it: it no longer knows its file."""
    host.txt2img(width=160, height=128)
    return Image.open(host.saved()[0]).copy()


def test_after_the_hires_button_the_original_is_kept_beside_the_result(host: FakeHost, original: Image.Image) -> None:
    path = host.saved()[0]
    result = _button(host, original, path)

    assert [one.size for one in result.images] == [(128, 96), (160, 128)]
    assert result.images[1].tobytes() == original.tobytes()
    assert result.images[1].already_saved_as == str(path)
    assert result.infotexts[1] == "as it was made"
    assert result.info == result.infotexts[0]


def test_unless_the_user_does_not_want_it(host: FakeHost, original: Image.Image) -> None:
    host.opts.data["truescale_original_beside"] = False
    assert len(_button(host, original, host.saved()[0]).images) == 1


@pytest.mark.parametrize("name", ["hires_button_gallery_insert", "hires_button_gallery_inset"])
def test_nor_where_the_host_has_a_setting_for_it(name: str, host: FakeHost, original: Image.Image) -> None:
    host.opts.data[name] = False
    assert len(_button(host, original, host.saved()[0]).images) == 1


def test_nor_for_a_first_pass_from_elsewhere(host: FakeHost, original: Image.Image) -> None:
    """As the API's ``firstpass_image``."""
    p = host.module("processing").StableDiffusionProcessingTxt2Img(enable_hr=True, hr_upscaler="Nearest")
    p.firstpass_image = original
    assert len(host.generate(p).images) == 1

"""SD Upscale that is stopped or fails: what is done is kept, and all is as it was."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_host.running import FakeHost
from lib_upscaler.errors import TrueScaleError
from networks import picture
from sd_upscaling import at_tile, enlarged, img2img, levels, run


def _sides(result: Image.Image, image: Image.Image) -> tuple[float, float]:
    """How much the upper left tile and the lower right one have changed, away from their neighbours."""
    change = np.abs(levels(result) - enlarged(image, result.size))
    return float(change[:32, :36].mean()), float(change[68:, 112:].mean())


@pytest.mark.parametrize("how", ["interrupt", "stop_generating"])
def test_an_interrupt_keeps_what_is_redrawn_and_the_rest_is_the_upscaled_picture(how: str, host: FakeHost) -> None:
    image = picture(75, 50)
    p = img2img(host, image, n_iter=2)
    processed = run(host, p, at_tile(3, lambda: getattr(host.state, how)()))
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
    processed = run(host, img2img(host, image))
    first, last = _sides(processed.images[0], image)
    assert first > 3
    assert last <= 1 / 3
    assert "TrueScale: partly redrawn (interrupted)" in processed.infotexts[0]
    assert host.warnings == []


def test_an_interrupt_in_the_first_tile_gives_the_upscaled_picture(host: FakeHost) -> None:
    image = picture(75, 50)
    processed = run(host, img2img(host, image), at_tile(1, host.state.interrupt))
    assert np.abs(levels(processed.images[0]) - enlarged(image, (150, 100))).max() <= 1
    assert "Size: 150x100" in processed.infotexts[0]


def test_a_skip_leaves_one_tile_as_it_is(host: FakeHost) -> None:
    image = picture(75, 50)
    processed = run(host, img2img(host, image), at_tile(1, host.state.skip))
    first, last = _sides(processed.images[0], image)
    assert first <= 1 / 3
    assert last > 3
    assert not host.state.skipped


def _fail() -> None:
    raise RuntimeError("out of luck")


def test_when_a_tile_fails_what_is_done_is_kept_and_told(host: FakeHost) -> None:
    image = picture(75, 50)
    processed = run(host, img2img(host, image), at_tile(3, _fail))
    first, last = _sides(processed.images[0], image)
    assert first > 3
    assert last <= 1 / 3
    assert "TrueScale: partly redrawn (failed)" in processed.infotexts[0]
    assert any("out of luck" in words for words in host.warnings)


def test_when_the_first_tile_fails_there_is_an_error_in_words(host: FakeHost) -> None:
    with pytest.raises(TrueScaleError, match="RuntimeError: out of luck"):
        run(host, img2img(host), at_tile(1, _fail))
    assert host.saved() == []


def test_a_failure_in_the_second_picture_does_not_lose_the_first(host: FakeHost) -> None:
    processed = run(host, img2img(host, n_iter=2), at_tile(7, _fail))
    assert processed.images[0].size == (150, 100)
    assert any("out of luck" in words for words in host.warnings)


def _state_of(p: Any) -> dict[str, Any]:
    return {name: copy.copy(value) for name, value in vars(p).items() if name not in ("scripts", "script_args")}


@pytest.mark.parametrize("fails", [False, True])
def test_p_is_left_as_it_was(fails: bool, host: FakeHost) -> None:
    p = img2img(host, override_settings={"sd_vae": "good.pt"}, seed=-1, mask=Image.new("L", (75, 50), 255))
    image, before = p.init_images[0], _state_of(p)
    pixels = image.tobytes()
    if fails:
        with pytest.raises(TrueScaleError):
            run(host, p, at_tile(1, _fail))
    else:
        run(host, p)
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

    p = img2img(host, override_settings=asked)
    if fails:
        with pytest.raises(TrueScaleError):
            run(host, p, watch)
    else:
        run(host, p, watch)
    assert set(seen) == {("other.safetensors", "good.pt", 50)}
    assert models.loads == ["other.safetensors", "base.safetensors"]
    assert vae.loads == ["good.pt", "Automatic"]
    assert (host.opts.sd_model_checkpoint, host.opts.sd_vae, host.opts.jpeg_quality) == (
        "base.safetensors", "Automatic", 80)  # fmt: skip


def test_a_checkpoint_that_is_not_there_is_passed_over_as_the_host_does(host: FakeHost) -> None:
    run(host, img2img(host, override_settings={"sd_model_checkpoint": "lost.safetensors"}))
    assert host.module("sd_models").loads == []

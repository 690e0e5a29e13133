"""SD Upscale's engine "One canvas": the whole at once, its network in tiles, and nothing left behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from fake_host.running import FakeHost
from lib_upscaler.errors import RequestError, TrueScaleError
from lib_upscaler.fields import fields_of
from networks import picture
from sd_upscaling import CANVAS, WIDE, by_the_host, enlarged, img2img, levels, on_canvas, run, script_of
from types_of_fixtures import StartHost

Network = Callable[..., torch.Tensor]


@pytest.fixture
def wide() -> Image.Image:
    return picture(*WIDE)


def _with_network(host: FakeHost, network: Network, **kind: Any) -> None:
    """A checkpoint that denoises by ``network(latent, sigma, cond)``."""
    host.module("sd_models").model_data.sd_model = SimpleNamespace(**{"is_sd1": True, **kind}, apply_model=network)


def _smooth(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
    """Each px from its neighbours; what lies beyond the edge of what it is shown counts as 0."""
    return torch.nn.functional.avg_pool2d(latent, 3, stride=1, padding=1)


# -- the picture -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"sampler_name": "SDE"}, {"subseed_strength": 0.4, "subseed": 9}])
def test_in_one_tile_it_is_the_hosts_own_picture(given: dict[str, Any], host: FakeHost, wide: Image.Image) -> None:
    _with_network(host, _smooth)
    result = levels(on_canvas(host, wide, {"seed": 5, **given}, tile_width=384, tile_height=384).images[0])
    assert np.abs(result - levels(wide)).mean() > 3
    assert (result == by_the_host(host, wide, seed=5, **given)).all()


def test_the_sampler_sees_one_canvas(host: FakeHost, wide: Image.Image) -> None:
    """What denoises each px by itself gives the same in whatever tiles, so that noise and steps are the whole's."""
    shapes = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        shapes.append(tuple(latent.shape))
        return 0.75 * latent

    _with_network(host, network)
    result = levels(on_canvas(host, wide, {"seed": 5}).images[0])
    assert len(shapes) == 4  # two tiles in each of two steps
    assert {(rows, height) for rows, _, height, _ in shapes} == {(2, 32)}
    assert all(width <= 32 for *_, width in shapes)
    assert np.abs(result - by_the_host(host, wide, seed=5)).max() <= 1


def test_between_two_tiles_half_a_cosine_wave(host: FakeHost) -> None:
    """The network says one thing of the left tile and another of the right one: the last step's blend is seen."""
    widths: list[int] = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        widths.append(latent.shape[3])
        return torch.full_like(latent, 0.5 if len(widths) % 2 else -0.5)

    _with_network(host, network)
    image = Image.new("RGB", WIDE, (128,) * 3)
    result = levels(on_canvas(host, image, {"denoising_strength": 0.0}).images[0])
    left, right = widths[-2:]
    overlap = left + right - 40
    wave = [0.5 + 0.5 * math.cos(math.pi * (place + 0.5) / overlap) for place in range(overlap)]
    expected = np.array([1.0] * (left - overlap) + wave + [0.0] * (right - overlap)) - 0.5
    assert overlap >= 1
    assert np.abs(result[0, 4::8, 0] - 127.5 - 127.5 * expected).max() <= 1.5


def test_tiles_move_from_step_to_step_and_with_the_seed(host: FakeHost) -> None:
    """The picture grows lighter from left to right: by its first px a tile is known."""
    ramp = Image.fromarray(np.tile(np.arange(40, dtype=np.uint8).repeat(8)[None, :, None] * 6, (256, 1, 3)))
    starts: list[int] = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        starts.append(round((float(latent[0, 0, 0, 0]) + 1) / 2 * 255 / 6))
        return latent

    _with_network(host, network)
    runs = []
    for seed in (5, 5, 6, 7):
        starts.clear()
        on_canvas(host, ramp, {"seed": seed, "denoising_strength": 0.0})
        first, second, again, other = starts
        assert first == again == 0
        assert second != other
        runs.append((second, other))
    assert runs[0] == runs[1]
    assert len(set(runs)) > 1


def test_several_tiles_go_through_the_network_at_once(host: FakeHost) -> None:
    """Each has its prompt and its negative prompt."""
    seen: list[tuple[Any, ...]] = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        seen.append((latent.shape, sigma.shape, cond["c_crossattn"][0].flatten().tolist()))
        return latent

    _with_network(host, network)
    on_canvas(host, picture(120 * 8, 32 * 8), {"seed": 3}, batch=4)  # five tiles, of which inner ones are of one size
    for latents, sigmas, prompts in seen:
        assert latents[0] == sigmas[0] == len(prompts)
        assert prompts == [1.0, 0.0] * (len(prompts) // 2)
    assert max(latents[0] for latents, _, _ in seen) > 2


def test_sdxl_is_told_the_size_of_each_tile(host: FakeHost, wide: Image.Image) -> None:
    """Height and width, as they come first behind the pooled prompt: a number's first cosine is that of itself."""
    told = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        heights, widths = (cond["vector"][:, 1280 + 256 * number] for number in range(2))
        told.append((tuple(latent.shape[2:]), heights.tolist(), widths.tolist()))
        return latent

    _with_network(host, network, is_sdxl=True)
    on_canvas(host, wide)
    assert len(told) == 4
    for (height, width), heights, widths in told:
        assert heights == pytest.approx([math.cos(8 * height)] * 2, abs=1e-4)
        assert widths == pytest.approx([math.cos(8 * width)] * 2, abs=1e-4)


@pytest.mark.parametrize("composition", [False, True])
def test_the_composition_is_that_of_the_whole_at_low_resolution(composition: bool, host: FakeHost) -> None:
    """At sigma 2 the tiles see nothing there, and the whole, half as large, a lighter picture. Its weight goes from 0
    at sigma 1 to 1 at 4, half a cosine wave of the logarithm: a half at 2. At sigma 1 there is no such pass."""
    small: list[tuple[Any, ...]] = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        if latent.shape[2] == 16:
            small.append((tuple(latent.shape), sigma.tolist(), cond["c_crossattn"][0].flatten().tolist()))
            return torch.full_like(latent, 0.5)
        return latent if float(sigma[0]) == 1.0 else torch.zeros_like(latent)

    _with_network(host, network)
    image = Image.new("RGB", WIDE, (128,) * 3)
    processed = on_canvas(host, image, {"denoising_strength": 0.0}, composition=composition)
    assert np.abs(levels(processed.images[0]) - 127.5 * (1.25 if composition else 1)).max() <= 1
    # 40 x 32 px of the latent, extended to a multiple of 16; half the noise.
    assert small == ([((2, 4, 16, 24), [1.0, 1.0], [1.0, 0.0])] if composition else [])
    assert ("TrueScale keep composition: True" in processed.infotexts[0]) == composition


def test_that_tiles_do_not_keep_the_composition_is_told(host: FakeHost, wide: Image.Image) -> None:
    processed = on_canvas(host, wide, engine="Tiles", composition=True)
    assert any("kept on one canvas only" in words for words in host.warnings)
    assert "composition" not in processed.infotexts[0]


def test_the_colour_lock_keeps_the_sources_colours(host: FakeHost, wide: Image.Image) -> None:
    def brighter(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        return latent + 0.1

    _with_network(host, brighter)
    free, locked = (levels(on_canvas(host, wide, color_lock=lock).images[0]).mean() for lock in (0.0, 1.0))
    assert free - levels(wide).mean() > 5
    assert abs(locked - levels(wide).mean()) < 1.5


def test_only_the_mask_is_redrawn(host: FakeHost, wide: Image.Image) -> None:
    mask = Image.new("L", WIDE, 0)
    mask.paste(255, (0, 0, 100, 256))
    given = {"mask": mask, "mask_blur_x": 0, "mask_blur_y": 0}
    change = np.abs(levels(on_canvas(host, wide, given).images[0]) - levels(wide))
    assert change[:, :96].mean() > 3
    assert change[:, 112:].max() == 0


def test_the_exact_size_and_the_padding_cut_off(host: FakeHost) -> None:
    image = picture(151, 131)
    (result,) = on_canvas(host, image, {"denoising_strength": 0.0}, scale=2.0).images
    assert result.size == (302, 262)
    assert np.abs(levels(result) - enlarged(image, (302, 262))).max() <= 1


def test_pictures_of_a_batch(host: FakeHost, wide: Image.Image) -> None:
    processed = on_canvas(host, wide, {"seed": 5, "n_iter": 2, "batch_size": 2})
    assert processed.all_seeds == [5, 6, 7, 8]
    assert len(host.saved()) == 4
    alone = on_canvas(host, wide, {"seed": 7}).images[0]
    assert (levels(alone) == levels(processed.images[2])).all()


# -- the hook ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def samplers(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """All that the host makes."""
    module, made = host.module("sd_samplers"), []
    plain = module.create_sampler

    def create_sampler(*arguments: Any) -> Any:
        made.append(plain(*arguments))
        return made[-1]

    monkeypatch.setattr(module, "create_sampler", create_sampler)
    return made


def _fail(*_: Any, **__: Any) -> torch.Tensor:
    raise RuntimeError("out of luck")


def _at_call(number: int, action: Callable[[], Any]) -> Network:
    """A network that changes nothing, and in its n-th call (from 1) does something."""
    calls: list[int] = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == number:
            action()
        return latent + 0.1

    return network


@pytest.mark.parametrize("how", ["well", "failed", "interrupted"])
def test_nothing_of_ours_is_left_at_the_sampler(
    how: str, host: FakeHost, wide: Image.Image, samplers: list[Any]
) -> None:
    module, denoiser = host.module("sd_samplers"), host.module("sd_samplers").Denoiser
    classes = [module.Denoiser, module.CFGDenoiserKDiffusion, module.CFGDenoiser, module.Sampler]
    before = [dict(vars(one)) for one in classes]
    action = {"well": lambda: None, "failed": _fail, "interrupted": host.state.interrupt}[how]

    def watching() -> None:
        assert "forward" in vars(samplers[-1].model_wrap_cfg.inner_model)
        assert [dict(vars(one)) for one in classes] == before
        action()

    _with_network(host, _at_call(3, watching))
    if how == "failed":
        with pytest.raises(TrueScaleError, match="RuntimeError: out of luck"):
            on_canvas(host, wide)
    else:
        on_canvas(host, wide)
    assert [dict(vars(one)) for one in classes] == before
    for sampler in samplers:
        cfg = sampler.model_wrap_cfg
        assert "forward" not in vars(cfg.inner_model)
        assert not {"update_inner_model", "forward"} & set(vars(cfg))
        assert cfg.inner_model.forward.__func__ is denoiser.forward


def test_the_refiners_network_gets_tiles_too(host: FakeHost, wide: Image.Image, samplers: list[Any]) -> None:
    shapes, denoisers = [], set()

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        shapes.append(latent.shape[3])
        denoisers.add(id(samplers[-1].model_wrap_cfg.inner_model))
        return latent

    _with_network(host, network)
    p = img2img(host, wide, width=320, height=256)
    p.refiner_checkpoint = "second"
    run(host, p, **CANVAS)
    assert len(shapes) == 4
    assert max(shapes) <= 32
    assert len(denoisers) == 2
    assert "update_inner_model" not in vars(samplers[-1].model_wrap_cfg)


def test_what_another_extension_has_put_there_is_kept(host: FakeHost, wide: Image.Image, samplers: list[Any]) -> None:
    seen = []

    def theirs(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        seen.append(latent.shape)
        return latent

    plain = host.module("sd_samplers").create_sampler

    def create_sampler(*arguments: Any) -> Any:
        sampler = plain(*arguments)
        sampler.model_wrap_cfg.inner_model.forward = theirs
        return sampler

    host.module("sd_samplers").create_sampler = create_sampler
    on_canvas(host, wide)
    assert len(seen) == 4
    assert vars(samplers[-1].model_wrap_cfg.inner_model)["forward"] is theirs


def test_a_sampler_that_is_not_known_is_refused_in_words(host: FakeHost, wide: Image.Image) -> None:
    plain = host.module("sd_samplers").create_sampler

    def create_sampler(*arguments: Any) -> Any:
        sampler = plain(*arguments)
        sampler.model_wrap_cfg = None
        return sampler

    host.module("sd_samplers").create_sampler = create_sampler
    with pytest.raises(TrueScaleError, match="cannot be given tiles"):
        on_canvas(host, wide)


def test_a_sampler_that_goes_round_the_tiles_is_told(
    host: FakeHost, wide: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host.module("sd_samplers").CFGDenoiser, "forward", lambda self, x, *_: x)
    with pytest.raises(TrueScaleError, match="sampled without tiles"):
        on_canvas(host, wide)


def test_a_sampler_that_samples_nothing_is_no_error(
    host: FakeHost, wide: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As DDIM, where few steps and a small denoising strength leave it none."""
    monkeypatch.setattr(host.module("sd_samplers").Sampler, "_sample", lambda self, p, x, noise, image_cond: x)
    _with_network(host, _fail)
    assert "TrueScale engine: One canvas" in on_canvas(host, wide).infotexts[0]


# -- stopping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "words"), [("interrupt", "interrupted"), ("skip", "skipped")])
def test_the_picture_is_kept_as_it_stands(how: str, words: str, host: FakeHost, wide: Image.Image) -> None:
    """In the second step, between two tiles: the first step's prediction is what is shown."""
    calls: list[int] = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 3:
            getattr(host.state, how)()
        return latent + 0.1

    _with_network(host, network)
    processed = on_canvas(host, wide, {"denoising_strength": 0.0})
    change = levels(processed.images[0]) - levels(wide)
    seen = change[(levels(wide) > 20) & (levels(wide) < 220)]
    assert len(calls) == 3
    assert np.abs(seen - 12.75).max() <= 1.1
    assert f"TrueScale: partly redrawn ({words})" in processed.infotexts[0]
    assert not host.state.skipped


def test_an_interrupt_before_the_first_step_gives_the_upscaled_picture(host: FakeHost, wide: Image.Image) -> None:
    p = img2img(host, wide, width=320, height=256)
    plain = host.module("processing").process_images

    def process_images(inner: Any) -> Any:
        host.state.interrupt()
        return plain(inner)

    host.module("processing").process_images = process_images
    processed = run(host, p, **CANVAS)
    assert (levels(processed.images[0]) == levels(wide)).all()
    assert "TrueScale: not redrawn (interrupted)" in processed.infotexts[0]


# -- where it is not possible ------------------------------------------------------------------------------------------


def _add_script(host: FakeHost, title: str, value: Any) -> None:
    """An extension's script in img2img, with one argument."""
    module = host.module("scripts")
    runner, script = module.scripts_img2img, module.Script()
    script.title = lambda: title
    script.args_from = len(runner.inputs)
    script.args_to = script.args_from + 1
    runner.inputs.append(SimpleNamespace(value=value))
    runner.alwayson_scripts.append(script)


ON = [True, SimpleNamespace(enabled=True), {"enabled": True}, {"model": "canny"}]
OFF = [False, SimpleNamespace(enabled=False), {"enabled": False}, None]
"""As units of such an extension, or its switch, say that."""


@pytest.mark.parametrize(
    "title", ["ControlNet", "IP-Adapter", "SelfAttentionGuidance Integrated", "StyleAlign Integrated"]
)
@pytest.mark.parametrize("value", ON)
def test_what_conditions_on_the_canvas_is_refused_in_words(
    title: str, value: Any, host: FakeHost, wide: Image.Image
) -> None:
    _add_script(host, title, value)
    with pytest.raises(RequestError, match=title):
        on_canvas(host, wide)
    assert "TrueScale engine" not in on_canvas(host, wide, engine="auto").infotexts[0]


@pytest.mark.parametrize("value", OFF)
def test_what_is_switched_off_does_not_matter(value: Any, host: FakeHost, wide: Image.Image) -> None:
    _add_script(host, "ControlNet", value)
    assert "TrueScale engine: One canvas" in on_canvas(host, wide, engine="auto").infotexts[0]


@pytest.mark.parametrize(
    ("switch", "words"),
    [
        (lambda host, p: setattr(p, "tiling", True), "Tiling"),
        (lambda host, p: p.override_settings.update(tiling=True), "Tiling"),
        (lambda host, p: host.opts.data.update(hypertile_enable_unet=True), "Hypertile"),
    ],
)
def test_settings_that_do_not_go_with_tiles(switch: Any, words: str, host: FakeHost, wide: Image.Image) -> None:
    p = img2img(host, wide, width=320, height=256)
    switch(host, p)
    with pytest.raises(RequestError, match=words):
        run(host, p, **CANVAS)


def test_auto_takes_tiles_for_a_checkpoint_that_is_not_known(host: FakeHost, wide: Image.Image) -> None:
    _with_network(host, _smooth, is_sd1=False)
    assert "TrueScale engine" not in on_canvas(host, wide, engine="auto").infotexts[0]
    _with_network(host, _smooth, is_sd1=False, is_sdxl=True)
    assert "TrueScale engine" in on_canvas(host, wide, engine="auto").infotexts[0]


def test_tiles_that_are_too_small_are_refused_in_words(host: FakeHost, wide: Image.Image) -> None:
    with pytest.raises(RequestError, match="at least 256 px"):
        on_canvas(host, wide, tile_width=128)


def test_that_flat_tiles_are_not_skipped_is_told(host: FakeHost, wide: Image.Image) -> None:
    on_canvas(host, wide, flatness=5)
    assert any("flat tiles are not skipped" in words for words in host.warnings)


# -- asking for it, and being told -------------------------------------------------------------------------------------


def test_who_asks_for_nothing_gets_tiles(host: FakeHost, wide: Image.Image) -> None:
    of = host.ours("places.sd_upscale.script").values_of
    # An older client's positional arguments stay what they were.
    assert [field.name for field in fields_of("sd")][-4:] == ["engine", "composition", "tile_prompts", "wrap"]
    assert of([])["engine"] == of([{}])["engine"] == "Tiles"
    assert of([])["composition"] is False
    assert of([None] * (len(fields_of("sd")) - 4) + ["One canvas"])["engine"] == "One canvas"
    assert "TrueScale engine" not in on_canvas(host, wide, engine="Tiles").infotexts[0]
    with pytest.raises(RequestError, match="there is no engine 'Squares'"):
        of([{"engine": "Squares"}])


def test_the_infotext_names_the_engine_that_ran_and_can_be_pasted(host: FakeHost, wide: Image.Image) -> None:
    for asked in ("One canvas", "auto"):
        text = on_canvas(host, wide, engine=asked, composition=True).infotexts[0]
        assert "Size: 320x256" in text
        found = host.module("infotext_utils").parse_generation_parameters(text)
        script = script_of(host)
        pasted = {id(component): function(found) for component, function in script.infotext_fields}
        names = [field.name for field in fields_of("sd")]
        assert pasted[id(script.controls[names.index("engine")])] == "One canvas"
        assert pasted[id(script.controls[names.index("composition")])] is True


def test_the_statement_below_the_picture(host: FakeHost, wide: Image.Image) -> None:
    processed = on_canvas(host, wide)
    assert "tiles per step: 2 · sampled px per px: 1." in processed.comments


def test_the_panel_tells_what_it_will_take(host: FakeHost) -> None:
    panel = host.ours("places.sd_upscale.panel")
    given = {**dict(zip([f.name for f in fields_of("sd")], [c.value for c in script_of(host).controls])), **CANVAS}
    source = {"width": 640, "height": 480, "target_width": 640, "target_height": 480}

    def plan(**changed: Any) -> str:
        return panel._plan_html(source, {**given, "upscaler_1": "None", **changed})

    assert [type(one) for one in script_of(host).controls[-4:-1]] == [gr.Radio, gr.Checkbox, gr.Textbox]
    assert "<span>tiles per step</span>" in plan()
    assert "<span>tiles per step</span>" in plan(engine="auto")
    assert "per step" not in plan(engine="Tiles")
    assert "1 <span>tile</span>, 640x480" in plan(tile_width=640, tile_height=640)
    assert "at least 256 px" in plan(tile_width=128)
    host.opts.data["tiling"] = True
    assert "one canvas is not possible here" in plan()
    assert "per step" not in plan(engine="auto")


def test_it_runs_without_a_page(start_host: StartHost, wide: Image.Image) -> None:
    host = start_host(flags="--nowebui", ui=False)
    of = host.ours("places.sd_upscale.script")
    p = img2img(host, wide, width=320, height=256)
    p.scripts = None
    host.state.begin(job="img2img")
    assert of.run(p, {**CANVAS, "upscaler_1": "None"}).images[0].size == WIDE

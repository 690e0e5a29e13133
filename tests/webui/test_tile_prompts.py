"""SD Upscale with a prompt for each tile: what the network is told where, by both engines, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fake_host.forge import become_forge
from fake_host.running import FakeHost
from lib_upscaler.errors import RequestError, TrueScaleError
from networks import picture
from sd_upscaling import img2img, on_canvas, run

SIX = {"scale": 1.0, "tile_width": 64, "tile_height": 64, "overlap": 16}
"""Of 144 x 104 px: 2 rows of 3 tiles, with left edges 0, 40, 80 and upper edges 0, 40."""
PAIR = {"scale": 1.0, "tile_width": 256, "tile_height": 256, "overlap": 64}
"""Of 448 x 256 px: 2 tiles that meet at 224 px, column 28 of the latent."""
WIDE = (448, 256)


class Told:
    """What the network was told: ``calls`` as (left edge of the tile in the latent, tokens of the prompt, tokens of the
    negative one), for each tile. The picture grows lighter from left to right, by 1 level a column of the latent."""

    def __init__(self, host: FakeHost, **kind: Any) -> None:
        self.calls: list[tuple[int, list[float], list[float]]] = []
        self.vectors: list[torch.Tensor] = []
        network = SimpleNamespace(**{"is_sd1": True, **kind}, apply_model=self._called)
        host.module("sd_models").model_data.sd_model = network
        self._alone: list[tuple[int, list[float]]] = []

    def _called(self, latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        text = cond["crossattn"] if "crossattn" in cond else cond["c_crossattn"][0]
        if "vector" in cond:
            self.vectors.append(cond["vector"])
        rows = [(_column(one), words[:, 0].tolist()) for one, words in zip(latent, text)]
        if len(rows) == 1:  # prompt and negative prompt one after the other, each for all tiles
            self._alone += rows
        else:
            self._note(rows)
        return latent

    def _note(self, rows: Sequence[tuple[int, list[float]]]) -> None:
        for (column, prompt), (same, negative) in zip(rows[::2], rows[1::2]):
            assert same == column
            self.calls.append((column, prompt, negative))


def _column(latent: torch.Tensor) -> int:
    return round((float(latent[0, 0, 0]) + 1) / 2 * 255)


def _ramp(width: int, height: int) -> Image.Image:
    line = np.arange(width // 8, dtype=np.uint8).repeat(8)
    return Image.fromarray(np.tile(line[None, :, None], (height, 1, 3)))


@pytest.fixture
def meanings(host: FakeHost) -> dict[str, float]:
    """Text -> the number that the network is told."""
    return host.module("prompt_parser").MEANINGS


def _prompts_of_tiles(
    host: FakeHost, lines: str, given: dict[str, Any] | None = None, size: tuple[int, int] = (144, 104), **values: Any
) -> list[list[str]]:
    """What the host was asked for in each of its calls, by the engine "Tiles"."""
    asked: list[list[str]] = []

    def noted(p: Any, step: int) -> None:
        if step == 0:
            asked.append(list(p.prompts))

    p = img2img(host, picture(*size), width=size[0], height=size[1], **(given or {}))
    run(host, p, steps=noted, **{**SIX, "engine": "Tiles", "tile_prompts": lines, **values})
    return asked


# -- tiles -------------------------------------------------------------------------------------------------------------


def test_each_tile_has_its_line_and_without_one_the_prompt_above(host: FakeHost) -> None:
    assert _prompts_of_tiles(host, "sky\n\nroof\nwall\ndoor\n") == [
        ["sky"], ["a cat"], ["roof"], ["wall"], ["door"], ["a cat"],
    ]  # fmt: skip


def test_clients_may_give_a_list_of_lines(host: FakeHost) -> None:
    of = host.ours("places.sd_upscale.script").values_of
    assert of([{"tile_prompts": ["sky", "", "wall"]}])["tile_prompts"] == "sky\n\nwall"


def test_tiles_with_several_prompts_are_sampled_at_once(host: FakeHost) -> None:
    asked = _prompts_of_tiles(host, "sky\nsky\nroof\nwall\ndoor\nsky", batch=4)
    assert asked == [["sky", "sky", "roof", "wall"], ["door", "sky"]]


def test_the_picture_is_the_same_in_any_batch(host: FakeHost, meanings: dict[str, float]) -> None:
    """The network answers by what it is told."""
    meanings.update(sky=0.5, wall=-0.5)

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        return 0.5 * latent + 0.2 * cond["c_crossattn"][0][:, :1, :, None]

    host.module("sd_models").model_data.sd_model = SimpleNamespace(is_sd1=True, apply_model=network)
    pictures = []
    for batch in (1, 4):
        p = img2img(host, picture(144, 104), width=144, height=104)
        values = {**SIX, "tile_prompts": "sky\nwall\n\nsky\nwall\nwall", "batch": batch}
        pictures.append(np.asarray(run(host, p, **values).images[0]))
    assert (pictures[0] == pictures[1]).all()
    plain = np.asarray(run(host, img2img(host, picture(144, 104), width=144, height=104), **SIX).images[0])
    assert (pictures[0] != plain).mean() > 0.5


def test_words_for_all_tiles_styles_and_loras_stay(host: FakeHost) -> None:
    host.module("shared").prompt_styles.styles = {"film": "{prompt}, film"}
    given = {"prompt": "a cat <lora:ink:1>", "styles": ["film"]}
    lines = "sky\n{prompt}, tail\n\n\n\n"
    assert _prompts_of_tiles(host, lines, given)[:3] == [["sky , film"], ["a cat , tail, film"], ["a cat , film"]]
    asked = _prompts_of_tiles(host, lines, given, prompt="sharp")
    assert asked[:3] == [["sky, sharp, film"], ["sharp, tail, film"], ["sharp, film"]]


@pytest.mark.parametrize("line", ["sky <lora:ink:1>", "sky AND cloud"])
def test_what_the_host_takes_from_the_first_of_a_batch_is_sampled_alone(line: str, host: FakeHost) -> None:
    asked = _prompts_of_tiles(host, f"{line}\nb\nc\nd\ne\nf", batch=4)
    assert [len(prompts) for prompts in asked] == [1] * 6


def test_one_prompt_put_in_the_place_of_all_is_noticed(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by an extension that makes all prompts of the first."""

    def process(p: Any) -> None:
        p.all_prompts = [p.all_prompts[0]] * len(p.all_prompts)

    monkeypatch.setattr(host.module("scripts").scripts_img2img, "process", process)
    with pytest.raises(TrueScaleError, match=r"an extension has put other prompts.*Choose 1 tile at once"):
        _prompts_of_tiles(host, "a\nb\nc\nd\ne\nf", batch=2)
    assert len(_prompts_of_tiles(host, "a\nb\nc\nd\ne\nf", batch=1)) == 6


# -- one canvas --------------------------------------------------------------------------------------------------------


def _canvas(host: FakeHost, lines: str, given: dict[str, Any] | None = None, **values: Any) -> Any:
    usual = {"denoising_strength": 0.0, "steps": 2}
    asked = {**PAIR, "tile_prompts": lines, **values}
    return on_canvas(host, _ramp(*WIDE), {**usual, **(given or {})}, **asked)


def test_each_network_tile_has_the_prompt_of_what_covers_most_of_it(host: FakeHost, meanings: dict[str, float]) -> None:
    """Tiles of at most 32 columns lie on 56, of which 28 are "sky"'s, 28 "wall"'s."""
    meanings.update(sky=7.0, wall=5.0)
    widths: list[int] = []
    told = Told(host)
    plain = told._called

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        widths.extend([latent.shape[3]] * (latent.shape[0] // 2))
        return plain(latent, sigma, cond)

    host.module("sd_models").model_data.sd_model.apply_model = network
    _canvas(host, "sky\nwall")
    assert len(told.calls) >= 4
    for (start, prompt, negative), width in zip(told.calls, widths):
        left, right = max(0, 28 - start), max(0, start + width - 28)
        assert prompt == [7.0 if min(left, width) >= min(right, width) else 5.0]
        assert negative == [0.0]
    assert {prompt[0] for _, prompt, _ in told.calls} == {7.0, 5.0}


def test_a_tile_without_a_line_has_the_prompt_above(host: FakeHost, meanings: dict[str, float]) -> None:
    meanings.update({"a cat": 3.0, "wall": 5.0})
    told = Told(host)
    _canvas(host, "\nwall")
    assert {prompt[0] for start, prompt, _ in told.calls if start == 0} == {3.0}
    assert {prompt[0] for start, prompt, _ in told.calls if start > 20} == {5.0}


def test_prompts_change_by_the_step_as_the_hosts_do(host: FakeHost, meanings: dict[str, float]) -> None:
    """The first step is number 0: up to number 0 "fog", then "sky"."""
    meanings.update(fog=1.5, sky=7.0, wall=5.0)
    told = Told(host)
    _canvas(host, "[fog:sky:0]\nwall")
    firsts = [prompt[0] for start, prompt, _ in told.calls if start == 0]
    assert firsts == [1.5, 7.0]


def test_prompts_of_other_lengths_go_into_one_call(host: FakeHost, meanings: dict[str, float]) -> None:
    meanings.update(sky=7.0, wall=5.0)
    host.module("prompt_parser").LENGTHS.update(sky=3, wall=2)
    told = Told(host)
    _canvas(host, "sky\nwall", batch=2)
    assert {(len(prompt), prompt[0]) for _, prompt, _ in told.calls} <= {(3, 7.0), (2, 5.0), (6, 7.0), (6, 5.0)}
    assert all(len(prompt) == len(negative) for _, prompt, negative in told.calls)


def test_where_prompt_and_negative_prompt_come_one_after_the_other(host: FakeHost, meanings: dict[str, float]) -> None:
    """As the host does where they are of several lengths: the prompt first."""
    meanings.update(sky=7.0, wall=5.0)
    host.module("prompt_parser").LENGTHS.update({"a cat": 2})
    told = Told(host)
    _canvas(host, "sky\nwall")
    calls = [words for _, words in told._alone]
    first, again, second, last = (calls[number : number + 3] for number in (0, 3, 6, 9))  # 3 tiles in each of 2 steps
    assert len(calls) == 12
    assert all(words[0] in (7.0, 5.0) for words in first + second)
    assert all(words == [0.0] for words in again + last)


def test_sdxl_is_told_the_prompts_vector_and_the_tiles_size(host: FakeHost, meanings: dict[str, float]) -> None:
    meanings.update(sky=7.0, wall=5.0)
    told = Told(host, is_sdxl=True, is_sd1=False)
    _canvas(host, "sky\nwall")
    assert {float(vector[0, 0]) for vector in told.vectors} == {7.0, 5.0}
    for vector in told.vectors:
        assert float(vector[1, 0]) == 0.0
        assert float(vector[0, 1280]) == pytest.approx(math.cos(256), abs=1e-4)


def test_the_refiner_gets_prompts_of_its_own(host: FakeHost, meanings: dict[str, float]) -> None:
    """It comes in at the second step: its text encoder is asked once more."""
    meanings.update(sky=7.0, wall=5.0)
    told = Told(host)
    encoded = host.module("prompt_parser").ENCODED
    encoded.clear()
    p = img2img(host, _ramp(*WIDE), width=448, height=256, denoising_strength=0.0, steps=2)
    p.refiner_checkpoint = "refiner"
    run(host, p, **{**PAIR, "engine": "One canvas", "tile_prompts": "sky\nwall"})
    assert [text for text in encoded if text in ("sky", "wall")] == ["sky", "wall"] * 2
    assert {prompt[0] for _, prompt, _ in told.calls} == {7.0, 5.0}


def test_the_whole_at_low_resolution_keeps_the_prompt_above(host: FakeHost, meanings: dict[str, float]) -> None:
    meanings.update({"a cat": 3.0, "sky": 7.0, "wall": 5.0})
    seen = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        seen.append((latent.shape[2], float(cond["c_crossattn"][0][0, 0, 0])))
        return latent

    host.module("sd_models").model_data.sd_model = SimpleNamespace(is_sd1=True, apply_model=network)
    _canvas(host, "sky\nwall", composition=True)
    assert {prompt for height, prompt in seen if height == 32} == {7.0, 5.0}
    assert {prompt for height, prompt in seen if height < 32} == {3.0}


def test_one_prompt_for_all_tiles_is_that_of_the_canvas(host: FakeHost, meanings: dict[str, float]) -> None:
    meanings.update(sky=7.0)
    told = Told(host)
    _canvas(host, "sky\nsky", {"prompt": "a AND b"})
    assert {prompt[0] for _, prompt, _ in told.calls} == {7.0}


def test_the_hosts_own_prompt_and_cache_stay(host: FakeHost, meanings: dict[str, float]) -> None:
    meanings.update(sky=7.0, wall=5.0)
    Told(host)
    processing = host.module("processing").StableDiffusionProcessing
    text = _canvas(host, "sky\nwall").infotexts[0]
    assert text.startswith("a cat\n")
    assert processing.cached_c[0][0] == ("a cat",)


@pytest.mark.parametrize("apart", [False, True])
def test_in_the_forge_family(apart: bool, host: FakeHost, meanings: dict[str, float]) -> None:
    meanings.update(sky=7.0, wall=5.0)
    host.module("prompt_parser").LENGTHS.update(sky=3, wall=2)
    seen: list[tuple[int, list[int], list[list[float]], torch.Tensor]] = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, **told: Any) -> torch.Tensor:
        kinds = told["transformer_options"]["cond_or_uncond"]
        seen.append((_column(latent[0]), kinds, told["c_crossattn"][:, :, 0].tolist(), told["y"][:, 0]))
        return latent

    become_forge(host, network, is_sdxl=True)
    plain = host.module("sd_samplers").create_sampler

    def create_sampler(*given: Any) -> Any:
        sampler = plain(*given)
        sampler.model_wrap_cfg.apart = apart
        return sampler

    host.module("sd_samplers").create_sampler = create_sampler
    _canvas(host, "sky\nwall")
    prompts = set()
    for _start, kinds, texts, vector in seen:
        for kind, words, pooled in zip(kinds, texts, vector.tolist()):
            assert set(words) == {pooled}
            assert (pooled in (7.0, 5.0)) == (kind == 0)
            assert pooled or kind == 1
            prompts.add(pooled)
    assert prompts == {7.0, 5.0, 0.0}


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["Tiles", "One canvas", "auto"])
def test_lines_that_do_not_fit_are_refused_before_anything_is_sampled(engine: str, host: FakeHost) -> None:
    told = Told(host)
    with pytest.raises(RequestError, match=r"are 3 lines .* 2 tiles.* 1 row x 2 columns"):
        _canvas(host, "a\nb\nc", engine=engine)
    assert not told.calls


def test_they_must_fit_each_picture_of_a_batch(host: FakeHost) -> None:
    told = Told(host)
    p = img2img(host, _ramp(*WIDE), width=448, height=256)
    p.init_images, p.batch_size = [_ramp(*WIDE), _ramp(256, 256)], 2
    with pytest.raises(RequestError, match="2 lines with prompts and 1 tile"):
        run(host, p, **{**PAIR, "tile_prompts": "a\nb"})
    assert not told.calls


@pytest.mark.parametrize(
    ("lines", "given", "why"),
    [
        ("sky AND cloud\nwall", {}, "AND"),
        ("sky:0.5\nwall", {}, "a weight at a prompt's end"),
        ("sky\nwall", {"prompt": "a cat AND a dog"}, "AND"),
        ("sky <lora:ink:1>\nwall", {}, "a LoRA works on the picture as a whole"),
    ],
)
def test_what_one_canvas_cannot_have(lines: str, given: dict[str, Any], why: str, host: FakeHost) -> None:
    told = Told(host)
    with pytest.raises(RequestError, match=f"one canvas is not possible here.*{why}.*Choose the engine Tiles"):
        _canvas(host, lines, given)
    assert not told.calls
    assert "TrueScale engine" not in _canvas(host, lines, given, engine="auto").infotexts[0]
    assert "TrueScale engine: One canvas" in _canvas(host, "sky\nwall", engine="auto").infotexts[0]


def test_a_style_that_one_canvas_cannot_have(host: FakeHost) -> None:
    told = Told(host)
    host.module("shared").prompt_styles.styles = {"both": "{prompt} AND film"}
    with pytest.raises(TrueScaleError, match=r"AND, .*also of a style. Choose the engine Tiles"):
        _canvas(host, "sky\nwall", {"styles": ["both"]})
    assert not told.calls


def test_a_lora_of_the_prompt_above_goes_for_the_whole_canvas(host: FakeHost, meanings: dict[str, float]) -> None:
    meanings.update(sky=7.0, wall=5.0)
    told = Told(host)
    _canvas(host, "sky\nwall <lora:ink:1>", {"prompt": "a cat <lora:ink:1>"})
    assert {prompt[0] for _, prompt, _ in told.calls} == {7.0, 5.0}


def test_a_network_that_gets_the_whole_has_one_prompt(host: FakeHost) -> None:
    """Tiles of 240 px; the network's are of 256, and so is the picture."""
    Told(host)
    with pytest.raises(RequestError, match="the network gets the picture as a whole"):
        on_canvas(host, _ramp(256, 256), {}, tile_width=240, tile_height=240, overlap=8, tile_prompts="a\nb\nc\nd")


def test_unknown_kinds_of_checkpoints(host: FakeHost) -> None:
    Told(host, is_sd1=False)
    with pytest.raises(RequestError, match="of this kind of checkpoint"):
        _canvas(host, "sky\nwall")


def test_lengths_that_such_a_network_cannot_mix(host: FakeHost) -> None:
    told = Told(host, is_sd1=False, is_sd3=True)
    host.module("prompt_parser").LENGTHS.update(sky=3)
    with pytest.raises(TrueScaleError, match=r"of different lengths.*1, 3 tokens"):
        _canvas(host, "sky\nwall")
    assert not told.calls
    host.module("prompt_parser").LENGTHS.clear()
    _canvas(host, "sky\ndoor")
    assert told.calls


def test_a_network_that_is_told_in_another_way_is_noticed(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    module = host.module("sd_samplers_cfg_denoiser").CFGDenoiser

    def call(self: Any, x: Any, sigma: Any, image_cond: Any, texts: Any) -> torch.Tensor:
        return self.inner_model(torch.cat([x] * len(texts)), sigma.repeat(2), cond={"words": torch.cat(texts)})

    monkeypatch.setattr(module, "_call", call)
    host.module("sd_models").model_data.sd_model = SimpleNamespace(is_sd1=True, apply_model=lambda x, *_, **__: x)
    with pytest.raises(TrueScaleError, match="sampled without the prompts of its tiles"):
        _canvas(host, "sky\nwall")


# -- what the picture says ---------------------------------------------------------------------------------------------


def _pasted(host: FakeHost, text: str) -> str:
    from sd_upscaling import script_of

    found = host.module("infotext_utils").parse_generation_parameters(text)
    script = script_of(host)
    (value,) = [
        function(found)
        for component, function in script.infotext_fields
        if component.elem_id == "truescale_sd_tile_prompts"
    ]
    return value


@pytest.mark.parametrize("engine", ["Tiles", "One canvas"])
@pytest.mark.parametrize("lines", ["sky: blue, wide\n", '"sky"\nwall \\(old\\), 512x512', "\n하늘, 구름"])
def test_a_picture_brings_its_lines_back(engine: str, lines: str, host: FakeHost) -> None:
    text = _canvas(host, lines, engine=engine).infotexts[0]
    assert text.startswith("a cat\n")
    assert _pasted(host, text) == lines


def test_a_single_line_comes_back_as_it_was(host: FakeHost) -> None:
    """The host would take it for a size, or without its quotation marks."""
    for line in ("512x512", '"sky"'):
        values = {"tile_width": 256, "tile_height": 256, "overlap": 64, "scale": 1.0, "tile_prompts": line}
        p = img2img(host, picture(256, 256), width=256, height=256)
        text = run(host, p, **values).infotexts[0]
        assert _pasted(host, text).strip() == line


def test_lines_that_are_too_long_for_a_pictures_text_are_left_out_and_it_is_said(host: FakeHost) -> None:
    text = _canvas(host, f"sky\n{'wall ' * 5000}").infotexts[0]
    assert "TrueScale prompt of each tile" not in text
    assert any("too long to be kept" in words for words in host.warnings)


def test_without_lines_nothing_is_said(host: FakeHost) -> None:
    text = _canvas(host, " \n ").infotexts[0]
    assert "prompt of each tile" not in text
    assert _pasted(host, text) == ""


# -- what is said before -----------------------------------------------------------------------------------------------


@pytest.fixture
def plan(host: FakeHost) -> Callable[..., str]:
    panel = host.ours("places.sd_upscale.panel")
    fields = {name: None for name in ("recipe", "upscaler_2")}

    def text(**values: Any) -> str:
        found = {"width": 448, "height": 256, "steps": 4, "strength": 0.3}
        given = {**fields, "upscaler_1": "None", **PAIR, **values}
        return panel._plan_html(found, given) + panel._table_html(found, given)

    return text


def test_the_plan_says_how_many_tiles_have_one_of_their_own(plan: Callable[..., str], host: FakeHost) -> None:
    Told(host)
    for engine in ("Tiles", "One canvas"):
        said = plan(tile_prompts="sky\n", engine=engine)
        assert "1 / 2 <span>tiles with a prompt of their own</span>" in said
        assert "<td><b>1</b> sky</td><td><b>2</b> <span>the prompt above</span></td>" in said
    without = plan(tile_prompts="", engine="Tiles")
    assert "own" not in without
    assert "<span>rows x columns</span>: 1 x 2" in without


def test_the_plan_says_what_does_not_fit(plan: Callable[..., str], host: FakeHost) -> None:
    Told(host)
    said = plan(tile_prompts="a\nb\nc", engine="Tiles")
    assert said.count("there are 3 lines with prompts and 2 tiles") == 2  # beside the lines as well
    assert "<table>" not in said
    assert "AND" in plan(tile_prompts="a AND b\nc", engine="One canvas")


def test_the_table_shows_words_and_no_markup(plan: Callable[..., str], host: FakeHost) -> None:
    said = plan(tile_prompts=f"<b>sky</b>\n{'wall ' * 30}", engine="Tiles")
    assert "&lt;b&gt;sky&lt;/b&gt;" in said
    assert "wall wall…</td>" in said

"""LDSR on pictures: sizes, seeds, tiles, progress, and what goes wrong."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ldsr_models import TINY, network
from lib_upscaler.errors import BrokenModelError, Cancelled, MemoryLimitError, RequestError
from lib_upscaler.models.ldsr.network import LdsrNetwork
from lib_upscaler.models.ldsr.schedule import default_alphas
from lib_upscaler.models.ldsr.settings import LdsrSettings
from lib_upscaler.running.ldsr import decoding, sampler
from lib_upscaler.running.ldsr.denoiser import SMALLER_TILES, WIDER_NUMBERS
from lib_upscaler.running.ldsr.sampler import DECODED_IN_TILES, LdsrResult, LdsrSampler

CPU = torch.device("cpu")
LEVEL = 1 / 255


class PlainUNet(nn.Module):
    """Looks at each position by itself, so that tiles change nothing. areas: what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.output_blocks = nn.ModuleList()
        self.areas: list[tuple[int, int, int]] = []

    def forward(self, x: Tensor, t: Tensor, on_block: Callable[[], None] = lambda: None) -> Tensor:
        self.areas.append((x.shape[0], x.shape[3], x.shape[2]))
        on_block()
        return 0.8 * x[:, :3] - 0.2 * x[:, 3:] + 1e-5 * t[:, None, None, None]


class PlainStage(nn.Module):
    """Repeats each position."""

    def __init__(self) -> None:
        super().__init__()
        self.layout, self.decoder = TINY.decoder, nn.Module()
        self.decoder.up = nn.ModuleList()
        self.post_quant_conv = nn.Conv2d(3, 3, 1)

    def forward(self, z: Tensor, on_block: Callable[[], None] = lambda: None) -> Tensor:
        on_block()
        return z.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)


class LocalStage(PlainStage):
    """Repeats each position, and adds what tells where in its own latent it is."""

    def forward(self, z: Tensor, on_block: Callable[[], None] = lambda: None) -> Tensor:
        y = super().forward(z, on_block)
        return 0.3 * y.clamp(-1, 1) + torch.linspace(0, 0.5, y.shape[3]) * torch.linspace(0, 1, y.shape[2])[:, None]


@pytest.fixture
def plain() -> LdsrNetwork:
    """Quick."""
    return LdsrNetwork(TINY, PlainUNet(), PlainStage(), default_alphas())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def real() -> LdsrNetwork:
    """A network of the real kind, though tiny."""
    return network(TINY)


@pytest.fixture(scope="module")
def undecoded() -> LdsrNetwork:
    """A UNet of the real kind, of whose latent each position is only repeated."""
    return LdsrNetwork(TINY, network(TINY).unet, PlainStage(), default_alphas())  # type: ignore[arg-type]


def picture(width: int, height: int, seed: int = 0) -> Tensor:
    rough = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
    return F.avg_pool2d(rough, 5, 1, 2) if min(width, height) > 4 else rough


def upscale(net: LdsrNetwork, image: Tensor, *words, **settings) -> LdsrResult:
    return LdsrSampler(net).upscale(image, LdsrSettings(**settings), CPU, *words)


class Listener:
    """Hears all, and stops after so many calls of ``advance``."""

    def __init__(self, stop_after: float = math.inf) -> None:
        self.fractions: list[float] = []
        self.notes: list[str] = []
        self.shown: list[Callable[[], Image.Image]] = []
        self._stop_after = stop_after

    def advance(self, fraction: float, note: str = "") -> None:
        self.fractions.append(fraction)
        self.notes.append(note)

    def cancelled(self) -> bool:
        return len(self.fractions) >= self._stop_after

    def preview(self, make: Callable[[], Image.Image]) -> None:
        self.shown.append(make)


# -- what comes out ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "webui"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (5, 3), (7, 90), (71, 65), (133, 64)])
def test_any_size_comes_out_four_times_as_large(plain: LdsrNetwork, mode: str, width: int, height: int) -> None:
    result = upscale(plain, picture(width, height), mode=mode, steps=2)
    assert result.picture.shape == (3, 4 * height, 4 * width)
    assert result.picture.dtype == torch.float32
    assert 0 <= float(result.picture.min()) < float(result.picture.max()) <= 1


def test_a_small_picture_is_mirrored_and_not_cut(plain: LdsrNetwork) -> None:
    """A network that looks at each position by itself must see the picture at its own place."""
    small = picture(10, 9)
    large = torch.cat([small, small.flip(2)[:, :, 1:]], dim=2)
    assert torch.equal(upscale(plain, small, steps=3).picture, upscale(plain, large, steps=3).picture[:, :36, :40])


def test_the_picture_decides_what_comes_out(real: LdsrNetwork) -> None:
    one, other = (upscale(real, picture(64, 64, seed), steps=2).picture for seed in (0, 1))
    assert float((one - other).abs().mean()) > 2 * LEVEL
    assert float(one.std()) > 5 * LEVEL


def test_three_seeds_twice(undecoded: LdsrNetwork) -> None:
    first, second = ([upscale(undecoded, picture(30, 40), steps=2, seed=n).picture for n in range(3)] for _ in range(2))
    assert all(torch.equal(one, again) for one, again in zip(first, second))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert float((first[one] - first[other]).abs().mean()) > 2 * LEVEL


def test_nobody_elses_random_numbers_are_touched(undecoded: LdsrNetwork) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = upscale(undecoded, picture(30, 40), steps=2).picture
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    assert torch.equal(one, upscale(undecoded, picture(30, 40), steps=2).picture)


@pytest.mark.parametrize("settings", [{"sampler": "ddim"}, {"sampler": "ddim", "eta": 1.0}, {"mode": "webui"}])
def test_samplers_differ(plain: LdsrNetwork, settings: dict) -> None:
    usual = upscale(plain, picture(64, 64), steps=5).picture
    assert float((upscale(plain, picture(64, 64), steps=5, **settings).picture - usual).abs().max()) > LEVEL


@pytest.mark.parametrize("steps", [1, 2, 3, 9, 36, 37, 60, 101, 111, 150, 200])
def test_steps_that_the_webui_rounds_or_fails_with(plain: LdsrNetwork, steps: int) -> None:
    check_steps(plain, steps)


@pytest.mark.long
def test_every_number_of_steps(plain: LdsrNetwork) -> None:
    for steps in range(1, 201):
        check_steps(plain, steps)


def check_steps(plain: LdsrNetwork, steps: int) -> None:
    for mode in ("auto", "webui"):
        plain.unet.areas.clear()  # type: ignore[union-attr, operator]
        result = upscale(plain, picture(20, 20), mode=mode, steps=steps)
        assert bool(torch.isfinite(result.picture).all())
        assert len(plain.unet.areas) == result.steps == (steps if mode == "auto" else -(-1000 // (1000 // steps)))  # type: ignore[arg-type]


# -- tiles -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"sampler": "ddim", "eta": 1.0}])
def test_tiles_get_their_part_of_the_canvas_and_go_back_to_their_places(plain: LdsrNetwork, settings: dict) -> None:
    """With a network that looks at each position by itself, the result must not know of tiles."""
    image = picture(200, 150)
    whole = upscale(plain, image, steps=4, **settings).picture
    tiled = upscale(plain, image, steps=4, tile=64, **settings)
    assert len(tiled.plan.grid(0).tiles) > 6
    assert torch.allclose(tiled.picture, whole, atol=1e-5)


def test_tiles_of_a_real_network_change_less_than_another_seed(undecoded: LdsrNetwork) -> None:
    """Its norms and its attention look at all that there is, so that some difference there is. Random weights and the
    smallest tiles make it large: 0.3 of what another seed changes."""
    image = picture(120, 64)
    whole = upscale(undecoded, image, steps=4).picture
    tiled = upscale(undecoded, image, steps=4, tile=64)
    other_seed = upscale(undecoded, image, steps=4, seed=1).picture
    difference = float((tiled.picture - whole).abs().mean())
    assert len(tiled.plan.grid(0).tiles) > 1
    assert 0 < difference < 0.5 * float((other_seed - whole).abs().mean())


def test_how_many_are_run_at_once_changes_nothing(real: LdsrNetwork) -> None:
    latents: list[Tensor] = []

    def decode(latent: Tensor, progress: object) -> Tensor:
        latents.append(latent)
        return torch.zeros(1, 3, 1, 1)

    for batch in (1, 4, 8):
        settings = LdsrSettings(steps=1, tile=64, batch=batch)
        result = LdsrSampler(real, decode).upscale(picture(560, 64), settings, CPU)
    tiles = result.plan.grid(0).tiles
    assert sum(tile.width == 64 for tile in tiles) >= 8
    for latent in latents[1:]:
        assert torch.allclose(latent, latents[0], rtol=0, atol=1e-4)  # of values up to 30, after one step


def test_the_unet_is_run_on_as_many_pixels_as_were_forecast(plain: LdsrNetwork) -> None:
    image = picture(200, 150)
    for settings in (LdsrSettings(steps=3), LdsrSettings(steps=3, tile=64, batch=4), LdsrSettings("webui", steps=3)):
        plain.unet.areas.clear()  # type: ignore[union-attr, operator]
        engine = LdsrSampler(plain)
        told = engine.forecast(sampler.Size(200, 150), settings, CPU)
        engine.upscale(image, settings, CPU)
        areas: list[tuple[int, int, int]] = plain.unet.areas  # type: ignore[assignment]
        assert sum(math.prod(area) for area in areas) == told.pixel_steps
        assert max(count for count, _, _ in areas) <= told.batch


# -- the WebUI's arithmetic --------------------------------------------------------------------------------------------


def as_the_webui(net: LdsrNetwork, image: Tensor, steps: int, seed: int) -> Tensor:
    """Its arithmetic put down once more, with its ``Fold``: ``(3, H, W)`` about [-1, 1], of a picture of its sizes."""
    torch.manual_seed(seed)
    alphas = torch.from_numpy(net.alphas)
    condition = image[None] * 2 - 1
    x = torch.randn(condition.shape)

    def in_patches(function: Callable[[Tensor], Tensor], z: Tensor, up: int) -> Tensor:
        unfold = torch.nn.Unfold(128, stride=64)
        fold = torch.nn.Fold([side * up for side in z.shape[2:]], 128 * up, stride=64 * up)
        patches = unfold(z).view(1, z.shape[1], 128, 128, -1)
        count = patches.shape[-1]
        position = torch.stack(torch.meshgrid(torch.arange(128 * up), torch.arange(128 * up), indexing="ij"), -1)
        share = position / (128 * up - 1)
        weight = torch.minimum(share.min(-1)[0], (1 - share).min(-1)[0]).clip(0.01, 0.5)
        done = torch.stack([function(patches[..., n]) * weight for n in range(count)], -1)
        total = fold(weight.reshape(1, -1, 1).repeat(1, 1, count))
        return fold(done.view(1, -1, count)) / total

    times = [t for t in range(1, 1001, 1000 // steps) if t < 1000]
    for number in reversed(range(len(times))):
        t = times[number]
        a, a_before = float(alphas[t]), float(alphas[times[number - 1] if number else 0])
        both = torch.cat([x, condition], dim=1)
        eps = in_patches(lambda one, t=t: net.unet(one, torch.tensor([t])), both, 1)
        sigma = math.sqrt((1 - a_before) / (1 - a) * (1 - a / a_before))
        clean = (x - math.sqrt(1 - a) * eps) / math.sqrt(a)
        x = math.sqrt(a_before) * clean + math.sqrt(1 - a_before - sigma**2) * eps + sigma * torch.randn(x.shape)
    return in_patches(net.first_stage, x, 4)[0]


def test_the_webuis_arithmetic(undecoded: LdsrNetwork) -> None:
    local = LdsrNetwork(TINY, undecoded.unet, LocalStage(), default_alphas())  # type: ignore[arg-type]
    image = picture(192, 128)
    with torch.inference_mode():
        expected = (as_the_webui(local, image, 2, seed=11).clamp(-1, 1) + 1) / 2
    result = upscale(local, image, mode="webui", steps=2, seed=11)
    assert float((result.picture - expected).abs().max()) < 0.1 * LEVEL
    assert float(expected.std()) > 5 * LEVEL


def test_the_webui_repeats_the_border(plain: LdsrNetwork) -> None:
    image = picture(100, 90)
    grown = F.pad(image[None], (0, 28, 0, 38), mode="replicate")[0]
    one, other = (upscale(plain, one, mode="webui", steps=2).picture for one in (image, grown))
    assert torch.equal(one, other[:, :360, :400])


def test_what_is_otherwise_than_asked_for_is_said(plain: LdsrNetwork) -> None:
    assert any("fails with 9 steps" in words for words in upscale(plain, picture(9, 9), mode="webui", steps=9).warnings)
    assert upscale(plain, picture(9, 9), mode="webui", steps=10).warnings == ()
    plain.notes = ("the file is odd",)
    assert upscale(plain, picture(9, 9), steps=1).warnings == ("the file is odd",)


# -- progress ----------------------------------------------------------------------------------------------------------


def test_progress_by_step_and_tile(plain: LdsrNetwork) -> None:
    heard = Listener()
    upscale(plain, picture(150, 60), None, heard, steps=3, tile=64)
    assert heard.fractions == sorted(heard.fractions)
    assert heard.fractions[-1] == 1
    tiles = [note.partition(", tile ")[2] for note in dict.fromkeys(heard.notes) if note.startswith("step 2 of 3")]
    assert len(tiles) > 2
    assert tiles == [f"{number} of {len(tiles)}" for number in range(1, len(tiles) + 1)]
    assert any(note.startswith("decoding") for note in heard.notes)


@pytest.mark.parametrize("settings", [{"tile": 64}, {"mode": "webui"}])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_cancel_is_heard_within_one_batch_of_one_step(plain: LdsrNetwork, settings: dict, after: int) -> None:
    with pytest.raises(Cancelled):
        upscale(plain, picture(200, 200), None, Listener(stop_after=after), steps=5, **settings)
    assert len(plain.unet.areas) == after  # type: ignore[arg-type]


def test_a_cancel_is_heard_within_a_call_of_the_unet_and_of_the_decoder(real: LdsrNetwork) -> None:
    heard = Listener()
    upscale(real, picture(20, 20), None, heard, steps=1)
    first_of_decoding = next(n for n, note in enumerate(heard.notes) if note.startswith("decoding"))
    for after in (2, first_of_decoding + 2):
        stopping = Listener(stop_after=after)
        with pytest.raises(Cancelled):
            upscale(real, picture(20, 20), None, stopping, steps=1)
        assert len(stopping.fractions) == after


def test_what_the_picture_is_thought_to_be_is_offered_after_each_step(plain: LdsrNetwork) -> None:
    heard, latents = Listener(), list[Tensor]()

    def decode(latent: Tensor, progress: object) -> Tensor:
        latents.append(latent)
        return plain.first_stage(latent)

    LdsrSampler(plain, decode).upscale(picture(192, 96), LdsrSettings(steps=3), CPU, None, heard)
    assert len(heard.shown) == 3
    shown = [np.asarray(make(), np.float32) for make in heard.shown]
    assert shown[0].shape == (192, 384, 3)  # half the latent, four times as large
    clean = F.avg_pool2d(latents[0], 2)[0].clamp(-1, 1).permute(1, 2, 0).numpy()  # the last step's is what comes out
    assert np.abs(shown[-1][::4, ::4] - (clean + 1) * 127.5).max() <= 1
    assert np.abs(shown[0] - shown[-1]).max() > 5


# -- memory, and what goes wrong ---------------------------------------------------------------------------------------


def limited(net: LdsrNetwork, monkeypatch: pytest.MonkeyPatch, area: int) -> None:
    """The UNet runs out of memory with more latent px than that."""
    run = net.unet.forward

    def forward(x: Tensor, *words) -> Tensor:
        if x.shape[0] * x.shape[2] * x.shape[3] > area:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return run(x, *words)

    monkeypatch.setattr(net.unet, "forward", forward)


def test_out_of_memory_smaller_tiles_are_used_and_it_is_said(
    plain: LdsrNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture(200, 150)
    usual = upscale(plain, image, steps=2)
    limited(plain, monkeypatch, 100 * 100)
    result = upscale(plain, image, steps=2)
    assert torch.allclose(result.picture, usual.picture, atol=1e-5)
    assert result.warnings == (SMALLER_TILES,)
    assert result.plan.tile is not None
    assert result.plan.tile <= 100


@pytest.mark.parametrize(("settings", "area"), [({}, 60 * 60), ({"mode": "webui"}, 120 * 120)])
def test_out_of_memory_with_the_smallest_tiles(
    plain: LdsrNetwork, monkeypatch: pytest.MonkeyPatch, settings: dict, area: int
) -> None:
    limited(plain, monkeypatch, area)
    with pytest.raises(MemoryLimitError):
        upscale(plain, picture(200, 150), steps=2, **settings)


def test_out_of_memory_fewer_of_the_webuis_patches_are_run_at_once(
    plain: LdsrNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture(200, 150)
    usual = upscale(plain, image, mode="webui", steps=2)
    limited(plain, monkeypatch, 128 * 128)
    result = upscale(plain, image, mode="webui", steps=2, batch=4)
    assert result.plan.batch == 1
    assert torch.allclose(result.picture, usual.picture, atol=1e-5)


def test_other_errors_come_through(plain: LdsrNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Tensor:
        raise RuntimeError("something else")

    monkeypatch.setattr(plain.unet, "forward", fails)
    with pytest.raises(RuntimeError, match="something else"):
        upscale(plain, picture(20, 20), steps=1)


def test_where_the_decoder_does_not_fit_it_decodes_in_tiles_and_says_so(plain: LdsrNetwork) -> None:
    image = picture(300, 200)
    whole = upscale(plain, image, steps=2)
    tiled = upscale(plain, image, 400_000_000, steps=2)
    assert tiled.warnings == (DECODED_IN_TILES,)
    assert torch.allclose(tiled.picture, whole.picture, atol=1e-5)


def test_the_decoder_can_be_exchanged(plain: LdsrNetwork) -> None:
    given: list[Tensor] = []

    def decode(latent: Tensor, progress: object) -> Tensor:
        given.append(latent)
        return torch.full((1, 3, 4 * latent.shape[2], 4 * latent.shape[3]), 0.5)

    plain.scale_factor = 2.0
    result = LdsrSampler(plain, decode).upscale(picture(70, 60), LdsrSettings(steps=2), CPU)
    assert result.picture.shape == (3, 240, 280)
    assert float(result.picture.min()) == float(result.picture.max()) == 0.75
    ours = decoding.decode_whole(plain.first_stage, given[0], Listener())
    unchanged = LdsrSampler(plain).upscale(picture(70, 60), LdsrSettings(steps=2), CPU)
    assert torch.equal((ours[0, :, :240, :280].clamp(-1, 1) + 1) / 2, unchanged.picture)


def test_memory_that_runs_out_elsewhere_is_said_in_words(plain: LdsrNetwork) -> None:
    def decode(latent: Tensor, progress: object) -> Tensor:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    with pytest.raises(MemoryLimitError, match="not enough memory for LDSR"):
        LdsrSampler(plain, decode).upscale(picture(20, 20), LdsrSettings(steps=1), CPU)


def test_numbers_that_are_not_finite(plain: LdsrNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    class Overflowing(PlainUNet):
        def forward(self, x: Tensor, t: Tensor, on_block: Callable[[], None] = lambda: None) -> Tensor:
            eps = super().forward(x, t, on_block)
            return eps if x.dtype == torch.float32 else eps * math.inf

    usual = upscale(plain, picture(20, 20), steps=2)
    plain.unet = Overflowing()  # type: ignore[assignment]
    monkeypatch.setattr(plain, "unet_for", lambda device, dtype: plain.unet)
    result = upscale(plain, picture(20, 20), steps=2, precision="bf16")
    assert WIDER_NUMBERS in result.warnings
    assert torch.equal(result.picture, usual.picture)

    monkeypatch.setattr(plain.unet, "forward", lambda x, t, on_block: x[:, :3] * math.nan)
    with pytest.raises(BrokenModelError):
        upscale(plain, picture(20, 20), steps=2)


def test_half_precision_on_request(undecoded: LdsrNetwork) -> None:
    usual = upscale(undecoded, picture(30, 30), steps=2)
    half = upscale(undecoded, picture(30, 30), steps=2, precision="bf16")
    assert (usual.precision.word, half.precision.word) == ("float32", "bfloat16")
    assert usual.precision.decibels is None
    assert 20 < (half.precision.decibels or 0) < 60
    assert 0 < float((half.picture - usual.picture).abs().mean()) < 8 * LEVEL
    with pytest.raises(RequestError):
        upscale(undecoded, picture(30, 30), steps=2, precision="fp16")

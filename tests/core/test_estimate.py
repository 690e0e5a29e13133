"""What is told before an upscale is what the upscale then reports; it costs no run, no probe and no second look."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from effort import rounds
from lib_upscaler import store
from lib_upscaler.errors import Cancelled, MemoryLimitError, ModelNotFoundError, SizeError, TrueScaleError
from lib_upscaler.estimates import Estimate, estimate
from lib_upscaler.geometry import Size
from lib_upscaler.models import network
from lib_upscaler.models.card import read_card
from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.planning.sizing import ByDimensions, ByLongestSide, ByScale
from lib_upscaler.request import UpscaleReport, UpscaleRequest
from lib_upscaler.running import limits, precision
from lib_upscaler.running.heap import can_steady_heap, return_heap
from lib_upscaler.running.speeds import learn, network_names
from reference import CPU, photo
from small_networks import NETWORKS, compact, rrdb, save_pth

STATES = {
    "one": compact(scale=1, features=4, layers=1),
    "two": compact(scale=2, features=8, layers=2),
    "four": compact(scale=4, features=8, layers=2, seed=3),
    "grey": compact(scale=2, channels=1, features=8, layers=2, seed=4),
    "rgba": compact(scale=2, channels=4, features=8, layers=2, seed=5),
    "bands": rrdb(blocks=1),
    "unshuffle": rrdb(scale=2, shuffle=2, blocks=1),
    "global": NETWORKS["RealCUGAN-x2"].build(),
    "square": NETWORKS["Uformer"].build(),
}


SMALL, USUAL = Size(30, 20), Size(120, 90)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, state in STATES.items():
        save_pth(state, folder / f"{name}.pth")
    return folder


@pytest.fixture(scope="module")
def upscaler(folder: Path) -> Upscaler:
    return Upscaler(ModelLibrary([folder]), device="cpu")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder where nothing was learned yet."""
    monkeypatch.setenv("TRUESCALE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _next_process() -> None:
    """Forget what is not on the disk."""
    store._shared_cache.cache_clear()


def _image(size: Size, channels: int = 3, alpha: bool = False) -> Image.Image:
    image = Image.fromarray(photo(size.width, size.height)).convert("L" if channels == 1 else "RGB")
    if alpha:
        image.putalpha(Image.fromarray(photo(size.width, size.height, 1)[..., 0]))
    return image


def _request(model: str = "two", **wanted: Any) -> UpscaleRequest:
    return UpscaleRequest(model, **{"precision": "exact", **wanted})


def _estimate(upscaler: Upscaler, source: Size = SMALL, transparent: bool = False, **wanted: Any) -> Estimate:
    return estimate(upscaler, source, _request(**wanted), transparent)


def _run(upscaler: Upscaler, source: Size = SMALL, **wanted: Any) -> UpscaleReport:
    return upscaler.upscale(_image(source), _request(**wanted)).report


# -- what is told is what is done --------------------------------------------------------------------------------------


def _jobs(count: int) -> Iterator[tuple[Size, int, bool, UpscaleRequest]]:
    """Pictures and requests of all kinds: size, colours, whether there is alpha, what to do."""
    chance = random.Random(7)
    for _ in range(count):
        model, second = chance.choice(list(STATES)), chance.choice([None, None, *STATES])
        size = Size(*chance.choice([(30, 20), (64, 48), (90, 70), (200, 30), (25, 80)]))
        if {"square", "global"} & {model, second}:  # the slow ones
            size = Size(min(size.width, 64), min(size.height, 64))
        scales = [None, ByScale(2), ByScale(4), ByScale(3), ByScale(0.5), ByLongestSide(size.longest)]
        boxes = [ByDimensions(150, 90, "crop"), ByDimensions(90, 150, "pad"), ByDimensions(100, 100, "stretch")]
        limits = [None, None, 10**5, 6 * 10**7, 62_500_000, 64_000_000, 10**8]
        request = UpscaleRequest(
            model,
            second,
            visibility=chance.choice([0.3, 1, 0]) if second else 0.0,
            size=chance.choice(scales + boxes),
            precision=chance.choice(["exact", "exact", "bf16", "auto"]),
            tile=chance.choice(["auto", "auto", "none", 48 if "global" in (model, second) else 24, 64]),
            memory=chance.choice(limits),
            alpha=chance.choice(["network", "fast", "drop"]),
            always=chance.random() < 0.3,
        )
        yield size, chance.choice([1, 3, 3]), chance.random() < 0.3, request


def _outcome(told: Estimate | UpscaleReport) -> tuple[object, ...]:
    output = told.output if isinstance(told, Estimate) else told.output_size
    return output, told.passes, told.strategy, told.tiles, told.precision


def _reported(upscaler: Upscaler, image: Image.Image, request: UpscaleRequest) -> UpscaleReport | TrueScaleError:
    try:
        return upscaler.upscale(image, request).report
    except TrueScaleError as error:
        return error


def test_it_is_what_the_run_reports(upscaler: Upscaler) -> None:
    """Of 75 jobs; of 600 with ``pytest --long``."""
    seen: Counter[str] = Counter()
    for size, channels, alpha, request in _jobs(rounds(600)):
        found = estimate(upscaler, size, request, alpha, channels)
        job = (size, channels, alpha, request)
        report = _reported(upscaler, _image(size, channels, alpha), request)
        if isinstance(report, TrueScaleError):
            assert (found.problem, found.fits) == (str(report), False), job
            seen[type(report).__name__] += 1
            continue
        assert _outcome(found) == _outcome(report), job
        assert found.problem == "", job
        # Seams that do not agree widen it in the run.
        assert found.margin <= report.margin, job
        seen[f"{report.strategy}, margin {'as told' if found.margin == report.margin else 'wider'}"] += 1
        if request.memory is not None and report.passes:
            assert found.memory_bytes <= request.memory, job

    kinds = ("resampled", "whole", "whole, in bands", "tiles")
    assert all(seen[f"{kind}, margin as told"] for kind in kinds), seen
    assert seen["tiles, margin as told"] > 10, seen
    assert seen["SizeError"], seen
    assert seen["MemoryLimitError"], seen


@pytest.mark.parametrize(
    ("transparent", "wanted"),
    [
        (False, dict(model="two")),
        (False, dict(model="grey")),
        (False, dict(model="two", size=ByScale(4))),
        (False, dict(model="two", size=ByScale(3))),
        (False, dict(model="one", model2="four", visibility=0.5, size=ByScale(2))),
        (True, dict(model="two")),
        (True, dict(model="rgba")),
    ],
)
def test_tiles_begin_at_the_same_byte(transparent: bool, wanted: dict[str, Any], upscaler: Upscaler) -> None:
    source = Size(150, 100)
    low, high = 60_000_000, 100_000_000  # bytes that are too few, and enough, for the whole picture
    while high - low > 1:
        middle = (low + high) // 2
        whole = _estimate(upscaler, source, transparent, **wanted, memory=middle).tiles == 1
        low, high = (low, middle) if whole else (middle, high)
    told = _estimate(upscaler, source, transparent, **wanted, memory=high).memory_bytes
    assert high <= told <= 1.01 * high  # above it: the other channels, where a grey network gets them one by one
    for limit, tiles in ((high, 1), (low, _estimate(upscaler, source, transparent, **wanted, memory=low).tiles)):
        image = _image(source, alpha=transparent)
        report = _reported(upscaler, image, _request(**wanted, memory=limit))
        assert isinstance(report, UpscaleReport) == (tiles > 0), limit
        assert tiles == 0 or report.tiles == tiles, limit


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        (dict(size=ByDimensions(300_000, 200_000)), SizeError),
        (dict(size=ByScale(30), memory=1000), SizeError),
        (dict(memory=10**7), MemoryLimitError),
        (dict(memory=10**7, tile="none"), MemoryLimitError),
        (dict(memory=10**7, tile=64), MemoryLimitError),
        (dict(precision="fp16"), TrueScaleError),
    ],
)
def test_a_problem_is_told_in_the_words_of_the_run(
    wanted: dict[str, Any], kind: type[TrueScaleError], upscaler: Upscaler
) -> None:
    found = _estimate(upscaler, Size(200, 200), **wanted)
    with pytest.raises(kind) as caught:
        _run(upscaler, Size(200, 200), **wanted)

    assert found.problem == str(caught.value)
    assert found.seconds is None
    assert found.memory_bytes > 0


def test_the_size_is_told_with_a_problem_too(upscaler: Upscaler) -> None:
    found = _estimate(upscaler, size=ByDimensions(300_000, 200_000))

    assert found.output == Size(300_000, 200_000)
    assert found.memory_bytes > found.free_bytes


def test_without_a_size_or_a_model_there_is_no_estimate(upscaler: Upscaler) -> None:
    with pytest.raises(SizeError):
        _estimate(upscaler, Size(1, 3), size=ByDimensions(width=2**31 - 1))
    with pytest.raises(ModelNotFoundError, match="fourteen"):
        _estimate(upscaler, model="fourteen")


# -- it costs nothing --------------------------------------------------------------------------------------------------


def test_a_new_model_is_read_once(own_cache: Path, upscaler: Upscaler, loads: list[str]) -> None:
    first = _estimate(upscaler, model="four")
    again = _estimate(upscaler, Size(31, 21), model="four")
    _next_process()
    later = _estimate(upscaler, model="four")

    assert loads == ["four"]
    assert (first.output, again.output) == (Size(120, 80), Size(124, 84))
    assert replace(later, free_bytes=0) == replace(first, free_bytes=0)


def test_a_model_with_a_card_is_not_read_again(
    own_cache: Path, folder: Path, upscaler: Upscaler, loads: list[str]
) -> None:
    read_card(folder / "four.pth")

    assert _estimate(upscaler, model="four").output == Size(120, 80)
    assert loads == []


def test_a_file_that_has_changed_is_looked_at_again(own_cache: Path, tmp_path: Path) -> None:
    path = save_pth(STATES["two"], tmp_path / "net.pth")
    upscaler = Upscaler(ModelLibrary([tmp_path]), device="cpu")
    assert _estimate(upscaler, model="net").output == Size(60, 40)
    save_pth(STATES["four"], path)
    os.utime(path, ns=(1, 1_000_000_000))

    assert _estimate(upscaler, model="net").output == Size(120, 80)


def test_an_estimate_neither_runs_nor_probes_nor_writes(
    own_cache: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: True)
    _estimate(upscaler)
    monkeypatch.setattr(network._Copy, "run", lambda *_: pytest.fail("a network ran"))
    before = {path.name: path.read_bytes() for path in own_cache.iterdir()}
    for wanted in ("auto", "bf16", "exact"):
        _estimate(upscaler, Size(300, 200), precision=wanted)

    assert {path.name: path.read_bytes() for path in own_cache.iterdir()} == before


# -- precision ---------------------------------------------------------------------------------------------------------


def test_auto_is_float32_until_it_is_measured(
    own_cache: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "ACCEPTED_TIME", 1e9)
    size = Size(130, 100)
    before = _estimate(upscaler, size, precision="auto")
    report = _run(upscaler, size, precision="auto")
    after = _estimate(upscaler, size, precision="auto")

    assert (before.precision, report.precision, after.precision) == ("float32", "bfloat16", "bfloat16")
    assert after.memory_bytes < before.memory_bytes
    assert _estimate(upscaler, Size(30, 20), precision="auto").precision == "float32"  # small ones always are


def test_a_precision_asked_for_is_told_before_it_is_measured(own_cache: Path, upscaler: Upscaler) -> None:
    assert _estimate(upscaler, Size(130, 100), precision="bf16").precision == "bfloat16"


# -- time --------------------------------------------------------------------------------------------------------------


def test_time_is_not_known_before_a_run(own_cache: Path, upscaler: Upscaler) -> None:
    assert _estimate(upscaler).seconds is None
    assert _estimate(upscaler, size=ByScale(0.5)).seconds is None


@pytest.mark.alone
@pytest.mark.parametrize(
    "wanted",
    [
        dict(),
        dict(tile=32),
        dict(size=ByScale(3)),
        dict(size=ByScale(0.5)),
        dict(model="grey"),
        dict(model2="four", visibility=0.5),
    ],
)
def test_the_same_job_is_expected_to_take_as_long_again(
    wanted: dict[str, Any], own_cache: Path, upscaler: Upscaler
) -> None:
    report = _run(upscaler, USUAL, **wanted)

    assert _estimate(upscaler, USUAL, **wanted).seconds == pytest.approx(report.seconds, rel=0.05, abs=0.01)


def test_a_cancelled_run_teaches_nothing(own_cache: Path, upscaler: Upscaler) -> None:
    stop = SimpleNamespace(calls=0, advance=lambda *_: None)

    def cancelled() -> bool:
        stop.calls += 1
        return stop.calls > 6

    stop.cancelled = cancelled
    with pytest.raises(Cancelled):
        upscaler.upscale(_image(USUAL), UpscaleRequest("two", precision="exact", tile=32), stop)

    assert _estimate(upscaler, USUAL).seconds is None


@pytest.fixture
def taught(own_cache: Path, upscaler: Upscaler) -> Upscaler:
    """A machine that does a billion multiply-accumulates of these models in a second."""
    for entry in upscaler.library.models():
        name, kinds = network_names(read_card(entry.path), "float32")
        learn(name, CPU, 1e9, 1.0, kinds)
    return upscaler


def test_twice_the_picture_takes_twice_as_long(taught: Upscaler) -> None:
    one, two = (_estimate(taught, Size(width, 300)).seconds for width in (300, 600))

    assert two == pytest.approx(2 * one)


def test_time_follows_from_the_work(taught: Upscaler) -> None:
    # Multiply-accumulates per px of 3x3 convolutions: 3 to 8, twice 8 to 8, 8 to 3 * 2 * 2 channels.
    convolutions = 9 * (3 * 8 + 2 * 8 * 8 + 8 * 12)
    seconds = _estimate(taught, Size(1000, 1000)).seconds

    assert 1e6 * convolutions / 1e9 <= seconds <= 1.5 * 1e6 * convolutions / 1e9


def test_overlap_counts(taught: Upscaler) -> None:
    size = Size(256, 256)
    whole, tiles = _estimate(taught, size), _estimate(taught, size, tile=32)
    # 8 x 8 cores of 32 px, with the margin on all sides but the picture's border.
    along = 2 * (32 + tiles.margin) + 6 * (32 + 2 * tiles.margin)

    assert tiles.tiles == 64
    assert tiles.seconds / whole.seconds == pytest.approx((along / 256) ** 2)


def test_both_models_all_passes_and_alpha_count(taught: Upscaler) -> None:
    def seconds(**wanted: Any) -> float:
        return _estimate(taught, USUAL, **wanted).seconds

    two, four = seconds(), seconds(model="four")
    assert seconds(model2="four", visibility=1.0) == pytest.approx(four)
    assert seconds(model2="four", visibility=0.5, size=ByScale(2)) == pytest.approx(two + four)
    assert seconds(size=ByScale(4)) == pytest.approx(two + 4 * two)
    assert seconds(transparent=True) == pytest.approx(2 * two)
    assert seconds(transparent=True, alpha="fast") == pytest.approx(two)
    assert seconds(transparent=True, model="rgba") == pytest.approx(seconds(model="rgba"))
    grey = estimate(taught, USUAL, _request("grey"), channels=1).seconds
    assert seconds(model="grey") == pytest.approx(3 * grey)


def test_another_model_lends_its_speed(own_cache: Path, upscaler: Upscaler) -> None:
    name, kinds = network_names(read_card(upscaler.library.find("two").path), "float32")
    learn(name, CPU, 1e9, 1.0, kinds)

    for model in ("four", "bands"):  # of the same architecture, and of another one
        assert _estimate(upscaler, model=model).seconds is not None


# -- memory ------------------------------------------------------------------------------------------------------------


def test_free_memory_is_a_share_of_what_is_free_and_at_most_the_limit(
    upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "available_bytes", lambda _: 10**9)

    assert _estimate(upscaler).free_bytes == 700_000_000
    assert _estimate(upscaler, memory=5 * 10**9).free_bytes == 700_000_000
    assert _estimate(upscaler, memory=10**8).free_bytes == 10**8


@pytest.mark.alone
@pytest.mark.skipif(not can_steady_heap(CPU), reason="elsewhere memory that was freed may be used again unseen")
@pytest.mark.parametrize(
    "wanted",
    [
        dict(model="one", size=ByDimensions(5000, 4000)),  # a large resample
        dict(model="four", size=ByDimensions(3000, 2000), memory=10**9),  # passes of 16 bits
        dict(model="one", model2="two", visibility=0.5, size=ByDimensions(3000, 2000), memory=10**9),
    ],
)
def test_the_memory_told_is_enough_and_not_far_too_much(wanted: dict[str, Any], upscaler: Upscaler) -> None:
    size = Size(300, 225)
    _run(upscaler, Size(30, 20), **{**wanted, "size": ByScale(1)})
    return_heap()  # else what earlier tests have left is used again
    told = _estimate(upscaler, size, **wanted).memory_bytes
    peak = _run(upscaler, size, **wanted).peak_bytes

    assert peak <= 1.15 * told  # gaps in the heap, where other things of this process lie, count as taken too
    assert told <= 3 * peak


def test_on_another_device_only_what_lies_there_counts(upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (8 * 10**9, 10**10))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a card")
    card = Upscaler(upscaler.library, "cpu")
    card.device = torch.device("cuda", 0)
    small, large = (_estimate(card, Size(64, 64), size=ByScale(scale), model="one") for scale in (1, 30))

    assert small.free_bytes == pytest.approx(0.8 * 8e9)
    assert small.memory_bytes == large.memory_bytes  # the result of 30x is made on the CPU
    assert _estimate(card, Size(64, 64), size=ByScale(0.5)).memory_bytes == 0
    assert _estimate(card, Size(64, 64), size=ByScale(2)).memory_bytes > 0


def test_pixels_are_not_looked_at(upscaler: Upscaler) -> None:
    # A picture of this size could not even be opened.
    found = _estimate(upscaler, Size(200_000, 100_000), size=ByDimensions(400, 200))

    assert (found.output, found.strategy, found.passes) == (Size(400, 200), "resampled", 0)

"""One pass of a network: the untiled float32 network's numbers, whatever memory allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lib_upscaler.errors import BrokenModelError, Cancelled, MemoryLimitError
from lib_upscaler.geometry import Size
from lib_upscaler.models.facts import BandPlan
from lib_upscaler.models.network import UpscaleModel
from lib_upscaler.planning import budget as strategy
from lib_upscaler.planning.budget import Limits, bands_for, region_bytes
from lib_upscaler.running import engine, seams
from lib_upscaler.running.engine import PassOptions, PassResult, run
from lib_upscaler.running.precision import ChosenPrecision
from reference import CPU, levels, load, photo, true_output
from small_networks import NETWORKS, available, compact, rrdb

HERE = available()
EXACT = PassOptions(precision="exact")


class Recorder:
    """Notes what is told, and cancels once ``cancel_at`` calls have come."""

    def __init__(self, cancel_at: int = 10**9) -> None:
        self.fractions: list[float] = []
        self.notes: list[str] = []
        self.cancel_at = cancel_at

    def advance(self, fraction: float, note: str = "") -> None:
        self.fractions.append(fraction)
        self.notes.append(note)

    def cancelled(self) -> bool:
        return len(self.fractions) >= self.cancel_at


def _off(result: PassResult, true: np.ndarray) -> int:
    return int(np.abs(result.pixels.astype(int) - levels(true).astype(int)).max())


# -- whole -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [compact(), rrdb(), rrdb(scale=2, shuffle=2)], ids=["compact", "rrdb", "unshuffle"])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 90), (90, 1), (45, 37)])
def test_whole(state: dict[str, torch.Tensor], size: tuple[int, int], tmp_path: Path) -> None:
    picture = photo(*size)
    result = run(load(state, tmp_path), picture, CPU, EXACT)

    assert _off(result, true_output(state, picture)) <= 1
    assert (result.tiles, result.margin, result.seam_error) == (1, 0, 0.0)
    assert result.strategy.startswith("whole")


def test_sixteen_bits_hold_what_the_network_gave(tmp_path: Path) -> None:
    state, picture = compact(), photo(20, 20)
    result = run(load(state, tmp_path), picture, CPU, EXACT, bits=16)

    assert result.pixels.dtype == np.uint16
    assert np.abs(result.pixels - true_output(state, picture) * 257).max() < 1.5


def test_sixteen_bits_in(tmp_path: Path) -> None:
    state, picture = compact(), photo(20, 20)
    model = load(state, tmp_path)

    wide = run(model, picture.astype(np.uint16) * 257, CPU, EXACT).pixels
    assert np.array_equal(wide, run(model, picture, CPU, EXACT).pixels)


@pytest.mark.parametrize("network", [1, 3, 4])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_network_takes_any_picture(network: int, channels: int, tmp_path: Path) -> None:
    state, picture = compact(scale=2, channels=network), photo(17, 13, channels)
    result = run(load(state, tmp_path), picture, CPU, EXACT)

    if network == 1:
        planes = [true_output(state, picture[..., c : c + 1]) for c in range(channels)]
        true = np.concatenate(planes, axis=2)
    elif channels == 1:
        fed = np.concatenate([picture] * 3 + [np.full_like(picture, 255)], axis=2)[..., :network]
        true = (true_output(state, fed)[..., :3] * (0.299, 0.587, 0.114)).sum(axis=2, keepdims=True)
    else:
        opaque = np.full((13, 17, 1), 255, np.uint8)
        fed = np.concatenate([picture, opaque], axis=2)[..., :network]
        true = np.concatenate([true_output(state, fed), np.full((26, 34, 1), 255.0)], axis=2)[..., :channels]
    assert result.pixels.shape == (26, 34, channels)
    assert _off(result, true) <= 1


# -- bands -----------------------------------------------------------------------------------------------------------

SAME_NETWORK = {"ESRGAN-x4-new", "ESRGAN-x4-middle"}
"""As ESRGAN-x4: only the names of their weights differ."""
BANDABLE = [
    n
    for n in HERE
    if n.startswith(("ESRGAN", "Compact-x4", "MoSR", "SPAN", "PLKSR-x4", "SwiftSRGAN")) and n not in SAME_NETWORK
] + [n for n in ("SwinIR-x4-real", "DRCT-x4", "RCAN-x2", "RealCUGAN-x2", "SRFormer-x4", "DRUNet") if n in HERE]


@pytest.mark.parametrize("name", BANDABLE)
def test_narrow_bands_give_the_numbers_of_the_whole(name: str, tmp_path: Path) -> None:
    model = load(NETWORKS[name].build(), tmp_path)
    channels = model.card.input_channels
    image = torch.from_numpy(photo(24, 40, channels).astype(np.float32) / 255).permute(2, 0, 1)[None]
    copy = model.copy_for(CPU, torch.float32)

    def output(bands: BandPlan) -> torch.Tensor:
        rows: list[tuple[int, torch.Tensor]] = []
        copy.run(image, bands, lambda y, top: rows.append((top, y.clone())), lambda _: None)
        assert [top for top, _ in rows] == np.cumsum([0, *(y.shape[2] for _, y in rows)])[:-1].tolist()
        return torch.cat([y for _, y in rows], dim=2)

    whole = output(BandPlan())
    assert whole.shape[2:] == (40 * model.scale, 24 * model.scale)
    for bands in (BandPlan(7, 5), BandPlan(16, 4), BandPlan(None, 1), BandPlan(3, None)):
        banded = output(bands)
        assert banded.shape == whole.shape
        assert float((banded - whole).abs().max()) < 1e-5, bands
    _assert_unpatched(model)


def test_a_small_budget_makes_bands(tmp_path: Path) -> None:
    state, picture = rrdb(), photo(150, 150)
    model = load(state, tmp_path)
    # Enough for the trunk, too little for the plain pass.
    facts = model.facts
    whole = region_bytes(facts, Size(150, 150), BandPlan(), 4)
    banded = region_bytes(facts, Size(150, 150), BandPlan(16, 4), 4)
    assert banded < whole
    kept = picture.nbytes + 600 * 600 * 3
    result = run(model, picture, CPU, PassOptions("exact", memory=(whole + banded) // 2 + kept))

    assert result.strategy == "whole, in bands"
    assert result.tiles == 1
    assert _off(result, true_output(state, picture)) <= 1


def _assert_unpatched(model: UpscaleModel) -> None:
    for copy in [model._base, *model._copies.values()]:
        assert not [n for n, m in copy.descriptor.model.named_modules() if "forward" in vars(m)]
        assert not [n for n, m in copy.descriptor.model.named_modules() if m._forward_hooks]


# -- tiles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tile", [16, 24, 40, 64])
@pytest.mark.parametrize("state", [compact(), rrdb(blocks=1), rrdb(scale=2, shuffle=2, blocks=1)])
def test_tiles_give_the_true_output(state: dict[str, torch.Tensor], tile: int, tmp_path: Path) -> None:
    picture = photo(90, 70)
    result = run(load(state, tmp_path), picture, CPU, PassOptions("exact", tile))

    assert _off(result, true_output(state, picture)) <= 1
    assert result.strategy == "tiles"
    # Equal tiles of at most that side.
    assert result.tiles == -(-90 // tile) * -(-70 // tile)
    assert result.seam_error <= 0.5
    assert result.warnings == []


@pytest.mark.parametrize("size", [(300, 1), (1, 300), (300, 3)])
def test_strips_in_tiles(size: tuple[int, int], tmp_path: Path) -> None:
    state, picture = compact(scale=2), photo(*size)
    result = run(load(state, tmp_path), picture, CPU, PassOptions("exact", 32))

    assert result.tiles == 10
    assert _off(result, true_output(state, picture)) <= 1


def test_the_seam_error_is_the_true_deviation_beside_the_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategy, "KNOWN_MARGIN", 2)
    monkeypatch.setattr(seams, "ACCEPTED_SEAM", 1e9)
    state, picture = compact(scale=2, layers=8), photo(64, 48)
    result = run(load(state, tmp_path), picture, CPU, PassOptions("exact", 32))

    assert result.margin == 2
    deviation = np.abs(result.pixels.astype(float) - true_output(state, picture))
    # Cuts at column 32 and row 24 of the input.
    line = max(deviation[:, 62:66].max(), deviation[46:50].max())
    assert line > 3
    assert line / 3 < result.seam_error < line * 3


def test_the_margin_is_widened_until_the_seams_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategy, "KNOWN_MARGIN", 4)
    state, picture = rrdb(blocks=2), photo(96, 80)
    result = run(load(state, tmp_path), picture, CPU, PassOptions("exact", 32))

    assert result.margin > 4
    assert result.seam_error <= 0.5
    assert _off(result, true_output(state, picture)) <= 1
    assert result.tiles == 9


def test_context_that_memory_forbids_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategy, "KNOWN_MARGIN", 4)
    state, picture = rrdb(blocks=2), photo(96, 80)
    model = load(state, tmp_path)
    need = region_bytes(model.facts, Size(40, 40), bands_for(model.facts, Size(40, 40), Limits(10**9, 4)), 4)
    kept = picture.nbytes + 384 * 320 * 3
    result = run(model, picture, CPU, PassOptions("exact", 32, memory=need + kept))

    assert result.seam_error > 0.5
    assert any("context" in warning for warning in result.warnings)


def test_batches_give_the_same_picture(tmp_path: Path) -> None:
    model, picture = load(compact(), tmp_path), photo(130, 100)
    one = run(model, picture, CPU, PassOptions("exact", 32, batch=1))
    four = run(model, picture, CPU, PassOptions("exact", 32, batch=4))

    assert (one.tiles, one.margin) == (four.tiles, four.margin)
    assert np.abs(one.pixels.astype(int) - four.pixels).max() <= 1


@pytest.mark.parametrize("name", sorted({"DRUNet", "DRUNet-grey", "SeemoRe-x2"} & HERE.keys()))
def test_networks_that_take_one_picture_at_a_time(name: str, tmp_path: Path) -> None:
    model, picture = load(NETWORKS[name].build(), tmp_path), photo(112, 64)
    one = run(model, picture, CPU, PassOptions("exact", 48, batch=1))
    four = run(model, picture, CPU, PassOptions("exact", 48, batch=4))

    assert one.precision.word == four.precision.word == "float32"
    assert np.abs(one.pixels.astype(int) - four.pixels).max() <= 1
    assert one.warnings == four.warnings


def test_a_network_with_global_context_says_that_tiles_change_its_result(tmp_path: Path) -> None:
    model, picture = load(NETWORKS["RealCUGAN-x2"].build(), tmp_path), photo(150, 140)
    whole = run(model, picture, CPU, EXACT)
    tiles = run(model, picture, CPU, PassOptions("exact", 80))

    assert (whole.tiles, whole.warnings) == (1, [])
    assert tiles.tiles == 4
    assert tiles.seam_error > 0 or np.array_equal(whole.pixels, tiles.pixels)
    if tiles.seam_error > 0.5:
        assert any("whole picture" in warning for warning in tiles.warnings)


@pytest.mark.parametrize("name", sorted({"Uformer"} & HERE.keys()))
@pytest.mark.parametrize("tile", ["auto", 64])
def test_networks_that_want_squares(name: str, tile: int | str, tmp_path: Path) -> None:
    state = NETWORKS[name].build()
    picture = photo(150, 30)
    result = run(load(state, tmp_path), picture, CPU, PassOptions("exact", tile))

    assert result.pixels.shape == (30, 150, 3)
    if tile == "auto":
        assert _off(result, true_output(state, picture)) <= 1


# -- memory ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[tuple[int, int]]]]:
    """Makes every run of more than so many px fail as if memory had run out; returns the sizes that ran."""

    def install(model: UpscaleModel, largest: int, error: Exception) -> list[tuple[int, int]]:
        copy, ran = model._base, []
        plain = copy.run

        def limited(image: torch.Tensor, *rest: Any) -> None:
            if image.shape[0] * image.shape[-1] * image.shape[-2] > largest:
                raise error
            ran.append((image.shape[-1], image.shape[-2]))
            plain(image, *rest)

        monkeypatch.setattr(copy, "run", limited)
        return ran

    return install


OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:83] . DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError(),
]


@pytest.mark.parametrize(
    ("state", "largest", "error"),
    [
        *((compact(layers=2), 80 * 80, error) for error in OUT_OF_MEMORY),
        (rrdb(blocks=1), 110 * 110, OUT_OF_MEMORY[0]),
    ],
    ids=["compact-cuda", "compact-cpu", "compact-python", "rrdb-cuda"],
)
def test_whole_run_that_runs_out_of_memory_goes_on_in_tiles_without_seams(
    state: dict[str, torch.Tensor],
    largest: int,
    error: Exception,
    tmp_path: Path,
    scarce: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(strategy, "OVERHEAD_BYTES", 0)
    picture = photo(160, 120)
    model = load(state, tmp_path)
    ran = scarce(model, largest, error)
    result = run(model, picture, CPU, EXACT)

    assert result.strategy == "tiles"
    assert result.tiles > 1
    assert result.margin > 0
    assert max(w * h for w, h in ran) <= largest
    assert _off(result, true_output(state, picture)) <= 1


@pytest.mark.parametrize("state", [compact(layers=4), rrdb(blocks=1)], ids=["compact", "rrdb"])
@pytest.mark.parametrize(("size", "largest"), [((70, 60), 60 * 60), ((64, 64), 60 * 60)])
def test_a_small_picture_that_does_not_fit_whole_is_cut_with_context(
    size: tuple[int, int],
    largest: int,
    state: dict[str, torch.Tensor],
    tmp_path: Path,
    scarce: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where memory that was planned to suffice does not, and no plan would cut the picture."""
    monkeypatch.setattr(strategy, "OVERHEAD_BYTES", 0)
    picture = photo(*size)
    model = load(state, tmp_path)
    scarce(model, largest, MemoryError())
    result = run(model, picture, CPU, EXACT)

    assert result.tiles > 1
    assert result.margin > 0
    assert _off(result, true_output(state, picture)) <= 1


def test_finished_tiles_are_not_run_again(tmp_path: Path, scarce: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategy, "OVERHEAD_BYTES", 0)
    state, picture = compact(layers=2), photo(160, 50)
    model = load(state, tmp_path)
    fail = {"next": False}
    copy, plain, ran = model._base, model._base.run, []

    def limited(image: torch.Tensor, *rest: Any) -> None:
        if len(ran) == 2 and not fail["next"]:
            fail["next"] = True
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        ran.append(image.shape[-1] * image.shape[-2])
        plain(image, *rest)

    monkeypatch.setattr(copy, "run", limited)
    result = run(model, picture, CPU, PassOptions("exact", 50))

    assert _off(result, true_output(state, picture)) <= 1
    # Four tiles; two were done, the others are halved (perhaps more than once) and never grow.
    assert len(ran) == result.tiles
    assert all(size < ran[0] for size in ran[2:])


def test_memory_that_never_suffices_is_an_error_in_words(tmp_path: Path, scarce: Callable) -> None:
    model = load(compact(layers=2), tmp_path)
    ran = scarce(model, 10, OUT_OF_MEMORY[0])

    with pytest.raises(MemoryLimitError, match="memory"):
        run(model, photo(100, 80), CPU, EXACT)
    assert ran == []


@pytest.mark.parametrize("size", [(35, 18), (400, 18), (2000, 20), (300, 300)])
@pytest.mark.parametrize("memory", [10**5, 3 * 10**7, 4 * 10**7, 6 * 10**7])
def test_little_memory_ends_in_a_picture_or_in_words(size: tuple[int, int], memory: int, tmp_path: Path) -> None:
    model, picture = load(rrdb(blocks=1), tmp_path), photo(*size)
    recorder = Recorder()
    started = time.monotonic()

    class Impatient(Recorder):
        def cancelled(self) -> bool:
            return time.monotonic() - started > 20

    try:
        result = run(model, picture, CPU, PassOptions("exact", memory=memory), Impatient())
    except MemoryLimitError:
        return
    assert result.pixels.shape == (size[1] * 4, size[0] * 4, 3)
    assert recorder.notes == []


def test_a_failure_that_is_not_memory_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(compact(), tmp_path)
    layer = model._base.descriptor.model.body[0]
    monkeypatch.setattr(layer, "forward", lambda _: (_ for _ in ()).throw(RuntimeError("shapes differ")))

    with pytest.raises(RuntimeError, match="shapes differ"):
        run(model, photo(20, 20), CPU, EXACT)


def test_a_failure_in_the_middle_leaves_the_network_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, picture = rrdb(blocks=1), photo(60, 60)
    model = load(state, tmp_path)
    with pytest.raises(Cancelled):
        run(model, picture, CPU, EXACT, Recorder(cancel_at=9))

    _assert_unpatched(model)
    assert _off(run(model, picture, CPU, EXACT), true_output(state, picture)) <= 1


# -- finite ----------------------------------------------------------------------------------------------------------


def test_what_is_not_finite_in_a_small_precision_runs_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, picture = compact(scale=2), photo(60, 40)
    model = load(state, tmp_path)
    monkeypatch.setattr(engine, "choose", lambda *_, **__: ChosenPrecision(torch.bfloat16, 50.0))
    small = model.copy_for(CPU, torch.bfloat16)
    calls = []

    def overflow(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        calls.append(output.shape)
        return output.fill_(float("inf")) if len(calls) == 1 else output

    small.descriptor.model.body[2].register_forward_hook(overflow)
    result = run(model, picture, CPU, PassOptions("bf16", 32))

    true = true_output(state, picture)
    assert len(calls) == result.tiles == 4
    # The first tile, rows 0 to 20 and columns 0 to 30, is the float32 network's; the others are near.
    assert np.abs(result.pixels[:38, :58].astype(int) - levels(true)[:38, :58]).max() <= 1
    assert np.abs(result.pixels - true).max() < 12
    assert any("float32" in warning for warning in result.warnings)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("state", [compact(), rrdb(blocks=1)], ids=["compact", "rrdb"])
def test_a_network_that_gives_no_numbers_is_named(state: dict[str, torch.Tensor], bad: float, tmp_path: Path) -> None:
    model = load(state, tmp_path, "broken one")
    layers = [m for m in model._base.descriptor.model.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.no_grad():
        layers[-1].bias[0] = bad

    with pytest.raises(BrokenModelError, match="broken one"):
        run(model, photo(30, 30), CPU, EXACT)


def test_output_far_out_of_range_is_clipped(tmp_path: Path) -> None:
    state = compact(scale=1)
    last = max((k for k in state if k.endswith(".bias")), key=lambda k: int(k.split(".")[1]))
    state[last] = torch.tensor([1e30, -1e30, 0.0])
    picture = photo(30, 30)
    result = run(load(state, tmp_path), picture, CPU, EXACT)

    assert (result.pixels[..., 0] == 255).all()
    assert (result.pixels[..., 1] == 0).all()


# -- progress and cancel ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tile", ["auto", 24])
@pytest.mark.parametrize("state", [compact(), rrdb(blocks=1)], ids=["compact", "rrdb"])
def test_progress_rises_to_one(state: dict[str, torch.Tensor], tile: int | str, tmp_path: Path) -> None:
    recorder = Recorder()
    result = run(load(state, tmp_path), photo(70, 60), CPU, PassOptions("exact", tile), recorder)

    assert recorder.fractions == sorted(recorder.fractions)
    assert min(recorder.fractions) > 0
    assert 0.9 <= max(recorder.fractions) <= 1
    # Heard between the layers, not only between tiles.
    assert len(recorder.fractions) > 5 * result.tiles
    # Steps in proportion to the work: none is more than half of the job.
    assert np.diff([0, *recorder.fractions]).max() < 0.5
    expected = {f"tile {n} of {result.tiles}" for n in range(1, result.tiles + 1)} if tile != "auto" else {""}
    assert set(recorder.notes) == expected


@pytest.mark.parametrize("tile", ["auto", 24])
def test_cancel(tile: int | str, tmp_path: Path) -> None:
    model = load(compact(layers=16), tmp_path)
    recorder = Recorder(cancel_at=3)
    with pytest.raises(Cancelled):
        run(model, photo(70, 60), CPU, PassOptions("exact", tile), recorder)

    assert len(recorder.fractions) == 3


def test_cancel_before_the_start_runs_nothing(tmp_path: Path) -> None:
    model = load(compact(), tmp_path)
    recorder = Recorder(cancel_at=0)
    with pytest.raises(Cancelled):
        run(model, photo(300, 300), CPU, EXACT, recorder)

    assert recorder.fractions == []


# -- independence ----------------------------------------------------------------------------------------------------


def test_what_ran_before_does_not_matter(tmp_path: Path) -> None:
    model, picture = load(rrdb(blocks=1), tmp_path), photo(70, 60)
    first = run(model, picture, CPU, PassOptions("exact", 32)).pixels
    run(model, photo(33, 97, seed=2), CPU, EXACT)
    run(model, photo(20, 20, 1), CPU, PassOptions("bf16"))
    model.release()

    assert np.array_equal(run(model, picture, CPU, PassOptions("exact", 32)).pixels, first)


def test_threads_do_not_matter(tmp_path: Path) -> None:
    model, picture = load(rrdb(blocks=1), tmp_path), photo(70, 60)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(run(model, picture, CPU, EXACT, bits=16).pixels.astype(float) / 65535)
    finally:
        torch.set_num_threads(before)

    assert np.abs(results[0] - results[1]).max() < 2e-5


def test_two_callers_at_once(tmp_path: Path) -> None:
    state = rrdb(blocks=1)
    model = load(state, tmp_path)
    pictures = [photo(50 + 7 * n, 40 + 11 * n, seed=n) for n in range(4)]
    expected = [levels(true_output(state, picture)).astype(int) for picture in pictures]
    worst, errors = [0] * 4, []

    def work(n: int) -> None:
        try:
            for _ in range(3):
                result = run(model, pictures[n], CPU, PassOptions("exact", (32, "auto")[n % 2]))
                worst[n] = max(worst[n], int(np.abs(result.pixels - expected[n]).max()))
        except Exception as error:  # noqa: BLE001 - a thread's failure must reach the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert errors == []
    assert max(worst) <= 1


def test_settings_of_torch_are_left_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(7)
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    flags = matmul.allow_tf32, cudnn.allow_tf32
    try:
        for wanted in (True, False):
            matmul.allow_tf32 = cudnn.allow_tf32 = wanted
            state = torch.get_num_threads(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()
            random = torch.random.get_rng_state()
            model = load(NETWORKS["Compact-x2"].build(), tmp_path)
            run(model, photo(40, 40), CPU, PassOptions("exact", 24))
            with pytest.raises(Cancelled):
                run(model, photo(40, 40), CPU, EXACT, Recorder(cancel_at=1))
            assert (matmul.allow_tf32, cudnn.allow_tf32) == (wanted, wanted)
            assert (torch.get_num_threads(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == state
            assert torch.equal(torch.random.get_rng_state(), random)
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = flags


def test_random_generators_of_other_devices_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, seeded = load(compact(), tmp_path), []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    run(model, photo(20, 20), CPU, EXACT)

    assert seeded == []


@pytest.mark.parametrize("name", sorted({"AuraSR-x4"} & HERE.keys()))
def test_a_network_that_draws_random_numbers_gives_the_same_picture_twice(name: str, tmp_path: Path) -> None:
    model, picture = load(NETWORKS[name].build(), tmp_path), photo(24, 24)
    torch.manual_seed(1)
    first = run(model, picture, CPU, EXACT).pixels
    torch.manual_seed(2)

    assert np.array_equal(run(model, picture, CPU, EXACT).pixels, first)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_inside_any_mode_of_the_caller(mode: Callable, tmp_path: Path) -> None:
    state, picture = compact(), photo(30, 30)
    with mode():
        model = load(state, tmp_path)
        first = run(model, picture, CPU, EXACT)
        run(model, picture, CPU, PassOptions("bf16"))
    second = run(model, picture, CPU, EXACT)

    assert _off(first, true_output(state, picture)) <= 1
    assert np.array_equal(first.pixels, second.pixels)

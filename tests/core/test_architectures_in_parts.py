"""Every architecture that spandrel can load, cut into tiles and bands, and in the smaller precisions it claims."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from effort import is_long
from lib_upscaler.errors import RequestError
from lib_upscaler.models.facts import BandPlan
from lib_upscaler.models.network import UpscaleModel
from lib_upscaler.running import precision
from lib_upscaler.running.engine import PassOptions, run
from lib_upscaler.running.precision import choose
from reference import CPU, load, photo
from small_networks import available

IMAGES = {name: network for name, network in available().items() if network.kind == "image"}
OFTEN = {"ESRGAN", "Compact", "SPAN", "PLKSR", "SwinIR", "Swin2SR", "SRFormer", "GRL", "HAT", "DAT", "SCUNet", "DCTLSA"}
"""In tiles, bands and windows, and what looks at the whole picture; the others with ``--long``."""
ONE_EACH = {one.architecture: name for name, one in IMAGES.items() if one.architecture in OFTEN}
NETWORKS = list(IMAGES) if is_long() else list(ONE_EACH.values())
EXACT = PassOptions("exact", "none")
DISCOURAGED = {"MixDehazeNet", "SCUNet", "RetinexFormer", "HVICIDNet"}
"""Architectures that spandrel advises against cutting into tiles."""


# Of module scope, so that pytest runs all tests of a network one after the other, and it is loaded once.
@pytest.fixture(scope="module", params=NETWORKS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> UpscaleModel:
    return load(IMAGES[request.param].build(), tmp_path_factory.mktemp("models"), request.param)


def test_tiles_give_the_whole_or_say_that_they_do_not(model: UpscaleModel) -> None:
    # With cuts both ways, but for networks that fill up what they get to large multiples, and are slow.
    picture = photo(112, 72 if model.card.multiple_of < 32 else 40, model.card.input_channels)
    whole = run(model, picture, CPU, EXACT)
    tiles = run(model, picture, CPU, PassOptions("exact", 64))

    assert (whole.tiles, whole.warnings) == (1, [])
    assert (
        tiles.pixels.shape
        == whole.pixels.shape
        == (
            picture.shape[0] * model.scale,
            112 * model.scale,
            *whole.pixels.shape[2:],
        )
    )
    if IMAGES[model.name].architecture in DISCOURAGED:
        assert model.card.tiling_effect == "changes the result"
    off = np.abs(tiles.pixels.astype(int) - whole.pixels)[..., :3]
    if off.max() > 1:
        assert model.card.tiling_effect == "changes the result"
        assert "tiles change the result" in model.card.tiling_sentence
        assert tiles.seam_error <= 0.5 or tiles.warnings


def test_bands_give_the_numbers_of_the_whole(model: UpscaleModel) -> None:
    if not model.facts.blocks and not model.facts.head:
        pytest.skip("nothing of it can run in bands")
    image = torch.from_numpy(photo(40, 48, model.card.input_channels).astype(np.float32) / 255).permute(2, 0, 1)[None]
    copy = model.copy_for(CPU, torch.float32)

    def output(bands: BandPlan) -> torch.Tensor:
        rows: list[torch.Tensor] = []
        copy.run(image, bands, lambda y, _: rows.append(y.clone()), lambda _: None)
        return torch.cat(rows, dim=2)

    whole = output(BandPlan())
    assert whole.shape[2:] == (48 * model.scale, 40 * model.scale)
    for bands in (BandPlan(7, 5), BandPlan(None, 3)):
        assert float((output(bands) - whole).abs().max()) < 1e-5, bands


@pytest.mark.long
@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_a_smaller_precision_works_or_is_said_not_to(model: UpscaleModel, name: str) -> None:
    picture = photo(40, 32, model.card.input_channels)
    whole = run(model, picture, CPU, EXACT)
    if name == "fp16" or torch.bfloat16 not in model.supports:
        with pytest.raises(RequestError, match=rf"'{model.name}' cannot run in {name}|CPU cannot run"):
            run(model, picture, CPU, PassOptions(name, "none"))
        return
    small = run(model, picture, CPU, PassOptions(name, "none"))

    assert small.pixels.shape == whole.pixels.shape
    if small.precision.word == "float32":
        assert any("bfloat16" in warning for warning in small.warnings)
        assert np.abs(small.pixels.astype(int) - whole.pixels).max() <= 1


@pytest.mark.long
def test_auto_takes_no_precision_that_loses_much(model: UpscaleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "_is_faster", lambda *_: True)
    chosen = choose("auto", model, CPU, 1 << 20)

    assert chosen.dtype == torch.float32 or (chosen.decibels is not None and chosen.decibels >= 48)
    if torch.bfloat16 not in model.supports:
        assert chosen.dtype == torch.float32

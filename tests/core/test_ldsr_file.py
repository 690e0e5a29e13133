"""LDSR's file: known by its keys, and only what is needed of it kept."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import small_networks
from ldsr_models import REAL, SMALL, TINY, first_stage_weights, pickled_names, save_ckpt, save_safetensors, state_dict
from ldsr_models import unet_weights as average_of
from lib_upscaler.errors import BrokenModelError, ModelFileError, UnsafeModelError, UnsupportedModelError
from lib_upscaler.models.ldsr.file import NO_AVERAGE, ldsr_card, load_ldsr, recognise
from lib_upscaler.models.ldsr.network import outline
from lib_upscaler.models.source import Source
from lib_upscaler.store import DiskCache

LIGHTNING = b"pytorch_lightning.callbacks.model_checkpoint"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model, as .safetensors, as .ckpt, and as .pth of an old torch."""
    made = tmp_path_factory.mktemp("LDSR")
    save_safetensors(state_dict(TINY), made / "model.safetensors")
    save_ckpt(state_dict(TINY), made / "model.ckpt")
    save_ckpt(state_dict(TINY), made / "model.pth", legacy=True)
    return made


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt", "model.pth"])
def test_a_file_is_known_and_gives_its_average_and_its_decoder(folder: Path, name: str) -> None:
    assert recognise(folder / name) == TINY
    network, origin = load_ldsr(folder / name)
    assert network.notes == ()
    assert origin.size_bytes == (folder / name).stat().st_size
    for module, weights in (
        (network.unet, average_of(TINY)),
        (network.first_stage, first_stage_weights(TINY)),
    ):
        loaded = module.state_dict()
        assert loaded.keys() == weights.keys()
        assert all(torch.equal(loaded[key], weights[key]) for key in weights)


def test_nothing_that_the_checkpoint_names_is_imported(folder: Path) -> None:
    for name in ("model.ckpt", "model.pth"):
        assert LIGHTNING in pickled_names(folder / name)
        load_ldsr(folder / name)
    assert not any(name.startswith("pytorch_lightning") for name in sys.modules)


def test_what_is_not_needed_is_not_kept(folder: Path) -> None:
    """The usual file holds the UNet four times, of which one is needed, and an encoder."""
    network, _ = load_ldsr(folder / "model.ckpt")
    needed = sum(w.numel() * 4 for w in (*average_of(TINY).values(), *first_stage_weights(TINY).values()))
    assert network.weights_bytes == needed
    assert needed < 0.4 * (folder / "model.ckpt").stat().st_size


def test_the_real_model_takes_0_6_gigabytes() -> None:
    unet, first_stage = (sum(w.numel() * 4 for w in module.parameters()) for module in outline(REAL))
    assert unet == pytest.approx(454e6, rel=0.002)
    assert unet + first_stage == pytest.approx(0.59e9, rel=0.01)


def test_recognition_reads_the_directory_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = {"bytes": 0}
    plain = Source.look

    def look(self: Source, start: int, size: int) -> bytes:
        found = plain(self, start, size)
        looked["bytes"] += len(found)
        return found

    monkeypatch.setattr(Source, "look", look)
    monkeypatch.setattr(Source, "fetch", lambda *_: pytest.fail("the data were read"))
    for name in ("model.safetensors", "model.ckpt"):
        looked["bytes"] = 0
        assert recognise(folder / name) == TINY
        assert looked["bytes"] < 0.1 * (folder / name).stat().st_size


def test_without_an_average_the_last_weights_are_used_and_it_is_said(tmp_path: Path) -> None:
    file = save_safetensors(state_dict(TINY, averaged=False), tmp_path / "model.safetensors")
    assert recognise(file) == replace(TINY, averaged=False)
    network, _ = load_ldsr(file)
    assert network.notes == (NO_AVERAGE,)
    assert torch.equal(network.unet.state_dict()["out.2.weight"], average_of(TINY)["out.2.weight"])


def test_an_average_alone_is_enough(tmp_path: Path) -> None:
    state = {name: w for name, w in state_dict(TINY).items() if not name.startswith("model.")}
    file = save_safetensors(state, tmp_path / "model.safetensors")
    assert recognise(file) == TINY
    assert load_ldsr(file)[0].notes == ()


@pytest.mark.parametrize("layout", [SMALL, REAL])
def test_sizes_are_told_from_the_shapes(layout, tmp_path: Path) -> None:
    """Of the real ones with one number each, which is enough for their shapes."""
    with torch.device("meta"):
        unet, first_stage = outline(layout)
    state = {f"model_ema.diffusion_model{name.replace('.', '')}": w for name, w in unet.state_dict().items()}
    state.update({f"first_stage_model.{name}": w for name, w in first_stage.state_dict().items()})
    hollow = {name: torch.zeros(1).expand(weight.shape) for name, weight in state.items()}
    torch.save({"state_dict": hollow}, tmp_path / "model.ckpt")
    assert recognise(tmp_path / "model.ckpt") == layout


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_kinds_of_number_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {name: w.to(dtype) if w.is_floating_point() else w for name, w in state_dict(TINY).items()}
    network, _ = load_ldsr(save_safetensors(state, tmp_path / "model.safetensors"))
    assert {w.dtype for w in (*network.unet.parameters(), *network.first_stage.parameters())} == {torch.float32}
    wanted = average_of(TINY)["middle_block.1.qkv.weight"]
    assert torch.allclose(network.unet.state_dict()["middle_block.1.qkv.weight"], wanted, atol=1e-3)


def test_the_files_own_noise_levels_and_scale_are_used(tmp_path: Path) -> None:
    state = state_dict(TINY)
    alphas = torch.linspace(0.99, 0.01, 1000)
    state.update({"alphas_cumprod": alphas, "scale_factor": torch.tensor(0.5)})
    network, _ = load_ldsr(save_safetensors(state, tmp_path / "model.safetensors"))
    assert np.array_equal(network.alphas, alphas.numpy())
    assert network.scale_factor == 0.5
    del state["alphas_cumprod"]
    network, _ = load_ldsr(save_safetensors(state, tmp_path / "model.safetensors"))
    assert network.alphas[0] == pytest.approx(0.9985)


# -- what is refused ---------------------------------------------------------------------------------------------------


def without(*beginnings: str) -> dict[str, Tensor]:
    return {name: w for name, w in state_dict(TINY).items() if not name.startswith(beginnings)}


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        (("first_stage_model.decoder.",), "the decoder"),
        (("first_stage_model.quantize.",), "the codebook"),
        (("first_stage_model.post_quant_conv.",), "post_quant_conv"),
        (("first_stage_model.",), "the decoder, the codebook"),
        (("model_ema.diffusion_modelmiddle_block1qkvbias",), "of the UNet (its average) are missing: 'model_ema.diff"),
        (("first_stage_model.decoder.up.1.block.0.norm2.weight",), "1 of"),
        (("first_stage_model.decoder.up.1.",), "others are missing"),
        (("model_ema.diffusion_modelinput_blocks3", "model.diffusion_model.input_blocks.3."), "blocks are missing"),
    ],
)
def test_an_incomplete_file_is_refused_by_what_is_missing(
    tmp_path: Path, left_out: tuple[str, ...], words: str
) -> None:
    file = save_safetensors(without(*left_out), tmp_path / "model.safetensors")
    for read in (recognise, load_ldsr):
        with pytest.raises(ModelFileError) as caught:
            read(file)
        assert words in str(caught.value)
        assert "download it again" in str(caught.value).lower()


def test_a_weight_of_a_wrong_shape_is_refused(tmp_path: Path) -> None:
    state = state_dict(TINY)
    state["first_stage_model.decoder.mid.block_1.conv1.weight"] = torch.zeros(32, 31, 3, 3)
    with pytest.raises(ModelFileError, match="wrong shape"):
        recognise(save_safetensors(state, tmp_path / "model.safetensors"))


def test_a_broken_off_download_is_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("model.safetensors", "model.ckpt", "model.pth"):
        data = (folder / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        for read in (recognise, load_ldsr):
            with pytest.raises(ModelFileError, match=r"truncated|missing|damaged"):
                read(tmp_path / name)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = state_dict(TINY)
    state["model_ema.diffusion_modelout2bias"] = torch.tensor([1.0, float("nan"), 0.0])
    with pytest.raises(BrokenModelError):
        load_ldsr(save_safetensors(state, tmp_path / "model.safetensors"))


def test_a_file_that_wants_to_run_something_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            import os

            return os.system, ("true",)

    torch.save({"state_dict": state_dict(TINY), "callbacks": Evil()}, tmp_path / "model.ckpt")
    for read in (recognise, load_ldsr):
        with pytest.raises(UnsafeModelError):
            read(tmp_path / "model.ckpt")


def test_other_models_are_not_taken_for_it(tmp_path: Path) -> None:
    upscaler = small_networks.save_pth(small_networks.compact(), tmp_path / "compact.pth")
    stable = without("first_stage_model.quantize.")
    stable["cond_stage_model.transformer.weight"] = torch.zeros(1)
    unconditional = state_dict(TINY)
    for name in ("model.diffusion_model.input_blocks.0.0.weight", "model_ema.diffusion_modelinput_blocks00weight"):
        unconditional[name] = torch.zeros(32, 3, 3, 3)
    files = [
        upscaler,
        save_safetensors(stable, tmp_path / "sd.safetensors"),
        save_safetensors(unconditional, tmp_path / "celeba.safetensors"),
    ]
    for file in files:
        assert recognise(file) is None
        assert ldsr_card(file) is None
        with pytest.raises(UnsupportedModelError):
            load_ldsr(file)


# -- its card ----------------------------------------------------------------------------------------------------------


def test_its_card(folder: Path, tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cards.json")
    file = folder / "model.safetensors"
    card = ldsr_card(file, cache, name="LDSR")
    assert card is not None
    assert (card.name, card.architecture, card.scale, card.purpose) == ("LDSR", "LDSR", 4, "upscaling")
    assert (card.input_channels, card.output_channels) == (3, 3)
    assert card.parameters == sum(w.numel() for w in (*average_of(TINY).values(), *first_stage_weights(TINY).values()))
    assert card.file_size == file.stat().st_size
    assert card.tiling_sentence.startswith("The network looks at the whole picture")
    assert card.sha256 == ""  # to find it, the file would have to be read
    assert card.to_json()["architecture"] == "LDSR"

    _, origin = load_ldsr(file)
    loaded = ldsr_card(file, cache, origin=origin)
    known = ldsr_card(file, cache)
    assert loaded is not None
    assert known is not None
    assert known.sha256 == loaded.sha256 == origin.sha256

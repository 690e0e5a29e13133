"""The VAE of the host's checkpoints in bands: when it is, that the picture is the same, and that no more changes."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from fake_host.running import FakeHost
from lib_upscaler.diffusion import vae as core
from lib_upscaler.errors import MemoryLimitError
from small_vaes import KlVae, kl_vae, uneven
from types_of_fixtures import StartHost

LEVEL = 2 / 255
ALWAYS = {"truescale_vae_bands": "always"}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What went through our bands: "decode" or "encode" for each time."""
    seen: list[str] = []
    for name in ("decode", "encode"):
        plain = getattr(core, name)

        def noted(*arguments: Any, name: str = name, plain: Any = plain, **named: Any) -> Any:
            seen.append(name)
            return plain(*arguments, **named)

        monkeypatch.setattr(core, name, noted)
    return seen


def _vae(seed: int = 0) -> KlVae:
    return kl_vae(multipliers=(1, 2), blocks=1, seed=seed)


def _load(host: FakeHost, vae: Any) -> Any:
    return host.module("sd_models").load_model(vae)


def _decoded(host: FakeHost, latent: Tensor) -> Tensor:
    return host.module("sd_samplers_common").decode_first_stage(host.module("sd_models").model_data.sd_model, latent)


def _off(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def test_always_gives_the_same_picture_and_latent(start_host: StartHost, ran: list[str]) -> None:
    host, vae, latent, picture = start_host(**ALWAYS), _vae(), uneven(4, 30, 22), uneven(3, 60, 44).tanh()
    with torch.no_grad():
        true, moments = vae.decode(latent), vae.encode(picture)
    _load(host, vae)

    assert _off(_decoded(host, latent), true) <= LEVEL
    assert _off(host.module("sd_samplers_common").images_tensor_to_samples((picture + 1) / 2), moments) <= LEVEL
    assert ran == ["decode", "encode"]


@pytest.mark.parametrize("setting", ["off", "when memory is short"])
def test_a_picture_that_fits_goes_the_hosts_own_way(setting: str, start_host: StartHost, ran: list[str]) -> None:
    host, vae, latent = start_host(truescale_vae_bands=setting), _vae(), uneven(4, 20, 16)
    with torch.no_grad():
        true = vae.decode(latent)
    _load(host, vae)

    assert torch.equal(_decoded(host, latent), true)
    assert ran == []


def test_bands_where_memory_is_short(start_host: StartHost, ran: list[str]) -> None:
    host, vae, latent = start_host(truescale_memory_gb=0.2), _vae(), uneven(4, 96, 80)
    with torch.no_grad():
        true = vae.decode(latent)
    _load(host, vae)

    assert _off(_decoded(host, latent), true) <= LEVEL
    assert ran == ["decode"]


def test_bands_where_memory_runs_out_all_the_same(host: FakeHost, ran: list[str]) -> None:
    vae, latent = _vae(), uneven(4, 20, 16)
    with torch.no_grad():
        true = vae.decode(latent)

    def full(*_: Any) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")

    _load(host, vae)
    handle = vae.decoder.mid.register_forward_pre_hook(full)  # only a whole pass runs that module as such
    vae.decoder.mid.block_1.register_forward_pre_hook(full)
    assert _off(_decoded(host, latent), true) <= LEVEL
    assert ran == ["decode"]
    handle.remove()


def test_another_failure_is_the_hosts(host: FakeHost) -> None:
    vae = _vae()

    def broken(*_: Any) -> None:
        raise RuntimeError("a wire is loose")

    _load(host, vae)
    vae.decoder.conv_in.register_forward_pre_hook(broken)
    with pytest.raises(RuntimeError, match="a wire is loose"):
        _decoded(host, uneven(4, 20, 16))


def test_where_bands_fail_the_picture_is_made_whole_and_that_is_told(
    start_host: StartHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, vae, latent = start_host(**ALWAYS), _vae(), uneven(4, 20, 16)
    with torch.no_grad():
        true = vae.decode(latent)

    def fails(*_: Any, **__: Any) -> None:
        raise MemoryLimitError("there is no room", "", "")

    monkeypatch.setattr(core, "decode", fails)
    _load(host, vae)
    assert torch.equal(_decoded(host, latent), true)
    assert any("there is no room" in text for text in host.warnings)


def test_where_nothing_can_be_told_beforehand_the_host_goes_on(
    start_host: StartHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as on a device that has no figure for its memory."""
    host, vae, latent = start_host(), _vae(), uneven(4, 20, 16)
    with torch.no_grad():
        true = vae.decode(latent)

    def fails(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(core, "forecast", fails)
    _load(host, vae)
    assert torch.equal(_decoded(host, latent), true)


def test_another_checkpoint_and_a_reload_are_hooked_once_and_a_removal_leaves_nothing(
    start_host: StartHost, ran: list[str]
) -> None:
    host, first, second, latent = start_host(**ALWAYS), _vae(1), _vae(2), uneven(4, 20, 16)
    kinds = type(first.encoder), type(first.decoder)
    with torch.no_grad():
        true = first.decode(latent), second.decode(latent)
    _load(host, first)
    for _ in range(3):
        host.reload()
    assert _off(_decoded(host, latent), true[0]) <= LEVEL
    _load(host, second)
    assert _off(_decoded(host, latent), true[1]) <= LEVEL
    assert ran == ["decode"] * 2

    host.module("script_callbacks").script_unloaded_callback()
    for vae in (first, second):
        assert (type(vae.encoder), type(vae.decoder)) == kinds
        assert "forward" not in vae.decoder.__dict__
    assert torch.equal(_decoded(host, latent), true[1])


def test_no_class_of_the_host_is_touched(start_host: StartHost) -> None:
    other, forward = _vae(), KlVae.decode
    plain = type(other.decoder).forward
    host = start_host(**ALWAYS)
    _load(host, _vae())
    assert type(other.decoder).forward is plain
    assert KlVae.decode is forward
    assert isinstance(host.module("sd_models").model_data.sd_model.first_stage_model.decoder, type(other.decoder))


def test_a_vae_that_is_not_known_runs_as_it_is(start_host: StartHost, ran: list[str]) -> None:
    class Tiny(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = torch.nn.Conv2d(3, 4, 3, padding=1)
            self.decoder = torch.nn.Sequential(torch.nn.Upsample(scale_factor=8), torch.nn.Conv2d(4, 3, 3, padding=1))

        def decode(self, z: Tensor) -> Tensor:
            return self.decoder(z)

    host, tiny, latent = start_host(**ALWAYS), Tiny(), uneven(4, 20, 16)
    with torch.no_grad():
        true = tiny.decode(latent)
    _load(host, tiny)
    assert torch.equal(_decoded(host, latent), true)
    assert ran == []


def test_another_extensions_hook_is_left_alone(start_host: StartHost, ran: list[str]) -> None:
    """As of Tiled VAE: ``forward`` of the decoder itself."""
    host, vae, latent = start_host(**ALWAYS), _vae(), uneven(4, 20, 16)
    _load(host, vae)
    vae.decoder.forward = lambda z: z[:, :3]
    assert _decoded(host, latent).shape == (1, 3, 20, 16)
    assert ran == []
    del vae.decoder.forward
    vae.decoder.mid.attn_1.forward = lambda x: x  # hypertile
    _decoded(host, latent)
    assert ran == []


def test_live_previews_of_large_canvases_are_small(host: FakeHost, ran: list[str]) -> None:
    _load(host, _vae())
    samples = host.module("sd_samplers_common")
    for height, width in ((300, 150), (150, 300)):
        shown = samples.sample_to_image(uneven(4, height, width))
        assert max(shown.size) == 2 * 128  # this VAE enlarges twice
        assert shown.size[0] / shown.size[1] == pytest.approx(width / height, rel=0.05)
    assert samples.sample_to_image(uneven(4, 160, 40)).size == (80, 320)
    assert samples.sample_to_image(uneven(4, 60, 210), approximation=0).size == (420, 120)  # kept, not shown
    assert ran == []


def test_off_means_untouched(start_host: StartHost) -> None:
    host = start_host(truescale_vae_bands="off")
    _load(host, _vae())
    assert host.module("sd_samplers_common").sample_to_image(uneven(4, 250, 60)).size == (120, 500)


def test_a_stop_while_decoding_gives_a_rough_picture_and_says_so(start_host: StartHost) -> None:
    host, vae, latent = start_host(**ALWAYS), _vae(), uneven(4, 30, 22)
    with torch.no_grad():
        true = vae.decode(latent)
    _load(host, vae)
    host.state.begin(job="txt2img")
    vae.decoder.conv_in.register_forward_hook(lambda *_: host.state.interrupt())
    rough = _decoded(host, latent)

    assert rough.shape == true.shape
    assert bool(torch.isfinite(rough).all())
    assert any("stopped" in text for text in host.warnings)
    again = _decoded(host, latent)  # what was stopped before is decoded in full: the user wants to see it
    assert _off(again, true) <= LEVEL


def test_the_picture_says_how_it_was_decoded(start_host: StartHost) -> None:
    host = start_host(**ALWAYS)
    _load(host, _vae())
    told: list[str] = []

    def process_images_inner(p: Any) -> None:
        _decoded(host, uneven(4, 20, 16))

    class Processing:
        def comment(self, text: str) -> None:
            told.append(text)

    process_images_inner(Processing())
    assert len(told) == 1
    assert told[0].startswith("TrueScale · VAE in bands: exact")


def test_two_threads_at_once(start_host: StartHost) -> None:
    """A live preview beside the last picture."""
    host, vae, latent = start_host(**ALWAYS), _vae(), uneven(4, 30, 22)
    with torch.no_grad():
        true = vae.decode(latent)
    _load(host, vae)
    results: list[Tensor] = []
    threads = [threading.Thread(target=lambda: results.append(_decoded(host, latent))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(_off(result, true) <= LEVEL for result in results)
    assert len(results) == 2

"""An entry of the host's list, called as the host and other extensions call it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fake_host.running import FakeHost
from lib_upscaler.errors import TrueScaleError
from networks import STATES, is_lanczos, off, picture, true_picture


def _upscale(host: FakeHost, name: str, image: Image.Image, scale: float) -> Image.Image:
    entry = host.entry(name)
    return entry.scaler.upscale(image, scale, entry.data_path)


@pytest.mark.parametrize(
    ("name", "scale", "size"),
    [
        ("four", 2.5, (328, 250)),  # 327.5 is rounded up
        ("four", 4, (524, 400)),
        ("four", 1.01, (132, 101)),
        ("two", 2, (262, 200)),
        ("one", 1, (131, 100)),
    ],
)
def test_the_exact_size_and_the_true_output(name: str, scale: float, size: tuple[int, int], host: FakeHost) -> None:
    image = picture(131, 100)
    result = _upscale(host, name, image, scale)

    assert result.size == size
    assert off(result, true_picture(name, image, size)) <= 1


def test_do_upscale_is_one_pass_of_the_network(host: FakeHost) -> None:
    entry, image = host.entry("four"), picture(31, 17)

    assert off(entry.scaler.do_upscale(image, entry.data_path), true_picture("four", image)) <= 1
    assert off(entry.scaler.do_upscale(image), true_picture("four", image)) <= 1


def test_at_a_scale_of_1_the_network_runs_once(host: FakeHost) -> None:
    image = picture()

    result = _upscale(host, "four", image, 1)
    assert off(result, true_picture("four", image, image.size)) <= 1
    assert not is_lanczos(result, image)


def test_below_1_the_picture_is_resampled(host: FakeHost) -> None:
    image = picture(40, 30)

    assert is_lanczos(_upscale(host, "four", image, 0.5), image)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK", "I"])
def test_any_mode_comes_back_as_rgb(mode: str, host: FakeHost) -> None:
    image = picture(mode="L").convert("I") if mode == "I" else picture(mode="RGB").convert(mode)
    result = _upscale(host, "four", image, 4)

    assert result.mode == "RGB"
    assert off(result, true_picture("four", image.convert("RGB"))) <= 1


def test_the_picture_that_is_given_stays_as_it_is(host: FakeHost) -> None:
    image = picture()
    before = image.tobytes()
    _upscale(host, "four", image, 4)

    assert image.tobytes() == before


def test_another_models_file_may_be_named(host: FakeHost) -> None:
    image, other = picture(), str(host.models / "two.pth")

    assert off(host.entry("four").scaler.do_upscale(image, other), true_picture("two", image)) <= 1


@pytest.mark.parametrize("called", ["four", None])
def test_it_is_found_by_its_name_and_without_one(called: str | None, host: FakeHost) -> None:
    assert (
        _upscale(host, "four", picture(), 2).tobytes()
        == host.entry("four").scaler.upscale(picture(), 2, called).tobytes()
    )


def test_third_parties_may_set_scale_and_tile_size(host: FakeHost) -> None:
    entry, image = host.entry("four"), picture()
    entry.scaler.scale = 2
    entry.scaler.tile_size = 64

    assert off(entry.scaler.do_upscale(image, entry.data_path), true_picture("four", image)) <= 1


def test_it_has_what_the_hosts_own_upscalers_have(host: FakeHost) -> None:
    host.opts.set("truescale_takeover", False)
    entry = host.entry("four")
    theirs = {*vars(entry), *vars(entry.scaler)} | {n for n in dir(type(entry.scaler)) if not n.startswith("_")}
    host.opts.set("truescale_takeover", True)
    entry = host.entry("four")

    internal = {"device", "tile_pad", "half", "find_models", "tile"}
    assert {n for n in theirs - internal if not hasattr(entry, n) and not hasattr(entry.scaler, n)} == set()
    assert entry.scaler.scalers == [entry]


def test_a_failure_is_an_error_in_words(host: FakeHost) -> None:
    (host.models / "four.pth").write_bytes(b"<!DOCTYPE html><html>404</html>")

    with pytest.raises(TrueScaleError, match=r"four\.pth"):
        _upscale(host, "four", picture(), 2)


def test_two_threads_at_once_get_what_one_alone_gets(host: FakeHost) -> None:
    jobs = [(name, picture(20 + number, 24, seed=number)) for number in range(4) for name in ("four", "two")]
    results: dict[int, Image.Image] = {}

    def work(first: int) -> None:
        for number in range(first, len(jobs), 2):
            results[number] = _upscale(host, *jobs[number], 2.5)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for number, (name, image) in enumerate(jobs):
        size = tuple(int(side * 2.5 + 0.5) for side in image.size)
        if name == "four":
            assert off(results[number], true_picture(name, image, size)) <= 1
        else:  # 2.5 takes two passes of the 2x network
            assert results[number].tobytes() == _upscale(host, name, image, 2.5).tobytes()


# -- what the host does to PyTorch -------------------------------------------------------------------------------------


def _inference_mode(host: FakeHost) -> Any:
    return torch.inference_mode()


def _autocast(host: FakeHost) -> Any:
    return torch.autocast("cpu", dtype=torch.bfloat16)


def _manual_cast(host: FakeHost) -> Any:
    return host.module("devices").manual_cast(torch.bfloat16)


@pytest.mark.parametrize("around", [_inference_mode, _autocast, _manual_cast])
def test_the_output_is_true_whatever_the_host_does_around_it(around: Any, host: FakeHost) -> None:
    image = picture()
    expected = true_picture("four", image)
    with around(host):
        inside = _upscale(host, "four", image, 4)
        changed = torch.nn.Conv2d.forward
    assert off(inside, expected) <= 1
    assert off(_upscale(host, "four", image, 4), expected) <= 1
    assert (changed is torch.nn.Conv2d.forward) == (around is not _manual_cast)  # the host's patch was there throughout


def test_a_look_in_another_thread_leaves_a_generation_its_patch(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's threads look at models without waiting for their turn, here for longer than the generation takes."""
    casting, looking, generated = (threading.Event() for _ in range(3))
    plain = torch.nn.Conv2d.forward
    seen: list[Any] = []
    cards = host.ours("panels.cards")

    def read_card(*_: Any, **__: Any) -> None:
        looking.set()
        assert generated.wait(10)

    def look() -> None:
        assert casting.wait(10)
        cards.read("four")

    def generate() -> None:
        with _manual_cast(host):
            patched = torch.nn.Conv2d.forward
            casting.set()
            assert looking.wait(10)
            seen.extend([patched is not plain, torch.nn.Conv2d.forward is patched])
        generated.set()

    monkeypatch.setattr(cards, "read_card", read_card)
    threads = [threading.Thread(target=work) for work in (look, generate)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert seen == [True, True]  # there, and still there during the look
    assert torch.nn.Conv2d.forward is plain  # and nothing put it back afterwards
    torch.nn.Linear(2, 2)(torch.zeros(1, 2))


def test_the_hosts_patch_would_be_seen(host: FakeHost) -> None:
    """Else the test above could not fail."""
    network = torch.nn.Conv2d(3, 3, 3)
    values = torch.linspace(0, 1, 3 * 8 * 8).reshape(1, 3, 8, 8)
    with torch.no_grad():
        plain = network(values)
        with _manual_cast(host):
            patched = network(values)
    assert not torch.equal(plain, patched)


def test_the_networks_of_these_tests_are_no_mere_resampling() -> None:
    """Else nothing here could tell the network's output from Lanczos."""
    image = picture()
    for name in STATES:
        true = true_picture(name, image)
        lanczos = np.asarray(image.resize((true.shape[1], true.shape[0]), Image.Resampling.LANCZOS))
        assert np.abs(true.astype(int) - lanczos).max() > 20

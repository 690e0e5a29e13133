"""A stopped job ends soon, leaves nothing half-done behind, and the next one works."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from model_names import PLUS
from webui_http import OF_FORGE, Background, as_base64
from webui_process import Server, wait_until

Measured = Callable[[str], None]
SECONDS = 3  # a second where the processor is idle


@pytest.fixture
def slow(server: Server, photo):
    """Bodies of jobs that take long, by what does them."""
    image = as_base64(photo(320, 240))
    hires = {"prompt": "a cat", "steps": 2, "width": 192, "height": 144, "seed": 1, "denoising_strength": 0.5}
    hires |= {"enable_hr": True, "hr_scale": 2, "hr_upscaler": PLUS, "save_images": True, **OF_FORGE}
    return {
        "extras": ("/sdapi/v1/extra-single-image", {"image": image, "upscaler_1": PLUS, "upscaling_resize": 4}),
        "hires": ("/sdapi/v1/txt2img", hires),
        "route": ("/truescale/v1/upscale", {"image": image, "upscaler_1": PLUS, "precision": "exact"}),
    }


def _stopped(server: Server, path: str, body: dict) -> tuple[float, object]:
    """Seconds from the interrupt to the answer, and the answer."""
    job = Background(lambda: server.http.ask(path, body))
    server.http.wait_for_progress(above=0.02)
    time.sleep(1)
    assert job.running
    at = time.monotonic()
    server.http.interrupt()
    answer = job.result(60)
    return job.ended - at, answer


@pytest.mark.parametrize("kind", ["extras", "route"])
def test_a_picture(kind: str, slow: dict, server: Server, photo, measured: Measured) -> None:
    before = server.data.outputs()
    seconds, answer = _stopped(server, *slow[kind])
    measured(f"{kind}: {seconds:.2f} s, {answer.status}, {answer.json}")

    assert seconds < SECONDS
    assert answer.status == 409
    assert server.data.outputs() == before
    assert server.http.extras(photo(32, 24), "TrueScale 4x").size == (128, 96)


def test_hires_fix(slow: dict, server: Server, measured: Measured) -> None:
    """Upscaling ends at once; the host then finishes the picture, without steps of sampling."""
    path, body = slow["hires"]
    job = Background(lambda: server.http.ask(path, body))
    server.http.wait_for_progress(above=0.02)
    time.sleep(1)
    assert job.running
    at = time.monotonic()
    server.http.interrupt()
    wait_until(lambda: "TrueScale" not in (server.http.progress()["textinfo"] or ""), 30, lambda: "still upscaling")
    seconds = time.monotonic() - at
    answer = job.result(120)
    measured(f"hires: upscaling ended after {seconds:.2f} s, all after {job.ended - at:.2f} s")

    assert seconds < SECONDS
    assert answer.status == 200
    assert "Lanczos instead of RealESRGAN_x4plus (interrupted)" in answer.json["info"]
    pictures, texts = _hires(server)
    assert pictures[0].size == (256, 256)
    assert "instead of" not in texts[0]


def test_two_clients_at_once(server: Server, photo) -> None:
    one, other = photo(64, 48), photo(48, 64)
    alone = [server.http.upscale(image)[0] for image in (one, other)]
    calls = [Background(lambda image=image: server.http.upscale(image)[0]) for image in (one, other) * 2]

    results = [call.result().tobytes() for call in calls]
    assert results == [image.tobytes() for image in alone] * 2


def test_the_route_beside_a_generation(server: Server, photo) -> None:
    generation = Background(lambda: _hires(server, steps=20))
    picture, _ = server.http.upscale(photo(64, 48))

    assert picture.size == (256, 192)
    assert generation.result()[0][0].size == (256, 256)


def _hires(server: Server, **values) -> tuple[list, list[str]]:
    more = {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "TrueScale 4x", "denoising_strength": 0.5}
    return server.http.txt2img(**more, **values)

"""LDSR by its name in a real WebUI: lists, Extras by API and page, Hires Fix, interrupt. A small random model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ldsr_models import SMALL, TINY, network, save_ckpt, state_dict
from lib_upscaler.models.ldsr.settings import LdsrSettings
from lib_upscaler.running.ldsr.sampler import LdsrSampler
from likeness import levels_off
from webui_browser import open_ui
from webui_http import Background, as_base64
from webui_process import DataFolder, Host, Server

PANEL = "truescale_extras"


@pytest.fixture(scope="module")
def running(host: Host, new_data: Callable[..., DataFolder]) -> Iterator[Server]:
    data = new_data(truescale_precision="exact")
    folder = data.path / "models" / "LDSR"
    folder.mkdir(parents=True)
    save_ckpt(state_dict(TINY), folder / "model.ckpt")
    with Server(host, data) as server:
        yield server


def _sampled(image, **settings) -> np.ndarray:
    """By our networks in this process, which ``test_ldsr`` holds to the host's own code."""
    planes = torch.from_numpy(np.asarray(image).astype(np.float32) / 255).permute(2, 0, 1)
    done = LdsrSampler(network(TINY)).upscale(planes, LdsrSettings(**settings), torch.device("cpu"))
    return done.picture.permute(1, 2, 0).double().numpy() * 255


def test_it_is_listed_once_and_runs_by_the_hosts_own_api(running: Server, photo) -> None:
    assert running.http.upscalers().count("LDSR") == 1
    assert running.http.models().count("LDSR") == 1
    image = photo(40, 32)
    assert levels_off(running.http.extras(image, "LDSR", 4), _sampled(image)) <= 1
    assert "Traceback" not in running.log


def test_our_route_and_hires_fix(running: Server, photo) -> None:
    image = photo(40, 32)
    made, answer = running.http.upscale(image, upscaler_1="LDSR", scale=4, ldsr_seed=5, ldsr_steps=4)
    assert levels_off(made, _sampled(image, seed=5, steps=4)) <= 1
    assert answer["report"]["strategy"] == "sampled"
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "LDSR", "denoising_strength": 0.4}
    pictures, texts = running.http.txt2img(**hires)
    assert pictures[0].size == (192, 192)
    assert "Hires upscaler: LDSR" in texts[0]
    assert "instead of" not in texts[0]


def test_the_page(running: Server, chromium: str, photo, screenshots: Path, tmp_path: Path) -> None:
    image = photo(48, 40)
    image.save(tmp_path / "photo.png")
    with open_ui(chromium, running.port) as ui:
        ui.tab("extras")
        ui.open_panel(PANEL)
        ui.choose(f"{PANEL}_upscaler_1", "LDSR")
        ui.upload("extras_image", tmp_path / "photo.png")
        ui.open_panel(f"{PANEL}_advanced")
        ui.open_panel(f"{PANEL}_ldsr")
        ui.set_number(f"{PANEL}_ldsr_steps", 6)
        ui.page.locator(f"#{PANEL}_ldsr").scroll_into_view_if_needed()
        ui.shot(screenshots / "ldsr.png")
        ui.run("extras")
        ui.shot(screenshots / "ldsr-result.png")
        result = ui.result("extras")
    assert levels_off(result, _sampled(image, steps=6)) <= 1
    assert "TrueScale LDSR steps: 6" in result.info["postprocessing"]


def test_interrupt(running: Server, photo) -> None:
    save_ckpt(state_dict(SMALL), running.data.esrgan / "slow-ldsr.ckpt")
    running.http.post("/truescale/v1/refresh")
    name = next(one for one in running.http.models() if one.startswith("LDSR ["))
    body = {"image": as_base64(photo(160, 120)), "upscaler_1": name, "ldsr_steps": 200}
    job = Background(lambda: running.http.ask("/truescale/v1/upscale", body))
    running.http.wait_for_progress(above=0.01)
    at = time.monotonic()
    running.http.interrupt()
    answer = job.result(60)
    assert answer.status == 409
    assert job.ended - at < 5

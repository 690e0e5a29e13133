"""LDSR in the WebUI: in the place of the host's own, wherever an upscaler is chosen."""

from __future__ import annotations

import io
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fake_host.running import FakeHost
from ldsr_models import TINY, network, save_ckpt, save_safetensors, state_dict
from lib_upscaler.models.ldsr.settings import LdsrSettings
from lib_upscaler.running.ldsr.sampler import LdsrSampler
from networks import encoded, off, picture
from reference import levels
from types_of_fixtures import StartHost

FEW = {"ldsr_steps": 2}


def _sampled(image: Image.Image, **settings: Any) -> np.ndarray:
    planes = torch.from_numpy(np.asarray(image.convert("RGB")).astype(np.float32) / 255).permute(2, 0, 1)
    wanted = LdsrSettings(**{"steps": 2, **settings})
    done = LdsrSampler(network(TINY)).upscale(planes, wanted, torch.device("cpu"))
    return levels(done.picture.permute(1, 2, 0).double().numpy() * 255)


@pytest.fixture
def host(start_host: StartHost) -> FakeHost:
    def with_file(host: FakeHost) -> None:
        folder = host.models.parent / "LDSR"
        folder.mkdir()
        save_ckpt(state_dict(TINY), folder / "model.ckpt")

    return start_host(change=with_file, truescale_precision="exact")


def test_it_is_in_the_lists_once(host: FakeHost) -> None:
    assert [name for name in host.names() if "LDSR" in name] == ["LDSR"]
    assert host.ours("takeover.choices").names().count("LDSR") == 1
    html = host.ours("panels.cards").card_html("LDSR")
    assert "LDSR 4x" in html


def test_the_panel_and_the_picture_that_gives_it_back(host: FakeHost) -> None:
    ours = {"enabled": True, "upscaler_1": "LDSR", "scale": 4, "ldsr_seed": 3, **FEW}
    result = host.extras(picture(), ours=ours)

    assert result.error == ""
    assert off(result.pictures[0], _sampled(picture(), seed=3)) <= 1
    text = result.pictures[0].info["postprocessing"]
    assert "TrueScale LDSR seed: 3" in text
    read = host.ours("panels.extras_text").settings_of(text)
    assert (read["upscaler_1"], read["ldsr_seed"], read["ldsr_steps"]) == ("LDSR", 3, 2)


def test_the_api_and_hires_fix(host: FakeHost) -> None:
    body = {"image": encoded(picture()), "upscaler_1": "LDSR", "scale": 4, "ldsr_mode": "webui", **FEW}
    answer = host.client().post("/truescale/v1/upscale", json=body)
    assert answer.status_code == 200, answer.text
    made = Image.open(io.BytesIO(b64decode(answer.json()["image"])))
    assert off(made, _sampled(picture(), mode="webui")) <= 1
    wrong = host.client().post("/truescale/v1/upscale", json={**body, "ldsr_steps": 900})
    assert (wrong.status_code, "from 0 to 200" in wrong.json()["detail"]) == (422, True)

    hires = {"enable_hr": True, "hr_upscaler": "LDSR", "hr_scale": 4.0, "do_not_save_samples": True}
    generated = host.txt2img(hires={"enabled": True, **FEW}, **hires)
    source = Image.fromarray(host.module("processing").first_pass(1, 64, 48))
    assert off(generated.images[0], _sampled(source)) <= 1
    assert "Hires LDSR steps: 2" in generated.info


def test_the_hosts_setting_is_the_number_of_steps_in_its_own_arithmetic(start_host: StartHost) -> None:
    def with_file(host: FakeHost) -> None:
        save_safetensors(state_dict(TINY), host.models / "anything-ldsr.safetensors")
        host.opts.data["ldsr_steps"] = 3

    host = start_host(change=with_file, truescale_precision="exact")
    ours = {"enabled": True, "upscaler_1": "LDSR", "scale": 4, "ldsr_mode": "webui"}
    result = host.extras(picture(), ours=ours)
    assert off(result.pictures[0], _sampled(picture(), mode="webui", steps=3)) <= 1


def test_a_file_dropped_in_is_found_by_a_refresh(start_host: StartHost) -> None:
    host = start_host()
    before = [name for name in host.names() if "LDSR" in name]
    save_ckpt(state_dict(TINY), host.models / "model.ckpt")
    host.ours("panels.lists").refresh_models()
    assert [name for name in host.names() if "LDSR" in name] == ["LDSR"]
    assert len(before) <= 1
    result = host.extras(picture(), ours={"enabled": True, "upscaler_1": "LDSR", "scale": 2, **FEW})
    assert result.pictures[0].size == (60, 40)


def test_interrupt(host: FakeHost, engine: Any) -> None:
    engine.before = lambda _: host.state.interrupt()
    result = host.extras(picture(), ours={"enabled": True, "upscaler_1": "LDSR", **FEW})
    assert result.pictures == []


def test_a_damaged_file_is_told(start_host: StartHost, tmp_path: Path) -> None:
    def with_file(host: FakeHost) -> None:
        state = {name: value for name, value in state_dict(TINY).items() if "decoder.mid" not in name}
        save_ckpt(state, host.models / "model.ckpt")

    host = start_host(change=with_file)
    result = host.extras(picture(), ours={"enabled": True, "upscaler_1": "LDSR", **FEW})
    assert "incomplete model of LDSR" in result.error

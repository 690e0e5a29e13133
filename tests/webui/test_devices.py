"""What the panel says on computers that are not here: Macs, AMD, Intel, small cards. The devices are stood in for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from fake_host.running import FakeHost
from lib_upscaler.running import limits
from small_networks import rrdb
from types_of_fixtures import StartHost

GB = 10**9
Told = Callable[..., str]


@pytest.fixture
def told(start_host: StartHost, monkeypatch: pytest.MonkeyPatch) -> Told:
    """``told(device, free, width, height)``: the panel's words before a run, on a host that has this device."""

    def words(device: str, free: int, width: int = 512, height: int = 768, **values: Any) -> str:
        found = torch.device(device)
        for module in ("running.device", "pipeline"):
            monkeypatch.setattr(f"lib_upscaler.{module}.find_device", lambda _: found)
        for name, value in _standing_in(found, free).items():
            monkeypatch.setattr(f"torch.{found.type}.{name}", value, raising=False)
        ram = 16 * GB if found.type != "mps" else free  # a Mac's memory is one
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=ram, total=ram))
        monkeypatch.setattr(limits, "_cgroup_free", lambda: None)
        host = start_host(models={"real": rrdb(scale=4, features=64)})
        host.module("devices").device_esrgan = found
        return _plan(host, width, height, upscaler_1="real", **values)

    monkeypatch.setattr(torch, "xpu", getattr(torch, "xpu", SimpleNamespace()), raising=False)
    return words


def _standing_in(device: torch.device, free: int) -> dict[str, Any]:
    if device.type not in ("cuda", "xpu"):
        return {}
    nothing = lambda *_: 0  # noqa: E731
    return {
        "mem_get_info": lambda *_: (free, free + GB),
        "memory_reserved": nothing,
        "memory_allocated": nothing,
        "is_bf16_supported": lambda: True,
        "get_device_name": lambda *_: "a card",
    }


def _plan(host: FakeHost, width: int, height: int, **values: Any) -> str:
    script = next(one for one in host.module("scripts").scripts_postproc.scripts if one.name == "TrueScale")
    parts = {name: component for name, component in script.controls.items() if name != "enabled"}
    given = {name: values.get(name, component.value) for name, component in parts.items()}
    source = json.dumps({"width": width, "height": height})
    html = host.press("truescale_extras_tile", source, *given.values())["truescale_extras_plan"]
    return " ".join(unescape(re.sub("<[^>]*>", " ", html)).split())


@pytest.mark.parametrize(
    ("device", "free", "may_take"),
    [
        ("mps", 16 * GB, "11.2"),  # a Mac: 0.7 of the memory that it shares with all else
        ("cuda:0", 10 * GB, "8.0"),  # NVIDIA, and AMD with ROCm: 0.8 of what is free on the card
        ("xpu:0", 10 * GB, "8.0"),  # Intel
    ],
)
def test_the_memory_of_the_device_is_told(device: str, free: int, may_take: str, told: Told) -> None:
    words = told(device, free)
    assert re.search(rf"memory \d+\.\d / {may_take} GB", words), words
    assert "512x768 → 2048x3072 px" in words
    assert "whole, in" in words


def test_an_intel_card_of_an_older_pytorch(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells how large it is, and what this process holds."""
    properties = SimpleNamespace(total_memory=10 * GB)
    stand_in = SimpleNamespace(get_device_properties=lambda _: properties, memory_allocated=lambda _: 2 * GB)
    monkeypatch.setattr(torch, "xpu", stand_in, raising=False)
    assert limits.available_bytes(torch.device("xpu:0")) == 8 * GB


def test_directml_tells_no_memory_and_neither_does_the_panel(told: Told) -> None:
    words = told("privateuseone:0", 0)
    assert re.search(r"memory \d+\.\d GB", words), words


def test_a_card_of_4_gb_takes_a_large_picture_in_pieces(told: Told) -> None:
    """Half a GB of which Windows and Stable Diffusion have left: still a plan, in fewer bytes than that."""
    words = told("cuda:0", GB // 2, 2048, 2048)
    assert "/ 0.4 GB" in words
    assert re.search(r"in (bands|tiles)|trunk|pieces", words), words
    needed = float(re.search(r"memory (\d+\.\d) /", words).group(1))  # type: ignore[union-attr]
    assert needed <= 0.4


def test_a_card_with_no_room_at_all_is_told_of_in_words(told: Told) -> None:
    words = told("cuda:0", 0, 2048, 2048)
    assert "there is not enough memory for this model: 0 MB may be used. Allow more memory" in words

"""Models that only the newest spandrel knows, on a host that pins an old one, which stays what it is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lib_upscaler import own_packages
from likeness import levels_off
from model_names import ANIME
from small_networks import NETWORKS, available
from webui_http import as_base64
from webui_process import DataFolder, Host, Server

Photo = Callable[[int, int], Image.Image]
HERE = Path(__file__).resolve().parent
NEW = ["MoSR-x2", "MoESR-x4", "RCAN-x2", "FDAT-x2", "SeemoRe-x2", "PLKSR-real-dysample-x2", "PLKSR-real-layer-norm-x4"]
WRAPPED = {
    "wrapped.ckpt": lambda state: {"state_dict": {f"net_g.module.{key}": value for key, value in state.items()}},
    "double.pth.tar": lambda state: {"g_ema": state},
    "binary.bin": lambda state: state,
}


@pytest.fixture(scope="module")
def running(host: Host, new_data: Callable[..., DataFolder], pickled: Path) -> Iterator[Server]:
    """Started without the models: they are dropped in later."""
    if own_packages.find() is None or not set(NEW) <= set(available()):
        pytest.skip("needs the packages of our own (python install.py test puts them into their folder)")
    data = new_data(truescale_precision="exact")
    data.add_models(pickled)
    with Server(host, data) as server:
        yield server


@pytest.fixture(scope="module")
def dropped_in(running: Server) -> Server:
    """The models are dropped into models/ESRGAN of a running WebUI, whose list is then refreshed."""
    for name in NEW:
        torch.save(NETWORKS[name].build(), running.data.esrgan / f"{name}.pth")
    for file, wrap in WRAPPED.items():
        torch.save(wrap(NETWORKS["MoSR-x2"].build()), running.data.esrgan / file)
    running.http.post("/truescale/v1/refresh")
    return running


def _true(model: Path, picture: Image.Image, folder: Path) -> np.ndarray:
    """By the newest spandrel and torch alone, in a process of their own."""
    picture.save(folder / "picture.png")
    subprocess.run(
        [sys.executable, HERE / "true_network.py", model, folder / "picture.png", folder / "true.npy"],
        env={**os.environ, "PYTHONPATH": str(own_packages.find())},
        check=True,
    )
    return np.load(folder / "true.npy")


def test_two_threads_load_at_once_and_the_hosts_spandrel_stays(dropped_in: Server, photo: Photo) -> None:
    dropped_in.http.post("/probe/spandrels")  # as where the host has loaded a model before
    before = dropped_in.http.get("/probe/spandrels")
    assert before["ours"] == "", "it is imported with the first model, not at the start"
    sizes: list[tuple[int, int]] = []
    ask = lambda name: sizes.append(dropped_in.http.extras(photo(32, 24), name, 2).size)  # noqa: E731
    threads = [threading.Thread(target=ask, args=(name,)) for name in ("MoSR-x2", "RCAN-x2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = dropped_in.http.get("/probe/spandrels")

    assert sizes == [(64, 48)] * 2
    assert after["ours"] == own_packages.pins()["spandrel"]
    assert after["mixed"] == []
    assert (after["identity"], after["modules"]) == (before["identity"], before["modules"])
    assert after["version"] == before["version"] != after["ours"]


@pytest.mark.parametrize("name", NEW)
def test_a_new_architecture_gives_its_true_output(name: str, dropped_in: Server, photo: Photo, tmp_path: Path) -> None:
    source = photo(56, 40)
    true = _true(dropped_in.data.esrgan / f"{name}.pth", source, tmp_path)

    assert name in dropped_in.http.upscalers()
    assert levels_off(dropped_in.http.extras(source, name, NETWORKS[name].scale), true) <= 1


@pytest.mark.parametrize("name", ["wrapped", "double", "binary"])
def test_wrapped_weights_give_the_same(name: str, dropped_in: Server, photo: Photo) -> None:
    plain, wrapped = (dropped_in.http.extras(photo(40, 32), one, 2) for one in ("MoSR-x2", name))
    assert np.array_equal(plain, wrapped)


def test_the_hosts_own_loader_works_beside_it(dropped_in: Server, photo: Photo) -> None:
    dropped_in.http.options(truescale_takeover=False)
    try:
        assert dropped_in.http.extras(photo(40, 32), ANIME, 4).size == (160, 128)
    finally:
        dropped_in.http.options(truescale_takeover=True)
    assert dropped_in.http.get("/probe/spandrels")["mixed"] == []


def test_without_our_packages_it_is_said_what_to_do_and_the_host_upscales(
    host: Host, new_data: Callable[..., DataFolder], pickled: Path, photo: Photo, tmp_path: Path
) -> None:
    """As after a first start without a network."""
    data = new_data()
    data.add_models(pickled)
    torch.save(NETWORKS["MoSR-x2"].build(), data.esrgan / "new.pth")
    with Server(host, data, ("--nowebui",), {"TRUESCALE_PACKAGES": str(tmp_path)}) as server:
        answer = server.http.ask("/truescale/v1/upscale", {"image": as_base64(photo(32, 24)), "upscaler_1": "new"})
        assert answer.status >= 400
        assert _what_to_do(host) in answer.json["detail"]
        assert server.http.extras(photo(40, 32), ANIME, 4).size == (160, 128)


def _what_to_do(host: Host) -> str:
    """Of the host's spandrel: it serves, except for new models, or it is too old to."""
    version = host.run("-c", "import importlib.metadata as m; print(m.version('spandrel'))").strip()
    if tuple(map(int, version.split("."))) >= (0, 3, 4):
        return f"fetches spandrel {own_packages.pins()['spandrel']}"
    return "a spandrel older than 0.3.4, and the one of TrueScale's own is not there yet. Restart the WebUI with the"

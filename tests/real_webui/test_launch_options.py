"""The host's command line, and what may be missing: the WebUI starts, and says in words what cannot work."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from model_names import ANIME, PLUS, SHIPPED, VIDEO
from webui_browser import open_ui
from webui_http import Http
from webui_process import DataFolder, Host, Server


def test_nowebui(host: Host, new_data: Callable[..., DataFolder], photo) -> None:
    with Server(host, new_data(models=(VIDEO,)), ("--nowebui",)) as server:
        assert {SHIPPED, VIDEO} <= set(server.http.models())
        assert {SHIPPED, VIDEO} <= set(server.http.upscalers())
        assert server.http.upscale(photo(40, 30), scale=2.5)[0].size == (100, 75)
        assert server.http.extras(photo(40, 30), VIDEO).size == (160, 120)
        assert "/truescale/v1/upscale" in server.http.get("/openapi.json")["paths"]
        assert "Traceback" not in server.log


def test_folders_by_options(
    host: Host, new_data: Callable[..., DataFolder], shared: Path, tmp_path: Path, photo
) -> None:
    """``--models-dir``, and ``--esrgan-models-path`` beside it."""
    host.has.needs("models_dir")
    models, more = tmp_path / "models", tmp_path / "more"
    shutil.copytree(new_data(models=(VIDEO,)).path / "models", models, symlinks=True)
    more.mkdir()
    shutil.copyfile(shared / "models" / f"{ANIME}.safetensors", more / f"{ANIME}.safetensors")
    options = ("--models-dir", str(models), "--esrgan-models-path", str(more), "--nowebui")
    with Server(host, new_data(models=(PLUS,)), options) as server:
        assert {SHIPPED, VIDEO, ANIME} <= set(server.http.models())
        assert PLUS not in server.http.models()
        assert server.http.extras(photo(40, 30), ANIME, 2).size == (80, 60)


@pytest.mark.parametrize("kind", ["none", "no folder", "a file", "a dangling link"])
def test_no_models(kind: str, host: Host, new_data: Callable[..., DataFolder], photo) -> None:
    data = new_data()
    if kind != "none":
        data.esrgan.rmdir()
    if kind == "a file":
        data.esrgan.write_text("not a folder")
    if kind == "a dangling link":
        data.esrgan.symlink_to(data.path / "nowhere")
    with Server(host, data, ("--nowebui",)) as server:
        assert SHIPPED in server.http.models()
        assert server.http.upscale(photo(40, 30), scale=2)[0].size == (80, 60)


def test_without_spandrel(
    host: Host, new_data: Callable[..., DataFolder], chromium: str, screenshots: Path, tmp_path: Path, photo
) -> None:
    """The WebUI starts and works; the panels and the route say what is missing."""
    (tmp_path / "sitecustomize.py").write_text(_BLOCKS_SPANDREL, encoding="utf-8")
    # And none of ours, which nothing can put into a file.
    environment = {"PYTHONPATH": str(tmp_path), "TRUESCALE_PACKAGES": str(tmp_path / "sitecustomize.py")}
    with Server(host, new_data(), environment=environment) as server:
        answer = server.http.ask("/truescale/v1/upscale", {"image": base64.b64encode(b"x").decode()})
        assert answer.status == 422
        assert "spandrel is not installed" in answer.json["detail"]
        assert server.http.txt2img()[0][0].size == (128, 128)
        assert server.http.extras(photo(40, 30), "Lanczos", 2).size == (80, 56)
        with open_ui(chromium, server.port) as ui:
            for tab, panel in (("txt2img", "truescale_hires"), ("extras", "truescale_extras")):
                ui.tab(tab)
                ui.open_panel(panel)
                assert "spandrel is not installed" in ui.text(f"#{panel}")
            ui.shot(screenshots / "without-spandrel.png")


_BLOCKS_SPANDREL = """\
import importlib.metadata
import sys


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("spandrel", "spandrel_extra_arches"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Blocked())
"""


def test_a_password(host: Host, new_data: Callable[..., DataFolder], photo) -> None:
    with Server(host, new_data(), ("--nowebui", "--api-auth", "me:secret,you:other")) as server:
        paths = ("/truescale/v1/models", "/sdapi/v1/upscalers")
        for password, status in ((None, 401), ("me:wrong", 401), ("you:secret", 401), ("me:secret", 200)):
            assert [Http(server.port, password).ask(path).status for path in paths] == [status] * 2
        known = Http(server.port, "you:other")
        assert known.upscale(photo(40, 30), scale=2)[0].size == (80, 60)
        assert server.http.ask("/truescale/v1/upscale", {"image": ""}).status == 401

"""The five lines at the top of the README, by somebody who has nothing but a WebUI and this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from likeness import levels_off
from side_by_side import true_output
from webui_browser import Ui, open_ui
from webui_process import CHECKOUT, DataFolder, Host, Server

PANEL = "truescale_extras"
SHIPPED = CHECKOUT / "lib_upscaler" / "weights" / "TrueScale 4x.safetensors"


def _repository(data: DataFolder, folder: Path) -> Path:
    """What a stranger would clone, with what is not committed yet: the WebUI cannot clone one that is cut off (git)."""
    data.install_truescale().rename(folder)
    shutil.rmtree(folder / ".git")
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "as it is"]):
        subprocess.run([*git, *words], check=True)
    return folder


def _press(ui: Ui, tab: str, words: str) -> None:
    ui.page.locator(f"#tab_{tab} button:visible").filter(has_text=words).first.click()
    ui.page.wait_for_timeout(700)


def _install(ui: Ui, repository: Path) -> None:
    ui.tab("extensions")
    _press(ui, "extensions", "Install from URL")
    ui.page.get_by_label("URL for extension's git repository").fill(str(repository))
    ui.page.locator("#tab_extensions button.primary:visible").filter(has_text="Install").click()
    ui.page.locator("#extension_install_result").get_by_text("Installed into").wait_for()
    _press(ui, "extensions", "Installed")
    assert "truescale" in ui.text("#extensions tbody")


def test_from_nothing_to_the_first_picture(
    host: Host, chromium: str, new_data: Callable[..., DataFolder], photo, screenshots: Path, tmp_path: Path
) -> None:
    data = new_data(truescale=False, scripts=())
    repository = _repository(data, tmp_path / "truescale")
    small = tmp_path / "small.png"
    photo(64, 48).save(small)
    # Without a network, what would be fetched at this point lies beside the checkout.
    server = Server(host, data, environment={"TRUESCALE_PACKAGES": os.fspath(CHECKOUT / "packages")})
    with server, open_ui(chromium, server.port) as ui:
        _install(ui, repository)
        ui.shot(screenshots / "first_installed.png")
    with server, open_ui(chromium, server.port) as ui:  # the button restarts the program by the script that started it
        ui.tab("extras")
        ui.upload("extras_image", small)
        ui.open_panel(PANEL)
        assert (ui.value(f"{PANEL}_upscaler_1"), float(ui.value(f"{PANEL}_scale"))) == ("TrueScale 4x", 4.0)
        ui.page.wait_for_function(f"() => gradioApp().querySelector('#{PANEL}_plan').innerText.includes('256x192')")
        ui.run("extras")
        ui.shot(screenshots / "first_picture.png")
        assert "64x48 → 256x192 px" in ui.text(f"#{PANEL}_statement")
        result: Image.Image = ui.result("extras")
        assert ui.errors == []

    assert levels_off(result.convert("RGB"), true_output(SHIPPED, small, tmp_path / "true.npy")) <= 1

"""A recipe and the mean over eight views, typed and ticked in the page's Advanced, and read back from the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import load_file, save_file

from likeness import levels_off
from model_names import VIDEO
from side_by_side import true_output
from webui_browser import Ui
from webui_process import Server

PANEL = "truescale_extras"
RECIPE = f"{VIDEO}@25 & other@75"


def _true(model: Path, source: np.ndarray, folder: Path) -> np.ndarray:
    Image.fromarray(np.ascontiguousarray(source)).save(folder / "view.png")
    return true_output(model, folder / "view.png", folder / "true.npy")


def _mean_of_views(model: Path, source: np.ndarray, folder: Path) -> np.ndarray:
    total = np.zeros(1)
    for quarter in range(4):
        for flip in (lambda x: x, np.fliplr):
            total = total + np.rot90(flip(_true(model, flip(np.rot90(source, quarter)), folder)), -quarter)
    return total / 8


def test_a_recipe(ui: Ui, server: Server, shared: Path, photo, screenshots: Path, tmp_path: Path) -> None:
    weights = load_file(shared / "models" / f"{VIDEO}.safetensors")
    other = {key: value * (0.97 if value.ndim > 1 else 1.0) for key, value in weights.items()}
    between = {key: weights[key] * 0.25 + other[key] * 0.75 for key in weights}
    dropped = server.data.esrgan / "other.safetensors"
    save_file(other, dropped)
    save_file(between, tmp_path / "between.safetensors")
    try:
        server.http.post("/truescale/v1/refresh")
        ui.tab("extras")
        ui.open_panel(PANEL)
        photo(72, 56).save(tmp_path / "photo.png")
        ui.upload("extras_image", tmp_path / "photo.png")
        ui.open_panel(f"{PANEL}_advanced")
        ui.choose(f"{PANEL}_precision", "exact")
        field = ui.page.locator(f"#{PANEL}_recipe textarea, #{PANEL}_recipe input").first
        field.fill(f"{VIDEO}@25 & othr")
        ui.page.wait_for_timeout(1500)
        assert "there is no upscaler 'othr'" in ui.text(f"#{PANEL}_recipe_card")
        field.fill(RECIPE)
        ui.page.wait_for_timeout(1500)
        assert "no upscaler" not in ui.text(f"#{PANEL}_recipe_card")
        ui.page.locator(f"#{PANEL}_tta input").check()
        field.scroll_into_view_if_needed()
        ui.shot(screenshots / "recipe.png")
        ui.run("extras")
        result = ui.result("extras")

        true = _mean_of_views(tmp_path / "between.safetensors", np.asarray(photo(72, 56)), tmp_path)
        assert levels_off(result, true) <= 1
        assert levels_off(result, _true(tmp_path / "between.safetensors", np.asarray(photo(72, 56)), tmp_path)) > 1
        assert f"Postprocess upscaler: {RECIPE}" in result.info["postprocessing"]
        result.save(tmp_path / "result.png", pnginfo=_with(result.info["postprocessing"]))
        field.fill("")
        ui.page.locator(f"#{PANEL}_tta input").uncheck()
        ui.upload("extras_image", tmp_path / "result.png")
        ui.page.locator(f"#{PANEL}_read").click()
        ui.page.wait_for_timeout(1500)
        assert field.input_value() == RECIPE
        assert ui.page.locator(f"#{PANEL}_tta input").is_checked()
    finally:
        dropped.unlink()
        server.http.post("/truescale/v1/refresh")


def _with(text: str):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("postprocessing", text)
    return info

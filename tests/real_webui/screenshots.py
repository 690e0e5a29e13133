"""The README's pictures, of a real WebUI that was set up beforehand. Run by hand, as the tests beside it:

    python tests/real_webui/screenshots.py --webui DIR --photos PHOTOS --models MODELS --out docs

Needs playwright and a Chromium that is installed. PHOTOS and MODELS are the folders that the tests use, FIXTURE (beside
MODELS, if not given) holds the tiny checkpoint; what that makes is noise, so that no picture of it is shown. Nothing is
written into DIR. What was measured for the captions is printed.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from model_names import ANIME, PLUS, SHIPPED, VIDEO
from side_by_side import measured, sheet, true_levels
from webui_browser import Ui, open_ui
from webui_process import DataFolder, Host, Server

PHOTO = "viktor-forgacs"
"""By Viktor Forgacs; held back from the training of TrueScale 4x, and in docs/truescale-4x.jpg as well."""

NAMES = {PLUS: "R-ESRGAN 4x+", ANIME: "R-ESRGAN 4x+ Anime6B"}
"""As the host lists them."""

SMALLER = 8
BUILDING = (241, 91, 572, 366)
"""px of the photo made 8 times smaller. Odd sides, as pictures have them: the host cuts sizes to multiples of 8."""

EXTRAS, WHICH, HIRES, SD = "truescale_extras", "truescale_extras_which", "truescale_hires", "truescale_sd"
_WIDTH = 1000  # px of the page, whose columns are then about 450 wide
_TALL = 3000  # px, so that nothing needs scrolling
_MARGIN = 27  # px beside what is shown, for the numbers of the steps
_MILLISECONDS = 600_000  # Stable Diffusion on a processor takes its time
_BETWEEN = 14  # px between parts of a page


def main() -> None:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="truescale-screenshots-") as temporary:
        folder = Path(temporary)
        os.environ["TRUESCALE_CACHE"] = str(folder / "cache")
        host = Host(options.webui.resolve(), _python(options))
        photo, source = _sources(options.photos, folder)
        threads = {"OMP_NUM_THREADS": str(os.cpu_count() or 1)}
        plain = _data(host, folder / "plain", options)
        with Server(host, plain, environment=threads) as server:
            theirs = server.http.extras(Image.open(source), NAMES[PLUS], 4)
        extended = _data(host, folder / "extended", options, img2img_editor_height=330)
        extended.install_truescale()
        with Server(host, extended, environment=threads) as server:
            _compare(server, source, theirs, options)
            _screenshots(server, photo, source, options.out)


def _compare(server: Server, source: Path, theirs: Image.Image, options: argparse.Namespace) -> None:
    """The same request to the WebUI without and with TrueScale."""
    small = Image.open(source)
    results = {"the WebUI alone": theirs, "with TrueScale": server.http.extras(small, NAMES[PLUS], 4)}
    exact = server.http.upscale(small, upscaler_1=NAMES[PLUS], scale=4, precision="exact")[0]
    true = true_levels(options.models.resolve() / f"{PLUS}.safetensors", source)
    for line in measured(small, {**results, "the same, exact": exact}, true):
        _say(line)
    font = options.webui / "modules" / "Roboto-Regular.ttf"
    _save(sheet(small, results, true, font), options.out / "host-and-truescale.jpg")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, text in (("webui", "the WebUI's folder"), ("photos", "photos"), ("models", "networks"), ("out", "docs")):
        parser.add_argument(f"--{name}", type=Path, required=True, help=text)
    parser.add_argument("--webui-python", type=Path, help="its Python (default: that of its venv)")
    parser.add_argument("--fixture", type=Path, help="the tiny checkpoint (default: webui-fixture beside the models)")
    return parser.parse_args()


def _python(options: argparse.Namespace) -> Path:
    usual = (options.webui / "venv" / "bin" / "python", options.webui.parent / "venv" / "bin" / "python")
    found = [one for one in ([options.webui_python] if options.webui_python else usual) if one.exists()]
    if not found:
        raise SystemExit("the WebUI's Python is not found: --webui-python PYTHON")
    return found[0].absolute()  # not resolved: the link makes it the venv's


def _sources(photos: Path, folder: Path) -> tuple[Path, Path]:
    """Files: the photo made small, and the part of it with the building."""
    with Image.open(photos / f"{PHOTO}.jpg") as opened:
        small = opened.convert("RGB").reduce(SMALLER)
    whole, part = folder / "photo.png", folder / "building.png"
    small.save(whole)
    small.crop(BUILDING).save(part)
    return whole, part


def _data(host: Host, path: Path, options: argparse.Namespace, **settings) -> DataFolder:
    """With the networks where the host looks for its own, in the only form that it reads there."""
    models = options.models.resolve()
    path.mkdir()
    data = DataFolder(
        path / "data", (options.fixture or models.parent / "webui-fixture").resolve(), host.has.settings_at_start
    )
    data.settings(**settings)
    folder = data.path / "models" / "RealESRGAN"
    folder.mkdir()
    program = (
        "import sys, torch, safetensors.torch as s;"
        " torch.save({'params_ema': s.load_file(sys.argv[1])}, sys.argv[2], _use_new_zipfile_serialization=False)"
    )
    for name in (PLUS, ANIME):
        host.run("-c", program, models / f"{name}.safetensors", folder / f"{name}.pth")
    data.add_models(models / f"{VIDEO}.safetensors")
    return data


# -- the pages ---------------------------------------------------------------------------------------------------------

Box = tuple[float, float, float, float]
"""left, top, right, bottom on the page, px."""

_NUMBER = """([element, number]) => {
    const box = element.getBoundingClientRect();
    const badge = document.body.appendChild(document.createElement("div"));
    badge.className = "step-number";
    badge.textContent = number;
    badge.style.cssText = `position: absolute; z-index: 9999; left: ${box.left - 26}px; top: ${box.top}px;
        width: 24px; height: 24px; border-radius: 50%; background: #c2410c; color: white;
        font: bold 14px/24px sans-serif; text-align: center;`;
}"""


def _screenshots(server: Server, photo: Path, source: Path, out: Path) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("Chromium is not found")
    for take, width in ((_extras, _WIDTH), (_hires_fix, _WIDTH), (_sd_upscale, _WIDTH), (_which_model, 2 * _WIDTH)):
        with open_ui(chromium, server.port, width=width, height=_TALL) as ui:
            ui.page.set_default_timeout(_MILLISECONDS)
            take(ui, photo, source, out)


def _extras(ui: Ui, photo: Path, source: Path, out: Path) -> None:
    ui.tab("extras")
    ui.open_panel("extras_upscale")  # it is open at first: closes it
    ui.upload("extras_image", source)
    ui.open_panel(EXTRAS)
    ui.choose(f"{EXTRAS}_preset", "Photo")
    ui.run("extras")
    ui.run("extras")  # the second time the network is loaded, and the time is known beforehand
    ui.page.wait_for_timeout(3000)
    steps = ["#extras_image", f"#{EXTRAS}_preset", "#extras_generate"]
    _numbered(ui, [*steps, f"#{EXTRAS}_plan"], (1, 2, 3, 2))
    left, right = _box(ui, "#mode_extras", f"#{EXTRAS}_plan"), _box(ui, "#extras_results")
    _save(_shot(ui, (left[0], left[1], right[2], left[3])), out / "extras.jpg")
    _slider(ui, out)


def _slider(ui: Ui, out: Path) -> None:
    """The viewer, near enough to tell the pixels of the source."""
    ui.page.set_viewport_size({"width": _WIDTH, "height": 640})
    ui.page.evaluate("document.querySelectorAll('.step-number').forEach((one) => one.remove())")
    ui.page.locator("#truescale_compare_extras").click()
    ui.page.wait_for_timeout(1500)
    stage = ui.page.locator("#truescale_compare_dialog .truescale-stage")
    box = stage.bounding_box()
    ui.page.mouse.move(box["x"] + box["width"] * 0.56, box["y"] + box["height"] * 0.35)
    for _ in range(3):
        ui.page.mouse.wheel(0, -240)
        ui.page.wait_for_timeout(200)
    ui.page.get_by_role("button", name="Show pixels as squares").or_(ui.page.get_by_text("Pixelated")).first.click()
    ui.page.mouse.move(1, 1)
    ui.page.wait_for_timeout(1000)
    _save(_shot(ui, (0, 0, _WIDTH, 640), margin=0), out / "slider.jpg")


def _hires_fix(ui: Ui, photo: Path, source: Path, out: Path) -> None:
    ui.tab("txt2img")
    ui.page.locator("#txt2img_prompt textarea").fill("a house by the sea")
    ui.page.locator("#txt2img_hr > .label-wrap").click()
    ui.page.wait_for_timeout(700)
    ui.open_panel(HIRES)
    ui.choose("txt2img_hr_upscaler", NAMES[ANIME])
    ui.choose(f"{HIRES}_upscaler_2", SHIPPED)
    ui.set_number(f"{HIRES}_upscaler_2_visibility", 0.3)
    ui.set_number("txt2img_width", 384)
    ui.set_number("txt2img_hr_scale", 1.5)
    ui.set_number("txt2img_denoising_strength", 0.4)
    ui.set_number("txt2img_steps", 4)
    ui.run("txt2img")
    ui.page.wait_for_timeout(3000)
    statement = "#html_log_txt2img .comments"
    _numbered(ui, ["#txt2img_hr_upscaler", f"#{HIRES}_upscaler_2", f"#{HIRES}_plan", statement], (1, 2, 2, 3))
    parts = [[_box(ui, "#txt2img_hr"), _box(ui, statement)], [_box(ui, f"#{HIRES}")]]
    _save(_columns(ui, parts), out / "hires-fix.png")


def _sd_upscale(ui: Ui, photo: Path, source: Path, out: Path) -> None:
    ui.tab("img2img")
    ui.upload("img2img_image", photo)
    ui.choose("img2img_script_container #script_list", "TrueScale SD Upscale")
    ui.set_number("img2img_denoising_strength", 0.3)
    ui.choose(f"{SD}_upscaler_1", NAMES[ANIME])
    ui.set_number("img2img_steps", 4)
    ui.run("img2img")
    ui.page.wait_for_timeout(3000)
    script = "#img2img_script_container #script_list"
    _numbered(ui, ["#img2img_image", script, f"#{SD}_plan", "#img2img_denoising_strength"], (1, 2, 2, 3))
    statement = "#html_log_img2img .comments"
    left = [_box(ui, "#img2img_image"), _box(ui, script, f"#{SD}_scale")]
    right = [_box(ui, f"#{SD}_tile_width", f"#{SD}_plan"), _box(ui, "#img2img_denoising_strength"), _box(ui, statement)]
    _save(_columns(ui, [left, right]), out / "sd-upscale.jpg")


def _which_model(ui: Ui, photo: Path, source: Path, out: Path) -> None:
    ui.tab("extras")
    ui.upload("extras_image", source)
    ui.open_panel(EXTRAS)
    ui.open_panel(WHICH)
    for name in ("Lanczos", SHIPPED, NAMES[ANIME], NAMES[PLUS]):
        ui.page.locator(f"#{WHICH}_models input").click()
        ui.page.locator(f"#{WHICH}_models ul.options > li[data-value='{name}']").click()
        ui.page.wait_for_timeout(400)
    ui.page.keyboard.press("Escape")
    _pick_crop(ui)
    ui.page.locator(f"#{WHICH}_run").click()
    ui.page.wait_for_selector(f"#{WHICH}_pictures figure >> nth=4")
    ui.page.wait_for_timeout(1500)
    ui.page.locator(f"#{WHICH}_pictures figure").last.get_by_text("Use", exact=True).click()
    ui.page.wait_for_timeout(1500)
    _save(_shot(ui, _box(ui, f"#{WHICH}")), out / "which-model.jpg")


def _pick_crop(ui: Ui) -> None:
    ui.page.locator(f"#{WHICH}_pick").click()
    ui.page.wait_for_timeout(1000)
    ui.page.locator("#truescale_crop_size").fill("64")
    box = ui.page.locator("#truescale_crop_dialog .truescale-stage").bounding_box()
    ui.page.mouse.click(box["x"] + box["width"] * 0.58, box["y"] + box["height"] * 0.35)
    ui.page.keyboard.press("Enter")
    ui.page.wait_for_timeout(1000)


# -- what is shown of a page -------------------------------------------------------------------------------------------


def _numbered(ui: Ui, selectors: Sequence[str], numbers: Sequence[int]) -> None:
    """The number of a recipe's step beside each element."""
    ui.page.mouse.move(1, 1)
    for selector, number in zip(selectors, numbers):
        element = ui.page.locator(selector).first
        element.evaluate(f"(element, number) => ({_NUMBER})([element, number])", number)


def _box(ui: Ui, *selectors: str) -> Box:
    """Around all of these elements."""
    boxes = [ui.page.locator(selector).first.bounding_box() for selector in selectors]
    sides = [(one["x"], one["y"], one["x"] + one["width"], one["y"] + one["height"]) for one in boxes]
    return (*(min(side) for side in list(zip(*sides))[:2]), *(max(side) for side in list(zip(*sides))[2:]))


def _shot(ui: Ui, box: Box, margin: int = _MARGIN) -> Image.Image:
    """With some room at the left for the numbers, and little at the other sides."""
    left, top = max(0, box[0] - margin), max(0, box[1] - margin // 8)
    size = {"width": box[2] - left + margin // 3, "height": box[3] - top + margin // 8}
    return Image.open(io.BytesIO(ui.page.screenshot(clip={"x": left, "y": top, **size}))).convert("RGB")


def _columns(ui: Ui, columns: Sequence[Sequence[Box]]) -> Image.Image:
    """Parts of a page that are far from each other, below and beside each other."""
    shots = [[_shot(ui, box) for box in column] for column in columns]
    widths = [max(shot.width for shot in column) for column in shots]
    height = max(sum(shot.height + _BETWEEN for shot in column) for column in shots)
    sheet = Image.new("RGB", (sum(widths), height), "white")
    for number, column in enumerate(shots):
        top = _BETWEEN // 2
        for shot in column:
            sheet.paste(shot, (sum(widths[:number]), top))
            top += shot.height + _BETWEEN
    return sheet


def _save(image: Image.Image, file: Path) -> None:
    if file.suffix == ".png":
        image.quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    else:
        image.save(file, quality=88, subsampling=0, optimize=True)
    _say(f"{file.name}: {image.width} x {image.height} px, {file.stat().st_size:,} bytes")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - run by hand


if __name__ == "__main__":
    main()

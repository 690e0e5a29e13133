"""The queue of the Extras in Chromium: jobs run one after the other while the page is used for the next."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from PIL import Image

from likeness import levels_off
from model_names import ANIME, PLUS
from webui_browser import Ui, open_ui
from webui_process import Host, Server

PANEL = "truescale_extras"
QUEUE = f"{PANEL}_queue"
_AXE = {"resultTypes": ["violations"]}


@pytest.fixture
def opened(ui: Ui) -> Iterator[Ui]:
    """With an empty queue, before and after."""
    _open(ui)
    yield ui
    _press(ui, "stop")
    ui.page.wait_for_function(f"() => !document.querySelector('#{QUEUE}_box .truescale-job-running')")
    _empty(ui)


def _empty(ui: Ui) -> None:
    """Without jobs the queue is not paused either."""
    _press(ui, "clear")
    while ui.page.locator(f"#{QUEUE}_list li button[id$=_remove]").count():
        ui.page.locator(f"#{QUEUE}_list li button[id$=_remove]").first.click()
        ui.page.wait_for_timeout(1000)


def _open(ui: Ui) -> None:
    ui.tab("extras")
    ui.open_panel(PANEL)


def _press(ui: Ui, button: str) -> None:
    target = ui.page.locator(f"#{QUEUE}_{button}")
    if target.is_visible():
        target.click()
        ui.page.wait_for_timeout(700)


def _picture(ui: Ui, image: Image.Image, file: Path) -> None:
    image.save(file)
    clear = ui.page.locator("#extras_image button[aria-label='Clear'], #extras_image button[aria-label='Remove Image']")
    if clear.count():
        clear.first.click()
        ui.page.wait_for_timeout(500)
    ui.upload("extras_image", file)


def _add(ui: Ui) -> None:
    before = len(_states(ui))
    ui.page.locator(f"#{QUEUE}_add").click()
    ui.page.wait_for_function(
        f"(number) => document.querySelectorAll('#{QUEUE}_list li').length === number", arg=before + 1
    )


def _states(ui: Ui) -> list[str]:
    items = ui.page.locator(f"#{QUEUE}_list li")
    classes = items.evaluate_all("all => all.map((one) => one.className)")
    return [name.rsplit("-", 1)[1] for name in classes]


def _wait(ui: Ui, *states: str) -> None:
    """Until the jobs are in these states."""
    ui.page.wait_for_function(
        f"""(states) => JSON.stringify([...document.querySelectorAll('#{QUEUE}_list li')]
            .map((one) => one.className.replace(/.*-/, ""))) === JSON.stringify(states)""",
        arg=list(states),
        timeout=240_000,
    )
    ui.page.wait_for_timeout(500)


def _results(ui: Ui) -> list[Image.Image]:
    """Of the queue's gallery, in full."""
    ui.page.wait_for_timeout(2500)
    lists = (f"#{QUEUE}_results .grid-container img", f"#{QUEUE}_results .thumbnails img")
    found = [ui.page.eval_on_selector_all(each, "all => all.map((one) => one.src)") for each in lists]
    addresses = next(filter(None, found), [])
    return [Image.open(io.BytesIO(ui.page.request.get(urljoin(ui.page.url, one)).body())) for one in addresses]


def test_jobs_run_with_the_settings_that_they_were_added_with(
    opened: Ui, server: Server, photo, true_levels, screenshots: Path, tmp_path: Path
) -> None:
    before = server.data.outputs()
    opened.choose(f"{PANEL}_upscaler_1", PLUS)
    _picture(opened, photo(160, 120), tmp_path / "first.png")
    _add(opened)
    opened.open_panel(f"{PANEL}_advanced")  # while the first runs, the next is set up
    opened.choose(f"{PANEL}_precision", "exact")
    opened.choose(f"{PANEL}_upscaler_1", ANIME)
    opened.set_number(f"{PANEL}_scale", 2.5)
    _picture(opened, photo(64, 48), tmp_path / "second.png")
    _add(opened)
    opened.shot(screenshots / "queue-running.png")
    opened.page.locator("#mode_extras button", has_text="Batch Process").click()
    opened.page.wait_for_timeout(2000)  # the host's own answer to that would make gradio 3 forget the files
    for name, width in (("b", 40), ("a", 32)):
        photo(width, 32).save(tmp_path / f"{name}-of-batch.png")
    opened.upload("extras_image_batch", tmp_path / "b-of-batch.png", tmp_path / "a-of-batch.png")
    opened.set_number(f"{PANEL}_scale", 3)
    _add(opened)
    _wait(opened, "done", "done", "done")
    found = _results(opened)
    opened.page.locator(f"#{QUEUE}_box").scroll_into_view_if_needed()
    opened.shot(screenshots / "queue-done.png")

    assert [image.size for image in found] == [(640, 480), (160, 120), (120, 96), (96, 96)]
    assert levels_off(found[1], true_levels(photo(64, 48), ANIME, (160, 120))) <= 1
    assert len(set(server.data.outputs()) - set(before)) == 4
    words = opened.page.locator(f"#{QUEUE}_list li").all_inner_texts()
    assert f"Upscaler 1: {PLUS}" in words[0]
    assert f"Upscaler 1: {ANIME}" in words[1]
    assert "Scale: 2.5" in words[1]
    assert "b-of-batch.png + 1" in words[2]


def test_it_goes_on_when_the_page_is_loaded_anew(opened: Ui, photo, screenshots: Path, tmp_path: Path) -> None:
    opened.choose(f"{PANEL}_upscaler_1", PLUS)
    _picture(opened, photo(120, 90), tmp_path / "first.png")
    _add(opened)
    _add(opened)
    _wait(opened, "running", "waiting")
    opened.page.reload(wait_until="domcontentloaded")
    opened.wait_until_ready()
    _open(opened)
    opened.page.wait_for_selector(f"#{QUEUE}_list li")
    opened.shot(screenshots / "queue-reloaded.png")
    assert len(_states(opened)) == 2
    _wait(opened, "done", "done")

    assert [image.size for image in _results(opened)] == [(480, 360)] * 2


def test_interrupt_pauses_and_a_failure_costs_no_other(
    opened: Ui, server: Server, photo, screenshots: Path, tmp_path: Path
) -> None:
    server.host.has.needs("interrupt_in_extras")
    opened.choose(f"{PANEL}_upscaler_1", PLUS)
    _picture(opened, photo(300, 200), tmp_path / "first.png")
    _add(opened)
    opened.choose(f"{PANEL}_upscaler_1", "broken")
    _picture(opened, photo(40, 32), tmp_path / "second.png")
    _add(opened)
    opened.choose(f"{PANEL}_upscaler_1", "TrueScale 4x")
    _add(opened)
    server.http.wait_for_progress(above=0.02)
    _press(opened, "stop")
    _wait(opened, "interrupted", "waiting", "waiting")
    assert "The queue is paused" in opened.text(f"#{QUEUE}_status >> nth=0")
    opened.page.wait_for_timeout(1500)
    assert _states(opened) == ["interrupted", "waiting", "waiting"]
    _press(opened, "run")
    _wait(opened, "interrupted", "failed", "done")
    opened.page.locator(f"#{QUEUE}_box").scroll_into_view_if_needed()
    opened.shot(screenshots / "queue-failed.png")

    assert "cannot load the model 'broken.pth'" in opened.text(f"#{QUEUE}_list")
    assert [image.size for image in _results(opened)] == [(160, 128)]
    _press(opened, "clear")
    opened.page.wait_for_timeout(1000)
    assert not opened.page.locator(f"#{QUEUE}_box").is_visible()


def test_generate_and_the_queue_take_turns(opened: Ui, server: Server, photo, tmp_path: Path) -> None:
    opened.choose(f"{PANEL}_upscaler_1", PLUS)
    _picture(opened, photo(120, 90), tmp_path / "first.png")
    _add(opened)
    opened.choose(f"{PANEL}_upscaler_1", "TrueScale 4x")
    _picture(opened, photo(40, 32), tmp_path / "second.png")
    _add(opened)
    opened.set_number(f"{PANEL}_scale", 2)
    opened.run("extras")
    own = opened.result("extras").size
    statement = opened.text("#truescale_extras_statement")
    _wait(opened, "done", "done")

    assert own == (80, 64)
    assert "80 x 64" in statement or "80x64" in statement
    assert [image.size for image in _results(opened)] == [(480, 360), (160, 128)]


def test_by_keyboard(opened: Ui, photo, tmp_path: Path) -> None:
    opened.choose(f"{PANEL}_upscaler_1", "TrueScale 4x")
    _picture(opened, photo(120, 90), tmp_path / "first.png")
    _add(opened)
    _press(opened, "pause")
    _wait(opened, "done")
    names = {2: "2", 3: "3"}
    for scale in names:
        opened.set_number(f"{PANEL}_scale", scale)
        _add(opened)
    up = opened.page.locator(f"#{QUEUE}_list li").nth(2).locator("button[id$=_up]")
    up.focus()
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_timeout(1500)
    items = opened.page.locator(f"#{QUEUE}_list li").all_inner_texts()
    assert "Scale: 3" in items[1]
    assert "Scale: 2" in items[2]
    assert opened.page.evaluate("document.activeElement.id").endswith("_up")
    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Tab")
    assert "Remove from the queue" in opened.page.evaluate("document.activeElement.getAttribute('aria-label')")
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_timeout(1500)

    assert _states(opened) == ["done", "waiting"]
    assert opened.page.evaluate(f"document.activeElement.closest('#{QUEUE}_list') !== null")


def test_nothing_to_add_is_an_error_in_words(opened: Ui) -> None:
    opened.page.locator(f"#{QUEUE}_add").click()
    opened.page.wait_for_selector(f"#{QUEUE}_note .truescale-problem")

    assert "there is no picture. Load one into Extras first" in opened.text(f"#{QUEUE}_note")


@pytest.mark.parametrize(
    ("name", "dark", "width"), [("light", False, 1400), ("dark", True, 1400), ("phone", True, 420)]
)
def test_it_can_be_used_by_everybody(
    name: str, dark: bool, width: int, chromium: str, server: Server, photo, screenshots: Path, tmp_path: Path
) -> None:
    with open_ui(chromium, server.port, dark=dark, width=width, height=1200) as ui:
        _open(ui)
        ui.choose(f"{PANEL}_upscaler_1", "TrueScale 4x")
        _picture(ui, photo(80, 60), tmp_path / "first.png")
        try:
            _add(ui)
            _wait(ui, "done")
            _press(ui, "pause")
            _add(ui)
            _wait(ui, "done", "waiting")
            ui.page.locator(f"#{QUEUE}_add").scroll_into_view_if_needed()
            ui.shot(screenshots / f"queue-{name}.png")
            ui.shot(screenshots / f"queue-{name}-box.png", f"#{QUEUE}_box")
            shown = [f"#{QUEUE}_{part}" for part in ("row", "status", "list")]
            boxes = [ui.page.locator(selector).first.bounding_box() for selector in shown]
            serious = [found for selector in shown for found in _serious(ui, selector)]
            assert ui.page.locator(f"#{QUEUE}_status").first.get_attribute("aria-live") == "polite"
        finally:
            _empty(ui)
        assert ui.errors == []

    assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    assert serious == []


def test_korean(host: Host, new_data, chromium: str, photo, screenshots: Path, tmp_path: Path) -> None:
    with Server(host, new_data(localization="ko_KR")) as server, open_ui(chromium, server.port, height=1200) as ui:
        _open(ui)
        _picture(ui, photo(40, 30), tmp_path / "first.png")
        _add(ui)
        _wait(ui, "done")
        ui.page.locator(f"#{QUEUE}_add").scroll_into_view_if_needed()
        ui.shot(screenshots / "queue-korean.png")
        words = [
            ui.text(f"#{QUEUE}_{part} >> nth=0") for part in ("add", "status", "list", "run", "pause", "stop", "clear")
        ]
        title = ui.page.locator(f"#{QUEUE}_list button").first.get_attribute("aria-label")

    assert [word for word in [*words, title] if not re.search("[가-힣]", word)] == []


def _serious(ui: Ui, selector: str) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    found = axe.run(ui.page, context=selector, options=_AXE).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")
    ]

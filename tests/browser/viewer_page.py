"""The comparison of two pictures and the picking of a crop, as a user handles them."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image

from panels_page import PanelsPage

__all__ = ["COMPARISON", "CROPPING", "Stage", "address_of", "positions", "same_page_boxes", "serious_in"]

COMPARISON, CROPPING = "#truescale_compare_dialog", "#truescale_crop_dialog"
_OPEN = """([before, after, opener]) => {
    window.compared = TrueScale.compare(before, after, document.querySelector(opener));
}"""
_BEYOND = """(selector) => [...document.querySelectorAll(`${selector} button, ${selector} p, ${selector} input,`
    + `${selector} label, ${selector} .truescale-tag, ${selector} figcaption`)].filter((one) => {
    const box = one.getBoundingClientRect();
    const isOut = box.right > innerWidth + 1 || box.left < -1;
    return one.checkVisibility() && (isOut || one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0);
}).map((one) => one.outerHTML)"""


def address_of(image: Image.Image) -> str:
    """As a data URL."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def positions(width: int, height: int) -> Image.Image:
    """A picture (at most 256x256 px) each pixel of which says where it is: red is x, green is y."""
    picture = Image.new("RGB", (width, height))
    picture.putdata([(x, y, 128) for y in range(height) for x in range(width)])
    return picture


def same_page_boxes(page: PanelsPage, selector: str) -> list[dict[str, float]]:
    """Where elements are."""
    found = page.page.locator(selector).evaluate_all("all => all.map(one => one.getBoundingClientRect().toJSON())")
    return [{side: box[side] for side in ("x", "y", "width", "height")} for box in found]


def serious_in(page: PanelsPage, axe: Any, selector: str) -> list[str]:
    """What axe finds there."""
    found = axe.run(page.page, context=selector, options={"resultTypes": ["violations"]}).response["violations"]
    return [f"{one['id']}: {one['help']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


class Stage:
    """The dialog that is open, COMPARISON or CROPPING, with its zoomed picture."""

    def __init__(self, page: PanelsPage, dialog: str = COMPARISON) -> None:
        self.panels, self.page, self.dialog = page, page.page, dialog
        self.handle = self.page.locator(f"{dialog} [role=slider]")

    @classmethod
    def compare(
        cls, page: PanelsPage, before: Image.Image | str, after: Image.Image | str, opener: str = "body"
    ) -> Stage:
        """Open it with two pictures, or their addresses."""
        sides = [
            {"src": one if isinstance(one, str) else address_of(one), "label": label}
            for one, label in ((before, "Source"), (after, "Result"))
        ]
        page.script(_OPEN, [*sides, opener])
        stage = cls(page)
        page.page.wait_for_selector(f"{COMPARISON} .truescale-stage[aria-busy=false]")
        return stage

    def is_open(self) -> bool:
        return self.page.locator(self.dialog).count() == 1

    def press(self, name: str) -> None:
        """A button, by its text."""
        self.page.locator(f"{self.dialog} button", has_text=name).click()

    def key(self, keys: str, times: int = 1) -> None:
        for _ in range(times):
            self.page.keyboard.press(keys)

    def now(self) -> int:
        """Where the divider says that it is, in percent."""
        return int(self.handle.get_attribute("aria-valuenow"))

    def area(self) -> dict[str, float]:
        return same_page_boxes(self.panels, f"{self.dialog} .truescale-stage")[0]

    def boxes(self) -> list[dict[str, float]]:
        """Both pictures'."""
        return same_page_boxes(self.panels, f"{self.dialog} .truescale-picture img")

    def picture(self) -> dict[str, float]:
        return self.boxes()[-1]

    def point(self, x: float, y: float) -> tuple[int, int]:
        """Of the page, at this part (0 to 1) of the picture's width and height; a whole px."""
        box = self.picture()
        return round(box["x"] + x * box["width"]), round(box["y"] + y * box["height"])

    def color(self, x: int, y: int) -> tuple[int, ...]:
        """What is seen at a point of the page."""
        shot = Image.open(io.BytesIO(self.page.screenshot(clip={"x": x, "y": y, "width": 1, "height": 1})))
        return shot.convert("RGB").getpixel((0, 0))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        self.page.mouse.move(*end)
        self.page.mouse.up()

    def wheel(self, x: float, y: float, notches: int) -> None:
        """In: more than 0. Until the picture stands still again."""
        self.page.mouse.move(x, y)
        before = seen = self.picture()
        for _ in range(abs(notches)):
            self.page.mouse.wheel(0, -100 if notches > 0 else 100)
        for _ in range(100):
            self.page.wait_for_timeout(30)
            if seen == (seen := self.picture()) != before:
                return

    def touch(self, *steps: list[tuple[float, float]]) -> None:
        """Fingers at these points, step by step, then none."""
        session = self.page.context.new_cdp_session(self.page)
        for number, points in enumerate([*steps, []]):
            kind = "touchEnd" if not points else "touchMove" if number else "touchStart"
            touches = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(points)]
            if kind == "touchMove" and len(points) > len(steps[number - 1]):
                kind = "touchStart"
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
        session.detach()

    def cut_off(self) -> list[str]:
        """What does not fit on the screen."""
        return self.panels.script(_BEYOND, self.dialog)

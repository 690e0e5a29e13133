"""The panels in Korean, by the host's way of translating: whole texts, trimmed, exactly as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from panels_page import PANELS, OpenPage, PanelsPage

NAMES = (
    *("TrueScale", "img2img", "Upscale", "Extras", "Hires. fix", "GB", "MB", "MP", "px", "WebUI", "float32", "fp16"),
    *("bf16", "JPEG", "RGB", "MIT", "RealESRGAN Compact", "TTA", "Stable Diffusion", "VAE"),
    *("LDSR", "DDIM", "webui", "auto", "dpmpp_2m", "ddim", "CLIP", "DeepBooru", "{prompt}"),
)
"""Of products, places in the host and measures: they are the same in Korean."""
OF_GRADIO = ("Clear",)
"""Words on gradio's own buttons, which are the host's to translate."""
_TEXTS = """(panel) => {
    const walker = document.createTreeWalker(document.querySelector(panel), NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const parent = walker.currentNode.parentElement;
        if (["SCRIPT", "STYLE"].includes(parent.nodeName) || parent.closest(".truescale-hidden")) continue;
        found.push(walker.currentNode.textContent.trim());
    }
    for (const one of document.querySelectorAll(`${panel} [title], ${panel} [placeholder]`)) {
        found.push(one.title || "", one.placeholder || "");
    }
    return found;
}"""


def english(page: PanelsPage, panel: str) -> list[str]:
    """Texts with a word in Latin letters that is no name."""
    texts = {re.sub("|".join(map(re.escape, NAMES)), "", text) for text in page.script(_TEXTS, panel)}
    return sorted(text for text in texts if re.search(r"[A-Za-z]{2}", text) and text not in OF_GRADIO)


@pytest.mark.parametrize("panel", PANELS)
def test_no_english_is_left(look: OpenPage, panel: str) -> None:
    page = look(korean=True)
    page.show(panel)
    assert english(page, panel) == []
    assert any(re.search("[가-힣]", text) for text in page.script(_TEXTS, panel))


def test_the_warning_that_appears_later_is_in_korean(open_page: OpenPage) -> None:
    page = open_page(korean=True)
    page.show("#truescale_extras")
    page.choose("extras_upscaler_1", "two")
    assert page.eventually(lambda: page.sees("truescale_extras_twice"))
    assert re.search("[가-힣]", page.text("#truescale_extras_twice"))
    assert english(page, "#truescale_extras") == []


def test_the_plan_of_sd_upscale_is_in_korean(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(korean=True)
    page.show("#truescale_sd")
    source = tmp_path / "source.png"
    Image.new("RGB", (512, 768)).save(source)
    page.upload("img2img_image", source)
    page.page.wait_for_selector("#truescale_sd_plan .truescale-note")
    page.settle()
    assert english(page, "#truescale_sd") == []


def test_what_is_chosen_by_a_korean_label_is_the_same_value(look: OpenPage) -> None:
    page = look(korean=True)
    page.show("#truescale_extras")
    page.page.locator("#truescale_extras_size_by").get_by_text("긴 변", exact=True).click()
    assert page.eventually(lambda: page.sees("truescale_extras_longest"))

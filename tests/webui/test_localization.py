"""Korean: every text of ours that the page shows has its translation, under exactly the words that the page shows."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fake_host.running import FakeHost
from types_of_fixtures import StartHost

KOREAN = json.loads(
    (Path(__file__).resolve().parents[2] / "localizations" / "ko_KR.json").read_text(encoding="utf-8"),
)


class _Texts(HTMLParser):
    """The text nodes of a piece of HTML: the host translates each as a whole, trimmed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.found |= {data.strip()} - {""}


def _texts_of(component: Any) -> set[str]:
    kind = component.get_block_name()
    found = {getattr(component, name, None) for name in ("label", "info", "webui_tooltip", "placeholder")}
    if kind == "html":
        found |= _Texts(component.value or "").found
    if kind == "button":
        found.add(component.value)
    if kind in ("dropdown", "radio") and not component.elem_id.endswith(("upscaler", "upscaler_1", "upscaler_2")):
        found |= {choice[0] if isinstance(choice, tuple) else choice for choice in component.choices}
    if kind == "html":
        found.discard(component.label)  # not shown
    return {text.strip() for text in found if isinstance(text, str) and re.search("[A-Za-z]", text)}


def _shown(host: FakeHost) -> dict[str, str]:
    """Text -> where it is."""
    shown = {}
    for block in host.demo.blocks.values():
        if str(getattr(block, "elem_id", None)).startswith("truescale"):
            shown.update({text: block.elem_id for text in _texts_of(block)})
    for name, option in host.opts.data_labels.items():
        if name.startswith("truescale"):
            shown.update({text: name for text in {option.label, *_Texts(option.comment_after).found}})
    for runner in (host.module("scripts").scripts_txt2img, host.module("scripts").scripts_img2img):
        titles = [script.title() for script in runner.scripts]
        shown.update({title: "a script's title" for title in titles if title.startswith("TrueScale")})
    return shown


@pytest.fixture
def shown(start_host: StartHost) -> dict[str, str]:
    return _shown(start_host())


def test_every_text_has_a_translation(shown: dict[str, str]) -> None:
    assert len(shown) > 40
    assert {text: place for text, place in shown.items() if text not in KOREAN} == {}


def test_the_words_of_a_missing_package_have_theirs(start_host: StartHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """They hold names, and so cannot be translated as a whole; the host shows them in English."""
    monkeypatch.setattr(FakeHost.ours("health"), "present", lambda name: False)
    texts = _shown(start_host())

    rest = {text for text in texts if text not in KOREAN}
    assert all(text.startswith("TrueScale cannot run: ") for text in rest), rest


def test_the_translations_are_korean_and_none_is_empty() -> None:
    untranslated = {"TrueScale", "fp16", "bf16"}
    for english, korean in KOREAN.items():
        assert english == english.strip()
        assert re.search("[가-힣]", korean) or english in untranslated, english

"""Every text of ours that a page shows has its translation in each language, under exactly the words it shows."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fake_host.running import FakeHost
from our_words import ROOT, in_components, in_python, in_scripts
from types_of_fixtures import StartHost

LANGUAGES = {
    "ko_KR": "[가-힣]",
    "ja_JP": "[ぁ-ヿ一-鿿]",
    "zh_CN": "[一-鿿]",
    "zh_TW": "[一-鿿]",
}
"""File -> letters that its translations are written in."""

NAMES = {"TrueScale", "fp16", "bf16", "manga", "AI pictures", "LDSR", "webui", "dpmpp_2m", "ddim", "CLIP", "DeepBooru"}
"""May stay as they are."""


def translations(language: str) -> dict[str, str]:
    return json.loads((ROOT / "localizations" / f"{language}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def words_of_files() -> dict[str, str]:
    return {**in_python(), **in_scripts()}


@pytest.fixture
def shown(start_host: StartHost, words_of_files: dict[str, str]) -> dict[str, str]:
    """Text -> where it is. The page as a newcomer has it, and as one with the step after generating and no network."""
    host = start_host(postprocessing_enable_in_main_ui=["TrueScale"])
    return {**in_components(host), **words_of_files}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_has_a_translation(language: str, shown: dict[str, str]) -> None:
    known = translations(language)

    assert len(shown) > 150
    assert {text: place for text, place in shown.items() if text not in known} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_translation_is_unused(language: str, shown: dict[str, str]) -> None:
    assert [text for text in translations(language) if text not in shown] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_translations_are_in_their_language_and_none_is_empty(language: str) -> None:
    for english, translated in translations(language).items():
        assert english == english.strip()
        assert re.search(LANGUAGES[language], translated) or english in NAMES, english


def test_the_two_chinese_ones_are_not_the_same() -> None:
    simplified, traditional = translations("zh_CN"), translations("zh_TW")
    same = [text for text in simplified if simplified[text] == traditional[text]]

    assert len(same) < len(simplified) / 3
    assert not [text for text in simplified.values() if re.search("[圖檔設這並選擇個時張]", text)]
    assert not [text for text in traditional.values() if re.search("[图档设这并选择个时张]", text)]


def test_the_words_of_a_missing_package_have_theirs(start_host: StartHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """They hold names, and so cannot be translated as a whole; the host shows them in English."""
    monkeypatch.setattr(FakeHost.ours("host.health"), "present", lambda name: False)
    texts = in_components(start_host())

    known: dict[str, Any] = translations("ko_KR")
    rest = {text for text in texts if text not in known}
    assert all(text.startswith("TrueScale cannot run: ") for text in rest), rest

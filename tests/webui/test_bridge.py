"""The bridge between the page's scripts and the server: declared at both its ends, and the only way across."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest

from fake_host.running import FakeHost
from our_words import ROOT

SCRIPTS = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / "javascript").glob("*.js")}
BRIDGE = "truescale_bridge.js"


def _channels_of_the_page() -> dict[str, str]:
    table = re.search(r"const CHANNELS = {(.*?)};", SCRIPTS[BRIDGE], re.DOTALL)[1]
    return dict(re.findall(r'(\w+): "([^"]+)"', table))


def test_both_ends_declare_the_same_channels(host: FakeHost) -> None:
    channels = host.ours("panels.bridge").CHANNELS

    assert {channel.name: channel.way for channel in channels} == _channels_of_the_page()


def test_what_is_hidden_on_the_page_is_a_channel(host: FakeHost) -> None:
    names = tuple(f"_{name}" for name in _channels_of_the_page())
    hidden = [block.elem_id for block in host.demo.blocks.values() if "truescale-hidden" in (block.elem_classes or ())]

    others = [elem_id for elem_id in hidden if not elem_id.endswith(names)]
    assert len(hidden) > 6
    assert others == ["truescale_extras_which_tries"]  # pictures, for which the page has galleries only


def test_no_other_script_writes_into_a_field_of_gradios() -> None:
    writes = re.compile(r"updateInput\(|dispatchEvent|textarea")

    assert [name for name, code in SCRIPTS.items() if writes.search(code)] == [BRIDGE]


@pytest.mark.parametrize("text", ["", None, "{", "[1]", "null", '"words"', "7", "[" * 100_000])
def test_what_is_no_message_of_ours_is_nothing(text: str | None, host: FakeHost) -> None:
    assert host.ours("panels.bridge").SOURCE.read(text) == {}


@pytest.mark.parametrize("data", [[], ["a <b> & 'c' \"d\" </div>"], {"ü": "2x"}, None])
def test_what_the_server_says_is_read_as_it_was(data: Any, host: FakeHost) -> None:
    html = host.ours("panels.bridge").NAMES.html(data)

    (told,) = re.findall("^<div data-truescale-names='([^'<>]*)'></div>$", html)
    assert json.loads(unescape(told)) == data


# -- the script that the others share ----------------------------------------------------------------------------------


def test_the_shared_script_is_loaded_first() -> None:
    """The WebUI loads a folder's scripts by their names."""
    assert min(SCRIPTS) == "truescale.js"


def test_no_script_defines_anew_what_is_shared() -> None:
    shared = re.findall(r"^    (?:const (\w+) = \(|function (\w+)\()", SCRIPTS["truescale.js"], re.MULTILINE)
    names = {name for pair in shared for name in pair if name} - {"run"}
    assert {"t", "within", "make", "button", "byId", "isSeen"} <= names

    for file, code in SCRIPTS.items():
        if file != "truescale.js":
            defined = set(re.findall(r"^    (?:const|let|function) (\w+)\b", code, re.MULTILINE))
            assert not defined & names, file

"""All words of ours that a page can show, as the page shows them: what the translations must hold, and nothing else."""

from __future__ import annotations

import ast
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fake_host.running import FakeHost

__all__ = ["ROOT", "in_components", "in_python", "in_scripts"]

ROOT = Path(__file__).resolve().parents[2]

_NAMES_OF_MODELS = (
    "upscaler",
    "upscaler_1",
    "upscaler_2",
    "clean_up",
    "followed_by",
    "which_models",
    "catalogue_model",
)
"""Ends of the ids of drop-downs whose choices are names."""


class _Texts(HTMLParser):
    """The text nodes of a piece of HTML: the host translates each as a whole, trimmed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.found |= {data.strip()} - {""}


def _of_component(component: Any) -> set[str]:
    kind = component.get_block_name()
    hidden = "truescale-hidden" in (component.elem_classes or ())
    if hidden and kind != "html":
        return set()
    found = {getattr(component, name, None) for name in ("label", "info", "webui_tooltip", "placeholder")}
    if kind == "html":
        found = _Texts(component.value or "").found
    if kind == "button":
        found.add(component.value)
    if kind in ("dropdown", "radio") and not component.elem_id.endswith(_NAMES_OF_MODELS):
        found |= {choice[0] if isinstance(choice, tuple) else choice for choice in component.choices}
    return {text.strip() for text in found if isinstance(text, str) and re.search("[A-Za-z]{2}", text)}


def in_components(host: FakeHost) -> dict[str, str]:
    """Text -> where it is: of our components, our settings and the titles of our scripts."""
    shown = {}
    for block in host.demo.blocks.values():
        if str(getattr(block, "elem_id", None)).startswith("truescale"):
            shown.update({text: block.elem_id for text in _of_component(block)})
    for name, option in host.opts.data_labels.items():
        if name.startswith("truescale"):
            # A drop-down's choices are in a field, where the host translates nothing.
            is_radio = getattr(option.component, "__name__", "") == "Radio"
            choices = option.component_args["choices"] if is_radio else []
            shown.update({text: name for text in {option.label, *_Texts(option.comment_after).found, *choices}})
    for runner in (host.module("scripts").scripts_txt2img, host.module("scripts").scripts_img2img):
        titles = [script.title() for script in runner.scripts]
        shown.update({title: "a script's title" for title in titles if title.startswith("TrueScale")})
    return shown


def in_python() -> dict[str, str]:
    """Text -> file: what is put into pages later, by ``word(...)`` and tuples called WORDS."""
    found: dict[str, str] = {}
    for file in (ROOT / "lib_upscaler" / "webui").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            found.update(dict.fromkeys(_texts_of(node), file.name))
    found.update(dict.fromkeys(FakeHost.ours("panels.catalogue").WORDS, "the catalogue"))
    return found


def _texts_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "word":
        return _constants(node.args[0])
    targets = node.targets if isinstance(node, ast.Assign) else []
    if any(isinstance(target, ast.Name) and target.id == "WORDS" for target in targets):
        return _constants(node.value)
    return []


def _constants(node: ast.AST) -> list[str]:
    return [one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def in_scripts() -> dict[str, str]:
    """Text -> file: what the page's scripts show, by ``t("...")``."""
    found: dict[str, str] = {}
    for file in (ROOT / "javascript").glob("*.js"):
        code = file.read_text(encoding="utf-8")
        found.update(dict.fromkeys(re.findall(r'\bt\(\s*"((?:[^"\\]|\\.)+)"\s*,?\s*\)', code), file.name))
    return found

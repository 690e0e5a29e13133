"""The panels under gradio 4.40.0, which Forge has: built there, they say and do the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from panels_page import PanelsPage
from serving import Server

Servers = Callable[[str], Server]


def test_every_panel_is_built(servers: Servers) -> None:
    four = servers("gradio 4")
    assert four.gradio == "4.40.0"
    assert {
        "truescale_extras",
        "truescale_extras_size_by",
        "truescale_extras_memory",
        "truescale_hires",
        "truescale_hires_tile",
        "truescale_sd_plan",
        "truescale_sd_prompt",
        "setting_truescale_takeover",
        "setting_truescale_folders",
    } <= four.components.keys()


def test_labels_choices_values_and_ids_are_the_same(servers: Servers) -> None:
    three, four = servers("gradio 3").components, servers("gradio 4").components
    assert four.keys() == three.keys()
    for elem_id, facts in three.items():
        assert {**four[elem_id], "value": four[elem_id]["value"] or None} == {**facts, "value": facts["value"] or None}


def test_the_same_events_go_to_the_same_components(servers: Servers) -> None:
    assert servers("gradio 4").events == servers("gradio 3").events
    assert len(servers("gradio 4").events) >= 10


@pytest.mark.parametrize("server", ["gradio 4"], indirect=True)
def test_in_the_browser(page: PanelsPage, server: Server) -> None:
    assert server.gradio == "4.40.0"
    page.show("#truescale_extras")
    page.pick("truescale_extras_size_by", "Scale to")
    assert page.eventually(lambda: page.sees("truescale_extras_width"))
    page.set_number("truescale_extras_width", 300)
    page.set_number("truescale_extras_height", 700)
    page.press("truescale_extras_swap")
    sides = ("truescale_extras_width", "truescale_extras_height")
    assert page.eventually(lambda: [page.number(side) for side in sides] == [700, 300])


@pytest.mark.parametrize("server", ["gradio 4"], indirect=True)
def test_the_statements_of_a_batch_are_below_the_files_names(page: PanelsPage) -> None:
    page.show("#truescale_extras")
    statements = "<ol class='truescale-statement'><li>a.png<p class='truescale-note'>4 MP</p></li></ol>"
    page.page.evaluate(
        "(html) => { document.querySelector('#truescale_extras_statement .prose').innerHTML = html; }", statements
    )
    told = page.page.locator("#truescale_extras_statement li > p")
    assert told.evaluate("(one) => getComputedStyle(one).display") == "block"

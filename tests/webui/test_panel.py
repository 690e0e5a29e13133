"""The widgets of our panels, as the page shows them."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from fake_host.older import without_switch_for_upscaling
from fake_host.running import FakeHost
from networks import picture
from small_networks import compact, save_pth
from types_of_fixtures import StartHost

NEW = compact(scale=4, features=4, layers=1, seed=9)
PARTS = {
    "truescale_extras": ["upscaler_1", "upscaler_2", "upscaler_2_visibility", "refresh", "size_by", "scale", "width",
                         "height", "fit", "longest", "megapixels", "precision", "tile", "memory", "alpha", "swap"],
    "truescale_hires": ["upscaler_2", "upscaler_2_visibility", "refresh", "precision", "tile"],
}  # fmt: skip


def _choices(component: Any) -> list[str]:
    return [choice[0] if isinstance(choice, tuple) else choice for choice in component.choices]


def _ids(host: FakeHost) -> list[str]:
    return [block.elem_id for block in host.demo.blocks.values() if getattr(block, "elem_id", None)]


@pytest.mark.parametrize("panel", PARTS)
def test_each_part_is_there_once(panel: str, host: FakeHost) -> None:
    for part in PARTS[panel]:
        assert host.component(f"{panel}_{part}") is not None


def test_no_two_components_have_one_id(start_host: StartHost) -> None:
    host = start_host(postprocessing_enable_in_main_ui=["TrueScale"])
    ids = [elem_id for elem_id in _ids(host) if elem_id.startswith("truescale")]

    assert len(ids) == len(set(ids))
    assert {f"truescale_extras_{part}" for part in PARTS["truescale_extras"]} <= set(ids)


def test_ids_do_not_end_as_the_hosts_buttons_do(host: FakeHost) -> None:
    """The host's script would take them for its own."""
    for elem_id in _ids(host):
        if elem_id.startswith("truescale"):
            assert not elem_id.endswith(("_generate", "_interrupt", "_skip", "_gallery"))


def test_ids_are_the_same_after_a_reload(host: FakeHost) -> None:
    before = _ids(host)
    host.reload()

    assert _ids(host) == before


def test_labels_are_unique_within_a_panel(host: FakeHost) -> None:
    """The host keeps a panel's values under the file's name and the label."""
    script = host.script("TrueScale Hires Fix")
    extras = next(s for s in host.module("scripts").scripts_postproc.scripts if s.name == "TrueScale")
    for components in (script.controls, list(extras.controls.values())):
        labels = [component.label for component in components]
        assert len(set(labels)) == len(labels), labels


def test_the_drop_downs_hold_the_hosts_upscalers(host: FakeHost) -> None:
    names = _choices(host.component("truescale_extras_upscaler_1"))

    assert sorted(names) == sorted(name for name in host.names() if name != "None")
    assert host.component("truescale_extras_upscaler_1").value == "TrueScale 4x"
    for panel in PARTS:
        assert _choices(host.component(f"{panel}_upscaler_2")) == ["None", *names]
        assert host.component(f"{panel}_upscaler_2").value == "None"


def test_the_values_that_it_starts_with_enlarge_four_times(host: FakeHost) -> None:
    result = host.extras(picture(), ours={"enabled": True})

    assert result.pictures[0].size == (120, 80)


@pytest.mark.parametrize("panel", PARTS)
def test_refresh_finds_new_models_in_our_lists_and_the_hosts(panel: str, host: FakeHost) -> None:
    save_pth(NEW, host.models / "new.pth")
    changed = host.press(f"{panel}_refresh")

    theirs = {"txt2img_hr_upscaler", "extras_upscaler_1", "extras_upscaler_2"}
    ours = {f"{panel}_upscaler_2"} | ({f"{panel}_upscaler_1"} if panel == "truescale_extras" else set())
    built_before = theirs if panel == "truescale_extras" else {"txt2img_hr_upscaler"}
    assert ours | built_before <= set(changed)
    for elem_id in ours | built_before:
        listed = changed[elem_id]["choices"]
        before = _choices(host.component(elem_id))
        assert "new" not in before
        assert [name for name in listed if name != "new"] == before, elem_id
        assert "new" in listed, elem_id


def test_refresh_leaves_what_is_chosen(host: FakeHost) -> None:
    for elem_id, update in host.press("truescale_extras_refresh").items():
        assert elem_id.endswith("_groups") or "value" not in update


@pytest.mark.parametrize(
    ("way", "shown"),
    [("Scale by", "by_scale"), ("Scale to", "by_box"), ("Longest side", "by_side"), ("Megapixels", "by_area")],
)
def test_the_fields_of_the_chosen_way_are_shown(way: str, shown: str, host: FakeHost) -> None:
    changed = host.press("truescale_extras_size_by", way)

    for row in ("by_scale", "by_box", "by_side", "by_area"):
        assert changed[f"truescale_extras_{row}"]["visible"] == (row == shown)


def test_width_and_height_can_be_swapped(host: FakeHost) -> None:
    assert host.press("truescale_extras_swap", 640, 480) == {
        "truescale_extras_width": 480,
        "truescale_extras_height": 640,
    }


@pytest.mark.parametrize(
    ("ours", "theirs", "upscaler", "told"),
    [
        (True, True, "four", True),
        (True, True, "None", False),
        (True, False, "four", False),
        (False, True, "four", False),
    ],
)
def test_the_page_tells_where_a_picture_would_be_enlarged_twice(
    ours: bool, theirs: bool, upscaler: str, told: bool, host: FakeHost
) -> None:
    for elem_id in ("extras_upscale-checkbox", "extras_upscaler_1", "truescale_extras-checkbox"):
        changed = host.press(elem_id, ours, upscaler, theirs)
        assert changed["truescale_extras_twice"]["visible"] is told


@pytest.mark.parametrize(
    ("ours", "upscaler", "told"), [(True, "four", True), (True, "None", False), (False, "four", False)]
)
def test_a_host_without_a_switch_for_upscaling_tells_of_it_too(
    ours: bool, upscaler: str, told: bool, start_host: StartHost
) -> None:
    """Before 1.9 its Extras enlarge as soon as an upscaler is chosen."""
    host = start_host(ui=False)
    without_switch_for_upscaling(host)
    host.show()
    for elem_id in ("extras_upscaler_1", "truescale_extras-checkbox"):
        assert host.press(elem_id, ours, upscaler)["truescale_extras_twice"]["visible"] is told


@pytest.mark.parametrize("missing", ["InputAccordion", "FormRow", "ToolButton"])
def test_a_host_without_one_of_its_components(missing: str, start_host: StartHost) -> None:
    host = start_host(ui=False)
    host.module("ui_common")  # the host's own panels have theirs
    components = host.module("ui_components")
    kept = getattr(components, missing)
    upscale = next(d for d in host.module("scripts").postprocessing_scripts_data if d.script_class.name == "Upscale")
    setattr(upscale.module, missing, kept)
    delattr(components, missing)
    host.show()

    assert host.reported == []
    for part in PARTS["truescale_extras"]:
        assert host.component(f"truescale_extras_{part}") is not None
    assert host.extras(picture(), ours={"enabled": True, "upscaler_1": "four"}).pictures[0].size == (120, 80)


def test_the_page_is_built_whatever_goes_wrong(start_host: StartHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeHost.ours("host.health"), "present", lambda name: False)
    host = start_host(postprocessing_enable_in_main_ui=["TrueScale"])

    assert host.reported == []
    assert isinstance(host.demo, gr.Blocks)
    assert "cannot run" in host.component("truescale_extras_problem").value


def test_the_panels_can_be_built_again_and_again(host: FakeHost) -> None:
    """The host's API builds each once more."""
    script = host.script("TrueScale Hires Fix")
    with gr.Blocks():
        again = [script.ui(False) for _ in range(3)]

    for components in again:
        assert [c.label for c in components] == [c.label for c in script.controls]
        assert [c.value for c in components] == [c.value for c in script.controls]

"""The panels do in a browser what they promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from panels_page import PanelsPage
from serving import Server

EXTRAS, SD = "truescale_extras", "truescale_sd"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """30x20 px, of smooth colours."""
    x, y = np.meshgrid(np.linspace(0, 255, 30), np.linspace(0, 255, 20))
    file = tmp_path / "small.png"
    Image.fromarray(np.stack([x, y, 255 - x], axis=2).astype(np.uint8)).save(file)
    return file


def off_with_theirs(page: PanelsPage) -> None:
    """The host's accordion "Upscale" is on at first."""
    page.page.locator("#extras_upscale > .label-wrap").click()
    page.settle()


@pytest.mark.parametrize("panel", ["#truescale_extras", "#truescale_hires"])
def test_the_accordion_opens_and_closes(page: PanelsPage, panel: str) -> None:
    opened = page.show(panel)
    assert page.is_open(panel)
    assert opened.locator("input:visible").count() >= 5
    page.page.locator(f"{panel} > .label-wrap").click()
    page.settle()
    assert not page.is_open(panel)
    assert page.page.locator(f"{panel}_upscaler_2").is_hidden()


@pytest.mark.parametrize(
    ("panel", "elem_id", "ways"),
    [
        (
            "#truescale_extras",
            EXTRAS,
            {
                "Scale by": ["scale"],
                "Scale to": ["width", "height", "swap", "fit"],
                "Longest side": ["longest"],
                "Megapixels": ["megapixels"],
            },
        ),
        (
            "#truescale_sd",
            SD,
            {"img2img's size": [], "Scale by": ["scale"], "Scale to": ["width", "height"], "Longest side": ["longest"]},
        ),
    ],
)
def test_each_way_of_asking_for_a_size_shows_its_own_widgets(
    page: PanelsPage, panel: str, elem_id: str, ways: dict[str, list[str]]
) -> None:
    page.show(panel)
    offered = page.page.locator(f"#{elem_id}_size_by input").evaluate_all("all => all.map(one => one.value)")
    assert sorted(offered) == sorted(ways)
    everything = sorted({name for names in ways.values() for name in names})

    def shown() -> list[str]:
        return [name for name in everything if page.sees(f"{elem_id}_{name}")]

    for way, names in ways.items():
        page.pick(f"{elem_id}_size_by", way)
        assert page.eventually(lambda: shown() == sorted(names)), (way, shown())  # noqa: B023 - called at once


def test_width_and_height_are_swapped(page: PanelsPage) -> None:
    page.show("#truescale_extras")
    page.pick(f"{EXTRAS}_size_by", "Scale to")
    assert page.eventually(lambda: page.sees(f"{EXTRAS}_width"))
    page.set_number(f"{EXTRAS}_width", 300)
    page.set_number(f"{EXTRAS}_height", 700)
    page.press(f"{EXTRAS}_swap")
    assert page.eventually(lambda: [page.number(f"{EXTRAS}_{side}") for side in ("width", "height")] == [700, 300])


def test_refresh_lists_a_new_file_here_and_in_the_hosts_lists(page: PanelsPage, server: Server) -> None:
    page.show("#truescale_extras")
    assert "brand new" not in page.choices(f"{EXTRAS}_upscaler_1")
    new = server.models / "brand new.pth"
    new.write_bytes((server.models / "two.pth").read_bytes())
    try:
        page.press(f"{EXTRAS}_refresh")
        for elem_id in (f"{EXTRAS}_upscaler_1", f"{EXTRAS}_upscaler_2", "extras_upscaler_1"):
            assert page.eventually(lambda: "brand new" in page.choices(elem_id)), elem_id  # noqa: B023 - called at once
    finally:
        new.unlink()
        page.press(f"{EXTRAS}_refresh")


@pytest.mark.parametrize(
    ("way", "numbers", "size"),
    [
        ("Scale by", {"scale": 2.5}, (75, 50)),
        ("Scale to", {"width": 90, "height": 90}, (90, 60)),
        ("Longest side", {"longest": 66}, (66, 44)),
    ],
)
def test_a_picture_comes_out_in_the_size_that_was_asked_for(
    page: PanelsPage, picture: Path, way: str, numbers: dict[str, float], size: tuple[int, int]
) -> None:
    page.show("#truescale_extras")
    off_with_theirs(page)
    page.upload("extras_image", picture)
    page.choose(f"{EXTRAS}_upscaler_1", "four")
    page.pick(f"{EXTRAS}_size_by", way)
    for name, value in numbers.items():
        assert page.eventually(lambda: page.sees(f"{EXTRAS}_{name}"))  # noqa: B023 - called at once
        page.set_number(f"{EXTRAS}_{name}", value)
    page.generate("#extras_gallery img")
    assert page.result().size == size


def test_without_its_accordion_nothing_is_upscaled(page: PanelsPage, picture: Path) -> None:
    page.tab("Extras")
    off_with_theirs(page)
    page.upload("extras_image", picture)
    page.generate("#extras_gallery img")
    assert page.result().size == (30, 20)


def test_an_error_is_shown_in_words(page: PanelsPage, picture: Path, server: Server) -> None:
    damaged = server.models / "damaged.pth"
    damaged.write_bytes(b"no network at all" * 99)
    try:
        page.show("#truescale_extras")
        page.press(f"{EXTRAS}_refresh")
        off_with_theirs(page)
        page.upload("extras_image", picture)
        assert page.eventually(lambda: "damaged" in page.choices(f"{EXTRAS}_upscaler_1"))
        page.choose(f"{EXTRAS}_upscaler_1", "damaged")
        page.generate("#html_log_extras .error")
        words = page.text("#html_log_extras")
        assert "damaged" in words
        assert "Traceback" not in words
        assert len(words.split()) >= 5, words
        assert page.page.locator("#extras_gallery img").count() == 0
    finally:
        damaged.unlink()
        page.press(f"{EXTRAS}_refresh")


def test_upscaling_twice_is_warned_of(page: PanelsPage) -> None:
    page.show("#truescale_extras")
    note = f"{EXTRAS}_twice"
    assert not page.sees(note)  # the host's has no upscaler chosen
    page.choose("extras_upscaler_1", "two")
    assert page.eventually(lambda: page.sees(note))
    assert "enlarged twice" in page.text(f"#{note}")
    off_with_theirs(page)
    assert page.eventually(lambda: not page.sees(note))


def test_the_plan_of_sd_upscale_follows_the_source_and_the_sliders(page: PanelsPage, tmp_path: Path) -> None:
    page.show("#truescale_sd")
    assert page.text(f"#{SD}_plan") == ""
    source = tmp_path / "source.png"
    Image.new("RGB", (512, 768), "teal").save(source)
    page.upload("img2img_image", source)
    page.page.wait_for_selector(f"#{SD}_plan .truescale-note")
    page.pick(f"{SD}_size_by", "Scale by")
    page.page.wait_for_function(f"() => document.querySelector('#{SD}_plan').innerText.includes('1024x1536')")
    before = page.text(f"#{SD}_plan p:last-of-type")
    assert "tiles" in before
    page.set_number(f"{SD}_tile_width", 256)
    page.set_number(f"{SD}_tile_height", 256)
    many = int(before.split()[0])
    assert page.eventually(lambda: int(page.text(f"#{SD}_plan p:last-of-type").split()[0]) > many)
    assert not page.sees(f"{SD}_source")  # the field that carries the size is not for users

"""A prompt for each tile: which lines are refused, what prompts come of them, which one a part of the canvas gets."""

from __future__ import annotations

import pytest

from lib_upscaler.diffusion.grid import RedrawGrid, plan_grid
from lib_upscaler.diffusion.tile_prompts import areas_of, lines_of, most_of, prompt_of, tags_of
from lib_upscaler.errors import RequestError
from lib_upscaler.geometry import Region, Size


@pytest.fixture
def grid() -> RedrawGrid:
    """2 rows of 3 tiles of 64 px: left edges 0, 40, 80, upper edges 0, 40."""
    return plan_grid(Size(144, 104), Size(64, 64), 16)


# -- lines -------------------------------------------------------------------------------------------------------------


def test_one_line_for_each_tile_row_by_row(grid: RedrawGrid) -> None:
    assert lines_of("a\nb\nc\nd\ne\nf", grid) == ["a", "b", "c", "d", "e", "f"]
    assert lines_of(" a \r\n\r\nc\r\n d\r\n\r\n", grid) == ["a", "", "c", "d", "", ""]


@pytest.mark.parametrize("text", ["", "  ", "\n\n\n\n\n", "\n" * 20])
def test_a_text_without_words_asks_for_nothing(text: str, grid: RedrawGrid) -> None:
    assert lines_of(text, grid) == []


def test_empty_lines_at_the_end_do_not_count(grid: RedrawGrid) -> None:
    assert lines_of("a\nb\nc\nd\ne\nf\n", grid) == ["a", "b", "c", "d", "e", "f"]
    assert lines_of("a\nb\nc\nd\ne\nf\n\n  \n", grid) == ["a", "b", "c", "d", "e", "f"]


@pytest.mark.parametrize(
    ("text", "count"), [("a", "is 1 line "), ("a\nb", "are 2 lines "), ("a\n" * 6 + "b", "are 7 ")]
)
def test_other_numbers_of_lines_are_refused_with_rows_and_columns(text: str, count: str, grid: RedrawGrid) -> None:
    with pytest.raises(RequestError) as caught:
        lines_of(text, grid)
    words = str(caught.value)
    assert f"there {count}" in words
    assert "6 tiles" in words
    assert "144x104 px has 2 rows x 3 columns" in words


def test_only_line_breaks_part_lines() -> None:
    """Others than a user's Enter come with text that was copied."""
    one = plan_grid(Size(64, 64), Size(64, 64), 0)
    assert lines_of("a\u2028b\x0bc", one) == ["a\u2028b\x0bc"]


# -- prompts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "own", "common", "expected"),
    [
        ("", "a cat, sharp", "", "a cat, sharp"),
        ("", "a cat, sharp", "sharp", "sharp"),
        ("grass", "a cat, sharp", "", "grass"),
        ("grass", "a cat, sharp", "sharp, film", "grass, sharp, film"),
        ("grass, {prompt}", "a cat", "", "grass, a cat"),
        ("{prompt} at night, {prompt}", "a cat", "sharp", "sharp at night, sharp"),
        ("grass", "a cat <lora:film:0.5> <hypernet:h:1>", "", "grass <lora:film:0.5> <hypernet:h:1>"),
        ("grass <lora:film:0.5>", "a cat <lora:film:0.5>", "", "grass <lora:film:0.5>"),
        ("grass", "a cat <lora:film:0.5>", "sharp", "grass, sharp"),
        ("{prompt} grass", "a cat <lora:film:1>", "", "a cat <lora:film:1> grass"),
    ],
)
def test_what_a_tile_does_not_show_is_left_out_and_words_for_all_tiles_stay(
    line: str, own: str, common: str, expected: str
) -> None:
    assert prompt_of(line, own, common) == expected


def test_tags_of_networks() -> None:
    assert tags_of("a <lora:x:1> b < c > <3 <lyco:y:0.5:1>") == ["<lora:x:1>", "<lyco:y:0.5:1>"]


# -- parts of the canvas -----------------------------------------------------------------------------------------------


def test_areas_meet_in_the_middle_of_the_overlaps(grid: RedrawGrid) -> None:
    """Tiles from 0 to 64, 40 to 104, 80 to 144: the overlaps' middles are 52 and 92."""
    assert areas_of(grid) == [
        Region(0, 0, 52, 52),
        Region(52, 0, 40, 52),
        Region(92, 0, 52, 52),
        Region(0, 52, 52, 52),
        Region(52, 52, 40, 52),
        Region(92, 52, 52, 52),
    ]


@pytest.mark.parametrize("size", [(64, 64), (65, 200), (144, 104), (1000, 515)])
def test_areas_fill_the_canvas_once(size: tuple[int, int]) -> None:
    grid = plan_grid(Size(*size), Size(64, 72), 24)
    areas = areas_of(grid)
    assert len(areas) == len(grid.tiles)
    assert sum(area.size.area for area in areas) == grid.canvas.area
    for area, tile in zip(areas, grid.tiles):
        assert tile.x <= area.x < area.right <= tile.right
        assert tile.y <= area.y < area.bottom <= tile.bottom


@pytest.mark.parametrize(
    ("keys", "part", "expected"),
    [
        ("abcdef", Region(0, 0, 64, 64), "a"),
        ("abcdef", Region(8, 0, 64, 40), "a"),  # 44 columns of a, 20 of b
        ("abcdef", Region(24, 0, 64, 40), "b"),  # 28 and 36
        ("abcdef", Region(20, 20, 64, 64), "a"),  # 32 x 32 of four: the first
        ("abcdef", Region(40, 40, 64, 64), "e"),
        ("abcdef", Region(100, 60, 40, 40), "f"),
        ("abcbcb", Region(20, 20, 64, 64), "b"),  # two of the four
        ("aabbcc", Region(0, 0, 144, 104), "b"),  # 92, 104 and 92 columns, of 52 rows each
    ],
)
def test_a_part_gets_the_prompt_that_covers_most_of_it(
    keys: str, part: Region, expected: str, grid: RedrawGrid
) -> None:
    assert most_of(part, areas_of(grid), keys) == expected

"""What a network is told of the prompt, for parts of a canvas that have prompts of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch

from lib_upscaler.diffusion.canvas_conditioning import Conditioning, Part
from lib_upscaler.diffusion.canvas_prompts import PartPrompts, repeated_to
from lib_upscaler.geometry import Region, Size

LEFT, RIGHT = Part(Region(0, 0, 8, 8)), Part(Region(8, 0, 8, 8))


def _prompts(**texts: list[float]) -> tuple[PartPrompts, Conditioning]:
    """The left part has prompt 0, the right one prompt 1, the whole none. A text is given by the numbers of its tokens.
    Of two rows, the first is told the prompt."""
    prompts = PartPrompts(lambda part: None if part.region.width > 8 else part.region.x // 8)
    made = [
        {"text": torch.tensor(texts[name])[None, :, None], "vector": torch.full((1, 2816), texts[name][0])}
        for name in ("left", "right")
    ]
    prompts.now([True, False], made.__getitem__)
    return prompts, Conditioning(Size(16, 8), prompts.replacements())


def _told(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows)[:, :, None]


def _numbers(told: torch.Tensor) -> list[list[float]]:
    return told[:, :, 0].tolist()


@pytest.mark.parametrize("key", ["crossattn", "c_crossattn"])
def test_only_the_prompts_rows_are_exchanged(key: str) -> None:
    prompts, conditioning = _prompts(left=[7, 8], right=[5, 6])
    told = {key: _told([1, 2], [-1, -2]), "other": torch.tensor([3.0, 4.0])}
    found = conditioning(told, 2, [RIGHT, LEFT])
    assert _numbers(found[key]) == [[5, 6], [-1, -2], [7, 8], [-1, -2]]
    assert found["other"].tolist() == [3, 4, 3, 4]
    assert _numbers(told[key]) == [[1, 2], [-1, -2]]
    assert prompts.reached


def test_in_a_list_as_some_hosts_hand_it_over() -> None:
    _, conditioning = _prompts(left=[7, 8], right=[5, 6])
    (found,) = conditioning({"c_crossattn": [_told([1, 2], [-1, -2])]}, 2, [LEFT])["c_crossattn"]
    assert _numbers(found) == [[7, 8], [-1, -2]]


def test_the_whole_keeps_its_prompt() -> None:
    _, conditioning = _prompts(left=[7], right=[5])
    found = conditioning({"crossattn": _told([1], [-1])}, 2, [Part(Region(0, 0, 16, 8), 2)])
    assert _numbers(found["crossattn"]) == [[1], [-1]]


def test_prompts_of_several_lengths_are_repeated() -> None:
    """3 and 2 tokens in one call, with a negative prompt of 1: six, each token as often as others of its row."""
    _, conditioning = _prompts(left=[7, 8, 9], right=[5, 6])
    found = conditioning({"crossattn": _told([1], [-1])}, 2, [LEFT, RIGHT])["crossattn"]
    assert _numbers(found) == [[7, 8, 9] * 2, [-1] * 6, [5, 6] * 3, [-1] * 6]


def test_attention_to_repeated_tokens_is_attention_to_each_once() -> None:
    random = torch.Generator().manual_seed(1)
    picture, text = (torch.randn(1, count, 16, generator=random, dtype=torch.float64) for count in (10, 7))

    def attended(keys: torch.Tensor) -> torch.Tensor:
        return torch.softmax(picture @ keys.transpose(1, 2), dim=2) @ keys

    assert torch.allclose(attended(repeated_to(text, 21)), attended(text), atol=1e-12)


def test_sdxls_vector_is_the_prompts_with_the_parts_sizes() -> None:
    """The pooled prompt, then height and width as cosines and sines: a number's first cosine is that of itself."""
    _, conditioning = _prompts(left=[7], right=[5])
    told = {"crossattn": _told([1], [-1]), "vector": torch.full((2, 2816), -9.0)}
    found = conditioning(told, 2, [LEFT, RIGHT])["vector"]
    assert found[:, 0].tolist() == found[:, 1279].tolist() == [7, -9, 5, -9]
    assert found[:, 1280].tolist() == pytest.approx([math.cos(64)] * 4, abs=1e-4)


def test_a_network_that_is_told_in_another_way_is_noticed() -> None:
    prompts, conditioning = _prompts(left=[7], right=[5])
    conditioning({"words": _told([1], [-1])}, 2, [LEFT])
    assert not prompts.reached


def test_only_what_there_is_of_a_prompt_is_exchanged() -> None:
    """A network with a vector that says nothing of the prompt: it stays."""
    prompts = PartPrompts(lambda part: 0)
    made: Mapping[str, torch.Tensor] = {"text": _told([7.0])}
    prompts.now([True, False], lambda number: made)
    told = {"crossattn": _told([1], [-1]), "y": torch.tensor([[1.0], [2.0]])}
    found = Conditioning(Size(16, 8), prompts.replacements())(told, 2, [LEFT])
    assert _numbers(found["crossattn"]) == [[7], [-1]]
    assert found["y"].tolist() == [[1], [2]]

"""Colour and alpha go in and come out as they are, and alpha is treated with care around a network."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.depths import rounded
from lib_upscaler.errors import UnsupportedPictureError
from lib_upscaler.pictures.alpha import bleed, constant_alpha, flatten, is_nearly_opaque, within_neighbours
from lib_upscaler.pictures.pixels import compose, decompose


def random(shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(("mode", "shape"), [("L", (5, 7)), ("LA", (5, 7, 2)), ("RGB", (5, 7, 3)), ("RGBA", (5, 7, 4))])
def test_plain_modes_come_back_to_the_bit(mode, shape):
    values = random(shape)
    image = Image.fromarray(values)
    assert image.mode == mode
    pixels = decompose(image)
    assert pixels.mode == mode
    assert pixels.color.shape == (5, 7, 1 if mode.startswith("L") else 3)
    back = compose(pixels.color, pixels.alpha, pixels.mode)
    assert back.mode == mode
    np.testing.assert_array_equal(np.asarray(back), values)


def test_black_and_white_becomes_grey():
    image = Image.fromarray(random((4, 9))).convert("1")
    pixels = decompose(image)
    assert pixels.mode == "L"
    assert pixels.alpha is None
    np.testing.assert_array_equal(pixels.color[:, :, 0], np.where(np.asarray(image), 255, 0))


def palette_image() -> Image.Image:
    image = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8))
    image = image.convert("P")
    image.putdata([0, 1, 2, 2, 1, 0])
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    return image


COLORS = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]])
INDICES = np.array([[0, 1, 2], [2, 1, 0]])


@pytest.mark.parametrize(("transparency", "alphas"), [(None, None), (1, [255, 0, 255]), (b"\x05\x80", [5, 128, 255])])
def test_a_palette_becomes_rgb_with_its_transparency(transparency, alphas):
    image = palette_image()
    if transparency is not None:
        image.info["transparency"] = transparency
    pixels = decompose(image)
    np.testing.assert_array_equal(pixels.color, COLORS[INDICES])
    assert pixels.mode == ("RGB" if alphas is None else "RGBA")
    if alphas is None:
        assert pixels.alpha is None
    else:
        np.testing.assert_array_equal(pixels.alpha, np.array(alphas)[INDICES])


def test_a_palette_made_of_rgba_keeps_its_alpha():
    values = np.zeros((4, 4, 4), dtype=np.uint8)
    values[:2] = (200, 0, 0, 255)
    values[2:] = (0, 0, 200, 100)
    image = Image.fromarray(values).quantize(4, method=Image.Quantize.FASTOCTREE)
    assert image.mode == "P"
    pixels = decompose(image)
    assert pixels.mode == "RGBA"
    assert pixels.alpha[0, 0] == 255
    assert abs(int(pixels.alpha[3, 3]) - 100) <= 8


def test_a_transparent_colour_becomes_alpha():
    grey = Image.fromarray(np.array([[7, 8], [9, 7]], dtype=np.uint8))
    grey.info["transparency"] = 7
    pixels = decompose(grey)
    assert pixels.mode == "LA"
    assert pixels.alpha.tolist() == [[0, 255], [255, 0]]
    color = Image.fromarray(np.array([[[1, 2, 3], [1, 2, 4]]], dtype=np.uint8))
    color.info["transparency"] = (1, 2, 3)
    pixels = decompose(color)
    assert pixels.mode == "RGBA"
    assert pixels.alpha.tolist() == [[0, 255]]
    assert pixels.color.tolist() == [[[1, 2, 3], [1, 2, 4]]]


@pytest.mark.parametrize("key", [1, 255])  # older and newer Pillow
def test_a_transparent_white_in_black_and_white(key):
    image = Image.fromarray(np.array([[True, False]]))
    image.info["transparency"] = key
    assert decompose(image).alpha.tolist() == [[0, 255]]


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16", "La", "RGBa", "RGBX", "PA"])
def test_other_modes_are_refused_in_words(mode):
    with pytest.raises(UnsupportedPictureError, match="Convert it") as caught:
        decompose(Image.new(mode, (2, 2)) if mode != "I;16" else Image.fromarray(np.zeros((2, 2), np.uint16)))
    assert mode in str(caught.value)


@pytest.mark.parametrize(
    ("channels", "alpha", "mode"), [(3, False, "L"), (1, False, "RGB"), (3, True, "RGB"), (3, False, "RGBA")]
)
def test_planes_that_do_not_fit_the_mode_are_a_mistake(channels, alpha, mode):
    with pytest.raises(ValueError, match=mode):
        compose(random((2, 2, channels)), random((2, 2)) if alpha else None, mode)


def test_quantise_rounds_halves_up_and_clips():
    for dtype in (np.float32, np.float64):
        levels = np.array([-1, 0, 0.25, 0.5, 1, 1.5, 254.5, 254.25, 255, 300], dtype=dtype)
        # Each level plus a hair: the division and product by 255 must not move a half down.
        assert rounded((levels + 1e-4) / 255, 8).tolist() == [0, 0, 0, 1, 1, 2, 255, 254, 255, 255]
    values = np.array([0.2], dtype=np.float32)
    rounded(values, 8)
    assert values[0] == np.float32(0.2)


def test_flatten_is_exactly_rounded():
    color, alpha = np.meshgrid(np.arange(256), np.arange(256))
    color, alpha = color.astype(np.uint8), alpha.astype(np.uint8)
    for background in (0, 37, 255):
        exact = (color.astype(float) * alpha + background * (255.0 - alpha)) / 255
        expected = np.floor(exact + 0.5)  # n / 255 is never within 0.0019 of a half, so floats are safe here
        got = flatten(color[:, :, None], alpha, (background,) * 3)
        np.testing.assert_array_equal(got[:, :, 0], expected)


def test_flatten_puts_colour_on_the_background():
    color = np.array([[[10, 20, 30], [10, 20, 30]]], dtype=np.uint8)
    alpha = np.array([[0, 255]], dtype=np.uint8)
    assert flatten(color, alpha, (1, 2, 3)).tolist() == [[[1, 2, 3], [10, 20, 30]]]
    assert flatten(color[:, :, :1], alpha, (1, 2, 3)).tolist() == [[[1, 2, 3], [10, 10, 10]]]
    assert flatten(color[:, :, :1], alpha).tolist() == [[[255], [10]]]


def test_constant_alpha():
    assert constant_alpha(np.full((3, 3), 7, np.uint8)) == 7
    assert constant_alpha(np.array([[7, 7], [7, 8]], np.uint8)) is None


# ------------------------------------------------------------------------------------------------ bleeding


@pytest.mark.parametrize("shape", [(64, 64), (37, 91), (1, 50), (50, 1), (2, 3)])
def test_visible_pixels_are_not_touched_and_hidden_ones_take_their_colours(shape):
    rng = np.random.default_rng(1)
    alpha = np.where(rng.random(shape) < 0.1, rng.integers(1, 256, shape), 0).astype(np.uint8)
    alpha[0, 0] = 200
    color = np.full((*shape, 3), 255, dtype=np.uint8)
    color[alpha > 0] = rng.integers(60, 100, (int((alpha > 0).sum()), 3))
    filled = bleed(color, alpha)
    np.testing.assert_array_equal(filled[alpha > 0], color[alpha > 0])
    visible = color[alpha > 0]
    assert filled.min() >= visible.min()
    assert filled.max() <= visible.max()


def test_the_nearest_colour_is_what_bleeds():
    color = np.zeros((128, 128, 3), dtype=np.uint8)
    color[:, :20] = (200, 50, 50)
    color[:, -20:] = (50, 50, 200)
    alpha = np.zeros((128, 128), dtype=np.uint8)
    alpha[:, :20] = alpha[:, -20:] = 255
    filled = bleed(color, alpha).astype(int)
    assert np.abs(filled[:, 20:24] - (200, 50, 50)).max() <= 12
    assert np.abs(filled[:, -24:-20] - (50, 50, 200)).max() <= 12
    assert np.abs(filled[:, :, 1] - 50).max() <= 1


def test_one_visible_colour_fills_everything():
    color = random((70, 45, 3))
    alpha = np.zeros((70, 45), dtype=np.uint8)
    color[33, 20], alpha[33, 20] = (11, 22, 33), 1
    assert (bleed(color, alpha) == (11, 22, 33)).all()


def test_nothing_to_bleed_leaves_the_colour():
    color = random((8, 8, 1))
    for level in (0, 1, 255):
        np.testing.assert_array_equal(bleed(color, np.full((8, 8), level, np.uint8)), color)


# ------------------------------------------------------------------------------------------------ range of alpha


@pytest.mark.parametrize("size", [(40, 60), (20, 30), (33, 17), (5, 7), (1, 1)])
@pytest.mark.parametrize("radius", [1, 2, 5])
def test_alpha_stays_within_the_range_of_its_neighbours(size, radius):
    rng = np.random.default_rng(3)
    source = np.full((20, 30), 100, dtype=np.uint8)
    source[8:10, 4], source[15, 22], source[0, 29] = 20, 190, 255
    wild = rng.integers(0, 256, size, dtype=np.uint8)
    got = within_neighbours(wild, source, radius)
    down, across = radius + 20 // (2 * size[0]), radius + 30 // (2 * size[1])
    for y in range(size[0]):
        for x in range(size[1]):
            sy, sx = int((y + 0.5) * 20 / size[0]), int((x + 0.5) * 30 / size[1])
            window = source[max(0, sy - down) : sy + down + 1, max(0, sx - across) : sx + across + 1]
            assert got[y, x] == min(max(wild[y, x], window.min()), window.max())


def test_a_range_wider_than_the_picture_counts_all_of_it():
    wild = random((8, 8))
    assert (within_neighbours(wild, np.zeros((4, 4), np.uint8), 500) == 0).all()
    mixed = np.array([[0, 9], [5, 5]], np.uint8)
    np.testing.assert_array_equal(within_neighbours(wild, mixed, 500), np.clip(wild, 0, 9))


def test_nearly_opaque_is_what_no_eye_tells_from_opaque():
    assert is_nearly_opaque(np.array([[254, 255]], np.uint8))
    assert not is_nearly_opaque(np.array([[253, 255]], np.uint8))

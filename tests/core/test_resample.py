"""The resample to the exact size is Pillow's Lanczos in float, rounded once."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.geometry import Size
from lib_upscaler.pictures.resample import _band, _taps, lanczos

SIZES = [
    ((57, 83), (114, 166)),
    ((57, 83), (131, 97)),
    ((64, 64), (23, 190)),
    ((64, 64), (64, 31)),
    ((64, 64), (31, 64)),
    ((300, 200), (7, 5)),
    ((1, 1), (5, 7)),
    ((1, 90), (3, 41)),
    ((90, 1), (41, 3)),
    ((2, 2), (1, 1)),
    ((2048, 40), (1370, 27)),
]


def noise(size: tuple[int, int], dtype, channels: int = 3) -> np.ndarray:
    values = np.random.default_rng(sum(size)).random((size[1], size[0], channels))
    values = np.where(values > 0.5, np.sqrt(values), values**4)  # strong edges, so that the filter overshoots
    if dtype == np.float32:
        return values.astype(dtype)
    return np.round(values * np.iinfo(dtype).max).astype(dtype)


def pillow_levels(planes: np.ndarray, target: tuple[int, int]) -> np.ndarray:
    """The whole picture at once, in 8-bit levels before rounding."""
    white = 1.0 if planes.dtype == np.float32 else np.iinfo(planes.dtype).max
    levels = planes.astype(np.float64) * 255 / white
    channels = [Image.fromarray(levels[:, :, c].astype(np.float32)) for c in range(planes.shape[2])]
    return np.stack([np.asarray(c.resize(target, Image.Resampling.LANCZOS)) for c in channels], axis=2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_equals_pillow_in_float_at_every_size(source, target, dtype):
    planes = noise(source, dtype)
    expected = pillow_levels(planes, target)
    for band_rows in (None, 1, 7):
        got = lanczos(planes, Size(*target), band_rows)
        assert got.shape == (target[1], target[0], 3)
        assert got.dtype == np.uint8
        # Rounded half up; only a value within 0.001 of a half may fall to either side.
        away = np.abs(got - np.clip(expected, 0, 255))
        assert away.max() <= 0.501


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_is_within_a_thousandth_of_a_level_before_rounding(source, target):
    planes = noise(source, np.uint8)
    got = _band(planes, target[0], _taps(source[1], target[1], False), slice(0, target[1]), False)
    assert np.abs(got.transpose(0, 2, 1) - pillow_levels(planes, target)).max() < 1e-3


def test_the_bands_do_not_show():
    planes = noise((150, 170), np.float32)
    whole = lanczos(planes, Size(233, 311), band_rows=311)
    for band_rows in (1, 16, 100):
        np.testing.assert_array_equal(lanczos(planes, Size(233, 311), band_rows), whole)


def test_the_size_as_it_is_means_rounding_alone():
    values = np.array([0, 0.49 / 255, 0.5 / 255 + 1e-6, 1, 1.7, -0.3, 127.5001 / 255], dtype=np.float32)
    got = lanczos(values[None, :, None], Size(7, 1))
    assert got[0, :, 0].tolist() == [0, 0, 1, 255, 255, 0, 128]
    sixteen = np.array([0, 128, 129, 65535, 65535 - 129, 65535 - 128, 257 * 7], dtype=np.uint16)
    assert lanczos(sixteen[None, :, None], Size(7, 1))[0, :, 0].tolist() == [0, 0, 1, 255, 254, 255, 7]
    eight = noise((9, 9), np.uint8)
    np.testing.assert_array_equal(lanczos(eight, Size(9, 9)), eight)


def test_flat_pictures_stay_flat():
    for level in (0, 1, 127, 254, 255):
        flat = np.full((31, 47, 3), level, dtype=np.uint8)
        assert (lanczos(flat, Size(101, 17)) == level).all()


def test_a_plane_is_resampled_as_a_channel_is():
    planes = noise((40, 30), np.uint8)
    got = lanczos(planes[:, :, 1:2], Size(77, 61))[:, :, 0]
    np.testing.assert_array_equal(got, lanczos(planes, Size(77, 61))[:, :, 1])


def test_can_be_stopped_between_bands():
    class StopError(Exception):
        pass

    calls = []

    def check():
        calls.append(None)
        if len(calls) == 3:
            raise StopError

    with pytest.raises(StopError):
        lanczos(noise((20, 20), np.uint8), Size(40, 40), band_rows=8, check=check)
    assert len(calls) == 3


def test_other_types_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        lanczos(np.zeros((2, 2, 3)), Size(4, 4))

"""Axes of the host's X/Y/Z plot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_host.running import FakeHost
from networks import off, true_picture

SECOND, SHARE, PRECISION = (
    "[TrueScale] Hires upscaler 2",
    "[TrueScale] Hires upscaler 2 visibility",
    "[TrueScale] Hires precision",
)
TILE, VIEWS, SEAMLESS = (f"[TrueScale] Hires {name}" for name in ("tile size", "TTA", "seamless"))
PASSES = [
    f"[TrueScale] Hires {name}" for name in ("second pass", "second pass seed", "once more by", "once more denoising")
]
ALL = [SECOND, SHARE, PRECISION, TILE, VIEWS, *PASSES, SEAMLESS]
PLOT = "X/Y/Z plot"


def _plot(host: FakeHost, axis: str, values: list[str], hires: dict[str, Any] | None = None) -> list[Any]:
    p = host.module("processing").StableDiffusionProcessingTxt2Img(
        enable_hr=True, hr_upscaler="four", hr_scale=2.0, do_not_save_samples=True
    )
    p.scripts, p.script_args = host.module("scripts").scripts_txt2img, host.script_args(hires)
    host.state.begin(job="txt2img")
    return host.script(PLOT).run(p, axis, values)


def _mixed(host: FakeHost, share: float) -> np.ndarray:
    source = Image.fromarray(host.module("processing").first_pass(1, 64, 48))
    first, second = (true_picture(name, source, (128, 96)).astype(float) for name in ("four", "two"))
    return np.floor((1 - share) * first + share * second + 0.5)


def _axes(host: FakeHost, title: str = PLOT) -> list[str]:
    return [axis.label for axis in host.script(title).current_axis_options]


def test_the_axes_are_there_once_also_after_reloads(host: FakeHost) -> None:
    for _ in range(3):
        labels = _axes(host)
        assert [label for label in labels if label.startswith("[TrueScale]")] == ALL
        host.reload()


def test_the_axes_are_there_once_where_the_hosts_list_outlives_a_reload(host: FakeHost) -> None:
    """As on Forge Classic, which keeps the list of axes in a library."""
    host.module("script_callbacks").before_ui_callback()
    host.demo = host.module("ui").create_ui()

    assert [label for label in _axes(host) if label.startswith("[TrueScale]")] == ALL


def test_they_are_of_txt2img_alone(host: FakeHost) -> None:
    scripts = host.module("scripts").scripts_img2img.scripts
    plot = next(script for script in scripts if script.title() == PLOT)

    assert not [axis for axis in plot.current_axis_options if axis.label.startswith("[TrueScale]")]


def test_they_list_what_can_be_chosen(host: FakeHost) -> None:
    choices = {axis.label: axis.choices for axis in host.script(PLOT).current_axis_options}

    assert choices[SECOND]() == ["None", *[name for name in host.names() if name != "None"]]
    assert choices[PRECISION]() == ["auto", "exact", "fp16", "bf16"]


def test_an_axis_of_second_upscalers(host: FakeHost) -> None:
    with_it, without = _plot(host, SECOND, ["two", "None"])

    assert off(with_it.images[0], _mixed(host, 0.5)) <= 1
    assert off(without.images[0], _mixed(host, 0.0)) <= 1
    assert "Hires upscaler 2: two" in with_it.info
    assert "Hires upscaler 2" not in without.info


def test_an_axis_of_visibilities_with_the_upscaler_of_the_accordion(host: FakeHost) -> None:
    hires = {"enabled": True, "upscaler_2": "two", "visibility": 0.9}
    results = _plot(host, SHARE, ["0", "0.25", "1"], hires)

    for share, result in zip((0.0, 0.25, 1.0), results):
        assert off(result.images[0], _mixed(host, share)) <= 1
    assert "visibility: 0.25" in results[1].info


def test_an_axis_of_precisions(host: FakeHost) -> None:
    exact, rough = _plot(host, PRECISION, ["exact", "bf16"])

    assert off(exact.images[0], _mixed(host, 0.0)) <= 1
    assert exact.images[0].tobytes() != rough.images[0].tobytes()
    assert "Hires upscaler precision: exact" in exact.info
    assert "Hires upscaler precision: bf16" in rough.info


def test_an_axis_of_views(host: FakeHost) -> None:
    """As the plot writes them: words."""
    averaged, plain = _plot(host, VIEWS, ["True", "False"])

    source = Image.fromarray(host.module("processing").first_pass(1, 64, 48))
    assert off(averaged.images[0], true_picture("four", source, (128, 96), tta=True)) <= 1
    assert off(averaged.images[0], _mixed(host, 0.0)) > 1
    assert off(plain.images[0], _mixed(host, 0.0)) <= 1
    assert "Hires upscaler TTA: True" in averaged.info
    assert "TTA" not in plain.info


@pytest.mark.parametrize("axis", ["Seed"])
def test_other_axes_are_not_affected(axis: str, host: FakeHost) -> None:
    results = _plot(host, axis, ["1", "2"])

    assert off(results[0].images[0], _mixed(host, 0.0)) <= 1
    assert all("TrueScale" not in result.info for result in results)


def test_a_host_without_the_plot(host: FakeHost) -> None:
    data = host.module("scripts").scripts_data
    data[:] = [each for each in data if each.script_class.__module__ != "xyz_grid.py"]
    host.module("script_callbacks").before_ui_callback()

    assert host.reported == []

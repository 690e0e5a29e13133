"""What the user gets when an upscaling fails or is stopped, by where it was asked for."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_host.running import FakeHost
from lib_upscaler.errors import MemoryLimitError
from networks import encoded, is_lanczos, off, picture, true_picture
from small_networks import compact, save_pth
from types_of_fixtures import Engine, StartHost

BAD = (31, 20)
"""The size of the picture that fails."""

ByAccordion = {"upscale": {"upscaler_1_name": "four", "upscale_by": 2.0}}
ByOurPanel = {"ours": {"enabled": True, "upscaler_1": "four", "scale": 2.0}}
WAYS = pytest.mark.parametrize("way", [ByAccordion, ByOurPanel], ids=["accordion Upscale", "panel TrueScale"])


def _no_memory(image: Image.Image) -> None:
    if image.size == BAD:
        raise MemoryLimitError("the picture does not fit into memory", "it is too large", "allow more memory")


def _unexpected(image: Image.Image) -> None:
    if image.size == BAD:
        raise RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR")


def _first_pass(host: FakeHost, seed: int = 1, width: int = 64, height: int = 48) -> Image.Image:
    return Image.fromarray(host.module("processing").first_pass(seed, width, height))


def _files(folder: Path, sizes: list[tuple[int, int]]) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"picture {number}.png" for number in range(len(sizes))]
    for number, (path, size) in enumerate(zip(paths, sizes)):
        picture(*size, seed=number).save(path)
    return paths


def _when(count: int, action: Callable[[], None]) -> Callable[[Image.Image], None]:
    """``action`` while picture ``count`` (from 1) is being upscaled."""
    seen = []

    def before(image: Image.Image) -> None:
        seen.append(image)
        if len(seen) == count:
            action()

    return before


def _break(host: FakeHost, name: str = "four") -> None:
    (host.models / f"{name}.pth").write_bytes(b"<!DOCTYPE html><html>404: Not Found</html>")


# -- Hires Fix: the first pass must not be lost ------------------------------------------------------------------------


def test_hires_fix_without_a_failure_is_the_true_output_and_says_nothing(host: FakeHost) -> None:
    result = host.txt2img(enable_hr=True, hr_upscaler="four", hr_scale=2.5)

    assert off(result.images[0], true_picture("four", _first_pass(host), (160, 120))) <= 1
    assert "TrueScale" not in result.info
    assert host.warnings == []


def test_hires_fix_with_a_broken_model_takes_lanczos_and_says_so(host: FakeHost) -> None:
    _break(host)
    result = host.txt2img(enable_hr=True, hr_upscaler="four", hr_scale=2.5)

    assert result.images[0].size == (160, 120)
    assert is_lanczos(result.images[0], _first_pass(host))
    assert "TrueScale: Lanczos instead of four (failed)" in result.info
    (warning,) = host.warnings
    assert "four.pth" in warning
    assert "Lanczos" in warning
    (saved,) = host.saved()
    with Image.open(saved) as image:
        assert "Lanczos instead of four (failed)" in image.info["parameters"]


def test_hires_fix_with_an_unexpected_error_keeps_the_first_pass(host: FakeHost, engine: Engine) -> None:
    def fail(image: Image.Image) -> None:
        raise RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR")

    engine.before = fail
    result = host.txt2img(enable_hr=True, hr_upscaler="four", hr_scale=2)

    assert is_lanczos(result.images[0], _first_pass(host))
    assert "CUDNN_STATUS_INTERNAL_ERROR" in host.warnings[0]


def test_an_interrupt_while_hires_fix_upscales_keeps_the_first_pass(host: FakeHost, engine: Engine) -> None:
    engine.before = _when(1, host.state.interrupt)
    result = host.txt2img(enable_hr=True, hr_upscaler="four", hr_scale=2)

    assert is_lanczos(result.images[0], _first_pass(host))
    assert "TrueScale: Lanczos instead of four (interrupted)" in result.info


def test_a_picture_that_was_skipped_says_nothing_about_the_next_one(host: FakeHost, engine: Engine) -> None:
    engine.before = _when(1, host.state.skip)
    result = host.txt2img(enable_hr=True, hr_upscaler="four", hr_scale=2, n_iter=2)

    skipped, whole = result.images
    assert is_lanczos(skipped, _first_pass(host, 1))
    assert off(whole, true_picture("four", _first_pass(host, 2), (128, 96))) <= 1
    assert "Lanczos instead" in result.infotexts[0]
    assert "Lanczos instead" not in result.infotexts[1]


def test_of_two_pictures_made_at_once_only_the_failed_one_says_so(host: FakeHost, engine: Engine) -> None:
    def fail_first(image: Image.Image) -> None:
        if len(engine.pictures) == 1:
            _no_memory(Image.new("RGB", BAD))

    engine.before = fail_first
    result = host.txt2img(enable_hr=True, hr_upscaler="four", hr_scale=2, batch_size=2)

    assert is_lanczos(result.images[0], _first_pass(host, 1))
    assert off(result.images[1], true_picture("four", _first_pass(host, 2), (128, 96))) <= 1
    assert "Lanczos instead" in result.infotexts[0]
    assert "Lanczos instead" not in result.infotexts[1]


def test_a_first_press_of_interrupt_lets_the_picture_be_finished(host: FakeHost) -> None:
    """The host says then: "Generation will stop after finishing this image, click again to stop immediately"."""
    pressed: list[int] = []

    def press(p: Any, step: int) -> None:
        if not pressed:
            pressed.append(step)
            host.module("call_queue").interrupt_function()

    result = host.txt2img(enable_hr=True, hr_upscaler="four", hr_scale=2, steps=press)

    assert off(result.images[0], true_picture("four", _first_pass(host), (128, 96))) <= 1
    assert "Lanczos" not in result.info


# -- Extras, one picture: an error -------------------------------------------------------------------------------------


@WAYS
def test_one_picture_with_a_broken_model_is_an_error_in_words(way: dict[str, Any], host: FakeHost) -> None:
    _break(host)
    result = host.extras(picture(), **way)

    assert "four.pth" in result.error
    assert "404" not in result.error.split("four.pth")[0]
    assert result.saved == []


@WAYS
@pytest.mark.parametrize(
    ("failure", "words"), [(_no_memory, "allow more memory"), (_unexpected, "CUDNN_STATUS_INTERNAL_ERROR")]
)
def test_one_picture_that_fails_is_an_error_in_words(
    failure: Any, words: str, way: dict[str, Any], host: FakeHost, engine: Engine
) -> None:
    engine.before = failure
    result = host.extras(picture(*BAD), **way)

    assert words in result.error.lower() or words in result.error
    assert result.saved == []
    assert host.state.job == ""


@WAYS
@pytest.mark.parametrize("button", ["interrupt", "skip"])
def test_one_picture_that_is_stopped_is_not_saved(
    button: str, way: dict[str, Any], host: FakeHost, engine: Engine
) -> None:
    engine.before = _when(1, getattr(host.state, button))
    result = host.extras(picture(), **way)

    assert result.pictures == []
    assert result.saved == []
    assert "Cancelled" in result.error


# -- Extras, several: the others go on ---------------------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize(("source", "failure"), [("uploads", _no_memory), ("folder", _unexpected)])
def test_of_ten_pictures_a_bad_one_is_named_and_nine_are_saved(
    failure: Any, source: str, way: dict[str, Any], host: FakeHost, engine: Engine, tmp_path: Path
) -> None:
    sizes = [(30, 20)] * 10
    sizes[5] = BAD
    paths = _files(tmp_path / "in", sizes)
    engine.before = failure
    where = {"folder": tmp_path / "in"} if source == "folder" else {"batch": paths}
    result = host.extras(**where, **way)

    assert [path.name for path in result.saved] == [path.name for path in paths if path != paths[5]]
    for number, path in enumerate(paths):
        if number != 5:
            with Image.open(host.output / "extras-images" / path.name) as saved:
                assert off(saved, true_picture("four", picture(30, 20, seed=number), (60, 40))) <= 1
    first, last = host.warnings
    assert "picture 5" in first
    assert "memory" in first or "CUDNN" in first
    assert "1 of 10 pictures" in last
    assert "missing" in last
    assert "picture 5" in last


@WAYS
def test_failed_pictures_are_named_at_the_end_also_where_the_last_file_is_no_picture(
    way: dict[str, Any], host: FakeHost, engine: Engine, tmp_path: Path
) -> None:
    _files(tmp_path / "in", [(30, 20), BAD, (30, 20)])
    (tmp_path / "in" / "z.txt").write_text("notes")
    engine.before = _no_memory
    result = host.extras(folder=tmp_path / "in", **way)

    assert len(result.pictures) == 2
    assert "missing" in host.warnings[-1]


@WAYS
@pytest.mark.parametrize("which", [0, 2], ids=["first", "last"])
def test_a_bad_picture_at_an_end_of_the_batch(
    which: int, way: dict[str, Any], host: FakeHost, engine: Engine, tmp_path: Path
) -> None:
    sizes = [(30, 20)] * 3
    sizes[which] = BAD
    engine.before = _no_memory
    result = host.extras(batch=_files(tmp_path / "in", sizes), **way)

    assert len(result.pictures) == 2
    assert "1 of 3 pictures" in host.warnings[-1]


@WAYS
def test_the_failures_of_one_batch_are_not_told_of_in_the_next(
    way: dict[str, Any], host: FakeHost, engine: Engine, tmp_path: Path
) -> None:
    paths = _files(tmp_path / "in", [(30, 20), BAD, (30, 20)])

    def fail_and_interrupt(image: Image.Image) -> None:
        if image.size == BAD:
            host.state.interrupt()
            _no_memory(image)

    engine.before = fail_and_interrupt
    host.extras(batch=paths, **way)
    host.warnings.clear()
    engine.before = lambda image: None
    result = host.extras(batch=[paths[0], paths[2]], **way)

    assert len(result.pictures) == 2
    assert host.warnings == []


@WAYS
def test_a_broken_model_ends_the_batch_at_once(
    way: dict[str, Any], host: FakeHost, engine: Engine, tmp_path: Path
) -> None:
    _break(host)
    result = host.extras(batch=_files(tmp_path / "in", [(30, 20)] * 5), **way)

    assert "four.pth" in result.error
    assert result.saved == []
    assert len(engine.pictures) == 1


@WAYS
def test_an_interrupt_keeps_what_is_done_and_saves_nothing_half_done(
    way: dict[str, Any], host: FakeHost, engine: Engine, tmp_path: Path
) -> None:
    engine.before = _when(3, host.state.interrupt)
    result = host.extras(batch=_files(tmp_path / "in", [(30, 20)] * 5), **way)

    assert [path.name for path in result.saved] == ["picture 0.png", "picture 1.png"]
    assert len(engine.pictures) == 3


@WAYS
def test_a_skip_leaves_out_one_picture_without_a_word(
    way: dict[str, Any], host: FakeHost, engine: Engine, tmp_path: Path
) -> None:
    engine.before = _when(3, host.state.skip)
    result = host.extras(batch=_files(tmp_path / "in", [(30, 20)] * 5), **way)

    assert [path.name for path in result.saved] == [f"picture {number}.png" for number in (0, 1, 3, 4)]
    assert host.warnings == []
    assert len(result.pictures) == 4


@WAYS
def test_a_first_press_of_interrupt_lets_the_picture_of_a_batch_be_finished(
    way: dict[str, Any], host: FakeHost, engine: Engine, tmp_path: Path
) -> None:
    engine.before = _when(3, host.module("call_queue").interrupt_function)
    result = host.extras(batch=_files(tmp_path / "in", [(30, 20)] * 5), **way)

    assert [path.name for path in result.saved] == [f"picture {number}.png" for number in range(3)]


def test_a_second_upscaler_that_fails_leaves_no_mixture(host: FakeHost, engine: Engine, tmp_path: Path) -> None:
    def fail_second(image: Image.Image) -> None:
        if len(engine.pictures) == 2:
            _no_memory(Image.new("RGB", BAD))

    engine.before = fail_second
    both = {"upscaler_1_name": "four", "upscaler_2_name": "two", "upscaler_2_visibility": 0.5, "upscale_by": 2.0}
    result = host.extras(batch=_files(tmp_path / "in", [(30, 20)] * 2), upscale=both)

    assert [path.name for path in result.saved] == ["picture 1.png"]


# -- the host's cache --------------------------------------------------------------------------------------------------


def test_the_hosts_cache_works_while_nothing_changes(host: FakeHost, engine: Engine) -> None:
    first, second = (host.extras(picture(), **ByAccordion).pictures[0] for _ in range(2))

    assert len(engine.pictures) == 1
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("hidden", [[], ["TrueScale"]], ids=["panel shown", "panel hidden"])
@pytest.mark.parametrize("button", [None, "skip", "interrupt"])
def test_the_cache_never_gives_back_a_picture_that_failed(
    button: str | None, hidden: list[str], start_host: StartHost, engine: Engine, tmp_path: Path
) -> None:
    host = start_host(truescale_precision="exact", postprocessing_disable_in_extras=hidden)
    paths = _files(tmp_path / "in", [BAD, (30, 20)])
    engine.before = _when(1, getattr(host.state, button)) if button else _no_memory
    host.extras(batch=paths, **ByAccordion)
    engine.before = lambda image: None
    again = host.extras(batch=paths, **ByAccordion)

    for number, image in enumerate(again.pictures):
        size = BAD if number == 0 else (30, 20)
        twice = tuple(2 * side for side in size)
        assert off(image, true_picture("four", picture(*size, seed=number), twice)) <= 1


def test_the_cache_is_emptied_when_a_setting_changes(host: FakeHost, engine: Engine) -> None:
    host.extras(picture(), **ByAccordion)
    host.opts.set("truescale_precision", "auto")
    host.extras(picture(), **ByAccordion)

    assert len(engine.pictures) == 2


def test_the_cache_is_emptied_when_a_model_changes(host: FakeHost) -> None:
    other = compact(scale=4, features=4, layers=1, seed=9)
    host.extras(picture(), **ByAccordion)
    save_pth(other, host.models / "four.pth")
    os.utime(host.models / "four.pth", ns=(1, 1))
    after = host.extras(picture(), **ByAccordion).pictures[0]

    assert off(after, true_picture(other, picture(), (60, 40))) <= 1


def test_the_cache_knows_ours_from_the_hosts_own_engine(host: FakeHost) -> None:
    ours = host.extras(picture(), **ByAccordion).pictures[0]
    host.opts.set("truescale_takeover", False)
    theirs = host.extras(picture(), **ByAccordion).pictures[0]

    assert host.host_ran
    assert ours.tobytes() != theirs.tobytes()


# -- others ------------------------------------------------------------------------------------------------------------


def test_elsewhere_a_failure_is_an_error(host: FakeHost, engine: Engine) -> None:
    """The img2img of the host: the picture it would go on with is not there."""
    engine.before = _no_memory
    host.opts.data["upscaler_for_img2img"] = "four"
    processing = host.module("processing")
    p = processing.StableDiffusionProcessingImg2Img(width=62, height=40, init_images=[picture(*BAD)])

    with pytest.raises(MemoryLimitError):
        host.generate(p)
    assert host.saved() == []


def test_the_step_after_generating_keeps_the_picture(start_host: StartHost, engine: Engine) -> None:
    host = start_host(postprocessing_enable_in_main_ui=["TrueScale"])
    step = host.script("TrueScale")
    processing = host.module("processing")
    p = processing.StableDiffusionProcessingTxt2Img()
    engine.before = _when(1, lambda: _no_memory(Image.new("RGB", BAD)))
    args = list(host.script_args())
    for name, value in {"enabled": True, "upscaler_1": "four"}.items():
        args[step.args_from + list(step.postprocessing_controls).index(name)] = value
    host.script_args = lambda hires=None: tuple(args)
    result = host.generate(p)

    assert host.reported == []
    assert np.array_equal(np.asarray(result.images[0]), np.asarray(_first_pass(host)))
    assert "not upscaled" in host.warnings[0]
    assert "TrueScale: not upscaled by four (failed)" in result.info


# -- the host's own API ------------------------------------------------------------------------------------------------


def _post(host: FakeHost, image: Image.Image, name: str = "four") -> Any:
    body = {"image": encoded(image), "upscaler_1": name, "upscaling_resize": 2}
    return host.client().post("/sdapi/v1/extra-single-image", json=body)


def test_the_hosts_api_gives_the_true_output(host: FakeHost) -> None:
    answer = _post(host, picture())

    assert answer.status_code == 200
    with Image.open(io.BytesIO(base64.b64decode(answer.json()["image"]))) as image:
        assert off(image, true_picture("four", picture(), (60, 40))) <= 1


def test_the_hosts_api_answers_404_for_a_model_that_is_gone(host: FakeHost) -> None:
    (host.models / "four.pth").unlink()
    answer = _post(host, picture())

    assert answer.status_code == 404
    assert "four.pth" in answer.json()["detail"]


def test_the_hosts_api_answers_422_for_a_model_that_is_broken(host: FakeHost) -> None:
    _break(host)
    answer = _post(host, picture())

    assert answer.status_code == 422
    assert "four.pth" in answer.json()["detail"]


def test_the_hosts_api_answers_409_for_a_picture_that_was_interrupted(host: FakeHost, engine: Engine) -> None:
    engine.before = _when(1, host.state.interrupt)
    answer = _post(host, picture())

    assert answer.status_code == 409
    assert "by the user" in answer.json()["detail"]


def test_the_hosts_api_answers_413_where_memory_does_not_suffice(host: FakeHost, engine: Engine) -> None:
    engine.before = _no_memory
    answer = _post(host, picture(*BAD))

    assert answer.status_code == 413
    assert "memory" in answer.json()["detail"]


def test_the_hosts_api_goes_on_after_an_error(host: FakeHost, engine: Engine) -> None:
    engine.before = _no_memory
    assert _post(host, picture(*BAD)).status_code == 413
    assert _post(host, picture()).status_code == 200


def test_a_batch_by_the_hosts_api_leaves_out_the_bad_one(host: FakeHost, engine: Engine) -> None:
    engine.before = _no_memory
    images = [{"data": encoded(picture(*size)), "name": "x"} for size in ((30, 20), BAD, (30, 20))]
    body = {"imageList": images, "upscaler_1": "four", "upscaling_resize": 2}
    answer = host.client().post("/sdapi/v1/extra-batch-images", json=body)

    assert answer.status_code == 200
    assert len(answer.json()["images"]) == 2
    assert "picture 2" in host.warnings[0]

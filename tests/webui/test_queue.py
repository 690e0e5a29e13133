"""The queue of the Extras: jobs keep what they were given, run in the host's turn, and cost each other nothing."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_host.running import FakeHost, called
from networks import encoded, off, picture, true_picture
from types_of_fixtures import Engine

PANEL = "truescale_extras_queue"
SECONDS = 60


@pytest.fixture
def queue(host: FakeHost) -> Iterator[Any]:
    """The queue of this host's process, paused at first."""
    there = host.ours("panels.queue_jobs").queue()
    there.pause()
    yield there
    there.interrupt()
    assert there.wait(SECONDS)


def _values(host: FakeHost, **ours: Any) -> list[Any]:
    """Of all inputs of the steps, as the page has them: only ours is on."""
    given = {"Upscale": {"upscale_enabled": False}, "TrueScale": {"enabled": True, "upscaler_1": "four", **ours}}
    given["GFPGAN"] = {"enable": False}
    scripts = host.module("scripts").scripts_postproc.scripts_in_preferred_order()
    return [given.get(s.name, {}).get(name, part.value) for s in scripts for name, part in s.controls.items()]


def _add(
    host: FakeHost,
    image: Image.Image | None = None,
    files: Any = None,
    folder: str = "",
    shows: bool = True,
    **ours: Any,
) -> dict[str | None, Any]:
    mode = 0 if image is not None else 1 if files is not None else 2
    return host.press(f"{PANEL}_add", image, files, folder, "", shows, *_values(host, **ours), mode, 0)


def _of_a_page(host: FakeHost) -> Any:
    """What is asked for, without a page."""
    return host.ours("host.extras_run").Asked(0, {}, "a picture")


def _press(host: FakeHost, button: str) -> dict[str | None, Any]:
    return host.press(f"{PANEL}_{button}", 0)


def _act(host: FakeHost, act: str, number: int) -> dict[str | None, Any]:
    return host.press(f"{PANEL}_do", json.dumps({"act": act, "job": number, "count": 1}), 0)


def _jobs(changes: dict[str | None, Any]) -> list[dict[str, Any]]:
    """As the page's script reads them."""
    (told,) = re.findall("data-truescale-jobs='([^']*)'", changes[f"{PANEL}_jobs"])
    return json.loads(unescape(told))["jobs"]


def _now(host: FakeHost) -> list[dict[str, Any]]:
    return _jobs(_press(host, "show"))


def _states(host: FakeHost) -> list[str]:
    return [job["state"] for job in _now(host)]


def _run(host: FakeHost, queue: Any) -> None:
    _press(host, "run")
    assert queue.wait(SECONDS)


def _event_of(host: FakeHost, elem_id: str) -> tuple[Any, dict[str, Any]]:
    """The function of a button, and gradio's event."""
    button = host.component(elem_id)._id
    for number, event in enumerate(host.demo.dependencies):
        targets = [target[0] if isinstance(target, (list, tuple)) else target for target in event["targets"]]
        if button in targets:
            return host.demo.fns[number].fn, event
    raise AssertionError(elem_id)


# -- what a job is -----------------------------------------------------------------------------------------------------


def test_jobs_run_in_order_with_the_settings_they_were_added_with(host: FakeHost, queue: Any) -> None:
    _add(host, picture(), scale=2.0)
    _add(host, picture(20, 10), upscaler_1="two", scale=2.0)
    _run(host, queue)

    first, second = (Image.open(file) for file in queue.results())
    assert off(first, true_picture("four", picture(), (60, 40))) <= 1
    assert off(second, true_picture("two", picture(20, 10))) <= 1
    assert sorted(queue.results()) == sorted(map(str, host.saved()))
    assert _states(host) == ["done", "done"]


def test_an_added_job_begins_at_once_unless_the_queue_is_paused(host: FakeHost, queue: Any) -> None:
    _add(host, picture())
    assert _states(host) == ["waiting"]
    assert host.saved() == []
    _press(host, "run")
    _add(host, picture(20, 10))
    assert queue.wait(SECONDS)

    assert _states(host) == ["done", "done"]


def test_a_picture_is_as_it_was_when_it_was_added(host: FakeHost, queue: Any) -> None:
    """Transparency, and what the host's picture says of itself."""
    image = picture(mode="RGBA")
    image.info["parameters"] = "a cat"
    _add(host, image)
    image.paste((0, 0, 0, 255), (0, 0, 30, 20))
    _run(host, queue)

    saved = Image.open(queue.results()[0])
    assert saved.mode == "RGBA"
    assert saved.text["parameters"] == "a cat"
    assert off(saved.convert("RGB"), true_picture("four", picture())) < 60
    alpha = np.asarray(saved.getchannel("A")).astype(int)
    assert alpha[:, 0].max() < 20
    assert alpha[:, -1].min() > 235


def test_a_deep_upload_stays_deep(host: FakeHost, queue: Any, tmp_path: Path) -> None:
    levels = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    data = "data:image/png;base64," + encoded(Image.fromarray(levels))
    _add(host, host.component("extras_image").preprocess(data))
    _run(host, queue)

    assert Image.open(queue.results()[0]).mode.startswith("I")


def test_uploads_zip_files_and_folders_are_jobs(host: FakeHost, queue: Any, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, width in (("b", 8), ("a", 9)):
        picture(width).save(folder / f"{name}.png")
    _add(host, files=host.dropped(folder / "b.png", folder / "a.png"))
    _add(host, folder=str(folder))
    _add(host, folder=str(folder), shows=False)
    _run(host, queue)

    assert [Image.open(file).width for file in queue.results()] == [32, 36, 36, 32]
    assert [(job["name"], job["state"], job["results"]) for job in _now(host)] == [
        ("b.png + 1", "done", 2),
        ("pictures", "done", 2),
        ("pictures", "done", 0),
    ]


@pytest.mark.parametrize("action", ["Replace", "Add number suffix"])
@pytest.mark.parametrize("door", ["files", "folder"])
def test_no_job_replaces_the_result_of_another(
    door: str, action: str, host: FakeHost, queue: Any, tmp_path: Path
) -> None:
    """One picture with different settings: the host names all results after it. The third is without TrueScale."""
    host.opts.data["save_images_replace_action"] = action
    picture().save(tmp_path / "cat.png")
    (tmp_path / "in").mkdir()
    picture().save(tmp_path / "in" / "cat.png")
    for ours in ({"scale": 4.0}, {"scale": 2.0}, {"enabled": False}):
        given = {"files": host.dropped(tmp_path / "cat.png")} if door == "files" else {"folder": str(tmp_path / "in")}
        _add(host, **given, **ours)
    _run(host, queue)

    assert [Image.open(file).size for file in queue.results()] == [(120, 80), (60, 40), (30, 20)]
    assert sorted(queue.results()) == sorted(map(str, host.saved()))


def test_the_settings_are_told_in_words(host: FakeHost, queue: Any) -> None:
    _add(host, picture(), size_by="Scale to", width=90, height=60, clean_up="one", scale=3.0)
    (job,) = _now(host)

    assert dict(job["settings"]) == {
        "TrueScale": "",
        "Upscaler 1": "four",
        "Width": "90",
        "Height": "60",
        "Clean up first": "one",
    }


def test_nor_where_their_names_are_too_long_for_the_host(
    host: FakeHost, queue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cuts the whole path where a name would be too long, and with its end the number."""
    images = host.module("images")
    plain, longest = images.script_callbacks.before_image_saved_callback, len(str(host.output)) + 150
    monkeypatch.setattr(host.ours("host.saving"), "_LONGEST", longest - 20)

    def cut(parameters: Any) -> None:
        plain(parameters)
        path = Path(parameters.filename)
        parameters.filename = str(path.with_suffix(""))[: longest - 4] + path.suffix

    monkeypatch.setattr(images.script_callbacks, "before_image_saved_callback", cut)
    file = tmp_path / f"{'cat' * 60}.png"
    picture().save(file)
    for scale in (4.0, 2.0):
        _add(host, files=host.dropped(file), scale=scale)
    _run(host, queue)

    assert [Image.open(file).size for file in queue.results()] == [(120, 80), (60, 40)]


@pytest.mark.parametrize(
    ("given", "words"),
    [({"files": []}, "there are no files"), ({"folder": "/no/such"}, "there is no folder"), ({}, "there is no folder")],
)
def test_nothing_to_enlarge_is_an_error_in_words(given: dict[str, Any], words: str, host: FakeHost, queue: Any) -> None:
    changes = _add(host, **given)

    assert words in changes[f"{PANEL}_note"]
    assert _jobs(changes) == []


def test_a_folder_without_pictures_says_so(host: FakeHost, queue: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    _add(host, folder=str(tmp_path))
    _run(host, queue)
    (job,) = _now(host)

    assert job["state"] == "failed"
    assert job["notes"][-1] == f"no picture of '{tmp_path}' was saved: there is none in it that the WebUI can read"


def test_where_folders_are_hidden_none_can_be_looked_for(
    host: FakeHost, queue: Any, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(host.module("shared").cmd_opts, "hide_ui_dir_config", True)
    answers = [_add(host, folder=str(folder))[f"{PANEL}_note"] for folder in (tmp_path, tmp_path / "none")]

    assert "folders cannot be named" in answers[0]
    assert answers[0] == answers[1]


def test_a_file_that_was_not_uploaded_to_its_end_is_no_job(host: FakeHost, queue: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    changes = _add(host, files=host.dropped(tmp_path / "a.png"))

    assert "'a.png' is empty: it was not uploaded to its end. Drop it once more." in unescape(changes[f"{PANEL}_note"])
    assert _jobs(changes) == []


def test_the_page_can_ask_without_being_changed(host: FakeHost, queue: Any) -> None:
    """gradio 3 forgets a file on its way to the server when anything else on the page is changed meanwhile."""
    _add(host, picture())
    function, event = _event_of(host, f"{PANEL}_ask")
    answer = called(function, [])

    assert event["inputs"] == []
    assert [host.demo.blocks[number].elem_id for number in event["outputs"]] == [f"{PANEL}_jobs"]
    assert [job["state"] for job in _jobs({f"{PANEL}_jobs": answer})] == ["waiting"]


def test_another_site_adds_nothing(host: FakeHost, queue: Any) -> None:
    function, _ = _event_of(host, f"{PANEL}_add")
    inputs = [picture(), None, "", "", True, *_values(host), 0, 0]
    with pytest.raises(Exception, match="another page asked for this"):
        called(function, inputs, **{"sec-fetch-site": "cross-site"})

    assert queue.jobs() == []


# -- the list ----------------------------------------------------------------------------------------------------------


def test_jobs_are_moved_and_removed(host: FakeHost, queue: Any) -> None:
    numbers = [_jobs(_add(host, picture(10 + each)))[-1]["number"] for each in range(3)]
    _act(host, "up", numbers[2])
    _act(host, "up", numbers[0])  # it is the first already
    assert [job["number"] for job in _now(host)] == [numbers[0], numbers[2], numbers[1]]
    _act(host, "down", numbers[0])
    _act(host, "remove", numbers[2])
    _act(host, "nonsense", numbers[0])

    assert [job["number"] for job in _now(host)] == [numbers[0], numbers[1]]


@pytest.mark.parametrize("text", ["", "null", "[1]", '{"act": "remove"}', '{"act": "remove", "job": "1"}'])
def test_what_is_no_action_does_nothing(text: str, host: FakeHost, queue: Any) -> None:
    _add(host, picture())
    host.press(f"{PANEL}_do", text, 0)

    assert _states(host) == ["waiting"]


def test_finished_jobs_are_cleared_and_waiting_ones_stay(host: FakeHost, queue: Any) -> None:
    _add(host, picture())
    _run(host, queue)
    _press(host, "pause")
    _add(host, picture())
    changes = _press(host, "clear")

    assert [job["state"] for job in _jobs(changes)] == ["waiting"]
    assert queue.results() == []
    assert len(host.saved()) == 1


def test_the_pause_of_an_empty_queue_is_over(host: FakeHost, queue: Any) -> None:
    number = _jobs(_add(host, picture()))[0]["number"]
    _act(host, "remove", number)
    _add(host, picture())
    assert queue.wait(SECONDS)

    assert _states(host) == ["done"]


def test_the_page_gets_results_only_where_it_has_not_got_them(host: FakeHost, queue: Any) -> None:
    _add(host, picture())
    _run(host, queue)
    changes = _press(host, "show")
    (shown,) = changes[f"{PANEL}_results"]["value"]
    assert shown.already_saved_as == queue.results()[0]

    assert "value" not in host.press(f"{PANEL}_show", queue.results_revision)[f"{PANEL}_results"]


def test_no_size_of_a_result_is_too_much_for_the_page(
    host: FakeHost, queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow opens nothing above 179 megapixels, here 2,000 px, which upscaling may well reach."""
    _add(host, picture())
    _run(host, queue)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    (shown,) = _press(host, "show")[f"{PANEL}_results"]["value"]

    assert shown.already_saved_as == queue.results()[0]
    assert len(_jobs(_add(host, picture(8, 8)))) == 2


def test_it_survives_a_reload_of_the_ui(host: FakeHost, queue: Any) -> None:
    _add(host, picture(), scale=2.0)
    host.reload()
    assert [job["state"] for job in _now(host)] == ["waiting"]
    assert host.app  # the page is served
    _run(host, queue)

    assert Image.open(queue.results()[0]).size == (60, 40)


def test_no_job_begins_while_the_ui_is_reloaded(host: FakeHost, queue: Any) -> None:
    """Neither one that would be next, nor one that has waited for its turn: the steps have no inputs until then."""
    for _ in range(2):
        _add(host, picture())
    with host.module("call_queue").queue_lock:
        _press(host, "run")
        assert not queue.wait(0.3)
        host.module("script_callbacks").script_unloaded_callback()
        host._load()
    assert queue.wait(SECONDS)
    assert [job.state for job in queue.jobs()] == ["waiting", "waiting"]
    host.show()
    assert host.app
    assert queue.wait(SECONDS)

    assert _states(host) == ["done", "done"]


# -- running -----------------------------------------------------------------------------------------------------------


def test_a_failed_job_costs_no_other_and_says_why(host: FakeHost, queue: Any) -> None:
    (host.models / "bad.pth").write_bytes(b"no model" * 99)
    host.ours("panels.lists").refresh_models()
    _add(host, picture(), upscaler_1="bad")
    _add(host, picture())
    _run(host, queue)
    failed, done = _now(host)

    assert (failed["state"], done["state"]) == ("failed", "done")
    assert "cannot load the model 'bad.pth'" in failed["notes"][0]


def test_what_is_left_out_of_a_job_is_said_beside_it(host: FakeHost, queue: Any, tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    _add(host, files=host.dropped(tmp_path / "a.png", tmp_path / "b.png"))
    _run(host, queue)
    (job,) = _now(host)

    assert job["state"] == "done"
    assert job["notes"][0].startswith("b.png is left out: the WebUI cannot read it")


def test_interrupt_stops_the_running_job_and_pauses(host: FakeHost, queue: Any, engine: Engine) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold(_: Image.Image) -> None:
        reached.set()
        assert go_on.wait(SECONDS)

    engine.before = hold
    _add(host, picture())
    _add(host, picture())
    _press(host, "run")
    assert reached.wait(SECONDS)
    assert _states(host) == ["running", "waiting"]
    _press(host, "stop")
    go_on.set()
    assert queue.wait(SECONDS)

    assert _states(host) == ["interrupted", "waiting"]
    assert host.saved() == []
    engine.before = lambda image: None
    _act(host, "again", _now(host)[0]["number"])
    assert _states(host) == ["waiting", "waiting"]
    _run(host, queue)
    assert _states(host) == ["done", "done"]


def test_the_queue_waits_for_the_hosts_job_and_does_not_interrupt_it(host: FakeHost, queue: Any) -> None:
    with host.module("call_queue").queue_lock:
        host.state.begin(job="txt2img")
        _add(host, picture())
        _press(host, "run")
        assert not queue.wait(0.3)
        assert host.saved() == []
        _press(host, "stop")
        assert not host.state.interrupted
    assert queue.wait(SECONDS)

    assert _states(host) == ["waiting"]
    _run(host, queue)
    assert _states(host) == ["done"]


def test_interrupt_does_not_reach_who_is_next_in_the_hosts_turn(host: FakeHost) -> None:
    """What the host does behind a job, such as freeing memory, is done when the next one has begun."""
    jobs = host.ours("panels.queue_jobs")
    is_over, go_on = threading.Event(), threading.Event()

    def run_job(_: Any, turn: Any) -> Any:
        with turn():
            pass
        is_over.set()
        assert go_on.wait(SECONDS)
        return jobs.Ran(files=["a.png"])

    queue = jobs.Queue(run_job)
    queue.add(_of_a_page(host), [])
    assert is_over.wait(SECONDS)
    host.state.begin(job="txt2img")
    queue.interrupt()
    go_on.set()
    assert queue.wait(SECONDS)

    assert not host.state.interrupted
    assert [job.state for job in queue.jobs()] == ["done"]


def test_an_interrupt_before_the_host_has_begun_is_heard(
    host: FakeHost, queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a large picture is read from the disk; the host takes interrupts back when it begins."""
    asked = host.ours("host.extras_run").Asked
    plain = asked.arguments

    def arguments(self: Any) -> list[Any]:
        given = plain(self)
        _press(host, "stop")
        return given

    monkeypatch.setattr(asked, "arguments", arguments)
    _add(host, picture())
    _run(host, queue)

    assert _states(host) == ["interrupted"]
    assert host.saved() == []
    host.state.begin(job="txt2img")
    assert not host.state.interrupted


def test_what_fails_behind_a_job_costs_nothing(host: FakeHost, queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host empties the device's memory outside of what it guards, and that may fail."""
    calls = host.module("call_queue")
    plain = calls.wrap_gradio_gpu_call

    def wrap(function: Any, extra_outputs: Any = None) -> Any:
        def job(*given: Any) -> Any:
            plain(function, extra_outputs)(*given)
            raise RuntimeError("CUDA error: out of memory")

        return job

    monkeypatch.setattr(calls, "wrap_gradio_gpu_call", wrap)
    for _ in range(2):
        _add(host, picture())
    _run(host, queue)

    assert [(job["state"], job["results"]) for job in _now(host)] == [("done", 1), ("done", 1)]
    assert "CUDA error: out of memory" in _now(host)[0]["notes"][0]


def test_a_job_that_cannot_be_run_at_all_costs_no_other(
    host: FakeHost, queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, plain = host.module("call_queue"), queue._run

    def fails(*_: Any) -> Any:
        queue._run = plain
        raise RuntimeError("no such thing")

    with monkeypatch.context() as patch:
        patch.setattr(calls, "wrap_gradio_gpu_call", lambda *_, **__: fails)
        patch.setattr(queue, "_run", fails)
        for _ in range(2):
            _add(host, picture())
        _press(host, "run")
        assert queue.wait(SECONDS)
    _add(host, picture())
    assert queue.wait(SECONDS)

    assert _states(host) == ["failed", "failed", "done"]
    assert [job["notes"] for job in _now(host)] == [["no such thing"], ["no such thing"], []]


def test_a_picture_waits_on_the_disk_until_its_job_is_done(
    host: FakeHost, queue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has failed is kept: it can be asked for again. What a killed process has left is gone."""
    from lib_upscaler.batch.scratch_files import prefix_of

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for process in (999999999, os.getpid()):  # of no process; of one before of our number
        left = tmp_path / f"{prefix_of(process)}x"
        left.mkdir()
        os.utime(left, (1, 1))
    with monkeypatch.context() as patch:
        patch.setattr(host.module("images"), "save_image", lambda *_, **__: 1 / 0)
        _add(host, picture())
        _run(host, queue)
    first = set(tmp_path.glob("truescale-*"))
    _add(host, picture())
    _run(host, queue)

    assert _states(host) == ["failed", "done"]
    assert len(first) == 1
    assert set(tmp_path.glob("truescale-*")) == first
    _act(host, "again", _now(host)[0]["number"])
    assert queue.wait(SECONDS)
    assert _states(host) == ["done", "done"]
    assert set(tmp_path.glob("truescale-*")) == set()


def test_the_statement_of_the_pages_own_run_stays(host: FakeHost, queue: Any) -> None:
    host.extras(picture(), ours={"enabled": True, "upscaler_1": "four"})
    before = host.press("truescale_extras_statement_show")["truescale_extras_statement"]
    _add(host, picture(20, 10))
    _run(host, queue)

    assert "120" in before
    assert host.press("truescale_extras_statement_show")["truescale_extras_statement"] == before


def test_a_step_of_another_extension_without_inputs_hides_no_queue(start_host: Any) -> None:
    def add_step(host: FakeHost) -> None:
        steps = host.module("scripts_postprocessing")

        class Step(steps.ScriptPostprocessing):
            name, filename = "Step", "step.py"

            def ui(self) -> dict[str, Any]:
                return {}

        plain = steps.ScriptPostprocessingRunner.initialize_scripts

        def initialize(runner: Any, data: Any) -> None:
            plain(runner, data)
            runner.scripts.append(Step())

        steps.ScriptPostprocessingRunner.initialize_scripts = initialize

    host = start_host(change=add_step)

    assert host.component(f"{PANEL}_add").value == "Add to queue"


def test_a_host_with_other_inputs_has_no_queue(start_host: Any, caplog: pytest.LogCaptureFixture) -> None:
    def rename(host: FakeHost) -> None:
        host.ours("host.extras_run")._INPUTS = ("something_else",)

    host = start_host(change=rename)

    ids = [getattr(block, "elem_id", None) for block in host.demo.blocks.values()]
    assert "extras_generate" in ids
    assert [elem_id for elem_id in ids if str(elem_id).startswith(PANEL)] == []
    assert host.reported == []
    assert "no queue in the Extras" in caplog.text

"""The queue of the Extras while it runs: jobs take turns with the host's, and cost each other nothing."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fake_host.running import FakeHost
from networks import picture
from queue_page import PANEL, SECONDS, act_on, add_job, jobs_now, of_a_page, press_button, run_queue, states_now
from types_of_fixtures import Engine


def test_a_failed_job_costs_no_other_and_says_why(host: FakeHost, queue: Any) -> None:
    (host.models / "bad.pth").write_bytes(b"no model" * 99)
    host.ours("panels.lists").refresh_models()
    add_job(host, picture(), upscaler_1="bad")
    add_job(host, picture())
    run_queue(host, queue)
    failed, done = jobs_now(host)

    assert (failed["state"], done["state"]) == ("failed", "done")
    assert "cannot load the model 'bad.pth'" in failed["notes"][0]


def test_what_is_left_out_of_a_job_is_said_beside_it(host: FakeHost, queue: Any, tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    add_job(host, files=host.dropped(tmp_path / "a.png", tmp_path / "b.png"))
    run_queue(host, queue)
    (job,) = jobs_now(host)

    assert job["state"] == "done"
    assert job["notes"][0].startswith("b.png is left out: the WebUI cannot read it")


def test_interrupt_stops_the_running_job_and_pauses(host: FakeHost, queue: Any, engine: Engine) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold(_: Image.Image) -> None:
        reached.set()
        assert go_on.wait(SECONDS)

    engine.before = hold
    add_job(host, picture())
    add_job(host, picture())
    press_button(host, "run")
    assert reached.wait(SECONDS)
    assert states_now(host) == ["running", "waiting"]
    press_button(host, "stop")
    go_on.set()
    assert queue.wait(SECONDS)

    assert states_now(host) == ["interrupted", "waiting"]
    assert host.saved() == []
    engine.before = lambda image: None
    act_on(host, "again", jobs_now(host)[0]["number"])
    assert states_now(host) == ["waiting", "waiting"]
    run_queue(host, queue)
    assert states_now(host) == ["done", "done"]


def test_the_queue_waits_for_the_hosts_job_and_does_not_interrupt_it(host: FakeHost, queue: Any) -> None:
    with host.module("call_queue").queue_lock:
        host.state.begin(job="txt2img")
        add_job(host, picture())
        press_button(host, "run")
        assert not queue.wait(0.3)
        assert host.saved() == []
        press_button(host, "stop")
        assert not host.state.interrupted
    assert queue.wait(SECONDS)

    assert states_now(host) == ["waiting"]
    run_queue(host, queue)
    assert states_now(host) == ["done"]


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
    queue.add(of_a_page(host), [])
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
        press_button(host, "stop")
        return given

    monkeypatch.setattr(asked, "arguments", arguments)
    add_job(host, picture())
    run_queue(host, queue)

    assert states_now(host) == ["interrupted"]
    assert host.saved() == []
    assert "begin" not in vars(host.state), "the host's own is back, not a copy that hides it"
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
        add_job(host, picture())
    run_queue(host, queue)

    assert [(job["state"], job["results"]) for job in jobs_now(host)] == [("done", 1), ("done", 1)]
    assert "CUDA error: out of memory" in jobs_now(host)[0]["notes"][0]


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
            add_job(host, picture())
        press_button(host, "run")
        assert queue.wait(SECONDS)
    add_job(host, picture())
    assert queue.wait(SECONDS)

    assert states_now(host) == ["failed", "failed", "done"]
    assert [job["notes"] for job in jobs_now(host)] == [["no such thing"], ["no such thing"], []]


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
        add_job(host, picture())
        run_queue(host, queue)
    first = set(tmp_path.glob("truescale-*"))
    add_job(host, picture())
    run_queue(host, queue)

    assert states_now(host) == ["failed", "done"]
    assert len(first) == 1
    assert set(tmp_path.glob("truescale-*")) == first
    act_on(host, "again", jobs_now(host)[0]["number"])
    assert queue.wait(SECONDS)
    assert states_now(host) == ["done", "done"]
    assert set(tmp_path.glob("truescale-*")) == set()


def test_the_statement_of_the_pages_own_run_stays(host: FakeHost, queue: Any) -> None:
    host.extras(picture(), ours={"enabled": True, "upscaler_1": "four"})
    before = host.press("truescale_extras_statement_show")["truescale_extras_statement"]
    add_job(host, picture(20, 10))
    run_queue(host, queue)

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

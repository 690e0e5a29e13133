"""The queue of the Extras: what a job is, and the list of them."""

from __future__ import annotations

from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_host.running import FakeHost, called
from networks import encoded, off, picture, true_picture
from queue_page import (
    PANEL,
    SECONDS,
    act_on,
    add_job,
    event_of,
    inputs_of,
    jobs_now,
    jobs_told,
    press_button,
    run_queue,
    states_now,
)

# -- what a job is -----------------------------------------------------------------------------------------------------


def test_jobs_run_in_order_with_the_settings_they_were_added_with(host: FakeHost, queue: Any) -> None:
    add_job(host, picture(), scale=2.0)
    add_job(host, picture(20, 10), upscaler_1="two", scale=2.0)
    run_queue(host, queue)

    first, second = (Image.open(file) for file in queue.results())
    assert off(first, true_picture("four", picture(), (60, 40))) <= 1
    assert off(second, true_picture("two", picture(20, 10))) <= 1
    assert sorted(queue.results()) == sorted(map(str, host.saved()))
    assert states_now(host) == ["done", "done"]


def test_an_added_job_begins_at_once_unless_the_queue_is_paused(host: FakeHost, queue: Any) -> None:
    add_job(host, picture())
    assert states_now(host) == ["waiting"]
    assert host.saved() == []
    press_button(host, "run")
    add_job(host, picture(20, 10))
    assert queue.wait(SECONDS)

    assert states_now(host) == ["done", "done"]


def test_a_picture_is_as_it_was_when_it_was_added(host: FakeHost, queue: Any) -> None:
    """Transparency, and what the host's picture says of itself."""
    image = picture(mode="RGBA")
    image.info["parameters"] = "a cat"
    add_job(host, image)
    image.paste((0, 0, 0, 255), (0, 0, 30, 20))
    run_queue(host, queue)

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
    add_job(host, host.component("extras_image").preprocess(data))
    run_queue(host, queue)

    assert Image.open(queue.results()[0]).mode.startswith("I")


def test_uploads_zip_files_and_folders_are_jobs(host: FakeHost, queue: Any, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, width in (("b", 8), ("a", 9)):
        picture(width).save(folder / f"{name}.png")
    add_job(host, files=host.dropped(folder / "b.png", folder / "a.png"))
    add_job(host, folder=str(folder))
    add_job(host, folder=str(folder), shows=False)
    run_queue(host, queue)

    assert [Image.open(file).width for file in queue.results()] == [32, 36, 36, 32]
    assert [(job["name"], job["state"], job["results"]) for job in jobs_now(host)] == [
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
        add_job(host, **given, **ours)
    run_queue(host, queue)

    assert [Image.open(file).size for file in queue.results()] == [(120, 80), (60, 40), (30, 20)]
    assert sorted(queue.results()) == sorted(map(str, host.saved()))


def test_the_settings_are_told_in_words(host: FakeHost, queue: Any) -> None:
    add_job(host, picture(), size_by="Scale to", width=90, height=60, clean_up="one", scale=3.0)
    (job,) = jobs_now(host)

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
        add_job(host, files=host.dropped(file), scale=scale)
    run_queue(host, queue)

    assert [Image.open(file).size for file in queue.results()] == [(120, 80), (60, 40)]


@pytest.mark.parametrize(
    ("given", "words"),
    [({"files": []}, "there are no files"), ({"folder": "/no/such"}, "there is no folder"), ({}, "there is no folder")],
)
def test_nothing_to_enlarge_is_an_error_in_words(given: dict[str, Any], words: str, host: FakeHost, queue: Any) -> None:
    changes = add_job(host, **given)

    assert words in changes[f"{PANEL}_note"]
    assert jobs_told(changes) == []


def test_a_folder_without_pictures_says_so(host: FakeHost, queue: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    add_job(host, folder=str(tmp_path))
    run_queue(host, queue)
    (job,) = jobs_now(host)

    assert job["state"] == "failed"
    assert job["notes"][-1] == f"no picture of '{tmp_path}' was saved: there is none in it that the WebUI can read"


def test_where_folders_are_hidden_none_can_be_looked_for(
    host: FakeHost, queue: Any, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(host.module("shared").cmd_opts, "hide_ui_dir_config", True)
    answers = [add_job(host, folder=str(folder))[f"{PANEL}_note"] for folder in (tmp_path, tmp_path / "none")]

    assert "folders cannot be named" in answers[0]
    assert answers[0] == answers[1]


def test_a_file_that_was_not_uploaded_to_its_end_is_no_job(host: FakeHost, queue: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    changes = add_job(host, files=host.dropped(tmp_path / "a.png"))

    assert "'a.png' is empty: it was not uploaded to its end. Drop it once more." in unescape(changes[f"{PANEL}_note"])
    assert jobs_told(changes) == []


def test_the_page_can_ask_without_being_changed(host: FakeHost, queue: Any) -> None:
    """gradio 3 forgets a file on its way to the server when anything else on the page is changed meanwhile."""
    add_job(host, picture())
    function, event = event_of(host, f"{PANEL}_ask")
    answer = called(function, [])

    assert event["inputs"] == []
    assert [host.demo.blocks[number].elem_id for number in event["outputs"]] == [f"{PANEL}_jobs"]
    assert [job["state"] for job in jobs_told({f"{PANEL}_jobs": answer})] == ["waiting"]


def test_another_site_adds_nothing(host: FakeHost, queue: Any) -> None:
    function, _ = event_of(host, f"{PANEL}_add")
    inputs = [picture(), None, "", "", True, *inputs_of(host), 0, 0]
    with pytest.raises(Exception, match="another page asked for this"):
        called(function, inputs, **{"sec-fetch-site": "cross-site"})

    assert queue.jobs() == []


# -- the list ----------------------------------------------------------------------------------------------------------


def test_jobs_are_moved_and_removed(host: FakeHost, queue: Any) -> None:
    numbers = [jobs_told(add_job(host, picture(10 + each)))[-1]["number"] for each in range(3)]
    act_on(host, "up", numbers[2])
    act_on(host, "up", numbers[0])  # it is the first already
    assert [job["number"] for job in jobs_now(host)] == [numbers[0], numbers[2], numbers[1]]
    act_on(host, "down", numbers[0])
    act_on(host, "remove", numbers[2])
    act_on(host, "nonsense", numbers[0])

    assert [job["number"] for job in jobs_now(host)] == [numbers[0], numbers[1]]


@pytest.mark.parametrize("text", ["", "null", "[1]", '{"act": "remove"}', '{"act": "remove", "job": "1"}'])
def test_what_is_no_action_does_nothing(text: str, host: FakeHost, queue: Any) -> None:
    add_job(host, picture())
    host.press(f"{PANEL}_do", text, 0)

    assert states_now(host) == ["waiting"]


def test_finished_jobs_are_cleared_and_waiting_ones_stay(host: FakeHost, queue: Any) -> None:
    add_job(host, picture())
    run_queue(host, queue)
    press_button(host, "pause")
    add_job(host, picture())
    changes = press_button(host, "clear")

    assert [job["state"] for job in jobs_told(changes)] == ["waiting"]
    assert queue.results() == []
    assert len(host.saved()) == 1


def test_the_pause_of_an_empty_queue_is_over(host: FakeHost, queue: Any) -> None:
    number = jobs_told(add_job(host, picture()))[0]["number"]
    act_on(host, "remove", number)
    add_job(host, picture())
    assert queue.wait(SECONDS)

    assert states_now(host) == ["done"]


def test_the_page_gets_results_only_where_it_has_not_got_them(host: FakeHost, queue: Any) -> None:
    add_job(host, picture())
    run_queue(host, queue)
    changes = press_button(host, "show")
    (shown,) = changes[f"{PANEL}_results"]["value"]
    assert shown.already_saved_as == queue.results()[0]

    assert "value" not in host.press(f"{PANEL}_show", queue.results_revision)[f"{PANEL}_results"]


def test_no_size_of_a_result_is_too_much_for_the_page(
    host: FakeHost, queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow opens nothing above 179 megapixels, here 2,000 px, which upscaling may well reach."""
    add_job(host, picture())
    run_queue(host, queue)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    (shown,) = press_button(host, "show")[f"{PANEL}_results"]["value"]

    assert shown.already_saved_as == queue.results()[0]
    assert len(jobs_told(add_job(host, picture(8, 8)))) == 2


def test_it_survives_a_reload_of_the_ui(host: FakeHost, queue: Any) -> None:
    add_job(host, picture(), scale=2.0)
    host.reload()
    assert [job["state"] for job in jobs_now(host)] == ["waiting"]
    assert host.app  # the page is served
    run_queue(host, queue)

    assert Image.open(queue.results()[0]).size == (60, 40)


def test_no_job_begins_while_the_ui_is_reloaded(host: FakeHost, queue: Any) -> None:
    """Neither one that would be next, nor one that has waited for its turn: the steps have no inputs until then."""
    for _ in range(2):
        add_job(host, picture())
    with host.module("call_queue").queue_lock:
        press_button(host, "run")
        assert not queue.wait(0.3)
        host.module("script_callbacks").script_unloaded_callback()
        host._load()
    assert queue.wait(SECONDS)
    assert [job.state for job in queue.jobs()] == ["waiting", "waiting"]
    host.show()
    assert host.app
    assert queue.wait(SECONDS)

    assert states_now(host) == ["done", "done"]

"""Which pictures a command means, what the results are called, and what one bad picture does to the others."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.batch.inputs import named_inputs, plan_batch
from lib_upscaler.batch.ledger import Outcome
from lib_upscaler.batch.naming import destination_of
from lib_upscaler.batch.picture import BatchOptions
from lib_upscaler.batch.run import run_batch
from lib_upscaler.batch.stopping import StopRequest
from lib_upscaler.batch.task import Record, Task
from lib_upscaler.errors import BrokenModelError, DeviceError, ModelFileError, RequestError, SizeError, TrueScaleError
from lib_upscaler.geometry import Size
from lib_upscaler.pictures.pixels import decompose
from lib_upscaler.planning.sizing import ByScale, plan_size
from lib_upscaler.request import UpscaleReport, UpscaleRequest, UpscaleResult


def touch(folder: Path, *names: str) -> list[Path]:
    """Files that are not opened."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return [folder / name for name in names]


def planned(*inputs: Path, out: Path | str | None = None, format: str | None = None, recursive: bool = False):
    """{input: output} in order, as text relative to the current folder."""
    paths = named_inputs([str(path) for path in inputs]).places
    destination = destination_of(paths, None if out is None else str(out), format)
    tasks = plan_batch(paths, destination, recursive).tasks
    return {task.source.as_posix(): task.output.as_posix() for task in tasks}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# -- names -------------------------------------------------------------------------------------------------------------


def test_results_go_beside_the_inputs() -> None:
    touch(Path("pics"), "a.jpg", "b.webp")
    assert planned(Path("pics/a.jpg")) == {"pics/a.jpg": "pics/a-upscaled.png"}
    assert planned(Path("pics"), format="jpg") == {
        "pics/a.jpg": "pics/a-upscaled.jpg",
        "pics/b.webp": "pics/b-upscaled.jpg",
    }


def test_results_beside_are_no_inputs_of_the_next_run() -> None:
    touch(Path("pics"), "a.jpg", "a-upscaled.png", "a-upscaled-2.png", "b-upscaled.jpg")
    assert list(planned(Path("pics"))) == ["pics/a.jpg"]
    assert list(planned(Path("pics/b-upscaled.jpg"))) == ["pics/b-upscaled.jpg"], "one that is named is meant"
    assert len(planned(Path("pics"), out="elsewhere")) == 4


def test_names_that_collide_are_told_apart() -> None:
    touch(Path("pics"), "a.jpg", "a.png", "a-2.jpg", "A.tif")
    found = planned(Path("pics"), out="out")
    assert found == {
        "pics/a-2.jpg": "out/a-2.png",
        "pics/a.jpg": "out/a.png",
        "pics/a.png": "out/a-3.png",
        "pics/A.tif": "out/A-4.png",
    }
    assert found == planned(Path("pics"), out="out"), "the same each time"


def test_no_result_has_the_name_of_an_input() -> None:
    touch(Path("one"), "a.jpg")
    touch(Path("two"), "a.png", "b.png")
    assert planned(Path("one/a.jpg"), Path("two/a.png"), Path("two/b.png"), out="two") == {
        "one/a.jpg": "two/a-2.png",
        "two/a.png": "two/a-upscaled.png",
        "two/b.png": "two/b-upscaled.png",
    }


@pytest.mark.skipif(not hasattr(os, "link"), reason="no hard links here")
def test_an_input_under_a_second_name_is_not_written_to() -> None:
    (source,) = touch(Path("pics"), "a.jpg")
    Path("out").mkdir()
    os.link(source, "out/a.png")
    assert planned(source, out="out") == {"pics/a.jpg": "out/a-2.png"}


def test_a_folder_that_is_its_own_destination() -> None:
    touch(Path("pics"), "a.png", "sub/b.jpg", "a-upscaled.png")
    assert planned(Path("pics"), out="pics", recursive=True) == {
        "pics/a.png": "pics/a-upscaled.png",
        "pics/sub/b.jpg": "pics/sub/b-upscaled.png",
    }


def test_sub_folders_are_kept_and_only_with_recursive() -> None:
    touch(Path("pics"), "z.png", "sub/a.png", "sub/deep/c.bmp", ".hidden/d.png", "._z.png", "notes.txt")
    assert planned(Path("pics"), out="out") == {"pics/z.png": "out/z.png"}
    assert planned(Path("pics"), out="out", recursive=True) == {
        "pics/z.png": "out/z.png",
        "pics/sub/a.png": "out/sub/a.png",
        "pics/sub/deep/c.bmp": "out/sub/deep/c.png",
    }


def test_the_destination_below_an_input_folder_is_not_an_input() -> None:
    touch(Path("pics"), "a.png", "out/a.png")
    assert planned(Path("pics"), out="pics/out", recursive=True) == {"pics/a.png": "pics/out/a.png"}


def test_what_is_named_twice_is_done_once(tmp_path: Path) -> None:
    touch(Path("pics"), "a.png", "b.png")
    found = planned(Path("pics/b.png"), Path("pics"), tmp_path / "pics" / "a.png", Path("pics/../pics/b.png"), out="o")
    assert found == {"pics/b.png": "o/b.png", "pics/a.png": "o/a.png"}


@pytest.mark.parametrize(
    ("out", "file", "folder"),
    [
        ("x.jpg", "x.jpg", None),
        ("x.JPG", "x.JPG", None),
        ("new/x.webp", "new/x.webp", None),
        ("new", None, "new"),
        ("there.d", None, "there.d"),
        ("v1.5/", None, "v1.5"),
        (".", None, "."),
    ],
)
def test_where_one_picture_goes(out: str, file: str | None, folder: str | None) -> None:
    Path("there.d").mkdir()
    found = destination_of(touch(Path(), "a.png"), out, None)
    assert (found.file, found.folder) == (file and Path(file), folder and Path(folder))


def test_several_inputs_go_into_a_folder_whatever_it_is_called() -> None:
    touch(Path(), "a.png", "b.png")
    assert planned(Path("a.png"), Path("b.png"), out="x.jpg") == {"a.png": "x.jpg/a.png", "b.png": "x.jpg/b.png"}


@pytest.mark.parametrize(
    ("out", "format", "word"),
    [
        ("a.png", None, "input"),
        ("./a.png", None, "input"),
        ("v1.5", None, "ends with /"),
        ("x.jpg", "webp", "format"),
        ("plain", None, "file of that name"),
        ("-", None, "name"),
        ("", None, "name"),
    ],
)
def test_outputs_that_cannot_be(out: str, format: str | None, word: str) -> None:
    inputs = touch(Path(), "a.png", "plain")[:1]
    with pytest.raises(RequestError, match=word):
        destination_of(inputs, out, format)


def test_a_file_is_no_folder_for_several_results() -> None:
    inputs = touch(Path(), "a.png", "b.png", "x.png")
    with pytest.raises(RequestError, match="several"):
        destination_of(inputs[:2], "x.png", None)


def test_patterns_are_expanded_where_the_shell_does_not() -> None:
    touch(Path(), "b.png", "a.png", "c.jpg", "[x].png")
    names = [path.name for path in named_inputs(["*.png", "a.png", "none*.png", "[x].png"], expand=True).places]
    assert names == ["[x].png", "a.png", "b.png", "none*.png"]
    assert [path.name for path in named_inputs(["*.png"], expand=False).places] == ["*.png"]


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read_is_named() -> None:
    touch(Path("pics"), "a.png", "closed/b.png")
    Path("pics/closed").chmod(0)
    try:
        plan = plan_batch([Path("pics")], destination_of([Path("pics")], None, None), recursive=True)
    finally:
        Path("pics/closed").chmod(0o700)
    assert [task.source.name for task in plan.tasks] == ["a.png"]
    assert "closed" in str(plan.unreadable[0][1])


def test_ten_thousand_pictures_of_one_name_are_planned_at_once() -> None:
    sources = [Path(f"in{number}/a.png") for number in range(10_000)]
    tasks = [*plan_batch(sources, destination_of(sources, "out", None)).tasks]
    assert [task.output.name for task in (tasks[0], tasks[1], tasks[-1])] == ["a.png", "a-2.png", "a-10000.png"]


# -- the loop ----------------------------------------------------------------------------------------------------------


class FakeUpscaler:
    """Doubles pixels. ``errors``: raised for a picture of that width."""

    def __init__(self, errors: dict[int, Exception] | None = None, load_error: Exception | None = None) -> None:
        import torch

        self.device = torch.device("cpu")
        self.errors, self.load_error = errors or {}, load_error
        self.loads, self.requests = 0, []

    def load(self, request: UpscaleRequest) -> None:
        self.loads += 1
        time.sleep(0.02)
        if self.load_error is not None:
            raise self.load_error

    def plan(self, source: Size, request: UpscaleRequest, source_bits: int, scratch: Path) -> SimpleNamespace:
        output = plan_size(source, request.size or ByScale(2)).output
        return SimpleNamespace(request=request, output=output, stages=())

    def upscale(self, image: Image.Image, request: UpscaleRequest, progress, plan: SimpleNamespace) -> UpscaleResult:
        self.requests.append(request)
        progress.advance(0.5, "tile 1 of 2")
        if image.width in self.errors:
            raise self.errors[image.width]
        mode = "RGB" if request.alpha == "drop" else image.mode
        large = image.resize((image.width * 2, image.height * 2), Image.NEAREST).convert(mode)
        report = UpscaleReport(
            Size(*image.size), Size(*large.size), ("fake",), 1, "whole", 1, 0, 0.0, "float32", None, "cpu", 0.0, 0.0, 0
        )
        return UpscaleResult(decompose(large), report)


class Notes:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.started_at: list[str] = []
        self.records: list[Record] = []
        self.errors: dict[str, str] = {}
        self.skips: list[str] = []
        self.copies: dict[str, str] = {}
        self.stop_error: TrueScaleError | None = None
        self.on_start = lambda: None

    def started(self, task: Task, number: int, count: int) -> None:
        self.started_at.append(f"{number}/{count}")
        self.on_start()

    def advanced(self, fraction: float, note: str) -> None:
        assert (fraction, note) == (0.5, "tile 1 of 2")

    def copied(self, task: Task, of: Task) -> None:
        self.copies[task.source.name] = of.source.name

    def told(self, outcome: Outcome, task: Task, skipped: bool) -> None:
        pass

    def finished(self, record: Record) -> None:
        self.records.append(record)

    def skipped(self, task: Task) -> None:
        self.skips.append(task.source.name)

    def failed(self, task: Task, error: Exception) -> None:
        self.errors[task.source.name] = str(error)

    def stopped(self, error: TrueScaleError) -> None:
        self.stop_error = error

    def warned(self, text: str) -> None:
        self.errors[""] = text


def pictures(*widths: int, mode: str = "RGB") -> list[Task]:
    """A picture for each width, and the task to write it into a folder that is not there yet."""
    Path("in").mkdir(exist_ok=True)
    tasks = []
    for width in widths:
        Image.new(mode, (width, 3), 77 if mode == "L" else (10, 20, 30, 128)[: len(mode)]).save(f"in/{width}.png")
        tasks.append(Task(Path(f"in/{width}.png"), Path(f"new/folder/{width}.png")))
    return tasks


def run(
    tasks: list[Task], upscaler: FakeUpscaler | None = None, notes: Notes | None = None, **options: object
) -> tuple[Outcome, Notes]:
    notes = notes or Notes()
    outcome = run_batch(
        upscaler or FakeUpscaler(), UpscaleRequest("m"), tasks, notes, BatchOptions(**options), StopRequest()
    )
    return outcome, notes


def test_many_pictures_load_the_models_once() -> None:
    upscaler = FakeUpscaler()
    outcome, notes = run(pictures(4, 5, 6), upscaler)
    assert (outcome.finished, outcome.exit_code) == (3, 0)
    assert upscaler.loads == 1
    assert [record.load_seconds >= 0.02 for record in notes.records] == [True, False, False]
    assert notes.started_at == ["1/3", "2/3", "3/3"]
    assert Image.open("new/folder/5.png").size == (10, 6)


def test_a_bad_picture_does_not_cost_the_others() -> None:
    tasks = pictures(4, 5, 6, 7)
    tasks[0].source.write_bytes(b"no picture")
    outcome, notes = run(tasks, FakeUpscaler({5: ValueError("strange"), 6: SizeError("too large")}))
    assert (outcome.finished, outcome.failed, outcome.exit_code) == (1, 3, 1)
    assert set(notes.errors) == {"4.png", "5.png", "6.png"}
    assert [path.name for path in Path("new/folder").iterdir()] == ["7.png"]


def test_memory_that_runs_out_is_told_in_words() -> None:
    _, notes = run(pictures(4), FakeUpscaler({4: RuntimeError("CUDA out of memory. Tried to allocate")}))
    assert "memory ran out" in notes.errors["4.png"]


@pytest.mark.parametrize(
    ("error", "code"),
    [(BrokenModelError("b"), 1), (DeviceError("d"), 1), (RequestError("this model cannot run in fp16"), 2)],
)
def test_what_would_fail_for_every_picture_ends_the_batch(error: TrueScaleError, code: int) -> None:
    outcome, notes = run(pictures(4, 5, 6), FakeUpscaler({5: error}))
    assert (outcome.finished, outcome.exit_code) == (1, code)
    assert notes.stop_error is error
    assert notes.started_at == ["1/3", "2/3"]


def test_a_model_that_does_not_load_writes_nothing() -> None:
    report = Path("r.jsonl")
    outcome, notes = run(pictures(4, 5), FakeUpscaler(load_error=ModelFileError("bad")), report=report)
    assert outcome.exit_code == 1
    assert notes.started_at == ["1/2"]
    assert not report.exists()
    assert not Path("new").exists()


def test_results_that_are_there() -> None:
    tasks = pictures(4, 5)
    tasks[0].output.parent.mkdir(parents=True)
    tasks[0].output.write_bytes(b"precious")

    outcome, notes = run(tasks)
    assert (outcome.finished, outcome.failed) == (1, 1)
    assert "--overwrite" in notes.errors["4.png"]
    assert tasks[0].output.read_bytes() == b"precious"

    upscaler = FakeUpscaler()
    outcome, notes = run(tasks, upscaler, existing="skip")
    assert (outcome.skipped, outcome.exit_code) == (2, 0)
    assert notes.skips == ["4.png", "5.png"]
    assert upscaler.loads == 0, "nothing to do, nothing to load"
    assert tasks[0].output.read_bytes() == b"precious"

    outcome, _ = run(tasks, existing="overwrite")
    assert outcome.finished == 2
    assert Image.open(tasks[0].output).size == (8, 6)


def test_transparency_is_put_on_white_where_the_format_has_none() -> None:
    (task,) = pictures(4, mode="RGBA")
    upscaler = FakeUpscaler()
    _, notes = run([Task(task.source, Path("o/4.jpg")), Task(task.source, Path("o/4.png"))], upscaler)
    assert [request.alpha for request in upscaler.requests] == ["drop", "network"]
    assert "white" in notes.records[0].warnings[0]
    assert notes.records[1].warnings == ()


def test_a_size_that_the_format_cannot_hold_is_refused_before_any_work() -> None:
    (task,) = pictures(8200)  # doubled 16400 px; WebP holds 16383
    upscaler = FakeUpscaler()
    outcome, notes = run([Task(task.source, Path("o/x.webp"))], upscaler)
    assert outcome.failed == 1
    assert "16383" in notes.errors["8200.png"]
    assert upscaler.requests == []


def test_outputs_that_cannot_be_written_are_told_before_any_work() -> None:
    (task,) = pictures(4)
    Path("file").write_text("x")
    upscaler = FakeUpscaler()
    too_long = "o/" + "x" * 300 + ".png"
    for output in ("file/x.png", *([too_long] if os.name != "nt" else [])):
        outcome, notes = run([Task(task.source, Path(output))], upscaler)
        assert outcome.failed == 1, output
        assert "cannot write" in notes.errors["4.png"]
    assert upscaler.requests == []


def test_stopping_between_pictures_keeps_what_is_finished() -> None:
    stop, notes = StopRequest(), Notes()

    class Stopping(FakeUpscaler):
        def upscale(
            self, image: Image.Image, request: UpscaleRequest, progress, plan: SimpleNamespace
        ) -> UpscaleResult:
            if image.width == 5:
                stop.request()
                assert progress.cancelled()
            return super().upscale(image, request, progress, plan)

    outcome = run_batch(Stopping(), UpscaleRequest("m"), pictures(4, 5, 6), notes, BatchOptions(), stop)
    assert (outcome.cancelled, outcome.finished, outcome.exit_code) == (True, 2, 130)
    assert sorted(path.name for path in Path("new/folder").iterdir()) == ["4.png", "5.png"]


def test_the_second_wish_to_stop_interrupts_at_once() -> None:
    stop = StopRequest()
    with stop.gently():
        stop.request()
        with pytest.raises(KeyboardInterrupt):
            stop.request()
    with pytest.raises(KeyboardInterrupt):
        StopRequest().request()


def test_interrupted_outside_a_picture() -> None:
    notes, stop = Notes(), StopRequest()
    notes.on_start = lambda: stop.request() if len(notes.started_at) == 2 else None
    outcome = run_batch(FakeUpscaler(), UpscaleRequest("m"), pictures(4, 5), notes, BatchOptions(), stop)
    assert (outcome.finished, outcome.exit_code) == (1, 130)


@pytest.mark.parametrize("report", ["missing/r.jsonl", "in", "in/4.png", "x.png", "weights.pth"])
def test_a_report_that_cannot_be_is_refused_before_any_work(report: str) -> None:
    tasks = pictures(4)
    before = tasks[0].source.read_bytes()
    upscaler = FakeUpscaler()
    with pytest.raises(RequestError, match="report"):
        run(tasks, upscaler, report=Path(report))
    assert upscaler.loads == 0
    assert tasks[0].source.read_bytes() == before


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that are not Unicode")
def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    (task,) = pictures(4)
    odd = Path(os.fsdecode(b"in/\xff.png"))
    try:
        task.source.rename(odd)
    except OSError:
        pytest.skip("this file system takes no such names")
    outcome, _ = run([Task(odd, Path("o/한글.png"))], report=Path("r.jsonl"))
    assert outcome.finished == 1
    line = json.loads(Path("r.jsonl").read_text(encoding="utf-8"))
    assert os.fsencode(line["input"]) == b"in/\xff.png"
    assert "한글" in Path("r.jsonl").read_text(encoding="utf-8")


def test_results_are_the_pixels_of_the_upscaler() -> None:
    (task,) = pictures(4)
    run([task])
    assert np.array_equal(np.asarray(Image.open(task.output)), np.full((6, 8, 3), (10, 20, 30), np.uint8))

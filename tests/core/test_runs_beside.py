"""Runs that were killed, that run beside another, or have too little memory: nothing is lost, blamed or left."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from lib_upscaler.batch import leftovers
from lib_upscaler.batch.leftovers import remove_leftovers
from lib_upscaler.batch.task import Task
from lib_upscaler.cli.commands import main
from lib_upscaler.errors import memory_ran_out
from small_networks import compact, save_pth
from test_batch import FakeUpscaler, Notes, pictures, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUESCALE_CACHE", str(tmp_path / "cache"))


# What a killed run leaves


def ended() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def unfinished(folder: Path, process: int, seconds_ago: float) -> Path:
    file = folder / f".truescale-{process}-0123abcd.tmp"
    file.write_bytes(b"half")
    os.utime(file, (time.time() - seconds_ago,) * 2)
    return file


def test_what_a_process_left_that_is_no_more_goes(tmp_path: Path) -> None:
    left = unfinished(tmp_path, ended(), 100)
    assert remove_leftovers([tmp_path, tmp_path, tmp_path / "not there"]) == 1
    assert not left.exists()


def test_what_may_be_written_just_now_stays(tmp_path: Path) -> None:
    """Of a process that is not seen: another machine's, or one in another container."""
    fresh = unfinished(tmp_path, ended(), 5)
    assert remove_leftovers([tmp_path]) == 0
    assert fresh.exists()


def test_what_a_living_process_writes_stays_however_long_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        file = unfinished(tmp_path, process.pid, -3)
        monkeypatch.setattr(leftovers, "_UNTOUCHED", -1000.0)
        assert remove_leftovers([tmp_path]) == 0
        assert file.exists()
    finally:
        process.communicate(b"\n")
    assert remove_leftovers([tmp_path]) == 1


def test_a_number_that_came_again_is_another_process(tmp_path: Path) -> None:
    """In a container every run has the same number: this one's is not the writer of a file of last week."""
    file = unfinished(tmp_path, os.getpid(), 7 * 86400)
    assert remove_leftovers([tmp_path]) == 1
    assert not file.exists()


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    number = ended()
    precious = tmp_path / "precious"
    precious.write_bytes(b"x")
    others = [
        tmp_path / name
        for name in (
            "truescale-1-0123abcd.tmp",
            f".truescale-{number}-0123abcd.tmp.png",
            f".truescale-{number}-0123ABCD.tmp",
            f".truescale-{number}.tmp",
            f".truescale-{number}-0123abcd-.tmp",
        )
    ]
    for other in others:
        other.write_bytes(b"x")
        os.utime(other, (1e9, 1e9))
    link, folder = (tmp_path / f".truescale-{number}-{name}.tmp" for name in ("00000001", "00000002"))
    link.symlink_to(precious)
    os.utime(link, (1e9, 1e9), follow_symlinks=False)
    folder.mkdir()
    os.utime(folder, (1e9, 1e9))
    assert remove_leftovers([tmp_path]) == 0
    assert all(path.exists() for path in (precious, link, folder, *others))


BLOCKED = """
import sys, time
from pathlib import Path
from PIL import Image
from lib_upscaler.pictures.metadata import Metadata
from lib_upscaler.pictures.writing import write_picture
def save(image, file, **_):
    file.write(b"half of it")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
Image.Image.save = save
write_picture(Image.new("RGB", (9, 9)), Path(sys.argv[1]), Metadata())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_the_next_run_removes_what_killed_ones_left(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    save_pth(compact(2, layers=1), tmp_path / "models" / "net.pth")
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for number in range(3):
        Image.new("RGB", (9 + number, 9)).save(tmp_path / "in" / f"{number}.png")
    for number in range(3):
        command = [sys.executable, "-c", BLOCKED, str(tmp_path / "out" / f"{number}.png")]
        killed = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert killed.stdout is not None
        killed.stdout.readline()
        killed.kill()
        killed.wait()
        killed.stdout.close()
    left = list((tmp_path / "out").glob(".truescale-*.tmp"))
    assert len(left) == 3
    for file in left:
        os.utime(file, (time.time() - 100,) * 2)
    words = ["upscale", "in", "-o", "out", "--models-dir", "models", "--model", "net", "--device", "cpu"]
    assert main(words) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png"]


# Two runs at a time


def test_a_result_that_appears_before_its_turn_is_skipped() -> None:
    tasks = pictures(4, 5)
    notes = Notes()

    def another_run() -> None:
        tasks[1].output.parent.mkdir(parents=True, exist_ok=True)
        tasks[1].output.write_bytes(b"another run's")

    notes.on_start = another_run
    outcome, _ = run(tasks, notes=notes)
    assert (outcome.finished, outcome.skipped, outcome.failed, outcome.exit_code) == (1, 1, 0, 0)
    assert notes.skips == ["5.png"]
    assert tasks[1].output.read_bytes() == b"another run's"


class _Slow(FakeUpscaler):
    """Meanwhile another run writes the result."""

    def __init__(self, output: Path) -> None:
        super().__init__()
        self.output = output

    def upscale(self, *given: object):
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.output.write_bytes(b"another run's")
        return super().upscale(*given)


@pytest.mark.parametrize("existing", ["refuse", "skip"])
def test_a_result_that_appears_while_it_is_made_is_skipped(existing: str) -> None:
    (task,) = pictures(4)
    outcome, notes = run([task], _Slow(task.output), existing=existing)
    assert (outcome.skipped, outcome.failed, outcome.exit_code) == (1, 0, 0)
    assert notes.errors == {}
    assert task.output.read_bytes() == b"another run's"


def test_a_result_that_was_there_before_is_still_refused() -> None:
    (task,) = pictures(4)
    task.output.parent.mkdir(parents=True)
    task.output.write_bytes(b"precious")
    outcome, notes = run([task])
    assert (outcome.failed, outcome.exit_code) == (1, 1)
    assert "--overwrite" in notes.errors["4.png"]


def test_a_folder_of_that_name_is_no_result_of_another_run() -> None:
    (task,) = pictures(4)

    class Folder(_Slow):
        def upscale(self, *given: object):
            self.output.mkdir(parents=True)
            return FakeUpscaler.upscale(self, *given)

    outcome, _ = run([Task(task.source, task.output)], Folder(task.output))
    assert outcome.failed == 1


def test_two_processes_on_one_folder_do_each_picture_and_blame_nobody(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    save_pth(compact(2, layers=4, features=32), tmp_path / "models" / "net.pth")
    (tmp_path / "in").mkdir()
    for number in range(12):
        Image.new("RGB", (200, 150), (number, 50, 90)).save(tmp_path / "in" / f"{number:02}.png")
    words = ["upscale", "in", "-o", "out", "--models-dir", "models", "--model", "net", "--device", "cpu"]
    words.append("--skip-existing")  # the second may be slow to start, and find some there
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "lib_upscaler", *words]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert not any("failed" in err for _, err in told)
    written = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in written] == [f"{number:02}.png" for number in range(12)]
    assert all(Image.open(path).size == (400, 300) for path in written)


# Little memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory as Linux has them")
@pytest.mark.parametrize("megabytes", [400, 1200])
def test_a_package_that_finds_no_memory_is_not_said_to_be_missing(tmp_path: Path, megabytes: int) -> None:
    import resource

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 10**6,) * 2)

    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "lib_upscaler", "inspect", "TrueScale 4x"]
    done = subprocess.run(command, env=environment, preexec_fn=limited, capture_output=True, text=True)
    if done.returncode == 0:
        pytest.skip("this PyTorch is small enough")
    assert "not enough memory" in done.stderr, done.stderr[-500:]
    assert "missing" not in done.stderr


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), True),
        (ImportError("libx.so: failed to map segment from shared object: Operation not permitted"), False),
        (OSError("[WinError 1455] The paging file is too small for this operation to complete"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOENT, "No such file"), False),
        (ImportError("No module named 'spandrel'"), False),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), True),
        (RuntimeError("size mismatch"), False),
        (KeyError("out of memory"), False),
        (None, False),
    ],
    ids=str,
)
def test_what_is_a_lack_of_memory(error: BaseException | None, is_memory: bool) -> None:
    assert memory_ran_out(error) is is_memory


def test_a_lack_of_memory_behind_another_error_is_found() -> None:
    outer = RuntimeError("it failed")
    outer.__cause__ = MemoryError()
    assert memory_ran_out(outer)
    circle = ValueError("x")
    circle.__context__ = outer
    outer.__cause__ = circle
    assert not memory_ran_out(circle)


# Stopped at any moment


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.parametrize("kind", ["SIGKILL", "SIGINT"])
def test_a_run_that_is_stopped_at_any_moment_leaves_whole_pictures_only(kind: str, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    save_pth(compact(2, layers=4, features=32), tmp_path / "models" / "net.pth")
    (tmp_path / "in").mkdir()
    for number in range(200):
        Image.effect_noise((200, 150), 90).save(tmp_path / "in" / f"{number:03}.png")
    command = [sys.executable, "-m", "lib_upscaler", "upscale", "in", "-o", "out", "--models-dir", "models"]
    command += ["--model", "net", "--device", "cpu", "--overwrite"]
    chance = random.Random(kind)
    for _ in range(20):
        process = subprocess.Popen(
            command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
        )
        time.sleep(chance.uniform(1.5, 6))
        process.send_signal(getattr(signal, kind))
        _, words = process.communicate(timeout=60)
        assert "Traceback" not in words
        assert process.returncode == (130 if kind == "SIGINT" else -9)
        written = list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else []
        hidden = [path for path in written if path.name.startswith(".")]
        assert not hidden or kind == "SIGKILL"
        for path in set(written) - set(hidden):
            with Image.open(path) as image:
                image.load()
                assert image.size == (400, 300)

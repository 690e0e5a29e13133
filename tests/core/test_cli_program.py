"""The command line as a program of its own: consoles, pipes, memory, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli_runs import photo
from small_networks import compact, save_pth

pytestmark = pytest.mark.usefixtures("at_a_console")


ROOT = Path(__file__).resolve().parents[2]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "lib_upscaler", *words]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "ascii"}


def test_as_a_module_on_a_console_that_knows_no_korean_and_its_peak_includes_reading_and_writing() -> None:
    """The peak in a process of its own, as users have it: here it depends on what earlier tests have left in the heap,
    which the picture is read into without any more memory.
    """
    photo("한글.bmp", 3000, 2000)  # none of its pixels are needed any more once the small result is made
    words = command("upscale", "한글.bmp", "--model", "two", "--scale", "0.05", "--report", "r.jsonl")
    done = subprocess.run(words, env=environment(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert Path("한글-upscaled.png").is_file()
    assert rb"\ud55c\uae00.bmp -> " in done.stdout
    peak = json.loads(Path("r.jsonl").read_text())["peak_bytes"]
    pixels = 3000 * 2000
    assert 3 * pixels <= peak <= 20 * pixels, "a byte for each channel, and a few copies"


def test_the_start_needs_no_torch_and_survives_a_closed_pipe(models: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from lib_upscaler.cli import commands; commands.main(['--help'])"
    assert subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True).returncode == 0

    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(command("models"), env=environment(), stdout=writer, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(writer)
    assert done.returncode == 0
    assert done.stderr == b""


@pytest.mark.alone
@pytest.mark.skipif(os.name == "nt", reason="a process there cannot send Ctrl-C to one other")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_soon_and_leaves_nothing_half_done(number: signal.Signals, models: Path) -> None:
    photo("a.png", 16, 16)
    photo("b.png", 1500, 1500)  # a minute of work
    save_pth(compact(2, features=32, layers=80), Path("slow.pth"))
    # Where the tests run in the background, the shell has Ctrl-C ignored, and the program would respect that.
    code = "import runpy, signal as s; s.signal(s.SIGINT, s.default_int_handler); "
    code += "runpy.run_module('lib_upscaler', run_name='__main__', alter_sys=True)"
    words = [sys.executable, "-c", code, "upscale", "a.png", "b.png", "-o", "out", "--model", "slow.pth"]
    words += ["--device", "cpu"]
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stdout.readline().startswith("[1/2] a.png -> ")
        time.sleep(0.5)
        asked = time.monotonic()
        job.send_signal(number)
        _, said = job.communicate(timeout=30)
        assert time.monotonic() - asked < 15, "a second, on a machine that does nothing else"
    assert job.returncode == 130
    assert said.splitlines() == ["cancelled: 1 of 2 pictures finished, nothing half-done is left"]
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]

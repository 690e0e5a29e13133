"""A folder of many small pictures: how busy the processor is, how flat memory stays, how little a network waits.

    python tests/benchmarks/bench_folder.py [--pictures 2000] [--side 64] [--devices cpu]

First the shipped network, through the command line: the wall's time against the processor's over its cores, and
resident memory after a tenth of the pictures and at the end. Then a network that only sleeps, as one on a card looks to
the processor: how much longer than its sleep the folder takes.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the script runs by its path

from asleep import Asleep, Quiet  # noqa: E402

from lib_upscaler.batch.inputs import plan_batch  # noqa: E402
from lib_upscaler.batch.journal import Journal  # noqa: E402
from lib_upscaler.batch.naming import destination_of  # noqa: E402
from lib_upscaler.batch.picture import BatchOptions  # noqa: E402
from lib_upscaler.batch.run import in_this_process, run_journal  # noqa: E402
from lib_upscaler.batch.stopping import StopRequest  # noqa: E402
from lib_upscaler.request import UpscaleRequest  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--side", type=int, default=64, help="px")
    parser.add_argument("--devices", default="cpu", help="as --device; cpu,cpu is a process for each core of two")
    parser.add_argument("--sleep", type=float, default=0.05, help="seconds of the sleeping network")
    parser.add_argument("--sleeping", type=int, default=400, help="pictures for it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        make_pictures(source, options.pictures, options.side)
        _by_the_command_line(Path(folder), options)
        _asleep(Path(folder), options)


def make_pictures(folder: Path, count: int, side: int) -> None:
    folder.mkdir()
    chance = np.random.default_rng(0)
    for number in range(count):
        grain = Image.fromarray(chance.integers(0, 256, (9, 9, 3), np.uint8)).resize((side, side), Image.BICUBIC)
        grain.save(folder / f"{number:06}.png")


def _by_the_command_line(folder: Path, options: argparse.Namespace) -> None:
    words = [sys.executable, "-m", "lib_upscaler", "upscale", "in", "-o", "out", "--device", options.devices]
    words += ["--journal", "journal.db", "--precision", "exact", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    process = psutil.Popen(words, cwd=folder, env=environment)
    seen: list[tuple[float, int, float, int]] = []
    while process.poll() is None:
        time.sleep(0.25)
        try:
            family = [process, *process.children(recursive=True)]
            cpu = sum(sum(one.cpu_times()[:2]) for one in family)
            seen.append(
                (time.perf_counter() - started, _done(folder), cpu, sum(one.memory_info().rss for one in family))
            )
        except psutil.Error:
            continue
    assert process.returncode == 0
    begun = [each for each in seen if each[1] > 0]
    first = next(each for each in begun if each[1] >= options.pictures / 10)
    last = [each for each in begun if each[1] < options.pictures][-1]
    rate = (last[1] - first[1]) / (last[0] - first[0])
    wall, cpu = last[0] - first[0], last[2] - first[2]
    cores = psutil.cpu_count()
    resident = [each[3] for each in begun if each[1] >= options.pictures / 10 and each[1] < options.pictures]
    flat = (max(resident) / min(resident) - 1) * 100
    print(f"{options.pictures} pictures of {options.side} px, --device {options.devices}: {rate:.1f} a second")
    print(f"  wall {wall:.1f} s, processor {cpu:.1f} s over {cores} cores: {wall / (cpu / cores):.3f} times its work")
    begin, end = resident[0] / 1e6, resident[-1] / 1e6
    print(f"  resident {begin:.0f} MB after a tenth, {end:.0f} MB at the end, {flat:.1f}% between")
    with sqlite3.connect(folder / "journal.db") as base:
        states = base.execute("SELECT state, COUNT(*) FROM pictures GROUP BY state").fetchall()
    files = len(list((folder / "out").iterdir()))
    print(f"  journal {states}, files {files}")


def _done(folder: Path) -> int:
    try:
        return len(os.listdir(folder / "out"))
    except FileNotFoundError:
        return 0


def _asleep(folder: Path, options: argparse.Namespace) -> None:
    source = folder / "larger"
    make_pictures(source, options.sleeping, 256)
    upscaler: Any = Asleep(options.sleep)
    quiet: Any = Quiet()
    with Journal(folder / "asleep.db") as journal:
        plan_batch([source], destination_of([source], str(folder / "asleep"), None), journal=journal)
        files = BatchOptions(journalled=True)
        request = UpscaleRequest("m")
        stop = StopRequest()
        work = in_this_process(upscaler, request, quiet, files, stop, options.sleeping, elsewhere=False)
        started = time.perf_counter()
        run_journal(work, journal, quiet, files, stop)
        wall = time.perf_counter() - started
        done = journal.counts().done
    idle = 100 * (wall - upscaler.busy) / wall
    print(f"{done} pictures of 256 to 1024 px by a network that sleeps {options.sleep * 1000:.0f} ms:")
    print(f"  wall {wall:.2f} s, the network {upscaler.busy:.2f} s: idle {idle:.1f}%")


if __name__ == "__main__":
    main()

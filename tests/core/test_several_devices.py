"""Several devices, each with a worker in a process of its own: the same results, whoever makes them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from folders import WORDS, bytes_in, command, environment, network, noise, run, states
from lib_upscaler.batch.devices import devices_of
from lib_upscaler.cli.commands import main
from lib_upscaler.errors import DeviceError, RequestError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_which_devices() -> None:
    assert devices_of("cpu") == ["cpu"]
    assert devices_of("cpu, cpu") == ["cpu", "cpu"]
    assert len(devices_of("all")) >= 1
    with pytest.raises(RequestError, match="a name is empty"):
        devices_of("cpu,")
    with pytest.raises(DeviceError, match="cuda:77"):
        devices_of("cpu,cuda:77")


def test_two_workers_give_what_one_gives() -> None:
    network()
    noise("in", 12)
    noise("in/larger", 2, 90, 70, first=50)
    Path("in/bad.png").write_bytes(b"no picture")
    assert main(["upscale", "in", "-o", "one", "--recursive", *WORDS]) == 1
    done = run("in", "-o", "two", "--recursive", "--journal", "j.db", device="cpu,cpu")
    assert done.returncode == 1, done.stderr
    assert "14 of 15 upscaled, 1 failed" in done.stderr
    assert states("j.db") == {"done": 14, "failed": 1}
    assert bytes_in("two") == bytes_in("one")


def begun(results: int) -> subprocess.Popen[str]:
    """Two workers on the pictures in ``in``, which have written so many results."""
    words = command("in", "-o", "out", "--journal", "j.db", device="cpu,cpu")
    job = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not Path("out").exists() or len(list(Path("out").iterdir())) < results:
        assert job.poll() is None, job.stderr.read() if job.stderr else ""
        time.sleep(0.02)
    return job


def test_a_worker_that_is_killed_is_replaced_and_costs_no_picture() -> None:
    network(layers=4, features=32)
    noise("in", 60, 150, 120)
    job = begun(6)
    workers = [one for one in psutil.Process(job.pid).children() if "spawn_main" in " ".join(one.cmdline())]
    assert len(workers) == 2
    workers[0].kill()
    _, said = job.communicate(timeout=120)
    assert job.returncode == 0, said
    assert "the worker on cpu ended" in said
    assert states("j.db") == {"done": 60}
    assert sorted(bytes_in("out")) == [f"{number:04}.png" for number in range(60)], "nothing half is left"


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.parametrize("kind", ["SIGTERM", "SIGKILL"])
def test_workers_end_with_the_process_that_feeds_them(kind: str) -> None:
    network(layers=4, features=32)
    noise("in", 200, 150, 120)
    job = begun(3)
    family = psutil.Process(job.pid).children(recursive=True)
    job.send_signal(getattr(signal, kind))
    job.communicate(timeout=60)
    assert job.returncode == (130 if kind == "SIGTERM" else -9)
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    words = command("--journal", "j.db", "--resume", device="cpu,cpu")
    assert subprocess.run(words, env=environment(), stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert states("j.db") == {"done": 200}
    assert len(bytes_in("out")) == 200, "nothing half-written is left of the workers either"


def test_a_model_that_does_not_load_is_told_once(capfd: pytest.CaptureFixture) -> None:
    noise("in", 6)
    Path("models").mkdir()
    Path("models/net.pth").write_bytes(b"no model")
    done = run("in", "-o", "out", device="cpu,cpu")
    assert done.returncode == 1
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1
    assert not Path("out").exists()

"""The same work on a Ray cluster of two nodes on this machine, one of which is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest

from folders import WORDS, bytes_in, environment, network, noise, states
from lib_upscaler.batch.cluster import _Seat
from lib_upscaler.batch.task import Task
from lib_upscaler.batch.workers import WorkerLost
from lib_upscaler.cli.commands import main

pytest.importorskip("ray")

PROGRAM = """
import json, os, sys, threading, time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
import ray
from ray.cluster_utils import Cluster
from lib_upscaler.batch.cluster import _Seat
from lib_upscaler.batch.task import Task
from lib_upscaler.batch.workers import WorkerLost
from lib_upscaler.cli.commands import main

small = {"object_store_memory": 100_000_000, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
nodes = [cluster.add_node(num_cpus=1, **small) for _ in range(2)]

def kill() -> None:
    while not Path("out").is_dir() or len(os.listdir("out")) < int(sys.argv[1]):
        time.sleep(0.02)
    own = ray.get_runtime_context().get_node_id()
    cluster.remove_node(next(node for node in nodes if node.node_id != own), allow_graceful=False)
    print("killed", flush=True)

if int(sys.argv[1]):
    threading.Thread(target=kill, daemon=True).start()
code = main(["upscale", *sys.argv[2:], "--cluster", cluster.address])
cluster.shutdown()
sys.exit(code)
"""
"""The cluster lives in a process of its own: what Ray starts and logs stays there. Its argument: of so many results
a node dies; 0: never."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def on_cluster(*words: object, kill_at: int = 0) -> subprocess.CompletedProcess[str]:
    environ = {**environment(), "TRUESCALE_CACHE": os.path.abspath("cache"), "RAY_DEDUP_LOGS": "0"}
    command = [sys.executable, "-c", PROGRAM, str(kill_at), *map(str, words), *WORDS]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, check=False, timeout=300, cwd=Path.cwd()
    )


@pytest.mark.skipif(sys.platform != "linux", reason="a cluster on one machine, as Linux runs it")
def test_a_node_that_is_killed_costs_no_picture() -> None:
    network(layers=4, features=32)
    noise("in", 60, 150, 120)
    Path("in/bad.png").write_bytes(b"no picture")
    done = on_cluster("in", "-o", "out", "--journal", "j.db", "--report", "r.jsonl", kill_at=15)
    assert "killed" in done.stdout, done.stderr[-3000:]
    assert done.returncode == 1, done.stderr[-3000:]
    assert "a worker was lost" in done.stderr
    assert states("j.db") == {"done": 60, "failed": 1}
    assert main(["upscale", "in", "-o", "one", "--quiet", *WORDS]) == 1
    assert bytes_in("out") == bytes_in("one"), "to the byte, and nothing half"
    assert len(Path("r.jsonl").read_text().splitlines()) >= 60
    assert '"in/0000.png"' in Path("r.jsonl").read_text(), "as the user named it"


def test_a_cluster_that_is_not_there(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "1")
    network()
    noise("in", 1)
    started = time.monotonic()
    assert main(["upscale", "in", "-o", "out", "--cluster", "auto", *WORDS]) == 1
    assert "cannot reach the cluster 'auto'" in capsys.readouterr().err
    assert time.monotonic() - started < 60
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("said", "blames"),
    [
        ("The actor died unexpectedly.\nThe actor died because its node has died. Node Id: 12", False),
        (
            "Task was killed due to the node running low on memory.\nRefer to the documentation. Consider provisioning"
            " more memory on this node or reducing task parallelism",
            True,
        ),
        ("The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR", True),
    ],
)
def test_a_picture_is_blamed_for_its_process_and_not_for_its_machine(said: str, blames: bool) -> None:
    """Where the memory monitor ends a process it speaks of the node, which is well; without blame it would go on."""
    answer: Future = Future()
    answer.set_exception(RuntimeError(said))
    call = SimpleNamespace(remote=lambda task: SimpleNamespace(future=lambda: answer))
    seat = _Seat(None, SimpleNamespace(work=call), ("node", 0))
    lost = seat.give(Task(Path("a"), Path("b"), 1)).exception(timeout=5)
    assert isinstance(lost, WorkerLost)
    assert lost.blames is blames

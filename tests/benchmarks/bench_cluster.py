"""How much faster eight workers of a Ray cluster are than one, where the network only sleeps, as on cards.

    python tests/benchmarks/bench_cluster.py [--workers 8] [--pictures 480] [--sleep 0.25]

The cluster is one of a single node on this machine, with a processor core told for each worker, whatever it has.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the script runs by its path

import asleep  # noqa: E402
from bench_folder import make_pictures  # noqa: E402

from lib_upscaler.batch import cluster  # noqa: E402
from lib_upscaler.batch.inputs import plan_batch  # noqa: E402
from lib_upscaler.batch.journal import Journal  # noqa: E402
from lib_upscaler.batch.ledger import Ledger  # noqa: E402
from lib_upscaler.batch.naming import destination_of  # noqa: E402
from lib_upscaler.batch.picture import BatchOptions  # noqa: E402
from lib_upscaler.batch.run import run_journal  # noqa: E402
from lib_upscaler.batch.stopping import StopRequest  # noqa: E402
from lib_upscaler.batch.task import Task  # noqa: E402
from lib_upscaler.batch.workers import Bench, WorkerSettings  # noqa: E402
from lib_upscaler.models.library import ModelLibrary, shipped_models  # noqa: E402
from lib_upscaler.request import UpscaleRequest  # noqa: E402


def main() -> None:
    import ray
    from ray.cluster_utils import Cluster

    ray.cloudpickle.register_pickle_by_value(asleep)  # workers do not have this folder
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--pictures", type=int, default=480)
    parser.add_argument("--sleep", type=float, default=0.25, help="seconds of the network for each picture")
    parser.add_argument("--side", type=int, default=64, help="px")
    options = parser.parse_args()
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        make_pictures(Path(folder, "in"), options.pictures, options.side)
        for workers in (1, options.workers):
            nodes = Cluster(
                initialize_head=True,
                head_node_args={"num_cpus": workers, "object_store_memory": 10**8, "include_dashboard": False},
            )
            share = options.pictures // (options.workers if workers == 1 else 1)  # one alone gets its part
            seconds[workers] = _seconds(Path(folder), nodes.address, workers, share, options.sleep)
            ray.shutdown()
            nodes.shutdown()
            print(f"{workers} workers: {share} pictures in {seconds[workers]:.1f} s")
    gain = seconds[1] * options.workers / seconds[options.workers]
    print(f"{options.workers} workers are {gain:.2f} times one")


def _seconds(folder: Path, address: str, workers: int, count: int, sleep: float) -> float:
    """From the first picture that is handed out to the last result; all workers are there by then."""

    class Sleeping(cluster._Actor):
        def _bench_of(self, settings: WorkerSettings) -> Bench:
            return Bench(settings, asleep.Asleep(sleep))

    cluster._Actor = Sleeping  # type: ignore[misc]
    library = ModelLibrary([], builtin=shipped_models())
    files, quiet, marks = BatchOptions(journalled=True), asleep.Quiet(), []
    settings = WorkerSettings.of(library, UpscaleRequest("TrueScale 4x"), files, "cpu", elsewhere=False)
    stop = StopRequest()
    work: Any = cluster.on_cluster(settings, address, 1, library, stop, print, least=workers)
    with Journal(folder / f"{workers}.db") as journal:
        sources = sorted((folder / "in").iterdir())[:count]
        plan_batch(sources, destination_of(sources, str(folder / f"out{workers}"), None), journal=journal)

        def timed(tasks: Iterator[Task], ledger: Ledger) -> None:
            def marked() -> Iterator[Task]:
                for task in tasks:
                    marks.append(time.perf_counter())
                    yield task

            work(marked(), ledger)

        run_journal(timed, journal, quiet, files, stop)  # type: ignore[arg-type]
        last = max(row[0] for row in journal._base.execute("SELECT ended FROM pictures"))
        assert journal.counts().done == count
    return last - (time.time() - (time.perf_counter() - marks[0]))


if __name__ == "__main__":
    main()

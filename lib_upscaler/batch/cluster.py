"""The same work on a Ray cluster: an actor for each device holds the loaded model and takes pictures.

Ray starts the actors, places them, moves the models to them and tells when one is lost; who gets which picture is told
here (``crew``), so that a picture of a lost actor runs again elsewhere at once. Ray Data would wait for that actor to
come back, and hand it the picture that killed it again without end.
"""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import own_packages
from ..errors import DeviceError, RequestError, TrueScaleError
from ..models.entry import BlendedEntry, ModelEntry
from ..models.library import ModelLibrary
from ..request import UpscaleRequest
from ..store import cache_folder
from .crew import Worker, carry_out, in_hands
from .ledger import Ledger
from .run import Work
from .stopping import StopRequest, stop_on_signals
from .task import Done, Result, Task
from .workers import Bench, WorkerLost, WorkerSettings

__all__ = ["on_cluster"]

_PATIENCE = 120.0
"""Seconds to wait for a first worker, and for another one where none is left."""

_LOOK = 2.0
"""Seconds between two looks for nodes that have come."""

_MODELS = ("model", "model2", "clean_up")
"""Fields of a request."""

Files = dict[str, tuple[str, int, Any]]
"""Models' files by their path here: name, modification time in ns, and Ray's reference to the bytes."""


def on_cluster(
    settings: WorkerSettings,
    address: str,
    worker_cpus: int | None,
    library: ModelLibrary,
    stop: StopRequest,
    inform: Callable[[str], None],
    least: int = 1,
) -> Work:
    """The work on the cluster at this address, "auto" for the one that this machine belongs to.

    worker_cpus: for each worker where there are no cards; None for all of a node. least: workers to begin with; others
    join later. Raises RequestError.
    """
    ray = _ray()

    def work(tasks: Iterator[Task], ledger: Ledger) -> None:
        _connect(ray, address)
        try:
            crew = _Actors(ray, _Seats(ray, settings, worker_cpus, library), inform, least)
            with stop_on_signals(stop):  # Ray has set handlers of its own
                carry_out(crew, _with_full_paths(tasks), _NamedAsHere(ledger), stop, in_hands(settings.elsewhere))
        finally:
            ray.shutdown()

    return work


def _ray() -> Any:
    """Raises RequestError."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its new way; the old one warns on each start
    try:
        import ray
    except ImportError:
        raise RequestError(
            "cannot use a cluster", "Ray is not installed", "install it: pip install 'truescale[cluster]'"
        ) from None
    return ray


def _connect(ray: Any, address: str) -> None:
    """Raises DeviceError."""
    package = Path(__file__).resolve().parents[1]
    modules, ours = [str(package)], own_packages.find()
    if ours is not None:
        modules += [str(ours / name) for name in own_packages.pins() if (ours / name).is_dir()]
    try:
        ray.init(
            address=address,
            runtime_env={"py_modules": modules, "excludes": ["**/__pycache__", "webui"]},
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        todo = "start one with: ray start --head"
        raise DeviceError(f"cannot reach the cluster '{address}'", str(error).splitlines()[0], todo) from error


# -- who works ---------------------------------------------------------------------------------------------------------


class _Seats:
    """Where there is room for workers, and how one is made."""

    def __init__(self, ray: Any, settings: WorkerSettings, cpus: int | None, library: ModelLibrary) -> None:
        self._ray, self._settings, self._cpus = ray, settings, cpus
        self._request, self._files = _with_files(ray, settings.request, library)
        self._kind = ray.remote(_Actor)

    def rooms(self) -> list[tuple[str, int]]:
        """For each worker there can be: the node's name for Ray, and the number of the worker on it."""
        found = []
        for node in self._ray.nodes():
            if node["Alive"]:
                found += [(node["NodeID"], number) for number in range(self._workers_on(node["Resources"]))]
        return found

    def _workers_on(self, resources: dict[str, float]) -> int:
        if self._uses_cards and resources.get("GPU"):
            return int(resources["GPU"])
        cpus = int(resources.get("CPU", 0))
        return cpus // self._cpus if self._cpus else int(cpus > 0)

    @property
    def _uses_cards(self) -> bool:
        return not self._settings.device.startswith("cpu")

    def take(self, node: str) -> Any:
        """A new actor there; it starts when Ray has the room for it."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        resources = next(each["Resources"] for each in self._ray.nodes() if each["NodeID"] == node)
        options: dict[str, Any] = {
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
            "max_concurrency": in_hands(self._settings.elsewhere) + 2,
            "max_restarts": 0,
        }
        if self._uses_cards and resources.get("GPU"):
            options |= {"num_gpus": 1, "num_cpus": 0}
            device, threads = "cuda", 0
        else:
            threads = self._cpus or int(resources["CPU"])
            options["num_cpus"] = threads
            device = "cpu"
        beside = self._workers_on(resources)
        request = self._request
        if device == "cpu" and request.memory is not None:
            request = replace(request, memory=request.memory // beside)
        settings = replace(self._settings, device=device, threads=threads, request=request, beside=beside)
        return self._kind.options(**options).remote(settings, self._files)


class _Actors:
    """The crew: one worker for each room; others as nodes come, or come back."""

    def __init__(self, ray: Any, seats: _Seats, inform: Callable[[str], None], least: int) -> None:
        self._ray, self._seats, self._inform, self._least = ray, seats, inform, least
        self._taken: dict[tuple[str, int], _Seat] = {}
        self._starting: dict[Any, _Seat] = {}
        self._looked = 0.0
        self.patience = _PATIENCE

    def workers(self) -> list[Worker]:
        self._begin_more()
        found: list[Worker] = []
        deadline = time.monotonic() + self.patience
        while len(found) < self._least and time.monotonic() < deadline and self._starting:
            found += self._ready()
            time.sleep(0.05)
        return found

    def replacement(self, lost: Worker) -> Worker | None:
        assert isinstance(lost, _Seat)
        self._inform(f"a worker was lost ({lost.why}); what it had runs elsewhere")
        self._taken.pop(lost.room, None)
        return None  # a new one arrives where Ray has the room

    def arrived(self) -> list[Worker]:
        if time.monotonic() - self._looked > _LOOK:
            self._begin_more()
        return self._ready()

    def _begin_more(self) -> None:
        self._looked = time.monotonic()
        rooms = self._seats.rooms()
        for room in [room for room in self._taken if room not in rooms and self._taken[room].is_new]:
            del self._taken[room]  # its node went before it had begun
        for room in rooms:
            if room not in self._taken:
                actor = self._seats.take(room[0])
                seat = self._taken[room] = _Seat(self._ray, actor, room)
                self._starting[actor.ready.remote()] = seat

    def _ready(self) -> list[Worker]:
        found: list[Worker] = []
        if not self._starting:
            return found
        ready, _ = self._ray.wait(list(self._starting), num_returns=len(self._starting), timeout=0)
        for reference in ready:
            seat = self._starting.pop(reference)
            try:
                host, process = self._ray.get(reference)
            except Exception as error:
                if isinstance(cause := getattr(error, "cause", None), TrueScaleError):
                    raise cause from error
                self._inform(f"a worker did not start: {_first_line(error)}")
                self._looked = time.monotonic() + 10  # give it a while
                self._taken.pop(seat.room, None)
            else:
                seat.is_new = False
                seat.process = process if host == socket.gethostname() else None
                found.append(seat)
        return found


class _Seat:
    """An actor as a worker."""

    def __init__(self, ray: Any, actor: Any, room: tuple[str, int]) -> None:
        self._ray, self._actor, self.room = ray, actor, room
        self.name, self.why, self.is_new = f"node {room[0][:8]}", "", True
        self.process: int | None = None

    def give(self, task: Task) -> Future[Result]:
        future: Future[Result] = Future()

        def arrive(answer: Future[tuple[Result | None, Exception | None]]) -> None:
            lost = answer.exception()
            if lost is not None:
                self.why = _first_line(lost)
                future.set_exception(WorkerLost(self.why, blames="node has died" not in self.why))
                return
            result, error = answer.result()
            if error is not None:
                future.set_exception(error)
            else:
                assert result is not None
                future.set_result(result)

        assert self._actor is not None
        self._actor.work.remote(task).future().add_done_callback(arrive)
        return future

    def cancel(self) -> None:
        if self._actor is not None:
            self._actor.cancel.remote()

    def close(self) -> None:
        """Ray ends an actor that nobody knows any more; to kill one that is gone already ends this process."""
        self._actor = None


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:400] if lines else type(error).__name__


# -- on the nodes ------------------------------------------------------------------------------------------------------


class _Actor:
    """What runs on a node."""

    def __init__(self, settings: WorkerSettings, files: Files) -> None:
        request = _with_local_files(settings.request, files)
        self._bench = self._bench_of(replace(settings, request=request, folders=()))
        threading.Thread(target=self._bench.run, daemon=True).start()

    def _bench_of(self, settings: WorkerSettings) -> Bench:
        return Bench(settings)

    def ready(self) -> tuple[str, int]:
        """Answers when it is there: the machine's name, and the process's number."""
        return socket.gethostname(), os.getpid()

    def work(self, task: Task) -> tuple[Result | None, Exception | None]:
        try:
            return self._bench.give(task).result(), None
        except Exception as error:  # noqa: BLE001 - it is sent as a value, and raised where the command is
            return None, error

    def cancel(self) -> None:
        self._bench.cancel()


# -- models ------------------------------------------------------------------------------------------------------------


def _with_files(ray: Any, request: UpscaleRequest, library: ModelLibrary) -> tuple[UpscaleRequest, Files]:
    """The request with the models' own entries in place of names, and their files in Ray's store. Raises ModelError."""
    files: Files = {}
    changed: dict[str, Any] = {}
    for field in _MODELS:
        model = getattr(request, field)
        if isinstance(model, (str, Path)):
            entries = tuple(library.find_chain(model))
            changed[field] = entries
            for entry in entries:
                for part in _parts(entry):
                    if str(part.path) not in files:
                        files[str(part.path)] = (part.path.name, part.mtime_ns, ray.put(part.path.read_bytes()))
    return replace(request, **changed), files


def _parts(entry: ModelEntry) -> list[ModelEntry]:
    return [part for part, _ in entry.parts] if isinstance(entry, BlendedEntry) else [entry]


def _with_local_files(request: UpscaleRequest, files: Files) -> UpscaleRequest:
    """The same with the paths of copies on this node."""
    import ray

    copies = {}
    for path, (name, mtime_ns, reference) in files.items():
        data: Any = ray.get(reference)
        copies[path] = _copy(name, mtime_ns, data)
    changed: dict[str, Any] = {}
    for field in _MODELS:
        if isinstance(model := getattr(request, field), tuple):
            changed[field] = tuple(_at(entry, copies) for entry in model)
    return replace(request, **changed)


def _at(entry: ModelEntry, copies: dict[str, Path]) -> ModelEntry:
    """The entry with the paths of the copies."""
    if isinstance(entry, BlendedEntry):
        parts = tuple((_at(part, copies), share) for part, share in entry.parts)
        return replace(entry, path=parts[0][0].path, parts=parts)
    return replace(entry, path=copies[str(entry.path)])


def _copy(name: str, mtime_ns: int, data: bytes) -> Path:
    """A file with these bytes in this node's cache folder. It has the time of the first, by which entries are known."""
    root = cache_folder() or Path(tempfile.gettempdir()) / "truescale"
    folder = root / "cluster-models" / hashlib.sha256(data).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    if not file.is_file() or file.stat().st_size != len(data):
        part = folder / f".{os.getpid()}-{name}"
        part.write_bytes(data)
        os.utime(part, ns=(mtime_ns, mtime_ns))
        os.replace(part, file)
    os.utime(file, ns=(mtime_ns, mtime_ns))
    return file


# -- names -------------------------------------------------------------------------------------------------------------


def _with_full_paths(tasks: Iterator[Task]) -> Iterator[Task]:
    """Nodes have current folders of their own."""
    for task in tasks:
        source, output = (
            Path(os.path.abspath(place)) if isinstance(place, Path) else place for place in (task.source, task.output)
        )
        yield replace(task, source=source, output=output, named=(task.source, task.output))


class _NamedAsHere:
    """A ledger for results whose tasks have full paths: it notes them under the names that the user gave."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self.lost_processes = ledger, ledger.lost_processes

    def note(self, result: Result) -> None:
        task = result.task
        if task.named is not None:
            source, output = task.named
            task = replace(task, source=source, output=output, named=None)
        if isinstance(result, Done):
            self._ledger.note(Done(replace(result.record, task=task)))
        else:
            self._ledger.note(replace(result, task=task))

"""The extension comes, is loaded again and again, and goes: the host starts as fast, and is as it was."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable

from model_names import ANIME, VIDEO
from webui_process import DataFolder, Host, Server, wait_until

Measured = Callable[[str], None]
_RELOADS = 5
_MEGABYTE = 1e6
_BAD_WORDS = ("Traceback", "Error", "*** ")


def _started(host: Host, data: DataFolder) -> Server:
    server = Server(host, data)
    with server:
        pass
    return server


def test_as_fast_as_without(host: Host, new_data: Callable[..., DataFolder], measured: Measured) -> None:
    """By turns, and the processors' time beside the clock's: what else the machine does must not decide.

    The first start of each warms up.
    """
    folders = {truescale: new_data(truescale=truescale, scripts=()) for truescale in (False, True)}
    host.run("-m", "compileall", "-q", folders[True].extensions)  # as a user's first start does
    starts: dict[bool, list[Server]] = {False: [], True: []}
    for _ in range(4):
        for truescale, data in folders.items():
            starts[truescale].append(_started(host, data))
    later = []
    for kind in ("seconds", "processor_seconds"):
        plain, ours = (statistics.median(getattr(one, kind) for one in starts[t][1:]) for t in (False, True))
        measured(f"{kind} of a start: {plain:.2f} without, {ours:.2f} with it")
        later.append(ours - plain)

    assert min(later) < 0.5


def test_the_log_of_a_start(host: Host, new_data: Callable[..., DataFolder]) -> None:
    server = _started(host, new_data(scripts=()))

    lines = [line for line in server.log.splitlines() if any(word in line for word in _BAD_WORDS)]
    assert lines == []


def test_reloads_of_the_ui(host: Host, new_data: Callable[..., DataFolder], photo, pickled, measured: Measured) -> None:
    data = new_data(models=(VIDEO,))
    data.add_models(pickled)
    with Server(host, data) as server:
        server.http.extras(photo(64, 48), ANIME)
        seen = [_after_reload(server) for _ in range(_RELOADS + 1)]
        first, last = seen[0], seen[-1]
        measured(f"resident MB: {[round(one['resident'] / _MEGABYTE) for one in seen]}")
        measured(f"threads: {[len(one['threads']) for one in seen]}")

        assert all(one["upscalers"] == first["upscalers"] for one in seen)
        assert len(set(first["upscalers"])) == len(first["upscalers"])
        assert all(one["callbacks"] == first["callbacks"] for one in seen)
        assert len(last["threads"]) <= len(first["threads"])
        assert last["loader"] == first["loader"] == "lib_upscaler.webui.takeover.registry"
        assert server.http.extras(photo(64, 48), ANIME).size == (256, 192)
        assert server.http.get("/openapi.json")["paths"].keys() >= {"/truescale/v1/upscale", "/truescale/v1/models"}
        assert "Traceback" not in server.log
    _assert_no_more_memory_than_without(host, new_data, seen, measured)


def _after_reload(server: Server) -> dict:
    _reload(server)
    return server.http.get("/probe/status")


def _reload(server: Server) -> None:
    """As the button does it; over as soon as the new page's routes are there."""
    mark = len(server.log)
    server.http.post("/probe/reload")
    server.wait_for_log("Startup time:", 120, after=mark)
    wait_until(lambda: server.http.answers("/probe/status"), 60, lambda: server.log[mark:])


def _assert_no_more_memory_than_without(
    host: Host, new_data: Callable[..., DataFolder], seen: list[dict], measured: Measured
) -> None:
    """The host itself grows with each reload: ours must not grow by much more. The first ones settle."""
    with Server(host, new_data(truescale=False)) as server:
        plain = [_after_reload(server) for _ in range(_RELOADS + 1)]
    growth, usual = ((each[-1]["resident"] - each[1]["resident"]) / _MEGABYTE for each in (seen, plain))
    measured(f"grown by {growth:.0f} MB over {_RELOADS - 1} reloads; without TrueScale by {usual:.0f} MB")
    assert growth < usual + 20


def test_disabled_and_removed(host: Host, new_data: Callable[..., DataFolder], pickled) -> None:
    """By the host's own list of disabled extensions, then by deleting the folder."""
    plain_data = new_data(truescale=False, models=(VIDEO,))
    plain_data.add_models(pickled)
    with Server(host, plain_data) as server:
        plain = server.http.get("/probe/status")

    data = new_data(models=(VIDEO,))
    data.add_models(pickled)
    with Server(host, data) as server:
        with_it = server.http.get("/probe/status")
        server.http.options(disabled_extensions=["truescale"])
        disabled = _after_reload(server)
        assert not server.http.answers("/truescale/v1/models")
        server.http.options(disabled_extensions=[])
        again = _after_reload(server)
        shutil.rmtree(data.extensions / "truescale")
        removed = _after_reload(server)

    assert with_it["upscalers"] != plain["upscalers"]
    assert again["upscalers"] == with_it["upscalers"]
    for state in (disabled, removed):
        assert state["upscalers"] == plain["upscalers"]
        assert state["loader"] == plain["loader"] == "modules.modelloader"
        assert state["callbacks"] == plain["callbacks"]
